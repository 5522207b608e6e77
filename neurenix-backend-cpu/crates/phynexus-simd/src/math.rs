//! Elementary functions of vectors, the same bits on every instruction set with a fused
//! multiply-add.
//!
//! Coefficients are minimax fits by reweighted least squares, rounded to the precision in use. The
//! errors are the largest that `tests/math.rs` allows, in units in the last place; subnormals,
//! infinities and NaN are as in IEEE 754's functions.

mod double;
mod power;
mod trigonometric;

pub use double::erf as erf_f64;
pub use power::{pow, pow_f32};
pub use trigonometric::{cos, sin};

use crate::Simd;

/// The polynomial with these coefficients, from the highest power down.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(s: S, x: S::F32, coefficients: [f32; N]) -> S::F32 {
    let mut sum = s.splat(coefficients[0]);
    for &coefficient in &coefficients[1..] {
        sum = s.fma(sum, x, s.splat(coefficient));
    }
    sum
}

/// ln 2 in two parts: 9 bits, so that multiples of it are exact, and the rest.
const LN_2_HIGH: f32 = 355.0 / 512.0;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// `e^x`, within 1 unit; 2 without a fused multiply-add.
///
/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`; then `e^x = 2^n e^r`. The power of two is multiplied in
/// two steps, so that subnormal results are rounded once and large ones become infinite.
#[inline(always)]
pub fn exp<S: Simd>(s: S, x: S::F32) -> S::F32 {
    // Beyond, the result is 0 or infinite anyhow. NaN passes both.
    let x = s.min(s.splat(100.0), s.max(s.splat(-150.0), x));
    let n = s.round(s.mul(x, s.splat(std::f32::consts::LOG2_E)));
    let r = s.fnma(n, s.splat(LN_2_HIGH), x);
    let r = s.fnma(n, s.splat(LN_2_LOW), r);
    let q = polynomial(s, r, [0.001_381_455_9, 0.008_368_735, 0.041_668_39, 0.166_665_21, 0.499_999_94]);
    let power = s.add(s.fma(s.mul(r, r), q, r), s.splat(1.0));
    let n = s.to_i32(n);
    let half = s.shr_i32::<1>(n);
    let scaled = s.mul(power, two_to(s, half));
    s.mul(scaled, two_to(s, s.sub_i32(n, half)))
}

/// `2^n` for `-127 < n < 128`.
#[inline(always)]
fn two_to<S: Simd>(s: S, n: S::I32) -> S::F32 {
    s.with_bits(s.shl_i32::<23>(s.add_i32(n, s.splat_i32(127))))
}

/// The natural logarithm, within 1 unit; 2 without a fused multiply-add. Of zero it is `-inf`, of
/// negative numbers NaN.
///
/// `x = 2^e m` with `m` between `sqrt(1/2)` and `sqrt(2)`; then a polynomial in `m - 1`.
#[inline(always)]
pub fn log<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let is_subnormal = s.lt(x, s.splat(f32::MIN_POSITIVE));
    let normal = s.select(is_subnormal, s.mul(x, s.splat(8_388_608.0)), x);
    // The bits above those of sqrt(1/2) count the octaves.
    let shifted = s.sub_i32(s.bits(normal), s.splat_i32(0x3f35_04f3));
    let octaves = s.shr_i32::<23>(shifted);
    let m = s.with_bits(s.sub_i32(s.bits(normal), s.shl_i32::<23>(octaves)));
    let e = s.to_f32(octaves);
    let e = s.select(is_subnormal, s.sub(e, s.splat(23.0)), e);
    let f = s.sub(m, s.splat(1.0));
    let p = polynomial(
        s,
        f,
        [
            0.067_466_51,
            -0.116_756_71,
            0.118_881_68,
            -0.124_055_86,
            0.142_195_51,
            -0.166_679_96,
            0.200_021_2,
            -0.250_000_1,
            0.333_333_13,
        ],
    );
    let square = s.mul(f, f);
    let tail = s.fma(s.mul(square, f), p, s.mul(e, s.splat(LN_2_LOW)));
    let tail = s.fma(square, s.splat(-0.5), tail);
    let value = s.fma(e, s.splat(LN_2_HIGH), s.add(f, tail));
    let value = s.select(s.eq(x, s.splat(f32::INFINITY)), x, value);
    let value = s.select(s.eq(x, s.zero()), s.splat(f32::NEG_INFINITY), value);
    // True of negative numbers and NaN.
    let outside = s.ne(s.select(s.le(s.zero(), x), x, s.splat(f32::NAN)), x);
    s.select(outside, s.splat(f32::NAN), value)
}

/// The hyperbolic tangent, within 2 units.
///
/// An odd polynomial below 0.625; above, `1 - 2 / (e^(2|x|) + 1)`.
#[inline(always)]
pub fn tanh<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let size = s.abs(x);
    let square = s.mul(x, x);
    let p =
        polynomial(s, square, [-0.005_666_977, 0.020_606_177, -0.053_730_007, 0.133_313_31, -0.333_332_78]);
    let small = s.fma(s.mul(square, x), p, x);
    let exp = exp(s, s.add(size, size));
    let large = s.sub(s.splat(1.0), s.div(s.splat(2.0), s.add(exp, s.splat(1.0))));
    // The sign after all, for that of zero.
    with_sign_of(s, s.select(s.lt(size, s.splat(0.625)), small, large), x)
}

/// The error function, within 2 units.
///
/// An odd polynomial below 1; above, `1 - e^q` with a polynomial `q` for the logarithm of the
/// complement.
#[inline(always)]
pub fn erf<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let size = s.abs(x);
    let square = s.mul(x, x);
    let p = polynomial(
        s,
        square,
        [
            7.853_882_6e-5,
            -8.010_200_7e-4,
            0.005_188_328_7,
            -0.026_853_813,
            0.112_835_854,
            -0.376_126_26,
            0.128_379_17,
        ],
    );
    let small = s.fma(x, p, x);
    // From 4 on the result rounds to 1. NaN passes.
    let t = s.min(s.splat(4.0), size);
    let q = polynomial(
        s,
        t,
        [
            -2.169_760_2e-5,
            4.414_724_8e-4,
            -0.004_205_283_7,
            0.025_210_338,
            -0.108_422_09,
            -0.633_216_4,
            -1.129_580_3,
            1.884_672_8e-4,
        ],
    );
    let large = s.sub(s.splat(1.0), exp(s, q));
    s.select(s.lt(size, s.splat(1.0)), small, with_sign_of(s, large, x))
}

/// `1 / (1 + e^-x)`, within 3 units, without overflow.
#[inline(always)]
pub fn sigmoid<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let one = s.splat(1.0);
    let small = exp(s, s.neg(s.abs(x)));
    s.div(s.select(s.le(s.zero(), x), one, small), s.add(one, small))
}

/// The size of one and the sign of the other.
#[inline(always)]
fn with_sign_of<S: Simd>(s: S, size: S::F32, sign: S::F32) -> S::F32 {
    let sign = s.and_i32(s.bits(sign), s.splat_i32(i32::MIN));
    s.with_bits(s.or_i32(s.and_i32(s.bits(size), s.splat_i32(i32::MAX)), sign))
}
