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

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let args = self.0;
        let stride = if STRIDE == 0 { args.row_stride } else { STRIDE };
        let run_len = if RUN == 0 { args.run_len } else { RUN };
        // SAFETY: as the caller of the kernel vouches for the arguments.
        unsafe {
            let mut sums = [[simd.zero(); COLS]; ROWS];
            if args.resume {
                for (row, sums) in sums.iter_mut().enumerate() {
                    for (vector, sum) in sums.iter_mut().enumerate() {
                        *sum = simd.load(args.c.add(row * args.c_row + vector * args.c_vector));
                    }
                }
            }
            let mut b = args.b;
            for run in 0..args.run_count {
                let mut a = args.a.offset(*args.runs.add(run));
                for _ in 0..run_len {
                    let weights: [S::F32; COLS] =
                        std::array::from_fn(|vector| simd.load(b.add(LANES * vector)));
                    for (row, sums) in sums.iter_mut().enumerate() {
                        let x = simd.splat(*a.add(row * stride));
                        for (sum, weight) in sums.iter_mut().zip(weights) {
                            *sum = simd.fma(x, weight, *sum);
                        }
                    }
                    b = b.add(LANES * COLS);
                    a = a.add(1);
                }
            }
            let bias: [S::F32; COLS] = std::array::from_fn(|vector| {
                if args.finish.bias.is_null() {
                    simd.zero()
                } else {
                    simd.load(args.finish.bias.add(LANES * vector))
                }
            });
            for (row, sums) in sums.iter().enumerate() {
                for (vector, &sum) in sums.iter().enumerate() {
                    let at = row * args.c_row + vector * args.c_vector;
                    let residual = if args.finish.residual.is_null() {
                        std::ptr::null()
                    } else {
                        args.finish.residual.add(at)
                    };
                    let mut sum = finish(simd, sum, bias[vector], residual, &args.finish);
                    if vector + 1 == COLS && args.finish.last_lanes < LANES {
                        sum = keep_first(simd, sum, args.finish.last_lanes);
                    }
                    simd.store(args.c.add(at), sum);
                }
            }
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
