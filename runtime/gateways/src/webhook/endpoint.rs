//! One address of a tenant's, and a letter posted to it.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use zvonar_model::UnixMillis;

use super::sign;
use crate::http::{AddressFault, Base, Http, HttpError, Post, Trust, TrustFault, Wanted};
use crate::smsc::{Patience, Secret};

/// How long an address is waited for, unless something else is said: receivers are to answer first and work afterwards.
pub const PATIENCE: Patience = Patience { connect: Duration::from_secs(5), answer: Duration::from_secs(10) };

/// The shortest secret: shorter ones can be guessed.
const SHORTEST_SECRET: usize = 16;

/// How much of a refusal is shown.
const SHOWN: usize = 300;

/// What an endpoint is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSettings {
    /// What the hook is called; stands in `Zvonar-Delivery`.
    pub name: String,
    /// Where letters go.
    pub url: String,
    /// Letters are signed with each: one usually, two while it is being changed.
    pub secrets: Vec<Secret>,
    /// Whom HTTPS trusts.
    pub trust: Trust,
    /// How long it is waited for.
    pub patience: Patience,
}

impl EndpointSettings {
    /// Whether the address is one.
    ///
    /// # Errors
    ///
    /// It is none, in a sentence.
    pub fn check_url(&self) -> Result<(), EndpointFault> {
        Base::parse_url(&self.url)?;
        Ok(())
    }

    /// Whether there is something to sign with that nobody guesses.
    ///
    /// # Errors
    ///
    /// There is not, in a sentence.
    pub fn check_secrets(&self) -> Result<(), EndpointFault> {
        if self.secrets.is_empty() {
            return Err(EndpointFault::NoSecret);
        }
        let short = |secret: &Secret| secret.reveal().chars().count() < SHORTEST_SECRET;
        if self.secrets.iter().any(short) { Err(EndpointFault::ShortSecret) } else { Ok(()) }
    }
}

/// Why there can be no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointFault {
    /// The address is none.
    #[error(transparent)]
    Address(#[from] AddressFault),
    /// HTTPS cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustFault),
    /// Nothing to sign with.
    #[error("a webhook signs what it sends: give it a secret")]
    NoSecret,
    /// The secret could be guessed.
    #[error(
        "the secret of a webhook has at least {SHORTEST_SECRET} characters; `openssl rand -hex 32` makes a good one"
    )]
    ShortSecret,
}

/// Something to be told, ready to be posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Letter<'a> {
    /// Names what happened: the same for every try, so that whoever gets it twice sees that it is the same.
    pub event: &'a str,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// JSON.
    pub body: &'a [u8],
}

/// Why a letter was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// Nobody was reached.
    #[error("{0}")]
    Unreachable(String),
    /// It was sent, and there is no answer.
    #[error("{0}")]
    NoAnswer(String),
    /// The receiver leads elsewhere. Nobody goes there: it could be anywhere.
    #[error(
        "it answers HTTP {status}, which leads elsewhere: write the address that it leads to into the configuration"
    )]
    Redirect {
        /// Its status.
        status: u16,
    },
    /// The receiver's answer is no success.
    #[error("it answers HTTP {status}{}", shown(.said))]
    Refused {
        /// Its status.
        status: u16,
        /// The beginning of what it said.
        said: String,
    },
}

fn shown(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": «{said}»") }
}

impl NotTaken {
    /// The same for a log: without the receiver's own words, which may repeat what it was sent.
    pub fn brief(&self) -> String {
        match self {
            Self::Refused { status, .. } => format!("it answers HTTP {status}"),
            other => other.to_string(),
        }
    }

    /// Whether the receiver is there and refuses this letter for what it is (4xx), so that another may be taken all the
    /// same. «Too slow», «too early» and «too many» are of the moment.
    pub fn is_of_the_letter(&self) -> bool {
        matches!(self, Self::Refused { status: 400..=499, .. })
            && !matches!(self.status(), Some(408 | 425 | 429))
    }

    /// The status of the answer, if there was one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Redirect { status } | Self::Refused { status, .. } => Some(*status),
            Self::Unreachable(_) | Self::NoAnswer(_) => None,
        }
    }
}

/// Whoever brings letters to one address.
#[async_trait]
pub trait Courier: Send + Sync {
    /// Brings one; the status of the answer, which is a success.
    ///
    /// # Errors
    ///
    /// It was not taken, or nobody knows whether it was: then it is brought again.
    async fn bring(&self, letter: &Letter<'_>, now: UnixMillis) -> Result<u16, NotTaken>;
}

/// An address over HTTP or HTTPS. Only an answer of 200 to 299 counts; what it says besides is of no interest.
pub struct Endpoint {
    name: String,
    base: Base,
    path: String,
    secrets: Vec<Secret>,
    http: Http,
}

impl Endpoint {
    /// Reads the address, and for HTTPS the list of authorities; asks nobody yet.
    ///
    /// # Errors
    ///
    /// The address is none, a secret is short, or nobody can be trusted.
    pub fn new(settings: EndpointSettings) -> Result<Self, EndpointFault> {
        settings.check_secrets()?;
        let EndpointSettings { name, url, secrets, trust, patience } = settings;
        let (base, path) = Base::parse_url(&url)?;
        let http = Http::new(base.is_secure().then_some(&trust), patience.connect, patience.answer)?;
        Ok(Self { name, base, path, secrets, http })
    }
}

#[async_trait]
impl Courier for Endpoint {
    async fn bring(&self, letter: &Letter<'_>, now: UnixMillis) -> Result<u16, NotTaken> {
        let headers = [
            ("Content-Type", "application/json".to_owned()),
            (sign::HEADER, sign::sign(letter.body, &self.secrets, now)),
            ("Zvonar-Event-Id", letter.event.to_owned()),
            ("Zvonar-Delivery", format!("{};try={}", self.name, letter.attempt)),
        ];
        let body = Bytes::copy_from_slice(letter.body);
        let post = Post { path: &self.path, headers: &headers, body, wanted: Wanted::Status(SHOWN) };
        match self.http.ask(&self.base, post).await {
            Ok((status @ 200..=299, _)) => Ok(status),
            Ok((status @ 300..=399, _)) => Err(NotTaken::Redirect { status }),
            Ok((status, said)) => {
                let said = String::from_utf8_lossy(&said);
                let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
                Err(NotTaken::Refused { status, said })
            }
            Err(HttpError::NotSent(why)) => Err(NotTaken::Unreachable(why)),
            Err(HttpError::NoAnswer(why)) => Err(NotTaken::NoAnswer(why)),
        }
    }
}
