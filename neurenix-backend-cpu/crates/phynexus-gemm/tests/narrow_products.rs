//! Products of bfloat16 and of 8-bit integers, on every instruction set.

mod support;

use half::bf16;
use phynexus_gemm::{
    Activation, Bf16Epilogue, Bf16Out, Int8Out, Int8Residual, MatMut, MatRef, PackedBf16, PackedInt8,
    Requantize, gemm_bf16, gemm_bf16_widened, gemm_int8,
};
use support::{Random, fused_isas, isas};

const SHAPES: [(usize, usize, usize); 12] = [
    (1, 1, 1),
    (1, 40, 33),
    (3, 16, 64),
    (14, 32, 128),
    (15, 33, 127),
    (16, 10, 256),
    (29, 70, 1024),
    (100, 65, 2048),
    (70, 200, 30),
    (5, 48, 3),
    (0, 8, 8),
    (4, 8, 0),
];

/// Elements of a matrix at strides in a longer buffer, and the buffer.
struct Placed<T> {
    data: Vec<T>,
    start: usize,
    shape: (usize, usize),
    strides: (usize, usize),
}

impl<T: Copy> Placed<T> {
    fn new(random: &mut Random, rows: usize, cols: usize, mut element: impl FnMut(&mut Random) -> T) -> Self {
        let strides = match random.below(4) {
            0 | 1 => (cols + random.below(3), 1),
            2 => (1, rows + random.below(3)),
            _ => (2 * cols + 1, 2),
        };
        let start = random.below(5);
        let len = start + rows * strides.0 + cols * strides.1 + 1;
        let data = (0..len).map(|_| element(random)).collect();
        Self { data, start, shape: (rows, cols), strides }
    }

    fn view(&self) -> MatRef<'_, T> {
        let (rows, cols) = self.shape;
        MatRef::with_strides(&self.data[self.start..], rows, cols, self.strides.0, self.strides.1)
    }

    fn view_mut(&mut self) -> MatMut<'_, T> {
        let (rows, cols) = self.shape;
        MatMut::with_strides(&mut self.data[self.start..], rows, cols, self.strides.0, self.strides.1)
    }

    fn at(&self, i: usize, j: usize) -> T {
        self.data[self.start + i * self.strides.0 + j * self.strides.1]
    }

    fn dense(&self) -> Vec<T> {
        (0..self.shape.0).flat_map(|i| (0..self.shape.1).map(move |j| self.at(i, j))).collect()
    }
}

fn narrow(random: &mut Random) -> bf16 {
    bf16::from_f32(random.float())
}

#[test]
fn bfloat16_agrees_with_f64() {
    let mut random = Random::new(11);
    for (m, n, k) in SHAPES {
        let a = Placed::new(&mut random, m, k, narrow);
        let b = Placed::new(&mut random, k, n, narrow);
        let residual = Placed::new(&mut random, m, n, narrow);
        let bias = random.floats(n);
        let epilogue = Bf16Epilogue {
            col_bias: Some(&bias),
            residual: Some(residual.view()),
            activation: Activation::Relu,
        };
        for isa in isas() {
            let packed = PackedBf16::for_isa(isa, b.view());
            let mut c = Placed::new(&mut random, m, n, Random::float);
            gemm_bf16(a.view(), &packed, Bf16Out::F32(c.view_mut()), &epilogue);
            for i in 0..m {
                for (j, &bias) in bias.iter().enumerate() {
                    let products = (0..k).map(|k| f64::from(a.at(i, k)) * f64::from(b.at(k, j)));
                    let added = f64::from(bias) + f64::from(residual.at(i, j));
                    let size: f64 = products.clone().map(f64::abs).sum::<f64>() + added.abs() + 1.0;
                    let expected = (products.sum::<f64>() + added).max(0.0);
                    let error = (f64::from(c.at(i, j)) - expected).abs();
                    assert!(
                        error <= size * 1e-6,
                        "{isa} {m}x{k}x{n} ({i}, {j}): {} for {expected}",
                        c.at(i, j)
                    );
                }
            }
            let mut rounded = Placed::new(&mut random, m, n, narrow);
            gemm_bf16(a.view(), &packed, Bf16Out::Bf16(rounded.view_mut()), &epilogue);
            let expected: Vec<_> = c.dense().into_iter().map(bf16::from_f32).collect();
            assert_eq!(rounded.dense(), expected, "{isa} {m}x{k}x{n}: rounded once");
        }
    }
}

#[test]
fn widened_bfloat16_is_one_chain_on_every_instruction_set() {
    let mut random = Random::new(12);
    for (m, n, k) in SHAPES {
        let a = Placed::new(&mut random, m, k, narrow);
        let b = Placed::new(&mut random, k, n, narrow);
        for isa in fused_isas() {
            let packed = PackedBf16::for_isa(isa, b.view());
            let mut c = Placed::new(&mut random, m, n, Random::float);
            gemm_bf16_widened(a.view(), &packed, Bf16Out::F32(c.view_mut()), &Bf16Epilogue::default());
            for i in 0..m {
                for j in 0..n {
                    let chain =
                        (0..k).fold(0.0f32, |sum, k| a.at(i, k).to_f32().mul_add(b.at(k, j).to_f32(), sum));
                    assert_eq!(c.at(i, j), chain, "{isa} {m}x{k}x{n} ({i}, {j})");
                }
            }
        }
    }
}

