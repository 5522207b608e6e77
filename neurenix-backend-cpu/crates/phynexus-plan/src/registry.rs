//! Operations by name.

use phynexus_kernels::Operation;

use crate::Attributes;

/// Whoever makes operations of names and attributes.
pub trait Registry {
    /// The operation, or `None` where the engine has none of that name and attributes.
    fn operation(&self, op: &str, attributes: &Attributes) -> Option<Box<dyn Operation>>;
}
