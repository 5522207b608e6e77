//! Functions whose output is a bool.

use super::code::{Scalar1, Scalar2, scalar_1, scalar_2};
use super::number::Integer;
use crate::loops::Place;
use crate::operation::{first_output, required};
use crate::rows::{Row, RowCode, Widens, run};
use crate::truth::Truth;
use crate::{DType, KernelError, Operation, TensorMut, TensorRef};

/// How two elements of one dtype compare; the inputs broadcast. NaN differs from everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `x == y`
    Eq,
    /// `x != y`
    Ne,
    /// `x < y`
    Lt,
    /// `x <= y`
    Le,
    /// `x > y`
    Gt,
    /// `x >= y`
    Ge,
}

/// Where x is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogicalNot;

macro_rules! comparisons {
    ($($name:ident: $operator:tt;)*) => {$(
        struct $name;

        impl<T: PartialOrd> Scalar2<T, Truth> for $name {
            #[inline(always)]
            fn scalar(x: T, y: T) -> Truth {
                (x $operator y).into()
            }
        }
    )*};
}

comparisons! {
    Eq: ==;
    Ne: !=;
    Lt: <;
    Le: <=;
}

impl<T: Integer> Scalar1<T, Truth> for LogicalNot {
    #[inline(always)]
    fn scalar(x: T, _: f64) -> Truth {
        (x == T::zero()).into()
    }
}

impl Scalar1<Truth, Truth> for LogicalNot {
    #[inline(always)]
    fn scalar(x: Truth, _: f64) -> Truth {
        (!x.holds()).into()
    }
}

impl Scalar1<f32, Truth> for LogicalNot {
    #[inline(always)]
    fn scalar(x: f32, _: f64) -> Truth {
        (x == 0.0).into()
    }
}

impl Scalar1<f64, Truth> for LogicalNot {
    #[inline(always)]
    fn scalar(x: f64, _: f64) -> Truth {
        (x == 0.0).into()
    }
}

fn code<Op>(dtype: DType) -> RowCode
where
    Op: Scalar2<f32, Truth> + Scalar2<f64, Truth> + Scalar2<i8, Truth> + Scalar2<i16, Truth>,
    Op: Scalar2<i32, Truth> + Scalar2<i64, Truth> + Scalar2<u8, Truth> + Scalar2<Truth, Truth>,
{
    match dtype {
        DType::F32 | DType::F16 | DType::Bf16 => scalar_2::<Op, f32, Truth>(),
        DType::F64 => scalar_2::<Op, f64, Truth>(),
        DType::I8 => scalar_2::<Op, i8, Truth>(),
        DType::I16 => scalar_2::<Op, i16, Truth>(),
        DType::I32 => scalar_2::<Op, i32, Truth>(),
        DType::I64 => scalar_2::<Op, i64, Truth>(),
        DType::U8 => scalar_2::<Op, u8, Truth>(),
        DType::Bool => scalar_2::<Op, Truth, Truth>(),
    }
}

impl Operation for Comparison {
    fn name(&self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Lt => "lt",
            Self::Le => "le",
            Self::Gt => "gt",
            Self::Ge => "ge",
        }
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let (x, y) = (required(inputs, 0), required(inputs, 1));
        // `x > y` is `y < x`.
        let (x, y) = if matches!(self, Self::Gt | Self::Ge) { (y, x) } else { (x, y) };
        let dtype = x.dtype();
        let code = match self {
            Self::Eq => code::<Eq>(dtype),
            Self::Ne => code::<Ne>(dtype),
            Self::Lt | Self::Gt => code::<Lt>(dtype),
            Self::Le | Self::Ge => code::<Le>(dtype),
        };
        let row = Row { code, parameter: 0.0, widens: Widens::of(dtype, DType::Bool), cost: 1 };
        // SAFETY: the code is that of the dtype; the caller of an op vouches for its tensors.
        unsafe { run([Place::of_mut(first_output(outputs)), Place::of(x), Place::of(y)], row) }
    }
}

impl Operation for LogicalNot {
    fn name(&self) -> &'static str {
        "logical_not"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let x = required(inputs, 0);
        let code = match x.dtype() {
            DType::F32 | DType::F16 | DType::Bf16 => scalar_1::<Self, f32, Truth>(),
            DType::F64 => scalar_1::<Self, f64, Truth>(),
            DType::I8 => scalar_1::<Self, i8, Truth>(),
            DType::I16 => scalar_1::<Self, i16, Truth>(),
            DType::I32 => scalar_1::<Self, i32, Truth>(),
            DType::I64 => scalar_1::<Self, i64, Truth>(),
            DType::U8 => scalar_1::<Self, u8, Truth>(),
            DType::Bool => scalar_1::<Self, Truth, Truth>(),
        };
        let row = Row { code, parameter: 0.0, widens: Widens::of(x.dtype(), DType::Bool), cost: 1 };
        // SAFETY: the code is that of the dtype; the caller of an op vouches for its tensors.
        unsafe { run([Place::of_mut(first_output(outputs)), Place::of(x)], row) }
    }
}
