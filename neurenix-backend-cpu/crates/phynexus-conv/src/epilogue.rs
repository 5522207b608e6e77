//! What happens to the sums of a convolution before they are stored.

use phynexus_simd::{LANES, Simd};

use crate::element::Lanes;

/// Applied while sums are in registers: bias (which is packed with the weights), then the residual, then ReLU.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a, T = f32> {
    /// An activation of the output's size and layout, to be added.
    pub residual: Option<&'a [T]>,
    /// Negative sums become zero; NaN stays.
    pub relu: bool,
}

impl<T> Default for Epilogue<'_, T> {
    fn default() -> Self {
        Self { residual: None, relu: false }
    }
}

/// The same, as addresses.
#[derive(Clone, Copy)]
pub struct RawEpilogue<T> {
    /// A float for each output channel, up to a multiple of 16; or null.
    pub bias: *const f32,
    /// As the output; or null.
    pub residual: *const T,
    /// Negative sums become zero.
    pub relu: bool,
}

// SAFETY: what it points to is only read.
unsafe impl<T: Sync> Send for RawEpilogue<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for RawEpilogue<T> {}

impl<T> RawEpilogue<T> {
    /// For the vectors of output from block `block` on; the residual still of the output's start.
    pub fn finish(&self, block: usize, last_lanes: usize) -> Finish<T> {
        let bias = if self.bias.is_null() { self.bias } else { self.bias.wrapping_add(block * LANES) };
        Finish { bias, residual: self.residual, relu: self.relu, last_lanes }
    }
}

/// What happens to the sums of some vectors.
#[derive(Clone, Copy)]
pub struct Finish<T> {
    /// A vector for each vector of output; null: none.
    pub bias: *const f32,
    /// Strides as the output; null: none.
    pub residual: *const T,
    /// Negative sums become zero.
    pub relu: bool,
    /// Lanes of the last vector that are channels; the others become zero.
    pub last_lanes: usize,
}

impl<T> Finish<T> {
    /// Nothing happens.
    pub const NONE: Self =
        Self { bias: std::ptr::null(), residual: std::ptr::null(), relu: false, last_lanes: LANES };

    /// Whether nothing happens.
    #[inline(always)]
    pub fn is_none(&self) -> bool {
        self.bias.is_null() && self.residual.is_null() && !self.relu && self.last_lanes == LANES
    }

    /// With the residual from element `at` of the output on.
    #[inline(always)]
    pub fn at(self, at: usize) -> Self {
        let residual = if self.residual.is_null() { self.residual } else { self.residual.wrapping_add(at) };
        Self { residual, ..self }
    }
}

impl<T: Lanes> Finish<T> {
    /// The bias of vector `vector`, or zeros.
    ///
    /// # Safety
    /// There is a bias for so many vectors, if there is one.
    #[inline(always)]
    pub unsafe fn bias<S: Simd>(&self, simd: S, vector: usize) -> S::F32 {
        if self.bias.is_null() {
            return simd.zero();
        }
        // SAFETY: as the caller vouches.
        unsafe { simd.load(self.bias.add(LANES * vector)) }
    }

    /// Finishes one vector of sums and stores it; the residual is at the vector already.
    ///
    /// # Safety
    /// `to` and the residual, if there is one, are valid for 16 elements.
    #[inline(always)]
    pub unsafe fn store<S: Simd>(&self, simd: S, sums: S::F32, bias: S::F32, is_last: bool, to: *mut T) {
        let mut sums = sums;
        if !self.bias.is_null() {
            sums = simd.add(sums, bias);
        }
        // SAFETY: as the caller vouches.
        unsafe {
            if !self.residual.is_null() {
                sums = simd.add(sums, T::load(simd, self.residual, LANES));
            }
            if self.relu {
                // A NaN in the second argument comes out.
                sums = simd.max(simd.zero(), sums);
            }
            if is_last && self.last_lanes < LANES {
                sums = keep_first(simd, sums, self.last_lanes);
            }
            T::store(simd, to, LANES, sums);
        }
    }
}

/// `x` with zeros in the lanes from `lanes` on.
#[inline(always)]
fn keep_first<S: Simd>(simd: S, x: S::F32, lanes: usize) -> S::F32 {
    let mut values = simd.to_array(x);
    values[lanes..].fill(0.0);
    // SAFETY: the array has 16 elements.
    unsafe { simd.load(values.as_ptr()) }
}
