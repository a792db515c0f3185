//! The client: SMSC's hosts in turn, a few questions at once, and never a message twice.
//!
//! Another host is tried with a message only as long as nobody can have heard it. A question that changes nothing is put
//! to all of them. An answer that cannot be read is none, and whoever gave it is not asked first again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use zvonar_model::{Kopecks, PhoneNumber};

use super::request::Request;
use super::{Account, answer};
use crate::gateway::{Accepted, Gateway, GatewayError, Price, Sms, SmsId, Tracked};
use crate::http::{AddressFault, Base, Http, HttpError, Trust, TrustFault};

/// SMSC's own host and its reserve.
pub const HOSTS: [&str; 5] = [
    "https://smsc.ru",
    "https://www2.smsc.ru",
    "https://www3.smsc.ru",
    "https://www4.smsc.ru",
    "https://www5.smsc.ru",
];

/// Questions at once: SMSC refuses more than about a dozen of an account.
const AT_ONCE: usize = 5;

/// How long one host is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Until it is reached.
    pub connect: Duration,
    /// From then on until its answer is complete.
    pub answer: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), answer: Duration::from_secs(60) }
    }
}

/// What a client is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmscSettings {
    /// Who asks.
    pub account: Account,
    /// The registered name that messages come from; `None`: the account's own.
    pub sender: Option<String>,
    /// Where to ask, in turn; usually [`HOSTS`].
    pub hosts: Vec<String>,
    /// Whom HTTPS trusts.
    pub trust: Trust,
    /// How long one host is waited for.
    pub patience: Patience,
}

impl SmscSettings {
    /// The usual ones of an account.
    pub fn new(account: Account) -> Self {
        let hosts = HOSTS.map(str::to_owned).into();
        Self { account, sender: None, hosts, trust: Trust::default(), patience: Patience::default() }
    }
}

/// Why there can be no client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SmscFault {
    /// Nobody to ask.
    #[error("no host of the gateway is given")]
    NoHost,
    /// An address is none.
    #[error(transparent)]
    Address(#[from] AddressFault),
    /// HTTPS cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustFault),
}

/// The client of one account.
pub struct Smsc {
    account: Account,
    sender: String,
    hosts: Vec<Base>,
    http: Http,
    /// The host that answered last, or the one after a host that did not: it is asked first.
    answered: AtomicUsize,
    seats: Arc<Semaphore>,
}

impl Smsc {
    /// Reads the list of authorities, if HTTPS is wanted; asks nobody yet.
    ///
    /// # Errors
    ///
    /// An address is none, or nobody can be trusted.
    pub fn new(settings: SmscSettings) -> Result<Self, SmscFault> {
        let hosts: Vec<Base> =
            settings.hosts.iter().map(|host| Base::parse(host)).collect::<Result<_, _>>()?;
        if hosts.is_empty() {
            return Err(SmscFault::NoHost);
        }
        let trust = hosts.iter().any(Base::is_secure).then_some(&settings.trust);
        Ok(Self {
            http: Http::new(trust, settings.patience.connect, settings.patience.answer)?,
            account: settings.account,
            sender: settings.sender.unwrap_or_default(),
            hosts,
            answered: AtomicUsize::new(0),
            seats: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    /// The same, and both together ask no more at once than one of them: they are of one account.
    #[must_use]
    pub fn sharing(self, other: &Self) -> Self {
        Self { seats: Arc::clone(&other.seats), ..self }
    }

    /// Asks, and has the answer read. `again`: the question changes nothing, so it may be put to another host after it was
    /// heard.
    async fn ask<T>(
        &self,
        request: Request,
        again: bool,
        read: impl Fn(&[u8]) -> Result<T, GatewayError>,
    ) -> Result<T, GatewayError> {
        let _seat = self.seats.acquire().await.expect("nobody closes it");
        let first = self.answered.load(Ordering::Relaxed);
        let (mut unreached, mut unheard) = (Vec::new(), None);
        for turn in 0..self.hosts.len() {
            let which = (first + turn) % self.hosts.len();
            let base = &self.hosts[which];
            let why = match self.http.post(base, request.path, request.form.clone()).await {
                Ok((200, body)) => match read(&body) {
                    // Something is there, but it is no SMSC.
                    Err(GatewayError::NoAnswer(why)) => format!("{base}: {why}"),
                    answer => {
                        self.answered.store(which, Ordering::Relaxed);
                        return answer;
                    }
                },
                Ok((status, _)) => format!("{base} answered HTTP {status}"),
                Err(HttpError::NoAnswer(why)) => why,
                Err(HttpError::NotSent(why)) => {
                    tracing::warn!(host = %base, %why, "a gateway of text messages was not reached");
                    unreached.push(why);
                    continue;
                }
            };
            tracing::warn!(host = %base, %why, "a gateway of text messages gave no answer");
            if !again {
                // Whoever comes next begins with another, unless somebody has chosen one meanwhile.
                let next = (which + 1) % self.hosts.len();
                let _ = self.answered.compare_exchange(first, next, Ordering::Relaxed, Ordering::Relaxed);
                return Err(GatewayError::NoAnswer(why));
            }
            unheard = Some(why);
        }
        Err(match unheard {
            Some(why) => GatewayError::NoAnswer(why),
            None => GatewayError::Unreachable(unreached.join("; ")),
        })
    }
}

#[async_trait]
impl Gateway for Smsc {
    async fn send(&self, sms: &Sms) -> Result<Accepted, GatewayError> {
        self.ask(Request::send(&self.account, &self.sender, sms), false, answer::accepted).await
    }

    async fn price(&self, to: &PhoneNumber, text: &str) -> Result<Price, GatewayError> {
        self.ask(Request::price(&self.account, &self.sender, to, text), true, answer::price).await
    }

    async fn status(&self, id: SmsId, to: &PhoneNumber) -> Result<Option<Tracked>, GatewayError> {
        self.ask(Request::status(&self.account, id, to), true, answer::tracked).await
    }

    async fn balance(&self) -> Result<Kopecks, GatewayError> {
        self.ask(Request::balance(&self.account), true, answer::balance).await
    }
}
