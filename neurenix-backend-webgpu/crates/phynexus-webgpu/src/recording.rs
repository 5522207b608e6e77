//! Recordings: work that is recorded once, carried out never, and repeated on other memory.
//!
//! A thread opens a recording, calls ops, and closes it. What the ops would have had the device do is
//! kept instead: dispatches with their parameters, and copies. Memory that was named as *external* is
//! a placeholder, and every run says which memory stands for it; all other memory is the recording's
//! own. Bind groups are kept from run to run for as long as they see the same memory.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

use crate::device::Device;
use crate::error::{Error, Result};
use crate::faults;
use crate::memory::{Block, Reserve};
use crate::pipeline::Pipeline;
use crate::recorder::{Command, SLOT_BYTES};

/// Dispatches after which a part of a run is submitted: the device is to begin early.
const BATCH: usize = 128;
/// How many bind groups a dispatch keeps, for memory that comes and goes by turns.
const KEPT_GROUPS: usize = 4;

/// What a thread is recording.
#[derive(Debug)]
struct Open {
    commands: Vec<Command>,
    uploads: bool,
    faults: bool,
    reserve: Arc<Reserve>,
}

thread_local! {
    static OPEN: RefCell<Option<Open>> = const { RefCell::new(None) };
}

/// Begins a recording: until [`end`] or [`abandon`], this thread's ops are kept instead of run.
///
/// # Errors
/// The device is of no use, or the thread is recording already.
pub fn begin(device: &'static Device) -> Result<()> {
    device.check()?;
    // Made at their first use, these words would be a value from the host.
    faults::words(device)?;
    OPEN.with_borrow_mut(|open| {
        if open.is_some() {
            return Err(Error::Value("this thread is recording already".to_owned()));
        }
        let reserve = Arc::new(Reserve::new(device));
        *open = Some(Open { commands: Vec::new(), uploads: false, faults: false, reserve });
        Ok(())
    })
}

/// Drops what this thread has recorded.
pub fn abandon() {
    OPEN.with_borrow_mut(Option::take);
}

/// Ends the recording.
///
/// # Arguments
/// * `externals` - Placeholders, which a run replaces.
/// * `own` - The memory that the ops were called with besides.
///
/// # Errors
/// None was begun; an op copies values from the host; a placeholder stands twice among them.
pub fn end(device: &'static Device, externals: &[Arc<Block>], own: Vec<Arc<Block>>) -> Result<Recording> {
    let open = OPEN.with_borrow_mut(Option::take);
    let open = open.ok_or_else(|| Error::Value("this thread is not recording".to_owned()))?;
    if open.uploads {
        return Err(Error::Value("an op copies values from the host, and cannot be repeated".to_owned()));
    }
    let placeholders: Vec<&wgpu::Buffer> = externals.iter().map(|block| block.buffer()).collect();
    if (1..placeholders.len()).any(|number| placeholders[..number].contains(&placeholders[number])) {
        return Err(Error::Value("two of a recording's tensors share their memory".to_owned()));
    }
    Ok(Recording::new(device, open, own, &placeholders))
}

/// Keeps a command if this thread is recording; else gives it back.
pub(crate) fn keep(command: Command) -> Option<Command> {
    OPEN.with_borrow_mut(|open| match open {
        Some(open) => {
            open.commands.push(command);
            None
        }
        None => Some(command),
    })
}

/// Notes an upload, and whether this thread is recording: then there is to be none.
pub(crate) fn keep_upload() -> bool {
    OPEN.with_borrow_mut(|open| open.as_mut().map(|open| open.uploads = true)).is_some()
}

/// Notes that an op may find faults, and whether this thread is recording.
pub(crate) fn keep_faults() -> bool {
    OPEN.with_borrow_mut(|open| open.as_mut().map(|open| open.faults = true)).is_some()
}

/// Where this thread's ops take memory from while they are recorded.
pub(crate) fn reserve() -> Option<Arc<Reserve>> {
    OPEN.with_borrow(|open| open.as_ref().map(|open| Arc::clone(&open.reserve)))
}

