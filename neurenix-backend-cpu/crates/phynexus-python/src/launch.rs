//! Running a kernel: with or without the interpreter's lock, and no panic past it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use phynexus_kernels::KernelError;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::error::to_python;

/// Elements worth about 10 µs of simple arithmetic: from here on, giving the interpreter to other
/// threads pays for the handing over.
pub const WORTH_UNLOCKING: usize = 1 << 16;

/// Runs a kernel's code; `work` estimates it in elements of simple arithmetic.
///
/// # Errors
/// What the kernel reports; a panic, which is a defect of the engine, as `RuntimeError`.
pub fn launch<F>(py: Python<'_>, op: &str, work: usize, code: F) -> PyResult<()>
where
    F: FnOnce() -> Result<(), KernelError> + Send,
{
    let guarded = move || catch_unwind(AssertUnwindSafe(code));
    let outcome = if work < WORTH_UNLOCKING { guarded() } else { py.detach(guarded) };
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(to_python(error)),
        Err(panic) => Err(PyRuntimeError::new_err(format!(
            "the native kernel {op:?} failed: {}; this is a defect of the engine, please report it",
            message_of(&*panic)
        ))),
    }
}

fn message_of(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}
