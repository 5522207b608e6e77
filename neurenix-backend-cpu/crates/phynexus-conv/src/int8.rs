//! Convolution of 8-bit integers: u8 activations, i8 weights with a scale for each output channel.
//!
//! Sums are exact; what is stored is `round(real / scale + zero_point)`, cut off at 0 and 255. Results have the same
//! bits on all instruction sets, with AVX-512 VNNI or without, but for those of few channels, which are multiplied in
//! f32 without.

use phynexus_simd::{Kernel, LANES, Simd, dispatch, isa};

use crate::arithmetic::Arithmetic;
use crate::canonical::{Canonical, Direction};
use crate::direct::Direct;
use crate::element::Lanes;
use crate::epilogue::RawEpilogue;
use crate::error::{ConvError, check_len};
use crate::first::First;
use crate::groups;
use crate::memory::{Aligned, Shared};
#[cfg(target_arch = "x86_64")]
use crate::micro::Int8;
use crate::micro::{Float, Int8Widened, Requantize};
use crate::plan::{InputLayout, pack_bias};
use crate::shape::ConvShape;
use crate::tasks::for_each;

/// What an 8-bit activation stands for: `scale * (stored - zero_point)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantization {
    /// The real distance of neighbouring integers, above 0.
    pub scale: f32,
    /// What stands for zero.
    pub zero_point: u8,
}

