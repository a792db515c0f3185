//! A telephone that rings for a caller who is handed to it, beside the queue: a colleague's, or an external one.

use std::time::Instant;

use futures::future::BoxFuture;
use tokio::time::sleep_until;
use zvonar_call::Ended;
use zvonar_desk::Miss;
use zvonar_model::{Outcome, PhoneNumber};
use zvonar_scenario::ports::TransferEnd;
use zvonar_switch::{Call, CallEvent, DialError, Reservation, Switch, Target, clock};

use super::{On, With};
use crate::conversation::ending::unanswered;
use crate::desks::Place;

/// A telephone that is to ring.
pub(super) enum Ringing {
    /// An operator's.
    Operator(BoxFuture<'static, Result<(Place<Call>, Call), Miss>>),
    /// An external one, for which a line is wanted.
    Line {
        line: BoxFuture<'static, Result<Reservation, DialError>>,
        switch: Switch,
        number: PhoneNumber,
        far: String,
    },
    /// An external one, dialled.
    Dialled { leg: Box<Call>, far: String },
    /// It has come to an end.
    Over,
}

/// What came of it.
#[expect(
    clippy::large_enum_variant,
    reason = "one is made for each telephone that is picked up, and taken apart at once"
)]
pub(super) enum Rang {
    /// Somebody has picked up.
    Picked { leg: Call, place: Option<Place<Call>>, at: Instant },
    /// Nobody has: for the scenario, and for the record.
    Missed { end: TransferEnd, missed: String, code: u16 },
    /// The caller has gone, or his call has lasted long enough.
    CallerGone { at: Instant },
}

/// Something that happened while it rings.
enum Event {
    Caller(Result<CallEvent, Instant>),
    Operator(Result<(Place<Call>, Call), Miss>),
    Line(Result<Reservation, DialError>),
    Leg(CallEvent),
    First(CallEvent),
    Deadline,
}

impl Ringing {
    /// Rings until somebody picks up, nobody does until then, or the caller goes. `first`: who hands the caller on; he is
    /// gone from there if he hangs up meanwhile.
    pub(super) async fn ring(mut self, on: &mut On<'_>, first: &mut Option<With>, until: Instant) -> Rang {
        loop {
            match self.next(on, first, until).await {
                Event::Caller(Ok(_)) => {}
                Event::Caller(Err(at)) => {
                    if let Self::Dialled { leg, .. } = &self {
                        leg.hang_up().await;
                    }
                    return Rang::CallerGone { at };
                }
                Event::First(CallEvent::Ended { .. }) => *first = None,
                Event::First(CallEvent::Refer(_)) => {
                    // One thing at a time.
                    if let Some(first) = first {
                        first.leg.answer_refer(false).await;
                    }
                }
                // It counts once he has the caller back: nobody is hung up in the middle of handing on.
                Event::First(event) => {
                    if let Some(first) = first {
                        first.pulse.handle(clock::now(), &event);
                    }
                }
                Event::Operator(Ok((place, leg))) => {
                    return Rang::Picked { leg, place: Some(place), at: clock::now() };
                }
                Event::Operator(Err(how)) => {
                    let (end, code) = match how {
                        Miss::NoAnswer | Miss::Unreachable => (TransferEnd::NoAnswer, 480),
                        Miss::Busy => (TransferEnd::Busy, 486),
                        Miss::Declined | Miss::WentAway => (TransferEnd::Rejected, 603),
                    };
                    return Rang::Missed { end, missed: how.title().into(), code };
                }
                Event::Line(Ok(line)) => {
                    let Self::Line { switch, number, far, .. } = std::mem::replace(&mut self, Self::Over)
                    else {
                        continue;
                    };
                    let ring = until.saturating_duration_since(clock::now());
                    match switch.place(line, Target::Number(number), ring).await {
                        Ok(leg) => self = Self::Dialled { leg: Box::new(leg), far },
                        Err(why) => return no_line(why.to_string()),
                    }
                }
                Event::Line(Err(why)) => return no_line(why.to_string()),
                Event::Leg(CallEvent::Progress { sound: true, .. }) => {
                    if let Self::Dialled { leg, .. } = &self
                        && let Err(why) = on.call.bridge(leg)
                    {
                        tracing::warn!(%why, "what sounds before the answer is not heard");
                    }
                }
                Event::Leg(CallEvent::Answered { at }) => {
                    let Self::Dialled { leg, .. } = self else { continue };
                    return Rang::Picked { leg: *leg, place: None, at };
                }
                Event::Leg(CallEvent::Ended { how, .. }) => {
                    let Self::Dialled { far, .. } = &self else { continue };
                    return not_taken(&how, far);
                }
                Event::Leg(_) => {}
                Event::Deadline => {
                    return match self {
                        Self::Line { .. } => no_line("no line of the trunk came free in time".into()),
                        // Its own time is up in this moment, too.
                        _ => Rang::Missed {
                            end: TransferEnd::NoAnswer,
                            missed: Outcome::NoAnswer.title().into(),
                            code: 480,
                        },
                    };
                }
            }
        }
    }

    async fn next(&mut self, on: &mut On<'_>, first: &mut Option<With>, until: Instant) -> Event {
        let rings = async {
            match self {
                Self::Operator(rings) => Event::Operator(rings.await),
                Self::Line { line, .. } => Event::Line(line.await),
                Self::Dialled { leg, .. } => Event::Leg(leg.next().await),
                Self::Over => std::future::pending().await,
            }
        };
        let first = async {
            match first {
                Some(first) => Event::First(first.leg.next().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            event = on.next() => Event::Caller(event),
            event = rings => event,
            event = first => event,
            () = sleep_until(until.into()) => Event::Deadline,
        }
    }
}

fn no_line(why: String) -> Rang {
    Rang::Missed { end: TransferEnd::Failed(why.clone()), missed: why, code: 503 }
}

/// What an external number that was not picked up means.
fn not_taken(how: &Ended, far: &str) -> Rang {
    let (outcome, code) = unanswered(how, far);
    let end = match &outcome {
        Outcome::Busy => TransferEnd::Busy,
        Outcome::NoAnswer => TransferEnd::NoAnswer,
        Outcome::Rejected => TransferEnd::Rejected,
        Outcome::SystemError { why } => TransferEnd::Failed(why.clone()),
        other => TransferEnd::Failed(match code {
            Some(code) => format!("{far} answered {code}: «{}»", other.title()),
            None => format!("{far}: «{}»", other.title()),
        }),
    };
    let title = match &outcome {
        Outcome::SystemError { why } => why.as_str(),
        other => other.title(),
    };
    let missed = code.map_or_else(|| title.to_owned(), |code| format!("{title} (SIP {code})"));
    Rang::Missed { end, missed, code: code.unwrap_or(480) }
}
