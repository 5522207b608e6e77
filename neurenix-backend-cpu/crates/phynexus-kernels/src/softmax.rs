//! softmax, its logarithm, and their gradients, along any axis of a dense tensor.
//!
//! A row is one sample's: its result does not depend on the others. Along the last axis 16 elements
//! of a row are taken at a time; along another axis, 16 rows.

mod gradients;
mod rows;

use gradients::{LogarithmGradient, SoftmaxGradient};
use phynexus_simd::LANES;
use rows::{RowFunction, Steps, along};

use crate::lanes::{Lanes, Number, Term, by_number, largest, total, vectors};
use crate::operation::{first_output, required};
use crate::{KernelError, Operation, TensorMut, TensorRef};

/// `exp(x - max) / sum(exp(x - max))` along an axis. `out` may be `x` itself.
#[derive(Debug)]
pub struct Softmax {
    /// The axis.
    pub axis: usize,
}

/// `x - max - log(sum(exp(x - max)))` along an axis. `out` may be `x` itself.
#[derive(Debug)]
pub struct LogSoftmax {
    /// The axis.
    pub axis: usize,
}

/// `y * (grad - sum(grad * y))` for `y = softmax(x)`: inputs are `grad` and `y`.
#[derive(Debug)]
pub struct SoftmaxBackward {
    /// The axis.
    pub axis: usize,
}

/// `grad - exp(y) * sum(grad)` for `y = log_softmax(x)`: inputs are `grad` and `y`.
#[derive(Debug)]
pub struct LogSoftmaxBackward {
    /// The axis.
    pub axis: usize,
}

/// What exp costs, in elements of simple arithmetic.
pub(crate) const EXP_WORK: usize = 4;

struct Softmaxed;

/// `sum(exp(x - max))`, the exponentials being stored.
#[derive(Clone, Copy)]
struct ExpStored<N>(*const N, N, *mut N);

impl<L: Lanes> Term<L> for ExpStored<L::N> {
    #[inline(always)]
    unsafe fn add_to(self, lanes: L, sums: L::V, at: usize, many: usize) -> L::V {
        // SAFETY: as the caller vouches.
        unsafe {
            let x = lanes.load_some(self.0.add(at), many);
            let power = lanes.exp(lanes.sub(x, lanes.splat(self.1)));
            lanes.store_some(self.2.add(at), many, power);
            lanes.add(sums, power)
        }
    }
}

/// `sum(exp(x - max))`
#[derive(Clone, Copy)]
struct Exp<N>(*const N, N);

impl<L: Lanes> Term<L> for Exp<L::N> {
    #[inline(always)]
    unsafe fn add_to(self, lanes: L, sums: L::V, at: usize, many: usize) -> L::V {
        // SAFETY: as the caller vouches.
        let x = unsafe { lanes.load_some(self.0.add(at), many) };
        lanes.add(sums, lanes.exp(lanes.sub(x, lanes.splat(self.1))))
    }
}

impl RowFunction<1> for Softmaxed {
    #[inline(always)]
    unsafe fn row<L: Lanes>(lanes: L, count: usize, to: *mut L::N, [x]: [*const L::N; 1]) {
        // SAFETY: as the caller vouches.
        unsafe {
            let max = largest(lanes, count, x);
            let sum = total(lanes, count, ExpStored(x, max, to));
            let scale = lanes.splat(L::N::ONE / sum);
            vectors!(count, |at, many| {
                let power = lanes.load_some(to.add(at), many);
                lanes.store_some(to.add(at), many, lanes.mul(power, scale));
            });
        }
    }

    #[inline(always)]
    unsafe fn rows<L: Lanes>(lanes: L, count: usize, many: usize, to: Steps<L::N>, [x]: [Steps<L::N>; 1]) {
        // SAFETY: as the caller vouches.
        unsafe {
            let max = largest_of_rows(lanes, count, many, x);
            let mut sum = lanes.zero();
            for k in 0..count {
                let power = lanes.exp(lanes.sub(lanes.load_some(x.at(k), many), max));
                lanes.store_some(to.at(k), many, power);
                sum = lanes.add(sum, power);
            }
            let scale = lanes.div(lanes.splat(L::N::ONE), sum);
            for k in 0..count {
                let power = lanes.load_some(to.at(k), many);
                lanes.store_some(to.at(k), many, lanes.mul(power, scale));
            }
        }
    }
}

