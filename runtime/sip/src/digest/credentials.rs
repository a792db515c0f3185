//! Who we say we are, and the secret that proves it.

use std::fmt;

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
