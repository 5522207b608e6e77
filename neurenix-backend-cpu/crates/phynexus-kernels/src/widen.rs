//! 16-bit floats to f32 and back, in rows.

use phynexus_simd::{Kernel, LANES, Simd, dispatch};

use crate::DType;

/// Makes f32 of 16-bit floats.
///
/// # Safety
/// `from` is valid for reads and `to` for writes of `count` elements.
pub unsafe fn widen(dtype: DType, from: *const u16, to: *mut f32, count: usize) {
    dispatch(Widen { dtype, from, to, count });
}

/// Makes 16-bit floats of f32, rounding to nearest, halves to even.
///
/// # Safety
/// As for [`widen`].
pub unsafe fn narrow(dtype: DType, from: *const f32, to: *mut u16, count: usize) {
    dispatch(Narrow { dtype, from, to, count });
}

struct Widen {
    dtype: DType,
    from: *const u16,
    to: *mut f32,
    count: usize,
}

impl Kernel for Widen {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        if self.dtype == DType::F16 { self.each::<S, true>(s) } else { self.each::<S, false>(s) }
    }
}

impl Widen {
    #[inline(always)]
    fn each<S: Simd, const IS_F16: bool>(self, s: S) {
        let whole = self.count / LANES * LANES;
        for start in (0..whole).step_by(LANES) {
            // SAFETY: 16 of the elements.
            unsafe { s.store(self.to.add(start), load::<S, IS_F16>(s, self.from.add(start))) };
        }
        let rest = self.count - whole;
        if rest > 0 {
            let mut part = [0u16; LANES];
            // SAFETY: the last elements.
            unsafe {
                std::ptr::copy_nonoverlapping(self.from.add(whole), part.as_mut_ptr(), rest);
                s.store_first(self.to.add(whole), rest, load::<S, IS_F16>(s, part.as_ptr()));
            }
        }
    }
}

#[inline(always)]
unsafe fn load<S: Simd, const IS_F16: bool>(s: S, from: *const u16) -> S::F32 {
    // SAFETY: as the caller vouches.
    unsafe { if IS_F16 { s.load_f16(from) } else { s.load_bf16(from) } }
}

#[inline(always)]
unsafe fn store<S: Simd, const IS_F16: bool>(s: S, to: *mut u16, x: S::F32) {
    // SAFETY: as the caller vouches.
    unsafe { if IS_F16 { s.store_f16(to, x) } else { s.store_bf16(to, x) } }
}

struct Narrow {
    dtype: DType,
    from: *const f32,
    to: *mut u16,
    count: usize,
}

impl Kernel for Narrow {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        if self.dtype == DType::F16 { self.each::<S, true>(s) } else { self.each::<S, false>(s) }
    }
}

impl Narrow {
    #[inline(always)]
    fn each<S: Simd, const IS_F16: bool>(self, s: S) {
        let whole = self.count / LANES * LANES;
        for start in (0..whole).step_by(LANES) {
            // SAFETY: 16 of the elements.
            unsafe { store::<S, IS_F16>(s, self.to.add(start), s.load(self.from.add(start))) };
        }
        let rest = self.count - whole;
        if rest > 0 {
            let mut part = [0u16; LANES];
            // SAFETY: the last elements.
            unsafe {
                store::<S, IS_F16>(s, part.as_mut_ptr(), s.load_first(self.from.add(whole), rest));
                std::ptr::copy_nonoverlapping(part.as_ptr(), self.to.add(whole), rest);
            }
        }
    }
}
