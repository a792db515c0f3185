//! A telephone number in its one written form, masked wherever it is printed.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is no telephone number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PhoneError {
    /// A character that no telephone number has.
    #[error(
        "`{0}` does not belong in a phone number: use digits, with +, spaces, brackets and dashes if you like"
    )]
    Character(char),
    /// Too few or too many digits.
    #[error("a phone number has 7 to 15 digits, this one has {0}")]
    Length(usize),
}

/// A number in E.164 form: `+` and 7 to 15 digits.
///
/// `Display` and `Debug` mask it (`+7 900 ***-**-17`), so that no log and no error shows whom we call.
/// [`PhoneNumber::reveal`] is for the wire, storage and exports.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhoneNumber(Box<str>);

impl PhoneNumber {
    /// Reads what people write: `8 (900) 123-45-67`, `79001234567`, `9001234567` and `+79001234567` are one number.
    ///
    /// Only the form is judged. Whether the number may be dialled is decided by the numbering plan in `campaign`.
    pub fn parse(text: &str) -> Result<Self, PhoneError> {
        // As it is stored: nothing is to be done to it.
        if let Some(digits) = text.strip_prefix('+')
            && (7..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Ok(Self(text.into()));
        }
        let mut digits = String::with_capacity(16);
        let text = text.trim();
        for c in text.strip_prefix('+').unwrap_or(text).chars() {
            match c {
                '0'..='9' => digits.push(c),
                ' ' | '\u{a0}' | '-' | '(' | ')' | '.' | '\u{2010}'..='\u{2015}' => {}
                other => return Err(PhoneError::Character(other)),
            }
        }
        let international = text.starts_with('+');
        if !international && digits.len() == 11 && digits.starts_with('8') {
            digits.replace_range(0..1, "7");
        } else if !international && digits.len() == 10 {
            digits.insert(0, '7');
        }
        if (7..=15).contains(&digits.len()) {
            Ok(Self(format!("+{digits}").into()))
        } else {
            Err(PhoneError::Length(digits.len()))
        }
    }

    /// The whole number, `+79001234567`.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The digits without the plus.
    pub fn digits(&self) -> &str {
        &self.0[1..]
    }

    /// What may be shown to anybody: the code and the last two digits.
    pub fn masked(&self) -> String {
        let digits = self.digits();
        let last = &digits[digits.len() - 2..];
        match (digits.len(), digits.starts_with('7')) {
            (11, true) => format!("+7 {} ***-**-{last}", &digits[1..4]),
            _ => format!("+{}{}{last}", &digits[..2], "*".repeat(digits.len() - 4)),
        }
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.masked())
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PhoneNumber({})", self.masked())
    }
}

impl Serialize for PhoneNumber {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PhoneNumber {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        /// By hand, as with ids: no `String` on the way.
        struct Text;

        impl Visitor<'_> for Text {
            type Value = PhoneNumber;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a phone number")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<PhoneNumber, E> {
                PhoneNumber::parse(text).map_err(E::custom)
            }
        }

        from.deserialize_str(Text)
    }
}

impl std::str::FromStr for PhoneNumber {
    type Err = PhoneError;
    fn from_str(text: &str) -> Result<Self, PhoneError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for PhoneNumber {
    type Error = PhoneError;
    fn try_from(text: String) -> Result<Self, PhoneError> {
        Self::parse(&text)
    }
}

impl From<PhoneNumber> for String {
    fn from(number: PhoneNumber) -> String {
        number.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ways_people_write_a_number_are_one_number() {
        for text in [
            "+7 900 123-45-67",
            "8 (900) 123 45 67",
            "79001234567",
            "9001234567",
            "8\u{a0}900\u{2013}123.45.67",
        ] {
            assert_eq!(
                PhoneNumber::parse(text).map(|n| n.reveal().to_owned()),
                Ok("+79001234567".to_owned()),
                "{text}"
            );
        }
        assert_eq!(PhoneNumber::parse("+4915112345678").unwrap().reveal(), "+4915112345678");
        assert_eq!(PhoneNumber::parse("12-34"), Err(PhoneError::Length(4)));
        assert_eq!(PhoneNumber::parse("900 12x"), Err(PhoneError::Character('x')));
        assert_eq!(PhoneNumber::parse("7+9001234567"), Err(PhoneError::Character('+')));
    }

    #[test]
    fn a_number_never_prints_itself_whole() {
        let number = PhoneNumber::parse("+79001234517").unwrap();
        assert_eq!(number.to_string(), "+7 900 ***-**-17");
        assert_eq!(format!("{number:?}"), "PhoneNumber(+7 900 ***-**-17)");
        assert_eq!(PhoneNumber::parse("+4915112345678").unwrap().to_string(), "+49*********78");
    }
}
