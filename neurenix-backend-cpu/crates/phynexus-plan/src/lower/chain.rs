//! Chains of elementwise nodes.

use std::collections::BTreeMap;

use phynexus_kernels::DType;

use crate::builder::Builder;
use crate::elementwise::{Chain, Instruction, OperandKind, Source};
use crate::error::CompileError;
use crate::fusion::{Elementwise, chained, is_blockable};
use crate::memory::Place;
use crate::program::{NodeId, ValueId};
use crate::steps::ChainStep;

/// A chain in the making.
pub struct Weaver<'b, 'a> {
    builder: &'b mut Builder<'a>,
    nodes: &'b [NodeId],
    /// Whether tensors lie in blocks of channels.
    blocked: bool,
    chain: Chain,
    places: Vec<Place>,
    known: BTreeMap<ValueId, Source>,
    /// Operands that are read, and those that are written, with their values.
    read: Vec<(usize, ValueId)>,
    written: Vec<(usize, ValueId)>,
}

impl<'b, 'a> Weaver<'b, 'a> {
    /// A chain of these nodes.
    pub fn new(builder: &'b mut Builder<'a>, nodes: &'b [NodeId], blocked: bool) -> Self {
        Self {
            builder,
            nodes,
            blocked,
            chain: Chain::default(),
            places: Vec::new(),
            known: BTreeMap::new(),
            read: Vec::new(),
            written: Vec::new(),
        }
    }

    /// Adds an operand.
    pub fn operand(&mut self, kind: OperandKind, place: Place) -> Source {
        self.places.push(place);
        Source::Operand(self.chain.operand(kind))
    }

    /// A tensor that is read.
    pub fn tensor(&mut self, value: ValueId) -> Result<Source, CompileError> {
        if let Some(&source) = self.known.get(&value) {
            return Ok(source);
        }
        let place =
            if self.blocked { self.builder.blocks(value)? } else { self.builder.dense_input(value)?.place };
        let source = self.operand(OperandKind::Tensor, place);
        self.read.push((self.places.len() - 1, value));
        self.known.insert(value, source);
        Ok(source)
    }

    fn source(&mut self, value: ValueId, sizes: &[usize]) -> Result<Source, CompileError> {
        if let Some(&source) = self.known.get(&value) {
            return Ok(source);
        }
        let described = self.builder.value(value);
        if described.sizes() != sizes || self.blocked && !is_blockable(self.builder.program, value) {
            let place = self.builder.input(value).place;
            let source = self.operand(OperandKind::Scalar, place);
            self.known.insert(value, source);
            return Ok(source);
        }
        if described.dtype == DType::Bool {
            let place = self.builder.dense_input(value)?.place;
            let Source::Operand(mask) = self.operand(OperandKind::Mask, place) else { unreachable!() };
            let register = self.chain.register();
            self.chain.instructions.push(Instruction::ReadMask(mask, register));
            self.known.insert(value, register);
            return Ok(register);
        }
        self.tensor(value)
    }

    /// Where a value goes: to memory if somebody outside reads it, else to a register.
    pub fn target(&mut self, value: ValueId) -> Source {
        let target = if is_seen(self.builder, self.nodes, value) {
            let place = if self.blocked {
                self.builder.blocks_output(value)
            } else {
                self.builder.output(value).place
            };
            let target = self.operand(OperandKind::Tensor, place);
            self.written.push((self.places.len() - 1, value));
            target
        } else {
            self.chain.register()
        };
        self.known.insert(value, target);
        target
    }

    /// Adds an instruction.
    pub fn push(&mut self, instruction: Instruction) {
        self.chain.instructions.push(instruction);
    }

    /// Adds an elementwise node.
    pub fn add(&mut self, node: NodeId) -> Result<(), CompileError> {
        let op = chained(self.builder.program, node).expect("an elementwise node");
        let described = &self.builder.program.nodes[node];
        let out = described.outputs[0];
        let sizes = self.builder.value(out).sizes();
        let mut sources = Vec::with_capacity(3);
        for &input in described.inputs.iter().flatten() {
            sources.push(self.source(input, sizes)?);
        }
        if self.builder.value(out).dtype == DType::Bool {
            let register = self.chain.register();
            self.known.insert(out, register);
            self.compute(op, &sources, register);
            if is_seen(self.builder, self.nodes, out) {
                let place = self.builder.output(out).place;
                let Source::Operand(mask) = self.operand(OperandKind::Mask, place) else { unreachable!() };
                self.push(Instruction::WriteMask(register, mask));
            }
            return Ok(());
        }
        let target = self.target(out);
        self.compute(op, &sources, target);
        Ok(())
    }

