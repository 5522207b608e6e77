//! Functions of two elements.

use phynexus_simd::{Simd, math};

use super::code::{Scalar2, Vector2, scalar_2, vector_2};
use super::number::{self, Integer};
use crate::loops::Place;
use crate::operation::{first_output, required};
use crate::rows::{Row, RowCode, Widens, run};
use crate::truth::Truth;
use crate::{DType, KernelError, Operation, TensorMut, TensorRef};

/// A function of two elements of one dtype, which is the output's too; the inputs broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// `x + y`; "or" of bools.
    Add,
    /// `x - y`
    Sub,
    /// `x * y`; "and" of bools.
    Mul,
    /// `x / y`
    Div,
    /// The quotient rounded down.
    FloorDiv,
    /// What is left after it.
    Mod,
    /// `x` to the power of `y`.
    Pow,
    /// The larger; NaN where either is NaN.
    Maximum,
    /// The smaller; NaN where either is NaN.
    Minimum,
    /// `x & y`
    BitwiseAnd,
    /// `x | y`
    BitwiseOr,
    /// `x ^ y`
    BitwiseXor,
    /// `x >> y`, the sign filling up.
    ShiftRight,
}

macro_rules! of_vectors {
    ($($name:ident($s:ident, $x:ident, $y:ident): $vector:expr, $double:expr;)*) => {$(
        impl Vector2 for $name {
            #[inline(always)]
            fn vector<S: Simd>($s: S, $x: S::F32, $y: S::F32) -> S::F32 {
                $vector
            }
        }

        impl Scalar2<f64, f64> for $name {
            #[inline(always)]
            fn scalar($x: f64, $y: f64) -> f64 {
                $double
            }
        }
    )*};
}

macro_rules! of_integers {
    ($($name:ident($x:ident, $y:ident): $integer:expr;)*) => {$(
        impl<T: Integer> Scalar2<T, T> for $name {
            #[inline(always)]
            fn scalar($x: T, $y: T) -> T {
                $integer
            }
        }
    )*};
}

struct Add;
struct Sub;
struct Mul;
struct Div;
struct FloorDiv;
struct Mod;
struct Pow;
struct Maximum;
struct Minimum;
struct BitwiseAnd;
struct BitwiseOr;
struct BitwiseXor;
struct ShiftRight;

of_vectors! {
    Add(s, x, y): s.add(x, y), x + y;
    Sub(s, x, y): s.sub(x, y), x - y;
    Mul(s, x, y): s.mul(x, y), x * y;
    Div(s, x, y): s.div(x, y), x / y;
    // `max` and `min` let a NaN of their second operand through, and lose one of the first.
    Maximum(s, x, y): s.select(s.ne(x, x), x, s.max(x, y)),
        if x > y || x.is_nan() { x } else { y };
    Minimum(s, x, y): s.select(s.ne(x, x), x, s.min(x, y)),
        if x < y || x.is_nan() { x } else { y };
}

of_integers! {
    Add(x, y): x.add(y);
    Sub(x, y): x.sub(y);
    Mul(x, y): x.mul(y);
    FloorDiv(x, y): x.floor_div(y);
    Mod(x, y): x.modulo(y);
    Pow(x, y): x.pow(y);
    Maximum(x, y): if x > y { x } else { y };
    Minimum(x, y): if x < y { x } else { y };
    BitwiseAnd(x, y): x.and(y);
    BitwiseOr(x, y): x.or(y);
    BitwiseXor(x, y): x.xor(y);
    ShiftRight(x, y): x.shift_right(y);
}

macro_rules! of_bits {
    ($($name:ident: $operator:tt;)*) => {$(
        impl Scalar2<Truth, Truth> for $name {
            #[inline(always)]
            fn scalar(x: Truth, y: Truth) -> Truth {
                (x.holds() $operator y.holds()).into()
            }
        }
    )*};
}

of_bits! {
    BitwiseAnd: &;
    BitwiseOr: |;
    BitwiseXor: ^;
}

/// What has no form for vectors of f32: the exact remainder takes as many steps as the quotient has
/// bits, and powers are computed in f64.
macro_rules! of_single_floats {
    ($($name:ident: $single:path, $double:path;)*) => {$(
        impl Scalar2<f32, f32> for $name {
            #[inline(always)]
            fn scalar(x: f32, y: f32) -> f32 {
                $single(x, y)
            }
        }

        impl Scalar2<f64, f64> for $name {
            #[inline(always)]
            fn scalar(x: f64, y: f64) -> f64 {
                $double(x, y)
            }
        }
    )*};
}

of_single_floats! {
    FloorDiv: number::floor_div_f32, number::floor_div_f64;
    Mod: number::modulo_f32, number::modulo_f64;
    Pow: math::pow_f32, f64::powf;
}

fn of_vectors<Op: Vector2 + Scalar2<f64, f64>>(dtype: DType) -> Option<RowCode> {
    match dtype {
        DType::F32 | DType::F16 | DType::Bf16 => Some(vector_2::<Op>()),
        DType::F64 => Some(scalar_2::<Op, f64, f64>()),
        _ => None,
    }
}

