//! Batch normalisation: each channel by its mean and variance over all samples and places.
//!
//! A channel is a task: its three passes find it in the second-level cache. A sum over the batch is
//! one over each plane (in f32 by 64 chains), then over the planes in order, in f64.

use std::ops::Range;

use crate::batch_norm_rows;
use crate::lanes::{CentredSquare, LaneKernel, Lanes, Number, Plain, by_number, total, vectors};
use crate::operation::{first_output, required};
use crate::shares::{Address, share_out};
use crate::stream::{Parameter, Sink, Source, address, with_rooms};
use crate::{KernelError, Operation, TensorMut, TensorRef};

/// Below this, the planes of a channel are brought together first.
const SMALL_PLANE: usize = 32;

/// `(N, C, S)`, and whether a channel's planes are so small that they are brought together.
#[derive(Clone, Copy)]
pub(crate) struct Channels {
    samples: usize,
    pub channels: usize,
    plane: usize,
    pub is_gathered: bool,
}

impl Channels {
    pub fn new(sizes: &[usize]) -> Self {
        let plane = sizes[2..].iter().product();
        Self { samples: sizes[0], channels: sizes[1], plane, is_gathered: plane < SMALL_PLANE }
    }

    /// Whether a sample is one value a channel.
    pub fn is_rows(self) -> bool {
        self.plane == 1
    }

    /// Values of a channel.
    pub fn count(self) -> usize {
        self.samples * self.plane
    }

    /// How many pieces a channel is read in.
    pub fn pieces(self) -> usize {
        if self.is_gathered { 1 } else { self.samples }
    }

    /// Values of a piece.
    pub fn piece(self) -> usize {
        if self.is_gathered { self.count() } else { self.plane }
    }

    fn at(self, channel: usize, sample: usize) -> usize {
        (sample * self.channels + channel) * self.plane
    }

    /// A piece of a channel; `room` holds one.
    ///
    /// # Safety
    /// The tensor has these sizes.
    #[inline(always)]
    pub unsafe fn read<L: Lanes>(
        self,
        lanes: L,
        source: Source<'_, L::N>,
        channel: usize,
        piece: usize,
        room: *mut L::N,
    ) -> *const L::N {
        // SAFETY: as the caller vouches.
        unsafe {
            if !self.is_gathered {
                return source.read(lanes, self.at(channel, piece), self.plane, room);
            }
            for sample in 0..self.samples {
                let place = room.add(sample * self.plane);
                let from = source.read(lanes, self.at(channel, sample), self.plane, place);
                if from != place.cast_const() {
                    for i in 0..self.plane {
                        *place.add(i) = *from.add(i);
                    }
                }
            }
        }
        room
    }

    /// Where to write a piece; `room` holds one.
    ///
    /// # Safety
    /// The tensor has these sizes.
    #[inline(always)]
    pub unsafe fn target<N: Number>(
        self,
        sink: Sink<'_, N>,
        channel: usize,
        piece: usize,
        room: *mut N,
    ) -> *mut N {
        // SAFETY: as the caller vouches.
        if self.is_gathered { room } else { unsafe { sink.target(self.at(channel, piece), room) } }
    }

    /// Brings a piece to its place.
    ///
    /// # Safety
    /// The tensor has these sizes, and `from` was written where `target` said.
    #[inline(always)]
    pub unsafe fn flush<L: Lanes>(
        self,
        lanes: L,
        sink: Sink<'_, L::N>,
        channel: usize,
        piece: usize,
        from: *mut L::N,
    ) {
        // SAFETY: as the caller vouches.
        unsafe {
            if !self.is_gathered {
                sink.flush(lanes, self.at(channel, piece), self.plane, from);
                return;
            }
            for sample in 0..self.samples {
                let (part, at) = (from.add(sample * self.plane), self.at(channel, sample));
                let to = sink.target(at, part);
                if to != part {
                    for i in 0..self.plane {
                        *to.add(i) = *part.add(i);
                    }
                }
                sink.flush(lanes, at, self.plane, part);
            }
        }
    }
}

