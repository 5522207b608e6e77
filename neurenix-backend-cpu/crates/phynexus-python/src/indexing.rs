//! Reading and writing by index tensors.

use phynexus_kernels::Operation;
use phynexus_kernels::indexing::{Gather, Put, Scatter, ScatterAdd, Take, TakeBackward};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::argument::{In, Out};
use crate::launch::launch;
use crate::table::{ALL, Table, Traits};

fn run(py: Python<'_>, op: &dyn Operation, out: &Out<'_>, inputs: &[&In<'_>], work: usize) -> PyResult<()> {
    let inputs: Vec<_> = inputs.iter().map(|input| Some(input.tensor())).collect();
    let outputs = [out.tensor()];
    launch(py, op.name(), work, || op.run(&outputs, &inputs))
}

/// out[..., i, ...] = x[..., index[..., i, ...], ...] along an axis.
#[pyfunction]
#[pyo3(signature = (out, x, index, /, *, axis))]
fn gather(py: Python<'_>, out: Out<'_>, x: In<'_>, index: In<'_>, axis: usize) -> PyResult<()> {
    run(py, &Gather { axis }, &out, &[&x, &index], out.count())
}

/// A copy of x with value written to the places of the index; the last one wins.
#[pyfunction]
#[pyo3(signature = (out, x, index, value, /, *, axis))]
fn scatter(
    py: Python<'_>,
    out: Out<'_>,
    x: In<'_>,
    index: In<'_>,
    value: In<'_>,
    axis: usize,
) -> PyResult<()> {
    run(py, &Scatter { axis }, &out, &[&x, &index, &value], out.count())
}

/// A copy of x with value added at the places of the index, in their order.
#[pyfunction]
#[pyo3(signature = (out, x, index, value, /, *, axis))]
fn scatter_add(
    py: Python<'_>,
    out: Out<'_>,
    x: In<'_>,
    index: In<'_>,
    value: In<'_>,
    axis: usize,
) -> PyResult<()> {
    run(py, &ScatterAdd { axis }, &out, &[&x, &index, &value], out.count())
}

/// The slices of x along its first axis that the index names.
#[pyfunction]
#[pyo3(signature = (out, x, index, /))]
fn take(py: Python<'_>, out: Out<'_>, x: In<'_>, index: In<'_>) -> PyResult<()> {
    run(py, &Take, &out, &[&x, &index], out.count())
}

/// Of each row, the sum of the slices that the index gives it.
#[pyfunction]
#[pyo3(signature = (out, grad, index, /, *, rows))]
fn take_backward(py: Python<'_>, out: Out<'_>, grad: In<'_>, index: In<'_>, rows: usize) -> PyResult<()> {
    let _ = rows;
    run(py, &TakeBackward, &out, &[&grad, &index], grad.count())
}

/// In place: out is x, and value is written at the places of the indices, one a leading axis.
#[pyfunction]
#[pyo3(signature = (out, x, value, /, *indices))]
fn put(py: Python<'_>, out: Out<'_>, x: In<'_>, value: In<'_>, indices: &Bound<'_, PyTuple>) -> PyResult<()> {
    let indices: Vec<In<'_>> =
        indices.iter_borrowed().map(|index| index.extract()).collect::<PyResult<_>>()?;
    let inputs: Vec<&In<'_>> = [&x, &value].into_iter().chain(&indices).collect();
    run(py, &Put, &out, &inputs, value.count())
}

/// Adds the kernels of this module.
pub fn register(module: &Bound<'_, PyModule>, table: &Table<'_>) -> PyResult<()> {
    const STRIDED: Traits = Traits { strided: true, in_place: false };
    table.add("gather", wrap_pyfunction!(gather, module)?, ALL, STRIDED)?;
    table.add("scatter", wrap_pyfunction!(scatter, module)?, ALL, STRIDED)?;
    table.add("scatter_add", wrap_pyfunction!(scatter_add, module)?, ALL, STRIDED)?;
    table.add("take", wrap_pyfunction!(take, module)?, ALL, Traits::default())?;
    table.add("take_backward", wrap_pyfunction!(take_backward, module)?, ALL, Traits::default())?;
    table.add("put", wrap_pyfunction!(put, module)?, ALL, STRIDED)
}
