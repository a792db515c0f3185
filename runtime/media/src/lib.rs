//! Media without I/O: RTP, codecs, key presses, playout, recording, answering machines.

mod codec;
mod plan;

pub use codec::Codec;
pub use plan::MediaPlan;
