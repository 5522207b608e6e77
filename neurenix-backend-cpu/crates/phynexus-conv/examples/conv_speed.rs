//! Times the 20 convolutions of ResNet-18 at 224x224: `conv_speed [WORK] [batch ...]`, on one thread and on two.
//!
//! WORK: forward in f32; `bf16`, or all of it by `bf16-direct`, `bf16-winograd` (in f32) or `bf16-narrow`; `int8`; `input` or `weight`, the gradients; `pack`, of weights for the
//! forward convolution and for the gradient.
//!
//! `LAYER=14/1` keeps to layers with this size of the input and stride.
//!
//! Prints for each layer the best of many runs in ms an image and in GFLOP/s of the definition; several copies of the
//! weights take turns as a network's layers do.

use std::time::Instant;

use half::bf16;
use phynexus_conv::int8::{Int8ConvPlan, Int8Epilogue, Int8Input, Quantization};
use phynexus_conv::{
    Algorithm, Bf16ConvPlan, Bf16Input, ConvError, ConvPlan, ConvShape, Epilogue, GradInputPlan,
    GradWeightPlan, InputLayout,
};

/// Layers of one shape.
struct Layers {
    count: usize,
    channels: (usize, usize),
    size: usize,
    kernel: usize,
    stride: usize,
}

const fn layers(count: usize, channels: (usize, usize), size: usize, kernel: usize, stride: usize) -> Layers {
    Layers { count, channels, size, kernel, stride }
}

const RESNET_18: [Layers; 11] = [
    layers(1, (3, 64), 224, 7, 2),
    layers(4, (64, 64), 56, 3, 1),
    layers(1, (64, 128), 56, 3, 2),
    layers(1, (64, 128), 56, 1, 2),
    layers(3, (128, 128), 28, 3, 1),
    layers(1, (128, 256), 28, 3, 2),
    layers(1, (128, 256), 28, 1, 2),
    layers(3, (256, 256), 14, 3, 1),
    layers(1, (256, 512), 14, 3, 2),
    layers(1, (256, 512), 14, 1, 2),
    layers(3, (512, 512), 7, 3, 1),
];

#[derive(Clone, Copy)]
enum Work {
    Forward,
    Bf16(Option<Algorithm>),
    Int8,
    GradInput,
    GradWeight,
    Pack,
}

fn main() -> Result<(), ConvError> {
    let mut work = Work::Forward;
    let mut batches = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "bf16" => work = Work::Bf16(None),
            "bf16-direct" => work = Work::Bf16(Some(Algorithm::Direct)),
            "bf16-winograd" => work = Work::Bf16(Some(Algorithm::Winograd)),
            "bf16-narrow" => work = Work::Bf16(Some(Algorithm::NarrowWinograd)),
            "int8" => work = Work::Int8,
            "input" => work = Work::GradInput,
            "weight" => work = Work::GradWeight,
            "pack" => work = Work::Pack,
            batch => batches.extend(batch.parse::<usize>().ok()),
        }
    }
    if batches.is_empty() {
        batches = vec![1, 16];
    }
    let wanted = std::env::var("LAYER").ok();
    println!("{}, {} threads at most", phynexus_simd::isa(), phynexus_runtime::threads());
    for batch in batches {
        let mut sums = [0.0; 2];
        for Layers { count, channels, size, kernel, stride } in RESNET_18 {
            if wanted.as_ref().is_some_and(|wanted| *wanted != format!("{size}/{stride}")) {
                continue;
            }
            let shape = ConvShape::square(batch, channels, [size, size], kernel, stride, kernel / 2);
            let times = match work {
                Work::Forward => forward(&shape, count)?,
                Work::Bf16(algorithm) => bf16_forward(&shape, count, algorithm)?,
                Work::Int8 => int8_forward(&shape, count)?,
                Work::GradInput => grad_input(&shape, count)?,
                Work::GradWeight => grad_weight(&shape, count)?,
                Work::Pack => pack(&shape)?,
            };
            let gflops = |time: f64| shape.flops() / time / 1e9;
            let each = times.map(|time| time * 1e3 / batch as f64);
            println!(
                "batch {batch:2}: {count} x {:>3} -> {:>3} at {size:>3}, {kernel}x{kernel}/{stride}: \
                 {:.3} ms {:4.0} GFLOP/s, two threads {:.3} ms {:4.0} GFLOP/s",
                channels.0,
                channels.1,
                each[0],
                gflops(times[0]),
                each[1],
                gflops(times[1]),
            );
            sums = std::array::from_fn(|i| sums[i] + count as f64 * each[i]);
        }
        println!("batch {batch}: all layers {:.2} ms an image, two threads {:.2} ms", sums[0], sums[1]);
    }
    Ok(())
}

/// Numbers between -0.5 and 0.5.
fn values(len: usize) -> Vec<f32> {
    let mut state = 1u32;
    let step = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 16_777_216.0 - 0.5
    };
    (0..len).map(step).collect()
}

/// The best time of one of `copies` layers on one thread and on two, in seconds.
fn time(
    copies: usize,
    mut run: impl FnMut(usize, usize) -> Result<(), ConvError>,
) -> Result<[f64; 2], ConvError> {
    let mut best = [f64::INFINITY; 2];
    for (threads, best) in [1, 2].into_iter().zip(&mut best) {
        let started = Instant::now();
        let mut runs = 0;
        while runs < 5 || started.elapsed().as_secs_f64() < 0.25 {
            let before = Instant::now();
            for copy in 0..copies {
                run(copy, threads)?;
            }
            *best = best.min(before.elapsed().as_secs_f64() / copies as f64);
            runs += 1;
        }
    }
    Ok(best)
}

