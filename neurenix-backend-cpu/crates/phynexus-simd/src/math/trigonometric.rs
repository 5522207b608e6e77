//! Sine and cosine of radians.
//!
//! The argument is reduced in f64, in plain loops over the lanes, which the compiler vectorises;
//! they hold no fused multiply-add, and so give the same bits everywhere.

use super::polynomial;
use crate::{LANES, Simd};

/// Up to here, the multiples of the first part of pi / 2 are exact.
const REDUCED: f32 = 1_048_576.0;
/// pi / 2: its first 33 bits, and the rest.
const HALF_PI_HIGH: f64 = 1.570_796_326_734_125_6;
const HALF_PI_LOW: f64 = 6.077_100_506_506_192e-11;
/// 1.5 times 2^52: added to a small number, it leaves the nearest integer in the lowest bits.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// The sine of radians, within 2 units.
#[inline(always)]
pub fn sin<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let (r, quadrant) = reduce(s, x);
    let value = on_quadrant(s, r, quadrant);
    // Of zero, the sign too is that of the argument.
    let value = s.select(s.eq(x, s.zero()), x, value);
    beyond(s, x, value, f64::sin)
}

/// The cosine of radians, within 2 units.
#[inline(always)]
pub fn cos<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let (r, quadrant) = reduce(s, x);
    let value = on_quadrant(s, r, s.add_i32(quadrant, s.splat_i32(1)));
    beyond(s, x, value, f64::cos)
}

/// The rest after the nearest multiple of pi / 2, and which multiple it is.
#[inline(always)]
fn reduce<S: Simd>(s: S, x: S::F32) -> (S::F32, S::I32) {
    let lanes = s.to_array(x);
    let (mut rest, mut quadrant) = ([0.0f32; LANES], [0i32; LANES]);
    for lane in 0..LANES {
        let x = f64::from(lanes[lane]);
        let rounded = x * std::f64::consts::FRAC_2_PI + ROUNDER;
        let n = rounded - ROUNDER;
        rest[lane] = ((x - n * HALF_PI_HIGH) - n * HALF_PI_LOW) as f32;
        quadrant[lane] = rounded.to_bits() as i32;
    }
    // SAFETY: both arrays have 16 elements.
    unsafe { (s.load(rest.as_ptr()), s.load_i32(quadrant.as_ptr())) }
}

/// The sine of `r + quadrant * pi / 2`.
#[inline(always)]
fn on_quadrant<S: Simd>(s: S, r: S::F32, quadrant: S::I32) -> S::F32 {
    let square = s.mul(r, r);
    let p = polynomial(s, square, [2.718_026e-6, -1.983_929_9e-4, 0.008_333_329, -0.166_666_67]);
    let sine = s.fma(s.mul(square, r), p, r);
    let q = polynomial(s, square, [2.443_221e-5, -0.001_388_730_8, 0.041_666_646]);
    let cosine = s.fma(s.mul(square, square), q, s.fma(square, s.splat(-0.5), s.splat(1.0)));
    let one = s.splat_i32(1);
    let is_cosine = s.eq_i32(s.and_i32(quadrant, one), one);
    let value = s.select(is_cosine, cosine, sine);
    let sign = s.shl_i32::<30>(s.and_i32(quadrant, s.splat_i32(2)));
    s.with_bits(s.xor_i32(s.bits(value), sign))
}

/// The same value, save in lanes whose argument is too large for [`reduce`]: they are computed one
/// by one in f64.
#[inline(always)]
fn beyond<S: Simd>(s: S, x: S::F32, value: S::F32, function: fn(f64) -> f64) -> S::F32 {
    let is_large = s.mask_bits(s.lt(s.splat(REDUCED), s.abs(x)));
    if is_large == 0 {
        return value;
    }
    let (lanes, mut values) = (s.to_array(x), s.to_array(value));
    for lane in 0..LANES {
        if is_large >> lane & 1 == 1 {
            values[lane] = function(f64::from(lanes[lane])) as f32;
        }
    }
    // SAFETY: the array has 16 elements.
    unsafe { s.load(values.as_ptr()) }
}