#[test]
fn a_row_has_the_same_bits_in_any_number_of_rows() {
    let mut random = Random::new(13);
    // Rows a page apart as well, which are copied only where there are many.
    for (n, k) in [(70, 2048), (33, 300), (16, 301)] {
        let a: Vec<_> = (0..200 * k).map(|_| narrow(&mut random)).collect();
        let bytes: Vec<_> = (0..200 * k).map(|_| random.next() as u8).collect();
        let b = Placed::new(&mut random, k, n, narrow);
        let weights = Placed::new(&mut random, k, n, |random| random.next() as i8);
        for isa in isas() {
            let packed = PackedBf16::for_isa(isa, b.view());
            let packed_int8 = PackedInt8::for_isa(isa, weights.view());
            let product = |rows: usize| {
                let (mut c, mut sums) = (vec![0.0; rows * n], vec![0; rows * n]);
                let out = Bf16Out::F32(MatMut::new(&mut c, rows, n));
                gemm_bf16(MatRef::new(&a, rows, k), &packed, out, &Bf16Epilogue::default());
                let out = Int8Out::Sums(MatMut::new(&mut sums, rows, n));
                gemm_int8(MatRef::new(&bytes, rows, k), &packed_int8, out);
                (c, sums)
            };
            let (all, all_sums) = product(200);
            for rows in [1, 2, 8, 9, 15, 31, 120] {
                let (some, some_sums) = product(rows);
                assert_eq!(some, all[..rows * n], "{isa}: {rows} rows");
                assert_eq!(some_sums, all_sums[..rows * n], "{isa}: {rows} rows");
            }
        }
    }
}

#[test]
fn sums_of_integers_are_exact() {
    let mut random = Random::new(14);
    for (m, n, k) in SHAPES.into_iter().chain([(3, 20, 9000)]) {
        for extreme in [false, true] {
            let a = Placed::new(&mut random, m, k, |random| if extreme { 255 } else { random.next() as u8 });
            let b = Placed::new(&mut random, k, n, |random| if extreme { -128 } else { random.next() as i8 });
            let expected: Vec<i32> = (0..m * n)
                .map(|at| (0..k).map(|k| i32::from(a.at(at / n, k)) * i32::from(b.at(k, at % n))).sum())
                .collect();
            for isa in isas() {
                let packed = PackedInt8::for_isa(isa, b.view());
                let mut c = Placed::new(&mut random, m, n, |_| 7);
                gemm_int8(a.view(), &packed, Int8Out::Sums(c.view_mut()));
                assert_eq!(c.dense(), expected, "{isa} {m}x{k}x{n}");
            }
        }
    }
}

#[test]
fn integers_are_requantised_alike_on_every_instruction_set() {
    let mut random = Random::new(15);
    for (m, n, k) in SHAPES {
        let a = Placed::new(&mut random, m, k, |random| random.next() as u8);
        let b = Placed::new(&mut random, k, n, |random| random.next() as i8);
        let residual = Placed::new(&mut random, m, n, |random| random.next() as u8);
        let (scale, bias) = (random.floats(n), random.floats(n));
        let requantize = Requantize {
            a_zero: 117,
            scale: &scale,
            col_bias: Some(&bias),
            residual: Some(Int8Residual { elements: residual.view(), scale: 0.3, zero: 9 }),
            activation: Activation::Relu,
        };
        for isa in isas() {
            let packed = PackedInt8::for_isa(isa, b.view());
            let mut numbers = Placed::new(&mut random, m, n, Random::float);
            let mut bytes = Placed::new(&mut random, m, n, |_| 7u8);
            gemm_int8(a.view(), &packed, Int8Out::F32(numbers.view_mut(), requantize));
            let out = Int8Out::U8 { c: bytes.view_mut(), requantize, scale: 77.5, zero: 3 };
            gemm_int8(a.view(), &packed, out);
            for i in 0..m {
                for j in 0..n {
                    let sum: i32 =
                        (0..k).map(|k| (i32::from(a.at(i, k)) - 117) * i32::from(b.at(k, j))).sum();
                    let added = (f32::from(residual.at(i, j)) - 9.0) * 0.3;
                    let expected = (sum as f32 * scale[j] + bias[j] + added).max(0.0);
                    assert_eq!(numbers.at(i, j), expected, "{isa} {m}x{k}x{n} ({i}, {j})");
                    let byte = ((expected / 77.5).round_ties_even() + 3.0).clamp(0.0, 255.0) as u8;
                    assert_eq!(bytes.at(i, j), byte, "{isa} {m}x{k}x{n} ({i}, {j})");
                }
            }
        }
    }
}

#[test]
fn what_is_not_finite_stays_so_in_bfloat16() {
    let (m, n, k) = (5, 20, 40);
    let mut a = vec![bf16::ONE; m * k];
    a[2 * k + 7] = bf16::NAN;
    a[3 * k + 8] = bf16::INFINITY;
    let b = vec![bf16::ONE; k * n];
    for isa in isas() {
        let packed = PackedBf16::for_isa(isa, MatRef::new(&b, k, n));
        let mut c = vec![bf16::ZERO; m * n];
        let epilogue = Bf16Epilogue { activation: Activation::Relu, ..Bf16Epilogue::default() };
        gemm_bf16(MatRef::new(&a, m, k), &packed, Bf16Out::Bf16(MatMut::new(&mut c, m, n)), &epilogue);
        for (at, x) in c.iter().enumerate() {
            let expected = [40.0, 40.0, f32::NAN, f32::INFINITY, 40.0][at / n];
            let is_same = x.to_f32() == expected || x.is_nan() && expected.is_nan();
            assert!(is_same, "{isa} {at}: {x} for {expected}");
        }
    }
}
