//! Batch norms over blocks of channels, with the elementwise nodes after and before them.

use phynexus_simd::LANES;

use super::chain::Weaver;
use crate::builder::Builder;
use crate::elementwise::{Instruction, OperandKind};
use crate::error::CompileError;
use crate::memory::Place;
use crate::program::{NodeId, ValueId};
use crate::steps::{BatchNorm, BatchNormBackward, NormSource};

/// Bytes of two sets of 16 sums.
const MOMENTS_BYTES: usize = 2 * LANES * size_of::<f32>();

fn dense_place(builder: &mut Builder<'_>, value: Option<ValueId>) -> Result<Option<Place>, CompileError> {
    value.map(|value| Ok(builder.dense_input(value)?.place)).transpose()
}

/// Lowers a batch norm and the chain that reads its result.
pub fn forward(builder: &mut Builder<'_>, nodes: &[NodeId], head: NodeId) -> Result<(), CompileError> {
    let node = &builder.program.nodes[head];
    let trains = node.op == "batch_norm_train";
    let input = |index: usize| node.inputs.get(index).copied().flatten();
    let (x, out) = (input(0).ok_or_else(|| builder.refuse("no x"))?, node.outputs[0]);
    let eps = node.attributes.float("eps").ok_or_else(|| builder.refuse("no eps"))? as f32;
    let planes = builder.planes(x);
    let first = if trains { 1 } else { 3 };
    let weight = dense_place(builder, input(first))?;
    let bias = dense_place(builder, input(first + 1))?;
    let statistics = if trains {
        NormSource::Batch {
            mean: builder.output(node.outputs[1]).place,
            rstd: builder.output(node.outputs[2]).place,
            var: builder.output(node.outputs[3]).place,
            moments: builder.scratch(planes.samples * planes.blocks() * MOMENTS_BYTES),
        }
    } else {
        let mut given = |index| dense_place(builder, input(index)).map(|place| place.expect("a statistic"));
        NormSource::Given { mean: given(1)?, var: given(2)? }
    };
    let channel_bytes = planes.blocks() * LANES * size_of::<f32>();
    let channels: [Place; 3] = std::array::from_fn(|_| builder.scratch(channel_bytes));
    let mut weaver = Weaver::new(builder, nodes, true);
    let from = weaver.tensor(x)?;
    let x = weaver.place_of(x).expect("an operand");
    let [mean, scale, shift] = channels.map(|place| weaver.operand(OperandKind::Channel, place));
    let normal = weaver.target(out);
    weaver.push(Instruction::Normalize([from, mean, scale, shift], normal));
    for &node in nodes.iter().filter(|&&node| node != head) {
        weaver.add(node)?;
    }
    let chain = weaver.finish(0);
    let names: Vec<&str> = nodes.iter().map(|&node| builder.program.nodes[node].op.as_str()).collect();
    let label = format!("{} in blocks", names.join("+"));
    builder.push(label, BatchNorm { planes, x, weight, bias, eps, statistics, channels, chain });
    Ok(())
}

/// Lowers the backward of a batch norm and the chain that computes its incoming gradient.
pub fn backward(builder: &mut Builder<'_>, nodes: &[NodeId], tail: NodeId) -> Result<(), CompileError> {
    let node = &builder.program.nodes[tail];
    let required = |builder: &Builder<'_>, index: usize| {
        node.inputs.get(index).copied().flatten().ok_or_else(|| builder.refuse("an input is missing"))
    };
    let (grad, x) = (required(builder, 0)?, required(builder, 1)?);
    let (mean, rstd) = (required(builder, 3)?, required(builder, 4)?);
    let planes = builder.planes(x);
    let weight = dense_place(builder, node.inputs[2])?;
    let (mean, rstd) = (builder.dense_input(mean)?.place, builder.dense_input(rstd)?.place);
    let x = builder.blocks(x)?;
    let sums = builder.scratch(planes.samples * planes.blocks() * MOMENTS_BYTES);
    let factors = builder.scratch(planes.blocks() * 2 * MOMENTS_BYTES);
    let dx = builder.blocks_output(node.outputs[0]);
    let dweight = builder.output(node.outputs[1]).place;
    let dbias = builder.output(node.outputs[2]).place;
    let others: Vec<NodeId> = nodes.iter().copied().filter(|&node| node != tail).collect();
    let (chain, grad) = if others.is_empty() {
        (None, builder.blocks(grad)?)
    } else {
        let mut weaver = Weaver::new(builder, nodes, true);
        for &node in &others {
            weaver.add(node)?;
        }
        // A gradient that nobody else reads lies where that of x will be. It is written while x is
        // still needed.
        let grad = weaver.store(grad, dx);
        weaver.keep(x);
        (Some(weaver.finish(0)), grad)
    };
    if grad != dx {
        builder.may_succeed(dx.buffer, grad.buffer);
        builder.may_succeed(dx.buffer, x.buffer);
    }
    let names: Vec<&str> = nodes.iter().map(|&node| builder.program.nodes[node].op.as_str()).collect();
    let label = format!("{} in blocks", names.join("+"));
    builder.push(
        label,
        BatchNormBackward { planes, chain, grad, x, weight, mean, rstd, dx, dweight, dbias, sums, factors },
    );
    Ok(())
}
