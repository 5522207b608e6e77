//! Products in f32 against f64, over shapes, strides, epilogues and instruction sets.

mod support;

use phynexus_gemm::{Activation, Epilogue, MatMut, MatRef, PackedB, gemm, gemm_on, gemm_packed};
use phynexus_simd::Isa;
use support::{Operand, Random, expected, fused_isas, isas};

fn view_mut(c: &mut Operand) -> MatMut<'_> {
    MatMut::with_strides(&mut c.data[c.start..], c.rows, c.cols, c.row_stride, c.col_stride)
}

/// Multiplies on an instruction set and compares each element, and that nothing else is written.
fn check(isa: Isa, a: &Operand, b: &Operand, c: &Operand, epilogue: &Epilogue<'_>) -> Operand {
    let mut result = c.clone();
    gemm_on(isa, a.view(), b.view(), view_mut(&mut result), epilogue);
    for i in 0..c.rows {
        for j in 0..c.cols {
            let (expected, tolerance) = expected(a, b, c, epilogue, i, j);
            let found = f64::from(result.at(i, j));
            assert!(
                (found - expected).abs() <= tolerance,
                "{isa} {}x{}x{} ({i}, {j}): {found} for {expected} +- {tolerance}",
                c.rows,
                a.cols,
                c.cols
            );
        }
    }
    assert_eq!(result.outside(), c.outside(), "elements around the result were written");
    result
}

fn random_epilogue<'a>(
    random: &mut Random,
    col_bias: &'a [f32],
    row_bias: &'a [f32],
    residual: MatRef<'a>,
) -> Epilogue<'a> {
    Epilogue {
        accumulate: random.below(3) == 0,
        col_bias: (random.below(3) == 0).then_some(col_bias),
        row_bias: (random.below(3) == 0).then_some(row_bias),
        residual: (random.below(3) == 0).then_some(residual),
        activation: [Activation::None, Activation::Relu, Activation::Clamp { low: -0.5, high: 1.5 }]
            [random.below(3)],
    }
}

#[test]
fn random_shapes_strides_and_epilogues() {
    let mut random = Random::new(1);
    for round in 0..400 {
        let mut extent = |most: usize| match random.below(8) {
            0 => 0,
            1 => 1,
            2 => [14, 16, 28, 32, 33, 48, 64][random.below(7)],
            _ => 1 + random.below(most),
        };
        let (m, n, k) = match round % 4 {
            0 => (extent(20), extent(40), extent(40)),
            1 => (extent(130), extent(90), extent(600)),
            2 => (extent(4), extent(300), extent(300)),
            _ => (extent(300), extent(6), extent(70)),
        };
        let a = Operand::random(&mut random, m, k);
        let b = Operand::random(&mut random, k, n);
        let c = Operand::random(&mut random, m, n);
        let residual = Operand::random(&mut random, m, n);
        let (col_bias, row_bias) = (random.floats(n), random.floats(m));
        let epilogue = random_epilogue(&mut random, &col_bias, &row_bias, residual.view());
        let results: Vec<_> =
            isas().into_iter().map(|isa| (isa, check(isa, &a, &b, &c, &epilogue).dense())).collect();
        let fused: Vec<_> = results.iter().filter(|(isa, _)| *isa != Isa::Portable).collect();
        for pair in fused.windows(2) {
            assert_eq!(pair[0].1, pair[1].1, "{m}x{k}x{n}: {} and {} differ", pair[0].0, pair[1].0);
        }
    }
}

#[test]
fn every_result_is_one_chain_of_fused_multiply_adds() {
    let mut random = Random::new(2);
    for (m, n, k) in [(37, 70, 700), (1, 33, 300), (15, 1, 900), (3, 5, 17), (100, 40, 1030)] {
        let a = Operand::random(&mut random, m, k);
        let b = Operand::random(&mut random, k, n);
        let c = Operand::random(&mut random, m, n);
        for isa in fused_isas() {
            let mut result = c.clone();
            gemm_on(isa, a.view(), b.view(), view_mut(&mut result), &Epilogue::ACCUMULATE);
            for i in 0..m {
                for j in 0..n {
                    let chain = (0..k).fold(c.at(i, j), |sum, k| a.at(i, k).mul_add(b.at(k, j), sum));
                    assert_eq!(result.at(i, j).to_bits(), chain.to_bits(), "{isa} {m}x{k}x{n} ({i}, {j})");
                }
            }
        }
    }
}

