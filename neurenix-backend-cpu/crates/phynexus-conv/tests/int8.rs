//! Convolution of 8-bit integers against exact sums.

mod reference;

use phynexus_conv::int8::{Int8ConvPlan, Int8Epilogue, Int8Input, Quantization, dequantize, quantize};
use phynexus_conv::{ConvShape, InputLayout};
use phynexus_simd::{Isa, set_isa};
use reference::{Numbers, blocked, convolve, planes};

/// Integers as NCHW floats.
fn stored(shape: (usize, usize, usize), blocks: &[u8]) -> Vec<f32> {
    let floats: Vec<f32> = blocks.iter().map(|&x| f32::from(x)).collect();
    planes(shape.0, shape.1, shape.2, &floats)
}

fn check(shape: &ConvShape, relu: bool, numbers: &mut Numbers) -> Vec<u8> {
    let input = Quantization { scale: 0.02, zero_point: 100 };
    let output = Quantization { scale: 0.05, zero_point: if relu { 0 } else { 131 } };
    let addend = Quantization { scale: 0.03, zero_point: 7 };
    let plan = Int8ConvPlan::new(shape).unwrap();
    let (reads_floats, is_wide) = (plan.input_layout() == InputLayout::Nchw, !plan.multiplies_integers());
    let x = numbers.fill(shape.in_len());
    let weights = numbers.fill(shape.weight_len());
    let bias = numbers.fill(shape.out_channels);
    let residual = numbers.fill(shape.out_len());
    let to_blocks = |channels, pixels, values: &[f32], quantization| {
        let blocks = blocked(shape.batch, channels, pixels, values);
        let mut integers = vec![0; blocks.len()];
        quantize(&blocks, quantization, &mut integers, 2);
        integers
    };
    let x_blocks = to_blocks(shape.in_channels, shape.in_pixels(), &x, input);
    let residual_blocks = to_blocks(shape.out_channels, shape.out_pixels(), &residual, addend);
    let packed = plan.pack(&weights, Some(&bias), input, output).unwrap();
    let residual_given = (!reads_floats).then_some((&residual_blocks[..], addend));
    let given = if reads_floats { Int8Input::Nchw(&x) } else { Int8Input::Blocked(&x_blocks) };
    let run = |threads| {
        let mut y = vec![0; shape.out_blocked_len()];
        let epilogue = Int8Epilogue { residual: residual_given, relu };
        plan.run(shape.batch, given, &packed, &mut y, epilogue, threads).unwrap();
        y
    };
    let y = run(1);
    assert!(y == run(2), "threads change the result");

    // The same from the integers: weights by their channel's step, pixels less their zero point.
    let depth = shape.weight_len() / shape.out_channels;
    let largest =
        |channel: usize| weights[channel * depth..][..depth].iter().fold(0.0f32, |a, b| a.max(b.abs()));
    let steps: Vec<f32> = (0..shape.out_channels).map(|channel| largest(channel) / 127.0).collect();
    let (x, weights) = if is_wide {
        (x, weights)
    } else {
        let x = stored((shape.batch, shape.in_channels, shape.in_pixels()), &x_blocks);
        let x = x.into_iter().map(|x| (x - f32::from(input.zero_point)) * input.scale).collect();
        let step = |i: usize| steps[i / depth];
        (x, weights.iter().enumerate().map(|(i, w)| (w / step(i)).round_ties_even() * step(i)).collect())
    };
    let sums = convolve(shape, &x, &weights);
    let residual = stored((shape.batch, shape.out_channels, shape.out_pixels()), &residual_blocks);
    let found = stored((shape.batch, shape.out_channels, shape.out_pixels()), &y);
    for (i, (&found, &sum)) in found.iter().zip(&sums).enumerate() {
        let mut real = sum + f64::from(bias[i / shape.out_pixels() % shape.out_channels]);
        if residual_given.is_some() {
            real += f64::from((residual[i] - f32::from(addend.zero_point)) * addend.scale);
        }
        let real = if relu { real.max(0.0) } else { real };
        let expected = (real / f64::from(output.scale) + f64::from(output.zero_point)).clamp(0.0, 255.0);
        let error = (f64::from(found) - expected).abs();
        assert!(error <= 0.51, "{shape:?}: {found} instead of {expected} at {i}");
    }
    // Where there is no instruction for integers, few channels are multiplied in f32: the result is another one.
    if reads_floats { Vec::new() } else { y }
}

#[test]
fn against_exact_sums_with_the_same_bits_on_all_instruction_sets() {
    let shapes = [
        ConvShape::square(2, (3, 20), [17, 15], 5, 2, 2),
        ConvShape::square(3, (40, 36), [13, 9], 3, 1, 1),
        ConvShape::square(2, (256, 256), [7, 7], 3, 1, 1),
        ConvShape::square(2, (64, 128), [14, 14], 1, 2, 0),
        ConvShape::square(2, (24, 72), [9, 9], 1, 1, 0),
        ConvShape::square(1, (17, 33), [11, 30], 3, 3, 2),
        ConvShape { groups: 4, ..ConvShape::square(2, (32, 48), [9, 7], 3, 2, 1) },
    ];
    let results = |isa| {
        set_isa(Some(isa)).unwrap();
        let mut numbers = Numbers::new(41);
        let results: Vec<_> =
            shapes.iter().enumerate().map(|(i, shape)| check(shape, i % 2 == 0, &mut numbers)).collect();
        results
    };
    let expected = results(Isa::Portable);
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        assert!(results(isa) == expected, "{isa}");
    }
}

#[test]
fn sums_that_outgrow_32_bits_are_refused() {
    let shape = ConvShape::square(1, (8192, 1), [3, 3], 3, 1, 1);
    let error = Int8ConvPlan::new(&shape).unwrap_err().to_string();
    assert!(error.contains("does not fit 32 bits") && error.contains("in_channels: 8192"), "{error}");
}

#[test]
fn quantization_rounds_and_cuts_off() {
    let quantization = Quantization { scale: 0.5, zero_point: 10 };
    let values = [0.0, 0.25, 0.75, -5.0, -9.0, 122.5, 400.0, f32::NAN];
    let mut stored = [0; 8];
    quantize(&values, quantization, &mut stored, 1);
    assert_eq!(stored, [10, 10, 12, 0, 0, 255, 255, 0]);
    let mut back = [0.0; 8];
    dequantize(&stored, quantization, &mut back, 1);
    assert_eq!(back, [0.0, 0.0, 1.0, -5.0, -5.0, 122.5, 122.5, -5.0]);
}
