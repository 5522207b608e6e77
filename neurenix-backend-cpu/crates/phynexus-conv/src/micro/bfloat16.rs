//! Products of bfloat16, two channels at a time, added in f32 (AVX-512 BF16).

use std::arch::x86_64::*;
use std::marker::PhantomData;

use half::bf16;
use phynexus_simd::{Avx512, Isa, Kernel, LANES, Simd};

use super::float::finish_rows;
use super::{Micro, MicroArgs, conjure, each_row, max_rows, table};
use crate::arithmetic::{Arithmetic, RowArithmetic};
use crate::element::Lanes;
use crate::epilogue::{Finish, RawEpilogue};

/// Pixels and weights of bfloat16, results of `T`; needs [`phynexus_simd::has_bf16`].
#[derive(Clone, Copy, Debug)]
pub struct BFloat16<T>(PhantomData<T>);

impl<T: Lanes> Arithmetic for BFloat16<T> {
    type Pixel = bf16;
    type Weight = bf16;
    type Out = T;
    type Epilogue = RawEpilogue<T>;
    type Finish = Finish<T>;
    const DEPTH: usize = 2;
    const RESUMES: bool = false;

    fn finish(epilogue: &RawEpilogue<T>, block: usize, last_lanes: usize, at: usize) -> Finish<T> {
        epilogue.finish(block, last_lanes).at(at)
    }

    fn unfinished() -> Finish<T> {
        unreachable!("sums do not wait in the output")
    }

    fn micro<S: Simd>(rows: usize, cols: usize, twice: bool) -> Micro<Self> {
        assert!(S::ISA == Isa::Avx512, "AVX-512 BF16");
        let table = match (cols, twice) {
            (1, false) => &Table::<T, 1, 16, 16>::ALL,
            (2, false) => &Table::<T, 2, 16, 16>::ALL,
            (4, false) => &Table::<T, 4, 16, 16>::ALL,
            (1, true) => &Table::<T, 1, 32, 16>::ALL,
            (2, true) => &Table::<T, 2, 32, 16>::ALL,
            _ => &Table::<T, 4, 32, 16>::ALL,
        };
        table[rows - 1].expect("a panel that max_rows allows")
    }
}

impl<T: Lanes> RowArithmetic for BFloat16<T> {
    type Form = ();

    fn strided_micro<S: Simd>(rows: usize, cols: usize, stride: usize) -> Micro<Self> {
        assert!(S::ISA == Isa::Avx512, "AVX-512 BF16");
        let table = match (cols, stride) {
            (1, 6) => &Table::<T, 1, 6, 0>::ALL,
            (2, 6) => &Table::<T, 2, 6, 0>::ALL,
            (1, _) => &Table::<T, 1, 0, 0>::ALL,
            _ => &Table::<T, 2, 0, 0>::ALL,
        };
        table[rows - 1].expect("a panel that max_rows allows")
    }

    unsafe fn pixels<S: Simd>(
        simd: S,
        _form: (),
        from: *const f32,
        len: usize,
        to: *mut bf16,
    ) -> *const bf16 {
        simd.vectorize(Narrow { from, len, to });
        to
    }
}

/// Rounds floats to bfloat16.
struct Narrow {
    from: *const f32,
    len: usize,
    to: *mut bf16,
}

impl Kernel for Narrow {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for start in (0..self.len).step_by(LANES) {
            let count = (self.len - start).min(LANES);
            // SAFETY: the caller vouches for so many elements at both places.
            unsafe {
                bf16::store(simd, self.to.add(start), count, f32::load(simd, self.from.add(start), count))
            };
        }
    }
}

// Indices that are constants after unrolling.
#[allow(clippy::needless_range_loop)]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c")]
unsafe fn block<T: Lanes, const ROWS: usize, const COLS: usize, const STRIDE: usize, const RUN: usize>(
    args: &MicroArgs<BFloat16<T>>,
) {
    let stride = if STRIDE == 0 { args.row_stride } else { STRIDE };
    let run_len = if RUN == 0 { args.run_len } else { RUN };
    // SAFETY: as the caller of the kernel vouches for the arguments, and whoever chose it for the processor.
    unsafe {
        let mut sums = [[_mm512_setzero_ps(); COLS]; ROWS];
        let mut b = args.b.cast::<f32>();
        for run in 0..args.run_count {
            // Pairs of channels, moved as one f32.
            let mut a = args.a.offset(*args.runs.add(run));
            for _ in 0..run_len / 2 {
                let mut weights = [_mm512_setzero_ps(); COLS];
                for vector in 0..COLS {
                    weights[vector] = _mm512_loadu_ps(b.add(LANES * vector));
                }
                each_row::<ROWS>(|row| {
                    let x = _mm512_set1_ps(a.add(row * stride).cast::<f32>().read_unaligned());
                    for vector in 0..COLS {
                        let (x, w) = (std::mem::transmute::<__m512, __m512bh>(x), weights[vector]);
                        let w = std::mem::transmute::<__m512, __m512bh>(w);
                        sums[row][vector] = _mm512_dpbf16_ps(sums[row][vector], x, w);
                    }
                });
                b = b.add(LANES * COLS);
                a = a.add(2);
            }
        }
        // Whole sums, as they are.
        if size_of::<T>() == size_of::<f32>() && args.finish.is_none() {
            each_row::<ROWS>(|row| {
                for vector in 0..COLS {
                    let to = args.c.add(row * args.c_row + vector * args.c_vector);
                    _mm512_storeu_ps(to.cast(), sums[row][vector]);
                }
            });
            return;
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

struct Table<T, const COLS: usize, const STRIDE: usize, const RUN: usize>(PhantomData<T>);

impl<T: Lanes, const COLS: usize, const STRIDE: usize, const RUN: usize> Table<T, COLS, STRIDE, RUN> {
    const fn entry<const ROWS: usize>() -> Option<Micro<BFloat16<T>>> {
        if ROWS <= max_rows(Isa::Avx512, COLS) { Some(block::<T, ROWS, COLS, STRIDE, RUN>) } else { None }
    }

    const ALL: [Option<Micro<BFloat16<T>>>; 14] = table!(entry);
}
