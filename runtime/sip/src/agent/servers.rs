//! The server transactions, found by what RFC 3261 §17.2.3 says a repetition has in common with its first copy.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    time::Instant,
};

use bytes::Bytes;

use super::{Agent, SessionId, session::State, timers::Owner};
use crate::{
    Flow,
    message::{Message, Method, Name, Writer},
    transaction::{Server, ServerDue},
};

#[derive(Debug)]
pub(super) struct ServerEntry {
    machine: Server,
    due: Option<Instant>,
    key: Box<str>,
    /// Set for an INVITE outside dialogs: finds copies of it that came another way.
    merge_key: Option<Box<str>>,
    flow: Flow,
    last: Option<Bytes>,
    session: SessionId,
}

#[derive(Debug, Default)]
pub(super) struct Servers {
    entries: HashMap<u64, ServerEntry>,
    ids: HashMap<Box<str>, u64>,
    merged: HashMap<Box<str>, u64>,
    /// How many of no call are remembered of each address.
    of_nobody: HashMap<IpAddr, usize>,
    next: u64,
}

/// So many requests of no call are remembered of one address: a telephone that floods takes nobody else's place.
const OF_ONE_ADDRESS: usize = 100;

impl Servers {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether one more request of no call may be remembered of this address.
    pub(super) fn has_room_for_guest(&self, address: IpAddr) -> bool {
        self.of_nobody.get(&address).is_none_or(|count| *count < OF_ONE_ADDRESS)
    }

    /// Refusals of ours that nobody acknowledged yet.
    pub(super) fn unacknowledged(&self) -> usize {
        self.entries.values().filter(|entry| entry.machine.awaits_ack()).count()
    }

    pub(super) fn find(&self, key: &str) -> Option<u64> {
        self.ids.get(key).copied()
    }

    pub(super) fn session_of(&self, server: u64) -> Option<SessionId> {
        self.entries.get(&server).map(|entry| entry.session)
    }

    /// Whether an INVITE that matches no transaction is a copy of one that came another way (RFC 3261 §8.2.2.2).
    pub(super) fn is_merged(&self, merge_key: &str) -> bool {
        self.merged.contains_key(merge_key)
    }

    fn remove(&mut self, server: u64) {
        let Some(entry) = self.entries.remove(&server) else { return };
        if entry.session == SessionId::NOBODY
            && let Entry::Occupied(mut count) = self.of_nobody.entry(entry.flow.remote.ip())
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        self.ids.remove(&entry.key);
        if let Some(merge_key) = entry.merge_key {
            self.merged.remove(&merge_key);
        }
    }
}

/// What a request and its repetitions have in common; an ACK and a CANCEL ask with the method of their INVITE.
pub(super) fn key(request: &Message, method: &Method) -> Box<str> {
    let method = method.text();
    let via = request.via();
    if let Some((via, branch)) = via.as_ref().and_then(|via| Some((via, via.branch()?))) {
        let mut key = String::with_capacity(branch.len() + via.sent_by.len() + method.len() + 2);
        key.push_str(branch);
        key.push('\0');
        key.push_str(via.sent_by);
        key.push('\0');
        key.push_str(method);
        return key.into_boxed_str();
    }
    // As RFC 2543 had it. The tag of `To` is left out: an ACK has one where its INVITE had none.
    let via = request.values(Name::Via).next().unwrap_or("");
    let (call_id, cseq) = (request.call_id(), request.cseq());
    let (from, uri) = (request.from_tag().unwrap_or(""), request.uri());
    format!("\0{call_id}\0{cseq}\0{from}\0{uri}\0{via}\0{method}").into()
}

pub(super) fn merge_key(request: &Message) -> Box<str> {
    let (call_id, cseq) = (request.call_id(), request.cseq());
    format!("{call_id}\0{cseq}\0{}", request.from_tag().unwrap_or("")).into()
}

impl Agent {
    /// Whether one more transaction may be remembered. Those that end calls may use as much again.
    pub(super) fn has_room_for(&self, method: &Method) -> bool {
        let limit = match method {
            Method::Bye => self.config.max_transactions.saturating_mul(2),
            _ => self.config.max_transactions,
        };
        self.transactions() < limit
    }

