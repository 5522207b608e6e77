//! Inner loops: a block of results whose sums stay in registers, for products and convolutions.
//!
//! A block is `ROWS` rows of `COLS` vectors of 16 columns. Every result is one chain of fused
//! multiply-adds over `k = 0, 1, 2 ...`, in whatever block it lies.

mod dots;
mod f32;
mod rows;
mod words;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use dots::{dispatch_bf16, dispatch_int8};

pub use f32::{
    BColumns, accumulate_blocks, accumulate_blocks_apart, accumulate_steps, clear, load_sums, store_sums,
};
pub(crate) use f32::{Form, TileArgs, tile_fn, widest};
pub use words::{Dot, DotKernel, accumulate_words};
pub(crate) use words::{WordArgs, word_tile_fn};
