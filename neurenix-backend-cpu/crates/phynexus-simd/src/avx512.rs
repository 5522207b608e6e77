//! AVX-512: a vector is one register.

use std::arch::x86_64::*;

use crate::{Isa, Kernel, LANES, Simd};

/// Proof that the processor has AVX-512 F, BW, DQ and VL, AVX2, FMA and F16C.
#[derive(Clone, Copy, Debug)]
pub struct Avx512(());

impl Avx512 {
    /// The proof, if the processor has it.
    #[inline]
    pub fn new() -> Option<Self> {
        Isa::Avx512.is_available().then_some(Self(()))
    }
}

// Every intrinsic below is one that `Avx512` proves the processor to have.
macro_rules! proven {
    ($body:expr) => {{
        // SAFETY: `self` proves that the processor has the instruction; what it reads or writes,
        // the caller vouches for.
        #[allow(unused_unsafe)]
        unsafe {
            $body
        }
    }};
}

macro_rules! operations {
    ($($name:ident($($arg:ident: $kind:ty),*) -> $result:ty = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $kind),*) -> $result {
            proven!($body)
        }
    )*};
}

#[inline(always)]
fn first(n: usize) -> __mmask16 {
    debug_assert!(n <= LANES);
    ((1u32 << n) - 1) as __mmask16
}

impl Simd for Avx512 {
    const ISA: Isa = Isa::Avx512;
    const ROWS: usize = 14;
    const COLS: usize = 2;
    type F32 = __m512;
    type I32 = __m512i;
    type Mask = __mmask16;

