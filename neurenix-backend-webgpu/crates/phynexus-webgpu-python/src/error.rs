//! What goes wrong, as Python exceptions.

use std::panic::{AssertUnwindSafe, catch_unwind};

use phynexus_webgpu::error::{Error, Result};
use pyo3::exceptions::{PyIndexError, PyMemoryError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

/// The Python exception for an error.
pub fn to_python(error: Error) -> PyErr {
    match error {
        Error::Memory(message) => PyMemoryError::new_err(message),
        Error::Index(message) => PyIndexError::new_err(message),
        Error::Value(message) => PyValueError::new_err(message),
        Error::Limit(message) | Error::Device(message) => PyRuntimeError::new_err(message),
        Error::Internal(message) => {
            PyRuntimeError::new_err(format!("{message}; this is a defect of the backend, please report it"))
        }
    }
}

/// Runs code of the pure crate; a panic becomes a `RuntimeError`.
pub fn guarded<T>(code: impl FnOnce() -> Result<T>) -> PyResult<T> {
    match catch_unwind(AssertUnwindSafe(code)) {
        Ok(outcome) => outcome.map_err(to_python),
        Err(panic) => {
            let message = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("a panic without a message");
            Err(to_python(Error::Internal(message.to_owned())))
        }
    }
}
