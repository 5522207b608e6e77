//! Random bits.

use phynexus_kernels::random::RandomBits;
use phynexus_kernels::{DType, Operation};
use pyo3::prelude::*;

use crate::argument::{In, Out};
use crate::launch::launch;
use crate::table::{Table, Traits};

/// The stream of key = (key0, key1, draw): the words of Threefry-2x32 at the counters (i, draw).
#[pyfunction]
#[pyo3(signature = (out, key, /, *, shape))]
fn random_bits(py: Python<'_>, out: Out<'_>, key: In<'_>, shape: &Bound<'_, PyAny>) -> PyResult<()> {
    let _ = shape;
    let (outputs, inputs) = ([out.tensor()], [Some(key.tensor())]);
    launch(py, "random_bits", out.count(), || RandomBits.run(&outputs, &inputs))
}

/// Adds the kernels of this module.
pub fn register(module: &Bound<'_, PyModule>, table: &Table<'_>) -> PyResult<()> {
    table.add("random_bits", wrap_pyfunction!(random_bits, module)?, &[DType::I32], Traits::default())
}
