//! Matrices as kernels see them: an address, two extents and two strides, in elements.

use std::marker::PhantomData;

/// A matrix that is read: element `(i, j)` is `i * row_stride + j * col_stride` elements from its
/// first. Any strides will do, 0 and negative ones included; elements need their own alignment only.
#[derive(Debug)]
pub struct MatRef<'a, T = f32> {
    ptr: *const T,
    rows: usize,
    cols: usize,
    row_stride: isize,
    col_stride: isize,
    lifetime: PhantomData<&'a T>,
}

impl<T> Clone for MatRef<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for MatRef<'_, T> {}

// SAFETY: it is a shared borrow of its elements.
unsafe impl<T: Sync> Send for MatRef<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for MatRef<'_, T> {}

impl<'a, T> MatRef<'a, T> {
    /// Rows that follow one another in a slice.
    ///
    /// # Panics
    /// If the slice holds fewer than `rows * cols` elements.
    pub fn new(elements: &'a [T], rows: usize, cols: usize) -> Self {
        Self::with_strides(elements, rows, cols, cols, 1)
    }

    /// A matrix with any strides in a slice, from the slice's first element.
    ///
    /// # Panics
    /// If an element lies past the slice's end.
    pub fn with_strides(
        elements: &'a [T],
        rows: usize,
        cols: usize,
        row_stride: usize,
        col_stride: usize,
    ) -> Self {
        check_bounds(elements.len(), rows, cols, row_stride, col_stride);
        // SAFETY: the last element lies within the slice.
        unsafe { Self::from_raw(elements.as_ptr(), rows, cols, row_stride as isize, col_stride as isize) }
    }

    /// A matrix anywhere in memory.
    ///
    /// # Safety
    /// For `'a` every element has to be valid for reads, aligned for `T`, and not be written to.
    pub unsafe fn from_raw(
        ptr: *const T,
        rows: usize,
        cols: usize,
        row_stride: isize,
        col_stride: isize,
    ) -> Self {
        Self { ptr, rows, cols, row_stride, col_stride, lifetime: PhantomData }
    }

    /// The transpose: the same elements, read the other way.
    #[must_use]
    pub fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    /// Number of rows.
    pub fn rows(self) -> usize {
        self.rows
    }
    /// Number of columns.
    pub fn cols(self) -> usize {
        self.cols
    }
    /// From a row to the next, in elements.
    pub fn row_stride(self) -> isize {
        self.row_stride
    }
    /// From a column to the next, in elements.
    pub fn col_stride(self) -> isize {
        self.col_stride
    }
    /// The first element's address.
    pub fn as_ptr(self) -> *const T {
        self.ptr
    }

    /// The address of an element.
    #[inline(always)]
    pub(crate) fn at(self, row: usize, col: usize) -> *const T {
        self.ptr.wrapping_offset(row as isize * self.row_stride + col as isize * self.col_stride)
    }

    /// The same elements `offset` elements further on in memory.
    pub(crate) fn moved(self, offset: isize) -> Self {
        Self { ptr: self.ptr.wrapping_offset(offset), ..self }
    }
}

/// A matrix that is written; as [`MatRef`] otherwise. No two elements may share an address.
#[derive(Debug)]
pub struct MatMut<'a, T = f32> {
    ptr: *mut T,
    rows: usize,
    cols: usize,
    row_stride: isize,
    col_stride: isize,
    lifetime: PhantomData<&'a mut T>,
}

// SAFETY: it is an exclusive borrow of its elements.
unsafe impl<T: Send> Send for MatMut<'_, T> {}

impl<'a, T> MatMut<'a, T> {
    /// Rows that follow one another in a slice.
    ///
    /// # Panics
    /// If the slice holds fewer than `rows * cols` elements.
    pub fn new(elements: &'a mut [T], rows: usize, cols: usize) -> Self {
        Self::with_strides(elements, rows, cols, cols, 1)
    }

    /// A matrix with any strides in a slice, from the slice's first element.
    ///
    /// # Panics
    /// If an element lies past the slice's end, or two elements would share an address.
    pub fn with_strides(
        elements: &'a mut [T],
        rows: usize,
        cols: usize,
        row_stride: usize,
        col_stride: usize,
    ) -> Self {
        check_bounds(elements.len(), rows, cols, row_stride, col_stride);
        let apart = |inner: usize, many: usize, outer: usize| inner > 0 && outer > (many - 1) * inner;
        let is_distinct = match (rows, cols) {
            (0, _) | (_, 0) | (1, 1) => true,
            (1, _) => col_stride > 0,
            (_, 1) => row_stride > 0,
            _ => apart(col_stride, cols, row_stride) || apart(row_stride, rows, col_stride),
        };
        assert!(
            is_distinct,
            "elements of a {rows}x{cols} matrix with strides {row_stride}, {col_stride} overlap"
        );
        // SAFETY: the last element lies within the slice, and no two overlap.
        unsafe { Self::from_raw(elements.as_mut_ptr(), rows, cols, row_stride as isize, col_stride as isize) }
    }

    /// A matrix anywhere in memory.
    ///
    /// # Safety
    /// For `'a` every element has to be valid for reads and writes, aligned for `T`, at an address
    /// of its own, and neither be read nor written by others.
    pub unsafe fn from_raw(
        ptr: *mut T,
        rows: usize,
        cols: usize,
        row_stride: isize,
        col_stride: isize,
    ) -> Self {
        Self { ptr, rows, cols, row_stride, col_stride, lifetime: PhantomData }
    }

    /// The transpose: the same elements, written the other way.
    #[must_use]
    pub fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }
    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// What tasks on several threads share; each writes elements of its own.
    pub(crate) fn target(&self) -> Target<T> {
        Target { ptr: self.ptr, row_stride: self.row_stride, col_stride: self.col_stride }
    }
}

/// Where results go: a [`MatMut`] that several threads write parts of.
#[derive(Debug)]
pub(crate) struct Target<T = f32> {
    pub ptr: *mut T,
    pub row_stride: isize,
    pub col_stride: isize,
}

impl<T> Clone for Target<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Target<T> {}

// SAFETY: made from an exclusive borrow; those who write through it share out its elements.
unsafe impl<T: Send> Send for Target<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Target<T> {}

impl<T> Target<T> {
    /// The address of an element.
    #[inline(always)]
    pub fn at(self, row: usize, col: usize) -> *mut T {
        self.ptr.wrapping_offset(row as isize * self.row_stride + col as isize * self.col_stride)
    }

    /// The same elements `offset` elements further on in memory.
    pub fn moved(self, offset: isize) -> Self {
        Self { ptr: self.ptr.wrapping_offset(offset), ..self }
    }

    pub fn t(self) -> Self {
        Self { ptr: self.ptr, row_stride: self.col_stride, col_stride: self.row_stride }
    }
}

fn check_bounds(len: usize, rows: usize, cols: usize, row_stride: usize, col_stride: usize) {
    let last = (rows > 0 && cols > 0)
        .then(|| (rows - 1).checked_mul(row_stride)?.checked_add((cols - 1).checked_mul(col_stride)?));
    let fits = match last {
        None => true,
        Some(None) => false,
        Some(Some(last)) => last < len,
    };
    assert!(
        fits,
        "a {rows}x{cols} matrix with strides {row_stride}, {col_stride} does not fit {len} elements"
    );
}
