//! Being called: which INVITEs become sessions, and how those are answered.

use std::time::Instant;

use bytes::Bytes;

use super::{
    Agent, AgentEvent, AgentOutput, SessionId,
    servers::{key, merge_key},
    session::{Session, State, Unacknowledged},
    timers::Owner,
};
use crate::{
    Flow,
    dialog::Dialog,
    message::{Message, Method, Name, Writer},
    uri::Uri,
};

/// What phones of ours are told that we support. A phone offers its owner to hand a call on into a talk with a colleague
/// only if these calls say `replaces` (RFC 5589 §7; baresip looks at the first one). Both are calls with us, and we carry
/// out such a REFER ourselves; so nobody has a reason to send us an INVITE with `Replaces`, and nobody else is told so.
pub(super) const SUPPORTED_WITH_PHONES: &str = "replaces";

/// Seconds after which a caller that found us full may try again.
const RETRY_AFTER: u32 = 10;

impl Agent {
    pub(super) fn handle_request(&mut self, now: Instant, flow: Flow, request: Message) {
        if *request.method() == Method::Ack {
            self.handle_ack(now, &request);
            return;
        }
        let key = key(&request, request.method());
        if let Some(server) = self.servers.find(&key) {
            self.handle_repetition(server);
            return;
        }
        if *request.method() == Method::Cancel {
            self.handle_cancel(now, flow, &request);
            return;
        }
        if let Some(tag) = request.to_tag() {
            match SessionId::of_tag(tag) {
                Some(id) => self.handle_in_dialog(now, flow, request, id, key),
                None => self.refuse(flow, &request, 481, "", |_| {}),
            }
            return;
        }
        self.handle_out_of_dialog(flow, request);
    }

    fn handle_out_of_dialog(&mut self, flow: Flow, request: Message) {
        if request.header(Name::MaxForwards).is_some_and(|value| value.parse() == Ok(0)) {
            self.refuse(flow, &request, 483, "", |_| {});
            return;
        }
        if !self.is_served(flow, &request) {
            return;
        }
        match request.method() {
            Method::Invite => self.handle_invite(flow, request),
            Method::Options => {
                let allow = self.allow();
                self.refuse(flow, &request, 200, "", |writer| {
                    writer.header(Name::Allow, allow).header(Name::Accept, "application/sdp");
                });
            }
            Method::Register => {
                let request = Box::new(request);
                self.outputs.push_back(AgentOutput::Register { flow, request });
            }
            // They make sense in a dialog only.
            _ => self.refuse(flow, &request, 481, "", |_| {}),
        }
    }

    /// Refuses what nobody here understands, in the order of RFC 3261 §8.2.
    pub(super) fn is_served(&mut self, flow: Flow, request: &Message) -> bool {
        let is_known = match request.method() {
            Method::Other(_) | Method::Notify => false,
            Method::Register | Method::Refer => self.config.serves_phones,
            _ => true,
        };
        if !is_known {
            let code = if request.method().is_defined() { 405 } else { 501 };
            let allow = self.allow();
            self.refuse(flow, request, code, "", |writer| {
                writer.header(Name::Allow, allow);
            });
            return false;
        }
        if !Uri::parse(request.uri()).is_some_and(|uri| uri.is_sip() || uri.is_tel()) {
            self.refuse(flow, request, 416, "", |_| {});
            return false;
        }
        // We have none of the extensions that anybody could require of us in a request.
        let required: Vec<&str> = request.values(Name::Require).take(20).collect();
        if !required.is_empty() {
            let required = required.join(", ");
            self.refuse(flow, request, 420, "", |writer| {
                writer.header(Name::Unsupported, required);
            });
            return false;
        }
        if matches!(request.method(), Method::Invite | Method::Update) && !request.body().is_empty() {
            let is_encoded = request
                .header(Name::ContentEncoding)
                .is_some_and(|value| !value.eq_ignore_ascii_case("identity"));
            let is_known = request.content_type().is_some_and(|content_type| {
                content_type == "application/sdp" || content_type.starts_with("multipart/")
            });
            if is_encoded || !is_known {
                self.refuse(flow, request, 415, "", |writer| {
                    writer
                        .header(Name::Accept, "application/sdp")
                        .header_named("Accept-Encoding", "identity");
                });
                return false;
            }
        }
        let is_choosy = *request.method() == Method::Invite && request.header(Name::Accept).is_some();
        if is_choosy && !request.values(Name::Accept).any(is_sdp_range) {
            self.refuse(flow, request, 406, "", |_| {});
            return false;
        }
        true
    }

