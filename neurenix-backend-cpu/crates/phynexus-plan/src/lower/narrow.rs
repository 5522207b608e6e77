//! Layers and pools of narrow plans.
//!
//! Each layer is asked whether the plan's precision can be had for it. One that stays in float32
//! says in its label why.

use std::sync::Arc;

use phynexus_conv::int8::{Int8ConvPlan, Quantization};
use phynexus_conv::{Bf16ConvPlan, ConvError, ConvShape, InputLayout};

use super::pool::windows;
use super::product::epilogue_label;
use crate::builder::Builder;
use crate::elementwise::Planes;
use crate::error::CompileError;
use crate::fusion::{Layer, is_blockable};
use crate::memory::Place;
use crate::precision::{Format, Precision, quantization};
use crate::prepared::Weights;
use crate::program::{NodeId, ValueId};
use crate::steps::{
    Bf16Convolution, ConvolutionSource, Extents, Int8Convolution, NarrowGlobalPool, NarrowLinear,
    NarrowMaxPool, PackBf16Convolution, PackBf16Matrix, PackInt8Convolution, PackInt8Matrix,
};

/// What is added to the label of a layer that stays in float32: nothing in a plan of that.
type Kept = String;

/// What stands for a form that is of no account.
const ANY: Quantization = Quantization { scale: 1.0, zero_point: 0 };

/// Products of u8 by i8 that 32 bits hold the sum of.
const MOST_PRODUCTS: usize = 65_000;

fn kept(reason: &str) -> Kept {
    format!(" in float32: {reason}")
}

fn is_dense(builder: &Builder<'_>, values: &[ValueId]) -> bool {
    values.iter().all(|&value| builder.value(value).is_dense())
}

/// Lowers a convolution in the plan's precision, or returns what to add to its label in float32.
pub fn convolution(
    builder: &mut Builder<'_>,
    layer: &Layer,
    shape: &ConvShape,
) -> Result<Result<(), Kept>, CompileError> {
    match builder.program.precision {
        Precision::Float32 => Ok(Err(Kept::new())),
        Precision::Bfloat16 => bf16_convolution(builder, layer, shape).map(Ok),
        Precision::Int8 => int8_convolution(builder, layer, shape),
    }
}

/// The input and the weights of a layer, which the caller has seen to be there.
fn operands(builder: &Builder<'_>, layer: &Layer) -> (ValueId, Vec<ValueId>) {
    let inputs = &builder.program.nodes[layer.node].inputs;
    (inputs[0].expect("an input"), inputs[1..].iter().copied().flatten().collect())
}

/// Where weights are, and whether they can be kept.
fn source(builder: &mut Builder<'_>, weights: &[ValueId]) -> Result<(ConvolutionSource, bool), CompileError> {
    let can_keep = is_dense(builder, weights);
    let weight = builder.dense_input(weights[0])?.place;
    let bias = match weights.get(1) {
        Some(&bias) => Some(builder.dense_input(bias)?.place),
        None => None,
    };
    Ok((ConvolutionSource { weight, bias }, can_keep))
}

fn bf16_convolution(builder: &mut Builder<'_>, layer: &Layer, shape: &ConvShape) -> Result<(), CompileError> {
    let (x, weights) = operands(builder, layer);
    let plan = if builder.is_blocked(x) {
        Bf16ConvPlan::with_input(shape, InputLayout::Blocked)
    } else {
        Bf16ConvPlan::new(shape)
    };
    let plan = Arc::new(plan.map_err(|error| builder.refuse(&error.to_string()))?);
    let from = match plan.input_layout() {
        InputLayout::Nchw => builder.dense_input(x)?.place,
        InputLayout::Blocked => builder.narrow_blocks(x, Format::Bfloat16)?,
    };
    let (source, can_keep) = source(builder, &weights)?;
    let algorithm = plan.algorithm();
    let pack = PackBf16Convolution { plan, source };
    let weights = if can_keep { builder.keep(&weights, pack.clone()) } else { Weights::Anew };
    let residual = match layer.residual {
        Some(value) => Some(builder.narrow_blocks(value, Format::Bfloat16)?),
        None => None,
    };
    let out = builder.narrow_output(layer.out, Format::Bfloat16);
    let label = format!("conv2d{} {algorithm:?} in bfloat16 blocks", epilogue_label(layer));
    let (batch, relu) = (shape.batch, layer.relu);
    builder.push(label, Bf16Convolution { pack, weights, batch, x: from, residual, relu, out });
    Ok(())
}

