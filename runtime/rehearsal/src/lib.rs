//! Calls without a telephone: talks on a virtual clock, conversations as tests, replay of real calls; and the farm, pretend
//! people on a real line.
//!
//! ```text
//! Stage (module, prompts, prices) ── play(Setup, Caller) ─▶ Rehearsed: timeline, record, charge
//!                                          ▲
//!          Script<S: Steps>: a conversation's file, or lines as they are typed
//! ```
//!
//! A rehearsal runs the scenario in the very sandbox of a real call, over ports that are pretended: [`line`] for the call,
//! a card in memory, a gateway that only remembers. Time is virtual and moved, never waited for, so ten seconds of silence
//! cost nothing. What comes of it is an `AttemptRecord` as a real call leaves it, and is charged by the same rule.
//!
//! # Invariants
//!
//! * The same package, setup and steps give the same talk, to the millisecond and the kopeck.
//! * A rehearsal ends: virtual time is bounded by the longest call, and calls to the host by their limit.
//! * Nothing here but the farm opens a socket or reads a clock.

mod behaviour;
pub mod caller;
mod clock;
pub mod conversation;
mod farm;
mod gateway;
pub mod line;
mod manners;
pub mod replay;
pub mod script;
mod sounds;
pub mod speech;
mod stage;
pub mod timeline;
mod typed;
mod voices;

pub use behaviour::{Behaviour, INTERRUPTS_AFTER, KEY_AFTER, LEAVES_AFTER, PICKS_UP_AFTER, Saying};
pub use clock::{USUAL_NOW, VirtualClock, read_now};
pub use farm::{Seen, Sighting, run};
pub use gateway::{GatewayManner, SentText};
pub use sounds::Sounds;
pub use stage::{Rehearsed, Setup, Stage};
pub use typed::{HELP, Typed};
pub use voices::{Voices, VoicesError};
