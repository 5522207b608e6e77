//! Steps of optimizers: one pass over a parameter, its gradient and its state.
//!
//! Outputs may be the memory of the parameter and of the state; each element is read before it is
//! written. Parameter, gradient and state may be of different dtypes. What is computed with is f64
//! for a parameter of f64, and f32 otherwise.

use std::ops::Range;

use crate::lanes::{LaneKernel, Lanes, Number, by_number, vectors};
use crate::operation::required;
use crate::shares::share_out;
use crate::stream::{Parameter, Sink, Source, with_rooms};
use crate::{KernelError, Operation, TensorMut, TensorRef};

/// Elements that are taken at a time.
const BLOCK: usize = 1024;

/// `param -= lr * (grad + weight_decay * param)`
///
/// Inputs: param, grad, lr. Output: param.
#[derive(Debug)]
pub struct SgdStep {
    /// Strength of the L2 penalty.
    pub weight_decay: f64,
}

/// SGD with momentum: the buffer is an average of gradients, which the first one starts.
///
/// Inputs: param, grad, buffer, lr. Outputs: param, buffer.
#[derive(Debug)]
pub struct SgdMomentumStep {
    /// The share of the old buffer that stays.
    pub momentum: f64,
    /// What is taken from the gradient's share.
    pub dampening: f64,
    /// The step looks ahead by the momentum.
    pub nesterov: bool,
    /// Strength of the L2 penalty.
    pub weight_decay: f64,
    /// The buffer is set, not updated.
    pub first_step: bool,
}

/// Adam, and with `decoupled` weight decay AdamW.
///
/// Inputs: param, grad, average of gradients, average of their squares, lr, the number of the step
/// from 1. Outputs: param and both averages.
#[derive(Debug)]
pub struct AdamStep {
    /// The share of the old average that stays.
    pub beta1: f64,
    /// The share of the old average of squares that stays.
    pub beta2: f64,
    /// Keeps the divisor from 0.
    pub eps: f64,
    /// Strength of the L2 penalty, or of the decay.
    pub weight_decay: f64,
    /// Weights decay by `lr * weight_decay`, not by a penalty in the gradient.
    pub decoupled: bool,
}

/// What a step does to 16 elements of `K` inputs. The first `OUT` are those that outputs replace;
/// the gradient is the last.
trait Update<N: Number, const K: usize, const OUT: usize>: Copy + Sync {
    fn update<L: Lanes<N = N>>(self, lanes: L, values: [L::V; K]) -> [L::V; OUT];
}

