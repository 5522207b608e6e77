//! Convolutions over narrow blocks of channels, with what is fused into them.

use std::sync::Arc;

use half::bf16;
use phynexus_conv::int8::{Int8ConvPlan, Int8Epilogue, Int8Input, Int8PackedWeights, Quantization};
use phynexus_conv::{Bf16ConvPlan, Bf16Input, Bf16PackedWeights, Epilogue, InputLayout};
use phynexus_kernels::KernelError;
use phynexus_runtime::threads;

use super::convolution::{Source, kernel_error};
use crate::builder::Step;
use crate::memory::{Memory, Place};
use crate::prepared::{Pack, Weights};

/// Packs the weights and the bias of a convolution of bfloat16.
#[derive(Clone, Debug)]
pub struct PackBf16Convolution {
    /// The convolution.
    pub plan: Arc<Bf16ConvPlan>,
    /// Its weights.
    pub source: Source,
}

/// Quantizes and packs the weights and the bias of a convolution of 8-bit integers.
#[derive(Clone, Debug)]
pub struct PackInt8Convolution {
    /// The convolution.
    pub plan: Arc<Int8ConvPlan>,
    /// Its weights.
    pub source: Source,
    /// What it reads, or makes of it; of no account where it multiplies f32.
    pub input: Quantization,
    /// What it writes.
    pub output: Quantization,
}

impl Pack for PackBf16Convolution {
    type Packed = Bf16PackedWeights;

    fn pack(&self, memory: &Memory<'_>) -> Result<Bf16PackedWeights, KernelError> {
        // SAFETY: the memory holds them, and nobody writes them meanwhile.
        let (weight, bias) = unsafe { self.source.read(memory, self.plan.shape()) };
        self.plan.pack(weight, bias).map_err(kernel_error)
    }
}

impl Pack for PackInt8Convolution {
    type Packed = Int8PackedWeights;

    fn pack(&self, memory: &Memory<'_>) -> Result<Int8PackedWeights, KernelError> {
        // SAFETY: the memory holds them, and nobody writes them meanwhile.
        let (weight, bias) = unsafe { self.source.read(memory, self.plan.shape()) };
        self.plan.pack(weight, bias, self.input, self.output).map_err(kernel_error)
    }
}

/// `relu(conv2d(x, weight, bias) + residual)`, rounded once to bfloat16.
#[derive(Debug)]
pub struct Bf16Convolution {
    /// The convolution, and where its weights are.
    pub pack: PackBf16Convolution,
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

/// The same with integers as results.
#[derive(Debug)]
pub struct Int8Convolution {
    /// The convolution, and where its weights are.
    pub pack: PackInt8Convolution,
    /// Where the packed ones are.
    pub weights: Weights,
    /// Samples.
    pub batch: usize,
    /// The input, in the layout that the convolution reads.
    pub x: Place,
    /// In blocks, of the result's sizes, and what its integers stand for.
    pub residual: Option<(Place, Quantization)>,
    /// Whether negative results become zero.
    pub relu: bool,
    /// Blocks.
    pub out: Place,
}

impl Step for Bf16Convolution {
    unsafe fn run(&self, memory: &Memory<'_>) -> Result<(), KernelError> {
        let plan = &self.pack.plan;
        let shape = plan.shape().with_batch(self.batch);
        // SAFETY: the plan's memory holds all of them, and this step alone is under way.
        unsafe {
            let x = match plan.input_layout() {
                InputLayout::Nchw => Bf16Input::Nchw(memory.slice(self.x, shape.in_len())),
                InputLayout::Blocked => Bf16Input::Blocked(memory.slice(self.x, shape.in_blocked_len())),
            };
            let out_len = shape.out_blocked_len();
            let residual = self.residual.map(|place| memory.slice::<bf16>(place, out_len));
            let epilogue = Epilogue { residual, relu: self.relu };
            let out = memory.slice_mut(self.out, out_len);
            self.weights.with(&self.pack, memory, |weights| {
                plan.run(self.batch, x, weights, out, epilogue, threads()).map_err(kernel_error)
            })
        }
    }
}

impl Step for Int8Convolution {
    unsafe fn run(&self, memory: &Memory<'_>) -> Result<(), KernelError> {
        let plan = &self.pack.plan;
        let shape = plan.shape().with_batch(self.batch);
        // SAFETY: the plan's memory holds all of them, and this step alone is under way.
        unsafe {
            let x = match plan.input_layout() {
                InputLayout::Nchw => Int8Input::Nchw(memory.slice(self.x, shape.in_len())),
                InputLayout::Blocked => Int8Input::Blocked(memory.slice(self.x, shape.in_blocked_len())),
            };
            let out_len = shape.out_blocked_len();
            let residual =
                self.residual.map(|(place, quantization)| (memory.slice(place, out_len), quantization));
            let epilogue = Int8Epilogue { residual, relu: self.relu };
            let out = memory.slice_mut(self.out, out_len);
            self.weights.with(&self.pack, memory, |weights| {
                plan.run(self.batch, x, weights, out, epilogue, threads()).map_err(kernel_error)
            })
        }
    }
}
