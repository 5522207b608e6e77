//! The elementary functions against f64, in units in the last place, on every instruction set.

use phynexus_simd::math::{self, erf_f64};
use phynexus_simd::{Isa, Kernel, LANES, Simd, dispatch_on};

#[derive(Clone, Copy, Debug)]
enum Function {
    Exp,
    Log,
    Tanh,
    Erf,
    Sigmoid,
    Sin,
    Cos,
    Pow,
}

use Function::{Cos, Erf, Exp, Log, Pow, Sigmoid, Sin, Tanh};

struct Apply<'a>(Function, &'a [f32], &'a [f32]);

impl Kernel for Apply<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Vec<f32> {
        let mut out = Vec::with_capacity(self.1.len());
        for (x, y) in self.1.chunks(LANES).zip(self.2.chunks(LANES)) {
            // SAFETY: the chunks have as many elements as are read.
            let (a, b) = unsafe { (s.load_first(x.as_ptr(), x.len()), s.load_first(y.as_ptr(), y.len())) };
            let value = match self.0 {
                Exp => math::exp(s, a),
                Log => math::log(s, a),
                Tanh => math::tanh(s, a),
                Erf => math::erf(s, a),
                Sigmoid => math::sigmoid(s, a),
                Sin => math::sin(s, a),
                Cos => math::cos(s, a),
                Pow => math::pow(s, a, b),
            };
            out.extend_from_slice(&s.to_array(value)[..x.len()]);
        }
        out
    }
}

fn exact(function: Function, x: f32, y: f32) -> f64 {
    let (x, y) = (f64::from(x), f64::from(y));
    match function {
        Exp => x.exp(),
        Log => x.ln(),
        Tanh => x.tanh(),
        Erf => erf_f64(x),
        Sigmoid if x >= 0.0 => 1.0 / (1.0 + (-x).exp()),
        Sigmoid => x.exp() / (1.0 + x.exp()),
        Sin => x.sin(),
        Cos => x.cos(),
        Pow => x.powf(y),
    }
}

/// The distance in units in the last place of the f32 nearest to the exact value.
fn units(found: f32, exact: f64) -> f64 {
    let nearest = exact as f32;
    if found.to_bits() == nearest.to_bits() || (found.is_nan() && nearest.is_nan()) {
        return 0.0;
    }
    if !found.is_finite() || !nearest.is_finite() || (found.is_sign_negative() != nearest.is_sign_negative())
    {
        return f64::INFINITY;
    }
    let above = f32::from_bits(nearest.abs().to_bits() + 1);
    (f64::from(found) - exact).abs() / (f64::from(above) - f64::from(nearest.abs()))
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }

    fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * (self.next() as f32 / u32::MAX as f32)
    }
}

const SPECIAL: [f32; 22] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    2.0,
    3.0,
    -3.0,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    f32::MIN_POSITIVE,
    -f32::MIN_POSITIVE,
    1e-45,
    -1e-45,
    1e-40,
    f32::MAX,
    f32::MIN,
    1_048_576.0,
    16_777_216.0,
    16_777_215.0,
];

/// Patterns of bits from everywhere, values from where the function changes, special values.
fn arguments(function: Function) -> (Vec<f32>, Vec<f32>) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for a in SPECIAL {
        for b in SPECIAL {
            x.push(a);
            y.push(b);
        }
    }
    let (low, high) = match function {
        Exp => (-104.0, 89.0),
        Log => (0.4, 3.0),
        Tanh | Erf => (-4.0, 4.0),
        Sigmoid => (-104.0, 104.0),
        Sin | Cos => (-2000.0, 2000.0),
        Pow => (0.01, 9.0),
    };
    for _ in 0..100_000 {
        x.push(f32::from_bits(random.next()));
        y.push(f32::from_bits(random.next()));
        x.push(random.between(low, high));
        y.push(random.between(-30.0, 30.0));
        x.push(random.between(-9.0, 9.0));
        y.push(random.between(-9.0, 9.0).round());
    }
    (x, y)
}

fn assert_within(function: Function, limit: f64, limit_unfused: f64) {
    let (x, y) = arguments(function);
    let mut fused: Option<Vec<f32>> = None;
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        let found = dispatch_on(isa, Apply(function, &x, &y));
        let (mut worst, mut place) = (0.0, 0);
        for (index, &value) in found.iter().enumerate() {
            let error = units(value, exact(function, x[index], y[index]));
            if error > worst {
                (worst, place) = (error, index);
            }
        }
        println!("{function:?} on {isa}: {worst:.3} units at {:e}, {:e}", x[place], y[place]);
        let limit = if isa == Isa::Portable { limit_unfused } else { limit };
        assert!(
            worst <= limit,
            "{function:?} on {isa}: {worst} units at {:e}, {:e}: {:e} instead of {:e}",
            x[place],
            y[place],
            found[place],
            exact(function, x[place], y[place]),
        );
        if isa != Isa::Portable {
            let same = fused.get_or_insert_with(|| found.clone());
            let differs =
                same.iter().zip(&found).position(|(a, b)| a.to_bits() != b.to_bits() && !a.is_nan());
            assert_eq!(differs, None, "{function:?} on {isa} has other bits");
        }
    }
}

#[test]
fn exp_is_near() {
    assert_within(Exp, 1.0, 2.0);
}

#[test]
fn log_is_near() {
    assert_within(Log, 1.0, 2.0);
}

#[test]
fn tanh_is_near() {
    assert_within(Tanh, 2.0, 2.0);
}

#[test]
fn erf_is_near() {
    assert_within(Erf, 2.0, 2.0);
}

#[test]
fn sigmoid_is_near() {
    assert_within(Sigmoid, 3.0, 3.0);
}

#[test]
fn sin_is_near() {
    assert_within(Sin, 2.0, 2.0);
}

#[test]
fn cos_is_near() {
    assert_within(Cos, 2.0, 2.0);
}

#[test]
fn pow_is_near() {
    assert_within(Pow, 1.0, 1.0);
}

#[test]
fn erf_in_double_is_that_of_its_series_and_fraction() {
    // The Taylor series below 2.5, where its terms lose less than what is allowed.
    for step in 0..=250 {
        let x = f64::from(step) / 100.0;
        let (mut term, mut sum) = (x, x);
        for k in 1..100 {
            term *= -x * x / f64::from(k);
            sum += term / f64::from(2 * k + 1);
        }
        let series = sum * std::f64::consts::FRAC_2_SQRT_PI;
        let found = erf_f64(x);
        assert!((found - series).abs() <= 1e-13, "erf({x}) is {found}, and should be {series}");
        assert_eq!(erf_f64(-x), -found);
    }
    // Laplace's continued fraction of the complement above.
    for step in 20..=60 {
        let x = f64::from(step) / 10.0;
        let fraction = (1..=200).rev().fold(0.0, |tail, k| 0.5 * f64::from(k) / (x + tail));
        let complement = (-x * x).exp() / (x + fraction) * 0.5 * std::f64::consts::FRAC_2_SQRT_PI;
        let found = erf_f64(x);
        assert!((found - (1.0 - complement)).abs() <= 1e-15, "erf({x}) is {found}");
    }
    assert!(erf_f64(f64::NAN).is_nan());
    assert_eq!((erf_f64(f64::INFINITY), erf_f64(f64::NEG_INFINITY)), (1.0, -1.0));
}
