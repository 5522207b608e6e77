//! Products of f32, on every instruction set.

use std::marker::PhantomData;

use phynexus_simd::{Kernel, LANES, Simd};

use super::{Micro, MicroArgs, conjure, each_row, max_rows, table};
use crate::arithmetic::{Arithmetic, RowArithmetic};
use crate::element::{Lanes, Pixel};
use crate::epilogue::{Finish, RawEpilogue};

/// Weights of f32, results of `T`, pixels of `P`, which are widened as they are read.
#[derive(Clone, Copy, Debug)]
pub struct Float<T, P = f32>(PhantomData<(T, P)>);

impl<T: Lanes, P: Pixel> Arithmetic for Float<T, P> {
    type Pixel = P;
    type Weight = f32;
    type Out = T;
    type Epilogue = RawEpilogue<T>;
    type Finish = Finish<T>;
    const DEPTH: usize = 1;
    const RESUMES: bool = size_of::<T>() == size_of::<f32>();

    fn finish(epilogue: &RawEpilogue<T>, block: usize, last_lanes: usize, at: usize) -> Finish<T> {
        epilogue.finish(block, last_lanes).at(at)
    }

    fn unfinished() -> Finish<T> {
        Finish::NONE
    }

    fn micro<S: Simd>(rows: usize, cols: usize, twice: bool) -> Micro<Self> {
        let table = match (cols, twice) {
            (1, false) => &Table::<S, T, P, 1, 16, 16>::ALL,
            (2, false) => &Table::<S, T, P, 2, 16, 16>::ALL,
            (4, false) => &Table::<S, T, P, 4, 16, 16>::ALL,
            (1, true) => &Table::<S, T, P, 1, 32, 16>::ALL,
            (2, true) => &Table::<S, T, P, 2, 32, 16>::ALL,
            _ => &Table::<S, T, P, 4, 32, 16>::ALL,
        };
        table[rows - 1].expect("a panel that max_rows allows")
    }
}

impl<T: Lanes> RowArithmetic for Float<T> {
    type Form = ();

    fn strided_micro<S: Simd>(rows: usize, cols: usize, stride: usize) -> Micro<Self> {
        let table = match (cols, stride) {
            (1, 3) => &Table::<S, T, f32, 1, 3, 0>::ALL,
            (2, 3) => &Table::<S, T, f32, 2, 3, 0>::ALL,
            (1, 6) => &Table::<S, T, f32, 1, 6, 0>::ALL,
            (2, 6) => &Table::<S, T, f32, 2, 6, 0>::ALL,
            (1, _) => &Table::<S, T, f32, 1, 0, 0>::ALL,
            _ => &Table::<S, T, f32, 2, 0, 0>::ALL,
        };
        table[rows - 1].expect("a panel that max_rows allows")
    }

    unsafe fn pixels<S: Simd>(
        _simd: S,
        _form: (),
        from: *const f32,
        _len: usize,
        _to: *mut f32,
    ) -> *const f32 {
        from
    }
}

struct Block<
    'a,
    T: Lanes,
    P: Pixel,
    const ROWS: usize,
    const COLS: usize,
    const STRIDE: usize,
    const RUN: usize,
>(&'a MicroArgs<Float<T, P>>);

impl<T: Lanes, P: Pixel, const ROWS: usize, const COLS: usize, const STRIDE: usize, const RUN: usize> Kernel
    for Block<'_, T, P, ROWS, COLS, STRIDE, RUN>
{
    type Output = ();

    // Indices that are constants after unrolling.
    #[allow(clippy::needless_range_loop)]
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let args = self.0;
        let stride = if STRIDE == 0 { args.row_stride } else { STRIDE };
        let run_len = if RUN == 0 { args.run_len } else { RUN };
        // SAFETY: as the caller of the kernel vouches for the arguments.
        unsafe {
            let mut sums = [[simd.zero(); COLS]; ROWS];
            if args.resume {
                each_row::<ROWS>(|row| {
                    for vector in 0..COLS {
                        let from = args.c.add(row * args.c_row + vector * args.c_vector);
                        sums[row][vector] = T::load(simd, from, LANES);
                    }
                });
            }
            let mut b = args.b;
            for run in 0..args.run_count {
                let mut a = args.a.offset(*args.runs.add(run));
                for _ in 0..run_len {
                    let mut weights = [simd.zero(); COLS];
                    for vector in 0..COLS {
                        weights[vector] = simd.load(b.add(LANES * vector));
                    }
                    each_row::<ROWS>(|row| {
                        let x = simd.splat((*a.add(row * stride)).widen());
                        for vector in 0..COLS {
                            sums[row][vector] = simd.fma(x, weights[vector], sums[row][vector]);
                        }
                    });
                    b = b.add(LANES * COLS);
                    a = a.add(1);
                }
            }
            if args.finish.is_none() {
                each_row::<ROWS>(|row| {
                    for vector in 0..COLS {
                        let to = args.c.add(row * args.c_row + vector * args.c_vector);
                        T::store(simd, to, LANES, sums[row][vector]);
                    }
                });
                return;
            }
            // By way of the stack: a loop that is too long to be unrolled would keep the sums there from the start.
            let mut stored = [[[0.0f32; LANES]; COLS]; ROWS];
            let to = stored.as_mut_ptr().cast::<f32>();
            each_row::<ROWS>(|row| {
                for vector in 0..COLS {
                    simd.store(to.add((row * COLS + vector) * LANES), sums[row][vector]);
                }
            });
            finish_rows(simd, args, to, ROWS, COLS);
        }
    }
}

/// Finishes sums and stores them.
///
/// # Safety
/// `sums` holds `[rows][cols][16]`; the arguments' addresses are valid for as many.
#[inline(always)]
pub unsafe fn finish_rows<S, P, T>(simd: S, args: &MicroArgs<P>, sums: *const f32, rows: usize, cols: usize)
where
    S: Simd,
    P: Arithmetic<Out = T, Finish = Finish<T>>,
    T: Lanes,
{
    for vector in 0..cols {
        // SAFETY: as the caller vouches.
        unsafe {
            let bias = args.finish.bias(simd, vector);
            for row in 0..rows {
                let at = row * args.c_row + vector * args.c_vector;
                let sum = simd.load(sums.add((row * cols + vector) * LANES));
                args.finish.at(at).store(simd, sum, bias, vector + 1 == cols, args.c.add(at));
            }
        }
    }
}

unsafe fn block<S, T, P, const ROWS: usize, const COLS: usize, const STRIDE: usize, const RUN: usize>(
    args: &MicroArgs<Float<T, P>>,
) where
    S: Simd,
    T: Lanes,
    P: Pixel,
{
    // SAFETY: whoever chose the kernel of this instruction set had its proof.
    let simd: S = unsafe { conjure() };
    simd.vectorize(Block::<T, P, ROWS, COLS, STRIDE, RUN>(args));
}

/// Kernels for 1 to 14 rows.
struct Table<S, T, P, const COLS: usize, const STRIDE: usize, const RUN: usize>(PhantomData<(S, T, P)>);

impl<S: Simd, T: Lanes, P: Pixel, const COLS: usize, const STRIDE: usize, const RUN: usize>
    Table<S, T, P, COLS, STRIDE, RUN>
{
    const fn entry<const ROWS: usize>() -> Option<Micro<Float<T, P>>> {
        if ROWS <= max_rows(S::ISA, COLS) { Some(block::<S, T, P, ROWS, COLS, STRIDE, RUN>) } else { None }
    }

    const ALL: [Option<Micro<Float<T, P>>>; 14] = table!(entry);
}
