//! What goes wrong in the engine, as Python exceptions.

use phynexus_kernels::KernelError;
use pyo3::PyErr;
use pyo3::exceptions::{PyIndexError, PyMemoryError, PyTypeError, PyValueError};

/// The Python exception for an error of a kernel.
pub fn to_python(error: KernelError) -> PyErr {
    let message = error.to_string();
    match error {
        KernelError::DType { .. } => PyTypeError::new_err(message),
        KernelError::Shape(_) => PyValueError::new_err(message),
        KernelError::Index(_) => PyIndexError::new_err(message),
        KernelError::Memory(_) => PyMemoryError::new_err(message),
    }
}
