//! `neurenix_backend_webgpu._native`: the Python module of phynexus-webgpu.
//!
//! Kernels are rows of that crate's table; nothing here knows one of them. Adding an op leaves this
//! crate as it is.

mod argument;
mod buffer;
mod device;
mod error;
mod kernel;
mod listing;
mod recording;

use pyo3::prelude::*;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    buffer::register(module)?;
    device::register(module)?;
    kernel::register(module)?;
    listing::register(module)?;
    recording::register(module)
}
