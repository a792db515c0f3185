//! The client transactions, found by the branches that we gave them.

use std::time::Instant;

use bytes::Bytes;

use super::{
    Agent, AgentEvent, ClientKey, SessionId, invite::Outbound, sent::SentInvite, session::State,
    timers::Owner,
};
use crate::{
    Flow,
    message::{MAGIC_COOKIE, Message, Method},
    transaction::{Client, ClientDue, Reaction},
};

#[derive(Debug)]
pub(super) struct ClientEntry {
    pub machine: Client,
    due: Option<Instant>,
    pub request: Bytes,
    pub flow: Flow,
    pub session: SessionId,
    pub purpose: Purpose,
}

/// What a transaction is for, and what that needs to remember.
#[derive(Debug)]
pub(super) enum Purpose {
    Invite {
        sent: Box<SentInvite>,
        /// The ACK to a refusal.
        refusal_ack: Option<Bytes>,
        /// The ACK to each 2xx, by its tag.
        acks: Vec<(Option<Box<str>>, Flow, Bytes)>,
        /// Nobody waits for the answer any more: what it takes to close the call of whoever still picks up.
        abandoned: Option<Box<Outbound>>,
    },
    Cancel,
    /// The session waits for its answer.
    Bye,
    Prack,
    /// What came of a REFER.
    Notify,
    /// Whether a phone is there.
    Probe,
    /// A BYE to somebody who answered second: nobody waits for its answer.
    Orphan,
}

impl Purpose {
    fn method(&self) -> Method {
        match self {
            Self::Invite { .. } => Method::Invite,
            Self::Cancel => Method::Cancel,
            Self::Bye | Self::Orphan => Method::Bye,
            Self::Prack => Method::Prack,
            Self::Notify => Method::Notify,
            Self::Probe => Method::Options,
        }
    }
}

impl ClientEntry {
    /// The INVITE, if this is its transaction.
    pub(super) fn invite(&self) -> Option<&SentInvite> {
        match &self.purpose {
            Purpose::Invite { sent, .. } => Some(sent),
            _ => None,
        }
    }

    pub(super) fn is_unanswered_orphan(&self) -> bool {
        matches!(self.purpose, Purpose::Orphan) && self.machine.is_unanswered()
    }
}

impl Agent {
    /// Sends a request and waits for its answer.
    pub(super) fn start_client(
        &mut self,
        now: Instant,
        branch: u64,
        flow: Flow,
        request: Bytes,
        session: SessionId,
        purpose: Purpose,
    ) {
        let key = ClientKey { branch, is_cancel: matches!(purpose, Purpose::Cancel) };
        let is_invite = matches!(purpose, Purpose::Invite { .. });
        let machine = Client::new(now, is_invite, flow.transport.is_reliable(), self.config.timing);
        let due = machine.due();
        self.timers.move_to(Owner::Client(key), None, due);
        self.send(flow, request.clone());
        self.clients.insert(key, ClientEntry { machine, due, request, flow, session, purpose });
    }

    /// Responses that match nothing are ignored: they are late, forged, or somebody else's.
    pub(super) fn handle_response(&mut self, now: Instant, response: &Message) {
        let Some(key) = client_key(response) else { return };
        let Some(entry) = self.clients.get_mut(&key) else { return };
        if entry.purpose.method() != *response.method() {
            return;
        }
        let reaction = entry.machine.handle_response(now, response.code());
        let session = entry.session;
        match reaction {
            Reaction::Ignore => {}
            Reaction::AcknowledgeAgain => {
                if let Purpose::Invite { refusal_ack: Some(ack), .. } = &entry.purpose {
                    let (flow, ack) = (entry.flow, ack.clone());
                    self.send(flow, ack);
                }
            }
            Reaction::AcknowledgeAndDeliver => {
                self.acknowledge_refusal(key, response);
                self.invite_refused(now, session, key.branch, response);
            }
            Reaction::Deliver => match (&entry.purpose, response.code()) {
                (Purpose::Invite { .. }, ..=199) => {
                    self.invite_progressed(now, session, key.branch, response)
                }
                (Purpose::Invite { .. }, _) => self.invite_accepted(now, session, key, response),
                (Purpose::Bye, 200..) => self.bye_answered(now, session, response),
                (Purpose::Notify, code @ 300..) => self.notify_refused(session, code),
                (Purpose::Probe, 200..) => self.probed(key.branch, true),
                _ => {}
            },
        }
        self.settle_client(key);
    }

    pub(super) fn client_due(&mut self, now: Instant, key: ClientKey) {
        let Some(entry) = self.clients.get_mut(&key) else { return };
        entry.due = None;
        match entry.machine.handle_timeout(now) {
            ClientDue::Resend => {
                let (flow, request) = (entry.flow, entry.request.clone());
                self.send(flow, request);
            }
            ClientDue::GiveUp => {
                let (session, method) = (entry.session, entry.purpose.method());
                let is_orphan = matches!(entry.purpose, Purpose::Orphan);
                let is_probe = matches!(entry.purpose, Purpose::Probe);
                if method == Method::Invite && self.is_inviting(session, key.branch) {
                    self.drop_session(session);
                    self.tell(session, AgentEvent::NoResponse);
                } else if method == Method::Bye && !is_orphan {
                    self.drop_session(session);
                } else if is_probe {
                    self.probed(key.branch, false);
                }
            }
            ClientDue::Gone | ClientDue::Nothing => {}
        }
        self.settle_client(key);
    }

    /// After anything that may have moved a transaction's timer, or ended it.
    pub(super) fn settle_client(&mut self, key: ClientKey) {
        let Some(entry) = self.clients.get_mut(&key) else { return };
        let due = entry.machine.due();
        self.timers.move_to(Owner::Client(key), entry.due, due);
        entry.due = due;
        if entry.machine.is_terminated() {
            self.clients.remove(&key);
        }
    }

    /// Whether a session still waits for the answer to the INVITE of this branch.
    pub(super) fn is_inviting(&self, session: SessionId, branch: u64) -> bool {
        matches!(
            self.sessions.get(&session).map(|session| &session.state),
            Some(State::Inviting { branch: current, .. }) if *current == branch
        )
    }
}

/// The branch that we once gave.
fn client_key(response: &Message) -> Option<ClientKey> {
    let via = response.via()?;
    let digits = via.branch()?.get(MAGIC_COOKIE.len()..)?;
    let branch = u64::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 16)?;
    Some(ClientKey { branch, is_cancel: *response.method() == Method::Cancel })
}
