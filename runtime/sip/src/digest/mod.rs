//! Digest authentication, both halves (RFC 3261 §22, RFC 7616, RFC 8760).
//!
//! The client's half ([`Challenge`], [`Answer`]): MD5 and SHA-256, their `-sess` forms, `qop` none, `auth` and `auth-int`. A challenge of another scheme or algorithm is
//! passed over. Of several the first that we can answer is taken: the server puts the one it prefers on top (RFC 8760).
//!
//! The server's half ([`Verifier`]) offers SHA-256, then MD5, both with `qop=auth`.

mod challenge;
mod credentials;
mod verifier;

pub use challenge::{Algorithm, Challenge, Hash, MAX_ECHO, Qop};
pub use credentials::{Answer, Credentials};
pub use verifier::{Claim, Verdict, Verifier};

#[cfg(test)]
mod tests;
