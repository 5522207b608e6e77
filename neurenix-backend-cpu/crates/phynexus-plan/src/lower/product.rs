//! Linear layers and products of matrices.

use phynexus_kernels::DType;

use super::{generic, narrow};
use crate::builder::Builder;
use crate::error::CompileError;
use crate::fusion::Layer;
use crate::memory::Tensor;
use crate::precision::Precision;
use crate::program::NodeId;
use crate::steps::{Linear, Matmul, Matrix, PackMatrix};

/// The last two axes of a tensor.
fn matrix(tensor: &Tensor) -> Matrix {
    let (sizes, strides) = (tensor.axes.sizes(), tensor.axes.strides());
    let rank = sizes.len();
    Matrix {
        place: tensor.place,
        rows: sizes[rank - 2],
        cols: sizes[rank - 1],
        row_stride: strides[rank - 2],
        col_stride: strides[rank - 1],
    }
}

/// All axes but the last as rows.
fn rows(tensor: &Tensor) -> Matrix {
    let cols = *tensor.axes.sizes().last().unwrap_or(&1);
    Matrix::dense(tensor.place, tensor.axes.count() / cols.max(1), cols)
}

/// Lowers a linear layer with what is fused into it.
pub fn linear(builder: &mut Builder<'_>, layer: &Layer) -> Result<(), CompileError> {
    let node = &builder.program.nodes[layer.node];
    let (Some(x), Some(weight)) = (node.inputs[0], node.inputs[1]) else {
        return Err(builder.refuse("an input is missing"));
    };
    let is_float = node.inputs.iter().flatten().all(|&value| builder.value(value).dtype == DType::F32);
    let is_plain = builder.value(x).sizes().len() > 1 && builder.value(x).count() > 0;
    if !is_float || !is_plain {
        return if layer.out == node.outputs[0] {
            generic(builder, layer.node)
        } else {
            Err(builder.refuse("a linear layer of this dtype or shape"))
        };
    }
    let kept = match narrow::linear(builder, layer)? {
        Ok(()) => return Ok(()),
        Err(kept) => kept,
    };
    let two_axes = builder.value(x).sizes().len() == 2;
    let x = if two_axes { matrix(&builder.input(x)) } else { rows(&builder.dense_input(x)?) };
    let transposed = matrix(&builder.input(weight)).t();
    let bias = match node.inputs[2] {
        Some(bias) => Some(builder.dense_input(bias)?.place),
        None => None,
    };
    let residual = match layer.residual {
        Some(value) => Some(rows(&builder.dense_input(value)?)),
        None => None,
    };
    let weights = builder.keep(&[weight], PackMatrix(transposed));
    let out = rows(&builder.output(layer.out));
    let label = format!("linear{}{kept}", epilogue_label(layer));
    builder.push(label, Linear { x, weight: transposed, weights, bias, residual, relu: layer.relu, out });
    Ok(())
}

/// What a layer's label says of its epilogue.
pub fn epilogue_label(layer: &Layer) -> String {
    let residual = if layer.residual.is_some() { "+add" } else { "" };
    let relu = if layer.relu { "+relu" } else { "" };
    format!("{residual}{relu}")
}

/// Whether the engine's own product does a `matmul`.
pub fn is_native(builder: &Builder<'_>, id: NodeId) -> bool {
    let node = &builder.program.nodes[id];
    let out = builder.value(node.outputs[0]);
    node.inputs.iter().flatten().all(|&value| builder.value(value).dtype == DType::F32)
        && out.is_dense()
        && out.count() > 0
}

/// Lowers a `matmul`.
pub fn matmul(builder: &mut Builder<'_>, id: NodeId) -> Result<(), CompileError> {
    let node = &builder.program.nodes[id];
    let (Some(a), Some(b)) = (node.inputs[0], node.inputs[1]) else {
        return Err(builder.refuse("an input is missing"));
    };
    let (a, b, out) = (builder.input(a), builder.input(b), builder.output(node.outputs[0]));
    let rank = out.axes.sizes().len();
    let dims = out.axes.sizes()[..rank - 2].to_vec();
    // Leading axes broadcast: those that are missing, or of one index, are stepped over by 0.
    let strides = |tensor: &Tensor| {
        let own = tensor.axes.sizes().len() - 2;
        let missing = dims.len() - own;
        (0..dims.len())
            .map(|axis| match axis.checked_sub(missing) {
                Some(axis) if tensor.axes.sizes()[axis] != 1 => tensor.axes.strides()[axis],
                _ => 0,
            })
            .collect()
    };
    let strides = [strides(&a), strides(&b), strides(&out)];
    let label = match builder.program.precision {
        Precision::Float32 => "matmul",
        _ => "matmul in float32",
    };
    builder.push(label, Matmul { a: matrix(&a), b: matrix(&b), out: matrix(&out), dims, strides });
    Ok(())
}
