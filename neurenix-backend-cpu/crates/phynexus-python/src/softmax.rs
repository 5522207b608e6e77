//! softmax, its logarithm, cross-entropy, and their gradients.

use phynexus_kernels::cross_entropy::{SoftmaxCrossEntropy, SoftmaxCrossEntropyBackward};
use phynexus_kernels::softmax::{LogSoftmax, LogSoftmaxBackward, Softmax, SoftmaxBackward};
use pyo3::prelude::*;

use crate::argument::{In, Out};
use crate::operation::run;
use crate::table::{ALL, FLOATS, Table, Traits};

/// What an exponential costs, in elements of simple arithmetic.
const EXP_WORK: usize = 6;

#[pyfunction]
#[pyo3(signature = (out, x, *, axis))]
fn softmax(py: Python<'_>, out: Out<'_>, x: In<'_>, axis: usize) -> PyResult<()> {
    run(py, &Softmax { axis }, [&out], [Some(&x)], x.count() * EXP_WORK)
}

#[pyfunction]
#[pyo3(signature = (out, x, *, axis))]
fn log_softmax(py: Python<'_>, out: Out<'_>, x: In<'_>, axis: usize) -> PyResult<()> {
    run(py, &LogSoftmax { axis }, [&out], [Some(&x)], x.count() * EXP_WORK)
}

#[pyfunction]
#[pyo3(signature = (out, grad, result, *, axis))]
fn softmax_backward(py: Python<'_>, out: Out<'_>, grad: In<'_>, result: In<'_>, axis: usize) -> PyResult<()> {
    run(py, &SoftmaxBackward { axis }, [&out], [Some(&grad), Some(&result)], 2 * grad.count())
}

#[pyfunction]
#[pyo3(signature = (out, grad, result, *, axis))]
fn log_softmax_backward(
    py: Python<'_>,
    out: Out<'_>,
    grad: In<'_>,
    result: In<'_>,
    axis: usize,
) -> PyResult<()> {
    let inputs = [Some(&grad), Some(&result)];
    run(py, &LogSoftmaxBackward { axis }, [&out], inputs, EXP_WORK * grad.count())
}

#[pyfunction]
fn softmax_cross_entropy(
    py: Python<'_>,
    out: (Out<'_>, Out<'_>),
    logits: In<'_>,
    target: In<'_>,
) -> PyResult<()> {
    let inputs = [Some(&logits), Some(&target)];
    run(py, &SoftmaxCrossEntropy, [&out.0, &out.1], inputs, EXP_WORK * logits.count())
}

#[pyfunction]
fn softmax_cross_entropy_backward(
    py: Python<'_>,
    out: Out<'_>,
    grad: In<'_>,
    logits: In<'_>,
    log_probs: In<'_>,
    target: In<'_>,
) -> PyResult<()> {
    let inputs = [Some(&grad), Some(&logits), Some(&log_probs), Some(&target)];
    run(py, &SoftmaxCrossEntropyBackward, [&out], inputs, EXP_WORK * log_probs.count())
}

/// Adds the kernels of this module.
pub fn register(module: &Bound<'_, PyModule>, table: &Table<'_>) -> PyResult<()> {
    let in_place = Traits { in_place: true, ..Traits::default() };
    let plain = Traits::default();
    table.add("softmax", wrap_pyfunction!(softmax, module)?, FLOATS, in_place)?;
    table.add("log_softmax", wrap_pyfunction!(log_softmax, module)?, FLOATS, in_place)?;
    table.add("softmax_backward", wrap_pyfunction!(softmax_backward, module)?, FLOATS, plain)?;
    table.add("log_softmax_backward", wrap_pyfunction!(log_softmax_backward, module)?, FLOATS, plain)?;
    // The target has integers, the rest floats.
    table.add("softmax_cross_entropy", wrap_pyfunction!(softmax_cross_entropy, module)?, ALL, plain)?;
    let backward = wrap_pyfunction!(softmax_cross_entropy_backward, module)?;
    table.add("softmax_cross_entropy_backward", backward, ALL, plain)
}
