//! The gradients of batch normalisation in training.

use std::ops::Range;

use crate::batch_norm::Channels;
use crate::batch_norm_rows;
use crate::lanes::{LaneKernel, Lanes, Number, Plain, ProductCentred, by_number, total, vectors};
use crate::layer_norm_backward::Write;
use crate::operation::required;
use crate::shares::{Address, share_out};
use crate::stream::{Parameter, Sink, Source, address, with_rooms};
use crate::{KernelError, Operation, TensorMut, TensorRef};

/// Gradients of [`crate::batch_norm::BatchNormTrain`] to its input, weight and bias.
///
/// Inputs: grad, x, weight (optional), each channel's mean and reciprocal deviation.
#[derive(Debug)]
pub struct BatchNormBackward;

struct Backward<'a, N> {
    shape: Channels,
    dx: Sink<'a, N>,
    dweight: *mut N,
    dbias: *mut N,
    grad: Source<'a, N>,
    x: Source<'a, N>,
    weight: Option<*const N>,
    mean: *const N,
    rstd: *const N,
    range: Range<usize>,
    rooms: [*mut N; 2],
}

impl<N: Number> LaneKernel<N> for Backward<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<N = N>>(self, lanes: L) {
        let Self { shape, dx, grad, x, .. } = self;
        let [room, other] = self.rooms;
        let (pieces, piece) = (shape.pieces(), shape.piece());
        let count = shape.count().max(1) as f64;
        // SAFETY: the channels of the tensors; each room holds a piece.
        unsafe {
            for channel in self.range {
                let (mean, rstd) = (*self.mean.add(channel), *self.rstd.add(channel));
                let (mut sum, mut product) = (0.0, 0.0);
                for index in 0..pieces {
                    let grad = shape.read(lanes, grad, channel, index, room);
                    let x = shape.read(lanes, x, channel, index, other);
                    sum += total(lanes, piece, Plain(grad)).to_f64();
                    product += total(lanes, piece, ProductCentred(x, mean, grad)).to_f64();
                }
                let product = product * rstd.to_f64();
                *self.dbias.add(channel) = N::from_f64(sum);
                *self.dweight.add(channel) = N::from_f64(product);
                // dx = weight * rstd * (grad - mean(grad) - normalised * mean(grad * normalised))
                let scale = self.weight.map_or(rstd, |weight| rstd * *weight.add(channel));
                let level = lanes.splat(N::from_f64(-scale.to_f64() * sum / count));
                let slope = -scale.to_f64() * rstd.to_f64() * product / count;
                let (slope, scale) = (lanes.splat(N::from_f64(slope)), lanes.splat(scale));
                let mean = lanes.splat(mean);
                // Backwards: what was read last is still in the cache.
                for index in (0..pieces).rev() {
                    let grad = shape.read(lanes, grad, channel, index, room);
                    let x = shape.read(lanes, x, channel, index, other);
                    let to = shape.target(dx, channel, index, room);
                    vectors!(piece, |at, many| {
                        let centred = lanes.sub(lanes.load_some(x.add(at), many), mean);
                        let rest = lanes.fma(centred, slope, level);
                        let grad = lanes.load_some(grad.add(at), many);
                        lanes.store_some(to.add(at), many, lanes.fma(grad, scale, rest));
                    });
                    shape.flush(lanes, dx, channel, index, to);
                }
            }
        }
    }
}

impl BatchNormBackward {
    fn compute<N: Number>(
        &self,
        outputs: &[TensorMut<'_>],
        inputs: &[Option<TensorRef<'_>>],
    ) -> Result<(), KernelError> {
        let name = self.name();
        let shape = Channels::new(outputs[0].sizes());
        if shape.is_rows() {
            return batch_norm_rows::backward::<N>(name, outputs, inputs);
        }
        let dx = Sink::<N>::new(name, &outputs[0])?;
        let (grad, x) =
            (Source::<N>::new(name, required(inputs, 0))?, Source::<N>::new(name, required(inputs, 1))?);
        let weight = &Parameter::<N>::read(name, inputs[2].as_ref())?;
        let mean = &Parameter::<N>::read(name, inputs[3].as_ref())?;
        let rstd = &Parameter::<N>::read(name, inputs[4].as_ref())?;
        let is_direct = grad.is_direct() && x.is_direct() && dx.is_direct() && !shape.is_gathered;
        let mut sums = vec![N::ZERO; 2 * shape.channels];
        let (for_weight, for_bias) = sums.split_at_mut(shape.channels);
        let (dweight, dbias) = (Address(for_weight.as_mut_ptr()), Address(for_bias.as_mut_ptr()));
        share_out(shape.channels, 5 * shape.count(), |range| {
            with_rooms(if is_direct { 0 } else { shape.piece() }, |rooms| {
                N::run(Backward {
                    shape,
                    dx,
                    dweight: dweight.get(),
                    dbias: dbias.get(),
                    grad,
                    x,
                    weight: address(weight),
                    mean: address(mean).unwrap_or(std::ptr::null()),
                    rstd: address(rstd).unwrap_or(std::ptr::null()),
                    range,
                    rooms,
                });
            })
        })?;
        N::run(Write(Sink::<N>::new(name, &outputs[1])?, dweight.get(), shape.channels));
        N::run(Write(Sink::<N>::new(name, &outputs[2])?, dbias.get(), shape.channels));
        Ok(())
    }
}

impl Operation for BatchNormBackward {
    fn name(&self) -> &'static str {
        "batch_norm_backward"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        by_number!(self.name(), required(inputs, 1).dtype(), self.compute(outputs, inputs))
    }
}
