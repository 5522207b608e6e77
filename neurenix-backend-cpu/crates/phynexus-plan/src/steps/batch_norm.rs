//! Batch norm over blocks of channels, and the elementwise ops that read its result.

use phynexus_kernels::KernelError;
use phynexus_runtime::threads;
use phynexus_simd::{LANES, dispatch};

use super::chain::ChainStep;
use super::statistics::{Channels, Moments, join_moments};
use crate::builder::Step;
use crate::elementwise::{Fields, Planes, each};
use crate::memory::{Memory, Place};

/// Where mean and variance come from.
#[derive(Debug)]
pub enum Statistics {
    /// From the batch.
    Batch {
        /// Where the mean goes.
        mean: Place,
        /// Where `1 / sqrt(variance + eps)` goes.
        rstd: Place,
        /// Where the variance goes.
        var: Place,
        /// Memory for the moments of each plane.
        moments: Place,
    },
    /// They are given.
    Given {
        /// The mean.
        mean: Place,
        /// The variance.
        var: Place,
    },
}

/// The norm, and a chain whose operands from `channels` on are mean, scale and shift of a channel.
#[derive(Debug)]
pub struct Forward {
    /// Sizes.
    pub planes: Planes,
    /// What is normalised.
    pub x: Place,
    /// Factors, one a channel.
    pub weight: Option<Place>,
    /// What is added.
    pub bias: Option<Place>,
    /// Keeps the divisor from zero.
    pub eps: f32,
    /// Mean and variance.
    pub statistics: Statistics,
    /// Memory for mean, scale and shift.
    pub channels: [Place; 3],
    /// The ops.
    pub chain: ChainStep,
}

/// Values of a block of channels; zeros past the last.
///
/// # Safety
/// The place has a value for each channel.
pub unsafe fn read_channels(memory: &Memory<'_>, place: Place, planes: Planes, block: usize) -> Channels {
    let start = block * LANES;
    let count = (planes.channels - start).min(LANES);
    let mut channels = [0.0; LANES];
    // SAFETY: as the caller vouches.
    let values = unsafe { memory.slice::<f32>(Place { offset: place.offset + 4 * start, ..place }, count) };
    channels[..count].copy_from_slice(values);
    channels
}

/// Writes the values of a block of channels that there are.
///
/// # Safety
/// As for `read_channels`; nobody else touches them.
pub unsafe fn write_channels(
    memory: &Memory<'_>,
    place: Place,
    planes: Planes,
    block: usize,
    values: &Channels,
) {
    let start = block * LANES;
    let count = (planes.channels - start).min(LANES);
    // SAFETY: as the caller vouches.
    let to = unsafe { memory.slice_mut::<f32>(Place { offset: place.offset + 4 * start, ..place }, count) };
    to.copy_from_slice(&values[..count]);
}

/// Runs what happens to the planes of a block of channels, first one thing to all of them, then
/// something for the block, then another thing to all of them.
///
/// Where there are few blocks, threads share the planes; else each takes a block, whose planes it
/// then finds in its cache. The results are the same.
pub fn by_blocks(
    planes: Planes,
    first: impl Fn(usize, usize) -> Result<(), KernelError> + Sync,
    between: impl Fn(usize) -> Result<(), KernelError> + Sync,
    second: impl Fn(usize, usize) -> Result<(), KernelError> + Sync,
) -> Result<(), KernelError> {
    /// Elements that are worth a second thread.
    const PARALLEL: usize = 1 << 16;
    let (blocks, samples) = (planes.blocks(), planes.samples);
    let parallel = planes.count() >= PARALLEL;
    if blocks >= threads() || !parallel {
        return each(blocks, parallel, |block| {
            (0..samples).try_for_each(|sample| first(sample, block))?;
            between(block)?;
            (0..samples).try_for_each(|sample| second(sample, block))
        });
    }
    each(blocks * samples, true, |task| first(task / blocks, task % blocks))?;
    (0..blocks).try_for_each(&between)?;
    each(blocks * samples, true, |task| second(task / blocks, task % blocks))
}

impl Step for Forward {
    unsafe fn run(&self, memory: &Memory<'_>) -> Result<(), KernelError> {
        let planes = self.planes;
        let addresses = self.chain.addresses(memory);
        let fields = Fields { chain: &self.chain.chain, addresses: &addresses, written: &self.chain.written };
        by_blocks(
            planes,
            |sample, block| {
                if let Statistics::Batch { moments, .. } = self.statistics {
                    // SAFETY: the plan's memory holds x and the moments; each plane has its own.
                    unsafe {
                        let plane = memory.at::<f32>(self.x).add(planes.start(sample, block));
                        let found = dispatch(Moments { plane, pixels: planes.pixels });
                        *memory.at::<[Channels; 2]>(moments).add(sample * planes.blocks() + block) = found;
                    }
                }
                Ok(())
            },
            // SAFETY: each block has channels of its own.
            |block| unsafe {
                self.prepare_block(memory, block);
                Ok(())
            },
            // SAFETY: the plan's memory holds the operands; each plane is one task's.
            |sample, block| unsafe { fields.run_plane(planes, sample, block) },
        )
    }
}

impl Forward {
    /// Finds mean, scale and shift of a block of channels.
    ///
    /// # Safety
    /// The plan's memory is valid, and nobody else touches the block's channels.
    unsafe fn prepare_block(&self, memory: &Memory<'_>, block: usize) {
        let planes = self.planes;
        // SAFETY: as the caller vouches.
        unsafe {
            let [mean, var] = match self.statistics {
                Statistics::Batch { moments, .. } => {
                    let all = memory.at::<[Channels; 2]>(moments);
                    let each = (0..planes.samples).map(|sample| *all.add(sample * planes.blocks() + block));
                    join_moments(each, planes.pixels)
                }
                Statistics::Given { mean, var } => {
                    [mean, var].map(|place| read_channels(memory, place, planes, block))
                }
            };
            let rstd = var.map(|var| 1.0 / (var + self.eps).sqrt());
            if let Statistics::Batch { mean: mean_out, rstd: rstd_out, var: var_out, .. } = self.statistics {
                write_channels(memory, mean_out, planes, block, &mean);
                write_channels(memory, rstd_out, planes, block, &rstd);
                write_channels(memory, var_out, planes, block, &var);
            }
            let read = |place: Option<Place>, otherwise: f32| {
                place.map_or([otherwise; LANES], |place| read_channels(memory, place, planes, block))
            };
            let (weight, shift) = (read(self.weight, 1.0), read(self.bias, 0.0));
            let scale: Channels = std::array::from_fn(|lane| rstd[lane] * weight[lane]);
            for (place, values) in self.channels.into_iter().zip([mean, scale, shift]) {
                *memory.at::<Channels>(place).add(block) = values;
            }
        }
    }
}
