//! Plans for Phynexus: a program of tensor ops, compiled once and run again and again.
//!
//! A [`Program`] is what a traced graph is to this crate. [`Plan::compile`] fuses its nodes into
//! steps, lets activations lie in blocks of 16 channels from end to end, keeps weights packed and
//! plans memory; [`Plan::run`] carries the steps out, one after the other, each on all threads.

mod attributes;
mod builder;
mod elementwise;
mod error;
mod fusion;
mod lower;
mod memory;
mod operations;
mod order;
mod plan;
mod precision;
mod prepared;
mod program;
mod registry;
mod steps;

pub use attributes::{Attribute, Attributes};
pub use error::{CompileError, RunError};
pub use operations::Native;
pub use plan::Plan;
pub use precision::Precision;
pub use program::{Node, NodeId, Origin, Program, Storage, StorageId, Value, ValueId};
pub use registry::Registry;
