//! From units of nodes to steps.

mod chain;
mod convolution;
mod narrow;
mod norm;
mod pool;
mod product;

use phynexus_kernels::Axes;

use crate::builder::Builder;
use crate::error::CompileError;
use crate::fusion::{Fused, Kind, chained, is_blockable};
use crate::memory::{Place, Tensor};
use crate::order::Order;
use crate::program::{NodeId, Value, ValueId};
use crate::steps::{Copy, Generic};

/// Writes the steps of all units, in an order in which they can run.
///
/// # Errors
/// A node that the engine has no code for.
pub fn lower(builder: &mut Builder<'_>, fused: &Fused, order: &Order) -> Result<(), CompileError> {
    for unit in fused.units.schedule(order) {
        let nodes = &fused.units.nodes[unit];
        builder.begin(nodes[0]);
        match &fused.kinds[unit] {
            Kind::Layer(layer) if builder.program.nodes[layer.node].op == "conv2d" => {
                convolution::forward(builder, layer)?;
            }
            Kind::Layer(layer) => product::linear(builder, layer)?,
            Kind::Chain { head: Some(head), .. } => norm::forward(builder, nodes, *head)?,
            Kind::Chain { tail: Some(tail), .. } => norm::backward(builder, nodes, *tail)?,
            Kind::Chain { .. } => chain::lower(builder, nodes)?,
            Kind::Single => single(builder, nodes[0])?,
        }
        for &node in nodes {
            for &value in &builder.program.nodes[node].outputs {
                builder.settle(value);
            }
        }
    }
    Ok(())
}

fn single(builder: &mut Builder<'_>, id: NodeId) -> Result<(), CompileError> {
    let node = &builder.program.nodes[id];
    let input = |index: usize| node.inputs.get(index).copied().flatten();
    let blockable = |index: usize| input(index).is_some_and(|value| is_blockable(builder.program, value));
    match node.op.as_str() {
        _ if chained(builder.program, id).is_some() => chain::lower(builder, &[id]),
        "matmul" if product::is_native(builder, id) => product::matmul(builder, id),
        "max_pool2d" if narrow::pools(builder, id) => narrow::max_pool(builder, id),
        "max_pool2d" if blockable(0) && pool::is_private(builder, id) => pool::max(builder, id),
        "max_pool2d_backward" if pool::is_of_private(builder, id) => pool::max_backward(builder, id),
        "adaptive_avg_pool2d" if blockable(0) && node.attributes.pair("output_size") == Some([1, 1]) => {
            if narrow::pools(builder, id) {
                narrow::global_pool(builder, id)
            } else {
                pool::global(builder, id)
            }
        }
        "adaptive_avg_pool2d_backward"
            if input(0).is_some_and(|grad| pool::is_of_pixels(builder.value(grad))) =>
        {
            pool::global_backward(builder, id)
        }
        "conv2d_grad_input" => match convolution::shape_of_gradient(builder, id, true) {
            Some(shape) => convolution::grad_input(builder, id, &shape),
            None => generic(builder, id),
        },
        "conv2d_grad_weight" => match convolution::shape_of_gradient(builder, id, false) {
            Some(shape) => convolution::grad_weight(builder, id, &shape),
            None => generic(builder, id),
        },
        "assign" => assign(builder, id),
        _ => generic(builder, id),
    }
}

/// A node as the operation of its name.
///
/// # Errors
/// There is no such operation.
pub fn generic(builder: &mut Builder<'_>, id: NodeId) -> Result<(), CompileError> {
    let node = &builder.program.nodes[id];
    let operation = builder.registry().operation(&node.op, &node.attributes).ok_or_else(|| {
        builder.refuse(&format!("{:?} has no native operation with these attributes", node.op))
    })?;
    let mut inputs = Vec::with_capacity(node.inputs.len());
    for &value in &node.inputs {
        inputs.push(match value {
            None => None,
            Some(value) if node.strided || writes_in_place(builder, id, value) => Some(builder.input(value)),
            Some(value) => Some(builder.dense_input(value)?),
        });
    }
    let is_strided = |value: &&ValueId| !node.strided && !builder.value(**value).is_dense();
    if let Some(&value) = node.outputs.iter().find(is_strided) {
        return Err(builder.refuse(&format!("{} is written in strides", builder.value(value).name)));
    }
    let outputs = node.outputs.iter().map(|&value| builder.output(value)).collect();
    builder.push(node.op.clone(), Generic { operation, outputs, inputs });
    Ok(())
}

fn writes_in_place(builder: &Builder<'_>, id: NodeId, value: ValueId) -> bool {
    builder.program.nodes[id].writes.contains(&builder.value(value).storage)
}

/// `assign`: a copy into every so manieth element of a tensor, from some place on.
fn assign(builder: &mut Builder<'_>, id: NodeId) -> Result<(), CompileError> {
    let node = &builder.program.nodes[id];
    let (Some(Some(target)), Some(Some(from))) = (node.inputs.first(), node.inputs.get(1)) else {
        return Err(builder.refuse("\"assign\" takes two tensors"));
    };
    let (Some(starts), Some(steps)) = (node.attributes.ints("starts"), node.attributes.ints("steps")) else {
        return Err(builder.refuse("\"assign\" has starts and steps"));
    };
    let operation = builder
        .registry()
        .operation("copy", &crate::Attributes::default())
        .ok_or_else(|| builder.refuse("\"copy\" has no native operation"))?;
    let from_value: &Value = builder.value(*from);
    let strides = builder.value(*target).axes.strides();
    let mut offset = builder.value(*target).offset as isize;
    if from_value.count() > 0 {
        offset += starts.iter().zip(strides).map(|(&start, &stride)| start as isize * stride).sum::<isize>();
    }
    let strides: Vec<isize> =
        steps.iter().zip(strides).map(|(&step, &stride)| step as isize * stride).collect();
    let axes = Axes::new(from_value.sizes(), &strides).map_err(|error| builder.refuse(&error.to_string()))?;
    // The rest of the target stays as it is, so that it has to be where the program has it.
    builder.input(*target);
    let whole = builder.output(node.outputs[0]);
    let place = Place { offset: offset as usize * from_value.dtype.size(), ..whole.place };
    let to = Tensor { place, dtype: whole.dtype, axes };
    let from = builder.input(*from);
    builder.push("assign", Copy { operation, from, to });
    Ok(())
}
