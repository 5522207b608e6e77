//! Buffers: NumPy arrays over memory of the engine's pool.

use std::ptr;

use numpy::npyffi::{NpyTypes, PY_ARRAY_API, flags, get_type_object};
use numpy::{PyArrayDescr, PyArrayDescrMethods};
use phynexus_kernels::MAX_AXES;
use phynexus_runtime::memory::{self, Block};
use pyo3::exceptions::{PyMemoryError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::argument::number_to_dtype;

/// Below this, NumPy's own allocation is the fastest, and alignment does not matter.
const POOLED_BYTES: usize = 1 << 12;

/// Owns the memory of an array; gives it back to the pool when the array is collected.
#[pyclass(frozen, module = "neurenix_backend_cpu._native")]
struct Memory {
    _block: Block,
}

/// Return an uninitialised dense array.
///
/// Args:
///     shape: The sizes, at most 16.
///     dtype: A NumPy dtype that Neurenix has.
///
/// Raises:
///     MemoryError: There is not enough; the message has what was asked for and what is in use.
#[pyfunction]
#[pyo3(signature = (shape, dtype, /))]
fn allocate<'py>(
    py: Python<'py>,
    shape: &Bound<'py, PyTuple>,
    dtype: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let rank = shape.len();
    if rank > MAX_AXES {
        return Err(PyValueError::new_err(format!(
            "a tensor on this device has at most {MAX_AXES} axes, not {rank}"
        )));
    }
    let mut sizes = [0isize; MAX_AXES];
    let mut count = 1usize;
    for (axis, size) in sizes.iter_mut().enumerate().take(rank) {
        *size = shape.get_borrowed_item(axis)?.extract()?;
        count = usize::try_from(*size)
            .ok()
            .and_then(|size| count.checked_mul(size))
            .ok_or_else(|| PyValueError::new_err(format!("no tensor has the shape {shape}")))?;
    }
    let number = dtype.cast::<PyArrayDescr>()?.num();
    let item = number_to_dtype(number)
        .ok_or_else(|| PyTypeError::new_err(format!("Neurenix has no dtype {dtype}")))?
        .size();
    let bytes = count.checked_mul(item).ok_or_else(|| PyMemoryError::new_err(format!("shape {shape}")))?;
    let block = if bytes < POOLED_BYTES {
        None
    } else {
        Some(Block::new(bytes).map_err(|error| PyMemoryError::new_err(error.to_string()))?)
    };
    let data = block.as_ref().map_or(ptr::null_mut(), |block| block.as_ptr().cast());
    // SAFETY: the descriptor's reference that the call takes is counted before; `sizes` has `rank`
    // entries; `data` is null, for NumPy to allocate, or valid for the whole array.
    let array = unsafe {
        pyo3::ffi::Py_INCREF(dtype.as_ptr());
        PY_ARRAY_API.PyArray_NewFromDescr(
            py,
            get_type_object(py, NpyTypes::PyArray_Type),
            dtype.as_ptr().cast(),
            rank as i32,
            sizes.as_mut_ptr(),
            ptr::null_mut(),
            data,
            if block.is_some() { flags::NPY_ARRAY_CARRAY } else { 0 },
            ptr::null_mut(),
        )
    };
    // SAFETY: the call returns a new reference, or null with an exception set.
    let array = unsafe { Bound::from_owned_ptr_or_err(py, array) }?;
    if let Some(block) = block {
        let owner = Bound::new(py, Memory { _block: block })?;
        // SAFETY: the array is new and has no base; the call takes the owner's reference.
        let failed =
            unsafe { PY_ARRAY_API.PyArray_SetBaseObject(py, array.as_ptr().cast(), owner.into_ptr()) };
        if failed != 0 {
            return Err(PyErr::fetch(py));
        }
    }
    Ok(array)
}

/// Return what the memory pool holds: bytes in use, bytes cached, the most in use at once.
#[pyfunction]
fn memory_statistics() -> (usize, usize, usize) {
    let statistics = memory::statistics();
    (statistics.in_use, statistics.cached, statistics.peak)
}

/// Give cached memory back to the system.
#[pyfunction]
fn trim_memory() {
    memory::trim();
}

/// Adds the functions of this module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(allocate, module)?)?;
    module.add_function(wrap_pyfunction!(memory_statistics, module)?)?;
    module.add_function(wrap_pyfunction!(trim_memory, module)?)
}
