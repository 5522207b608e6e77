//! Convolution for Phynexus, the native CPU engine of Neurenix, on activations in blocks of 16 channels.
//!
//! ```
//! use phynexus_conv::{ConvPlan, ConvShape, Epilogue, layout};
//!
//! let shape = ConvShape::square(1, (32, 16), [8, 8], 3, 1, 1);
//! let plan = ConvPlan::new(&shape, phynexus_simd::isa())?;
//! let weights = plan.pack(&vec![0.5; shape.weight_len()], Some(&[1.0; 16]))?;
//! let x = vec![1.0; shape.in_blocked_len()];
//! let mut y = vec![0.0; shape.out_blocked_len()];
//! plan.run(1, &x, &weights, &mut y, Epilogue::default(), 2)?;
//! // The middle of the first plane: 32 channels, 9 taps.
//! assert!((y[(3 * 8 + 3) * 16] - (0.5 * 32.0 * 9.0 + 1.0)).abs() < 1e-3);
//! # Ok::<(), phynexus_conv::ConvError>(())
//! ```
//!
//! Blocked activations: dense `[samples][ceil(channels / 16)][rows][columns][16]`, zeros in the channels past the last
//! (see [`layout`]). A result depends neither on the number of threads nor on the batch that its sample is in, and has
//! the same bits on every instruction set with a fused multiply-add.

mod arithmetic;
mod bfloat16;
mod canonical;
mod depthwise;
mod direct;
mod element;
mod epilogue;
mod error;
mod first;
mod grad_bias;
mod grad_input;
mod grad_weight;
mod groups;
pub mod int8;
mod interleaved;
pub mod layout;
mod memory;
mod micro;
#[cfg(target_arch = "x86_64")]
mod narrow_winograd;
mod nchw;
mod plan;
mod shape;
mod split;
mod tasks;
mod winograd;

pub use bfloat16::{Bf16ConvPlan, Bf16Input, Bf16PackedWeights};
pub use element::Element;
pub use epilogue::Epilogue;
pub use error::ConvError;
pub use grad_bias::grad_bias;
pub use grad_input::{GradInputPlan, PackedGradWeights};
pub use grad_weight::GradWeightPlan;
pub use nchw::{
    NchwWeights, conv2d_grad_bias_nchw, conv2d_grad_input_nchw, conv2d_grad_weight_nchw, conv2d_nchw,
};
pub use phynexus_runtime::memory::OutOfMemory;
pub use plan::{Algorithm, ConvPlan, InputLayout, PackedWeights};
pub use shape::{ConvShape, ShapeError};
