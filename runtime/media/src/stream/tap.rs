//! Where the sound of a call goes that somebody keeps or listens to.

use crate::recording::RecordingFrame;
use crate::{Codec, FRAME};

/// Where frames to be recorded go. Called from the tick: it must not wait.
pub trait Tap {
    /// A frame for the recording of the whole call. `false`: it was dropped.
    fn call(&mut self, frame: RecordingFrame) -> bool;
    /// A frame for the recording of the far end's voice. `false`: it was dropped.
    fn voice(&mut self, frame: RecordingFrame) -> bool;
    /// 20 ms of the far end for whoever listens to what is said; silence where nothing came. `false`: it was dropped.
    fn heard(&mut self, codec: Codec, sound: &[u8; FRAME]) -> bool;
}

/// A tap for streams to which nobody listens.
#[derive(Debug, Clone, Copy)]
pub struct NoTap;

impl Tap for NoTap {
    fn call(&mut self, _: RecordingFrame) -> bool {
        false
    }
    fn voice(&mut self, _: RecordingFrame) -> bool {
        false
    }
    fn heard(&mut self, _: Codec, _: &[u8; FRAME]) -> bool {
        false
    }
}
