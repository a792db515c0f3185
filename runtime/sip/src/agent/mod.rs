//! A SIP user agent: calls out, calls in, and everything that goes on below them.
//!
//! The agent performs no I/O and reads no clock. Its driver passes bytes and the time in, sends what
//! [`Agent::poll_output`] asks for, and calls [`Agent::handle_timeout`] once [`Agent::poll_timeout`] is reached.
//!
//! What it does by itself: sends again and gives up by the timers; holds a CANCEL back until the first provisional
//! response; answers challenges (401 and 407, once each, again when the nonce was merely stale); acknowledges every 2xx
//! to an INVITE, also repeated ones, and closes the dialogs of those that came second; repeats its own 2xx until the ACK;
//! holds a BYE back until then; answers BYE, CANCEL, INFO, OPTIONS; refuses what it cannot serve, with the reason.
//!
//! # Invariants
//!
//! * Of a session that called out, exactly one of `Accepted`, `Refused`, `NoResponse` comes out, unless it is abandoned.
//! * Nothing comes out for a session after `Refused`, `NoResponse`, `Canceled`, `HungUp` or `NeverAcknowledged`.
//! * Transactions and sessions never exceed their caps; what is over is answered 503, statelessly.
//! * Answers leave on the flow that the request came by.
//!
//! Deliberately absent: how long it may ring, what an offer means, whether there may be a call: those belong to `call`.
//! Names of hosts are not looked up: [`crate::dialog::Dialog::next_hop`] says where requests go then.

mod answer;
mod clients;
mod in_dialog;
mod invite;
mod outside;
mod refer;
mod sent;
mod servers;
mod session;
mod timers;

use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use bytes::Bytes;
use rand::{Rng as _, SeedableRng as _, rngs::ChaCha12Rng};

use self::{
    clients::ClientEntry,
    servers::Servers,
    session::Session,
    timers::{Owner, Timers},
};
use crate::{
    Flow, Timing,
    dialog::DialogId,
    message::{MAGIC_COOKIE, Message, Name, Unreadable, Writer, read},
};

pub use invite::Invite;
pub use outside::ProbeId;
pub use session::SessionId;

/// The methods that are served everywhere.
pub const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE";
/// The methods that are served where phones register.
const ALLOW_PHONES: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, REGISTER, REFER";

/// Settings of an [`Agent`].
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// `User-Agent` and `Server`.
    pub user_agent: String,
    /// The user part of our `Contact`.
    pub contact_user: String,
    /// `host` or `host:port` to name in `Via` and `Contact` instead of the flow's local address.
    pub advertise: Option<String>,
    /// Whether phones may register here and hand calls on (REFER, also into a call that it names by `Replaces`).
    pub serves_phones: bool,
    /// How many sessions there may be, those that wait for the answer to their BYE included.
    pub max_sessions: usize,
    /// How many transactions there may be.
    pub max_transactions: usize,
    /// The clock constants.
    pub timing: Timing,
}

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentOutput {
    /// Send one message.
    Send {
        /// By which way.
        flow: Flow,
        /// The whole message.
        bytes: Bytes,
    },
    /// Tell whoever owns the session.
    Event {
        /// Which session.
        session: SessionId,
        /// What happened.
        event: AgentEvent,
    },
    /// A sound REGISTER came. To be answered by [`Agent::answer_and_forget`] or [`Agent::answer_and_remember`] before
    /// any other input.
    Register {
        /// Where from.
        flow: Flow,
        /// The REGISTER.
        request: Box<Message>,
    },
    /// A sound INVITE outside any dialog came. To be answered by [`Agent::admit`] or [`Agent::answer_and_forget`] before
    /// any other input: until it is admitted, nothing of it is remembered.
    Invite {
        /// Where from.
        flow: Flow,
        /// The INVITE.
        request: Box<Message>,
    },
    /// What came of [`Agent::probe`].
    Probed {
        /// Which question.
        probe: ProbeId,
        /// Whether anything was answered.
        is_there: bool,
    },
}

