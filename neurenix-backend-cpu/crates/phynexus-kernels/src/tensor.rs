//! A tensor as kernels see it: where its elements lie, of what dtype, in which steps.

use std::marker::PhantomData;

use crate::{DType, Element, KernelError};

/// How many axes a tensor may have here.
pub const MAX_AXES: usize = 16;

/// Sizes of axes and the steps between neighbours along each, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axes {
    rank: usize,
    sizes: [usize; MAX_AXES],
    strides: [isize; MAX_AXES],
}

impl Axes {
    /// Sizes and strides; a stride of 0 repeats an element.
    ///
    /// # Errors
    /// There are more than [`MAX_AXES`].
    pub fn new(sizes: &[usize], strides: &[isize]) -> Result<Self, KernelError> {
        let rank = sizes.len();
        if rank > MAX_AXES {
            return Err(KernelError::Shape(format!(
                "a tensor of shape {sizes:?} has {rank} axes; native kernels take up to {MAX_AXES}"
            )));
        }
        debug_assert_eq!(rank, strides.len());
        let mut axes = Self { rank, sizes: [1; MAX_AXES], strides: [0; MAX_AXES] };
        axes.sizes[..rank].copy_from_slice(sizes);
        axes.strides[..rank].copy_from_slice(strides);
        Ok(axes)
    }

    /// The axes of a dense, row-major tensor.
    ///
    /// # Errors
    /// There are more than [`MAX_AXES`].
    pub fn dense(sizes: &[usize]) -> Result<Self, KernelError> {
        let rank = sizes.len();
        if rank > MAX_AXES {
            return Self::new(sizes, &[]);
        }
        let mut axes = Self { rank, sizes: [1; MAX_AXES], strides: [0; MAX_AXES] };
        let mut step = 1;
        for axis in (0..rank).rev() {
            axes.sizes[axis] = sizes[axis];
            axes.strides[axis] = step;
            step *= sizes[axis] as isize;
        }
        Ok(axes)
    }

    /// How many axes there are.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The sizes, one an axis.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes[..self.rank]
    }

    /// The steps between neighbours, in elements, one an axis.
    pub fn strides(&self) -> &[isize] {
        &self.strides[..self.rank]
    }

    /// How many elements there are.
    pub fn count(&self) -> usize {
        self.sizes().iter().product()
    }

    /// Whether the elements lie one after the other in row-major order.
    pub fn is_dense(&self) -> bool {
        let mut step = 1;
        for axis in (0..self.rank).rev() {
            if self.sizes[axis] != 1 && self.strides[axis] != step {
                return self.count() == 0;
            }
            step *= self.sizes[axis] as isize;
        }
        true
    }
}

macro_rules! tensor {
    ($(#[$doc:meta])* $name:ident, $pointer:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name<'a> {
            data: $pointer,
            dtype: DType,
            axes: Axes,
            lifetime: PhantomData<&'a [u8]>,
        }

        // SAFETY: it stands for a slice of plain numbers, borrowed for 'a.
        unsafe impl Send for $name<'_> {}
        // SAFETY: as above; kernels share out what they write.
        unsafe impl Sync for $name<'_> {}

        impl $name<'_> {
            /// A tensor whose first element is at `data`.
            ///
            /// # Safety
            /// Every element that the axes reach is valid for reads, and for writes in a
            /// `TensorMut`, for as long as the tensor is used, and aligned to its size.
            pub unsafe fn new(data: $pointer, dtype: DType, axes: Axes) -> Self {
                Self { data, dtype, axes, lifetime: PhantomData }
            }

            /// The address of the first element, whatever its dtype.
            pub fn bytes(&self) -> $pointer {
                self.data
            }

            /// The elements' dtype.
            pub fn dtype(&self) -> DType {
                self.dtype
            }

            /// Sizes and strides.
            pub fn axes(&self) -> &Axes {
                &self.axes
            }

            /// The sizes, one an axis.
            pub fn sizes(&self) -> &[usize] {
                self.axes.sizes()
            }

            /// The same elements with other sizes and strides.
            ///
            /// # Safety
            /// As for `new`.
            pub unsafe fn with_axes(&self, axes: Axes) -> Self {
                Self { axes, ..*self }
            }
        }
    };
}

tensor! {
    /// A tensor that a kernel reads.
    TensorRef, *const u8
}
tensor! {
    /// A tensor that a kernel writes. Two that are written at once never overlap, and neither does
    /// one with what is read, save where a kernel says that it works in place.
    TensorMut, *mut u8
}

impl<'a> TensorRef<'a> {
    /// The address of the first element.
    ///
    /// # Panics
    /// In debug builds, if the dtype is another one; a `u8` also stands for a bool.
    pub fn ptr<T: Element>(&self) -> *const T {
        debug_assert!(stands_for::<T>(self.dtype));
        self.data.cast()
    }

    /// The elements of a dense tensor.
    ///
    /// # Panics
    /// In debug builds, if it is not dense or of another dtype.
    pub fn as_slice<T: Element>(&self) -> &'a [T] {
        debug_assert!(self.axes.is_dense());
        // SAFETY: `new` was told that all elements are valid for 'a.
        unsafe { std::slice::from_raw_parts(self.ptr(), self.axes.count()) }
    }
}

impl<'a> TensorMut<'a> {
    /// The address of the first element.
    ///
    /// # Panics
    /// In debug builds, if the dtype is another one; a `u8` also stands for a bool.
    pub fn ptr<T: Element>(&self) -> *mut T {
        debug_assert!(stands_for::<T>(self.dtype));
        self.data.cast()
    }

    /// The elements of a dense tensor.
    ///
    /// # Safety
    /// Nothing else reads or writes them while the slice lives.
    ///
    /// # Panics
    /// In debug builds, if it is not dense or of another dtype.
    pub unsafe fn as_mut_slice<T: Element>(&self) -> &'a mut [T] {
        debug_assert!(self.axes.is_dense());
        // SAFETY: `new` was told that all elements are valid for 'a; the caller vouches that the
        // slice is the only one.
        unsafe { std::slice::from_raw_parts_mut(self.ptr(), self.axes.count()) }
    }

    /// The same tensor, to be read.
    pub fn as_ref(&self) -> TensorRef<'a> {
        TensorRef { data: self.data, dtype: self.dtype, axes: self.axes, lifetime: PhantomData }
    }
}

fn stands_for<T: Element>(dtype: DType) -> bool {
    T::DTYPE == dtype || (T::DTYPE == DType::U8 && dtype == DType::Bool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_axes_are_dense() {
        let axes = Axes::dense(&[2, 3, 4]).unwrap();
        assert_eq!(axes.strides(), [12, 4, 1]);
        assert!(axes.is_dense());
        assert_eq!(axes.count(), 24);
    }

    #[test]
    fn axes_of_one_element_may_have_any_stride() {
        assert!(Axes::new(&[1, 3], &[77, 1]).unwrap().is_dense());
        assert!(!Axes::new(&[2, 3], &[77, 1]).unwrap().is_dense());
    }

    #[test]
    fn too_many_axes_are_an_error_with_the_shape() {
        let error = Axes::dense(&[1; MAX_AXES + 1]).unwrap_err();
        assert!(error.to_string().contains("17 axes"), "{error}");
    }
}
