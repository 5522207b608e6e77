//! An open device: its limits, its queue, its memory, its pipelines.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::adapter::{Adapter, KNOWN_FEATURES, adapters, offline};
use crate::error::{Error, Result};
use crate::faults;
use crate::memory::{Block, Pool};
use crate::pipeline::Pipelines;
use crate::recorder::Recorder;
use crate::subgroups;

/// Freed memory that is kept for reuse unless told otherwise.
const CACHE_BYTES: u64 = 1 << 30;
/// No number of lanes has been set.
const AS_FOUND: u32 = u32::MAX;

/// An adapter that has been opened. Devices live as long as the process: a driver's threads and
/// an interpreter that exits do not mix.
#[derive(Debug)]
pub struct Device {
    info: wgpu::AdapterInfo,
    limits: wgpu::Limits,
    binding_limit: AtomicU64,
    features: wgpu::Features,
    half: AtomicBool,
    reach: OnceLock<u32>,
    lanes: AtomicU32,
    gpu: wgpu::Device,
    queue: wgpu::Queue,
    pool: Pool,
    pipelines: Pipelines,
    recorder: Mutex<Recorder>,
    faults: OnceLock<Arc<Block>>,
    spare: Mutex<Vec<wgpu::Buffer>>,
    trouble: Arc<Trouble>,
    process: u32,
}

/// What the driver reports from its own threads.
#[derive(Debug, Default)]
struct Trouble {
    lost: OnceLock<String>,
    error: Mutex<Option<String>>,
}

