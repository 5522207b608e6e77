//! The gradients of layer normalisation.
//!
//! Those to weight and bias are sums over all rows: over the rows of a chunk in order, then over
//! the chunks in order. A chunk is a fixed number of rows, so that threads change nothing.

use std::ops::Range;

use phynexus_runtime::memory::Block;

use crate::lanes::{LaneKernel, Lanes, Number, by_number, vectors};
use crate::layer_norm::rows;
use crate::operation::required;
use crate::shares::{Address, share_out};
use crate::stream::{Parameter, Sink, Source, address, with_rooms};
use crate::{KernelError, Operation, TensorMut, TensorRef};

/// Rows that are added up in one go: partial sums are then little beside the rows themselves.
const CHUNK: usize = 64;

/// Gradients of [`crate::layer_norm::LayerNorm`] to its input, weight and bias.
///
/// Inputs: grad, x, weight (optional), each row's mean and reciprocal deviation.
#[derive(Debug)]
pub struct LayerNormBackward {
    /// How many trailing axes a row takes.
    pub axes: usize,
}

struct Chunks<'a, N> {
    dx: Sink<'a, N>,
    /// The sums of a chunk: for the weight, then for the bias.
    sums: *mut N,
    grad: Source<'a, N>,
    x: Source<'a, N>,
    weight: Option<*const N>,
    mean: *const N,
    rstd: *const N,
    rows: usize,
    width: usize,
    range: Range<usize>,
    rooms: [*mut N; 2],
}

impl<N: Number> LaneKernel<N> for Chunks<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<N = N>>(self, lanes: L) {
        for chunk in self.range.clone() {
            // SAFETY: every chunk has sums of its own.
            unsafe {
                let sums = self.sums.add(chunk * 2 * self.width);
                vectors!(2 * self.width, |at, many| {
                    lanes.store_some(sums.add(at), many, lanes.zero());
                });
                for row in chunk * CHUNK..self.rows.min((chunk + 1) * CHUNK) {
                    self.row(lanes, row, sums);
                }
            }
        }
    }
}

impl<N: Number> Chunks<'_, N> {
    /// The gradient of a row; adds to the sums.
    #[inline(always)]
    unsafe fn row<L: Lanes<N = N>>(&self, lanes: L, row: usize, sums: *mut N) {
        let width = self.width;
        let at = row * width;
        let count = N::from_f64(width as f64);
        // SAFETY: a row of the tensors; rooms hold what is not read or written in place.
        unsafe {
            let grad = self.grad.read(lanes, at, width, self.rooms[0]);
            let x = self.x.read(lanes, at, width, self.rooms[1]);
            let to = self.dx.target(at, self.rooms[0]);
            let (mean, rstd) = (lanes.splat(*self.mean.add(row)), lanes.splat(*self.rstd.add(row)));
            let (for_weight, for_bias) = (sums, sums.add(width));
            let (mut level, mut slope) = (lanes.zero(), lanes.zero());
            vectors!(width, |at, many| {
                // Lanes past the end: a gradient of 0 adds nothing.
                let mut grad = lanes.load_some(grad.add(at), many);
                let normal = lanes.mul(lanes.sub(lanes.load_some(x.add(at), many), mean), rstd);
                let sum = lanes.load_some(for_bias.add(at), many);
                lanes.store_some(for_bias.add(at), many, lanes.add(sum, grad));
                let sum = lanes.load_some(for_weight.add(at), many);
                lanes.store_some(for_weight.add(at), many, lanes.fma(grad, normal, sum));
                if let Some(weight) = self.weight {
                    grad = lanes.mul(grad, lanes.load_some(weight.add(at), many));
                }
                level = lanes.add(level, grad);
                slope = lanes.fma(grad, normal, slope);
            });
            let level = lanes.splat(lanes.reduce_add(level) / count);
            let slope = lanes.splat(lanes.reduce_add(slope) / count);
            vectors!(width, |at, many| {
                let mut grad = lanes.load_some(grad.add(at), many);
                let normal = lanes.mul(lanes.sub(lanes.load_some(x.add(at), many), mean), rstd);
                if let Some(weight) = self.weight {
                    grad = lanes.mul(grad, lanes.load_some(weight.add(at), many));
                }
                let rest = lanes.sub(lanes.sub(grad, level), lanes.mul(normal, slope));
                lanes.store_some(to.add(at), many, lanes.mul(rest, rstd));
            });
            self.dx.flush(lanes, at, width, to);
        }
    }
}

