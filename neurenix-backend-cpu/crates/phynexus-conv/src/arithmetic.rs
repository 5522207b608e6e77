//! What a direct convolution multiplies and stores.

use phynexus_simd::Simd;

use crate::memory::Plain;
use crate::micro::Micro;

/// Element types of pixels, weights and results, and the innermost product of them.
pub trait Arithmetic: Copy + Send + Sync + 'static {
    /// An element of the input.
    type Pixel: Plain;
    /// An element of the packed weights.
    type Weight: Plain;
    /// An element of the output.
    type Out: Plain;
    /// What happens to the sums of a whole output before they are stored.
    type Epilogue: Copy + Send + Sync;
    /// The same for one call of the innermost product.
    type Finish: Copy;

    /// Neighbouring channels that one instruction multiplies and adds.
    const DEPTH: usize;
    /// Whether unfinished sums can wait in the output.
    const RESUMES: bool;

    /// For the vectors of output from block `block` on, whose last has so many lanes that are channels, and the
    /// output from element `at` on.
    fn finish(epilogue: &Self::Epilogue, block: usize, last_lanes: usize, at: usize) -> Self::Finish;

    /// Nothing happens; only where sums can wait in the output.
    fn unfinished() -> Self::Finish;

    /// The kernel for so many rows and vectors, runs of 16 channels, and rows 16 (`twice`: 32) elements apart.
    fn micro<S: Simd>(rows: usize, cols: usize, twice: bool) -> Micro<Self>;
}

/// An arithmetic that multiplies rows of a few channels side by side.
pub trait RowArithmetic: Arithmetic {
    /// What floats are made pixels by.
    type Form: Copy + Send + Sync;

    /// The kernel for so many rows and vectors, 1 or 2, runs of any multiple of `DEPTH`, and rows `stride` elements
    /// apart.
    fn strided_micro<S: Simd>(rows: usize, cols: usize, stride: usize) -> Micro<Self>;

    /// Makes pixels of floats, in place or at `to`; returns where they are.
    ///
    /// # Safety
    /// `from` is valid for `len` floats, `to` for as many pixels.
    unsafe fn pixels<S: Simd>(
        simd: S,
        form: Self::Form,
        from: *const f32,
        len: usize,
        to: *mut Self::Pixel,
    ) -> *const Self::Pixel;
}
