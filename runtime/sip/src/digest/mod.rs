//! Digest authentication, the client's half (RFC 3261 §22, RFC 7616, RFC 8760).

mod credentials;

pub use credentials::Credentials;