fn of_single_floats<Op: Scalar2<f32, f32> + Scalar2<f64, f64>>(dtype: DType) -> Option<RowCode> {
    match dtype {
        DType::F32 | DType::F16 | DType::Bf16 => Some(scalar_2::<Op, f32, f32>()),
        DType::F64 => Some(scalar_2::<Op, f64, f64>()),
        _ => None,
    }
}

fn of_integers<Op>(dtype: DType) -> Option<RowCode>
where
    Op: Scalar2<i8, i8> + Scalar2<i16, i16> + Scalar2<i32, i32> + Scalar2<i64, i64> + Scalar2<u8, u8>,
{
    match dtype {
        DType::I8 => Some(scalar_2::<Op, i8, i8>()),
        DType::I16 => Some(scalar_2::<Op, i16, i16>()),
        DType::I32 => Some(scalar_2::<Op, i32, i32>()),
        DType::I64 => Some(scalar_2::<Op, i64, i64>()),
        DType::U8 => Some(scalar_2::<Op, u8, u8>()),
        _ => None,
    }
}

fn of_bools<Op: Scalar2<Truth, Truth>>(dtype: DType) -> Option<RowCode> {
    (dtype == DType::Bool).then(scalar_2::<Op, Truth, Truth>)
}

impl Binary {
    fn code(self, dtype: DType) -> Option<RowCode> {
        let or = |code: Option<RowCode>, other: fn(DType) -> Option<RowCode>| code.or_else(|| other(dtype));
        match self {
            Self::Add => or(or(of_vectors::<Add>(dtype), of_integers::<Add>), of_bools::<BitwiseOr>),
            Self::Sub => or(of_vectors::<Sub>(dtype), of_integers::<Sub>),
            Self::Mul => or(or(of_vectors::<Mul>(dtype), of_integers::<Mul>), of_bools::<BitwiseAnd>),
            Self::Div => of_vectors::<Div>(dtype),
            Self::FloorDiv => or(of_single_floats::<FloorDiv>(dtype), of_integers::<FloorDiv>),
            Self::Mod => or(of_single_floats::<Mod>(dtype), of_integers::<Mod>),
            Self::Pow => or(of_single_floats::<Pow>(dtype), of_integers::<Pow>),
            Self::Maximum => {
                or(or(of_vectors::<Maximum>(dtype), of_integers::<Maximum>), of_bools::<BitwiseOr>)
            }
            Self::Minimum => {
                or(or(of_vectors::<Minimum>(dtype), of_integers::<Minimum>), of_bools::<BitwiseAnd>)
            }
            Self::BitwiseAnd => or(of_integers::<BitwiseAnd>(dtype), of_bools::<BitwiseAnd>),
            Self::BitwiseOr => or(of_integers::<BitwiseOr>(dtype), of_bools::<BitwiseOr>),
            Self::BitwiseXor => or(of_integers::<BitwiseXor>(dtype), of_bools::<BitwiseXor>),
            Self::ShiftRight => of_integers::<ShiftRight>(dtype),
        }
    }

    /// How long an element takes, in additions.
    fn cost(self) -> usize {
        match self {
            Self::Pow => 8,
            Self::FloorDiv | Self::Mod => 16,
            _ => 1,
        }
    }
}

/// Whether a tensor is one float, 2.
fn is_two(y: &TensorRef<'_>) -> bool {
    // SAFETY: the one element there is.
    y.axes().count() == 1
        && unsafe {
            match y.dtype() {
                DType::F32 => *y.ptr::<f32>() == 2.0,
                DType::F64 => *y.ptr::<f64>() == 2.0,
                DType::F16 => y.ptr::<half::f16>().read() == half::f16::from_f32_const(2.0),
                DType::Bf16 => y.ptr::<half::bf16>().read() == half::bf16::from_f32_const(2.0),
                _ => false,
            }
        }
}

impl Operation for Binary {
    fn name(&self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Mul => "mul",
            Self::Div => "div",
            Self::FloorDiv => "floor_div",
            Self::Mod => "mod",
            Self::Pow => "pow",
            Self::Maximum => "maximum",
            Self::Minimum => "minimum",
            Self::BitwiseAnd => "bitwise_and",
            Self::BitwiseOr => "bitwise_or",
            Self::BitwiseXor => "bitwise_xor",
            Self::ShiftRight => "shift_right",
        }
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let (x, y) = (required(inputs, 0), required(inputs, 1));
        let dtype = x.dtype();
        let code = self.code(dtype).ok_or(KernelError::DType { op: self.name(), dtype })?;
        if *self == Self::Pow && !dtype.is_float() && super::has_negative(y)? {
            return Err(KernelError::Value(
                "integers to negative integer powers are no integers; make them floats first".to_owned(),
            ));
        }
        if *self == Self::Pow && is_two(y) {
            // Squares are common, exact this way too, and eight times as fast.
            return Self::Mul.run(outputs, &[inputs[0], inputs[0]]);
        }
        let row = Row { code, parameter: 0.0, widens: Widens::of(dtype, dtype), cost: self.cost() };
        // SAFETY: the code is that of the dtype; the caller of an op vouches for its tensors.
        unsafe { run([Place::of_mut(first_output(outputs)), Place::of(x), Place::of(y)], row) }
    }
}
