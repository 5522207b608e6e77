//! Matrix products for Phynexus: packed, blocked, on every instruction set, with the same bits.
//!
//! [`gemm`] multiplies two matrices of any strides, [`matmul`] many of them, [`gemm_packed`] by
//! weights that were packed once. An [`Epilogue`] adds biases and a residual and applies an
//! activation while sums are in the cache.
//!
//! Every result is one chain of fused multiply-adds over `k = 0, 1, 2 ...`. It therefore has the
//! same bits for any number of threads and rows, and on every instruction set that has a fused
//! multiply-add.

mod batch;
mod epilogue;
mod gemm;
mod matrix;
pub mod micro;
mod pack;
mod packed;
mod peak;
mod thin;
mod tiles;

pub use batch::{Batch, matmul};
pub use epilogue::{Activation, Epilogue};
pub use gemm::{gemm, gemm_on, gemm_packed};
pub use matrix::{MatMut, MatRef};
pub use packed::PackedB;
pub use peak::peak_gflops;
