//! Layer and batch normalisation, and their gradients.

use phynexus_kernels::batch_norm::{BatchNormInference, BatchNormTrain};
use phynexus_kernels::batch_norm_backward::BatchNormBackward;
use phynexus_kernels::layer_norm::LayerNorm;
use phynexus_kernels::layer_norm_backward::LayerNormBackward;
use phynexus_kernels::running_average::RunningAverage;
use pyo3::prelude::*;

use crate::argument::{In, Out};
use crate::operation::run;
use crate::table::{FLOATS, Table, Traits};

type Three<'py> = (Out<'py>, Out<'py>, Out<'py>);
type Four<'py> = (Out<'py>, Out<'py>, Out<'py>, Out<'py>);

#[pyfunction]
#[pyo3(signature = (out, x, weight, bias, *, axes, eps))]
fn layer_norm(
    py: Python<'_>,
    out: Three<'_>,
    x: In<'_>,
    weight: Option<In<'_>>,
    bias: Option<In<'_>>,
    axes: usize,
    eps: f64,
) -> PyResult<()> {
    let inputs = [Some(&x), weight.as_ref(), bias.as_ref()];
    run(py, &LayerNorm { axes, eps }, [&out.0, &out.1, &out.2], inputs, 4 * x.count())
}

#[pyfunction]
#[pyo3(signature = (out, grad, x, weight, mean, rstd, *, axes, eps))]
#[allow(clippy::too_many_arguments)]
fn layer_norm_backward(
    py: Python<'_>,
    out: Three<'_>,
    grad: In<'_>,
    x: In<'_>,
    weight: Option<In<'_>>,
    mean: In<'_>,
    rstd: In<'_>,
    axes: usize,
    eps: f64,
) -> PyResult<()> {
    let _ = eps; // it is in rstd
    let inputs = [Some(&grad), Some(&x), weight.as_ref(), Some(&mean), Some(&rstd)];
    run(py, &LayerNormBackward { axes }, [&out.0, &out.1, &out.2], inputs, 6 * x.count())
}

#[pyfunction]
#[pyo3(signature = (out, x, weight, bias, *, eps))]
fn batch_norm_train(
    py: Python<'_>,
    out: Four<'_>,
    x: In<'_>,
    weight: Option<In<'_>>,
    bias: Option<In<'_>>,
    eps: f64,
) -> PyResult<()> {
    let inputs = [Some(&x), weight.as_ref(), bias.as_ref()];
    run(py, &BatchNormTrain { eps }, [&out.0, &out.1, &out.2, &out.3], inputs, 4 * x.count())
}

#[pyfunction]
#[pyo3(signature = (out, x, mean, var, weight, bias, *, eps))]
#[allow(clippy::too_many_arguments)]
fn batch_norm_inference(
    py: Python<'_>,
    out: Out<'_>,
    x: In<'_>,
    mean: In<'_>,
    var: In<'_>,
    weight: Option<In<'_>>,
    bias: Option<In<'_>>,
    eps: f64,
) -> PyResult<()> {
    let inputs = [Some(&x), Some(&mean), Some(&var), weight.as_ref(), bias.as_ref()];
    run(py, &BatchNormInference { eps }, [&out], inputs, x.count())
}

#[pyfunction]
#[pyo3(signature = (out, grad, x, weight, mean, rstd, *, eps))]
#[allow(clippy::too_many_arguments)]
fn batch_norm_backward(
    py: Python<'_>,
    out: Three<'_>,
    grad: In<'_>,
    x: In<'_>,
    weight: Option<In<'_>>,
    mean: In<'_>,
    rstd: In<'_>,
    eps: f64,
) -> PyResult<()> {
    let _ = eps; // it is in rstd
    let inputs = [Some(&grad), Some(&x), weight.as_ref(), Some(&mean), Some(&rstd)];
    run(py, &BatchNormBackward, [&out.0, &out.1, &out.2], inputs, 5 * x.count())
}

#[pyfunction]
#[pyo3(signature = (out, running, value, *, momentum))]
fn running_average(
    py: Python<'_>,
    out: Out<'_>,
    running: In<'_>,
    value: In<'_>,
    momentum: f64,
) -> PyResult<()> {
    run(py, &RunningAverage { momentum }, [&out], [Some(&running), Some(&value)], value.count())
}

/// Adds the kernels of this module.
pub fn register(module: &Bound<'_, PyModule>, table: &Table<'_>) -> PyResult<()> {
    let plain = Traits::default();
    let in_place = Traits { in_place: true, ..plain };
    table.add("layer_norm", wrap_pyfunction!(layer_norm, module)?, FLOATS, plain)?;
    table.add("layer_norm_backward", wrap_pyfunction!(layer_norm_backward, module)?, FLOATS, plain)?;
    table.add("batch_norm_train", wrap_pyfunction!(batch_norm_train, module)?, FLOATS, plain)?;
    let inference = wrap_pyfunction!(batch_norm_inference, module)?;
    table.add("batch_norm_inference", inference, FLOATS, in_place)?;
    table.add("batch_norm_backward", wrap_pyfunction!(batch_norm_backward, module)?, FLOATS, plain)?;
    table.add("running_average", wrap_pyfunction!(running_average, module)?, FLOATS, in_place)
}
