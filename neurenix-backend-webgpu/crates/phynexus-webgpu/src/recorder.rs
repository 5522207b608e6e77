//! The recorder: dispatches and copies in order, submitted in batches.
//!
//! Parameters travel in one uniform buffer, a slot of 256 bytes or more a dispatch, bound with a
//! dynamic offset. (Immediates would be cheaper, but browsers have none, and what is recorded here
//! is what a browser replays.) Small uploads travel in another buffer. Both are written before a
//! batch is submitted, which the queue orders after all that was submitted earlier.

use std::sync::Arc;

use crate::device::Device;
use crate::memory::Block;
use crate::pipeline::Pipeline;
use crate::recording;

/// Dispatches after which a batch is submitted.
const BATCH: usize = 64;
/// Space for the parameters of a batch.
const PARAMETERS_BYTES: u64 = 1 << 16;
/// Dynamic offsets are multiples of this on every adapter.
pub(crate) const SLOT_BYTES: usize = 256;
/// Space for the small uploads of a batch.
const UPLOADS_BYTES: u64 = 1 << 20;
/// Larger uploads get a staging buffer of their own.
const SMALL_UPLOAD_BYTES: usize = 1 << 16;

/// A part of a buffer that a dispatch sees.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The buffer.
    pub buffer: wgpu::Buffer,
    /// Its number; see [`Block::id`].
    pub id: u64,
    /// Where the part begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub size: u64,
}

impl Binding {
    /// All of a block.
    pub fn whole(block: &Block) -> Self {
        Self { buffer: block.buffer().clone(), id: block.id(), offset: 0, size: block.buffer().size() }
    }
}

/// A shader's run: everything it takes to repeat it.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// The compiled shader.
    pub pipeline: Arc<Pipeline>,
    /// What it reads and writes, in the order of the shader's bindings.
    pub bindings: Vec<Binding>,
    /// Its parameters, words of the uniform struct.
    pub parameters: Vec<u32>,
    /// How many workgroups run.
    pub groups: [u32; 3],
}

/// A copy from buffer to buffer; offsets and size are multiples of four bytes.
#[derive(Clone, Debug)]
pub struct Copy {
    /// The source, and where in it.
    pub from: (wgpu::Buffer, u64),
    /// The target, and where in it.
    pub to: (wgpu::Buffer, u64),
    /// How many bytes.
    pub size: u64,
}

/// One step of a batch.
#[derive(Clone, Debug)]
pub enum Command {
    /// Run a shader.
    Dispatch(Dispatch),
    /// Copy memory.
    Copy(Copy),
}

/// The open batch of a device.
#[derive(Debug)]
pub struct Recorder {
    commands: Vec<Command>,
    dispatches: usize,
    parameters: Vec<u8>,
    parameters_buffer: wgpu::Buffer,
    uploads: Vec<u8>,
    uploads_buffer: wgpu::Buffer,
    checks: bool,
    captured: Option<Captured>,
}

/// What has been recorded since a capture began.
#[derive(Debug, Default)]
pub struct Captured {
    /// The commands, in order.
    pub commands: Vec<Command>,
    /// Whether values of the host were among what they copy: then the commands do not repeat it.
    pub uploads: bool,
}

