//! Layer normalisation: each row by its own mean and variance.
//!
//! Statistics come from two passes, the mean first: `E[x^2] - E[x]^2` would cancel where the mean is
//! large.

use std::ops::Range;

use crate::lanes::{CentredSquare, LaneKernel, Lanes, Number, Plain, by_number, total, vectors};
use crate::operation::required;
use crate::shares::{Address, share_out};
use crate::stream::{Parameter, Sink, Source, address, with_rooms};
use crate::{KernelError, Operation, TensorMut, TensorRef};

/// `(x - mean) / sqrt(var + eps) * weight + bias` over the last `axes` axes.
///
/// Inputs: x, weight and bias (both optional, of the last axes' sizes). Outputs: the result, and
/// each row's mean and reciprocal deviation, which are f64 for f64 and f32 otherwise.
#[derive(Debug)]
pub struct LayerNorm {
    /// How many trailing axes a row takes.
    pub axes: usize,
    /// Keeps the divisor from 0.
    pub eps: f64,
}

struct Rows<'a, N> {
    out: Sink<'a, N>,
    mean: *mut N,
    rstd: *mut N,
    x: Source<'a, N>,
    weight: Option<*const N>,
    bias: Option<*const N>,
    width: usize,
    eps: N,
    range: Range<usize>,
    room: *mut N,
}

impl<N: Number> LaneKernel<N> for Rows<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<N = N>>(self, lanes: L) {
        let Self { out, mean: means, rstd: rstds, x, weight, bias, width, eps, range, room } = self;
        let count = N::from_f64(width as f64);
        // SAFETY: rows of the tensors; the room holds one that is not read or written in place.
        unsafe {
            for row in range {
                let at = row * width;
                let from = x.read(lanes, at, width, room);
                let to = out.target(at, room);
                let mean = total(lanes, width, Plain(from)) / count;
                let var = total(lanes, width, CentredSquare(from, mean)) / count;
                let rstd = N::ONE / (var + eps).sqrt();
                *means.add(row) = mean;
                *rstds.add(row) = rstd;
                let (mean, rstd) = (lanes.splat(mean), lanes.splat(rstd));
                vectors!(width, |at, many| {
                    let centred = lanes.sub(lanes.load_some(from.add(at), many), mean);
                    let mut y = lanes.mul(centred, rstd);
                    if let Some(weight) = weight {
                        y = lanes.mul(y, lanes.load_some(weight.add(at), many));
                    }
                    if let Some(bias) = bias {
                        y = lanes.add(y, lanes.load_some(bias.add(at), many));
                    }
                    lanes.store_some(to.add(at), many, y);
                });
                out.flush(lanes, at, width, to);
            }
        }
    }
}

impl LayerNorm {
    fn compute<N: Number>(
        &self,
        outputs: &[TensorMut<'_>],
        inputs: &[Option<TensorRef<'_>>],
    ) -> Result<(), KernelError> {
        let x = required(inputs, 0);
        let (rows, width) = rows(x.sizes(), self.axes);
        let out = Sink::<N>::new(self.name(), &outputs[0])?;
        let (mean, rstd) = (Address(outputs[1].ptr::<N>()), Address(outputs[2].ptr::<N>()));
        let x = Source::<N>::new(self.name(), x)?;
        let (weight, bias) = (
            Parameter::<N>::read(self.name(), inputs[1].as_ref())?,
            Parameter::<N>::read(self.name(), inputs[2].as_ref())?,
        );
        let (weight, bias) = (&weight, &bias);
        let is_direct = x.is_direct() && out.is_direct();
        share_out(rows, 4 * width, |range| {
            with_rooms(if is_direct { 0 } else { width }, |[room]| {
                N::run(Rows {
                    out,
                    mean: mean.get(),
                    rstd: rstd.get(),
                    x,
                    weight: address(weight),
                    bias: address(bias),
                    width,
                    eps: N::from_f64(self.eps),
                    range,
                    room,
                });
            })
        })
    }
}

/// How many rows a tensor has, and the elements of one.
pub(crate) fn rows(sizes: &[usize], axes: usize) -> (usize, usize) {
    let (rows, width) = sizes.split_at(sizes.len() - axes);
    (rows.iter().product(), width.iter().product())
}

impl Operation for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        by_number!(self.name(), required(inputs, 0).dtype(), self.compute(outputs, inputs))
    }
}