/// Normalises each channel by the batch's own mean and (biased) variance.
///
/// Inputs: x `(N, C, ...)`, weight and bias `(C,)`, both optional. Outputs: the result, and each
/// channel's mean, reciprocal deviation and variance, which are f64 for f64 and f32 otherwise.
#[derive(Debug)]
pub struct BatchNormTrain {
    /// Keeps the divisor from 0.
    pub eps: f64,
}

struct Train<'a, N> {
    shape: Channels,
    out: Sink<'a, N>,
    /// mean, reciprocal deviation, variance
    statistics: [*mut N; 3],
    x: Source<'a, N>,
    weight: Option<*const N>,
    bias: Option<*const N>,
    eps: N,
    range: Range<usize>,
    room: *mut N,
}

impl<N: Number> LaneKernel<N> for Train<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<N = N>>(self, lanes: L) {
        let Self { shape, out, statistics, x, weight, bias, eps, range, room } = self;
        let (pieces, piece) = (shape.pieces(), shape.piece());
        let count = shape.count() as f64;
        // SAFETY: the channels of the tensors; the room holds a piece.
        unsafe {
            for channel in range {
                let mut sum = 0.0;
                for index in 0..pieces {
                    let x = shape.read(lanes, x, channel, index, room);
                    sum += total(lanes, piece, Plain(x)).to_f64();
                }
                let mean = N::from_f64(sum / count);
                let mut sum = 0.0;
                // Backwards: what was read last is still in the cache.
                for index in (0..pieces).rev() {
                    let x = shape.read(lanes, x, channel, index, room);
                    sum += total(lanes, piece, CentredSquare(x, mean)).to_f64();
                }
                let var = N::from_f64(sum / count);
                let rstd = N::ONE / (var + eps).sqrt();
                for (to, value) in statistics.into_iter().zip([mean, rstd, var]) {
                    *to.add(channel) = value;
                }
                let scale = lanes.splat(weight.map_or(rstd, |weight| rstd * *weight.add(channel)));
                let shift = lanes.splat(bias.map_or(N::ZERO, |bias| *bias.add(channel)));
                let mean = lanes.splat(mean);
                for index in 0..pieces {
                    let x = shape.read(lanes, x, channel, index, room);
                    let to = shape.target(out, channel, index, room);
                    vectors!(piece, |at, many| {
                        let centred = lanes.sub(lanes.load_some(x.add(at), many), mean);
                        lanes.store_some(to.add(at), many, lanes.fma(centred, scale, shift));
                    });
                    shape.flush(lanes, out, channel, index, to);
                }
            }
        }
    }
}

impl BatchNormTrain {
    fn compute<N: Number>(
        &self,
        outputs: &[TensorMut<'_>],
        inputs: &[Option<TensorRef<'_>>],
    ) -> Result<(), KernelError> {
        let name = self.name();
        let shape = Channels::new(outputs[0].sizes());
        if shape.is_rows() {
            return batch_norm_rows::train::<N>(name, self.eps, outputs, inputs);
        }
        let out = Sink::<N>::new(name, &outputs[0])?;
        let statistics: [_; 3] = std::array::from_fn(|index| Address(outputs[index + 1].ptr::<N>()));
        let x = Source::<N>::new(name, required(inputs, 0))?;
        let weight = &Parameter::<N>::read(name, inputs[1].as_ref())?;
        let bias = &Parameter::<N>::read(name, inputs[2].as_ref())?;
        let is_direct = x.is_direct() && out.is_direct() && !shape.is_gathered;
        share_out(shape.channels, 4 * shape.count(), |range| {
            with_rooms(if is_direct { 0 } else { shape.piece() }, |[room]| {
                N::run(Train {
                    shape,
                    out,
                    statistics: statistics.map(Address::get),
                    x,
                    weight: address(weight),
                    bias: address(bias),
                    eps: N::from_f64(self.eps),
                    range,
                    room,
                });
            })
        })
    }
}

impl Operation for BatchNormTrain {
    fn name(&self) -> &'static str {
        "batch_norm_train"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        by_number!(self.name(), required(inputs, 0).dtype(), self.compute(outputs, inputs))
    }
}

/// Normalises each channel by given statistics: one multiplication and one addition. `out` may be
/// `x` itself.
///
/// Inputs: x `(N, C, ...)`; mean, var, weight and bias `(C,)`, the last two optional.
#[derive(Debug)]
pub struct BatchNormInference {
    /// Keeps the divisor from 0.
    pub eps: f64,
}

struct Affine<'a, N> {
    out: Sink<'a, N>,
    x: Source<'a, N>,
    scale: &'a [N],
    shift: &'a [N],
    plane: usize,
    range: Range<usize>,
    room: *mut N,
}

