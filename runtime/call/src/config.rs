//! What is the same for all calls of one host.

use std::{fmt, sync::Arc};

use zvonar_media::Codec;
use zvonar_sip::Timing;

use crate::PhoneBook;

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
    /// How many calls there may be at once, both ways. More INVITEs are answered 503 with `Retry-After`.
    pub max_calls: usize,
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
            max_transactions: 60_000,
            timing: Timing::default(),
            phones: None,
        }
    }
}
