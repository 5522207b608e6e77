use phynexus_kernels::batch_norm::{BatchNormInference, BatchNormTrain};
use phynexus_kernels::batch_norm_backward::BatchNormBackward;
use phynexus_kernels::layer_norm::LayerNorm;
use phynexus_kernels::layer_norm_backward::LayerNormBackward;
use phynexus_kernels::running_average::RunningAverage;
use phynexus_kernels::{DType, Operation};

use crate::support::{Array, FLOATS, Rng, batch_invariant, close, run};

/// What statistics are computed in.
fn wide(dtype: DType) -> DType {
    if dtype == DType::F64 { DType::F64 } else { DType::F32 }
}

fn mean_and_var(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    (mean, values.map(|x| (x - mean) * (x - mean)).sum::<f64>() / count)
}

fn at(values: &Option<Array>, index: usize, otherwise: f64) -> f64 {
    values.as_ref().map_or(otherwise, |values| values.values()[index])
}

#[test]
fn layer_norm_and_its_gradients_are_right() {
    let mut rng = Rng::new(4);
    for turn in 0..40 {
        let dtype = FLOATS[turn % 4];
        let (rows, width) = if turn < 4 { (300, 700) } else { (rng.size(1, 150), rng.size(1, 130)) };
        let sizes = [rows, width];
        let (x, grad) = (Array::random(&mut rng, dtype, &sizes), Array::random(&mut rng, dtype, &sizes));
        // Parameters of another dtype than the rows.
        let has = turn % 3 != 1;
        let weight = has.then(|| Array::random(&mut rng, wide(dtype), &[width]));
        let bias = (turn % 3 == 0).then(|| Array::random(&mut rng, dtype, &[width]));
        let (op, eps) = (LayerNorm { axes: 1, eps: 1e-5 }, 1e-5);
        let metas = [(dtype, &sizes[..]), (wide(dtype), &sizes[..1]), (wide(dtype), &sizes[..1])];
        let inputs = [Some(&x), weight.as_ref(), bias.as_ref()];
        let result = run(&op, &metas, &inputs);
        batch_invariant(&op, &metas, &inputs, &[true, false, false], &result);

        let (values, g) = (x.values(), grad.values());
        let (mut y, mut dx) = (vec![0.0; values.len()], vec![0.0; values.len()]);
        let (mut dweight, mut dbias) = (vec![0.0; width], vec![0.0; width]);
        let weights: Vec<f64> = (0..width).map(|j| at(&weight, j, 1.0)).collect();
        for row in 0..rows {
            let range = row * width..(row + 1) * width;
            let (mean, var) = mean_and_var(values[range.clone()].iter().copied());
            let rstd = 1.0 / (var + eps).sqrt();
            let normal: Vec<f64> = values[range.clone()].iter().map(|x| (x - mean) * rstd).collect();
            let scaled: Vec<f64> = (0..width).map(|j| g[row * width + j] * weights[j]).collect();
            let level = scaled.iter().sum::<f64>() / width as f64;
            let slope = scaled.iter().zip(&normal).map(|(g, n)| g * n).sum::<f64>() / width as f64;
            for j in 0..width {
                y[row * width + j] = normal[j] * weights[j] + at(&bias, j, 0.0);
                dx[row * width + j] = (scaled[j] - level - normal[j] * slope) * rstd;
                dweight[j] += g[row * width + j] * normal[j];
                dbias[j] += g[row * width + j];
            }
        }
        close("layer_norm", &result[0].values(), &y, dtype);
        let metas = [(dtype, &sizes[..]), (dtype, &sizes[1..]), (dtype, &sizes[1..])];
        let inputs = [Some(&grad), Some(&x), weight.as_ref(), Some(&result[1]), Some(&result[2])];
        let gradients = run(&LayerNormBackward { axes: 1 }, &metas, &inputs);
        if width > 1 {
            // Of one element the deviation is 0, and the gradient a difference of equals times 300.
            close("dx", &gradients[0].values(), &dx, dtype);
        }
        close("dweight", &gradients[1].values(), &dweight, dtype);
        close("dbias", &gradients[2].values(), &dbias, dtype);
    }
}

