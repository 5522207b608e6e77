//! Weights in the form in which steps read them: made once, and again when they have changed.

use std::any::Any;
use std::fmt;

use phynexus_kernels::KernelError;

use crate::memory::Memory;

/// Weights that a step reads, of the type that its [`Pack`] says.
pub type Prepared = Box<dyn Any + Send + Sync>;

/// Brings weights into the form in which a step reads them.
pub trait Pack: fmt::Debug + Send + Sync {
    /// The weights in that form.
    type Packed: Any + Send + Sync;

    /// Reads the weights and returns them in their other form.
    ///
    /// # Errors
    /// There is no memory.
    fn pack(&self, memory: &Memory<'_>) -> Result<Self::Packed, KernelError>;
}

/// [`Pack`], whatever the form.
pub trait Prepare: fmt::Debug + Send + Sync {
    /// As [`Pack::pack`].
    ///
    /// # Errors
    /// There is no memory.
    fn prepare(&self, memory: &Memory<'_>) -> Result<Prepared, KernelError>;
}

impl<P: Pack> Prepare for P {
    fn prepare(&self, memory: &Memory<'_>) -> Result<Prepared, KernelError> {
        Ok(Box::new(self.pack(memory)?))
    }
}

/// Weights that are kept between runs.
#[derive(Debug)]
pub struct Slot {
    /// How they are made.
    pub prepare: Box<dyn Prepare>,
    /// The external memory that they are made from.
    pub sources: Vec<usize>,
}

/// Where a step finds its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// In a slot, kept between runs.
    Kept(usize),
    /// They change from run to run: the step makes them itself.
    Anew,
}

impl Weights {
    /// Calls `f` with the weights: those that were kept, or such as `pack` makes now.
    ///
    /// # Errors
    /// There is no memory for them, or `f` fails.
    pub fn with<P: Pack>(
        self,
        pack: &P,
        memory: &Memory<'_>,
        f: impl FnOnce(&P::Packed) -> Result<(), KernelError>,
    ) -> Result<(), KernelError> {
        match self {
            Self::Kept(slot) => f(memory.kept(slot)),
            Self::Anew => f(&pack.pack(memory)?),
        }
    }
}
