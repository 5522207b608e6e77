//! Tensors and attributes of a call: what Neurenix's `Tensor` says of itself.

use phynexus_webgpu::attributes::{Attributes, Value};
use phynexus_webgpu::tensor::Tensor;
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::buffer::{Buffer, dtype_of};
use crate::error::to_python;

/// Reads a tensor.
pub fn tensor(object: &Bound<'_, PyAny>) -> PyResult<Tensor> {
    let py = object.py();
    let memory = object.getattr(intern!(py, "buffer"))?;
    let Ok(buffer) = memory.cast::<Buffer>() else {
        // What stands for a buffer in a trace explains itself when it is asked for its memory.
        memory.getattr(intern!(py, "nbytes"))?;
        return Err(PyTypeError::new_err(format!(
            "a WebGPU kernel got a tensor whose buffer is a {}",
            memory.get_type().name()?
        )));
    };
    let buffer = buffer.get();
    let shape = sizes(&object.getattr(intern!(py, "shape"))?)?;
    let strides = object.getattr(intern!(py, "_strides"))?;
    let strides = if strides.is_none() { None } else { Some(sizes(&strides)?) };
    let offset = match &strides {
        None => 0,
        Some(_) => object.getattr(intern!(py, "offset"))?.extract()?,
    };
    Tensor::new(buffer.block.clone(), buffer.dtype, shape, strides, offset).map_err(to_python)
}

/// Reads a tuple of sizes or strides.
pub fn sizes(object: &Bound<'_, PyAny>) -> PyResult<Vec<usize>> {
    object.cast::<PyTuple>()?.iter_borrowed().map(|size| size.extract()).collect()
}

/// Reads the attributes of a call.
pub fn attributes(named: Option<&Bound<'_, PyDict>>) -> PyResult<Attributes> {
    let mut read = Attributes::new();
    for (name, value) in named.into_iter().flatten() {
        read.add(name.extract::<String>()?, attribute(&value)?);
    }
    Ok(read)
}

fn attribute(object: &Bound<'_, PyAny>) -> PyResult<Value> {
    if object.is_none() {
        return Ok(Value::None);
    }
    if let Ok(truth) = object.cast::<PyBool>() {
        return Ok(Value::Bool(truth.is_true()));
    }
    if object.is_instance_of::<PyInt>() {
        return Ok(Value::Int(object.extract()?));
    }
    if object.is_instance_of::<PyFloat>() {
        return Ok(Value::Float(object.extract()?));
    }
    if object.is_instance_of::<PyString>() {
        return Ok(Value::Text(object.extract()?));
    }
    if object.is_instance_of::<PyTuple>() || object.is_instance_of::<PyList>() {
        return object.try_iter()?.map(|item| attribute(&item?)).collect::<PyResult<_>>().map(Value::List);
    }
    if object.hasattr(intern!(object.py(), "num"))? {
        return dtype_of(object).map(Value::DType);
    }
    // Numbers of NumPy.
    let index = object.call_method0(intern!(object.py(), "__index__"));
    index.and_then(|index| index.extract()).map(Value::Int).or_else(|_| object.extract().map(Value::Float))
}
