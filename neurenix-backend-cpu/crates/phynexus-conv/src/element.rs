//! Element types of NCHW activations and canonical weights; all arithmetic is in f32.

use half::{bf16, f16};
use phynexus_simd::{LANES, Simd};

use crate::memory::Plain;

// SAFETY: any bits are a value.
unsafe impl Plain for bf16 {}
// SAFETY: any bits are a value.
unsafe impl Plain for f16 {}

/// Elements that are read to f32 and written from it.
pub trait Lanes: Plain {
    /// Reads the first `count <= 16` elements; zeros in the other lanes.
    ///
    /// # Safety
    /// So many elements are valid for reads.
    unsafe fn load<S: Simd>(simd: S, from: *const Self, count: usize) -> S::F32;

    /// Writes the first `count <= 16` lanes, rounded to nearest, halves to even.
    ///
    /// # Safety
    /// So many elements are valid for writes.
    unsafe fn store<S: Simd>(simd: S, to: *mut Self, count: usize, x: S::F32);
}

/// An element of the input of a product of floats.
pub trait Pixel: Plain {
    /// What it is worth.
    fn widen(self) -> f32;
}

impl Pixel for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
}

impl Pixel for bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        // Without the crate's test for NaN, which these bits keep anyway.
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
}

/// f32, bfloat16 or float16.
#[allow(private_bounds)]
pub trait Element: Lanes + Default {
    /// The same elements, if they are f32.
    #[doc(hidden)]
    fn as_f32(_elements: &[Self]) -> Option<&[f32]> {
        None
    }
}

impl Lanes for f32 {
    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, from: *const f32, count: usize) -> S::F32 {
        // SAFETY: as the caller vouches.
        unsafe { if count == LANES { simd.load(from) } else { simd.load_first(from, count) } }
    }

    #[inline(always)]
    unsafe fn store<S: Simd>(simd: S, to: *mut f32, count: usize, x: S::F32) {
        // SAFETY: as the caller vouches.
        unsafe { if count == LANES { simd.store(to, x) } else { simd.store_first(to, count, x) } }
    }
}

impl Element for f32 {
    fn as_f32(elements: &[f32]) -> Option<&[f32]> {
        Some(elements)
    }
}

macro_rules! narrow {
    ($($element:ident: $load:ident, $store:ident;)*) => {$(
        impl Element for $element {}

        impl Lanes for $element {
            #[inline(always)]
            unsafe fn load<S: Simd>(simd: S, from: *const $element, count: usize) -> S::F32 {
                if count == LANES {
                    // SAFETY: as the caller vouches.
                    return unsafe { simd.$load(from.cast()) };
                }
                let mut lanes = [0u16; LANES];
                // SAFETY: as the caller vouches; the array has 16 elements.
                unsafe {
                    std::ptr::copy_nonoverlapping(from.cast(), lanes.as_mut_ptr(), count);
                    simd.$load(lanes.as_ptr())
                }
            }

            #[inline(always)]
            unsafe fn store<S: Simd>(simd: S, to: *mut $element, count: usize, x: S::F32) {
                if count == LANES {
                    // SAFETY: as the caller vouches.
                    return unsafe { simd.$store(to.cast(), x) };
                }
                let mut lanes = [0u16; LANES];
                // SAFETY: as the caller vouches; the array has 16 elements.
                unsafe {
                    simd.$store(lanes.as_mut_ptr(), x);
                    std::ptr::copy_nonoverlapping(lanes.as_ptr(), to.cast(), count);
                }
            }
        }
    )*};
}
narrow! {
    bf16: load_bf16, store_bf16;
    f16: load_f16, store_f16;
}

/// Cut off at 0 and 255; NaN becomes 0.
impl Lanes for u8 {
    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, from: *const u8, count: usize) -> S::F32 {
        let mut bytes = [0u8; LANES];
        // SAFETY: as the caller vouches; the arrays have 16 elements.
        unsafe {
            std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), count);
            let wide = bytes.map(i32::from);
            simd.to_f32(simd.load_i32(wide.as_ptr()))
        }
    }

    #[inline(always)]
    unsafe fn store<S: Simd>(simd: S, to: *mut u8, count: usize, x: S::F32) {
        // A NaN in the first argument does not come out.
        let x = simd.min(simd.max(x, simd.zero()), simd.splat(255.0));
        let mut wide = [0i32; LANES];
        // SAFETY: as the caller vouches; the arrays have 16 elements.
        unsafe {
            simd.store_i32(wide.as_mut_ptr(), simd.to_i32(x));
            let bytes = wide.map(|x| x as u8);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, count);
        }
    }
}
