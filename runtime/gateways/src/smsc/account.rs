//! Who we are to SMSC.

use std::fmt;

use md5::{Digest, Md5};

/// A word that nobody may read: it prints as dots.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

/// Why a text is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretFault {
    /// Anybody would know it.
    #[error("the secret is empty: anybody could sign with it")]
    Empty,
}

impl Secret {
    /// Takes any text that is not empty.
    pub fn new(text: &str) -> Result<Self, SecretFault> {
        if text.trim().is_empty() { Err(SecretFault::Empty) } else { Ok(Self(text.into())) }
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// An account at SMSC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// By name and password; the password travels as its MD5.
    Login {
        /// The name.
        login: String,
        /// The password.
        password: Secret,
    },
    /// By a key that was made in the account, instead of both.
    Key(Secret),
}

impl Account {
    /// The same for the same account, and tells nothing of its secrets: messages of one account are numbered together.
    pub fn identity(&self) -> String {
        match self {
            Self::Login { login, .. } => format!("login {login}"),
            Self::Key(key) => format!("key {}", hex::encode(Md5::digest(key.reveal()))),
        }
    }

    /// The fields that say who asks.
    pub(crate) fn fields(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Login { login, password } => {
                let digest = hex::encode(Md5::digest(password.reveal()));
                vec![("login", login.clone()), ("psw", digest)]
            }
            Self::Key(key) => vec![("apikey", key.reveal().to_owned())],
        }
    }
}
