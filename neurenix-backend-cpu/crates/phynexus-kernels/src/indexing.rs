//! Reading and writing by indices along an axis.

mod places;
mod slices;

pub use places::{Gather, Put, Scatter, ScatterAdd};
pub use slices::{Take, TakeBackward};

use crate::{DType, KernelError, TensorRef};

/// An index tensor's elements, of int64 or int32.
#[derive(Clone, Copy)]
struct Indices {
    data: *const u8,
    is_wide: bool,
}

// SAFETY: they are only read.
unsafe impl Sync for Indices {}

impl Indices {
    fn of(op: &'static str, index: &TensorRef<'_>) -> Result<Self, KernelError> {
        match index.dtype() {
            DType::I64 | DType::I32 => Ok(Self { data: index.bytes(), is_wide: index.dtype() == DType::I64 }),
            dtype => Err(KernelError::DType { op, dtype }),
        }
    }

    /// The index that lies so many elements behind the first.
    ///
    /// # Safety
    /// There is one.
    #[inline(always)]
    unsafe fn at(self, offset: isize) -> i64 {
        // SAFETY: as the caller vouches.
        unsafe {
            if self.is_wide {
                *self.data.cast::<i64>().offset(offset)
            } else {
                i64::from(*self.data.cast::<i32>().offset(offset))
            }
        }
    }
}

/// The least and the largest index that is out of range, if one is: the least where it is negative.
fn check(op: &str, index: &TensorRef<'_>, indices: Indices, size: usize) -> Result<(), KernelError> {
    let (mut low, mut high) = (i64::MAX, i64::MIN);
    // SAFETY: the elements of the index tensor.
    each_offset(index, |offset| unsafe {
        let value = indices.at(offset);
        low = low.min(value);
        high = high.max(value);
    });
    if low > high || (low >= 0 && high < size as i64) {
        return Ok(());
    }
    let wrong = if low < 0 { low } else { high };
    Err(KernelError::Index(format!(
        "{op} got the index {wrong}, but the axis has {size} elements; indices must be from 0 to {}",
        size as i64 - 1
    )))
}

/// Calls `f` with where every element lies, in row-major order.
fn each_offset(tensor: &TensorRef<'_>, mut f: impl FnMut(isize)) {
    let (sizes, strides) = (tensor.sizes(), tensor.axes().strides());
    let Some((&length, outer)) = sizes.split_last() else {
        f(0);
        return;
    };
    let step = strides[outer.len()];
    for row in 0..outer.iter().product() {
        let (mut index, mut offset) = (row, 0);
        for axis in (0..outer.len()).rev() {
            offset += (index % sizes[axis]) as isize * strides[axis];
            index /= sizes[axis];
        }
        for place in 0..length as isize {
            f(offset + place * step);
        }
    }
}
