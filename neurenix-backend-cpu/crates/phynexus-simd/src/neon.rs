//! Advanced SIMD of 64-bit Arm: a vector is four registers.

use std::arch::aarch64::*;

use crate::{Isa, Kernel, LANES, Portable, Simd};

/// What every 64-bit Arm processor has.
#[derive(Clone, Copy, Debug)]
pub struct Neon(());

impl Neon {
    /// The proof: every 64-bit Arm processor has it.
    #[inline]
    pub fn new() -> Self {
        Self(())
    }
}

impl Default for Neon {
    fn default() -> Self {
        Self::new()
    }
}

type F = [float32x4_t; 4];
type I = [int32x4_t; 4];
type M = [uint32x4_t; 4];

macro_rules! proven {
    ($body:expr) => {{
        // SAFETY: the architecture has the instruction; what it reads or writes, the caller
        // vouches for.
        #[allow(unused_unsafe)]
        unsafe {
            $body
        }
    }};
}

/// Operations that do the same to all four quarters.
macro_rules! quarters {
    ($($name:ident($($arg:ident: $kind:ty),*) -> $result:ty = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $kind),*) -> $result {
            std::array::from_fn(|quarter| {
                $(let $arg = $arg[quarter];)*
                proven!($body)
            })
        }
    )*};
}

impl Simd for Neon {
    const ISA: Isa = Isa::Neon;
    const ROWS: usize = 6;
    const COLS: usize = 1;
    type F32 = F;
    type I32 = I;
    type Mask = M;

    #[inline]
    fn vectorize<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    quarters! {
        add(a: F, b: F) -> F = vaddq_f32(a, b);
        sub(a: F, b: F) -> F = vsubq_f32(a, b);
        mul(a: F, b: F) -> F = vmulq_f32(a, b);
        div(a: F, b: F) -> F = vdivq_f32(a, b);
        fma(a: F, b: F, c: F) -> F = vfmaq_f32(c, a, b);
        fnma(a: F, b: F, c: F) -> F = vfmsq_f32(c, a, b);
        max(a: F, b: F) -> F = vbslq_f32(vcgtq_f32(a, b), a, b);
        min(a: F, b: F) -> F = vbslq_f32(vcltq_f32(a, b), a, b);
        sqrt(a: F) -> F = vsqrtq_f32(a);
        round(a: F) -> F = vrndnq_f32(a);
        floor(a: F) -> F = vrndmq_f32(a);
        lt(a: F, b: F) -> M = vcltq_f32(a, b);
        le(a: F, b: F) -> M = vcleq_f32(a, b);
        eq(a: F, b: F) -> M = vceqq_f32(a, b);
        ne(a: F, b: F) -> M = vmvnq_u32(vceqq_f32(a, b));
        select(mask: M, a: F, b: F) -> F = vbslq_f32(mask, a, b);
        select_i32(mask: M, a: I, b: I) -> I = vbslq_s32(mask, a, b);
        mask_and(a: M, b: M) -> M = vandq_u32(a, b);
        mask_or(a: M, b: M) -> M = vorrq_u32(a, b);
        add_i32(a: I, b: I) -> I = vaddq_s32(a, b);
        sub_i32(a: I, b: I) -> I = vsubq_s32(a, b);
        mul_i32(a: I, b: I) -> I = vmulq_s32(a, b);
        and_i32(a: I, b: I) -> I = vandq_s32(a, b);
        or_i32(a: I, b: I) -> I = vorrq_s32(a, b);
        xor_i32(a: I, b: I) -> I = veorq_s32(a, b);
        eq_i32(a: I, b: I) -> M = vceqq_s32(a, b);
        gt_i32(a: I, b: I) -> M = vcgtq_s32(a, b);
        to_f32(a: I) -> F = vcvtq_f32_s32(a);
        bits(a: F) -> I = vreinterpretq_s32_f32(a);
        with_bits(a: I) -> F = vreinterpretq_f32_s32(a);
    }

    #[inline(always)]
    fn to_i32(self, a: F) -> I {
        // The instruction clamps, and gives 0 for NaN; what does not fit is the least one here.
        let fits =
            self.mask_and(self.le(self.splat(-2_147_483_648.0), a), self.lt(a, self.splat(2_147_483_648.0)));
        let nearest = a.map(|a| proven!(vcvtnq_s32_f32(a)));
        self.select_i32(fits, nearest, self.splat_i32(i32::MIN))
    }
    #[inline(always)]
    fn splat(self, x: f32) -> F {
        proven!([vdupq_n_f32(x); 4])
    }
    #[inline(always)]
    fn splat_i32(self, x: i32) -> I {
        proven!([vdupq_n_s32(x); 4])
    }
    #[inline(always)]
    fn mask_bits(self, a: M) -> u16 {
        let mut lanes = [0u32; LANES];
        for (quarter, mask) in a.iter().enumerate() {
            proven!(vst1q_u32(lanes[4 * quarter..].as_mut_ptr(), *mask));
        }
        Portable.mask_bits(lanes.map(|lane| lane != 0))
    }
    #[inline(always)]
    fn shl_i32<const N: i32>(self, a: I) -> I {
        a.map(|a| proven!(vshlq_s32(a, vdupq_n_s32(N))))
    }
    #[inline(always)]
    fn shr_u32<const N: i32>(self, a: I) -> I {
        // Shifting by a negative count shifts right.
        a.map(|a| proven!(vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(a), vdupq_n_s32(-N)))))
    }
    #[inline(always)]
    fn shr_i32<const N: i32>(self, a: I) -> I {
        a.map(|a| proven!(vshlq_s32(a, vdupq_n_s32(-N))))
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> F {
        std::array::from_fn(|quarter| proven!(vld1q_f32(from.add(4 * quarter))))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, x: F) {
        for (quarter, part) in x.iter().enumerate() {
            proven!(vst1q_f32(to.add(4 * quarter), *part));
        }
    }
    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, n: usize) -> F {
        let mut lanes = [0.0f32; LANES];
        proven!({
            std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), n);
            self.load(lanes.as_ptr())
        })
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, n: usize, x: F) {
        let lanes = self.to_array(x);
        proven!(std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, n))
    }
    #[inline(always)]
    unsafe fn load_i32(self, from: *const i32) -> I {
        std::array::from_fn(|quarter| proven!(vld1q_s32(from.add(4 * quarter))))
    }
    #[inline(always)]
    unsafe fn store_i32(self, to: *mut i32, x: I) {
        for (quarter, part) in x.iter().enumerate() {
            proven!(vst1q_s32(to.add(4 * quarter), *part));
        }
    }
    #[inline(always)]
    unsafe fn load_bf16(self, from: *const u16) -> F {
        std::array::from_fn(|quarter| {
            proven!(vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(from.add(4 * quarter)))))
        })
    }
    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut u16, x: F) {
        // SAFETY: as the caller vouches.
        unsafe { Portable.store_bf16(to, self.to_array(x)) }
    }
    #[inline(always)]
    unsafe fn load_f16(self, from: *const u16) -> F {
        // SAFETY: as the caller vouches; the array has 16 elements.
        unsafe { self.load(Portable.load_f16(from).as_ptr()) }
    }
    #[inline(always)]
    unsafe fn store_f16(self, to: *mut u16, x: F) {
        // SAFETY: as the caller vouches.
        unsafe { Portable.store_f16(to, self.to_array(x)) }
    }
}