impl Recorder {
    pub(crate) fn new(gpu: &wgpu::Device) -> Self {
        let buffer = |label, size, usage| {
            gpu.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size,
                usage,
                mapped_at_creation: false,
            })
        };
        use wgpu::BufferUsages as Usage;
        Self {
            commands: Vec::with_capacity(BATCH),
            dispatches: 0,
            parameters: Vec::new(),
            parameters_buffer: buffer("parameters", PARAMETERS_BYTES, Usage::UNIFORM | Usage::COPY_DST),
            uploads: Vec::new(),
            uploads_buffer: buffer("uploads", UPLOADS_BYTES, Usage::COPY_SRC | Usage::COPY_DST),
            checks: false,
            captured: None,
        }
    }

    /// Begins to keep a copy of all that is recorded.
    pub fn capture(&mut self) {
        self.captured = Some(Captured::default());
    }

    /// Ends the capture, and gives what was recorded.
    pub fn take_captured(&mut self) -> Captured {
        self.captured.take().unwrap_or_default()
    }

    /// Notes that work has been recorded that may find a fault: see [`crate::faults`].
    pub fn expect_faults(&mut self) {
        if !recording::keep_faults() {
            self.checks = true;
        }
    }

    /// Whether there has been such work since the last call.
    pub fn take_checks(&mut self) -> bool {
        std::mem::take(&mut self.checks)
    }

    /// Records a dispatch; submits the batch once it is long enough.
    pub fn dispatch(&mut self, device: &Device, dispatch: Dispatch) {
        let Some(Command::Dispatch(dispatch)) = recording::keep(Command::Dispatch(dispatch)) else { return };
        let bytes = (dispatch.parameters.len() * 4).next_multiple_of(SLOT_BYTES);
        if self.parameters.len() + bytes > PARAMETERS_BYTES as usize {
            self.flush(device);
        }
        let end = self.parameters.len() + bytes;
        for word in &dispatch.parameters {
            self.parameters.extend_from_slice(&word.to_le_bytes());
        }
        self.parameters.resize(end, 0);
        if let Some(captured) = &mut self.captured {
            captured.commands.push(Command::Dispatch(dispatch.clone()));
        }
        self.commands.push(Command::Dispatch(dispatch));
        self.dispatches += 1;
        if self.dispatches >= BATCH {
            self.flush(device);
        }
    }

    /// Records a copy.
    pub fn copy(&mut self, copy: Copy) {
        let Some(Command::Copy(copy)) = recording::keep(Command::Copy(copy)) else { return };
        if let Some(captured) = &mut self.captured {
            captured.commands.push(Command::Copy(copy.clone()));
        }
        self.commands.push(Command::Copy(copy));
    }

    /// Records that bytes are written to a block, whose source may be reused on return. They are
    /// padded to whole words with zeros.
    pub fn upload(&mut self, device: &Device, block: &Block, bytes: &[u8]) {
        if bytes.is_empty() || recording::keep_upload() {
            return;
        }
        if let Some(captured) = &mut self.captured {
            captured.uploads = true;
        }
        let size = bytes.len().next_multiple_of(4);
        let from = if size <= SMALL_UPLOAD_BYTES {
            if self.uploads.len() + size > UPLOADS_BYTES as usize {
                self.flush(device);
            }
            let start = self.uploads.len();
            self.uploads.extend_from_slice(bytes);
            self.uploads.resize(start + size, 0);
            (self.uploads_buffer.clone(), start as u64)
        } else {
            let staging = device.gpu().create_buffer(&wgpu::BufferDescriptor {
                label: Some("upload"),
                size: size as u64,
                usage: wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: true,
            });
            if let Ok(mut view) = staging.get_mapped_range_mut(..) {
                view.slice(..bytes.len()).copy_from_slice(bytes);
            }
            staging.unmap();
            (staging, 0)
        };
        self.copy(Copy { from, to: (block.buffer().clone(), 0), size: size as u64 });
    }

    /// Submits what is recorded; returns nothing where there is nothing.
    pub fn flush(&mut self, device: &Device) -> Option<wgpu::SubmissionIndex> {
        if self.commands.is_empty() {
            return None;
        }
        let queue = device.queue();
        if !self.parameters.is_empty() {
            queue.write_buffer(&self.parameters_buffer, 0, &self.parameters);
        }
        if !self.uploads.is_empty() {
            queue.write_buffer(&self.uploads_buffer, 0, &self.uploads);
        }
        let mut encoder = device.gpu().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass: Option<wgpu::ComputePass<'static>> = None;
        let mut slot = 0;
        for command in self.commands.drain(..) {
            match command {
                Command::Dispatch(dispatch) => {
                    let group = dispatch.pipeline.bind(device.gpu(), &self.parameters_buffer, &dispatch);
                    let pass = pass.get_or_insert_with(|| {
                        encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()).forget_lifetime()
                    });
                    pass.set_pipeline(dispatch.pipeline.compiled());
                    pass.set_bind_group(0, &group, &[slot]);
                    let [x, y, z] = dispatch.groups;
                    pass.dispatch_workgroups(x, y, z);
                    slot += (dispatch.parameters.len() * 4).next_multiple_of(SLOT_BYTES) as u32;
                }
                Command::Copy(copy) => {
                    pass = None;
                    encoder.copy_buffer_to_buffer(
                        &copy.from.0,
                        copy.from.1,
                        &copy.to.0,
                        copy.to.1,
                        copy.size,
                    );
                }
            }
        }
        drop(pass);
        self.parameters.clear();
        self.uploads.clear();
        self.dispatches = 0;
        let index = queue.submit([encoder.finish()]);
        // Frees what finished work has held; it does not wait.
        let _ = device.gpu().poll(wgpu::PollType::Poll);
        Some(index)
    }
}
