//! The words of the protocol: methods and status codes, as `rsip` lists them.
//!
//! `rsip` is the reference for what exists. It is not on the way of the bytes: it refuses folded headers, IPv6 in `Via`,
//! `tel:` in `From`, escaped quotes in challenges and several `qop` values, and it compares methods without case. The
//! tests use it as a second reader of all that we print.

use std::fmt;

/// What a request asks for. Methods are compared with case (RFC 3261 §7.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is named as its standard names it")]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Options,
    Info,
    Update,
    Prack,
    Register,
    Refer,
    Notify,
    /// One that nothing here serves.
    Other(Box<str>),
}

impl Method {
    /// As it stands in a message.
    pub fn text(&self) -> &str {
        match self {
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Options => "OPTIONS",
            Self::Info => "INFO",
            Self::Update => "UPDATE",
            Self::Prack => "PRACK",
            Self::Register => "REGISTER",
            Self::Refer => "REFER",
            Self::Notify => "NOTIFY",
            Self::Other(text) => text,
        }
    }

    /// The meaning of a token.
    pub fn of(text: &str) -> Self {
        match text {
            "INVITE" => Self::Invite,
            "ACK" => Self::Ack,
            "BYE" => Self::Bye,
            "CANCEL" => Self::Cancel,
            "OPTIONS" => Self::Options,
            "INFO" => Self::Info,
            "UPDATE" => Self::Update,
            "PRACK" => Self::Prack,
            "REGISTER" => Self::Register,
            "REFER" => Self::Refer,
            "NOTIFY" => Self::Notify,
            other => Self::Other(other.into()),
        }
    }

    /// Whether any RFC defines it: what is defined and not served is answered 405, what is not 501 (RFC 3261 §8.2.1,
    /// §21.5.2).
    pub fn is_defined(&self) -> bool {
        match self {
            Self::Other(text) => rsip::Method::all().iter().any(|known| known.to_string() == **text),
            _ => true,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

/// The usual phrase beside a status code.
pub fn reason_phrase(code: u16) -> std::borrow::Cow<'static, str> {
    // The ones of every call, without a search.
    match code {
        100 => "Trying".into(),
        180 => "Ringing".into(),
        183 => "Session Progress".into(),
        200 => "OK".into(),
        481 => "Call/Transaction Does Not Exist".into(),
        487 => "Request Terminated".into(),
        code => spaced(&rsip::StatusCode::from(code)).into(),
    }
}

/// `486 BusyHere` → `Busy Here`.
fn spaced(code: &rsip::StatusCode) -> String {
    if matches!(code, rsip::StatusCode::Other(..)) {
        return match code.code() {
            607 => "Unwanted".into(),
            608 => "Rejected".into(),
            _ => "Other".into(),
        };
    }
    let printed = code.to_string();
    let name = printed.split_once(' ').map_or("", |(_, name)| name);
    let mut phrase = String::with_capacity(name.len() + 4);
    let mut previous = ' ';
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && previous.is_ascii_lowercase() {
            phrase.push(' ');
        }
        phrase.push(letter);
        previous = letter;
    }
    phrase.replace("Uri", "URI")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_read_like_the_standard() {
        let table = [
            (200, "OK"),
            (404, "Not Found"),
            (405, "Method Not Allowed"),
            (416, "Unsupported URI Scheme"),
            (486, "Busy Here"),
            (488, "Not Acceptable Here"),
            (503, "Service Unavailable"),
            (513, "Message Too Large"),
            (603, "Decline"),
            (607, "Unwanted"),
            (699, "Other"),
        ];
        for (code, phrase) in table {
            assert_eq!(reason_phrase(code), phrase);
        }
    }

    #[test]
    fn methods_keep_their_case() {
        assert_eq!(Method::of("INVITE"), Method::Invite);
        assert_eq!(Method::of("invite"), Method::Other("invite".into()));
        assert!(Method::of("REGISTER").is_defined());
        assert!(!Method::of("register").is_defined());
        assert!(!Method::of("RE%47IST%45R").is_defined());
    }
}
