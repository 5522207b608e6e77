//! Functions of whole rows along any axis of a dense tensor.

use std::ops::Range;

use phynexus_simd::LANES;

use crate::lanes::{LaneKernel, Lanes, Number};
use crate::shares::share_out;
use crate::stream::{Sink, Source, with_rooms};
use crate::{KernelError, TensorMut, TensorRef};

/// A function of whole rows of `K` inputs.
pub trait RowFunction<const K: usize>: Sync {
    /// Rows that are contiguous.
    ///
    /// # Safety
    /// `count` numbers are valid for reads behind each of `from`, and for writes behind `to`.
    unsafe fn row<L: Lanes>(lanes: L, count: usize, to: *mut L::N, from: [*const L::N; K]);

    /// `many <= 16` rows side by side: neighbours of a row are `step` numbers apart.
    ///
    /// # Safety
    /// As for `row`.
    unsafe fn rows<L: Lanes>(lanes: L, count: usize, many: usize, to: Steps<L::N>, from: [Steps<L::N>; K]);
}

/// Where rows that lie side by side begin, and the step from an element of a row to the next.
#[derive(Clone, Copy)]
pub struct Steps<N> {
    /// The first elements.
    pub first: *mut N,
    /// In numbers.
    pub step: usize,
}

impl<N: Number> Steps<N> {
    /// Elements `k` of the rows.
    #[inline(always)]
    pub fn at(self, k: usize) -> *mut N {
        self.first.wrapping_add(k * self.step)
    }
}

/// The rows of one call.
struct Along<'a, N, F, const K: usize> {
    sink: Sink<'a, N>,
    sources: [Source<'a, N>; K],
    count: usize,
    inner: usize,
    range: Range<usize>,
    rooms: [*mut N; 2],
    function: std::marker::PhantomData<F>,
}

impl<N: Number, F: RowFunction<K>, const K: usize> LaneKernel<N> for Along<'_, N, F, K> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<N = N>>(self, lanes: L) {
        let Self { sink, sources, count, inner, range, rooms, .. } = self;
        // SAFETY: rows of the tensors; the rooms hold what is not read or written in place.
        unsafe {
            if inner == 1 {
                for row in range {
                    let at = row * count;
                    let mut from = [std::ptr::null(); K];
                    for (k, source) in sources.iter().enumerate() {
                        from[k] = source.read(lanes, at, count, rooms[k]);
                    }
                    let to = sink.target(at, rooms[0]);
                    F::row(lanes, count, to, from);
                    sink.flush(lanes, at, count, to);
                }
                return;
            }
            let blocks = inner.div_ceil(LANES);
            for block in range {
                let (outer, start) = (block / blocks, block % blocks * LANES);
                let many = LANES.min(inner - start);
                let at = outer * count * inner + start;
                let mut from = [Steps { first: std::ptr::null_mut(), step: inner }; K];
                for (k, source) in sources.iter().enumerate() {
                    if source.is_direct() {
                        from[k].first = source.read(lanes, at, many, rooms[k]).cast_mut();
                    } else {
                        from[k] = Steps { first: rooms[k], step: LANES };
                        for i in 0..count {
                            source.read(lanes, at + i * inner, many, from[k].at(i));
                        }
                    }
                }
                let to = if sink.is_direct() {
                    Steps { first: sink.target(at, rooms[0]), step: inner }
                } else {
                    Steps { first: rooms[0], step: LANES }
                };
                F::rows(lanes, count, many, to, from);
                if !sink.is_direct() {
                    for i in 0..count {
                        sink.flush(lanes, at + i * inner, many, to.at(i));
                    }
                }
            }
        }
    }
}

/// Applies a function to all rows along an axis; `work` is what an element takes, in simple arithmetic.
pub fn along<N: Number, F: RowFunction<K>, const K: usize>(
    op: &'static str,
    axis: usize,
    out: &TensorMut<'_>,
    inputs: [&TensorRef<'_>; K],
    work: usize,
) -> Result<(), KernelError> {
    let sizes = out.sizes();
    let (outer, count): (usize, usize) = (sizes[..axis].iter().product(), sizes[axis]);
    let inner: usize = sizes[axis + 1..].iter().product();
    if count == 0 {
        return Ok(());
    }
    let sink = Sink::<N>::new(op, out)?;
    let mut sources = [Source::<N>::new(op, inputs[0])?; K];
    for (source, input) in sources.iter_mut().zip(inputs) {
        *source = Source::new(op, input)?;
    }
    let is_direct = sink.is_direct() && sources.iter().all(Source::is_direct);
    let width = if inner == 1 { 1 } else { LANES };
    let room = if is_direct { 0 } else { count * width };
    let items = if inner == 1 { outer } else { outer * inner.div_ceil(LANES) };
    share_out(items, count * width.min(inner) * work, |range| {
        with_rooms(room, |rooms| {
            N::run(Along::<N, F, K> {
                sink,
                sources,
                count,
                inner,
                range,
                rooms,
                function: std::marker::PhantomData,
            });
        })
    })
}
