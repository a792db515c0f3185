//! Keys: dotted tokens of `[A-Za-z0-9_=-]`, the alphabet that files, subjects and all engines share.

use std::fmt;
use std::sync::Arc;

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 512;

/// Why a text is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Two dots in a row, a dot at an end, or nothing at all.
    #[error("a key is made of tokens with single dots between them; `{0}` has an empty one")]
    EmptyToken(String),
    /// A character outside the alphabet.
    #[error("a key is made of letters a-z A-Z, digits, `-`, `_`, `=` and dots; `{0}` is none of them")]
    Character(char),
    /// More than [`MAX_KEY_BYTES`].
    #[error("a key has at most {MAX_KEY_BYTES} bytes, this one has {0}")]
    TooLong(usize),
}

/// A place in a shard: `acme.lead.spring.anna`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// A key of one token. What is outside the alphabet is encoded, see [`Key::then`].
    pub fn root(token: &str) -> Self {
        Self(String::new().into()).then(token)
    }

    /// The key one token further down. Bytes outside `[A-Za-z0-9_-]` become `=` and two hex digits, an empty token a
    /// single `=`, so that different tokens stay different and none contains a dot.
    pub fn then(&self, token: &str) -> Self {
        let mut text = String::with_capacity(self.0.len() + 1 + token.len());
        text.push_str(&self.0);
        if !text.is_empty() {
            text.push('.');
        }
        if token.is_empty() {
            text.push('=');
        }
        for byte in token.bytes() {
            if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
                text.push(char::from(byte));
            } else {
                text.push('=');
                text.push(char::from_digit(u32::from(byte >> 4), 16).expect("a nibble"));
                text.push(char::from_digit(u32::from(byte & 15), 16).expect("a nibble"));
            }
        }
        Self(text.into())
    }

    /// Takes a key as an engine gives it back.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if text.split('.').any(str::is_empty) {
            return Err(KeyError::EmptyToken(text.to_owned()));
        }
        if let Some(other) =
            text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '=' | '.')))
        {
            return Err(KeyError::Character(other));
        }
        let key = Self(text.into());
        key.check_length().map(|()| key)
    }

    pub(crate) fn check_length(&self) -> Result<(), KeyError> {
        if self.0.len() > MAX_KEY_BYTES { Err(KeyError::TooLong(self.0.len())) } else { Ok(()) }
    }

    /// The whole key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tokens, still encoded.
    pub fn tokens(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }

    /// The last token, still encoded.
    pub fn last(&self) -> &str {
        self.0.rsplit('.').next().expect("splitting gives at least one part")
    }

    /// Everything but the last token; empty for a key of one token.
    pub(crate) fn parent_str(&self) -> &str {
        self.0.rfind('.').map_or("", |dot| &self.0[..dot])
    }

    /// Whether this key lies strictly below that one.
    pub fn is_below(&self, prefix: &Key) -> bool {
        self.0.strip_prefix(&*prefix.0).is_some_and(|rest| rest.starts_with('.'))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_does_not_fit_the_alphabet_is_encoded() {
        let key = Key::root("acme").then("a.b").then("").then("Ж=");
        assert_eq!(key.as_str(), "acme.a=2eb.=.=d0=96=3d");
        assert_eq!(Key::parse(key.as_str()), Ok(key));
    }

    #[test]
    fn a_prefix_covers_whole_tokens_below_it() {
        let prefix = Key::root("a").then("b");
        assert!(Key::root("a").then("b").then("c").is_below(&prefix));
        assert!(!prefix.is_below(&prefix));
        assert!(!Key::root("a").then("bc").is_below(&prefix));
        assert!(!Key::root("a").then("b-c").then("d").is_below(&prefix));
    }

    #[test]
    fn texts_that_are_no_keys_are_refused() {
        assert_eq!(Key::parse(""), Err(KeyError::EmptyToken(String::new())));
        assert_eq!(Key::parse("a..b"), Err(KeyError::EmptyToken("a..b".into())));
        assert_eq!(Key::parse("a.b "), Err(KeyError::Character(' ')));
        assert_eq!(Key::parse(&"x".repeat(513)), Err(KeyError::TooLong(513)));
    }

    proptest! {
        #[test]
        fn different_tokens_make_different_keys(tokens in proptest::collection::btree_set(".{0,6}", 1..20)) {
            let keys: BTreeSet<Key> = tokens.iter().map(|token| Key::root("k").then(token)).collect();
            prop_assert_eq!(keys.len(), tokens.len());
            for key in keys {
                prop_assert_eq!(key.tokens().count(), 2);
                prop_assert_eq!(Key::parse(key.as_str()), Ok(key));
            }
        }
    }
}
