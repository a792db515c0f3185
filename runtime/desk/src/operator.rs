//! An operator: what he may take, what he is up to, and what of that outlives the program.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zvonar_model::{AttemptId, Millis, OperatorId, UnixMillis};

use crate::Miss;

/// The longest name of a group, in characters.
const LONGEST_GROUP: usize = 64;

/// A name that a tenant gave to some of its operators: «Продажи». Case matters, blanks around it do not.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Group(Arc<str>);

/// Why a text names no group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupFault {
    /// Nothing but blanks.
    #[error("a group of operators has a name; leave it out to take any operator")]
    Empty,
    /// Too many characters.
    #[error("the name of a group has at most {LONGEST_GROUP} characters, this one has {0}")]
    TooLong(usize),
    /// A line break, a tabulator and the like.
    #[error("the name of a group is one line of text; it holds the control character {0:?}")]
    Control(char),
}

impl Group {
    /// Takes 1 to 64 characters of any language.
    pub fn new(text: &str) -> Result<Self, GroupFault> {
        let text = text.trim();
        let length = text.chars().count();
        if length == 0 {
            return Err(GroupFault::Empty);
        }
        if length > LONGEST_GROUP {
            return Err(GroupFault::TooLong(length));
        }
        match text.chars().find(|c| c.is_control()) {
            Some(control) => Err(GroupFault::Control(control)),
            None => Ok(Self(text.into())),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Group({})", self.0)
    }
}

impl TryFrom<String> for Group {
    type Error = GroupFault;
    fn try_from(text: String) -> Result<Self, GroupFault> {
        Self::new(&text)
    }
}

impl From<Group> for String {
    fn from(group: Group) -> String {
        group.0.as_ref().into()
    }
}

/// What an operator says of himself. Calls are given to those who are available, and to nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// «Доступен»: takes calls.
    Available,
    /// «Перерыв».
    Break,
    /// «Постобработка»: writes down what came of the last talk. The desk sets it after a talk and ends it in time;
    /// chosen by hand, it lasts until another is chosen.
    WrapUp,
    /// «Не в сети».
    #[default]
    Offline,
}

impl Status {
    /// All of them, as a page lists them.
    pub const ALL: [Self; 4] = [Self::Available, Self::Break, Self::WrapUp, Self::Offline];

    /// The word for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Break => "break",
            Self::WrapUp => "wrap_up",
            Self::Offline => "offline",
        }
    }

    /// The name in the console and the reports.
    pub fn title(self) -> &'static str {
        match self {
            Self::Available => "Доступен",
            Self::Break => "Перерыв",
            Self::WrapUp => "Постобработка",
            Self::Offline => "Не в сети",
        }
    }
}

/// A text that is no status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a status is one of available, break, wrap_up, offline, or as in reports («Перерыв»)")]
pub struct NoStatus;

impl FromStr for Status {
    type Err = NoStatus;

    /// The word for programs, or the name in the reports in any case.
    fn from_str(text: &str) -> Result<Self, NoStatus> {
        let wanted = text.trim().to_lowercase();
        let is = |status: &Self| {
            wanted.replace('-', "_") == status.word() || wanted == status.title().to_lowercase()
        };
        Self::ALL.into_iter().find(is).ok_or(NoStatus)
    }
}

/// What the tenant says of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// Who.
    pub id: OperatorId,
    /// The groups whose callers he takes, beside those who want just anybody.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<Group>,
    /// His own time for writing down after a talk; `None`: as the settings have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrap_up: Option<Millis>,
}

impl Operator {
    /// Whether he takes callers who want this group; `None`: just anybody.
    pub fn serves(&self, group: Option<&Group>) -> bool {
        group.is_none_or(|group| self.groups.contains(group))
    }
}

/// What must be remembered of an operator when the program ends. [`Action::Save`](crate::Action::Save) brings it out
/// each time it changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Presence {
    /// What he chose, or what the desk set.
    pub status: Status,
    /// Since when.
    pub since: UnixMillis,
    /// When the desk ends «Постобработка»; `None` for any other status, and for one chosen by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<UnixMillis>,
    /// When his last talk ended: who waits longest for the next is asked first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_talk: Option<UnixMillis>,
    /// How many calls in a row he has let ring out or declined.
    #[serde(default)]
    pub misses: u32,
}