#[inline(always)]
unsafe fn largest_of_rows<L: Lanes>(lanes: L, count: usize, many: usize, x: Steps<L::N>) -> L::V {
    let mut max = lanes.splat(L::N::NEG_INFINITY);
    for k in 0..count {
        // SAFETY: as the caller vouches.
        max = lanes.max(max, unsafe { lanes.load_some(x.at(k), many) });
    }
    max
}

struct Logarithm;

/// Writes the logarithm of a row's softmax.
///
/// # Safety
/// `count` numbers are valid for reads behind `x` and for writes behind `to`.
#[inline(always)]
pub(crate) unsafe fn log_softmax_row<L: Lanes>(lanes: L, count: usize, to: *mut L::N, x: *const L::N) {
    // SAFETY: as the caller vouches.
    unsafe {
        let max = largest(lanes, count, x);
        let log = lanes.splat(total(lanes, count, Exp(x, max)).ln());
        let max = lanes.splat(max);
        vectors!(count, |at, many| {
            let centred = lanes.sub(lanes.load_some(x.add(at), many), max);
            lanes.store_some(to.add(at), many, lanes.sub(centred, log));
        });
    }
}

impl RowFunction<1> for Logarithm {
    #[inline(always)]
    unsafe fn row<L: Lanes>(lanes: L, count: usize, to: *mut L::N, [x]: [*const L::N; 1]) {
        // SAFETY: as the caller vouches.
        unsafe { log_softmax_row(lanes, count, to, x) };
    }

    #[inline(always)]
    unsafe fn rows<L: Lanes>(lanes: L, count: usize, many: usize, to: Steps<L::N>, [x]: [Steps<L::N>; 1]) {
        // SAFETY: as the caller vouches.
        unsafe {
            let max = largest_of_rows(lanes, count, many, x);
            let mut sum = lanes.zero();
            for k in 0..count {
                let centred = lanes.sub(lanes.load_some(x.at(k), many), max);
                sum = lanes.add(sum, lanes.exp(centred));
            }
            let mut logs = [L::N::ZERO; LANES];
            lanes.store(logs.as_mut_ptr(), sum);
            for log in &mut logs {
                *log = log.ln();
            }
            let log = lanes.load(logs.as_ptr());
            for k in 0..count {
                let centred = lanes.sub(lanes.load_some(x.at(k), many), max);
                lanes.store_some(to.at(k), many, lanes.sub(centred, log));
            }
        }
    }
}

macro_rules! operations {
    ($($op:ident: $name:literal, $function:ident, $inputs:literal, $work:expr;)*) => {$(
        impl $op {
            fn compute<N: Number>(
                &self,
                out: &TensorMut<'_>,
                inputs: [&TensorRef<'_>; $inputs],
            ) -> Result<(), KernelError> {
                along::<N, $function, $inputs>(self.name(), self.axis, out, inputs, $work)
            }
        }

        impl Operation for $op {
            fn name(&self) -> &'static str {
                $name
            }

            fn run(
                &self,
                outputs: &[TensorMut<'_>],
                inputs: &[Option<TensorRef<'_>>],
            ) -> Result<(), KernelError> {
                let out = first_output(outputs);
                let inputs = std::array::from_fn(|index| required(inputs, index));
                by_number!(self.name(), inputs[0].dtype(), self.compute(out, inputs))
            }
        }
    )*};
}

operations! {
    Softmax: "softmax", Softmaxed, 1, EXP_WORK + 2;
    LogSoftmax: "log_softmax", Logarithm, 1, EXP_WORK + 2;
    SoftmaxBackward: "softmax_backward", SoftmaxGradient, 2, 2;
    LogSoftmaxBackward: "log_softmax_backward", LogarithmGradient, 2, EXP_WORK + 1;
}
