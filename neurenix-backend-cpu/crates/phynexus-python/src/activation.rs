//! Activations that are no single elementwise op.

use phynexus_kernels::gelu::Gelu;
use pyo3::prelude::*;

use crate::argument::{In, Out};
use crate::operation::run;
use crate::table::{FLOATS, Table, Traits};

#[pyfunction]
#[pyo3(signature = (out, x, *, approximate))]
fn gelu(py: Python<'_>, out: Out<'_>, x: In<'_>, approximate: &str) -> PyResult<()> {
    run(py, &Gelu { by_tanh: approximate == "tanh" }, [&out], [Some(&x)], 8 * x.count())
}

/// Adds the kernels of this module.
pub fn register(module: &Bound<'_, PyModule>, table: &Table<'_>) -> PyResult<()> {
    let in_place = Traits { in_place: true, ..Traits::default() };
    table.add("gelu", wrap_pyfunction!(gelu, module)?, FLOATS, in_place)
}
