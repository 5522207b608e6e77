//! AVX2 with FMA and F16C: a vector is two registers.

use std::arch::x86_64::*;

use crate::{Isa, Kernel, LANES, Simd};

/// Proof that the processor has AVX2, FMA and F16C.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

impl Avx2 {
    /// The proof, if the processor has it.
    #[inline]
    pub fn new() -> Option<Self> {
        Isa::Avx2.is_available().then_some(Self(()))
    }
}

type F = [__m256; 2];
type I = [__m256i; 2];

// Every intrinsic below is one that `Avx2` proves the processor to have.
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

/// Operations that do the same to both halves.
macro_rules! halves {
    ($($name:ident($($arg:ident: $kind:ty),*) -> $result:ty = $($intrinsic:ident)::+ $(<$n:literal>)?;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $kind),*) -> $result {
            proven!([
                $($intrinsic)::+ $(::<$n>)?($($arg[0]),*),
                $($intrinsic)::+ $(::<$n>)?($($arg[1]),*),
            ])
        }
    )*};
}

macro_rules! comparisons {
    ($($name:ident = $predicate:ident;)*) => {$(
        #[inline(always)]
        fn $name(self, a: F, b: F) -> F {
            proven!([
                _mm256_cmp_ps::<$predicate>(a[0], b[0]),
                _mm256_cmp_ps::<$predicate>(a[1], b[1]),
            ])
        }
    )*};
}

/// Masks of the first `n` lanes, for loads and stores of a part.
#[inline(always)]
fn first(n: usize) -> *const i32 {
    const ONES_THEN_ZEROS: [i32; 2 * LANES] = {
        let mut mask = [0; 2 * LANES];
        let mut lane = 0;
        while lane < LANES {
            mask[lane] = -1;
            lane += 1;
        }
        mask
    };
    debug_assert!(n <= LANES);
    ONES_THEN_ZEROS[LANES - n..].as_ptr()
}

impl Simd for Avx2 {
    const ISA: Isa = Isa::Avx2;
    const ROWS: usize = 6;
    const COLS: usize = 1;
    type F32 = F;
    type I32 = I;
    type Mask = F;

