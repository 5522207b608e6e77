//! The ways of multiplying words: instructions made for it where the processor has them, else what
//! any instruction set can do.

use phynexus_simd::{Isa, Kernel, Simd, dispatch_on};

use super::words::{Dot, DotKernel};
#[cfg(target_arch = "x86_64")]
use super::x86::{Bf16Pairs, Int8Madd, Int8Vnni};

/// Pairs of bfloat16 widened to f32: two fused multiply-adds, the lower `k` first.
#[derive(Clone, Copy)]
pub(crate) struct Bf16Widened<S>(S);

/// Quadruples of 8-bit integers widened to 32 bits.
#[derive(Clone, Copy)]
pub(crate) struct Int8Widened<S>(S);

/// Runs a [`DotKernel`] on a [`Dot`] made of the instruction set.
struct On<K, F> {
    kernel: K,
    kind: F,
}

#[derive(Clone, Copy)]
enum Kind {
    Bf16,
    Int8,
}

impl<K: DotKernel> Kernel for On<K, Kind> {
    type Output = K::Output;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> K::Output {
        match self.kind {
            Kind::Bf16 => self.kernel.run(Bf16Widened(simd)),
            Kind::Int8 => self.kernel.run(Int8Widened(simd)),
        }
    }
}

impl<S: Simd> Dot for Bf16Widened<S> {
    type S = S;
    type Sum = S::F32;

    #[inline(always)]
    fn simd(self) -> S {
        self.0
    }
    #[inline(always)]
    fn zero(self) -> S::F32 {
        self.0.zero()
    }
    #[inline(always)]
    fn dot(self, a: S::I32, b: S::I32, sum: S::F32) -> S::F32 {
        let simd = self.0;
        let high = simd.splat_i32(0xffff_0000_u32 as i32);
        let lower = |x| simd.with_bits(simd.shl_i32::<16>(x));
        let upper = |x| simd.with_bits(simd.and_i32(x, high));
        let sum = simd.fma(lower(a), lower(b), sum);
        simd.fma(upper(a), upper(b), sum)
    }
    #[inline(always)]
    fn bits(self, sum: S::F32) -> S::I32 {
        self.0.bits(sum)
    }
    #[inline(always)]
    fn vectorize<K: DotKernel>(self, kernel: K) -> K::Output {
        self.0.vectorize(On { kernel, kind: Kind::Bf16 })
    }
}

impl<S: Simd> Dot for Int8Widened<S> {
    type S = S;
    type Sum = S::I32;

    #[inline(always)]
    fn simd(self) -> S {
        self.0
    }
    #[inline(always)]
    fn zero(self) -> S::I32 {
        self.0.splat_i32(0)
    }
    #[inline(always)]
    fn dot(self, a: S::I32, b: S::I32, sum: S::I32) -> S::I32 {
        let simd = self.0;
        let byte = simd.splat_i32(0xff);
        let add = |a, b, sum| simd.add_i32(sum, simd.mul_i32(simd.and_i32(a, byte), b));
        let sum = add(a, simd.shr_i32::<24>(simd.shl_i32::<24>(b)), sum);
        let sum = add(simd.shr_u32::<8>(a), simd.shr_i32::<24>(simd.shl_i32::<16>(b)), sum);
        let sum = add(simd.shr_u32::<16>(a), simd.shr_i32::<24>(simd.shl_i32::<8>(b)), sum);
        add(simd.shr_u32::<24>(a), simd.shr_i32::<24>(b), sum)
    }
    #[inline(always)]
    fn bits(self, sum: S::I32) -> S::I32 {
        sum
    }
    #[inline(always)]
    fn vectorize<K: DotKernel>(self, kernel: K) -> K::Output {
        self.0.vectorize(On { kernel, kind: Kind::Int8 })
    }
}

/// Runs a kernel on pairs of bfloat16. `is_native` is false to widen them although the processor
/// multiplies pairs.
pub(crate) fn dispatch_bf16<K: DotKernel>(isa: Isa, is_native: bool, kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    if isa == Isa::Avx512
        && is_native
        && let Some(dot) = Bf16Pairs::new()
    {
        return kernel.run(dot);
    }
    let _ = is_native;
    dispatch_on(isa, On { kernel, kind: Kind::Bf16 })
}

/// Runs a kernel on quadruples of 8-bit integers.
pub(crate) fn dispatch_int8<K: DotKernel>(isa: Isa, kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    match isa {
        Isa::Avx512 if Int8Vnni::is_available() => {
            return kernel.run(Int8Vnni::new().expect("a processor with AVX-512 VNNI"));
        }
        Isa::Avx2 => return kernel.run(Int8Madd::new().expect("a processor with AVX2")),
        _ => {}
    }
    dispatch_on(isa, On { kernel, kind: Kind::Int8 })
}
