//! A program: values, the nodes that compute them, and the memory that they share.
//!
//! It is what a traced graph is to this crate. Values are computed once, in the order of the nodes;
//! a view shares the storage of its source and has no node; what an op writes in place is a new
//! value over the old one's storage. A value is not read any more once its storage was written.

use std::collections::BTreeMap;

use phynexus_kernels::{Axes, DType};

use crate::{Attributes, Precision};

/// Number of a storage.
pub type StorageId = usize;
/// Number of a value.
pub type ValueId = usize;
/// Number of a node: its place in the order.
pub type NodeId = usize;

/// Where the memory of a storage comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The plan's own memory, for the length of a run.
    Run,
    /// Whoever runs the plan gives the address: external memory of this number.
    External(usize),
}

/// Memory that values share.
#[derive(Clone, Debug)]
pub struct Storage {
    /// Where it comes from.
    pub origin: Origin,
    /// Bytes that the values over it span.
    pub bytes: usize,
    /// External memory that no run writes, and of which a run is told when it has changed: weights
    /// in it may be kept in another form.
    pub constant: bool,
}

/// A tensor of the program.
#[derive(Clone, Debug)]
pub struct Value {
    /// The elements' dtype.
    pub dtype: DType,
    /// Sizes and strides, in elements.
    pub axes: Axes,
    /// Where the first element lies in the storage, in elements.
    pub offset: usize,
    /// The memory.
    pub storage: StorageId,
    /// What it is called in messages.
    pub name: String,
}

impl Value {
    /// Whether the elements fill the storage from its start, in row-major order.
    pub fn is_dense(&self) -> bool {
        self.axes.is_dense()
    }

    /// The sizes, one an axis.
    pub fn sizes(&self) -> &[usize] {
        self.axes.sizes()
    }

    /// How many elements there are.
    pub fn count(&self) -> usize {
        self.axes.count()
    }

    /// Bytes from its start to its first element.
    pub fn offset_bytes(&self) -> usize {
        self.offset * self.dtype.size()
    }
}

/// One op on values.
#[derive(Clone, Debug)]
pub struct Node {
    /// The op's name.
    pub op: String,
    /// Its attributes.
    pub attributes: Attributes,
    /// Its inputs; `None` where the op leaves one out.
    pub inputs: Vec<Option<ValueId>>,
    /// What it computes.
    pub outputs: Vec<ValueId>,
    /// Storages of its inputs that it writes in place.
    pub writes: Vec<StorageId>,
    /// Whether the kernel of the op reads inputs of any strides, and writes such in place.
    pub strided: bool,
}

/// A program; see the module's description.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// What it is called in messages.
    pub name: String,
    /// All storages.
    pub storages: Vec<Storage>,
    /// All values.
    pub values: Vec<Value>,
    /// The nodes, in order.
    pub nodes: Vec<Node>,
    /// How many addresses a run is given.
    pub externals: usize,
    /// In what numbers its plan computes.
    pub precision: Precision,
    /// For 8-bit integers: the largest absolute value that each activation takes.
    pub ranges: BTreeMap<ValueId, f32>,
}

impl Program {
    /// The storage of a value.
    pub fn storage_of(&self, value: ValueId) -> &Storage {
        &self.storages[self.values[value].storage]
    }

    /// Whether a value lies in memory from outside.
    pub fn is_external(&self, value: ValueId) -> bool {
        self.storage_of(value).origin != Origin::Run
    }

    /// A node as messages show it: `out = op(x: float32[2, 3])`.
    pub fn describe_node(&self, node: NodeId) -> String {
        let node = &self.nodes[node];
        let shown = |value: &ValueId| {
            let value = &self.values[*value];
            format!("{}: {}{:?}", value.name, value.dtype, value.sizes())
        };
        let inputs: Vec<String> =
            node.inputs.iter().map(|value| value.as_ref().map_or("none".to_owned(), shown)).collect();
        let outputs: Vec<String> = node.outputs.iter().map(shown).collect();
        format!("{} = {}({})", outputs.join(", "), node.op, inputs.join(", "))
    }
}

/// Who reads and writes what, for questions about the order of nodes.
#[derive(Debug)]
pub struct Uses {
    /// The nodes that read each value, in order.
    pub readers: Vec<Vec<NodeId>>,
    /// The node that computes each value.
    pub producer: Vec<Option<NodeId>>,
    /// How many values lie over each storage.
    pub shared: Vec<usize>,
}

impl Uses {
    /// Gathers them.
    pub fn of(program: &Program) -> Self {
        let mut uses = Self {
            readers: vec![Vec::new(); program.values.len()],
            producer: vec![None; program.values.len()],
            shared: vec![0; program.storages.len()],
        };
        for value in &program.values {
            uses.shared[value.storage] += 1;
        }
        for (id, node) in program.nodes.iter().enumerate() {
            for &value in node.inputs.iter().flatten() {
                if uses.readers[value].last() != Some(&id) {
                    uses.readers[value].push(id);
                }
            }
            for &value in &node.outputs {
                uses.producer[value] = Some(id);
            }
        }
        uses
    }

    /// The one node that reads a value, if there is one, and nobody else sees the value's storage.
    pub fn only_reader(&self, program: &Program, value: ValueId) -> Option<NodeId> {
        let storage = program.values[value].storage;
        match self.readers[value][..] {
            [reader] if self.shared[storage] == 1 && !program.is_external(value) => Some(reader),
            _ => None,
        }
    }
}
