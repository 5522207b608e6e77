//! What happens to the sums of a convolution before they are stored.

use crate::micro::Finish;

/// Applied while sums are in registers: bias (which is packed with the weights), then the residual, then ReLU.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// An activation of the output's size and layout, to be added.
    pub residual: Option<&'a [f32]>,
    /// Negative sums become zero; NaN stays.
    pub relu: bool,
}

/// The same, as addresses.
#[derive(Clone, Copy)]
pub struct RawEpilogue {
    /// A float for each output channel, up to a multiple of 16; or null.
    pub bias: *const f32,
    /// As the output; or null.
    pub residual: *const f32,
    /// Negative sums become zero.
    pub relu: bool,
}

// SAFETY: what it points to is only read.
unsafe impl Send for RawEpilogue {}
// SAFETY: as above.
unsafe impl Sync for RawEpilogue {}

impl RawEpilogue {
    /// For the vectors of output from block `block` on; the residual still of the output's start.
    pub fn finish(&self, block: usize, last_lanes: usize) -> Finish {
        let bias = if self.bias.is_null() { self.bias } else { self.bias.wrapping_add(block * 16) };
        Finish { bias, residual: self.residual, relu: self.relu, last_lanes }
    }
}

impl Finish {
    /// With the residual from element `at` of the output on.
    #[inline(always)]
    pub fn at(self, at: usize) -> Self {
        let residual = if self.residual.is_null() { self.residual } else { self.residual.wrapping_add(at) };
        Self { residual, ..self }
    }
}
