//! Integers of any dtype as indices.

use crate::{DType, KernelError, TensorRef};

/// The elements of a dense tensor of integers.
#[derive(Clone, Copy)]
pub(crate) struct Indices {
    data: *const u8,
    dtype: DType,
}

// SAFETY: a shared borrow of plain numbers.
unsafe impl Send for Indices {}
// SAFETY: as above.
unsafe impl Sync for Indices {}

impl Indices {
    /// A dense tensor, to be used while it lives.
    ///
    /// # Errors
    /// It has no integers.
    pub fn new(op: &'static str, tensor: &TensorRef<'_>) -> Result<Self, KernelError> {
        debug_assert!(tensor.axes().is_dense());
        let dtype = tensor.dtype();
        if dtype.is_float() || dtype == DType::Bool {
            return Err(KernelError::DType { op, dtype });
        }
        Ok(Self { data: tensor.bytes(), dtype })
    }

    /// Some of them, if they are i64.
    ///
    /// # Safety
    /// There are as many from `start` on, and they live for 'a.
    pub unsafe fn as_i64<'a>(self, start: usize, count: usize) -> Option<&'a [i64]> {
        // SAFETY: as the caller vouches.
        (self.dtype == DType::I64)
            .then(|| unsafe { std::slice::from_raw_parts(self.data.cast::<i64>().add(start), count) })
    }

    /// One of them.
    ///
    /// # Safety
    /// There are more than `at`.
    #[inline(always)]
    pub unsafe fn get(self, at: usize) -> i64 {
        // SAFETY: as the caller vouches.
        unsafe {
            match self.dtype {
                DType::I64 => *self.data.cast::<i64>().add(at),
                DType::I32 => (*self.data.cast::<i32>().add(at)).into(),
                DType::I16 => (*self.data.cast::<i16>().add(at)).into(),
                DType::I8 => (*self.data.cast::<i8>().add(at)).into(),
                _ => (*self.data.add(at)).into(),
            }
        }
    }
}
