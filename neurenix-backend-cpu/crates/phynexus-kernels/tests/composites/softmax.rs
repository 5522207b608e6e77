use phynexus_kernels::cross_entropy::{SoftmaxCrossEntropy, SoftmaxCrossEntropyBackward};
use phynexus_kernels::gelu::Gelu;
use phynexus_kernels::softmax::{LogSoftmax, LogSoftmaxBackward, Softmax, SoftmaxBackward};
use phynexus_kernels::{DType, KernelError, Operation};

use crate::support::{Array, FLOATS, Rng, batch_invariant, close, run};

/// Calls `f` with the places of each row along an axis.
fn each_row(sizes: &[usize], axis: usize, mut f: impl FnMut(&[usize])) {
    let (count, inner) = (sizes[axis], sizes[axis + 1..].iter().product::<usize>());
    for outer in 0..sizes[..axis].iter().product() {
        for column in 0..inner {
            let places: Vec<usize> = (0..count).map(|k| (outer * count + k) * inner + column).collect();
            f(&places);
        }
    }
}

fn logarithms(x: &[f64], sizes: &[usize], axis: usize) -> Vec<f64> {
    let mut out = vec![0.0; x.len()];
    each_row(sizes, axis, |row| {
        let max = row.iter().fold(f64::NEG_INFINITY, |max, &i| max.max(x[i]));
        let log = row.iter().map(|&i| (x[i] - max).exp()).sum::<f64>().ln();
        row.iter().for_each(|&i| out[i] = x[i] - max - log);
    });
    out
}

#[test]
fn softmax_and_its_gradients_are_right() {
    let mut rng = Rng::new(1);
    for turn in 0..40 {
        let dtype = FLOATS[turn % 4];
        let mut sizes = [rng.size(1, 9), rng.size(1, 40), rng.size(1, 150)];
        if turn % 10 == 0 {
            sizes = [5, 77, 300]; // enough for a second thread
        }
        for axis in 0..3 {
            let meta = (dtype, &sizes[..]);
            let (x, grad) = (Array::random(&mut rng, dtype, &sizes), Array::random(&mut rng, dtype, &sizes));
            let logs = logarithms(&x.values(), &sizes, axis);
            let powers: Vec<f64> = logs.iter().map(|x| x.exp()).collect();
            let ops: [(&dyn Operation, &[f64]); 2] =
                [(&Softmax { axis }, &powers), (&LogSoftmax { axis }, &logs)];
            let mut forward = Vec::new();
            for (op, wanted) in ops {
                let result = run(op, &[meta], &[Some(&x)]);
                close(op.name(), &result[0].values(), wanted, dtype);
                if axis > 0 {
                    batch_invariant(op, &[meta], &[Some(&x)], &[true], &result);
                }
                forward.extend(result);
            }
            let (g, y, log) = (grad.values(), forward[0].values(), forward[1].values());
            let (mut wanted, mut wanted_log) = (vec![0.0; g.len()], vec![0.0; g.len()]);
            each_row(&sizes, axis, |row| {
                let dot: f64 = row.iter().map(|&i| g[i] * y[i]).sum();
                let sum: f64 = row.iter().map(|&i| g[i]).sum();
                for &i in row {
                    wanted[i] = y[i] * (g[i] - dot);
                    wanted_log[i] = g[i] - log[i].exp() * sum;
                }
            });
            let result = run(&SoftmaxBackward { axis }, &[meta], &[Some(&grad), Some(&forward[0])]);
            close("softmax_backward", &result[0].values(), &wanted, dtype);
            let result = run(&LogSoftmaxBackward { axis }, &[meta], &[Some(&grad), Some(&forward[1])]);
            close("log_softmax_backward", &result[0].values(), &wanted_log, dtype);
        }
    }
}

