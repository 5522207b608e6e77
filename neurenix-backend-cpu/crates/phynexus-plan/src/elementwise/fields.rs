//! A chain over whole tensors, shared out to threads.

use phynexus_kernels::KernelError;
use phynexus_runtime::parallel_for;
use phynexus_runtime::scratch::with_scratch;
use phynexus_simd::{LANES, dispatch};

use super::tile::{Stretch, TILE};
use super::{Chain, OperandKind};

/// Elements that one task computes, where planes do not decide.
const TASK: usize = 16 * TILE;

/// Simple operations on vectors that are worth a second thread: about 20 microseconds.
const PARALLEL_WORK: usize = 1 << 18;

/// Sizes of activations in blocks of 16 channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planes {
    /// Samples.
    pub samples: usize,
    /// Channels.
    pub channels: usize,
    /// Pixels of a plane.
    pub pixels: usize,
}

impl Planes {
    /// Of a tensor of four axes.
    pub fn of(sizes: &[usize]) -> Option<Self> {
        match *sizes {
            [samples, channels, height, width] => Some(Self { samples, channels, pixels: height * width }),
            _ => None,
        }
    }

    /// Blocks of channels.
    pub fn blocks(&self) -> usize {
        self.channels.div_ceil(LANES)
    }

    /// Elements in memory, of channels past the last too.
    pub fn count(&self) -> usize {
        self.samples * self.blocks() * self.plane()
    }

    /// Elements of a block of channels of a sample.
    pub fn plane(&self) -> usize {
        self.pixels * LANES
    }

    /// Where the block of a sample starts, in elements.
    pub fn start(&self, sample: usize, block: usize) -> usize {
        (sample * self.blocks() + block) * self.plane()
    }

    /// Channels that the last block has.
    pub fn last_lanes(&self) -> usize {
        self.channels - (self.blocks() - 1) * LANES
    }
}

/// The operands of a chain.
pub struct Fields<'a> {
    /// The chain.
    pub chain: &'a Chain,
    /// The address of each operand's first element.
    pub addresses: &'a [*mut u8],
    /// Operands of the kind `Tensor` that are written, where channels past the last stay zero.
    pub written: &'a [usize],
}

// SAFETY: they stand for memory that whoever made them shares out.
unsafe impl Sync for Fields<'_> {}

impl Fields<'_> {
    /// Computes `count` elements that lie one after the other.
    ///
    /// # Errors
    /// There is no memory for scratch.
    ///
    /// # Safety
    /// The addresses are valid for as many elements, and no other thread touches what is written.
    pub unsafe fn run(&self, count: usize) -> Result<(), KernelError> {
        let tasks = count.div_ceil(TASK);
        let piece = |task: usize| {
            let start = task * TASK;
            // SAFETY: pieces of the operands; no two overlap.
            unsafe { self.stretch(start, TASK.min(count - start), 0) }
        };
        each(tasks, count * self.chain.work() >= PARALLEL_WORK, piece)
    }

    /// Computes activations in blocks of channels.
    ///
    /// # Errors
    /// There is no memory for scratch.
    ///
    /// # Safety
    /// As for `run`; channel operands have a value for each channel of all blocks.
    pub unsafe fn run_planes(&self, planes: Planes) -> Result<(), KernelError> {
        let tasks = planes.samples * planes.blocks();
        let plane = |task: usize| {
            // SAFETY: a plane of the operands; no two overlap.
            unsafe { self.run_plane(planes, task / planes.blocks(), task % planes.blocks()) }
        };
        each(tasks, planes.count() * self.chain.work() >= PARALLEL_WORK, plane)
    }

    /// Computes a block of channels of a sample.
    ///
    /// # Errors
    /// There is no memory for scratch.
    ///
    /// # Safety
    /// As for `run_planes`.
    pub unsafe fn run_plane(&self, planes: Planes, sample: usize, block: usize) -> Result<(), KernelError> {
        let start = planes.start(sample, block);
        // SAFETY: as the caller vouches.
        unsafe {
            self.stretch(start, planes.plane(), block)?;
            if block + 1 == planes.blocks() && planes.last_lanes() < LANES {
                for &operand in self.written {
                    let at = self.addresses[operand].cast::<f32>().add(start);
                    clear_lanes(at, planes.pixels, planes.last_lanes());
                }
            }
        }
        Ok(())
    }

    /// # Safety
    /// As for `run`, for the elements from `start` on, of the block of channels.
    pub(crate) unsafe fn stretch(&self, start: usize, count: usize, block: usize) -> Result<(), KernelError> {
        let operands = self.addresses.len();
        let scratch_bytes = (self.chain.registers * TILE + operands * LANES) * size_of::<f32>();
        let mut moved = [std::ptr::null_mut(); MAX_OPERANDS];
        assert!(operands <= MAX_OPERANDS, "a chain of {operands} operands");
        with_scratch(scratch_bytes, |scratch| {
            let registers = scratch.cast::<f32>();
            for (number, kind) in self.chain.operands.iter().enumerate() {
                let at = self.addresses[number];
                // SAFETY: as the caller vouches; the scratch holds 16 floats an operand.
                moved[number] = unsafe {
                    match kind {
                        OperandKind::Tensor => at.cast::<f32>().add(start).cast(),
                        OperandKind::Mask => at.add(start),
                        OperandKind::Channel => at.cast::<f32>().add(block * LANES).cast(),
                        OperandKind::Scalar => {
                            let copies = registers.add(self.chain.registers * TILE + number * LANES);
                            let value = *at.cast::<f32>();
                            (0..LANES).for_each(|lane| *copies.add(lane) = value);
                            copies.cast()
                        }
                    }
                };
            }
            dispatch(Stretch { chain: self.chain, operands: &moved[..operands], count, registers });
        })?;
        Ok(())
    }
}

/// Most operands that a chain may have.
pub const MAX_OPERANDS: usize = 32;

/// Writes zeros to the lanes of channels that there are not.
///
/// # Safety
/// `at` is valid for writes of `pixels` vectors.
pub unsafe fn clear_lanes(at: *mut f32, pixels: usize, lanes: usize) {
    for pixel in 0..pixels {
        for lane in lanes..LANES {
            // SAFETY: as the caller vouches.
            unsafe { *at.add(pixel * LANES + lane) = 0.0 };
        }
    }
}

/// Runs tasks, on several threads if that pays, and returns the first error.
pub fn each(
    tasks: usize,
    parallel: bool,
    task: impl Fn(usize) -> Result<(), KernelError> + Sync,
) -> Result<(), KernelError> {
    if !parallel || tasks < 2 {
        return (0..tasks).try_for_each(task);
    }
    let failed = std::sync::Mutex::new(None);
    parallel_for(tasks, |index| {
        if let Err(error) = task(index) {
            failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
        }
    });
    let failed = failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    failed.map_or(Ok(()), Err)
}
