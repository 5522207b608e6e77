//! Pooling over windows and over regions: an invocation an element.

use super::elementwise::{FLOAT, INT, LONG};
use super::indexing::{INDEX, place_of};
use super::movement::filled;
use super::reduce::BETTER;
use super::windows::{Windows, pair};
use super::{COMPUTED, Call, FLOATS, Launch, Operation};
use crate::attributes::Value;
use crate::dtype::{DType, Kind};
use crate::error::Result;
use crate::faults;
use crate::shader::{Driver, Kernel, Part};

macro_rules! part {
    ($name:ident, $file:literal) => {
        static $name: Part =
            Part { text: include_str!(concat!("../../wgsl/pool/", $file, ".wgsl")), needs: &[] };
    };
}

part!(NOTE_PLACE, "note_place");
part!(FORGET_PLACE, "forget_place");
part!(REGION, "region");
static FOR_PLACES: &[&Part] = &[&BETTER, &NOTE_PLACE];
static FOR_VALUES: &[&Part] = &[&BETTER, &FORGET_PLACE];
static FOR_SUMS: &[&Part] = &[&FLOAT, &INT, &LONG];
static FOR_INDEX: &[&Part] = &[&INDEX];

/// Sizes of images and of their outputs.
const SIZES: &[&str] = &["height", "width", "out_height", "out_width"];
/// The same, and where the first window lies.
const SIZES_AND_CORNER: &[&str] = &["height", "width", "out_height", "out_width", "top", "left"];

macro_rules! kernel {
    ($name:ident, $file:literal, $driver:ident, $scalars:expr, $parts:expr) => {
        static $name: Kernel = Kernel {
            name: concat!("pool/", $file),
            text: include_str!(concat!("../../wgsl/pool/", $file, ".wgsl")),
            driver: Driver::$driver,
            scalars: $scalars,
            parts: $parts,
        };
    };
}

kernel!(MAX, "max", Elements, SIZES_AND_CORNER, &[]);
kernel!(LINK, "link", Own, &["op", "windows", "size", "out_size"], &[]);
kernel!(ADD_LINKED, "add_linked", Elements, &[], &[]);
kernel!(MEAN, "mean", Elements, SIZES_AND_CORNER, &[]);
kernel!(MEAN_BACKWARD, "mean_backward", Elements, SIZES_AND_CORNER, &[]);
kernel!(REGION_MEAN, "region_mean", Elements, SIZES, &[&REGION]);
kernel!(REGION_BACKWARD, "region_backward", Elements, SIZES, &[&REGION]);

/// The sizes that kernels ask for, from the shapes of images and of their outputs.
fn with_sizes(launch: Launch, images: &[usize], outputs: &[usize]) -> Launch {
    [images[2], images[3], outputs[2], outputs[3]].into_iter().fold(launch, Launch::size)
}

/// Windows, as kernels ask for them.
fn with_windows(launch: Launch, windows: &Windows) -> Launch {
    let Windows { kernel, stride, padding, dilation } = windows;
    launch
        .size(padding[0])
        .size(padding[1])
        .constant("KERNEL_HEIGHT", kernel[0] as u32)
        .constant("KERNEL_WIDTH", kernel[1] as u32)
        .constant("STRIDE_ROW", stride[0] as u32)
        .constant("STRIDE_COLUMN", stride[1] as u32)
        .constant("DILATION_ROW", dilation[0] as u32)
        .constant("DILATION_COLUMN", dilation[1] as u32)
}

fn max(call: &Call<'_>) -> Result<()> {
    let (out, x) = (call.out(), call.input(0)?);
    let function = match x.dtype.kind() {
        Kind::Float => "larger_float",
        Kind::Int => "larger_int",
        Kind::Long => "larger_long",
    };
    let launch = Launch::new(&MAX, out);
    let launch = match call.outputs.get(1) {
        Some(places) => {
            launch.output("places", places).function(function, FOR_PLACES).named("NOTE", "note_place")
        }
        None => launch.function(function, FOR_VALUES).named("NOTE", "forget_place"),
    };
    let windows = Windows::of(call.attributes, pair(call.attributes, "kernel_size")?)?;
    with_windows(with_sizes(launch.free("x", x), &x.shape, &out.shape), &windows).run(call.device)
}

fn max_backward(call: &Call<'_>) -> Result<()> {
    let (out, grad, index) = (call.out(), call.input(0)?, call.input(1)?);
    let windows = grad.count();
    let (size, out_size) = (out.shape[2] * out.shape[3], grad.shape[2] * grad.shape[3]);
    if out.count() == 0 || windows == 0 {
        return filled(call.device, out, &Value::Int(0));
    }
    let last = call.scratch(DType::I32, &[out.count()])?;
    let next = call.scratch(DType::I32, &[windows])?;
    filled(call.device, &last, &Value::Int(0))?;
    Launch::atomic(&LINK, &last)
        .output("next", &next)
        .output("fault", &faults::words(call.device)?)
        .free("index", index)
        .function(place_of(index)?, FOR_INDEX)
        .scalar(faults::number_of(call.op))
        .size(windows)
        .size(size)
        .size(out_size)
        .flat_groups(call.device, windows.div_ceil(256))
        .run(call.device)?;
    let addition = match out.dtype.kind() {
        Kind::Float => "add_float",
        Kind::Int => "add_int",
        Kind::Long => "add_long",
    };
    Launch::new(&ADD_LINKED, out)
        .free("last", &last)
        .free("next", &next)
        .free("grad", grad)
        .function(addition, FOR_SUMS)
        .run(call.device)
}

fn mean(call: &Call<'_>) -> Result<()> {
    let (out, x) = (call.out(), call.input(0)?);
    let launch = with_sizes(Launch::new(&MEAN, out).free("x", x), &x.shape, &out.shape);
    mean_over_windows(call, launch)
}

fn mean_backward(call: &Call<'_>) -> Result<()> {
    let (out, grad) = (call.out(), call.input(0)?);
    let launch = Launch::new(&MEAN_BACKWARD, out).free("grad", grad);
    mean_over_windows(call, with_sizes(launch, &out.shape, &grad.shape))
}

fn mean_over_windows(call: &Call<'_>, launch: Launch) -> Result<()> {
    let windows = Windows::of(call.attributes, pair(call.attributes, "kernel_size")?)?;
    let count_padding = call.attributes.bool("count_include_pad")?;
    with_windows(launch, &windows).constant("COUNT_PADDING", count_padding.into()).run(call.device)
}

fn region_mean(call: &Call<'_>) -> Result<()> {
    let (out, x) = (call.out(), call.input(0)?);
    with_sizes(Launch::new(&REGION_MEAN, out).free("x", x), &x.shape, &out.shape).run(call.device)
}

fn region_backward(call: &Call<'_>) -> Result<()> {
    let (out, grad) = (call.out(), call.input(0)?);
    let launch = Launch::new(&REGION_BACKWARD, out).free("grad", grad);
    with_sizes(launch, &out.shape, &grad.shape).run(call.device)
}

/// The ops of this module.
pub fn operations() -> Vec<Operation> {
    let row = |op, run, dtypes| Operation { op, run, dtypes, strided: false, in_place: false };
    vec![
        row("max_pool2d", max, COMPUTED),
        row("max_pool2d_values", max, COMPUTED),
        row("max_pool2d_backward", max_backward, COMPUTED),
        row("avg_pool2d", mean, FLOATS),
        row("avg_pool2d_backward", mean_backward, FLOATS),
        row("adaptive_avg_pool2d", region_mean, FLOATS),
        row("adaptive_avg_pool2d_backward", region_backward, FLOATS),
    ]
}
