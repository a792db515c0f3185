//! What is stored of text messages, and how it is told.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use zvonar_gateways::outbox::{Gate, Life, Next, State};
use zvonar_gateways::{Delivery, SmsId};
use zvonar_model::{AttemptId, Kopecks, LeadId, PhoneNumber, ProjectId, TenantId, UnixMillis};

use crate::Day;
use crate::tables::Row;

/// Names a message for ever: the attempt in which it was decided, and which of its messages it is, from 1. So one decision
/// is one message, however often it is stored. `Display` and `FromStr` are `<attempt>-<n>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TextId {
    /// In which attempt.
    pub attempt: AttemptId,
    /// Which of its messages.
    pub ordinal: u32,
}

impl fmt::Display for TextId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.attempt, self.ordinal)
    }
}

impl FromStr for TextId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.rsplit_once('-').and_then(|(attempt, ordinal)| {
            Some(Self { attempt: AttemptId::new(attempt).ok()?, ordinal: ordinal.parse().ok()? })
        });
        parts.ok_or_else(|| {
            format!("`{text}` is no message: the id of one is its attempt's, a dash, and a number from 1")
        })
    }
}

impl TryFrom<String> for TextId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<TextId> for String {
    fn from(id: TextId) -> Self {
        id.to_string()
    }
}

/// A message that was decided. Written once and never edited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// Which.
    pub id: TextId,
    /// For which project; `None`: the call came in, or was placed by hand.
    pub project: Option<ProjectId>,
    /// In a call with whom.
    pub lead: Option<LeadId>,
    /// To whom.
    pub to: PhoneNumber,
    /// What.
    pub text: String,
    /// In how many parts it goes out.
    pub segments: u32,
    /// When it was decided.
    pub decided_at: UnixMillis,
    /// After this it is of no use any more.
    pub until: UnixMillis,
}

impl Row for Text {
    const VERSION: u16 = 1;
}

/// What has become of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fate {
    /// By which number the gateway knows it; given before it is sent.
    pub number: Option<SmsId>,
    /// Where it is.
    pub life: Life,
    /// What was charged for it, once it was.
    pub charged: Option<Kopecks>,
    /// How many steps tell of it.
    pub told: u32,
}

impl Fate {
    /// Of a message that was decided just now.
    pub(crate) fn begun(text: &Text) -> Self {
        let life = Life { until: text.until, ..Life::queued(text.decided_at) };
        Self { number: None, life, charged: None, told: 0 }
    }

    /// Whether the gateway took it, and never said what it costs: nobody asks any more, and it is not charged.
    pub(crate) fn is_unpriced(&self) -> bool {
        self.is_over() && self.charged.is_none() && matches!(self.life.state, State::Accepted { .. })
    }

    /// Whether nothing is left to be done about it.
    pub(crate) fn is_over(&self) -> bool {
        self.life.next() == Next::Nothing
    }
}

impl Row for Fate {
    const VERSION: u16 = 1;
}

/// Where a message is, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextStatus {
    /// With us.
    Queued,
    /// On its way to the gateway.
    Sending,
    /// It was given and the answer was lost: the gateway is asked.
    InDoubt,
    /// The gateway has it.
    Accepted,
    /// The carrier has it.
    Sent,
    /// It is on the telephone.
    Delivered,
    /// It was read.
    Read,
    /// The telephone was off for too long.
    Expired,
    /// It could not be delivered.
    Undelivered,
    /// The gateway or the carrier refused to deliver it.
    Rejected,
    /// It was not sent, and will not be.
    Failed,
}

