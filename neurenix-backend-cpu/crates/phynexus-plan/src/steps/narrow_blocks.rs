//! Between blocks of floats and narrow blocks of channels.

use half::bf16;
use phynexus_conv::int8::{dequantize, quantize};
use phynexus_conv::layout::{from_f32, to_f32};
use phynexus_kernels::KernelError;
use phynexus_runtime::threads;
use phynexus_simd::LANES;

use crate::builder::Step;
use crate::elementwise::{Planes, clear_lanes};
use crate::memory::{Memory, Place};
use crate::precision::Format;

/// From floats to a narrow form.
#[derive(Debug)]
pub struct Narrow {
    /// Elements.
    pub count: usize,
    /// The narrow form.
    pub format: Format,
    /// Floats.
    pub from: Place,
    /// The same elements, narrow.
    pub to: Place,
}

/// From a narrow form to floats.
#[derive(Debug)]
pub struct Widen {
    /// Sizes.
    pub planes: Planes,
    /// The narrow form.
    pub format: Format,
    /// Narrow blocks.
    pub from: Place,
    /// Blocks.
    pub to: Place,
}

impl Step for Narrow {
    unsafe fn run(&self, memory: &Memory<'_>) -> Result<(), KernelError> {
        // SAFETY: the plan's memory holds both, and this step alone is under way.
        unsafe {
            let from = memory.slice::<f32>(self.from, self.count);
            match self.format {
                Format::Bfloat16 => {
                    from_f32(from, memory.slice_mut::<bf16>(self.to, self.count), threads());
                }
                Format::Int8(quantization) => {
                    quantize(from, quantization, memory.slice_mut::<u8>(self.to, self.count), threads());
                }
            }
        }
        Ok(())
    }
}

impl Step for Widen {
    unsafe fn run(&self, memory: &Memory<'_>) -> Result<(), KernelError> {
        let (planes, count) = (self.planes, self.planes.count());
        // SAFETY: the plan's memory holds both, and this step alone is under way.
        unsafe {
            let to = memory.slice_mut::<f32>(self.to, count);
            match self.format {
                Format::Bfloat16 => to_f32(memory.slice::<bf16>(self.from, count), to, threads()),
                Format::Int8(quantization) => {
                    dequantize(memory.slice::<u8>(self.from, count), quantization, to, threads());
                    // Channels past the last may hold integers that do not stand for zero.
                    if planes.last_lanes() < LANES {
                        for sample in 0..planes.samples {
                            let last = planes.start(sample, planes.blocks() - 1);
                            clear_lanes(to.as_mut_ptr().add(last), planes.pixels, planes.last_lanes());
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
