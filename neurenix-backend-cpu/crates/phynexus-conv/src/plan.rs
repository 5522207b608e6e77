//! A convolution with its algorithm chosen.

use std::sync::Arc;

use phynexus_simd::{Isa, LANES};

use crate::arithmetic::Arithmetic;
use crate::canonical::{Canonical, Direction};
use crate::depthwise::Depthwise;
use crate::direct::Direct;
use crate::epilogue::{Epilogue, RawEpilogue};
use crate::error::{ConvError, check_len};
use crate::first::First;
use crate::groups;
use crate::memory::Aligned;
use crate::micro::Float;
use crate::shape::ConvShape;
use crate::winograd::Winograd;

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// By its definition.
    Direct,
    /// By its definition, of fewer than 16 channels, from NCHW.
    First,
    /// F(4x4, 3x3). A value that is not finite may turn all results of its tiles, 4x4 each, to NaN.
    Winograd,
    /// F(2x2, 3x3) of bfloat16, where there is an instruction for it. A value that is not finite may turn all results
    /// of its tiles, 2x2 each, to NaN.
    NarrowWinograd,
    /// Each channel by itself.
    Depthwise,
}

/// The layout that a convolution reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InputLayout {
    /// Dense `[samples][channels][rows][columns]`.
    Nchw,
    /// Dense `[samples][ceil(channels / 16)][rows][columns][16]`, zeros in the channels past the last.
    Blocked,
}

#[derive(Clone, Debug)]
enum Method {
    Direct(Direct),
    First(First),
    Winograd(Winograd),
    Depthwise(Depthwise),
}

/// A convolution with its algorithm chosen, from the shape of a sample alone: any number of samples may be run.
#[derive(Clone, Debug)]
pub struct ConvPlan {
    shape: ConvShape,
    isa: Isa,
    method: Method,
}

/// Weights, and perhaps a bias, in the layout of one [`ConvPlan`] (and of all for the same shape of a sample and
/// instruction set).
pub struct PackedWeights {
    weights: Arc<Aligned<f32>>,
    bias: Option<Aligned<f32>>,
    algorithm: Algorithm,
}

impl PackedWeights {
    /// Bytes they take.
    pub fn size_bytes(&self) -> usize {
        size_of_val(&self.weights[..]) + self.bias.as_ref().map_or(0, |bias| size_of_val(&bias[..]))
    }
}

impl ConvPlan {
    /// Chooses the algorithm; [`input_layout`](Self::input_layout) tells what it reads.
    ///
    /// # Errors
    /// No convolution has this shape.
    pub fn new(shape: &ConvShape, isa: Isa) -> Result<Self, ConvError> {
        shape.check()?;
        let layout = if First::pays(shape) { InputLayout::Nchw } else { InputLayout::Blocked };
        Self::with_input(shape, isa, layout)
    }

    /// Chooses the algorithm among those that read this layout; NCHW is read where there is one group only.
    ///
    /// # Errors
    /// No convolution has this shape, or none that reads the layout.
    pub fn with_input(shape: &ConvShape, isa: Isa, layout: InputLayout) -> Result<Self, ConvError> {
        let algorithm = match layout {
            InputLayout::Nchw => Algorithm::First,
            InputLayout::Blocked if Depthwise::fits(shape) => Algorithm::Depthwise,
            InputLayout::Blocked if Winograd::pays(shape, 1.0) => Algorithm::Winograd,
            InputLayout::Blocked => Algorithm::Direct,
        };
        Self::with_algorithm(shape, isa, algorithm)
    }

    /// With this algorithm.
    ///
    /// # Errors
    /// No convolution has this shape, or the algorithm is not for it.
    pub fn with_algorithm(shape: &ConvShape, isa: Isa, algorithm: Algorithm) -> Result<Self, ConvError> {
        shape.check()?;
        let method = match algorithm {
            Algorithm::Direct => Method::Direct(Direct::forward(&groups::join(shape), isa)),
            Algorithm::First if shape.groups == 1 => Method::First(First::new(shape, isa)),
            Algorithm::Winograd if Winograd::fits(shape) => Method::Winograd(Winograd::new(shape, isa)),
            Algorithm::Depthwise if Depthwise::fits(shape) => Method::Depthwise(Depthwise::new(shape, isa)),
            _ => return Err(shape.unfit().into()),
        };
        Ok(Self { shape: shape.clone(), isa, method })
    }

    /// The shape it was made for.
    pub fn shape(&self) -> &ConvShape {
        &self.shape
    }

    /// The instruction set that it runs on.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// How it is computed.
    pub fn algorithm(&self) -> Algorithm {
        match self.method {
            Method::Direct(_) => Algorithm::Direct,
            Method::First(_) => Algorithm::First,
            Method::Winograd(_) => Algorithm::Winograd,
            Method::Depthwise(_) => Algorithm::Depthwise,
        }
    }

