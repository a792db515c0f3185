//! Why a lead is not being dialled at this moment, and when it is next: the rule that holds it, and what each of its
//! numbers has been through.

use serde::Serialize;
use zvonar_campaign::{Calling, Left, NumberState, Rotation, rotation};
use zvonar_model::{AttemptId, LeadId, PhoneNumber, ProjectId, UnixMillis};

use crate::hours::Hours;
use crate::tables::{Lead, Tables};
use crate::{DialerError, Result};

/// What holds a lead back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "rule")]
pub enum Hold {
    /// Nothing but its turn: it is dialled as soon as the project runs and has a line free.
    Turn,
    /// It is being dialled now.
    Dialling {
        /// By which attempt.
        attempt: AttemptId,
    },
    /// The interval after the last result of the number whose turn it is.
    Interval {
        /// The end of it.
        until: UnixMillis,
    },
    /// It is not calling time where the lead lives.
    Hours {
        /// The project's hours, as they are written.
        hours: String,
    },
    /// Somebody answered.
    Reached,
    /// All its numbers have left the rotation.
    Spent,
}

/// What one number of a lead has been through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberStory {
    /// The number; prints itself masked.
    pub number: PhoneNumber,
    /// Its calls and what came of them in a row.
    pub state: NumberState,
    /// Why it is on the blacklist, if it is.
    pub blocked: Option<String>,
    /// Why the numbering plan keeps it from being dialled, if it does.
    pub refused: Option<&'static str>,
}

/// Why a lead is not being dialled, and when next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// Whom it is about.
    pub lead: LeadId,
    /// «позвоним ещё раз» and the like.
    pub status: &'static str,
    /// What holds it, the rule that lets go last.
    pub hold: Hold,
    /// The earliest moment of the next call; `None`: none will be, or it is in progress.
    pub next: Option<UnixMillis>,
    /// The number that is dialled then, by its place on the card.
    pub turn: Option<usize>,
    /// All numbers, in the order of the card.
    pub numbers: Vec<NumberStory>,
}

impl Tables {
    /// Explains a lead at this moment.
    ///
    /// # Errors
    /// [`DialerError::NoProject`] and [`DialerError::NoLead`]; [`DialerError::CannotCall`] for a schedule that cannot be
    /// read.
    pub async fn why(&self, project: &ProjectId, lead: &LeadId, now: UnixMillis) -> Result<Why> {
        let stored = self.project(project).await?;
        let project = stored.ok_or_else(|| DialerError::NoProject(project.clone()))?;
        let lead =
            self.lead(&project.project, lead).await?.ok_or_else(|| DialerError::NoLead(lead.clone()))?;
        let rotation = rotation(&lead.progress.tries, &project.rules.retry, &lead.numbers);
        let mut numbers = Vec::with_capacity(lead.numbers.len());
        for (number, state) in lead.numbers.iter().zip(rotation.numbers()) {
            numbers.push(NumberStory {
                number: number.clone(),
                state: *state,
                blocked: self.blocked(number).await?.map(|blocked| blocked.why),
                refused: self.policy.register.check(number).err().map(|refused| refused.title()),
            });
        }
        let mut hours = Hours::new(&project.rules, &self.policy.register)?;
        let (hold, next) = hold(&lead, &rotation, &mut hours, &project.rules.hours, now);
        Ok(Why {
            status: rotation.state().title(),
            turn: rotation.next().filter(|_| next.is_some()),
            lead: lead.lead,
            hold,
            next,
            numbers,
        })
    }
}

/// The rule that lets go last, and when it does.
fn hold(
    lead: &Lead,
    rotation: &Rotation,
    hours: &mut Hours,
    written: &str,
    now: UnixMillis,
) -> (Hold, Option<UnixMillis>) {
    if let Some(attempt) = &lead.claim {
        return (Hold::Dialling { attempt: attempt.clone() }, None);
    }
    let Some(turn) = rotation.next() else {
        let reached = rotation.state() == zvonar_campaign::LeadState::Reached;
        return (if reached { Hold::Reached } else { Hold::Spent }, None);
    };
    let due = rotation.numbers()[turn].not_before;
    let at = due.max(now);
    match hours.calling(lead, at) {
        Calling::Open { .. } if due > now => (Hold::Interval { until: due }, Some(due)),
        Calling::Open { .. } => (Hold::Turn, Some(now)),
        Calling::Closed { opens } => (Hold::Hours { hours: written.to_owned() }, opens),
    }
}

impl NumberStory {
    /// What became of the number, in a sentence for whoever asks.
    pub fn sentence(&self, max_calls: u32) -> String {
        let calls = match self.state.calls {
            0 => "not dialled yet".to_owned(),
            1 => "1 call".to_owned(),
            many => format!("{many} calls"),
        };
        let last = match self.state.streak {
            Some((class, count)) => format!(", {count} × «{}» in a row", class.title()),
            None => String::new(),
        };
        let then = match (&self.blocked, self.refused, self.state.left) {
            (Some(why), _, _) => format!("; on the blacklist: {why}"),
            (None, Some(why), _) => format!("; not dialled: {why}"),
            (None, None, Some(Left::MaxCalls)) => {
                format!("; has left: {max_calls} calls are the most for one number")
            }
            (None, None, Some(Left::Limit(_))) => {
                "; has left: the limit of that result is reached".to_owned()
            }
            (None, None, Some(Left::Never)) => {
                "; has left: it does not exist, or must not be called".to_owned()
            }
            (None, None, None) => String::new(),
        };
        format!("{}: {calls}{last}{then}", self.number)
    }
}
