//! Recordings: what kernels record once, and plans repeat.

use std::sync::Arc;

use phynexus_webgpu::recording;
use pyo3::prelude::*;

use crate::buffer::Buffer;
use crate::error::guarded;

/// Work that can be repeated on other buffers.
#[pyclass(frozen, module = "neurenix_backend_webgpu._native")]
pub struct Recording {
    /// The work.
    pub work: recording::Recording,
}

#[pymethods]
impl Recording {
    /// Have the device carry it out, with these buffers in place of the placeholders.
    fn run(&self, py: Python<'_>, buffers: Vec<PyRef<'_, Buffer>>) -> PyResult<()> {
        let blocks: Vec<_> = buffers.iter().map(|buffer| Arc::clone(&buffer.block)).collect();
        drop(buffers);
        py.detach(|| guarded(|| self.work.run(&blocks)))
    }

    /// How many shaders a run runs.
    #[getter]
    fn dispatches(&self) -> usize {
        self.work.dispatches()
    }

    /// Bytes of memory that the kernels took for themselves.
    #[getter]
    fn reserved_bytes(&self) -> u64 {
        self.work.reserved_bytes()
    }
}

/// Drop what this thread has recorded.
#[pyfunction]
fn abandon_recording() {
    recording::abandon();
}

/// Adds the names of this module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Recording>()?;
    module.add_function(wrap_pyfunction!(abandon_recording, module)?)
}
