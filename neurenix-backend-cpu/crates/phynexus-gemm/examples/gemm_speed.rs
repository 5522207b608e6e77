//! Prints how fast products of several shapes are, and what part of the measured peak that is.
//!
//! `cargo run --release --example gemm_speed [threads] [word of the lines to print]`

use std::time::Instant;

use half::bf16;
use phynexus_gemm::{
    Batch, Bf16Epilogue, Bf16Out, Epilogue, Int8Out, MatMut, MatRef, PackedB, PackedBf16, PackedInt8,
    Requantize, gemm, gemm_bf16, gemm_int8, gemm_packed, matmul, peak_gflops,
};
use phynexus_runtime::set_threads;

/// How the right operand lies in memory.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// Both operands row by row.
    Nn,
    /// The right one column by column, as weights `[n][k]` are.
    Nt,
    /// The left one column by column.
    Tn,
    /// The right one packed before.
    Packed,
}

fn random(many: usize) -> Vec<f32> {
    let mut state = 12345u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..many).map(|_| next()).collect()
}

/// The shortest and the median time of a call, in seconds.
fn time(mut f: impl FnMut()) -> (f64, f64) {
    f();
    let start = Instant::now();
    f();
    let once = start.elapsed().as_secs_f64().max(1e-8);
    let inner = (20e-6 / once).ceil().max(1.0) as usize;
    let rounds = (0.25 / (once * inner as f64)).clamp(9.0, 2000.0) as usize;
    let mut times: Vec<_> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            (0..inner).for_each(|_| f());
            start.elapsed().as_secs_f64() / inner as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[0], times[rounds / 2])
}

fn line(name: &str, multiply_adds: usize, bytes: usize, peak: f64, (best, median): (f64, f64)) {
    let gflops = 2.0 * multiply_adds as f64 / best * 1e-9;
    println!(
        "{name:34} {:10.2} us (median {:10.2}) {gflops:8.1} GFLOP/s {:5.1} % of peak {:7.1} GB/s",
        best * 1e6,
        median * 1e6,
        100.0 * gflops / peak,
        bytes as f64 / best * 1e-9
    );
}

fn product(form: Form, (m, n, k): (usize, usize, usize), peak: f64) {
    let (a, b, mut c) = (random(m * k), random(k * n), vec![0.0f32; m * n]);
    let left = if form == Form::Tn { MatRef::new(&a, k, m).t() } else { MatRef::new(&a, m, k) };
    let right = if form == Form::Nt { MatRef::new(&b, n, k).t() } else { MatRef::new(&b, k, n) };
    let packed = PackedB::new(right);
    let times = time(|| {
        let c = MatMut::new(&mut c, m, n);
        if form == Form::Packed {
            gemm_packed(left, &packed, c, &Epilogue::NONE);
        } else {
            gemm(left, right, c, &Epilogue::NONE);
        }
    });
    let kind = match form {
        Form::Nn => "nn",
        Form::Nt => "nt",
        Form::Tn => "tn",
        Form::Packed => "packed",
    };
    line(&format!("{kind} {m} x {k} x {n}"), m * n * k, 4 * (m * k + k * n + m * n), peak, times);
}

fn attention(count: usize, (m, n, k): (usize, usize, usize), is_scores: bool, peak: f64) {
    let (a, b, mut c) = (random(count * m * k), random(count * k * n), vec![0.0f32; count * m * n]);
    let left = MatRef::new(&a, m, k);
    let right = if is_scores { MatRef::new(&b, n, k).t() } else { MatRef::new(&b, k, n) };
    let strides = [(m * k) as isize, (k * n) as isize, (m * n) as isize];
    let batch = Batch { dims: &[count], a: &strides[..1], b: &strides[1..2], c: &strides[2..] };
    let times = time(|| {
        // SAFETY: the buffers hold the whole batch.
        unsafe { matmul(batch, left, right, MatMut::new(&mut c, m, n), &Epilogue::NONE) };
    });
    let kind = if is_scores { "scores" } else { "values" };
    line(
        &format!("{kind} {count} of {m} x {k} x {n}"),
        count * m * n * k,
        4 * count * (m * k + k * n + m * n),
        peak,
        times,
    );
}

