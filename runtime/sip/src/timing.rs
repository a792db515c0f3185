//! The clock constants of RFC 3261 (table 4), and what is worked out from them.

use std::time::Duration;

/// The three numbers that every timer of a transaction comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// An estimate of the round trip: the first retransmission comes after it.
    pub t1: Duration,
    /// The longest pause between retransmissions of anything but an INVITE.
    pub t2: Duration,
    /// How long a message may stay in the network.
    pub t4: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

impl Timing {
    /// How long a transaction lives without an answer: 64 × T1 (timers B, D, F, H, J, L, M), 32 s by default.
    pub fn transaction(&self) -> Duration {
        self.t1 * 64
    }
}
