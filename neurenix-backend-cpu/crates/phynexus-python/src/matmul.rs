//! Matrix products.

use phynexus_kernels::matmul::{Linear, Matmul};
use pyo3::prelude::*;

use crate::argument::{In, Out};
use crate::operation::run;
use crate::table::{FLOATS, INTS, Table, Traits};

/// Multiply-adds, as elements of simple arithmetic: a core does several in the time of one.
fn work(out: &Out<'_>, x: &In<'_>) -> usize {
    let depth = x.tensor().sizes().last().copied().unwrap_or(1);
    out.count() * depth.div_ceil(4)
}

#[pyfunction]
fn matmul(py: Python<'_>, out: Out<'_>, x: In<'_>, y: In<'_>) -> PyResult<()> {
    run(py, &Matmul, [&out], [Some(&x), Some(&y)], work(&out, &x))
}

#[pyfunction]
#[pyo3(signature = (out, x, weight, bias))]
fn linear(py: Python<'_>, out: Out<'_>, x: In<'_>, weight: In<'_>, bias: Option<In<'_>>) -> PyResult<()> {
    run(py, &Linear, [&out], [Some(&x), Some(&weight), bias.as_ref()], work(&out, &x))
}

/// Adds the kernels of this module.
pub fn register(module: &Bound<'_, PyModule>, table: &Table<'_>) -> PyResult<()> {
    let strided = Traits { strided: true, ..Traits::default() };
    let dtypes = [FLOATS, INTS].concat();
    table.add("matmul", wrap_pyfunction!(matmul, module)?, &dtypes, strided)?;
    table.add("linear", wrap_pyfunction!(linear, module)?, FLOATS, strided)
}