/// A buffer of a step.
#[derive(Clone, Debug)]
enum Source {
    /// A placeholder's number.
    External(usize),
    /// Memory that the recording keeps.
    Own(wgpu::Buffer),
}

impl Source {
    fn of(buffer: &wgpu::Buffer, placeholders: &[&wgpu::Buffer]) -> Self {
        let number = placeholders.iter().position(|placeholder| *placeholder == buffer);
        number.map_or_else(|| Self::Own(buffer.clone()), Self::External)
    }

    fn resolve<'a>(&'a self, externals: &'a [Arc<Block>]) -> &'a wgpu::Buffer {
        match self {
            Self::External(number) => externals[*number].buffer(),
            Self::Own(buffer) => buffer,
        }
    }
}

/// A shader's run.
#[derive(Debug)]
struct Run {
    pipeline: Arc<Pipeline>,
    /// Buffer, offset and size of each binding.
    parts: Vec<(Source, u64, u64)>,
    /// The numbers of the placeholders among them.
    externals: Vec<usize>,
    /// Where its parameters begin, and how many bytes they are.
    parameters: (u32, u64),
    groups: [u32; 3],
    /// Bind groups by the memory they were made for, the last used at the end.
    kept: Vec<(Vec<u64>, wgpu::BindGroup)>,
}

impl Run {
    /// Puts the bind group for this memory at the end of those that are kept.
    fn bind(&mut self, device: &Device, parameters: &wgpu::Buffer, externals: &[Arc<Block>]) {
        let matches =
            |ids: &[u64]| ids.iter().zip(&self.externals).all(|(&id, &number)| id == externals[number].id());
        if let Some(place) = self.kept.iter().rposition(|(ids, _)| matches(ids)) {
            let last = self.kept.len() - 1;
            self.kept.swap(place, last);
            return;
        }
        let parts = self.parts.iter().map(|(source, offset, size)| {
            let buffer = source.resolve(externals);
            (buffer, *offset, (*size).min(buffer.size() - offset))
        });
        let group = self.pipeline.bind_parts(device.gpu(), parameters, self.parameters.1, parts);
        if self.kept.len() == KEPT_GROUPS {
            self.kept.remove(0);
        }
        self.kept.push((self.externals.iter().map(|&number| externals[number].id()).collect(), group));
    }
}

/// One step of a recording.
#[derive(Debug)]
enum Step {
    Run(Run),
    Copy { from: (Source, u64), to: (Source, u64), size: u64 },
}

/// Work that can be repeated.
#[derive(Debug)]
pub struct Recording {
    device: &'static Device,
    steps: Mutex<Vec<Step>>,
    dispatches: usize,
    /// The least size of each placeholder, in bytes.
    sizes: Vec<u64>,
    parameters: wgpu::Buffer,
    faults: bool,
    /// The memory of the steps, which is nobody else's.
    _own: Vec<Arc<Block>>,
    reserve: Arc<Reserve>,
}