    #[inline]
    fn vectorize<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn enter<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
            kernel.run(simd)
        }
        // SAFETY: `self` proves that the processor has the features.
        unsafe { enter(self, kernel) }
    }

    halves! {
        add(a: F, b: F) -> F = _mm256_add_ps;
        sub(a: F, b: F) -> F = _mm256_sub_ps;
        mul(a: F, b: F) -> F = _mm256_mul_ps;
        div(a: F, b: F) -> F = _mm256_div_ps;
        fma(a: F, b: F, c: F) -> F = _mm256_fmadd_ps;
        fnma(a: F, b: F, c: F) -> F = _mm256_fnmadd_ps;
        max(a: F, b: F) -> F = _mm256_max_ps;
        min(a: F, b: F) -> F = _mm256_min_ps;
        sqrt(a: F) -> F = _mm256_sqrt_ps;
        round(a: F) -> F = _mm256_round_ps<0>;
        floor(a: F) -> F = _mm256_round_ps<1>;
        mask_and(a: F, b: F) -> F = _mm256_and_ps;
        mask_or(a: F, b: F) -> F = _mm256_or_ps;
        add_i32(a: I, b: I) -> I = _mm256_add_epi32;
        sub_i32(a: I, b: I) -> I = _mm256_sub_epi32;
        mul_i32(a: I, b: I) -> I = _mm256_mullo_epi32;
        and_i32(a: I, b: I) -> I = _mm256_and_si256;
        or_i32(a: I, b: I) -> I = _mm256_or_si256;
        xor_i32(a: I, b: I) -> I = _mm256_xor_si256;
        to_i32(a: F) -> I = _mm256_cvtps_epi32;
        to_f32(a: I) -> F = _mm256_cvtepi32_ps;
        bits(a: F) -> I = _mm256_castps_si256;
        with_bits(a: I) -> F = _mm256_castsi256_ps;
    }

    comparisons! {
        lt = _CMP_LT_OQ;
        le = _CMP_LE_OQ;
        eq = _CMP_EQ_OQ;
        ne = _CMP_NEQ_UQ;
    }

    #[inline(always)]
    fn splat(self, x: f32) -> F {
        proven!([_mm256_set1_ps(x); 2])
    }
    #[inline(always)]
    fn splat_i32(self, x: i32) -> I {
        proven!([_mm256_set1_epi32(x); 2])
    }
    #[inline(always)]
    fn select(self, mask: F, a: F, b: F) -> F {
        proven!([_mm256_blendv_ps(b[0], a[0], mask[0]), _mm256_blendv_ps(b[1], a[1], mask[1])])
    }
    #[inline(always)]
    fn select_i32(self, mask: F, a: I, b: I) -> I {
        self.bits(self.select(mask, self.with_bits(a), self.with_bits(b)))
    }
    #[inline(always)]
    fn mask_bits(self, a: F) -> u16 {
        proven!((_mm256_movemask_ps(a[0]) | (_mm256_movemask_ps(a[1]) << 8)) as u16)
    }
    #[inline(always)]
    fn eq_i32(self, a: I, b: I) -> F {
        proven!([
            _mm256_castsi256_ps(_mm256_cmpeq_epi32(a[0], b[0])),
            _mm256_castsi256_ps(_mm256_cmpeq_epi32(a[1], b[1])),
        ])
    }
    #[inline(always)]
    fn gt_i32(self, a: I, b: I) -> F {
        proven!([
            _mm256_castsi256_ps(_mm256_cmpgt_epi32(a[0], b[0])),
            _mm256_castsi256_ps(_mm256_cmpgt_epi32(a[1], b[1])),
        ])
    }
    #[inline(always)]
    fn shl_i32<const N: i32>(self, a: I) -> I {
        proven!([_mm256_slli_epi32::<N>(a[0]), _mm256_slli_epi32::<N>(a[1])])
    }
    #[inline(always)]
    fn shr_u32<const N: i32>(self, a: I) -> I {
        proven!([_mm256_srli_epi32::<N>(a[0]), _mm256_srli_epi32::<N>(a[1])])
    }
    #[inline(always)]
    fn shr_i32<const N: i32>(self, a: I) -> I {
        proven!([_mm256_srai_epi32::<N>(a[0]), _mm256_srai_epi32::<N>(a[1])])
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> F {
        proven!([_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))])
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, x: F) {
        proven!({
            _mm256_storeu_ps(to, x[0]);
            _mm256_storeu_ps(to.add(8), x[1]);
        })
    }
    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, n: usize) -> F {
        proven!({
            let mask = first(n);
            // The address of the second half may lie past the end; none of it is read then.
            [
                _mm256_maskload_ps(from, _mm256_loadu_si256(mask.cast())),
                _mm256_maskload_ps(from.wrapping_add(8), _mm256_loadu_si256(mask.add(8).cast())),
            ]
        })
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, n: usize, x: F) {
        proven!({
            let mask = first(n);
            _mm256_maskstore_ps(to, _mm256_loadu_si256(mask.cast()), x[0]);
            _mm256_maskstore_ps(to.wrapping_add(8), _mm256_loadu_si256(mask.add(8).cast()), x[1]);
        })
    }
    #[inline(always)]
    unsafe fn load_i32(self, from: *const i32) -> I {
        proven!([_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(8).cast())])
    }
    #[inline(always)]
    unsafe fn store_i32(self, to: *mut i32, x: I) {
        proven!({
            _mm256_storeu_si256(to.cast(), x[0]);
            _mm256_storeu_si256(to.add(8).cast(), x[1]);
        })
    }
    #[inline(always)]
    unsafe fn load_bf16(self, from: *const u16) -> F {
        proven!({
            let half = |at: *const u16| {
                let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(at.cast()));
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
            };
            [half(from), half(from.add(8))]
        })
    }
    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut u16, x: F) {
        proven!({
            let half = |x: __m256| {
                let bits = _mm256_castps_si256(x);
                let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
                let bias = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
                let rounded = _mm256_castsi256_ps(_mm256_add_epi32(bits, bias));
                let quiet = _mm256_castsi256_ps(_mm256_or_si256(bits, _mm256_set1_epi32(0x0040_0000)));
                let is_nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(x, x);
                let chosen = _mm256_castps_si256(_mm256_blendv_ps(rounded, quiet, is_nan));
                _mm256_srli_epi32::<16>(chosen)
            };
            // Packing works within 128-bit halves; the middle quarters change places after it.
            let packed = _mm256_packus_epi32(half(x[0]), half(x[1]));
            _mm256_storeu_si256(to.cast(), _mm256_permute4x64_epi64::<0xd8>(packed));
        })
    }
    #[inline(always)]
    unsafe fn load_f16(self, from: *const u16) -> F {
        proven!([
            _mm256_cvtph_ps(_mm_loadu_si128(from.cast())),
            _mm256_cvtph_ps(_mm_loadu_si128(from.add(8).cast())),
        ])
    }
    #[inline(always)]
    unsafe fn store_f16(self, to: *mut u16, x: F) {
        proven!({
            _mm_storeu_si128(to.cast(), _mm256_cvtps_ph::<0>(x[0]));
            _mm_storeu_si128(to.add(8).cast(), _mm256_cvtps_ph::<0>(x[1]));
        })
    }

    #[inline(always)]
    fn transpose(self, rows: &mut [F; LANES]) {
        let quarter = |row: usize, half: usize| -> [__m256; 8] {
            let mut block: [__m256; 8] = std::array::from_fn(|i| rows[row + i][half]);
            transpose_8(self, &mut block);
            block
        };
        let blocks = [quarter(0, 0), quarter(0, 1), quarter(8, 0), quarter(8, 1)];
        for i in 0..8 {
            rows[i] = [blocks[0][i], blocks[2][i]];
            rows[8 + i] = [blocks[1][i], blocks[3][i]];
        }
    }
}

/// Rows of an 8 by 8 block become columns.
#[inline(always)]
fn transpose_8(_proof: Avx2, rows: &mut [__m256; 8]) {
    proven!({
        let mut t = *rows;
        for i in 0..4 {
            t[2 * i] = _mm256_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
            t[2 * i + 1] = _mm256_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
        }
        for i in 0..2 {
            let [a, b, c, d] = [t[4 * i], t[4 * i + 1], t[4 * i + 2], t[4 * i + 3]];
            rows[4 * i] = _mm256_shuffle_ps::<0x44>(a, c);
            rows[4 * i + 1] = _mm256_shuffle_ps::<0xee>(a, c);
            rows[4 * i + 2] = _mm256_shuffle_ps::<0x44>(b, d);
            rows[4 * i + 3] = _mm256_shuffle_ps::<0xee>(b, d);
        }
        for i in 0..4 {
            let (low, high) = (rows[i], rows[4 + i]);
            t[i] = _mm256_permute2f128_ps::<0x20>(low, high);
            t[4 + i] = _mm256_permute2f128_ps::<0x31>(low, high);
        }
        *rows = t;
    })
}
