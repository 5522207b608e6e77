//! Gradients of a convolution against their definition in f64, and the same bits however they are run.

mod reference;

use phynexus_conv::{ConvShape, GradInputPlan, GradWeightPlan, InputLayout, grad_bias};
use phynexus_simd::Isa;
use reference::{Numbers, blocked, each_product, planes};

fn shapes(numbers: &mut Numbers) -> Vec<ConvShape> {
    let mut shapes = vec![
        ConvShape::square(2, (3, 64), [37, 41], 7, 2, 3),
        ConvShape::square(3, (64, 48), [14, 14], 3, 1, 1),
        ConvShape::square(2, (256, 256), [7, 7], 3, 1, 1),
        ConvShape::square(2, (32, 80), [15, 14], 3, 2, 1),
        ConvShape::square(5, (32, 80), [14, 14], 1, 2, 0),
        ConvShape::square(2, (96, 40), [9, 14], 1, 1, 0),
        ConvShape { groups: 32, ..ConvShape::square(2, (32, 32), [15, 30], 3, 1, 1) },
        ConvShape { groups: 32, ..ConvShape::square(2, (32, 32), [15, 30], 3, 2, 1) },
        ConvShape { groups: 2, ..ConvShape::square(2, (64, 32), [9, 9], 3, 1, 1) },
        ConvShape { groups: 8, ..ConvShape::square(2, (32, 64), [9, 9], 3, 1, 1) },
    ];
    while shapes.len() < 80 {
        let groups = [1, 1, 2, 4][numbers.below(4)];
        let shape = ConvShape {
            batch: 1 + numbers.below(3),
            in_channels: groups * [1, 3, 16, 17, 32][numbers.below(5)],
            out_channels: groups * [1, 5, 16, 33, 48][numbers.below(5)],
            in_size: [1 + numbers.below(13), 1 + numbers.below(15)],
            kernel: [1 + numbers.below(4), 1 + numbers.below(4)],
            stride: [1 + numbers.below(3), 1 + numbers.below(3)],
            padding: [(numbers.below(4), numbers.below(4)), (numbers.below(4), numbers.below(4))],
            dilation: [1 + numbers.below(2), 1 + numbers.below(2)],
            groups,
        };
        if shape.check().is_ok() {
            shapes.push(shape);
        }
    }
    shapes
}

fn isas() -> Vec<Isa> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available()).collect()
}

fn near(found: &[f32], expected: &[f64], terms: f64, what: &str) {
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*a) - b).abs();
        assert!(error <= 1e-5 * terms.sqrt().max(1.0), "{what}: {a} instead of {b} at {i}");
    }
}

/// Runs for each instruction set and number of threads; all with fused multiply-adds give the same bits.
fn each_way(run: impl Fn(Isa, usize) -> Vec<f32>, check: impl Fn(&[f32])) {
    let mut fused: Option<Vec<f32>> = None;
    for isa in isas() {
        let found = run(isa, 1);
        check(&found);
        assert!(found == run(isa, 2), "{isa}: threads change the bits");
        if isa != Isa::Portable {
            let first = fused.get_or_insert_with(|| found.clone());
            assert!(*first == found, "{isa}: other bits than the first instruction set");
        }
    }
}

#[test]
fn gradient_of_the_input() {
    let mut numbers = Numbers::new(11);
    for shape in shapes(&mut numbers) {
        let grad = numbers.fill(shape.out_len());
        let weights = numbers.fill(shape.weight_len());
        let addend = (numbers.below(2) == 0).then(|| numbers.fill(shape.in_len()));
        let mut expected: Vec<f64> = addend
            .as_ref()
            .map_or(vec![0.0; shape.in_len()], |addend| addend.iter().map(|&x| x.into()).collect());
        each_product(&shape, |output, input, weight| {
            expected[input] += f64::from(grad[output]) * f64::from(weights[weight]);
        });
        let blocks = blocked(shape.batch, shape.out_channels, shape.out_pixels(), &grad);
        let addend = addend.map(|addend| blocked(shape.batch, shape.in_channels, shape.in_pixels(), &addend));
        let run = |isa, threads| {
            let plan = GradInputPlan::new(&shape, isa).unwrap();
            let packed = plan.pack(&weights).unwrap();
            let mut grad_input = vec![f32::NAN; shape.in_blocked_len()];
            plan.run(shape.batch, &blocks, &packed, &mut grad_input, addend.as_deref(), threads).unwrap();
            planes(shape.batch, shape.in_channels, shape.in_pixels(), &grad_input)
        };
        let terms = (shape.out_channels / shape.groups * shape.taps()) as f64;
        each_way(run, |found| near(found, &expected, terms, &format!("{shape:?}")));
    }
}

#[test]
fn gradient_of_the_weights() {
    let mut numbers = Numbers::new(12);
    for shape in shapes(&mut numbers) {
        let grad = numbers.fill(shape.out_len());
        let x = numbers.fill(shape.in_len());
        let mut expected = vec![0.0; shape.weight_len()];
        each_product(&shape, |output, input, weight| {
            expected[weight] += f64::from(grad[output]) * f64::from(x[input]);
        });
        let grad_blocks = blocked(shape.batch, shape.out_channels, shape.out_pixels(), &grad);
        let x_blocks = blocked(shape.batch, shape.in_channels, shape.in_pixels(), &x);
        let run = |isa, threads| {
            let plan = GradWeightPlan::new(&shape, isa).unwrap();
            let x = if plan.input_layout() == InputLayout::Nchw { &x } else { &x_blocks };
            let mut grad_weight = vec![f32::NAN; shape.weight_len()];
            plan.run(shape.batch, x, &grad_blocks, &mut grad_weight, false, threads).unwrap();
            let once = grad_weight.clone();
            plan.run(shape.batch, x, &grad_blocks, &mut grad_weight, true, threads).unwrap();
            assert!(once.iter().zip(&grad_weight).all(|(once, twice)| 2.0 * once == *twice));
            once
        };
        let terms = (shape.batch * shape.out_pixels()) as f64;
        each_way(run, |found| near(found, &expected, terms, &format!("{shape:?}")));
        let plan = GradWeightPlan::with_input(&shape, phynexus_simd::isa(), InputLayout::Blocked).unwrap();
        let mut found = vec![f32::NAN; shape.weight_len()];
        plan.run(shape.batch, &x_blocks, &grad_blocks, &mut found, false, 2).unwrap();
        near(&found, &expected, terms, &format!("blocked {shape:?}"));
    }
}

#[test]
fn gradient_of_the_bias() {
    let mut numbers = Numbers::new(13);
    for (samples, channels, pixels) in [(1, 1, 1), (3, 20, 7), (2, 64, 3000)] {
        let grad = numbers.fill(samples * channels * pixels);
        let mut expected = vec![0.0; channels];
        for (i, &value) in grad.iter().enumerate() {
            expected[i / pixels % channels] += f64::from(value);
        }
        let blocks = blocked(samples, channels, pixels, &grad);
        let mut found = vec![f32::NAN; channels];
        grad_bias((samples, channels, pixels), &blocks, &mut found, false, 1).unwrap();
        near(&found, &expected, (samples * pixels) as f64, "bias");
        let once = found.clone();
        grad_bias((samples, channels, pixels), &blocks, &mut found, true, 2).unwrap();
        assert!(once.iter().zip(&found).all(|(once, twice)| 2.0 * once == *twice));
    }
}
