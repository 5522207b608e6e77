//! Reductions.

use phynexus_kernels::reduce::{Reduce, Reduction};
use phynexus_kernels::{MAX_AXES, Operation};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::argument::{In, Out};
use crate::launch::launch;
use crate::table::{ALL, Table, Traits};

/// Axes as bits; core has made them non-negative.
struct Axes(u16);

impl<'a, 'py> FromPyObject<'a, 'py> for Axes {
    type Error = PyErr;

    fn extract(axes: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let mut bits = 0;
        for axis in axes.cast::<PyTuple>()?.iter_borrowed() {
            let axis: usize = axis.extract()?;
            debug_assert!(axis < MAX_AXES);
            bits |= 1 << axis;
        }
        Ok(Self(bits))
    }
}

macro_rules! reductions {
    ($($(#[$doc:meta])* $name:ident = $reduction:ident;)*) => {$(
        $(#[$doc])*
        #[pyfunction]
        #[pyo3(signature = (out, x, /, *, axes, keepdims))]
        fn $name(py: Python<'_>, out: Out<'_>, x: In<'_>, axes: Axes, keepdims: bool) -> PyResult<()> {
            // The output has its shape already.
            let _ = keepdims;
            let op = Reduce { reduction: Reduction::$reduction, axes: axes.0 };
            let (outputs, inputs) = ([out.tensor()], [Some(x.tensor())]);
            launch(py, op.name(), x.count(), || op.run(&outputs, &inputs))
        }
    )*};
}

reductions! {
    /// The sum; integers in int64.
    sum = Sum;
    /// The product; integers in int64.
    prod = Prod;
    /// The maximum; NaN wins.
    max = Max;
    /// The minimum; NaN wins.
    min = Min;
    /// The index of the first maximum; the first NaN wins.
    argmax = ArgMax;
    /// The index of the first minimum; the first NaN wins.
    argmin = ArgMin;
}

/// Adds the kernels of this module.
pub fn register(module: &Bound<'_, PyModule>, table: &Table<'_>) -> PyResult<()> {
    const STRIDED: Traits = Traits { strided: true, in_place: false };
    table.add("sum", wrap_pyfunction!(sum, module)?, ALL, STRIDED)?;
    table.add("prod", wrap_pyfunction!(prod, module)?, ALL, STRIDED)?;
    table.add("max", wrap_pyfunction!(max, module)?, ALL, STRIDED)?;
    table.add("min", wrap_pyfunction!(min, module)?, ALL, STRIDED)?;
    table.add("argmax", wrap_pyfunction!(argmax, module)?, ALL, STRIDED)?;
    table.add("argmin", wrap_pyfunction!(argmin, module)?, ALL, STRIDED)
}
