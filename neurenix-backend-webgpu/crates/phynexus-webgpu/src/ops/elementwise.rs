//! Elementwise ops: a table of names, dtypes and functions in WGSL.

use super::{COMPUTED, Call, Launch, Operation};
use crate::device::Device;
use crate::dtype::{DType, Kind};
use crate::error::{Error, Result};
use crate::shader::{Driver, Kernel, Part};
use crate::tensor::Tensor;

macro_rules! part {
    ($name:ident, $file:literal, $($needed:ident),*) => {
        /// The functions of one file.
        pub static $name: Part = Part {
            text: include_str!(concat!("../../wgsl/elementwise/", $file)),
            needs: &[$(&$needed),*],
        };
    };
}

part!(FLOAT, "float.wgsl",);
part!(EXP, "exp.wgsl", FLOAT);
part!(SIGMOID, "sigmoid.wgsl", EXP);
part!(LOG, "log.wgsl", FLOAT);
part!(WIDE, "wide.wgsl",);
part!(TRIGONOMETRY, "trigonometry.wgsl", EXP, WIDE);
part!(TANH, "tanh.wgsl", EXP);
part!(ERF, "erf.wgsl", EXP);
part!(GELU, "gelu.wgsl", TANH, ERF);
part!(POW, "pow.wgsl", EXP, LOG);
part!(REMAINDER, "remainder.wgsl", FLOAT);
part!(INT, "int.wgsl",);
part!(LONG, "long.wgsl", WIDE);
part!(CAST, "cast.wgsl", FLOAT, INT, LONG);

static FOR_INTS: &[&Part] = &[&INT];
static FOR_LONGS: &[&Part] = &[&LONG];
static FOR_GELU: &[&Part] = &[&GELU];
/// What the functions from kind to kind need.
pub static FOR_CASTS: &[&Part] = &[&CAST];

macro_rules! kernel {
    ($name:ident, $file:literal) => {
        static $name: Kernel = Kernel {
            name: $file,
            text: include_str!(concat!("../../wgsl/elementwise/", $file, ".wgsl")),
            driver: Driver::Elements,
            scalars: &[],
            parts: &[],
        };
    };
}

kernel!(UNARY, "unary");
kernel!(BINARY, "binary");
kernel!(WHERE, "where");

