//! Aligned memory for packed weights and work in progress, and addresses that threads share.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use phynexus_runtime::memory::Block;
pub use phynexus_runtime::memory::OutOfMemory;
use phynexus_runtime::scratch;

/// Element types whose bits are all valid, zeros too.
///
/// # Safety
/// Any bits are a value.
pub unsafe trait Plain: Copy + Send + Sync + 'static {}
// SAFETY: any bits are a value.
unsafe impl Plain for f32 {}
// SAFETY: any bits are a value.
unsafe impl Plain for u16 {}
// SAFETY: any bits are a value.
unsafe impl Plain for u8 {}
// SAFETY: any bits are a value.
unsafe impl Plain for i8 {}
// SAFETY: any bits are a value.
unsafe impl Plain for i32 {}

/// A slice of elements at an address that is a multiple of 64.
pub struct Aligned<T> {
    block: Block,
    len: usize,
    element: PhantomData<T>,
}

// SAFETY: it owns its memory as a vector would.
unsafe impl<T: Plain> Send for Aligned<T> {}
// SAFETY: as above; a shared one is only read.
unsafe impl<T: Plain> Sync for Aligned<T> {}

impl<T: Plain> Aligned<T> {
    /// So many zeros.
    pub fn zeroed(len: usize) -> Result<Self, OutOfMemory> {
        let block = Block::zeroed(len * size_of::<T>())?;
        Ok(Self { block, len, element: PhantomData })
    }

    /// So many elements, of any value.
    pub fn any(len: usize) -> Result<Self, OutOfMemory> {
        let block = Block::new(len * size_of::<T>())?;
        // The pool's memory holds what was there before; the compiler must not take it for never written.
        std::hint::black_box(block.as_ptr());
        Ok(Self { block, len, element: PhantomData })
    }
}

impl<T: Plain> Deref for Aligned<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: the block holds `len` initialised elements, aligned to 64 bytes.
        unsafe { std::slice::from_raw_parts(self.block.as_ptr().cast(), self.len) }
    }
}

impl<T: Plain> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as for `deref`; the block is this value's alone.
        unsafe { std::slice::from_raw_parts_mut(self.block.as_ptr().cast(), self.len) }
    }
}

/// An address that tasks on several threads use.
#[derive(Debug)]
pub struct Shared<T>(*mut T);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Shared<T> {}

// SAFETY: whoever dereferences it answers for races.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Shares the address.
    pub fn new(address: *mut T) -> Self {
        Self(address)
    }

    /// The address.
    #[inline(always)]
    pub fn get(self) -> *mut T {
        self.0
    }
}

/// Calls `f` with scratch of `len` elements on this thread, whose contents are undefined.
pub fn with_scratch<T: Plain, R>(len: usize, f: impl FnOnce(*mut T) -> R) -> Result<R, OutOfMemory> {
    scratch::with_scratch(len * size_of::<T>(), |memory| f(memory.cast()))
}
