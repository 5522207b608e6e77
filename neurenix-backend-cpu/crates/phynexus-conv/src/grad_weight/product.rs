//! The innermost product over pixels: some input channels times some vectors of output channels.

use std::marker::PhantomData;

use phynexus_simd::{Kernel, LANES, Simd};

use crate::micro::{conjure, each_row, max_rows, table};

/// What one call computes: `sums[row][vector] += sum over pixels of a[pixel][row] * b[pixel][vector]`. The sum over
/// the pixels is one chain of fused multiply-adds; then it is added.
#[derive(Clone, Copy)]
pub struct PixelArgs {
    /// The first pixel's first channel; the next channels follow.
    pub a: *const f32,
    /// Floats to the next pixel of a row, to the next row, to the next sample.
    pub a_step: usize,
    pub a_row: usize,
    pub a_sample: usize,
    /// The first pixel's vector; the next pixel follows.
    pub b: *const f32,
    /// Floats to the next vector of a pixel, to the next row, to the next sample.
    pub b_vector: usize,
    pub b_row: usize,
    pub b_sample: usize,
    pub samples: usize,
    pub rows: usize,
    pub columns: usize,
    /// `[row][vector][16]`
    pub sums: *mut f32,
}

impl PixelArgs {
    /// Takes rows that follow each other on both sides as one, and samples too.
    pub fn join_rows(&mut self) {
        if self.a_row == self.columns * self.a_step && self.b_row == self.columns * LANES {
            self.columns *= self.rows;
            self.rows = 1;
        }
    }
}

/// Vectors of output channels that the kernels take at a time.
pub fn panel_cols<S: Simd>() -> usize {
    if max_rows(S::ISA, 2) >= 8 { 2 } else { 1 }
}

/// A compiled kernel.
///
/// # Safety
/// All addresses that the arguments imply are valid; the sums overlap nothing else.
pub type PixelMicro = unsafe fn(&PixelArgs);

struct Block<'a, const ROWS: usize, const COLS: usize>(&'a PixelArgs);

impl<const ROWS: usize, const COLS: usize> Kernel for Block<'_, ROWS, COLS> {
    type Output = ();

    // Indices that are constants after unrolling.
    #[allow(clippy::needless_range_loop)]
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let args = self.0;
        // SAFETY: as the caller of the kernel vouches for the arguments.
        unsafe {
            let mut sums = [[simd.zero(); COLS]; ROWS];
            for sample in 0..args.samples {
                for row in 0..args.rows {
                    let mut a = args.a.add(sample * args.a_sample + row * args.a_row);
                    let mut b = args.b.add(sample * args.b_sample + row * args.b_row);
                    for _ in 0..args.columns {
                        let mut gradients = [simd.zero(); COLS];
                        for vector in 0..COLS {
                            gradients[vector] = simd.load(b.add(vector * args.b_vector));
                        }
                        each_row::<ROWS>(|row| {
                            let x = simd.splat(*a.add(row));
                            for vector in 0..COLS {
                                sums[row][vector] = simd.fma(x, gradients[vector], sums[row][vector]);
                            }
                        });
                        a = a.add(args.a_step);
                        b = b.add(LANES);
                    }
                }
            }
            each_row::<ROWS>(|row| {
                for vector in 0..COLS {
                    let to = args.sums.add((row * COLS + vector) * LANES);
                    simd.store(to, simd.add(simd.load(to), sums[row][vector]));
                }
            });
        }
    }
}

unsafe fn block<S: Simd, const ROWS: usize, const COLS: usize>(args: &PixelArgs) {
    // SAFETY: whoever chose the kernel of this instruction set had its proof.
    let simd: S = unsafe { conjure() };
    simd.vectorize(Block::<ROWS, COLS>(args));
}

struct Table<S, const COLS: usize>(PhantomData<S>);

impl<S: Simd, const COLS: usize> Table<S, COLS> {
    const fn entry<const ROWS: usize>() -> Option<PixelMicro> {
        if ROWS <= max_rows(S::ISA, COLS) { Some(block::<S, ROWS, COLS>) } else { None }
    }

    const ALL: [Option<PixelMicro>; 14] = table!(entry);
}

/// The kernel for so many input channels and vectors of output channels, 1 or 2.
pub fn pixel_micro<S: Simd>(rows: usize, cols: usize) -> PixelMicro {
    let table = if cols == 1 { &Table::<S, 1>::ALL } else { &Table::<S, 2>::ALL };
    table[rows - 1].expect("a panel that max_rows allows")
}