impl Presence {
    /// Another status, or the same anew, until something else is chosen.
    pub(crate) fn turn(&mut self, now: UnixMillis, status: Status) {
        *self = Self { status, since: now, until: None, misses: 0, last_talk: self.last_talk };
    }

    /// What an earlier run has stored, where the clock was set back between the two: nothing has happened after now, and
    /// a writing down takes no longer than it should.
    pub(crate) fn not_after(mut self, now: UnixMillis) -> Self {
        let ahead = self.since.0.saturating_sub(now.0).max(0);
        self.since = UnixMillis(self.since.0 - ahead);
        self.until = self.until.map(|until| UnixMillis(until.0.saturating_sub(ahead)));
        self.last_talk = self.last_talk.map(|end| end.min(now));
        self
    }
}

/// What an operator's telephone does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doing {
    /// Nothing; it does not ring before this moment, since it was not taken just now.
    Idle {
        /// The moment; long gone for most.
        rested: UnixMillis,
        /// How it was not taken; `None`: there is nothing to rest from.
        after: Option<Miss>,
    },
    /// Rings for a caller.
    Ringing {
        /// For whom.
        call: AttemptId,
        /// When the next operator's turn is.
        until: UnixMillis,
    },
    /// A talk.
    Talking {
        /// With whom.
        call: AttemptId,
        /// Since when.
        since: UnixMillis,
        /// The group that the caller wanted: it may have a time of its own for writing down.
        group: Option<Group>,
    },
}

impl Doing {
    /// Nothing, and he may be asked at once.
    pub(crate) const IDLE: Self = Self::Idle { rested: UnixMillis(i64::MIN), after: None };

    /// The caller he has to do with.
    pub fn call(&self) -> Option<&AttemptId> {
        match self {
            Self::Idle { .. } => None,
            Self::Ringing { call, .. } | Self::Talking { call, .. } => Some(call),
        }
    }
}

/// An operator at the desk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// What the tenant says of him.
    pub operator: Operator,
    /// What he says of himself.
    pub presence: Presence,
    /// What his telephone does.
    pub doing: Doing,
    /// He has no telephone: since this moment, or, if that was later, since he was last seen to be there all the same.
    pub(crate) lost: Option<UnixMillis>,
    /// He was removed in mid-talk, and goes when it is over.
    pub(crate) leaving: bool,
}

impl Seat {
    /// Whether his telephone may ring now.
    pub fn is_free(&self, now: UnixMillis) -> bool {
        self.presence.status == Status::Available
            && self.is_reachable()
            && matches!(self.doing, Doing::Idle { rested, .. } if rested <= now)
    }

    /// Whether any telephone of his is there, as far as the desk was told.
    pub fn is_reachable(&self) -> bool {
        self.lost.is_none()
    }

    /// He talks, or says something of himself: whoever has no telephone is there all the same.
    pub(crate) fn is_seen(&mut self, now: UnixMillis) {
        self.lost = self.lost.map(|_| now);
    }

    /// When he counts as gone, unless he is seen again: he has no telephone, and the desk would give him calls.
    pub(crate) fn gone_at(&self, lost_phone: Millis) -> Option<UnixMillis> {
        let is_idle = matches!(self.doing, Doing::Idle { .. });
        let takes_calls = match self.presence.status {
            Status::Available => true,
            Status::WrapUp => self.presence.until.is_some(),
            Status::Break | Status::Offline => false,
        };
        self.lost.filter(|_| is_idle && takes_calls).map(|lost| lost.plus(lost_phone.into()))
    }

    /// Whether he works: takes calls now, or after the talk or the writing down that he is at, or once his telephone is
    /// back.
    pub(crate) fn works(&self) -> bool {
        matches!(self.presence.status, Status::Available | Status::WrapUp) && !self.leaving
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_as_it_is_written_and_as_reports_have_it() {
        for status in Status::ALL {
            assert_eq!(status.word().parse(), Ok(status));
            assert_eq!(format!(" {} ", status.title().to_uppercase()).parse(), Ok(status));
            // As rows have it.
            assert_eq!(serde_json::to_string(&status).unwrap(), format!("\"{}\"", status.word()));
        }
        assert_eq!("wrap-up".parse(), Ok(Status::WrapUp));
        assert_eq!("busy".parse::<Status>(), Err(NoStatus));
    }
}
