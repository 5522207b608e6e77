//! Lanes of f64: plain loops over 16 numbers, compiled for the instruction set in use.

use half::{bf16, f16};
use phynexus_simd::{Isa, LANES, Simd, math};

use super::Lanes;
use super::single::read_float;
use crate::DType;

/// 16 f64, on an instruction set.
#[derive(Clone, Copy)]
pub(crate) struct Double<S>(pub S);

type V = [f64; LANES];

macro_rules! each {
    ($($name:ident($($arg:ident),*) = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: V),*) -> V {
            let mut out = [0.0; LANES];
            for lane in 0..LANES {
                $(let $arg = $arg[lane];)*
                out[lane] = $body;
            }
            out
        }
    )*};
}

/// Folds lanes 8 apart, then 4, 2 and 1 apart, as [`Simd::reduce_add`] does.
#[inline(always)]
fn fold(mut lanes: V, join: impl Fn(f64, f64) -> f64) -> f64 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] = join(lanes[lane], lanes[lane + width]);
        }
        width /= 2;
    }
    lanes[0]
}

impl<S: Simd> Lanes for Double<S> {
    type N = f64;
    type V = V;
    type M = [bool; LANES];

    each! {
        add(a, b) = a + b;
        sub(a, b) = a - b;
        mul(a, b) = a * b;
        div(a, b) = a / b;
        // Without the instruction, a fused multiply-add is a slow call.
        fma(a, b, c) = if matches!(S::ISA, Isa::Portable) { a * b + c } else { a.mul_add(b, c) };
        max(a, b) = if a > b { a } else { b };
        sqrt(a) = a.sqrt();
        exp(a) = a.exp();
        tanh(a) = a.tanh();
        erf(a) = math::erf_f64(a);
    }

    #[inline(always)]
    fn splat(self, x: f64) -> V {
        [x; LANES]
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f64) -> V {
        // SAFETY: as the caller vouches.
        unsafe { from.cast::<V>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_first(self, from: *const f64, n: usize) -> V {
        let mut out = [0.0; LANES];
        // SAFETY: as the caller vouches, for lanes below `n`.
        unsafe { from.copy_to_nonoverlapping(out.as_mut_ptr(), n) };
        out
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f64, x: V) {
        // SAFETY: as the caller vouches.
        unsafe { to.cast::<V>().write_unaligned(x) }
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f64, n: usize, x: V) {
        // SAFETY: as the caller vouches, for lanes below `n`.
        unsafe { x.as_ptr().copy_to_nonoverlapping(to, n) }
    }
    #[inline(always)]
    fn first(self, n: usize) -> [bool; LANES] {
        std::array::from_fn(|lane| lane < n)
    }
    #[inline(always)]
    fn select(self, mask: [bool; LANES], a: V, b: V) -> V {
        let mut out = b;
        for lane in 0..LANES {
            if mask[lane] {
                out[lane] = a[lane];
            }
        }
        out
    }
    #[inline(always)]
    fn reduce_add(self, a: V) -> f64 {
        fold(a, |x, y| x + y)
    }
    #[inline(always)]
    fn reduce_max(self, a: V) -> f64 {
        fold(a, |x, y| if x > y { x } else { y })
    }

    #[inline(always)]
    unsafe fn widen(self, from: *const u8, dtype: DType, count: usize, to: *mut f64) {
        for i in 0..count {
            // SAFETY: as the caller vouches.
            unsafe { *to.add(i) = read_float(from.add(i * dtype.size()), dtype) };
        }
    }

    #[inline(always)]
    unsafe fn narrow(self, from: *const f64, count: usize, to: *mut u8, dtype: DType) {
        for i in 0..count {
            // SAFETY: as the caller vouches.
            unsafe {
                let (x, to) = (*from.add(i), to.add(i * dtype.size()));
                match dtype {
                    DType::F32 => *to.cast::<f32>() = x as f32,
                    DType::F64 => *to.cast::<f64>() = x,
                    DType::F16 => *to.cast::<f16>() = f16::from_f64(x),
                    DType::Bf16 => *to.cast::<bf16>() = bf16::from_f64(x),
                    _ => unreachable!("a float"),
                }
            }
        }
    }
}
