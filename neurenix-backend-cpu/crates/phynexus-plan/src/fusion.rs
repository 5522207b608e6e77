//! Fusion: which nodes run as one step.
//!
//! What follows a convolution or a linear layer (a residual that is added, an activation) goes into
//! its epilogue; elementwise ops that read one another become a chain; a batch norm heads the
//! chain that reads its result, and the backward of one ends the chain that makes its gradient.

use phynexus_kernels::DType;

use crate::attributes::Attributes;
use crate::elementwise::{Binary, MAX_OPERANDS, Planes, Unary};
use crate::order::{Order, Units};
use crate::precision::Precision;
use crate::program::{NodeId, Program, Uses, ValueId};

/// What a unit is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// One node, whatever it is.
    Single,
    /// A product of weights: a convolution or a linear layer, and its epilogue.
    Layer(Layer),
    /// A chain of elementwise ops, with what heads or ends it.
    Chain {
        /// A batch norm whose result the chain reads.
        head: Option<NodeId>,
        /// The backward of a batch norm whose incoming gradient the chain computes.
        tail: Option<NodeId>,
    },
}

/// A layer and what is fused into it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layer {
    /// The convolution or linear layer.
    pub node: NodeId,
    /// What is added to its result.
    pub residual: Option<ValueId>,
    /// Whether negative results become zero.
    pub relu: bool,
    /// The value that it computes in the end.
    pub out: ValueId,
}

/// Units with what each is.
#[derive(Debug)]
pub struct Fused {
    /// The nodes of the units.
    pub units: Units,
    /// What each unit is.
    pub kinds: Vec<Kind>,
}

/// An elementwise op that chains know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elementwise {
    /// Of one operand.
    Unary(Unary),
    /// Of two.
    Binary(Binary),
    /// `where`
    Select,
}

impl Elementwise {
    /// The op of a name, with its attributes.
    pub fn named(op: &str, attributes: &Attributes) -> Option<Self> {
        Some(match op {
            "neg" => Self::Unary(Unary::Neg),
            "abs" => Self::Unary(Unary::Abs),
            "relu" => Self::Unary(Unary::Relu),
            "sqrt" => Self::Unary(Unary::Sqrt),
            "floor" => Self::Unary(Unary::Floor),
            "round" => Self::Unary(Unary::Round),
            "exp" => Self::Unary(Unary::Exp),
            "tanh" => Self::Unary(Unary::Tanh),
            "erf" => Self::Unary(Unary::Erf),
            "sigmoid" => Self::Unary(Unary::Sigmoid),
            "silu" => Self::Unary(Unary::Silu),
            "gelu" => match attributes.text("approximate")? {
                "none" => Self::Unary(Unary::Gelu { by_tanh: false }),
                "tanh" => Self::Unary(Unary::Gelu { by_tanh: true }),
                _ => return None,
            },
            "add" => Self::Binary(Binary::Add),
            "sub" => Self::Binary(Binary::Sub),
            "mul" => Self::Binary(Binary::Mul),
            "div" => Self::Binary(Binary::Div),
            "maximum" => Self::Binary(Binary::Max),
            "minimum" => Self::Binary(Binary::Min),
            "lt" => Self::Binary(Binary::Lt),
            "le" => Self::Binary(Binary::Le),
            "gt" => Self::Binary(Binary::Gt),
            "ge" => Self::Binary(Binary::Ge),
            "eq" => Self::Binary(Binary::Eq),
            "ne" => Self::Binary(Binary::Ne),
            "where" => Self::Select,
            _ => return None,
        })
    }

    /// Whether it gives truth values.
    pub fn compares(self) -> bool {
        use Binary::{Eq, Ge, Gt, Le, Lt, Ne};
        matches!(self, Self::Binary(Lt | Le | Gt | Ge | Eq | Ne))
    }
}

