//! Arithmetic in vectors of 16 numbers, of f32 by an instruction set or of f64 by plain loops.
//!
//! A kernel of floats is written once over [`Lanes`]. Values of 16 bits are computed with as f32:
//! see [`crate::stream`].

mod double;
mod reduce;
mod single;

use phynexus_simd::{Kernel, LANES, Simd, dispatch};

use crate::{DType, Element, KernelError};

pub(crate) use double::Double;
pub(crate) use reduce::{CentredSquare, Plain, Product, ProductCentred, Term, largest, total};
pub(crate) use single::{Single, read_float};

/// What kernels of floats compute in: f32 or f64.
pub(crate) trait Number:
    Element
    + PartialOrd
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Neg<Output = Self>
    + std::ops::AddAssign
{
    const ZERO: Self;
    const ONE: Self;
    const NEG_INFINITY: Self;
    fn from_f64(x: f64) -> Self;
    fn to_f64(self) -> f64;
    fn ln(self) -> Self;
    fn sqrt(self) -> Self;
    /// Runs a kernel on the instruction set in use.
    fn run<K: LaneKernel<Self>>(kernel: K) -> K::Output;
}

/// An algorithm over lanes of N. All that it passes its lanes to has to be `#[inline(always)]`.
pub(crate) trait LaneKernel<N: Number> {
    type Output;
    fn run<L: Lanes<N = N>>(self, lanes: L) -> Self::Output;
}

/// Vectors of 16 numbers. Comparisons, `max` and NaN are as in [`Simd`].
pub(crate) trait Lanes: Copy + Send + Sync + 'static {
    type N: Number;
    type V: Copy;
    type M: Copy;

    fn splat(self, x: Self::N) -> Self::V;
    /// # Safety
    /// 16 numbers are valid for reads.
    unsafe fn load(self, from: *const Self::N) -> Self::V;
    /// # Safety
    /// `n <= 16` numbers are valid for reads.
    unsafe fn load_first(self, from: *const Self::N, n: usize) -> Self::V;
    /// # Safety
    /// 16 numbers are valid for writes.
    unsafe fn store(self, to: *mut Self::N, x: Self::V);
    /// # Safety
    /// `n <= 16` numbers are valid for writes.
    unsafe fn store_first(self, to: *mut Self::N, n: usize, x: Self::V);

    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    fn sqrt(self, a: Self::V) -> Self::V;
    fn exp(self, a: Self::V) -> Self::V;
    fn tanh(self, a: Self::V) -> Self::V;
    fn erf(self, a: Self::V) -> Self::V;
    /// The first `n` lanes.
    fn first(self, n: usize) -> Self::M;
    fn select(self, mask: Self::M, a: Self::V, b: Self::V) -> Self::V;
    fn reduce_add(self, a: Self::V) -> Self::N;
    fn reduce_max(self, a: Self::V) -> Self::N;

    /// Reads floats of any dtype.
    ///
    /// # Safety
    /// `count` elements of the dtype are valid for reads, `count` numbers for writes.
    unsafe fn widen(self, from: *const u8, dtype: DType, count: usize, to: *mut Self::N);
    /// Writes floats of any dtype, each rounded once.
    ///
    /// # Safety
    /// `count` numbers are valid for reads, `count` elements of the dtype for writes.
    unsafe fn narrow(self, from: *const Self::N, count: usize, to: *mut u8, dtype: DType);

    #[inline(always)]
    fn zero(self) -> Self::V {
        self.splat(Self::N::ZERO)
    }

    /// Reads `many <= 16` numbers; folds to a plain load where `many` is known to be 16.
    ///
    /// # Safety
    /// They are valid for reads.
    #[inline(always)]
    unsafe fn load_some(self, from: *const Self::N, many: usize) -> Self::V {
        // SAFETY: as the caller vouches.
        unsafe { if many == LANES { self.load(from) } else { self.load_first(from, many) } }
    }

    /// Writes `many <= 16` numbers.
    ///
    /// # Safety
    /// They are valid for writes.
    #[inline(always)]
    unsafe fn store_some(self, to: *mut Self::N, many: usize, x: Self::V) {
        // SAFETY: as the caller vouches.
        unsafe { if many == LANES { self.store(to, x) } else { self.store_first(to, many, x) } }
    }
}

/// Goes through `0..count` in vectors: `$at` is the first element of each, `$many` how many there
/// are, 16 but for the last.
macro_rules! vectors {
    ($count:expr, |$at:ident, $many:ident| $body:block) => {{
        let count: usize = $count;
        let mut $at = 0;
        while $at + phynexus_simd::LANES <= count {
            let $many = phynexus_simd::LANES;
            $body
            $at += phynexus_simd::LANES;
        }
        if $at < count {
            let $many = count - $at;
            $body
        }
    }};
}
pub(crate) use vectors;

struct OnSingle<K>(K);

impl<K: LaneKernel<f32>> Kernel for OnSingle<K> {
    type Output = K::Output;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> K::Output {
        self.0.run(Single(simd))
    }
}

struct OnDouble<K>(K);

impl<K: LaneKernel<f64>> Kernel for OnDouble<K> {
    type Output = K::Output;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> K::Output {
        self.0.run(Double(simd))
    }
}

impl Number for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const NEG_INFINITY: Self = f32::NEG_INFINITY;
    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x as f32
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self.into()
    }
    #[inline(always)]
    fn ln(self) -> Self {
        // The nearest float of the double's logarithm: the same on every machine.
        f64::from(self).ln() as f32
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }
    #[inline]
    fn run<K: LaneKernel<f32>>(kernel: K) -> K::Output {
        dispatch(OnSingle(kernel))
    }
}

impl Number for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const NEG_INFINITY: Self = f64::NEG_INFINITY;
    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn ln(self) -> Self {
        self.ln()
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }
    #[inline]
    fn run<K: LaneKernel<f64>>(kernel: K) -> K::Output {
        dispatch(OnDouble(kernel))
    }
}

/// Whether floats of a dtype are computed with as f64; else they are as f32.
///
/// # Errors
/// It is no float.
pub(crate) fn is_wide(op: &'static str, dtype: DType) -> Result<bool, KernelError> {
    if dtype.is_float() { Ok(dtype == DType::F64) } else { Err(KernelError::DType { op, dtype }) }
}

/// Calls `$function::<N>(arguments)` with the number that a dtype is computed with.
macro_rules! by_number {
    ($op:expr, $dtype:expr, $target:ident . $function:ident($($argument:expr),*)) => {
        if $crate::lanes::is_wide($op, $dtype)? {
            $target.$function::<f64>($($argument),*)
        } else {
            $target.$function::<f32>($($argument),*)
        }
    };
}
pub(crate) use by_number;
