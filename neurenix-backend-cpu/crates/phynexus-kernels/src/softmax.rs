//! softmax, its logarithm, and their gradients, along any axis of a dense tensor.
//!
//! A row is one sample's: its result does not depend on the others. Along the last axis 16 elements
//! of a row are taken at a time; along another axis, 16 rows.

use std::ops::Range;

use phynexus_simd::LANES;

use crate::lanes::{LaneKernel, Lanes, Number, Plain, Product, Term, by_number, largest, total, vectors};
use crate::operation::{first_output, required};
use crate::shares::share_out;
use crate::stream::{Sink, Source, with_rooms};
use crate::{KernelError, Operation, TensorMut, TensorRef};

/// `exp(x - max) / sum(exp(x - max))` along an axis. `out` may be `x` itself.
#[derive(Debug)]
pub struct Softmax {
    /// The axis.
    pub axis: usize,
}

/// `x - max - log(sum(exp(x - max)))` along an axis. `out` may be `x` itself.
#[derive(Debug)]
pub struct LogSoftmax {
    /// The axis.
    pub axis: usize,
}

/// `y * (grad - sum(grad * y))` for `y = softmax(x)`: inputs are `grad` and `y`.
#[derive(Debug)]
pub struct SoftmaxBackward {
    /// The axis.
    pub axis: usize,
}

/// `grad - exp(y) * sum(grad)` for `y = log_softmax(x)`: inputs are `grad` and `y`.
#[derive(Debug)]
pub struct LogSoftmaxBackward {
    /// The axis.
    pub axis: usize,
}

/// What exp costs, in elements of simple arithmetic.
pub(crate) const EXP_WORK: usize = 4;

