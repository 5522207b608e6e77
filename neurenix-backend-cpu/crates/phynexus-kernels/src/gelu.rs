//! gelu, by the error function or by tanh.

use std::ops::Range;

use phynexus_simd::Simd;

use crate::lanes::{LaneKernel, Lanes, Number, Single, by_number, vectors};
use crate::operation::{first_output, required};
use crate::shares::share_out;
use crate::stream::{Sink, Source, with_rooms};
use crate::{KernelError, Operation, TensorMut, TensorRef};

/// Elements that are converted at a time where they have 16 bits.
const BLOCK: usize = 1024;

/// x times the standard normal distribution function of x. `out` may be `x` itself.
#[derive(Debug)]
pub struct Gelu {
    /// `0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))` in its place.
    pub by_tanh: bool,
}

/// gelu of a vector, with the bits that the op gives.
#[inline(always)]
pub fn gelu<S: Simd>(simd: S, x: S::F32, by_tanh: bool) -> S::F32 {
    value(Single(simd), x, by_tanh)
}

#[inline(always)]
fn value<L: Lanes>(lanes: L, x: L::V, by_tanh: bool) -> L::V {
    let splat = |x: f64| lanes.splat(L::N::from_f64(x));
    let distribution = if by_tanh {
        let slope = std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
        let polynomial = lanes.fma(lanes.mul(x, x), splat(0.044715 * slope), splat(slope));
        lanes.tanh(lanes.mul(polynomial, x))
    } else {
        lanes.erf(lanes.mul(x, splat(std::f64::consts::FRAC_1_SQRT_2)))
    };
    lanes.mul(lanes.mul(lanes.add(distribution, splat(1.0)), x), splat(0.5))
}

struct Blocks<'a, N> {
    out: Sink<'a, N>,
    x: Source<'a, N>,
    by_tanh: bool,
    count: usize,
    range: Range<usize>,
    room: *mut N,
}

impl<N: Number> LaneKernel<N> for Blocks<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<N = N>>(self, lanes: L) {
        let Self { out, x, by_tanh, count, range, room } = self;
        // SAFETY: blocks of the tensors; the room holds one.
        unsafe {
            for block in range {
                let start = block * BLOCK;
                let length = BLOCK.min(count - start);
                let from = x.read(lanes, start, length, room);
                let to = out.target(start, room);
                if by_tanh {
                    vectors!(length, |at, many| {
                        let x = lanes.load_some(from.add(at), many);
                        lanes.store_some(to.add(at), many, value(lanes, x, true));
                    });
                } else {
                    vectors!(length, |at, many| {
                        let x = lanes.load_some(from.add(at), many);
                        lanes.store_some(to.add(at), many, value(lanes, x, false));
                    });
                }
                out.flush(lanes, start, length, to);
            }
        }
    }
}

impl Gelu {
    fn compute<N: Number>(&self, out: &TensorMut<'_>, x: &TensorRef<'_>) -> Result<(), KernelError> {
        let count = out.axes().count();
        let (x, out) = (Source::<N>::new(self.name(), x)?, Sink::<N>::new(self.name(), out)?);
        let is_direct = x.is_direct() && out.is_direct();
        share_out(count.div_ceil(BLOCK), 8 * BLOCK.min(count), |range| {
            with_rooms(if is_direct { 0 } else { BLOCK }, |[room]| {
                N::run(Blocks { out, x, by_tanh: self.by_tanh, count, range, room });
            })
        })
    }
}

impl Operation for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let (out, x) = (first_output(outputs), required(inputs, 0));
        by_number!(self.name(), x.dtype(), self.compute(out, x))
    }
}
