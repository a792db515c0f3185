//! Where recorded sound goes.

use crate::recording::RecordingFrame;

/// Where frames to be recorded go. Called from the tick: it must not wait.
pub trait Tap {
    /// A frame for the recording of the whole call. `false`: it was dropped.
    fn call(&mut self, frame: RecordingFrame) -> bool;
    /// A frame for the recording of the far end's voice. `false`: it was dropped.
    fn voice(&mut self, frame: RecordingFrame) -> bool;
}

/// A tap for streams that record nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoTap;

impl Tap for NoTap {
    fn call(&mut self, _: RecordingFrame) -> bool {
        false
    }
    fn voice(&mut self, _: RecordingFrame) -> bool {
        false
    }
}
