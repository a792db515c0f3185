//! Digest authentication, the client's half (RFC 3261 §22, RFC 7616, RFC 8760).
//!
//! MD5 and SHA-256, their `-sess` forms, `qop` none, `auth` and `auth-int`. A challenge of another scheme or algorithm is
//! passed over. Of several the first that we can answer is taken: the server puts the one it prefers on top (RFC 8760).

mod challenge;
mod credentials;

pub use challenge::{Algorithm, Challenge, Hash, MAX_ECHO, Qop};
pub use credentials::{Answer, Credentials};

#[cfg(test)]
mod tests;
