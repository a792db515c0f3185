//! Speech: what was said, and which phrase of a question was meant by it.
//!
//! [`phrases`] finds the phrase in a text; it works the same on what a recogniser heard, on what was typed in a chat and
//! on what stands in a recorded call, so it can be tested and measured without a model.
//!
//! A [`Recognizer`] turns sound into words; [`Pool`] is one that works on threads of its own. [`model`] keeps the files that
//! it needs.
//!
//! # Invariants
//!
//! * Whatever is doubtful is no answer: two phrases that fit equally well are none, and so is one that fits only without
//!   its «не».
//! * A text that a recogniser made up (a loop, the credits of a film) is never passed on as something that was said.

pub mod accuracy;
pub mod answer;
pub mod confusion;
mod distance;
pub mod invented;
pub mod model;
mod numerals;
pub mod phrases;
pub mod pool;
pub mod recogniser;
pub mod text;
#[cfg(feature = "whisper")]
pub mod whisper;

pub use phrases::{Found, Phrase, PhraseFault, PhraseSet};
pub use pool::{Pool, PoolSettings};
pub use recogniser::{Recognised, Recognizer, Request, Scripted, Text};