/// Something happened to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentEvent {
    /// A provisional response to our INVITE came.
    Progress {
        /// 100–199; 100: somebody has it, and says no more as yet.
        code: u16,
        /// Its session description.
        sdp: Option<Bytes>,
    },
    /// A 2xx to our INVITE came and was acknowledged.
    Accepted {
        /// 200–299.
        code: u16,
        /// Its session description: the answer to our offer.
        sdp: Option<Bytes>,
    },
    /// A final response of 300 or more to our INVITE came. The session is over.
    Refused {
        /// 300–699.
        code: u16,
        /// The phrase beside it.
        reason: String,
    },
    /// Nothing came back for our INVITE (timer B). The session is over.
    NoResponse,
    /// The caller took the INVITE back; it was answered 487. The session is over.
    Canceled,
    /// The ACK to our 2xx came.
    Acknowledged {
        /// Its session description: the answer to the offer in our 2xx, if that had one.
        sdp: Option<Bytes>,
    },
    /// The ACK to our 2xx never came; a BYE was sent. The session is over.
    NeverAcknowledged,
    /// A re-INVITE or an UPDATE came. [`Agent::answer_offer`] has to be called before any other input.
    Offered {
        /// The offer; `None`: the far end asks for one of ours.
        sdp: Option<Bytes>,
    },
    /// INFO came and was answered 200.
    Info {
        /// The media type, in lower case.
        content_type: String,
        /// What it says.
        body: Bytes,
    },
    /// A REFER came: the far end wants its call handed on. [`Agent::answer_refer`] answers it, now or later.
    Referred {
        /// The REFER; what it asks for is not looked into yet.
        request: Box<Message>,
    },
    /// The far end's BYE came and was answered 200. The session is over.
    HungUp,
}

/// A cap is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the agent has as many sessions or transactions as it may have")]
pub struct Full;

/// A client transaction by the branch that we gave it; the CANCEL of an INVITE shares its branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct ClientKey {
    branch: u64,
    is_cancel: bool,
}

/// See the module's doc.
pub struct Agent {
    config: AgentConfig,
    rng: ChaCha12Rng,
    /// Makes the tags of stateless answers: the same for the same request, and not to be guessed.
    secret: u64,
    clients: HashMap<ClientKey, ClientEntry>,
    servers: Servers,
    sessions: HashMap<SessionId, Session>,
    timers: Timers,
    outputs: VecDeque<AgentOutput>,
}

impl Agent {
    /// An agent without sessions. Tags, branches and Call-IDs all come from `seed`.
    pub fn new(config: AgentConfig, seed: u64) -> Self {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let secret = rng.next_u64();
        Self {
            config,
            rng,
            secret,
            clients: HashMap::new(),
            servers: Servers::default(),
            sessions: HashMap::new(),
            timers: Timers::default(),
            outputs: VecDeque::new(),
        }
    }

    /// What came from the network: one datagram, or one framed message of a stream.
    pub fn handle_bytes(&mut self, now: Instant, flow: Flow, bytes: &[u8]) {
        match read(bytes, flow.transport) {
            Ok(message) if message.is_request() => self.handle_request(now, flow, message),
            Ok(message) => self.handle_response(now, &message),
            Err(Unreadable::Silent(_)) => {}
            Err(Unreadable::Answer(bad)) => self.refuse(flow, &bad.request, bad.code, bad.reason, |_| {}),
        }
    }

