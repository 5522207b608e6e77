//! `neurenix_backend_cpu._native`: Phynexus as a Python module.
//!
//! A kernel is a function `(out, *inputs, **attrs)` on Neurenix tensors, whose buffers are NumPy
//! arrays. [`argument`] reads them, [`launch`] runs what the pure crates do with them.

mod activation;
mod allocation;
mod argument;
mod attention;
mod conv;
mod elementwise;
mod error;
mod indexing;
mod joining;
mod launch;
mod matmul;
mod movement;
mod normalization;
mod operation;
mod optimizer;
mod packed_weights;
mod plan;
mod pooling;
mod random;
mod reduce;
mod settings;
mod softmax;
mod sorting;
mod table;

use pyo3::prelude::*;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let table = table::Table::in_module(module)?;
    argument::register(module)?;
    allocation::register(module)?;
    elementwise::register(module, &table)?;
    movement::register(module, &table)?;
    reduce::register(module, &table)?;
    indexing::register(module, &table)?;
    random::register(module, &table)?;
    activation::register(module, &table)?;
    attention::register(module, &table)?;
    conv::register(module, &table)?;
    joining::register(module, &table)?;
    matmul::register(module, &table)?;
    normalization::register(module, &table)?;
    optimizer::register(module, &table)?;
    packed_weights::register(module)?;
    pooling::register(module, &table)?;
    softmax::register(module, &table)?;
    sorting::register(module, &table)?;
    plan::register(module)?;
    settings::register(module)
}
