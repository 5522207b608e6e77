//! What a kernel cannot do.

use std::fmt;

use phynexus_runtime::memory::OutOfMemory;

use crate::DType;

/// Why a kernel did not run; the message names shapes and dtypes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelError {
    /// It has no code for these dtypes.
    DType {
        /// The op.
        op: &'static str,
        /// The dtype it has no code for.
        dtype: DType,
    },
    /// Shapes that do not fit each other, or a tensor of too many axes.
    Shape(String),
    /// A value for which the op has no result.
    Value(String),
    /// An index that is not there.
    Index(String),
    /// There is no memory for its scratch.
    Memory(String),
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DType { op, dtype } => write!(f, "{op:?} has no native code for {dtype}"),
            Self::Shape(message) | Self::Value(message) | Self::Index(message) | Self::Memory(message) => {
                f.write_str(message)
            }
        }
    }
}

impl std::error::Error for KernelError {}

impl From<OutOfMemory> for KernelError {
    fn from(error: OutOfMemory) -> Self {
        Self::Memory(error.to_string())
    }
}
