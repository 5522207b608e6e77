//! The same values in another dtype.

use half::f16;

use super::code::{Scalar1, scalar_1};
use crate::loops::Place;
use crate::movement::copy;
use crate::operation::{first_output, required};
use crate::rows::{Row, RowCode, Widens, run};
use crate::truth::Truth;
use crate::{DType, KernelError, Operation, TensorMut, TensorRef};

/// The values in the output's dtype. Floats to integers truncate toward zero; what does not fit an
/// integer of 32 or 64 bits becomes the least one, and shorter ones keep the lowest bits of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cast;

/// A value on its way from a dtype to another: 64-bit integers and f64 would lose bits as f32.
trait Source: Copy + 'static {
    fn to_f32(self) -> f32;
    fn to_f64(self) -> f64;
    fn to_i64(self) -> i64;
    fn to_i32(self) -> i32;
    fn is_set(self) -> bool;
}

macro_rules! integer_sources {
    ($($type:ident)*) => {$(
        impl Source for $type {
            #[inline(always)]
            fn to_f32(self) -> f32 {
                self as f32
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn to_i64(self) -> i64 {
                self as i64
            }
            #[inline(always)]
            fn to_i32(self) -> i32 {
                self as i32
            }
            #[inline(always)]
            fn is_set(self) -> bool {
                self != 0
            }
        }
    )*};
}

integer_sources! { i8 i16 i32 i64 u8 }

macro_rules! float_sources {
    ($($type:ident)*) => {$(
        impl Source for $type {
            #[inline(always)]
            fn to_f32(self) -> f32 {
                self as f32
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn to_i64(self) -> i64 {
                // NaN fails both comparisons.
                let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&self);
                if fits { self as i64 } else { i64::MIN }
            }
            #[inline(always)]
            fn to_i32(self) -> i32 {
                // What is cut off first, or -2147483648.5 would not fit.
                let whole = self.trunc();
                let fits = (-2_147_483_648.0..2_147_483_648.0).contains(&whole);
                if fits { whole as i32 } else { i32::MIN }
            }
            #[inline(always)]
            fn is_set(self) -> bool {
                self != 0.0
            }
        }
    )*};
}

float_sources! { f32 f64 }

impl Source for Truth {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from(u8::from(self.holds()))
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(u8::from(self.holds()))
    }
    #[inline(always)]
    fn to_i64(self) -> i64 {
        i64::from(self.holds())
    }
    #[inline(always)]
    fn to_i32(self) -> i32 {
        i32::from(self.holds())
    }
    #[inline(always)]
    fn is_set(self) -> bool {
        self.holds()
    }
}

macro_rules! targets {
    ($($type:ident: $x:ident => $value:expr;)*) => {$(
        impl<T: Source> Scalar1<T, $type> for Cast {
            #[inline(always)]
            fn scalar($x: T, _: f64) -> $type {
                $value
            }
        }
    )*};
}

targets! {
    f32: x => x.to_f32();
    f64: x => x.to_f64();
    i64: x => x.to_i64();
    i32: x => x.to_i32();
    i16: x => x.to_i32() as i16;
    i8: x => x.to_i32() as i8;
    u8: x => x.to_i32() as u8;
    Truth: x => x.is_set().into();
}

/// Not by way of f32, which would round twice.
impl Scalar1<f64, f16> for Cast {
    #[inline(always)]
    fn scalar(x: f64, _: f64) -> f16 {
        f16::from_f64(x)
    }
}

/// The code for a source; 16-bit floats are f32 here.
fn code<T: Source>(to: DType) -> RowCode {
    match to {
        DType::F32 | DType::F16 | DType::Bf16 => scalar_1::<Cast, T, f32>(),
        DType::F64 => scalar_1::<Cast, T, f64>(),
        DType::I8 => scalar_1::<Cast, T, i8>(),
        DType::I16 => scalar_1::<Cast, T, i16>(),
        DType::I32 => scalar_1::<Cast, T, i32>(),
        DType::I64 => scalar_1::<Cast, T, i64>(),
        DType::U8 => scalar_1::<Cast, T, u8>(),
        DType::Bool => scalar_1::<Cast, T, Truth>(),
    }
}

impl Operation for Cast {
    fn name(&self) -> &'static str {
        "cast"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let (out, x) = (first_output(outputs), required(inputs, 0));
        let (from, to) = (x.dtype(), out.dtype());
        if from == to {
            return copy(out, x);
        }
        let mut widens = Widens::of(from, to);
        let code = match from {
            DType::F64 if to == DType::F16 => {
                widens.output = None;
                scalar_1::<Self, f64, f16>()
            }
            DType::F32 | DType::F16 | DType::Bf16 => code::<f32>(to),
            DType::F64 => code::<f64>(to),
            DType::I8 => code::<i8>(to),
            DType::I16 => code::<i16>(to),
            DType::I32 => code::<i32>(to),
            DType::I64 => code::<i64>(to),
            DType::U8 => code::<u8>(to),
            DType::Bool => code::<Truth>(to),
        };
        let row = Row { code, parameter: 0.0, widens, cost: 1 };
        // SAFETY: the code is that of the dtypes; the caller of an op vouches for its tensors.
        unsafe { run([Place::of_mut(out), Place::of(x)], row) }
    }
}
