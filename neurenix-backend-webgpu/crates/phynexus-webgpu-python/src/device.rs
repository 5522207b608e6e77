//! Adapters and devices as Python sees them.

use std::sync::Arc;

use phynexus_webgpu::adapter::adapters;
use phynexus_webgpu::device;
use phynexus_webgpu::memory;
use phynexus_webgpu::readback;
use phynexus_webgpu::recording;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::argument::{sizes, tensor};
use crate::buffer::{Buffer, dtype_of};
use crate::error::guarded;
use crate::recording::Recording;

/// An open device.
#[pyclass(frozen, module = "neurenix_backend_webgpu._native")]
struct Device {
    device: &'static device::Device,
}

#[pymethods]
impl Device {
    /// Open the adapter of a number; the drivers decide how long that takes.
    #[new]
    fn new(py: Python<'_>, index: usize) -> PyResult<Self> {
        py.detach(|| guarded(|| device::Device::open(index))).map(|device| Self { device })
    }

    /// Return uninitialised memory for a dense tensor.
    #[pyo3(signature = (shape, dtype, /))]
    fn allocate(&self, shape: &Bound<'_, PyTuple>, dtype: &Bound<'_, PyAny>) -> PyResult<Buffer> {
        let dtype = dtype_of(dtype)?;
        let bytes = sizes(shape)?.into_iter().try_fold(dtype.bytes(), usize::checked_mul);
        let bytes = bytes.ok_or_else(|| PyValueError::new_err(format!("no tensor has the shape {shape}")))?;
        let block = guarded(|| memory::allocate(self.device, bytes as u64))?;
        Ok(Buffer { block: Arc::new(block), dtype })
    }

    /// Record that bytes are written to a buffer from its beginning on; they may be reused on return.
    fn write(&self, py: Python<'_>, buffer: &Buffer, source: PyBuffer<u8>) -> PyResult<()> {
        if source.len_bytes() as u64 > buffer.block.size() || !source.is_c_contiguous() {
            return Err(PyValueError::new_err("the source is longer than the buffer, or has gaps"));
        }
        // SAFETY: a contiguous buffer of so many bytes, which `source` keeps alive; nobody is to write to
        // the array during the call, as with any function of NumPy.
        let bytes = unsafe { std::slice::from_raw_parts(source.buf_ptr().cast::<u8>(), source.len_bytes()) };
        py.detach(|| {
            guarded(|| {
                self.device.check()?;
                self.device.recorder().upload(self.device, &buffer.block, bytes);
                Ok(())
            })
        })
    }

    /// Wait for all work, and copy the elements of a dense tensor to an array.
    fn read(&self, py: Python<'_>, source: &Bound<'_, PyAny>, target: PyBuffer<u8>) -> PyResult<()> {
        let source = tensor(source)?;
        let size = source.count() * source.dtype.bytes();
        if !source.is_dense() || target.readonly() || !target.is_c_contiguous() || target.len_bytes() != size
        {
            return Err(PyValueError::new_err(
                "read() takes a dense tensor, and bytes for all of its elements",
            ));
        }
        // SAFETY: a writable contiguous buffer of so many bytes, which `target` keeps alive.
        let bytes = unsafe { std::slice::from_raw_parts_mut(target.buf_ptr().cast::<u8>(), size) };
        let offset = (source.offset * source.dtype.bytes()) as u64;
        py.detach(|| guarded(|| readback::read(&source.block, offset, bytes)))
    }

    /// Wait for all work.
    fn synchronize(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| guarded(|| self.device.synchronize()))
    }

    /// Wait for all work before the process ends; in a fork, and on a lost device, there is none.
    fn finish(&self, py: Python<'_>) {
        if self.device.is_ours() {
            let _ = py.detach(|| guarded(|| self.device.synchronize()));
        }
    }

    /// Have this thread's kernels recorded instead of run.
    fn begin_recording(&self) -> PyResult<()> {
        guarded(|| recording::begin(self.device))
    }

    /// End that. A run replaces the placeholders; the recording keeps what it owns.
    fn end_recording(
        &self,
        placeholders: Vec<PyRef<'_, Buffer>>,
        own: Vec<PyRef<'_, Buffer>>,
    ) -> PyResult<Recording> {
        let blocks = |buffers: &[PyRef<'_, Buffer>]| -> Vec<_> {
            buffers.iter().map(|buffer| Arc::clone(&buffer.block)).collect()
        };
        guarded(|| recording::end(self.device, &blocks(&placeholders), blocks(&own)))
            .map(|work| Recording { work })
    }

    /// Return what the memory pool holds: bytes in use, bytes cached, the most in use at once.
    fn memory_statistics(&self) -> (u64, u64, u64) {
        let statistics = self.device.pool().statistics();
        (statistics.in_use, statistics.cached, statistics.peak)
    }

    /// Set how many bytes of memory may be taken in all; None leaves that to the driver.
    fn set_memory_budget(&self, size_bytes: Option<u64>) {
        self.device.pool().set_budget(size_bytes);
    }

    /// Give the device up, for tests: whatever follows finds it lost.
    fn lose(&self, py: Python<'_>) {
        py.detach(|| self.device.lose());
    }

    /// Set how many bytes of freed memory are kept for reuse.
    fn set_cache_limit(&self, size_bytes: u64) {
        self.device.pool().set_limit(size_bytes);
    }

    /// Have shaders see at most so many bytes of a buffer, or as many as the adapter binds; for tests.
    fn set_binding_limit(&self, size_bytes: Option<u64>) {
        self.device.set_binding_limit(size_bytes);
    }

    /// Whether products of float16 are computed in tiles of it, which takes the feature `shader-f16`.
    #[getter]
    fn uses_half(&self) -> bool {
        self.device.uses_half()
    }

    /// Have them computed so, if the adapter has the feature, or not; for tests.
    fn set_half(&self, wanted: bool) {
        self.device.set_half(wanted);
    }

    /// Among how many neighbours shaders exchange values in subgroups; 0: they do not.
    #[getter]
    fn lanes(&self, py: Python<'_>) -> u32 {
        py.detach(|| self.device.lanes())
    }

    /// Set that to fewer, or leave it to what the adapter is found to do; for tests.
    fn set_lanes(&self, lanes: Option<u32>) {
        self.device.set_lanes(lanes);
    }

    /// How many buffers a shader can bind besides its parameters.
    #[getter]
    fn storage_buffers(&self) -> u32 {
        self.device.limits().max_storage_buffers_per_shader_stage
    }

    /// How many shaders have been compiled.
    #[getter]
    fn pipelines(&self) -> usize {
        self.device.pipelines().count()
    }
}

/// Return the adapters: name, driver, interface, whether it is software, limits.
#[pyfunction]
#[allow(clippy::type_complexity)]
fn list_adapters(py: Python<'_>) -> PyResult<Vec<(String, String, String, bool, Vec<(&'static str, u64)>)>> {
    let found = py.detach(|| guarded(|| Ok(adapters())))?;
    let describe = |adapter: &phynexus_webgpu::adapter::Adapter| {
        let info = &adapter.info;
        let driver = format!("{} {}", info.driver, info.driver_info).trim().to_owned();
        (info.name.clone(), driver, info.backend.to_string(), adapter.is_software(), adapter.limits())
    };
    Ok(found.iter().map(describe).collect())
}

/// Adds the names of this module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Device>()?;
    module.add_function(wrap_pyfunction!(list_adapters, module)?)
}
