//! The transforms on one axis, of vectors of 16 channels.
//!
//! Interpolation at 0, ±5/8, ±3/2 and infinity. Every constant of the transforms of pixels and results is exact in
//! f32, and the powers stay near 1: the error is less than half of that with the points 0, ±1, ±2. Weights
//! that are kept transformed are computed in f64 and rounded once; those that are transformed at each call in f32, where
//! sums take the factors that weights then lack.

use phynexus_simd::{Isa, LANES, Simd};

const A: f32 = 0.625;
const B: f32 = 1.5;
const A2: f32 = A * A;
const B2: f32 = B * B;

/// Six pixels to the six points.
#[inline(always)]
pub fn pixels<S: Simd>(simd: S, d: [S::F32; 6]) -> [S::F32; 6] {
    let (a, b) = (simd.splat(A), simd.splat(B));
    let (a2, b2) = (simd.splat(A2), simd.splat(B2));
    let (product, sum) = (simd.splat(A2 * B2), simd.splat(A2 + B2));
    let even_a = simd.fnma(b2, d[2], d[4]);
    let odd_a = simd.fnma(b2, d[1], d[3]);
    let even_b = simd.fnma(a2, d[2], d[4]);
    let odd_b = simd.fnma(a2, d[1], d[3]);
    [
        simd.fma(product, d[0], simd.fnma(sum, d[2], d[4])),
        simd.fma(a, odd_a, even_a),
        simd.fnma(a, odd_a, even_a),
        simd.fma(b, odd_b, even_b),
        simd.fnma(b, odd_b, even_b),
        simd.fma(product, d[1], simd.fnma(sum, d[3], d[5])),
    ]
}

/// Sums at the six points to four results.
#[inline(always)]
pub fn results<S: Simd>(simd: S, m: [S::F32; 6]) -> [S::F32; 4] {
    let (even_a, odd_a) = (simd.add(m[1], m[2]), simd.sub(m[1], m[2]));
    let (even_b, odd_b) = (simd.add(m[3], m[4]), simd.sub(m[3], m[4]));
    let of =
        |power_a: f32, power_b: f32, a, b| simd.fma(simd.splat(power_b), b, simd.mul(simd.splat(power_a), a));
    [
        simd.add(m[0], simd.add(even_a, even_b)),
        of(A, B, odd_a, odd_b),
        of(A2, B2, even_a, even_b),
        simd.add(of(A2 * A, B2 * B, odd_a, odd_b), m[5]),
    ]
}

/// Gradients of four results to the six points: the transpose of [`results`].
#[inline(always)]
pub fn gradients<S: Simd>(simd: S, g: [S::F32; 4]) -> [S::F32; 6] {
    let (a, b) = (simd.splat(A), simd.splat(B));
    let (a2, b2) = (simd.splat(A2), simd.splat(B2));
    let (even_a, odd_a) = (simd.fma(a2, g[2], g[0]), simd.fma(a2, g[3], g[1]));
    let (even_b, odd_b) = (simd.fma(b2, g[2], g[0]), simd.fma(b2, g[3], g[1]));
    [
        g[0],
        simd.fma(a, odd_a, even_a),
        simd.fnma(a, odd_a, even_a),
        simd.fma(b, odd_b, even_b),
        simd.fnma(b, odd_b, even_b),
        g[3],
    ]
}

/// Sums at the six points to the gradients of three weights: the transpose of [`weights`], with its factors.
#[inline(always)]
pub fn taps<S: Simd>(simd: S, m: [S::F32; 6]) -> [S::F32; 3] {
    let (even_a, odd_a) = (simd.add(m[1], m[2]), simd.sub(m[1], m[2]));
    let (even_b, odd_b) = (simd.add(m[3], m[4]), simd.sub(m[3], m[4]));
    let (a, b) = (f64::from(A), f64::from(B));
    [
        simd.fma(simd.splat(FACTORS[0] as f32), m[0], pair(simd, [1.0, 1.0], even_a, even_b)),
        pair(simd, [a, b], odd_a, odd_b),
        simd.add(pair(simd, [a * a, b * b], even_a, even_b), m[5]),
    ]
}

