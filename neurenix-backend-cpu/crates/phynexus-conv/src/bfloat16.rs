//! Convolution of bfloat16 activations.
//!
//! Strided and pointwise convolutions, those of few channels and the tiles of F(2x2) multiply bfloat16 (AVX-512 BF16:
//! pairs of channels, added in f32; denormals count as zero). With few channels, a pixel that is not finite may turn
//! the results beside those that it belongs to to NaN. F(4x4) and depthwise convolutions multiply in f32, and round
//! only what they store. Every result is rounded once.
//!
//! What the algorithms for 3x3 convolutions without stride reached on two threads of a Zen 5 (peak 1140 GFLOP/s in
//! bfloat16, 570 in f32), in GFLOP/s of the definition, batch 16 (`conv_speed`):
//!
//! | layer | direct | F(4x4) in f32 | F(2x2) in bfloat16 |
//! |---|---|---|---|
//! | 64 channels, 56x56 | 990 | 1490 | 1490 |
//! | 128 channels, 28x28 | 1020 | 1670 | 1870 |
//! | 256 channels, 14x14 | 1030 | 1190 | 2130 |
//! | 512 channels, 7x7 | 1000 | 1100 | 1500 |
//!
//! So F(2x2) is chosen but for few channels, where transforms eat what products save and F(4x4) is more exact. The 20
//! convolutions of ResNet-18 took 2.48 ms a picture so, 3.00 ms with F(4x4) and 3.68 ms with the direct algorithm alone.
//!
//! Where there is no instruction for bfloat16, what it would multiply is widened and multiplied in f32: equal to the
//! rounding of sums, and the same bits on all instruction sets with a fused multiply-add.

use half::bf16;
use phynexus_simd::isa;

#[cfg(target_arch = "x86_64")]
use crate::arithmetic::Arithmetic;
use crate::canonical::{Canonical, Direction};
use crate::depthwise::Depthwise;
use crate::direct::Direct;
use crate::epilogue::{Epilogue, RawEpilogue};
use crate::error::{ConvError, check_len};
use crate::first::First;
use crate::groups;
use crate::memory::Aligned;
#[cfg(target_arch = "x86_64")]
use crate::micro::BFloat16;
use crate::micro::Float;
#[cfg(target_arch = "x86_64")]
use crate::narrow_winograd::NarrowWinograd;
use crate::plan::{Algorithm, InputLayout, pack_bias};
use crate::shape::ConvShape;
use crate::winograd::Winograd;

/// How many times as fast as f32 bfloat16 is multiplied, where there is an instruction for it.
const SPEED: f64 = 2.0;

#[derive(Clone, Debug)]
enum Method {
    Direct(Direct),
    First(First),
    Winograd(Winograd),
    #[cfg(target_arch = "x86_64")]
    NarrowWinograd(NarrowWinograd),
    Depthwise(Depthwise),
}

