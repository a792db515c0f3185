//! What is the same for all calls of one host.

use std::{fmt, sync::Arc};

use zvonar_media::Codec;
use zvonar_sip::Timing;

use crate::PhoneBook;

/// The legs that one caller may need at once: as many phones as an account may have ring for him (see
/// [`crate::PhoneSettings::contacts`]), while he still talks to whoever hands him on.
pub const LEGS_PER_CALLER: usize = 6;

/// Settings of [`crate::Calls`].
#[derive(Debug, Clone)]
pub struct CallsConfig {
    /// `User-Agent` and `Server`: letters, digits, `/`, `.`, `-` and spaces.
    pub user_agent: String,
    /// The user part of our `Contact`.
    pub contact_user: String,
    /// The `host` or `host:port` to name in `Via` and `Contact` instead of the flow's local address: for hosts behind an
    /// address translator. An IPv6 address stands in brackets.
    pub advertise: Option<String>,
    /// What we speak when we are called, the preferred first. A call with none of them is answered 488.
    pub codecs: Vec<Codec>,
    /// How many callers there may be at once: people who call us, and people whom campaigns call. More INVITEs are
    /// answered 503 with `Retry-After`.
    pub max_calls: usize,
    /// How many other legs there may be at once: phones of ours that ring, talk or call, and whomever else callers are
    /// handed to. They have room of their own, since a full house is when callers wait for them.
    pub max_legs: usize,
    /// How many transactions there may be at once. More requests are answered 503, statelessly.
    pub max_transactions: usize,
    /// The clock constants of SIP.
    pub timing: Timing,
    /// Phones that may register; `None`: REGISTER is answered 405.
    pub phones: Option<PhonesConfig>,
}

/// What it takes to let phones register. `Debug` hides the key.
#[derive(Clone)]
pub struct PhonesConfig {
    /// Their accounts.
    pub book: Arc<PhoneBook>,
    /// Signs the nonces that they have to answer: random, another one at each start.
    pub key: [u8; 32],
}

impl fmt::Debug for PhonesConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PhonesConfig").field("book", &self.book).finish_non_exhaustive()
    }
}

impl Default for CallsConfig {
    fn default() -> Self {
        Self {
            user_agent: concat!("zvonar/", env!("CARGO_PKG_VERSION")).into(),
            contact_user: "zvonar".into(),
            advertise: None,
            codecs: Codec::ALL.to_vec(),
            max_calls: 10_000,
            max_legs: 10_000 * LEGS_PER_CALLER,
            max_transactions: 120_000,
            timing: Timing::default(),
            phones: None,
        }
    }
}