/// Adds the chunks' sums up into the first chunk's.
struct Join<N> {
    sums: *mut N,
    chunks: usize,
    width: usize,
    range: Range<usize>,
}

impl<N: Number> LaneKernel<N> for Join<N> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<N = N>>(self, lanes: L) {
        let sums = self.sums.wrapping_add(self.range.start);
        for chunk in 1..self.chunks {
            let part = sums.wrapping_add(chunk * self.width);
            vectors!(self.range.len(), |at, many| {
                // SAFETY: each chunk has `width` sums.
                unsafe {
                    let sum = lanes.load_some(sums.add(at), many);
                    let sum = lanes.add(sum, lanes.load_some(part.add(at), many));
                    lanes.store_some(sums.add(at), many, sum);
                }
            });
        }
    }
}

/// Writes sums as an output's elements.
pub(crate) struct Write<'a, N>(pub Sink<'a, N>, pub *const N, pub usize);

impl<N: Number> LaneKernel<N> for Write<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<N = N>>(self, lanes: L) {
        let Self(sink, from, count) = self;
        // SAFETY: the output has `count` elements, and there are as many sums.
        unsafe {
            let to = sink.target(0, from.cast_mut());
            if to.cast_const() != from {
                from.copy_to_nonoverlapping(to, count);
            }
            sink.flush(lanes, 0, count, from);
        }
    }
}

impl LayerNormBackward {
    fn compute<N: Number>(
        &self,
        outputs: &[TensorMut<'_>],
        inputs: &[Option<TensorRef<'_>>],
    ) -> Result<(), KernelError> {
        let name = self.name();
        let (rows, width) = rows(outputs[0].sizes(), self.axes);
        let dx = Sink::<N>::new(name, &outputs[0])?;
        let (grad, x) =
            (Source::<N>::new(name, required(inputs, 0))?, Source::<N>::new(name, required(inputs, 1))?);
        let weight = &Parameter::<N>::read(name, inputs[2].as_ref())?;
        let mean = &Parameter::<N>::read(name, inputs[3].as_ref())?;
        let rstd = &Parameter::<N>::read(name, inputs[4].as_ref())?;
        let is_direct = grad.is_direct() && x.is_direct() && dx.is_direct();

        let chunks = rows.div_ceil(CHUNK);
        let block = Block::zeroed(chunks.max(1) * 2 * width * size_of::<N>())?;
        let sums = Address(block.as_ptr().cast::<N>());
        share_out(chunks, CHUNK.min(rows) * width * 6, |range| {
            with_rooms(if is_direct { 0 } else { width }, |rooms| {
                N::run(Chunks {
                    dx,
                    sums: sums.get(),
                    grad,
                    x,
                    weight: address(weight),
                    mean: address(mean).unwrap_or(std::ptr::null()),
                    rstd: address(rstd).unwrap_or(std::ptr::null()),
                    rows,
                    width,
                    range,
                    rooms,
                });
            })
        })?;
        share_out(2 * width, chunks, |range| {
            N::run(Join { sums: sums.get(), chunks, width: 2 * width, range });
            Ok(())
        })?;
        N::run(Write(Sink::<N>::new(name, &outputs[1])?, sums.get(), width));
        N::run(Write(Sink::<N>::new(name, &outputs[2])?, sums.get().wrapping_add(width), width));
        Ok(())
    }
}

impl Operation for LayerNormBackward {
    fn name(&self) -> &'static str {
        "layer_norm_backward"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        by_number!(self.name(), required(inputs, 1).dtype(), self.compute(outputs, inputs))
    }
}
