//! Products of unsigned by signed 8-bit integers, four channels at a time, added in 32 bits (AVX-512 VNNI).

use std::arch::x86_64::*;

use phynexus_simd::{Avx512, Isa, LANES, Simd};

use super::{Micro, MicroArgs, conjure, each_row, max_rows, table};
use crate::arithmetic::Arithmetic;
use crate::element::Lanes;

/// Pixels and results of u8, weights of i8; needs [`phynexus_simd::has_vnni`]. The sums are exact.
#[derive(Clone, Copy, Debug)]
pub struct Int8;

/// What happens to sums: `clamp(sum * scale + bias + residual * residual_scale + residual_offset, low, 255)`, rounded.
#[derive(Clone, Copy)]
pub struct Requantize {
    /// A float for each output channel, up to a multiple of 16.
    pub scale: *const f32,
    /// A float for each output channel, up to a multiple of 16.
    pub bias: *const f32,
    /// As the output; or null.
    pub residual: *const u8,
    pub residual_scale: f32,
    pub residual_offset: f32,
    /// The least result: what stands for zero after ReLU.
    pub low: f32,
}

// SAFETY: what it points to is only read.
unsafe impl Send for Requantize {}
// SAFETY: as above.
unsafe impl Sync for Requantize {}

impl Arithmetic for Int8 {
    type Pixel = u8;
    type Weight = i8;
    type Out = u8;
    type Epilogue = Requantize;
    type Finish = Requantize;
    const DEPTH: usize = 4;
    const RESUMES: bool = false;

    fn finish(epilogue: &Requantize, block: usize, _last_lanes: usize, at: usize) -> Requantize {
        let residual = epilogue.residual;
        Requantize {
            scale: epilogue.scale.wrapping_add(block * LANES),
            bias: epilogue.bias.wrapping_add(block * LANES),
            residual: if residual.is_null() { residual } else { residual.wrapping_add(at) },
            ..*epilogue
        }
    }

    fn unfinished() -> Requantize {
        unreachable!("sums do not wait in the output")
    }

    fn micro<S: Simd>(rows: usize, cols: usize, twice: bool) -> Micro<Self> {
        assert!(S::ISA == Isa::Avx512, "AVX-512 VNNI");
        let table = match (cols, twice) {
            (1, false) => &Table::<1, 16>::ALL,
            (2, false) => &Table::<2, 16>::ALL,
            (4, false) => &Table::<4, 16>::ALL,
            (1, true) => &Table::<1, 32>::ALL,
            (2, true) => &Table::<2, 32>::ALL,
            _ => &Table::<4, 32>::ALL,
        };
        table[rows - 1].expect("a panel that max_rows allows")
    }
}

// Indices that are constants after unrolling.
#[allow(clippy::needless_range_loop)]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn block<const ROWS: usize, const COLS: usize, const STRIDE: usize>(args: &MicroArgs<Int8>) {
    // SAFETY: as the caller of the kernel vouches for the arguments, and whoever chose it for the processor.
    unsafe {
        let mut sums = [[_mm512_setzero_si512(); COLS]; ROWS];
        let mut b = args.b;
        for run in 0..args.run_count {
            let mut a = args.a.offset(*args.runs.add(run));
            for _ in 0..LANES / 4 {
                let mut weights = [_mm512_setzero_si512(); COLS];
                for vector in 0..COLS {
                    weights[vector] = _mm512_loadu_si512(b.add(4 * LANES * vector).cast());
                }
                each_row::<ROWS>(|row| {
                    let x = _mm512_set1_epi32(a.add(row * STRIDE).cast::<i32>().read_unaligned());
                    for vector in 0..COLS {
                        sums[row][vector] = _mm512_dpbusd_epi32(sums[row][vector], x, weights[vector]);
                    }
                });
                b = b.add(4 * LANES * COLS);
                a = a.add(4);
            }
        }
        let mut stored = [[[0.0f32; LANES]; COLS]; ROWS];
        let to = stored.as_mut_ptr().cast::<f32>();
        each_row::<ROWS>(|row| {
            for vector in 0..COLS {
                _mm512_storeu_ps(
                    to.add((row * COLS + vector) * LANES),
                    _mm512_cvtepi32_ps(sums[row][vector]),
                );
            }
        });
        requantize(conjure::<Avx512>(), args, to, ROWS, COLS);
    }
}

/// Requantizes sums and stores them.
///
/// # Safety
/// `sums` holds `[rows][cols][16]`; the arguments' addresses are valid for as many.
#[inline(always)]
unsafe fn requantize<S: Simd>(simd: S, args: &MicroArgs<Int8>, sums: *const f32, rows: usize, cols: usize) {
    let finish = &args.finish;
    for vector in 0..cols {
        // SAFETY: as the caller vouches.
        unsafe {
            let scale = simd.load(finish.scale.add(vector * LANES));
            let bias = simd.load(finish.bias.add(vector * LANES));
            for row in 0..rows {
                let at = row * args.c_row + vector * args.c_vector;
                let mut sum = simd.fma(simd.load(sums.add((row * cols + vector) * LANES)), scale, bias);
                if !finish.residual.is_null() {
                    let residual = u8::load(simd, finish.residual.add(at), LANES);
                    let (scale, offset) =
                        (simd.splat(finish.residual_scale), simd.splat(finish.residual_offset));
                    sum = simd.add(sum, simd.fma(residual, scale, offset));
                }
                u8::store(simd, args.c.add(at), LANES, simd.max(sum, simd.splat(finish.low)));
            }
        }
    }
}

struct Table<const COLS: usize, const STRIDE: usize>;

impl<const COLS: usize, const STRIDE: usize> Table<COLS, STRIDE> {
    const fn entry<const ROWS: usize>() -> Option<Micro<Int8>> {
        if ROWS <= max_rows(Isa::Avx512, COLS) { Some(block::<ROWS, COLS, STRIDE>) } else { None }
    }

    const ALL: [Option<Micro<Int8>>; 14] = table!(entry);
}
