//! The farm: callees on a real line, for demonstrations and tests. Each call is a task of its own that plays one
//! [`Behaviour`]; what happened goes to a log that tests read.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;
use zvonar_media::event::KeyTiming;
use zvonar_media::{Clip, ClipError, Part, Prompt};
use zvonar_model::UnixMillis;
use zvonar_switch::{Call, CallEvent, Doorway, IncomingCall, MediaEvent, clock};

use crate::behaviour::{Behaviour, KEY_AFTER, LEAVES_AFTER, PICKS_UP_AFTER};

/// No call of the farm lasts longer: a caller that crashed must not keep a callee busy for ever.
const LONGEST: Duration = Duration::from_secs(300);

/// What the farm saw, one line of its log.
#[derive(Debug, Clone, Serialize)]
pub struct Sighting {
    /// When.
    pub at: UnixMillis,
    /// The called user, as it stood in the request URI. Made-up numbers: nobody to protect.
    pub number: String,
    /// The Call-ID of the SIP call.
    pub call: String,
    /// What happened.
    #[serde(flatten)]
    pub what: Seen,
}

/// What happened to one callee.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Seen {
    /// The phone rang.
    Invite,
    /// It was picked up.
    Answer,
    /// The far end's sound began.
    Heard,
    /// A key was pressed by the callee.
    Key {
        /// Which.
        digit: char,
    },
    /// It was over.
    End {
        /// Seconds since the answer; `None`: never answered.
        seconds: Option<f64>,
        /// RTP packets of the caller that were taken.
        packets_heard: u64,
    },
}

/// The voices of the callees, ready to play.
#[derive(Debug)]
pub struct Voices {
    hello: Prompt,
    mailbox: Prompt,
}

impl Voices {
    /// Encodes the clips that come with the farm (`assets/README.md` names their makers).
    pub fn load() -> Result<Self, ClipError> {
        let clip = |name: &str, bytes: &[u8]| {
            Clip::from_wav(bytes, Path::new(name)).map(|clip| Part::Clip(Arc::new(clip)))
        };
        let hello = clip("hello.wav", include_bytes!("../assets/hello.wav"))?;
        let person = clip("vm-theperson.wav", include_bytes!("../assets/vm-theperson.wav"))?;
        let away = clip("vm-isunavail.wav", include_bytes!("../assets/vm-isunavail.wav"))?;
        let leave = clip("vm-intro.wav", include_bytes!("../assets/vm-intro.wav"))?;
        let beep = clip("beep.wav", include_bytes!("../assets/beep.wav"))?;
        Ok(Self { hello: Prompt::new([hello]), mailbox: Prompt::new([person, away, leave, beep]) })
    }
}

/// Answers calls until the switch stops. `log` is called for each thing that happens, in order.
pub async fn run(doorway: &mut Doorway, voices: Voices, log: impl Fn(Sighting) + Send + Sync + 'static) {
    let (voices, log) = (Arc::new(voices), Arc::new(log));
    let mut callees = JoinSet::new();
    while let Some(call) = doorway.next().await {
        let callee = Callee {
            number: call.about.to_user.clone(),
            call: call.about.call_id.clone(),
            voices: Arc::clone(&voices),
            log: Arc::clone(&log),
        };
        callees.spawn(callee.live(call));
        while callees.try_join_next().is_some() {}
    }
    callees.join_all().await;
}

struct Callee<L> {
    number: String,
    call: String,
    voices: Arc<Voices>,
    log: Arc<L>,
}

impl<L: Fn(Sighting)> Callee<L> {
    fn saw(&self, what: Seen) {
        (self.log)(Sighting {
            at: clock::wall(),
            number: self.number.clone(),
            call: self.call.clone(),
            what,
        });
    }

    async fn live(self, mut incoming: IncomingCall) {
        self.saw(Seen::Invite);
        let behaviour = Behaviour::of(&self.number);
        let refusal = match behaviour {
            Behaviour::Busy => Some((486, "Busy Here")),
            Behaviour::Declines => Some((603, "Decline")),
            Behaviour::Unknown => Some((404, "Not Found")),
            Behaviour::OutOfOrder => Some((503, "Service Unavailable")),
            _ => None,
        };
        if let Some((code, reason)) = refusal {
            return incoming.reject(code, reason).await;
        }
        incoming.ring().await;
        let patience = if behaviour == Behaviour::RingsOut { LONGEST } else { PICKS_UP_AFTER };
        if tokio::time::timeout(patience, incoming.given_up()).await.is_ok() {
            return self.saw(Seen::End { seconds: None, packets_heard: 0 });
        }
        match incoming.answer().await {
            Ok(call) => self.talk(call, behaviour).await,
            Err(fault) => tracing::warn!(%fault, "a callee could not pick up"),
        }
    }

    async fn talk(&self, mut call: Call, behaviour: Behaviour) {
        let mut answered = None;
        let mut deadline = clock::now() + LONGEST;
        let mut pressed = false;
        let ended = loop {
            let event = tokio::select! {
                event = call.next() => event,
                () = tokio::time::sleep_until(deadline.into()) => {
                    match behaviour {
                        Behaviour::Presses(digit) if !pressed => {
                            pressed = true;
                            deadline = clock::now() + LONGEST;
                            match call.media().send_keys(&digit.to_string(), KeyTiming::default()) {
                                Ok(()) => self.saw(Seen::Key { digit }),
                                Err(fault) => tracing::warn!(%fault, "a callee could not press a key"),
                            }
                        }
                        _ => call.hang_up().await,
                    }
                    continue;
                }
            };
            match event {
                CallEvent::Answered { at } => {
                    answered = Some(at);
                    self.saw(Seen::Answer);
                    let voice = if behaviour == Behaviour::Voicemail {
                        &self.voices.mailbox
                    } else {
                        &self.voices.hello
                    };
                    call.media().play(voice.clone(), false);
                    deadline = at
                        + match behaviour {
                            Behaviour::Presses(_) => KEY_AFTER,
                            Behaviour::HangsUp => LEAVES_AFTER,
                            _ => LONGEST,
                        };
                }
                CallEvent::Media(MediaEvent::FirstPacketHeard { .. }) => self.saw(Seen::Heard),
                CallEvent::Ended { at, .. } => break at,
                _ => {}
            }
        };
        let packets_heard = call.close(|_| ()).await.report.packets_heard;
        let seconds = answered.map(|since| ended.saturating_duration_since(since).as_secs_f64());
        self.saw(Seen::End { seconds, packets_heard });
    }
}
