//! Packed weights that convolutions called one by one keep for the next call.
//!
//! A network's parameter is packed once for as long as nobody writes it: at its second use, so that what is trained
//! is never kept. What is kept hangs on the parameter's `neurenix.ops.tape.Version`, whose count tells of writes, and
//! goes with the last tensor over the buffer. All together take no more than an eighth of the memory that there is;
//! beyond it, what was used longest ago goes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use phynexus_kernels::conv2d::{ConvShape, Convolution, PackedWeights, pack};
use phynexus_runtime::memory::memory_allowed;
use phynexus_simd::Isa;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};

use crate::argument::In;
use crate::launch::launch;

/// A weight, as numbers and as the tensor that it was given as.
pub struct Weight<'py> {
    tensor: Bound<'py, PyAny>,
    /// Its numbers.
    pub values: In<'py>,
}

impl<'a, 'py> FromPyObject<'a, 'py> for Weight<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self { tensor: object.to_owned(), values: object.extract()? })
    }
}

/// What Neurenix tells of tensors: the class of those that are no parameters, and the function that gives a version.
struct Known {
    plain: Py<PyType>,
    version_of: Py<PyAny>,
}

static KNOWN: PyOnceLock<Known> = PyOnceLock::new();

/// What hangs on a version: for what its buffer was last asked, and the number of what is kept.
#[pyclass(frozen, module = "neurenix_backend_cpu._native")]
struct Ticket {
    count: u64,
    shape: ConvShape,
    isa: Isa,
    number: Option<u64>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let kept = store().remove(number);
            drop(kept); // after the lock
        }
    }
}

struct Kept {
    weights: Arc<PackedWeights>,
    used: u64,
}

/// All packed weights that are kept. Only who has the interpreter's lock locks it, and for moments, so that a fork
/// never finds it locked.
#[derive(Default)]
struct Store {
    kept: HashMap<u64, Kept>,
    size_bytes: usize,
    /// Counts uses, and numbers what is kept.
    clock: u64,
}

static STORE: Mutex<Option<Store>> = Mutex::new(None);

/// The store, while it is locked.
struct Locked(MutexGuard<'static, Option<Store>>);

fn store() -> Locked {
    Locked(STORE.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Locked {
    fn get(&mut self) -> &mut Store {
        self.0.get_or_insert_default()
    }

    fn find(&mut self, number: u64) -> Option<Arc<PackedWeights>> {
        let store = self.get();
        store.clock += 1;
        let kept = store.kept.get_mut(&number)?;
        kept.used = store.clock;
        Some(Arc::clone(&kept.weights))
    }

    fn remove(&mut self, number: u64) -> Option<Kept> {
        let store = self.get();
        let kept = store.kept.remove(&number)?;
        store.size_bytes -= kept.weights.size_bytes();
        Some(kept)
    }

    /// Keeps weights, and returns their number and what had to go for them; None if they are more than may be kept.
    fn insert(&mut self, weights: &Arc<PackedWeights>, limit: usize) -> Option<(u64, Vec<Kept>)> {
        let size_bytes = weights.size_bytes();
        if size_bytes > limit {
            return None;
        }
        let mut gone = Vec::new();
        while self.get().size_bytes + size_bytes > limit {
            let oldest =
                self.get().kept.iter().min_by_key(|(_, kept)| kept.used).map(|(&number, _)| number)?;
            gone.extend(self.remove(oldest));
        }
        let store = self.get();
        store.clock += 1;
        store.size_bytes += size_bytes;
        store.kept.insert(store.clock, Kept { weights: Arc::clone(weights), used: store.clock });
        Some((store.clock, gone))
    }
}

/// Returns a weight packed for a convolution of images of these sizes, if it is kept or kept from now on.
///
/// # Errors
/// There is no memory.
pub fn find(
    py: Python<'_>,
    weight: &Weight<'_>,
    convolution: &Convolution,
    images: &[usize],
) -> PyResult<Option<Arc<PackedWeights>>> {
    let Some(known) = KNOWN.get(py) else { return Ok(None) };
    // Plain tensors may be a plan's, which writes them from run to run and counts nothing.
    if weight.tensor.get_type().is(known.plain.bind(py)) {
        return Ok(None);
    }
    let values = weight.values.tensor();
    let Some(shape) = convolution.packs(images, &values) else { return Ok(None) };
    let version = known.version_of.bind(py).call1((&weight.tensor,))?;
    if version.getattr(intern!(py, "lent"))?.is_truthy()? {
        return Ok(None);
    }
    let count: u64 = version.getattr(intern!(py, "value"))?.extract()?;
    let tickets = match version.getattr(intern!(py, "derived"))? {
        none if none.is_none() => {
            let tickets = PyDict::new(py);
            version.setattr(intern!(py, "derived"), &tickets)?;
            tickets
        }
        tickets => tickets.cast_into::<PyDict>()?,
    };
    // Several parameters may lie in one buffer.
    let key = (intern!(py, "conv2d"), weight.tensor.getattr(intern!(py, "offset"))?);
    let isa = phynexus_simd::isa();
    let seen = tickets.get_item(&key)?.map(|ticket| ticket.cast_into::<Ticket>()).transpose()?;
    let seen = seen.filter(|seen| {
        let seen = seen.get();
        seen.count == count && seen.isa == isa && seen.shape == shape
    });
    let Some(seen) = seen else {
        tickets.set_item(key, Ticket { count, shape, isa, number: None }.into_pyobject(py)?)?;
        return Ok(None);
    };
    if let Some(kept) = seen.get().number.and_then(|number| store().find(number)) {
        return Ok(Some(kept));
    }
    let mut packed = None;
    launch(py, "conv2d", values.axes().count(), || {
        packed = Some(pack(&shape, &values)?);
        Ok(())
    })?;
    let packed = Arc::new(packed.expect("it was packed"));
    if let Some((number, gone)) = store().insert(&packed, memory_allowed() / 8) {
        drop(gone); // after the lock
        tickets.set_item(key, Ticket { count, shape, isa, number: Some(number) }.into_pyobject(py)?)?;
    }
    Ok(Some(packed))
}

/// Keep packed weights of parameters from call to call.
///
/// Args:
///     plain: The class of tensors; parameters are of a class derived from it.
///     version_of: Returns the version of a tensor's buffer.
#[pyfunction]
#[pyo3(signature = (plain, version_of, /))]
fn keep_packed_weights(py: Python<'_>, plain: Py<PyType>, version_of: Py<PyAny>) {
    // The second time there is nothing new to say.
    let _ = KNOWN.set(py, Known { plain, version_of });
}

/// Return how many bytes packed weights take that are kept.
#[pyfunction]
fn packed_weights_bytes() -> usize {
    store().get().size_bytes
}

/// Adds the functions of this module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(keep_packed_weights, module)?)?;
    module.add_function(wrap_pyfunction!(packed_weights_bytes, module)?)
}
