//! Gradients of convolutions over blocks of channels.

use std::sync::Arc;

use phynexus_conv::{ConvShape, GradInputPlan, GradWeightPlan, PackedGradWeights};
use phynexus_kernels::KernelError;
use phynexus_runtime::threads;

use super::convolution::kernel_error;
use crate::builder::Step;
use crate::memory::{Memory, Place};
use crate::prepared::{Pack, Weights};

/// Packs the weights for the gradient of the input.
#[derive(Clone, Debug)]
pub struct PackTransposed {
    /// The gradient.
    pub plan: Arc<GradInputPlan>,
    /// Dense weights.
    pub weight: Place,
    /// How many.
    pub count: usize,
}

impl Pack for PackTransposed {
    type Packed = PackedGradWeights;

    fn pack(&self, memory: &Memory<'_>) -> Result<PackedGradWeights, KernelError> {
        // SAFETY: the memory holds them, and nobody writes them meanwhile.
        let weight = unsafe { memory.slice(self.weight, self.count) };
        self.plan.pack(weight).map_err(kernel_error)
    }
}

/// The gradient of a convolution with respect to its input.
#[derive(Debug)]
pub struct GradInput {
    /// The gradient, and where its weights are.
    pub pack: PackTransposed,
    /// Where the packed ones are.
    pub weights: Weights,
    /// Of the forward convolution.
    pub shape: ConvShape,
    /// The gradient of the output, in blocks.
    pub grad: Place,
    /// Blocks.
    pub dx: Place,
}

impl Step for GradInput {
    unsafe fn run(&self, memory: &Memory<'_>) -> Result<(), KernelError> {
        // SAFETY: the plan's memory holds both, and this step alone is under way.
        let (grad, dx) = unsafe {
            (
                memory.slice(self.grad, self.shape.out_blocked_len()),
                memory.slice_mut(self.dx, self.shape.in_blocked_len()),
            )
        };
        let plan = &self.pack.plan;
        self.weights.with(&self.pack, memory, |weights| {
            plan.run(self.shape.batch, grad, weights, dx, None, threads()).map_err(kernel_error)
        })
    }
}

/// The gradient of a convolution with respect to its weights.
#[derive(Debug)]
pub struct GradWeight {
    /// The gradient.
    pub plan: GradWeightPlan,
    /// Of the forward convolution.
    pub shape: ConvShape,
    /// The gradient of the output, in blocks.
    pub grad: Place,
    /// The convolution's input, in the layout that the gradient reads.
    pub x: Place,
    /// Dense weights.
    pub dweight: Place,
}

impl Step for GradWeight {
    unsafe fn run(&self, memory: &Memory<'_>) -> Result<(), KernelError> {
        let batch = self.shape.batch;
        // SAFETY: the plan's memory holds all of them, and this step alone is under way.
        let (x, grad, dweight) = unsafe {
            (
                memory.slice(self.x, self.plan.in_len(batch)),
                memory.slice(self.grad, self.shape.out_blocked_len()),
                memory.slice_mut(self.dweight, self.shape.weight_len()),
            )
        };
        self.plan.run(batch, x, grad, dweight, false, threads()).map_err(kernel_error)
    }
}