/// A function of whole rows of `K` inputs.
trait RowFunction<const K: usize>: Sync {
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
struct Steps<N> {
    first: *mut N,
    step: usize,
}

impl<N: Number> Steps<N> {
    #[inline(always)]
    fn at(self, k: usize) -> *mut N {
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

/// Applies a function to all rows along an axis.
fn along<N: Number, F: RowFunction<K>, const K: usize>(
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

struct Softmaxed;

/// `sum(exp(x - max))`, the exponentials being stored.
#[derive(Clone, Copy)]
struct ExpStored<N>(*const N, N, *mut N);

impl<L: Lanes> Term<L> for ExpStored<L::N> {
    #[inline(always)]
    unsafe fn add_to(self, lanes: L, sums: L::V, at: usize, many: usize) -> L::V {
        // SAFETY: as the caller vouches.
        unsafe {
            let x = lanes.load_some(self.0.add(at), many);
            let power = lanes.exp(lanes.sub(x, lanes.splat(self.1)));
            lanes.store_some(self.2.add(at), many, power);
            lanes.add(sums, power)
        }
    }
}

/// `sum(exp(x - max))`
#[derive(Clone, Copy)]
struct Exp<N>(*const N, N);

impl<L: Lanes> Term<L> for Exp<L::N> {
    #[inline(always)]
    unsafe fn add_to(self, lanes: L, sums: L::V, at: usize, many: usize) -> L::V {
        // SAFETY: as the caller vouches.
        let x = unsafe { lanes.load_some(self.0.add(at), many) };
        lanes.add(sums, lanes.exp(lanes.sub(x, lanes.splat(self.1))))
    }
}

impl RowFunction<1> for Softmaxed {
    #[inline(always)]
    unsafe fn row<L: Lanes>(lanes: L, count: usize, to: *mut L::N, [x]: [*const L::N; 1]) {
        // SAFETY: as the caller vouches.
        unsafe {
            let max = largest(lanes, count, x);
            let sum = total(lanes, count, ExpStored(x, max, to));
            let scale = lanes.splat(L::N::ONE / sum);
            vectors!(count, |at, many| {
                let power = lanes.load_some(to.add(at), many);
                lanes.store_some(to.add(at), many, lanes.mul(power, scale));
            });
        }
    }

    #[inline(always)]
    unsafe fn rows<L: Lanes>(lanes: L, count: usize, many: usize, to: Steps<L::N>, [x]: [Steps<L::N>; 1]) {
        // SAFETY: as the caller vouches.
        unsafe {
            let max = largest_of_rows(lanes, count, many, x);
            let mut sum = lanes.zero();
            for k in 0..count {
                let power = lanes.exp(lanes.sub(lanes.load_some(x.at(k), many), max));
                lanes.store_some(to.at(k), many, power);
                sum = lanes.add(sum, power);
            }
            let scale = lanes.div(lanes.splat(L::N::ONE), sum);
            for k in 0..count {
                let power = lanes.load_some(to.at(k), many);
                lanes.store_some(to.at(k), many, lanes.mul(power, scale));
            }
        }
    }
}

#[inline(always)]
unsafe fn largest_of_rows<L: Lanes>(lanes: L, count: usize, many: usize, x: Steps<L::N>) -> L::V {
    let mut max = lanes.splat(L::N::NEG_INFINITY);
    for k in 0..count {
        // SAFETY: as the caller vouches.
        max = lanes.max(max, unsafe { lanes.load_some(x.at(k), many) });
    }
    max
}

struct Logarithm;

/// Writes the logarithm of a row's softmax.
///
/// # Safety
/// `count` numbers are valid for reads behind `x` and for writes behind `to`.
#[inline(always)]
pub(crate) unsafe fn log_softmax_row<L: Lanes>(lanes: L, count: usize, to: *mut L::N, x: *const L::N) {
    // SAFETY: as the caller vouches.
    unsafe {
        let max = largest(lanes, count, x);
        let log = lanes.splat(total(lanes, count, Exp(x, max)).ln());
        let max = lanes.splat(max);
        vectors!(count, |at, many| {
            let centred = lanes.sub(lanes.load_some(x.add(at), many), max);
            lanes.store_some(to.add(at), many, lanes.sub(centred, log));
        });
    }
}

impl RowFunction<1> for Logarithm {
    #[inline(always)]
    unsafe fn row<L: Lanes>(lanes: L, count: usize, to: *mut L::N, [x]: [*const L::N; 1]) {
        // SAFETY: as the caller vouches.
        unsafe { log_softmax_row(lanes, count, to, x) };
    }

    #[inline(always)]
    unsafe fn rows<L: Lanes>(lanes: L, count: usize, many: usize, to: Steps<L::N>, [x]: [Steps<L::N>; 1]) {
        // SAFETY: as the caller vouches.
        unsafe {
            let max = largest_of_rows(lanes, count, many, x);
            let mut sum = lanes.zero();
            for k in 0..count {
                let centred = lanes.sub(lanes.load_some(x.at(k), many), max);
                sum = lanes.add(sum, lanes.exp(centred));
            }
            let mut logs = [L::N::ZERO; LANES];
            lanes.store(logs.as_mut_ptr(), sum);
            for log in &mut logs {
                *log = log.ln();
            }
            let log = lanes.load(logs.as_ptr());
            for k in 0..count {
                let centred = lanes.sub(lanes.load_some(x.at(k), many), max);
                lanes.store_some(to.at(k), many, lanes.sub(centred, log));
            }
        }
    }
}

struct SoftmaxGradient;

impl RowFunction<2> for SoftmaxGradient {
    #[inline(always)]
    unsafe fn row<L: Lanes>(lanes: L, count: usize, to: *mut L::N, [grad, y]: [*const L::N; 2]) {
        // SAFETY: as the caller vouches.
        unsafe {
            let level = lanes.splat(total(lanes, count, Product(grad, y)));
            vectors!(count, |at, many| {
                let centred = lanes.sub(lanes.load_some(grad.add(at), many), level);
                let y = lanes.load_some(y.add(at), many);
                lanes.store_some(to.add(at), many, lanes.mul(centred, y));
            });
        }
    }

    #[inline(always)]
    unsafe fn rows<L: Lanes>(
        lanes: L,
        count: usize,
        many: usize,
        to: Steps<L::N>,
        [grad, y]: [Steps<L::N>; 2],
    ) {
        // SAFETY: as the caller vouches.
        unsafe {
            let mut level = lanes.zero();
            for k in 0..count {
                level = lanes.fma(lanes.load_some(grad.at(k), many), lanes.load_some(y.at(k), many), level);
            }
            for k in 0..count {
                let centred = lanes.sub(lanes.load_some(grad.at(k), many), level);
                let y = lanes.load_some(y.at(k), many);
                lanes.store_some(to.at(k), many, lanes.mul(centred, y));
            }
        }
    }
}

struct LogarithmGradient;

impl RowFunction<2> for LogarithmGradient {
    #[inline(always)]
    unsafe fn row<L: Lanes>(lanes: L, count: usize, to: *mut L::N, [grad, y]: [*const L::N; 2]) {
        // SAFETY: as the caller vouches.
        unsafe {
            let sum = lanes.splat(-total(lanes, count, Plain(grad)));
            vectors!(count, |at, many| {
                let power = lanes.exp(lanes.load_some(y.add(at), many));
                let grad = lanes.load_some(grad.add(at), many);
                lanes.store_some(to.add(at), many, lanes.fma(power, sum, grad));
            });
        }
    }

    #[inline(always)]
    unsafe fn rows<L: Lanes>(
        lanes: L,
        count: usize,
        many: usize,
        to: Steps<L::N>,
        [grad, y]: [Steps<L::N>; 2],
    ) {
        // SAFETY: as the caller vouches.
        unsafe {
            let mut sum = lanes.zero();
            for k in 0..count {
                sum = lanes.sub(sum, lanes.load_some(grad.at(k), many));
            }
            for k in 0..count {
                let power = lanes.exp(lanes.load_some(y.at(k), many));
                let grad = lanes.load_some(grad.at(k), many);
                lanes.store_some(to.at(k), many, lanes.fma(power, sum, grad));
            }
        }
    }
}

macro_rules! operations {
    ($($op:ident: $name:literal, $function:ident, $inputs:literal, $work:expr;)*) => {$(
        impl $op {
            fn compute<N: Number>(
                &self,
                out: &TensorMut<'_>,
                inputs: [&TensorRef<'_>; $inputs],
            ) -> Result<(), KernelError> {
                along::<N, $function, $inputs>(self.name(), self.axis, out, inputs, $work)
            }
        }

        impl Operation for $op {
            fn name(&self) -> &'static str {
                $name
            }

            fn run(
                &self,
                outputs: &[TensorMut<'_>],
                inputs: &[Option<TensorRef<'_>>],
            ) -> Result<(), KernelError> {
                let out = first_output(outputs);
                let inputs = std::array::from_fn(|index| required(inputs, index));
                by_number!(self.name(), inputs[0].dtype(), self.compute(out, inputs))
            }
        }
    )*};
}

operations! {
    Softmax: "softmax", Softmaxed, 1, EXP_WORK + 2;
    LogSoftmax: "log_softmax", Logarithm, 1, EXP_WORK + 2;
    SoftmaxBackward: "softmax_backward", SoftmaxGradient, 2, 2;
    LogSoftmaxBackward: "log_softmax_backward", LogarithmGradient, 2, EXP_WORK + 1;
}