struct Blocks<'a, N, U, const K: usize, const OUT: usize> {
    outs: [Sink<'a, N>; OUT],
    inputs: [Source<'a, N>; K],
    update: U,
    count: usize,
    range: Range<usize>,
    rooms: [*mut N; K],
}

impl<N: Number, U: Update<N, K, OUT>, const K: usize, const OUT: usize> LaneKernel<N>
    for Blocks<'_, N, U, K, OUT>
{
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<N = N>>(self, lanes: L) {
        let Self { outs, inputs, update, count, range, rooms } = self;
        // SAFETY: blocks of the tensors; each room holds one. An output's room is one whose values
        // have been read by the time it is written.
        unsafe {
            for block in range {
                let start = block * BLOCK;
                let length = BLOCK.min(count - start);
                let mut from = [std::ptr::null(); K];
                for (k, input) in inputs.iter().enumerate() {
                    from[k] = input.read(lanes, start, length, rooms[k]);
                }
                let mut to = [std::ptr::null_mut(); OUT];
                for (k, out) in outs.iter().enumerate() {
                    to[k] = out.target(start, rooms[k]);
                }
                vectors!(length, |at, many| {
                    let mut values = [lanes.zero(); K];
                    for k in 0..K {
                        values[k] = lanes.load_some(from[k].add(at), many);
                    }
                    let results = update.update(lanes, values);
                    for k in 0..OUT {
                        lanes.store_some(to[k].add(at), many, results[k]);
                    }
                });
                for (k, out) in outs.iter().enumerate() {
                    out.flush(lanes, start, length, to[k]);
                }
            }
        }
    }
}

fn step<N: Number, U: Update<N, K, OUT>, const K: usize, const OUT: usize>(
    op: &'static str,
    outputs: &[TensorMut<'_>],
    inputs: &[Option<TensorRef<'_>>],
    update: U,
) -> Result<(), KernelError> {
    let count = outputs[0].axes().count();
    let mut outs = [Sink::<N>::new(op, &outputs[0])?; OUT];
    for (sink, out) in outs.iter_mut().zip(outputs) {
        *sink = Sink::new(op, out)?;
    }
    let mut sources = [Source::<N>::new(op, required(inputs, 0))?; K];
    for (k, source) in sources.iter_mut().enumerate() {
        *source = Source::new(op, required(inputs, k))?;
    }
    let is_direct = outs.iter().all(Sink::is_direct) && sources.iter().all(Source::is_direct);
    share_out(count.div_ceil(BLOCK), 4 * BLOCK.min(count), |range| {
        with_rooms(if is_direct { 0 } else { BLOCK }, |rooms| {
            N::run(Blocks { outs, inputs: sources, update, count, range, rooms });
        })
    })
}

/// A number that changes from step to step.
fn scalar(op: &'static str, inputs: &[Option<TensorRef<'_>>], index: usize) -> Result<f64, KernelError> {
    let value = Parameter::<f64>::read(op, inputs[index].as_ref())?;
    // SAFETY: it has one element.
    Ok(value.map_or(f64::NAN, |value| unsafe { *value.as_ptr() }))
}

/// `grad + decay * param`
#[inline(always)]
fn decayed<L: Lanes>(lanes: L, grad: L::V, param: L::V, decay: L::N) -> L::V {
    if decay == L::N::ZERO { grad } else { lanes.fma(param, lanes.splat(decay), grad) }
}

#[derive(Clone, Copy)]
struct Sgd<N> {
    rate: N,
    decay: N,
}

impl<N: Number> Update<N, 2, 1> for Sgd<N> {
    #[inline(always)]
    fn update<L: Lanes<N = N>>(self, lanes: L, [param, grad]: [L::V; 2]) -> [L::V; 1] {
        let update = decayed(lanes, grad, param, self.decay);
        [lanes.fma(update, lanes.splat(-self.rate), param)]
    }
}

#[derive(Clone, Copy)]
struct Momentum<N> {
    rate: N,
    decay: N,
    momentum: N,
    share: N,
    nesterov: bool,
    is_first: bool,
}

impl<N: Number> Update<N, 3, 2> for Momentum<N> {
    #[inline(always)]
    fn update<L: Lanes<N = N>>(self, lanes: L, [param, old, grad]: [L::V; 3]) -> [L::V; 2] {
        let mut update = decayed(lanes, grad, param, self.decay);
        let mut average = update;
        let momentum = lanes.splat(self.momentum);
        if !self.is_first {
            average = lanes.fma(update, lanes.splat(self.share), lanes.mul(old, momentum));
        }
        update = if self.nesterov { lanes.fma(average, momentum, update) } else { average };
        [lanes.fma(update, lanes.splat(-self.rate), param), average]
    }
}

#[derive(Clone, Copy)]
struct Adam<N> {
    /// Penalty in the gradient.
    decay: N,
    /// What is left of the parameter before the step.
    kept: N,
    beta2: N,
    rest1: N,
    rest2: N,
    step_size: N,
    root: N,
    eps: N,
}

impl<N: Number> Update<N, 4, 3> for Adam<N> {
    #[inline(always)]
    fn update<L: Lanes<N = N>>(self, lanes: L, [param, m, v, grad]: [L::V; 4]) -> [L::V; 3] {
        let grad = decayed(lanes, grad, param, self.decay);
        let first = lanes.fma(lanes.sub(grad, m), lanes.splat(self.rest1), m);
        let square = lanes.mul(lanes.mul(grad, grad), lanes.splat(self.rest2));
        let second = lanes.fma(v, lanes.splat(self.beta2), square);
        let divisor = lanes.add(lanes.div(lanes.sqrt(second), lanes.splat(self.root)), lanes.splat(self.eps));
        let step = lanes.mul(lanes.div(first, divisor), lanes.splat(-self.step_size));
        [lanes.fma(param, lanes.splat(self.kept), step), first, second]
    }
}

/// The inputs with the gradient (the second) last of `count`, so that outputs come first.
fn gradient_last<'a>(inputs: &[Option<TensorRef<'a>>], count: usize) -> [Option<TensorRef<'a>>; 4] {
    let mut ordered = [None; 4];
    ordered[..count].copy_from_slice(&inputs[..count]);
    ordered[1..count].rotate_left(1);
    ordered
}