#[test]
fn a_row_has_the_same_bits_in_any_number_of_rows() {
    let mut random = Random::new(3);
    let (n, k) = (77, 530);
    for (row_stride, col_stride) in [(n, 1), (1, k)] {
        let a = Operand::new(&mut random, 200, k, k, 1);
        let b = Operand::new(&mut random, k, n, row_stride, col_stride);
        for isa in isas() {
            let product = |rows: usize| {
                let mut c = vec![0.0; rows * n];
                let a = MatRef::with_strides(&a.data[a.start..], rows, k, k, 1);
                gemm_on(isa, a, b.view(), MatMut::new(&mut c, rows, n), &Epilogue::NONE);
                c
            };
            let all = product(200);
            for rows in [1, 2, 3, 5, 13, 16, 31, 64, 199] {
                assert_eq!(product(rows), all[..rows * n], "{isa}: {rows} rows");
            }
        }
    }
}

#[test]
fn packed_weights_give_the_same_bits() {
    let mut random = Random::new(4);
    for (m, n, k) in
        [(1, 100, 64), (2, 10, 256), (16, 256, 512), (33, 65, 300), (5, 32, 16), (0, 4, 4), (4, 4, 0)]
    {
        let a = Operand::random(&mut random, m, k);
        let b = Operand::random(&mut random, k, n);
        let c = Operand::random(&mut random, m, n);
        let bias = random.floats(n);
        let epilogue = Epilogue { col_bias: Some(&bias), activation: Activation::Relu, ..Epilogue::NONE };
        for isa in isas() {
            let packed = PackedB::for_isa(isa, b.view());
            let (mut first, mut second) = (c.clone(), c.clone());
            gemm_packed(a.view(), &packed, view_mut(&mut first), &epilogue);
            gemm_on(isa, a.view(), b.view(), view_mut(&mut second), &epilogue);
            assert_eq!(first.data, second.data, "{isa} {m}x{k}x{n}");
        }
    }
}

#[test]
fn what_is_not_finite_reaches_its_row_and_column_alone() {
    let mut random = Random::new(5);
    for (m, n, k) in [(1, 40, 40), (20, 50, 300), (40, 7, 33), (3, 3, 3)] {
        let mut a = Operand::random(&mut random, m, k);
        let mut b = Operand::random(&mut random, k, n);
        let c = Operand::random(&mut random, m, n);
        let (row, col, inner) = (m / 2, n - 1, k / 3);
        let (at_a, at_b) = (a.index(row, inner), b.index(inner, col));
        a.data[at_a] = 0.0;
        b.data[at_b] = f32::INFINITY;
        for isa in isas() {
            let mut result = c.clone();
            gemm_on(
                isa,
                a.view(),
                b.view(),
                view_mut(&mut result),
                &Epilogue { activation: Activation::Relu, ..Epilogue::NONE },
            );
            for i in 0..m {
                for j in 0..n {
                    let x = result.at(i, j);
                    assert_eq!(
                        j == col && !x.is_finite(),
                        j == col && (i == row || a.at(i, inner) > 0.0),
                        "{isa} ({i}, {j})"
                    );
                    assert_eq!(x.is_nan(), (i, j) == (row, col), "{isa} ({i}, {j}): {x}");
                }
            }
        }
    }
}

#[test]
fn large_products_agree_with_small_ones() {
    // More than is packed at a time, in depth and in columns, seen through single rows.
    let mut random = Random::new(6);
    for (m, n, k) in [(40, 8, 140_000), (33, 5000, 1100)] {
        let a = Operand::new(&mut random, m, k, k, 1);
        let b = Operand::new(&mut random, k, n, 1, k);
        let mut c = vec![0.0; m * n];
        gemm(a.view(), b.view(), MatMut::new(&mut c, m, n), &Epilogue::NONE);
        let last = MatRef::with_strides(&a.data[a.start + (m - 1) * k..], 1, k, k, 1);
        let mut row = vec![0.0; n];
        gemm(last, b.view(), MatMut::new(&mut row, 1, n), &Epilogue::NONE);
        assert_eq!(row, c[(m - 1) * n..], "{m}x{k}x{n}");
    }
}

#[test]
#[should_panic(expected = "2x4 = 2x3 * 5x4 is no product")]
fn shapes_that_do_not_fit_are_named() {
    let (a, b, mut c) = ([0.0; 6], [0.0; 20], [0.0; 8]);
    gemm(MatRef::new(&a, 2, 3), MatRef::new(&b, 5, 4), MatMut::new(&mut c, 2, 4), &Epilogue::NONE);
}