/// How 8-bit integers stand for a value, or that they cannot.
fn integers(builder: &Builder<'_>, value: ValueId) -> Result<Quantization, Kept> {
    match builder.format(value) {
        Some(Format::Int8(quantization)) => Ok(quantization),
        _ => Err(kept(&format!("no range of {}", builder.value(value).name))),
    }
}

/// How 8-bit integers would stand for a value that is kept in floats, or that they cannot.
fn range(builder: &Builder<'_>, value: ValueId) -> Result<Quantization, Kept> {
    quantization(builder.program, builder.uses, value)
        .ok_or_else(|| kept(&format!("no range of {}", builder.value(value).name)))
}

fn int8_plan(
    builder: &Builder<'_>,
    layer: &Layer,
    x: ValueId,
    shape: &ConvShape,
) -> Result<Int8ConvPlan, ConvError> {
    // Floats are read where there is nothing to add.
    if builder.is_blocked(x) || layer.residual.is_some() {
        Int8ConvPlan::with_input(shape, InputLayout::Blocked)
    } else {
        Int8ConvPlan::new(shape)
    }
}

fn int8_convolution(
    builder: &mut Builder<'_>,
    layer: &Layer,
    shape: &ConvShape,
) -> Result<Result<(), Kept>, CompileError> {
    shape.check().map_err(|error| builder.refuse(&error.to_string()))?;
    let (x, weights) = operands(builder, layer);
    let plan = match int8_plan(builder, layer, x, shape) {
        Ok(plan) => plan,
        Err(error) => return Ok(Err(kept(&error.to_string()))),
    };
    let layout = plan.input_layout();
    let forms = || {
        let input = match layout {
            InputLayout::Nchw if plan.multiplies_integers() => range(builder, x)?,
            InputLayout::Nchw => ANY,
            InputLayout::Blocked => integers(builder, x)?,
        };
        let residual = layer.residual.map(|value| integers(builder, value)).transpose()?;
        Ok((input, residual, integers(builder, layer.out)?))
    };
    let (input, residual_form, output) = match forms() {
        Ok(forms) => forms,
        Err(kept) => return Ok(Err(kept)),
    };
    let from = match layout {
        InputLayout::Nchw => builder.dense_input(x)?.place,
        InputLayout::Blocked => builder.narrow_blocks(x, Format::Int8(input))?,
    };
    let (source, can_keep) = source(builder, &weights)?;
    let pack = PackInt8Convolution { plan: Arc::new(plan), source, input, output };
    let weights = if can_keep { builder.keep(&weights, pack.clone()) } else { Weights::Anew };
    let residual = match layer.residual.zip(residual_form) {
        Some((value, form)) => Some((builder.narrow_blocks(value, Format::Int8(form))?, form)),
        None => None,
    };
    let out = builder.narrow_output(layer.out, Format::Int8(output));
    let of = if layout == InputLayout::Nchw { " First" } else { " Direct" };
    let label = format!("conv2d{}{of} in int8 blocks", epilogue_label(layer));
    let (batch, relu) = (shape.batch, layer.relu);
    builder.push(label, Int8Convolution { pack, weights, batch, x: from, residual, relu, out });
    Ok(Ok(()))
}

/// Whether a pool reads narrow blocks, and only its values are wanted.
pub fn pools(builder: &Builder<'_>, node: NodeId) -> bool {
    let node = &builder.program.nodes[node];
    let is_wanted = |&value: &ValueId| {
        builder.program.is_external(value)
            || builder.uses.shared[builder.value(value).storage] > 1
            || !builder.uses.readers[value].is_empty()
    };
    node.inputs[0].is_some_and(|x| builder.is_narrow(x))
        && is_blockable(builder.program, node.outputs[0])
        && !node.outputs[1..].iter().any(is_wanted)
}