    fn compute(&mut self, op: Elementwise, sources: &[Source], target: Source) {
        self.push(match (op, sources) {
            (Elementwise::Unary(op), &[x]) => Instruction::Unary(op, x, target),
            (Elementwise::Binary(op), &[x, y]) => Instruction::Binary(op, x, y, target),
            (Elementwise::Select, &[c, x, y]) => Instruction::Select([c, x, y], target),
            _ => unreachable!("{op:?} of {} operands", sources.len()),
        });
    }

    /// Where a value is that was computed or read.
    pub fn place_of(&self, value: ValueId) -> Option<Place> {
        match self.known.get(&value)? {
            Source::Operand(operand) => Some(self.places[*operand]),
            Source::Register(_) => None,
        }
    }

    /// Sends a value to a place, also one that is not seen outside.
    pub fn store(&mut self, value: ValueId, place: Place) -> Place {
        match self.known[&value] {
            Source::Operand(operand) => self.places[operand],
            Source::Register(register) => {
                let operand = self.operand(OperandKind::Tensor, place);
                for instruction in &mut self.chain.instructions {
                    instruction.redirect(Source::Register(register), operand);
                }
                self.known.insert(value, operand);
                self.written.push((self.places.len() - 1, value));
                place
            }
        }
    }

    /// Leaves a tensor where it is, although the chain may not read it any more.
    pub fn keep(&mut self, place: Place) {
        let places = &self.places;
        self.read.retain(|&(operand, _)| places[operand].buffer != place.buffer);
    }

    /// Lets results take the place of tensors that are not read after they are written.
    pub fn share_memory(&mut self) {
        for &(out, _) in &self.written {
            let first_write = self.chain.first_write(Source::Operand(out));
            for &(operand, _) in &self.read {
                let last_read = self.chain.last_read(Source::Operand(operand));
                if last_read <= first_write
                    && self.places[operand].offset == 0
                    && self.places[out].offset == 0
                {
                    self.builder.may_succeed(self.places[out].buffer, self.places[operand].buffer);
                }
            }
        }
    }

    /// The chain as a step.
    pub fn finish(mut self, count: usize) -> ChainStep {
        self.share_memory();
        self.chain.pack_registers();
        let out = self.builder.program.nodes[*self.nodes.last().expect("nodes")].outputs[0];
        ChainStep {
            chain: self.chain,
            operands: self.places,
            written: self.written.iter().map(|&(operand, _)| operand).collect(),
            count,
            planes: self.blocked.then(|| self.builder.planes(out)),
        }
    }
}

/// Whether a value is seen outside of nodes.
pub fn is_seen(builder: &Builder<'_>, nodes: &[NodeId], value: ValueId) -> bool {
    let storage = builder.value(value).storage;
    builder.program.is_external(value)
        || builder.uses.shared[storage] > 1
        || builder.uses.readers[value].iter().any(|reader| !nodes.contains(reader))
}

/// Lowers a chain without a batch norm at either end.
pub fn lower(builder: &mut Builder<'_>, nodes: &[NodeId]) -> Result<(), CompileError> {
    let out = builder.program.nodes[*nodes.last().expect("nodes")].outputs[0];
    let count = builder.value(out).count();
    if count == 0 {
        return Ok(());
    }
    let blocked = suits_blocks(builder, nodes, out);
    let mut weaver = Weaver::new(builder, nodes, blocked);
    for &node in nodes {
        weaver.add(node)?;
    }
    let step = weaver.finish(count);
    let names: Vec<&str> = nodes.iter().map(|&node| builder.program.nodes[node].op.as_str()).collect();
    let label = format!("{}{}", names.join("+"), if blocked { " in blocks" } else { "" });
    builder.push(label, step);
    Ok(())
}

/// Whether a chain is best computed in blocks of channels: where an operand lies so already.
fn suits_blocks(builder: &Builder<'_>, nodes: &[NodeId], out: ValueId) -> bool {
    let program = builder.program;
    let sizes = builder.value(out).sizes();
    if Some(sizes.len()) != Some(4) {
        return false;
    }
    let (mut any, mut possible) = (false, true);
    for node in nodes.iter().map(|&node| &program.nodes[node]) {
        for &value in node.inputs.iter().flatten().chain(&node.outputs) {
            let described = builder.value(value);
            if described.dtype == DType::Bool {
                let made = builder.uses.producer[value].is_some_and(|producer| nodes.contains(&producer));
                possible &= made && !is_seen(builder, nodes, value);
            } else if described.sizes() == sizes {
                any |= builder.is_blocked(value);
                let written = node.outputs.contains(&value);
                possible &= !written || builder.uses.shared[described.storage] == 1;
            }
        }
    }
    any && possible
}
