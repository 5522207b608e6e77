//! A plan: steps over memory that was planned, ready to run again and again.

use std::any::Any;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use phynexus_runtime::memory::Block;

use crate::builder::{Builder, Built, Planned};
use crate::error::{CompileError, RunError};
use crate::fusion::fuse;
use crate::lower::lower;
use crate::memory::Memory;
use crate::order::Order;
use crate::precision::Precision;
use crate::prepared::{Prepared, Slot};
use crate::program::{Origin, Program, Uses};
use crate::registry::Registry;

/// A compiled program.
///
/// Several threads may run it at once: each run has memory of its own, which later runs reuse.
#[derive(Debug)]
pub struct Plan {
    name: String,
    precision: Precision,
    externals: usize,
    steps: Vec<Planned>,
    buffers: Vec<(Origin, usize)>,
    arena_bytes: usize,
    unshared_bytes: usize,
    slots: Vec<Slot>,
    kept: RwLock<Kept>,
    idle: Mutex<Vec<Block>>,
}

/// Weights in the form in which steps read them.
struct Kept {
    prepared: Vec<Option<Prepared>>,
    stale: bool,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("slots", &self.prepared.len()).field("stale", &self.stale).finish()
    }
}

impl Plan {
    /// Compiles a program.
    ///
    /// # Errors
    /// An op that the engine has no operation for, as the program uses it.
    pub fn compile(program: &Program, registry: &dyn Registry) -> Result<Self, CompileError> {
        let uses = Uses::of(program);
        let order = Order::of(program);
        let fused = fuse(program, &uses, &order);
        let mut builder = Builder::new(program, &uses, registry);
        lower(&mut builder, &fused, &order)?;
        let Built { steps, buffers, arena_bytes, unshared_bytes, slots } = builder.finish();
        let kept = Kept { prepared: slots.iter().map(|_| None).collect(), stale: true };
        Ok(Self {
            name: program.name.clone(),
            precision: program.precision,
            externals: program.externals,
            steps,
            buffers,
            arena_bytes,
            unshared_bytes,
            slots,
            kept: RwLock::new(kept),
            idle: Mutex::default(),
        })
    }

    /// Runs the program.
    ///
    /// # Errors
    /// What a step reports, with the node and its shapes; a panic of a step.
    ///
    /// # Safety
    /// `externals` has the address of each piece of external memory; each is valid for as many
    /// bytes as the program's storage says, aligned to its elements, and nobody else writes it, or
    /// reads what the program writes, until the run has ended. `changed` names every constant one
    /// whose contents or address are not those of the run before.
    pub unsafe fn run(&self, externals: &[*mut u8], changed: &[usize]) -> Result<(), RunError> {
        if externals.len() != self.externals {
            return Err(RunError::Externals { expected: self.externals, given: externals.len() });
        }
        let arena = self.take_arena()?;
        let addresses: Vec<*mut u8> = self
            .buffers
            .iter()
            .map(|&(origin, offset)| match origin {
                Origin::External(number) => externals[number],
                Origin::Run => arena.as_ptr().wrapping_add(offset),
            })
            .collect();
        // SAFETY: as the caller vouches; the arena holds all other buffers, and is this run's.
        let result = unsafe { self.run_on(&addresses, changed) };
        lock(&self.idle).push(arena);
        result
    }

    fn take_arena(&self) -> Result<Block, RunError> {
        if let Some(arena) = lock(&self.idle).pop() {
            return Ok(arena);
        }
        Block::new(self.arena_bytes).map_err(|error| RunError::Memory(error.to_string()))
    }

