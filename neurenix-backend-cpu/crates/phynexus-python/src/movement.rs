//! Kernels that fill, count and move elements.

use phynexus_kernels::Operation;
use phynexus_kernels::movement::{Copy, Fill, Iota, Scalar};
use pyo3::prelude::*;
use pyo3::types::PyFloat;

use crate::argument::{In, Out};
use crate::launch::launch;
use crate::table::{ALL, Table, Traits};

const STRIDED: Traits = Traits { strided: true, in_place: false };

/// A Python number; integers beyond 64 bits count as floats.
pub struct Number(pub Scalar);

impl<'a, 'py> FromPyObject<'a, 'py> for Number {
    type Error = PyErr;

    fn extract(number: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if !number.is_instance_of::<PyFloat>()
            && let Ok(integer) = number.extract()
        {
            return Ok(Self(Scalar::Integer(integer)));
        }
        number.extract().map(|float| Self(Scalar::Float(float)))
    }
}

/// Strided to strided.
#[pyfunction]
#[pyo3(signature = (out, x, /))]
fn copy(py: Python<'_>, out: Out<'_>, x: In<'_>) -> PyResult<()> {
    let (outputs, inputs) = ([out.tensor()], [Some(x.tensor())]);
    launch(py, "copy", out.count(), || Copy.run(&outputs, &inputs))
}

/// One value everywhere.
#[pyfunction]
#[pyo3(signature = (out, /, *, shape, value, dtype))]
fn fill(
    py: Python<'_>,
    out: Out<'_>,
    shape: &Bound<'_, PyAny>,
    value: Number,
    dtype: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let _ = (shape, dtype);
    let outputs = [out.tensor()];
    launch(py, "fill", out.count(), || Fill { value: value.0 }.run(&outputs, &[]))
}

/// start + i * step
#[pyfunction]
#[pyo3(signature = (out, /, *, size, start, step, dtype))]
fn iota(
    py: Python<'_>,
    out: Out<'_>,
    size: usize,
    start: Number,
    step: Number,
    dtype: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let _ = (size, dtype);
    let outputs = [out.tensor()];
    launch(py, "iota", out.count(), || Iota { start: start.0, step: step.0 }.run(&outputs, &[]))
}

/// Adds the kernels of this module.
pub fn register(module: &Bound<'_, PyModule>, table: &Table<'_>) -> PyResult<()> {
    table.add("copy", wrap_pyfunction!(copy, module)?, ALL, STRIDED)?;
    table.add("fill", wrap_pyfunction!(fill, module)?, ALL, STRIDED)?;
    table.add("iota", wrap_pyfunction!(iota, module)?, ALL, STRIDED)
}
