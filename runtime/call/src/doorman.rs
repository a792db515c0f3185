//! Who a phone's request is from: its proof is judged, and whoever keeps guessing passwords is shut out for a while.
//!
//! Only addresses that were given a nonce, and so are nobody else's, can fail here: nobody can have another shut out by
//! writing in his name.
//!
//! When the table of addresses is full, those that are only counted are forgotten; if all are shut out, the one whose time
//! is up first makes room.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use zvonar_sip::{
    Flow,
    digest::{Claim, Verdict, Verifier},
    message::{Message, Name},
};

use crate::PhoneBook;

/// Addresses that are counted at once.
const ADDRESSES: usize = 10_000;
/// How long a nonce may be used.
const NONCE_LIFETIME: Duration = Duration::from_secs(300);

#[derive(Debug)]
struct Failures {
    count: u32,
    since: Instant,
    shut_until: Option<Instant>,
}

/// Judges proofs. See the module's doc.
#[derive(Debug)]
pub(crate) struct Doorman {
    book: Arc<PhoneBook>,
    verifier: Verifier,
    failures: HashMap<IpAddr, Failures>,
    capacity: usize,
}

/// What a request proved.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// Who it is, and the revision of his secret.
    Proved { user: String, revision: u64 },
    /// Ask for a proof with these headers (401).
    Ask { headers: Vec<(Name, String)>, shuts_out: bool },
}

impl Doorman {
    pub(crate) fn new(book: Arc<PhoneBook>, key: [u8; 32]) -> Self {
        let verifier = Verifier::new(book.realm(), key, NONCE_LIFETIME);
        Self { book, verifier, failures: HashMap::new(), capacity: ADDRESSES }
    }

    /// Whether a request brings a proof for this host's realm at all.
    pub(crate) fn has_claim(&self, request: &Message) -> bool {
        Claim::find(request.headers(Name::Authorization), self.verifier.realm()).is_some()
    }

    pub(crate) fn judge(&mut self, now: Instant, flow: Flow, request: &Message) -> Judged {
        let source = flow.remote.ip();
        let claim = Claim::find(request.headers(Name::Authorization), self.verifier.realm());
        let verdict = claim.as_ref().map(|claim| {
            let digest = self.book.digest(claim.user(), claim.hash());
            let (method, uri) = (request.method().text(), request.uri());
            self.verifier.check(now, source, claim, method, uri, digest.as_deref())
        });
        if let (Some(claim), Some(Verdict::Proved)) = (&claim, verdict)
            && let Some(revision) = self.book.revision(claim.user())
        {
            return Judged::Proved { user: claim.user().to_owned(), revision };
        }
        let shuts_out = verdict == Some(Verdict::Wrong) && self.failed(now, source);
        let asked = self.verifier.challenge(now, source, verdict == Some(Verdict::Stale));
        let headers = asked.map(|value| (Name::WwwAuthenticate, value)).into();
        Judged::Ask { headers, shuts_out }
    }

    /// Whether nothing is heard from an address for now.
    pub(crate) fn is_shut_out(&self, now: Instant, source: IpAddr) -> bool {
        self.failures.get(&source).and_then(|failures| failures.shut_until).is_some_and(|until| now < until)
    }

    /// Counts a wrong password; `true`: that was one too many.
    fn failed(&mut self, now: Instant, source: IpAddr) -> bool {
        let (limit, window) = (self.book.settings().failures.max(1), self.book.settings().shut_out);
        if self.failures.len() >= self.capacity && !self.failures.contains_key(&source) {
            self.failures.retain(|_, failures| match failures.shut_until {
                Some(until) => now < until,
                None => now < failures.since + window,
            });
            if self.failures.len() >= self.capacity {
                self.failures.retain(|_, failures| failures.shut_until.is_some());
            }
            if self.failures.len() >= self.capacity {
                let first = self.failures.iter().min_by_key(|(address, failures)| (failures.shut_until, **address));
                if let Some(address) = first.map(|(address, _)| *address) {
                    self.failures.remove(&address);
                }
            }
        }
        let failures =
            self.failures.entry(source).or_insert(Failures { count: 0, since: now, shut_until: None });
        if now >= failures.since + window {
            *failures = Failures { count: 0, since: now, shut_until: None };
        }
        failures.count += 1;
        let shuts_out = failures.count >= limit && failures.shut_until.is_none();
        if shuts_out {
            failures.shut_until = Some(now + window);
        }
        shuts_out
    }
}
