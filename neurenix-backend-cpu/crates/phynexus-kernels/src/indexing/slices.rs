//! Slices along the first axis that an index names, as embeddings take them.

use phynexus_runtime::parallel_for;
use phynexus_runtime::scratch::with_scratch;
use phynexus_simd::{Kernel, Simd, dispatch};

use super::{Indices, check};
use crate::operation::{first_output, required};
use crate::{DType, KernelError, Operation, TensorMut, TensorRef};

/// The slices of a dense `x` along its first axis that a dense index names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Take;

/// The gradient of [`Take`]: of each of the rows, the sum of the slices of a dense gradient that a
/// dense index gives it, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakeBackward;

/// Bytes that are worth a second thread.
const PARALLEL: usize = 1 << 17;

/// An address that threads share; each reads and writes places of its own.
#[derive(Clone, Copy)]
struct Address(*mut u8);

// SAFETY: who goes through it answers for that.
unsafe impl Sync for Address {}

impl Address {
    fn at(&self, offset: usize) -> *mut u8 {
        self.0.wrapping_add(offset)
    }
}

impl Operation for Take {
    fn name(&self) -> &'static str {
        "take"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let (x, index) = (required(inputs, 0), required(inputs, 1));
        let (out, indices) = (first_output(outputs), Indices::of(self.name(), index)?);
        check(self.name(), index, indices, x.sizes()[0])?;
        let slice = x.sizes()[1..].iter().product::<usize>() * x.dtype().size();
        let (source, target) = (Address(x.bytes().cast_mut()), Address(out.bytes()));
        let count = index.axes().count();
        let one = |place: usize| {
            // SAFETY: the index is in range, and each place has a slice of the output.
            unsafe {
                let row = indices.at(place as isize) as usize;
                std::ptr::copy_nonoverlapping(source.at(row * slice), target.at(place * slice), slice);
            }
        };
        if count * slice < PARALLEL {
            (0..count).for_each(one);
            return Ok(());
        }
        let group = (PARALLEL / 4 / slice.max(1)).max(1);
        parallel_for(count.div_ceil(group), |task| {
            (task * group..count.min((task + 1) * group)).for_each(one);
        });
        Ok(())
    }
}

/// Columns that a thread sums at once: the sums stay in the first cache.
const COLUMNS: usize = 256;

impl Operation for TakeBackward {
    fn name(&self) -> &'static str {
        "take_backward"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let (grad, index) = (required(inputs, 0), required(inputs, 1));
        let (out, indices) = (first_output(outputs), Indices::of(self.name(), index)?);
        let rows = out.sizes()[0];
        check(self.name(), index, indices, rows)?;
        if out.axes().count() == 0 {
            return Ok(());
        }
        let count = index.axes().count();
        // The places that each row is given, in their order: `first[r]..first[r + 1]` of `places`.
        let bytes = (rows + 2 + count) * size_of::<usize>();
        with_scratch(bytes, |scratch| {
            // SAFETY: the scratch has room for both, aligned to more than a number.
            let (first, places) = unsafe {
                let first = scratch.cast::<usize>();
                first.write_bytes(0, rows + 2 + count);
                (
                    std::slice::from_raw_parts_mut(first, rows + 2),
                    std::slice::from_raw_parts_mut(first.add(rows + 2), count),
                )
            };
            // SAFETY: the elements of the index, which are in range.
            let row_of = |place: usize| unsafe { indices.at(place as isize) as usize };
            for place in 0..count {
                first[row_of(place) + 2] += 1;
            }
            for row in 2..rows + 2 {
                first[row] += first[row - 1];
            }
            for place in 0..count {
                let next = &mut first[row_of(place) + 1];
                places[*next] = place;
                *next += 1;
            }
            let sums = Sums { first, places, width: out.axes().count() / rows };
            let (grad, out) = (Address(grad.bytes().cast_mut()), Address(out.bytes()));
            match outputs[0].dtype() {
                DType::F32 => sums.run::<f32>(grad, out, rows),
                DType::F64 => sums.run::<f64>(grad, out, rows),
                DType::F16 => sums.run::<half::f16>(grad, out, rows),
                DType::Bf16 => sums.run::<half::bf16>(grad, out, rows),
                DType::I8 => sums.run::<i8>(grad, out, rows),
                DType::I16 => sums.run::<i16>(grad, out, rows),
                DType::I32 => sums.run::<i32>(grad, out, rows),
                DType::I64 => sums.run::<i64>(grad, out, rows),
                DType::U8 | DType::Bool => sums.run::<u8>(grad, out, rows),
            }
        })?;
        Ok(())
    }
}

