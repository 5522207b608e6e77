use phynexus_kernels::DType;
use phynexus_kernels::matmul::{Linear, Matmul};

use crate::support::{Array, FLOATS, Rng, batch_invariant, close, run};

fn product(x: &[f64], y: &[f64], [rows, depth, cols]: [usize; 3]) -> Vec<f64> {
    let one = |i: usize| (0..depth).map(|k| x[i / cols * depth + k] * y[k * cols + i % cols]).sum();
    (0..rows * cols).map(one).collect()
}

#[test]
fn products_are_right_in_every_dtype() {
    let mut rng = Rng::new(12);
    let dtypes = [FLOATS.as_slice(), &[DType::I64, DType::I32]].concat();
    for turn in 0..48 {
        let dtype = dtypes[turn % dtypes.len()];
        let [batch, rows, depth, cols] = [rng.size(1, 4), rng.size(1, 40), rng.size(1, 60), rng.size(1, 70)];
        let (left, right) = ([batch, rows, depth], [if turn % 2 == 0 { batch } else { 1 }, depth, cols]);
        let (x, y) = (Array::random(&mut rng, dtype, &left), Array::random(&mut rng, dtype, &right));
        let out = [batch, rows, cols];
        let result = run(&Matmul, &[(dtype, &out)], &[Some(&x), Some(&y)]);
        let (x_values, y_values) = (x.values(), y.values());
        let wanted: Vec<f64> = (0..batch)
            .flat_map(|i| {
                let y = i % right[0] * depth * cols;
                product(&x_values[i * rows * depth..], &y_values[y..], [rows, depth, cols])
            })
            .collect();
        close("matmul", &result[0].values(), &wanted, dtype);
        let batched = [true, right[0] > 1 || batch == 1];
        batch_invariant(&Matmul, &[(dtype, &out)], &[Some(&x), Some(&y)], &batched, &result);
    }
}

#[test]
fn integers_wrap() {
    let x = Array::new(DType::U8, &[1, 2], [200.0, 100.0]);
    let y = Array::new(DType::U8, &[2, 1], [2.0, 3.0]);
    let found = run(&Matmul, &[(DType::U8, &[1, 1])], &[Some(&x), Some(&y)]);
    assert_eq!(found[0].values(), [f64::from(700u32 as u8)]);
}

#[test]
fn an_empty_sum_is_zero() {
    for dtype in [DType::F32, DType::F64, DType::I32, DType::Bf16] {
        let (x, y) = (Array::new(dtype, &[2, 0], []), Array::new(dtype, &[0, 3], []));
        assert_eq!(run(&Matmul, &[(dtype, &[2, 3])], &[Some(&x), Some(&y)])[0].values(), [0.0; 6]);
    }
}

#[test]
fn linear_is_right() {
    let mut rng = Rng::new(13);
    for turn in 0..32 {
        let dtype = FLOATS[turn % 4];
        let [batch, rows, depth, cols] = [rng.size(1, 6), rng.size(1, 30), rng.size(1, 90), rng.size(1, 90)];
        let sizes = [batch, rows, depth];
        let x = Array::random(&mut rng, dtype, &sizes);
        let weight = Array::random(&mut rng, dtype, &[cols, depth]);
        let bias = (turn % 3 != 0).then(|| Array::random(&mut rng, dtype, &[cols]));
        let (w, b) = (weight.values(), bias.as_ref().map(Array::values));
        let turned: Vec<f64> = (0..depth * cols).map(|i| w[i % cols * depth + i / cols]).collect();
        let mut wanted = product(&x.values(), &turned, [batch * rows, depth, cols]);
        if let Some(b) = b {
            wanted.iter_mut().enumerate().for_each(|(i, y)| *y += b[i % cols]);
        }
        let (out, inputs) = ([batch, rows, cols], [Some(&x), Some(&weight), bias.as_ref()]);
        let result = run(&Linear, &[(dtype, &out)], &inputs);
        close("linear", &result[0].values(), &wanted, dtype);
        batch_invariant(&Linear, &[(dtype, &out)], &inputs, &[true, false, false], &result);
    }
}
