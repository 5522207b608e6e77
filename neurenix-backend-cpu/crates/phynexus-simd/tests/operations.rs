//! Every operation on every instruction set there is, against plain Rust, bit for bit.

use half::{bf16, f16};
use phynexus_simd::{Isa, Kernel, LANES, Simd, dispatch_on};

type Lanes = [f32; LANES];

const VALUES: Lanes = [
    0.0,
    -0.0,
    1.0,
    -1.5,
    2.5,
    -2.5,
    3.499_999_8,
    1e-40,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    65504.0,
    1e10,
    -7.25,
    0.333_333_34,
    -1e-7,
];

fn others() -> Lanes {
    let mut values = VALUES;
    values.rotate_left(5);
    values
}

fn on_all(check: impl Fn(Isa)) {
    for isa in Isa::ALL {
        if isa.is_available() {
            check(isa);
        }
    }
}

fn assert_same(isa: Isa, what: &str, found: Lanes, wanted: Lanes) {
    for lane in 0..LANES {
        let (a, b) = (found[lane], wanted[lane]);
        assert!(
            a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
            "{what} on {isa}, lane {lane}: {a:e} instead of {b:e}"
        );
    }
}

struct Floats;

impl Kernel for Floats {
    type Output = Vec<(&'static str, Lanes)>;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Output {
        let (x, y) = (VALUES, others());
        // SAFETY: the arrays have 16 elements.
        let (a, b) = unsafe { (s.load(x.as_ptr()), s.load(y.as_ptr())) };
        vec![
            ("add", s.to_array(s.add(a, b))),
            ("sub", s.to_array(s.sub(a, b))),
            ("mul", s.to_array(s.mul(a, b))),
            ("div", s.to_array(s.div(a, b))),
            ("max", s.to_array(s.max(a, b))),
            ("min", s.to_array(s.min(a, b))),
            ("sqrt", s.to_array(s.sqrt(a))),
            ("round", s.to_array(s.round(a))),
            ("floor", s.to_array(s.floor(a))),
            ("neg", s.to_array(s.neg(a))),
            ("abs", s.to_array(s.abs(a))),
            ("select", s.to_array(s.select(s.lt(a, b), a, b))),
            ("le", s.to_array(s.select(s.le(a, b), a, b))),
            ("eq", s.to_array(s.select(s.eq(a, a), a, b))),
            ("ne", s.to_array(s.select(s.ne(a, a), b, a))),
        ]
    }
}

fn wanted() -> Vec<Lanes> {
    let (x, y) = (VALUES, others());
    let zip = |f: fn(f32, f32) -> f32| std::array::from_fn(|i| f(x[i], y[i]));
    vec![
        zip(|a, b| a + b),
        zip(|a, b| a - b),
        zip(|a, b| a * b),
        zip(|a, b| a / b),
        zip(|a, b| if a > b { a } else { b }),
        zip(|a, b| if a < b { a } else { b }),
        x.map(f32::sqrt),
        x.map(f32::round_ties_even),
        x.map(f32::floor),
        x.map(|a| -a),
        x.map(f32::abs),
        zip(|a, b| if a < b { a } else { b }),
        zip(|a, b| if a <= b { a } else { b }),
        zip(|a, b| if a.is_nan() { b } else { a }),
        zip(|a, b| if a.is_nan() { b } else { a }),
    ]
}

#[test]
fn floats_are_those_of_rust() {
    on_all(|isa| {
        for ((name, found), wanted) in dispatch_on(isa, Floats).into_iter().zip(wanted()) {
            assert_same(isa, name, found, wanted);
        }
    });
}

struct Fused;

impl Kernel for Fused {
    type Output = [Lanes; 2];

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> [Lanes; 2] {
        let (a, b, c) = (s.splat(1.0 + f32::EPSILON), s.splat(1.0 - f32::EPSILON), s.splat(-1.0));
        [s.to_array(s.fma(a, b, c)), s.to_array(s.fnma(a, b, s.splat(1.0)))]
    }
}

#[test]
fn multiply_add_rounds_once_where_it_is_fused() {
    on_all(|isa| {
        let tiny = f32::EPSILON * f32::EPSILON;
        let tiny = if isa == Isa::Portable { 0.0 } else { tiny };
        let [fma, fnma] = dispatch_on(isa, Fused);
        assert_eq!((fma[0], fnma[15]), (-tiny, tiny), "{isa}");
    });
}

struct Integers;

impl Kernel for Integers {
    type Output = Vec<[i32; LANES]>;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Output {
        let x: [i32; LANES] = std::array::from_fn(integer);
        let mut out = [0; LANES];
        let mut lanes = |v: S::I32| {
            // SAFETY: the array has 16 elements.
            unsafe { s.store_i32(out.as_mut_ptr(), v) };
            out
        };
        // SAFETY: the array has 16 elements.
        let a = unsafe { s.load_i32(x.as_ptr()) };
        let b = s.splat_i32(-0x1234_5679);
        vec![
            lanes(s.add_i32(a, b)),
            lanes(s.sub_i32(a, b)),
            lanes(s.mul_i32(a, b)),
            lanes(s.and_i32(a, b)),
            lanes(s.or_i32(a, b)),
            lanes(s.xor_i32(a, b)),
            lanes(s.shl_i32::<13>(a)),
            lanes(s.shr_u32::<13>(a)),
            lanes(s.shr_i32::<13>(a)),
            lanes(s.select_i32(s.gt_i32(a, b), a, b)),
            lanes(s.select_i32(s.eq_i32(a, a), a, b)),
            lanes(s.bits(s.to_f32(a))),
        ]
    }
}

