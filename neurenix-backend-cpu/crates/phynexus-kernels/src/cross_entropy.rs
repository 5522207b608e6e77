//! Cross-entropy of class indices, with the softmax in it, and its gradient.

use std::ops::Range;

use crate::index::Indices;
use crate::lanes::{LaneKernel, Lanes, Number, by_number, vectors};
use crate::operation::{first_output, required};
use crate::shares::share_out;
use crate::softmax::{EXP_WORK, log_softmax_row};
use crate::stream::{Parameter, Sink, Source, with_rooms};
use crate::{KernelError, Operation, TensorMut, TensorRef};

/// The negative log-probability of each sample's class, and all log-probabilities.
///
/// Inputs: logits `(N, C)`, target `(N,)` of integers. Outputs: loss `(N,)`, log-probabilities.
#[derive(Debug)]
pub struct SoftmaxCrossEntropy;

/// `(softmax - one_hot(target)) * grad` for each sample.
///
/// Inputs: grad `(N,)`, logits (not read), log-probabilities `(N, C)`, target `(N,)`.
#[derive(Debug)]
pub struct SoftmaxCrossEntropyBackward;

/// The classes of the samples, each checked.
fn classes(target: &TensorRef<'_>, classes: usize) -> Result<Vec<usize>, KernelError> {
    let indices = Indices::new("softmax_cross_entropy", target)?;
    (0..target.axes().count())
        .map(|sample| {
            // SAFETY: the target has as many elements.
            let class = unsafe { indices.get(sample) };
            usize::try_from(class).ok().filter(|&class| class < classes).ok_or_else(|| {
                KernelError::Index(format!(
                    "the target of sample {sample} is class {class}, but the logits have {classes} classes; \
                     targets must be from 0 to {}",
                    classes as i64 - 1
                ))
            })
        })
        .collect()
}

struct Forward<'a, N> {
    loss: Sink<'a, N>,
    log_probs: Sink<'a, N>,
    logits: Source<'a, N>,
    target: &'a [usize],
    classes: usize,
    range: Range<usize>,
    room: *mut N,
}

impl<N: Number> LaneKernel<N> for Forward<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<N = N>>(self, lanes: L) {
        let Self { loss, log_probs, logits, target, classes, range, room } = self;
        // SAFETY: rows of the tensors; the room holds one that is not read or written in place.
        unsafe {
            for row in range {
                let at = row * classes;
                let from = logits.read(lanes, at, classes, room);
                let to = log_probs.target(at, room);
                log_softmax_row(lanes, classes, to, from);
                let mut value = -*to.add(target[row]);
                log_probs.flush(lanes, at, classes, to);
                *loss.target(row, &raw mut value) = value;
                loss.flush(lanes, row, 1, &raw const value);
            }
        }
    }
}

impl SoftmaxCrossEntropy {
    fn compute<N: Number>(
        &self,
        outputs: &[TensorMut<'_>],
        logits: &TensorRef<'_>,
        target: &TensorRef<'_>,
    ) -> Result<(), KernelError> {
        let (rows, classes_each) = (logits.sizes()[0], logits.sizes()[1]);
        let target = &*classes(target, classes_each)?;
        let (loss, log_probs) =
            (Sink::<N>::new(self.name(), &outputs[0])?, Sink::<N>::new(self.name(), &outputs[1])?);
        let logits = Source::new(self.name(), logits)?;
        let is_direct = logits.is_direct() && log_probs.is_direct();
        share_out(rows, classes_each * (EXP_WORK + 2), |range| {
            with_rooms(if is_direct { 0 } else { classes_each }, |[room]| {
                N::run(Forward { loss, log_probs, logits, target, classes: classes_each, range, room });
            })
        })
    }
}

impl Operation for SoftmaxCrossEntropy {
    fn name(&self) -> &'static str {
        "softmax_cross_entropy"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let (logits, target) = (required(inputs, 0), required(inputs, 1));
        by_number!(self.name(), logits.dtype(), self.compute(outputs, logits, target))
    }
}

struct Backward<'a, N> {
    out: Sink<'a, N>,
    grad: *const N,
    log_probs: Source<'a, N>,
    target: &'a [usize],
    classes: usize,
    range: Range<usize>,
    room: *mut N,
}

impl<N: Number> LaneKernel<N> for Backward<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<N = N>>(self, lanes: L) {
        let Self { out, grad, log_probs, target, classes, range, room } = self;
        // SAFETY: rows of the tensors; the room holds one that is not read or written in place.
        unsafe {
            for row in range {
                let at = row * classes;
                let from = log_probs.read(lanes, at, classes, room);
                let chosen = (*from.add(target[row])).to_f64();
                let to = out.target(at, room);
                let scale = lanes.splat(*grad.add(row));
                vectors!(classes, |at, many| {
                    let power = lanes.exp(lanes.load_some(from.add(at), many));
                    lanes.store_some(to.add(at), many, lanes.mul(power, scale));
                });
                // exp(y) - 1 without the loss that the subtraction would bring to a sure class.
                *to.add(target[row]) = N::from_f64(chosen.exp_m1()) * *grad.add(row);
                out.flush(lanes, at, classes, to);
            }
        }
    }
}

impl SoftmaxCrossEntropyBackward {
    fn compute<N: Number>(
        &self,
        out: &TensorMut<'_>,
        inputs: &[Option<TensorRef<'_>>],
    ) -> Result<(), KernelError> {
        let (rows, classes_each) = (out.sizes()[0], out.sizes()[1]);
        let target = &*classes(required(inputs, 3), classes_each)?;
        let grad = Parameter::<N>::read(self.name(), inputs[0].as_ref())?;
        let grad = &grad;
        let log_probs = Source::<N>::new(self.name(), required(inputs, 2))?;
        let out = Sink::<N>::new(self.name(), out)?;
        let is_direct = log_probs.is_direct() && out.is_direct();
        share_out(rows, classes_each * (EXP_WORK + 1), |range| {
            let grad = grad.as_ref().map_or(std::ptr::null(), Parameter::as_ptr);
            with_rooms(if is_direct { 0 } else { classes_each }, |[room]| {
                N::run(Backward { out, grad, log_probs, target, classes: classes_each, range, room });
            })
        })
    }
}

impl Operation for SoftmaxCrossEntropyBackward {
    fn name(&self) -> &'static str {
        "softmax_cross_entropy_backward"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let out = first_output(outputs);
        by_number!(self.name(), required(inputs, 2).dtype(), self.compute(out, inputs))
    }
}
