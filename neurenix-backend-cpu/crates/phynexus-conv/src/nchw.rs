//! Convolution from dense NCHW to dense NCHW, in f32, bfloat16 or float16, for kernels called one by one.
//!
//! All arithmetic is in f32, on as many threads as the pool has; a result is rounded once. A few samples at a time go
//! through blocks of 16 channels, so that these stay in the caches.

use phynexus_runtime::threads;

use crate::element::Element;
use crate::epilogue::Epilogue;
use crate::error::{ConvError, check_len};
use crate::grad_input::GradInputPlan;
use crate::grad_weight::GradWeightPlan;
use crate::layout::{Planes, blocked_to_nchw, from_f32, nchw_to_blocked, to_f32};
use crate::memory::Aligned;
use crate::plan::{ConvPlan, InputLayout, PackedWeights};
use crate::shape::ConvShape;
use crate::split::chunks;

/// Blocked activations of the samples that are under way, in bytes.
const UNDER_WAY: usize = 8 << 20;

/// The weights of a convolution.
#[derive(Clone, Copy)]
pub enum NchwWeights<'a, T> {
    /// `[out_channels][in_channels / groups][rows][columns]`, and perhaps a bias for each output channel.
    Canonical(&'a [T], Option<&'a [T]>),
    /// Packed by [`ConvPlan::pack`] of [`ConvPlan::new`] for this shape of a sample and the instruction set in use, and
    /// perhaps a bias for each output channel.
    Packed(&'a PackedWeights, Option<&'a [T]>),
}

/// Samples to have under way, of so many floats each.
fn samples_at_once(shape: &ConvShape) -> usize {
    let each =
        (shape.with_batch(1).in_blocked_len() + shape.with_batch(1).out_blocked_len()) * size_of::<f32>();
    (UNDER_WAY / each.max(1)).next_multiple_of(threads()).max(threads()).min(shape.batch.max(1))
}

/// Convolves dense NCHW: `y = relu(conv(x) + bias + residual)`, the last two steps if wanted.
///
/// # Errors
/// No convolution has this shape, the lengths are not those of the shape, or there is no memory for work in progress.
pub fn conv2d_nchw<T: Element>(
    shape: &ConvShape,
    x: &[T],
    weights: NchwWeights<'_, T>,
    residual: Option<&[T]>,
    relu: bool,
    y: &mut [T],
) -> Result<(), ConvError> {
    let plan = ConvPlan::new(shape, phynexus_simd::isa())?;
    check_len("input", shape.in_len(), x.len())?;
    check_len("output", shape.out_len(), y.len())?;
    if let Some(residual) = residual {
        check_len("residual", shape.out_len(), residual.len())?;
    }
    let (NchwWeights::Canonical(_, bias) | NchwWeights::Packed(_, bias)) = weights;
    let bias = bias.map(widen).transpose()?;
    let weights = match weights {
        NchwWeights::Packed(weights, _) => plan.with_bias(weights, bias.as_deref())?,
        NchwWeights::Canonical(weights, _) => match T::as_f32(weights) {
            Some(weights) => plan.pack(weights, bias.as_deref())?,
            None => plan.pack(&widen(weights)?, bias.as_deref())?,
        },
    };
    let at_once = samples_at_once(shape);
    let most = shape.with_batch(at_once);
    let mut x_blocks = Aligned::any(plan.in_len(at_once))?;
    let mut y_blocks = Aligned::any(plan.out_len(at_once))?;
    let mut residual_blocks = Aligned::any(if residual.is_some() { plan.out_len(at_once) } else { 0 })?;
    let (in_len, out_len) = (most.in_len() / at_once, most.out_len() / at_once);
    for samples in chunks(shape.batch, at_once) {
        let count = samples.len();
        let x = &x[samples.start * in_len..samples.end * in_len];
        let out = samples.start * out_len..samples.end * out_len;
        let planes = |channels, pixels| Planes::dense(count, channels, pixels);
        let x = match (plan.input_layout(), T::as_f32(x)) {
            (InputLayout::Nchw, Some(x)) => x,
            (InputLayout::Nchw, None) => {
                to_f32(x, &mut x_blocks[..x.len()], threads());
                &x_blocks[..x.len()]
            }
            (InputLayout::Blocked, _) => {
                let blocks = &mut x_blocks[..plan.in_len(count)];
                nchw_to_blocked(planes(shape.in_channels, shape.in_pixels()), x, blocks, threads());
                blocks
            }
        };
        let out_planes = planes(shape.out_channels, shape.out_pixels());
        let y_blocks = &mut y_blocks[..plan.out_len(count)];
        let residual = residual.map(|residual| {
            let blocks = &mut residual_blocks[..plan.out_len(count)];
            nchw_to_blocked(out_planes, &residual[out.clone()], blocks, threads());
            &*blocks
        });
        plan.run(count, x, &weights, y_blocks, Epilogue { residual, relu }, threads())?;
        blocked_to_nchw(out_planes, y_blocks, &mut y[out], threads());
    }
    Ok(())
}

