//! What SMSC answers, read with care: numbers may be texts and texts numbers, a field may be missing, half of it may be
//! missing, and it may be no answer of SMSC's at all.
//!
//! Whatever cannot be read is [`GatewayError::NoAnswer`]: the message may have been taken.

use std::fmt;

use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use zvonar_model::Kopecks;

use super::Code;
use crate::gateway::{Accepted, Delivery, GatewayError, Price, Tracked};

/// How much of an answer that cannot be read is shown.
const SHOWN: usize = 120;

/// SMSC has the message.
pub(crate) fn accepted(body: &[u8]) -> Result<Accepted, GatewayError> {
    #[derive(Deserialize)]
    struct Answer {
        id: Loose,
        cnt: Option<Loose>,
        cost: Option<Loose>,
        balance: Option<Loose>,
    }
    let answer: Answer = read(body)?;
    // Accepted is accepted: a price that cannot be read is asked for later.
    let _ = answer.id.0.parse::<u64>().map_err(|_| unreadable(body))?;
    Ok(Accepted {
        parts: answer.cnt.and_then(|count| count.0.parse().ok()),
        cost: answer.cost.and_then(|sum| cost(&sum.0)),
        balance: answer.balance.and_then(|sum| kopecks(&sum.0)),
    })
}

/// What a message would cost.
pub(crate) fn price(body: &[u8]) -> Result<Price, GatewayError> {
    #[derive(Deserialize)]
    struct Answer {
        cnt: Option<Loose>,
        cost: Loose,
    }
    let answer: Answer = read(body)?;
    let cost = cost(&answer.cost.0).ok_or_else(|| unreadable(body))?;
    Ok(Price { parts: answer.cnt.and_then(|count| count.0.parse().ok()), cost })
}

/// What became of a message; `None`: SMSC has none of this number.
pub(crate) fn tracked(body: &[u8]) -> Result<Option<Tracked>, GatewayError> {
    #[derive(Deserialize)]
    struct Answer {
        status: Loose,
        cost: Option<Loose>,
    }
    let answer: Answer = match read(body) {
        // Whoever asks for one message is told so by an error: a status of -3 answers questions about several. This
        // question costs nothing, so it does not mean money here.
        Err(GatewayError::Refused { code: Code(NO_MESSAGE), .. }) => return Ok(None),
        answer => answer?,
    };
    let status: i32 = answer.status.0.parse().map_err(|_| unreadable(body))?;
    if status == NOT_FOUND {
        return Ok(None);
    }
    // A status that is new to us is none of a message that SMSC does not have.
    let delivery = delivery(status).unwrap_or(Delivery::Queued);
    Ok(Some(Tracked { delivery, cost: answer.cost.and_then(|sum| cost(&sum.0)) }))
}

/// What is left on the account.
pub(crate) fn balance(body: &[u8]) -> Result<Kopecks, GatewayError> {
    #[derive(Deserialize)]
    struct Answer {
        balance: Loose,
    }
    let answer: Answer = read(body)?;
    kopecks(&answer.balance.0).ok_or_else(|| unreadable(body))
}

/// SMSC has no message of this number: the status, and the error in answer to a question about one message.
const NOT_FOUND: i32 = -3;
const NO_MESSAGE: u32 = 3;

/// What a status means; `None`: it is none of SMSC's, or says that there is no message.
pub(crate) fn delivery(status: i32) -> Option<Delivery> {
    Some(match status {
        -1 => Delivery::Queued,
        0 => Delivery::Sent,
        1 => Delivery::Delivered,
        2 | 4 => Delivery::Read,
        3 => Delivery::Expired,
        -2 | 20 | 22 | 25 => Delivery::Failed,
        23 | 24 => Delivery::Rejected,
        _ => return None,
    })
}

/// What a message costs: nothing or more. Below nothing there are balances alone.
fn cost(text: &str) -> Option<Kopecks> {
    kopecks(text).filter(|sum| *sum >= Kopecks::ZERO)
}

/// A sum of roubles as SMSC writes it, `3.60`, in kopecks. A started kopeck counts; nothing goes through a float.
fn kopecks(text: &str) -> Option<Kopecks> {
    let text = text.trim();
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (roubles, fraction) = text.split_once(['.', ',']).unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    // Fifteen digits of roubles are more than there are.
    if roubles.is_empty() || roubles.len() > 15 || !digits(roubles) || !digits(fraction) {
        return None;
    }
    let digit = |at: usize| fraction.as_bytes().get(at).map_or(0, |byte| i64::from(byte - b'0'));
    let started = i64::from(fraction.bytes().skip(2).any(|byte| byte != b'0'));
    Some(Kopecks(sign * (roubles.parse::<i64>().ok()? * 100 + digit(0) * 10 + digit(1) + started)))
}

