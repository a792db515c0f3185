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
                let (to, segments) = (to.map(str::to_owned), segments(text));
                sent.push(SentText { to, text: text.to_owned(), segments });
                Ok(format!("sms-{}", sent.len()))
            }
        }
    }
}

/// The letters of GSM 03.38 that take one unit, and those that take two.
const GSM: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
const GSM_EXTENSION: &str = "^{}\\[~]|€";

/// How many parts a text is sent in: 160 or 153 units of GSM 03.38 each, or 70 and 67 of UCS-2 as soon as one letter, as
/// every Cyrillic one, is not in that alphabet.
pub fn segments(text: &str) -> u32 {
    let gsm = text.chars().try_fold(0, |units: u32, c| {
        let unit = if GSM.contains(c) {
            1
        } else if GSM_EXTENSION.contains(c) {
            2
        } else {
            return None;
        };
        Some(units + unit)
    });
    let (units, alone, each) = match gsm {
        Some(units) => (units, 160, 153),
        None => (u32::try_from(text.encode_utf16().count()).unwrap_or(u32::MAX), 70, 67),
    };
    if units <= alone { 1 } else { units.div_ceil(each) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_sent_in_as_many_parts_as_the_network_makes_of_it() {
        for (letter, count, more, parts) in [
            ("д", 70, "", 1),
            ("д", 71, "", 2),
            ("д", 134, "", 2),
            ("д", 135, "", 3),
            ("x", 160, "", 1),
            ("x", 161, "", 2),
            ("x", 306, "", 2),
            ("x", 307, "", 3),
            ("x", 159, "€", 2),
            ("x", 69, "😀", 2),
            ("", 0, "", 1),
        ] {
            assert_eq!(segments(&(letter.repeat(count) + more)), parts, "{count} × {letter} {more}");
        }
    }
}