    fn handle_invite(&mut self, flow: Flow, invite: Message) {
        // No call of ours can be taken over from outside: whoever hands a call on to another of ours asks for it by
        // REFER. Taken for a new call, it would be one that nobody meant.
        if invite.header(Name::Replaces).is_some() {
            self.refuse(flow, &invite, 481, "", |_| {});
            return;
        }
        let request = Box::new(invite);
        self.outputs.push_back(AgentOutput::Invite { flow, request });
    }

    /// Takes an INVITE that [`AgentOutput::Invite`] brought: a session begins, to be answered by [`Agent::ring`],
    /// [`Agent::accept`] or [`Agent::reject`]; until then its sender hears 100. `None`: it is a copy that came another way,
    /// or a cap is reached; that was answered.
    pub fn admit(&mut self, now: Instant, flow: Flow, invite: &Message) -> Option<SessionId> {
        if self.servers.is_merged(&merge_key(invite)) {
            self.refuse(flow, invite, 482, "Loop Detected", |_| {});
            return None;
        }
        if self.sessions.len() >= self.config.max_sessions || !self.has_room_for(&Method::Invite) {
            self.refuse(flow, invite, 503, "", |writer| {
                writer.header(Name::RetryAfter, RETRY_AFTER);
            });
            return None;
        }
        let id = self.new_session_id();
        let server = self.start_server(now, flow, invite, key(invite, &Method::Invite), id);
        let state = State::Invited { server, invite: Box::new(invite.clone()) };
        let session = Session { requests: 1, ..Session::new(flow, state) };
        self.sessions.insert(id, session);
        Some(id)
    }

    /// Answers an INVITE provisionally (101–199); with a session description sound may flow at once.
    pub fn ring(&mut self, now: Instant, id: SessionId, code: u16, sdp: Option<&str>) {
        let Some(Session { flow, state: State::Invited { server, invite }, .. }) = self.sessions.get(&id)
        else {
            return;
        };
        let (server, code) = (*server, code.clamp(101, 199));
        let bytes = self.response(flow, invite, id, code, "", sdp);
        self.respond(now, server, code, bytes);
    }

    /// Answers an INVITE with 200. The session description is the answer to its offer, or our offer if it had none.
    pub fn accept(&mut self, now: Instant, id: SessionId, sdp: &str) {
        let Some(Session { flow, keeps_flow, state: State::Invited { server, invite }, .. }) =
            self.sessions.get(&id)
        else {
            return;
        };
        let (server, flow) = (*server, *flow);
        if !self.is_unanswered(server) {
            return;
        }
        let bytes = self.response(&flow, invite, id, 200, "", Some(sdp));
        let (cseq, mut dialog) = (invite.cseq(), Box::new(Dialog::from_request(invite, &id.tag())));
        if *keeps_flow {
            dialog.keep_to_flow();
        }
        self.respond(now, server, 200, bytes.clone());
        if let Some(session) = self.sessions.get_mut(&id) {
            session.state = State::Talking { dialog };
        }
        self.await_ack(now, id, flow, cseq, bytes);
    }

    /// Repeats a 2xx until its ACK comes.
    pub(super) fn await_ack(&mut self, now: Instant, id: SessionId, flow: Flow, cseq: u32, bytes: Bytes) {
        let timing = self.config.timing;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let before = session.due();
        session.unacknowledged = Some(Unacknowledged {
            cseq,
            flow,
            bytes,
            resend_at: now + timing.t1,
            pause: timing.t1,
            give_up_at: now + timing.transaction(),
        });
        let after = session.due();
        self.timers.move_to(Owner::Session(id), before, after);
    }

    /// Refuses an INVITE (300–699). The session is over.
    pub fn reject(&mut self, now: Instant, id: SessionId, code: u16, reason: &str) {
        self.refuse_session(now, id, code.clamp(300, 699), reason);
    }

    pub(super) fn refuse_session(&mut self, now: Instant, id: SessionId, code: u16, reason: &str) {
        let Some(Session { flow, state: State::Invited { server, invite }, .. }) = self.sessions.get(&id)
        else {
            return;
        };
        let server = *server;
        let bytes = self.response(flow, invite, id, code, reason, None);
        self.respond(now, server, code, bytes);
        self.drop_session(id);
    }

