//! Vectors of 16 floats on every instruction set, and the choice between the sets at run time.
//!
//! An algorithm is written once, as a [`Kernel`] over any [`Simd`], and compiled once for each
//! instruction set; [`dispatch`] calls the one that this processor runs best. Vectors have 16
//! lanes everywhere (one AVX-512 register, two of AVX2, four of NEON), so that reductions add in
//! one order and results have the same bits wherever there is a fused multiply-add.
//!
//! ```
//! use phynexus_simd::{Kernel, Simd, dispatch};
//!
//! struct Scale<'a>(&'a mut [f32; 16], f32);
//!
//! impl Kernel for Scale<'_> {
//!     type Output = ();
//!
//!     #[inline(always)]
//!     fn run<S: Simd>(self, simd: S) {
//!         // SAFETY: the array has 16 elements.
//!         let x = unsafe { simd.load(self.0.as_ptr()) };
//!         let y = simd.mul(x, simd.splat(self.1));
//!         // SAFETY: as above.
//!         unsafe { simd.store(self.0.as_mut_ptr(), y) };
//!     }
//! }
//!
//! let mut values = [1.5; 16];
//! dispatch(Scale(&mut values, 2.0));
//! assert_eq!(values, [3.0; 16]);
//! ```

mod isa;
pub mod math;
mod portable;
mod vector;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
pub use isa::{Isa, IsaError, has_bf16, has_vnni, isa, set_isa};
#[cfg(target_arch = "aarch64")]
pub use neon::Neon;
pub use portable::Portable;
pub use vector::{LANES, Simd};

/// An algorithm that is written over any instruction set.
///
/// `run`, and every function that it passes its `simd` to, has to be `#[inline(always)]`: only
/// then is it compiled for the instruction set that it is called on.
pub trait Kernel {
    /// What it returns.
    type Output;

    /// Runs it on an instruction set.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Runs a kernel on the instruction set in use.
#[inline]
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    dispatch_on(isa(), kernel)
}

/// Runs a kernel on an instruction set.
///
/// # Panics
/// If this processor has not got it; [`Isa::is_available`] tells.
#[inline]
pub fn dispatch_on<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => Avx512::new().expect("a processor with AVX-512").vectorize(kernel),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => Avx2::new().expect("a processor with AVX2 and FMA").vectorize(kernel),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => Neon::new().vectorize(kernel),
        Isa::Portable => Portable.vectorize(kernel),
        _ => panic!("this processor has no {isa}"),
    }
}