/// An element that adds up in another type.
trait Summand: Copy + 'static {
    type Sum: Copy + Default;
    fn add(sum: Self::Sum, element: Self) -> Self::Sum;
    fn rounded(sum: Self::Sum) -> Self;
}

macro_rules! summands {
    ($($type:ty, $sum:ty: $a:ident, $b:ident => $total:expr, $rounded:expr;)*) => {$(
        impl Summand for $type {
            type Sum = $sum;
            #[inline(always)]
            fn add($a: $sum, $b: Self) -> $sum {
                $total
            }
            #[inline(always)]
            fn rounded($a: $sum) -> Self {
                $rounded
            }
        }
    )*};
}

summands! {
    f32, f32: a, b => a + b, a;
    f64, f64: a, b => a + b, a;
    half::f16, f32: a, b => a + b.to_f32_const(), half::f16::from_f32_const(a);
    half::bf16, f32: a, b => a + b.to_f32(), half::bf16::from_f32(a);
    i8, i8: a, b => a.wrapping_add(b), a;
    i16, i16: a, b => a.wrapping_add(b), a;
    i32, i32: a, b => a.wrapping_add(b), a;
    i64, i64: a, b => a.wrapping_add(b), a;
    u8, u8: a, b => a.wrapping_add(b), a;
}

struct Sums<'a> {
    first: &'a [usize],
    places: &'a [usize],
    /// Elements of a slice.
    width: usize,
}

impl Sums<'_> {
    fn run<T: Summand>(&self, grad: Address, out: Address, rows: usize) {
        let strips = self.width.div_ceil(COLUMNS);
        let one = |task: usize| {
            let (row, start) = (task / strips, task % strips * COLUMNS);
            let width = COLUMNS.min(self.width - start);
            let places = &self.places[self.first[row]..self.first[row + 1]];
            // SAFETY: a part of a row of the output, which no other task has.
            let out = unsafe {
                let at = (row * self.width + start) * size_of::<T>();
                std::slice::from_raw_parts_mut(out.at(at).cast::<T>(), width)
            };
            dispatch(Row {
                grad: grad.at(start * size_of::<T>()).cast::<T>(),
                step: self.width,
                places,
                out,
            });
        };
        let tasks = rows * strips;
        if (tasks + self.places.len()) * self.width * size_of::<T>() < PARALLEL {
            (0..tasks).for_each(one);
            return;
        }
        let group = (PARALLEL / 8 / (self.width * size_of::<T>())).max(1);
        parallel_for(tasks.div_ceil(group), |part| {
            (part * group..tasks.min((part + 1) * group)).for_each(one);
        });
    }
}

/// The sum of some slices.
struct Row<'a, T> {
    grad: *const T,
    step: usize,
    places: &'a [usize],
    out: &'a mut [T],
}

impl<T: Summand> Kernel for Row<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { grad, step, places, out } = self;
        let mut sums = [T::Sum::default(); COLUMNS];
        let sums = &mut sums[..out.len()];
        for &place in places {
            // SAFETY: a part of a slice of the gradient.
            let slice = unsafe { std::slice::from_raw_parts(grad.add(place * step), sums.len()) };
            for (sum, &element) in sums.iter_mut().zip(slice) {
                *sum = T::add(*sum, element);
            }
        }
        for (out, &sum) in out.iter_mut().zip(sums.iter()) {
            *out = T::rounded(sum);
        }
    }
}
