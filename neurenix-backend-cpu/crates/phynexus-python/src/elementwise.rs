//! Elementwise kernels.

use phynexus_kernels::Operation;
use phynexus_kernels::elementwise::{Binary, Cast, Comparison, LogicalNot, Unary, Where};
use pyo3::prelude::*;

use crate::argument::{In, Out};
use crate::launch::launch;
use crate::table::{ALL, FLOATS, INTS, NUMBERS, Table, Traits};

/// Each element is read before its result is written.
const IN_PLACE: Traits = Traits { strided: true, in_place: true };
const STRIDED: Traits = Traits { strided: true, in_place: false };

fn run_1(py: Python<'_>, op: &dyn Operation, out: &Out<'_>, x: &In<'_>) -> PyResult<()> {
    let (outputs, inputs) = ([out.tensor()], [Some(x.tensor())]);
    launch(py, op.name(), out.count(), || op.run(&outputs, &inputs))
}

fn run_2(py: Python<'_>, op: &dyn Operation, out: &Out<'_>, x: &In<'_>, y: &In<'_>) -> PyResult<()> {
    let (outputs, inputs) = ([out.tensor()], [Some(x.tensor()), Some(y.tensor())]);
    launch(py, op.name(), out.count(), || op.run(&outputs, &inputs))
}

macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident = $op:expr;)*) => {$(
        $(#[$doc])*
        #[pyfunction]
        #[pyo3(signature = (out, x, /))]
        fn $name(py: Python<'_>, out: Out<'_>, x: In<'_>) -> PyResult<()> {
            run_1(py, &$op, &out, &x)
        }
    )*};
}

