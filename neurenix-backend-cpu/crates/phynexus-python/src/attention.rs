//! Attention.

use phynexus_kernels::DType;
use phynexus_kernels::attention::ScaledDotProductAttention;
use pyo3::prelude::*;

use crate::argument::{In, Out};
use crate::operation::run;
use crate::table::{FLOATS, Table, Traits};

#[pyfunction]
#[pyo3(signature = (out, query, key, value, mask, *, is_causal, scale))]
#[allow(clippy::too_many_arguments)]
fn scaled_dot_product_attention(
    py: Python<'_>,
    out: Out<'_>,
    query: In<'_>,
    key: In<'_>,
    value: In<'_>,
    mask: Option<In<'_>>,
    is_causal: bool,
    scale: f64,
) -> PyResult<()> {
    let inputs = [Some(&query), Some(&key), Some(&value), mask.as_ref()];
    let keys = key.tensor().sizes().iter().nth_back(1).copied().unwrap_or(1);
    let work = query.count() * keys.div_ceil(4);
    run(py, &ScaledDotProductAttention { is_causal, scale }, [&out], inputs, work)
}

/// Adds the kernels of this module.
pub fn register(module: &Bound<'_, PyModule>, table: &Table<'_>) -> PyResult<()> {
    let strided = Traits { strided: true, ..Traits::default() };
    let dtypes = [FLOATS, &[DType::Bool]].concat();
    let function = wrap_pyfunction!(scaled_dot_product_attention, module)?;
    table.add("scaled_dot_product_attention", function, &dtypes, strided)
}
