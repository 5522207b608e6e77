//! Convolutions over narrow blocks of channels, with what is fused into them.

use std::sync::Arc;

use half::bf16;
use phynexus_conv::int8::{Int8ConvPlan, Int8Epilogue, Int8Input, Int8PackedWeights, Quantization};
use phynexus_conv::{Bf16ConvPlan, Bf16Input, Bf16PackedWeights, ConvShape, Epilogue, InputLayout};
use phynexus_kernels::KernelError;
use phynexus_runtime::threads;

use super::convolution::kernel_error;
use crate::builder::Step;
use crate::memory::{Memory, Place};
use crate::prepared::{Prepare, Prepared, Weights};

/// Where dense weights are, and a bias for each channel of the output.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Dense weights.
    pub weight: Place,
    /// The bias.
    pub bias: Option<Place>,
}

impl Source {
    /// # Safety
    /// The memory holds weights of the shape, and nobody writes them meanwhile.
    unsafe fn read<'m>(&self, memory: &'m Memory<'_>, shape: &ConvShape) -> (&'m [f32], Option<&'m [f32]>) {
        // SAFETY: as the caller vouches.
        unsafe {
            let bias = self.bias.map(|place| memory.slice(place, shape.out_channels));
            (memory.slice(self.weight, shape.weight_len()), bias)
        }
    }
}

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
    /// What it reads; of no account where that is f32.
    pub input: Quantization,
    /// What it writes.
    pub output: Quantization,
}

impl PackBf16Convolution {
    fn pack(&self, memory: &Memory<'_>) -> Result<Bf16PackedWeights, KernelError> {
        // SAFETY: the memory holds them, and nobody writes them meanwhile.
        let (weight, bias) = unsafe { self.source.read(memory, self.plan.shape()) };
        self.plan.pack(weight, bias).map_err(kernel_error)
    }
}

impl PackInt8Convolution {
    fn pack(&self, memory: &Memory<'_>) -> Result<Int8PackedWeights, KernelError> {
        // SAFETY: the memory holds them, and nobody writes them meanwhile.
        let (weight, bias) = unsafe { self.source.read(memory, self.plan.shape()) };
        self.plan.pack(weight, bias, self.input, self.output).map_err(kernel_error)
    }
}

impl Prepare for PackBf16Convolution {
    fn prepare(&self, memory: &Memory<'_>) -> Result<Prepared, KernelError> {
        self.pack(memory).map(Prepared::Bf16Convolution)
    }
}

impl Prepare for PackInt8Convolution {
    fn prepare(&self, memory: &Memory<'_>) -> Result<Prepared, KernelError> {
        self.pack(memory).map(Prepared::Int8Convolution)
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
        let anew;
        let weights = match self.weights {
            Weights::Kept(slot) => {
                let Some(Prepared::Bf16Convolution(kept)) = &memory.prepared[slot] else {
                    unreachable!("weights are prepared before a run")
                };
                kept
            }
            Weights::Anew => {
                anew = self.pack.pack(memory)?;
                &anew
            }
        };
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
            plan.run(self.batch, x, weights, out, epilogue, threads()).map_err(kernel_error)
        }
    }
}

impl Step for Int8Convolution {
    unsafe fn run(&self, memory: &Memory<'_>) -> Result<(), KernelError> {
        let plan = &self.pack.plan;
        let shape = plan.shape().with_batch(self.batch);
        let anew;
        let weights = match self.weights {
            Weights::Kept(slot) => {
                let Some(Prepared::Int8Convolution(kept)) = &memory.prepared[slot] else {
                    unreachable!("weights are prepared before a run")
                };
                kept
            }
            Weights::Anew => {
                anew = self.pack.pack(memory)?;
                &anew
            }
        };
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
            plan.run(self.batch, x, weights, out, epilogue, threads()).map_err(kernel_error)
        }
    }
}