impl TextStatus {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Queued,
        Self::Sending,
        Self::InDoubt,
        Self::Accepted,
        Self::Sent,
        Self::Delivered,
        Self::Read,
        Self::Expired,
        Self::Undelivered,
        Self::Rejected,
        Self::Failed,
    ];

    /// Of a state.
    pub fn of(state: &State) -> Self {
        match state {
            State::Queued { .. } => Self::Queued,
            State::Sending { .. } => Self::Sending,
            State::InDoubt { .. } => Self::InDoubt,
            State::Accepted { delivery, .. } => match delivery {
                Delivery::Queued => Self::Accepted,
                Delivery::Sent => Self::Sent,
                Delivery::Delivered => Self::Delivered,
                Delivery::Read => Self::Read,
                Delivery::Expired => Self::Expired,
                Delivery::Failed => Self::Undelivered,
                Delivery::Rejected => Self::Rejected,
            },
            State::Failed { .. } => Self::Failed,
        }
    }

    /// The name in requests and answers.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::InDoubt => "in_doubt",
            Self::Accepted => "accepted",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Expired => "expired",
            Self::Undelivered => "undelivered",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }

    /// The name in reports.
    pub fn title(self) -> &'static str {
        match self {
            Self::Queued => "В очереди",
            Self::Sending => "Отправляется",
            Self::InDoubt => "Под вопросом",
            Self::Accepted => "Принято оператором SMS",
            Self::Sent => "Передано оператору связи",
            Self::Delivered => "Доставлено",
            Self::Read => "Прочитано",
            Self::Expired => "Просрочено",
            Self::Undelivered => "Не доставлено",
            Self::Rejected => "Отклонено",
            Self::Failed => "Не отправлено",
        }
    }
}

/// A step of the journal: a message's status has changed, or it was charged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextStep {
    /// Which message.
    pub text: TextId,
    /// For which project.
    pub project: Option<ProjectId>,
    /// In a call with whom.
    pub lead: Option<LeadId>,
    /// To whom.
    pub to: PhoneNumber,
    /// In how many parts.
    pub segments: u32,
    /// When it was decided: the day that it is counted on.
    pub decided_at: UnixMillis,
    /// When this was noted.
    pub at: UnixMillis,
    /// Where it is from now on.
    pub status: TextStatus,
    /// Why, if that is no good news.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What was charged for it at this moment; a message is charged once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charged: Option<Kopecks>,
}

/// Why a message is where it is, in words, if that is no good news.
pub(crate) fn reason(state: &State) -> Option<String> {
    use zvonar_gateways::outbox::Failure;
    match state {
        State::InDoubt { why, .. } => Some(why.clone()),
        State::Failed { why, .. } => Some(match why {
            Failure::Message { why } | Failure::Number { why } | Failure::Forbidden { why } => why.clone(),
            Failure::TooLate => "it could not be sent while it was of use".into(),
        }),
        State::Queued { .. } | State::Sending { .. } | State::Accepted { .. } => None,
    }
}

/// Whether a tenant's messages may go out, and how many did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct OutboxRow {
    pub(crate) gate: Gate,
    /// The minute since 1970 in which the last one left, and how many have left in it.
    pub(crate) minute: (i64, u32),
    /// The day, Moscow time, on which the last one left, and how many have left on it.
    pub(crate) day: Option<(Day, u32)>,
    /// The highest number that a message of the tenant has. An account is known by its login or key: with another key it
    /// would begin again at 1, and no two messages may have one number.
    #[serde(default)]
    pub(crate) highest: u32,
}

impl Row for OutboxRow {
    const VERSION: u16 = 1;
}

/// How many messages somebody got on a day, and when those of the last month left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TextedRow {
    pub(crate) day: Day,
    pub(crate) texts: u32,
    /// Oldest first, as [`zvonar_campaign::with_start`] keeps them.
    #[serde(default)]
    pub(crate) moments: Vec<UnixMillis>,
}

impl Row for TextedRow {
    const VERSION: u16 = 1;
}

/// Which message the gateway knows by a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NumberRow {
    pub(crate) text: TextId,
}

impl Row for NumberRow {
    const VERSION: u16 = 1;
}

/// The numbers that messages of an account had: all below `next`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NumbersRow {
    pub(crate) next: u32,
    /// Who took the last of them: two that take the same ones write different rows.
    pub(crate) by: TenantId,
}

impl Row for NumbersRow {
    const VERSION: u16 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_message_is_its_attempts_and_a_number() {
        let id = TextId { attempt: AttemptId::new("0199-a").unwrap(), ordinal: 12 };
        assert_eq!(id.to_string(), "0199-a-12");
        assert_eq!("0199-a-12".parse(), Ok(id));
        for text in ["", "0199", "0199-", "-1", "0199-x"] {
            assert!(text.parse::<TextId>().unwrap_err().contains("is no message"), "{text}");
        }
    }

    #[test]
    fn words_of_statuses_are_those_of_their_json() {
        for status in TextStatus::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.word());
        }
    }
}
