//! The same products of 8-bit integers without instructions made for them: on AVX2 as pairs of 16 bits, elsewhere
//! widened to 32. The sums are exact, so that results have the same bits as with AVX-512 VNNI.

use std::marker::PhantomData;

use phynexus_simd::{Kernel, LANES, Simd};

use super::requantize::{Requantize, requantize};
use super::{Micro, MicroArgs, conjure, each_row, max_rows, table};
use crate::arithmetic::Arithmetic;

/// Pixels and results of u8, weights of i8, on every instruction set.
#[derive(Clone, Copy, Debug)]
pub struct Int8Widened;

impl Arithmetic for Int8Widened {
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
        let table = match (cols, twice) {
            (1, false) => &Table::<S, 1, 16>::ALL,
            (2, false) => &Table::<S, 2, 16>::ALL,
            (4, false) => &Table::<S, 4, 16>::ALL,
            (1, true) => &Table::<S, 1, 32>::ALL,
            (2, true) => &Table::<S, 2, 32>::ALL,
            _ => &Table::<S, 4, 32>::ALL,
        };
        table[rows - 1].expect("a panel that max_rows allows")
    }
}

struct Block<'a, const ROWS: usize, const COLS: usize, const STRIDE: usize>(&'a MicroArgs<Int8Widened>);

impl<const ROWS: usize, const COLS: usize, const STRIDE: usize> Kernel for Block<'_, ROWS, COLS, STRIDE> {
    type Output = ();

    // Indices that are constants after unrolling.
    #[allow(clippy::needless_range_loop)]
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let args = self.0;
        // SAFETY: as the caller of the kernel vouches for the arguments.
        unsafe {
            let mut sums = [[simd.splat_i32(0); COLS]; ROWS];
            let mut b = args.b;
            for run in 0..args.run_count {
                let a = args.a.offset(*args.runs.add(run));
                for word in 0..LANES / 4 {
                    // The four channels of a word one after the other.
                    for channel in 0..4 {
                        let mut weights = [simd.splat_i32(0); COLS];
                        for vector in 0..COLS {
                            let words = simd.load_i32(b.add(4 * LANES * vector).cast());
                            weights[vector] = match channel {
                                0 => simd.shr_i32::<24>(simd.shl_i32::<24>(words)),
                                1 => simd.shr_i32::<24>(simd.shl_i32::<16>(words)),
                                2 => simd.shr_i32::<24>(simd.shl_i32::<8>(words)),
                                _ => simd.shr_i32::<24>(words),
                            };
                        }
                        each_row::<ROWS>(|row| {
                            let x = simd.splat_i32(i32::from(*a.add(row * STRIDE + 4 * word + channel)));
                            for vector in 0..COLS {
                                let product = simd.mul_i32(x, weights[vector]);
                                sums[row][vector] = simd.add_i32(sums[row][vector], product);
                            }
                        });
                    }
                    b = b.add(4 * LANES * COLS);
                }
            }
            let mut stored = [[[0i32; LANES]; COLS]; ROWS];
            let to = stored.as_mut_ptr().cast::<i32>();
            each_row::<ROWS>(|row| {
                for vector in 0..COLS {
                    simd.store_i32(to.add((row * COLS + vector) * LANES), sums[row][vector]);
                }
            });
            requantize(simd, args, to, ROWS, COLS);
        }
    }
}

unsafe fn block<S: Simd, const ROWS: usize, const COLS: usize, const STRIDE: usize>(
    args: &MicroArgs<Int8Widened>,
) {
    // SAFETY: whoever chose the kernel of this instruction set had its proof.
    let simd: S = unsafe { conjure() };
    simd.vectorize(Block::<ROWS, COLS, STRIDE>(args));
}

/// Even and odd bytes become pairs of 16 bits, of which products are added without loss.
#[cfg(target_arch = "x86_64")]
// Indices that are constants after unrolling.
#[allow(clippy::needless_range_loop)]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn pairs<const ROWS: usize, const COLS: usize, const STRIDE: usize>(args: &MicroArgs<Int8Widened>) {
    use std::arch::x86_64::*;

    // SAFETY: as the caller of the kernel vouches for the arguments, and whoever chose it for the processor.
    unsafe {
        let byte = _mm256_set1_epi16(0xff);
        let mut sums = [[[_mm256_setzero_si256(); 2]; COLS]; ROWS];
        let mut b = args.b;
        for run in 0..args.run_count {
            let mut a = args.a.offset(*args.runs.add(run));
            for _ in 0..LANES / 4 {
                let mut weights = [[[_mm256_setzero_si256(); 2]; 2]; COLS];
                for vector in 0..COLS {
                    for half in 0..2 {
                        let words = _mm256_loadu_si256(b.add(4 * LANES * vector + 32 * half).cast());
                        let even = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(words));
                        weights[vector][half] = [even, _mm256_srai_epi16::<8>(words)];
                    }
                }
                each_row::<ROWS>(|row| {
                    let x = _mm256_set1_epi32(a.add(row * STRIDE).cast::<i32>().read_unaligned());
                    let (even, odd) = (_mm256_and_si256(x, byte), _mm256_srli_epi16::<8>(x));
                    for vector in 0..COLS {
                        for half in 0..2 {
                            let [w_even, w_odd] = weights[vector][half];
                            let products = _mm256_add_epi32(
                                _mm256_madd_epi16(even, w_even),
                                _mm256_madd_epi16(odd, w_odd),
                            );
                            sums[row][vector][half] = _mm256_add_epi32(sums[row][vector][half], products);
                        }
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
                for half in 0..2 {
                    let to = to.add((row * COLS + vector) * LANES + 8 * half);
                    _mm256_storeu_si256(to.cast(), sums[row][vector][half]);
                }
            }
        });
        requantize(conjure::<phynexus_simd::Avx2>(), args, to, ROWS, COLS);
    }
}

struct Table<S, const COLS: usize, const STRIDE: usize>(PhantomData<S>);

impl<S: Simd, const COLS: usize, const STRIDE: usize> Table<S, COLS, STRIDE> {
    const fn entry<const ROWS: usize>() -> Option<Micro<Int8Widened>> {
        if ROWS > max_rows(S::ISA, COLS) {
            return None;
        }
        #[cfg(target_arch = "x86_64")]
        if matches!(S::ISA, phynexus_simd::Isa::Avx2) {
            return Some(pairs::<ROWS, COLS, STRIDE>);
        }
        Some(block::<S, ROWS, COLS, STRIDE>)
    }

    const ALL: [Option<Micro<Int8Widened>>; 14] = table!(entry);
}