/// Reads an answer that is no refusal.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, GatewayError> {
    #[derive(Deserialize)]
    struct Refusal {
        error: Option<Loose>,
        error_code: Option<Loose>,
    }
    let json = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    // Words may come in windows-1251 whatever was asked for; names and numbers are plain in it.
    let answer = match serde_json::from_str(&String::from_utf8_lossy(json)) {
        Ok(answer @ Value::Object(_)) => answer,
        // One message may come as a list of one.
        Ok(Value::Array(mut list)) if list.len() == 1 && list[0].is_object() => list.remove(0),
        Ok(_) => return Err(unreadable(body)),
        Err(_) => return Err(plain_refusal(body).unwrap_or_else(|| unreadable(body))),
    };
    if let Ok(refusal) = Refusal::deserialize(&answer)
        && (refusal.error.is_some() || refusal.error_code.is_some())
    {
        let code = refusal.error_code.and_then(|code| code.0.parse().ok());
        let text = refusal.error.map_or(String::new(), |text| shown(text.0.as_bytes()));
        return Err(GatewayError::Refused { code: Code(code.unwrap_or(0)), text });
    }
    serde_json::from_value(answer).map_err(|_| unreadable(body))
}

/// `ERROR = 2 (authorise error)`: what is said where JSON is not understood.
fn plain_refusal(body: &[u8]) -> Option<GatewayError> {
    let text = std::str::from_utf8(body).ok()?.trim();
    let rest = text.strip_prefix("ERROR")?.trim_start().strip_prefix('=')?.trim_start();
    let (code, words) = rest.split_once(' ').unwrap_or((rest, ""));
    let words = words.trim().trim_start_matches('(').trim_end_matches(')');
    Some(GatewayError::Refused { code: Code(code.parse().ok()?), text: shown(words.as_bytes()) })
}

fn unreadable(body: &[u8]) -> GatewayError {
    let seen = shown(body);
    GatewayError::NoAnswer(if seen.is_empty() {
        "it is empty".into()
    } else {
        format!("it is none of SMSC's: {seen}")
    })
}

fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * SHOWN)]);
    let mut shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect();
    if text.chars().count() > SHOWN {
        shown.push('…');
    }
    shown.trim().to_owned()
}

