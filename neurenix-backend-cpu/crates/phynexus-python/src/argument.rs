//! Tensors as arguments of kernels: what Neurenix's `Tensor` says of them.

use std::sync::atomic::{AtomicI32, Ordering};

use numpy::npyffi::{NPY_TYPES, PyArray_Check, PyArrayObject};
use phynexus_kernels::{Axes, DType, MAX_AXES, TensorMut, TensorRef};
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::error::to_python;

/// A tensor that a kernel reads.
pub struct In<'py>(Argument<'py>);

/// A tensor that a kernel writes.
pub struct Out<'py>(Argument<'py>);

impl<'py> In<'py> {
    /// The tensor.
    #[inline]
    pub fn tensor(&self) -> TensorRef<'py> {
        // SAFETY: a tensor's elements lie within its buffer, which the caller's reference to the
        // tensor keeps alive for the call; nobody frees or resizes an array of ours meanwhile.
        unsafe { TensorRef::new(self.0.data, self.0.dtype, self.0.axes()) }
    }

    /// How many elements it has.
    pub fn count(&self) -> usize {
        self.0.count()
    }
}

impl<'py> Out<'py> {
    /// The tensor.
    #[inline]
    pub fn tensor(&self) -> TensorMut<'py> {
        // SAFETY: as for `In`; core hands a kernel outputs that it has just allocated, or that the
        // op writes in place.
        unsafe { TensorMut::new(self.0.data, self.0.dtype, self.0.axes()) }
    }

    /// How many elements it has.
    pub fn count(&self) -> usize {
        self.0.count()
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for In<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        read(object).map(Self)
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Out<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        read(object).map(Self)
    }
}

/// What a tensor says of itself. It is handed on several times before a kernel gets it: `Axes`, of
/// 264 bytes, are made of it only then.
struct Argument<'py> {
    data: *mut u8,
    dtype: DType,
    layout: Layout<'py>,
}

enum Layout<'py> {
    /// One element after the other, in the shape of the NumPy array.
    Dense(&'py [usize]),
    Strided(Box<Axes>),
}

impl Argument<'_> {
    #[inline]
    fn axes(&self) -> Axes {
        match &self.layout {
            Layout::Dense(sizes) => Axes::dense(sizes).expect("as few axes as `read` has seen"),
            Layout::Strided(axes) => **axes,
        }
    }

    fn count(&self) -> usize {
        match &self.layout {
            Layout::Dense(sizes) => sizes.iter().product(),
            Layout::Strided(axes) => axes.count(),
        }
    }
}

fn read<'py>(tensor: Borrowed<'_, 'py, PyAny>) -> PyResult<Argument<'py>> {
    let py = tensor.py();
    let buffer = tensor.getattr(intern!(py, "buffer"))?;
    // SAFETY: a check of the object's type.
    if unsafe { PyArray_Check(py, buffer.as_ptr()) } == 0 {
        // What stands for a buffer in a trace explains itself when it is asked for its memory.
        buffer.getattr(intern!(py, "nbytes"))?;
        return Err(PyTypeError::new_err(format!(
            "a native kernel got a tensor whose buffer is no NumPy array but {}",
            buffer.get_type().name()?
        )));
    }
    // SAFETY: it is an array, and `buffer` keeps it alive.
    let array = unsafe { &(*buffer.as_ptr().cast::<PyArrayObject>()).fields };
    let dtype = dtype_of(array.descr.cast(), array)?;
    let data = array.data.cast::<u8>();
    let strides = tensor.getattr(intern!(py, "_strides"))?;
    if strides.is_none() {
        // The tensor is its whole buffer, dense: the array itself has the shape.
        let rank = array.nd as usize;
        if rank > MAX_AXES {
            return Err(too_many_axes());
        }
        let sizes: &[usize] = if rank == 0 {
            &[]
        } else {
            // SAFETY: an array has `nd` dimensions, none of them negative; the tensor keeps it
            // alive for the call.
            unsafe { std::slice::from_raw_parts(array.dimensions.cast(), rank) }
        };
        return Ok(Argument { data, dtype, layout: Layout::Dense(sizes) });
    }
    let shape = tensor.getattr(intern!(py, "shape"))?;
    let offset: usize = tensor.getattr(intern!(py, "offset"))?.extract()?;
    let (mut sizes, mut steps) = ([0; MAX_AXES], [0; MAX_AXES]);
    let rank = read_tuple(&shape, &mut sizes)?;
    read_tuple(&strides, &mut steps)?;
    let axes = Axes::new(&sizes[..rank], &steps[..rank]).map_err(to_python)?;
    let data = data.wrapping_add(offset * dtype.size());
    Ok(Argument { data, dtype, layout: Layout::Strided(Box::new(axes)) })
}

#[cold]
fn too_many_axes() -> PyErr {
    to_python(Axes::dense(&[1; MAX_AXES + 1]).unwrap_err())
}

fn read_tuple<'py, T>(tuple: &Bound<'py, PyAny>, into: &mut [T; MAX_AXES]) -> PyResult<usize>
where
    T: for<'a> FromPyObject<'a, 'py, Error = PyErr>,
{
    let tuple = tuple.cast::<PyTuple>()?;
    let rank = tuple.len();
    if rank > MAX_AXES {
        return Err(too_many_axes());
    }
    for (index, slot) in into.iter_mut().enumerate().take(rank) {
        *slot = tuple.get_borrowed_item(index)?.extract()?;
    }
    Ok(rank)
}

/// NumPy's number for bfloat16, which ml_dtypes registers at run time.
static BFLOAT16: AtomicI32 = AtomicI32::new(-1);

fn dtype_of(
    descr: *const numpy::npyffi::PyArray_Descr,
    array: &numpy::npyffi::PyArrayObject_fields,
) -> PyResult<DType> {
    // SAFETY: an array has a descriptor.
    let number = unsafe { (*descr).fields.type_num };
    number_to_dtype(number).ok_or_else(|| {
        PyTypeError::new_err(format!(
            "a native kernel got an array of NumPy type number {number} with {} axes, which Neurenix has no dtype for",
            array.nd
        ))
    })
}

/// The dtype for NumPy's number of a type.
pub fn number_to_dtype(number: i32) -> Option<DType> {
    const LONG: DType = if size_of::<std::ffi::c_long>() == 8 { DType::I64 } else { DType::I32 };
    Some(match number {
        n if n == NPY_TYPES::NPY_FLOAT as i32 => DType::F32,
        n if n == NPY_TYPES::NPY_DOUBLE as i32 => DType::F64,
        n if n == NPY_TYPES::NPY_HALF as i32 => DType::F16,
        n if n == NPY_TYPES::NPY_LONG as i32 => LONG,
        n if n == NPY_TYPES::NPY_LONGLONG as i32 => DType::I64,
        n if n == NPY_TYPES::NPY_INT as i32 => DType::I32,
        n if n == NPY_TYPES::NPY_SHORT as i32 => DType::I16,
        n if n == NPY_TYPES::NPY_BYTE as i32 => DType::I8,
        n if n == NPY_TYPES::NPY_UBYTE as i32 => DType::U8,
        n if n == NPY_TYPES::NPY_BOOL as i32 => DType::Bool,
        n if n == BFLOAT16.load(Ordering::Relaxed) => DType::Bf16,
        _ => return None,
    })
}

/// Tells the engine which NumPy type bfloat16 is: `numpy.dtype(ml_dtypes.bfloat16).num`.
#[pyfunction]
fn set_bfloat16(number: i32) {
    BFLOAT16.store(number, Ordering::Relaxed);
}

/// Adds the functions of this module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(set_bfloat16, module)?)
}
