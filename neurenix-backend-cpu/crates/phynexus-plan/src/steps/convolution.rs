//! Convolutions over blocks of channels, with what is fused into them.

use std::sync::Arc;

use phynexus_conv::{ConvError, ConvPlan, ConvShape, Epilogue, PackedWeights};
use phynexus_kernels::KernelError;
use phynexus_runtime::threads;

use crate::builder::Step;
use crate::memory::{Memory, Place};
use crate::prepared::{Pack, Weights};

/// What a kernel reports for an error of a convolution.
pub fn kernel_error(error: ConvError) -> KernelError {
    match error {
        ConvError::Memory(error) => error.into(),
        other => KernelError::Shape(other.to_string()),
    }
}

/// Where dense weights are, and a bias for each channel of the output.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Dense weights.
    pub weight: Place,
    /// The bias.
    pub bias: Option<Place>,
}

impl Source {
    /// The weights and the bias.
    ///
    /// # Safety
    /// The memory holds weights of the shape, and nobody writes them meanwhile.
    pub unsafe fn read<'m>(
        &self,
        memory: &'m Memory<'_>,
        shape: &ConvShape,
    ) -> (&'m [f32], Option<&'m [f32]>) {
        // SAFETY: as the caller vouches.
        unsafe {
            let bias = self.bias.map(|place| memory.slice(place, shape.out_channels));
            (memory.slice(self.weight, shape.weight_len()), bias)
        }
    }
}

/// Packs the weights and the bias of a convolution.
#[derive(Clone, Debug)]
pub struct PackConvolution {
    /// The convolution.
    pub plan: Arc<ConvPlan>,
    /// Its weights.
    pub source: Source,
}

impl Pack for PackConvolution {
    type Packed = PackedWeights;

    fn pack(&self, memory: &Memory<'_>) -> Result<PackedWeights, KernelError> {
        // SAFETY: the memory holds them, and nobody writes them meanwhile.
        let (weight, bias) = unsafe { self.source.read(memory, self.plan.shape()) };
        self.plan.pack(weight, bias).map_err(kernel_error)
    }
}

/// `relu(conv2d(x, weight, bias) + residual)`
#[derive(Debug)]
pub struct Convolution {
    /// The convolution, and where its weights are.
    pub pack: PackConvolution,
    /// Where the packed ones are.
    pub weights: Weights,
    /// Samples.
    pub batch: usize,
    /// The input, in the layout that the convolution reads.
    pub x: Place,
    /// In blocks, as the result.
    pub residual: Option<Place>,
    /// Whether negative results become zero.
    pub relu: bool,
    /// Blocks.
    pub out: Place,
}

impl Step for Convolution {
    unsafe fn run(&self, memory: &Memory<'_>) -> Result<(), KernelError> {
        let plan = &self.pack.plan;
        let (in_len, out_len) = (plan.in_len(self.batch), plan.out_len(self.batch));
        // SAFETY: the plan's memory holds all of them, and this step alone is under way.
        unsafe {
            let epilogue = Epilogue {
                residual: self.residual.map(|place| memory.slice(place, out_len)),
                relu: self.relu,
            };
            let (x, out) = (memory.slice(self.x, in_len), memory.slice_mut(self.out, out_len));
            self.weights.with(&self.pack, memory, |weights| {
                plan.run(self.batch, x, weights, out, epilogue, threads()).map_err(kernel_error)
            })
        }
    }
}
