//! Somebody who does nothing but look at the clock, and so knows when the machine stood still.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use crate::clock;

/// A packet's length.
const TICK: Duration = Duration::from_millis(20);

/// A thread of the priority that media threads ask for, where that may be had: what keeps it from its ticks would keep
/// them as well.
pub struct Bystander {
    over: Arc<AtomicBool>,
    looks: JoinHandle<Duration>,
}

impl Bystander {
    /// Begins to look.
    pub fn start() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        let looks = std::thread::spawn(move || {
            hurry();
            let mut missed = Duration::ZERO;
            while !until.load(Ordering::Relaxed) {
                let due = clock::now() + TICK;
                std::thread::sleep(TICK);
                let late = clock::now().saturating_duration_since(due);
                missed += if late >= TICK { late } else { Duration::ZERO };
            }
            missed
        });
        Self { over, looks }
    }

    /// Ends it, and tells how many ticks of 20 ms it was kept from.
    ///
    /// # Panics
    ///
    /// If it has.
    pub fn missed(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        let missed = self.looks.join().expect("it only looks at the clock");
        u64::try_from(missed.as_millis() / TICK.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The priority of a media thread for this one, if it may have it.
fn hurry() {
    let lowest = libc::sched_param { sched_priority: 1 };
    // SAFETY: the parameters live through the call, which concerns this thread alone; a refusal changes nothing.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &raw const lowest) }
        != 0
    {
        // SAFETY: no pointers. On Linux a thread's id stands for the thread alone.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, libc::gettid() as libc::id_t, -15) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_misses_more_than_there_was() {
        let began = clock::now();
        let bystander = Bystander::start();
        std::thread::sleep(Duration::from_millis(100));
        let missed = u128::from(bystander.missed());
        assert!(missed * TICK.as_millis() <= began.elapsed().as_millis(), "{missed}");
    }
}
