//! Copies: between strides, and between planes and blocks of channels.

use phynexus_conv::layout::{Planes as ConvPlanes, blocked_to_nchw, nchw_to_blocked};
use phynexus_kernels::{KernelError, Operation};
use phynexus_runtime::threads;

use crate::builder::Step;
use crate::elementwise::Planes;
use crate::memory::{Memory, Place, Tensor};

/// A copy from strides to strides.
#[derive(Debug)]
pub struct Copy {
    /// The operation that copies.
    pub operation: Box<dyn Operation>,
    /// What is read.
    pub from: Tensor,
    /// What is written.
    pub to: Tensor,
}

impl Step for Copy {
    unsafe fn run(&self, memory: &Memory<'_>) -> Result<(), KernelError> {
        // SAFETY: the plan's memory holds both, and this step alone is under way.
        unsafe { self.operation.run(&[memory.tensor_mut(&self.to)], &[Some(memory.tensor(&self.from))]) }
    }
}

/// From dense planes to blocks of channels.
#[derive(Debug)]
pub struct ToBlocks {
    /// Sizes.
    pub planes: Planes,
    /// Dense planes.
    pub from: Tensor,
    /// Blocks.
    pub to: Place,
}

/// From blocks of channels to dense planes.
#[derive(Debug)]
pub struct FromBlocks {
    /// Sizes.
    pub planes: Planes,
    /// Blocks.
    pub from: Place,
    /// Dense planes.
    pub to: Tensor,
}

fn dense(planes: Planes) -> ConvPlanes {
    ConvPlanes::dense(planes.samples, planes.channels, planes.pixels)
}

fn plane_count(planes: Planes) -> usize {
    planes.samples * planes.channels * planes.pixels
}

impl Step for ToBlocks {
    unsafe fn run(&self, memory: &Memory<'_>) -> Result<(), KernelError> {
        // SAFETY: the plan's memory holds both, and this step alone is under way.
        let (from, to) = unsafe {
            (
                memory.slice::<f32>(self.from.place, plane_count(self.planes)),
                memory.slice_mut::<f32>(self.to, self.planes.count()),
            )
        };
        nchw_to_blocked(dense(self.planes), from, to, threads());
        Ok(())
    }
}

impl Step for FromBlocks {
    unsafe fn run(&self, memory: &Memory<'_>) -> Result<(), KernelError> {
        // SAFETY: the plan's memory holds both, and this step alone is under way.
        let (from, to) = unsafe {
            (
                memory.slice::<f32>(self.from, self.planes.count()),
                memory.slice_mut::<f32>(self.to.place, plane_count(self.planes)),
            )
        };
        blocked_to_nchw(dense(self.planes), from, to, threads());
        Ok(())
    }
}
