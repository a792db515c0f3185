//! The life of one message.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use zvonar_model::{Kopecks, UnixMillis};

use super::after;
use crate::gateway::{Accepted, Delivery, GatewayError, Tracked};
use crate::smsc::Class;

/// How long after an answer was lost the gateway is asked whether it has the message: longer than a question can be on its
/// way, so that «I have none of this number» means that none will come.
const IN_FLIGHT: Duration = Duration::from_secs(60);

/// How long a message is of use to anybody, unless the tenant has set another time.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// How long the gateway is asked about a message.
const ASKED_FOR: Duration = Duration::from_secs(3 * 24 * 3600);

/// Where a message is, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// After this it is of no use any more.
    pub until: UnixMillis,
    /// How often it was refused for a reason that may pass.
    #[serde(default)]
    pub tries: u32,
    /// Where it is.
    pub state: State,
}

/// Where a message is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "at")]
pub enum State {
    /// With us. The gateway has not got it.
    Queued {
        /// To be given then.
        due: UnixMillis,
    },
    /// About to be given, or given. Whoever finds it so after a restart knows no more than that: [`Life::found`].
    Sending {
        /// Since when.
        since: UnixMillis,
    },
    /// It was given and the answer was lost.
    InDoubt {
        /// Since when.
        since: UnixMillis,
        /// The gateway is asked then.
        due: UnixMillis,
        /// How often it was asked in vain.
        asked: u32,
        /// How the answer was lost.
        why: String,
    },
    /// The gateway has it.
    Accepted {
        /// Since when.
        since: UnixMillis,
        /// In how many parts, if it said so.
        parts: Option<u32>,
        /// What it costs, if it said so. Charged once, when it is known.
        cost: Option<Kopecks>,
        /// How far it has come.
        delivery: Delivery,
        /// How often the gateway was asked for that.
        asked: u32,
        /// It is asked then.
        due: UnixMillis,
    },
    /// It was not sent and will not be.
    Failed {
        /// Since when.
        since: UnixMillis,
        /// Why.
        why: Failure,
    },
}

/// Why a message was not sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Failure {
    /// Whoever wrote it, or set up the sender's name, has to mend it.
    Message {
        /// The gateway's reason.
        why: String,
    },
    /// This number gets no messages.
    Number {
        /// The gateway's reason.
        why: String,
    },
    /// It could not be sent while it was of use.
    TooLate,
    /// Our own rules forbid it.
    Forbidden {
        /// Which, in words.
        why: String,
    },
}

/// What is to be done about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// [`Life::begin`] then, if the tenant's [`Gate`](super::Gate) lets it.
    Send(UnixMillis),
    /// Ask the gateway for its status then, and tell [`Life::asked`].
    Ask(UnixMillis),
    /// It is with the gateway at this moment: tell [`Life::sent`] what it answers.
    Answer,
    /// Nothing, ever.
    Nothing,
}

/// What [`Life::begin`] says.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// Store it, then give it to the gateway.
    Give,
    /// It is of no use any more, and has failed: store that.
    TooLate,
    /// It is not its time, or it was given. Nothing has changed.
    No,
}

impl Life {
    /// A message that was decided just now.
    pub fn queued(now: UnixMillis) -> Self {
        Self { until: now.plus(KEPT), tries: 0, state: State::Queued { due: now } }
    }

    /// What is to be done, and when.
    pub fn next(&self) -> Next {
        match &self.state {
            State::Queued { due } => Next::Send((*due).min(self.until)),
            State::Sending { .. } => Next::Answer,
            State::InDoubt { since, due, .. } if *due < since.plus(ASKED_FOR) => Next::Ask(*due),
            State::Accepted { since, due, delivery, cost, .. }
                if (!delivery.is_final() || cost.is_none()) && *due < since.plus(ASKED_FOR) =>
            {
                Next::Ask(*due)
            }
            State::InDoubt { .. } | State::Accepted { .. } | State::Failed { .. } => Next::Nothing,
        }
    }

    /// It is about to be given. The change must be on the disk before it is.
    pub fn begin(&mut self, now: UnixMillis) -> Begin {
        match self.state {
            State::Queued { .. } if now >= self.until => {
                self.fail(now, Failure::TooLate);
                Begin::TooLate
            }
            State::Queued { due } if due <= now => {
                self.state = State::Sending { since: now };
                Begin::Give
            }
            _ => Begin::No,
        }
    }

    /// Our own rules forbid it: it is not sent, ever. `false`: it has left, or it is settled already.
    pub fn forbid(&mut self, now: UnixMillis, why: String) -> bool {
        let waits = matches!(self.state, State::Queued { .. });
        if waits {
            self.fail(now, Failure::Forbidden { why });
        }
        waits
    }

