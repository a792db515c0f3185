//! Calls that come in.

use super::*;

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
        ("INVITE", "Replaces: x;to-tag=1;from-tag=2\n", 481, None),
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
                assert_eq!((messages.len(), bench.admitted.len()), (0, call + 1));
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
            keeps_flow: false,
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
    assert_eq!(bench.out(), (vec![], vec![]));
    let id = bench.admitted.pop().expect("an INVITE came");
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
