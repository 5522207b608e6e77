//! Batch normalisation of samples that have one value a channel, `(N, C)`: channels lie side by
//! side, so that a vector holds 16 of them.
//!
//! A sum over the batch is one over each chunk of samples, then over the chunks in order.

use std::ops::Range;

use phynexus_simd::LANES;

use crate::lanes::{LaneKernel, Lanes, Number};
use crate::layer_norm_backward::Write;
use crate::operation::required;
use crate::shares::{Address, share_out};
use crate::stream::{Parameter, Sink, Source, address, with_rooms};
use crate::{KernelError, TensorMut, TensorRef};

/// Vectors of channels that are taken at a time: whole lines of the cache, and sums that do not
/// wait for one another.
const VECTORS: usize = 4;
/// Channels that are taken at a time.
const BLOCK: usize = VECTORS * LANES;
/// Samples that are added up in one go.
const CHUNK: usize = 64;

/// The channels of a block.
#[derive(Clone, Copy)]
struct Block {
    samples: usize,
    channels: usize,
    first: usize,
    width: usize,
}

impl Block {
    fn new(samples: usize, channels: usize, index: usize) -> Self {
        let first = index * BLOCK;
        Self { samples, channels, first, width: BLOCK.min(channels - first) }
    }

    /// How many of the block's channels vector `v` has.
    #[inline(always)]
    fn many(self, v: usize) -> usize {
        self.width.saturating_sub(v * LANES).min(LANES)
    }

    /// Numbers of some channels: a vector's worth of each.
    #[inline(always)]
    unsafe fn load<L: Lanes>(self, lanes: L, from: *const L::N) -> [L::V; VECTORS] {
        let mut values = [lanes.zero(); VECTORS];
        for (v, value) in values.iter_mut().enumerate() {
            // SAFETY: as the caller vouches.
            *value = unsafe { lanes.load_some(from.wrapping_add(v * LANES), self.many(v)) };
        }
        values
    }

    #[inline(always)]
    unsafe fn store<L: Lanes>(self, lanes: L, to: *mut L::N, values: [L::V; VECTORS]) {
        for (v, value) in values.into_iter().enumerate() {
            // SAFETY: as the caller vouches.
            unsafe { lanes.store_some(to.wrapping_add(v * LANES), self.many(v), value) };
        }
    }

    #[inline(always)]
    fn at(self, sample: usize) -> usize {
        sample * self.channels + self.first
    }
}

/// What is added up over the samples, from the values of `K` tensors.
trait Terms<L: Lanes, const K: usize, const SUMS: usize>: Copy {
    fn terms(self, lanes: L, v: usize, values: [L::V; K]) -> [L::V; SUMS];
}