/// A text or a number, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Loose(String);

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Loose;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a number")
            }
            fn visit_str<E>(self, text: &str) -> Result<Loose, E> {
                Ok(Loose(text.trim().to_owned()))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Loose, E> {
                Ok(Loose(number.to_string()))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Loose, E> {
                Ok(Loose(number.to_string()))
            }
            // Prints the shortest decimal that means this number, which is the one that was written.
            fn visit_f64<E>(self, number: f64) -> Result<Loose, E> {
                Ok(Loose(number.to_string()))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(code: u32, text: &str) -> GatewayError {
        GatewayError::Refused { code: Code(code), text: text.into() }
    }

    #[test]
    fn a_message_that_was_taken() {
        for (body, parts, cost, balance) in [
            (r#"{"id":1234,"cnt":2,"cost":"3.60","balance":"100.50"}"#, Some(2), Some(360), Some(10_050)),
            (r#"{"id":"1234","cnt":"2","cost":3.6,"balance":100}"#, Some(2), Some(360), Some(10_000)),
            ("\u{feff}{\"id\":1234}", None, None, None),
            (r#"{"id":1,"cnt":1,"cost":"?","phones":[{"phone":"79001234567"}]}"#, Some(1), None, None),
        ] {
            let expected = Accepted { parts, cost: cost.map(Kopecks), balance: balance.map(Kopecks) };
            assert_eq!(accepted(body.as_bytes()), Ok(expected), "{body}");
        }
    }

    #[test]
    fn a_refusal_with_and_without_an_id_and_where_json_was_not_understood() {
        for (body, expected) in [
            (r#"{"error":"authorise error","error_code":2}"#, refused(2, "authorise error")),
            (r#"{"error":"duplicate request","error_code":9,"id":"5"}"#, refused(9, "duplicate request")),
            (r#"{"error":"no money","error_code":"3","id":5}"#, refused(3, "no money")),
            (r#"{"error":"what"}"#, refused(0, "what")),
            ("ERROR = 2 (authorise error)", refused(2, "authorise error")),
        ] {
            assert_eq!(accepted(body.as_bytes()), Err(expected.clone()), "{body}");
            // Asked about one message, 3 says that there is none.
            let about = if body.contains('3') { Ok(None) } else { Err(expected.clone()) };
            assert_eq!(tracked(body.as_bytes()), about);
            assert_eq!(price(body.as_bytes()), Err(expected.clone()));
            assert_eq!(balance(body.as_bytes()), Err(expected));
        }
    }

    /// Somebody on the way answers in the charset that was not asked for.
    #[test]
    fn a_refusal_in_windows_1251_is_one() {
        let body = b"{\"error\":\"\xed\xe5\xf2 \xe4\xe5\xed\xe5\xe3\",\"error_code\":3}";
        assert!(matches!(accepted(body), Err(GatewayError::Refused { code: Code(3), .. })));
    }

    #[test]
    fn what_cannot_be_read_may_have_been_done() {
        let page = format!("<html>{}", "х".repeat(1_000));
        for body in [
            "",
            "{",
            r#"{"id":12"#,
            "OK",
            r#"{"cnt":1}"#,
            r#"{"id":"x"}"#,
            r#"[]"#,
            "null",
            "ERROR = x",
            &page,
        ] {
            let why = accepted(body.as_bytes()).unwrap_err();
            assert!(
                matches!(&why, GatewayError::NoAnswer(seen) if seen.chars().count() < 200),
                "{body}: {why}"
            );
        }
    }

    #[test]
    fn statuses_by_the_table() {
        use Delivery::{Delivered, Expired, Failed, Queued, Read, Rejected, Sent};
        let table = [
            (-3, None),
            (-2, Some(Failed)),
            (-1, Some(Queued)),
            (0, Some(Sent)),
            (1, Some(Delivered)),
            (2, Some(Read)),
            (3, Some(Expired)),
            (4, Some(Read)),
            (20, Some(Failed)),
            (22, Some(Failed)),
            (23, Some(Rejected)),
            (24, Some(Rejected)),
            (25, Some(Failed)),
        ];
        for (status, expected) in table {
            let one =
                format!(r#"{{"status":{status},"last_date":"01.03.2026 10:00:00","err":0,"cost":"1.80"}}"#);
            for body in [format!("[{one}]"), one] {
                let found = tracked(body.as_bytes()).unwrap();
                assert_eq!(found, expected.map(|delivery| Tracked { delivery, cost: Some(Kopecks(180)) }));
            }
        }
        // Whatever that is, SMSC has the message.
        let new = tracked(br#"{"status":77,"cost":"1.80"}"#).unwrap();
        assert_eq!(new, Some(Tracked { delivery: Queued, cost: Some(Kopecks(180)) }));
        assert!(tracked(br#"{"status":"x"}"#).is_err());
        assert!(tracked(b"[]").is_err());
    }

    /// A price below nothing would have been paid out to the tenant.
    #[test]
    fn only_a_balance_is_below_nothing() {
        let taken = accepted(br#"{"id":1,"cnt":1,"cost":"-3.60","balance":"-0.40"}"#).unwrap();
        assert_eq!((taken.cost, taken.balance), (None, Some(Kopecks(-40))));
        assert!(matches!(price(br#"{"cnt":1,"cost":"-3.60"}"#), Err(GatewayError::NoAnswer(_))));
        let found = tracked(br#"{"status":1,"cost":"-0.01"}"#).unwrap().unwrap();
        assert_eq!((found.delivery, found.cost), (Delivery::Delivered, None));
        assert_eq!(balance(br#"{"balance":"-5.01"}"#), Ok(Kopecks(-501)));
        assert_eq!(price(br#"{"cost":"0"}"#), Ok(Price { parts: None, cost: Kopecks::ZERO }));
    }

    #[test]
    fn sums_are_read_to_the_kopeck() {
        for (text, expected) in [
            ("3.60", Some(360)),
            ("3.6", Some(360)),
            ("3", Some(300)),
            ("0.07", Some(7)),
            ("1.855", Some(186)),
            ("1.8500", Some(185)),
            ("-5.01", Some(-501)),
            ("100,50", Some(10_050)),
            // A float would make 114 of it.
            ("1.15", Some(115)),
            ("90071992547409.93", Some(9_007_199_254_740_993)),
            ("", None),
            (".5", None),
            ("1.2.3", None),
            ("1e3", None),
            ("9999999999999999", None),
        ] {
            assert_eq!(kopecks(text), expected.map(Kopecks), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_none(body: Vec<u8>, text in ".{0,80}") {
            for body in [&body[..], text.as_bytes()] {
                let _ = (accepted(body), tracked(body), price(body), balance(body), kopecks(&text));
            }
        }

        #[test]
        fn a_sum_of_any_size_comes_back(sum in -10_000_000_000i64..10_000_000_000) {
            let text = format!("{}{}.{:02}", if sum < 0 { "-" } else { "" }, sum.abs() / 100, sum.abs() % 100);
            prop_assert_eq!(kopecks(&text), Some(Kopecks(sum)));
        }
    }
}
