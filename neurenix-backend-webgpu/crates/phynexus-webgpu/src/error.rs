//! What goes wrong.

use std::fmt;

/// Why something could not be done. Every message says what was asked for and what there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Device memory is exhausted, or no buffer is as large as was asked for.
    Memory(String),
    /// A limit of the adapter that no splitting gets around.
    Limit(String),
    /// An index that was found out of range on the device.
    Index(String),
    /// An argument that the op has no meaning for.
    Value(String),
    /// The device is gone: lost, or opened by another process.
    Device(String),
    /// A defect of this library or of the driver.
    Internal(String),
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(message)
            | Self::Limit(message)
            | Self::Index(message)
            | Self::Value(message)
            | Self::Device(message)
            | Self::Internal(message) => formatter.write_str(message),
        }
    }
}

impl std::error::Error for Error {}

/// The result of what may go wrong.
pub type Result<T> = std::result::Result<T, Error>;
