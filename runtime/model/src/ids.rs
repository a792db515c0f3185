//! Ids are types, never bare strings: a lead cannot be looked up by a project's id.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::UnixMillis;

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing was written.
    #[error("an id must not be empty")]
    Empty,
    /// More than 64 characters.
    #[error("an id has at most 64 characters, this one has {0}")]
    TooLong(usize),
    /// A character outside the set.
    #[error("an id is made of letters a-z A-Z, digits, `-` and `_`; `{0}` is none of them")]
    Character(char),
}

/// Ids go into storage keys, file names and SIP headers as they are, so their alphabet is the safe part of all three.
fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > 64 {
        return Err(IdError::TooLong(text.chars().count()));
    }
    // All of it is ASCII, so bytes tell; only a refusal asks which character it was.
    if text.bytes().all(|byte| is_safe(char::from(byte))) {
        return Ok(());
    }
    let other = text.chars().find(|c| !is_safe(*c)).expect("a byte of it is not safe");
    Err(IdError::Character(other))
}

fn is_safe(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// Takes 1 to 64 characters of `[A-Za-z0-9_-]`.
            pub fn new(text: &str) -> Result<Self, IdError> {
                check(text).map(|()| Self(text.into()))
            }

            /// The id as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                /// By hand: rows are read by the million, and a `String` on the way is an allocation for each id.
                struct Text;

                impl Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an id")
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        $name::new(text).map_err(E::custom)
                    }
                }

                from.deserialize_str(Text)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.into()
            }
        }
    };
}

id!(
    /// One customer of the host; owns everything below and sees nothing of another tenant.
    TenantId
);
id!(
    /// A contact list, a scenario and settings: what dials.
    ProjectId
);
id!(
    /// A person to call.
    LeadId
);
id!(
    /// One try to reach one number of one lead, or one call that came in.
    AttemptId
);
id!(
    /// Where calls leave to and come from.
    TrunkId
);
id!(
    /// A scenario's name within its tenant.
    ScenarioName
);
id!(
    /// A person with a telephone who takes transferred calls.
    OperatorId
);

impl AttemptId {
    /// A fresh id that sorts by the time of its making: 12 hex digits of milliseconds, then 16 of chance.
    pub fn fresh(now: UnixMillis, chance: u64) -> Self {
        Self(format!("{:012x}{chance:016x}", now.0.max(0)).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_takes_only_what_is_safe_in_keys_files_and_headers() {
        assert!(LeadId::new("anna-1_B").is_ok());
        assert_eq!(LeadId::new(""), Err(IdError::Empty));
        assert_eq!(LeadId::new("a.b"), Err(IdError::Character('.')));
        assert_eq!(LeadId::new("../x"), Err(IdError::Character('.')));
        assert_eq!(LeadId::new(&"x".repeat(65)), Err(IdError::TooLong(65)));
        assert!(serde_json::from_str::<LeadId>("\"a b\"").is_err(), "stored ids are checked as well");
    }

    #[test]
    fn attempts_sort_by_the_time_of_their_making() {
        let early = AttemptId::fresh(UnixMillis(1_700_000_000_000), u64::MAX);
        let late = AttemptId::fresh(UnixMillis(1_700_000_000_001), 0);
        assert!(early < late);
    }
}
