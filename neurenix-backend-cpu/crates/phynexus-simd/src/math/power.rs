//! Powers: `2^(y log2 x)` in f64, in plain loops over the lanes, which the compiler vectorises.
//!
//! They hold no fused multiply-add, and so give the same bits on every instruction set.

use crate::{LANES, Simd};

/// 1.5 times 2^52: added to a small number, it leaves the nearest integer in the lowest bits.
const ROUNDER: f64 = 6_755_399_441_055_744.0;
/// The bits of `sqrt(1/2)`.
const SQRT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
const EXPONENT: u64 = 0x7ff0_0000_0000_0000;
const BIAS: u64 = 0x3ff0_0000_0000_0000;

/// log2(m) / z in z^2, where z = (m - 1) / (m + 1) and m is within sqrt(1/2) and sqrt(2).
const LOG2: [f64; 6] = [
    0.282_930_470_943_329_85,
    0.319_903_693_559_372_26,
    0.412_209_298_123_483_15,
    0.577_077_941_945_274_1,
    0.961_796_694_114_652,
    2.885_390_081_777_849,
];
/// 2^g for g within -1/2 and 1/2.
const EXP2: [f64; 9] = [
    1.317_585_930_067_730_8e-6,
    1.530_973_725_425_832e-5,
    1.540_385_173_897_53e-4,
    0.001_333_345_206_316_144_4,
    0.009_618_128_542_883_742,
    0.055_504_109_393_402_24,
    0.240_226_506_988_802_55,
    0.693_147_180_546_514_8,
    0.999_999_999_999_762_2,
];

/// `x` to the power of `y`, within 1 unit; special values as IEEE 754's pow has them.
#[inline(always)]
pub fn pow<S: Simd>(s: S, x: S::F32, y: S::F32) -> S::F32 {
    let (bases, exponents) = (s.to_array(x), s.to_array(y));
    let mut powers = [0.0f32; LANES];
    for lane in 0..LANES {
        powers[lane] = pow_f32(bases[lane], exponents[lane]);
    }
    // SAFETY: the array has 16 elements.
    unsafe { s.load(powers.as_ptr()) }
}

/// The same of one element, without a branch: the compiler vectorises loops of it.
#[inline(always)]
pub fn pow_f32(x: f32, y: f32) -> f32 {
    let power = of_size(f64::from(x.abs()), f64::from(y));
    // A negative base: odd exponents keep the sign, and what is no integer gives NaN. Floats of
    // 2^24 and more are even integers.
    let is_large = y.abs() >= 16_777_216.0;
    let wide = f64::from(y);
    let is_integer = is_large | (nearest(wide) == wide);
    let is_odd = is_integer & !is_large & (nearest(0.5 * wide) != 0.5 * wide);
    let signed = f32::from_bits(power.to_bits() | (x.to_bits() & 0x8000_0000));
    let power = if is_odd { signed } else { power };
    let is_outside = (x < 0.0) & (x > f32::NEG_INFINITY) & !is_integer;
    let power = if is_outside { f32::NAN } else { power };
    // (-1)^(+-inf) is 1 too; log2(1) * inf has made it NaN.
    let is_one = (x == 1.0) | (y == 0.0) | ((x == -1.0) & (y.abs() == f32::INFINITY));
    if is_one { 1.0 } else { power }
}

/// The nearest integer of a number below 2^51 in size.
#[inline(always)]
fn nearest(x: f64) -> f64 {
    (x + ROUNDER) - ROUNDER
}

/// `x^y` for `x >= 0`, where it is not NaN times infinity.
#[inline(always)]
fn of_size(x: f64, y: f64) -> f32 {
    let bits = x.to_bits();
    let shifted = bits.wrapping_add(BIAS).wrapping_sub(SQRT_HALF);
    let octaves = f64::from_bits((shifted >> 52).wrapping_add(ROUNDER.to_bits())) - (ROUNDER + 1023.0);
    let m = f64::from_bits(bits.wrapping_sub((shifted & EXPONENT).wrapping_sub(BIAS)));
    let z = (m - 1.0) / (m + 1.0);
    let log = octaves + z * polynomial(z * z, LOG2);
    let log = if x == 0.0 { f64::NEG_INFINITY } else { log };
    let log = if x < f64::INFINITY { log } else { x };
    // Beyond 2^200 and below 2^-200 an f32 is infinite or zero; NaN passes.
    let t = log * y;
    let t = if t > 200.0 { 200.0 } else { t };
    let t = if t < -200.0 { -200.0 } else { t };
    let rounded = t + ROUNDER;
    let g = t - (rounded - ROUNDER);
    let scale = f64::from_bits((rounded.to_bits() << 52).wrapping_add(BIAS));
    (polynomial(g, EXP2) * scale) as f32
}

#[inline(always)]
fn polynomial<const N: usize>(x: f64, coefficients: [f64; N]) -> f64 {
    let mut sum = coefficients[0];
    for &coefficient in &coefficients[1..] {
        sum = sum * x + coefficient;
    }
    sum
}
