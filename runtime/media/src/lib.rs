//! Media without I/O: RTP, codecs, key presses, playout, recording, answering machines, spoken answers.
//!
//! Everything here is a plain struct that bytes and times are handed to. `switch::media_io` owns the sockets, the
//! threads and the clock, and drives a [`Stream`] per call.
//!
//! # Invariants
//!
//! * Nothing on the path of a packet or of a tick allocates, frees, locks, logs or waits. Memory that is done with
//!   (a played prompt) travels out in an event.
//! * Bytes from the network and from files never panic, and nothing they say makes anything grow.
//! * Sound is 8 kHz, and moves in frames of 20 ms.

pub mod amd;
pub mod clip;
mod codec;
pub mod event;
pub mod g711;
pub mod inband;
pub mod level;
mod plan;
pub mod playout;
pub mod recording;
pub mod reorder;
mod report;
pub mod rtp;
pub mod sequence;
pub mod stream;
#[cfg(test)]
mod testing;
mod tonal;
pub mod tones;
pub mod utterance;
pub mod voice;

pub use clip::{Clip, ClipError, Part, Prompt};
pub use codec::Codec;
pub use plan::MediaPlan;
pub use report::Report;
pub use stream::{Heard, PlayEnd, PlayId, Stream, StreamEvent, StreamIds, StreamSettings, VoiceEnd};

/// Samples in a frame of 20 ms, which are also its bytes in G.711.
pub const FRAME: usize = 160;

/// How long a frame lasts.
pub const FRAME_TIME: std::time::Duration = std::time::Duration::from_millis(20);