    /// The gateway has answered, or not.
    pub fn sent(&mut self, now: UnixMillis, answer: &Result<Accepted, GatewayError>) {
        // The callback was quicker; only the answer names the price.
        if let (State::Accepted { cost, parts, .. }, Ok(told)) = (&mut self.state, answer) {
            (*cost, *parts) = (cost.or(told.cost), parts.or(told.parts));
        }
        if !matches!(self.state, State::Sending { .. }) {
            return;
        }
        match answer {
            Ok(accepted) => {
                let Accepted { parts, cost, .. } = *accepted;
                let (delivery, due) = (Delivery::Queued, after(now, 0));
                self.state = State::Accepted { since: now, parts, cost, delivery, asked: 0, due };
            }
            Err(GatewayError::NoAnswer(why)) => self.doubt(now, why.clone()),
            // Nothing has left; the gate says when it is tried again.
            Err(GatewayError::Unreachable(_)) => self.again(now, now),
            Err(GatewayError::Refused { code, text }) => {
                let why = if text.is_empty() { code.to_string() } else { format!("{code}: «{text}»") };
                match code.class() {
                    Class::Message => self.fail(now, Failure::Message { why }),
                    Class::Number => self.fail(now, Failure::Number { why }),
                    Class::Repeated => self.doubt(now, why),
                    // Not the message's fault: the gate says when.
                    Class::NoMoney | Class::Account => self.again(now, now),
                    Class::Wait | Class::Unknown => {
                        let due = after(now, self.tries);
                        self.tries = self.tries.saturating_add(1);
                        self.again(now, due);
                    }
                }
            }
        }
    }

    /// The gateway has told what it knows of it, or nothing.
    pub fn asked(&mut self, now: UnixMillis, answer: &Result<Option<Tracked>, GatewayError>) {
        match (&mut self.state, answer) {
            (State::InDoubt { .. }, Ok(Some(tracked))) => {
                let Tracked { delivery, cost } = *tracked;
                let due = after(now, 0);
                self.state = State::Accepted { since: now, parts: None, cost, delivery, asked: 0, due };
            }
            (State::InDoubt { .. }, Ok(None)) => self.again(now, now),
            (State::InDoubt { due, asked, .. }, Err(_)) => {
                *due = after(now, *asked);
                *asked = asked.saturating_add(1);
            }
            (State::Accepted { due, asked, cost, delivery, .. }, answer) => {
                *due = after(now, asked.saturating_add(1));
                *asked = asked.saturating_add(1);
                if let Ok(Some(tracked)) = answer {
                    *delivery = delivery.after(tracked.delivery);
                    *cost = cost.or(tracked.cost);
                }
            }
            (State::Queued { .. } | State::Sending { .. } | State::Failed { .. }, _) => {}
        }
    }

    /// The gateway has told of it by itself, by its number: so it was given before. Whether that changed anything. What it
    /// costs is asked for.
    pub fn news(&mut self, now: UnixMillis, news: Delivery) -> bool {
        let before = self.clone();
        match &mut self.state {
            State::Accepted { delivery, .. } => *delivery = delivery.after(news),
            // The gateway has refused it for good: it is not this message that it tells of.
            State::Failed { why: Failure::Message { .. } | Failure::Number { .. }, .. } => {}
            // So it has it, whatever it said when it was asked, and whatever we made of that.
            State::InDoubt { .. } | State::Sending { .. } | State::Queued { .. } | State::Failed { .. } => {
                let due = after(now, 0);
                self.state =
                    State::Accepted { since: now, parts: None, cost: None, delivery: news, asked: 0, due };
            }
        }
        *self != before
    }

    /// It was found like this after a restart. Whether that changed anything: then store it.
    pub fn found(&mut self, now: UnixMillis) -> bool {
        if !matches!(self.state, State::Sending { .. }) {
            return false;
        }
        // It may have left in the last moment.
        self.doubt(now, "the program ended while it was being sent".into());
        true
    }

    fn doubt(&mut self, now: UnixMillis, why: String) {
        self.state = State::InDoubt { since: now, due: now.plus(IN_FLIGHT), asked: 0, why };
    }

    fn fail(&mut self, now: UnixMillis, why: Failure) {
        self.state = State::Failed { since: now, why };
    }

    fn again(&mut self, now: UnixMillis, due: UnixMillis) {
        if now >= self.until {
            self.fail(now, Failure::TooLate);
        } else {
            self.state = State::Queued { due };
        }
    }
}
