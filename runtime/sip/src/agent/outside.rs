//! Requests outside any dialog that begin no call: phones that register, whoever proves nothing, and the question whether a
//! phone is still there.

use std::time::Instant;

use super::{Agent, AgentOutput, Full, SessionId, clients::Purpose, servers::key};
use crate::{
    Flow,
    message::{Message, Method, Name, Writer},
};

/// A question of ours, outside any call, whether somebody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProbeId(u64);

impl Agent {
    /// Answers a request that [`AgentOutput::Register`] or [`AgentOutput::Invite`] brought, and forgets it: if it comes
    /// again, it is brought again. For answers to those who proved nothing, so that they leave nothing behind: a refusal is
    /// sent once (RFC 3261 §8.2.7), and its ACK finds nobody.
    pub fn answer_and_forget(
        &mut self,
        flow: Flow,
        request: &Message,
        code: u16,
        headers: &[(Name, String)],
    ) {
        self.refuse(flow, request, code, "", |writer| {
            for (name, value) in headers {
                writer.header(*name, value);
            }
        });
    }

    /// Answers a request that [`AgentOutput::Register`] brought; if it comes again, this answer is given again.
    pub fn answer_and_remember(
        &mut self,
        now: Instant,
        flow: Flow,
        request: &Message,
        code: u16,
        headers: &[(Name, String)],
    ) {
        if !self.has_room_for(request.method()) || !self.servers.has_room_for_guest(flow.remote.ip()) {
            self.answer_and_forget(flow, request, code, headers);
            return;
        }
        let tag = format!("{:016x}", self.random());
        let mut writer = Writer::response_to(request, &flow, code, "", Some(&tag));
        writer.header(Name::Server, &self.config.user_agent);
        for (name, value) in headers {
            writer.header(*name, value);
        }
        let server = self.start_server(now, flow, request, key(request, request.method()), SessionId::NOBODY);
        self.respond(now, server, code, writer.finish());
    }

    /// Asks whether somebody is there (OPTIONS). [`AgentOutput::Probed`] follows; whatever is answered, he is there.
    ///
    /// # Errors
    ///
    /// [`Full`]: a cap is reached and nothing was sent.
    pub fn probe(&mut self, now: Instant, flow: Flow, uri: &str) -> Result<ProbeId, Full> {
        if !self.has_room_for(&Method::Options) {
            return Err(Full);
        }
        let (branch, tag) = (self.random(), self.random());
        let call_id = format!("{:016x}{:016x}", self.random(), self.random());
        let ours = crate::uri::sip_uri(&self.config.contact_user, &self.host(&flow));
        let mut writer = Writer::request("OPTIONS", uri);
        writer
            .header(Name::Via, self.via(&flow, branch))
            .header(Name::MaxForwards, 70)
            .header(Name::From, format_args!("<{ours}>;tag={tag:016x}"))
            .header(Name::To, format_args!("<{uri}>"))
            .header(Name::CallId, call_id)
            .header(Name::CSeq, "1 OPTIONS")
            .header(Name::Contact, self.contact(&flow))
            .header(Name::Accept, "application/sdp")
            .header(Name::UserAgent, &self.config.user_agent);
        self.start_client(now, branch, flow, writer.finish(), SessionId::NOBODY, Purpose::Probe);
        Ok(ProbeId(branch))
    }

    pub(super) fn probed(&mut self, branch: u64, is_there: bool) {
        self.outputs.push_back(AgentOutput::Probed { probe: ProbeId(branch), is_there });
    }
}
