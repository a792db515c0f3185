//! Digest: who asks, how often, and when to give up.

use super::*;

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
                other => panic!("{other:?}"),
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
        keeps_flow: false,
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