/// Sums over the samples of a block.
#[inline(always)]
unsafe fn sums<L: Lanes, const K: usize, const SUMS: usize>(
    lanes: L,
    block: Block,
    sources: [Source<'_, L::N>; K],
    rooms: [*mut L::N; K],
    terms: impl Terms<L, K, SUMS>,
) -> [[L::V; VECTORS]; SUMS] {
    let mut total = [[lanes.zero(); VECTORS]; SUMS];
    for start in (0..block.samples).step_by(CHUNK) {
        let mut part = [[lanes.zero(); VECTORS]; SUMS];
        for sample in start..block.samples.min(start + CHUNK) {
            let mut rows = [[lanes.zero(); VECTORS]; K];
            for k in 0..K {
                // SAFETY: a part of a row of the tensor; the room holds one.
                rows[k] = unsafe {
                    let row = sources[k].read(lanes, block.at(sample), block.width, rooms[k]);
                    block.load(lanes, row)
                };
            }
            for v in 0..VECTORS {
                let mut values = [lanes.zero(); K];
                for k in 0..K {
                    values[k] = rows[k][v];
                }
                let terms = terms.terms(lanes, v, values);
                for sum in 0..SUMS {
                    part[sum][v] = lanes.add(part[sum][v], terms[sum]);
                }
            }
        }
        for sum in 0..SUMS {
            for v in 0..VECTORS {
                total[sum][v] = lanes.add(total[sum][v], part[sum][v]);
            }
        }
    }
    total
}

#[derive(Clone, Copy)]
struct Value;

impl<L: Lanes> Terms<L, 1, 1> for Value {
    #[inline(always)]
    fn terms(self, _lanes: L, _v: usize, values: [L::V; 1]) -> [L::V; 1] {
        values
    }
}

#[derive(Clone, Copy)]
struct Square<V>([V; VECTORS]);

impl<L: Lanes> Terms<L, 1, 1> for Square<L::V> {
    #[inline(always)]
    fn terms(self, lanes: L, v: usize, [x]: [L::V; 1]) -> [L::V; 1] {
        let centred = lanes.sub(x, self.0[v]);
        [lanes.mul(centred, centred)]
    }
}

#[derive(Clone, Copy)]
struct Gradients<V>([V; VECTORS]);

impl<L: Lanes> Terms<L, 2, 2> for Gradients<L::V> {
    #[inline(always)]
    fn terms(self, lanes: L, v: usize, [grad, x]: [L::V; 2]) -> [L::V; 2] {
        [grad, lanes.mul(grad, lanes.sub(x, self.0[v]))]
    }
}

struct Train<'a, N> {
    samples: usize,
    channels: usize,
    out: Sink<'a, N>,
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
        let Self { samples, channels, out, statistics, x, weight, bias, eps, range, room } = self;
        let count = lanes.splat(N::from_f64(samples as f64));
        for index in range {
            let block = Block::new(samples, channels, index);
            // SAFETY: the block's channels of the tensors; the room holds a sample of them.
            unsafe {
                let [sum] = sums(lanes, block, [x], [room], Value);
                let mean: [L::V; VECTORS] = std::array::from_fn(|v| lanes.div(sum[v], count));
                let [sum] = sums(lanes, block, [x], [room], Square(mean));
                let (mut var, mut rstd, mut scale) = (sum, sum, sum);
                let mut shift = [lanes.zero(); VECTORS];
                for v in 0..VECTORS {
                    var[v] = lanes.div(sum[v], count);
                    let deviation = lanes.sqrt(lanes.add(var[v], lanes.splat(eps)));
                    rstd[v] = lanes.div(lanes.splat(N::ONE), deviation);
                }
                match weight {
                    None => scale = rstd,
                    Some(weight) => {
                        let weight = block.load(lanes, weight.add(block.first));
                        for v in 0..VECTORS {
                            scale[v] = lanes.mul(rstd[v], weight[v]);
                        }
                    }
                }
                if let Some(bias) = bias {
                    shift = block.load(lanes, bias.add(block.first));
                }
                for (to, value) in statistics.into_iter().zip([mean, rstd, var]) {
                    block.store(lanes, to.add(block.first), value);
                }
                for sample in 0..samples {
                    let at = block.at(sample);
                    let row = block.load(lanes, x.read(lanes, at, block.width, room));
                    let to = out.target(at, room);
                    let mut y = row;
                    for v in 0..VECTORS {
                        y[v] = lanes.fma(lanes.sub(row[v], mean[v]), scale[v], shift[v]);
                    }
                    block.store(lanes, to, y);
                    out.flush(lanes, at, block.width, to);
                }
            }
        }
    }
}

