//! Calling: the INVITE, its challenges, its cancelling, the ACK, and the BYE of either role.

use std::time::{Duration, Instant};

use super::{
    Agent, AgentEvent, ClientKey, Full, SessionId,
    answer::SUPPORTED_WITH_PHONES,
    clients::Purpose,
    sent::SentInvite,
    session::{Cancel, Session, State},
};
use crate::{
    Flow,
    dialog::Dialog,
    digest::{Answer, Challenge, Credentials},
    message::{Message, Method, Name, Writer},
};

/// Different ends that may answer one INVITE (it can be forked on the way); more are not acknowledged.
const MAX_FORKS: usize = 8;
/// How often a stale nonce is replaced before we take it as a refusal.
const MAX_STALE: u8 = 3;
/// Reliable provisional responses to one INVITE that are acknowledged.
const MAX_PRACKS: u8 = 20;
/// How long the answer to an abandoned INVITE is still looked for. With the 64 × T1 that a CANCEL was given before, that
/// is about the three minutes after which proxies on the way give up themselves (timer C, RFC 3261 §16.6).
const LATE_ANSWER: Duration = Duration::from_secs(120);
/// A phrase beside a code is cut to so many letters.
const MAX_REASON: usize = 200;

/// An INVITE to send.
#[derive(Debug, Clone)]
pub struct Invite {
    /// Where it goes.
    pub flow: Flow,
    /// The request URI, and the URI of `To`.
    pub uri: String,
    /// `From` without its tag, ready: `"Name" <sip:user@host>`.
    pub from: String,
    /// What to answer challenges with.
    pub credentials: Option<Credentials>,
    /// The offer.
    pub sdp: String,
    /// All messages of the call go by `flow`, wherever the far end says that it is: it is a phone, perhaps behind an
    /// address translator.
    pub keeps_flow: bool,
    /// Headers to add. Those that the agent writes itself are left out.
    pub headers: Vec<(String, String)>,
}

/// What is needed to send the INVITE again, and to put credentials on what follows it.
#[derive(Debug)]
pub(super) struct Outbound {
    invite: Invite,
    call_id: String,
    cseq: u32,
    /// From 401.
    server: Option<Attempt>,
    /// From 407.
    proxy: Option<Attempt>,
}

#[derive(Debug)]
struct Attempt {
    answer: Answer,
    stale: u8,
}

impl Outbound {
    pub(super) fn call_id(&self) -> &str {
        &self.call_id
    }

    /// Takes a challenge; `false`: there is nothing (more) to answer it with.
    fn take_challenge(&mut self, response: &Message, cnonce: u64) -> bool {
        if self.invite.credentials.is_none() {
            return false;
        }
        let is_proxy = response.code() == 407;
        let name = if is_proxy { Name::ProxyAuthenticate } else { Name::WwwAuthenticate };
        let Some(challenge) = Challenge::first(response.headers(name)) else { return false };
        let slot = if is_proxy { &mut self.proxy } else { &mut self.server };
        let stale = match slot {
            None => 0,
            // The digest was right, only its nonce was too old.
            Some(attempt) if challenge.stale && attempt.stale < MAX_STALE => attempt.stale + 1,
            // The password is wrong: asking again would not make it right, and may lock the account.
            Some(_) => return false,
        };
        *slot = Some(Attempt { answer: Answer::new(challenge, format!("{cnonce:016x}")), stale });
        true
    }

    /// The headers that the challenges so far ask for.
    fn authorize(&mut self, method: &Method, uri: &str, body: &[u8]) -> Vec<(Name, String)> {
        let Some(credentials) = &self.invite.credentials else { return Vec::new() };
        [(Name::Authorization, &mut self.server), (Name::ProxyAuthorization, &mut self.proxy)]
            .into_iter()
            .filter_map(|(name, slot)| {
                let answer = &mut slot.as_mut()?.answer;
                Some((name, answer.header(credentials, method.text(), uri, body)))
            })
            .collect()
    }
}

