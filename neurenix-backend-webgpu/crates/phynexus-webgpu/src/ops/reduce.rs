//! Reductions: sums, products, extremes and their places.
//!
//! How a sum is cut depends on the number of its elements and their strides alone, never on how many
//! sums there are: a sample has the same result in every batch.

use super::elementwise::{FOR_CASTS, convert};
use super::movement::filled;
use super::{COMPUTED, Call, Launch, Operation};
use crate::attributes::Value;
use crate::dtype::{DType, Kind};
use crate::error::{Error, Result};
use crate::shader::{Driver, Kernel, Part};
use crate::tensor::Tensor;

/// Invocations that reduce one output together.
const INVOCATIONS: u32 = 256;
/// Elements that one workgroup reduces; of more, several make parts, which are reduced again.
const CHUNK: u32 = 1 << 14;
/// Elements in a row that one invocation adds up before it goes on to a new sum.
const BLOCK: u32 = 32;
/// Up to so many elements, an output is the work of one invocation; of a column's, parts of so many are.
const SERIAL: usize = 64;
/// The same for places, where neighbouring outputs read neighbouring elements, as those of columns do.
const SERIAL_ACROSS: usize = 4096;

/// Which of two values is the better one.
pub static BETTER: Part = Part { text: include_str!("../../wgsl/reduce/better.wgsl"), needs: FOR_CASTS };
static FOR_PLACES: &[&Part] = &[&BETTER];

macro_rules! kernel {
    ($name:ident, $file:literal, $driver:ident, $scalars:expr) => {
        static $name: Kernel = Kernel {
            name: concat!("reduce/", $file),
            text: include_str!(concat!("../../wgsl/reduce/", $file, ".wgsl")),
            driver: Driver::$driver,
            scalars: $scalars,
            parts: &[],
        };
    };
}

kernel!(SERIALLY, "serial", Elements, &["reduced"]);
kernel!(ACROSS, "across", Elements, &["reduced", "outputs"]);
kernel!(TOGETHER, "group", Own, &["turns", "chunks", "reduced"]);
kernel!(PLACE_SERIALLY, "place_serial", Elements, &["reduced"]);
kernel!(PLACE_TOGETHER, "place_group", Own, &["turns", "reduced"]);

/// The axes of a tensor that stay, and those that do not.
struct Split {
    kept: (Vec<usize>, Vec<usize>),
    reduced: (Vec<usize>, Vec<usize>),
    /// How many elements an output is made of.
    count: usize,
    /// How many outputs there are.
    outputs: usize,
}

impl Split {
    fn of(x: &Tensor, axes: &[usize]) -> Self {
        let (mut kept, mut reduced) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
        for axis in 0..x.shape.len() {
            let side = if axes.contains(&axis) { &mut reduced } else { &mut kept };
            side.0.push(x.shape[axis]);
            side.1.push(x.strides[axis]);
        }
        let (count, outputs) = (reduced.0.iter().product(), kept.0.iter().product());
        Self { kept, reduced, count, outputs }
    }

    /// Whether neighbouring outputs are made of neighbouring elements.
    fn is_across(&self) -> bool {
        let nearest = |side: &(Vec<usize>, Vec<usize>)| {
            side.0.iter().zip(&side.1).filter(|(size, _)| **size > 1).map(|(_, stride)| *stride).min()
        };
        nearest(&self.kept).is_some_and(|stride| Some(stride) < nearest(&self.reduced))
    }

    /// Whether one invocation finds an output's place.
    fn is_serial(&self) -> bool {
        self.count <= if self.is_across() { SERIAL_ACROSS } else { SERIAL }
    }

    fn places(&self, launch: Launch) -> Launch {
        let (kept, reduced) = (&self.kept, &self.reduced);
        launch.place("kept", &kept.0, &kept.1).place("reduced", &reduced.0, &reduced.1)
    }
}

fn reduce(call: &Call<'_>) -> Result<()> {
    let (out, x) = (call.out(), call.input(0)?);
    let split = Split::of(x, &call.attributes.sizes("axes")?);
    if split.count == 0 {
        return filled(call.device, out, &Value::Int(i64::from(call.op == "prod")));
    }
    if split.count > SERIAL && split.is_across() {
        return across(call, x, &split);
    }
    reduce_split(call, x, &split)
}

/// Records a reduction of columns to the output, in as many rounds as it takes.
fn across(call: &Call<'_>, x: &Tensor, split: &Split) -> Result<()> {
    let out = call.out();
    let kind = out.dtype.kind();
    let (function, conversion) = functions(call.op, x.dtype.kind(), kind)?;
    let chunks = split.count.div_ceil(SERIAL);
    let parts = call.scratch(kind.dtype(), &[chunks, split.outputs])?;
    let launch = Launch::new(&ACROSS, &parts)
        .free("x", x)
        .size(split.count)
        .size(split.outputs)
        .constant("CHUNK", SERIAL as u32)
        .function(function, FOR_CASTS)
        .named("CONVERSION", conversion);
    split.places(launch).run(call.device)?;
    let rest = Split::of(&parts, &[0]);
    if chunks > SERIAL { across(call, &parts, &rest) } else { reduce_split(call, &parts, &rest) }
}

