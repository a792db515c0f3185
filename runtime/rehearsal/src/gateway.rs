//! A pretend gateway of text messages: it takes what it is given, and its owner reads it afterwards.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use zvonar_scenario::ports::{Sms, SmsError};

/// A text that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SentText {
    /// To whom; `None`: to the caller's own number.
    pub to: Option<String>,
    /// What.
    pub text: String,
    /// In how many parts, each of which is paid for.
    pub segments: u32,
}

/// What the gateway does with a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum GatewayManner {
    /// Takes all.
    #[default]
    Takes,
    /// There is none.
    Absent,
    /// Refuses, in these words.
    Refuses(String),
}

/// The session's handle. Clones are the same gateway.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gateway {
    manner: GatewayManner,
    sent: Arc<Mutex<Vec<SentText>>>,
}

impl Gateway {
    pub(crate) fn new(manner: GatewayManner) -> Self {
        Self { manner, ..Self::default() }
    }

    /// What was taken, in order.
    pub(crate) fn sent(&self) -> Vec<SentText> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Sms for Gateway {
    fn send(&mut self, to: Option<&str>, text: &str) -> Result<String, SmsError> {
        match &self.manner {
            GatewayManner::Absent => Err(SmsError::NotConfigured),
            GatewayManner::Refuses(why) => Err(SmsError::Refused(why.clone())),
            GatewayManner::Takes => {
                let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
                let (to, segments) = (to.map(str::to_owned), zvonar_gateways::segments(text).parts);
                sent.push(SentText { to, text: text.to_owned(), segments });
                Ok(format!("sms-{}", sent.len()))
            }
        }
    }
}
