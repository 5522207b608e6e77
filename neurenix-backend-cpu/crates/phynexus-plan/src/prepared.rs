//! Weights in the form in which steps read them: made once, and again when they have changed.

use std::fmt;

use phynexus_conv::int8::Int8PackedWeights;
use phynexus_conv::{Bf16PackedWeights, PackedGradWeights, PackedWeights};
use phynexus_gemm::{PackedB, PackedBf16, PackedInt8};
use phynexus_kernels::KernelError;

use crate::memory::Memory;

/// Weights that a step reads.
pub enum Prepared {
    /// The right operand of a product.
    Matrix(PackedB),
    /// Weights and bias of a convolution.
    Convolution(PackedWeights),
    /// Weights of the gradient of a convolution with respect to its input.
    Transposed(PackedGradWeights),
    /// Weights and bias of a convolution of bfloat16.
    Bf16Convolution(Bf16PackedWeights),
    /// Weights and bias of a convolution of 8-bit integers.
    Int8Convolution(Int8PackedWeights),
    /// The right operand of a product of bfloat16.
    Bf16Matrix(PackedBf16),
    /// The right operand of a product of 8-bit integers, and what one in each column is worth.
    Int8Matrix((PackedInt8, Vec<f32>)),
}

/// Makes weights ready for a step.
pub trait Prepare: fmt::Debug + Send + Sync {
    /// Reads the weights and returns them in their other form.
    ///
    /// # Errors
    /// There is no memory.
    fn prepare(&self, memory: &Memory<'_>) -> Result<Prepared, KernelError>;
}

/// Weights that are kept between runs.
#[derive(Debug)]
pub struct Slot {
    /// How they are made.
    pub prepare: Box<dyn Prepare>,
    /// The external memory that they are made from.
    pub sources: Vec<usize>,
}

/// Where a step finds its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// In a slot, kept between runs.
    Kept(usize),
    /// They change from run to run: the step makes them itself.
    Anew,
}
