use phynexus_kernels::optimizer::{AdamStep, SgdMomentumStep, SgdStep};
use phynexus_kernels::{DType, Operation};

use crate::support::{Array, FLOATS, Rng, close, run};

fn scalar(x: f64) -> Array {
    Array::new(DType::F32, &[], [x])
}

#[test]
fn sgd_is_right() {
    let mut rng = Rng::new(7);
    for (turn, dtype) in FLOATS.into_iter().cycle().take(16).enumerate() {
        let count = if turn < 4 { 400_000 } else { rng.size(0, 5000) };
        let mut random = |dtype| Array::random(&mut rng, dtype, &[count]);
        // A gradient and a state of another dtype than the parameter.
        let (param, grad, buffer) = (random(dtype), random(DType::F32), random(DType::F32));
        let (p, g, b) = (param.values(), grad.values(), buffer.values());
        let (rate, weight_decay) = (0.125, if turn % 2 == 0 { 0.5 } else { 0.0 });
        let lr = scalar(rate);
        let found =
            run(&SgdStep { weight_decay }, &[(dtype, &[count])], &[Some(&param), Some(&grad), Some(&lr)]);
        let wanted: Vec<f64> = (0..count).map(|i| p[i] - rate * (g[i] + weight_decay * p[i])).collect();
        close("sgd_step", &found[0].values(), &wanted, dtype);

        let op = SgdMomentumStep {
            momentum: 0.75,
            dampening: 0.25,
            nesterov: turn % 3 == 0,
            weight_decay,
            first_step: turn % 5 == 0,
        };
        let (mut stepped, mut averages) = (vec![], vec![]);
        for i in 0..count {
            let update = g[i] + weight_decay * p[i];
            let average = if op.first_step { update } else { 0.75 * b[i] + 0.75 * update };
            let update = if op.nesterov { update + 0.75 * average } else { average };
            stepped.push(p[i] - rate * update);
            averages.push(average);
        }
        let metas = [(dtype, &[count][..]), (DType::F32, &[count][..])];
        let found = run(&op, &metas, &[Some(&param), Some(&grad), Some(&buffer), Some(&lr)]);
        close("param", &found[0].values(), &stepped, dtype);
        close("momentum_buffer", &found[1].values(), &averages, DType::F32);
    }
}

#[test]
fn adam_is_right() {
    let mut rng = Rng::new(8);
    for (turn, dtype) in FLOATS.into_iter().cycle().take(16).enumerate() {
        let count = if turn < 4 { 200_000 } else { rng.size(0, 3000) };
        let (param, grad) =
            (Array::random(&mut rng, dtype, &[count]), Array::random(&mut rng, dtype, &[count]));
        let state = if turn % 3 == 0 { dtype } else { DType::F32 };
        let first = Array::random(&mut rng, state, &[count]);
        let squares: Vec<f64> = (0..count).map(|_| rng.value().abs() + 0.5).collect();
        let second = Array::new(state, &[count], squares);
        let op =
            AdamStep { beta1: 0.9, beta2: 0.99, eps: 1e-8, weight_decay: 0.25, decoupled: turn % 2 == 0 };
        let (rate, step) = (0.125, 3.0);
        let (p, g, m, v) = (param.values(), grad.values(), first.values(), second.values());
        let mut wanted = [vec![], vec![], vec![]];
        for i in 0..count {
            let grad = if op.decoupled { g[i] } else { g[i] + 0.25 * p[i] };
            let kept = if op.decoupled { 1.0 - rate * 0.25 } else { 1.0 };
            let m = m[i] + (grad - m[i]) * 0.1;
            let v = v[i] * 0.99 + grad * grad * 0.01;
            let size = rate / (1.0 - 0.9f64.powf(step));
            let root = (1.0 - 0.99f64.powf(step)).sqrt();
            wanted[0].push(p[i] * kept - size * m / (v.sqrt() / root + 1e-8));
            wanted[1].push(m);
            wanted[2].push(v);
        }
        let (lr, step) = (scalar(rate), scalar(step));
        let inputs = [&param, &grad, &first, &second, &lr, &step].map(Some);
        let found = run(&op, &[(dtype, &[count]), (state, &[count]), (state, &[count])], &inputs);
        for ((found, wanted), dtype) in found.iter().zip(&wanted).zip([dtype, state, state]) {
            close(op.name(), &found.values(), wanted, dtype);
        }
    }
}
