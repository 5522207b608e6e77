//! The innermost product: a few rows of pixels times a panel of weights, all sums in registers.

use std::marker::PhantomData;

use phynexus_simd::{Isa, Kernel, LANES, Simd};

/// What one call computes: `c[row][vector] = sum over k of a[row][k] * b[k][vector]`, one chain of fused
/// multiply-adds in rising k, for as many rows and vectors as the kernel has.
#[derive(Clone, Copy)]
pub struct MicroArgs {
    /// The first row.
    pub a: *const f32,
    /// Where each run of consecutive k starts, in floats from a row's start.
    pub runs: *const isize,
    /// How many runs there are.
    pub run_count: usize,
    /// Elements of a run; 16 whatever it says, for kernels made for 16.
    pub run_len: usize,
    /// Floats between rows; kernels made for a distance go by that.
    pub row_stride: usize,
    /// The panel: for each k the vectors side by side.
    pub b: *const f32,
    /// The first output.
    pub c: *mut f32,
    /// Floats between rows of the output.
    pub c_row: usize,
    /// Floats between vectors of the output.
    pub c_vector: usize,
    /// Whether the sums start from `c` instead of zero.
    pub resume: bool,
    /// What happens to the sums at the end.
    pub finish: Finish,
}

/// What happens to sums before they are stored: bias, then residual, then ReLU.
#[derive(Clone, Copy)]
pub struct Finish {
    /// A vector for each vector of output; null: none.
    pub bias: *const f32,
    /// Strides as the output; null: none.
    pub residual: *const f32,
    /// Negative sums become zero.
    pub relu: bool,
    /// Lanes of the last vector that are channels; the others become zero.
    pub last_lanes: usize,
}

impl Finish {
    /// Nothing happens.
    pub const NONE: Self =
        Self { bias: std::ptr::null(), residual: std::ptr::null(), relu: false, last_lanes: LANES };

    /// Whether nothing happens.
    #[inline(always)]
    fn is_none(&self) -> bool {
        self.bias.is_null() && self.residual.is_null() && !self.relu && self.last_lanes == LANES
    }
}

/// A compiled kernel.
///
/// # Safety
/// All addresses that the arguments imply are valid; `c` overlaps nothing else.
pub type Micro = unsafe fn(&MicroArgs);

/// Adds bias and residual to one vector of sums and cuts negative ones off.
///
/// # Safety
/// `residual` is null or valid for 16 floats.
#[inline(always)]
pub unsafe fn finish<S: Simd>(
    simd: S,
    sums: S::F32,
    bias: S::F32,
    residual: *const f32,
    finish: &Finish,
) -> S::F32 {
    let mut sums = sums;
    if !finish.bias.is_null() {
        sums = simd.add(sums, bias);
    }
    if !residual.is_null() {
        // SAFETY: as the caller vouches.
        sums = simd.add(sums, unsafe { simd.load(residual) });
    }
    if finish.relu {
        // A NaN in the second argument comes out.
        sums = simd.max(simd.zero(), sums);
    }
    sums
}

/// `x` with zeros in the lanes from `lanes` on.
#[inline(always)]
pub fn keep_first<S: Simd>(simd: S, x: S::F32, lanes: usize) -> S::F32 {
    let mut values = simd.to_array(x);
    values[lanes..].fill(0.0);
    // SAFETY: the array has 16 elements.
    unsafe { simd.load(values.as_ptr()) }
}

struct Block<'a, const ROWS: usize, const COLS: usize, const STRIDE: usize, const RUN: usize>(&'a MicroArgs);

impl<const ROWS: usize, const COLS: usize, const STRIDE: usize, const RUN: usize> Kernel
    for Block<'_, ROWS, COLS, STRIDE, RUN>
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
                        sums[row][vector] = simd.load(args.c.add(row * args.c_row + vector * args.c_vector));
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
                        let x = simd.splat(*a.add(row * stride));
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
                        simd.store(args.c.add(row * args.c_row + vector * args.c_vector), sums[row][vector]);
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
unsafe fn finish_rows<S: Simd>(simd: S, args: &MicroArgs, sums: *const f32, rows: usize, cols: usize) {
    for vector in 0..cols {
        // SAFETY: as the caller vouches.
        unsafe {
            let has_bias = !args.finish.bias.is_null();
            let bias = if has_bias { simd.load(args.finish.bias.add(LANES * vector)) } else { simd.zero() };
            for row in 0..rows {
                let finishing = args.finish.at(row * args.c_row + vector * args.c_vector);
                let sum = simd.load(sums.add((row * cols + vector) * LANES));
                let mut sum = finish(simd, sum, bias, finishing.residual, &finishing);
                if vector + 1 == cols && finishing.last_lanes < LANES {
                    sum = keep_first(simd, sum, finishing.last_lanes);
                }
                simd.store(args.c.add(row * args.c_row + vector * args.c_vector), sum);
            }
        }
    }
}