fn forward(shape: &ConvShape, copies: usize) -> Result<[f64; 2], ConvError> {
    let plan = ConvPlan::new(shape, phynexus_simd::isa())?;
    let bias = vec![0.1; shape.out_channels];
    let pack = |_| plan.pack(&values(shape.weight_len()), Some(&bias));
    let weights = (0..copies).map(pack).collect::<Result<Vec<_>, _>>()?;
    let x = values(plan.in_len(shape.batch));
    let residual = values(plan.out_len(shape.batch));
    let mut y = values(plan.out_len(shape.batch));
    time(copies, |copy, threads| {
        // The last layer of each block adds what went around it: 2 of 3 or 4 layers without stride.
        let is_last = shape.stride == [1, 1] && copy % 2 == 0;
        let epilogue = Epilogue { residual: is_last.then_some(&residual), relu: true };
        plan.run(shape.batch, &x, &weights[copy], &mut y, epilogue, threads)
    })
}

fn bf16_forward(
    shape: &ConvShape,
    copies: usize,
    algorithm: Option<Algorithm>,
) -> Result<[f64; 2], ConvError> {
    let is_square = shape.kernel == [3, 3] && shape.stride == [1, 1];
    let plan = match algorithm.filter(|&algorithm| is_square || algorithm == Algorithm::Direct) {
        Some(algorithm) if shape.in_channels > 16 => Bf16ConvPlan::with_algorithm(shape, algorithm)?,
        _ => Bf16ConvPlan::new(shape)?,
    };
    let bias = vec![0.1; shape.out_channels];
    let pack = |_| plan.pack(&values(shape.weight_len()), Some(&bias));
    let weights = (0..copies).map(pack).collect::<Result<Vec<_>, _>>()?;
    let narrow = |len: usize| -> Vec<bf16> { values(len).into_iter().map(bf16::from_f32).collect() };
    let (x, image) = (narrow(shape.in_blocked_len()), values(shape.in_len()));
    let x =
        if plan.algorithm() == Algorithm::First { Bf16Input::Nchw(&image) } else { Bf16Input::Blocked(&x) };
    let residual = narrow(shape.out_blocked_len());
    let mut y = narrow(shape.out_blocked_len());
    time(copies, |copy, threads| {
        let is_last = shape.stride == [1, 1] && copy % 2 == 0;
        let epilogue = Epilogue { residual: is_last.then_some(&residual[..]), relu: true };
        plan.run(shape.batch, x, &weights[copy], &mut y, epilogue, threads)
    })
}

fn int8_forward(shape: &ConvShape, copies: usize) -> Result<[f64; 2], ConvError> {
    let plan = Int8ConvPlan::new(shape)?;
    let quantization = Quantization { scale: 0.01, zero_point: 0 };
    let bias = vec![0.1; shape.out_channels];
    let pack = |_| plan.pack(&values(shape.weight_len()), Some(&bias), quantization, quantization);
    let weights = (0..copies).map(pack).collect::<Result<Vec<_>, _>>()?;
    let (x, image) = (vec![50; shape.in_blocked_len()], values(shape.in_len()));
    let x = if plan.input_layout() == InputLayout::Nchw {
        Int8Input::Nchw(&image)
    } else {
        Int8Input::Blocked(&x)
    };
    let residual = vec![50; shape.out_blocked_len()];
    let mut y = vec![0; shape.out_blocked_len()];
    time(copies, |copy, threads| {
        let is_last = shape.stride == [1, 1] && copy % 2 == 0;
        let residual = is_last.then_some((&residual[..], quantization));
        plan.run(shape.batch, x, &weights[copy], &mut y, Int8Epilogue { residual, relu: true }, threads)
    })
}

fn grad_input(shape: &ConvShape, copies: usize) -> Result<[f64; 2], ConvError> {
    let plan = GradInputPlan::new(shape, phynexus_simd::isa())?;
    let pack = |_| plan.pack(&values(shape.weight_len()));
    let weights = (0..copies).map(pack).collect::<Result<Vec<_>, _>>()?;
    let grad = values(shape.out_blocked_len());
    let mut grad_input = values(shape.in_blocked_len());
    time(copies, |copy, threads| plan.run(shape.batch, &grad, &weights[copy], &mut grad_input, None, threads))
}

fn grad_weight(shape: &ConvShape, copies: usize) -> Result<[f64; 2], ConvError> {
    let plan = GradWeightPlan::new(shape, phynexus_simd::isa())?;
    let grad = values(shape.out_blocked_len());
    let x = values(plan.in_len(shape.batch));
    let mut grad_weight = values(shape.weight_len());
    time(copies, |_, threads| plan.run(shape.batch, &x, &grad, &mut grad_weight, false, threads))
}

/// Packing for the forward convolution and for the gradient of the input, on all threads.
fn pack(shape: &ConvShape) -> Result<[f64; 2], ConvError> {
    let weights = values(shape.weight_len());
    let plan = ConvPlan::new(shape, phynexus_simd::isa())?;
    let grad_plan = GradInputPlan::new(shape, phynexus_simd::isa())?;
    let mut times = [0.0; 2];
    times[0] = time(1, |_, _| plan.pack(&weights, None).map(drop))?[1];
    times[1] = time(1, |_, _| grad_plan.pack(&weights).map(drop))?[1];
    Ok(times)
}
