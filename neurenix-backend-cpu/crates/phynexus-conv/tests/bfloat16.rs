//! Convolution of blocked bfloat16 against the definition, of the values that it is given.

mod reference;

use half::bf16;
use phynexus_conv::layout::{Planes, blocked_to_nchw, nchw_to_blocked};
use phynexus_conv::{Algorithm, Bf16ConvPlan, Bf16Input, ConvShape, Epilogue};
use phynexus_simd::{Isa, set_isa};
use reference::{Numbers, convolve};

fn rounded(numbers: &mut Numbers, len: usize) -> Vec<f32> {
    numbers.fill(len).into_iter().map(|x| bf16::from_f32(x).to_f32()).collect()
}

fn blocks(planes: Planes, x: &[f32]) -> Vec<bf16> {
    let mut blocked = vec![bf16::NAN; planes.blocked_len()];
    nchw_to_blocked(planes, x, &mut blocked, 1);
    blocked
}

fn check(shape: &ConvShape, numbers: &mut Numbers) {
    let x = rounded(numbers, shape.in_len()); // exact in bfloat16, also as NCHW of f32
    let weights = rounded(numbers, shape.weight_len());
    let bias = numbers.fill(shape.out_channels);
    let residual = rounded(numbers, shape.out_len());
    let mut expected = convolve(shape, &x, &weights);
    for (i, value) in expected.iter_mut().enumerate() {
        let channel = i / shape.out_pixels() % shape.out_channels;
        *value = (*value + f64::from(bias[channel]) + f64::from(residual[i])).max(0.0);
    }
    let in_planes = Planes::dense(shape.batch, shape.in_channels, shape.in_pixels());
    let out_planes = Planes::dense(shape.batch, shape.out_channels, shape.out_pixels());
    let (x_blocks, residual) = (blocks(in_planes, &x), blocks(out_planes, &residual));
    for algorithm in [
        Algorithm::Direct,
        Algorithm::First,
        Algorithm::Winograd,
        Algorithm::NarrowWinograd,
        Algorithm::Depthwise,
    ] {
        let Ok(plan) = Bf16ConvPlan::with_algorithm(shape, algorithm) else { continue };
        let packed = plan.pack(&weights, Some(&bias)).unwrap();
        let input =
            if algorithm == Algorithm::First { Bf16Input::Nchw(&x) } else { Bf16Input::Blocked(&x_blocks) };
        let run = |threads| {
            let mut y = vec![bf16::NAN; out_planes.blocked_len()];
            let epilogue = Epilogue { residual: Some(&residual), relu: true };
            plan.run(shape.batch, input, &packed, &mut y, epilogue, threads).unwrap();
            y
        };
        let y = run(1);
        assert!(y == run(2), "threads change the bits");
        let mut found = vec![0.0f32; shape.out_len()];
        blocked_to_nchw(out_planes, &y, &mut found, 1);
        let rms = |values: &[f64]| (values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64).sqrt();
        let errors: Vec<f64> = found.iter().zip(&expected).map(|(a, b)| f64::from(*a) - b).collect();
        if algorithm == Algorithm::NarrowWinograd {
            // Transformed tiles and weights are rounded once more.
            let bound = 0.005 * rms(&expected);
            assert!(rms(&errors) < bound, "{shape:?}: {} of {bound}", rms(&errors));
            continue;
        }
        for (error, b) in errors.iter().zip(&expected) {
            let bound = (1.0 + b.abs()) / 256.0;
            assert!(error.abs() <= bound, "{algorithm:?} of {shape:?}: {error} off {b}");
        }
    }
}

#[test]
fn against_the_definition_on_all_instruction_sets() {
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        set_isa(Some(isa)).unwrap();
        let mut numbers = Numbers::new(31);
        for shape in [
            ConvShape::square(2, (3, 20), [17, 15], 5, 2, 2),
            ConvShape::square(3, (40, 36), [13, 9], 3, 1, 1),
            ConvShape::square(2, (64, 96), [7, 6], 3, 1, 1),
            ConvShape::square(2, (256, 256), [7, 7], 3, 2, 1),
            ConvShape::square(2, (64, 128), [14, 14], 1, 2, 0),
            ConvShape::square(2, (24, 72), [9, 9], 1, 1, 0),
            ConvShape::square(1, (17, 33), [11, 30], 3, 3, 2),
            ConvShape { groups: 32, ..ConvShape::square(2, (32, 32), [9, 19], 3, 1, 1) },
            ConvShape { groups: 4, ..ConvShape::square(2, (32, 48), [9, 7], 3, 1, 1) },
        ] {
            check(&shape, &mut numbers);
        }
    }
}
