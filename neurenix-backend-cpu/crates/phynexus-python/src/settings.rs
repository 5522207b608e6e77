//! What the engine runs on: instruction set and threads.

use phynexus_runtime::memory;
use phynexus_simd::{Isa, has_bf16, has_vnni, isa, set_isa};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Return the instruction set in use: "avx512", "avx2", "neon" or "portable".
#[pyfunction]
fn instruction_set() -> &'static str {
    isa().name()
}

/// Set the instruction set in use, for tests; None reads NEURENIX_CPU_ISA.
///
/// Raises:
///     ValueError: This processor has not got it, or the variable names none that it has.
#[pyfunction]
#[pyo3(signature = (name=None))]
fn set_instruction_set(name: Option<&str>) -> PyResult<&'static str> {
    let wanted = name.map(str::parse::<Isa>).transpose();
    wanted.and_then(set_isa).map(Isa::name).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Return what else the instruction set has: names of extensions that kernels use.
#[pyfunction]
fn extensions() -> Vec<&'static str> {
    [("bf16", has_bf16()), ("vnni", has_vnni())]
        .into_iter()
        .filter_map(|(name, is_there)| is_there.then_some(name))
        .collect()
}

/// Return how many threads the engine uses.
#[pyfunction]
fn threads() -> usize {
    phynexus_runtime::threads()
}

/// Set how many threads the engine uses; None reads NEURENIX_NUM_THREADS, or what the process may.
///
/// Raises:
///     ValueError: It is no number of threads.
#[pyfunction]
#[pyo3(signature = (number=None))]
fn set_threads(number: Option<usize>) -> PyResult<usize> {
    number
        .map_or_else(phynexus_runtime::configured_threads, Ok)
        .and_then(|number| phynexus_runtime::set_threads(number).map(|()| number))
        .map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Set how many bytes of freed memory are kept for reuse; None reads NEURENIX_CPU_CACHE_BYTES, or an
/// eighth of what there is.
///
/// Raises:
///     ValueError: It is no number of bytes.
#[pyfunction]
#[pyo3(signature = (size_bytes=None))]
fn set_cache_limit(size_bytes: Option<usize>) -> PyResult<usize> {
    let limit = size_bytes
        .map_or_else(memory::configured_cache_limit, Ok)
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    memory::set_cache_limit(limit);
    Ok(limit)
}

/// Measure the peak of fused multiply-adds of float32, in GFLOP/s: what no kernel can exceed.
///
/// Args:
///     threads: How many threads to measure with, at once.
#[pyfunction]
fn peak_gflops(py: Python<'_>, threads: usize) -> f64 {
    py.detach(|| phynexus_gemm::peak_gflops(threads))
}

/// Adds the functions of this module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(instruction_set, module)?)?;
    module.add_function(wrap_pyfunction!(set_instruction_set, module)?)?;
    module.add_function(wrap_pyfunction!(extensions, module)?)?;
    module.add_function(wrap_pyfunction!(threads, module)?)?;
    module.add_function(wrap_pyfunction!(set_threads, module)?)?;
    module.add_function(wrap_pyfunction!(set_cache_limit, module)?)?;
    module.add_function(wrap_pyfunction!(peak_gflops, module)?)
}
