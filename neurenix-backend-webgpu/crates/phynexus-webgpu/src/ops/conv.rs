//! Convolutions of images, and their gradients: products of matrices, of which one is never written
//! down ("implicit GEMM": Chetlur et al. 2014, "cuDNN: Efficient Primitives for Deep Learning").
//!
//! A sum is one chain of multiply-adds over channels and taps in order, so that a sample has the same
//! result in every batch. The gradient of the weights sums over the batch; it is cut into parts by its
//! sizes alone, and these are added in order.

use super::conv_narrow;
use super::elementwise::{FLOAT, convert};
use super::matmul::{TILE, TILES, with_tiles};
use super::windows::Windows;
use super::{Call, FLOATS, Launch, Operation};
use crate::dtype::DType;
use crate::error::Result;
use crate::shader::{Driver, Kernel, Part};
use crate::tensor::Tensor;

/// Workgroups that keep a GPU busy: gradients of weights are cut into parts up to so many.
const BUSY: usize = 512;
/// Outputs that a part of a gradient sums over at least.
const SHORTEST: usize = 512;
/// Elements that all parts of a gradient have at most.
const MOST_PARTS: usize = 1 << 24;

macro_rules! part {
    ($name:ident, $file:literal) => {
        static $name: Part =
            Part { text: include_str!(concat!("../../wgsl/conv/", $file, ".wgsl")), needs: &[] };
    };
}

part!(WINDOW, "window");
part!(WITH_BIAS, "with_bias");
part!(WITHOUT_BIAS, "without_bias");
part!(WITH_RESIDUAL, "with_residual");
part!(WITHOUT_RESIDUAL, "without_residual");
static FOR_BOTH: &[&Part] = &[&WITH_BIAS, &WITH_RESIDUAL];
static FOR_BIAS: &[&Part] = &[&WITH_BIAS, &WITHOUT_RESIDUAL];
static FOR_RESIDUAL: &[&Part] = &[&WITHOUT_BIAS, &WITH_RESIDUAL];
static FOR_NEITHER: &[&Part] = &[&WITHOUT_BIAS, &WITHOUT_RESIDUAL];

macro_rules! kernel {
    ($name:ident, $file:literal, $driver:ident, $scalars:expr, $parts:expr) => {
        static $name: Kernel = Kernel {
            name: concat!("conv/", $file),
            text: include_str!(concat!("../../wgsl/conv/", $file, ".wgsl")),
            driver: Driver::$driver,
            scalars: $scalars,
            parts: $parts,
        };
    };
}

kernel!(
    FORWARD,
    "forward",
    Own,
    &[
        "turns",
        "rows",
        "columns",
        "depth",
        "height",
        "width",
        "sample",
        "out_width",
        "out_size",
        "out_sample",
        "top",
        "left",
    ],
    &[&FLOAT, &WINDOW, &TILES]
);
kernel!(
    GRAD_INPUT,
    "grad_input",
    Own,
    &[
        "turns",
        "rows",
        "columns",
        "depth",
        "width",
        "size",
        "sample",
        "out_height",
        "out_width",
        "out_size",
        "out_sample",
        "top",
        "left",
    ],
    &[&TILES]
);
kernel!(
    GRAD_WEIGHT,
    "grad_weight",
    Own,
    &[
        "turns",
        "rows",
        "columns",
        "depth",
        "parts",
        "chunk",
        "height",
        "width",
        "sample",
        "out_width",
        "out_size",
        "out_sample",
        "top",
        "left",
    ],
    &[&WINDOW, &TILES]
);
kernel!(PARTS, "parts", Elements, &["count_parts", "step"], &[]);

/// What a convolution works on, whichever way it is run.
pub(super) struct Convolution {
    pub batch: usize,
    pub groups: usize,
    /// Channels of a group.
    pub channels: usize,
    /// Features of a group.
    pub features: usize,
    /// Rows and columns of an image.
    pub size: [usize; 2],
    /// Rows and columns of an output.
    pub out_size: [usize; 2],
    pub windows: Windows,
}

