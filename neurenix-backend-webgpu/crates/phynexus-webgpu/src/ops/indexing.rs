//! Reading at places that an index names along an axis; [`super::scatter`] writes at such.

use super::{Call, Launch, Operation};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::faults;
use crate::shader::{Driver, Kernel, Part};
use crate::tensor::Tensor;

/// The functions from an index to a place.
pub static INDEX: Part = Part { text: include_str!("../../wgsl/indexing/index.wgsl"), needs: &[] };
static FOR_INDEX: &[&Part] = &[&INDEX];

static GATHER: Kernel = Kernel {
    name: "gather",
    text: include_str!("../../wgsl/indexing/gather.wgsl"),
    driver: Driver::Elements,
    scalars: &["op", "size", "step"],
    parts: &[],
};

/// The function from an element of an index to a place.
///
/// # Errors
/// It is no index.
pub fn place_of(index: &Tensor) -> Result<&'static str> {
    match index.dtype {
        DType::I32 => Ok("place_int"),
        DType::I64 => Ok("place_long"),
        other => Err(Error::Value(format!("an index is of int32 or int64, not {}", other.name()))),
    }
}

/// The strides of a tensor, but 0 along an axis.
pub fn rest(strides: &[usize], axis: usize) -> Vec<usize> {
    let mut rest = strides.to_vec();
    rest[axis] = 0;
    rest
}

fn gather(call: &Call<'_>) -> Result<()> {
    let (x, index) = (call.input(0)?, call.input(1)?);
    let axis = call.attributes.size("axis")?;
    Launch::new(&GATHER, &call.out().as_bits())
        .output("fault", &faults::words(call.device)?)
        .input("index", index)
        .free("x", &x.as_bits())
        .place("rest", &index.shape, &rest(&x.strides, axis))
        .function(place_of(index)?, FOR_INDEX)
        .scalar(faults::number_of(call.op))
        .size(x.shape[axis])
        .size(x.strides[axis])
        .run(call.device)
}

/// The ops of this module.
pub fn operations() -> Vec<Operation> {
    vec![Operation { op: "gather", run: gather, dtypes: &DType::ALL, strided: true, in_place: false }]
}
