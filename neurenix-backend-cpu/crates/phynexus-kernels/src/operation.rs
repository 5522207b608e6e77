//! What every op of this crate has in common: it is a value that can be run.

use std::fmt::Debug;

use crate::{KernelError, TensorMut, TensorRef};

/// An op with its attributes, ready to run on tensors.
///
/// An eager call makes one on the stack; a plan keeps one a step. Whatever changes from run to run
/// is an input.
pub trait Operation: Debug + Send + Sync {
    /// The op's name, as Neurenix has it.
    fn name(&self) -> &'static str;

    /// Computes the outputs, in the order in which the op declares them; an input is `None` where
    /// the op leaves it out.
    ///
    /// # Errors
    /// Dtypes that it has no code for, or an index that is not there. Shapes are the caller's care.
    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError>;
}

/// The only output, or the first of several.
pub(crate) fn first_output<'a, 'b>(outputs: &'a [TensorMut<'b>]) -> &'a TensorMut<'b> {
    &outputs[0]
}

/// An input that the op never leaves out.
///
/// # Panics
/// If it is left out, which core's checks rule out.
pub(crate) fn required<'a, 'b>(inputs: &'a [Option<TensorRef<'b>>], index: usize) -> &'a TensorRef<'b> {
    inputs[index].as_ref().unwrap_or_else(|| panic!("input {index} is missing"))
}