impl<N: Number> LaneKernel<N> for Affine<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<N = N>>(self, lanes: L) {
        let Self { out, x, scale, shift, plane, range, room } = self;
        let channels = scale.len();
        // SAFETY: planes (or samples) of the tensors; the room holds one.
        unsafe {
            for item in range {
                let count = if plane == 1 { channels } else { plane };
                let at = item * count;
                let from = x.read(lanes, at, count, room);
                let to = out.target(at, room);
                if plane == 1 {
                    vectors!(count, |at, many| {
                        let scale = lanes.load_some(scale.as_ptr().add(at), many);
                        let shift = lanes.load_some(shift.as_ptr().add(at), many);
                        let y = lanes.fma(lanes.load_some(from.add(at), many), scale, shift);
                        lanes.store_some(to.add(at), many, y);
                    });
                } else {
                    let channel = item % channels;
                    let (scale, shift) = (lanes.splat(scale[channel]), lanes.splat(shift[channel]));
                    vectors!(count, |at, many| {
                        let y = lanes.fma(lanes.load_some(from.add(at), many), scale, shift);
                        lanes.store_some(to.add(at), many, y);
                    });
                }
                out.flush(lanes, at, count, to);
            }
        }
    }
}

impl BatchNormInference {
    fn compute<N: Number>(
        &self,
        out: &TensorMut<'_>,
        inputs: &[Option<TensorRef<'_>>],
    ) -> Result<(), KernelError> {
        let name = self.name();
        let sizes = out.sizes();
        let channels = sizes[1];
        let plane: usize = sizes[2..].iter().product();
        let read = |index: usize| Parameter::<f64>::read(name, inputs[index].as_ref());
        let (mean, var, weight, bias) = (read(1)?, read(2)?, read(3)?, read(4)?);
        let get = |parameter: &Option<Parameter<f64>>, channel: usize| {
            // SAFETY: each has an element a channel.
            parameter.as_ref().map(|parameter| unsafe { *parameter.as_ptr().add(channel) })
        };
        let (mut scale, mut shift) = (Vec::with_capacity(channels), Vec::with_capacity(channels));
        for channel in 0..channels {
            let rstd = 1.0 / (get(&var, channel).unwrap_or(1.0) + self.eps).sqrt();
            let factor = rstd * get(&weight, channel).unwrap_or(1.0);
            scale.push(N::from_f64(factor));
            let offset = get(&bias, channel).unwrap_or(0.0) - get(&mean, channel).unwrap_or(0.0) * factor;
            shift.push(N::from_f64(offset));
        }
        let (scale, shift) = (&*scale, &*shift);
        let (x, out) = (Source::<N>::new(name, required(inputs, 0))?, Sink::<N>::new(name, out)?);
        let is_direct = x.is_direct() && out.is_direct();
        let (items, each) = if plane == 1 { (sizes[0], channels) } else { (sizes[0] * channels, plane) };
        share_out(items, each, |range| {
            with_rooms(if is_direct { 0 } else { each }, |[room]| {
                N::run(Affine { out, x, scale, shift, plane, range, room });
            })
        })
    }
}

impl Operation for BatchNormInference {
    fn name(&self) -> &'static str {
        "batch_norm_inference"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let out = first_output(outputs);
        by_number!(self.name(), required(inputs, 0).dtype(), self.compute(out, inputs))
    }
}
