//! Convolution, and its gradients.

use phynexus_kernels::conv2d::{
    Conv2d, Conv2dFused, Conv2dGradInput, Conv2dGradWeight, Conv2dPacked, Convolution,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::argument::{In, Out};
use crate::operation::run;
use crate::packed_weights::{Weight, find};
use crate::table::{FLOATS, Table, Traits};

type Pair = (usize, usize);

fn settings(stride: Pair, padding: (Pair, Pair), dilation: Pair, groups: usize) -> Convolution {
    Convolution { stride: stride.into(), padding: padding.into(), dilation: dilation.into(), groups }
}

/// Multiply-adds, of which a core does several in the time of a simple addition.
fn work(planes: usize, weight: &[usize]) -> usize {
    planes * weight[1..].iter().product::<usize>().div_ceil(8)
}

#[pyfunction]
#[pyo3(signature = (out, x, weight, bias, *, stride, padding, dilation, groups))]
#[allow(clippy::too_many_arguments)]
fn conv2d(
    py: Python<'_>,
    out: Out<'_>,
    x: In<'_>,
    weight: Weight<'_>,
    bias: Option<In<'_>>,
    stride: Pair,
    padding: (Pair, Pair),
    dilation: Pair,
    groups: usize,
) -> PyResult<()> {
    let convolution = settings(stride, padding, dilation, groups);
    let work = work(out.count(), weight.values.tensor().sizes());
    let inputs = [Some(&x), Some(&weight.values), bias.as_ref()];
    match find(py, &weight, &convolution, x.tensor().sizes())? {
        Some(packed) => {
            let [x, weight, bias] = inputs;
            let op = Conv2dPacked { convolution, relu: false, packed };
            run(py, &op, [&out], [x, weight, bias, None], work)
        }
        None => run(py, &Conv2d { convolution }, [&out], inputs, work),
    }
}

#[pyfunction]
#[pyo3(signature = (
    out, x, weight, bias, residual, *, stride, padding, dilation, groups, activation
))]
#[allow(clippy::too_many_arguments)]
fn conv2d_fused(
    py: Python<'_>,
    out: Out<'_>,
    x: In<'_>,
    weight: Weight<'_>,
    bias: Option<In<'_>>,
    residual: Option<In<'_>>,
    stride: Pair,
    padding: (Pair, Pair),
    dilation: Pair,
    groups: usize,
    activation: &str,
) -> PyResult<()> {
    let relu = match activation {
        "relu" => true,
        "none" => false,
        other => {
            return Err(PyValueError::new_err(format!(
                "conv2d_fused's activation is 'none' or 'relu', not {other:?}"
            )));
        }
    };
    let convolution = settings(stride, padding, dilation, groups);
    let work = work(out.count(), weight.values.tensor().sizes());
    let inputs = [Some(&x), Some(&weight.values), bias.as_ref(), residual.as_ref()];
    match find(py, &weight, &convolution, x.tensor().sizes())? {
        Some(packed) => run(py, &Conv2dPacked { convolution, relu, packed }, [&out], inputs, work),
        None => run(py, &Conv2dFused { convolution, relu }, [&out], inputs, work),
    }
}

#[pyfunction]
#[pyo3(signature = (out, grad, weight, *, input_shape, stride, padding, dilation, groups))]
#[allow(clippy::too_many_arguments)]
fn conv2d_grad_input(
    py: Python<'_>,
    out: Out<'_>,
    grad: In<'_>,
    weight: In<'_>,
    input_shape: Vec<usize>,
    stride: Pair,
    padding: (Pair, Pair),
    dilation: Pair,
    groups: usize,
) -> PyResult<()> {
    let _ = input_shape; // it is the output's
    let op = Conv2dGradInput { convolution: settings(stride, padding, dilation, groups) };
    let work = work(grad.count(), weight.tensor().sizes());
    run(py, &op, [&out], [Some(&grad), Some(&weight)], work)
}

#[pyfunction]
#[pyo3(signature = (out, grad, x, *, weight_shape, stride, padding, dilation, groups))]
#[allow(clippy::too_many_arguments)]
fn conv2d_grad_weight(
    py: Python<'_>,
    out: Out<'_>,
    grad: In<'_>,
    x: In<'_>,
    weight_shape: Vec<usize>,
    stride: Pair,
    padding: (Pair, Pair),
    dilation: Pair,
    groups: usize,
) -> PyResult<()> {
    let op = Conv2dGradWeight { convolution: settings(stride, padding, dilation, groups) };
    run(py, &op, [&out], [Some(&grad), Some(&x)], work(grad.count(), &weight_shape))
}

/// Adds the kernels of this module.
pub fn register(module: &Bound<'_, PyModule>, table: &Table<'_>) -> PyResult<()> {
    let plain = Traits::default();
    table.add("conv2d", wrap_pyfunction!(conv2d, module)?, FLOATS, plain)?;
    table.add("conv2d_fused", wrap_pyfunction!(conv2d_fused, module)?, FLOATS, plain)?;
    table.add("conv2d_grad_input", wrap_pyfunction!(conv2d_grad_input, module)?, FLOATS, plain)?;
    table.add("conv2d_grad_weight", wrap_pyfunction!(conv2d_grad_weight, module)?, FLOATS, plain)
}