macro_rules! binary {
    ($($(#[$doc:meta])* $name:ident = $op:expr;)*) => {$(
        $(#[$doc])*
        #[pyfunction]
        #[pyo3(signature = (out, x, y, /))]
        fn $name(py: Python<'_>, out: Out<'_>, x: In<'_>, y: In<'_>) -> PyResult<()> {
            run_2(py, &$op, &out, &x, &y)
        }
    )*};
}

unary! {
    /// -x
    neg = Unary::Neg;
    /// -1, 0 or 1; NaN stays NaN.
    sign = Unary::Sign;
    /// The absolute value.
    abs = Unary::Abs;
    /// e to the power of x.
    exp = Unary::Exp;
    /// The natural logarithm.
    log = Unary::Log;
    /// The square root.
    sqrt = Unary::Sqrt;
    /// The sine of radians.
    sin = Unary::Sin;
    /// The cosine of radians.
    cos = Unary::Cos;
    /// The hyperbolic tangent.
    tanh = Unary::Tanh;
    /// The error function.
    erf = Unary::Erf;
    /// The largest integer not above x.
    floor = Unary::Floor;
    /// The smallest integer not below x.
    ceil = Unary::Ceil;
    /// The nearest integer, halves to even.
    round = Unary::Round;
    /// max(x, 0), where NaN stays NaN.
    relu = Unary::Relu;
    /// 1 / (1 + exp(-x)), without overflow.
    sigmoid = Unary::Sigmoid;
    /// x * sigmoid(x)
    silu = Unary::Silu;
    /// Where x is zero.
    logical_not = LogicalNot;
}

binary! {
    /// x + y; "or" of bools.
    add = Binary::Add;
    /// x - y
    sub = Binary::Sub;
    /// x * y; "and" of bools.
    mul = Binary::Mul;
    /// x / y
    div = Binary::Div;
    /// The quotient rounded down.
    floor_div = Binary::FloorDiv;
    /// x - y * floor(x / y)
    r#mod = Binary::Mod;
    /// x to the power of y.
    pow = Binary::Pow;
    /// The larger of x and y; NaN where either is NaN.
    maximum = Binary::Maximum;
    /// The smaller of x and y; NaN where either is NaN.
    minimum = Binary::Minimum;
    /// x & y
    bitwise_and = Binary::BitwiseAnd;
    /// x | y
    bitwise_or = Binary::BitwiseOr;
    /// x ^ y
    bitwise_xor = Binary::BitwiseXor;
    /// x >> y; the sign is kept.
    shift_right = Binary::ShiftRight;
    /// Where x equals y.
    eq = Comparison::Eq;
    /// Where x differs from y.
    ne = Comparison::Ne;
    /// Where x is less than y.
    lt = Comparison::Lt;
    /// Where x is at most y.
    le = Comparison::Le;
    /// Where x is greater than y.
    gt = Comparison::Gt;
    /// Where x is at least y.
    ge = Comparison::Ge;
}

/// x where it is positive, negative_slope times x elsewhere.
#[pyfunction]
#[pyo3(signature = (out, x, /, *, negative_slope))]
fn leaky_relu(py: Python<'_>, out: Out<'_>, x: In<'_>, negative_slope: f64) -> PyResult<()> {
    run_1(py, &Unary::LeakyRelu(negative_slope), &out, &x)
}

/// The values in the dtype of out.
#[pyfunction]
#[pyo3(signature = (out, x, /, *, dtype))]
fn cast(py: Python<'_>, out: Out<'_>, x: In<'_>, dtype: &Bound<'_, PyAny>) -> PyResult<()> {
    let _ = dtype;
    run_1(py, &Cast, &out, &x)
}

/// x where the condition holds, y elsewhere.
#[pyfunction]
#[pyo3(signature = (out, condition, x, y, /))]
fn r#where(py: Python<'_>, out: Out<'_>, condition: In<'_>, x: In<'_>, y: In<'_>) -> PyResult<()> {
    let inputs = [Some(condition.tensor()), Some(x.tensor()), Some(y.tensor())];
    let outputs = [out.tensor()];
    launch(py, "where", out.count(), || Where.run(&outputs, &inputs))
}

/// Adds the kernels of this module.
pub fn register(module: &Bound<'_, PyModule>, table: &Table<'_>) -> PyResult<()> {
    const INTS_AND_BOOL: &[phynexus_kernels::DType] = ALL.split_at(FLOATS.len()).1;
    macro_rules! add {
        ($($name:ident: $dtypes:expr, $traits:expr;)*) => {$(
            let name = stringify!($name).trim_start_matches("r#");
            table.add(name, wrap_pyfunction!($name, module)?, $dtypes, $traits)?;
        )*};
    }
    add! {
        neg: NUMBERS, IN_PLACE;
        sign: NUMBERS, IN_PLACE;
        abs: ALL, IN_PLACE;
        exp: FLOATS, IN_PLACE;
        log: FLOATS, IN_PLACE;
        sqrt: FLOATS, IN_PLACE;
        sin: FLOATS, IN_PLACE;
        cos: FLOATS, IN_PLACE;
        tanh: FLOATS, IN_PLACE;
        erf: FLOATS, IN_PLACE;
        floor: ALL, IN_PLACE;
        ceil: ALL, IN_PLACE;
        round: ALL, IN_PLACE;
        relu: ALL, IN_PLACE;
        sigmoid: FLOATS, IN_PLACE;
        silu: FLOATS, IN_PLACE;
        leaky_relu: FLOATS, IN_PLACE;
        logical_not: ALL, STRIDED;
        add: ALL, IN_PLACE;
        sub: NUMBERS, IN_PLACE;
        mul: ALL, IN_PLACE;
        div: FLOATS, IN_PLACE;
        floor_div: NUMBERS, IN_PLACE;
        r#mod: NUMBERS, IN_PLACE;
        pow: NUMBERS, IN_PLACE;
        maximum: ALL, IN_PLACE;
        minimum: ALL, IN_PLACE;
        bitwise_and: INTS_AND_BOOL, IN_PLACE;
        bitwise_or: INTS_AND_BOOL, IN_PLACE;
        bitwise_xor: INTS_AND_BOOL, IN_PLACE;
        shift_right: INTS, IN_PLACE;
        eq: ALL, IN_PLACE;
        ne: ALL, IN_PLACE;
        lt: ALL, IN_PLACE;
        le: ALL, IN_PLACE;
        gt: ALL, IN_PLACE;
        ge: ALL, IN_PLACE;
        r#where: ALL, IN_PLACE;
        cast: ALL, STRIDED;
    }
    Ok(())
}
