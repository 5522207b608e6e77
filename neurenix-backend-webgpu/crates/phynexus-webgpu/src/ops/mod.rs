//! The ops: from tensors and attributes to dispatches on the recorder.
//!
//! A family of ops is a module with the WGSL files that it launches; its `operations` are rows of
//! the table that Python reads. To add an op: its WGSL file, a function from [`Call`] to
//! [`Launch`]es, and a row.

pub mod attention;
pub mod batch_norm;
pub mod chain;
pub mod conv;
mod conv_narrow;
pub mod elementwise;
pub mod indexing;
pub mod joining;
pub mod launch;
pub mod layer_norm;
pub mod matmul;
pub mod movement;
pub mod optimizer;
pub mod pool;
pub mod put;
pub mod random;
pub mod reduce;
pub mod scatter;
pub mod softmax;
pub mod sort;
pub mod take;
pub mod team;
pub mod windows;

use crate::attributes::Attributes;
use crate::device::Device;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

pub use launch::Launch;

/// Float32 and the 16-bit floats, which are computed in it.
pub const FLOATS: &[DType] = &[DType::F32, DType::F16, DType::Bf16];
/// Integers with and without a sign.
pub const INTS: &[DType] = &[DType::I32, DType::I64, DType::I16, DType::I8, DType::U8];
/// All that WGSL can compute with: every dtype but float64, which it has not.
pub const COMPUTED: &[DType] = &[
    DType::F32,
    DType::F16,
    DType::Bf16,
    DType::I32,
    DType::I64,
    DType::I16,
    DType::I8,
    DType::U8,
    DType::Bool,
];

/// A call of an op. Outputs are allocated; inputs are `None` where the op leaves them out.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The op's name.
    pub op: &'static str,
    /// The device of all tensors.
    pub device: &'static Device,
    /// What is written.
    pub outputs: &'a [Tensor],
    /// What is read.
    pub inputs: &'a [Option<Tensor>],
    /// The attributes.
    pub attributes: &'a Attributes,
}

impl Call<'_> {
    /// The first output.
    pub fn out(&self) -> &Tensor {
        &self.outputs[0]
    }

    /// An input that has to be there.
    ///
    /// # Errors
    /// It is not.
    pub fn input(&self, number: usize) -> Result<&Tensor> {
        let found = self.inputs.get(number).and_then(Option::as_ref);
        found.ok_or_else(|| Error::Value(format!("the kernel {:?} lacks its input {number}", self.op)))
    }
}

/// An op that this library carries out.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// The op's name.
    pub op: &'static str,
    /// Records its dispatches.
    pub run: fn(&Call<'_>) -> Result<()>,
    /// It serves inputs, and an attribute `dtype`, that are among these.
    pub dtypes: &'static [DType],
    /// Inputs may have any strides.
    pub strided: bool,
    /// The output may be the very buffer of an input that is laid out like it.
    pub in_place: bool,
}

/// All ops.
pub fn operations() -> Vec<Operation> {
    [
        elementwise::operations(),
        chain::operations(),
        movement::operations(),
        reduce::operations(),
        indexing::operations(),
        scatter::operations(),
        random::operations(),
        matmul::operations(),
        conv::operations(),
        pool::operations(),
        batch_norm::operations(),
        attention::operations(),
        softmax::operations(),
        sort::operations(),
        optimizer::operations(),
        layer_norm::operations(),
        take::operations(),
        put::operations(),
        joining::operations(),
    ]
    .concat()
}
