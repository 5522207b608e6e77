//! Recording without a GPU, for those who repeat the work elsewhere.

use std::sync::Arc;

use phynexus_webgpu::device;
use phynexus_webgpu::listing::{ListedShader, Part, Step, begin_capture, end_capture};
use phynexus_webgpu::memory;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use crate::argument::sizes;
use crate::buffer::{Buffer, dtype_of};
use crate::error::guarded;

/// The device that records work and carries none of it out: its memory holds no values.
#[pyclass(frozen, module = "neurenix_backend_webgpu._native")]
struct Offline {
    device: &'static device::Device,
}

#[pymethods]
impl Offline {
    /// Open it.
    #[new]
    fn new(py: Python<'_>) -> PyResult<Self> {
        py.detach(|| guarded(device::Device::offline)).map(|device| Self { device })
    }

    /// Return memory for a dense tensor.
    #[pyo3(signature = (shape, dtype, /))]
    fn allocate(&self, shape: &Bound<'_, PyTuple>, dtype: &Bound<'_, PyAny>) -> PyResult<Buffer> {
        let dtype = dtype_of(dtype)?;
        let bytes = sizes(shape)?.into_iter().try_fold(dtype.bytes(), usize::checked_mul);
        let bytes = bytes.ok_or_else(|| PyValueError::new_err(format!("no tensor has the shape {shape}")))?;
        let block = guarded(|| memory::allocate(self.device, bytes as u64))?;
        Ok(Buffer { block: Arc::new(block), dtype })
    }

    /// How many buffers a shader can bind besides its parameters.
    #[getter]
    fn storage_buffers(&self) -> u32 {
        self.device.limits().max_storage_buffers_per_shader_stage
    }

    /// Begin to keep what kernels record.
    fn capture(&self) -> PyResult<()> {
        guarded(|| begin_capture(self.device))
    }

    /// End that, and return what they recorded, with buffers as numbers: those given, then others.
    ///
    /// Shaders: name, WGSL, which of its storage buffers it writes. Buffers: their sizes in bytes. Steps:
    /// `(shader, parts, parameters, groups)`, where a part is `(buffer, offset, size)` in bytes; or
    /// `(None, [from, to], b"", (0, 0, 0))`, a copy.
    fn listing<'py>(
        &self,
        py: Python<'py>,
        buffers: Vec<PyRef<'py, Buffer>>,
    ) -> PyResult<(Bound<'py, PyList>, Vec<u64>, Bound<'py, PyList>)> {
        let named: Vec<_> = buffers.iter().map(|buffer| Arc::clone(&buffer.block)).collect();
        let found = guarded(|| end_capture(self.device, &named))?;
        let shaders =
            found.shaders.into_iter().map(|ListedShader { label, text, written }| (label, text, written));
        let steps = found.steps.into_iter().map(|step| match step {
            Step::Dispatch { shader, parts, parameters, groups } => {
                let bytes: Vec<u8> = parameters.iter().flat_map(|word| word.to_le_bytes()).collect();
                (Some(shader), plain(&parts), PyBytes::new(py, &bytes), groups)
            }
            Step::Copy { from, to } => (None, plain(&[from, to]), PyBytes::new(py, &[]), [0; 3]),
        });
        let (shaders, steps): (Vec<_>, Vec<_>) = (shaders.collect(), steps.collect());
        Ok((PyList::new(py, shaders)?, found.buffers, PyList::new(py, steps)?))
    }
}

fn plain(parts: &[Part]) -> Vec<(usize, u64, u64)> {
    parts.iter().map(|part| (part.buffer, part.offset, part.size)).collect()
}

/// Adds the names of this module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Offline>()
}
