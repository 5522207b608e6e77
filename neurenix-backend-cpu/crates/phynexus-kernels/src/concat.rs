//! Tensors one after the other along an axis.

use crate::operation::first_output;
use crate::{Axes, KernelError, MAX_AXES, Operation, TensorMut, TensorRef, movement};

/// Joins its inputs along an axis. Reads any strides.
#[derive(Clone, Copy, Debug)]
pub struct Concat {
    /// The axis.
    pub axis: usize,
}

impl Operation for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let out = first_output(outputs);
        let mut starts = [0; MAX_AXES];
        for x in inputs.iter().flatten() {
            let part = part(out, &starts[..out.axes().rank()], x.sizes(), None)?;
            movement::copy(&part, x)?;
            starts[self.axis] += x.sizes()[self.axis];
        }
        Ok(())
    }
}

/// The box of a tensor that begins at `starts` and has `sizes` elements, `steps` apart.
pub(crate) fn part<'a>(
    out: &TensorMut<'a>,
    starts: &[usize],
    sizes: &[usize],
    steps: Option<&[usize]>,
) -> Result<TensorMut<'a>, KernelError> {
    let mut strides = [0; MAX_AXES];
    let mut offset = 0;
    for (axis, &stride) in out.axes().strides().iter().enumerate() {
        offset += starts[axis] as isize * stride;
        strides[axis] = stride * steps.map_or(1, |steps| steps[axis] as isize);
    }
    let axes = Axes::new(sizes, &strides[..sizes.len()])?;
    let data = out.bytes().wrapping_offset(offset * out.dtype().size() as isize);
    // SAFETY: elements of `out`; a box without any has no address that would be used.
    Ok(unsafe { TensorMut::new(data, out.dtype(), axes) })
}
