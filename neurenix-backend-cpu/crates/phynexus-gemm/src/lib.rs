//! Matrix products for Phynexus: packed, blocked, on every instruction set, with the same bits.
//!
//! [`gemm()`] multiplies two matrices of any strides, [`matmul`] many of them, [`gemm_packed`] by
//! weights that were packed once. An [`Epilogue`] adds biases and a residual and applies an
//! activation while sums are in the cache.
//!
//! Every result is one chain of fused multiply-adds over `k = 0, 1, 2 ...`. It therefore has the
//! same bits for any number of threads and rows, and on every instruction set that has a fused
//! multiply-add.

mod batch;
mod bf16;
mod epilogue;
mod gemm;
mod int8;
mod matrix;
pub mod micro;
mod narrow;
mod pack;
mod packed;
mod peak;
mod thin;
mod tiles;

pub use batch::{Batch, matmul};
pub use bf16::{Bf16Epilogue, Bf16Out, PackedBf16, gemm_bf16, gemm_bf16_widened};
pub use epilogue::{Activation, Epilogue};
pub use gemm::{gemm, gemm_on, gemm_packed};
pub use int8::{Int8Out, Int8Residual, PackedInt8, Requantize, gemm_int8};
pub use matrix::{MatMut, MatRef};
pub use packed::PackedB;
pub use peak::peak_gflops;
