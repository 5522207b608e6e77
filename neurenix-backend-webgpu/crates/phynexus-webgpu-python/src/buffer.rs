//! Buffers: device memory as Python holds it.

use std::sync::{Arc, OnceLock};

use phynexus_webgpu::dtype::DType;
use phynexus_webgpu::memory::Block;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;

/// Memory for the elements of a tensor; freed when it is collected, in the order of the queue.
#[pyclass(frozen, weakref, module = "neurenix_backend_webgpu._native")]
pub struct Buffer {
    /// The memory.
    pub block: Arc<Block>,
    /// What its elements are.
    pub dtype: DType,
}

#[pymethods]
impl Buffer {
    /// Size of the memory in bytes.
    #[getter]
    fn nbytes(&self) -> u64 {
        self.block.size()
    }

    fn __repr__(&self) -> String {
        format!("<{} bytes of {} on {:?}>", self.block.size(), self.dtype.name(), self.block.device().name())
    }
}

/// NumPy's numbers of the dtypes.
static NUMBERS: OnceLock<Vec<(i32, DType)>> = OnceLock::new();

/// Tell the module which NumPy type numbers the dtypes have; some are given out at run time.
#[pyfunction]
fn set_dtypes(numbers: Vec<(i32, String)>) -> PyResult<()> {
    let found: PyResult<Vec<(i32, DType)>> = numbers
        .into_iter()
        .map(|(number, name)| {
            let dtype = DType::ALL.into_iter().find(|dtype| dtype.name() == name);
            dtype
                .map(|dtype| (number, dtype))
                .ok_or_else(|| PyValueError::new_err(format!("no dtype {name}")))
        })
        .collect();
    let _ = NUMBERS.set(found?); // the numbers of a process do not change
    Ok(())
}

/// The dtype that a NumPy dtype is.
pub fn dtype_of(dtype: &Bound<'_, PyAny>) -> PyResult<DType> {
    let number: i32 = dtype.getattr(intern!(dtype.py(), "num"))?.extract()?;
    let known = NUMBERS.get().map_or(&[][..], Vec::as_slice);
    let found = known.iter().find(|(candidate, _)| *candidate == number);
    found.map(|(_, dtype)| *dtype).ok_or_else(|| {
        PyTypeError::new_err(format!("NumPy's type number {number} is none that Neurenix has a dtype for"))
    })
}

/// Adds the names of this module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Buffer>()?;
    module.add_function(wrap_pyfunction!(set_dtypes, module)?)
}
