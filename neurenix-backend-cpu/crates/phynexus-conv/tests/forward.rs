//! Forward convolution against its definition in f64, and the same bits however it is run.

mod reference;

use phynexus_conv::{Algorithm, ConvPlan, ConvShape, Epilogue, InputLayout};
use phynexus_simd::Isa;
use reference::{Numbers, blocked, convolve, planes};

/// Runs a plan on NCHW input and residual; returns NCHW.
struct Run<'a> {
    plan: &'a ConvPlan,
    weights: &'a [f32],
    bias: Option<&'a [f32]>,
    residual: Option<&'a [f32]>,
    relu: bool,
}

impl Run<'_> {
    fn on(&self, batch: usize, x: &[f32], threads: usize) -> Vec<f32> {
        let shape = self.plan.shape().with_batch(batch);
        let x = match self.plan.input_layout() {
            InputLayout::Nchw => x.to_vec(),
            InputLayout::Blocked => blocked(batch, shape.in_channels, shape.in_pixels(), x),
        };
        let residual =
            self.residual.map(|values| blocked(batch, shape.out_channels, shape.out_pixels(), values));
        let weights = self.plan.pack(self.weights, self.bias).unwrap();
        let mut y = vec![f32::NAN; self.plan.out_len(batch)];
        let epilogue = Epilogue { residual: residual.as_deref(), relu: self.relu };
        self.plan.run(batch, &x, &weights, &mut y, epilogue, threads).unwrap();
        let pixels = shape.out_pixels();
        for (i, &value) in y.iter().enumerate() {
            let channel = i / 16 / pixels % shape.out_channels.div_ceil(16) * 16 + i % 16;
            assert!(channel < shape.out_channels || value == 0.0, "padding channel {channel} is {value}");
        }
        planes(batch, shape.out_channels, pixels, &y)
    }
}

fn random_shape(numbers: &mut Numbers) -> ConvShape {
    let groups = [1, 1, 1, 2, 4, 16][numbers.below(6)];
    let in_channels = groups * [1, 3, 4, 8, 16, 17, 32, 40][numbers.below(8)];
    let out_channels = groups * [1, 2, 5, 16, 24, 33, 48, 80][numbers.below(8)];
    loop {
        let shape = ConvShape {
            batch: 1 + numbers.below(3),
            in_channels,
            out_channels,
            in_size: [1 + numbers.below(17), 1 + numbers.below(19)],
            kernel: [1 + numbers.below(4), 1 + numbers.below(4)],
            stride: [1 + numbers.below(3), 1 + numbers.below(3)],
            padding: [(numbers.below(4), numbers.below(4)), (numbers.below(4), numbers.below(4))],
            dilation: [1 + numbers.below(2), 1 + numbers.below(2)],
            groups,
        };
        if shape.check().is_ok() {
            return shape;
        }
    }
}

fn algorithms(shape: &ConvShape) -> Vec<ConvPlan> {
    [Algorithm::Direct, Algorithm::First, Algorithm::Winograd, Algorithm::Depthwise]
        .into_iter()
        .filter_map(|algorithm| ConvPlan::with_algorithm(shape, phynexus_simd::isa(), algorithm).ok())
        .collect()
}

