//! Functions of one element at a time, and choices between elements.

mod binary;
mod cast;
mod code;
mod comparison;
mod number;
mod select;
mod unary;

pub use binary::Binary;
pub use cast::Cast;
pub use comparison::{Comparison, LogicalNot};
pub use select::Where;
pub use unary::Unary;

use crate::movement::copy;
use crate::{Axes, DType, KernelError, TensorMut, TensorRef};

/// Whether a tensor of integers has a negative one.
fn has_negative(x: &TensorRef<'_>) -> Result<bool, KernelError> {
    if matches!(x.dtype(), DType::U8 | DType::Bool) {
        return Ok(false);
    }
    let axes = Axes::dense(x.sizes())?;
    let (count, width) = (axes.count(), x.dtype().size());
    phynexus_runtime::scratch::with_scratch(count * width, |scratch| {
        // SAFETY: the scratch has as many bytes.
        copy(&unsafe { TensorMut::new(scratch, x.dtype(), axes) }, x)?;
        // The last byte of an element has its sign.
        let signs = (0..count)
            .map(|index| index * width + if cfg!(target_endian = "little") { width - 1 } else { 0 });
        // SAFETY: the bytes of the copy.
        Ok(signs.into_iter().any(|at| unsafe { *scratch.add(at) } & 0x80 != 0))
    })?
}
