//! Axes that several tensors walk together, with as few of them as will do.

use crate::tensor::Tensor;

/// How a shader gets from the number of an element to its place in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// One after the other.
    Dense,
    /// Always the same one.
    Scalar,
    /// By sizes and strides of so many axes.
    Strided(u8),
    /// The kernel computes places itself.
    Free,
    /// Words that several invocations change at once, at places that the kernel computes.
    Atomic,
}

/// Sizes, and strides of each tensor, of the axes that are left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// Size along each axis, the outermost first.
    pub sizes: Vec<usize>,
    /// Of each tensor, the stride along each axis.
    pub strides: Vec<Vec<usize>>,
}

impl Walk {
    /// The walk of tensors of one shape: without axes of size 1, and with neighbouring axes joined
    /// that every tensor runs through as through one.
    pub fn of(tensors: &[&Tensor]) -> Self {
        let shape = &tensors[0].shape;
        let mut sizes: Vec<usize> = Vec::with_capacity(shape.len());
        let mut strides: Vec<Vec<usize>> = vec![Vec::with_capacity(shape.len()); tensors.len()];
        for (axis, &size) in shape.iter().enumerate() {
            if size == 1 {
                continue;
            }
            let joins = sizes.last().is_some()
                && tensors
                    .iter()
                    .zip(&strides)
                    .all(|(tensor, steps)| steps.last() == Some(&(tensor.strides[axis] * size)));
            if joins {
                *sizes.last_mut().expect("there is one") *= size;
            } else {
                sizes.push(size);
            }
            for (tensor, steps) in tensors.iter().zip(&mut strides) {
                if joins {
                    steps.pop();
                }
                steps.push(tensor.strides[axis]);
            }
        }
        Self { sizes, strides }
    }

    /// How a tensor of the walk is read or written.
    pub fn access(&self, tensor: usize) -> Access {
        let strides = &self.strides[tensor];
        if strides.iter().all(|&stride| stride == 0) {
            return if self.sizes.is_empty() { Access::Dense } else { Access::Scalar };
        }
        if crate::tensor::is_dense(&self.sizes, strides) {
            return Access::Dense;
        }
        Access::Strided(self.sizes.len() as u8)
    }
}