impl Convolution {
    fn of(call: &Call<'_>, x: &[usize], weight: &[usize], out: &[usize]) -> Result<Self> {
        let groups = call.attributes.size("groups")?;
        Ok(Self {
            batch: x[0],
            groups,
            channels: weight[1],
            features: weight[0] / groups,
            size: [x[2], x[3]],
            out_size: [out[2], out[3]],
            windows: Windows::of(call.attributes, [weight[2], weight[3]])?,
        })
    }

    /// Pixels of an image, of an output.
    fn pixels(&self) -> (usize, usize) {
        (self.size.iter().product(), self.out_size.iter().product())
    }

    /// Elements of a sample, of a sample's output.
    fn samples(&self) -> (usize, usize) {
        let (pixels, out_pixels) = self.pixels();
        (self.groups * self.channels * pixels, self.groups * self.features * out_pixels)
    }

    /// A launch that knows how windows lie.
    pub fn windowed(&self, launch: Launch) -> Launch {
        let Windows { kernel, stride, dilation, .. } = self.windows;
        launch
            .constant("TAPS", self.windows.taps() as u32)
            .constant("KERNEL_WIDTH", kernel[1] as u32)
            .constant("STRIDE_ROW", stride[0] as u32)
            .constant("STRIDE_COLUMN", stride[1] as u32)
            .constant("DILATION_ROW", dilation[0] as u32)
            .constant("DILATION_COLUMN", dilation[1] as u32)
    }

    /// Completes a launch, whose first three scalars are the turns and the sizes of the product.
    fn run(&self, call: &Call<'_>, launch: Launch, product: [usize; 3], along: [bool; 2]) -> Result<()> {
        let [turns, rows, columns] = product;
        self.windowed(launch)
            .constant("LEFT_ALONG", along[0].into())
            .constant("RIGHT_ALONG", along[1].into())
            .flat_groups(call.device, turns * rows.div_ceil(TILE) * columns.div_ceil(TILE))
            .run(call.device)
    }
}

/// Lets `record` write a tensor of float32, which becomes the output.
fn in_float(call: &Call<'_>, record: impl FnOnce(&Tensor) -> Result<()>) -> Result<()> {
    let out = call.out();
    if out.count() == 0 {
        return Ok(());
    }
    if out.dtype == DType::F32 {
        return record(out);
    }
    let wide = call.scratch(DType::F32, &out.shape)?;
    record(&wide)?;
    convert(call, &wide)
}

/// A launch with what is added to a sum, and what becomes of it.
fn finished(call: &Call<'_>, mut launch: Launch) -> Result<Launch> {
    let [bias, residual] = [2, 3].map(|number| call.inputs.get(number).and_then(Option::as_ref));
    let relu = call.op == "conv2d_fused" && call.attributes.text("activation")? == "relu";
    if let Some(bias) = bias {
        launch = launch.free("bias", bias);
    }
    if let Some(residual) = residual {
        launch = launch.free("residual", residual);
    }
    let (bias, residual, parts) = match (bias.is_some(), residual.is_some()) {
        (true, true) => ("with_bias", "with_residual", FOR_BOTH),
        (true, false) => ("with_bias", "without_residual", FOR_BIAS),
        (false, true) => ("without_bias", "with_residual", FOR_RESIDUAL),
        (false, false) => ("without_bias", "without_residual", FOR_NEITHER),
    };
    let activation = if relu { "relu_float" } else { "as_it_is" };
    Ok(launch.function(bias, parts).named("RESIDUAL", residual).named("ACTIVATION", activation))
}