/// Returns the elementwise op of a node that can be part of a chain: on floats, with dense operands
/// of the result's shape, or numbers.
pub fn chained(program: &Program, node: NodeId) -> Option<Elementwise> {
    let node = &program.nodes[node];
    let op = Elementwise::named(&node.op, &node.attributes)?;
    let &[out] = &node.outputs[..] else { return None };
    let out = &program.values[out];
    if out.dtype != if op.compares() { DType::Bool } else { DType::F32 } || !out.is_dense() {
        return None;
    }
    for (index, &input) in node.inputs.iter().enumerate() {
        let input = &program.values[input?];
        let expected = if op == Elementwise::Select && index == 0 { DType::Bool } else { DType::F32 };
        let fits =
            input.sizes() == out.sizes() && input.is_dense() || input.count() == 1 && expected == DType::F32;
        if input.dtype != expected || !fits {
            return None;
        }
    }
    Some(op)
}

/// Returns the units of a program.
pub fn fuse(program: &Program, uses: &Uses, order: &Order) -> Fused {
    let mut fusion = Fusion {
        program,
        uses,
        order,
        fused: Fused {
            units: Units::single(program.nodes.len()),
            kinds: vec![Kind::Single; program.nodes.len()],
        },
    };
    for node in 0..program.nodes.len() {
        if matches!(program.nodes[node].op.as_str(), "conv2d" | "linear") {
            fusion.fuse_layer(node);
        }
    }
    for node in 0..program.nodes.len() {
        fusion.extend_chain(node);
    }
    fusion.fused
}

struct Fusion<'a> {
    program: &'a Program,
    uses: &'a Uses,
    order: &'a Order,
    fused: Fused,
}

