use std::time::Duration;

use super::*;
use crate::{Transport, digest::Credentials, message::Method};

mod called;
mod calling;
mod challenges;
mod phones;

/// An agent, and the far end played by hand.
struct Bench {
    agent: Agent,
    now: Instant,
    flow: Flow,
    /// The sessions of INVITEs that came: all are let in.
    admitted: Vec<SessionId>,
}

const OFFER: &str =
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n";

fn config() -> AgentConfig {
    AgentConfig {
        user_agent: "test".into(),
        contact_user: "robot".into(),
        advertise: None,
        serves_phones: false,
        max_sessions: 100,
        max_transactions: 1000,
        timing: Timing::default(),
    }
}

impl Bench {
    fn new() -> Self {
        Self::with(config())
    }

    fn with(config: AgentConfig) -> Self {
        #[expect(clippy::disallowed_methods, reason = "any instant does to count from")]
        let now = Instant::now();
        let flow = Flow {
            transport: Transport::Udp,
            local: "192.0.2.1:5060".parse().unwrap(),
            remote: "203.0.113.5:5060".parse().unwrap(),
        };
        Self { agent: Agent::new(config, 7), now, flow, admitted: Vec::new() }
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.agent.poll_timeout().filter(|at| *at <= until) {
            self.now = at;
            self.agent.handle_timeout(at);
        }
        self.now = until;
    }

    /// All that comes out: messages, then events.
    fn out(&mut self) -> (Vec<Message>, Vec<AgentEvent>) {
        let (mut messages, mut events) = (Vec::new(), Vec::new());
        while let Some(output) = self.agent.poll_output() {
            match output {
                AgentOutput::Send { bytes, .. } => {
                    messages.push(read(&bytes, Transport::Udp).expect("sound"))
                }
                AgentOutput::Event { event, .. } => events.push(event),
                AgentOutput::Invite { flow, request } => {
                    self.admitted.extend(self.agent.admit(self.now, flow, &request));
                }
                other => panic!("{other:?}"),
            }
        }
        (messages, events)
    }

    fn messages(&mut self) -> Vec<Message> {
        self.out().0
    }

    #[track_caller]
    fn message(&mut self) -> Message {
        let mut messages = self.messages();
        assert_eq!(messages.len(), 1, "{messages:?}");
        messages.remove(0)
    }

    fn dial(&mut self, credentials: Option<(&str, &str)>) -> (SessionId, Message) {
        let invite = Invite {
            flow: self.flow,
            uri: "sip:bob@203.0.113.5".into(),
            from: "<sip:robot@example.com>".into(),
            credentials: credentials.map(|(username, password)| Credentials {
                username: username.into(),
                password: password.into(),
            }),
            sdp: OFFER.into(),
            keeps_flow: false,
            headers: vec![("X-Lead".into(), "1\r\nX-Evil: 2".into()), ("Via".into(), "evil".into())],
        };
        let id = self.agent.invite(self.now, invite).expect("there is room");
        (id, self.message())
    }

    /// The far end answers a request of ours.
    fn answer(&mut self, request: &Message, code: u16, tag: &str, headers: &[(&str, &str)]) {
        let mut writer = Writer::response_to(request, &self.flow, code, "", Some(tag));
        for (name, value) in headers {
            writer.header_named(name, value);
        }
        let bytes = writer.finish();
        self.agent.handle_bytes(self.now, self.flow, &bytes);
    }

    /// The far end sends a request; `\n` stands for line ends.
    fn take(&mut self, text: &str) {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let text = format!(
            "{}\r\nContent-Length: {}\r\n\r\n{body}",
            head.trim_end().replace('\n', "\r\n"),
            body.len()
        );
        self.agent.handle_bytes(self.now, self.flow, text.as_bytes());
    }

    /// A call came in and was answered; the tag is ours.
    fn talk(&mut self) -> (SessionId, String) {
        let id = self.invited();
        self.agent.accept(self.now, id, OFFER);
        let ok = self.message();
        let tag = ok.to_tag().expect("a tag").to_owned();
        self.take(&in_dialog("ACK", 1, &tag, ""));
        assert_eq!(self.out().1, [AgentEvent::Acknowledged { sdp: None }]);
        (id, tag)
    }

    fn invited(&mut self) -> SessionId {
        self.take(&request("INVITE", "i1", &format!("Content-Type: application/sdp\n\n{OFFER}")));
        assert_eq!(self.out(), (vec![], vec![]));
        self.admitted.pop().expect("an INVITE came")
    }

    #[track_caller]
    fn is_empty_at_last(&mut self) {
        self.wait(Duration::from_secs(200));
        assert_eq!((self.agent.sessions(), self.agent.transactions(), self.agent.timers()), (0, 0, 0));
    }
}

/// A request outside dialogs.
fn request(method: &str, branch: &str, rest: &str) -> String {
    format!(
        "{method} sip:robot@192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bK{branch}\n\
         From: <sip:bob@x>;tag=far\nTo: <sip:robot@x>\nCall-ID: in\nCSeq: 1 {method}\nContact: <sip:bob@203.0.113.5>\n\
         Record-Route: <sip:203.0.113.9;lr>\n{rest}"
    )
}

/// A request inside the dialog of [`Bench::talk`].
fn in_dialog(method: &str, cseq: u32, tag: &str, rest: &str) -> String {
    format!(
        "{method} sip:robot@192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bKd{method}{cseq}\n\
         From: <sip:bob@x>;tag=far\nTo: <sip:robot@x>;tag={tag}\nCall-ID: in\nCSeq: {cseq} {method}\n\
         Contact: <sip:bob@203.0.113.5:5070>\n{rest}"
    )
}

const SERVER: (&str, &str) = ("WWW-Authenticate", r#"Digest realm="pbx", nonce="n1", qop="auth""#);
const PROXY: (&str, &str) =
    ("Proxy-Authenticate", r#"Digest realm="edge", nonce="n2", algorithm=SHA-256, qop="auth""#);
