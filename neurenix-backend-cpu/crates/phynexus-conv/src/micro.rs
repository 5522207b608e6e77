//! The innermost product: a few rows of pixels times a panel of weights, all sums in registers.

#[cfg(target_arch = "x86_64")]
mod bfloat16;
mod float;
#[cfg(target_arch = "x86_64")]
mod int8;
mod int8_widened;
mod requantize;

use phynexus_simd::{Isa, Simd};

use crate::arithmetic::Arithmetic;

#[cfg(target_arch = "x86_64")]
pub use bfloat16::BFloat16;
pub use float::Float;
#[cfg(target_arch = "x86_64")]
pub use int8::Int8;
pub use int8_widened::Int8Widened;
pub use requantize::Requantize;

/// What one call computes: `c[row][vector] = sum over k of a[row][k] * b[k][vector]`, one chain of fused
/// multiply-adds in rising k, for as many rows and vectors as the kernel has.
pub struct MicroArgs<P: Arithmetic> {
    /// The first row.
    pub a: *const P::Pixel,
    /// Where each run of consecutive k starts, in elements from a row's start.
    pub runs: *const isize,
    /// How many runs there are.
    pub run_count: usize,
    /// Elements of a run; 16 whatever it says, for kernels made for 16.
    pub run_len: usize,
    /// Elements between rows; kernels made for a distance go by that.
    pub row_stride: usize,
    /// The panel: for each k the vectors side by side.
    pub b: *const P::Weight,
    /// The first output.
    pub c: *mut P::Out,
    /// Elements between rows of the output.
    pub c_row: usize,
    /// Elements between vectors of the output.
    pub c_vector: usize,
    /// Whether the sums start from `c` instead of zero.
    pub resume: bool,
    /// What happens to the sums at the end.
    pub finish: P::Finish,
}

/// A compiled kernel.
///
/// # Safety
/// All addresses that the arguments imply are valid; `c` overlaps nothing else.
pub type Micro<P> = unsafe fn(&MicroArgs<P>);

/// Calls `f` for every row: in two short loops, which the compiler unrolls both, so that sums stay in registers.
#[inline(always)]
pub fn each_row<const ROWS: usize>(mut f: impl FnMut(usize)) {
    for third in 0..ROWS.div_ceil(3) {
        for next in 0..3.min(ROWS - 3 * third) {
            f(3 * third + next);
        }
    }
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
        // Seven would leave no register for a factor.
        (Isa::Avx512, 4) => 6,
        (Isa::Avx2 | Isa::Neon, 1) => 6,
        (Isa::Avx2 | Isa::Neon, 2) => 3,
        (Isa::Portable, 1) => 4,
        _ => 0,
    }
}

/// The width of panels that suits runs of at most `rows` rows, in vectors.
pub fn panel_width(isa: Isa, rows: usize) -> usize {
    // Wide panels make up for few rows: what counts is how many chains of sums run at once.
    let fits = [4, 2, 1].into_iter().find(|&cols| rows <= max_rows(isa, cols));
    fits.unwrap_or(if isa == Isa::Avx512 { 2 } else { 1 })
}

/// The 14 functions that `entry` gives for 1 to 14 rows.
macro_rules! table {
    ($entry:ident) => {
        [
            Self::$entry::<1>(),
            Self::$entry::<2>(),
            Self::$entry::<3>(),
            Self::$entry::<4>(),
            Self::$entry::<5>(),
            Self::$entry::<6>(),
            Self::$entry::<7>(),
            Self::$entry::<8>(),
            Self::$entry::<9>(),
            Self::$entry::<10>(),
            Self::$entry::<11>(),
            Self::$entry::<12>(),
            Self::$entry::<13>(),
            Self::$entry::<14>(),
        ]
    };
}
pub(crate) use table;
