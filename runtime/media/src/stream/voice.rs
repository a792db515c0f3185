//! When a recording of the far end's voice is over.

use std::time::Duration;

use crate::level::Gate;
use crate::{FRAME, FRAME_TIME};

use super::samples;

/// Why a voice recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoiceEnd {
    /// It reached the longest length.
    Longest,
    /// The far end fell silent, or never began to speak.
    Silence,
    /// It was stopped, or another began.
    Stopped,
    /// The call was closed.
    Closed,
}

#[derive(Debug)]
pub(super) struct Voice {
    at: u64,
    longest: u64,
    stop_at_silence: Option<Duration>,
    gate: Gate,
    /// How much more silence is allowed.
    patience: Duration,
}

impl Voice {
    pub(super) fn new(
        longest: Duration,
        stop_at_silence: Option<Duration>,
        begin: Duration,
        gate: Gate,
    ) -> Self {
        let patience = stop_at_silence.map_or(Duration::MAX, |silence| silence.max(begin));
        Self { at: 0, longest: samples(longest), stop_at_silence, gate, patience }
    }

    /// Where the next frame belongs, in samples since the begin.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Takes the level of the next frame; says whether it was the last.
    pub(super) fn handle(&mut self, dbfs: f32) -> Option<VoiceEnd> {
        self.at += FRAME as u64;
        let voice = self.gate.handle(dbfs, FRAME_TIME);
        if let Some(silence) = self.stop_at_silence {
            if voice {
                self.patience = silence;
            } else {
                self.patience = self.patience.saturating_sub(FRAME_TIME);
            }
            if self.patience.is_zero() {
                return Some(VoiceEnd::Silence);
            }
        }
        (self.at >= self.longest).then_some(VoiceEnd::Longest)
    }
}
