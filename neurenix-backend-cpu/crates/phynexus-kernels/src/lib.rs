//! The ops of Neurenix on strided tensors in memory.
//!
//! A kernel takes [`TensorRef`]s and [`TensorMut`]s: a pointer, a dtype, sizes and strides. Who
//! calls it has checked shapes and dtypes; what a kernel cannot serve is a [`KernelError`].

mod dtype;
mod error;
mod operation;
mod tensor;

pub use dtype::{DType, Element};
pub use error::KernelError;
pub use operation::Operation;
pub use tensor::{Axes, MAX_AXES, TensorMut, TensorRef};
