//! Times the 20 convolutions of ResNet-18 at 224x224: `conv_speed [batch ...]`, on one thread and on two.
//!
//! `LAYER=14/1` keeps to layers with this size of the input and stride.
//!
//! Prints for each layer the best of many runs in ms an image and in GFLOP/s of the definition; several copies of the
//! weights take turns as a network's layers do.

use std::time::Instant;

use phynexus_conv::{ConvError, ConvPlan, ConvShape, Epilogue};

/// Layers of one shape: how many, (input, output channels), size of the input, kernel, stride, padding.
#[allow(clippy::type_complexity)]
const LAYERS: [(usize, (usize, usize), usize, usize, usize, usize); 11] = [
    (1, (3, 64), 224, 7, 2, 3),
    (4, (64, 64), 56, 3, 1, 1),
    (1, (64, 128), 56, 3, 2, 1),
    (1, (64, 128), 56, 1, 2, 0),
    (3, (128, 128), 28, 3, 1, 1),
    (1, (128, 256), 28, 3, 2, 1),
    (1, (128, 256), 28, 1, 2, 0),
    (3, (256, 256), 14, 3, 1, 1),
    (1, (256, 512), 14, 3, 2, 1),
    (1, (256, 512), 14, 1, 2, 0),
    (3, (512, 512), 7, 3, 1, 1),
];

fn main() -> Result<(), ConvError> {
    let batches: Vec<usize> = std::env::args().skip(1).filter_map(|batch| batch.parse().ok()).collect();
    let wanted = std::env::var("LAYER").ok();
    let batches = if batches.is_empty() { vec![1, 16] } else { batches };
    println!("{}, {} threads at most", phynexus_simd::isa(), phynexus_runtime::threads());
    for batch in batches {
        let mut sums = [0.0; 2];
        for (count, channels, size, kernel, stride, padding) in LAYERS {
            if wanted.as_ref().is_some_and(|wanted| *wanted != format!("{size}/{stride}")) {
                continue;
            }
            let shape = ConvShape::square(batch, channels, [size, size], kernel, stride, padding);
            let times = time(&shape, count)?;
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
        println!("batch {batch}: 20 layers {:.2} ms an image, two threads {:.2} ms", sums[0], sums[1]);
    }
    Ok(())
}

/// The best time on one thread and on two, in seconds.
fn time(shape: &ConvShape, copies: usize) -> Result<[f64; 2], ConvError> {
    let plan = ConvPlan::new(shape, phynexus_simd::isa())?;
    let values = |len: usize| -> Vec<f32> {
        let mut state = 1u32;
        let step = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 16_777_216.0 - 0.5
        };
        (0..len).map(step).collect()
    };
    let bias = vec![0.1; shape.out_channels];
    let weights = (0..copies)
        .map(|_| plan.pack(&values(shape.weight_len()), Some(&bias)))
        .collect::<Result<Vec<_>, _>>()?;
    let x = values(plan.in_len(shape.batch));
    let residual = values(plan.out_len(shape.batch));
    let mut y = values(plan.out_len(shape.batch));
    let epilogue = Epilogue { residual: Some(&residual), relu: true };
    let mut best = [f64::INFINITY; 2];
    for (threads, best) in [1, 2].into_iter().zip(&mut best) {
        let started = Instant::now();
        let mut runs = 0;
        while runs < 5 || started.elapsed().as_secs_f64() < 0.25 {
            let before = Instant::now();
            for weights in &weights {
                plan.run(shape.batch, &x, weights, &mut y, epilogue, threads)?;
            }
            *best = best.min(before.elapsed().as_secs_f64() / copies as f64);
            runs += 1;
        }
    }
    Ok(best)
}
