//! Service codes: an operator dials his status.
//!
//! | dialled | what | heard |
//! |---|---|---|
//! | `*71` | «Доступен» | one beep |
//! | `*72` | «Перерыв» | two |
//! | `*73` | «Постобработка» | three |
//! | `*74` | «Не в сети» | four |
//! | `*70` | which one it is | as many as for that one |
//!
//! Besides these, a telephone of an operator's may dial his colleagues, and nothing else: whoever got hold of its password
//! must not telephone at the tenant's expense.

use std::sync::Arc;
use std::time::Duration;

use zvonar_desk::Status;
use zvonar_media::{Clip, Part, Prompt};
use zvonar_model::OperatorId;
use zvonar_switch::{Call, CallEvent, IncomingCall, MediaEvent};

use super::Staff;

/// How long a call with a service code takes at most: longer than any of the answers.
const LONGEST: Duration = Duration::from_secs(8);

/// A beep, and the pause after it.
const BEEP: Duration = Duration::from_millis(180);
const PAUSE: Duration = Duration::from_millis(220);

/// Before the first beep: a telephone that has just been answered swallows the beginning of the sound.
const BEFORE: Duration = Duration::from_millis(400);

/// The pitch of a beep: none of the network's tones.
const BEEP_HZ: f32 = 880.0;
const BEEP_LOUDNESS: f32 = 8_000.0;

const RATE_HZ: usize = 8_000;

/// What an operator's telephone may dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceCode {
    /// He chooses a status.
    Choose(Status),
    /// He asks which one he has.
    Ask,
}

impl ServiceCode {
    /// What was dialled, if it is a service code.
    pub fn of(dialled: &str) -> Option<Self> {
        Some(match dialled {
            "*70" => Self::Ask,
            "*71" => Self::Choose(Status::Available),
            "*72" => Self::Choose(Status::Break),
            "*73" => Self::Choose(Status::WrapUp),
            "*74" => Self::Choose(Status::Offline),
            _ => return None,
        })
    }

    /// Whether it looks like one, so that a mistake can be told from an attempt to telephone.
    fn is_like(dialled: &str) -> bool {
        dialled.starts_with(['*', '#'])
    }
}

/// How many beeps stand for a status.
fn beeps(status: Status) -> usize {
    match status {
        Status::Available => 1,
        Status::Break => 2,
        Status::WrapUp => 3,
        Status::Offline => 4,
    }
}

/// The sounds that confirm a status; made once.
#[derive(Clone)]
pub struct ServiceTones([Prompt; 4]);

impl Default for ServiceTones {
    fn default() -> Self {
        Self(
            Status::ALL
                .map(|status| Prompt::new([Part::Clip(Arc::new(Clip::from_samples(&sound(beeps(status)))))])),
        )
    }
}

impl ServiceTones {
    fn of(&self, status: Status) -> Prompt {
        self.0[beeps(status) - 1].clone()
    }
}

/// So many beeps.
fn sound(beeps: usize) -> Vec<i16> {
    let samples = |long: Duration| long.as_millis() as usize * RATE_HZ / 1000;
    let mut sound = vec![0; samples(BEFORE)];
    for _ in 0..beeps {
        let long = samples(BEEP);
        sound.extend((0..long).map(|at| {
            // Faded in and out over 10 ms: a hard edge clicks.
            let edge = (at.min(long - 1 - at) as f32 / 80.0).min(1.0);
            let turn = std::f32::consts::TAU * BEEP_HZ * at as f32 / RATE_HZ as f32;
            (BEEP_LOUDNESS * edge * turn.sin()) as i16
        }));
        sound.extend(std::iter::repeat_n(0, samples(PAUSE)));
    }
    sound
}

/// A call from an operator's own telephone: what it may dial is done, confirmed and hung up; all else is refused.
pub async fn serve_code(call: IncomingCall, staff: &Staff, operator: &OperatorId, tones: &ServiceTones) {
    let dialled = &call.about.to_user;
    let Some(code) = ServiceCode::of(dialled) else {
        // The number is not written down whole: it may be somebody's.
        let shown: String = dialled.chars().take(6).collect();
        if ServiceCode::is_like(dialled) {
            tracing::info!(%operator, dialled = %shown, "an operator dialled an unknown service code");
            return call.reject(404, "Not Found").await;
        }
        tracing::warn!(
            %operator, from = %call.about.flow.remote, dialled = %format_args!("{shown}…"),
            "an operator's telephone tried to place a call and was refused: it may take calls and dial service codes; \
             if that was not him, give him another password"
        );
        return call.reject(403, "Forbidden").await;
    };
    let status = match code {
        ServiceCode::Choose(status) => staff.status(operator, status).await.map(|presence| presence.status),
        ServiceCode::Ask => staff.view().await.map(|view| {
            let his = view.operators.into_iter().find(|one| one.operator == *operator);
            his.map_or(Status::Offline, |his| his.presence.status)
        }),
    };
    match status {
        Ok(status) => {
            tracing::info!(%operator, status = status.title(), "an operator dialled a service code");
            match call.answer().await {
                Ok(call) => say(call, tones.of(status)).await,
                Err(fault) => tracing::warn!(%operator, %fault, "a service code could not be confirmed"),
            }
        }
        Err(why) => {
            tracing::error!(%operator, error = &why as &dyn std::error::Error, "a service code failed");
            call.reject(500, "Server Internal Error").await;
        }
    }
}

/// Plays a sound to its end and hangs up.
async fn say(mut call: Call, sound: Prompt) {
    let talk = async {
        loop {
            match call.next().await {
                CallEvent::Answered { .. } => drop(call.media().play(sound.clone(), false)),
                CallEvent::Media(MediaEvent::Played { .. }) => return false,
                CallEvent::Ended { .. } => return true,
                _ => {}
            }
        }
    };
    let gone = tokio::time::timeout(LONGEST, talk).await.unwrap_or(false);
    if !gone {
        call.hang_up().await;
        call.ended(LONGEST).await;
    }
    call.close(|_| ()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_a_code_and_a_number_of_beeps_of_its_own() {
        for (dialled, status, heard) in [
            ("*71", Status::Available, 1),
            ("*72", Status::Break, 2),
            ("*73", Status::WrapUp, 3),
            ("*74", Status::Offline, 4),
        ] {
            assert_eq!(ServiceCode::of(dialled), Some(ServiceCode::Choose(status)));
            assert_eq!(beeps(status), heard);
        }
        assert_eq!(ServiceCode::of("*70"), Some(ServiceCode::Ask));
        for none in ["*75", "71", "*7", "**71", "*711", "+79161234567", ""] {
            assert_eq!(ServiceCode::of(none), None, "{none}");
        }
    }

    #[test]
    fn the_beeps_can_be_counted_in_the_sound() {
        for wanted in 1..=4 {
            // A block of 20 ms is loud or it is not; a beep begins where it becomes loud.
            let blocks = sound(wanted)
                .chunks(160)
                .map(|block| block.iter().any(|s| s.abs() > 2_000))
                .collect::<Vec<_>>();
            let begun = blocks.windows(2).filter(|pair| !pair[0] && pair[1]).count();
            assert_eq!(begun, wanted);
            assert!(!blocks[0] && !blocks[blocks.len() - 1], "silence before and after");
        }
    }
}
