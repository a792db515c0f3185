//! Phones of ours: they register, prove who calls, are asked whether they are there, and hand calls on.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use zvonar_sip::{
    Flow,
    agent::{ProbeId, SessionId},
    message::Message,
    uri::Uri,
};

use super::{Calls, Output};
use crate::{
    CallId, Contact, Event, PhoneBook, PhonesConfig, ReferRequest,
    doorman::{Doorman, Judged},
    registrar::{BindingId, Change, Due, Registrar},
};

/// How long a phone is still listened to after its last call: for the answer to our BYE, and its repetitions.
const LINGER: Duration = Duration::from_secs(40);

/// What there is to phones.
pub(super) struct Phones {
    book: Arc<PhoneBook>,
    registrar: Registrar,
    doorman: Doorman,
    /// Questions that are out: one a registration at most.
    probes: HashMap<ProbeId, BindingId>,
    /// Addresses of phones that are in calls: they are heard though their registration ends meanwhile.
    talkers: HashMap<IpAddr, Talker>,
}

struct Talker {
    calls: usize,
    until: Instant,
}

/// Who a message came from, as far as its address tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    /// Whom the configuration lets in.
    LetIn,
    /// Anybody else: he has to prove who he is.
    Guest,
    /// A guest from where too many wrong passwords came. A phone is registered exactly there, and nobody but its account
    /// is judged.
    ShutOut,
}

/// Who sent an INVITE.
pub(super) enum Caller {
    /// A carrier, or somebody else whom the configuration lets in.
    Trusted,
    /// The phone of this account.
    Phone(String),
    /// He was asked, and may come back.
    Asked,
}

impl Phones {
    pub(super) fn new(config: PhonesConfig) -> Self {
        let PhonesConfig { book, key } = config;
        Self {
            registrar: Registrar::new(book.settings().clone()),
            doorman: Doorman::new(Arc::clone(&book), key),
            probes: HashMap::new(),
            talkers: HashMap::new(),
            book,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.registrar.poll_timeout()
    }

    pub(super) fn has_source(&self, source: SocketAddr) -> bool {
        self.registrar.has_source(source)
    }

    /// Judges who sent a request. While an address is shut out, phones that are registered there go on; but none of them
    /// may try the password of another account, or go on trying a new one of its own.
    fn judge(&mut self, now: Instant, sender: Sender, flow: Flow, request: &Message) -> Judged {
        let (book, registrar) = (&self.book, &self.registrar);
        self.doorman.judge(now, flow, request, |user| {
            let registered = registrar.revision_at(flow.remote, user);
            sender != Sender::ShutOut || (registered.is_some() && registered == book.revision(user))
        })
    }

    pub(super) fn call_began(&mut self, now: Instant, source: IpAddr) {
        self.talkers.retain(|_, talker| talker.calls > 0 || now < talker.until);
        self.talkers.entry(source).or_insert(Talker { calls: 0, until: now }).calls += 1;
    }

    pub(super) fn call_ended(&mut self, now: Instant, source: IpAddr) {
        if let Some(talker) = self.talkers.get_mut(&source) {
            talker.calls = talker.calls.saturating_sub(1);
            talker.until = now + LINGER;
        }
    }
}

impl Calls {
    /// What came from somebody whom the configuration does not let in: only phones are heard, and they have to prove who
    /// they are. See [`Calls::admits`] for whom to ask before.
    pub fn handle_guest_bytes(&mut self, now: Instant, flow: Flow, bytes: &[u8]) {
        let Some(phones) = &self.phones else { return };
        let is_shut_out = phones.doorman.is_shut_out(now, flow.remote.ip());
        if is_shut_out && !phones.has_source(flow.remote) {
            return;
        }
        self.sender = if is_shut_out { Sender::ShutOut } else { Sender::Guest };
        self.handle_bytes(now, flow, bytes);
        self.sender = Sender::LetIn;
    }

    /// Whether somebody whom the configuration does not let in may be heard: a phone that is registered, or in a call, or
    /// that wants to register.
    pub fn admits(&self, now: Instant, source: IpAddr, bytes: &[u8]) -> bool {
        self.knows(now, source) || (self.phones.is_some() && bytes.starts_with(b"REGISTER "))
    }

    /// Whether a phone is registered at an address, or in a call.
    pub fn knows(&self, now: Instant, source: IpAddr) -> bool {
        self.phones.as_ref().is_some_and(|phones| {
            phones.registrar.has_address(source)
                || phones.talkers.get(&source).is_some_and(|talker| talker.calls > 0 || now < talker.until)
        })
    }

    /// The phones of an account that are registered, the one that was heard of last at the end.
    pub fn contacts(&self, user: &str) -> Vec<Contact> {
        self.phones.as_ref().map_or(Vec::new(), |phones| phones.registrar.contacts(user))
    }

