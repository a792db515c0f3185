//! The dialler's rules: who may be dialled, and what an outcome means for a lead.
//!
//! Functions from facts to decisions: nothing here reads a clock, a file or a socket.
//!
//! Deliberately absent for now: retries. A lead is dialled once; [`Progress`] already holds what the rules of
//! redialling ask for (the classes of the tries so far), and [`LeadState::Again`] is where they will lead.

mod lead;
mod numbers;

pub use lead::{LeadState, Meaning, Progress, RetryClass, Try, after, meaning};
pub use numbers::{NumberKind, NumberRefused, check_number};
