//! Elementwise kernels.

use pyo3::prelude::*;

use crate::table::Table;

/// Adds the kernels of this module.
pub fn register(_module: &Bound<'_, PyModule>, _table: &Table<'_>) -> PyResult<()> {
    Ok(())
}