fn check(shape: &ConvShape, numbers: &mut Numbers) {
    let x = numbers.fill(shape.in_len());
    let weights = numbers.fill(shape.weight_len());
    let bias = numbers.fill(shape.out_channels);
    let residual = numbers.fill(shape.out_len());
    let relu = numbers.below(2) == 0;
    let (with_bias, with_residual) = (numbers.below(2) == 0, numbers.below(2) == 0);
    let mut expected = convolve(shape, &x, &weights);
    for (i, value) in expected.iter_mut().enumerate() {
        let channel = i / shape.out_pixels() % shape.out_channels;
        *value += if with_bias { f64::from(bias[channel]) } else { 0.0 };
        *value += if with_residual { f64::from(residual[i]) } else { 0.0 };
        *value = if relu { value.max(0.0) } else { *value };
    }
    let scale = (shape.weight_len() as f64 / shape.out_channels as f64).sqrt().max(1.0);
    for plan in algorithms(shape) {
        let run = Run {
            plan: &plan,
            weights: &weights,
            bias: with_bias.then_some(&bias),
            residual: with_residual.then_some(&residual),
            relu,
        };
        let found = run.on(shape.batch, &x, 1);
        let worst = found.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
        assert!(worst <= 1e-5 * scale, "{:?} of {shape:?}: off by {worst:e}", plan.algorithm());
        assert!(found == run.on(shape.batch, &x, 2), "threads change {:?} of {shape:?}", plan.algorithm());
        if Isa::Avx512.is_available() && Isa::Avx2.is_available() {
            let of = |isa| {
                let plan = ConvPlan::with_algorithm(shape, isa, plan.algorithm()).unwrap();
                Run { plan: &plan, ..run }.on(shape.batch, &x, 2)
            };
            assert!(
                of(Isa::Avx512) == of(Isa::Avx2),
                "instruction sets differ: {:?} {shape:?}",
                plan.algorithm()
            );
        }
        let portable = ConvPlan::with_algorithm(shape, Isa::Portable, plan.algorithm()).unwrap();
        let found = Run { plan: &portable, ..run }.on(shape.batch, &x, 1);
        let worst = found.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
        assert!(worst <= 1e-5 * scale, "portable {:?} of {shape:?}: off by {worst:e}", plan.algorithm());
    }
}

#[test]
fn random_shapes() {
    let mut numbers = Numbers::new(1);
    for _ in 0..150 {
        let shape = random_shape(&mut numbers);
        check(&shape, &mut numbers);
    }
}

#[test]
fn winograd_shapes() {
    let mut numbers = Numbers::new(2);
    for _ in 0..40 {
        let shape = ConvShape {
            batch: 1 + numbers.below(3),
            in_channels: [3, 16, 33, 64][numbers.below(4)],
            out_channels: [5, 16, 48, 80][numbers.below(4)],
            in_size: [1 + numbers.below(13), 1 + numbers.below(13)],
            padding: [
                (1 + numbers.below(3), 1 + numbers.below(2)),
                (1 + numbers.below(2), 1 + numbers.below(4)),
            ],
            ..ConvShape::square(1, (1, 1), [1, 1], 3, 1, 0)
        };
        check(&shape, &mut numbers);
    }
}

#[test]
fn shapes_of_networks() {
    let mut numbers = Numbers::new(3);
    for shape in [
        ConvShape::square(1, (3, 64), [37, 41], 7, 2, 3),
        ConvShape::square(3, (64, 64), [14, 14], 3, 1, 1),
        ConvShape::square(2, (256, 256), [7, 7], 3, 1, 1),
        ConvShape::square(1, (256, 272), [5, 6], 3, 1, 1),
        ConvShape::square(1, (256, 256), [4, 3], 3, 1, 1),
        ConvShape::square(1, (256, 264), [2, 12], 3, 1, 1),
        ConvShape::square(1, (272, 256), [7, 19], 3, 1, 1),
        ConvShape::square(9, (256, 256), [9, 9], 3, 1, 1),
        ConvShape::square(2, (128, 256), [14, 14], 3, 2, 1),
        ConvShape::square(2, (128, 256), [14, 14], 1, 2, 0),
        ConvShape::square(2, (96, 200), [14, 14], 1, 1, 0),
        ConvShape { groups: 96, ..ConvShape::square(2, (96, 96), [15, 30], 3, 1, 1) },
        ConvShape { groups: 8, ..ConvShape::square(2, (64, 64), [15, 15], 3, 1, 1) },
    ] {
        check(&shape, &mut numbers);
    }
}

#[test]
fn a_sample_does_not_depend_on_its_batch() {
    let mut numbers = Numbers::new(4);
    for shape in [
        ConvShape::square(5, (3, 64), [33, 33], 7, 2, 3),
        ConvShape::square(5, (64, 64), [28, 28], 3, 1, 1),
        ConvShape::square(5, (256, 256), [7, 7], 3, 1, 1),
        ConvShape::square(5, (256, 272), [14, 14], 3, 2, 1),
        ConvShape::square(5, (64, 128), [14, 14], 1, 1, 0),
        ConvShape { groups: 32, ..ConvShape::square(5, (32, 32), [15, 15], 3, 2, 1) },
    ] {
        let x = numbers.fill(shape.in_len());
        let weights = numbers.fill(shape.weight_len());
        for plan in algorithms(&shape) {
            let run = Run { plan: &plan, weights: &weights, bias: None, residual: None, relu: false };
            let together = run.on(5, &x, 2);
            let (in_len, out_len) = (shape.in_len() / 5, shape.out_len() / 5);
            for sample in 0..5 {
                let alone = run.on(1, &x[sample * in_len..][..in_len], 1 + sample % 2);
                assert!(
                    alone == together[sample * out_len..][..out_len],
                    "{:?} of {shape:?}",
                    plan.algorithm()
                );
            }
        }
    }
}

