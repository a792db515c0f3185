//! What was noticed on a call, whoever listened to it at that moment.

use zvonar_call::{Ended, Side};
use zvonar_media::amd::{Verdict, Who};
use zvonar_scenario::ports::LineError;
use zvonar_switch::{CallEvent, MediaEvent};

/// Keys that are kept for the record; a caller who presses more is leaning on the telephone.
const KEYS_KEPT: usize = 128;

/// What was noticed on a call.
#[derive(Debug, Default)]
pub struct Observed {
    /// All keys.
    pub keys: String,
    /// Something of a prompt has left.
    pub played: bool,
    /// The far end is a machine.
    pub machine: Option<Verdict>,
    /// How the call ended, once it has.
    pub over: Option<Ended>,
    /// Somebody to whom the call was handed has picked up.
    pub taken: bool,
}

impl Observed {
    /// Keeps what the record wants to know. `true`: a machine is at the far end, so the call shall be dropped at once, as
    /// it costs by the second. Once somebody has picked up for the far end, he hears himself who is there, and a verdict
    /// counts no more.
    #[must_use]
    pub fn notice(&mut self, event: &CallEvent) -> bool {
        match event {
            CallEvent::Key { digit, .. } if self.keys.len() < KEYS_KEPT => self.keys.push(*digit),
            CallEvent::Media(event) if left_sound(event) => self.played = true,
            CallEvent::Media(MediaEvent::Machine(verdict)) if verdict.who == Who::Machine && !self.taken => {
                self.machine = Some(*verdict);
                return true;
            }
            CallEvent::Ended { how, .. } => self.over = Some(how.clone()),
            _ => {}
        }
        false
    }

    /// Whether the line still stands.
    pub fn standing(&self) -> Result<(), LineError> {
        match &self.over {
            None => Ok(()),
            Some(Ended::HungUp { by: Side::Near, .. }) if self.machine.is_some() => {
                Err(LineError::Ended("an answering machine picked up".into()))
            }
            Some(Ended::HungUp { by: Side::Near, .. }) => Err(LineError::Ended("this side hung up".into())),
            Some(_) => Err(LineError::HungUp),
        }
    }
}

/// Whether the event says that some of a prompt has left.
pub(super) fn left_sound(event: &MediaEvent) -> bool {
    match event {
        MediaEvent::Played { .. } => true,
        MediaEvent::Stopped { played, .. } => !played.is_zero(),
        _ => false,
    }
}
