//! Bounded spinning: how long a thread polls before it sleeps.

use std::time::Duration;

/// How long a thread polls for the next event before it sleeps, when every thread has a CPU of its own.
#[cfg(not(loom))]
pub const PATIENCE: Duration = Duration::from_micros(50);

/// The same when there are more threads than CPUs: somebody who has work waits for the CPU we spin on.
#[cfg(not(loom))]
pub const PATIENCE_OVERSUBSCRIBED: Duration = Duration::from_micros(1);

/// One stretch of polling.
pub struct Spin {
    #[cfg(not(loom))]
    turns: u32,
    #[cfg(not(loom))]
    patience: Duration,
    #[cfg(not(loom))]
    started: Option<std::time::Instant>,
}

impl Spin {
    /// Polling that lasts about `patience`.
    pub fn new(patience: Duration) -> Self {
        #[cfg(loom)]
        let _ = patience;
        Self {
            #[cfg(not(loom))]
            turns: 0,
            #[cfg(not(loom))]
            patience,
            #[cfg(not(loom))]
            started: None,
        }
    }

    /// Waits a moment. False once the patience is used up.
    #[cfg(not(loom))]
    pub fn again(&mut self) -> bool {
        // Reading the clock costs as much as a few pauses, and delays the next look: read it now and then.
        const TURNS_A_LOOK: u32 = 32;
        std::hint::spin_loop();
        self.turns += 1;
        if !self.turns.is_multiple_of(TURNS_A_LOOK) {
            return true;
        }
        let now = std::time::Instant::now();
        now.duration_since(*self.started.get_or_insert(now)) < self.patience
    }

    /// No patience: one look, then sleep. Further looks would reach no other state, and cost the model much
    /// time.
    #[cfg(loom)]
    pub fn again(&mut self) -> bool {
        false
    }
}
