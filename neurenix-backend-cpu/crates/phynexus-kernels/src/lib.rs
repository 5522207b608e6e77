//! The ops of Neurenix on strided tensors in memory.
//!
//! A kernel takes [`TensorRef`]s and [`TensorMut`]s: a pointer, a dtype, sizes and strides. Who
//! calls it has checked shapes and dtypes; what a kernel cannot serve is a [`KernelError`].

pub mod adaptive_avg_pool2d;
pub mod attention;
mod attention_weights;
pub mod avg_pool2d;
pub mod batch_norm;
pub mod batch_norm_backward;
mod batch_norm_rows;
pub mod concat;
pub mod conv2d;
mod conv2d_direct;
pub mod cross_entropy;
mod dtype;
pub mod elementwise;
mod error;
pub mod gelu;
mod index;
pub mod indexing;
mod lanes;
pub mod layer_norm;
pub mod layer_norm_backward;
mod loops;
pub mod matmul;
pub mod max_pool2d;
pub mod max_pool2d_backward;
mod max_pool2d_rows;
pub mod movement;
mod operation;
pub mod optimizer;
pub mod pad;
mod planes;
pub mod pool_windows;
mod product;
pub mod random;
pub mod reduce;
mod rows;
pub mod running_average;
mod shares;
pub mod softmax;
pub mod sort;
mod stream;
mod strided;
mod tensor;
mod truth;
mod widen;

pub use dtype::{DType, Element};
pub use error::KernelError;
pub use operation::Operation;
pub use tensor::{Axes, MAX_AXES, TensorMut, TensorRef};
