//! An operation of the kernels' crate, as a step.

use phynexus_kernels::{KernelError, Operation};

use crate::builder::Step;
use crate::memory::{Memory, Tensor};

/// Any operation, on tensors as the program has them.
#[derive(Debug)]
pub struct Generic {
    /// The operation.
    pub operation: Box<dyn Operation>,
    /// What it writes.
    pub outputs: Vec<Tensor>,
    /// What it reads.
    pub inputs: Vec<Option<Tensor>>,
}

impl Step for Generic {
    unsafe fn run(&self, memory: &Memory<'_>) -> Result<(), KernelError> {
        // SAFETY: the plan's memory holds the tensors, and this step alone is under way; what it
        // writes in place it reads as well, as the operation expects.
        unsafe {
            let outputs: Vec<_> = self.outputs.iter().map(|tensor| memory.tensor_mut(tensor)).collect();
            let inputs: Vec<_> = self
                .inputs
                .iter()
                .map(|tensor| tensor.as_ref().map(|tensor| memory.tensor(tensor)))
                .collect();
            self.operation.run(&outputs, &inputs)
        }
    }
}