fn integer(lane: usize) -> i32 {
    (lane as i32 - 7).wrapping_mul(0x1357_9bdf)
}

#[test]
fn integers_are_those_of_rust() {
    let b = -0x1234_5679;
    let each = |f: fn(i32, i32) -> i32| std::array::from_fn(|lane| f(integer(lane), b));
    let wanted: Vec<[i32; LANES]> = vec![
        each(|a, b| a.wrapping_add(b)),
        each(|a, b| a.wrapping_sub(b)),
        each(|a, b| a.wrapping_mul(b)),
        each(|a, b| a & b),
        each(|a, b| a | b),
        each(|a, b| a ^ b),
        each(|a, _| a << 13),
        each(|a, _| ((a as u32) >> 13) as i32),
        each(|a, _| a >> 13),
        each(|a, b| a.max(b)),
        each(|a, _| a),
        each(|a, _| (a as f32).to_bits() as i32),
    ];
    on_all(|isa| assert_eq!(dispatch_on(isa, Integers), wanted, "{isa}"));
}

struct Rounded;

impl Kernel for Rounded {
    type Output = ([i32; LANES], [u16; LANES], [u16; LANES], Lanes, Lanes, u16);

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Output {
        let mut integers = [0; LANES];
        let (mut brain, mut half) = ([0; LANES], [0; LANES]);
        // SAFETY: the arrays have 16 elements.
        unsafe {
            let x = s.load(VALUES.as_ptr());
            s.store_i32(integers.as_mut_ptr(), s.to_i32(x));
            s.store_bf16(brain.as_mut_ptr(), x);
            s.store_f16(half.as_mut_ptr(), x);
            let (b, h) = (s.load_bf16(brain.as_ptr()), s.load_f16(half.as_ptr()));
            (integers, brain, half, s.to_array(b), s.to_array(h), s.mask_bits(s.lt(x, s.zero())))
        }
    }
}

#[test]
fn conversions_round_to_nearest() {
    on_all(|isa| {
        let (integers, brain, half, from_brain, from_half, negative) = dispatch_on(isa, Rounded);
        for lane in 0..LANES {
            let x = VALUES[lane];
            let nearest = x.round_ties_even();
            let fits = (-2_147_483_648.0..2_147_483_648.0).contains(&nearest);
            assert_eq!(integers[lane], if fits { nearest as i32 } else { i32::MIN }, "{isa}: {x}");
            assert_eq!(negative >> lane & 1 == 1, x < 0.0, "{isa}: {x}");
            if x.is_nan() {
                assert!(bf16::from_bits(brain[lane]).is_nan() && f16::from_bits(half[lane]).is_nan());
                continue;
            }
            assert_eq!(brain[lane], bf16::from_f32(x).to_bits(), "{isa}: {x}");
            assert_eq!(half[lane], f16::from_f32(x).to_bits(), "{isa}: {x}");
            assert_eq!(from_brain[lane], bf16::from_f32(x).to_f32(), "{isa}: {x}");
            assert_eq!(from_half[lane], f16::from_f32(x).to_f32(), "{isa}: {x}");
        }
    });
}

struct Parts;

impl Kernel for Parts {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for n in 0..=LANES {
            // Exactly n elements, so that a sanitizer sees a read or write past them.
            let from: Vec<f32> = (0..n).map(|i| i as f32 + 1.0).collect();
            let mut to = vec![0.0f32; n];
            // SAFETY: both have n elements.
            let x = unsafe { s.load_first(from.as_ptr(), n) };
            let lanes: Lanes = std::array::from_fn(|i| if i < n { i as f32 + 1.0 } else { 0.0 });
            assert_eq!(s.to_array(x), lanes);
            // SAFETY: as above.
            unsafe { s.store_first(to.as_mut_ptr(), n, x) };
            assert_eq!(to, from);
        }
    }
}

#[test]
fn parts_of_a_vector_stay_within_their_elements() {
    on_all(|isa| dispatch_on(isa, Parts));
}

struct Across;

impl Kernel for Across {
    type Output = (f32, f32, [Lanes; LANES]);

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Output {
        let x: Lanes = std::array::from_fn(|i| 1.0 + 0.1 * (i * i) as f32);
        // SAFETY: the array has 16 elements.
        let v = unsafe { s.load(x.as_ptr()) };
        let mut rows: [S::F32; LANES] = std::array::from_fn(|row| {
            let row: Lanes = std::array::from_fn(|column| (16 * row + column) as f32);
            // SAFETY: the array has 16 elements.
            unsafe { s.load(row.as_ptr()) }
        });
        s.transpose(&mut rows);
        (s.reduce_add(v), s.reduce_max(v), rows.map(|row| s.to_array(row)))
    }
}

#[test]
fn folds_and_transposes_are_the_same_everywhere() {
    let (sum, largest, _) = dispatch_on(Isa::Portable, Across);
    on_all(|isa| {
        let (a, b, rows) = dispatch_on(isa, Across);
        assert_eq!((a.to_bits(), b), (sum.to_bits(), largest), "{isa}");
        for (row, lanes) in rows.iter().enumerate() {
            let wanted: Lanes = std::array::from_fn(|column| (16 * column + row) as f32);
            assert_eq!(lanes, &wanted, "row {row} on {isa}");
        }
    });
}