    /// Remembers a request, so that repetitions of it are known.
    pub(super) fn start_server(
        &mut self,
        now: Instant,
        flow: Flow,
        request: &Message,
        key: Box<str>,
        session: SessionId,
    ) -> u64 {
        let is_invite = *request.method() == Method::Invite;
        let machine = Server::new(now, is_invite, flow.transport.is_reliable(), self.config.timing);
        let merge_key = (is_invite && request.to_tag().is_none()).then(|| merge_key(request));
        if session == SessionId::NOBODY {
            *self.servers.of_nobody.entry(flow.remote.ip()).or_default() += 1;
        }
        self.servers.next += 1;
        let server = self.servers.next;
        self.servers.ids.insert(key.clone(), server);
        if let Some(merge_key) = &merge_key {
            self.servers.merged.insert(merge_key.clone(), server);
        }
        let due = machine.due();
        self.timers.move_to(Owner::Server(server), None, due);
        self.servers
            .entries
            .insert(server, ServerEntry { machine, due, key, merge_key, flow, last: None, session });
        server
    }

    /// Sends a response by its transaction.
    pub(super) fn respond(&mut self, now: Instant, server: u64, code: u16, bytes: Bytes) {
        let Some(entry) = self.servers.entries.get_mut(&server) else { return };
        if !entry.machine.respond(now, code) {
            return;
        }
        // A 2xx to an INVITE is repeated by its session.
        entry.last = entry.machine.repeats_response().then(|| bytes.clone());
        let flow = entry.flow;
        self.send(flow, bytes);
        self.settle_server(server);
    }

    /// A copy of a request that is remembered.
    pub(super) fn handle_repetition(&mut self, server: u64) {
        let Some(entry) = self.servers.entries.get(&server) else { return };
        if let Some(bytes) = entry.last.clone().filter(|_| entry.machine.repeats_response()) {
            let flow = entry.flow;
            self.send(flow, bytes);
        }
    }

    /// The ACK to a refusal of ours.
    pub(super) fn handle_refusal_ack(&mut self, now: Instant, server: u64) {
        if let Some(entry) = self.servers.entries.get_mut(&server) {
            entry.machine.handle_ack(now);
            self.settle_server(server);
        }
    }

    /// Whether the request has had no final response yet.
    pub(super) fn is_unanswered(&self, server: u64) -> bool {
        self.servers.entries.get(&server).is_some_and(|entry| entry.machine.is_proceeding())
    }

    pub(super) fn server_due(&mut self, now: Instant, server: u64) {
        let Some(entry) = self.servers.entries.get_mut(&server) else { return };
        entry.due = None;
        match entry.machine.handle_timeout(now) {
            ServerDue::Resend => {
                if let Some(bytes) = entry.last.clone() {
                    let flow = entry.flow;
                    self.send(flow, bytes);
                }
            }
            ServerDue::Trying => {
                let (flow, session) = (entry.flow, entry.session);
                if let Some(State::Invited { invite, .. }) =
                    self.sessions.get(&session).map(|session| &session.state)
                {
                    let bytes = Writer::response_to(invite, &flow, 100, "", None).finish();
                    self.servers.entries.get_mut(&server).expect("it was there a moment ago").last =
                        Some(bytes.clone());
                    self.send(flow, bytes);
                }
            }
            ServerDue::Gone | ServerDue::Nothing => {}
        }
        self.settle_server(server);
    }

    /// After anything that may have moved a transaction's timer, or ended it.
    fn settle_server(&mut self, server: u64) {
        let Some(entry) = self.servers.entries.get_mut(&server) else { return };
        let due = entry.machine.due();
        self.timers.move_to(Owner::Server(server), entry.due, due);
        entry.due = due;
        if entry.machine.is_terminated() {
            let session = entry.session;
            self.servers.remove(server);
            if let Some(session) = self.sessions.get_mut(&session) {
                session.requests = session.requests.saturating_sub(1);
            }
        }
    }
}