#[test]
fn winograd_keeps_its_error_bound() {
    let mut numbers = Numbers::new(5);
    // With few output channels the transformed weights are kept; with many they are transformed at each call.
    for (channels, out_channels) in [(64, 32), (512, 32), (512, 256)] {
        let shape = ConvShape::square(1, (channels, out_channels), [8, 8], 3, 1, 1);
        let x: Vec<f32> = numbers.fill(shape.in_len()).into_iter().map(|x| x.max(0.0)).collect();
        let weights = numbers.fill(shape.weight_len());
        let expected = convolve(&shape, &x, &weights);
        let plan = ConvPlan::with_algorithm(&shape, phynexus_simd::isa(), Algorithm::Winograd).unwrap();
        let found =
            Run { plan: &plan, weights: &weights, bias: None, residual: None, relu: false }.on(1, &x, 1);
        let rms = (expected.iter().map(|x| x * x).sum::<f64>() / expected.len() as f64).sqrt();
        let errors = found.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs());
        let worst = errors.clone().fold(0.0, f64::max) / rms;
        let mean = (errors.map(|e| e * e).sum::<f64>() / expected.len() as f64).sqrt() / rms;
        println!("{channels} to {out_channels}: worst error {worst:.2e}, rms {mean:.2e} of the output's rms");
        assert!(worst <= 2e-5, "{channels} to {out_channels} channels: {worst:e}");
        assert!(mean <= 2e-6, "{channels} to {out_channels} channels: {mean:e}");
    }
}

#[test]
fn a_nan_stays_within_its_tiles() {
    let shape = ConvShape::square(2, (32, 32), [12, 12], 3, 1, 1);
    let mut numbers = Numbers::new(6);
    let mut x = numbers.fill(shape.in_len());
    let weights = numbers.fill(shape.weight_len());
    for algorithm in [Algorithm::Direct, Algorithm::Winograd] {
        let plan = ConvPlan::with_algorithm(&shape, phynexus_simd::isa(), algorithm).unwrap();
        let run = Run { plan: &plan, weights: &weights, bias: None, residual: None, relu: true };
        let clean = run.on(2, &x, 1);
        for value in [f32::NAN, f32::INFINITY] {
            let at = 5 * 12 + 6;
            let before = std::mem::replace(&mut x[at], value);
            let found = run.on(2, &x, 1);
            x[at] = before;
            for (i, (a, b)) in found.iter().zip(&clean).enumerate() {
                let (row, column, sample) = (i / 12 % 12, i % 12, i / (12 * 12 * 32));
                let near = sample == 0 && row.abs_diff(5) <= 1 && column.abs_diff(6) <= 1;
                // The pixel is in the middle tile, and in the margin of none but its neighbours.
                let in_tiles = sample == 0 && (3..=8).contains(&(row + 1)) && (3..=8).contains(&(column + 1));
                if near {
                    assert!(!value.is_nan() || a.is_nan(), "{algorithm:?} lost a NaN");
                } else if algorithm == Algorithm::Direct || !in_tiles {
                    assert!(a == b, "{algorithm:?}: {a} instead of {b} at row {row}, column {column}");
                }
            }
        }
    }
}

#[test]
fn lengths_are_checked() {
    let shape = ConvShape::square(1, (16, 16), [4, 4], 3, 1, 1);
    let plan = ConvPlan::new(&shape, phynexus_simd::isa()).unwrap();
    let message = plan.pack(&[0.0; 3], None).err().unwrap().to_string();
    assert!(message.contains("2304") && message.contains('3'), "{message}");
    let weights = plan.pack(&vec![0.0; shape.weight_len()], None).unwrap();
    let mut y = vec![0.0; 255];
    assert!(plan.run(1, &[0.0; 256], &weights, &mut y, Epilogue::default(), 1).is_err());
}