    /// To be called once [`Self::poll_timeout`] is reached; earlier or later does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(owner) = self.timers.pop(now) {
            match owner {
                Owner::Client(key) => self.client_due(now, key),
                Owner::Server(server) => self.server_due(now, server),
                Owner::Session(session) => self.session_due(now, session),
            }
        }
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// What to do next; `None`: nothing until the next input.
    pub fn poll_output(&mut self) -> Option<AgentOutput> {
        self.outputs.pop_front()
    }

    /// Sessions that are not over, those that wait for the answer to their BYE included.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Transactions that still remember something.
    pub fn transactions(&self) -> usize {
        self.clients.len() + self.servers.len()
    }

    /// What far ends have yet to confirm, so that whoever stops now may leave somebody on the line: sessions, BYEs to
    /// those who answered second, refusals without their ACK. Counts them one by one.
    pub fn unconfirmed(&self) -> usize {
        let orphans = self.clients.values().filter(|entry| entry.is_unanswered_orphan()).count();
        self.sessions.len() + orphans + self.servers.unacknowledged()
    }

    /// Timers that are set: never more than sessions and transactions.
    pub fn timers(&self) -> usize {
        self.timers.len()
    }

    /// A number from the agent's own source, for whoever needs one that is repeatable too.
    pub fn random(&mut self) -> u64 {
        self.rng.next_u64()
    }

    fn send(&mut self, flow: Flow, bytes: Bytes) {
        self.outputs.push_back(AgentOutput::Send { flow, bytes });
    }

    fn tell(&mut self, session: SessionId, event: AgentEvent) {
        self.outputs.push_back(AgentOutput::Event { session, event });
    }

    /// A number that no session has.
    fn new_session_id(&mut self) -> SessionId {
        loop {
            let id = SessionId(self.rng.next_u64());
            if id != SessionId::NOBODY && !self.sessions.contains_key(&id) {
                return id;
            }
        }
    }

    /// Forgets a session; its transactions live on until their timers run out.
    fn drop_session(&mut self, id: SessionId) -> Option<Session> {
        let session = self.sessions.remove(&id)?;
        self.timers.move_to(Owner::Session(id), session.due(), None);
        Some(session)
    }

    /// The methods that are served.
    fn allow(&self) -> &'static str {
        if self.config.serves_phones { ALLOW_PHONES } else { ALLOW }
    }

    /// How the two ends of a call that is up name it (RFC 3261 §12).
    pub fn dialog_id(&self, id: SessionId) -> Option<DialogId> {
        let dialog = self.sessions.get(&id)?.dialog()?;
        Some(DialogId {
            call_id: dialog.call_id().to_owned(),
            local_tag: id.tag(),
            remote_tag: dialog.remote_tag().unwrap_or("").to_owned(),
        })
    }

    /// From now on the messages of a call that came in go where its INVITE came from, whatever its `Contact` says: what
    /// it says may be true behind an address translator only.
    pub fn keep_to_flow(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.keeps_flow = true;
        }
    }

    /// Our address as others see it.
    fn host(&self, flow: &Flow) -> String {
        self.config.advertise.clone().unwrap_or_else(|| flow.local.to_string())
    }

    fn via(&self, flow: &Flow, branch: u64) -> String {
        let (transport, host) = (flow.transport.via_name(), self.host(flow));
        format!("SIP/2.0/{transport} {host};rport;branch={MAGIC_COOKIE}{branch:016x}")
    }

    fn contact(&self, flow: &Flow) -> String {
        let uri = crate::uri::sip_uri(&self.config.contact_user, &self.host(flow));
        match flow.transport {
            crate::Transport::Udp => format!("<{uri}>"),
            crate::Transport::Tcp => format!("<{uri};transport=tcp>"),
            crate::Transport::Tls => format!("<{uri};transport=tls>"),
        }
    }

    /// Answers a request without remembering it: it will be answered the same if it comes again. An ACK is never answered.
    fn refuse(
        &mut self,
        flow: Flow,
        request: &Message,
        code: u16,
        reason: &str,
        extra: impl FnOnce(&mut Writer),
    ) {
        if *request.method() == crate::message::Method::Ack {
            return;
        }
        let tag = format!("{:016x}", stateless_tag(self.secret, request.call_id()));
        let mut writer = Writer::response_to(request, &flow, code, reason, Some(&tag));
        writer.header(Name::Server, &self.config.user_agent);
        extra(&mut writer);
        self.send(flow, writer.finish());
    }
}

/// FNV-1a over the Call-ID, started from a secret.
fn stateless_tag(secret: u64, call_id: &str) -> u64 {
    call_id.bytes().fold(secret ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests;