impl Device {
    /// The device of an adapter by its number, opened at the first call.
    ///
    /// # Errors
    /// There is no such adapter, or its driver refuses.
    pub fn open(index: usize) -> Result<&'static Self> {
        static OPEN: Mutex<Vec<Option<&'static Device>>> = Mutex::new(Vec::new());
        let found = adapters();
        let adapter = found.get(index).ok_or_else(|| {
            Error::Device(format!("there is no adapter {index}; this machine has {} of them", found.len()))
        })?;
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.resize(found.len(), None);
        if let Some(device) = open[index] {
            return Ok(device);
        }
        let device: &'static Self = Box::leak(Box::new(Self::new(adapter)?));
        open[index] = Some(device);
        Ok(device)
    }

    /// The device that only records; see [`crate::adapter::offline`] and [`Recorder::capture`].
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn offline() -> Result<&'static Self> {
        static OFFLINE: OnceLock<Result<&'static Device>> = OnceLock::new();
        let open = || {
            let adapter =
                offline().ok_or_else(|| Error::Internal("there is no offline adapter".to_owned()))?;
            let device = Self::new(&adapter)?;
            // What is recorded may be repeated where there is no such feature.
            device.set_half(false);
            device.set_lanes(Some(0));
            Ok(&*Box::leak(Box::new(device)))
        };
        OFFLINE.get_or_init(open).clone()
    }

    fn new(adapter: &Adapter) -> Result<Self> {
        let features = adapter.adapter.features() & KNOWN_FEATURES;
        let limits = adapter.adapter.limits();
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("neurenix"),
            required_features: features,
            required_limits: limits.clone(),
            memory_hints: wgpu::MemoryHints::Performance,
            ..Default::default()
        };
        let (gpu, queue) =
            pollster::block_on(adapter.adapter.request_device(&descriptor)).map_err(|error| {
                Error::Device(format!("the adapter {:?} cannot be opened: {error}", adapter.info.name))
            })?;
        let trouble = Arc::new(Trouble::default());
        let notes = Arc::clone(&trouble);
        gpu.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let mut slot = notes.error.lock().unwrap_or_else(PoisonError::into_inner);
            slot.get_or_insert_with(|| error.to_string());
        }));
        let notes = Arc::clone(&trouble);
        gpu.set_device_lost_callback(move |reason, message| {
            let _ = notes.lost.set(format!("{message} ({reason:?})"));
        });
        let pool = Pool::default();
        pool.set_limit(CACHE_BYTES);
        Ok(Self {
            info: adapter.info.clone(),
            recorder: Mutex::new(Recorder::new(&gpu)),
            pipelines: Pipelines::default(),
            binding_limit: AtomicU64::new(limits.max_storage_buffer_binding_size),
            limits,
            half: AtomicBool::new(features.contains(wgpu::Features::SHADER_F16)),
            reach: OnceLock::new(),
            lanes: AtomicU32::new(AS_FOUND),
            features,
            gpu,
            queue,
            pool,
            faults: OnceLock::new(),
            spare: Mutex::new(Vec::new()),
            trouble,
            process: std::process::id(),
        })
    }

    /// What the adapter is called.
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// What the driver says of the adapter.
    pub fn info(&self) -> &wgpu::AdapterInfo {
        &self.info
    }

    /// The limits, which are all the adapter has.
    pub fn limits(&self) -> &wgpu::Limits {
        &self.limits
    }

    /// How many bytes of a buffer a shader sees at most.
    pub fn binding_limit(&self) -> u64 {
        self.binding_limit.load(Ordering::Relaxed)
    }

    /// Lowers that, or lifts it to what the adapter has: tests see work cut up that is not large.
    pub fn set_binding_limit(&self, bytes: Option<u64>) {
        let most = self.limits.max_storage_buffer_binding_size;
        self.binding_limit.store(bytes.unwrap_or(most).min(most), Ordering::Relaxed);
    }

    /// The optional features that are in use.
    pub fn features(&self) -> wgpu::Features {
        self.features
    }

    /// Whether products of float16 are computed in tiles of it.
    pub fn uses_half(&self) -> bool {
        self.half.load(Ordering::Relaxed)
    }

    /// Has products computed so, if the adapter has `shader-f16`, or not; for tests.
    pub fn set_half(&self, wanted: bool) {
        let has = self.features.contains(wgpu::Features::SHADER_F16);
        self.half.store(wanted && has, Ordering::Relaxed);
    }

    /// Among how many neighbours invocations exchange values without workgroup memory; 0: none.
    pub fn lanes(&self) -> u32 {
        match self.lanes.load(Ordering::Relaxed) {
            AS_FOUND => *self.reach.get_or_init(|| subgroups::reach(self)),
            set => set,
        }
    }

    /// Sets that, or leaves it to what the adapter is found to do; for tests. More than that is wrong.
    pub fn set_lanes(&self, lanes: Option<u32>) {
        self.lanes.store(lanes.unwrap_or(AS_FOUND), Ordering::Relaxed);
    }

    /// The memory pool.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The compiled shaders.
    pub fn pipelines(&self) -> &Pipelines {
        &self.pipelines
    }

    pub(crate) fn gpu(&self) -> &wgpu::Device {
        &self.gpu
    }

    pub(crate) fn queue(&self) -> &wgpu::Queue {
        &self.queue
    }

    /// The queue's open batch.
    pub fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn faults(&self) -> &OnceLock<Arc<Block>> {
        &self.faults
    }

    /// Staging buffers for reading that are not in use.
    pub(crate) fn spare(&self) -> MutexGuard<'_, Vec<wgpu::Buffer>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this process has opened it, not one that this process was forked from.
    pub fn is_ours(&self) -> bool {
        self.process == std::process::id()
    }

    /// Gives the device up, as a driver does that resets its GPU.
    pub fn lose(&self) {
        self.gpu.destroy();
    }

    /// Reports what makes the device useless, or has gone wrong since the last call.
    ///
    /// # Errors
    /// The process is a fork; the device is lost; the driver has reported an error.
    pub fn check(&self) -> Result<()> {
        if !self.is_ours() {
            return Err(Error::Device(format!(
                "the device {:?} was opened by process {}, and this is its fork {}: drivers of GPUs do not \
                 survive fork(). Start processes with the method 'spawn' or 'forkserver', or open the device \
                 only in the child",
                self.name(),
                self.process,
                std::process::id()
            )));
        }
        if let Some(reason) = self.trouble.lost.get() {
            return Err(Error::Device(format!(
                "the device {:?} is lost: {reason}. Its tensors are gone; restart the process",
                self.name()
            )));
        }
        let error = self.trouble.error.lock().unwrap_or_else(PoisonError::into_inner).take();
        error.map_or(Ok(()), |message| Err(Error::Internal(message)))
    }

    /// A buffer for tensors, or nothing where memory is exhausted.
    pub(crate) fn create_buffer(&self, bytes: u64) -> Option<wgpu::Buffer> {
        let scope = self.gpu.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffer = self.gpu.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: bytes,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        pollster::block_on(scope.pop()).is_none().then_some(buffer)
    }

    /// Waits for all work recorded so far.
    ///
    /// # Errors
    /// See [`Self::check`]; work has found a fault.
    pub fn synchronize(&self) -> Result<()> {
        self.check()?;
        let (index, checks) = {
            let mut recorder = self.recorder();
            (recorder.flush(self), recorder.take_checks())
        };
        self.wait(index)?;
        self.check()?;
        if checks { faults::check(self) } else { Ok(()) }
    }

    /// Waits for a submission, or the last one.
    pub(crate) fn wait(&self, index: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let waited = self.gpu.poll(wgpu::PollType::Wait { submission_index: index, timeout: None });
        waited.map(|_| ()).or_else(|error| {
            self.check()?; // which knows better, where the device is lost
            Err(Error::Device(format!("waiting for {:?} failed: {error}", self.name())))
        })
    }
}
