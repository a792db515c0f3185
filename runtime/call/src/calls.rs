//! All calls of one host.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    net::{IpAddr, SocketAddr},
    time::Instant,
};

mod call;
mod phones;

use bytes::Bytes;
use zvonar_sip::{
    Flow,
    agent::{Agent, AgentConfig, AgentEvent, AgentOutput, Invite, SessionId},
    message::{Message, Name, NameAddr},
    uri::{Uri, sip_uri},
};

use crate::{
    CallId, CallsConfig, Command, Dial, Ended, Event, Identity, Incoming, Side, keys,
    leg::{Action, Input, Leg},
    negotiation::Negotiation,
};
use call::{Call, Kind};
use phones::{Caller, Phones, Sender};

/// All calls of one host: see the crate's doc for how to drive it.
///
/// # Invariants
///
/// * Every call that `dial` returned or `Incoming` named has one `Ended`, and nothing after it.
/// * All queues are empty when [`Calls::poll_output`] said `None`; callers, legs and transactions never exceed their caps.
pub struct Calls {
    config: CallsConfig,
    agent: Agent,
    calls: HashMap<CallId, Call>,
    by_session: HashMap<SessionId, CallId>,
    /// Of `calls`, those that are legs.
    legs: usize,
    /// When a leg wants to be woken: one entry each at most.
    deadlines: BTreeSet<(Instant, CallId)>,
    outputs: VecDeque<Output>,
    next: u64,
    /// `None`: nobody may register here.
    phones: Option<Phones>,
    /// Whose message is handled now.
    sender: Sender,
}

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Send one SIP message.
    Send {
        /// By which way.
        flow: Flow,
        /// The whole message.
        bytes: Bytes,
    },
    /// Tell whoever owns the call.
    Event {
        /// Which call.
        call: CallId,
        /// What happened.
        event: Event,
    },
    /// The registrations of an account are others now: [`Calls::contacts`] tells which.
    Registered {
        /// The account.
        user: String,
        /// A phone came or went; else one that is known stays for longer, or moved.
        came_or_went: bool,
    },
    /// Too many wrong passwords came from an address.
    Guessing {
        /// Which.
        address: IpAddr,
        /// The last of the names that they came with.
        user: String,
        /// Nothing more is heard from there for a while, but for the phones that are registered there. Whom the
        /// configuration lets in is heard whatever he says.
        is_shut_out: bool,
    },
}

impl Calls {
    /// None yet. All random values (tags, branches, Call-IDs) come from `seed`, so a run can be repeated; give a secret
    /// random one outside tests.
    pub fn new(config: CallsConfig, seed: u64) -> Self {
        let agent = AgentConfig {
            user_agent: config.user_agent.clone(),
            contact_user: config.contact_user.clone(),
            advertise: config.advertise.clone(),
            serves_phones: config.phones.is_some(),
            // A call that ended may wait for the answer to its BYE while the next one has begun.
            max_sessions: config.max_calls.saturating_add(config.max_legs).saturating_mul(2),
            max_transactions: config.max_transactions,
            timing: config.timing,
        };
        Self {
            agent: Agent::new(agent, seed),
            phones: config.phones.clone().map(Phones::new),
            sender: Sender::LetIn,
            config,
            calls: HashMap::new(),
            legs: 0,
            by_session: HashMap::new(),
            deadlines: BTreeSet::new(),
            outputs: VecDeque::new(),
            next: 0,
        }
    }

    /// What came from the network: one datagram, or one framed message of a stream.
    pub fn handle_bytes(&mut self, now: Instant, flow: Flow, bytes: &[u8]) {
        if self.is_ping(flow, bytes) {
            return;
        }
        self.agent.handle_bytes(now, flow, bytes);
        self.pump(now);
    }

    /// Places a call. Events follow, at the least an `Ended`.
    pub fn dial(&mut self, now: Instant, dial: Dial) -> CallId {
        let call = self.new_call_id();
        if let Err(ended) = self.try_dial(now, call, dial) {
            self.tell(call, Event::Ended(ended));
        }
        self.pump(now);
        call
    }