/// Records a reduction to the output: by one invocation an output, or by workgroups.
fn reduce_split(call: &Call<'_>, x: &Tensor, split: &Split) -> Result<()> {
    let out = call.out();
    let (function, conversion) = functions(call.op, x.dtype.kind(), out.dtype.kind())?;
    if split.count <= SERIAL {
        let launch = Launch::new(&SERIALLY, out).free("x", x).size(split.count).constant("BLOCK", BLOCK);
        let launch = launch.function(function, FOR_CASTS).named("CONVERSION", conversion);
        return split.places(launch).run(call.device);
    }
    let wide = out.dtype.kind().dtype();
    let packed = out.dtype.lanes() > 1;
    let target = if packed { call.scratch(wide, &[split.outputs])? } else { out.clone() };
    together(call, &target, x, split, function, conversion)?;
    if packed { convert(call, &target.reshaped(&out.shape)) } else { Ok(()) }
}

/// Records a reduction by workgroups, in as many rounds as it takes.
fn together(
    call: &Call<'_>,
    out: &Tensor,
    x: &Tensor,
    split: &Split,
    function: &'static str,
    conversion: &'static str,
) -> Result<()> {
    let chunks = split.count.div_ceil(CHUNK as usize);
    let parts = if chunks == 1 { out.clone() } else { call.scratch(out.dtype, &[split.outputs, chunks])? };
    let turns = split.outputs * chunks;
    let launch = Launch::new(&TOGETHER, &parts)
        .free("x", x)
        .size(turns)
        .size(chunks)
        .size(split.count)
        .constant("INVOCATIONS", INVOCATIONS)
        .constant("CHUNK", CHUNK)
        .function(function, FOR_CASTS)
        .named("CONVERSION", conversion)
        .flat_groups(call.device, turns);
    split.places(launch).run(call.device)?;
    if chunks == 1 {
        return Ok(());
    }
    let same = functions(call.op, parts.dtype.kind(), parts.dtype.kind())?.1;
    together(call, out, &parts, &Split::of(&parts, &[1]), function, same)
}

/// What joins two values of an op's result, and what makes one of an element.
fn functions(op: &str, from: Kind, to: Kind) -> Result<(&'static str, &'static str)> {
    let function = match (op, to) {
        ("sum", Kind::Float) => "add_float",
        ("sum", Kind::Int) => "add_int",
        ("sum", Kind::Long) => "add_long",
        ("prod", Kind::Float) => "mul_float",
        ("prod", Kind::Int) => "mul_int",
        ("prod", Kind::Long) => "mul_long",
        ("max", Kind::Float) => "maximum_float",
        ("max", Kind::Int) => "maximum_int",
        ("max", Kind::Long) => "maximum_long",
        ("min", Kind::Float) => "minimum_float",
        ("min", Kind::Int) => "minimum_int",
        ("min", Kind::Long) => "minimum_long",
        _ => return Err(Error::Value(format!("{op:?} is no reduction"))),
    };
    let conversion = match (from, to) {
        (Kind::Float, Kind::Float) => "float_to_float",
        (Kind::Int, Kind::Int) => "int_to_int",
        (Kind::Long, Kind::Long) => "long_to_long",
        (Kind::Int, Kind::Long) => "int_to_long",
        _ => return Err(Error::Value(format!("{op:?} makes no {to:?} of {from:?}"))),
    };
    Ok((function, conversion))
}

fn place(call: &Call<'_>) -> Result<()> {
    let (out, x) = (call.out(), call.input(0)?);
    let split = Split::of(x, &call.attributes.sizes("axes")?);
    let function = match (call.op, x.dtype.kind()) {
        ("argmax", Kind::Float) => "larger_float",
        ("argmax", Kind::Int) => "larger_int",
        ("argmax", Kind::Long) => "larger_long",
        (_, Kind::Float) => "smaller_float",
        (_, Kind::Int) => "smaller_int",
        (_, Kind::Long) => "smaller_long",
    };
    let launch = if split.is_serial() {
        Launch::new(&PLACE_SERIALLY, out).free("x", x)
    } else {
        Launch::new(&PLACE_TOGETHER, out)
            .free("x", x)
            .size(split.outputs)
            .constant("INVOCATIONS", INVOCATIONS)
            .flat_groups(call.device, split.outputs)
    };
    split.places(launch.size(split.count).function(function, FOR_PLACES)).run(call.device)
}

/// The ops of this module.
pub fn operations() -> Vec<Operation> {
    let row = |op, run, dtypes| Operation { op, run, dtypes, strided: true, in_place: false };
    let numbers: &[DType] = COMPUTED;
    vec![
        row("sum", reduce, numbers),
        row("prod", reduce, numbers),
        row("max", reduce, numbers),
        row("min", reduce, numbers),
        row("argmax", place, numbers),
        row("argmin", place, numbers),
    ]
}
