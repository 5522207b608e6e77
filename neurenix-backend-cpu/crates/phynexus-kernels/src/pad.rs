//! A border around a tensor's elements, and gaps between them.

use crate::concat::part;
use crate::movement::{Fill, Scalar, copy};
use crate::operation::{first_output, required};
use crate::{KernelError, MAX_AXES, Operation, TensorMut, TensorRef};

/// Puts elements `between + 1` apart, behind a border. Reads any strides.
#[derive(Clone, Debug)]
pub struct Pad {
    /// How wide the border is before the first element, an axis each.
    pub before: Vec<usize>,
    /// How many elements come between two neighbours, an axis each.
    pub between: Vec<usize>,
    /// What border and gaps hold.
    pub value: Scalar,
}

impl Operation for Pad {
    fn name(&self) -> &'static str {
        "pad"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let (out, x) = (first_output(outputs), required(inputs, 0));
        let fill = |part: TensorMut<'_>| Fill { value: self.value }.run(&[part], &[]);
        if self.between.iter().any(|&between| between > 0) || x.axes().count() == 0 {
            fill(*out)?;
        } else {
            // The parts of the border along each axis, within the elements' extent along those
            // before it.
            let rank = out.axes().rank();
            let (mut starts, mut sizes) = ([0; MAX_AXES], [0; MAX_AXES]);
            sizes[..rank].copy_from_slice(out.sizes());
            for axis in 0..rank {
                let (before, inside, all) = (self.before[axis], x.sizes()[axis], sizes[axis]);
                for (start, size) in [(0, before), (before + inside, all - before - inside)] {
                    (starts[axis], sizes[axis]) = (start, size);
                    if size > 0 {
                        fill(part(out, &starts[..rank], &sizes[..rank], None)?)?;
                    }
                }
                (starts[axis], sizes[axis]) = (before, inside);
            }
        }
        if x.axes().count() == 0 {
            return Ok(());
        }
        let steps: Vec<usize> = self.between.iter().map(|between| between + 1).collect();
        copy(&part(out, &self.before, x.sizes(), Some(&steps))?, x)
    }
}
