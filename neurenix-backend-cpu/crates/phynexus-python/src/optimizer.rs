//! Steps of optimizers, in place.

use phynexus_kernels::optimizer::{AdamStep, SgdMomentumStep, SgdStep};
use pyo3::prelude::*;

use crate::argument::{In, Out};
use crate::operation::run;
use crate::table::{FLOATS, Table, Traits};

#[pyfunction]
#[pyo3(signature = (out, param, grad, lr, *, weight_decay))]
fn sgd_step(
    py: Python<'_>,
    out: Out<'_>,
    param: In<'_>,
    grad: In<'_>,
    lr: In<'_>,
    weight_decay: f64,
) -> PyResult<()> {
    run(py, &SgdStep { weight_decay }, [&out], [Some(&param), Some(&grad), Some(&lr)], param.count())
}

#[pyfunction]
#[pyo3(signature = (
    out, param, grad, buffer, lr, *, momentum, dampening, nesterov, weight_decay, first_step
))]
#[allow(clippy::too_many_arguments)]
fn sgd_momentum_step(
    py: Python<'_>,
    out: (Out<'_>, Out<'_>),
    param: In<'_>,
    grad: In<'_>,
    buffer: In<'_>,
    lr: In<'_>,
    momentum: f64,
    dampening: f64,
    nesterov: bool,
    weight_decay: f64,
    first_step: bool,
) -> PyResult<()> {
    let step = SgdMomentumStep { momentum, dampening, nesterov, weight_decay, first_step };
    let inputs = [Some(&param), Some(&grad), Some(&buffer), Some(&lr)];
    run(py, &step, [&out.0, &out.1], inputs, 2 * param.count())
}

#[pyfunction]
#[pyo3(signature = (
    out, param, grad, exp_avg, exp_avg_sq, lr, step, *, beta1, beta2, eps, weight_decay, decoupled
))]
#[allow(clippy::too_many_arguments)]
fn adam_step(
    py: Python<'_>,
    out: (Out<'_>, Out<'_>, Out<'_>),
    param: In<'_>,
    grad: In<'_>,
    exp_avg: In<'_>,
    exp_avg_sq: In<'_>,
    lr: In<'_>,
    step: In<'_>,
    beta1: f64,
    beta2: f64,
    eps: f64,
    weight_decay: f64,
    decoupled: bool,
) -> PyResult<()> {
    let adam = AdamStep { beta1, beta2, eps, weight_decay, decoupled };
    let inputs = [Some(&param), Some(&grad), Some(&exp_avg), Some(&exp_avg_sq), Some(&lr), Some(&step)];
    run(py, &adam, [&out.0, &out.1, &out.2], inputs, 4 * param.count())
}

/// Adds the kernels of this module.
pub fn register(module: &Bound<'_, PyModule>, table: &Table<'_>) -> PyResult<()> {
    let plain = Traits::default();
    table.add("sgd_step", wrap_pyfunction!(sgd_step, module)?, FLOATS, plain)?;
    table.add("sgd_momentum_step", wrap_pyfunction!(sgd_momentum_step, module)?, FLOATS, plain)?;
    table.add("adam_step", wrap_pyfunction!(adam_step, module)?, FLOATS, plain)
}
