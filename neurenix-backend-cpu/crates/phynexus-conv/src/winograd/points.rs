//! The transforms on one axis, of vectors of 16 channels.
//!
//! Interpolation at 0, ±5/8, ±3/2 and infinity. Every constant of the transforms of pixels and results is exact in
//! f32, and the powers stay near 1: the error is less than half of that with the points 0, ±1, ±2.

use phynexus_simd::Simd;

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

/// Three weights to the six points.
#[inline(always)]
pub fn weights<S: Simd>(simd: S, g: [S::F32; 3]) -> [S::F32; 6] {
    const AT_ZERO: f32 = 1.0 / (A2 * B2);
    const AT_A: f32 = (1.0 / (2.0 * 0.390625 * (0.390625 - 2.25f64))) as f32;
    const AT_B: f32 = (1.0 / (2.0 * 2.25 * (2.25 - 0.390625f64))) as f32;
    let (at_a, at_b) = (simd.splat(AT_A), simd.splat(AT_B));
    let (even_a, odd_a) = (simd.fma(simd.splat(A2), g[2], g[0]), simd.splat(A));
    let (even_b, odd_b) = (simd.fma(simd.splat(B2), g[2], g[0]), simd.splat(B));
    [
        simd.mul(simd.splat(AT_ZERO), g[0]),
        simd.mul(at_a, simd.fma(odd_a, g[1], even_a)),
        simd.mul(at_a, simd.fnma(odd_a, g[1], even_a)),
        simd.mul(at_b, simd.fma(odd_b, g[1], even_b)),
        simd.mul(at_b, simd.fnma(odd_b, g[1], even_b)),
        g[2],
    ]
}
