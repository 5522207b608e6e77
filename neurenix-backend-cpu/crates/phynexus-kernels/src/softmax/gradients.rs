//! The gradients of softmax and of its logarithm, of rows.

use super::rows::{RowFunction, Steps};
use crate::lanes::{Lanes, Plain, Product, total, vectors};

/// `y * (grad - sum(grad * y))`
pub struct SoftmaxGradient;

impl RowFunction<2> for SoftmaxGradient {
    #[inline(always)]
    unsafe fn row<L: Lanes>(lanes: L, count: usize, to: *mut L::N, [grad, y]: [*const L::N; 2]) {
        // SAFETY: as the caller vouches.
        unsafe {
            let level = lanes.splat(total(lanes, count, Product(grad, y)));
            vectors!(count, |at, many| {
                let centred = lanes.sub(lanes.load_some(grad.add(at), many), level);
                let y = lanes.load_some(y.add(at), many);
                lanes.store_some(to.add(at), many, lanes.mul(centred, y));
            });
        }
    }

    #[inline(always)]
    unsafe fn rows<L: Lanes>(
        lanes: L,
        count: usize,
        many: usize,
        to: Steps<L::N>,
        [grad, y]: [Steps<L::N>; 2],
    ) {
        // SAFETY: as the caller vouches.
        unsafe {
            let mut level = lanes.zero();
            for k in 0..count {
                level = lanes.fma(lanes.load_some(grad.at(k), many), lanes.load_some(y.at(k), many), level);
            }
            for k in 0..count {
                let centred = lanes.sub(lanes.load_some(grad.at(k), many), level);
                let y = lanes.load_some(y.at(k), many);
                lanes.store_some(to.at(k), many, lanes.mul(centred, y));
            }
        }
    }
}

/// `grad - exp(y) * sum(grad)`
pub struct LogarithmGradient;

impl RowFunction<2> for LogarithmGradient {
    #[inline(always)]
    unsafe fn row<L: Lanes>(lanes: L, count: usize, to: *mut L::N, [grad, y]: [*const L::N; 2]) {
        // SAFETY: as the caller vouches.
        unsafe {
            let sum = lanes.splat(-total(lanes, count, Plain(grad)));
            vectors!(count, |at, many| {
                let power = lanes.exp(lanes.load_some(y.add(at), many));
                let grad = lanes.load_some(grad.add(at), many);
                lanes.store_some(to.add(at), many, lanes.fma(power, sum, grad));
            });
        }
    }

    #[inline(always)]
    unsafe fn rows<L: Lanes>(
        lanes: L,
        count: usize,
        many: usize,
        to: Steps<L::N>,
        [grad, y]: [Steps<L::N>; 2],
    ) {
        // SAFETY: as the caller vouches.
        unsafe {
            let mut sum = lanes.zero();
            for k in 0..count {
                sum = lanes.sub(sum, lanes.load_some(grad.at(k), many));
            }
            for k in 0..count {
                let power = lanes.exp(lanes.load_some(y.at(k), many));
                let grad = lanes.load_some(grad.at(k), many);
                lanes.store_some(to.at(k), many, lanes.fma(power, sum, grad));
            }
        }
    }
}
