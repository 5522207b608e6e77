//! The error function in f64, which std has not got.
//!
//! Reference: W. J. Cody, "Rational Chebyshev Approximations for the Error Function", Mathematics
//! of Computation 23 (1969), pp. 631-637.

// Cody's coefficients, from the highest power down. |x| <= 0.46875: erf(x) = x P(x^2) / Q(x^2).
const SMALL_P: [f64; 5] = [
    1.857_777_061_846_031_5e-1,
    3.161_123_743_870_565_6e0,
    1.138_641_541_510_501_6e2,
    3.774_852_376_853_02e2,
    3.209_377_589_138_469_5e3,
];
const SMALL_Q: [f64; 5] = [
    1.0,
    2.360_129_095_234_412_1e1,
    2.440_246_379_344_441_7e2,
    1.282_616_526_077_372_3e3,
    2.844_236_833_439_171e3,
];
// Up to 4: erfc(x) = exp(-x^2) P(x) / Q(x).
const MIDDLE_P: [f64; 9] = [
    2.153_115_354_744_038_5e-8,
    5.641_884_969_886_701e-1,
    8.883_149_794_388_376e0,
    6.611_919_063_714_163e1,
    2.986_351_381_974_001e2,
    8.819_522_212_417_69e2,
    1.712_047_612_634_070_6e3,
    2.051_078_377_826_071_5e3,
    1.230_339_354_797_997_2e3,
];
const MIDDLE_Q: [f64; 9] = [
    1.0,
    1.574_492_611_070_983_5e1,
    1.176_939_508_913_125e2,
    5.371_811_018_620_099e2,
    1.621_389_574_566_690_2e3,
    3.290_799_235_733_459_6e3,
    4.362_619_090_143_247e3,
    3.439_367_674_143_721_6e3,
    1.230_339_354_803_749_4e3,
];
// Beyond: erfc(x) = exp(-x^2) / x (1 / sqrt(pi) - P(1 / x^2) / (x^2 Q(1 / x^2))).
const LARGE_P: [f64; 6] = [
    1.631_538_713_730_209_8e-2,
    3.053_266_349_612_323_4e-1,
    3.603_448_999_498_044_4e-1,
    1.257_817_261_112_292_5e-1,
    1.608_378_514_874_228e-2,
    6.587_491_615_298_378e-4,
];
const LARGE_Q: [f64; 6] = [
    1.0,
    2.568_520_192_289_822,
    1.872_952_849_923_460_5e0,
    5.279_051_029_514_284e-1,
    6.051_834_131_244_132e-2,
    2.335_204_976_268_691_9e-3,
];

/// The error function, within 5 units in the last place.
pub fn erf(x: f64) -> f64 {
    let size = x.abs();
    if size <= 0.468_75 {
        let square = x * x;
        return x * polynomial(square, &SMALL_P) / polynomial(square, &SMALL_Q);
    }
    let complement = if size <= 4.0 {
        exp_minus_square(size) * polynomial(size, &MIDDLE_P) / polynomial(size, &MIDDLE_Q)
    } else if size < 8.0 {
        let inverse = 1.0 / (size * size);
        let rest = inverse * polynomial(inverse, &LARGE_P) / polynomial(inverse, &LARGE_Q);
        exp_minus_square(size) * (0.5 * std::f64::consts::FRAC_2_SQRT_PI - rest) / size
    } else {
        0.0
    };
    if x.is_nan() { x } else { (1.0 - complement).copysign(x) }
}

/// exp(-y^2) without the error of rounding y^2, which exp would magnify: with y cut to sixteenths,
/// the square of the cut is exact, and the rest is small.
fn exp_minus_square(y: f64) -> f64 {
    let cut = (y * 16.0).trunc() / 16.0;
    (-cut * cut).exp() * (-(y - cut) * (y + cut)).exp()
}

fn polynomial(x: f64, coefficients: &[f64]) -> f64 {
    coefficients.iter().fold(0.0, |sum, coefficient| sum * x + coefficient)
}
