//! Running an op of `phynexus_kernels` on Neurenix's tensors.

use phynexus_kernels::{Operation, TensorMut, TensorRef};
use pyo3::prelude::*;

use crate::argument::{In, Out};
use crate::launch::launch;

/// Runs an op; `work` estimates it in elements of simple arithmetic.
///
/// # Errors
/// See [`launch`].
pub fn run<const OUT: usize, const K: usize>(
    py: Python<'_>,
    op: &dyn Operation,
    outputs: [&Out<'_>; OUT],
    inputs: [Option<&In<'_>>; K],
    work: usize,
) -> PyResult<()> {
    let outputs: [TensorMut<'_>; OUT] = outputs.map(Out::tensor);
    let inputs: [Option<TensorRef<'_>>; K] = inputs.map(|input| input.map(In::tensor));
    launch(py, op.name(), work, || op.run(&outputs, &inputs))
}
