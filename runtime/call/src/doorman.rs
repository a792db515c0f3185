//! Who a phone's request is from: its proof is judged, and whoever keeps guessing passwords is shut out for a while.
//!
//! Only addresses that were given a nonce, and so are nobody else's, can fail here: nobody can have another shut out by
//! writing in his name.
//!
//! # Phones that know MD5 alone
//!
//! SHA-256 is asked for first. Some phones give up when they see it, whatever stands below (baresip 1.0, as Debian has it, is one):
//! those whose name we know are asked by MD5 alone, and so is whoever was asked by both and comes again without an answer.
//!
//! # When a table is full
//!
//! When the table of addresses is full, those that are only counted are forgotten; if all are shut out, the one whose time
//! is up first makes room. Of
//! those that were asked, all are forgotten.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use zvonar_sip::{
    Flow,
    digest::{Claim, Hash, Verdict, Verifier},
    message::{Message, Name},
};

use crate::PhoneBook;

/// Addresses that are counted at once.
const ADDRESSES: usize = 10_000;
/// How long a nonce may be used.
const NONCE_LIFETIME: Duration = Duration::from_secs(300);

/// Whoever comes again within this time without an answer did not understand the question.
const SECOND_TRY: Duration = Duration::from_secs(300);
/// How long it is remembered that a phone knows MD5 alone.
const MD5_ALONE: Duration = Duration::from_secs(3600);
/// How the names of phones start that give up when they are asked for SHA-256.
const MD5_PHONES: [&str; 2] = ["baresip v0.", "baresip v1."];

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
    /// Who was asked and has not answered, or not by SHA-256.
    asked: HashMap<SocketAddr, Asked>,
}

#[derive(Debug)]
struct Asked {
    /// The number of the request: its repetitions are no second try.
    cseq: u32,
    at: Instant,
    knows_md5_alone: bool,
}

/// What a request proved.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// Who it is, and the revision of his secret.
    Proved { user: String, revision: u64 },
    /// Ask for a proof with these headers (401).
    Ask { headers: Vec<(Name, String)> },
    /// The proof was wrong (403): some phones answer another question with the same password until they are shut out.
    /// `guessing`: by this name; too many wrong passwords came from there by now; told once until they are forgotten.
    Wrong { guessing: Option<String> },
}

impl Doorman {
    pub(crate) fn new(book: Arc<PhoneBook>, key: [u8; 32]) -> Self {
        let verifier = Verifier::new(book.realm(), key, NONCE_LIFETIME);
        Self { book, verifier, failures: HashMap::new(), capacity: ADDRESSES, asked: HashMap::new() }
    }

    /// Whether a request brings a proof for this host's realm at all.
    pub(crate) fn has_claim(&self, request: &Message) -> bool {
        Claim::find(request.headers(Name::Authorization), self.verifier.realm()).is_some()
    }

    /// Judges who sent a request. Whoever may not claim to be the user that he says he is, is asked again, unjudged: he does
    /// not learn whether his password was right.
    pub(crate) fn judge(
        &mut self,
        now: Instant,
        flow: Flow,
        request: &Message,
        may_claim: impl FnOnce(&str) -> bool,
    ) -> Judged {
        let source = flow.remote.ip();
        let claim = Claim::find(request.headers(Name::Authorization), self.verifier.realm());
        if let Some(claim) = &claim {
            self.answered(now, flow.remote, claim.hash());
        }
        let verdict = claim.as_ref().filter(|claim| may_claim(claim.user())).map(|claim| {
            let digest = self.book.digest(claim.user(), claim.hash());
            let (method, uri) = (request.method().text(), request.uri());
            self.verifier.check(now, source, claim, method, uri, digest.as_deref())
        });
        if let (Some(claim), Some(Verdict::Proved)) = (&claim, verdict)
            && let Some(revision) = self.book.revision(claim.user())
        {
            return Judged::Proved { user: claim.user().to_owned(), revision };
        }
        if let (Some(claim), Some(Verdict::Wrong)) = (&claim, verdict) {
            let is_guessing = self.failed(now, source);
            return Judged::Wrong { guessing: is_guessing.then(|| claim.user().to_owned()) };
        }
        let md5_alone = self.knows_md5_alone(now, flow.remote, request, claim.is_none());
        let [sha256, md5] = self.verifier.challenge(now, source, verdict == Some(Verdict::Stale));
        let asked = if md5_alone { vec![md5] } else { vec![sha256, md5] };
        let headers = asked.into_iter().map(|value| (Name::WwwAuthenticate, value)).collect();
        Judged::Ask { headers }
    }

