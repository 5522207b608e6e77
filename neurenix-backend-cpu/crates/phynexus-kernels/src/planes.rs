//! Functions of the planes `(H, W)` of images of floats, one apart from the other.

use std::ops::Range;

use crate::lanes::{LaneKernel, Lanes, Number};
use crate::shares::share_out;
use crate::stream::{Sink, Source, with_rooms};
use crate::{KernelError, TensorMut, TensorRef};

/// What becomes of a plane.
pub(crate) trait PlaneFunction: Copy + Sync {
    /// How many numbers of its own it needs.
    fn room(&self) -> usize;

    /// # Safety
    /// A plane of the input is valid for reads behind `from`, one of the output for writes behind
    /// `to`, and `room` for as many numbers as were asked for.
    unsafe fn plane<L: Lanes>(self, lanes: L, to: *mut L::N, from: *const L::N, room: *mut L::N);
}

struct Planes<'a, N, F> {
    sink: Sink<'a, N>,
    source: Source<'a, N>,
    function: F,
    /// Numbers of a plane of the input and of the output.
    sizes: [usize; 2],
    range: Range<usize>,
    rooms: [*mut N; 3],
}

impl<N: Number, F: PlaneFunction> LaneKernel<N> for Planes<'_, N, F> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<N = N>>(self, lanes: L) {
        let Self { sink, source, function, sizes: [input, output], range, rooms } = self;
        for plane in range {
            // SAFETY: planes of the tensors; rooms hold one each.
            unsafe {
                let from = source.read(lanes, plane * input, input, rooms[0]);
                let to = sink.target(plane * output, rooms[1]);
                function.plane(lanes, to, from, rooms[2]);
                sink.flush(lanes, plane * output, output, to);
            }
        }
    }
}

/// Elements of a plane.
pub(crate) fn plane(sizes: &[usize]) -> usize {
    sizes[2] * sizes[3]
}

/// Applies a function to all planes; `work` is that of a plane in elements of simple arithmetic.
pub(crate) fn each_plane<N: Number>(
    op: &'static str,
    out: &TensorMut<'_>,
    x: &TensorRef<'_>,
    work: usize,
    function: impl PlaneFunction,
) -> Result<(), KernelError> {
    let sizes = [plane(x.sizes()), plane(out.sizes())];
    let (source, sink) = (Source::<N>::new(op, x)?, Sink::<N>::new(op, out)?);
    let own = function.room();
    let is_direct = source.is_direct() && sink.is_direct();
    let room = if is_direct { own } else { own.max(sizes[0]).max(sizes[1]) };
    share_out(out.sizes()[0] * out.sizes()[1], work, |range| {
        with_rooms(room, |rooms| N::run(Planes { sink, source, function, sizes, range, rooms }))
    })
}
