//! Where the extremum along an axis is: the extremum first, then the first element equal to it.

use half::{bf16, f16};
use phynexus_runtime::parallel_for;
use phynexus_runtime::scratch::with_scratch;
use phynexus_simd::{Kernel, Simd, dispatch};

use super::{Reduction, reduce};
use crate::truth::Truth;
use crate::{DType, KernelError, TensorMut, TensorRef};

/// Elements that are worth a second thread.
const PARALLEL: usize = 1 << 16;
/// Elements that a thread takes at once.
const TASK: usize = 1 << 14;

/// Writes the place of the first largest or smallest element along the one axis to `out`, i64.
pub fn find(
    out: &TensorMut<'_>,
    x: &TensorRef<'_>,
    axes: u16,
    extremum: Reduction,
) -> Result<(), KernelError> {
    let outputs = out.axes().count();
    with_scratch(outputs * x.dtype().size(), |best| {
        reduce(extremum, best, x, axes)?;
        let search = Search { out: out.ptr::<i64>(), best, x, axis: axes.trailing_zeros() as usize };
        match x.dtype() {
            DType::F32 => search.run::<f32>(),
            DType::F64 => search.run::<f64>(),
            DType::F16 => search.run::<f16>(),
            DType::Bf16 => search.run::<bf16>(),
            DType::I8 => search.run::<i8>(),
            DType::I16 => search.run::<i16>(),
            DType::I32 => search.run::<i32>(),
            DType::I64 => search.run::<i64>(),
            DType::U8 => search.run::<u8>(),
            DType::Bool => search.run::<Truth>(),
        }
        Ok(())
    })?
}

/// An element that is found by a comparison: NaN is where the extremum is NaN.
trait Find: Copy + PartialEq + 'static {
    fn is(self, best: Self) -> bool;
    fn is_nan(self) -> bool;
}

macro_rules! finds {
    ($($type:ident)*) => {$(
        impl Find for $type {
            #[inline(always)]
            fn is(self, best: Self) -> bool {
                self == best || (self.is_nan() && best.is_nan())
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                // Only NaN differs from itself.
                #[allow(clippy::eq_op)]
                let is_nan = self != self;
                is_nan
            }
        }
    )*};
}

finds! { f32 f64 f16 bf16 i8 i16 i32 i64 u8 }

impl Find for Truth {
    #[inline(always)]
    fn is(self, best: Self) -> bool {
        self == best
    }
    #[inline(always)]
    fn is_nan(self) -> bool {
        false
    }
}

struct Search<'a> {
    out: *mut i64,
    best: *const u8,
    x: &'a TensorRef<'a>,
    axis: usize,
}

// SAFETY: inputs are only read, and every task writes outputs of its own.
unsafe impl Sync for Search<'_> {}

impl Search<'_> {
    fn run<T: Find>(&self) {
        let (sizes, strides) = (self.x.sizes(), self.x.axes().strides());
        let rank = sizes.len();
        let (length, step) = (sizes[self.axis], strides[self.axis]);
        // What is left without the axis: the last one in a row of its own.
        let is_last = self.axis + 1 == rank;
        let (columns, column_step) = if is_last { (1, 0) } else { (sizes[rank - 1], strides[rank - 1]) };
        let around: Vec<usize> =
            (0..rank).filter(|&a| a != self.axis && (is_last || a != rank - 1)).collect();
        let rows: usize = around.iter().map(|&axis| sizes[axis]).product();
        let one = |row: usize| {
            let (mut index, mut offset) = (row, 0);
            for &axis in around.iter().rev() {
                offset += (index % sizes[axis]) as isize * strides[axis];
                index /= sizes[axis];
            }
            // SAFETY: the elements of a row of outputs.
            let (x, best, out) = unsafe {
                let first = row * columns;
                (
                    self.x.bytes().cast::<T>().offset(offset),
                    std::slice::from_raw_parts(self.best.cast::<T>().add(first), columns),
                    std::slice::from_raw_parts_mut(self.out.add(first), columns),
                )
            };
            if is_last && step == 1 {
                // SAFETY: the elements along the axis.
                let along = unsafe { std::slice::from_raw_parts(x, length) };
                out[0] = dispatch(Along { along, best: best[0] });
            } else {
                dispatch(Across { x, step, column_step, length, best, out });
            }
        };
        if rows * columns * length < PARALLEL {
            (0..rows).for_each(one);
            return;
        }
        let group = (TASK / (columns * length)).max(1);
        parallel_for(rows.div_ceil(group), |task| {
            (task * group..rows.min((task + 1) * group)).for_each(one);
        });
    }
}

/// Finds an element in a row.
struct Along<'a, T> {
    along: &'a [T],
    best: T,
}

/// Elements that are compared before one looks whether it was among them.
const PART: usize = 64;

impl<T: Find> Kernel for Along<'_, T> {
    type Output = i64;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> i64 {
        let Self { along, best } = self;
        if best.is_nan() {
            return along.iter().position(|&element| element.is_nan()).unwrap_or(0) as i64;
        }
        let (parts, rest) = along.as_chunks::<PART>();
        for (part, elements) in parts.iter().enumerate() {
            let mut is_there = false;
            for &element in elements {
                is_there |= element == best;
            }
            if is_there {
                return (part * PART + place_in(elements, best)) as i64;
            }
        }
        (parts.len() * PART + place_in(rest, best)) as i64
    }
}

#[inline(always)]
fn place_in<T: Find>(elements: &[T], best: T) -> usize {
    for (place, &element) in elements.iter().enumerate() {
        if element == best {
            return place;
        }
    }
    0
}

/// Finds an element in each of some columns: from the last row up, so that the first stays.
struct Across<'a, T> {
    x: *const T,
    step: isize,
    column_step: isize,
    length: usize,
    best: &'a [T],
    out: &'a mut [i64],
}

impl<T: Find> Kernel for Across<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { x, step, column_step, length, best, out } = self;
        out.fill(0);
        for place in (0..length).rev() {
            // SAFETY: an element of each column.
            unsafe {
                let row = x.offset(place as isize * step);
                if column_step == 1 {
                    let row = std::slice::from_raw_parts(row, best.len());
                    for ((out, &element), &best) in out.iter_mut().zip(row).zip(best) {
                        *out = if element.is(best) { place as i64 } else { *out };
                    }
                } else {
                    for (column, (out, &best)) in out.iter_mut().zip(best).enumerate() {
                        let element = *row.offset(column as isize * column_step);
                        *out = if element.is(best) { place as i64 } else { *out };
                    }
                }
            }
        }
    }
}
