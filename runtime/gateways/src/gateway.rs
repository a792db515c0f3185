//! What a gateway of text messages can do, whoever it belongs to.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use zvonar_model::{Kopecks, PhoneNumber};

use crate::smsc::Code;

/// Our own number of a message, given before it is sent: the gateway is asked by it what became of a message whose answer
/// was lost, and knows by it one that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct SmsId(u32);

impl SmsId {
    /// The largest that the gateway takes.
    pub const MAX: u32 = 2_147_483_647;

    /// A number from 1 to [`SmsId::MAX`].
    pub fn new(number: u32) -> Option<Self> {
        (1..=Self::MAX).contains(&number).then_some(Self(number))
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl std::fmt::Display for SmsId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<u32> for SmsId {
    type Error = String;
    fn try_from(number: u32) -> Result<Self, String> {
        Self::new(number).ok_or_else(|| format!("a message's number is 1 to {}, not {number}", Self::MAX))
    }
}

impl From<SmsId> for u32 {
    fn from(id: SmsId) -> u32 {
        id.0
    }
}

/// A text on its way to a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sms {
    /// Our number of it.
    pub id: SmsId,
    /// To whom.
    pub to: PhoneNumber,
    /// What.
    pub text: String,
}

/// The gateway has a message and will send it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// In how many parts, if it said so.
    pub parts: Option<u32>,
    /// What it costs, if it said so.
    pub cost: Option<Kopecks>,
    /// What is left on the account, if it said so.
    pub balance: Option<Kopecks>,
}

/// What a message would cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// In how many parts, if it said so.
    pub parts: Option<u32>,
    /// In all.
    pub cost: Kopecks,
}

/// What became of a message that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Waits at the gateway.
    Queued,
    /// The carrier has it.
    Sent,
    /// It is on the telephone.
    Delivered,
    /// Read, or its link was followed.
    Read,
    /// The telephone was off for too long.
    Expired,
    /// Cannot be delivered.
    Failed,
    /// The gateway or the carrier refused it.
    Rejected,
}

impl Delivery {
    /// Nothing more will come, but that it was read.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Sent)
    }

    /// What is known after this news. News comes late, twice and out of order: what is final stays, and what the
    /// carrier has is not queued again.
    #[must_use]
    pub fn after(self, news: Self) -> Self {
        match (self, news) {
            (Self::Queued, news) => news,
            (Self::Sent, news) if news != Self::Queued => news,
            (Self::Delivered, Self::Read) => Self::Read,
            (known, _) => known,
        }
    }
}

/// What the gateway tells of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tracked {
    /// Where it is.
    pub delivery: Delivery,
    /// What it cost, if it said so.
    pub cost: Option<Kopecks>,
}

/// Why the gateway did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// It answered no. Nothing was sent.
    #[error("the gateway refused: {code}{}", quoted(.text))]
    Refused {
        /// By its code.
        code: Code,
        /// In its own words.
        text: String,
    },
    /// Nobody was reached. Nothing was sent.
    #[error("no gateway was reached: {0}")]
    Unreachable(String),
    /// The question left, and no answer came that can be read: it may have been done.
    #[error("the gateway's answer was lost: {0}")]
    NoAnswer(String),
}

fn quoted(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" («{text}»)") }
}

/// A gateway of text messages.
#[async_trait]
pub trait Gateway: Send + Sync {
    /// Gives it a message. The intent must be on the disk by then: after [`GatewayError::NoAnswer`] or a crash, ask by
    /// [`Gateway::status`] before trying again.
    async fn send(&self, sms: &Sms) -> Result<Accepted, GatewayError>;

    /// What a message would cost. Sends nothing.
    async fn price(&self, to: &PhoneNumber, text: &str) -> Result<Price, GatewayError>;

    /// What became of a message; `None`: it has no message of this number.
    async fn status(&self, id: SmsId, to: &PhoneNumber) -> Result<Option<Tracked>, GatewayError>;

    /// What is left on the account.
    async fn balance(&self) -> Result<Kopecks, GatewayError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_and_repeated_news_reopens_nothing() {
        use Delivery::{Delivered, Expired, Failed, Queued, Read, Rejected, Sent};
        let all = [Queued, Sent, Delivered, Read, Expired, Failed, Rejected];
        for news in all {
            assert_eq!(Queued.after(news), news);
            assert_eq!(Sent.after(news), if news == Queued { Sent } else { news });
            assert_eq!(Delivered.after(news), if news == Read { Read } else { Delivered });
            for known in [Read, Expired, Failed, Rejected] {
                assert_eq!(known.after(news), known, "{news:?}");
            }
            assert_eq!(news.is_final(), ![Queued, Sent].contains(&news));
        }
    }

    #[test]
    fn a_number_of_a_message_fits_the_gateway() {
        assert_eq!(SmsId::new(0), None);
        assert_eq!(SmsId::new(SmsId::MAX + 1), None);
        assert_eq!(SmsId::new(SmsId::MAX).map(SmsId::get), Some(2_147_483_647));
        assert!(serde_json::from_str::<SmsId>("0").is_err(), "stored numbers are checked as well");
    }
}