/// Products of bfloat16 and of bytes; per cent are of the peak in f32.
fn narrow((m, n, k): (usize, usize, usize), peak: f64) {
    let halves: Vec<_> = random(m.max(n) * k).into_iter().map(bf16::from_f32).collect();
    let bytes: Vec<_> = random(m.max(n) * k).into_iter().map(|x| (x * 200.0 + 100.0) as u8).collect();
    let weights: Vec<_> = bytes.iter().map(|&x| x as i8).collect();
    let packed = PackedBf16::new(MatRef::new(&halves, n, k).t());
    let mut c = vec![bf16::ZERO; m * n];
    let times = time(|| {
        let out = Bf16Out::Bf16(MatMut::new(&mut c, m, n));
        gemm_bf16(MatRef::new(&halves, m, k), &packed, out, &Bf16Epilogue::default());
    });
    line(&format!("bf16 {m} x {k} x {n}"), m * n * k, 2 * (m * k + k * n + m * n), peak, times);
    let packed = PackedInt8::new(MatRef::new(&weights, n, k).t());
    let (mut c, scale) = (vec![0u8; m * n], vec![0.001; n]);
    let requantize = Requantize {
        a_zero: 3,
        scale: &scale,
        col_bias: Some(&scale),
        residual: None,
        activation: phynexus_gemm::Activation::Relu,
    };
    let times = time(|| {
        let out = Int8Out::U8 { c: MatMut::new(&mut c, m, n), requantize, scale: 0.5, zero: 0 };
        gemm_int8(MatRef::new(&bytes, m, k), &packed, out);
    });
    line(&format!("int8 {m} x {k} x {n}"), m * n * k, m * k + k * n + m * n, peak, times);
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let threads = arguments.next().and_then(|threads| threads.parse().ok()).unwrap_or(1);
    let wanted = arguments.next().unwrap_or_default();
    set_threads(threads).expect("a number of threads");
    let peak = peak_gflops(threads);
    println!("{threads} thread(s) on {}: peak {peak:.1} GFLOP/s in f32", phynexus_simd::isa());
    let is_wanted = |name: &str| wanted.is_empty() || wanted.split(',').any(|wanted| wanted == name);

    let square = [256, 512, 1024, 2048].map(|n| (n, n, n));
    let thin = [(1024, 1024, 64), (2048, 2048, 64), (4096, 64, 576), (25088, 64, 64), (64, 4096, 576)];
    let mlp = [(16, 256, 512), (16, 10, 256), (256, 512, 16), (16, 512, 256), (10, 256, 16), (16, 256, 10)];
    let vectors = [(1, 256, 512), (1, 1000, 512), (1, 4096, 4096), (1, 1000, 2048), (4096, 1, 4096)];
    let few = [2, 4, 6, 8, 12, 16, 24, 32].map(|m| (m, 1024, 1024));
    for (name, shapes) in
        [("square", &square[..]), ("thin", &thin), ("mlp", &mlp), ("vectors", &vectors), ("few", &few)]
    {
        if is_wanted(name) {
            for form in [Form::Nn, Form::Nt, Form::Tn, Form::Packed] {
                shapes.iter().for_each(|&shape| product(form, shape, peak));
            }
        }
    }
    if is_wanted("narrow") {
        for n in [256, 512, 1024, 2048] {
            narrow((n, n, n), peak);
        }
        for shape in [
            (3136, 64, 576),
            (784, 128, 1152),
            (196, 256, 2304),
            (49, 512, 4608),
            (16, 256, 512),
            (1, 1000, 512),
        ] {
            narrow(shape, peak);
        }
    }
    if is_wanted("attention") {
        for (count, m, n, k) in
            [(192, 128, 128, 32), (192, 128, 32, 128), (24, 197, 197, 64), (24, 197, 64, 197)]
        {
            attention(count, (m, n, k), n == m, peak);
        }
    }
}