    /// Phones that are registered.
    pub fn registrations(&self) -> usize {
        self.phones.as_ref().map_or(0, |phones| phones.registrar.len())
    }

    /// Phones over UDP send two line breaks so that their address translator stays awake; one is the answer (RFC 5626
    /// §3.5.1 has it for streams, and phones do it everywhere).
    pub(super) fn is_ping(&mut self, flow: Flow, bytes: &[u8]) -> bool {
        let is_ping =
            bytes == b"\r\n\r\n" && self.phones.as_ref().is_some_and(|phones| phones.has_source(flow.remote));
        if is_ping {
            let bytes = bytes::Bytes::from_static(b"\r\n");
            self.outputs.push_back(Output::Send { flow, bytes });
        }
        is_ping
    }

    pub(super) fn register(&mut self, now: Instant, flow: Flow, request: &Message) {
        let Some(phones) = &mut self.phones else { return };
        match phones.judge(now, self.sender, flow, request) {
            Judged::Ask { headers } => self.agent.answer_and_forget(flow, request, 401, &headers),
            Judged::Wrong { guessing } => self.refuse_proof(flow, request, guessing),
            Judged::Proved { user, revision } => {
                let reply = phones.registrar.register(now, (&user, revision), flow, request);
                self.agent.answer_and_remember(now, flow, request, reply.code, &reply.headers);
                if reply.change != Change::Nothing {
                    let came_or_went = reply.change == Change::CameOrWent;
                    self.outputs.push_back(Output::Registered { user, came_or_went });
                }
            }
        }
    }

    /// A proof was wrong. Nothing is remembered of it.
    fn refuse_proof(&mut self, flow: Flow, request: &Message, guessing: Option<String>) {
        self.agent.answer_and_forget(flow, request, 403, &[]);
        if let Some(user) = guessing {
            let (address, is_shut_out) = (flow.remote.ip(), self.sender != Sender::LetIn);
            self.outputs.push_back(Output::Guessing { address, user, is_shut_out });
        }
    }

    /// Who sent an INVITE. Whoever is not let in by the configuration has to prove it, and so has everybody who calls
    /// from where a phone is registered, says that he can, or goes by the name of an account.
    pub(super) fn identify(&mut self, now: Instant, flow: Flow, invite: &Message) -> Caller {
        let sender = self.sender;
        let Some(phones) = &mut self.phones else { return Caller::Trusted };
        let says_account = || {
            let uri = invite.from().and_then(|from| Uri::parse(from.uri));
            uri.is_some_and(|uri| phones.book.knows(&uri.user()))
        };
        let is_to_prove = sender != Sender::LetIn
            || phones.has_source(flow.remote)
            || phones.doorman.has_claim(invite)
            || says_account();
        if !is_to_prove {
            return Caller::Trusted;
        }
        match phones.judge(now, sender, flow, invite) {
            Judged::Proved { user, .. } => Caller::Phone(user),
            Judged::Ask { headers } => {
                self.agent.answer_and_forget(flow, invite, 401, &headers);
                Caller::Asked
            }
            Judged::Wrong { guessing } => {
                self.refuse_proof(flow, invite, guessing);
                Caller::Asked
            }
        }
    }

    pub(super) fn referred(&mut self, now: Instant, call: CallId, session: SessionId, refer: &Message) {
        let may_refer = self.calls.get(&call).is_some_and(|entry| entry.phone.is_some() && entry.leg.is_up());
        // Carriers and callers may not have us call whomever they like.
        if !may_refer {
            self.agent.answer_refer(now, session, 603);
            return;
        }
        match ReferRequest::read(refer) {
            Some(request) => self.tell(call, Event::Refer(Box::new(request))),
            None => self.agent.answer_refer(now, session, 400),
        }
    }

    /// Registrations that ran out, and phones to be asked whether they are there.
    pub(super) fn phones_due(&mut self, now: Instant) {
        let Some(phones) = &mut self.phones else { return };
        while let Some(due) = phones.registrar.next_due(now, |user| phones.book.revision(user)) {
            match due {
                Due::Expired { user } => {
                    self.outputs.push_back(Output::Registered { user, came_or_went: true });
                }
                Due::Probe { binding, flow, uri } => match self.agent.probe(now, flow, &uri) {
                    Ok(probe) => {
                        phones.probes.insert(probe, binding);
                    }
                    // Too much is going on here: that is not the phone's fault.
                    Err(_) => {
                        phones.registrar.probed(now, binding, None);
                    }
                },
            }
        }
    }

    pub(super) fn probed(&mut self, now: Instant, probe: ProbeId, is_there: bool) {
        let Some(phones) = &mut self.phones else { return };
        let Some(binding) = phones.probes.remove(&probe) else { return };
        if let Some(user) = phones.registrar.probed(now, binding, Some(is_there)) {
            self.outputs.push_back(Output::Registered { user, came_or_went: true });
        }
    }
}