/// The functions of an op, for each kind of values that it has a meaning for.
struct Function {
    op: &'static str,
    float: Option<(&'static str, &'static [&'static Part])>,
    int: Option<&'static str>,
    long: Option<&'static str>,
    dtypes: &'static [DType],
}

const FLOATS: &[DType] = super::FLOATS;
const NUMBERS: &[DType] = COMPUTED.split_at(COMPUTED.len() - 1).0;
const INTS_AND_BOOL: &[DType] = COMPUTED.split_at(FLOATS.len()).1;

/// Of floats alone, with the file that has its function.
macro_rules! float {
    ($op:literal, $part:ident) => {
        Function {
            op: $op,
            float: Some((concat!($op, "_float"), &[&$part])),
            int: None,
            long: None,
            dtypes: FLOATS,
        }
    };
}

/// Of all kinds of numbers.
macro_rules! number {
    ($op:literal, $part:ident, $dtypes:ident) => {
        Function {
            op: $op,
            float: Some((concat!($op, "_float"), &[&$part])),
            int: Some(concat!($op, "_int")),
            long: Some(concat!($op, "_long")),
            dtypes: $dtypes,
        }
    };
}

/// Of integers alone.
macro_rules! integer {
    ($op:literal, $dtypes:expr) => {
        Function {
            op: $op,
            float: None,
            int: Some(concat!($op, "_int")),
            long: Some(concat!($op, "_long")),
            dtypes: $dtypes,
        }
    };
}

static UNARY_FUNCTIONS: &[Function] = &[
    number!("neg", FLOAT, NUMBERS),
    number!("sign", FLOAT, NUMBERS),
    number!("abs", FLOAT, COMPUTED),
    number!("floor", FLOAT, COMPUTED),
    number!("ceil", FLOAT, COMPUTED),
    number!("round", FLOAT, COMPUTED),
    number!("relu", FLOAT, COMPUTED),
    number!("logical_not", FLOAT, COMPUTED),
    float!("exp", EXP),
    float!("log", LOG),
    float!("sqrt", FLOAT),
    float!("sin", TRIGONOMETRY),
    float!("cos", TRIGONOMETRY),
    float!("tanh", TANH),
    float!("erf", ERF),
    float!("sigmoid", SIGMOID),
    float!("silu", SIGMOID),
];

static BINARY_FUNCTIONS: &[Function] = &[
    number!("add", FLOAT, COMPUTED),
    number!("sub", FLOAT, NUMBERS),
    number!("mul", FLOAT, COMPUTED),
    float!("div", FLOAT),
    number!("floor_div", REMAINDER, NUMBERS),
    number!("mod", REMAINDER, NUMBERS),
    number!("pow", POW, NUMBERS),
    number!("maximum", FLOAT, COMPUTED),
    number!("minimum", FLOAT, COMPUTED),
    number!("eq", FLOAT, COMPUTED),
    number!("ne", FLOAT, COMPUTED),
    number!("lt", FLOAT, COMPUTED),
    number!("le", FLOAT, COMPUTED),
    number!("gt", FLOAT, COMPUTED),
    number!("ge", FLOAT, COMPUTED),
    integer!("bitwise_and", INTS_AND_BOOL),
    integer!("bitwise_or", INTS_AND_BOOL),
    integer!("bitwise_xor", INTS_AND_BOOL),
    integer!("shift_right", super::INTS),
];

/// A function in WGSL, and what it needs.
pub type Chosen = (&'static str, &'static [&'static Part]);

/// The function of an op of one operand of a kind, or of two.
///
/// # Errors
/// There is none.
pub fn function_of(op: &str, operands: usize, kind: Kind) -> Result<Chosen> {
    chosen(if operands == 1 { UNARY_FUNCTIONS } else { BINARY_FUNCTIONS }, op, kind)
}

/// The names of the ops of one operand and of two.
pub fn names() -> impl Iterator<Item = &'static str> {
    UNARY_FUNCTIONS.iter().chain(BINARY_FUNCTIONS).map(|function| function.op)
}

fn chosen(functions: &'static [Function], op: &str, kind: Kind) -> Result<Chosen> {
    let function = functions.iter().find(|function| function.op == op);
    let found = function.and_then(|function| match kind {
        Kind::Float => function.float,
        Kind::Int => function.int.map(|name| (name, FOR_INTS)),
        Kind::Long => function.long.map(|name| (name, FOR_LONGS)),
    });
    found.ok_or_else(|| Error::Value(format!("{op:?} has no meaning for values of {kind:?}")))
}

fn unary(call: &Call<'_>) -> Result<()> {
    let x = call.input(0)?;
    let (name, parts) = chosen(UNARY_FUNCTIONS, call.op, x.dtype.kind())?;
    Launch::new(&UNARY, call.out()).input("x", x).function(name, parts).run(call.device)
}

fn gelu(call: &Call<'_>) -> Result<()> {
    let (name, parts) = gelu_of(call.attributes.text("approximate")?);
    Launch::new(&UNARY, call.out()).input("x", call.input(0)?).function(name, parts).run(call.device)
}

/// The function of gelu, exact or by tanh.
pub fn gelu_of(approximate: &str) -> Chosen {
    (if approximate == "tanh" { "gelu_tanh" } else { "gelu_erf" }, FOR_GELU)
}

fn binary(call: &Call<'_>) -> Result<()> {
    let (x, y) = (call.input(0)?, call.input(1)?);
    let (name, parts) = chosen(BINARY_FUNCTIONS, call.op, x.dtype.kind())?;
    Launch::new(&BINARY, call.out()).input("x", x).input("y", y).function(name, parts).run(call.device)
}

fn cast(call: &Call<'_>) -> Result<()> {
    convert(call, call.input(0)?)
}

/// Records that the first output becomes the values of `x` in its dtype.
pub fn convert(call: &Call<'_>, x: &Tensor) -> Result<()> {
    converted(call.device, call.out(), x)
}

/// Records that `out` becomes the values of `x` in its dtype.
pub fn converted(device: &'static Device, out: &Tensor, x: &Tensor) -> Result<()> {
    let (name, parts) = conversion(x.dtype.kind(), out.dtype);
    Launch::new(&UNARY, out).input("x", x).function(name, parts).run(device)
}

/// The function from values of a kind to those of a dtype.
pub fn conversion(from: Kind, to: DType) -> Chosen {
    let name = match (from, to.kind()) {
        (Kind::Float, Kind::Int) if to == DType::Bool => "float_to_truth",
        (Kind::Int, Kind::Int) if to == DType::Bool => "int_to_truth",
        (Kind::Long, Kind::Int) if to == DType::Bool => "long_to_truth",
        (Kind::Float, Kind::Float) => "float_to_float",
        (Kind::Float, Kind::Int) => "float_to_int",
        (Kind::Float, Kind::Long) => "float_to_long",
        (Kind::Int, Kind::Float) => "int_to_float",
        (Kind::Int, Kind::Int) => "int_to_int",
        (Kind::Int, Kind::Long) => "int_to_long",
        (Kind::Long, Kind::Float) => "long_to_float",
        (Kind::Long, Kind::Int) => "long_to_int",
        (Kind::Long, Kind::Long) => "long_to_long",
    };
    (name, FOR_CASTS)
}

/// x where the condition holds, y elsewhere; of any dtype, as it only moves bits.
fn choose(call: &Call<'_>) -> Result<()> {
    let (condition, x, y) = (call.input(0)?, call.input(1)?, call.input(2)?);
    Launch::new(&WHERE, &call.out().as_bits())
        .input("condition", condition)
        .input("x", &x.as_bits())
        .input("y", &y.as_bits())
        .run(call.device)
}

/// The ops of this module.
pub fn operations() -> Vec<Operation> {
    let row = |op, run, dtypes| Operation { op, run, dtypes, strided: true, in_place: true };
    let unary = UNARY_FUNCTIONS.iter().map(|function| row(function.op, unary, function.dtypes));
    let binary = BINARY_FUNCTIONS.iter().map(|function| row(function.op, binary, function.dtypes));
    let others = [row("cast", cast, COMPUTED), row("where", choose, COMPUTED), row("gelu", gelu, FLOATS)];
    unary.chain(binary).chain(others).collect()
}
