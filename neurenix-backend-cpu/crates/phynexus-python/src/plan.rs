//! Programs and plans as Python objects.

use std::sync::Mutex;

use numpy::npyffi::{PyArray_Check, PyArrayObject};
use numpy::{PyArrayDescr, PyArrayDescrMethods};
use phynexus_kernels::Axes;
use phynexus_plan::{
    Attribute, Attributes, Native, Node, Origin, Plan, Precision, Program, Registry, RunError, Storage, Value,
};
use pyo3::exceptions::{PyMemoryError, PyNotImplementedError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::argument::number_to_dtype;
use crate::error::{to_python, with_message};

/// A program in the making: storages, values over them, and the nodes that compute these.
#[pyclass(name = "Program", module = "neurenix_backend_cpu._native")]
struct PyProgram {
    program: Mutex<Program>,
}

/// A compiled program; see `Program.compile`.
#[pyclass(name = "Plan", frozen, module = "neurenix_backend_cpu._native")]
struct PyPlan {
    plan: Plan,
}

impl PyProgram {
    fn locked(&self) -> std::sync::MutexGuard<'_, Program> {
        self.program.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[pymethods]
impl PyProgram {
    /// Make an empty program.
    ///
    /// Args:
    ///     name: What messages call it.
    ///     externals: How many arrays a run is given.
    ///     precision: In what its plan computes: "float32", "bfloat16" or "int8".
    #[new]
    #[pyo3(signature = (name, externals, precision = "float32", /))]
    fn new(name: String, externals: usize, precision: &str) -> PyResult<Self> {
        let precision = Precision::named(precision)
            .ok_or_else(|| PyValueError::new_err(format!("plans have no precision {precision:?}")))?;
        Ok(Self { program: Mutex::new(Program { name, externals, precision, ..Program::default() }) })
    }

    /// Add memory and return its number.
    ///
    /// Args:
    ///     bytes: How many bytes its values span.
    ///     external: The number of the array that a run is given for it; None for memory of the run.
    ///     constant: Whether no run writes it, and a run is told when it has changed.
    #[pyo3(signature = (bytes, external, constant, /))]
    fn storage(&self, bytes: usize, external: Option<usize>, constant: bool) -> PyResult<usize> {
        let mut program = self.locked();
        if external.is_some_and(|number| number >= program.externals) {
            return Err(PyValueError::new_err(format!("there are {} external arrays", program.externals)));
        }
        let origin = external.map_or(Origin::Run, Origin::External);
        program.storages.push(Storage { origin, bytes, constant });
        Ok(program.storages.len() - 1)
    }

    /// Add a tensor over a storage and return its number; strides and offset count elements.
    #[pyo3(signature = (dtype, shape, strides, offset, storage, name, /))]
    fn value(
        &self,
        dtype: &Bound<'_, PyArrayDescr>,
        shape: Vec<usize>,
        strides: Vec<isize>,
        offset: usize,
        storage: usize,
        name: String,
    ) -> PyResult<usize> {
        let mut program = self.locked();
        let dtype = number_to_dtype(dtype.num())
            .ok_or_else(|| PyTypeError::new_err(format!("Neurenix has no dtype {dtype}")))?;
        let axes = Axes::new(&shape, &strides).map_err(to_python)?;
        let Some(memory) = program.storages.get(storage) else {
            return Err(PyValueError::new_err(format!("there is no storage {storage}")));
        };
        let reach: isize =
            shape.iter().zip(&strides).map(|(&size, &stride)| (size as isize - 1) * stride).sum();
        let end = (offset as isize + reach + 1) * dtype.size() as isize;
        if axes.count() > 0 && (end > memory.bytes as isize || strides.iter().any(|&stride| stride < 0)) {
            return Err(PyValueError::new_err(format!(
                "{name} of shape {shape:?}, strides {strides:?} and offset {offset} does not fit {} bytes",
                memory.bytes
            )));
        }
        program.values.push(Value { dtype, axes, offset, storage, name });
        Ok(program.values.len() - 1)
    }

    /// Tell the largest absolute value that a tensor's elements take, for 8-bit integers.
    #[pyo3(signature = (value, largest, /))]
    fn range(&self, value: usize, largest: f32) -> PyResult<()> {
        let mut program = self.locked();
        let Some(described) = program.values.get(value) else {
            return Err(PyValueError::new_err(format!("there is no value {value}")));
        };
        if !(largest.is_finite() && largest >= 0.0) {
            let name = &described.name;
            return Err(PyValueError::new_err(format!("the range of {name} is finite, not {largest}")));
        }
        program.ranges.insert(value, largest);
        Ok(())
    }

    /// Add a node.
    ///
    /// Args:
    ///     op: The op's name.
    ///     attrs: Its attributes.
    ///     inputs: The numbers of its inputs, None where the op leaves one out.
    ///     outputs: The numbers of its outputs.
    ///     writes: The storages that it writes in place.
    ///     strided: Whether its kernel takes inputs of any strides.
    #[pyo3(signature = (op, attrs, inputs, outputs, writes, strided, /))]
    fn node(
        &self,
        op: String,
        attrs: &Bound<'_, PyDict>,
        inputs: Vec<Option<usize>>,
        outputs: Vec<usize>,
        writes: Vec<usize>,
        strided: bool,
    ) -> PyResult<()> {
        let attributes = attributes(attrs)?;
        let mut program = self.locked();
        let known = program.values.len();
        if outputs.is_empty() || inputs.iter().flatten().chain(&outputs).any(|&value| value >= known) {
            return Err(PyValueError::new_err(format!("{op} of values that there are not")));
        }
        program.nodes.push(Node { op, attributes, inputs, outputs, writes, strided });
        Ok(())
    }

    /// Return the plan of the program.
    ///
    /// Raises:
    ///     NotImplementedError: The engine has no code for a node; the message says for which.
    #[pyo3(signature = ())]
    fn compile(&self) -> PyResult<PyPlan> {
        let plan = Plan::compile(&self.locked(), &Native);
        plan.map(|plan| PyPlan { plan }).map_err(|error| PyNotImplementedError::new_err(error.to_string()))
    }
}

#[pymethods]
impl PyPlan {
    /// Run the program.
    ///
    /// Args:
    ///     arrays: An array for each piece of external memory, in order.
    ///     changed: The numbers of constant ones that are not what they were in the run before.
    #[pyo3(signature = (arrays, changed, /))]
    fn run(&self, py: Python<'_>, arrays: &Bound<'_, PyList>, changed: Vec<usize>) -> PyResult<()> {
        let addresses = Addresses::of(arrays)?;
        // SAFETY: the arrays have the sizes that the program was told, which `executable.py` checks,
        // and `arrays` keeps them alive.
        let result = py.detach(|| unsafe { self.plan.run(addresses.get(), &changed) });
        result.map_err(run_error)
    }

    /// Run the program, and return what each step is, the node it carries out, and its seconds.
    #[pyo3(signature = (arrays, /))]
    fn profile(&self, arrays: &Bound<'_, PyList>) -> PyResult<Vec<(String, String, f64)>> {
        let addresses = Addresses::of(arrays)?;
        // SAFETY: as for `run`.
        let seconds = unsafe { self.plan.profile(addresses.get()) }.map_err(run_error)?;
        let steps = self.plan.steps().zip(seconds);
        Ok(steps.map(|((label, node), time)| (label.to_owned(), node.to_owned(), time)).collect())
    }

    /// Return what the plan does, a line a step.
    fn describe(&self) -> String {
        self.plan.describe()
    }

    /// The numbers of the arrays whose contents are kept in another form.
    #[getter]
    fn packed(&self) -> Vec<usize> {
        self.plan.packed_externals()
    }

    /// How many steps there are.
    #[getter]
    fn steps(&self) -> usize {
        self.plan.steps().len()
    }

    /// Bytes of memory that a run takes besides its results.
    #[getter]
    fn nbytes(&self) -> usize {
        self.plan.arena_bytes()
    }

    /// Bytes that it would take if no two values shared a place.
    #[getter]
    fn unshared_bytes(&self) -> usize {
        self.plan.unshared_bytes()
    }
}

/// Addresses of arrays, for a thread without the interpreter.
struct Addresses(Vec<*mut u8>);

// SAFETY: the arrays stay where they are; who reads and writes them, the plan says.
unsafe impl Send for Addresses {}
// SAFETY: as above.
unsafe impl Sync for Addresses {}

impl Addresses {
    fn of(arrays: &Bound<'_, PyList>) -> PyResult<Self> {
        let py = arrays.py();
        let mut addresses = Vec::with_capacity(arrays.len());
        for array in arrays.iter() {
            // SAFETY: a check of the object's type.
            if unsafe { PyArray_Check(py, array.as_ptr()) } == 0 {
                let kind = array.get_type();
                return Err(PyTypeError::new_err(format!("a plan takes NumPy arrays, not {kind}")));
            }
            // SAFETY: it is an array, and the list keeps it alive.
            addresses.push(unsafe { (*array.as_ptr().cast::<PyArrayObject>()).fields.data.cast() });
        }
        Ok(Self(addresses))
    }

    fn get(&self) -> &[*mut u8] {
        &self.0
    }
}

fn attribute(value: &Bound<'_, PyAny>) -> PyResult<Attribute> {
    if value.is_none() {
        return Ok(Attribute::None);
    }
    if value.is_instance_of::<PyBool>() {
        return Ok(Attribute::Bool(value.extract()?));
    }
    if value.is_instance_of::<PyInt>() {
        // Some seeds and bounds are larger than any size.
        return Ok(value.extract().map_or_else(|_| Attribute::Text(value.to_string()), Attribute::Int));
    }
    if value.is_instance_of::<PyFloat>() {
        return Ok(Attribute::Float(value.extract()?));
    }
    if value.is_instance_of::<PyString>() {
        return Ok(Attribute::Text(value.extract()?));
    }
    if let Ok(descr) = value.cast::<PyArrayDescr>() {
        let dtype = number_to_dtype(descr.num());
        return dtype
            .map(Attribute::DType)
            .ok_or_else(|| PyTypeError::new_err(format!("Neurenix has no dtype {descr}")));
    }
    if value.is_instance_of::<PyTuple>() || value.is_instance_of::<PyList>() {
        let items = value.try_iter()?.map(|item| attribute(&item?)).collect::<PyResult<_>>()?;
        return Ok(Attribute::List(items));
    }
    Err(PyNotImplementedError::new_err(format!("an attribute of type {}", value.get_type().name()?)))
}

fn run_error(error: RunError) -> PyErr {
    let message = error.to_string();
    match error {
        RunError::Step { error, .. } => with_message(&error, message),
        RunError::Memory(_) => PyMemoryError::new_err(message),
        RunError::Panic { .. } | RunError::Externals { .. } => PyRuntimeError::new_err(message),
    }
}

/// Return whether plans have an operation for an op with these attributes.
#[pyfunction]
#[pyo3(signature = (op, attrs, /))]
fn has_operation(op: &str, attrs: &Bound<'_, PyDict>) -> PyResult<bool> {
    Ok(Native.operation(op, &attributes(attrs)?).is_some())
}

fn attributes(attrs: &Bound<'_, PyDict>) -> PyResult<Attributes> {
    attrs.iter().map(|(key, value)| Ok((key.extract::<String>()?, attribute(&value)?))).collect()
}

/// Adds the classes of this module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyProgram>()?;
    module.add_class::<PyPlan>()?;
    module.add_function(wrap_pyfunction!(has_operation, module)?)
}
