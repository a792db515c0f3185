//! Pretend people on a real line: the farm of callees.

mod behaviour;
mod farm;

pub use behaviour::{Behaviour, KEY_AFTER, LEAVES_AFTER, PICKS_UP_AFTER};
pub use farm::{Seen, Sighting, Voices, run};
