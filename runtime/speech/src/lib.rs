//! Speech: what was said, and which phrase of a question was meant by it.
//!
//! [`phrases`] finds the phrase in a text; it works the same on what a recogniser heard, on what was typed in a chat and
//! on what stands in a recorded call, so it can be tested and measured without a model.
//!
//! # Invariants
//!
//! * Whatever is doubtful is no answer: two phrases that fit equally well are none, and so is one that fits only without
//!   its «не».
//! * A text that a recogniser made up (a loop, the credits of a film) is never passed on as something that was said.

pub mod accuracy;
mod distance;
pub mod invented;
pub mod model;
mod numerals;
pub mod phrases;
pub mod text;

pub use phrases::{Found, Phrase, PhraseFault, PhraseSet};
