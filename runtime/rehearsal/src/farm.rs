//! The farm: callees on a real line, for demonstrations and tests. Each call is a task of its own that plays one
//! [`Behaviour`]; what happened goes to a log that tests read.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use tokio::task::JoinSet;
use zvonar_media::Prompt;
use zvonar_media::event::KeyTiming;
use zvonar_media::utterance::{EndedBy, Settings};
use zvonar_model::UnixMillis;
use zvonar_switch::media_io::SpeechStep;
use zvonar_switch::{Call, CallEvent, Doorway, IncomingCall, MediaEvent, clock};

use crate::behaviour::{Behaviour, PICKS_UP_AFTER};
use crate::manners::{Act, Hears, LONGEST, Manners, SILENT_FOR};
use crate::voices::Voices;

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
    /// Something was said by the callee.
    Said {
        /// The words; of an answer of the user's own the name of its file; empty for a cough.
        words: String,
    },
    /// It was over.
    End {
        /// Seconds since the answer; `None`: never answered.
        seconds: Option<f64>,
        /// RTP packets of the caller that were taken.
        packets_heard: u64,
    },
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
        let own = self.voices.own(&self.number);
        let behaviour = if own.is_some() { Behaviour::SaysOwn } else { Behaviour::of(&self.number) };
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
        let says = match behaviour {
            Behaviour::Says(saying) | Behaviour::Interrupts(saying) => {
                Some((saying.words().to_owned(), self.voices.saying(saying)))
            }
            _ => own.map(|(ending, prompt)| (format!("{ending}.wav"), prompt)),
        };
        match incoming.answer().await {
            Ok(call) => self.talk(call, behaviour, says).await,
            Err(fault) => tracing::warn!(%fault, "a callee could not pick up"),
        }
    }

    async fn talk(&self, mut call: Call, behaviour: Behaviour, says: Option<(String, &Prompt)>) {
        let mut answered = None;
        let mut manners = None;
        let ended = loop {
            while let Some(act) = manners.as_mut().and_then(Manners::poll_act) {
                self.act(&call, act, says.as_ref()).await;
            }
            let due = manners.as_ref().and_then(Manners::poll_timeout);
            let event = tokio::select! {
                event = call.next() => event,
                () = until(due) => {
                    if let Some(manners) = &mut manners {
                        manners.handle_timeout(clock::now());
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
                    manners = Some(Manners::new(behaviour, at));
                }
                CallEvent::Media(MediaEvent::FirstPacketHeard { .. }) => self.saw(Seen::Heard),
                CallEvent::Media(MediaEvent::Speech { step, .. }) => {
                    let hears = match step {
                        SpeechStep::Began => Hears::Voice,
                        SpeechStep::Ended { by: EndedBy::Silence, .. } => Hears::Silence,
                        SpeechStep::Ended { .. } => Hears::More,
                        _ => continue,
                    };
                    if let Some(manners) = &mut manners {
                        manners.handle(clock::now(), hears);
                    }
                }
                CallEvent::Ended { at, .. } => break at,
                _ => {}
            }
        };
        let packets_heard = call.close(|_| ()).await.report.packets_heard;
        let seconds = answered.map(|since| ended.saturating_duration_since(since).as_secs_f64());
        self.saw(Seen::End { seconds, packets_heard });
    }

    async fn act(&self, call: &Call, act: Act, says: Option<&(String, &Prompt)>) {
        match act {
            Act::Press(digit) => match call.media().send_keys(&digit.to_string(), KeyTiming::default()) {
                Ok(()) => self.saw(Seen::Key { digit }),
                Err(fault) => tracing::warn!(%fault, "a callee could not press a key"),
            },
            Act::Say => {
                if let Some((words, prompt)) = says {
                    call.media().play((*prompt).clone(), false);
                    self.saw(Seen::Said { words: words.clone() });
                }
            }
            Act::Listen => {
                // Only where the far end pauses matters here, so nothing is told before that, and nothing in pieces.
                let usual = Settings::default();
                let settings = Settings {
                    provisional: SILENT_FOR,
                    hang_over: SILENT_FOR,
                    long_hang_over: SILENT_FOR,
                    piece: usual.longest,
                    ..usual
                };
                if let Err(fault) = call.media().listen(settings) {
                    tracing::warn!(%fault, "a callee cannot listen");
                }
            }
            Act::Leave => call.hang_up().await,
        }
    }
}

/// `None`: never.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
