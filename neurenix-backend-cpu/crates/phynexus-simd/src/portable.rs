//! Plain loops over 16 lanes, which the compiler turns into whatever the target has at least.

use half::{bf16, f16};

use crate::{Isa, Kernel, LANES, Simd};

/// The path that every processor has.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

type F = [f32; LANES];
type I = [i32; LANES];

macro_rules! lanes {
    ($($name:ident($($arg:ident: $kind:ty),*) -> $result:ty = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $kind),*) -> $result {
            std::array::from_fn(|lane| {
                $(let $arg = $arg[lane];)*
                $body
            })
        }
    )*};
}

impl Simd for Portable {
    const ISA: Isa = Isa::Portable;
    const ROWS: usize = 4;
    const COLS: usize = 1;
    type F32 = F;
    type I32 = I;
    type Mask = [bool; LANES];

    #[inline]
    fn vectorize<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    lanes! {
        add(a: F, b: F) -> F = a + b;
        sub(a: F, b: F) -> F = a - b;
        mul(a: F, b: F) -> F = a * b;
        div(a: F, b: F) -> F = a / b;
        fma(a: F, b: F, c: F) -> F = a * b + c;
        fnma(a: F, b: F, c: F) -> F = c - a * b;
        max(a: F, b: F) -> F = if a > b { a } else { b };
        min(a: F, b: F) -> F = if a < b { a } else { b };
        sqrt(a: F) -> F = a.sqrt();
        round(a: F) -> F = a.round_ties_even();
        floor(a: F) -> F = a.floor();
        lt(a: F, b: F) -> [bool; LANES] = a < b;
        le(a: F, b: F) -> [bool; LANES] = a <= b;
        eq(a: F, b: F) -> [bool; LANES] = a == b;
        ne(a: F, b: F) -> [bool; LANES] = a != b;
        select(mask: [bool; LANES], a: F, b: F) -> F = if mask { a } else { b };
        select_i32(mask: [bool; LANES], a: I, b: I) -> I = if mask { a } else { b };
        mask_and(a: [bool; LANES], b: [bool; LANES]) -> [bool; LANES] = a & b;
        mask_or(a: [bool; LANES], b: [bool; LANES]) -> [bool; LANES] = a | b;
        add_i32(a: I, b: I) -> I = a.wrapping_add(b);
        sub_i32(a: I, b: I) -> I = a.wrapping_sub(b);
        mul_i32(a: I, b: I) -> I = a.wrapping_mul(b);
        and_i32(a: I, b: I) -> I = a & b;
        or_i32(a: I, b: I) -> I = a | b;
        xor_i32(a: I, b: I) -> I = a ^ b;
        eq_i32(a: I, b: I) -> [bool; LANES] = a == b;
        gt_i32(a: I, b: I) -> [bool; LANES] = a > b;
        to_i32(a: F) -> I = nearest(a);
        to_f32(a: I) -> F = a as f32;
        bits(a: F) -> I = a.to_bits() as i32;
        with_bits(a: I) -> F = f32::from_bits(a as u32);
    }

    #[inline(always)]
    fn splat(self, x: f32) -> F {
        [x; LANES]
    }
    #[inline(always)]
    fn splat_i32(self, x: i32) -> I {
        [x; LANES]
    }
    #[inline(always)]
    fn mask_bits(self, a: [bool; LANES]) -> u16 {
        a.iter().enumerate().fold(0, |bits, (lane, &is_set)| bits | (u16::from(is_set) << lane))
    }
    #[inline(always)]
    fn shl_i32<const N: i32>(self, a: I) -> I {
        a.map(|x| x << N)
    }
    #[inline(always)]
    fn shr_u32<const N: i32>(self, a: I) -> I {
        a.map(|x| ((x as u32) >> N) as i32)
    }
    #[inline(always)]
    fn shr_i32<const N: i32>(self, a: I) -> I {
        a.map(|x| x >> N)
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> F {
        // SAFETY: as the caller vouches.
        unsafe { from.cast::<F>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, x: F) {
        // SAFETY: as the caller vouches.
        unsafe { to.cast::<F>().write_unaligned(x) }
    }
    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, n: usize) -> F {
        // SAFETY: as the caller vouches, for lanes below `n`.
        std::array::from_fn(|lane| if lane < n { unsafe { from.add(lane).read_unaligned() } } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, n: usize, x: F) {
        for (lane, value) in x.iter().enumerate().take(n) {
            // SAFETY: as the caller vouches, for lanes below `n`.
            unsafe { to.add(lane).write_unaligned(*value) };
        }
    }
    #[inline(always)]
    unsafe fn load_i32(self, from: *const i32) -> I {
        // SAFETY: as the caller vouches.
        unsafe { from.cast::<I>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store_i32(self, to: *mut i32, x: I) {
        // SAFETY: as the caller vouches.
        unsafe { to.cast::<I>().write_unaligned(x) }
    }
    #[inline(always)]
    unsafe fn load_bf16(self, from: *const u16) -> F {
        // SAFETY: as the caller vouches.
        unsafe { from.cast::<[u16; LANES]>().read_unaligned() }.map(|x| bf16::from_bits(x).to_f32())
    }
    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut u16, x: F) {
        let narrow = x.map(|x| bf16::from_f32(x).to_bits());
        // SAFETY: as the caller vouches.
        unsafe { to.cast::<[u16; LANES]>().write_unaligned(narrow) }
    }
    #[inline(always)]
    unsafe fn load_f16(self, from: *const u16) -> F {
        // SAFETY: as the caller vouches.
        unsafe { from.cast::<[u16; LANES]>().read_unaligned() }.map(|x| f16::from_bits(x).to_f32_const())
    }
    #[inline(always)]
    unsafe fn store_f16(self, to: *mut u16, x: F) {
        let narrow = x.map(|x| f16::from_f32_const(x).to_bits());
        // SAFETY: as the caller vouches.
        unsafe { to.cast::<[u16; LANES]>().write_unaligned(narrow) }
    }
}

/// The nearest integer; the least one where it does not fit, as the vector instructions give.
#[inline(always)]
fn nearest(x: f32) -> i32 {
    let rounded = x.round_ties_even();
    // NaN fails both comparisons.
    if (-2_147_483_648.0..2_147_483_648.0).contains(&rounded) { rounded as i32 } else { i32::MIN }
}
