//! Tensors: a view of elements in a block of device memory.

use std::sync::Arc;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::memory::Block;

/// The most axes that a tensor has here.
pub const MAX_AXES: usize = 16;

/// Elements of a block; strides and offset count elements.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// The memory.
    pub block: Arc<Block>,
    /// The element type.
    pub dtype: DType,
    /// Size along each axis.
    pub shape: Vec<usize>,
    /// Distance between neighbours along each axis.
    pub strides: Vec<usize>,
    /// Where the first element lies.
    pub offset: usize,
}

impl Tensor {
    /// A view of a block.
    ///
    /// # Errors
    /// It has too many axes, or elements beyond the block's end or beyond what 32 bits count.
    pub fn new(
        block: Arc<Block>,
        dtype: DType,
        shape: Vec<usize>,
        strides: Option<Vec<usize>>,
        offset: usize,
    ) -> Result<Self> {
        if shape.len() > MAX_AXES {
            return Err(Error::Value(format!(
                "a tensor on this device has at most {MAX_AXES} axes, not {}",
                shape.len()
            )));
        }
        let strides = strides.unwrap_or_else(|| dense_strides(&shape));
        let tensor = Self { block, dtype, shape, strides, offset };
        let end = tensor.end();
        if end * dtype.bytes() as u64 > tensor.block.size() {
            return Err(Error::Value(format!(
                "a tensor of shape {:?} and strides {:?} at {offset} does not lie in a buffer of {} bytes",
                tensor.shape,
                tensor.strides,
                tensor.block.size()
            )));
        }
        if end > u64::from(u32::MAX) {
            return Err(Error::Limit(format!(
                "a tensor on this device reaches at most {} elements into its buffer, not {end}",
                u32::MAX
            )));
        }
        Ok(tensor)
    }

    /// How many elements it has.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether its elements lie one after the other, in order.
    pub fn is_dense(&self) -> bool {
        is_dense(&self.shape, &self.strides)
    }

    /// The place after its last element.
    pub fn end(&self) -> u64 {
        if self.count() == 0 {
            return self.offset as u64;
        }
        let last: u64 = self
            .shape
            .iter()
            .zip(&self.strides)
            .map(|(&size, &stride)| (size as u64 - 1) * stride as u64)
            .sum();
        self.offset as u64 + last + 1
    }

    /// The same elements as integers of their size.
    #[must_use]
    pub fn as_bits(&self) -> Self {
        Self { dtype: self.dtype.bits(), ..self.clone() }
    }

    /// The same elements in another shape; both are dense.
    #[must_use]
    pub fn reshaped(&self, shape: &[usize]) -> Self {
        debug_assert!(self.is_dense() && shape.iter().product::<usize>() == self.count());
        Self { shape: shape.to_vec(), strides: dense_strides(shape), ..self.clone() }
    }

    /// The tensor seen in a larger shape, as broadcasting has it: axes of size 1, and those that
    /// are missing on the left, have a stride of 0.
    #[must_use]
    pub fn broadcast(&self, shape: &[usize]) -> Self {
        let missing = shape.len() - self.shape.len();
        let mut strides = vec![0; shape.len()];
        for (axis, stride) in strides.iter_mut().enumerate().skip(missing) {
            if self.shape[axis - missing] != 1 {
                *stride = self.strides[axis - missing];
            }
        }
        Self { shape: shape.to_vec(), strides, ..self.clone() }
    }

    /// The part from `start` on, `size` long, along an axis.
    #[must_use]
    pub fn narrow(&self, axis: usize, start: usize, size: usize) -> Self {
        let mut part = self.clone();
        part.offset += start * self.strides[axis];
        part.shape[axis] = size;
        part
    }

    /// The axes in another order.
    #[must_use]
    pub fn permuted(&self, order: &[usize]) -> Self {
        Self {
            shape: order.iter().map(|&axis| self.shape[axis]).collect(),
            strides: order.iter().map(|&axis| self.strides[axis]).collect(),
            ..self.clone()
        }
    }
}

/// The strides of a dense, row-major tensor.
pub fn dense_strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// Whether strides are those of a dense tensor, but for axes of size 1.
pub fn is_dense(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    for (&size, &stride) in shape.iter().zip(strides).rev() {
        if size == 0 {
            return true;
        }
        if size != 1 {
            if stride != expected {
                return false;
            }
            expected *= size;
        }
    }
    true
}