    fn try_dial(&mut self, now: Instant, call: CallId, dial: Dial) -> Result<(), Ended> {
        let refused = match Uri::parse(&dial.to_uri) {
            None => Some("the address to call is no URI"),
            // Headers are for links in pages; a request URI may have none (RFC 3261 §19.1.1).
            Some(uri) if uri.headers.is_some() => Some("the address to call has headers (after its ?)"),
            Some(_) => None,
        };
        if let Some(reason) = refused {
            return Err(Ended::Refused { code: 400, reason: reason.into(), by: Side::Near });
        }
        let kind = if dial.is_leg || dial.is_phone { Kind::Leg } else { Kind::Caller };
        if !self.has_room_for(kind) {
            return Err(Ended::TooManyCalls);
        }
        let seed = self.agent.random();
        let codecs = if dial.codecs.is_empty() { self.config.codecs.clone() } else { dial.codecs };
        let mut negotiation = Negotiation::new(codecs, dial.flow.remote.ip(), seed);
        let mut headers = dial.headers;
        if let Some(asserted) = dial.asserted_identity {
            let value = if asserted.contains('<') { asserted } else { format!("<{asserted}>") };
            headers.insert(0, (Name::PAssertedIdentity.text().into(), value));
        }
        let invite = Invite {
            flow: dial.flow,
            uri: dial.to_uri,
            from: self.caller(&dial.from, &dial.flow),
            credentials: dial.credentials,
            sdp: negotiation.offer(dial.local_media),
            keeps_flow: dial.is_phone,
            headers,
        };
        let session = self.agent.invite(now, invite).map_err(|_| Ended::TooManyCalls)?;
        let leg = Leg::outbound(now, dial.ring, self.config.timing.transaction());
        self.insert(call, kind, session, leg, negotiation, (Some(dial.local_media), None));
        if dial.is_phone {
            self.mark_phone(now, call, dial.flow.remote.ip());
        }
        Ok(())
    }

    /// Asks something of a call. Unknown and ended calls ignore it.
    pub fn command(&mut self, now: Instant, call: CallId, command: Command) {
        match command {
            Command::Ring { early_media } => self.ring(now, call, early_media),
            Command::Answer { local_media } => self.answer(now, call, local_media),
            Command::Reject { code, reason } => {
                let code = if (300..=699).contains(&code) { code } else { 480 };
                self.input(now, call, Input::Reject { code, reason });
            }
            Command::Hangup => self.input(now, call, Input::Hangup),
            Command::AnswerRefer { accept } => {
                if let Some(session) = self.calls.get(&call).map(|entry| entry.session) {
                    self.agent.answer_refer(now, session, if accept { 202 } else { 603 });
                }
            }
            Command::ReferProgress { code, reason } => {
                if let Some(session) = self.calls.get(&call).map(|entry| entry.session) {
                    self.agent.refer_progress(now, session, code, &reason);
                }
            }
        }
        self.pump(now);
    }

