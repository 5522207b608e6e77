//! A chain of elementwise ops, as a step.

use phynexus_kernels::KernelError;

use crate::builder::Step;
use crate::elementwise::{Chain, Fields, Planes};
use crate::memory::{Memory, Place};

/// Elementwise ops over dense tensors, or over activations in blocks of channels.
#[derive(Debug)]
pub struct ChainStep {
    /// The ops.
    pub chain: Chain,
    /// Where the operands are.
    pub operands: Vec<Place>,
    /// Operands that are written in blocks.
    pub written: Vec<usize>,
    /// Elements of a dense tensor.
    pub count: usize,
    /// Sizes, where the operands lie in blocks.
    pub planes: Option<Planes>,
}

impl ChainStep {
    /// The addresses of the operands.
    pub fn addresses(&self, memory: &Memory<'_>) -> Vec<*mut u8> {
        self.operands.iter().map(|&place| memory.at(place)).collect()
    }
}

impl Step for ChainStep {
    unsafe fn run(&self, memory: &Memory<'_>) -> Result<(), KernelError> {
        let addresses = self.addresses(memory);
        let fields = Fields { chain: &self.chain, addresses: &addresses, written: &self.written };
        // SAFETY: the plan's memory holds the operands, and this step alone is under way.
        unsafe {
            match self.planes {
                Some(planes) => fields.run_planes(planes),
                None => fields.run(self.count),
            }
        }
    }
}
