//! What goes wrong in the engine, as Python exceptions.

use phynexus_kernels::KernelError;
use pyo3::PyErr;
use pyo3::exceptions::{PyIndexError, PyMemoryError, PyTypeError, PyValueError};

/// The Python exception for an error of a kernel.
pub fn to_python(error: KernelError) -> PyErr {
    let message = error.to_string();
    with_message(&error, message)
}

/// The Python exception for an error of a kernel, with a message that says more.
pub fn with_message(error: &KernelError, message: String) -> PyErr {
    match error {
        KernelError::DType { .. } => PyTypeError::new_err(message),
        KernelError::Shape(_) | KernelError::Value(_) => PyValueError::new_err(message),
        KernelError::Index(_) => PyIndexError::new_err(message),
        KernelError::Memory(_) => PyMemoryError::new_err(message),
    }
}