impl Agent {
    /// Sends an INVITE.
    ///
    /// # Errors
    ///
    /// [`Full`]: a cap is reached and nothing was sent.
    pub fn invite(&mut self, now: Instant, invite: Invite) -> Result<SessionId, Full> {
        if self.sessions.len() >= self.config.max_sessions || !self.has_room_for(&Method::Invite) {
            return Err(Full);
        }
        let id = self.new_session_id();
        let flow = invite.flow;
        let call_id = format!("{:016x}{:016x}", self.random(), self.random());
        let outbound = Outbound { call_id, cseq: 0, server: None, proxy: None, invite };
        let state = State::Inviting { branch: 0, cancel: Cancel::No, early_bye: None, rseq: None };
        let session = Session {
            keeps_flow: outbound.invite.keeps_flow,
            outbound: Some(Box::new(outbound)),
            ..Session::new(flow, state)
        };
        self.sessions.insert(id, session);
        self.send_invite(now, id);
        Ok(id)
    }

    /// The first INVITE of a session, or the next after a challenge.
    fn send_invite(&mut self, now: Instant, id: SessionId) {
        let new_branch = self.random();
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let State::Inviting { branch, .. } = &mut session.state else { return };
        *branch = new_branch;
        let flow = session.flow;
        let Some(mut outbound) = session.outbound.take() else { return };
        outbound.cseq += 1;
        let (uri, sdp) = (outbound.invite.uri.clone(), outbound.invite.sdp.clone());
        let credentials = outbound.authorize(&Method::Invite, &uri, sdp.as_bytes());
        let Outbound { invite, call_id, cseq, .. } = &*outbound;
        let routes = invite.headers.iter().filter(|(name, _)| Name::of(name) == Name::Route);
        let sent = SentInvite {
            via: self.via(&flow, new_branch),
            from: format!("{};tag={}", invite.from, id.tag()),
            to: format!("<{uri}>"),
            call_id: call_id.clone(),
            cseq: *cseq,
            routes: routes.map(|(_, value)| value.clone()).collect(),
            credentials,
            uri,
            keeps_flow: invite.keeps_flow,
        };
        let mut writer = Writer::request("INVITE", &sent.uri);
        writer
            .header(Name::Via, &sent.via)
            .header(Name::MaxForwards, 70)
            .header(Name::From, &sent.from)
            .header(Name::To, &sent.to)
            .header(Name::CallId, &sent.call_id)
            .header(Name::CSeq, format_args!("{cseq} INVITE"))
            .header(Name::Contact, self.contact(&flow))
            .header(Name::Allow, self.allow())
            .header(Name::UserAgent, &self.config.user_agent);
        if sent.keeps_flow {
            writer.header(Name::Supported, SUPPORTED_WITH_PHONES);
        }
        for (name, value) in &invite.headers {
            if !is_ours(Name::of(name)) {
                writer.header_named(name, value);
            }
        }
        for (name, value) in &sent.credentials {
            writer.header(*name, value);
        }
        let bytes = writer.finish_typed("application/sdp", sdp.as_bytes());
        if let Some(session) = self.sessions.get_mut(&id) {
            session.outbound = Some(outbound);
        }
        let purpose =
            Purpose::Invite { sent: Box::new(sent), refusal_ack: None, acks: Vec::new(), abandoned: None };
        self.start_client(now, new_branch, flow, bytes, id, purpose);
    }

    /// Takes an INVITE back: at once, or as soon as it may be. `Refused` (487) or `Accepted` follows, if the far end
    /// is still there.
    pub fn cancel(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let State::Inviting { branch, cancel: cancel @ Cancel::No, .. } = &mut session.state else { return };
        *cancel = Cancel::Wanted;
        let key = ClientKey { branch: *branch, is_cancel: false };
        if self.clients.get(&key).is_some_and(|entry| entry.machine.is_proceeding()) {
            self.send_cancel(now, id, key);
        }
    }

