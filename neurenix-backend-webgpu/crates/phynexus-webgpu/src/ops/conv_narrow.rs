//! Convolutions of groups that are too narrow for tiles, such as those of single channels.
//!
//! Their sums are those of the tiles, to the bit, but for the gradient of the weights. Which way a
//! convolution goes depends on the sizes of its weights alone.

use super::conv::Convolution;
use super::elementwise::FLOAT;
use super::team::groups;
use super::{Call, Launch};
use crate::error::Result;
use crate::shader::{Driver, Kernel, Part};
use crate::tensor::Tensor;

/// Up to so many channels, or features, of a group there is no use in tiles of 64.
pub const NARROW: usize = 8;

const SIZES: [&str; 10] = [
    "channels",
    "features",
    "group_channels",
    "group_features",
    "height",
    "width",
    "out_height",
    "out_width",
    "top",
    "left",
];

static FOR_SUMS: &[&Part] = &[&FLOAT];

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

kernel!(FORWARD, "narrow", Elements, &SIZES, FOR_SUMS);
kernel!(GRAD_INPUT, "narrow_grad_input", Elements, &SIZES, FOR_SUMS);
kernel!(
    GRAD_WEIGHT,
    "narrow_grad_weight",
    Own,
    &[
        SIZES[0], SIZES[1], SIZES[2], SIZES[3], SIZES[4], SIZES[5], SIZES[6], SIZES[7], SIZES[8], SIZES[9],
        "weights", "depth",
    ],
    &[]
);

/// A launch with the sizes of a convolution.
fn sized(conv: &Convolution, launch: Launch) -> Launch {
    let Convolution { groups, channels, features, size, out_size, windows, .. } = *conv;
    let [top, left] = windows.padding;
    let sizes = [
        groups * channels,
        groups * features,
        channels,
        features,
        size[0],
        size[1],
        out_size[0],
        out_size[1],
        top,
        left,
    ];
    sizes.into_iter().fold(conv.windowed(launch), Launch::size)
}

/// A launch of the forward pass to any dtype of floats; its bias, residual and activation are yet to be
/// named.
pub fn forward(conv: &Convolution, out: &Tensor, x: &Tensor, weight: &Tensor) -> Launch {
    sized(conv, Launch::new(&FORWARD, out)).free("x", x).free("weight", weight)
}

/// Records the gradient to the input.
pub fn grad_input(call: &Call<'_>, conv: &Convolution, grad: &Tensor, weight: &Tensor) -> Result<()> {
    let launch = sized(conv, Launch::new(&GRAD_INPUT, call.out()));
    launch.free("grad", grad).free("weight", weight).run(call.device)
}

/// Records the gradient to the weights, `out`, which is of float32.
pub fn grad_weight(
    call: &Call<'_>,
    conv: &Convolution,
    out: &Tensor,
    grad: &Tensor,
    x: &Tensor,
) -> Result<()> {
    let depth = conv.batch * conv.out_size.iter().product::<usize>();
    let launch = sized(conv, Launch::new(&GRAD_WEIGHT, out)).free("grad", grad).free("x", x);
    groups(launch, call, out.count()).size(out.count()).size(depth).run(call.device)
}
