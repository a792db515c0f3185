//! What the media threads count, readable at any time without disturbing them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Defines the counters and their sum together, so that none can be forgotten.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The counters of one shard. Only its thread writes.
        #[derive(Debug, Default)]
        #[repr(align(128))] // two cache lines: neighbours are not slowed down
        pub(super) struct Counters {
            $(pub(super) $name: AtomicU64,)*
        }

        /// What the media threads have done since the start, all together.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct MediaStats {
            /// Streams that are open now.
            pub streams: u64,
            $($(#[$doc])* pub $name: u64,)*
        }

        impl MediaStats {
            pub(super) fn add(&mut self, counters: &Counters) {
                $(self.$name += counters.$name.load(Relaxed);)*
            }
        }
    };
}

counters! {
    /// Visits of a call in its rhythm of 20 ms.
    ticks,
    /// Of those, later than 5 ms.
    late_5ms,
    /// Of those, later than 10 ms.
    late_10ms,
    /// Of those, later than 20 ms.
    late_20ms,
    /// Visits that never happened, because the thread stood still for more than 60 ms.
    skipped,
    /// Packets that left.
    packets_sent,
    /// Of those, packets of the other party of a bridge.
    packets_passed,
    /// Packets that the kernel did not take.
    packets_unsent,
    /// Packets that were read, refused ones included.
    packets_read,
    /// Packets that were refused.
    packets_refused,
    /// Times that the thread woke up.
    turns,
    /// Commands that were carried out.
    commands,
    /// Events that had to wait because the queue to the courier was full.
    events_delayed,
}

impl Counters {
    /// One writer, so no read-modify-write is needed.
    pub(super) fn count(counter: &AtomicU64, by: u64) {
        counter.store(counter.load(Relaxed) + by, Relaxed);
    }
}
