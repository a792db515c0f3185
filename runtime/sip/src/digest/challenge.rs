//! What a server asks for.

use md5::Md5;
use sha2::{Digest as _, Sha256};

use crate::message::text::{list, unquote};

/// The function that everything is put through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// The oldest, and still what most trunks ask for.
    Md5,
    /// RFC 8760.
    Sha256,
}

impl Hash {
    /// The digest in lower-case hex.
    pub fn hex(self, text: &[u8]) -> String {
        match self {
            Self::Md5 => hex::encode(Md5::digest(text)),
            Self::Sha256 => hex::encode(Sha256::digest(text)),
        }
    }
}

/// What a challenge wants echoed (realm, nonce, opaque together) may not be longer, in bytes. Honest ones have some
/// hundred; every request of the call carries them, and has to stay below what far ends read.
pub const MAX_ECHO: usize = 2048;

/// `algorithm=` of a challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Algorithm {
    /// The function.
    pub hash: Hash,
    /// Whether the secret is mixed with the nonces first (`-sess`).
    pub is_session: bool,
}

impl Algorithm {
    /// The name in headers.
    pub fn text(self) -> &'static str {
        match (self.hash, self.is_session) {
            (Hash::Md5, false) => "MD5",
            (Hash::Md5, true) => "MD5-sess",
            (Hash::Sha256, false) => "SHA-256",
            (Hash::Sha256, true) => "SHA-256-sess",
        }
    }

    pub(super) fn of(text: &str) -> Option<Self> {
        [(Hash::Md5, false), (Hash::Md5, true), (Hash::Sha256, false), (Hash::Sha256, true)]
            .map(|(hash, is_session)| Self { hash, is_session })
            .into_iter()
            .find(|algorithm| algorithm.text().eq_ignore_ascii_case(text))
    }
}

/// How much of the request the digest covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qop {
    /// Method and URI.
    Auth,
    /// The body as well.
    AuthInt,
}

/// One `WWW-Authenticate` or `Proxy-Authenticate` that we can answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Whose password is wanted.
    pub realm: String,
    /// The server's once-number.
    pub nonce: String,
    /// To be echoed.
    pub opaque: Option<String>,
    /// `None`: not named, which means MD5.
    pub algorithm: Option<Algorithm>,
    /// `None`: the server knows none, as RFC 2069 had it.
    pub qop: Option<Qop>,
    /// The digest was right and only the nonce too old.
    pub stale: bool,
}

impl Challenge {
    /// Reads one header; `None` if it is none that we can answer, or longer than [`MAX_ECHO`].
    pub fn parse(value: &str) -> Option<Self> {
        let (scheme, params) = value.trim().split_once([' ', '\t'])?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let find = |wanted: &str| {
            list(params)
                .filter_map(|param| param.split_once('='))
                .find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))
                .map(|(_, value)| unquote(value))
        };
        let algorithm = match find("algorithm") {
            Some(name) => Some(Algorithm::of(&name)?),
            None => None,
        };
        let qop = match find("qop") {
            Some(names) => {
                let offers =
                    |wanted: &str| names.split(',').any(|name| name.trim().eq_ignore_ascii_case(wanted));
                match (offers("auth"), offers("auth-int")) {
                    (true, _) => Some(Qop::Auth),
                    (false, true) => Some(Qop::AuthInt),
                    (false, false) => return None,
                }
            }
            None => None,
        };
        let (realm, nonce, opaque) = (find("realm")?, find("nonce")?, find("opaque"));
        if realm.len() + nonce.len() + opaque.as_ref().map_or(0, String::len) > MAX_ECHO {
            return None;
        }
        Some(Self {
            realm,
            nonce,
            opaque,
            algorithm,
            qop,
            stale: find("stale").is_some_and(|value| value.eq_ignore_ascii_case("true")),
        })
    }

    /// The first of several headers that we can answer.
    pub fn first<'a>(mut values: impl Iterator<Item = &'a str>) -> Option<Self> {
        values.find_map(Self::parse)
    }
}