/// Batch normalisation in training, where x has two axes.
pub(crate) fn train<N: Number>(
    op: &'static str,
    eps: f64,
    outputs: &[TensorMut<'_>],
    inputs: &[Option<TensorRef<'_>>],
) -> Result<(), KernelError> {
    let (samples, channels) = (outputs[0].sizes()[0], outputs[0].sizes()[1]);
    let out = Sink::<N>::new(op, &outputs[0])?;
    let statistics: [_; 3] = std::array::from_fn(|index| Address(outputs[index + 1].ptr::<N>()));
    let x = Source::<N>::new(op, required(inputs, 0))?;
    let weight = &Parameter::<N>::read(op, inputs[1].as_ref())?;
    let bias = &Parameter::<N>::read(op, inputs[2].as_ref())?;
    share_out(channels.div_ceil(BLOCK), 4 * samples * BLOCK.min(channels), |range| {
        with_rooms(BLOCK, |[room]| {
            N::run(Train {
                samples,
                channels,
                out,
                statistics: statistics.map(Address::get),
                x,
                weight: address(weight),
                bias: address(bias),
                eps: N::from_f64(eps),
                range,
                room,
            });
        })
    })
}

struct Backward<'a, N> {
    samples: usize,
    channels: usize,
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
        let count = lanes.splat(-N::from_f64(self.samples.max(1) as f64));
        let [room, other] = self.rooms;
        for index in self.range {
            let block = Block::new(self.samples, self.channels, index);
            // SAFETY: the block's channels of the tensors; each room holds a sample of them.
            unsafe {
                let mean = block.load(lanes, self.mean.add(block.first));
                let rstd = block.load(lanes, self.rstd.add(block.first));
                let sources = [self.grad, self.x];
                let [sum, mut product] = sums(lanes, block, sources, self.rooms, Gradients(mean));
                let (mut scale, mut level, mut slope) = (rstd, rstd, rstd);
                if let Some(weight) = self.weight {
                    let weight = block.load(lanes, weight.add(block.first));
                    for v in 0..VECTORS {
                        scale[v] = lanes.mul(rstd[v], weight[v]);
                    }
                }
                for v in 0..VECTORS {
                    product[v] = lanes.mul(product[v], rstd[v]);
                    let share = lanes.div(scale[v], count);
                    level[v] = lanes.mul(share, sum[v]);
                    slope[v] = lanes.mul(share, lanes.mul(rstd[v], product[v]));
                }
                block.store(lanes, self.dbias.add(block.first), sum);
                block.store(lanes, self.dweight.add(block.first), product);
                for sample in 0..self.samples {
                    let at = block.at(sample);
                    let grad = block.load(lanes, self.grad.read(lanes, at, block.width, room));
                    let x = block.load(lanes, self.x.read(lanes, at, block.width, other));
                    let to = self.dx.target(at, room);
                    let mut y = x;
                    for v in 0..VECTORS {
                        let rest = lanes.fma(lanes.sub(x[v], mean[v]), slope[v], level[v]);
                        y[v] = lanes.fma(grad[v], scale[v], rest);
                    }
                    block.store(lanes, to, y);
                    self.dx.flush(lanes, at, block.width, to);
                }
            }
        }
    }
}

/// The gradients of batch normalisation, where x has two axes.
pub(crate) fn backward<N: Number>(
    op: &'static str,
    outputs: &[TensorMut<'_>],
    inputs: &[Option<TensorRef<'_>>],
) -> Result<(), KernelError> {
    let (samples, channels) = (outputs[0].sizes()[0], outputs[0].sizes()[1]);
    let dx = Sink::<N>::new(op, &outputs[0])?;
    let (grad, x) = (Source::<N>::new(op, required(inputs, 0))?, Source::<N>::new(op, required(inputs, 1))?);
    let weight = &Parameter::<N>::read(op, inputs[2].as_ref())?;
    let mean = &Parameter::<N>::read(op, inputs[3].as_ref())?;
    let rstd = &Parameter::<N>::read(op, inputs[4].as_ref())?;
    let mut sums = vec![N::ZERO; 2 * channels];
    let (for_weight, for_bias) = sums.split_at_mut(channels);
    let (dweight, dbias) = (Address(for_weight.as_mut_ptr()), Address(for_bias.as_mut_ptr()));
    share_out(channels.div_ceil(BLOCK), 5 * samples * BLOCK.min(channels), |range| {
        with_rooms(BLOCK, |rooms| {
            N::run(Backward {
                samples,
                channels,
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
    N::run(Write(Sink::<N>::new(op, &outputs[1])?, dweight.get(), channels));
    N::run(Write(Sink::<N>::new(op, &outputs[2])?, dbias.get(), channels));
    Ok(())
}
