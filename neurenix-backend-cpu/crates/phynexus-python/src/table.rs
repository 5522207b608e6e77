//! The list of kernels that Python reads: `_native.KERNELS`.

use phynexus_kernels::DType;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyList};

/// Floats of 32, 64 and 16 bits.
pub const FLOATS: &[DType] = &[DType::F32, DType::F64, DType::F16, DType::Bf16];
/// Integers with and without sign.
pub const INTS: &[DType] = &[DType::I64, DType::I32, DType::I16, DType::I8, DType::U8];
/// Floats and integers: every dtype but bool.
pub const NUMBERS: &[DType] = ALL.split_at(ALL.len() - 1).0;
/// Every dtype.
pub const ALL: &[DType] = &[
    DType::F32,
    DType::F64,
    DType::F16,
    DType::Bf16,
    DType::I64,
    DType::I32,
    DType::I16,
    DType::I8,
    DType::U8,
    DType::Bool,
];

/// How a kernel may be called, as `neurenix.backends.Kernel` has it.
#[derive(Clone, Copy, Default)]
pub struct Traits {
    /// It reads inputs of any strides.
    pub strided: bool,
    /// Its output may be the memory of an input.
    pub in_place: bool,
}

/// The list under construction.
pub struct Table<'py> {
    rows: Bound<'py, PyList>,
}

impl<'py> Table<'py> {
    /// An empty list, in the module as `KERNELS`.
    pub fn in_module(module: &Bound<'py, PyModule>) -> PyResult<Self> {
        let rows = PyList::empty(module.py());
        module.add("KERNELS", &rows)?;
        Ok(Self { rows })
    }

    /// Adds the kernel of an op: its function, the dtypes of its inputs, its traits.
    pub fn add(
        &self,
        op: &str,
        function: Bound<'py, PyCFunction>,
        dtypes: &[DType],
        traits: Traits,
    ) -> PyResult<()> {
        let names: Vec<&str> = dtypes.iter().map(|dtype| dtype.name()).collect();
        self.rows.append((op, function, names, traits.strided, traits.in_place))
    }
}
