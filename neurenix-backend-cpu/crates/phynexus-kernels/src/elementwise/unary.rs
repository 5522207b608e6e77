//! Functions of one element.

use phynexus_simd::{Simd, math};

use super::code::{Scalar1, Vector1, scalar_1, vector_1};
use super::number::Integer;
use crate::loops::Place;
use crate::movement::copy;
use crate::operation::{first_output, required};
use crate::rows::{Row, RowCode, Widens, run};
use crate::{DType, KernelError, Operation, TensorMut, TensorRef};

/// A function of one element; its output has the input's dtype.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unary {
    /// `-x`
    Neg,
    /// -1, 0 or 1; NaN stays NaN.
    Sign,
    /// `|x|`
    Abs,
    /// `e^x`
    Exp,
    /// The natural logarithm.
    Log,
    /// The square root.
    Sqrt,
    /// The sine of radians.
    Sin,
    /// The cosine of radians.
    Cos,
    /// The hyperbolic tangent.
    Tanh,
    /// The error function.
    Erf,
    /// The largest integer not above x.
    Floor,
    /// The smallest integer not below x.
    Ceil,
    /// The nearest integer, halves to even.
    Round,
    /// `max(x, 0)`, where NaN stays NaN.
    Relu,
    /// `1 / (1 + e^-x)`
    Sigmoid,
    /// `x / (1 + e^-x)`
    Silu,
    /// `x` where it is positive, else `x` times this.
    LeakyRelu(f64),
}

/// One function: its code for vectors of f32, for f64, and for integers where it has a meaning.
macro_rules! functions {
    ($($name:ident($s:ident, $x:ident, $p:ident): $vector:expr, $double:expr $(, $integer:expr)?;)*) => {$(
        struct $name;

        impl Vector1 for $name {
            #[inline(always)]
            fn vector<S: Simd>($s: S, $x: S::F32, $p: S::F32) -> S::F32 {
                let _ = $p;
                $vector
            }
        }

        impl Scalar1<f64, f64> for $name {
            #[inline(always)]
            fn scalar($x: f64, $p: f64) -> f64 {
                let _ = $p;
                $double
            }
        }

        $(
            impl<T: Integer> Scalar1<T, T> for $name {
                #[inline(always)]
                fn scalar($x: T, _: f64) -> T {
                    $integer
                }
            }
        )?
    )*};
}

functions! {
    Neg(s, x, p): s.neg(x), -x, x.neg();
    Sign(s, x, p): {
        let (zero, one) = (s.zero(), s.splat(1.0));
        let side = s.select(s.lt(zero, x), one, s.select(s.lt(x, zero), s.splat(-1.0), zero));
        s.select(s.ne(x, x), x, side)
    }, if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else if x == 0.0 { 0.0 } else { x }, x.sign();
    Abs(s, x, p): s.abs(x), x.abs(), x.abs();
    Exp(s, x, p): math::exp(s, x), x.exp();
    Log(s, x, p): math::log(s, x), x.ln();
    Sqrt(s, x, p): s.sqrt(x), x.sqrt();
    Sin(s, x, p): math::sin(s, x), x.sin();
    Cos(s, x, p): math::cos(s, x), x.cos();
    Tanh(s, x, p): math::tanh(s, x), x.tanh();
    Erf(s, x, p): math::erf(s, x), math::erf_f64(x);
    Floor(s, x, p): s.floor(x), x.floor(), x;
    Ceil(s, x, p): s.neg(s.floor(s.neg(x))), x.ceil(), x;
    Round(s, x, p): s.round(x), x.round_ties_even(), x;
    Relu(s, x, p): s.max(s.zero(), x), if x < 0.0 { 0.0 } else { x },
        if x.is_negative() { T::zero() } else { x };
    Sigmoid(s, x, p): math::sigmoid(s, x), sigmoid(x);
    Silu(s, x, p): s.mul(x, math::sigmoid(s, x)), x * sigmoid(x);
    LeakyRelu(s, x, p): s.select(s.lt(s.zero(), x), x, s.mul(x, p)), if x > 0.0 { x } else { x * p };
}

fn sigmoid(x: f64) -> f64 {
    let small = (-x.abs()).exp();
    (if x >= 0.0 { 1.0 } else { small }) / (1.0 + small)
}

