//! Convolution of images in NCHW and its gradients: of f32 and 16-bit floats by `phynexus_conv`, of
//! f64 by its definition.

use std::sync::Arc;

use half::{bf16, f16};
use phynexus_conv::{ConvError, ConvPlan, NchwWeights};
pub use phynexus_conv::{ConvShape, PackedWeights};

use crate::conv2d_direct::Direct;
use crate::operation::{first_output, required};
use crate::{DType, Element, KernelError, Operation, TensorMut, TensorRef};

/// How a kernel moves over an image; pairs are (rows, columns).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Steps between windows.
    pub stride: [usize; 2],
    /// Zeros above and below, left and right.
    pub padding: [(usize, usize); 2],
    /// Steps between a kernel's elements.
    pub dilation: [usize; 2],
    /// Each group of output channels sees its own group of input channels.
    pub groups: usize,
}

/// Cross-correlates x `(N, C, H, W)` with a weight `(O, C / groups, KH, KW)`, and adds a bias `(O,)`,
/// if there is one.
#[derive(Clone, Copy, Debug)]
pub struct Conv2d {
    /// The settings.
    pub convolution: Convolution,
}

/// `activation(conv2d(x, weight, bias) + residual)`; bias and residual may be left out.
#[derive(Clone, Copy, Debug)]
pub struct Conv2dFused {
    /// The settings.
    pub convolution: Convolution,
    /// The activation is max(x, 0); else there is none.
    pub relu: bool,
}

/// [`Conv2dFused`] with its weight packed before by [`pack`]; the inputs are the same.
#[derive(Clone)]
pub struct Conv2dPacked {
    /// The settings.
    pub convolution: Convolution,
    /// The activation is max(x, 0); else there is none.
    pub relu: bool,
    /// The weight, packed for this shape of a sample.
    pub packed: Arc<PackedWeights>,
}

/// The gradient of [`Conv2d`] to its input. Inputs: grad `(N, O, OH, OW)`, weight.
#[derive(Clone, Copy, Debug)]
pub struct Conv2dGradInput {
    /// The settings of the convolution.
    pub convolution: Convolution,
}

/// The gradient of [`Conv2d`] to its weight. Inputs: grad `(N, O, OH, OW)`, x.
#[derive(Clone, Copy, Debug)]
pub struct Conv2dGradWeight {
    /// The settings of the convolution.
    pub convolution: Convolution,
}

impl Convolution {
    /// The shape of a convolution of images and a weight of these sizes.
    pub(crate) fn shape(&self, images: &[usize], weight: &[usize]) -> ConvShape {
        ConvShape {
            batch: images[0],
            in_channels: images[1],
            out_channels: weight[0],
            in_size: [images[2], images[3]],
            kernel: [weight[2], weight[3]],
            stride: self.stride,
            padding: self.padding,
            dilation: self.dilation,
            groups: self.groups,
        }
    }

    /// The shape that packed weights are for: one sample of images of these sizes. None where weights of this kind are
    /// not packed.
    pub fn packs(&self, images: &[usize], weight: &TensorRef<'_>) -> Option<ConvShape> {
        let (&[_, _, _, _], &[_, _, _, _], DType::F32) = (images, weight.sizes(), weight.dtype()) else {
            return None;
        };
        let shape = self.shape(images, weight.sizes()).with_batch(1);
        shape.check().is_ok().then_some(shape)
    }
}

/// Packs a dense weight of f32 for a shape that [`Convolution::packs`] gave, and the instruction set in use.
///
/// # Errors
/// There is no memory.
pub fn pack(shape: &ConvShape, weight: &TensorRef<'_>) -> Result<PackedWeights, KernelError> {
    let weight = elements("conv2d", weight)?;
    ConvPlan::new(shape, phynexus_simd::isa()).and_then(|plan| plan.pack(weight, None)).map_err(failed)
}

fn failed(error: ConvError) -> KernelError {
    match error {
        ConvError::Memory(error) => error.into(),
        error => KernelError::Shape(error.to_string()),
    }
}

/// Elements of a dense tensor, all of which have to be of one dtype.
fn elements<'a, T: Element>(op: &'static str, x: &TensorRef<'a>) -> Result<&'a [T], KernelError> {
    if x.dtype() == T::DTYPE { Ok(x.as_slice()) } else { Err(KernelError::DType { op, dtype: x.dtype() }) }
}