    /// # Safety
    /// As for `run`.
    unsafe fn run_on(&self, addresses: &[*mut u8], changed: &[usize]) -> Result<(), RunError> {
        let kept = self.kept_weights(addresses, changed)?;
        let memory = Memory { addresses, prepared: &kept.prepared };
        let current = AtomicUsize::new(0);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            for (number, planned) in self.steps.iter().enumerate() {
                current.store(number, Ordering::Relaxed);
                // SAFETY: as the caller vouches; steps run one after the other.
                unsafe { planned.step.run(&memory) }?;
            }
            Ok(())
        }));
        let node = || self.steps[current.load(Ordering::Relaxed)].node.clone();
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(RunError::Step { node: node(), error }),
            Err(panic) => Err(RunError::Panic { node: node(), message: message_of(&*panic) }),
        }
    }

    /// Returns weights in the form in which steps read them, made anew where they have changed.
    fn kept_weights(
        &self,
        addresses: &[*mut u8],
        changed: &[usize],
    ) -> Result<RwLockReadGuard<'_, Kept>, RunError> {
        let concerns = |slot: &Slot| slot.sources.iter().any(|source| changed.contains(source));
        if changed.is_empty() || !self.slots.iter().any(concerns) {
            let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
            if !kept.stale {
                return Ok(kept);
            }
        }
        {
            let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
            kept.stale = true;
            let memory = Memory { addresses, prepared: &[] };
            for (index, slot) in self.slots.iter().enumerate() {
                if concerns(slot) {
                    kept.prepared[index] = None;
                }
            }
            for (index, slot) in self.slots.iter().enumerate() {
                if kept.prepared[index].is_none() {
                    let made = slot.prepare.prepare(&memory);
                    let made = made.map_err(|error| RunError::Memory(error.to_string()))?;
                    kept.prepared[index] = Some(made);
                }
            }
            kept.stale = false;
        }
        Ok(self.kept.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Bytes of memory that one run takes besides its results.
    pub fn arena_bytes(&self) -> usize {
        self.arena_bytes
    }

    /// Bytes that it would take if no two buffers shared a place.
    pub fn unshared_bytes(&self) -> usize {
        self.unshared_bytes
    }

    /// The external memory that kept weights are made from.
    pub fn packed_externals(&self) -> Vec<usize> {
        let sources = self.slots.iter().flat_map(|slot| slot.sources.iter().copied());
        sources.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }

    /// The labels of the steps, and the nodes that they carry out, in order.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.steps.iter().map(|planned| (planned.label.as_str(), planned.node.as_str()))
    }

    /// Says what the plan does, a line a step.
    pub fn describe(&self) -> String {
        let mut text = format!(
            "plan of {}{}: {} steps, {} kept weights, {:.1} MiB a run ({:.1} MiB unshared)\n",
            self.name,
            match self.precision {
                Precision::Float32 => String::new(),
                narrow => format!(" in {}", narrow.name()),
            },
            self.steps.len(),
            self.slots.len(),
            self.arena_bytes as f64 / f64::from(1 << 20),
            self.unshared_bytes as f64 / f64::from(1 << 20),
        );
        for Planned { label, node, .. } in &self.steps {
            let _ = writeln!(text, "  {label:<40} {node}");
        }
        text
    }

    /// Runs the program, and returns the seconds that each step took: for finding what is slow.
    ///
    /// # Errors
    /// As for `run`.
    ///
    /// # Safety
    /// As for `run`.
    pub unsafe fn profile(&self, externals: &[*mut u8]) -> Result<Vec<f64>, RunError> {
        let arena = self.take_arena()?;
        let addresses: Vec<*mut u8> = self
            .buffers
            .iter()
            .map(|&(origin, offset)| match origin {
                Origin::External(number) => externals[number],
                Origin::Run => arena.as_ptr().wrapping_add(offset),
            })
            .collect();
        let kept = self.kept_weights(&addresses, &[])?;
        let memory = Memory { addresses: &addresses, prepared: &kept.prepared };
        let mut seconds = Vec::with_capacity(self.steps.len());
        for planned in &self.steps {
            let start = std::time::Instant::now();
            // SAFETY: as the caller vouches.
            let result = unsafe { planned.step.run(&memory) };
            result.map_err(|error| RunError::Step { node: planned.node.clone(), error })?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        Ok(seconds)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|&text| text.to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