fn of_floats<Op: Vector1 + Scalar1<f64, f64>>(dtype: DType) -> Option<RowCode> {
    match dtype {
        DType::F32 | DType::F16 | DType::Bf16 => Some(vector_1::<Op>()),
        DType::F64 => Some(scalar_1::<Op, f64, f64>()),
        _ => None,
    }
}

fn of_numbers<Op>(dtype: DType) -> Option<RowCode>
where
    Op: Vector1 + Scalar1<f64, f64> + Scalar1<i8, i8> + Scalar1<i16, i16>,
    Op: Scalar1<i32, i32> + Scalar1<i64, i64> + Scalar1<u8, u8>,
{
    Some(match dtype {
        DType::I8 => scalar_1::<Op, i8, i8>(),
        DType::I16 => scalar_1::<Op, i16, i16>(),
        DType::I32 => scalar_1::<Op, i32, i32>(),
        DType::I64 => scalar_1::<Op, i64, i64>(),
        DType::U8 => scalar_1::<Op, u8, u8>(),
        _ => return of_floats::<Op>(dtype),
    })
}

impl Unary {
    fn code(self, dtype: DType) -> Option<RowCode> {
        match self {
            Self::Neg => of_numbers::<Neg>(dtype),
            Self::Sign => of_numbers::<Sign>(dtype),
            Self::Abs => of_numbers::<Abs>(dtype),
            Self::Exp => of_floats::<Exp>(dtype),
            Self::Log => of_floats::<Log>(dtype),
            Self::Sqrt => of_floats::<Sqrt>(dtype),
            Self::Sin => of_floats::<Sin>(dtype),
            Self::Cos => of_floats::<Cos>(dtype),
            Self::Tanh => of_floats::<Tanh>(dtype),
            Self::Erf => of_floats::<Erf>(dtype),
            Self::Floor => of_numbers::<Floor>(dtype),
            Self::Ceil => of_numbers::<Ceil>(dtype),
            Self::Round => of_numbers::<Round>(dtype),
            Self::Relu => of_numbers::<Relu>(dtype),
            Self::Sigmoid => of_floats::<Sigmoid>(dtype),
            Self::Silu => of_floats::<Silu>(dtype),
            Self::LeakyRelu(_) => of_floats::<LeakyRelu>(dtype),
        }
    }

    /// How long an element takes, in additions.
    fn cost(self, dtype: DType) -> usize {
        let is_function = match self {
            Self::Exp | Self::Log | Self::Sin | Self::Cos | Self::Tanh | Self::Erf => true,
            Self::Sigmoid | Self::Silu => true,
            _ => return 1,
        };
        if is_function && dtype == DType::F64 { 16 } else { 4 }
    }
}

impl Operation for Unary {
    fn name(&self) -> &'static str {
        match self {
            Self::Neg => "neg",
            Self::Sign => "sign",
            Self::Abs => "abs",
            Self::Exp => "exp",
            Self::Log => "log",
            Self::Sqrt => "sqrt",
            Self::Sin => "sin",
            Self::Cos => "cos",
            Self::Tanh => "tanh",
            Self::Erf => "erf",
            Self::Floor => "floor",
            Self::Ceil => "ceil",
            Self::Round => "round",
            Self::Relu => "relu",
            Self::Sigmoid => "sigmoid",
            Self::Silu => "silu",
            Self::LeakyRelu(_) => "leaky_relu",
        }
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let (out, x) = (first_output(outputs), required(inputs, 0));
        let dtype = x.dtype();
        if dtype == DType::Bool
            && matches!(self, Self::Abs | Self::Floor | Self::Ceil | Self::Round | Self::Relu)
        {
            return copy(out, x);
        }
        let code = self.code(dtype).ok_or(KernelError::DType { op: self.name(), dtype })?;
        let parameter = if let Self::LeakyRelu(slope) = *self { slope } else { 0.0 };
        let widens = Widens::of(dtype, dtype);
        let row = Row { code, parameter, widens, cost: self.cost(dtype) };
        // SAFETY: the code is that of the dtype; the caller of an op vouches for its tensors.
        unsafe { run([Place::of_mut(out), Place::of(x)], row) }
    }
}
