//! The attempts that this run of the program is having: nobody has abandoned them, whatever the clock says.
//!
//! Leases are told by the wall clock, and that may jump: a machine that wakes up, a clock that was wrong at the start.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use zvonar_model::AttemptId;

/// All of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Alive {
    attempts: Arc<Mutex<BTreeSet<AttemptId>>>,
}

/// One of them, until this is dropped.
#[derive(Debug)]
pub struct AliveAttempt {
    alive: Alive,
    attempt: AttemptId,
}

impl Alive {
    /// An attempt begins.
    pub(crate) fn begin(&self, attempt: AttemptId) -> AliveAttempt {
        self.lock().insert(attempt.clone());
        AliveAttempt { alive: self.clone(), attempt }
    }

    /// Whether this one goes on.
    pub(crate) fn has(&self, attempt: &AttemptId) -> bool {
        self.lock().contains(attempt)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<AttemptId>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AliveAttempt {
    fn drop(&mut self) {
        self.alive.lock().remove(&self.attempt);
    }
}
