//! REFER inside a call (RFC 3515): the far end wants its call handed on, and hears by NOTIFY what came of it.
//!
//! One at a time; another is answered 491 meanwhile. A REFER that nobody answered before the call ended is refused then.

use std::time::Instant;

use super::{Agent, SessionId, clients::Purpose, session::State};
use crate::{
    Flow,
    message::{Message, Method, Name, Writer, reason_phrase},
};

/// How long we say that news of a transfer may come.
const EXPIRES: u32 = 180;

/// A REFER that waits for its answer.
#[derive(Debug)]
pub(super) struct Referral {
    pub server: u64,
    pub flow: Flow,
    pub request: Box<Message>,
}

/// A REFER that was accepted: its sender wants to know how it goes on.
#[derive(Debug)]
pub(super) struct Subscription {
    /// `refer`, and the number of the REFER from the second on (RFC 3515 §2.4.6).
    event: String,
}

impl Agent {
    /// Answers [`super::AgentEvent::Referred`]: 202, and the first NOTIFY follows, or 300–699.
    pub fn answer_refer(&mut self, now: Instant, id: SessionId, code: u16) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(Referral { server, flow, request }) = session.referral.take() else { return };
        let event = match std::mem::replace(&mut session.has_referred, true) {
            false => "refer".to_owned(),
            true => format!("refer;id={}", request.cseq()),
        };
        let code = if code == 202 { 202 } else { code.clamp(300, 699) };
        let mut writer = Writer::response_to(&request, &flow, code, "", Some(&id.tag()));
        if code == 202 {
            writer.header(Name::Contact, self.contact(&flow));
        }
        writer.header(Name::Server, &self.config.user_agent);
        self.respond(now, server, code, writer.finish());
        if code == 202 {
            if let Some(session) = self.sessions.get_mut(&id) {
                session.subscription = Some(Subscription { event });
            }
            self.refer_progress(now, id, 100, "");
        }
    }

    /// Tells the sender of an accepted REFER how it goes on; a code of 200 or more is the last news.
    pub fn refer_progress(&mut self, now: Instant, id: SessionId, code: u16, reason: &str) {
        let code = code.clamp(100, 699);
        let branch = self.random();
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(Subscription { event }) = session.subscription.take() else { return };
        let State::Talking { dialog } = &mut session.state else { return };
        let flow = dialog.next_hop(session.flow);
        let cseq = dialog.next_cseq();
        let via = self.via(&flow, branch);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let State::Talking { dialog } = &session.state else { return };
        let mut writer = dialog.request(&Method::Notify, cseq, &via);
        let uri = dialog.request_uri().to_owned();
        let state = if code < 200 {
            session.subscription = Some(Subscription { event: event.clone() });
            format!("active;expires={EXPIRES}")
        } else {
            "terminated;reason=noresource".to_owned()
        };
        writer
            .header(Name::Contact, self.contact(&flow))
            .header(Name::Event, event)
            .header(Name::SubscriptionState, state);
        self.authorize(id, &mut writer, &Method::Notify, &uri);
        let reason: String = if reason.is_empty() {
            reason_phrase(code).into_owned()
        } else {
            reason.chars().filter(|letter| !letter.is_control()).collect()
        };
        let said = format!("SIP/2.0 {code} {reason}\r\n");
        let bytes = writer.finish_typed("message/sipfrag;version=2.0", said.as_bytes());
        self.start_client(now, branch, flow, bytes, id, Purpose::Notify);
    }

    /// The sender of a REFER does not know its subscription any more: no more news.
    pub(super) fn notify_refused(&mut self, id: SessionId, code: u16) {
        if matches!(code, 481 | 489 | 405 | 501)
            && let Some(session) = self.sessions.get_mut(&id)
        {
            session.subscription = None;
        }
    }

    /// The call ends: nobody will answer its REFER.
    pub(super) fn drop_referral(&mut self, now: Instant, id: SessionId) {
        self.answer_refer(now, id, 603);
    }
}
