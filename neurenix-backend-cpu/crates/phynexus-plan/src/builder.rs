//! What lowering writes to: buffers, steps, and weights that are kept.

mod narrow;

use std::collections::BTreeMap;

use phynexus_kernels::{Axes, KernelError};

use crate::elementwise::Planes;
use crate::error::CompileError;
use crate::memory::{BufferId, Life, Memory, Place, Tensor, place};
use crate::precision::Format;
use crate::prepared::{Prepare, Slot, Weights};
use crate::program::{NodeId, Origin, Program, StorageId, Uses, Value, ValueId};
use crate::registry::Registry;
use crate::steps::{Copy, FromBlocks, ToBlocks};

/// What a plan does at one time.
pub trait Step: std::fmt::Debug + Send + Sync {
    /// Does it.
    ///
    /// # Errors
    /// What a kernel reports.
    ///
    /// # Safety
    /// The memory's addresses are valid for the plan's buffers, and no other step of the run is
    /// under way.
    unsafe fn run(&self, memory: &Memory<'_>) -> Result<(), KernelError>;
}

/// A step, and what is known of it.
#[derive(Debug)]
pub struct Planned {
    /// The step.
    pub step: Box<dyn Step>,
    /// What it does, in a few words.
    pub label: String,
    /// The node that it carries out, as messages show it.
    pub node: String,
    /// The buffers that it touches.
    pub touches: Vec<BufferId>,
}

/// A buffer while the plan is made.
#[derive(Clone, Copy, Debug)]
struct Buffer {
    origin: Origin,
    bytes: usize,
}

/// A plan in the making.
pub struct Builder<'a> {
    /// What is compiled.
    pub program: &'a Program,
    /// Who reads and writes what.
    pub uses: &'a Uses,
    registry: &'a dyn Registry,
    buffers: Vec<Buffer>,
    /// The buffer of each storage.
    canonical: Vec<Option<BufferId>>,
    /// The buffers of values in blocks of channels.
    blocked: BTreeMap<ValueId, BufferId>,
    /// The buffers of values in narrow blocks of channels.
    narrow: BTreeMap<ValueId, (BufferId, Format)>,
    /// Storages whose buffer has not yet got the value that lies in blocks.
    behind: BTreeMap<StorageId, ValueId>,
    /// The buffers of dense copies of values.
    dense: BTreeMap<ValueId, BufferId>,
    steps: Vec<Planned>,
    touches: Vec<BufferId>,
    slots: Vec<Slot>,
    /// Pairs of buffers: the first may take the place of the second, at a step.
    succeeds: Vec<(usize, BufferId, BufferId)>,
    node: NodeId,
}

/// What a plan is made of.
pub struct Built {
    /// The steps.
    pub steps: Vec<Planned>,
    /// Where each buffer comes from, and its offset in the plan's memory.
    pub buffers: Vec<(Origin, usize)>,
    /// Bytes of the plan's own memory.
    pub arena_bytes: usize,
    /// Bytes that its buffers would take if none shared a place.
    pub unshared_bytes: usize,
    /// Kept weights.
    pub slots: Vec<Slot>,
}

impl<'a> Builder<'a> {
    /// An empty plan.
    pub fn new(program: &'a Program, uses: &'a Uses, registry: &'a dyn Registry) -> Self {
        Self {
            program,
            uses,
            registry,
            buffers: Vec::new(),
            canonical: vec![None; program.storages.len()],
            blocked: BTreeMap::new(),
            narrow: BTreeMap::new(),
            behind: BTreeMap::new(),
            dense: BTreeMap::new(),
            steps: Vec::new(),
            touches: Vec::new(),
            slots: Vec::new(),
            succeeds: Vec::new(),
            node: 0,
        }
    }