fn forward(call: &Call<'_>) -> Result<()> {
    let (x, weight) = (call.input(0)?, call.input(1)?);
    let conv = Convolution::of(call, &x.shape, &weight.shape, &call.out().shape)?;
    if conv.features <= conv_narrow::NARROW {
        return finished(call, conv_narrow::forward(&conv, call.out(), x, weight))?.run(call.device);
    }
    in_float(call, |out| {
        let ((_, out_pixels), (sample, out_sample)) = (conv.pixels(), conv.samples());
        let product = [conv.groups, conv.features, conv.batch * out_pixels];
        let [top, left] = conv.windows.padding;
        let sizes = [
            conv.channels * conv.windows.taps(),
            conv.size[0],
            conv.size[1],
            sample,
            conv.out_size[1],
            out_pixels,
            out_sample,
            top,
            left,
        ];
        let launch = finished(call, Launch::new(&FORWARD, out).free("x", x).free("weight", weight))?;
        let launch = product.into_iter().chain(sizes).fold(launch, Launch::size);
        conv.run(call, with_tiles(launch, call, [x, weight]), product, [true, false])
    })
}

fn grad_input(call: &Call<'_>) -> Result<()> {
    let (grad, weight) = (call.input(0)?, call.input(1)?);
    let conv = Convolution::of(call, &call.out().shape, &weight.shape, &grad.shape)?;
    if conv.channels <= conv_narrow::NARROW {
        return conv_narrow::grad_input(call, &conv, grad, weight);
    }
    in_float(call, |out| {
        let ((pixels, out_pixels), (sample, out_sample)) = (conv.pixels(), conv.samples());
        let product = [conv.groups, conv.channels, conv.batch * pixels];
        let [top, left] = conv.windows.padding;
        let sizes = [
            conv.features * conv.windows.taps(),
            conv.size[1],
            pixels,
            sample,
            conv.out_size[0],
            conv.out_size[1],
            out_pixels,
            out_sample,
            top,
            left,
        ];
        let launch = Launch::new(&GRAD_INPUT, out).free("grad", grad).free("weight", weight);
        let launch = product.into_iter().chain(sizes).fold(launch, Launch::size);
        conv.run(call, with_tiles(launch, call, [grad, weight]), product, [true, false])
    })
}

fn grad_weight(call: &Call<'_>) -> Result<()> {
    let (out, grad, x) = (call.out(), call.input(0)?, call.input(1)?);
    let conv = Convolution::of(call, &x.shape, &out.shape, &grad.shape)?;
    if out.count() == 0 {
        return Ok(());
    }
    if conv.features.max(conv.channels) <= conv_narrow::NARROW {
        return in_float(call, |out| conv_narrow::grad_weight(call, &conv, out, grad, x));
    }
    let ((_, out_pixels), (sample, out_sample)) = (conv.pixels(), conv.samples());
    let (rows, columns) = (conv.features, conv.channels * conv.windows.taps());
    let depth = conv.batch * out_pixels;
    let tiles = conv.groups * rows.div_ceil(TILE) * columns.div_ceil(TILE);
    let parts = BUSY.div_ceil(tiles).min(depth / SHORTEST).min(MOST_PARTS / out.count()).max(1);
    let chunk = depth.div_ceil(parts).next_multiple_of(16);
    let parts = depth.div_ceil(chunk.max(1)).max(1);
    let direct = parts == 1 && out.dtype == DType::F32;
    let target = if direct { out.clone() } else { call.scratch(DType::F32, &[parts, out.count()])? };
    let product = [conv.groups * parts, rows, columns];
    let [top, left] = conv.windows.padding;
    let sizes = [
        depth,
        parts,
        chunk,
        conv.size[0],
        conv.size[1],
        sample,
        conv.out_size[1],
        out_pixels,
        out_sample,
        top,
        left,
    ];
    let launch = Launch::new(&GRAD_WEIGHT, &target).free("grad", grad).free("x", x);
    let launch = product.into_iter().chain(sizes).fold(launch, Launch::size);
    conv.run(call, with_tiles(launch, call, [grad, x]), product, [true, true])?;
    if direct {
        return Ok(());
    }
    Launch::new(&PARTS, out).free("parts", &target).size(parts).size(out.count()).run(call.device)
}

/// The ops of this module.
pub fn operations() -> Vec<Operation> {
    let row = |op, run| Operation { op, run, dtypes: FLOATS, strided: false, in_place: false };
    vec![
        row("conv2d", forward),
        row("conv2d_fused", forward),
        row("conv2d_grad_input", grad_input),
        row("conv2d_grad_weight", grad_weight),
    ]
}
