//! Joining tensors, and borders around them.

use phynexus_kernels::Operation;
use phynexus_kernels::concat::Concat;
use phynexus_kernels::pad::Pad;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::argument::{In, Out};
use crate::launch::launch;
use crate::movement::Number;
use crate::operation::run;
use crate::table::{ALL, Table, Traits};

#[pyfunction]
#[pyo3(signature = (out, *xs, axis, sizes))]
fn concat(
    py: Python<'_>,
    out: Out<'_>,
    xs: &Bound<'_, PyTuple>,
    axis: usize,
    sizes: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let _ = sizes; // they are the inputs'
    let inputs = xs.iter_borrowed().map(|x| Ok(Some(x.extract::<In<'_>>()?.tensor())));
    let inputs = inputs.collect::<PyResult<Vec<_>>>()?;
    let outputs = [out.tensor()];
    launch(py, "concat", out.count(), || Concat { axis }.run(&outputs, &inputs))
}

#[pyfunction]
#[pyo3(signature = (out, x, *, widths, interior, value))]
fn pad(
    py: Python<'_>,
    out: Out<'_>,
    x: In<'_>,
    widths: Vec<(usize, usize)>,
    interior: Vec<usize>,
    value: Number,
) -> PyResult<()> {
    let before = widths.into_iter().map(|(before, _)| before).collect();
    run(py, &Pad { before, between: interior, value: value.0 }, [&out], [Some(&x)], out.count())
}

/// Adds the kernels of this module.
pub fn register(module: &Bound<'_, PyModule>, table: &Table<'_>) -> PyResult<()> {
    let strided = Traits { strided: true, ..Traits::default() };
    table.add("concat", wrap_pyfunction!(concat, module)?, ALL, strided)?;
    table.add("pad", wrap_pyfunction!(pad, module)?, ALL, strided)
}
