//! A running average that moves towards a value.

use std::ops::Range;

use crate::lanes::{LaneKernel, Lanes, Number, by_number, vectors};
use crate::operation::{first_output, required};
use crate::shares::share_out;
use crate::stream::{Sink, Source, with_rooms};
use crate::{KernelError, Operation, TensorMut, TensorRef};

/// `running + momentum * (value - running)`. The output may be `running` itself.
#[derive(Debug)]
pub struct RunningAverage {
    /// The share of the value.
    pub momentum: f64,
}

/// Elements that are taken at a time.
const BLOCK: usize = 1024;

struct Blocks<'a, N> {
    out: Sink<'a, N>,
    inputs: [Source<'a, N>; 2],
    momentum: N,
    count: usize,
    range: Range<usize>,
    rooms: [*mut N; 2],
}

impl<N: Number> LaneKernel<N> for Blocks<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<N = N>>(self, lanes: L) {
        let Self { out, inputs: [running, value], momentum, count, range, rooms } = self;
        let momentum = lanes.splat(momentum);
        // SAFETY: blocks of the tensors; each room holds one.
        unsafe {
            for block in range {
                let start = block * BLOCK;
                let length = BLOCK.min(count - start);
                let running = running.read(lanes, start, length, rooms[0]);
                let value = value.read(lanes, start, length, rooms[1]);
                let to = out.target(start, rooms[0]);
                vectors!(length, |at, many| {
                    let running = lanes.load_some(running.add(at), many);
                    let distance = lanes.sub(lanes.load_some(value.add(at), many), running);
                    lanes.store_some(to.add(at), many, lanes.fma(distance, momentum, running));
                });
                out.flush(lanes, start, length, to);
            }
        }
    }
}

impl RunningAverage {
    fn compute<N: Number>(
        &self,
        out: &TensorMut<'_>,
        inputs: [&TensorRef<'_>; 2],
    ) -> Result<(), KernelError> {
        let count = out.axes().count();
        let out = Sink::<N>::new(self.name(), out)?;
        let inputs = [Source::<N>::new(self.name(), inputs[0])?, Source::new(self.name(), inputs[1])?];
        let momentum = N::from_f64(self.momentum);
        share_out(count.div_ceil(BLOCK), BLOCK.min(count), |range| {
            with_rooms(BLOCK, |rooms| N::run(Blocks { out, inputs, momentum, count, range, rooms }))
        })
    }
}

impl Operation for RunningAverage {
    fn name(&self) -> &'static str {
        "running_average"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let (out, running, value) = (first_output(outputs), required(inputs, 0), required(inputs, 1));
        by_number!(self.name(), running.dtype(), self.compute(out, [running, value]))
    }
}