    #[inline]
    fn vectorize<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi2")]
        fn enter<K: Kernel>(simd: Avx512, kernel: K) -> K::Output {
            kernel.run(simd)
        }
        // SAFETY: `self` proves that the processor has the features.
        unsafe { enter(self, kernel) }
    }

    operations! {
        splat(x: f32) -> __m512 = _mm512_set1_ps(x);
        add(a: __m512, b: __m512) -> __m512 = _mm512_add_ps(a, b);
        sub(a: __m512, b: __m512) -> __m512 = _mm512_sub_ps(a, b);
        mul(a: __m512, b: __m512) -> __m512 = _mm512_mul_ps(a, b);
        div(a: __m512, b: __m512) -> __m512 = _mm512_div_ps(a, b);
        fma(a: __m512, b: __m512, c: __m512) -> __m512 = _mm512_fmadd_ps(a, b, c);
        fnma(a: __m512, b: __m512, c: __m512) -> __m512 = _mm512_fnmadd_ps(a, b, c);
        max(a: __m512, b: __m512) -> __m512 = _mm512_max_ps(a, b);
        min(a: __m512, b: __m512) -> __m512 = _mm512_min_ps(a, b);
        sqrt(a: __m512) -> __m512 = _mm512_sqrt_ps(a);
        round(a: __m512) -> __m512 = _mm512_roundscale_ps::<0>(a);
        floor(a: __m512) -> __m512 = _mm512_roundscale_ps::<1>(a);
        lt(a: __m512, b: __m512) -> __mmask16 = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b);
        le(a: __m512, b: __m512) -> __mmask16 = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(a, b);
        eq(a: __m512, b: __m512) -> __mmask16 = _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b);
        ne(a: __m512, b: __m512) -> __mmask16 = _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(a, b);
        select(mask: __mmask16, a: __m512, b: __m512) -> __m512 = _mm512_mask_blend_ps(mask, b, a);
        select_i32(mask: __mmask16, a: __m512i, b: __m512i) -> __m512i =
            _mm512_mask_blend_epi32(mask, b, a);
        mask_and(a: __mmask16, b: __mmask16) -> __mmask16 = a & b;
        mask_or(a: __mmask16, b: __mmask16) -> __mmask16 = a | b;
        mask_bits(a: __mmask16) -> u16 = a;
        splat_i32(x: i32) -> __m512i = _mm512_set1_epi32(x);
        add_i32(a: __m512i, b: __m512i) -> __m512i = _mm512_add_epi32(a, b);
        sub_i32(a: __m512i, b: __m512i) -> __m512i = _mm512_sub_epi32(a, b);
        mul_i32(a: __m512i, b: __m512i) -> __m512i = _mm512_mullo_epi32(a, b);
        and_i32(a: __m512i, b: __m512i) -> __m512i = _mm512_and_si512(a, b);
        or_i32(a: __m512i, b: __m512i) -> __m512i = _mm512_or_si512(a, b);
        xor_i32(a: __m512i, b: __m512i) -> __m512i = _mm512_xor_si512(a, b);
        eq_i32(a: __m512i, b: __m512i) -> __mmask16 = _mm512_cmpeq_epi32_mask(a, b);
        gt_i32(a: __m512i, b: __m512i) -> __mmask16 = _mm512_cmpgt_epi32_mask(a, b);
        to_i32(a: __m512) -> __m512i = _mm512_cvtps_epi32(a);
        to_f32(a: __m512i) -> __m512 = _mm512_cvtepi32_ps(a);
        bits(a: __m512) -> __m512i = _mm512_castps_si512(a);
        with_bits(a: __m512i) -> __m512 = _mm512_castsi512_ps(a);
    }

    #[inline(always)]
    fn shl_i32<const N: i32>(self, a: __m512i) -> __m512i {
        proven!(_mm512_sll_epi32(a, _mm_cvtsi32_si128(N)))
    }
    #[inline(always)]
    fn shr_u32<const N: i32>(self, a: __m512i) -> __m512i {
        proven!(_mm512_srl_epi32(a, _mm_cvtsi32_si128(N)))
    }
    #[inline(always)]
    fn shr_i32<const N: i32>(self, a: __m512i) -> __m512i {
        proven!(_mm512_sra_epi32(a, _mm_cvtsi32_si128(N)))
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m512 {
        proven!(_mm512_loadu_ps(from))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, x: __m512) {
        proven!(_mm512_storeu_ps(to, x))
    }
    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, n: usize) -> __m512 {
        proven!(_mm512_maskz_loadu_ps(first(n), from))
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, n: usize, x: __m512) {
        proven!(_mm512_mask_storeu_ps(to, first(n), x))
    }
    #[inline(always)]
    unsafe fn load_i32(self, from: *const i32) -> __m512i {
        proven!(_mm512_loadu_si512(from.cast()))
    }
    #[inline(always)]
    unsafe fn store_i32(self, to: *mut i32, x: __m512i) {
        proven!(_mm512_storeu_si512(to.cast(), x))
    }
    #[inline(always)]
    unsafe fn load_bf16(self, from: *const u16) -> __m512 {
        proven!({
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        })
    }
    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut u16, x: __m512) {
        proven!({
            let bits = _mm512_castps_si512(x);
            let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
            let bias = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
            let rounded = _mm512_add_epi32(bits, bias);
            let quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x0040_0000));
            let is_nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x, x);
            let chosen = _mm512_mask_blend_epi32(is_nan, rounded, quiet);
            _mm256_storeu_si256(to.cast(), _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(chosen)));
        })
    }
    #[inline(always)]
    unsafe fn load_f16(self, from: *const u16) -> __m512 {
        proven!(_mm512_cvtph_ps(_mm256_loadu_si256(from.cast())))
    }
    #[inline(always)]
    unsafe fn store_f16(self, to: *mut u16, x: __m512) {
        proven!(_mm256_storeu_si256(to.cast(), _mm512_cvtps_ph::<0>(x)))
    }

    #[inline(always)]
    fn transpose(self, rows: &mut [__m512; LANES]) {
        proven!({
            // Pairs, quadruples, then the 128-bit quarters change places.
            let mut t = [_mm512_setzero_ps(); LANES];
            for i in 0..8 {
                t[2 * i] = _mm512_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
                t[2 * i + 1] = _mm512_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
            }
            let mut u = [_mm512_setzero_ps(); LANES];
            for i in 0..4 {
                let [a, b, c, d] = [t[4 * i], t[4 * i + 1], t[4 * i + 2], t[4 * i + 3]];
                u[4 * i] = _mm512_shuffle_ps::<0x44>(a, c);
                u[4 * i + 1] = _mm512_shuffle_ps::<0xee>(a, c);
                u[4 * i + 2] = _mm512_shuffle_ps::<0x44>(b, d);
                u[4 * i + 3] = _mm512_shuffle_ps::<0xee>(b, d);
            }
            for i in 0..4 {
                let even_low = _mm512_shuffle_f32x4::<0x88>(u[i], u[4 + i]);
                let odd_low = _mm512_shuffle_f32x4::<0xdd>(u[i], u[4 + i]);
                let even_high = _mm512_shuffle_f32x4::<0x88>(u[8 + i], u[12 + i]);
                let odd_high = _mm512_shuffle_f32x4::<0xdd>(u[8 + i], u[12 + i]);
                rows[i] = _mm512_shuffle_f32x4::<0x88>(even_low, even_high);
                rows[8 + i] = _mm512_shuffle_f32x4::<0xdd>(even_low, even_high);
                rows[4 + i] = _mm512_shuffle_f32x4::<0x88>(odd_low, odd_high);
                rows[12 + i] = _mm512_shuffle_f32x4::<0xdd>(odd_low, odd_high);
            }
        })
    }
}