fn optional<'a, T: Element>(
    op: &'static str,
    x: &Option<TensorRef<'a>>,
) -> Result<Option<&'a [T]>, KernelError> {
    x.as_ref().map(|x| elements(op, x)).transpose()
}

/// Calls `$function::<T>(arguments)` with the type of a 16 or 32-bit float.
macro_rules! by_element {
    ($dtype:expr, $function:ident($($argument:expr),*)) => {
        match $dtype {
            DType::F16 => $function::<f16>($($argument),*),
            DType::Bf16 => $function::<bf16>($($argument),*),
            _ => $function::<f32>($($argument),*),
        }
    };
}

/// Checks that the sizes of images, weight and output fit each other and the settings.
fn check(op: &str, shape: &ConvShape, sizes: [&[usize]; 3]) -> Result<(), KernelError> {
    let [images, weight, out] = sizes;
    let fits = images.len() == 4
        && weight.len() == 4
        && weight[1] * shape.groups == shape.in_channels
        && match shape.check() {
            Ok(()) => {
                let [height, width] = shape.out_size();
                *out == [shape.batch, shape.out_channels, height, width]
            }
            // Sums of nothing.
            Err(_) => shape.in_channels == 0 || shape.out_channels == 0,
        };
    if fits {
        return Ok(());
    }
    let groups = shape.groups;
    Err(KernelError::Shape(format!(
        "{op:?}: images {images:?} and a weight {weight:?} in {groups} groups do not fit an output {out:?}"
    )))
}

/// What a forward convolution gets.
struct Forward<'a> {
    op: &'static str,
    shape: ConvShape,
    out: TensorMut<'a>,
    x: TensorRef<'a>,
    weight: TensorRef<'a>,
    /// The weight again, where it was packed before.
    packed: Option<&'a PackedWeights>,
    bias: Option<TensorRef<'a>>,
    residual: Option<TensorRef<'a>>,
    relu: bool,
}

impl Forward<'_> {
    fn run(&self) -> Result<(), KernelError> {
        if self.out.axes().count() == 0 {
            return Ok(());
        }
        check(self.op, &self.shape, [self.x.sizes(), self.weight.sizes(), self.out.sizes()])?;
        match self.out.dtype() {
            DType::F64 => self.direct::<f64>(),
            // Without channels, which `phynexus_conv` does not take.
            DType::F32 if self.shape.check().is_err() => self.direct::<f32>(),
            dtype if dtype.is_float() => by_element!(dtype, forward(self)),
            dtype => Err(KernelError::DType { op: self.op, dtype }),
        }
    }

    fn direct<T: crate::product::Ring + PartialOrd>(&self) -> Result<(), KernelError> {
        let direct = Direct::new(self.shape.clone());
        let (bias, residual) = (optional(self.op, &self.bias)?, optional(self.op, &self.residual)?);
        let (x, weight) = (elements(self.op, &self.x)?, elements(self.op, &self.weight)?);
        direct.forward(self.out.ptr::<T>(), x, weight, bias, residual, self.relu)
    }
}

fn forward<T: Element + phynexus_conv::Element>(call: &Forward<'_>) -> Result<(), KernelError> {
    let op = call.op;
    let (bias, residual) = (optional(op, &call.bias)?, optional(op, &call.residual)?);
    let weights = match call.packed {
        Some(packed) => NchwWeights::Packed(packed, bias),
        None => NchwWeights::Canonical(elements(op, &call.weight)?, bias),
    };
    // SAFETY: the output overlaps nothing that is read.
    let out = unsafe { call.out.as_mut_slice::<T>() };
    phynexus_conv::conv2d_nchw(&call.shape, elements(op, &call.x)?, weights, residual, call.relu, out)
        .map_err(failed)
}

impl Operation for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let (x, weight) = (*required(inputs, 0), *required(inputs, 1));
        let shape = self.convolution.shape(x.sizes(), weight.sizes());
        let (op, out, bias) = (self.name(), *first_output(outputs), inputs[2]);
        Forward { op, shape, out, x, weight, packed: None, bias, residual: None, relu: false }.run()
    }
}