    /// A phone answered our question by this algorithm.
    fn answered(&mut self, now: Instant, source: SocketAddr, hash: Hash) {
        match self.asked.get_mut(&source) {
            Some(asked) if asked.knows_md5_alone && hash == Hash::Md5 => asked.at = now,
            _ => {
                self.asked.remove(&source);
            }
        }
    }

    /// Whether to ask a phone by MD5 alone.
    fn knows_md5_alone(&mut self, now: Instant, source: SocketAddr, request: &Message, is_new: bool) -> bool {
        let name = request.header(Name::UserAgent).unwrap_or("");
        if MD5_PHONES.iter().any(|start| name.starts_with(start)) {
            return true;
        }
        if self.asked.len() >= self.capacity && !self.asked.contains_key(&source) {
            self.asked.clear();
        }
        let cseq = request.cseq();
        let asked = self.asked.entry(source).or_insert(Asked { cseq, at: now, knows_md5_alone: false });
        let lasts = if asked.knows_md5_alone { MD5_ALONE } else { SECOND_TRY };
        if now > asked.at + lasts {
            *asked = Asked { cseq, at: now, knows_md5_alone: false };
        }
        asked.knows_md5_alone |= is_new && asked.cseq != cseq;
        asked.knows_md5_alone
    }

    /// Whether nothing is heard from an address for now.
    pub(crate) fn is_shut_out(&self, now: Instant, source: IpAddr) -> bool {
        self.failures
            .get(&subscriber(source))
            .and_then(|failures| failures.shut_until)
            .is_some_and(|until| now < until)
    }