/// What a pool reads.
fn pooled(builder: &mut Builder<'_>, id: NodeId) -> Result<(Planes, Format, Place), CompileError> {
    let x = builder.program.nodes[id].inputs[0].expect("a pool has an input");
    let format = builder.format(x).expect("it lies in narrow blocks");
    Ok((builder.planes(x), format, builder.narrow_blocks(x, format)?))
}

/// Lowers a maximum pool of narrow blocks.
pub fn max_pool(builder: &mut Builder<'_>, id: NodeId) -> Result<(), CompileError> {
    let windows = windows(builder, id).ok_or_else(|| builder.refuse("attributes of a pool"))?;
    let (planes, format, x) = pooled(builder, id)?;
    let out = builder.narrow_output(builder.program.nodes[id].outputs[0], format);
    let label = format!("max_pool2d in {} blocks", format.name());
    builder.push(label, NarrowMaxPool { planes, windows, format, x, out });
    Ok(())
}

/// Lowers the mean of every plane of narrow blocks.
pub fn global_pool(builder: &mut Builder<'_>, id: NodeId) -> Result<(), CompileError> {
    let (planes, format, x) = pooled(builder, id)?;
    let out = builder.output(builder.program.nodes[id].outputs[0]).place;
    let label = format!("adaptive_avg_pool2d from {} blocks", format.name());
    builder.push(label, NarrowGlobalPool { planes, format, x, out });
    Ok(())
}

/// Lowers a linear layer in the plan's precision, or returns what to add to its label in float32.
pub fn linear(builder: &mut Builder<'_>, layer: &Layer) -> Result<Result<(), Kept>, CompileError> {
    let (x, weights) = operands(builder, layer);
    let (&[.., depth], count) = (builder.value(x).sizes(), builder.value(x).count()) else {
        return Ok(Err(kept("a number is no row")));
    };
    let cols = builder.value(weights[0]).sizes()[0];
    let extents = Extents { rows: count / depth.max(1), depth, cols };
    let form = match builder.program.precision {
        Precision::Float32 => return Ok(Err(Kept::new())),
        _ if cols == 0 => return Ok(Err(kept("it has no columns"))),
        Precision::Bfloat16 => None,
        // What the program gives is worth more than the time that one layer takes.
        Precision::Int8 if builder.program.is_external(layer.out) => None,
        Precision::Int8 if depth > MOST_PRODUCTS => {
            return Ok(Err(kept("a sum of so many products does not fit 32 bits")));
        }
        Precision::Int8 => match range(builder, x) {
            Ok(quantization) => Some(quantization),
            Err(kept) => return Ok(Err(kept)),
        },
    };
    let x = builder.dense_input(x)?.place;
    let (ConvolutionSource { weight, bias }, can_keep) = source(builder, &weights)?;
    let relu = layer.relu;
    if let Some(input) = form {
        let narrow = builder.scratch(count);
        let pack = PackInt8Matrix { weight, extents };
        let weights = if can_keep { builder.keep(&weights[..1], pack) } else { Weights::Anew };
        let out = builder.output(layer.out).place;
        let step = NarrowLinear { pack, weights, extents, x, narrow, input, bias, relu, out };
        builder.push(format!("linear{} in int8", epilogue_label(layer)), step);
    } else {
        let narrow = builder.scratch(count * Format::Bfloat16.bytes());
        let pack = PackBf16Matrix { weight, extents };
        let weights = if can_keep { builder.keep(&weights[..1], pack) } else { Weights::Anew };
        let out = builder.output(layer.out).place;
        let step = NarrowLinear { pack, weights, extents, x, narrow, input: ANY, bias, relu, out };
        builder.push(format!("linear{} in bfloat16", epilogue_label(layer)), step);
    }
    Ok(Ok(()))
}
