//! Lanes of f32: an instruction set.

use half::{bf16, f16};
use phynexus_simd::{LANES, Simd, math};

use super::{Lanes, vectors};
use crate::DType;

/// 16 f32 by an instruction set.
#[derive(Clone, Copy)]
pub(crate) struct Single<S>(pub S);

macro_rules! forward {
    ($($name:ident($($arg:ident),*);)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: S::F32),*) -> S::F32 {
            self.0.$name($($arg),*)
        }
    )*};
}

impl<S: Simd> Lanes for Single<S> {
    type N = f32;
    type V = S::F32;
    type M = S::Mask;

    forward! {
        add(a, b);
        sub(a, b);
        mul(a, b);
        div(a, b);
        fma(a, b, c);
        max(a, b);
        sqrt(a);
    }

    #[inline(always)]
    fn splat(self, x: f32) -> S::F32 {
        self.0.splat(x)
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> S::F32 {
        // SAFETY: as the caller vouches.
        unsafe { self.0.load(from) }
    }
    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, n: usize) -> S::F32 {
        // SAFETY: as the caller vouches.
        unsafe { self.0.load_first(from, n) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, x: S::F32) {
        // SAFETY: as the caller vouches.
        unsafe { self.0.store(to, x) }
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, n: usize, x: S::F32) {
        // SAFETY: as the caller vouches.
        unsafe { self.0.store_first(to, n, x) }
    }
    #[inline(always)]
    fn exp(self, a: S::F32) -> S::F32 {
        math::exp(self.0, a)
    }
    #[inline(always)]
    fn tanh(self, a: S::F32) -> S::F32 {
        math::tanh(self.0, a)
    }
    #[inline(always)]
    fn erf(self, a: S::F32) -> S::F32 {
        math::erf(self.0, a)
    }
    #[inline(always)]
    fn first(self, n: usize) -> S::Mask {
        const NUMBERS: [i32; LANES] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        // SAFETY: there are 16.
        let numbers = unsafe { self.0.load_i32(NUMBERS.as_ptr()) };
        self.0.gt_i32(self.0.splat_i32(n as i32), numbers)
    }
    #[inline(always)]
    fn select(self, mask: S::Mask, a: S::F32, b: S::F32) -> S::F32 {
        self.0.select(mask, a, b)
    }
    #[inline(always)]
    fn reduce_add(self, a: S::F32) -> f32 {
        self.0.reduce_add(a)
    }
    #[inline(always)]
    fn reduce_max(self, a: S::F32) -> f32 {
        self.0.reduce_max(a)
    }

    #[inline(always)]
    unsafe fn widen(self, from: *const u8, dtype: DType, count: usize, to: *mut f32) {
        let simd = self.0;
        // SAFETY: as the caller vouches; what is short of a vector goes through one of our own.
        unsafe {
            match dtype {
                DType::F32 => from.cast::<f32>().copy_to_nonoverlapping(to, count),
                DType::F64 => {
                    for i in 0..count {
                        *to.add(i) = *from.cast::<f64>().add(i) as f32;
                    }
                }
                DType::F16 | DType::Bf16 => {
                    let from = from.cast::<u16>();
                    vectors!(count, |at, many| {
                        let mut part = [0u16; LANES];
                        let mut source = from.add(at);
                        if many < LANES {
                            source.copy_to_nonoverlapping(part.as_mut_ptr(), many);
                            source = part.as_ptr();
                        }
                        let x =
                            if dtype == DType::F16 { simd.load_f16(source) } else { simd.load_bf16(source) };
                        self.store_some(to.add(at), many, x);
                    });
                }
                _ => unreachable!("a float"),
            }
        }
    }

    #[inline(always)]
    unsafe fn narrow(self, from: *const f32, count: usize, to: *mut u8, dtype: DType) {
        let simd = self.0;
        // SAFETY: as the caller vouches; what is short of a vector goes through one of our own.
        unsafe {
            match dtype {
                DType::F32 => from.copy_to_nonoverlapping(to.cast(), count),
                DType::F64 => {
                    for i in 0..count {
                        *to.cast::<f64>().add(i) = f64::from(*from.add(i));
                    }
                }
                DType::F16 | DType::Bf16 => {
                    let to = to.cast::<u16>();
                    vectors!(count, |at, many| {
                        let x = self.load_some(from.add(at), many);
                        let mut part = [0u16; LANES];
                        let target = if many < LANES { part.as_mut_ptr() } else { to.add(at) };
                        if dtype == DType::F16 {
                            simd.store_f16(target, x);
                        } else {
                            simd.store_bf16(target, x);
                        }
                        if many < LANES {
                            part.as_ptr().copy_to_nonoverlapping(to.add(at), many);
                        }
                    });
                }
                _ => unreachable!("a float"),
            }
        }
    }
}

/// One float of any dtype, in f64.
///
/// # Safety
/// It is valid for reads, and a float.
pub(crate) unsafe fn read_float(from: *const u8, dtype: DType) -> f64 {
    // SAFETY: as the caller vouches.
    unsafe {
        match dtype {
            DType::F32 => f64::from(*from.cast::<f32>()),
            DType::F64 => *from.cast::<f64>(),
            DType::F16 => (*from.cast::<f16>()).to_f64(),
            DType::Bf16 => (*from.cast::<bf16>()).to_f64(),
            _ => unreachable!("a float"),
        }
    }
}
