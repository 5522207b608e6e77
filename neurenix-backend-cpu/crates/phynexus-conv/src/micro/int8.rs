//! Products of unsigned by signed 8-bit integers, four channels at a time, added in 32 bits (AVX-512 VNNI).

use std::arch::x86_64::*;

use phynexus_simd::{Avx512, Isa, LANES, Simd};

use super::requantize::{Requantize, requantize};
use super::{Micro, MicroArgs, conjure, each_row, max_rows, table};
use crate::arithmetic::{Arithmetic, RowArithmetic};
use crate::int8::{Affine, Quantization};

/// Pixels and results of u8, weights of i8; needs [`phynexus_simd::has_vnni`]. The sums are exact.
#[derive(Clone, Copy, Debug)]
pub struct Int8;

impl Arithmetic for Int8 {
    type Pixel = u8;
    type Weight = i8;
    type Out = u8;
    type Epilogue = Requantize;
    type Finish = Requantize;
    const DEPTH: usize = 4;
    const RESUMES: bool = false;

    fn finish(epilogue: &Requantize, block: usize, _last_lanes: usize, at: usize) -> Requantize {
        epilogue.at(block, at)
    }

    fn unfinished() -> Requantize {
        unreachable!("sums do not wait in the output")
    }

    fn micro<S: Simd>(rows: usize, cols: usize, twice: bool) -> Micro<Self> {
        assert!(S::ISA == Isa::Avx512, "AVX-512 VNNI");
        let table = match (cols, twice) {
            (1, false) => &Table::<1, 16, 16>::ALL,
            (2, false) => &Table::<2, 16, 16>::ALL,
            (4, false) => &Table::<4, 16, 16>::ALL,
            (1, true) => &Table::<1, 32, 16>::ALL,
            (2, true) => &Table::<2, 32, 16>::ALL,
            _ => &Table::<4, 32, 16>::ALL,
        };
        table[rows - 1].expect("a panel that max_rows allows")
    }
}

impl RowArithmetic for Int8 {
    type Form = Quantization;

    fn strided_micro<S: Simd>(rows: usize, cols: usize, stride: usize) -> Micro<Self> {
        assert!(S::ISA == Isa::Avx512, "AVX-512 VNNI");
        let table = match (cols, stride) {
            (1, 6) => &Table::<1, 6, 0>::ALL,
            (2, 6) => &Table::<2, 6, 0>::ALL,
            (1, _) => &Table::<1, 0, 0>::ALL,
            _ => &Table::<2, 0, 0>::ALL,
        };
        table[rows - 1].expect("a panel that max_rows allows")
    }

    unsafe fn pixels<S: Simd>(
        simd: S,
        form: Quantization,
        from: *const f32,
        len: usize,
        to: *mut u8,
    ) -> *const u8 {
        // SAFETY: as the caller vouches.
        let from = unsafe { std::slice::from_raw_parts(from, len) };
        simd.vectorize(Affine::quantizing(from, form, to));
        to
    }
}

// Indices that are constants after unrolling.
#[allow(clippy::needless_range_loop)]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
unsafe fn block<const ROWS: usize, const COLS: usize, const STRIDE: usize, const RUN: usize>(
    args: &MicroArgs<Int8>,
) {
    let stride = if STRIDE == 0 { args.row_stride } else { STRIDE };
    let run_len = if RUN == 0 { args.run_len } else { RUN };
    // SAFETY: as the caller of the kernel vouches for the arguments, and whoever chose it for the processor.
    unsafe {
        let mut sums = [[_mm512_setzero_si512(); COLS]; ROWS];
        let mut b = args.b;
        for run in 0..args.run_count {
            let mut a = args.a.offset(*args.runs.add(run));
            for _ in 0..run_len / 4 {
                let mut weights = [_mm512_setzero_si512(); COLS];
                for vector in 0..COLS {
                    weights[vector] = _mm512_loadu_si512(b.add(4 * LANES * vector).cast());
                }
                each_row::<ROWS>(|row| {
                    let x = _mm512_set1_epi32(a.add(row * stride).cast::<i32>().read_unaligned());
                    for vector in 0..COLS {
                        sums[row][vector] = _mm512_dpbusd_epi32(sums[row][vector], x, weights[vector]);
                    }
                });
                b = b.add(4 * LANES * COLS);
                a = a.add(4);
            }
        }
        let mut stored = [[[0i32; LANES]; COLS]; ROWS];
        let to = stored.as_mut_ptr().cast::<i32>();
        each_row::<ROWS>(|row| {
            for vector in 0..COLS {
                _mm512_storeu_si512(to.add((row * COLS + vector) * LANES).cast(), sums[row][vector]);
            }
        });
        requantize(conjure::<Avx512>(), args, to, ROWS, COLS);
    }
}

struct Table<const COLS: usize, const STRIDE: usize, const RUN: usize>;

impl<const COLS: usize, const STRIDE: usize, const RUN: usize> Table<COLS, STRIDE, RUN> {
    const fn entry<const ROWS: usize>() -> Option<Micro<Int8>> {
        if ROWS <= max_rows(Isa::Avx512, COLS) { Some(block::<ROWS, COLS, STRIDE, RUN>) } else { None }
    }

    const ALL: [Option<Micro<Int8>>; 14] = table!(entry);
}
