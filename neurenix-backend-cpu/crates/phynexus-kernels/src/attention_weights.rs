//! What attention makes of the scores of a block of queries: weights, save for a factor a query.

use crate::lanes::{LaneKernel, Lanes, Number, Term, largest, read_float, total, vectors};
use crate::{DType, TensorRef};

/// A mask, at one head.
#[derive(Clone, Copy)]
pub(crate) struct Mask {
    data: *const u8,
    dtype: DType,
    /// Steps from query to query and from key to key, in elements.
    steps: [isize; 2],
}

// SAFETY: a shared borrow of plain values.
unsafe impl Sync for Mask {}

impl Mask {
    /// The part of a mask, which broadcasts to results of `sizes`, that is about one head.
    pub fn new(mask: &TensorRef<'_>, sizes: &[usize], mut head: usize) -> Self {
        let (own, strides) = (mask.sizes(), mask.axes().strides());
        // The stride of the axis that many from the end, 0 where it repeats.
        let stride = |behind: usize| match own.len().checked_sub(behind) {
            Some(axis) if own[axis] > 1 => strides[axis],
            _ => 0,
        };
        let mut offset = 0;
        for axis in (0..sizes.len() - 2).rev() {
            offset += (head % sizes[axis]) as isize * stride(sizes.len() - axis);
            head /= sizes[axis];
        }
        let dtype = mask.dtype();
        let data = mask.bytes().wrapping_offset(offset * dtype.size() as isize);
        Self { data, dtype, steps: [stride(2), stride(1)] }
    }

    /// Writes what is added to a query's scores. Returns whether it may attend to any key.
    #[inline(always)]
    unsafe fn read<L: Lanes>(&self, lanes: L, query: usize, keys: usize, to: *mut L::N) -> bool {
        let width = self.dtype.size() as isize;
        let from = self.data.wrapping_offset(query as isize * self.steps[0] * width);
        // SAFETY: the mask has these elements, and there is room for as many numbers.
        unsafe {
            if self.dtype == DType::Bool {
                let mut any = 0;
                for key in 0..keys {
                    let is_allowed = *from.offset(key as isize * self.steps[1]);
                    any |= is_allowed;
                    *to.add(key) = if is_allowed != 0 { L::N::ZERO } else { L::N::NEG_INFINITY };
                }
                return any != 0;
            }
            if self.steps[1] == 1 {
                lanes.widen(from, self.dtype, keys, to);
            } else {
                for key in 0..keys {
                    let at = from.offset(key as isize * self.steps[1] * width);
                    *to.add(key) = L::N::from_f64(read_float(at, self.dtype));
                }
            }
        }
        true
    }
}

/// Turns scores into `exp(score * scale + mask - max)`, and finds what each row is to be multiplied
/// by for its weights to add up to 1 (0: the query may attend to nothing).
pub(crate) struct Weights<N> {
    pub scores: *mut N,
    pub rows: usize,
    pub keys: usize,
    /// Which query the first row is.
    pub first: usize,
    pub is_causal: bool,
    pub scale: N,
    pub mask: Option<Mask>,
    /// Room for what is added to a row.
    pub added: *mut N,
    pub factors: *mut N,
}

/// `sum(exp(x * scale - max))`, the exponentials taking the place of x.
#[derive(Clone, Copy)]
struct Powers<N>(*mut N, N, N);

impl<L: Lanes> Term<L> for Powers<L::N> {
    #[inline(always)]
    unsafe fn add_to(self, lanes: L, sums: L::V, at: usize, many: usize) -> L::V {
        // SAFETY: as the caller vouches.
        unsafe {
            let x = lanes.load_some(self.0.add(at), many);
            let power = lanes.exp(lanes.fma(x, lanes.splat(self.1), lanes.splat(-self.2)));
            lanes.store_some(self.0.add(at), many, power);
            lanes.add(sums, power)
        }
    }
}

impl<N: Number> LaneKernel<N> for Weights<N> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<N = N>>(self, lanes: L) {
        // Which row of the mask is in the room, and whether it allows any key.
        let mut held = None;
        for row in 0..self.rows {
            let query = self.first + row;
            let keys = if self.is_causal { self.keys.min(query + 1) } else { self.keys };
            // SAFETY: a row of the scores, and the rooms.
            unsafe {
                let scores = self.scores.add(row * self.keys);
                let mut scale = self.scale;
                let mut is_any = keys > 0;
                if let Some(mask) = &self.mask {
                    let line = if mask.steps[0] == 0 { 0 } else { query };
                    is_any = match held {
                        Some((held, keys_held, is_any)) if (held, keys_held) == (line, keys) => is_any,
                        _ => mask.read(lanes, line, keys, self.added),
                    };
                    held = Some((line, keys, is_any));
                }
                // The largest product is that of the largest score only if scale is positive.
                if self.mask.is_some() || scale < N::ZERO {
                    let factor = lanes.splat(scale);
                    vectors!(keys, |at, many| {
                        let mut x = lanes.mul(lanes.load_some(scores.add(at), many), factor);
                        if self.mask.is_some() {
                            x = lanes.add(x, lanes.load_some(self.added.add(at), many));
                        }
                        lanes.store_some(scores.add(at), many, x);
                    });
                    scale = N::ONE;
                }
                let mut factor = N::ZERO;
                if is_any {
                    let max = largest(lanes, keys, scores) * scale;
                    factor = N::ONE / total(lanes, keys, Powers(scores, scale, max));
                }
                *self.factors.add(row) = factor;
                let start = if is_any { keys } else { 0 };
                for key in start..self.keys {
                    *scores.add(key) = N::ZERO;
                }
            }
        }
    }
}