/// The gradient of [`conv2d_nchw`] with respect to its input, from the gradient of its output before ReLU.
///
/// # Errors
/// As `conv2d_nchw`.
pub fn conv2d_grad_input_nchw<T: Element>(
    shape: &ConvShape,
    grad: &[T],
    weights: &[T],
    grad_input: &mut [T],
) -> Result<(), ConvError> {
    let plan = GradInputPlan::new(shape, phynexus_simd::isa())?;
    check_len("gradient of the output", shape.out_len(), grad.len())?;
    check_len("gradient of the input", shape.in_len(), grad_input.len())?;
    let weights = match T::as_f32(weights) {
        Some(weights) => plan.pack(weights)?,
        None => plan.pack(&widen(weights)?)?,
    };
    let at_once = samples_at_once(shape);
    let one = shape.with_batch(1);
    let mut grad_blocks = Aligned::any(at_once * one.out_blocked_len())?;
    let mut input_blocks = Aligned::any(at_once * one.in_blocked_len())?;
    for samples in chunks(shape.batch, at_once) {
        let count = samples.len();
        let grad = &grad[samples.start * one.out_len()..samples.end * one.out_len()];
        let grad_input = &mut grad_input[samples.start * one.in_len()..samples.end * one.in_len()];
        let grad_blocks = &mut grad_blocks[..count * one.out_blocked_len()];
        let input_blocks = &mut input_blocks[..count * one.in_blocked_len()];
        nchw_to_blocked(
            Planes::dense(count, shape.out_channels, shape.out_pixels()),
            grad,
            grad_blocks,
            threads(),
        );
        plan.run(count, grad_blocks, &weights, input_blocks, None, threads())?;
        let planes = Planes::dense(count, shape.in_channels, shape.in_pixels());
        blocked_to_nchw(planes, input_blocks, grad_input, threads());
    }
    Ok(())
}

/// The gradient of [`conv2d_nchw`] with respect to its canonical weights, from the gradient of its output before ReLU.
///
/// # Errors
/// As `conv2d_nchw`.
pub fn conv2d_grad_weight_nchw<T: Element>(
    shape: &ConvShape,
    x: &[T],
    grad: &[T],
    grad_weight: &mut [T],
) -> Result<(), ConvError> {
    let plan = GradWeightPlan::new(shape, phynexus_simd::isa())?;
    check_len("input", shape.in_len(), x.len())?;
    check_len("gradient of the output", shape.out_len(), grad.len())?;
    check_len("gradient of the weights", shape.weight_len(), grad_weight.len())?;
    let mut x_blocks = Aligned::any(plan.in_len(shape.batch))?;
    let mut grad_blocks = Aligned::any(shape.out_blocked_len())?;
    let x = match (plan.input_layout(), T::as_f32(x)) {
        (InputLayout::Nchw, Some(x)) => x,
        (InputLayout::Nchw, None) => {
            to_f32(x, &mut x_blocks, threads());
            &x_blocks
        }
        (InputLayout::Blocked, _) => {
            let planes = Planes::dense(shape.batch, shape.in_channels, shape.in_pixels());
            nchw_to_blocked(planes, x, &mut x_blocks, threads());
            &x_blocks
        }
    };
    let planes = Planes::dense(shape.batch, shape.out_channels, shape.out_pixels());
    nchw_to_blocked(planes, grad, &mut grad_blocks, threads());
    let mut sums = Aligned::any(shape.weight_len())?;
    plan.run(shape.batch, x, &grad_blocks, &mut sums, false, threads())?;
    from_f32(&sums, grad_weight, threads());
    Ok(())
}

/// The gradient of [`conv2d_nchw`] with respect to its bias, from the gradient of its output before ReLU.
///
/// # Errors
/// As `conv2d_nchw`.
pub fn conv2d_grad_bias_nchw<T: Element>(
    shape: &ConvShape,
    grad: &[T],
    grad_bias: &mut [T],
) -> Result<(), ConvError> {
    check_len("gradient of the output", shape.out_len(), grad.len())?;
    let mut blocks = Aligned::any(shape.out_blocked_len())?;
    let planes = Planes::dense(shape.batch, shape.out_channels, shape.out_pixels());
    nchw_to_blocked(planes, grad, &mut blocks, threads());
    let mut sums = vec![0.0; shape.out_channels];
    let sizes = (shape.batch, shape.out_channels, shape.out_pixels());
    crate::grad_bias::grad_bias(sizes, &blocks, &mut sums, false, threads())?;
    check_len("gradient of the bias", shape.out_channels, grad_bias.len())?;
    from_f32(&sums, grad_bias, 1);
    Ok(())
}

fn widen<T: Element>(elements: &[T]) -> Result<Aligned<f32>, ConvError> {
    let mut floats = Aligned::any(elements.len())?;
    to_f32(elements, &mut floats, threads());
    Ok(floats)
}
