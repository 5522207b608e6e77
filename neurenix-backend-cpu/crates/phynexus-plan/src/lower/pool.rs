//! Pools over blocks of channels.

use crate::builder::Builder;
use crate::error::CompileError;
use crate::fusion::is_blockable;
use crate::program::{NodeId, Value};
use crate::steps::{GlobalPool, GlobalPoolBackward, MaxPool, MaxPoolBackward, Windows};

/// Whether nobody but backwards of pools reads the indices of a maximum pool: then they may be in
/// a form of their own.
pub fn is_private(builder: &Builder<'_>, node: NodeId) -> bool {
    let [values, indices] = builder.program.nodes[node].outputs[..] else { return false };
    let storage = builder.value(indices).storage;
    let is_backward = |&reader: &NodeId| {
        let reader = &builder.program.nodes[reader];
        reader.op == "max_pool2d_backward"
            && reader.inputs[1] == Some(indices)
            && reader.inputs[0].is_some_and(|grad| is_blockable(builder.program, grad))
    };
    is_blockable(builder.program, values)
        && !builder.program.is_external(indices)
        && builder.uses.shared[storage] == 1
        && builder.uses.readers[indices].iter().all(is_backward)
}

/// Whether the backward of a pool reads such indices.
pub fn is_of_private(builder: &Builder<'_>, node: NodeId) -> bool {
    builder.program.nodes[node].inputs[1].is_some_and(|indices| builder.is_blocked(indices))
}

pub fn windows(builder: &Builder<'_>, node: NodeId) -> Option<Windows> {
    let node = &builder.program.nodes[node];
    let size = |value: &Value| Some([value.sizes()[2], value.sizes()[3]]);
    let [(top, _), (left, _)] = node.attributes.border("padding")?;
    Some(Windows {
        in_size: size(builder.value(node.inputs[0]?))?,
        out_size: size(builder.value(node.outputs[0]))?,
        kernel: node.attributes.pair("kernel_size")?,
        stride: node.attributes.pair("stride")?,
        before: [top, left],
        dilation: node.attributes.pair("dilation")?,
    })
}

/// Lowers a maximum pool.
pub fn max(builder: &mut Builder<'_>, id: NodeId) -> Result<(), CompileError> {
    let windows = windows(builder, id).ok_or_else(|| builder.refuse("attributes of a pool"))?;
    let node = &builder.program.nodes[id];
    let x = node.inputs[0].expect("a pool has an input");
    let planes = builder.planes(x);
    let from = builder.blocks(x)?;
    let out = builder.blocks_output(node.outputs[0]);
    let is_read = !builder.uses.readers[node.outputs[1]].is_empty();
    let indices = is_read.then(|| builder.private_blocks(node.outputs[1]));
    builder.push("max_pool2d in blocks", MaxPool { planes, windows, x: from, out, indices });
    Ok(())
}

/// Lowers its backward.
pub fn max_backward(builder: &mut Builder<'_>, id: NodeId) -> Result<(), CompileError> {
    let node = &builder.program.nodes[id];
    let (Some(grad), Some(indices)) = (node.inputs[0], node.inputs[1]) else {
        return Err(builder.refuse("an input is missing"));
    };
    let pool = builder.uses.producer[indices].expect("indices come from a pool");
    let windows = windows(builder, pool).ok_or_else(|| builder.refuse("attributes of a pool"))?;
    let planes = builder.planes(node.outputs[0]);
    let grad = builder.blocks(grad)?;
    let indices = builder.blocks(indices)?;
    let dx = builder.blocks_output(node.outputs[0]);
    builder.push("max_pool2d_backward in blocks", MaxPoolBackward { planes, windows, grad, indices, dx });
    Ok(())
}

/// Whether a tensor has planes of one pixel.
pub fn is_of_pixels(value: &Value) -> bool {
    matches!(value.sizes(), &[_, _, 1, 1]) && value.dtype == phynexus_kernels::DType::F32
}

/// Lowers the mean of every plane.
pub fn global(builder: &mut Builder<'_>, id: NodeId) -> Result<(), CompileError> {
    let node = &builder.program.nodes[id];
    let x = node.inputs[0].expect("a pool has an input");
    let planes = builder.planes(x);
    let from = builder.blocks(x)?;
    let out = builder.output(node.outputs[0]).place;
    builder.push("adaptive_avg_pool2d from blocks", GlobalPool { planes, x: from, out });
    Ok(())
}

/// Lowers its backward.
pub fn global_backward(builder: &mut Builder<'_>, id: NodeId) -> Result<(), CompileError> {
    let node = &builder.program.nodes[id];
    let grad = node.inputs[0].expect("a pool has an input");
    let planes = builder.planes(node.outputs[0]);
    let grad = builder.dense_input(grad)?.place;
    let dx = builder.blocks_output(node.outputs[0]);
    builder.push("adaptive_avg_pool2d_backward to blocks", GlobalPoolBackward { planes, grad, dx });
    Ok(())
}