impl Fusion<'_> {
    fn fuse_layer(&mut self, node: NodeId) {
        let program = self.program;
        let mut layer = Layer { node, residual: None, relu: false, out: program.nodes[node].outputs[0] };
        if program.values[layer.out].dtype != DType::F32 {
            return;
        }
        // Narrow linear layers add nothing but their bias.
        let adds = program.precision == Precision::Float32 || program.nodes[node].op == "conv2d";
        if adds && let Some(next) = self.follower(layer.out, "add", node) {
            let [Some(x), Some(y)] = program.nodes[next].inputs[..] else { return };
            let other = if x == layer.out { y } else { x };
            let sizes = program.values[layer.out].sizes();
            if other != layer.out && program.values[other].sizes() == sizes {
                layer = Layer { residual: Some(other), out: program.nodes[next].outputs[0], ..layer };
                self.fused.units.join(&[node, next]);
            }
        }
        if let Some(next) = self.follower(layer.out, "relu", node) {
            layer = Layer { relu: true, out: program.nodes[next].outputs[0], ..layer };
            self.fused.units.join(&[node, next]);
        }
        self.fused.kinds[node] = Kind::Layer(layer);
    }

    /// The node of an op that alone reads a value, if a unit can take it in.
    fn follower(&self, value: ValueId, op: &str, unit: usize) -> Option<NodeId> {
        let next = self.uses.only_reader(self.program, value)?;
        let fits = self.program.nodes[next].op == op
            && chained(self.program, next).is_some()
            && self.fused.units.of[next] == next
            && self.fused.units.can_join(self.order, &[unit, next]);
        fits.then_some(next)
    }

    /// Lets a node start a chain, or join those that it reads.
    fn extend_chain(&mut self, node: NodeId) {
        let program = self.program;
        if self.fused.units.of[node] != node || self.fused.kinds[node] != Kind::Single {
            return;
        }
        let (is_op, is_head, is_tail) =
            (chained(program, node).is_some(), self.is_head(node), self.is_tail(node));
        if !(is_op || is_head || is_tail) || self.waits_for_its_reader(node) {
            return;
        }
        let own = &program.nodes[node];
        let read = if is_head {
            &[][..]
        } else if is_tail {
            &own.inputs[..1]
        } else {
            &own.inputs[..]
        };
        let mut units = vec![node];
        for &value in read.iter().flatten() {
            let Some(producer) = self.uses.producer[value] else { continue };
            let unit = self.fused.units.of[producer];
            if self.waits_for_its_reader(producer) && unit == producer {
                units.push(unit);
                if !self.can_be_chain(&units, None) {
                    units.pop();
                }
                continue;
            }
            let Kind::Chain { head, tail } = &self.fused.kinds[unit] else { continue };
            // Only a batch norm's result runs through the chain, not its statistics.
            let streams = *head != Some(producer) || program.nodes[producer].outputs[0] == value;
            let fits = tail.is_none() && streams && self.sizes_of(unit) == self.sizes_of(node);
            let heads = units.iter().filter(|&&unit| self.head_of(unit).is_some()).count();
            if !fits || units.contains(&unit) || heads > 0 && head.is_some() || is_tail && head.is_some() {
                continue;
            }
            units.push(unit);
            if !self.can_be_chain(&units, is_tail.then_some(node)) {
                units.pop();
            }
        }
        let head = if is_head { Some(node) } else { units.iter().find_map(|&unit| self.head_of(unit)) };
        let into = *units.last().expect("the node's own");
        units.reverse();
        self.fused.units.join(&units);
        self.fused.kinds[into] = Kind::Chain { head, tail: is_tail.then_some(node) };
    }

    /// A comparison that one `where` reads joins that chain: then its truth values need no memory.
    fn waits_for_its_reader(&self, node: NodeId) -> bool {
        let program = self.program;
        if !chained(program, node).is_some_and(Elementwise::compares) {
            return false;
        }
        let out = program.nodes[node].outputs[0];
        self.uses.only_reader(program, out).is_some_and(|reader| {
            let select = &program.nodes[reader];
            chained(program, reader) == Some(Elementwise::Select) && select.inputs[0] == Some(out)
        })
    }

    fn can_be_chain(&self, units: &[usize], tail: Option<NodeId>) -> bool {
        let needs_blocks = tail.is_some() || units.iter().any(|&unit| self.head_of(unit).is_some());
        self.operands(units) <= MAX_OPERANDS
            && !(needs_blocks && self.shares_truth_values(units))
            && self.fused.units.can_join(self.order, units)
    }

    /// Whether truth values come from outside of units, or are read there.
    fn shares_truth_values(&self, units: &[usize]) -> bool {
        let program = self.program;
        let is_inside = |node: NodeId| units.contains(&self.fused.units.of[node]);
        let is_bool = |value: ValueId| program.values[value].dtype == DType::Bool;
        let nodes = units.iter().flat_map(|&unit| &self.fused.units.nodes[unit]);
        nodes.map(|&node| &program.nodes[node]).any(|node| {
            let mut read = node.inputs.iter().flatten().filter(|&&value| is_bool(value));
            let mut made = node.outputs.iter().filter(|&&value| is_bool(value));
            read.any(|&value| !self.uses.producer[value].is_some_and(is_inside))
                || made.any(|&value| {
                    program.is_external(value)
                        || !self.uses.readers[value].iter().all(|&node| is_inside(node))
                })
        })
    }

    fn head_of(&self, unit: usize) -> Option<NodeId> {
        match self.fused.kinds[unit] {
            Kind::Chain { head, .. } => head,
            _ => None,
        }
    }

    /// A bound of the number of operands that a chain of these units would have.
    fn operands(&self, units: &[usize]) -> usize {
        let nodes = units.iter().flat_map(|&unit| &self.fused.units.nodes[unit]);
        nodes.map(|&node| self.program.nodes[node].inputs.len()).sum::<usize>() + 4
    }

    fn sizes_of(&self, unit: usize) -> &[usize] {
        let node = *self.fused.units.nodes[unit].last().expect("a unit with nodes");
        self.program.values[self.program.nodes[node].outputs[0]].sizes()
    }

    fn is_head(&self, node: NodeId) -> bool {
        matches!(self.program.nodes[node].op.as_str(), "batch_norm_train" | "batch_norm_inference")
            && self.is_planes(node, 0)
    }

    fn is_tail(&self, node: NodeId) -> bool {
        self.program.nodes[node].op == "batch_norm_backward"
            && self.is_planes(node, 0)
            && self.is_planes(node, 1)
    }

    /// Whether an input is a tensor of floats that can lie in blocks of channels.
    fn is_planes(&self, node: NodeId, input: usize) -> bool {
        self.program.nodes[node].inputs[input].is_some_and(|value| is_blockable(self.program, value))
    }
}

/// Whether a value can lie in blocks of 16 channels: a tensor of floats with four axes.
pub fn is_blockable(program: &Program, value: ValueId) -> bool {
    let value = &program.values[value];
    value.dtype == DType::F32 && Planes::of(value.sizes()).is_some_and(|planes| planes.count() > 0)
}