    /// To be called once [`Self::poll_timeout`] is reached; earlier or later does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.agent.handle_timeout(now);
        self.pump(now);
        self.phones_due(now);
        self.pump(now);
        while let Some((_, call)) = self.deadlines.first().filter(|(at, _)| *at <= now).copied() {
            if let Some(entry) = self.calls.get_mut(&call) {
                entry.leg.handle_timeout(now);
            }
            self.settle(now, call);
            self.pump(now);
        }
    }

    /// When [`Self::handle_timeout`] wants to be called; `None`: not before the next input. Cheap.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let leg = self.deadlines.first().map(|(at, _)| *at);
        let phones = self.phones.as_ref().and_then(Phones::poll_timeout);
        self.agent.poll_timeout().into_iter().chain(leg).chain(phones).min()
    }

    /// What to do next; `None`: nothing until the next input. Call it until then after every input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Calls that have not ended.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether there is no call.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// What far ends have yet to confirm, also of calls that have ended: a BYE that waits for its answer, or for the ACK
    /// before it may leave, and refusals. Whoever stops before it is 0 may leave somebody on the line. Not cheap.
    pub fn unconfirmed(&self) -> usize {
        self.agent.unconfirmed()
    }

    /// Transactions and dialogs that SIP still remembers, for a while after the calls ended too: 0 when all is quiet.
    pub fn remembered(&self) -> usize {
        self.agent.sessions() + self.agent.transactions() + self.agent.timers()
    }

    fn new_call_id(&mut self) -> CallId {
        self.next += 1;
        CallId(self.next)
    }

    fn has_room_for(&self, kind: Kind) -> bool {
        match kind {
            Kind::Caller => self.calls.len() - self.legs < self.config.max_calls,
            Kind::Leg => self.legs < self.config.max_legs,
        }
    }

    fn insert(
        &mut self,
        call: CallId,
        kind: Kind,
        session: SessionId,
        leg: Leg,
        negotiation: Negotiation,
        (local, offer): (Option<SocketAddr>, Option<Bytes>),
    ) {
        let due = leg.poll_timeout();
        if let Some(due) = due {
            self.deadlines.insert((due, call));
        }
        let entry = Call {
            leg,
            session,
            due,
            negotiation,
            local,
            plan: None,
            offer,
            answer: None,
            awaits_answer: false,
            code: 200,
            phone: None,
            kind,
        };
        self.legs += usize::from(kind == Kind::Leg);
        self.calls.insert(call, entry);
        self.by_session.insert(session, call);
    }

    fn mark_phone(&mut self, now: Instant, call: CallId, address: IpAddr) {
        if let (Some(entry), Some(phones)) = (self.calls.get_mut(&call), &mut self.phones) {
            entry.phone = Some(address);
            phones.call_began(now, address);
        }
    }

    fn caller(&self, from: &Identity, flow: &Flow) -> String {
        let host = from.host.clone().or_else(|| self.config.advertise.clone());
        let uri = sip_uri(&from.user, &host.unwrap_or_else(|| flow.local.to_string()));
        match &from.display {
            Some(display) => format!("{} <{uri}>", zvonar_sip::message::quote(display)),
            None => format!("<{uri}>"),
        }
    }

    fn tell(&mut self, call: CallId, event: Event) {
        self.outputs.push_back(Output::Event { call, event });
    }

    /// Moves what the agent has to say: messages to the driver, events to the legs.
    fn pump(&mut self, now: Instant) {
        while let Some(output) = self.agent.poll_output() {
            match output {
                AgentOutput::Send { flow, bytes } => self.outputs.push_back(Output::Send { flow, bytes }),
                AgentOutput::Event { session, event } => self.agent_event(now, session, event),
                AgentOutput::Register { flow, request } => self.register(now, flow, &request),
                AgentOutput::Invite { flow, request } => self.invited(now, flow, &request),
                AgentOutput::Probed { probe, is_there } => self.probed(now, probe, is_there),
            }
        }
    }

    fn agent_event(&mut self, now: Instant, session: SessionId, event: AgentEvent) {
        let Some(call) = self.by_session.get(&session).copied() else {
            // The call is over and only its BYE is still under way.
            match event {
                AgentEvent::Offered { .. } => self.agent.answer_offer(now, session, Err(481)),
                AgentEvent::Referred { .. } => self.agent.answer_refer(now, session, 481),
                _ => {}
            }
            return;
        };
        match event {
            AgentEvent::Progress { code, sdp } => self.progressed(call, code, sdp),
            AgentEvent::Accepted { code, sdp } => self.accepted(now, call, code, sdp),
            AgentEvent::Refused { code, reason } => self.input(now, call, Input::Refused { code, reason }),
            AgentEvent::NoResponse => self.input(now, call, Input::NoResponse),
            AgentEvent::Canceled => self.input(now, call, Input::Canceled),
            AgentEvent::Acknowledged { sdp } => self.acknowledged(now, call, sdp),
            AgentEvent::NeverAcknowledged => self.input(now, call, Input::NeverAcknowledged),
            AgentEvent::Offered { sdp } => self.offered(now, call, session, sdp),
            AgentEvent::Info { content_type, body } => {
                if let Some((digit, held)) = keys::read(&content_type, &body) {
                    self.tell(call, Event::Key { digit, held });
                }
            }
            AgentEvent::Referred { request } => self.referred(now, call, session, &request),
            AgentEvent::HungUp => self.input(now, call, Input::FarHangup),
        }
    }

    fn invited(&mut self, now: Instant, flow: Flow, invite: &Message) {
        // First who it is: whoever is asked for a proof leaves nothing behind.
        let (account, kind) = match self.identify(now, flow, invite) {
            Caller::Trusted => (None, Kind::Caller),
            Caller::Phone(user) => (Some(user), Kind::Leg),
            Caller::Asked => return,
        };
        let Some(session) = self.agent.admit(now, flow, invite) else { return };
        if !self.has_room_for(kind) {
            self.agent.reject(now, session, 503, "");
            return;
        }
        let seed = self.agent.random();
        let negotiation = Negotiation::new(self.config.codecs.clone(), flow.remote.ip(), seed);
        let offer = invite.sdp();
        if offer.as_ref().is_some_and(|offer| !negotiation.can_answer(offer, flow.local.is_ipv4())) {
            self.agent.reject(now, session, 488, "");
            return;
        }
        let call = self.new_call_id();
        let is_phone = account.is_some();
        let incoming = Incoming { account, ..incoming(flow, invite, offer.is_some()) };
        let leg = Leg::inbound(now, self.config.timing.transaction());
        self.insert(call, kind, session, leg, negotiation, (None, offer));
        if is_phone {
            self.agent.keep_to_flow(session);
            self.mark_phone(now, call, flow.remote.ip());
        }
        self.tell(call, Event::Incoming(Box::new(incoming)));
    }

    fn ring(&mut self, now: Instant, call: CallId, early_media: Option<SocketAddr>) {
        let Some(entry) = self.calls.get_mut(&call).filter(|entry| entry.leg.is_invited()) else { return };
        let session = entry.session;
        let plan = early_media.filter(|_| entry.offer.is_some()).map(|local| entry.make_answer(local));
        match plan {
            None => self.agent.ring(now, session, 180, None),
            Some(Ok((sdp, plan))) => {
                self.agent.ring(now, session, 183, Some(&sdp));
                self.pump(now);
                self.tell(call, Event::Progress { code: 183, media: Some(plan) });
            }
            Some(Err(_)) => self.refuse_unspeakable(now, call),
        }
    }

    fn answer(&mut self, now: Instant, call: CallId, local: SocketAddr) {
        let Some(entry) = self.calls.get_mut(&call).filter(|entry| entry.leg.is_invited()) else { return };
        let has_offer = entry.offer.is_some();
        entry.local.get_or_insert(local);
        if has_offer && entry.make_answer(local).is_err() {
            self.refuse_unspeakable(now, call);
        } else {
            self.input(now, call, Input::Answer { has_offer });
        }
    }

    /// The driver's address is of the other family than the caller's: found out only now.
    fn refuse_unspeakable(&mut self, now: Instant, call: CallId) {
        self.input(now, call, Input::Reject { code: 488, reason: String::new() });
    }

    fn progressed(&mut self, call: CallId, code: u16, sdp: Option<Bytes>) {
        let Some(entry) = self.calls.get_mut(&call) else { return };
        let media = sdp.and_then(|sdp| entry.take_answer(&sdp));
        self.tell(call, Event::Progress { code, media });
    }

    fn accepted(&mut self, now: Instant, call: CallId, code: u16, sdp: Option<Bytes>) {
        let Some(entry) = self.calls.get_mut(&call) else { return };
        entry.code = code;
        let is_usable = match sdp {
            Some(sdp) => entry.take_answer(&sdp).is_some(),
            // The answer may have come with a provisional response alone.
            None => entry.plan.is_some(),
        };
        self.input(now, call, Input::Answered { is_usable });
    }

    fn acknowledged(&mut self, now: Instant, call: CallId, sdp: Option<Bytes>) {
        let Some(entry) = self.calls.get_mut(&call) else { return };
        let was_up = entry.leg.is_up();
        let awaited = std::mem::take(&mut entry.awaits_answer);
        let taken = if awaited { sdp.and_then(|sdp| entry.take_answer(&sdp)) } else { None };
        let is_usable = !awaited || taken.is_some();
        self.input(now, call, Input::Acknowledged { is_usable });
        if let Some(media) = taken.filter(|_| was_up) {
            self.tell(call, Event::MediaChanged { media });
        }
    }

    /// A re-INVITE or an UPDATE: hold, another address, or a question what we would like.
    fn offered(&mut self, now: Instant, call: CallId, session: SessionId, sdp: Option<Bytes>) {
        let Some(entry) = self.calls.get_mut(&call) else { return };
        let Some(local) = entry.local.filter(|_| entry.leg.is_up()) else {
            self.agent.answer_offer(now, session, Err(491));
            return;
        };
        let Some(offer) = sdp else {
            entry.awaits_answer = true;
            let ours = entry.negotiation.offer(local);
            self.agent.answer_offer(now, session, Ok(&ours));
            return;
        };
        match entry.negotiation.answer(&offer, local) {
            Ok((answer, plan)) => {
                let is_new = entry.plan.replace(plan.clone()).as_ref() != Some(&plan);
                self.agent.answer_offer(now, session, Ok(&answer));
                if is_new {
                    self.tell(call, Event::MediaChanged { media: plan });
                }
            }
            // What was agreed before stays (RFC 3261 §14.2).
            Err(_) => self.agent.answer_offer(now, session, Err(488)),
        }
    }

    fn input(&mut self, now: Instant, call: CallId, input: Input) {
        if let Some(entry) = self.calls.get_mut(&call) {
            entry.leg.handle(now, input);
            self.settle(now, call);
        }
    }

    /// Does what a leg wants done, and moves its timer.
    fn settle(&mut self, now: Instant, call: CallId) {
        while let Some((session, action)) =
            self.calls.get_mut(&call).and_then(|entry| Some((entry.session, entry.leg.poll_action()?)))
        {
            match action {
                Action::Cancel => self.agent.cancel(now, session),
                Action::Abandon => self.agent.abandon(now, session),
                Action::Bye => self.agent.bye(now, session),
                Action::Reject { code, reason } => self.agent.reject(now, session, code, &reason),
                Action::Accept => self.accept(now, call),
                Action::Up => self.tell_up(call),
                Action::Confirmed => self.tell(call, Event::Confirmed),
                Action::Ended(ended) => {
                    self.remove(now, call);
                    self.tell(call, Event::Ended(ended));
                }
            }
        }
        let Some(entry) = self.calls.get_mut(&call) else { return };
        let due = entry.leg.poll_timeout();
        if due != entry.due {
            if let Some(before) = std::mem::replace(&mut entry.due, due) {
                self.deadlines.remove(&(before, call));
            }
            if let Some(due) = due {
                self.deadlines.insert((due, call));
            }
        }
    }

    fn accept(&mut self, now: Instant, call: CallId) {
        let Some(entry) = self.calls.get_mut(&call) else { return };
        let session = entry.session;
        let sdp = match (&entry.answer, entry.local) {
            (Some(answer), _) => answer.clone(),
            (None, Some(local)) => {
                entry.awaits_answer = true;
                entry.negotiation.offer(local)
            }
            (None, None) => return,
        };
        self.agent.accept(now, session, &sdp);
    }

    fn tell_up(&mut self, call: CallId) {
        let Some(entry) = self.calls.get(&call) else { return };
        let (code, plan) = (entry.code, entry.plan.clone());
        if let (Some(media), Some(dialog)) = (plan, self.agent.dialog_id(entry.session)) {
            self.tell(call, Event::Answered { code, media, dialog });
        }
    }

    fn remove(&mut self, now: Instant, call: CallId) {
        if let Some(entry) = self.calls.remove(&call) {
            self.legs -= usize::from(entry.kind == Kind::Leg);
            if let (Some(address), Some(phones)) = (entry.phone, &mut self.phones) {
                phones.call_ended(now, address);
            }
            self.by_session.remove(&entry.session);
            if let Some(due) = entry.due {
                self.deadlines.remove(&(due, call));
            }
        }
    }
}

fn incoming(flow: Flow, invite: &Message, has_offer: bool) -> Incoming {
    let user = |uri: &str| Uri::parse(uri).map_or(String::new(), |uri| uri.user());
    let from = invite.header(Name::From).and_then(NameAddr::parse);
    let from_uri = from.map_or("", |from| from.uri);
    Incoming {
        flow,
        to_user: user(invite.uri()),
        to_uri: invite.uri().to_owned(),
        from_uri: from_uri.to_owned(),
        from_user: user(from_uri),
        from_display: from.map_or(String::new(), |from| from.display()),
        asserted_identity: invite.header(Name::PAssertedIdentity).map(str::to_owned),
        call_id: invite.call_id().to_owned(),
        has_offer,
        account: None,
    }
}
