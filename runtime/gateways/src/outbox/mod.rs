//! What to do with a message at every moment of its life, and with a tenant's queue when its account is in trouble.
//!
//! [`Life`] is stored beside the message and [`Gate`] beside the tenant; whoever drives them stores each change before it
//! does the next thing, and asks nothing of the gateway that they do not name. Nothing here reads a clock.
//!
//! ```text
//!             begin            Ok
//! Queued ───────────▶ Sending ─────▶ Accepted
//!   ▲  ▲    later        │  │ refused for good
//!   │  └─────────────────┘  └──────▶ Failed
//!   │                    │ no answer, a crash, «repeated»
//!   │   not found        ▼
//!   └──────────────── InDoubt ─────▶ Accepted
//!                        asks by our number
//! ```
//!
//! # Invariants
//!
//! * A message that may have been taken is never given again before the gateway has said that it does not have it, and
//!   then by the same number.
//! * Asking waits until a question that is on its way must have arrived.
//! * What is accepted stays so, and so does what the gateway refused for good. What failed because it came too late, or by
//!   our own rules, is accepted after all when the gateway tells of it by itself.

mod gate;
mod life;

pub use gate::{Alarm, Gate, Passage, Trouble};
pub use life::{Begin, Failure, Life, Next, State};

use std::time::Duration;

use zvonar_model::UnixMillis;

/// How long after each try the next one comes; the last for all further ones.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
    Duration::from_secs(60 * 60),
];

/// The pause after so many tries, from 0.
pub(crate) fn pause(tries: u32) -> Duration {
    PAUSES[(tries as usize).min(PAUSES.len() - 1)]
}

/// Later than this by a pause.
fn after(now: UnixMillis, tries: u32) -> UnixMillis {
    now.plus(pause(tries))
}

#[cfg(test)]
mod tests;