    /// RFC 3261 §9.1: everything as in the INVITE.
    fn send_cancel(&mut self, now: Instant, id: SessionId, key: ClientKey) {
        let Some(entry) = self.clients.get(&key) else { return };
        let (flow, Some(invite)) = (entry.flow, entry.invite()) else { return };
        let mut writer = invite.like(&Method::Cancel, &invite.to);
        writer.header(Name::UserAgent, &self.config.user_agent);
        if let Some(Session { state: State::Inviting { cancel, .. }, .. }) = self.sessions.get_mut(&id) {
            *cancel = Cancel::Sent;
        }
        self.start_client(now, key.branch, flow, writer.finish(), id, Purpose::Cancel);
    }

    /// Stops waiting for the answer to an INVITE. No event follows, and there is no session any more. Whoever still picks
    /// up within the next two minutes is acknowledged and closed, so he is not left on the line.
    pub fn abandon(&mut self, now: Instant, id: SessionId) {
        let Some(Session { state: State::Inviting { branch, .. }, .. }) = self.sessions.get(&id) else {
            return;
        };
        let key = ClientKey { branch: *branch, is_cancel: false };
        let outbound = self.drop_session(id).and_then(|session| session.outbound);
        let Some(entry) = self.clients.get_mut(&key) else { return };
        entry.machine.outstay(now + LATE_ANSWER);
        if let Purpose::Invite { abandoned, .. } = &mut entry.purpose {
            *abandoned = outbound;
        }
        self.settle_client(key);
    }

