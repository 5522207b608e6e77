//! Sorting along an axis.

use phynexus_kernels::sort::{Sort, TopK};
use pyo3::prelude::*;

use crate::argument::{In, Out};
use crate::operation::run;
use crate::table::{ALL, Table, Traits};

/// What an element costs, in elements of simple arithmetic.
const SORT_WORK: usize = 64;

#[pyfunction]
#[pyo3(signature = (out, x, *, axis, descending))]
fn sort(py: Python<'_>, out: (Out<'_>, Out<'_>), x: In<'_>, axis: usize, descending: bool) -> PyResult<()> {
    run(py, &Sort { axis, descending }, [&out.0, &out.1], [Some(&x)], SORT_WORK * x.count())
}

#[pyfunction]
#[pyo3(signature = (out, x, *, k, axis, largest))]
fn topk(
    py: Python<'_>,
    out: (Out<'_>, Out<'_>),
    x: In<'_>,
    k: usize,
    axis: usize,
    largest: bool,
) -> PyResult<()> {
    let _ = k; // it is the output's size
    run(py, &TopK { axis, largest }, [&out.0, &out.1], [Some(&x)], SORT_WORK / 4 * x.count())
}

/// Adds the kernels of this module.
pub fn register(module: &Bound<'_, PyModule>, table: &Table<'_>) -> PyResult<()> {
    table.add("sort", wrap_pyfunction!(sort, module)?, ALL, Traits::default())?;
    table.add("topk", wrap_pyfunction!(topk, module)?, ALL, Traits::default())
}