impl SgdStep {
    fn compute<N: Number>(
        &self,
        outputs: &[TensorMut<'_>],
        inputs: &[Option<TensorRef<'_>>],
    ) -> Result<(), KernelError> {
        let rate = N::from_f64(scalar(self.name(), inputs, 2)?);
        let update = Sgd { rate, decay: N::from_f64(self.weight_decay) };
        step::<N, _, 2, 1>(self.name(), outputs, inputs, update)
    }
}

impl SgdMomentumStep {
    fn compute<N: Number>(
        &self,
        outputs: &[TensorMut<'_>],
        inputs: &[Option<TensorRef<'_>>],
    ) -> Result<(), KernelError> {
        let update = Momentum {
            rate: N::from_f64(scalar(self.name(), inputs, 3)?),
            decay: N::from_f64(self.weight_decay),
            momentum: N::from_f64(self.momentum),
            share: N::from_f64(1.0 - self.dampening),
            nesterov: self.nesterov,
            is_first: self.first_step,
        };
        step::<N, _, 3, 2>(self.name(), outputs, &gradient_last(inputs, 3), update)
    }
}

impl AdamStep {
    fn compute<N: Number>(
        &self,
        outputs: &[TensorMut<'_>],
        inputs: &[Option<TensorRef<'_>>],
    ) -> Result<(), KernelError> {
        let (rate, count) = (scalar(self.name(), inputs, 4)?, scalar(self.name(), inputs, 5)?);
        let (penalty, kept) = match self.decoupled {
            true => (0.0, 1.0 - rate * self.weight_decay),
            false => (self.weight_decay, 1.0),
        };
        let update = Adam {
            decay: N::from_f64(penalty),
            kept: N::from_f64(kept),
            beta2: N::from_f64(self.beta2),
            rest1: N::from_f64(1.0 - self.beta1),
            rest2: N::from_f64(1.0 - self.beta2),
            step_size: N::from_f64(rate / (1.0 - self.beta1.powf(count))),
            root: N::from_f64((1.0 - self.beta2.powf(count)).sqrt()),
            eps: N::from_f64(self.eps),
        };
        step::<N, _, 4, 3>(self.name(), outputs, &gradient_last(inputs, 4), update)
    }
}

macro_rules! operations {
    ($($op:ident: $name:literal;)*) => {$(
        impl Operation for $op {
            fn name(&self) -> &'static str {
                $name
            }

            fn run(
                &self,
                outputs: &[TensorMut<'_>],
                inputs: &[Option<TensorRef<'_>>],
            ) -> Result<(), KernelError> {
                by_number!(self.name(), required(inputs, 0).dtype(), self.compute(outputs, inputs))
            }
        }
    )*};
}

operations! {
    SgdStep: "sgd_step";
    SgdMomentumStep: "sgd_momentum_step";
    AdamStep: "adam_step";
}