    /// The layout that it reads. What it writes is blocked.
    pub fn input_layout(&self) -> InputLayout {
        if self.algorithm() == Algorithm::First { InputLayout::Nchw } else { InputLayout::Blocked }
    }

    /// Floats that `batch` samples of its input take in its layout.
    pub fn in_len(&self, batch: usize) -> usize {
        match self.input_layout() {
            InputLayout::Nchw => self.shape.with_batch(batch).in_len(),
            InputLayout::Blocked => self.shape.with_batch(batch).in_blocked_len(),
        }
    }

    /// Floats that `batch` samples of its output take.
    pub fn out_len(&self, batch: usize) -> usize {
        self.shape.with_batch(batch).out_blocked_len()
    }

    /// Packs canonical weights, `[out_channels][in_channels / groups][rows][columns]`, and perhaps a bias for each
    /// output channel.
    ///
    /// # Errors
    /// The lengths are not those of the shape, or there is no memory.
    pub fn pack(&self, weights: &[f32], bias: Option<&[f32]>) -> Result<PackedWeights, ConvError> {
        check_len("weights", self.shape.weight_len(), weights.len())?;
        let canonical = Canonical::new(weights, &self.shape, Direction::Forward);
        // Many weights take longer to pack than a thread to wake.
        let threads = if weights.len() < 50_000 { 1 } else { phynexus_runtime::threads() };
        let packed = match &self.method {
            Method::Direct(direct) => {
                direct.pack(canonical, Some, (|weight| weight, Float::<f32>::DEPTH), threads)?
            }
            Method::First(first) => first.pack::<Float<f32>>(canonical, |weight| weight)?,
            Method::Winograd(winograd) => winograd.pack(canonical, Direction::Forward, threads)?,
            Method::Depthwise(depthwise) => depthwise.pack(weights, Direction::Forward)?,
        };
        let bias = bias.map(|bias| pack_bias(&self.shape, bias)).transpose()?;
        Ok(PackedWeights { weights: Arc::new(packed), bias, algorithm: self.algorithm() })
    }

    /// The same packed weights, which are not copied, with another bias, or without.
    ///
    /// # Errors
    /// There is not one number for each output channel, or no memory.
    pub fn with_bias(
        &self,
        weights: &PackedWeights,
        bias: Option<&[f32]>,
    ) -> Result<PackedWeights, ConvError> {
        let bias = bias.map(|bias| pack_bias(&self.shape, bias)).transpose()?;
        Ok(PackedWeights { weights: Arc::clone(&weights.weights), bias, algorithm: weights.algorithm })
    }

    /// Convolves `batch` samples on at most `threads` threads of the pool.
    ///
    /// `x` is in the layout that [`input_layout`](Self::input_layout) tells, `y` and the residual are blocked.
    ///
    /// # Errors
    /// The lengths are not those of the shape, or there is no memory for work in progress.
    ///
    /// # Panics
    /// If the weights were packed for another convolution.
    pub fn run(
        &self,
        batch: usize,
        x: &[f32],
        weights: &PackedWeights,
        y: &mut [f32],
        epilogue: Epilogue<'_>,
        threads: usize,
    ) -> Result<(), ConvError> {
        check_len("input", self.in_len(batch), x.len())?;
        check_len("output", self.out_len(batch), y.len())?;
        if let Some(residual) = epilogue.residual {
            check_len("residual", self.out_len(batch), residual.len())?;
        }
        assert_eq!(weights.algorithm, self.algorithm(), "weights packed for this convolution");
        let null = std::ptr::null();
        let raw = RawEpilogue {
            bias: weights.bias.as_ref().map_or(null, |bias| bias.as_ptr()),
            residual: epilogue.residual.map_or(null, <[f32]>::as_ptr),
            relu: epilogue.relu,
        };
        if batch == 0 {
            return Ok(());
        }
        let (x, packed, y) = (x.as_ptr(), &weights.weights, y.as_mut_ptr());
        // SAFETY: the lengths are checked, and `y` is borrowed by nobody else.
        unsafe {
            match &self.method {
                Method::Direct(direct) => direct.run::<Float<f32>>(batch, x, 0.0, packed, y, raw, threads)?,
                Method::First(first) => first.run::<Float<f32>>(batch, (x, ()), packed, y, raw, threads)?,
                Method::Winograd(winograd) => winograd.run(batch, x, packed, y, raw, threads)?,
                Method::Depthwise(depthwise) => depthwise.run(batch, x, packed, y, raw, threads)?,
            }
        }
        Ok(())
    }
}

/// A bias for whole blocks of channels.
pub(crate) fn pack_bias(shape: &ConvShape, bias: &[f32]) -> Result<Aligned<f32>, ConvError> {
    check_len("bias", shape.out_channels, bias.len())?;
    let mut packed = Aligned::zeroed(bias.len().next_multiple_of(LANES))?;
    packed[..bias.len()].copy_from_slice(bias);
    Ok(packed)
}