    /// A response to the INVITE of a session, with all that makes or marks a dialog.
    fn response(
        &self,
        flow: &Flow,
        invite: &Message,
        id: SessionId,
        code: u16,
        reason: &str,
        sdp: Option<&str>,
    ) -> Bytes {
        let mut writer = Writer::response_to(invite, flow, code, reason, Some(&id.tag()));
        if code < 300 {
            for route in invite.headers(Name::RecordRoute) {
                writer.header(Name::RecordRoute, route);
            }
            writer.header(Name::Contact, self.contact(flow)).header(Name::Allow, self.allow());
            if self.sessions.get(&id).is_some_and(|session| session.keeps_flow) {
                writer.header(Name::Supported, SUPPORTED_WITH_PHONES);
            }
        }
        if code == 503 {
            writer.header(Name::RetryAfter, RETRY_AFTER);
        }
        writer.header(Name::Server, &self.config.user_agent);
        match sdp {
            Some(sdp) => writer.finish_typed("application/sdp", sdp.as_bytes()),
            None => writer.finish(),
        }
    }

    /// The CANCEL itself is answered 200 even when it comes too late to have an effect (RFC 3261 §9.2).
    fn handle_cancel(&mut self, now: Instant, flow: Flow, cancel: &Message) {
        let Some(server) = self.servers.find(&key(cancel, &Method::Invite)) else {
            self.refuse(flow, cancel, 481, "", |_| {});
            return;
        };
        let session = self.servers.session_of(server);
        let tag = session.map(SessionId::tag);
        let mut writer = Writer::response_to(cancel, &flow, 200, "", tag.as_deref());
        writer.header(Name::Server, &self.config.user_agent);
        self.send(flow, writer.finish());
        let is_waiting = |id: &SessionId| {
            matches!(self.sessions.get(id).map(|session| &session.state), Some(State::Invited { .. }))
        };
        if let Some(id) = session.filter(|_| self.is_unanswered(server)).filter(is_waiting) {
            self.refuse_session(now, id, 487, "");
            self.tell(id, AgentEvent::Canceled);
        }
    }

    fn handle_ack(&mut self, now: Instant, ack: &Message) {
        // The ACK to a refusal has the branch of its INVITE; that to a 2xx has its own.
        if let Some(server) = self.servers.find(&key(ack, &Method::Invite)) {
            self.handle_refusal_ack(now, server);
            // Old ends without branches send both alike.
            if ack.via().is_some_and(|via| via.branch().is_some()) {
                return;
            }
        }
        let Some(id) = ack.to_tag().and_then(SessionId::of_tag) else { return };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if !session.dialog().is_some_and(|dialog| dialog.matches(ack)) {
            return;
        }
        let before = session.due();
        if session.unacknowledged.take_if(|waiting| waiting.cseq == ack.cseq()).is_none() {
            return;
        }
        let bye_wanted = std::mem::take(&mut session.bye_wanted);
        self.timers.move_to(Owner::Session(id), before, None);
        if bye_wanted {
            self.send_bye(now, id);
        } else {
            self.tell(id, AgentEvent::Acknowledged { sdp: ack.sdp() });
        }
    }

    /// A 2xx of ours is due again, or it is time to give up on its ACK.
    pub(super) fn session_due(&mut self, now: Instant, id: SessionId) {
        let t2 = self.config.timing.t2;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(waiting) = &mut session.unacknowledged else { return };
        if now < waiting.give_up_at {
            // Also on reliable transports: some proxy further on may have lost it.
            waiting.pause = (waiting.pause * 2).min(t2);
            waiting.resend_at = now + waiting.pause;
            let (flow, bytes) = (waiting.flow, waiting.bytes.clone());
            let due = session.due();
            self.timers.move_to(Owner::Session(id), None, due);
            self.send(flow, bytes);
            return;
        }
        session.unacknowledged = None;
        let was_closing = std::mem::take(&mut session.bye_wanted);
        self.send_bye(now, id);
        if !was_closing {
            self.tell(id, AgentEvent::NeverAcknowledged);
        }
    }
}

/// Whether a value of `Accept` covers SDP.
fn is_sdp_range(value: &str) -> bool {
    let range = value.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    matches!(range.as_str(), "application/sdp" | "application/*" | "*/*" | "*")
}
