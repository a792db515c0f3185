//! Text messages of a tenant: decided in calls, given to a gateway once, charged what it says.
//!
//! ```text
//! call ─▶ Post ─▶ store ─▶ Worker ─▶ gateway
//!            decision │  ▲     │
//!                     ▼  └─────┘ fate, charge, step
//! ```
//!
//! What becomes of one message is [`zvonar_gateways::outbox::Life`]'s to say, whether any may go
//! [`zvonar_gateways::outbox::Gate`]'s. Here they are kept: a row that says what was decided and is never edited, and a row
//! with its fate.
//!
//! # What always holds
//!
//! * A decision is one message, named by its attempt and its place in it, whether the post stores it or the commit that
//!   settles the call. What is stored goes out, whatever becomes of the call.
//! * The intent and the message's number are on the disk before it leaves; the number is given once and never again, to
//!   whichever tenant of the account. A message of which nobody knows whether it left is asked for, and never given again
//!   before the gateway has said that it does not have it.
//! * The charge is written once, in the commit that learns the price.

mod books;
mod decision;
mod outbox;
mod rows;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use zvonar_campaign::Register;
use zvonar_gateways::segments::MOST_PARTS;
use zvonar_gateways::smsc::{Callback, Secret};
use zvonar_gateways::{Gateway, SmsId};
use zvonar_model::TenantId;

use crate::{Dialer, DialerError, Result, WallClock};
pub(crate) use books::sent_sms;
pub use books::{OutboxState, TextInfo, TextPage};
pub use decision::{CallTexts, DecidedTexts, Post, PostBox, TextDecision, Whose};
pub use rows::{Fate, Text, TextId, TextStatus, TextStep};
use worker::{Wanted, Worker};

/// News that may wait for the worker. What comes then waits at its sender.
const NEWS: usize = 100;

/// How long nothing is sent after the store has failed.
const AGAIN: Duration = Duration::from_secs(60);

/// What a tenant's messages may be, and how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextRules {
    /// The most parts of one message. Longer ones are refused.
    pub most_parts: u32,
    /// Messages a minute. More wait.
    pub per_minute: u32,
    /// Messages a day, Moscow time. More wait for the next day.
    pub per_day: u32,
    /// Messages to one number a day. More wait for the next day.
    pub per_person: u32,
    /// For how long a message is of use. What could not be sent by then is not sent.
    pub useful: Duration,
    /// Which account at the gateway it is: messages of one account are numbered together.
    pub account: String,
    /// The lowest number of a message.
    pub first_number: u32,
}

impl Default for TextRules {
    fn default() -> Self {
        Self {
            most_parts: MOST_PARTS,
            per_minute: 60,
            per_day: 10_000,
            per_person: 5,
            useful: Duration::from_secs(24 * 3_600),
            account: String::new(),
            first_number: 1,
        }
    }
}

/// All that a tenant needs to send messages, before it runs.
pub struct TextOffice {
    rules: TextRules,
    post: Post,
    kept: PostBox,
    wanted: (mpsc::Sender<Wanted>, mpsc::Receiver<Wanted>),
}

impl TextOffice {
    /// An office by these rules. `register`: which numbers there are.
    pub fn new(rules: TextRules, register: Arc<Register>, clock: WallClock) -> Self {
        let (post, kept) = Post::new(&rules, register, clock);
        Self { rules, post, kept, wanted: mpsc::channel(NEWS) }
    }

    /// Where calls put their messages.
    pub fn post(&self) -> Post {
        self.post.clone()
    }

    /// Sends messages until told to stop; then waits a little for the last answers. What earlier runs of the program left
    /// is taken up, so recover the tenant's attempts before.
    ///
    /// A store that fails for longer than it may stops the sending for a while; nothing is lost by it.
    ///
    /// # Errors
    /// The store failed at the last.
    pub async fn keep(
        self,
        dialer: Dialer,
        tenant: TenantId,
        gateway: Arc<dyn Gateway>,
        stop: watch::Receiver<bool>,
    ) -> Result<()> {
        let Self { rules, kept, wanted: (_, mut wanted), .. } = self;
        let tables = dialer.tables(&tenant);
        let stores = decision::store_decisions(tables.clone(), kept, stop.clone());
        let mut told = stop.clone();
        let sends = async {
            loop {
                let sends = async {
                    let (dialer, tables, gateway) = (dialer.clone(), tables.clone(), Arc::clone(&gateway));
                    let worker = Worker::new(dialer, tables, gateway, rules.clone()).await?;
                    worker.run(&mut wanted, stop.clone()).await
                };
                let Err(why) = sends.await else { return Ok(()) };
                tracing::error!(%tenant, %why, "text messages are not sent: it is tried again in a minute");
                tokio::select! {
                    () = tokio::time::sleep(AGAIN) => {}
                    () = crate::run::told(&mut told) => return Err(why),
                }
            }
        };
        // What is decided is stored, whatever becomes of the sending.
        let ((), sent) = tokio::join!(stores, sends);
        sent
    }
}

/// The offices of a host's tenants, for whoever has something to tell them. Clones reach the same.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    offices: BTreeMap<TenantId, Office>,
}

/// An office, for whoever has something to tell it.
#[derive(Debug, Clone)]
struct Office {
    wanted: mpsc::Sender<Wanted>,
    /// Which account at the gateway it has, and the word that the account's news is signed with.
    account: String,
    secret: Option<Secret>,
}

impl Texts {
    /// Knows this office, too. `secret`: the word that news of its account is signed with, if it hears any.
    pub fn add(&mut self, tenant: TenantId, office: &TextOffice, secret: Option<Secret>) {
        let (wanted, account) = (office.wanted.0.clone(), office.rules.account.clone());
        self.offices.insert(tenant, Office { wanted, account, secret });
    }

    /// Whether a tenant sends messages.
    pub fn has(&self, tenant: &TenantId) -> bool {
        self.offices.contains_key(tenant)
    }

    /// The word that news of a tenant's account is signed with; `None`: it hears none.
    pub fn secret(&self, tenant: &TenantId) -> Option<Secret> {
        self.offices.get(tenant)?.secret.clone()
    }

    /// News of a message, signed with a tenant's word and read. Stored when this comes back. An account has one address for
    /// its news, so it may be of a message of another tenant's who has the same account and word. `false`: none of them has
    /// such a message.
    ///
    /// # Errors
    /// An office has closed: the news must come again.
    pub async fn news(&self, tenant: &TenantId, news: &Callback) -> Result<bool> {
        let Some(own) = self.offices.get(tenant) else { return Ok(false) };
        if own.tell(news).await? {
            return Ok(true);
        }
        for (other, office) in &self.offices {
            let alike =
                office.account == own.account && office.secret.is_some() && office.secret == own.secret;
            if other != tenant && alike && office.tell(news).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Office {
    async fn tell(&self, news: &Callback) -> Result<bool> {
        let (known, told) = oneshot::channel();
        let Some(number): Option<SmsId> = news.id else { return Ok(false) };
        let (phone, delivery) = (news.phone.clone(), news.delivery);
        let closed = |()| DialerError::TextsClosed;
        self.wanted.send(Wanted::News { number, phone, delivery, known }).await.map_err(|_| closed(()))?;
        told.await.map_err(|_| closed(()))
    }
}
