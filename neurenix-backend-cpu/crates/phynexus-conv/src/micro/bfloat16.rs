//! Products of bfloat16, two channels at a time, added in f32 (AVX-512 BF16).

use std::arch::x86_64::*;

use half::bf16;
use phynexus_simd::{Avx512, Isa, LANES, Simd};

use super::float::finish_rows;
use super::{Micro, MicroArgs, conjure, each_row, max_rows, table};
use crate::arithmetic::Arithmetic;
use crate::epilogue::{Finish, RawEpilogue};

/// Pixels, weights and results of bfloat16; needs [`phynexus_simd::has_bf16`].
#[derive(Clone, Copy, Debug)]
pub struct BFloat16;

impl Arithmetic for BFloat16 {
    type Pixel = bf16;
    type Weight = bf16;
    type Out = bf16;
    type Epilogue = RawEpilogue<bf16>;
    type Finish = Finish<bf16>;
    const DEPTH: usize = 2;
    const RESUMES: bool = false;

    fn finish(epilogue: &RawEpilogue<bf16>, block: usize, last_lanes: usize, at: usize) -> Finish<bf16> {
        epilogue.finish(block, last_lanes).at(at)
    }

    fn unfinished() -> Finish<bf16> {
        unreachable!("sums do not wait in the output")
    }

    fn micro<S: Simd>(rows: usize, cols: usize, twice: bool) -> Micro<Self> {
        assert!(S::ISA == Isa::Avx512, "AVX-512 BF16");
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
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c")]
unsafe fn block<const ROWS: usize, const COLS: usize, const STRIDE: usize>(args: &MicroArgs<BFloat16>) {
    // SAFETY: as the caller of the kernel vouches for the arguments, and whoever chose it for the processor.
    unsafe {
        let mut sums = [[_mm512_setzero_ps(); COLS]; ROWS];
        let mut b = args.b.cast::<f32>();
        for run in 0..args.run_count {
            // Pairs of channels, moved as one f32.
            let mut a = args.a.offset(*args.runs.add(run)).cast::<f32>();
            for _ in 0..LANES / 2 {
                let mut weights = [_mm512_setzero_ps(); COLS];
                for vector in 0..COLS {
                    weights[vector] = _mm512_loadu_ps(b.add(LANES * vector));
                }
                each_row::<ROWS>(|row| {
                    let x = _mm512_set1_ps(a.add(row * STRIDE / 2).read_unaligned());
                    for vector in 0..COLS {
                        let (x, w) = (std::mem::transmute::<__m512, __m512bh>(x), weights[vector]);
                        let w = std::mem::transmute::<__m512, __m512bh>(w);
                        sums[row][vector] = _mm512_dpbf16_ps(sums[row][vector], x, w);
                    }
                });
                b = b.add(LANES * COLS);
                a = a.add(1);
            }
        }
        let mut stored = [[[0.0f32; LANES]; COLS]; ROWS];
        let to = stored.as_mut_ptr().cast::<f32>();
        each_row::<ROWS>(|row| {
            for vector in 0..COLS {
                _mm512_storeu_ps(to.add((row * COLS + vector) * LANES), sums[row][vector]);
            }
        });
        finish_rows(conjure::<Avx512>(), args, to, ROWS, COLS);
    }
}

struct Table<const COLS: usize, const STRIDE: usize>;

impl<const COLS: usize, const STRIDE: usize> Table<COLS, STRIDE> {
    const fn entry<const ROWS: usize>() -> Option<Micro<BFloat16>> {
        if ROWS <= max_rows(Isa::Avx512, COLS) { Some(block::<ROWS, COLS, STRIDE>) } else { None }
    }

    const ALL: [Option<Micro<BFloat16>>; 14] = table!(entry);
}