/// What a convolution of 8-bit integers reads.
#[derive(Clone, Copy, Debug)]
pub enum Int8Input<'a> {
    /// Dense NCHW of f32: for few channels. They are quantized, or multiplied in f32.
    Nchw(&'a [f32]),
    /// Blocks of 16 channels.
    Blocked(&'a [u8]),
}

/// Applied before the result is rounded: the residual, then ReLU.
#[derive(Clone, Copy, Debug, Default)]
pub struct Int8Epilogue<'a> {
    /// An activation of the output's size and layout, to be added; not where f32 is read.
    pub residual: Option<(&'a [u8], Quantization)>,
    /// Negative sums become zero.
    pub relu: bool,
}

/// Products of u8 by i8 that 32 bits hold the sum of.
const MOST_PRODUCTS: usize = 65_000;

#[derive(Clone, Debug)]
enum Method {
    Direct(Direct),
    First(First),
}

/// A convolution to blocked 8-bit integers.
#[derive(Clone, Debug)]
pub struct Int8ConvPlan {
    shape: ConvShape,
    method: Method,
    /// Whether there is an instruction for 8-bit integers.
    #[cfg(target_arch = "x86_64")]
    is_native: bool,
}

enum Weights {
    Narrow(Aligned<i8>),
    Wide(Aligned<f32>),
}

/// Quantized weights and the way from sums to results, in the layout of one [`Int8ConvPlan`].
pub struct Int8PackedWeights {
    weights: Weights,
    scale: Aligned<f32>,
    bias: Aligned<f32>,
    input: Quantization,
    output: Quantization,
}

impl Int8ConvPlan {
    /// Plans it, for the instruction set in use. Fewer than 16 channels of one group are read as f32.
    ///
    /// # Errors
    /// No convolution has this shape, or its sums could outgrow 32 bits.
    pub fn new(shape: &ConvShape) -> Result<Self, ConvError> {
        shape.check()?;
        let layout = if First::pays(shape) { InputLayout::Nchw } else { InputLayout::Blocked };
        Self::with_input(shape, layout)
    }

    /// Plans it to read this layout: NCHW of f32, for one group only, or blocks of u8.
    ///
    /// # Errors
    /// No convolution has this shape, none reads the layout, or its sums could outgrow 32 bits.
    pub fn with_input(shape: &ConvShape, layout: InputLayout) -> Result<Self, ConvError> {
        shape.check()?;
        if shape.group_in() * shape.taps() > MOST_PRODUCTS {
            return Err(shape.too_deep().into());
        }
        let method = match layout {
            InputLayout::Nchw if shape.groups == 1 => Method::First(First::new(shape, isa())),
            InputLayout::Nchw => return Err(shape.unfit().into()),
            InputLayout::Blocked => Method::Direct(Direct::forward(&groups::join(shape), isa())),
        };
        Ok(Self {
            shape: shape.clone(),
            method,
            #[cfg(target_arch = "x86_64")]
            is_native: phynexus_simd::has_vnni(),
        })
    }

    /// The shape it was made for.
    pub fn shape(&self) -> &ConvShape {
        &self.shape
    }

    /// The layout that it reads: NCHW of f32, or blocks of u8. What it writes is blocked.
    pub fn input_layout(&self) -> InputLayout {
        if matches!(self.method, Method::First(_)) { InputLayout::Nchw } else { InputLayout::Blocked }
    }

    /// Whether what it multiplies are integers: f32 is quantized only where there is an instruction for them.
    pub fn multiplies_integers(&self) -> bool {
        #[cfg(target_arch = "x86_64")]
        if self.is_native {
            return true;
        }
        self.input_layout() == InputLayout::Blocked
    }

    /// Quantizes canonical weights, each output channel by its largest, and packs them, and perhaps a bias.
    ///
    /// `input` and `output` tell what the activations stand for, or do once they are quantized.
    ///
    /// # Errors
    /// The lengths are not those of the shape, or there is no memory.
    pub fn pack(
        &self,
        weights: &[f32],
        bias: Option<&[f32]>,
        input: Quantization,
        output: Quantization,
    ) -> Result<Int8PackedWeights, ConvError> {
        check_len("weights", self.shape.weight_len(), weights.len())?;
        let zeros = vec![0.0; self.shape.out_channels];
        let mut bias = pack_bias(&self.shape, bias.unwrap_or(&zeros))?;
        let mut scale = pack_bias(&self.shape, &zeros)?;
        let depth = weights.len() / self.shape.out_channels;
        let mut changed = weights.to_vec();
        let is_wide = !self.multiplies_integers();
        for (channel, weights) in changed.chunks_exact_mut(depth).enumerate() {
            let offset = f32::from(output.zero_point);
            if is_wide {
                weights.iter_mut().for_each(|weight| *weight /= output.scale);
                bias[channel] = bias[channel] / output.scale + offset;
                continue;
            }
            let largest = weights.iter().fold(0.0f32, |largest, weight| largest.max(weight.abs()));
            let step = if largest > 0.0 { largest / 127.0 } else { 1.0 };
            let mut sum = 0i32;
            for weight in weights {
                *weight = (*weight / step).round_ties_even();
                sum += *weight as i32;
            }
            scale[channel] = step * input.scale / output.scale;
            bias[channel] = bias[channel] / output.scale + offset
                - (f64::from(sum) * f64::from(input.zero_point) * f64::from(scale[channel])) as f32;
        }
        let canonical = Canonical::new(&changed, &self.shape, Direction::Forward);
        let weights = match &self.method {
            #[cfg(target_arch = "x86_64")]
            Method::First(first) if self.is_native => {
                Weights::Narrow(first.pack::<Int8>(canonical, |weight| weight as i8)?)
            }
            Method::First(first) => Weights::Wide(first.pack::<Float<u8>>(canonical, |weight| weight)?),
            Method::Direct(direct) => {
                let threads = phynexus_runtime::threads();
                Weights::Narrow(direct.pack(
                    canonical,
                    Some,
                    (|weight| weight as i8, Int8Widened::DEPTH),
                    threads,
                )?)
            }
        };
        Ok(Int8PackedWeights { weights, scale, bias, input, output })
    }

    /// Convolves `batch` samples on at most `threads` threads of the pool; `y` and the residual are blocked.
    ///
    /// # Errors
    /// The lengths are not those of the shape, or there is no memory for work in progress.
    ///
    /// # Panics
    /// If the input is not in the layout that the plan reads, the weights were packed for another convolution, or,
    /// where f32 is read, there is a residual or ReLU with another zero point than 0.
    pub fn run(
        &self,
        batch: usize,
        x: Int8Input<'_>,
        weights: &Int8PackedWeights,
        y: &mut [u8],
        epilogue: Int8Epilogue<'_>,
        threads: usize,
    ) -> Result<(), ConvError> {
        let shape = self.shape.with_batch(batch);
        match x {
            Int8Input::Nchw(x) => check_len("input", shape.in_len(), x.len())?,
            Int8Input::Blocked(x) => check_len("input", shape.in_blocked_len(), x.len())?,
        }
        check_len("output", shape.out_blocked_len(), y.len())?;
        if let Some((residual, _)) = epilogue.residual {
            check_len("residual", shape.out_blocked_len(), residual.len())?;
        }
        if batch == 0 {
            return Ok(());
        }
        let (y, output, bias) = (y.as_mut_ptr(), weights.output, weights.bias.as_ptr());
        let (residual, residual_scale, residual_offset) =
            epilogue.residual.map_or((std::ptr::null(), 0.0, 0.0), |(residual, quantization)| {
                let scale = quantization.scale / output.scale;
                (residual.as_ptr(), scale, -scale * f32::from(quantization.zero_point))
            });
        let requantize = Requantize {
            scale: weights.scale.as_ptr(),
            bias,
            residual,
            residual_scale,
            residual_offset,
            low: if epilogue.relu { f32::from(output.zero_point) } else { 0.0 },
        };
        match (&self.method, x, &weights.weights) {
            (Method::First(first), Int8Input::Nchw(x), packed) => {
                assert!(epilogue.residual.is_none() && (!epilogue.relu || output.zero_point == 0));
                let x = x.as_ptr();
                // SAFETY: the lengths are checked, and `y` is borrowed by nobody else.
                unsafe {
                    match packed {
                        #[cfg(target_arch = "x86_64")]
                        Weights::Narrow(packed) if self.is_native => {
                            first.run::<Int8>(batch, (x, weights.input), packed, y, requantize, threads)?
                        }
                        Weights::Wide(packed) => {
                            let raw = RawEpilogue { bias, residual, relu: epilogue.relu };
                            first.run::<Float<u8>>(batch, (x, ()), packed, y, raw, threads)?;
                        }
                        Weights::Narrow(_) => panic!("the weights of this convolution"),
                    }
                }
            }
            (Method::Direct(direct), Int8Input::Blocked(x), Weights::Narrow(packed)) => {
                let (x, padding) = (x.as_ptr(), weights.input.zero_point);
                // SAFETY: the lengths are checked, and `y` is borrowed by nobody else.
                unsafe {
                    #[cfg(target_arch = "x86_64")]
                    if self.is_native {
                        return Ok(direct.run::<Int8>(batch, x, padding, packed, y, requantize, threads)?);
                    }
                    direct.run::<Int8Widened>(batch, x, padding, packed, y, requantize, threads)?;
                }
            }
            _ => panic!("the input and the weights of this convolution"),
        }
        Ok(())
    }
}

/// Elements of a task of [`quantize`] and [`dequantize`].
const PIECE: usize = 1024 * LANES;

/// Quantizes floats.
///
/// # Panics
/// If the slices differ in length.
pub fn quantize(from: &[f32], quantization: Quantization, to: &mut [u8], threads: usize) {
    assert_eq!(from.len(), to.len(), "as many integers as floats");
    let to = Shared::new(to.as_mut_ptr());
    for_each_piece(from, threads, |at, from| {
        dispatch(Affine::quantizing(from, quantization, to.get().wrapping_add(at)));
    });
}

/// Gives the floats that integers stand for.
///
/// # Panics
/// If the slices differ in length.
pub fn dequantize(from: &[u8], quantization: Quantization, to: &mut [f32], threads: usize) {
    let offset = -quantization.scale * f32::from(quantization.zero_point);
    assert_eq!(from.len(), to.len(), "as many integers as floats");
    let to = Shared::new(to.as_mut_ptr());
    for_each_piece(from, threads, |at, from| {
        dispatch(Affine { from, scale: quantization.scale, offset, to: to.get().wrapping_add(at) });
    });
}

/// Calls `f` for pieces of a slice and where they begin, on several threads where that pays.
fn for_each_piece<T: Sync>(from: &[T], threads: usize, f: impl Fn(usize, &[T]) + Sync) {
    let threads = if from.len() < 4 * PIECE { 1 } else { threads };
    for_each(threads, from.len().div_ceil(PIECE), |task| {
        let start = task * PIECE;
        f(start, &from[start..from.len().min(start + PIECE)]);
    });
}

/// `to = from * scale + offset`, each element.
pub(crate) struct Affine<'a, A, B> {
    from: &'a [A],
    scale: f32,
    offset: f32,
    /// As many as `from`.
    to: *mut B,
}

impl<'a> Affine<'a, f32, u8> {
    /// From floats to what stands for them.
    pub fn quantizing(from: &'a [f32], quantization: Quantization, to: *mut u8) -> Self {
        Self { from, scale: 1.0 / quantization.scale, offset: f32::from(quantization.zero_point), to }
    }
}

impl<A: Lanes, B: Lanes> Kernel for Affine<'_, A, B> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (scale, offset) = (simd.splat(self.scale), simd.splat(self.offset));
        for (index, from) in self.from.chunks(LANES).enumerate() {
            // SAFETY: the chunk has so many elements, and the destination as many in its place.
            unsafe {
                // Not fused, so that all instruction sets agree.
                let x = A::load(simd, from.as_ptr(), from.len());
                let x = simd.add(simd.mul(x, scale), offset);
                B::store(simd, self.to.add(index * LANES), from.len(), x);
            }
        }
    }
}
