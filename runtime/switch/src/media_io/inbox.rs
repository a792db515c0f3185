//! What waits for a media thread, so that the thread never waits for whoever puts it there.
//!
//! A lock-free queue alone is not enough: its `pop` spins while a `push` is half done. A media thread has real-time
//! priority, so on a core of its own the half-done thread never runs again, and both stand still until the kernel stops
//! the real-time one (950 ms, then 50 ms of late packets for every call). So what is finished is counted, and nothing
//! unfinished is ever asked for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crossbeam_queue::ArrayQueue;

/// A bounded queue from many threads to one that must not wait.
#[derive(Debug)]
pub(super) struct Inbox<T> {
    queue: ArrayQueue<T>,
    /// Those who put in wait for each other, so that what is counted lies before what is not.
    turn: Mutex<()>,
    put: AtomicU64,
    taken: AtomicU64,
}

impl<T> Inbox<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            queue: ArrayQueue::new(capacity),
            turn: Mutex::new(()),
            put: AtomicU64::new(0),
            taken: AtomicU64::new(0),
        }
    }

    /// Puts a thing in; full, it comes back. Not for the media thread.
    pub(super) fn push(&self, thing: T) -> Result<(), T> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.queue.push(thing)?;
        self.put.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Whether nothing is wholly in. For the thread that takes.
    pub(super) fn is_empty(&self) -> bool {
        self.taken.load(Ordering::Relaxed) == self.put.load(Ordering::Acquire)
    }

    /// Takes the next thing that is wholly in; never waits. For one thread at a time.
    pub(super) fn pop(&self) -> Option<T> {
        let taken = self.taken.load(Ordering::Relaxed);
        if taken == self.put.load(Ordering::Acquire) {
            return None;
        }
        self.taken.store(taken + 1, Ordering::Relaxed);
        self.queue.pop()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn everything_arrives_once_and_in_each_ones_order() {
        const EACH: u64 = 20_000;
        let inbox = Arc::new(Inbox::new(64));
        let putters: Vec<_> = (0..3)
            .map(|who| {
                let inbox = Arc::clone(&inbox);
                std::thread::spawn(move || {
                    for n in 0..EACH {
                        let mut thing = (who, n);
                        while let Err(back) = inbox.push(thing) {
                            thing = back;
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        let mut next = [0; 3];
        while next.iter().sum::<u64>() < 3 * EACH {
            match inbox.pop() {
                Some((who, n)) => {
                    assert_eq!(n, next[who]);
                    next[who] += 1;
                }
                None => std::thread::yield_now(),
            }
        }
        assert!(inbox.pop().is_none());
        putters.into_iter().for_each(|putter| putter.join().unwrap());
    }

    /// A call was answered 0.9 s late, and packets of all others 50 ms, whenever a thread was interrupted in its `push`.
    #[test]
    fn a_put_that_is_half_done_is_not_waited_for() {
        let inbox = Inbox::new(4);
        // What `push` has done when it is interrupted before its last step.
        inbox.queue.push(1).unwrap();
        assert_eq!(inbox.pop(), None);
        inbox.put.fetch_add(1, Ordering::Release);
        assert_eq!(inbox.pop(), Some(1));
    }
}
