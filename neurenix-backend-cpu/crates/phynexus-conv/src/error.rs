//! What can go wrong.

use std::fmt;

use phynexus_runtime::memory::OutOfMemory;

use crate::shape::ShapeError;

/// Why a convolution was not planned or run.
#[derive(Clone, Debug)]
pub enum ConvError {
    /// No convolution has this shape.
    Shape(ShapeError),
    /// A slice has another length than the shape says.
    Length {
        /// What the slice is.
        what: &'static str,
        /// Elements that the shape asks for.
        expected: usize,
        /// Elements it has.
        found: usize,
    },
    /// There is no memory for weights or work in progress.
    Memory(OutOfMemory),
}

impl fmt::Display for ConvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(error) => error.fmt(f),
            Self::Length { what, expected, found } => {
                write!(f, "{what} of a convolution: {expected} elements expected, {found} found")
            }
            Self::Memory(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConvError {}

impl From<ShapeError> for ConvError {
    fn from(error: ShapeError) -> Self {
        Self::Shape(error)
    }
}

impl From<OutOfMemory> for ConvError {
    fn from(error: OutOfMemory) -> Self {
        Self::Memory(error)
    }
}

/// Checks a slice's length.
pub fn check_len(what: &'static str, expected: usize, found: usize) -> Result<(), ConvError> {
    if expected == found { Ok(()) } else { Err(ConvError::Length { what, expected, found }) }
}