/// What a convolution of bfloat16 reads.
#[derive(Clone, Copy, Debug)]
pub enum Bf16Input<'a> {
    /// Dense NCHW of f32: for few channels.
    Nchw(&'a [f32]),
    /// Blocks of 16 channels.
    Blocked(&'a [bf16]),
}

/// A convolution to blocked bfloat16 with its algorithm chosen, from the shape of a sample alone.
#[derive(Clone, Debug)]
pub struct Bf16ConvPlan {
    shape: ConvShape,
    method: Method,
    /// Whether there is an instruction for bfloat16.
    #[cfg(target_arch = "x86_64")]
    is_native: bool,
}

enum Weights {
    #[cfg(target_arch = "x86_64")]
    Narrow(Aligned<bf16>),
    Wide(Aligned<f32>),
}

/// Weights, and perhaps a bias, in the layout of one [`Bf16ConvPlan`].
pub struct Bf16PackedWeights {
    weights: Weights,
    bias: Option<Aligned<f32>>,
}

impl Bf16ConvPlan {
    /// Chooses the algorithm, for the instruction set in use.
    ///
    /// # Errors
    /// No convolution has this shape.
    pub fn new(shape: &ConvShape) -> Result<Self, ConvError> {
        shape.check()?;
        let layout = if First::pays(shape) { InputLayout::Nchw } else { InputLayout::Blocked };
        Self::with_input(shape, layout)
    }

    /// Chooses the algorithm among those that read this layout; NCHW is read where there is one group only.
    ///
    /// # Errors
    /// No convolution has this shape, or none that reads the layout.
    pub fn with_input(shape: &ConvShape, layout: InputLayout) -> Result<Self, ConvError> {
        let speed = if phynexus_simd::has_bf16() { SPEED } else { 1.0 };
        let algorithm = match layout {
            InputLayout::Nchw => Algorithm::First,
            InputLayout::Blocked if Depthwise::fits(shape) => Algorithm::Depthwise,
            #[cfg(target_arch = "x86_64")]
            InputLayout::Blocked if NarrowWinograd::pays(shape) => Algorithm::NarrowWinograd,
            InputLayout::Blocked if Winograd::pays(shape, speed) => Algorithm::Winograd,
            InputLayout::Blocked => Algorithm::Direct,
        };
        Self::with_algorithm(shape, algorithm)
    }

    /// With this algorithm.
    ///
    /// # Errors
    /// No convolution has this shape, or the algorithm is not for it.
    pub fn with_algorithm(shape: &ConvShape, algorithm: Algorithm) -> Result<Self, ConvError> {
        shape.check()?;
        let isa = isa();
        let method = match algorithm {
            Algorithm::Direct => Method::Direct(Direct::forward(&groups::join(shape), isa)),
            Algorithm::First if shape.groups == 1 => Method::First(First::new(shape, isa)),
            Algorithm::Winograd if Winograd::fits(shape) => Method::Winograd(Winograd::new(shape, isa)),
            #[cfg(target_arch = "x86_64")]
            Algorithm::NarrowWinograd if NarrowWinograd::fits(shape) => {
                Method::NarrowWinograd(NarrowWinograd::new(shape))
            }
            Algorithm::Depthwise if Depthwise::fits(shape) => Method::Depthwise(Depthwise::new(shape, isa)),
            _ => return Err(shape.unfit().into()),
        };
        Ok(Self {
            shape: shape.clone(),
            method,
            #[cfg(target_arch = "x86_64")]
            is_native: phynexus_simd::has_bf16(),
        })
    }

    /// The shape it was made for.
    pub fn shape(&self) -> &ConvShape {
        &self.shape
    }

    /// The layout that it reads: NCHW of f32, or blocks of bfloat16. What it writes is blocked.
    pub fn input_layout(&self) -> InputLayout {
        if self.algorithm() == Algorithm::First { InputLayout::Nchw } else { InputLayout::Blocked }
    }

    /// How it is computed.
    pub fn algorithm(&self) -> Algorithm {
        match self.method {
            Method::Direct(_) => Algorithm::Direct,
            Method::First(_) => Algorithm::First,
            Method::Winograd(_) => Algorithm::Winograd,
            #[cfg(target_arch = "x86_64")]
            Method::NarrowWinograd(_) => Algorithm::NarrowWinograd,
            Method::Depthwise(_) => Algorithm::Depthwise,
        }
    }

    /// Packs canonical weights of f32, and perhaps a bias.
    ///
    /// # Errors
    /// The lengths are not those of the shape, or there is no memory.
    pub fn pack(&self, weights: &[f32], bias: Option<&[f32]>) -> Result<Bf16PackedWeights, ConvError> {
        check_len("weights", self.shape.weight_len(), weights.len())?;
        let canonical = Canonical::new(weights, &self.shape, Direction::Forward);
        let threads = phynexus_runtime::threads();
        let rounded = |weight| bf16::from_f32(weight).to_f32();
        let packed = match &self.method {
            #[cfg(target_arch = "x86_64")]
            Method::Direct(direct) if self.is_native => Weights::Narrow(direct.pack(
                canonical,
                Some,
                (bf16::from_f32, BFloat16::<bf16>::DEPTH),
                threads,
            )?),
            Method::Direct(direct) => Weights::Wide(direct.pack(canonical, Some, (rounded, 1), threads)?),
            #[cfg(target_arch = "x86_64")]
            Method::First(first) if self.is_native => {
                Weights::Narrow(first.pack::<BFloat16<bf16>>(canonical, bf16::from_f32)?)
            }
            Method::First(first) => Weights::Wide(first.pack::<Float<bf16>>(canonical, rounded)?),
            Method::Winograd(winograd) => {
                Weights::Wide(winograd.pack(canonical, Direction::Forward, threads)?)
            }
            #[cfg(target_arch = "x86_64")]
            Method::NarrowWinograd(winograd) => Weights::Narrow(winograd.pack(canonical, threads)?),
            Method::Depthwise(depthwise) => Weights::Wide(depthwise.pack(weights, Direction::Forward)?),
        };
        let bias = bias.map(|bias| pack_bias(&self.shape, bias)).transpose()?;
        Ok(Bf16PackedWeights { weights: packed, bias })
    }

    /// Convolves `batch` samples on at most `threads` threads of the pool; `y` and the residual are blocked.
    ///
    /// # Errors
    /// The lengths are not those of the shape, or there is no memory for work in progress.
    ///
    /// # Panics
    /// If the input is not in the layout that the [`algorithm`](Self::algorithm) reads, or the weights were packed for
    /// another convolution.
    pub fn run(
        &self,
        batch: usize,
        x: Bf16Input<'_>,
        weights: &Bf16PackedWeights,
        y: &mut [bf16],
        epilogue: Epilogue<'_, bf16>,
        threads: usize,
    ) -> Result<(), ConvError> {
        let shape = self.shape.with_batch(batch);
        match x {
            Bf16Input::Nchw(x) => check_len("input", shape.in_len(), x.len())?,
            Bf16Input::Blocked(x) => check_len("input", shape.in_blocked_len(), x.len())?,
        }
        check_len("output", shape.out_blocked_len(), y.len())?;
        if let Some(residual) = epilogue.residual {
            check_len("residual", shape.out_blocked_len(), residual.len())?;
        }
        if batch == 0 {
            return Ok(());
        }
        let raw = RawEpilogue {
            bias: weights.bias.as_ref().map_or(std::ptr::null(), |bias| bias.as_ptr()),
            residual: epilogue.residual.map_or(std::ptr::null(), <[bf16]>::as_ptr),
            relu: epilogue.relu,
        };
        let y = y.as_mut_ptr();
        // SAFETY: the lengths are checked, and `y` is borrowed by nobody else.
        unsafe {
            match (&self.method, x, &weights.weights) {
                #[cfg(target_arch = "x86_64")]
                (Method::Direct(direct), Bf16Input::Blocked(x), Weights::Narrow(weights)) => {
                    direct.run::<BFloat16<bf16>>(batch, x.as_ptr(), bf16::ZERO, weights, y, raw, threads)?;
                }
                (Method::Direct(direct), Bf16Input::Blocked(x), Weights::Wide(weights)) => {
                    direct.run::<Float<bf16, bf16>>(
                        batch,
                        x.as_ptr(),
                        bf16::ZERO,
                        weights,
                        y,
                        raw,
                        threads,
                    )?;
                }
                #[cfg(target_arch = "x86_64")]
                (Method::First(first), Bf16Input::Nchw(x), Weights::Narrow(weights)) => {
                    first.run::<BFloat16<bf16>>(batch, (x.as_ptr(), ()), weights, y, raw, threads)?;
                }
                (Method::First(first), Bf16Input::Nchw(x), Weights::Wide(weights)) => {
                    first.run::<Float<bf16>>(batch, (x.as_ptr(), ()), weights, y, raw, threads)?;
                }
                (Method::Winograd(winograd), Bf16Input::Blocked(x), Weights::Wide(weights)) => {
                    winograd.run(batch, x.as_ptr(), weights, y, raw, threads)?;
                }
                #[cfg(target_arch = "x86_64")]
                (Method::NarrowWinograd(winograd), Bf16Input::Blocked(x), Weights::Narrow(weights)) => {
                    winograd.run(batch, x.as_ptr(), weights, y, raw, threads)?;
                }
                (Method::Depthwise(depthwise), Bf16Input::Blocked(x), Weights::Wide(weights)) => {
                    depthwise.run(batch, x.as_ptr(), weights, y, raw, threads)?;
                }
                _ => panic!("the input and the weights of this convolution"),
            }
        }
        Ok(())
    }
}