/// The sums at both pairs of points, each times a power of the point and the factor of the point.
#[inline(always)]
fn pair<S: Simd>(simd: S, [a, b]: [f64; 2], at_a: S::F32, at_b: S::F32) -> S::F32 {
    let (factor_a, factor_b) = ((FACTORS[1] * a) as f32, (FACTORS[3] * b) as f32);
    simd.fma(simd.splat(factor_b), at_b, simd.mul(simd.splat(factor_a), at_a))
}

/// What weights are transformed in.
pub trait Precision: Copy {
    /// Weights of several output channels.
    type Weights: Copy;
    /// How many: 16 or a divisor of it.
    const COUNT: usize;

    /// Reads `COUNT` weights.
    ///
    /// # Safety
    /// `from` is valid for reads of them.
    unsafe fn load(self, from: *const f32) -> Self::Weights;
    /// Writes the weights, rounded to f32: times the factor, unless that is left to the sums.
    ///
    /// # Safety
    /// `to` is valid for writes of `COUNT` floats.
    unsafe fn store(self, to: *mut f32, x: Self::Weights, factor: f64);
    /// `factor * x + y`; the factor is exact in f32.
    fn fma(self, factor: f64, x: Self::Weights, y: Self::Weights) -> Self::Weights;
}

/// f32, a vector at a time.
#[derive(Clone, Copy)]
pub struct Single<S>(pub S);

impl<S: Simd> Precision for Single<S> {
    type Weights = S::F32;
    const COUNT: usize = LANES;

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> S::F32 {
        // SAFETY: as the caller vouches.
        unsafe { self.0.load(from) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, x: S::F32, _factor: f64) {
        // SAFETY: as the caller vouches.
        unsafe { self.0.store(to, x) };
    }
    #[inline(always)]
    fn fma(self, factor: f64, x: S::F32, y: S::F32) -> S::F32 {
        self.0.fma(self.0.splat(factor as f32), x, y)
    }
}

/// f64, as many lanes at a time as a register of AVX-512 has; plain loops, which the compiler makes vectors of.
#[derive(Clone, Copy)]
pub struct Double<S>(pub S);

impl<S: Simd> Precision for Double<S> {
    type Weights = [f64; LANES / 2];
    const COUNT: usize = LANES / 2;

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::Weights {
        // SAFETY: as the caller vouches.
        unsafe { from.cast::<[f32; LANES / 2]>().read_unaligned() }.map(f64::from)
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, x: Self::Weights, factor: f64) {
        // SAFETY: as the caller vouches.
        unsafe { to.cast::<[f32; LANES / 2]>().write_unaligned(x.map(|x| (x * factor) as f32)) };
    }
    #[inline(always)]
    fn fma(self, factor: f64, x: Self::Weights, y: Self::Weights) -> Self::Weights {
        let mut sum = y;
        for (sum, x) in sum.iter_mut().zip(x) {
            // Without the instruction, a fused multiply-add is a slow call.
            *sum = if matches!(S::ISA, Isa::Portable) { factor * x + *sum } else { factor.mul_add(x, *sum) };
        }
        sum
    }
}

/// Three weights to the six points, but for the factors of [`SCALES`].
#[inline(always)]
pub fn weights<P: Precision>(precision: P, g: [P::Weights; 3]) -> [P::Weights; 6] {
    let (a, b) = (f64::from(A), f64::from(B));
    let even_a = precision.fma(a * a, g[2], g[0]);
    let even_b = precision.fma(b * b, g[2], g[0]);
    [
        g[0],
        precision.fma(a, g[1], even_a),
        precision.fma(-a, g[1], even_a),
        precision.fma(b, g[1], even_b),
        precision.fma(-b, g[1], even_b),
        g[2],
    ]
}

/// What weights at the points of one axis are multiplied with at last.
const FACTORS: [f64; 6] = {
    let (a2, b2) = (A2 as f64, B2 as f64);
    let (at_a, at_b) = (0.5 / (a2 * (a2 - b2)), 0.5 / (b2 * (b2 - a2)));
    [1.0 / (a2 * b2), at_a, at_a, at_b, at_b, 1.0]
};

/// The same for both axes, `[row][column]`.
pub const SCALES: [[f64; 6]; 6] = {
    let mut scales = [[0.0; 6]; 6];
    let mut place = 0;
    while place < 36 {
        scales[place / 6][place % 6] = FACTORS[place / 6] * FACTORS[place % 6];
        place += 1;
    }
    scales
};