#[test]
fn softmax_of_masked_and_broken_rows_is_as_the_formula_says() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let rows = [[0.0, -inf, 0.0], [inf, 0.0, 0.0], [nan, 0.0, 1.0], [-inf, -inf, -inf]];
    let x = Array::new(DType::F32, &[4, 3], rows.concat());
    let y = run(&Softmax { axis: 1 }, &[(DType::F32, &[4, 3])], &[Some(&x)])[0].values();
    assert_eq!(y[..3], [0.5, 0.0, 0.5]);
    assert!(y[3..].iter().all(|x| x.is_nan()), "{y:?}");
}

#[test]
fn cross_entropy_and_its_gradient_are_right() {
    let mut rng = Rng::new(2);
    for turn in 0..24 {
        let dtype = FLOATS[turn % 4];
        let (rows, classes) = (rng.size(1, 60), rng.size(1, 200));
        let sizes = [rows, classes];
        let logits = Array::random(&mut rng, dtype, &sizes);
        let target: Vec<usize> = (0..rows).map(|_| rng.size(0, classes - 1)).collect();
        let index = if turn % 3 == 0 { DType::I32 } else { DType::I64 };
        let places = Array::new(index, &[rows], target.iter().map(|&class| class as f64));
        let metas = [(dtype, &sizes[..1]), (dtype, &sizes[..])];
        let inputs = [Some(&logits), Some(&places)];
        let result = run(&SoftmaxCrossEntropy, &metas, &inputs);
        let logs = logarithms(&logits.values(), &sizes, 1);
        let losses: Vec<f64> = target.iter().enumerate().map(|(row, &c)| -logs[row * classes + c]).collect();
        close("loss", &result[0].values(), &losses, dtype);
        close("log_probs", &result[1].values(), &logs, dtype);
        batch_invariant(&SoftmaxCrossEntropy, &metas, &inputs, &[true, true], &result);

        let grad = Array::random(&mut rng, dtype, &[rows]);
        let (g, logs) = (grad.values(), result[1].values());
        let wanted: Vec<f64> = (0..rows * classes)
            .map(|i| {
                let hot = if target[i / classes] == i % classes { 1.0 } else { 0.0 };
                (logs[i].exp() - hot) * g[i / classes]
            })
            .collect();
        let inputs = [Some(&grad), Some(&logits), Some(&result[1]), Some(&places)];
        let dx = run(&SoftmaxCrossEntropyBackward, &[(dtype, &sizes)], &inputs);
        close("softmax_cross_entropy_backward", &dx[0].values(), &wanted, dtype);
    }
}

#[test]
fn a_target_that_is_no_class_is_named() {
    let error = crate::support::error(
        &SoftmaxCrossEntropy,
        &[(DType::F32, &[2]), (DType::F32, &[2, 3])],
        &[Some(&Array::new(DType::F32, &[2, 3], [0.0; 6])), Some(&Array::new(DType::I64, &[2], [1.0, 3.0]))],
    );
    assert!(
        matches!(&error, KernelError::Index(message) if message.contains("sample 1 is class 3")),
        "{error}"
    );
}

#[test]
fn gelu_is_right() {
    let mut rng = Rng::new(3);
    let erf = phynexus_simd::math::erf_f64;
    for turn in 0..16 {
        let dtype = FLOATS[turn % 4];
        let count = if turn < 4 { 300_001 } else { rng.size(1, 3000) };
        let x = Array::random(&mut rng, dtype, &[count]);
        for by_tanh in [false, true] {
            let op = Gelu { by_tanh };
            let result = run(&op, &[(dtype, &[count])], &[Some(&x)]);
            let wanted: Vec<f64> = x
                .values()
                .into_iter()
                .map(|x| {
                    let slope = (2.0 / std::f64::consts::PI).sqrt();
                    let t = if by_tanh {
                        (slope * (x + 0.044715 * x * x * x)).tanh()
                    } else {
                        erf(x * 0.5f64.sqrt())
                    };
                    0.5 * x * (1.0 + t)
                })
                .collect();
            close("gelu", &result[0].values(), &wanted, dtype);
            batch_invariant(&op, &[(dtype, &[count])], &[Some(&x)], &[true], &result);
        }
    }
}