impl Operation for Conv2dFused {
    fn name(&self) -> &'static str {
        "conv2d_fused"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let (x, weight) = (*required(inputs, 0), *required(inputs, 1));
        let shape = self.convolution.shape(x.sizes(), weight.sizes());
        let (op, out, bias, residual) = (self.name(), *first_output(outputs), inputs[2], inputs[3]);
        Forward { op, shape, out, x, weight, packed: None, bias, residual, relu: self.relu }.run()
    }
}

impl std::fmt::Debug for Conv2dPacked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { convolution, relu, packed } = self;
        write!(f, "Conv2dPacked({convolution:?}, relu: {relu}, {} bytes)", packed.size_bytes())
    }
}

impl Operation for Conv2dPacked {
    fn name(&self) -> &'static str {
        "conv2d_fused"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let (x, weight) = (*required(inputs, 0), *required(inputs, 1));
        let shape = self.convolution.shape(x.sizes(), weight.sizes());
        let (op, out, bias, residual) = (self.name(), *first_output(outputs), inputs[2], inputs[3]);
        Forward { op, shape, out, x, weight, packed: Some(&self.packed), bias, residual, relu: self.relu }
            .run()
    }
}

/// What a gradient gets: the output's gradient, and the weight or the images.
struct Gradient<'a> {
    op: &'static str,
    shape: ConvShape,
    out: TensorMut<'a>,
    grad: TensorRef<'a>,
    other: TensorRef<'a>,
    is_of_weight: bool,
}

impl Gradient<'_> {
    fn run(&self) -> Result<(), KernelError> {
        if self.out.axes().count() == 0 {
            return Ok(());
        }
        let (out, grad, other) = (self.out.sizes(), self.grad.sizes(), self.other.sizes());
        check(self.op, &self.shape, if self.is_of_weight { [other, out, grad] } else { [out, other, grad] })?;
        if self.shape.batch == 0 {
            // A sum of nothing. SAFETY: the output is dense; zeros of every dtype are zero bytes.
            unsafe { self.out.bytes().write_bytes(0, self.out.axes().count() * self.out.dtype().size()) };
            return Ok(());
        }
        match self.out.dtype() {
            DType::F64 => self.direct::<f64>(),
            DType::F32 if self.shape.check().is_err() => self.direct::<f32>(),
            dtype if dtype.is_float() => by_element!(dtype, gradient(self)),
            dtype => Err(KernelError::DType { op: self.op, dtype }),
        }
    }

    fn direct<T: crate::product::Ring>(&self) -> Result<(), KernelError> {
        let direct = Direct::new(self.shape.clone());
        let (grad, other) = (elements(self.op, &self.grad)?, elements(self.op, &self.other)?);
        if self.is_of_weight {
            direct.grad_weight(self.out.ptr::<T>(), grad, other)
        } else {
            direct.grad_input(self.out.ptr::<T>(), grad, other)
        }
    }
}

fn gradient<T: Element + phynexus_conv::Element>(call: &Gradient<'_>) -> Result<(), KernelError> {
    let (grad, other) = (elements::<T>(call.op, &call.grad)?, elements::<T>(call.op, &call.other)?);
    // SAFETY: the output overlaps nothing that is read.
    let out = unsafe { call.out.as_mut_slice::<T>() };
    if call.is_of_weight {
        phynexus_conv::conv2d_grad_weight_nchw(&call.shape, other, grad, out)
    } else {
        phynexus_conv::conv2d_grad_input_nchw(&call.shape, grad, other, out)
    }
    .map_err(failed)
}

impl Operation for Conv2dGradInput {
    fn name(&self) -> &'static str {
        "conv2d_grad_input"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let (out, grad, other) = (*first_output(outputs), *required(inputs, 0), *required(inputs, 1));
        let shape = self.convolution.shape(out.sizes(), other.sizes());
        Gradient { op: self.name(), shape, out, grad, other, is_of_weight: false }.run()
    }
}

impl Operation for Conv2dGradWeight {
    fn name(&self) -> &'static str {
        "conv2d_grad_weight"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let (out, grad, other) = (*first_output(outputs), *required(inputs, 0), *required(inputs, 1));
        let shape = self.convolution.shape(other.sizes(), out.sizes());
        Gradient { op: self.name(), shape, out, grad, other, is_of_weight: true }.run()
    }
}
