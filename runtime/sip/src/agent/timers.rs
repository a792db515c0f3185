//! Who wants to be woken, and when.

use std::{collections::BTreeSet, time::Instant};

use super::{ClientKey, SessionId};

/// Whom a timer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    Client(ClientKey),
    Server(u64),
    Session(SessionId),
}

/// One entry for each owner that waits: moved, not piled up, so it is as long as what is alive.
#[derive(Debug, Default)]
pub(super) struct Timers {
    waiting: BTreeSet<(Instant, Owner)>,
}

impl Timers {
    /// Moves an owner's entry.
    pub(super) fn move_to(&mut self, owner: Owner, from: Option<Instant>, to: Option<Instant>) {
        if from == to {
            return;
        }
        if let Some(from) = from {
            self.waiting.remove(&(from, owner));
        }
        if let Some(to) = to {
            self.waiting.insert((to, owner));
        }
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.waiting.first().map(|(at, _)| *at)
    }

    /// Takes one entry that is due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Owner> {
        let entry = self.waiting.first().filter(|(at, _)| *at <= now).copied()?;
        self.waiting.remove(&entry);
        Some(entry.1)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}
