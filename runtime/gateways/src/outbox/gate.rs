//! Whether a tenant's messages may go out at all.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use zvonar_model::UnixMillis;

use super::after;
use crate::gateway::{Accepted, GatewayError, Tracked};
use crate::smsc::Class;

/// What keeps a tenant's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// The account is empty.
    NoMoney,
    /// Login or password is wrong.
    Account,
    /// Too many errors: SMSC does not listen for a while.
    LockedOut,
    /// Several messages, one after the other, were refused for a reason that is unknown here.
    Unexplained,
    /// Nobody answers.
    Silence,
}

/// So many different messages that are refused for an unknown reason, with none taken in between, close the gate: one may
/// have it in itself.
const SEVERAL: usize = 3;

impl Trouble {
    /// A sentence for the tenant: what is wrong, and what to do.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NoMoney => "there is no money on the account at SMSC: messages wait until it is paid in",
            Self::Account => {
                "SMSC knows no such login and password, or does not let this address in: messages wait until it is mended"
            }
            Self::LockedOut => "SMSC does not listen to this address for a while: messages wait",
            Self::Unexplained => {
                "SMSC refuses message after message for a reason that is unknown here: messages wait, ask there"
            }
            Self::Silence => "SMSC does not answer: messages wait",
        }
    }
}

/// Somebody must hear of this.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// Messages wait, and why.
    Closed(Trouble),
    /// They go out again.
    Opened,
}

/// Whether a message may go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// As many as like.
    Open,
    /// One alone, to see whether the trouble is over: one that was refused least. None other before its answer is told to
    /// [`Gate::heard`].
    One,
    /// None before this moment.
    Closed(UnixMillis),
}

/// Whether a tenant's messages may go out. Stored with the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Gate {
    closed: Option<Closed>,
    /// Messages that were refused for an unknown reason since one was understood: [`SEVERAL`] at most.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    unexplained: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Closed {
    why: Trouble,
    since: UnixMillis,
    /// One is let through then.
    until: UnixMillis,
    /// How often the trouble was met.
    times: u32,
}

impl Gate {
    /// Whether a message may go out now.
    pub fn passage(&self, now: UnixMillis) -> Passage {
        match self.closed {
            None => Passage::Open,
            // A clock that was set back must not keep it closed for long.
            Some(closed) if now >= closed.until || now < closed.since => Passage::One,
            Some(closed) => Passage::Closed(closed.until),
        }
    }

    /// What keeps the messages.
    pub fn trouble(&self) -> Option<Trouble> {
        self.closed.map(|closed| closed.why)
    }

    /// A message was answered so; `which`: what it is called. The alarm comes once for each trouble, and once when it is
    /// over.
    pub fn heard(
        &mut self,
        now: UnixMillis,
        which: &str,
        answer: &Result<Accepted, GatewayError>,
    ) -> Option<Alarm> {
        let why = match answer {
            Err(GatewayError::Unreachable(_) | GatewayError::NoAnswer(_)) => Some(Trouble::Silence),
            Err(GatewayError::Refused { code, .. }) => match code.class() {
                Class::NoMoney => Some(Trouble::NoMoney),
                Class::Account => Some(Trouble::Account),
                Class::Wait => Some(Trouble::LockedOut),
                Class::Unknown => {
                    if self.unexplained.len() < SEVERAL {
                        self.unexplained.insert(which.to_owned());
                    }
                    if self.unexplained.len() < SEVERAL {
                        // It may be this message's own trouble: that says nothing of the others.
                        return None;
                    }
                    Some(Trouble::Unexplained)
                }
                // It listens, and is fit to say no to a single message.
                Class::Repeated | Class::Message | Class::Number => None,
            },
            Ok(_) => None,
        };
        let before = self.trouble();
        match (why, self.closed) {
            (None, _) => {
                self.closed = None;
                self.unexplained.clear();
            }
            (Some(why), Some(closed)) if closed.why == why => {
                // Answers of messages that were on their way when it closed say nothing new.
                if now >= closed.until || now < closed.since {
                    let until = until(now, why, closed.times);
                    self.closed =
                        Some(Closed { since: now, until, times: closed.times.saturating_add(1), ..closed });
                }
            }
            (Some(why), _) => {
                self.closed = Some(Closed { why, since: now, until: until(now, why, 0), times: 1 });
            }
        }
        match (before, self.trouble()) {
            (before, Some(why)) if before != Some(why) => Some(Alarm::Closed(why)),
            (Some(_), None) => Some(Alarm::Opened),
            _ => None,
        }
    }

    /// A question about a message was answered so. It is asked by the same login from the same address: when that is
    /// refused, the gate closes for all, and opens once a question is understood again.
    pub fn asked(
        &mut self,
        now: UnixMillis,
        answer: &Result<Option<Tracked>, GatewayError>,
    ) -> Option<Alarm> {
        match answer {
            Err(GatewayError::Refused { code, .. })
                if matches!(code.class(), Class::Account | Class::Wait) =>
            {
                self.heard(now, "", &Err(GatewayError::Refused { code: *code, text: String::new() }))
            }
            Ok(_) if self.keeps_questions() => {
                self.closed = None;
                Some(Alarm::Opened)
            }
            _ => None,
        }
    }

    /// Whether nothing may be asked at this moment: whoever goes on asking is locked out for longer.
    pub fn questions_wait(&self, now: UnixMillis) -> Option<UnixMillis> {
        match self.passage(now) {
            Passage::Closed(until) if self.keeps_questions() => Some(until),
            _ => None,
        }
    }

    fn keeps_questions(&self) -> bool {
        matches!(self.trouble(), Some(Trouble::Account | Trouble::LockedOut))
    }

    /// Somebody says that the trouble is over: one message is let through at once.
    pub fn try_now(&mut self, now: UnixMillis) {
        if let Some(closed) = &mut self.closed {
            (closed.until, closed.times) = (now, 0);
        }
    }
}

/// Whoever is silent is asked again within a quarter of an hour: asking costs nothing.
fn until(now: UnixMillis, why: Trouble, times: u32) -> UnixMillis {
    match why {
        Trouble::Silence => after(now, times.min(2)),
        Trouble::NoMoney | Trouble::Account | Trouble::LockedOut | Trouble::Unexplained => after(now, times),
    }
}