    /// Counts a wrong password; `true`: that was one too many.
    fn failed(&mut self, now: Instant, source: IpAddr) -> bool {
        let source = subscriber(source);
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
                let first =
                    self.failures.iter().min_by_key(|(address, failures)| (failures.shut_until, **address));
                if let Some(address) = first.map(|(address, _)| *address) {
                    self.failures.remove(&address);
                }
            }
        }
        let failures =
            self.failures.entry(source).or_insert(Failures { count: 0, since: now, shut_until: None });
        if now >= failures.shut_until.unwrap_or(failures.since + window) {
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

/// Whom an address belongs to: by IPv6 one subscriber has a network of 2⁶⁴ of them.
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from((u128::from(address) >> 64) << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PhoneAccount, PhoneSecret, PhoneSettings};
    use zvonar_sip::{
        Transport,
        digest::{Answer, Challenge, Credentials},
        message::read,
    };

    struct Door {
        doorman: Doorman,
        now: Instant,
    }

    fn flow(address: u32) -> Flow {
        let remote = SocketAddr::new(IpAddr::from(address.to_be_bytes()), 5060);
        Flow { transport: Transport::Udp, local: "192.0.2.1:5060".parse().unwrap(), remote }
    }

    fn request(cseq: u32, agent: &str, authorization: Option<&str>) -> Message {
        let authorization =
            authorization.map_or(String::new(), |value| format!("Authorization: {value}\r\n"));
        let text = format!(
            "REGISTER sip:zvonar SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK{cseq}\r\nFrom: <sip:anna@zvonar>;tag=1\r\n\
             To: <sip:anna@zvonar>\r\nCall-ID: c\r\nCSeq: {cseq} REGISTER\r\nUser-Agent: {agent}\r\n{authorization}\r\n"
        );
        read(text.as_bytes(), Transport::Udp).expect("a sound message")
    }

    impl Door {
        fn new() -> Self {
            #[expect(clippy::disallowed_methods, reason = "any instant does to count from")]
            let now = Instant::now();
            let settings = PhoneSettings { failures: 3, ..PhoneSettings::default() };
            let book = PhoneBook::with_settings("zvonar", settings);
            book.set(PhoneAccount {
                user: "anna".into(),
                secret: PhoneSecret::of("anna", "zvonar", "right"),
            });
            Self { doorman: Doorman::new(Arc::new(book), [7; 32]), now }
        }

        /// Which algorithms somebody is asked by.
        fn ask(&mut self, from: u32, cseq: u32, agent: &str) -> Vec<String> {
            match self.doorman.judge(self.now, flow(from), &request(cseq, agent, None), |_| true) {
                Judged::Ask { headers } => headers.into_iter().map(|(_, value)| value).collect(),
                proved => panic!("{proved:?}"),
            }
        }

        /// Asks, and answers the last of the questions.
        fn try_password(&mut self, from: u32, password: &str) -> Judged {
            let asked = self.ask(from, 1, "x");
            let challenge = Challenge::parse(asked.last().unwrap()).unwrap();
            let credentials = Credentials { username: "anna".into(), password: password.into() };
            let value =
                Answer::new(challenge, "c".into()).header(&credentials, "REGISTER", "sip:zvonar", b"");
            self.doorman.judge(self.now, flow(from), &request(2, "x", Some(&value)), |_| true)
        }

        fn is_shut(&self, from: u32) -> bool {
            self.doorman.is_shut_out(self.now, flow(from).remote.ip())
        }
    }

    #[test]
    fn who_guesses_is_shut_out_once_and_for_a_while() {
        let mut door = Door::new();
        let guess = |door: &mut Door| match door.try_password(1, "wrong") {
            Judged::Wrong { guessing } => guessing.is_some(),
            proved => panic!("{proved:?}"),
        };
        assert_eq!([guess(&mut door), guess(&mut door)], [false, false]);
        assert!(!door.is_shut(1));
        assert_eq!([guess(&mut door), guess(&mut door)], [true, false], "told once");
        assert!(door.is_shut(1) && !door.is_shut(2));
        door.now += Duration::from_secs(600);
        assert!(!door.is_shut(1));
        assert!(!guess(&mut door), "and counted anew");
        assert_eq!(door.try_password(1, "right"), Judged::Proved { user: "anna".into(), revision: 1 });
    }

    /// The time was counted from the first wrong password, though it lasts from the last: one more try let him in again.
    #[test]
    fn who_guesses_on_is_not_let_in_before_his_time_is_up() {
        let mut door = Door::new();
        for secs in [0, 0, 599] {
            door.now += Duration::from_secs(secs);
            door.try_password(1, "wrong");
        }
        door.now += Duration::from_secs(2);
        door.try_password(1, "wrong");
        assert!(door.is_shut(1));
        door.now += Duration::from_secs(598);
        assert!(!door.is_shut(1));
    }

    #[test]
    fn a_few_mistakes_over_a_day_shut_nobody_out() {
        let mut door = Door::new();
        for _ in 0..20 {
            door.try_password(1, "wrong");
            door.now += Duration::from_secs(400);
            assert!(!door.is_shut(1));
        }
    }

    #[test]
    fn the_table_of_those_who_failed_is_bounded_and_keeps_who_is_shut_out() {
        let mut door = Door::new();
        door.doorman.capacity = 5;
        for from in 0..4 {
            for _ in 0..3 {
                door.try_password(from, "wrong");
            }
            door.now += Duration::from_secs(1);
        }
        for from in 10..30 {
            door.try_password(from, "wrong");
            assert!(door.doorman.failures.len() <= 5 && door.doorman.asked.len() <= 5);
        }
        assert!((0..4).all(|from| door.is_shut(from)));
        for from in 40..42 {
            for _ in 0..3 {
                door.try_password(from, "wrong");
            }
        }
        assert!(
            !door.is_shut(0) && door.is_shut(1) && door.is_shut(41),
            "who was to be let in first makes room"
        );
    }

    #[test]
    fn phones_that_know_md5_alone_are_asked_by_it() {
        let mut door = Door::new();
        assert_eq!(door.ask(1, 1, "baresip v1.0.0 (x86_64/linux)").len(), 1);
        // Of others it is found out.
        assert_eq!(door.ask(2, 1, "x").len(), 2);
        assert_eq!(door.ask(2, 1, "x").len(), 2, "the same request again: our answer was lost");
        let asked = door.ask(2, 2, "x");
        assert!(asked.len() == 1 && asked[0].contains("algorithm=MD5,"), "{asked:?}");
        door.now += Duration::from_secs(3000);
        assert_eq!(door.ask(2, 3, "x").len(), 1);
        door.now += Duration::from_secs(3601);
        assert_eq!(door.ask(2, 4, "x").len(), 2);
        // Whoever answers was not confused.
        assert!(matches!(door.try_password(3, "right"), Judged::Proved { .. }));
        assert_eq!(door.ask(3, 3, "x").len(), 2);
    }
}