impl Recording {
    fn new(
        device: &'static Device,
        open: Open,
        own: Vec<Arc<Block>>,
        placeholders: &[&wgpu::Buffer],
    ) -> Self {
        let mut bytes: Vec<u8> = Vec::new();
        let mut sizes = vec![0; placeholders.len()];
        let mut reaches = |source: &Source, end: u64| {
            if let Source::External(number) = source {
                sizes[*number] = end.max(sizes[*number]);
            }
        };
        let mut steps = Vec::with_capacity(open.commands.len());
        let mut dispatches = 0;
        for command in open.commands {
            steps.push(match command {
                Command::Dispatch(dispatch) => {
                    dispatches += 1;
                    let start = bytes.len();
                    bytes.extend(dispatch.parameters.iter().flat_map(|word| word.to_le_bytes()));
                    let size = (bytes.len() - start).next_multiple_of(16) as u64;
                    bytes.resize((start + size as usize).next_multiple_of(SLOT_BYTES), 0);
                    let mut externals = Vec::new();
                    let mut parts = Vec::with_capacity(dispatch.bindings.len());
                    for binding in dispatch.bindings {
                        let source = Source::of(&binding.buffer, placeholders);
                        if let Source::External(number) = source {
                            externals.push(number);
                        }
                        reaches(&source, binding.offset + 4);
                        parts.push((source, binding.offset, binding.size));
                    }
                    Step::Run(Run {
                        pipeline: dispatch.pipeline,
                        parts,
                        externals,
                        parameters: (start as u32, size),
                        groups: dispatch.groups,
                        kept: Vec::with_capacity(1),
                    })
                }
                Command::Copy(copy) => {
                    let from = (Source::of(&copy.from.0, placeholders), copy.from.1);
                    let to = (Source::of(&copy.to.0, placeholders), copy.to.1);
                    reaches(&from.0, from.1 + copy.size);
                    reaches(&to.0, to.1 + copy.size);
                    Step::Copy { from, to, size: copy.size }
                }
            });
        }
        let parameters = device.gpu().create_buffer(&wgpu::BufferDescriptor {
            label: Some("parameters of a recording"),
            size: (bytes.len() as u64).max(SLOT_BYTES as u64),
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        if !bytes.is_empty() {
            device.queue().write_buffer(&parameters, 0, &bytes);
        }
        Self {
            device,
            steps: Mutex::new(steps),
            dispatches,
            sizes,
            parameters,
            faults: open.faults,
            _own: own,
            reserve: open.reserve,
        }
    }

    /// How many shaders a run runs.
    pub fn dispatches(&self) -> usize {
        self.dispatches
    }

    /// Bytes of memory that the recorded ops took for themselves.
    pub fn reserved_bytes(&self) -> u64 {
        self.reserve.bytes()
    }

    /// Has the device carry it all out, after what was recorded before. Runs may follow each other
    /// at once: the device keeps their order.
    ///
    /// # Arguments
    /// * `externals` - What stands for the placeholders, in their order. None of it that the ops write
    ///   may stand for two of them.
    ///
    /// # Errors
    /// The device is of no use; there are more or fewer blocks than placeholders, one is too small, or
    /// one is of another device.
    pub fn run(&self, externals: &[Arc<Block>]) -> Result<()> {
        let device = self.device;
        device.check()?;
        if externals.len() != self.sizes.len() {
            let (taken, given) = (self.sizes.len(), externals.len());
            return Err(Error::Value(format!("a recording takes {taken} buffers, not {given}")));
        }
        for (number, (block, &size)) in externals.iter().zip(&self.sizes).enumerate() {
            if block.buffer().size() < size || !std::ptr::eq(block.device(), device) {
                return Err(Error::Value(format!(
                    "buffer {number} of a recording has {} bytes on {:?}, not {size} on {:?}",
                    block.buffer().size(),
                    block.device().name(),
                    device.name()
                )));
            }
        }
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        for step in steps.iter_mut() {
            if let Step::Run(run) = step {
                run.bind(device, &self.parameters, externals);
            }
        }
        // Held to the end, so that no other work comes in between.
        let mut recorder = device.recorder();
        recorder.flush(device);
        if self.faults {
            recorder.expect_faults();
        }
        let mut rest = steps.as_slice();
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(rest.len().min(BATCH));
            submit(device, batch, externals);
            rest = after;
        }
        Ok(())
    }
}

fn submit(device: &Device, steps: &[Step], externals: &[Arc<Block>]) {
    let mut encoder = device.gpu().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let mut pass: Option<wgpu::ComputePass<'static>> = None;
    for step in steps {
        match step {
            Step::Run(run) => {
                let Some((_, group)) = run.kept.last() else { continue };
                let pass = pass.get_or_insert_with(|| {
                    encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()).forget_lifetime()
                });
                pass.set_pipeline(run.pipeline.compiled());
                pass.set_bind_group(0, group, &[run.parameters.0]);
                let [x, y, z] = run.groups;
                pass.dispatch_workgroups(x, y, z);
            }
            Step::Copy { from, to, size } => {
                pass = None;
                let (source, target) = (from.0.resolve(externals), to.0.resolve(externals));
                encoder.copy_buffer_to_buffer(source, from.1, target, to.1, *size);
            }
        }
    }
    drop(pass);
    device.queue().submit([encoder.finish()]);
    let _ = device.gpu().poll(wgpu::PollType::Poll);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{abandon, begin, end};
    use crate::attributes::Attributes;
    use crate::device::Device;
    use crate::dtype::DType;
    use crate::faults;
    use crate::listing::tests::ALONE;
    use crate::memory::{Block, allocate};
    use crate::ops::{Call, operations};
    use crate::tensor::Tensor;

