//! Requests inside a dialog: BYE, re-INVITE, UPDATE, INFO, OPTIONS.

use std::time::Instant;

use super::{Agent, AgentEvent, SessionId, refer::Referral, session::State};
use crate::{
    Flow,
    message::{Message, Method, Name, Writer},
};

/// Requests of one dialog that may be remembered at once; more are answered 503.
const MAX_REQUESTS: usize = 64;

impl Agent {
    pub(super) fn handle_in_dialog(
        &mut self,
        now: Instant,
        flow: Flow,
        request: Message,
        id: SessionId,
        key: Box<str>,
    ) {
        let belongs = self.sessions.get(&id).is_some_and(|session| match &session.state {
            State::Talking { dialog } | State::Closing { dialog, .. } => dialog.matches(&request),
            State::Invited { invite, .. } => {
                invite.call_id() == request.call_id() && invite.from_tag() == request.from_tag()
            }
            State::Inviting { .. } => {
                session.outbound.as_ref().is_some_and(|outbound| outbound.call_id() == request.call_id())
            }
        });
        if !belongs {
            self.refuse(flow, &request, 481, "", |_| {});
            return;
        }
        if *request.method() == Method::Bye {
            self.handle_bye(now, flow, &request, id, key);
            return;
        }
        if !self.is_served(flow, &request) {
            return;
        }
        let session = self.sessions.get_mut(&id).expect("it belongs here");
        let State::Talking { dialog } = &mut session.state else {
            // Too early for anything, or too late.
            let (code, is_early) = match session.state {
                State::Closing { .. } => (481, false),
                _ => (500, true),
            };
            self.refuse(flow, &request, code, "", |writer| {
                if is_early {
                    writer.header(Name::RetryAfter, 1);
                }
            });
            return;
        };
        if *request.method() == Method::Options {
            let allow = self.allow();
            self.refuse(flow, &request, 200, "", |writer| {
                writer.header(Name::Allow, allow).header(Name::Accept, "application/sdp");
            });
            return;
        }
        if !dialog.accept_cseq(request.cseq()) {
            self.refuse(flow, &request, 500, "CSeq out of order", |_| {});
            return;
        }
        let is_invite = *request.method() == Method::Invite;
        if is_invite && session.unacknowledged.is_some() {
            // Our last answer is still on its way: one offer at a time (RFC 3261 §14.2).
            self.refuse(flow, &request, 491, "", |_| {});
            return;
        }
        if *request.method() == Method::Refer && session.referral.is_some() {
            self.refuse(flow, &request, 491, "", |_| {});
            return;
        }
        if session.requests >= MAX_REQUESTS || !self.has_room_for(request.method()) {
            self.refuse(flow, &request, 503, "", |writer| {
                writer.header(Name::RetryAfter, 1);
            });
            return;
        }
        let server = self.start_server(now, flow, &request, key, id);
        let session = self.sessions.get_mut(&id).expect("it belongs here");
        session.requests += 1;
        match request.method() {
            Method::Invite | Method::Update => {
                if let State::Talking { dialog } = &mut session.state {
                    dialog.refresh_target(&request);
                }
                if session.keeps_flow {
                    // Its address translator may have given it another port.
                    session.flow = flow;
                }
                let sdp = request.sdp();
                if sdp.is_none() && !is_invite {
                    // A session refresh (RFC 4028): nothing changes.
                    self.answer(now, server, flow, &request, id, 200);
                    return;
                }
                session.offer = Some((server, flow, Box::new(request)));
                self.tell(id, AgentEvent::Offered { sdp });
            }
            Method::Info => {
                self.answer(now, server, flow, &request, id, 200);
                let content_type = request.content_type().unwrap_or_default();
                self.tell(id, AgentEvent::Info { content_type, body: request.body().clone() });
            }
            Method::Refer => {
                let request = Box::new(request);
                session.referral = Some(Referral { server, flow, request: request.clone() });
                self.tell(id, AgentEvent::Referred { request });
            }
            // A PRACK: we send nothing that asks for one.
            _ => self.answer(now, server, flow, &request, id, 481),
        }
    }

    fn answer(&mut self, now: Instant, server: u64, flow: Flow, request: &Message, id: SessionId, code: u16) {
        let mut writer = Writer::response_to(request, &flow, code, "", Some(&id.tag()));
        if *request.method() == Method::Update && code < 300 {
            writer.header(Name::Contact, self.contact(&flow));
        }
        writer.header(Name::Server, &self.config.user_agent);
        self.respond(now, server, code, writer.finish());
    }

    /// Answers `Offered`: with our description, or with a code (488: what was agreed before stays).
    pub fn answer_offer(&mut self, now: Instant, id: SessionId, answer: Result<&str, u16>) {
        let Some((server, flow, request)) =
            self.sessions.get_mut(&id).and_then(|session| session.offer.take())
        else {
            return;
        };
        let code = answer.err().unwrap_or(200);
        let mut writer = Writer::response_to(&request, &flow, code, "", Some(&id.tag()));
        writer.header(Name::Server, &self.config.user_agent);
        let Ok(sdp) = answer else {
            self.respond(now, server, code, writer.finish());
            return;
        };
        writer.header(Name::Contact, self.contact(&flow)).header(Name::Allow, self.allow());
        let bytes = writer.finish_typed("application/sdp", sdp.as_bytes());
        self.respond(now, server, code, bytes.clone());
        if *request.method() == Method::Invite {
            self.await_ack(now, id, flow, request.cseq(), bytes);
        }
    }

    fn handle_bye(&mut self, now: Instant, flow: Flow, bye: &Message, id: SessionId, key: Box<str>) {
        if self.has_room_for(&Method::Bye) {
            let server = self.start_server(now, flow, bye, key, id);
            if let Some(session) = self.sessions.get_mut(&id) {
                session.requests += 1;
            }
            self.answer(now, server, flow, bye, id, 200);
        } else {
            self.refuse(flow, bye, 200, "", |_| {});
        }
        self.drop_referral(now, id);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        match &mut session.state {
            // It overtook the 2xx that it closes, which is still to be acknowledged.
            State::Inviting { early_bye, .. } => {
                *early_bye = Some(bye.from_tag().map(Into::into));
            }
            State::Invited { .. } => {
                self.refuse_session(now, id, 487, "");
                self.tell(id, AgentEvent::Canceled);
            }
            State::Talking { .. } => {
                let was_closing = session.bye_wanted;
                self.drop_session(id);
                if !was_closing {
                    self.tell(id, AgentEvent::HungUp);
                }
            }
            // Both hung up at once. Ours is still answered, or given up on.
            State::Closing { .. } => {}
        }
    }
}
