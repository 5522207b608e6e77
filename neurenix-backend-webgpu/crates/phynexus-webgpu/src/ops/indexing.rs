//! Reading and writing at places that an index names along an axis.

use super::elementwise::{FLOAT, INT, LONG};
use super::movement::copied;
use super::{Call, Launch, Operation};
use crate::dtype::{DType, Kind};
use crate::error::{Error, Result};
use crate::faults;
use crate::shader::{Driver, Kernel, Part};
use crate::tensor::Tensor;

static INDEX: Part = Part { text: include_str!("../../wgsl/indexing/index.wgsl"), needs: &[] };
static FOR_INDEX: &[&Part] = &[&INDEX];
static FOR_SUMS: &[&Part] = &[&INDEX, &FLOAT, &INT, &LONG];

macro_rules! kernel {
    ($name:ident, $file:literal, $scalars:expr) => {
        static $name: Kernel = Kernel {
            name: $file,
            text: include_str!(concat!("../../wgsl/indexing/", $file, ".wgsl")),
            driver: Driver::Elements,
            scalars: $scalars,
            parts: &[],
        };
    };
}

kernel!(GATHER, "gather", &["op", "size", "step"]);
const ALONG: &[&str] = &["op", "size", "inner", "count_along", "index_step", "value_step"];
kernel!(SCATTER, "scatter", ALONG);
kernel!(SCATTER_ADD, "scatter_add", ALONG);

fn place_of(index: &Tensor) -> Result<&'static str> {
    match index.dtype {
        DType::I32 => Ok("place_int"),
        DType::I64 => Ok("place_long"),
        other => Err(Error::Value(format!("an index is of int32 or int64, not {}", other.name()))),
    }
}

/// The strides of a tensor, but 0 along an axis.
fn rest(strides: &[usize], axis: usize) -> Vec<usize> {
    let mut rest = strides.to_vec();
    rest[axis] = 0;
    rest
}

fn gather(call: &Call<'_>) -> Result<()> {
    let (x, index) = (call.input(0)?, call.input(1)?);
    let axis = call.attributes.size("axis")?;
    Launch::new(&GATHER, &call.out().as_bits())
        .output("fault", &faults::words(call.device)?)
        .input("index", index)
        .free("x", &x.as_bits())
        .place("rest", &index.shape, &rest(&x.strides, axis))
        .function(place_of(index)?, FOR_INDEX)
        .scalar(faults::number_of(call.op))
        .size(x.shape[axis])
        .size(x.strides[axis])
        .run(call.device)
}

fn scatter(call: &Call<'_>) -> Result<()> {
    let (x, index, value) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let launch = |part: &Tensor| Launch::new(&SCATTER, part);
    spread(call, &call.out().as_bits(), &x.as_bits(), index, &value.as_bits(), launch, FOR_INDEX)
}

fn scatter_add(call: &Call<'_>) -> Result<()> {
    let (x, index, value) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let addition = match x.dtype.kind() {
        Kind::Float => "add_float",
        Kind::Int => "add_int",
        Kind::Long => "add_long",
    };
    let launch = |part: &Tensor| Launch::new(&SCATTER_ADD, part).named("ADDITION", addition);
    spread(call, call.out(), x, index, value, launch, FOR_SUMS)
}

/// Records that `out` is `x` with values written to, or added at, the places of an index.
fn spread(
    call: &Call<'_>,
    out: &Tensor,
    x: &Tensor,
    index: &Tensor,
    value: &Tensor,
    launch: impl Fn(&Tensor) -> Launch,
    parts: &'static [&'static Part],
) -> Result<()> {
    let axis = call.attributes.size("axis")?;
    // Along the other axes, an index may be shorter: what it does not reach is copied.
    let (mut part, mut source) = (out.clone(), x.clone());
    for other in (0..x.shape.len()).filter(|other| *other != axis) {
        part = part.narrow(other, 0, index.shape[other]);
        source = source.narrow(other, 0, index.shape[other]);
    }
    if part.shape != out.shape || index.count() == 0 {
        copied(call, out, x)?;
    }
    if index.count() == 0 {
        return Ok(());
    }
    launch(&part)
        .output("fault", &faults::words(call.device)?)
        .input("x", &source)
        .free("index", index)
        .free("value", value)
        .place("index_rest", &part.shape, &rest(&index.strides, axis))
        .place("value_rest", &part.shape, &rest(&value.strides, axis))
        .function(place_of(index)?, parts)
        .scalar(faults::number_of(call.op))
        .size(x.shape[axis])
        .size(part.shape[axis + 1..].iter().product())
        .size(index.shape[axis])
        .size(index.strides[axis])
        .size(value.strides[axis])
        .run(call.device)
}

/// The ops of this module.
pub fn operations() -> Vec<Operation> {
    let row = |op, run, dtypes| Operation { op, run, dtypes, strided: true, in_place: false };
    vec![
        row("gather", gather, &DType::ALL),
        row("scatter", scatter, &DType::ALL),
        row("scatter_add", scatter_add, super::COMPUTED),
    ]
}