    fn device() -> &'static Device {
        let device = Device::offline().expect("it needs no driver");
        // At their first use, these words are sent from the host: not while another test captures work.
        let _alone = ALONE.lock().expect("no test panics in between");
        faults::words(device).expect("there is memory");
        device
    }

    fn block(bytes: u64) -> Arc<Block> {
        Arc::new(allocate(device(), bytes).expect("there is memory"))
    }

    fn tensor(block: &Arc<Block>, shape: &[usize], strides: Option<&[usize]>) -> Tensor {
        Tensor::new(block.clone(), DType::F32, shape.to_vec(), strides.map(<[usize]>::to_vec), 0)
            .expect("it lies in its block")
    }

    fn call(op: &'static str, out: Tensor, inputs: &[Tensor]) {
        let inputs: Vec<_> = inputs.iter().cloned().map(Some).collect();
        let found =
            operations().into_iter().find(|operation| operation.op == op).expect("it is in the table");
        let attributes = Attributes::new();
        let call = Call { op, device: device(), outputs: &[out], inputs: &inputs, attributes: &attributes };
        (found.run)(&call).expect("it runs");
    }

    #[test]
    fn a_recording_runs_on_the_memory_it_is_given() {
        let (x, y, inner) = (block(1200), block(1200), block(1200));
        begin(device()).expect("nothing is open");
        call("add", tensor(&inner, &[300], None), &[tensor(&x, &[300], None), tensor(&x, &[300], None)]);
        call("copy", tensor(&y, &[300], None), &[tensor(&inner, &[300], None)]);
        let recording = end(device(), &[x, y], vec![inner]).expect("nothing comes from the host");
        assert_eq!(recording.dispatches(), 1);
        for _ in 0..6 {
            recording.run(&[block(1200), block(1200)]).expect("it is large enough");
        }
        let few = recording.run(&[block(1200)]).expect_err("there are two").to_string();
        assert!(few.contains("takes 2 buffers, not 1"), "{few}");
        let small = recording.run(&[block(1200), block(16)]).expect_err("it is too small").to_string();
        assert!(small.contains("buffer 1 of a recording has 256 bytes"), "{small}");
        device().check().expect("wgpu finds nothing wrong");
    }

    #[test]
    fn memory_that_ops_take_for_themselves_stays_with_the_recording() {
        let x = block(40_000);
        begin(device()).expect("nothing is open");
        for _ in 0..2 {
            // Of one block: the copy goes by way of memory in between, the same both times.
            let turned = tensor(&x, &[100, 100], Some(&[1, 100]));
            call("copy", tensor(&x, &[100, 100], None), &[turned]);
        }
        let recording = end(device(), &[x], Vec::new()).expect("nothing comes from the host");
        let reserved = recording.reserved_bytes();
        assert!((40_000..80_000).contains(&reserved), "{reserved}");
    }

    #[test]
    fn values_from_the_host_are_not_recorded() {
        let (device, x) = (device(), block(1200));
        begin(device).expect("nothing is open");
        assert!(begin(device).is_err());
        device.recorder().upload(device, &x, &[1; 8]);
        let refused = end(device, &[x], Vec::new()).expect_err("it has an upload");
        assert!(refused.to_string().contains("from the host"));
        begin(device).expect("the other one has ended");
        abandon();
        assert!(end(device, &[], Vec::new()).is_err());
    }

    #[test]
    fn placeholders_differ() {
        let x = block(1200);
        begin(device()).expect("nothing is open");
        assert!(end(device(), &[x.clone(), x], Vec::new()).is_err());
    }
}
