//! Kernels: every op of the pure crate as a function `(out, *inputs, **attrs)`.

use phynexus_webgpu::ops::{Call, Operation, chain, operations};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::argument::{attributes, tensor};
use crate::error::guarded;

/// The kernel of an op.
#[pyclass(frozen, module = "neurenix_backend_webgpu._native")]
struct Kernel {
    operation: Operation,
}

#[pymethods]
impl Kernel {
    #[pyo3(signature = (out, /, *inputs, **attrs))]
    fn __call__(
        &self,
        out: &Bound<'_, PyAny>,
        inputs: &Bound<'_, PyTuple>,
        attrs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let outputs = match out.cast::<PyTuple>() {
            Ok(several) => several.iter().map(|one| tensor(&one)).collect::<PyResult<Vec<_>>>()?,
            Err(_) => vec![tensor(out)?],
        };
        let inputs = inputs
            .iter_borrowed()
            .map(|input| if input.is_none() { Ok(None) } else { tensor(&input).map(Some) })
            .collect::<PyResult<Vec<_>>>()?;
        let attributes = attributes(attrs)?;
        let device = outputs[0].block.device();
        guarded(|| {
            device.check()?;
            let Operation { op, run, .. } = self.operation;
            run(&Call { op, device, outputs: &outputs, inputs: &inputs, attributes: &attributes })
        })
    }

    fn __repr__(&self) -> String {
        format!("<kernel {} of phynexus-webgpu>", self.operation.op)
    }
}

/// Adds the list `KERNELS`: name, function, dtypes, strided, in place; and what chains may be made of.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let rows = PyList::empty(module.py());
    for operation in operations() {
        let names: Vec<&str> = operation.dtypes.iter().map(|dtype| dtype.name()).collect();
        let kernel = Bound::new(module.py(), Kernel { operation })?;
        rows.append((operation.op, kernel, names, operation.strided, operation.in_place))?;
    }
    module.add("KERNELS", rows)?;
    module.add("CHAIN_OPS", chain::members().collect::<Vec<_>>())?;
    module.add("CHAIN_INPUTS", chain::INPUTS.len())?;
    module.add("CHAIN_OUTPUTS", chain::OUTPUTS.len())
}
