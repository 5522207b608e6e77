//! What goes wrong when a program is compiled or run.

use std::fmt;

use phynexus_kernels::KernelError;

/// Why there is no plan for a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError {
    /// The node, with its shapes.
    pub node: String,
    /// What is the matter with it.
    pub reason: String,
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at {})", self.reason, self.node)
    }
}

impl std::error::Error for CompileError {}

/// Why a run ended before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunError {
    /// A step reported it.
    Step {
        /// The node, with its shapes.
        node: String,
        /// What the step reported.
        error: KernelError,
    },
    /// A step panicked: a defect of the engine.
    Panic {
        /// The node, with its shapes.
        node: String,
        /// What the panic said.
        message: String,
    },
    /// There is no memory for the plan's buffers.
    Memory(String),
    /// The caller gave another number of addresses than the program has external memory.
    Externals {
        /// How many it has.
        expected: usize,
        /// How many were given.
        given: usize,
    },
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step { node, error } => write!(f, "{error} (at {node})"),
            Self::Panic { node, message } => write!(
                f,
                "a step of a plan failed: {message} (at {node}); this is a defect of the engine, please report it"
            ),
            Self::Memory(message) => f.write_str(message),
            Self::Externals { expected, given } => {
                write!(f, "the plan takes {expected} addresses, not {given}")
            }
        }
    }
}

impl std::error::Error for RunError {}
