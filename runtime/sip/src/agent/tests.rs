use std::time::Duration;

use super::*;
use crate::{Transport, digest::Credentials, message::Method};

/// An agent, and the far end played by hand.
struct Bench {
    agent: Agent,
    now: Instant,
    flow: Flow,
}

const OFFER: &str =
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n";

fn config() -> AgentConfig {
    AgentConfig {
        user_agent: "test".into(),
        contact_user: "robot".into(),
        advertise: None,
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
        Self { agent: Agent::new(config, 7), now, flow }
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
        match self.agent.poll_output() {
            Some(AgentOutput::Event { session, event: AgentEvent::Invited { .. } }) => session,
            other => panic!("{other:?}"),
        }
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

#[test]
fn a_challenge_is_answered_by_the_next_invite_of_the_same_call() {
    let mut bench = Bench::new();
    let (_, first) = bench.dial(Some(("u", "p")));
    bench.answer(&first, 401, "t", &[SERVER]);
    let (messages, events) = bench.out();
    let [ack, second] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!(events, []);
    assert_eq!((ack.method(), ack.cseq(), ack.via()), (&Method::Ack, 1, first.via()));
    assert_eq!((second.method(), second.cseq()), (&Method::Invite, 2));
    assert_eq!((second.call_id(), second.from_tag()), (first.call_id(), first.from_tag()));
    assert_ne!(second.via(), first.via());
    let value = second.header(Name::Authorization).expect("credentials");
    // H(H(u:pbx:p):n1:00000001:cnonce:auth:H(INVITE:uri)), with the cnonce that we made.
    let cnonce = value.split("cnonce=\"").nth(1).unwrap().split('"').next().unwrap();
    let hash = |text: String| crate::digest::Hash::Md5.hex(text.as_bytes());
    let (secret, covered) = (hash("u:pbx:p".into()), hash("INVITE:sip:bob@203.0.113.5".into()));
    let response = hash(format!("{secret}:n1:00000001:{cnonce}:auth:{covered}"));
    assert!(value.contains(&format!("response=\"{response}\"")), "{value}");

    bench.answer(second, 200, "t", &[]);
    let (messages, events) = bench.out();
    assert_eq!(events, [AgentEvent::Accepted { code: 200, sdp: None }]);
    assert_eq!(messages[0].header(Name::Authorization), Some(value), "an ACK cannot be challenged");
}

#[test]
fn a_proxy_and_a_server_may_both_ask() {
    let mut bench = Bench::new();
    let (_, first) = bench.dial(Some(("u", "p")));
    bench.answer(&first, 407, "t", &[PROXY]);
    let second = bench.messages().pop().unwrap();
    assert!(
        second.header(Name::ProxyAuthorization).is_some() && second.header(Name::Authorization).is_none()
    );
    bench.answer(&second, 401, "t", &[SERVER]);
    let third = bench.messages().pop().unwrap();
    assert_eq!(third.cseq(), 3);
    assert!(third.header(Name::ProxyAuthorization).is_some() && third.header(Name::Authorization).is_some());
}

#[test]
fn a_wrong_password_does_not_loop() {
    for (code, challenge) in [(401, SERVER), (407, PROXY)] {
        let mut bench = Bench::new();
        let (_, first) = bench.dial(Some(("u", "wrong")));
        bench.answer(&first, code, "t", &[challenge]);
        let second = bench.messages().pop().unwrap();
        bench.answer(&second, code, "t", &[challenge]);
        let (messages, events) = bench.out();
        assert_eq!(messages.len(), 1, "the ACK alone: {messages:?}");
        assert!(
            matches!(events[..], [AgentEvent::Refused { code: found, .. }] if found == code),
            "{events:?}"
        );
        bench.is_empty_at_last();
    }
}

#[test]
fn a_stale_nonce_is_replaced_but_not_for_ever() {
    let mut bench = Bench::new();
    let (_, mut invite) = bench.dial(Some(("u", "p")));
    for round in 0..10 {
        let challenge = format!(r#"Digest realm="pbx", nonce="n{round}", stale=true"#);
        bench.answer(&invite, 401, "t", &[("WWW-Authenticate", &challenge)]);
        let (mut messages, events) = bench.out();
        let last = messages.pop().unwrap();
        if *last.method() == Method::Ack {
            assert!(matches!(events[..], [AgentEvent::Refused { code: 401, .. }]));
            assert_eq!(round, 4, "one answer and three fresh nonces");
            return;
        }
        assert!(last.header(Name::Authorization).unwrap().contains(&format!("nonce=\"n{round}\"")));
        invite = last;
    }
    panic!("it loops");
}

#[test]
fn without_credentials_a_challenge_is_a_refusal() {
    let mut bench = Bench::new();
    let (_, first) = bench.dial(None);
    bench.answer(&first, 401, "t", &[SERVER]);
    let (messages, events) = bench.out();
    assert_eq!(messages.len(), 1);
    assert!(matches!(events[..], [AgentEvent::Refused { code: 401, .. }]));
}

/// The INVITE that echoed such a challenge was longer than what we read ourselves, and it was read again at the next
/// response: any trunk could stop the SIP task, and with it every call of the host.
#[test]
fn a_challenge_too_long_to_echo_is_a_refusal() {
    for long in
        [r#"realm="LONG", nonce="n""#, r#"realm="r", nonce="LONG""#, r#"realm="r", nonce="n", opaque="LONG""#]
    {
        let mut bench = Bench::new();
        let (_, first) = bench.dial(Some(("u", "p")));
        let challenge = format!("Digest {}", long.replace("LONG", &"x".repeat(2048)));
        bench.answer(&first, 401, "t", &[("WWW-Authenticate", &challenge)]);
        let (messages, events) = bench.out();
        assert_eq!(messages.len(), 1, "only the ACK: {messages:?}");
        assert!(matches!(events[..], [AgentEvent::Refused { code: 401, .. }]), "{events:?}");
        bench.is_empty_at_last();
    }
}

/// Bytes that are no UTF-8 grow threefold when they are read, quotes twofold when they are echoed. The size that counts
/// is that of the echo.
#[test]
fn a_challenge_that_grows_under_our_hands_does_not_stop_us() {
    for byte in [0xff, b'\\'] {
        let mut bench = Bench::new();
        let (_, first) = bench.dial(Some(("u", "p")));
        let mut bytes = b"SIP/2.0 407 Who\r\nVia: ".to_vec();
        bytes.extend_from_slice(first.header(Name::Via).unwrap().as_bytes());
        let rest = "\r\nFrom: <sip:robot@example.com>;tag=a\r\nTo: <sip:bob@x>;tag=t\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\
                    Proxy-Authenticate: Digest realm=\"r\", nonce=\"";
        bytes.extend_from_slice(rest.as_bytes());
        bytes.extend(std::iter::repeat_n(byte, 12_000));
        bytes.extend_from_slice(b"\"\r\n\r\n");
        bench.agent.handle_bytes(bench.now, bench.flow, &bytes);
        let mut events = Vec::new();
        let mut sent = 0;
        while let Some(output) = bench.agent.poll_output() {
            match output {
                AgentOutput::Send { bytes, .. } => {
                    sent += 1;
                    // The next response is where it went wrong, whatever the request was like.
                    let again = String::from_utf8_lossy(&bytes).into_owned();
                    if again.starts_with("INVITE") {
                        let via = again.lines().find(|line| line.starts_with("Via")).unwrap();
                        let ok = format!(
                            "SIP/2.0 200 OK\r\n{via}\r\nFrom: <sip:a@x>;tag=a\r\nTo: <sip:b@x>;tag=t\r\nCall-ID: c\r\n\
                             CSeq: 2 INVITE\r\n\r\n"
                        );
                        bench.agent.handle_bytes(bench.now, bench.flow, ok.as_bytes());
                    }
                }
                AgentOutput::Event { event, .. } => events.push(event),
            }
        }
        assert_eq!(sent, 1, "only the ACK");
        assert!(matches!(events[..], [AgentEvent::Refused { code: 407, .. }]), "{events:?}");
    }
}

/// The same host-wide stop, by way of an address that its own reader refuses. Whoever drives the agent may ask for
/// anything: it is sent, and answered by the far end.
#[test]
fn an_invite_that_we_would_not_accept_ourselves_still_has_its_answers() {
    let mut bench = Bench::new();
    let invite = Invite {
        flow: bench.flow,
        uri: "sip:bob@203.0.113.5?Subject=x".into(),
        from: "<sip:robot@example.com>".into(),
        credentials: None,
        sdp: OFFER.into(),
        headers: vec![("X-Long".into(), "x".repeat(20_000))],
    };
    bench.agent.invite(bench.now, invite).expect("there is room");
    let Some(AgentOutput::Send { bytes, .. }) = bench.agent.poll_output() else { panic!("nothing was sent") };
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let via = text.lines().find(|line| line.starts_with("Via")).unwrap();
    let ends = "From: <sip:robot@example.com>;tag=a\r\nTo: <sip:bob@x>;tag=t\r\nCall-ID: c\r\nCSeq: 1 INVITE";
    let ok = format!("SIP/2.0 200 OK\r\n{via}\r\n{ends}\r\nContact: <sip:bob@203.0.113.5>\r\n\r\n");
    bench.agent.handle_bytes(bench.now, bench.flow, ok.as_bytes());
    let (messages, events) = bench.out();
    assert_eq!(messages.iter().map(|message| message.method()).collect::<Vec<_>>(), [&Method::Ack]);
    assert_eq!(events, [AgentEvent::Accepted { code: 200, sdp: None }]);
}

#[test]
fn a_challenged_bye_is_sent_again_once() {
    let mut bench = Bench::new();
    let (id, invite) = bench.dial(Some(("u", "p")));
    bench.answer(&invite, 200, "t", &[]);
    bench.messages();
    bench.agent.bye(bench.now, id);
    let bye = bench.message();
    bench.answer(&bye, 407, "t", &[PROXY]);
    let again = bench.message();
    assert_eq!((again.method(), again.cseq()), (&Method::Bye, bye.cseq() + 1));
    assert!(again.header(Name::ProxyAuthorization).is_some());
    bench.answer(&again, 407, "t", &[PROXY]);
    assert_eq!(bench.messages(), []);
    assert_eq!(bench.agent.sessions(), 0);
    bench.is_empty_at_last();
}

#[test]
fn the_first_answer_of_a_forked_call_wins_and_the_others_are_closed() {
    let mut bench = Bench::new();
    let (_, invite) = bench.dial(None);
    bench.answer(&invite, 180, "one", &[]);
    bench.answer(&invite, 180, "two", &[]);
    bench.out();
    bench.answer(&invite, 200, "two", &[("Contact", "<sip:two@203.0.113.5>")]);
    let (messages, events) = bench.out();
    assert_eq!((messages.len(), events.len()), (1, 1));
    bench.answer(&invite, 200, "one", &[("Contact", "<sip:one@203.0.113.5>")]);
    let (messages, events) = bench.out();
    let [ack, bye] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!((ack.method(), ack.uri(), ack.to_tag()), (&Method::Ack, "sip:one@203.0.113.5", Some("one")));
    assert_eq!((bye.method(), bye.uri(), bye.to_tag()), (&Method::Bye, "sip:one@203.0.113.5", Some("one")));
    assert_eq!(events, []);
    // A repetition is acknowledged again, and closed no second time.
    bench.answer(&invite, 200, "one", &[]);
    assert_eq!(bench.message().method(), &Method::Ack);
    for stranger in 0..50 {
        bench.answer(&invite, 200, &format!("s{stranger}"), &[]);
    }
    assert!(bench.messages().len() <= 2 * 6, "there is an end to forks");
}

/// The far end let our CANCEL pass without a word, so the call was given up and forgotten. Then the person picked up all
/// the same: the answer was neither acknowledged nor closed, and he stayed on the line with nobody.
#[test]
fn whoever_picks_up_after_we_gave_up_is_acknowledged_and_closed() {
    let mut bench = Bench::new();
    let (id, first) = bench.dial(Some(("u", "p")));
    bench.answer(&first, 407, "t", &[PROXY]);
    let invite = bench.messages().pop().unwrap();
    bench.answer(&invite, 180, "t", &[]);
    bench.agent.cancel(bench.now, id);
    bench.wait(Duration::from_secs(32));
    bench.agent.abandon(bench.now, id);
    assert_eq!(bench.agent.sessions(), 0, "a silent far end takes up no session");
    bench.out();
    // It rings on: that neither tells anybody nor makes it last.
    bench.wait(Duration::from_secs(60));
    bench.answer(&invite, 180, "t", &[]);
    assert_eq!(bench.out(), (vec![], vec![]));
    bench.answer(&invite, 200, "t", &[("Contact", "<sip:late@203.0.113.5>")]);
    let (messages, events) = bench.out();
    let [ack, bye] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!((ack.method(), ack.uri()), (&Method::Ack, "sip:late@203.0.113.5"));
    assert_eq!((bye.method(), bye.uri(), bye.to_tag()), (&Method::Bye, "sip:late@203.0.113.5", Some("t")));
    assert!(bye.cseq() > invite.cseq());
    // Our BYE may be challenged like any other.
    bench.answer(bye, 407, "t", &[PROXY]);
    let again = bench.message();
    assert!(again.method() == &Method::Bye && again.header(Name::ProxyAuthorization).is_some());
    bench.answer(&again, 200, "t", &[]);
    // A lost ACK is sent again, and nobody is closed twice.
    bench.answer(&invite, 200, "t", &[("Contact", "<sip:late@203.0.113.5>")]);
    assert_eq!(bench.message().method(), &Method::Ack);
    assert_eq!(events, []);
    bench.is_empty_at_last();
}

#[test]
fn an_invite_that_we_gave_up_is_not_remembered_for_ever() {
    for rings_on in [false, true] {
        let mut bench = Bench::new();
        let (id, invite) = bench.dial(None);
        bench.answer(&invite, 180, "t", &[]);
        bench.agent.abandon(bench.now, id);
        for _ in 0..30 {
            bench.wait(Duration::from_secs(10));
            if rings_on {
                bench.answer(&invite, 180, "t", &[]);
            }
        }
        assert_eq!((bench.agent.transactions(), bench.agent.timers()), (0, 0), "rings on: {rings_on}");
        assert!(!bench.out().1.contains(&AgentEvent::NoResponse));
    }
}

/// Nothing had come back yet: the INVITE must not be sent again once nobody wants its answer.
#[test]
fn an_unheard_invite_is_not_repeated_after_we_gave_up() {
    let mut bench = Bench::new();
    let (id, invite) = bench.dial(None);
    bench.agent.abandon(bench.now, id);
    bench.wait(Duration::from_secs(20));
    assert_eq!(bench.out(), (vec![], vec![]));
    bench.answer(&invite, 486, "t", &[]);
    assert_eq!(bench.message().method(), &Method::Ack);
    bench.is_empty_at_last();
}

#[test]
fn a_bye_that_overtakes_the_answer_is_not_forgotten() {
    let mut bench = Bench::new();
    let (_, invite) = bench.dial(None);
    let bye = format!(
        "BYE sip:robot@192.0.2.1 SIP/2.0\nVia: SIP/2.0/UDP 203.0.113.5;branch=z9hG4bKbye\nFrom: <sip:bob@203.0.113.5>;tag=t\n\
         To: <sip:robot@example.com>;tag={}\nCall-ID: {}\nCSeq: 1 BYE\n",
        invite.from_tag().unwrap(),
        invite.call_id()
    );
    bench.take(&bye);
    assert_eq!(bench.message().code(), 200);
    bench.answer(&invite, 200, "t", &[]);
    let (messages, events) = bench.out();
    assert_eq!(messages[0].method(), &Method::Ack);
    assert_eq!(events, [AgentEvent::Accepted { code: 200, sdp: None }, AgentEvent::HungUp]);
    bench.is_empty_at_last();
}

#[test]
fn a_trunk_that_insists_on_reliable_ringing_gets_its_prack() {
    let mut bench = Bench::new();
    let (id, invite) = bench.dial(None);
    let reliable = |rseq: &'static str| {
        [("Require", "100rel"), ("RSeq", rseq), ("Contact", "<sip:bob@203.0.113.5:5070>")]
    };
    bench.answer(&invite, 183, "t", &reliable("5"));
    let (messages, events) = bench.out();
    assert_eq!(events, [AgentEvent::Progress { code: 183, sdp: None }]);
    assert_eq!((messages[0].method(), messages[0].uri()), (&Method::Prack, "sip:bob@203.0.113.5:5070"));
    assert_eq!((messages[0].header(Name::RAck), messages[0].cseq()), (Some("5 1 INVITE"), 2));
    bench.answer(&messages[0], 200, "t", &[]);
    bench.answer(&invite, 183, "t", &reliable("5"));
    assert_eq!(bench.out(), (vec![], vec![]), "a repetition");
    bench.answer(&invite, 180, "t", &reliable("6"));
    let (messages, _) = bench.out();
    assert_eq!((messages[0].header(Name::RAck), messages[0].cseq()), (Some("6 1 INVITE"), 3));
    bench.answer(&invite, 200, "t", &[]);
    let ack = bench.message();
    assert_eq!((ack.method(), ack.cseq()), (&Method::Ack, 1));
    bench.agent.bye(bench.now, id);
    assert_eq!(bench.message().cseq(), 4, "numbers of a dialog only grow");
}

#[test]
fn responses_that_match_nothing_are_ignored() {
    let mut bench = Bench::new();
    let (_, invite) = bench.dial(None);
    let text =
        String::from_utf8(Writer::response_to(&invite, &bench.flow, 200, "", Some("t")).finish().to_vec())
            .unwrap();
    let branch = invite.via().unwrap().branch().unwrap().to_owned();
    for forged in [
        text.replace(&branch, "z9hG4bK0000000000000000"),
        text.replace(&branch, "z9hG4bKx"),
        text.replace("CSeq: 1 INVITE", "CSeq: 1 BYE"),
        text.replace("CSeq: 1 INVITE", "CSeq: 1 CANCEL"),
    ] {
        bench.agent.handle_bytes(bench.now, bench.flow, forged.as_bytes());
        assert_eq!(bench.out(), (vec![], vec![]), "{forged}");
    }
    bench.agent.handle_bytes(bench.now, bench.flow, text.as_bytes());
    assert_eq!(bench.out().1.len(), 1);
}

#[test]
fn headers_of_the_caller_cannot_replace_or_add_any_of_ours() {
    let (_, invite) = Bench::new().dial(None);
    assert_eq!(invite.headers(Name::Via).count(), 1);
    assert!(invite.all_headers().any(|header| header == ("X-Lead", "1  X-Evil: 2")));
    assert!(!invite.all_headers().any(|(name, _)| name == "X-Evil"));
    assert_eq!(invite.contact().map(|contact| contact.uri), Some("sip:robot@192.0.2.1:5060"));
}

#[test]
fn what_is_not_served_is_refused_with_the_reason() {
    // Method, what follows the usual headers, code, a header of the answer.
    type Row = (&'static str, &'static str, u16, Option<(Name, &'static str)>);
    let table: &[Row] = &[
        ("OPTIONS", "", 200, Some((Name::Allow, ALLOW))),
        ("OPTIONS", "", 200, Some((Name::Accept, "application/sdp"))),
        ("REGISTER", "", 405, Some((Name::Allow, ALLOW))),
        ("SUBSCRIBE", "", 405, Some((Name::Allow, ALLOW))),
        ("FROBNICATE", "", 501, Some((Name::Allow, ALLOW))),
        ("INVITE", "Max-Forwards: 0\n", 483, None),
        ("INVITE", "Require: 100rel, foo\n", 420, Some((Name::Unsupported, "100rel, foo"))),
        ("INVITE", "Content-Type: text/plain\n\nhello", 415, Some((Name::Accept, "application/sdp"))),
        ("INVITE", "Content-Type: application/sdp\nContent-Encoding: gzip\n\nhello", 415, None),
        ("INVITE", "\nhello", 415, None),
        ("INVITE", "Accept: text/plain\n", 406, None),
        ("BYE", "", 481, None),
        ("INFO", "", 481, None),
        ("CANCEL", "", 481, None),
    ];
    for (method, rest, code, header) in table {
        let mut bench = Bench::new();
        bench.take(&request(method, "x", rest));
        let answer = bench.message();
        assert_eq!(answer.code(), *code, "{method} {rest}");
        assert!(answer.to_tag().is_some());
        if let Some((name, value)) = header {
            assert_eq!(answer.header(*name), Some(*value), "{method} {rest}");
        }
        assert_eq!(bench.agent.transactions(), 0, "refusals cost no memory");
    }
    let mut bench = Bench::new();
    bench.take(&request("OPTIONS", "x", "").replace("sip:robot@192.0.2.1", "mailto:robot@192.0.2.1"));
    assert_eq!(bench.message().code(), 416);
    bench.take(&request("OPTIONS", "x", "").replace("<sip:robot@x>", "<sip:robot@x>;tag=0123456789abcdef"));
    assert_eq!(bench.message().code(), 481);
    bench.take(&request("ACK", "x", ""));
    assert_eq!(bench.messages(), [], "an ACK is never answered");
}

#[test]
fn the_same_invite_by_another_way_is_a_loop() {
    let mut bench = Bench::new();
    bench.invited();
    bench.take(&request("INVITE", "i2", ""));
    assert_eq!(bench.message().code(), 482);
}

#[test]
fn a_repeated_invite_hears_the_last_response_again() {
    let mut bench = Bench::new();
    let id = bench.invited();
    bench.take(&request("INVITE", "i1", ""));
    assert_eq!(bench.out(), (vec![], vec![]), "nothing was said yet");
    bench.wait(Duration::from_millis(200));
    assert_eq!(bench.message().code(), 100);
    bench.agent.ring(bench.now, id, 180, None);
    let ringing = bench.message();
    assert_eq!(ringing.header(Name::RecordRoute), Some("<sip:203.0.113.9;lr>"));
    bench.take(&request("INVITE", "i1", ""));
    assert_eq!(bench.message(), ringing);
    bench.agent.reject(bench.now, id, 486, "");
    let busy = bench.message();
    bench.take(&request("INVITE", "i1", ""));
    assert_eq!(bench.message(), busy);
    let ack = request("ACK", "i1", "")
        .replace("<sip:robot@x>", &format!("<sip:robot@x>;tag={}", busy.to_tag().unwrap()));
    bench.take(&ack);
    bench.wait(Duration::from_secs(1));
    assert_eq!(bench.messages(), [], "acknowledged");
    bench.is_empty_at_last();
}

#[test]
fn a_cancelled_invite_is_answered_487_and_told_once() {
    let mut bench = Bench::new();
    bench.invited();
    for round in 0..2 {
        bench.take(&request("CANCEL", "i1", ""));
        let (messages, events) = bench.out();
        let codes: Vec<_> =
            messages.iter().map(|message| (message.method().clone(), message.code())).collect();
        if round == 0 {
            assert_eq!(codes, [(Method::Cancel, 200), (Method::Invite, 487)]);
            assert_eq!(events, [AgentEvent::Canceled]);
        } else {
            assert_eq!((codes, events), (vec![(Method::Cancel, 200)], vec![]));
        }
    }
    bench.is_empty_at_last();
}

#[test]
fn our_200_names_the_way_back_and_the_bye_takes_it() {
    let mut bench = Bench::new();
    let id = bench.invited();
    bench.agent.accept(bench.now, id, OFFER);
    let ok = bench.message();
    assert_eq!(ok.header(Name::RecordRoute), Some("<sip:203.0.113.9;lr>"));
    assert_eq!(ok.contact().unwrap().uri, "sip:robot@192.0.2.1:5060");
    bench.take(&in_dialog("ACK", 1, ok.to_tag().unwrap(), ""));
    bench.out();
    bench.agent.bye(bench.now, id);
    match bench.agent.poll_output() {
        Some(AgentOutput::Send { flow, bytes }) => {
            assert_eq!(flow.remote.to_string(), "203.0.113.9:5060");
            let bye = read(&bytes, Transport::Udp).unwrap();
            assert_eq!(
                (bye.uri(), bye.header(Name::Route)),
                ("sip:bob@203.0.113.5", Some("<sip:203.0.113.9;lr>"))
            );
            assert_eq!((bye.from_tag(), bye.to_tag()), (ok.to_tag(), Some("far")));
        }
        other => panic!("{other:?}"),
    }
    bench.is_empty_at_last();
}

#[test]
fn a_new_offer_is_answered_and_the_answer_repeated_until_its_ack() {
    let mut bench = Bench::new();
    let (id, tag) = bench.talk();
    let sdp = format!("Content-Type: application/sdp\n\n{OFFER}");
    bench.take(&in_dialog("INVITE", 2, &tag, &sdp));
    let (messages, events) = bench.out();
    assert_eq!((messages.len(), events), (0, vec![AgentEvent::Offered { sdp: Some(OFFER.into()) }]));
    bench.agent.answer_offer(bench.now, id, Ok(OFFER));
    let ok = bench.message();
    assert_eq!((ok.code(), ok.cseq()), (200, 2));
    bench.wait(Duration::from_millis(500));
    assert_eq!(bench.message(), ok, "until the ACK");
    bench.take(&in_dialog("INVITE", 3, &tag, &sdp));
    assert_eq!(bench.message().code(), 491, "one offer at a time");
    bench.take(&in_dialog("ACK", 2, &tag, ""));
    assert_eq!(bench.out().1, [AgentEvent::Acknowledged { sdp: None }]);
    bench.wait(Duration::from_secs(5));
    assert_eq!(bench.messages(), []);

    bench.take(&in_dialog("UPDATE", 4, &tag, &sdp));
    assert_eq!(bench.out().1, [AgentEvent::Offered { sdp: Some(OFFER.into()) }]);
    bench.agent.answer_offer(bench.now, id, Err(488));
    assert_eq!(bench.message().code(), 488);
    bench.take(&in_dialog("UPDATE", 5, &tag, ""));
    let (messages, events) = bench.out();
    assert_eq!((messages[0].code(), events), (200, vec![]), "a mere refresh");
    bench.take(&in_dialog("UPDATE", 4, &tag, "X: another\n").replace("dUPDATE4", "again"));
    assert_eq!(bench.message().code(), 500, "out of order");

    bench.agent.bye(bench.now, id);
    assert_eq!(bench.message().uri(), "sip:bob@203.0.113.5:5070", "the new Contact");
    bench.is_empty_at_last();
}

#[test]
fn info_is_told_once_and_a_bye_ends_it_all() {
    let mut bench = Bench::new();
    let (_, tag) = bench.talk();
    let info = in_dialog("INFO", 2, &tag, "Content-Type: Application/DTMF-Relay\n\nSignal=5");
    bench.take(&info);
    bench.take(&info);
    let (messages, events) = bench.out();
    let told = AgentEvent::Info { content_type: "application/dtmf-relay".into(), body: "Signal=5".into() };
    assert_eq!((messages.len(), events), (2, vec![told]));
    bench.take(&in_dialog("OPTIONS", 3, &tag, ""));
    assert_eq!(bench.message().code(), 200);
    let bye = in_dialog("BYE", 4, &tag, "");
    bench.take(&bye);
    bench.take(&bye);
    let (messages, events) = bench.out();
    assert_eq!((messages.len(), events), (2, vec![AgentEvent::HungUp]));
    bench.take(&in_dialog("INFO", 5, &tag, ""));
    assert_eq!(bench.message().code(), 481);
    bench.is_empty_at_last();
}

#[test]
fn a_stranger_with_our_tag_is_not_in_the_dialog() {
    let mut bench = Bench::new();
    let (_, tag) = bench.talk();
    for forged in [
        in_dialog("BYE", 2, &tag, "").replace("tag=far", "tag=near"),
        in_dialog("BYE", 2, &tag, "").replace("Call-ID: in", "Call-ID: out"),
    ] {
        bench.take(&forged);
        let (messages, events) = bench.out();
        assert_eq!((messages[0].code(), events), (481, vec![]));
    }
    assert_eq!(bench.agent.sessions(), 1);
}

#[test]
fn over_the_caps_callers_are_asked_to_come_back() {
    for config in
        [AgentConfig { max_sessions: 3, ..config() }, AgentConfig { max_transactions: 3, ..config() }]
    {
        let mut bench = Bench::with(config);
        for call in 0..20 {
            bench.take(
                &request("INVITE", &format!("b{call}"), "")
                    .replace("Call-ID: in", &format!("Call-ID: {call}")),
            );
            let (messages, events) = bench.out();
            if call < 3 {
                assert_eq!((messages.len(), events.len()), (0, 1));
            } else {
                assert_eq!((messages[0].code(), messages[0].header(Name::RetryAfter)), (503, Some("10")));
                assert_eq!(events, []);
            }
        }
        assert_eq!((bench.agent.sessions(), bench.agent.transactions()), (3, 3));
        let invite = Invite {
            flow: bench.flow,
            uri: "sip:b@h".into(),
            from: "<sip:a@h>".into(),
            credentials: None,
            sdp: OFFER.into(),
            headers: vec![],
        };
        assert_eq!(bench.agent.invite(bench.now, invite), Err(Full));
    }
}

#[test]
fn an_old_end_without_branches_and_tags_can_call_and_hang_up() {
    let mut bench = Bench::new();
    let old = |text: String| text.replace(";branch=z9hG4bKi1", "").replace(";tag=far", "");
    bench.take(&old(request("INVITE", "i1", "")));
    let id = match bench.agent.poll_output() {
        Some(AgentOutput::Event { session, event: AgentEvent::Invited { .. } }) => session,
        other => panic!("{other:?}"),
    };
    bench.take(&old(request("INVITE", "i1", "")));
    assert_eq!(bench.out(), (vec![], vec![]), "a repetition");
    bench.agent.accept(bench.now, id, OFFER);
    let tag = bench.message().to_tag().unwrap().to_owned();
    let ack = old(request("ACK", "i1", "")).replace("<sip:robot@x>", &format!("<sip:robot@x>;tag={tag}"));
    bench.take(&ack);
    assert_eq!(bench.out().1, [AgentEvent::Acknowledged { sdp: None }]);
    bench.take(&old(in_dialog("BYE", 2, &tag, "")));
    assert_eq!(bench.out().1, [AgentEvent::HungUp]);
    bench.is_empty_at_last();
}

#[test]
fn streams_are_not_repeated_on() {
    let mut bench = Bench::new();
    bench.flow.transport = Transport::Tls;
    let (_, invite) = bench.dial(None);
    assert!(invite.header(Name::Via).unwrap().starts_with("SIP/2.0/TLS 192.0.2.1:5060"));
    assert_eq!(invite.contact().unwrap().uri, "sip:robot@192.0.2.1:5060;transport=tls");
    bench.wait(Duration::from_secs(31));
    assert_eq!(bench.messages(), []);
    bench.wait(Duration::from_secs(1));
    assert_eq!(bench.out().1, [AgentEvent::NoResponse]);
}