#[test]
fn batch_norm_and_its_gradients_are_right() {
    let mut rng = Rng::new(5);
    for turn in 0..48 {
        let dtype = FLOATS[turn % 4];
        let plane = [1, 1, 9, 50, 333][turn % 5];
        let mut sizes = [rng.size(2, 20), rng.size(1, 90), plane];
        if turn < 4 {
            sizes = [24, 70, 200];
        }
        let (samples, channels, plane) = (sizes[0], sizes[1], sizes[2]);
        let (x, grad) = (Array::random(&mut rng, dtype, &sizes), Array::random(&mut rng, dtype, &sizes));
        let weight = (turn % 2 == 0).then(|| Array::random(&mut rng, wide(dtype), &[channels]));
        let bias = (turn % 3 == 0).then(|| Array::random(&mut rng, dtype, &[channels]));
        let eps = 1e-3;
        let stat = (wide(dtype), &sizes[1..2]);
        let metas = [(dtype, &sizes[..]), stat, stat, stat];
        let result = run(&BatchNormTrain { eps }, &metas, &[Some(&x), weight.as_ref(), bias.as_ref()]);

        let (values, g) = (x.values(), grad.values());
        let (mut y, mut dx) = (vec![0.0; values.len()], vec![0.0; values.len()]);
        let (mut statistics, mut gradients) = ([vec![], vec![], vec![]], [vec![], vec![]]);
        for channel in 0..channels {
            let places: Vec<usize> =
                (0..samples * plane).map(|i| (i / plane * channels + channel) * plane + i % plane).collect();
            let (mean, var) = mean_and_var(places.iter().map(|&i| values[i]));
            let rstd = 1.0 / (var + eps).sqrt();
            let scale = rstd * at(&weight, channel, 1.0);
            let count = places.len() as f64;
            let dbias: f64 = places.iter().map(|&i| g[i]).sum();
            let dweight: f64 = places.iter().map(|&i| g[i] * (values[i] - mean) * rstd).sum();
            for &i in &places {
                let normal = (values[i] - mean) * rstd;
                y[i] = (values[i] - mean) * scale + at(&bias, channel, 0.0);
                dx[i] = scale * (g[i] - dbias / count - normal * dweight / count);
            }
            statistics.iter_mut().zip([mean, rstd, var]).for_each(|(all, value)| all.push(value));
            gradients.iter_mut().zip([dweight, dbias]).for_each(|(all, value)| all.push(value));
        }
        close("batch_norm_train", &result[0].values(), &y, dtype);
        for (found, wanted) in result[1..].iter().zip(&statistics) {
            close("a statistic", &found.values(), wanted, wide(dtype));
        }
        let parameter = (dtype, &sizes[1..2]);
        let inputs = [Some(&grad), Some(&x), weight.as_ref(), Some(&result[1]), Some(&result[2])];
        let found = run(&BatchNormBackward, &[(dtype, &sizes), parameter, parameter], &inputs);
        close("dx", &found[0].values(), &dx, dtype);
        close("dweight", &found[1].values(), &gradients[0], dtype);
        close("dbias", &found[2].values(), &gradients[1], dtype);

        let op = BatchNormInference { eps };
        let inputs = [Some(&x), Some(&result[1]), Some(&result[3]), weight.as_ref(), bias.as_ref()];
        let found = run(&op, &[(dtype, &sizes)], &inputs);
        close("batch_norm_inference", &found[0].values(), &y, dtype);
        let batched = [true, false, false, false, false];
        batch_invariant(&op, &[(dtype, &sizes)], &inputs, &batched, &found);
    }
}

#[test]
fn statistics_of_values_far_from_zero_do_not_cancel() {
    let x = Array::new(DType::F32, &[2, 1, 64], (0..128).map(|i| 4096.0 + f64::from(i % 2)));
    let stat: (DType, &[usize]) = (DType::F32, &[1]);
    let metas = [(DType::F32, &[2, 1, 64][..]), stat, stat, stat];
    let result = run(&BatchNormTrain { eps: 0.0 }, &metas, &[Some(&x), None, None]);
    assert_eq!(result[1].values(), [4096.5]);
    assert_eq!(result[3].values(), [0.25]);
}

#[test]
fn running_average_moves_towards_the_value() {
    let mut rng = Rng::new(6);
    for dtype in FLOATS {
        let (running, value) =
            (Array::random(&mut rng, dtype, &[2000]), Array::random(&mut rng, wide(dtype), &[2000]));
        let op = RunningAverage { momentum: 0.1 };
        let wanted: Vec<f64> =
            running.values().iter().zip(value.values()).map(|(r, v)| r + 0.1 * (v - r)).collect();
        let found = run(&op, &[(dtype, &[2000])], &[Some(&running), Some(&value)]);
        close(op.name(), &found[0].values(), &wanted, dtype);
    }
}