    /// The operations that the engine has.
    pub fn registry(&self) -> &'a dyn Registry {
        self.registry
    }

    /// Says which node the steps to come carry out.
    pub fn begin(&mut self, node: NodeId) {
        self.node = node;
        self.touches.clear();
    }

    /// A value.
    pub fn value(&self, value: ValueId) -> &'a Value {
        &self.program.values[value]
    }

    /// Why the program cannot be compiled, at the node at hand.
    pub fn refuse(&self, reason: &str) -> CompileError {
        CompileError { node: self.program.describe_node(self.node), reason: reason.to_owned() }
    }

    fn buffer(&mut self, origin: Origin, bytes: usize) -> BufferId {
        self.buffers.push(Buffer { origin, bytes });
        self.buffers.len() - 1
    }

    fn touch(&mut self, buffer: BufferId) -> BufferId {
        if !self.touches.contains(&buffer) {
            self.touches.push(buffer);
        }
        buffer
    }

    /// Memory for the step at hand.
    pub fn scratch(&mut self, bytes: usize) -> Place {
        let buffer = self.buffer(Origin::Run, bytes);
        Place::start(self.touch(buffer))
    }

    fn storage_buffer(&mut self, storage: StorageId) -> BufferId {
        let buffer = self.canonical[storage].unwrap_or_else(|| {
            let described = &self.program.storages[storage];
            let buffer = self.buffer(described.origin, described.bytes);
            self.canonical[storage] = Some(buffer);
            buffer
        });
        self.touch(buffer)
    }

    /// A value that the step at hand writes, where the program has it.
    pub fn output(&mut self, value: ValueId) -> Tensor {
        let described = self.value(value);
        let buffer = self.storage_buffer(described.storage);
        let place = Place { buffer, offset: described.offset_bytes() };
        Tensor { place, dtype: described.dtype, axes: described.axes }
    }

    /// A value that the step at hand reads, where the program has it.
    pub fn input(&mut self, value: ValueId) -> Tensor {
        let storage = self.value(value).storage;
        if let Some(base) = self.behind.remove(&storage) {
            self.aside(|builder| {
                builder.widen(base);
                let from = builder.blocks_of(base);
                let to = builder.output(base);
                let planes = builder.planes(base);
                builder.push("from blocks", FromBlocks { planes, from, to });
            });
        }
        self.output(value)
    }

    /// A value that the step at hand reads, row-major from its first element on.
    ///
    /// # Errors
    /// It has to be copied, and there is no operation that does it.
    pub fn dense_input(&mut self, value: ValueId) -> Result<Tensor, CompileError> {
        let described = self.value(value);
        if described.is_dense() {
            return Ok(self.input(value));
        }
        if let Some(&buffer) = self.dense.get(&value) {
            self.touch(buffer);
            return Ok(self.dense_tensor(value, buffer));
        }
        let buffer = self.buffer(Origin::Run, described.count() * described.dtype.size());
        let operation = self
            .registry
            .operation("copy", &crate::Attributes::default())
            .ok_or_else(|| self.refuse("\"copy\" has no native operation"))?;
        self.aside(|builder| {
            let from = builder.input(value);
            builder.touch(buffer);
            let to = builder.dense_tensor(value, buffer);
            builder.push("copy", Copy { operation, from, to });
        });
        self.dense.insert(value, buffer);
        self.touch(buffer);
        Ok(self.dense_tensor(value, buffer))
    }

    fn dense_tensor(&self, value: ValueId, buffer: BufferId) -> Tensor {
        let described = self.value(value);
        let axes = Axes::dense(described.sizes()).expect("as many axes as before");
        Tensor { place: Place::start(buffer), dtype: described.dtype, axes }
    }

    /// The sizes of a value of four axes.
    pub fn planes(&self, value: ValueId) -> Planes {
        Planes::of(self.value(value).sizes()).expect("a tensor of four axes")
    }

    /// Whether a value lies in blocks of channels already, narrow ones or others.
    pub fn is_blocked(&self, value: ValueId) -> bool {
        self.blocked.contains_key(&value) || self.narrow.contains_key(&value)
    }

    fn blocks_of(&mut self, value: ValueId) -> Place {
        let buffer = self.blocked[&value];
        Place::start(self.touch(buffer))
    }

    /// A value that the step at hand reads in blocks of channels.
    ///
    /// # Errors
    /// As for `dense_input`.
    pub fn blocks(&mut self, value: ValueId) -> Result<Place, CompileError> {
        self.widen(value);
        if !self.blocked.contains_key(&value) {
            let planes = self.planes(value);
            let buffer = self.buffer(Origin::Run, planes.count() * size_of::<f32>());
            self.try_aside(|builder| {
                let from = builder.dense_input(value)?;
                builder.touch(buffer);
                builder.push("to blocks", ToBlocks { planes, from, to: Place::start(buffer) });
                Ok(())
            })?;
            self.blocked.insert(value, buffer);
        }
        Ok(self.blocks_of(value))
    }

    /// A value that the step at hand writes in blocks of channels; its own storage gets it when
    /// somebody reads it there.
    pub fn blocks_output(&mut self, value: ValueId) -> Place {
        let buffer = self.buffer(Origin::Run, self.planes(value).count() * size_of::<f32>());
        self.blocked.insert(value, buffer);
        self.behind.insert(self.value(value).storage, value);
        Place::start(self.touch(buffer))
    }

    /// Memory in blocks of channels for a value that only steps over blocks read, in a form of their
    /// own of four bytes an element.
    pub fn private_blocks(&mut self, value: ValueId) -> Place {
        let buffer = self.buffer(Origin::Run, self.planes(value).count() * size_of::<f32>());
        self.blocked.insert(value, buffer);
        Place::start(self.touch(buffer))
    }

    /// Brings values that are seen outside to where the program has them.
    pub fn settle(&mut self, value: ValueId) {
        let storage = self.value(value).storage;
        if self.behind.contains_key(&storage) && self.program.storages[storage].origin != Origin::Run {
            self.touches.clear();
            self.input(value);
        }
    }

    /// Lets the first buffer take the place of the second from the step at hand on, if nobody needs
    /// that any more.
    pub fn may_succeed(&mut self, new: BufferId, old: BufferId) {
        self.succeeds.push((self.steps.len(), new, old));
    }

    /// Adds the step at hand.
    pub fn push(&mut self, label: impl Into<String>, step: impl Step + 'static) {
        let planned = Planned {
            step: Box::new(step),
            label: label.into(),
            node: self.program.describe_node(self.node),
            touches: std::mem::take(&mut self.touches),
        };
        self.steps.push(planned);
    }

    /// Keeps weights in another form, if what they are made from changes only when a run is told.
    pub fn keep(&mut self, sources: &[ValueId], prepare: impl Prepare + 'static) -> Weights {
        let mut externals = Vec::new();
        for &value in sources {
            let storage = self.program.storage_of(value);
            match storage.origin {
                Origin::External(number) if storage.constant => externals.push(number),
                _ => return Weights::Anew,
            }
        }
        self.slots.push(Slot { prepare: Box::new(prepare), sources: externals });
        Weights::Kept(self.slots.len() - 1)
    }

    /// Adds steps that come before the one at hand.
    fn aside(&mut self, add: impl FnOnce(&mut Self)) {
        let touches = std::mem::take(&mut self.touches);
        add(self);
        self.touches = touches;
    }

    fn try_aside(
        &mut self,
        add: impl FnOnce(&mut Self) -> Result<(), CompileError>,
    ) -> Result<(), CompileError> {
        let touches = std::mem::take(&mut self.touches);
        let result = add(self);
        self.touches = touches;
        result
    }

    /// Finds the places of the buffers, and returns what the plan is made of.
    pub fn finish(self) -> Built {
        let mut lives: Vec<Option<Life>> = vec![None; self.buffers.len()];
        for (number, step) in self.steps.iter().enumerate() {
            for &buffer in &step.touches {
                let Buffer { origin, bytes } = self.buffers[buffer];
                if origin == Origin::Run {
                    let life = lives[buffer].get_or_insert(Life { first: number, last: number, bytes });
                    life.last = number;
                }
            }
        }
        let unshared_bytes = lives.iter().flatten().map(|life| life.bytes).sum();
        // Buffers that follow each other in one place live as one: the last of them.
        let mut heir: Vec<BufferId> = (0..lives.len()).collect();
        for &(step, new, old) in &self.succeeds {
            let (Some(young), Some(aged)) = (lives[new], lives[old]) else { continue };
            if young.first == step && aged.last == step && young.bytes == aged.bytes {
                lives[new] = Some(Life { first: aged.first, ..young });
                lives[old] = None;
                heir[old] = new;
            }
        }
        let (offsets, arena_bytes) = place(&lives);
        let final_heir = |mut buffer: BufferId| {
            while heir[buffer] != buffer {
                buffer = heir[buffer];
            }
            buffer
        };
        let buffers = (0..lives.len())
            .map(|buffer| (self.buffers[buffer].origin, offsets[final_heir(buffer)]))
            .collect();
        Built { steps: self.steps, buffers, arena_bytes, unshared_bytes, slots: self.slots }
    }
}
