//! Instructions of x86 that multiply words: AVX-512 BF16, AVX-512 VNNI, and pairs of 16 bits in AVX2.

use std::arch::x86_64::*;

use phynexus_simd::{Avx2, Avx512, Simd};

use super::words::{Dot, DotKernel};

/// AVX-512 BF16: both products of a pair are added to the sum in one instruction, which takes
/// denormals for zeros and rounds otherwise than two fused multiply-adds.
#[derive(Clone, Copy)]
pub(crate) struct Bf16Pairs(Avx512);

impl Bf16Pairs {
    pub fn new() -> Option<Self> {
        if is_x86_feature_detected!("avx512bf16") { Avx512::new().map(Self) } else { None }
    }
}

/// AVX-512 VNNI: four products are added to the sum in one instruction, exactly.
#[derive(Clone, Copy)]
pub(crate) struct Int8Vnni(Avx512);

impl Int8Vnni {
    pub fn is_available() -> bool {
        is_x86_feature_detected!("avx512vnni")
    }

    pub fn new() -> Option<Self> {
        if Self::is_available() { Avx512::new().map(Self) } else { None }
    }
}

/// AVX2: even and odd bytes become pairs of 16 bits, of which products are added without loss.
#[derive(Clone, Copy)]
pub(crate) struct Int8Madd(Avx2);

impl Int8Madd {
    pub fn new() -> Option<Self> {
        Avx2::new().map(Self)
    }
}

impl Dot for Bf16Pairs {
    type S = Avx512;
    type Sum = __m512;

    #[inline(always)]
    fn simd(self) -> Avx512 {
        self.0
    }
    #[inline(always)]
    fn zero(self) -> __m512 {
        self.0.zero()
    }
    #[inline(always)]
    fn dot(self, a: __m512i, b: __m512i, sum: __m512) -> __m512 {
        // SAFETY: `self` proves that the processor has the instruction; the types are of one size.
        unsafe {
            let (a, b) =
                (std::mem::transmute::<__m512i, __m512bh>(a), std::mem::transmute::<__m512i, __m512bh>(b));
            _mm512_dpbf16_ps(sum, a, b)
        }
    }
    #[inline(always)]
    fn bits(self, sum: __m512) -> __m512i {
        self.0.bits(sum)
    }
    #[inline]
    fn vectorize<K: DotKernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c,bmi2")]
        fn enter<K: DotKernel>(dot: Bf16Pairs, kernel: K) -> K::Output {
            kernel.run(dot)
        }
        // SAFETY: `self` proves that the processor has the features.
        unsafe { enter(self, kernel) }
    }
}

impl Dot for Int8Vnni {
    type S = Avx512;
    type Sum = __m512i;

    #[inline(always)]
    fn simd(self) -> Avx512 {
        self.0
    }
    #[inline(always)]
    fn zero(self) -> __m512i {
        self.0.splat_i32(0)
    }
    #[inline(always)]
    fn dot(self, a: __m512i, b: __m512i, sum: __m512i) -> __m512i {
        // SAFETY: `self` proves that the processor has the instruction.
        unsafe { _mm512_dpbusd_epi32(sum, a, b) }
    }
    #[inline(always)]
    fn bits(self, sum: __m512i) -> __m512i {
        sum
    }
    #[inline]
    fn vectorize<K: DotKernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c,bmi2")]
        fn enter<K: DotKernel>(dot: Int8Vnni, kernel: K) -> K::Output {
            kernel.run(dot)
        }
        // SAFETY: `self` proves that the processor has the features.
        unsafe { enter(self, kernel) }
    }
}

impl Dot for Int8Madd {
    type S = Avx2;
    type Sum = [__m256i; 2];

    #[inline(always)]
    fn simd(self) -> Avx2 {
        self.0
    }
    #[inline(always)]
    fn zero(self) -> [__m256i; 2] {
        self.0.splat_i32(0)
    }
    #[inline(always)]
    fn dot(self, a: [__m256i; 2], b: [__m256i; 2], sum: [__m256i; 2]) -> [__m256i; 2] {
        // Unsigned bytes widen by a mask, signed ones by shifts.
        let half = |a: __m256i, b: __m256i, sum: __m256i| {
            // SAFETY: `self` proves that the processor has the instructions.
            unsafe {
                let bytes = _mm256_set1_epi16(0xff);
                let even = _mm256_madd_epi16(
                    _mm256_and_si256(a, bytes),
                    _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(b)),
                );
                let odd = _mm256_madd_epi16(_mm256_srli_epi16::<8>(a), _mm256_srai_epi16::<8>(b));
                _mm256_add_epi32(sum, _mm256_add_epi32(even, odd))
            }
        };
        [half(a[0], b[0], sum[0]), half(a[1], b[1], sum[1])]
    }
    #[inline(always)]
    fn bits(self, sum: [__m256i; 2]) -> [__m256i; 2] {
        sum
    }
    #[inline]
    fn vectorize<K: DotKernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn enter<K: DotKernel>(dot: Int8Madd, kernel: K) -> K::Output {
            kernel.run(dot)
        }
        // SAFETY: `self` proves that the processor has the features.
        unsafe { enter(self, kernel) }
    }
}
