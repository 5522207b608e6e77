//! What plans do: one file a family of steps.

mod batch_norm;
mod batch_norm_backward;
mod chain;
mod convolution;
mod convolution_backward;
mod copying;
mod global_pool;
mod max_pool;
mod narrow_blocks;
mod narrow_convolution;
mod narrow_pool;
mod narrow_product;
mod operation;
mod product;
mod statistics;

pub use batch_norm::{Forward as BatchNorm, Statistics as NormSource};
pub use batch_norm_backward::Backward as BatchNormBackward;
pub use chain::ChainStep;
pub use convolution::{Convolution, PackConvolution, Source as ConvolutionSource};
pub use convolution_backward::{GradInput, GradWeight, PackTransposed};
pub use copying::{Copy, FromBlocks, ToBlocks};
pub use global_pool::{GlobalPool, GlobalPoolBackward};
pub use max_pool::{MaxPool, MaxPoolBackward, Windows};
pub use narrow_blocks::{Narrow, Widen};
pub use narrow_convolution::{Bf16Convolution, Int8Convolution, PackBf16Convolution, PackInt8Convolution};
pub use narrow_pool::{NarrowGlobalPool, NarrowMaxPool};
pub use narrow_product::{Extents, NarrowLinear, PackBf16Matrix, PackInt8Matrix};
pub use operation::Generic;
pub use product::{Linear, Matmul, Matrix, PackMatrix};