    pub(super) fn invite_progressed(&mut self, now: Instant, id: SessionId, branch: u64, response: &Message) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let State::Inviting { branch: current, cancel, rseq, .. } = &mut session.state else { return };
        if *current != branch {
            return;
        }
        let wants_cancel = *cancel == Cancel::Wanted;
        let is_reliable =
            response.code() > 100 && response.to_tag().is_some() && response.lists(Name::Require, "100rel");
        let number =
            response.header(Name::RSeq).and_then(|value| value.parse::<u32>().ok()).filter(|_| is_reliable);
        let acknowledge =
            number.filter(|number| rseq.is_none_or(|(last, count)| *number > last && count < MAX_PRACKS));
        if let Some(number) = acknowledge {
            *rseq = Some((number, rseq.map_or(1, |(_, count)| count + 1)));
            self.send_prack(now, id, branch, response, number);
        }
        if wants_cancel {
            self.send_cancel(now, id, ClientKey { branch, is_cancel: false });
        }
        // A repetition of a reliable response tells nothing new.
        if number.is_none() || acknowledge.is_some() {
            let sdp = response.sdp();
            self.tell(id, AgentEvent::Progress { code: response.code(), sdp });
        }
    }

    /// Acknowledges a reliable provisional response (RFC 3262 §4). We do not ask for them, but some trunks insist.
    fn send_prack(&mut self, now: Instant, id: SessionId, branch: u64, response: &Message, number: u32) {
        let Some(entry) = self.clients.get(&ClientKey { branch, is_cancel: false }) else { return };
        let Some(invite) = entry.invite() else { return };
        let (dialog, invite_cseq) = (invite.dialog(response), invite.cseq);
        let flow = dialog.next_hop(entry.flow);
        let new_branch = self.random();
        let via = self.via(&flow, new_branch);
        // The early dialog lives on only in its responses, so the session counts for it.
        let Some(outbound) = self.sessions.get_mut(&id).and_then(|session| session.outbound.as_mut()) else {
            return;
        };
        outbound.cseq += 1;
        let cseq = outbound.cseq;
        let mut writer = dialog.request(&Method::Prack, cseq, &via);
        writer.header(Name::RAck, format_args!("{number} {invite_cseq} INVITE"));
        self.authorize(id, &mut writer, &Method::Prack, dialog.request_uri());
        self.start_client(now, new_branch, flow, writer.finish(), id, Purpose::Prack);
    }

    pub(super) fn authorize(&mut self, id: SessionId, writer: &mut Writer, method: &Method, uri: &str) {
        writer.header(Name::UserAgent, &self.config.user_agent);
        if let Some(outbound) = self.sessions.get_mut(&id).and_then(|session| session.outbound.as_mut()) {
            for (name, value) in outbound.authorize(method, uri, b"") {
                writer.header(name, value);
            }
        }
    }

    pub(super) fn invite_accepted(
        &mut self,
        now: Instant,
        id: SessionId,
        key: ClientKey,
        response: &Message,
    ) {
        let is_first = self.is_inviting(id, key.branch);
        let ack_branch = self.random();
        let Some(entry) = self.clients.get(&key) else { return };
        let Purpose::Invite { sent: invite, acks, .. } = &entry.purpose else { return };
        if let Some((_, flow, ack)) = acks.iter().find(|(tag, ..)| tag.as_deref() == response.to_tag()) {
            // The ACK was lost.
            let (flow, ack) = (*flow, ack.clone());
            self.send(flow, ack);
            return;
        }
        if acks.len() == MAX_FORKS {
            return;
        }
        let invite_flow = entry.flow;
        let dialog = invite.dialog(response);
        let flow = dialog.next_hop(invite_flow);
        let mut writer = dialog.request(&Method::Ack, invite.cseq, &self.via(&flow, ack_branch));
        writer.header(Name::UserAgent, &self.config.user_agent);
        // The same credentials as in the INVITE: an ACK cannot be challenged (RFC 3261 §22.1).
        for (name, value) in &invite.credentials {
            writer.header(*name, value);
        }
        let ack = writer.finish();
        self.send(flow, ack.clone());
        let mut late = None;
        if let Some(Purpose::Invite { acks, abandoned, .. }) =
            self.clients.get_mut(&key).map(|entry| &mut entry.purpose)
        {
            acks.push((response.to_tag().map(Into::into), flow, ack));
            late = abandoned.take();
        }
        match late {
            _ if is_first => self.begin_talk(id, dialog, response),
            Some(outbound) => self.close_late(now, id, dialog, invite_flow, outbound),
            None => self.close_fork(now, id, dialog, invite_flow),
        }
    }

    /// Somebody picked up after we gave up. His call is closed like one of ours that was up, challenges to the BYE
    /// included; the one who asked for the call is not told any more.
    fn close_late(
        &mut self,
        now: Instant,
        id: SessionId,
        mut dialog: Dialog,
        flow: Flow,
        outbound: Box<Outbound>,
    ) {
        dialog.count_from(outbound.cseq);
        let session = Session {
            outbound: Some(outbound),
            ..Session::new(flow, State::Talking { dialog: Box::new(dialog) })
        };
        self.sessions.insert(id, session);
        self.send_bye(now, id);
    }

    fn begin_talk(&mut self, id: SessionId, mut dialog: Dialog, response: &Message) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        dialog.count_from(session.outbound.as_ref().map_or(0, |outbound| outbound.cseq));
        let talking = State::Talking { dialog: Box::new(dialog) };
        let State::Inviting { early_bye, .. } = std::mem::replace(&mut session.state, talking) else {
            return;
        };
        self.tell(id, AgentEvent::Accepted { code: response.code(), sdp: response.sdp() });
        if early_bye.is_some_and(|tag| tag.as_deref() == response.to_tag()) {
            self.drop_session(id);
            self.tell(id, AgentEvent::HungUp);
        }
    }

    /// Somebody else picked up first: this one is told so at once.
    fn close_fork(&mut self, now: Instant, id: SessionId, mut dialog: Dialog, flow: Flow) {
        let branch = self.random();
        let flow = dialog.next_hop(flow);
        let (cseq, via) = (dialog.next_cseq(), self.via(&flow, branch));
        let mut writer = dialog.request(&Method::Bye, cseq, &via);
        self.authorize(id, &mut writer, &Method::Bye, dialog.request_uri());
        self.start_client(now, branch, flow, writer.finish(), id, Purpose::Orphan);
    }

    /// RFC 3261 §17.1.1.3: the ACK to a refusal is part of the INVITE's transaction.
    pub(super) fn acknowledge_refusal(&mut self, key: ClientKey, response: &Message) {
        let Some(entry) = self.clients.get(&key) else { return };
        let (flow, Some(invite)) = (entry.flow, entry.invite()) else { return };
        let ack = invite.like(&Method::Ack, response.header(Name::To).unwrap_or("")).finish();
        self.send(flow, ack.clone());
        if let Some(Purpose::Invite { refusal_ack, .. }) =
            self.clients.get_mut(&key).map(|entry| &mut entry.purpose)
        {
            *refusal_ack = Some(ack);
        }
    }

    pub(super) fn invite_refused(&mut self, now: Instant, id: SessionId, branch: u64, response: &Message) {
        if !self.is_inviting(id, branch) {
            return;
        }
        let cnonce = self.random();
        let session = self.sessions.get_mut(&id).expect("it is inviting");
        let is_wanted = matches!(session.state, State::Inviting { cancel: Cancel::No, .. });
        let is_challenge = is_wanted && matches!(response.code(), 401 | 407);
        if is_challenge
            && session.outbound.as_mut().is_some_and(|outbound| outbound.take_challenge(response, cnonce))
        {
            self.send_invite(now, id);
            return;
        }
        self.drop_session(id);
        let reason = response.reason().chars().take(MAX_REASON).collect();
        self.tell(id, AgentEvent::Refused { code: response.code(), reason });
    }

    /// Ends a talk. No event follows. A 2xx of ours that was not acknowledged yet holds the BYE back (RFC 3261 §15).
    pub fn bye(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if session.unacknowledged.is_some() {
            session.bye_wanted = true;
        } else {
            self.send_bye(now, id);
        }
    }

    pub(super) fn send_bye(&mut self, now: Instant, id: SessionId) {
        self.drop_referral(now, id);
        let branch = self.random();
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let invited = State::Inviting { branch: 0, cancel: Cancel::Sent, early_bye: None, rseq: None };
        let (mut dialog, is_challenged) = match std::mem::replace(&mut session.state, invited) {
            State::Talking { dialog } => (dialog, false),
            State::Closing { dialog, .. } => (dialog, true),
            other => {
                session.state = other;
                return;
            }
        };
        let flow = dialog.next_hop(session.flow);
        let (cseq, via) = (dialog.next_cseq(), self.via(&flow, branch));
        let mut writer = dialog.request(&Method::Bye, cseq, &via);
        self.authorize(id, &mut writer, &Method::Bye, dialog.request_uri());
        if let Some(session) = self.sessions.get_mut(&id) {
            session.state = State::Closing { dialog, is_challenged };
        }
        self.start_client(now, branch, flow, writer.finish(), id, Purpose::Bye);
    }

    pub(super) fn bye_answered(&mut self, now: Instant, id: SessionId, response: &Message) {
        let cnonce = self.random();
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let State::Closing { is_challenged: false, .. } = session.state else {
            self.drop_session(id);
            return;
        };
        let can_answer = matches!(response.code(), 401 | 407)
            && session
                .outbound
                .as_mut()
                .is_some_and(|outbound| outbound.take_bye_challenge(response, cnonce));
        if can_answer {
            self.send_bye(now, id);
        } else {
            self.drop_session(id);
        }
    }
}

impl Outbound {
    /// A BYE may be challenged with a nonce of its own, once.
    fn take_bye_challenge(&mut self, response: &Message, cnonce: u64) -> bool {
        if response.code() == 407 {
            self.proxy = None;
        } else {
            self.server = None;
        }
        self.take_challenge(response, cnonce)
    }
}

/// Headers that the agent writes and nobody may write for it.
fn is_ours(name: Name) -> bool {
    matches!(
        name,
        Name::Via
            | Name::From
            | Name::To
            | Name::CallId
            | Name::CSeq
            | Name::Contact
            | Name::MaxForwards
            | Name::ContentLength
            | Name::ContentType
            | Name::ContentEncoding
            | Name::Allow
            | Name::UserAgent
            | Name::Require
            | Name::Supported
            | Name::Authorization
            | Name::ProxyAuthorization
            | Name::Date
    )
}
