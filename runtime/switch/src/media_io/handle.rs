//! What others hold of a media thread: its inbox, its places, and whether it goes on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Command;
use super::inbox::Inbox;
use super::kernel::Wake;
use super::stats::Counters;

/// Commands that may wait.
const COMMANDS: usize = 4096;

/// A call's number in its shard; free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) shard: Arc<Handle>,
    pub(super) slot: u32,
}

/// What others see of a shard.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) commands: Inbox<Command>,
    pub(super) wake: Wake,
    pub(super) counters: Counters,
    pub(super) live: AtomicU64,
    free: Mutex<Vec<u32>>,
    pub(super) capacity: usize,
    pub(super) stopping: AtomicBool,
    pub(super) gone: AtomicBool,
}

impl Handle {
    /// For at most so many calls.
    pub(super) fn new(capacity: usize) -> std::io::Result<Self> {
        let slots = u32::try_from(capacity).unwrap_or(u32::MAX - 1);
        Ok(Self {
            commands: Inbox::new(COMMANDS),
            wake: Wake::new()?,
            counters: Counters::default(),
            live: AtomicU64::new(0),
            free: Mutex::new((0..slots).rev().collect()),
            capacity: slots as usize,
            stopping: AtomicBool::new(false),
            gone: AtomicBool::new(false),
        })
    }

    /// A place for a call; there are as many as ports.
    pub(super) fn place(self: &Arc<Self>) -> Option<Place> {
        let slot = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        self.live.fetch_add(1, Ordering::Relaxed);
        Some(Place { shard: Arc::clone(self), slot })
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.wake.wake();
    }

    /// Hands the shard a command. When the queue is full, the calling thread waits; when the shard is gone, nothing
    /// happens.
    pub(super) fn command(&self, mut command: Command) {
        while let Err(back) = self.commands.push(command) {
            if self.gone.load(Ordering::SeqCst) {
                return;
            }
            command = back;
            std::thread::sleep(super::engine::FULL_WAIT);
        }
        // Either the shard's last look came after the push, or this one sees that it is gone.
        if self.gone.load(Ordering::SeqCst) {
            self.discard();
        } else {
            self.wake.wake();
        }
    }

    /// Frees what nobody will carry out: the owner of a call that was being opened hears the end of its events.
    pub(super) fn discard(&self) {
        while self.commands.pop().is_some() {}
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shard.live.fetch_sub(1, Ordering::Relaxed);
        self.shard.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.slot);
    }
}
