//! Tokens: who asks, and how the host knows without keeping the secret.
//!
//! A token is 32 bytes of chance. The configuration holds its SHA-256 and no more. A slow hash as for passwords would
//! protect nothing here: nobody guesses 256 bits, however fast he can try.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

/// How every token begins, so that one that leaked is recognised as what it is.
const PREFIX: &str = "zvt_";

/// A token's text. Printed once, when it is made, and never by `Debug`.
pub struct Token(String);

impl Token {
    /// From 32 bytes of the system's chance.
    pub fn of(chance: [u8; 32]) -> Self {
        Self(format!("{PREFIX}{}", hex::encode(chance)))
    }

    /// The secret itself, to show it to its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What the configuration keeps of it.
    pub fn hash(&self, name: &str) -> Result<TokenHash, TokenError> {
        check_name(name)?;
        Ok(TokenHash { name: name.into(), sha256: Sha256::digest(&self.0).into() })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(zvt_…)")
    }
}

/// What the configuration keeps of a token: `name:` and 64 hex digits.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenHash {
    name: Box<str>,
    sha256: [u8; 32],
}

/// Why a text is no [`TokenHash`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is no colon, or no hash behind it.
    #[error("a token is kept as its name, a colon and 64 hex digits: run `zvonar token`")]
    Shape,
    /// The name would not do in lists.
    #[error("a token's name is 1 to 64 of a-z A-Z 0-9 - _")]
    Name,
    /// The secret itself stands where its hash belongs.
    #[error(
        "this is a token itself, and the configuration keeps only its hash: run `zvonar token`, and take this one out of use"
    )]
    Secret,
}

fn check_name(name: &str) -> Result<(), TokenError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if (1..=64).contains(&name.len()) && name.chars().all(fits) { Ok(()) } else { Err(TokenError::Name) }
}

impl TokenHash {
    /// What it is called: stands beside the versions that were deployed with it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a token that was sent comes to; `None`: it is none, by its length. Whoever sends a long text makes no work.
    pub(crate) fn digest(token: &str) -> Option<[u8; 32]> {
        (token.len() == PREFIX.len() + 64).then(|| Sha256::digest(token).into())
    }

    /// Whether this is the token. Takes as long for a near miss as for a far one.
    pub(crate) fn is_of(&self, given: &[u8; 32]) -> bool {
        self.sha256.ct_eq(given).into()
    }
}

impl FromStr for TokenHash {
    type Err = TokenError;
    fn from_str(text: &str) -> Result<Self, TokenError> {
        if text.contains(PREFIX) {
            return Err(TokenError::Secret);
        }
        let (name, hash) = text.split_once(':').ok_or(TokenError::Shape)?;
        check_name(name)?;
        let mut sha256 = [0; 32];
        hex::decode_to_slice(hash, &mut sha256).map_err(|_| TokenError::Shape)?;
        Ok(Self { name: name.into(), sha256 })
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, hex::encode(self.sha256))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenHash({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_knows_a_token_without_holding_it() {
        let token = Token::of([7; 32]);
        let kept = token.hash("ci").unwrap().to_string();
        assert!(!kept.contains(&token.reveal()[PREFIX.len()..]), "{kept}");
        let hash: TokenHash = kept.parse().unwrap();
        let knows = |given: &str| TokenHash::digest(given).is_some_and(|given| hash.is_of(&given));
        assert!(knows(token.reveal()));
        assert!(!knows(Token::of([8; 32]).reveal()) && !knows("") && !knows(&kept));
        assert!(
            TokenHash::digest(&token.reveal().repeat(2)).is_none(),
            "nothing is worked out for a long text"
        );
        assert_eq!(hash.name(), "ci");
        assert!(!format!("{token:?}{hash:?}").contains("0707"));
    }

    #[test]
    fn what_is_no_hash_of_a_token_is_told_what_to_do() {
        let hash = "0".repeat(64);
        let table = [
            (format!("ci{hash}"), TokenError::Shape),
            ("ci:12".to_owned(), TokenError::Shape),
            (format!("ci:{}", "x".repeat(64)), TokenError::Shape),
            (format!(":{hash}"), TokenError::Name),
            (format!("a b:{hash}"), TokenError::Name),
            (Token::of([1; 32]).reveal().to_owned(), TokenError::Secret),
            (format!("ci:{}", Token::of([1; 32]).reveal()), TokenError::Secret),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<TokenHash>(), Err(expected), "{text}");
        }
    }
}