/// Calls `f` for every row: in two short loops, which the compiler unrolls both, so that sums stay in registers.
#[inline(always)]
pub fn each_row<const ROWS: usize>(mut f: impl FnMut(usize)) {
    for third in 0..ROWS.div_ceil(3) {
        for next in 0..3.min(ROWS - 3 * third) {
            f(3 * third + next);
        }
    }
}

unsafe fn block<S: Simd, const ROWS: usize, const COLS: usize, const STRIDE: usize, const RUN: usize>(
    args: &MicroArgs,
) {
    // SAFETY: whoever chose the kernel of this instruction set had its proof.
    let simd: S = unsafe { conjure() };
    simd.vectorize(Block::<ROWS, COLS, STRIDE, RUN>(args));
}

/// The proof that the processor has an instruction set, from nothing.
///
/// # Safety
/// The processor has it.
#[inline(always)]
pub unsafe fn conjure<S: Simd>() -> S {
    const { assert!(size_of::<S>() == 0) };
    // SAFETY: a type without size is read without memory; that it is a proof, the caller vouches for.
    unsafe { std::ptr::NonNull::<S>::dangling().read() }
}

/// Rows that the registers hold sums of, for a panel of so many vectors; 0 if such panels are not used.
pub const fn max_rows(isa: Isa, cols: usize) -> usize {
    match (isa, cols) {
        (Isa::Avx512, 1 | 2) => 14,
        (Isa::Avx512, 4) => 7,
        (Isa::Avx2 | Isa::Neon, 1) => 6,
        (Isa::Avx2 | Isa::Neon, 2) => 3,
        (Isa::Portable, 1) => 4,
        _ => 0,
    }
}

/// The width of panels that suits runs of at most `rows` rows, in vectors.
pub fn panel_width(isa: Isa, rows: usize) -> usize {
    // Wide panels make up for few rows: what counts is how many chains of sums run at once.
    *[4, 2, 1].iter().find(|&&cols| rows <= max_rows(isa, cols)).unwrap_or(match isa {
        Isa::Avx512 => &2,
        _ => &1,
    })
}

/// Kernels for 1 to 14 rows.
struct Table<S, const COLS: usize, const STRIDE: usize, const RUN: usize>(PhantomData<S>);

impl<S: Simd, const COLS: usize, const STRIDE: usize, const RUN: usize> Table<S, COLS, STRIDE, RUN> {
    const fn entry<const ROWS: usize>() -> Option<Micro> {
        if ROWS <= max_rows(S::ISA, COLS) { Some(block::<S, ROWS, COLS, STRIDE, RUN>) } else { None }
    }

    const ALL: [Option<Micro>; 14] = [
        Self::entry::<1>(),
        Self::entry::<2>(),
        Self::entry::<3>(),
        Self::entry::<4>(),
        Self::entry::<5>(),
        Self::entry::<6>(),
        Self::entry::<7>(),
        Self::entry::<8>(),
        Self::entry::<9>(),
        Self::entry::<10>(),
        Self::entry::<11>(),
        Self::entry::<12>(),
        Self::entry::<13>(),
        Self::entry::<14>(),
    ];
}

/// The kernel for so many rows and vectors, runs of 16 and rows 16 (`twice`: 32) floats apart.
pub fn blocked_micro<S: Simd>(rows: usize, cols: usize, twice: bool) -> Micro {
    let table = match (cols, twice) {
        (1, false) => &Table::<S, 1, 16, 16>::ALL,
        (2, false) => &Table::<S, 2, 16, 16>::ALL,
        (4, false) => &Table::<S, 4, 16, 16>::ALL,
        (1, true) => &Table::<S, 1, 32, 16>::ALL,
        (2, true) => &Table::<S, 2, 32, 16>::ALL,
        _ => &Table::<S, 4, 32, 16>::ALL,
    };
    table[rows - 1].expect("a panel that max_rows allows")
}

/// The kernel for so many rows and vectors, runs of any length and rows `stride` floats apart.
pub fn strided_micro<S: Simd>(rows: usize, cols: usize, stride: usize) -> Micro {
    let table = match (cols, stride) {
        (1, 3) => &Table::<S, 1, 3, 0>::ALL,
        (2, 3) => &Table::<S, 2, 3, 0>::ALL,
        (1, 6) => &Table::<S, 1, 6, 0>::ALL,
        (2, 6) => &Table::<S, 2, 6, 0>::ALL,
        (1, _) => &Table::<S, 1, 0, 0>::ALL,
        _ => &Table::<S, 2, 0, 0>::ALL,
    };
    table[rows - 1].expect("a panel that max_rows allows")
}
