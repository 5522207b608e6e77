//! Matrix products of f64 and of integers: blocks of 4 rows by 16 columns, whose sums run over
//! `k = 0, 1, 2 ...` in one chain each.

use phynexus_runtime::scratch::with_scratch;
use phynexus_simd::{Isa, Kernel, LANES, Simd, dispatch};

use crate::shares::{Address, share_out};
use crate::{Element, KernelError};

/// Rows of a block.
const ROWS: usize = 4;

/// What products are made of.
pub(crate) trait Ring: Element {
    const ZERO: Self;
    /// `a * b + sum`; integers wrap. Floats round once where `is_fused`.
    fn multiply_add(self, b: Self, sum: Self, is_fused: bool) -> Self;
    fn plus(self, other: Self) -> Self;
}

macro_rules! integers {
    ($($kind:ty),*) => {$(
        impl Ring for $kind {
            const ZERO: Self = 0;
            #[inline(always)]
            fn multiply_add(self, b: Self, sum: Self, _: bool) -> Self {
                self.wrapping_mul(b).wrapping_add(sum)
            }
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
        }
    )*};
}
integers!(i8, i16, i32, i64, u8);

macro_rules! floats {
    ($($kind:ty),*) => {$(
        impl Ring for $kind {
            const ZERO: Self = 0.0;
            #[inline(always)]
            fn multiply_add(self, b: Self, sum: Self, is_fused: bool) -> Self {
                if is_fused { self.mul_add(b, sum) } else { self * b + sum }
            }
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self + other
            }
        }
    )*};
}
floats!(f32, f64);

/// A matrix in memory: its first element, and the steps between rows and columns in elements.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<T> {
    pub data: *mut T,
    pub row: isize,
    pub col: isize,
}

// SAFETY: it only says where elements lie; who reads and writes them answers for that.
unsafe impl<T> Send for Matrix<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Matrix<T> {}

impl<T> Matrix<T> {
    #[inline(always)]
    pub fn at(self, row: usize, col: usize) -> *mut T {
        self.data.wrapping_offset(row as isize * self.row + col as isize * self.col)
    }

    pub fn moved(self, offset: isize) -> Self {
        Self { data: self.data.wrapping_offset(offset), ..self }
    }
}

/// 16 columns of `b`, packed, times all rows of `a`.
struct Panel<T> {
    a: Matrix<T>,
    c: Matrix<T>,
    packed: *const T,
    bias: Option<[T; LANES]>,
    rows: usize,
    depth: usize,
    cols: usize,
}

impl<T: Ring> Panel<T> {
    #[inline(always)]
    unsafe fn block<const R: usize>(&self, first: usize, is_fused: bool) {
        let mut sums = [[T::ZERO; LANES]; R];
        for k in 0..self.depth {
            // SAFETY: the panel has 16 elements for each k, and `a` has the rows.
            unsafe {
                let b = self.packed.add(k * LANES).cast::<[T; LANES]>().read_unaligned();
                for (row, sums) in sums.iter_mut().enumerate() {
                    let a = self.a.at(first + row, k).read_unaligned();
                    for lane in 0..LANES {
                        sums[lane] = a.multiply_add(b[lane], sums[lane], is_fused);
                    }
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            for lane in 0..self.cols {
                let value = self.bias.map_or(sums[lane], |bias| sums[lane].plus(bias[lane]));
                // SAFETY: an element of the result.
                unsafe { self.c.at(first + row, lane).write_unaligned(value) };
            }
        }
    }
}

impl<T: Ring> Kernel for Panel<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let is_fused = !matches!(S::ISA, Isa::Portable);
        let mut row = 0;
        // SAFETY: rows of the product.
        unsafe {
            while row + ROWS <= self.rows {
                self.block::<ROWS>(row, is_fused);
                row += ROWS;
            }
            while row < self.rows {
                self.block::<1>(row, is_fused);
                row += 1;
            }
        }
    }
}

/// `c = a * b (+ bias)`, with `a` of `rows` by `depth` and `b` of `depth` by `cols`.
///
/// # Safety
/// The matrices and the bias (an element a column) have these sizes; `c` overlaps nothing.
pub(crate) unsafe fn multiply<T: Ring>(
    [rows, depth, cols]: [usize; 3],
    a: Matrix<T>,
    b: Matrix<T>,
    bias: Option<Matrix<T>>,
    c: Matrix<T>,
) -> Result<(), KernelError> {
    share_out(cols.div_ceil(LANES), 2 * (rows + 1) * depth * LANES, |panels| {
        with_scratch(depth * LANES * size_of::<T>(), |room| {
            let packed = Address(room.cast::<T>()).get();
            for panel in panels {
                let first = panel * LANES;
                let many = LANES.min(cols - first);
                // SAFETY: columns of `b`, and as much room.
                let bias = unsafe {
                    for k in 0..depth {
                        for lane in 0..LANES {
                            let value =
                                if lane < many { b.at(k, first + lane).read_unaligned() } else { T::ZERO };
                            packed.add(k * LANES + lane).write(value);
                        }
                    }
                    bias.map(|bias| {
                        std::array::from_fn(|lane| {
                            if lane < many { bias.at(0, first + lane).read_unaligned() } else { T::ZERO }
                        })
                    })
                };
                let c = c.moved(first as isize * c.col);
                dispatch(Panel { a, c, packed: packed.cast_const(), bias, rows, depth, cols: many });
            }
        })?;
        Ok(())
    })
}
