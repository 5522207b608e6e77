//! Convolutions over blocks of channels, and their gradients.

use std::sync::Arc;

use phynexus_conv::{ConvPlan, ConvShape, GradInputPlan, GradWeightPlan, InputLayout};
use phynexus_kernels::DType;
use phynexus_simd::isa;

use super::product::epilogue_label;
use super::{generic, narrow};
use crate::Attributes;
use crate::builder::Builder;
use crate::error::CompileError;
use crate::fusion::{Layer, is_blockable};
use crate::prepared::Weights;
use crate::program::NodeId;
use crate::steps::{Convolution, ConvolutionSource, GradInput, GradWeight, PackConvolution, PackTransposed};

/// The shape of a convolution of inputs and weights of these sizes.
fn shape(x: &[usize], weight: &[usize], attributes: &Attributes) -> Option<ConvShape> {
    let (&[batch, in_channels, height, width], &[out_channels, _, rows, columns]) = (x, weight) else {
        return None;
    };
    Some(ConvShape {
        batch,
        in_channels,
        out_channels,
        in_size: [height, width],
        kernel: [rows, columns],
        stride: attributes.pair("stride")?,
        padding: attributes.border("padding")?,
        dilation: attributes.pair("dilation")?,
        groups: attributes.size("groups")?,
    })
}

/// Lowers a convolution with what is fused into it.
pub fn forward(builder: &mut Builder<'_>, layer: &Layer) -> Result<(), CompileError> {
    let node = &builder.program.nodes[layer.node];
    let (Some(x), Some(weight)) = (node.inputs[0], node.inputs[1]) else {
        return Err(builder.refuse("an input is missing"));
    };
    let shape = shape(builder.value(x).sizes(), builder.value(weight).sizes(), &node.attributes);
    let is_float = node.inputs.iter().flatten().all(|&value| builder.value(value).dtype == DType::F32);
    let fits = is_float && is_blockable(builder.program, x) && is_blockable(builder.program, layer.out);
    let Some(shape) = shape.filter(|_| fits) else {
        return if layer.out == node.outputs[0] {
            generic(builder, layer.node)
        } else {
            Err(builder.refuse("a convolution of this dtype or shape"))
        };
    };
    let kept = match narrow::convolution(builder, layer, &shape)? {
        Ok(()) => return Ok(()),
        Err(kept) => kept,
    };
    let plan = if builder.is_blocked(x) {
        ConvPlan::with_input(&shape, isa(), InputLayout::Blocked)
    } else {
        ConvPlan::new(&shape, isa())
    };
    let plan = Arc::new(plan.map_err(|error| builder.refuse(&error.to_string()))?);
    let from = match plan.input_layout() {
        InputLayout::Nchw => builder.dense_input(x)?.place,
        InputLayout::Blocked => builder.blocks(x)?,
    };
    let mut sources = vec![weight];
    sources.extend(node.inputs[2]);
    let pack = PackConvolution {
        plan: Arc::clone(&plan),
        source: ConvolutionSource {
            weight: builder.dense_input(weight)?.place,
            bias: match node.inputs[2] {
                Some(bias) => Some(builder.dense_input(bias)?.place),
                None => None,
            },
        },
    };
    let is_dense = sources.iter().all(|&value| builder.value(value).is_dense());
    let weights = if is_dense { builder.keep(&sources, pack.clone()) } else { Weights::Anew };
    let residual = match layer.residual {
        Some(value) => Some(builder.blocks(value)?),
        None => None,
    };
    let out = builder.blocks_output(layer.out);
    let label = format!("conv2d{} {:?} in blocks{kept}", epilogue_label(layer), plan.algorithm());
    let step = Convolution { pack, weights, batch: shape.batch, x: from, residual, relu: layer.relu, out };
    builder.push(label, step);
    Ok(())
}

/// The shape of the forward convolution of a node that computes one of its gradients: of the
/// input, if `of_input`, else of the weights. None if the blocked convolution does not compute it.
pub fn shape_of_gradient(builder: &Builder<'_>, id: NodeId, of_input: bool) -> Option<ConvShape> {
    let node = &builder.program.nodes[id];
    let (grad, other, out) = (node.inputs[0]?, node.inputs[1]?, node.outputs[0]);
    let is_float = |value| builder.value(value).dtype == DType::F32;
    let (x, weight) = if of_input { (out, other) } else { (other, out) };
    let fits = [grad, other, out].into_iter().all(is_float)
        && is_blockable(builder.program, grad)
        && is_blockable(builder.program, x)
        && builder.value(out).is_dense();
    let shape = shape(builder.value(x).sizes(), builder.value(weight).sizes(), &node.attributes)?;
    (fits && shape.check().is_ok()).then_some(shape)
}

/// Lowers the gradient of the input.
pub fn grad_input(builder: &mut Builder<'_>, id: NodeId, shape: &ConvShape) -> Result<(), CompileError> {
    let node = &builder.program.nodes[id];
    let (Some(grad), Some(weight)) = (node.inputs[0], node.inputs[1]) else {
        return Err(builder.refuse("an input is missing"));
    };
    let plan = GradInputPlan::new(shape, isa()).map_err(|error| builder.refuse(&error.to_string()))?;
    let is_dense = builder.value(weight).is_dense();
    let pack = PackTransposed {
        plan: Arc::new(plan),
        weight: builder.dense_input(weight)?.place,
        count: shape.weight_len(),
    };
    let weights = if is_dense { builder.keep(&[weight], pack.clone()) } else { Weights::Anew };
    let grad = builder.blocks(grad)?;
    let dx = builder.blocks_output(node.outputs[0]);
    builder.push("conv2d_grad_input in blocks", GradInput { pack, weights, shape: shape.clone(), grad, dx });
    Ok(())
}

/// Lowers the gradient of the weights.
pub fn grad_weight(builder: &mut Builder<'_>, id: NodeId, shape: &ConvShape) -> Result<(), CompileError> {
    let node = &builder.program.nodes[id];
    let (Some(grad), Some(x)) = (node.inputs[0], node.inputs[1]) else {
        return Err(builder.refuse("an input is missing"));
    };
    let plan = if builder.is_blocked(x) {
        GradWeightPlan::with_input(shape, isa(), InputLayout::Blocked)
    } else {
        GradWeightPlan::new(shape, isa())
    };
    let plan = plan.map_err(|error| builder.refuse(&error.to_string()))?;
    let grad = builder.blocks(grad)?;
    let x = match plan.input_layout() {
        InputLayout::Nchw => builder.dense_input(x)?.place,
        InputLayout::Blocked => builder.blocks(x)?,
    };
    let dweight = builder.output(node.outputs[0]).place;
    builder
        .push("conv2d_grad_weight from blocks", GradWeight { plan, shape: shape.clone(), grad, x, dweight });
    Ok(())
}
