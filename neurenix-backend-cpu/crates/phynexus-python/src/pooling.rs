//! Pooling, and its gradients.

use phynexus_kernels::adaptive_avg_pool2d::{AdaptiveAvgPool2d, AdaptiveAvgPool2dBackward};
use phynexus_kernels::avg_pool2d::{AvgPool2d, AvgPool2dBackward};
use phynexus_kernels::max_pool2d::{MaxPool2d, MaxPool2dValues};
use phynexus_kernels::max_pool2d_backward::MaxPool2dBackward;
use phynexus_kernels::pool_windows::Windows;
use pyo3::prelude::*;

use crate::argument::{In, Out};
use crate::operation::run;
use crate::table::{ALL, FLOATS, Table, Traits};

type Pair = (usize, usize);
type Padding = (Pair, Pair);

fn windows(kernel: Pair, stride: Pair, padding: Padding, dilation: Pair) -> [Windows; 2] {
    [
        Windows { kernel: kernel.0, stride: stride.0, before: padding.0.0, dilation: dilation.0 },
        Windows { kernel: kernel.1, stride: stride.1, before: padding.1.0, dilation: dilation.1 },
    ]
}

#[pyfunction]
#[pyo3(signature = (out, x, *, kernel_size, stride, padding, dilation))]
fn max_pool2d(
    py: Python<'_>,
    out: (Out<'_>, Out<'_>),
    x: In<'_>,
    kernel_size: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
) -> PyResult<()> {
    let op = MaxPool2d { windows: windows(kernel_size, stride, padding, dilation) };
    run(py, &op, [&out.0, &out.1], [Some(&x)], 6 * x.count())
}

#[pyfunction]
#[pyo3(signature = (out, x, *, kernel_size, stride, padding, dilation))]
fn max_pool2d_values(
    py: Python<'_>,
    out: Out<'_>,
    x: In<'_>,
    kernel_size: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
) -> PyResult<()> {
    let op = MaxPool2dValues { windows: windows(kernel_size, stride, padding, dilation) };
    run(py, &op, [&out], [Some(&x)], 2 * x.count())
}

#[pyfunction]
#[pyo3(signature = (out, grad, indices, *, input_shape))]
fn max_pool2d_backward(
    py: Python<'_>,
    out: Out<'_>,
    grad: In<'_>,
    indices: In<'_>,
    input_shape: Vec<usize>,
) -> PyResult<()> {
    let _ = input_shape; // it is the output's
    run(py, &MaxPool2dBackward, [&out], [Some(&grad), Some(&indices)], out.count() + 4 * grad.count())
}

#[pyfunction]
#[pyo3(signature = (out, x, *, kernel_size, stride, padding, count_include_pad))]
fn avg_pool2d(
    py: Python<'_>,
    out: Out<'_>,
    x: In<'_>,
    kernel_size: Pair,
    stride: Pair,
    padding: Padding,
    count_include_pad: bool,
) -> PyResult<()> {
    let op = AvgPool2d { windows: windows(kernel_size, stride, padding, (1, 1)), count_include_pad };
    run(py, &op, [&out], [Some(&x)], 2 * x.count())
}

#[pyfunction]
#[pyo3(signature = (out, grad, *, input_shape, kernel_size, stride, padding, count_include_pad))]
#[allow(clippy::too_many_arguments)]
fn avg_pool2d_backward(
    py: Python<'_>,
    out: Out<'_>,
    grad: In<'_>,
    input_shape: Vec<usize>,
    kernel_size: Pair,
    stride: Pair,
    padding: Padding,
    count_include_pad: bool,
) -> PyResult<()> {
    let _ = input_shape; // it is the output's
    let windows = windows(kernel_size, stride, padding, (1, 1));
    let op = AvgPool2dBackward { windows, count_include_pad };
    run(py, &op, [&out], [Some(&grad)], 3 * out.count())
}

#[pyfunction]
#[pyo3(signature = (out, x, *, output_size))]
fn adaptive_avg_pool2d(py: Python<'_>, out: Out<'_>, x: In<'_>, output_size: Pair) -> PyResult<()> {
    let _ = output_size; // it is the output's
    run(py, &AdaptiveAvgPool2d, [&out], [Some(&x)], x.count())
}

#[pyfunction]
#[pyo3(signature = (out, grad, *, input_shape))]
fn adaptive_avg_pool2d_backward(
    py: Python<'_>,
    out: Out<'_>,
    grad: In<'_>,
    input_shape: Vec<usize>,
) -> PyResult<()> {
    let _ = input_shape; // it is the output's
    run(py, &AdaptiveAvgPool2dBackward, [&out], [Some(&grad)], out.count())
}

/// Adds the kernels of this module.
pub fn register(module: &Bound<'_, PyModule>, table: &Table<'_>) -> PyResult<()> {
    let plain = Traits::default();
    table.add("max_pool2d", wrap_pyfunction!(max_pool2d, module)?, ALL, plain)?;
    table.add("max_pool2d_values", wrap_pyfunction!(max_pool2d_values, module)?, ALL, plain)?;
    table.add("max_pool2d_backward", wrap_pyfunction!(max_pool2d_backward, module)?, ALL, plain)?;
    table.add("avg_pool2d", wrap_pyfunction!(avg_pool2d, module)?, FLOATS, plain)?;
    table.add("avg_pool2d_backward", wrap_pyfunction!(avg_pool2d_backward, module)?, FLOATS, plain)?;
    table.add("adaptive_avg_pool2d", wrap_pyfunction!(adaptive_avg_pool2d, module)?, FLOATS, plain)?;
    let backward = wrap_pyfunction!(adaptive_avg_pool2d_backward, module)?;
    table.add("adaptive_avg_pool2d_backward", backward, FLOATS, plain)
}
