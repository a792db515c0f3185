//! Who we say we are, and the proof.

use std::fmt;

use super::{Algorithm, Challenge, Hash, Qop};
use crate::message::text::quote;

/// A name and a password for a trunk. `Debug` hides the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name, as the trunk knows it.
    pub username: String,
    /// The secret. It never leaves this machine: only digests of it do.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// A challenge that we answer, request after request, until the server wants another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    challenge: Challenge,
    cnonce: String,
    /// Requests that were given this nonce.
    count: u32,
}

impl Answer {
    /// Answers a challenge. `cnonce` is our once-number: random, without quotes.
    pub fn new(challenge: Challenge, cnonce: String) -> Self {
        Self { challenge, cnonce, count: 0 }
    }

    /// Whose password is wanted.
    pub fn realm(&self) -> &str {
        &self.challenge.realm
    }

    /// The value of `Authorization` or `Proxy-Authorization` for one request. Each call counts the nonce up.
    pub fn header(&mut self, credentials: &Credentials, method: &str, uri: &str, body: &[u8]) -> String {
        self.count += 1;
        let Challenge { realm, nonce, opaque, algorithm, qop, .. } = &self.challenge;
        let Algorithm { hash, is_session } =
            algorithm.unwrap_or(Algorithm { hash: Hash::Md5, is_session: false });
        let Credentials { username, password } = credentials;
        let count = format!("{:08x}", self.count);

        let mut secret = hash.hex(format!("{username}:{realm}:{password}").as_bytes());
        if is_session {
            secret = hash.hex(format!("{secret}:{nonce}:{}", self.cnonce).as_bytes());
        }
        let covered = match qop {
            Some(Qop::AuthInt) => hash.hex(format!("{method}:{uri}:{}", hash.hex(body)).as_bytes()),
            _ => hash.hex(format!("{method}:{uri}").as_bytes()),
        };
        let qop = qop.map(|qop| match qop {
            Qop::Auth => "auth",
            Qop::AuthInt => "auth-int",
        });
        let response = match qop {
            Some(qop) => format!("{secret}:{nonce}:{count}:{}:{qop}:{covered}", self.cnonce),
            None => format!("{secret}:{nonce}:{covered}"),
        };
        let response = hash.hex(response.as_bytes());

        let mut value = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\"",
            quote(username),
            quote(realm),
            quote(nonce),
            quote(uri),
        );
        if let Some(algorithm) = algorithm {
            value.push_str(&format!(", algorithm={}", algorithm.text()));
        }
        if let Some(qop) = qop {
            value.push_str(&format!(", qop={qop}, nc={count}"));
        }
        if qop.is_some() || is_session {
            value.push_str(&format!(", cnonce=\"{}\"", self.cnonce));
        }
        if let Some(opaque) = opaque {
            value.push_str(&format!(", opaque={}", quote(opaque)));
        }
        value
    }
}
