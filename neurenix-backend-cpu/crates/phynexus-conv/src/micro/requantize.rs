//! From exact sums of 8-bit products to 8-bit results.

use phynexus_simd::{LANES, Simd};

use super::MicroArgs;
use crate::arithmetic::Arithmetic;
use crate::element::Lanes;

/// What happens to sums: `clamp(sum * scale + bias + residual * residual_scale + residual_offset, low, 255)`, rounded.
///
/// Nothing is fused, so that all instruction sets agree.
#[derive(Clone, Copy)]
pub struct Requantize {
    /// A float for each output channel, up to a multiple of 16.
    pub scale: *const f32,
    /// A float for each output channel, up to a multiple of 16.
    pub bias: *const f32,
    /// As the output; or null.
    pub residual: *const u8,
    pub residual_scale: f32,
    pub residual_offset: f32,
    /// The least result: what stands for zero after ReLU.
    pub low: f32,
}

// SAFETY: what it points to is only read.
unsafe impl Send for Requantize {}
// SAFETY: as above.
unsafe impl Sync for Requantize {}

impl Requantize {
    /// For the vectors of output from block `block` on, and the output from element `at` on.
    pub fn at(&self, block: usize, at: usize) -> Self {
        let residual = self.residual;
        Self {
            scale: self.scale.wrapping_add(block * LANES),
            bias: self.bias.wrapping_add(block * LANES),
            residual: if residual.is_null() { residual } else { residual.wrapping_add(at) },
            ..*self
        }
    }
}

/// Requantizes sums and stores them.
///
/// # Safety
/// `sums` holds `[rows][cols][16]` whole numbers; the arguments' addresses are valid for as many.
#[inline(always)]
pub unsafe fn requantize<S, P>(simd: S, args: &MicroArgs<P>, sums: *const i32, rows: usize, cols: usize)
where
    S: Simd,
    P: Arithmetic<Out = u8, Finish = Requantize>,
{
    let finish = &args.finish;
    for vector in 0..cols {
        // SAFETY: as the caller vouches.
        unsafe {
            let scale = simd.load(finish.scale.add(vector * LANES));
            let bias = simd.load(finish.bias.add(vector * LANES));
            for row in 0..rows {
                let at = row * args.c_row + vector * args.c_vector;
                let sum = simd.to_f32(simd.load_i32(sums.add((row * cols + vector) * LANES)));
                let mut real = simd.add(simd.mul(sum, scale), bias);
                if !finish.residual.is_null() {
                    let residual = u8::load(simd, finish.residual.add(at), LANES);
                    let (scale, offset) =
                        (simd.splat(finish.residual_scale), simd.splat(finish.residual_offset));
                    real = simd.add(real, simd.add(simd.mul(residual, scale), offset));
                }
                u8::store(simd, args.c.add(at), LANES, simd.max(real, simd.splat(finish.low)));
            }
        }
    }
}
