//! Phones: they register, are asked whether they are there, and hand calls on.

use super::*;

fn bench() -> Bench {
    Bench::with(AgentConfig { serves_phones: true, ..config() })
}

/// The REGISTER that was brought.
fn brought(bench: &mut Bench) -> Message {
    match bench.agent.poll_output() {
        Some(AgentOutput::Register { request, .. }) => *request,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_where_phones_are_served_are_their_requests() {
    let table = [("REGISTER", 405), ("REFER", 405), ("NOTIFY", 405), ("PUBLISH", 405)];
    for (method, code) in table {
        let mut bench = Bench::new();
        bench.take(&request(method, "x", ""));
        assert_eq!(bench.message().code(), code, "{method}");
    }
    let table = [
        ("REFER", "", 481),
        ("NOTIFY", "", 405),
        ("SUBSCRIBE", "", 405),
        ("REGISTER", "Require: path\n", 420),
    ];
    for (method, rest, code) in table {
        let mut bench = bench();
        bench.take(&request(method, "x", rest));
        let answer = bench.message();
        assert_eq!(answer.code(), code, "{method}");
        assert!(code != 405 || answer.lists(Name::Allow, "REFER"));
    }
}

/// We said to everybody that we take the place of calls (`Supported: replaces`), let such an INVITE in as a new call, and
/// nobody carried out what it asked for.
#[test]
fn a_call_that_is_to_replace_another_is_refused_and_only_phones_hear_of_replaces() {
    let mut bench = bench();
    let replaces = "Replaces: x;to-tag=1;from-tag=2\n";
    bench.take(&request("INVITE", "x", &format!("Require: replaces\n{replaces}")));
    let refusal = bench.message();
    assert_eq!((refusal.code(), refusal.header(Name::Unsupported)), (420, Some("replaces")));
    bench.take(&request("INVITE", "y", replaces));
    assert_eq!((bench.message().code(), bench.agent.transactions()), (481, 0));
    // Phones need to hear it to offer an attended transfer, which they ask for by REFER.
    for is_phone in [false, true] {
        let invite = Invite {
            flow: bench.flow,
            uri: "sip:bob@h".into(),
            from: "<sip:a@h>".into(),
            credentials: None,
            sdp: OFFER.into(),
            keeps_flow: is_phone,
            headers: vec![],
        };
        bench.agent.invite(bench.now, invite).unwrap();
        let said = is_phone.then_some("replaces");
        assert_eq!(bench.message().header(Name::Supported), said);
        bench.take(
            &request("INVITE", &format!("z{is_phone}"), "").replace("ID: in", &format!("ID: {is_phone}")),
        );
        assert_eq!(bench.out(), (vec![], vec![]));
        let id = bench.admitted.pop().unwrap();
        if is_phone {
            bench.agent.keep_to_flow(id);
        }
        bench.agent.accept(bench.now, id, OFFER);
        assert_eq!(bench.message().header(Name::Supported), said);
    }
}

/// Each INVITE without a proof was remembered for 32 s, and its refusal sent eleven times: to whoever's address it bore.
#[test]
fn an_invite_that_is_only_asked_for_a_proof_leaves_nothing_behind() {
    let mut bench = bench();
    let asked = [(Name::WwwAuthenticate, "Digest x".to_owned())];
    let mut tag = None;
    for _ in 0..2 {
        bench.take(&request("INVITE", "x", ""));
        let Some(AgentOutput::Invite { flow, request }) = bench.agent.poll_output() else {
            panic!("no INVITE")
        };
        bench.agent.answer_and_forget(flow, &request, 401, &asked);
        let refusal = bench.message();
        assert_eq!((refusal.code(), refusal.header(Name::WwwAuthenticate)), (401, Some("Digest x")));
        assert_eq!(
            tag.get_or_insert_with(|| refusal.to_tag().unwrap().to_owned()),
            refusal.to_tag().unwrap()
        );
        assert_eq!((bench.agent.transactions(), bench.agent.sessions(), bench.agent.timers()), (0, 0, 0));
    }
    let ack =
        request("ACK", "x", "").replace("<sip:robot@x>", &format!("<sip:robot@x>;tag={}", tag.unwrap()));
    bench.take(&ack);
    bench.wait(Duration::from_secs(40));
    assert_eq!(bench.out(), (vec![], vec![]), "its ACK finds nobody, and nothing is said again");
    bench.take(&request("CANCEL", "x", ""));
    assert_eq!(bench.message().code(), 481);
}

#[test]
fn an_answer_that_is_remembered_is_given_again_and_another_is_worked_out_again() {
    let mut bench = bench();
    bench.take(&request("REGISTER", "x", ""));
    let register = brought(&mut bench);
    let asked = [(Name::WwwAuthenticate, "Digest x".to_owned())];
    bench.agent.answer_and_forget(bench.flow, &register, 401, &asked);
    let answer = bench.message();
    assert_eq!((answer.code(), answer.header(Name::WwwAuthenticate)), (401, Some("Digest x")));
    assert_eq!(bench.agent.transactions(), 0, "whoever only asks costs no memory");
    bench.take(&request("REGISTER", "x", ""));
    let register = brought(&mut bench);
    let listed = [(Name::Contact, "<sip:bob@h>;expires=60".to_owned())];
    bench.agent.answer_and_remember(bench.now, bench.flow, &register, 200, &listed);
    let first = bench.message();
    assert_eq!((first.code(), first.header(Name::Contact)), (200, Some("<sip:bob@h>;expires=60")));
    bench.take(&request("REGISTER", "x", ""));
    assert_eq!(bench.message(), first);
    bench.is_empty_at_last();
}

/// One telephone registered two thousand times a second, and nobody could call any more.
#[test]
fn a_telephone_that_floods_has_its_own_places_alone() {
    let mut bench = bench();
    for i in 0..1_000 {
        bench.take(&request("REGISTER", &format!("x{i}"), ""));
        let register = brought(&mut bench);
        bench.agent.answer_and_remember(bench.now, bench.flow, &register, 200, &[]);
        assert_eq!(bench.message().code(), 200, "it is answered all the same");
    }
    assert_eq!(bench.agent.transactions(), 100);
    bench.is_empty_at_last();
    bench.take(&request("REGISTER", "y", ""));
    let register = brought(&mut bench);
    bench.agent.answer_and_remember(bench.now, bench.flow, &register, 200, &[]);
    assert_eq!(bench.agent.transactions(), 1, "what is forgotten makes room");
}

#[test]
fn a_phone_is_there_whatever_it_answers_and_gone_after_half_a_minute_of_silence() {
    let mut bench = bench();
    let probe = bench.agent.probe(bench.now, bench.flow, "sip:bob@10.0.0.9").unwrap();
    let asked = bench.message();
    assert_eq!((asked.method(), asked.uri()), (&Method::Options, "sip:bob@10.0.0.9"));
    bench.answer(&asked, 404, "t", &[]);
    assert_eq!(bench.agent.poll_output(), Some(AgentOutput::Probed { probe, is_there: true }));
    bench.answer(&asked, 200, "t", &[]);
    assert_eq!(bench.agent.poll_output(), None, "once");
    let probe = bench.agent.probe(bench.now, bench.flow, "sip:bob@10.0.0.9").unwrap();
    bench.wait(Duration::from_secs(31));
    assert!(bench.messages().len() > 3, "it is asked again and again");
    bench.wait(Duration::from_secs(1));
    let last = std::iter::from_fn(|| bench.agent.poll_output()).last();
    assert_eq!(last, Some(AgentOutput::Probed { probe, is_there: false }));
    bench.is_empty_at_last();
}

#[test]
fn messages_to_a_phone_go_where_it_is_and_not_where_it_says_it_is() {
    let mut bench = bench();
    let invite = Invite {
        flow: bench.flow,
        uri: "sip:bob@203.0.113.99:5099".into(),
        from: "<sip:robot@example.com>".into(),
        credentials: None,
        sdp: OFFER.into(),
        keeps_flow: true,
        headers: vec![],
    };
    let id = bench.agent.invite(bench.now, invite).unwrap();
    let sent = bench.message();
    bench.answer(&sent, 200, "t", &[("Contact", "<sip:bob@203.0.113.99:5099>")]);
    bench.agent.bye(bench.now, id);
    let mut there = 0;
    while let Some(output) = bench.agent.poll_output() {
        if let AgentOutput::Send { flow, .. } = output {
            assert_eq!(flow, bench.flow);
            there += 1;
        }
    }
    assert_eq!(there, 2, "ACK and BYE");
    // The same for one that called; and after a re-INVITE from another port the answers go there.
    let (id, tag) = {
        let id = bench.invited();
        bench.agent.keep_to_flow(id);
        bench.agent.accept(bench.now, id, OFFER);
        let tag = bench.message().to_tag().unwrap().to_owned();
        bench.take(&in_dialog("ACK", 1, &tag, ""));
        bench.out();
        (id, tag)
    };
    let names = bench.agent.dialog_id(id).unwrap();
    assert_eq!(
        (names.call_id.as_str(), names.local_tag.as_str(), names.remote_tag.as_str()),
        ("in", tag.as_str(), "far")
    );
    bench.flow.remote.set_port(6000);
    bench.take(&in_dialog("UPDATE", 2, &tag, ""));
    bench.out();
    bench.agent.bye(bench.now, id);
    let Some(AgentOutput::Send { flow, .. }) = bench.agent.poll_output() else { panic!("no BYE") };
    assert_eq!(flow.remote.port(), 6000);
}

/// A call in which a REFER came.
fn referred(bench: &mut Bench, cseq: u32) -> (SessionId, String) {
    let (id, tag) = bench.talk();
    bench.take(&in_dialog("REFER", cseq, &tag, "Refer-To: <sip:102@h>\n"));
    let (messages, events) = bench.out();
    assert!(
        messages.is_empty() && matches!(events[..], [AgentEvent::Referred { .. }]),
        "{messages:?} {events:?}"
    );
    (id, tag)
}

#[test]
fn who_hands_a_call_on_hears_how_it_goes_until_the_last_news() {
    let mut bench = bench();
    let (id, tag) = referred(&mut bench, 2);
    bench.take(&in_dialog("REFER", 3, &tag, "Refer-To: <sip:103@h>\n"));
    assert_eq!(bench.message().code(), 491, "one at a time");
    bench.agent.refer_progress(bench.now, id, 180, "");
    assert_eq!(bench.messages(), [], "not before it was accepted");
    bench.agent.answer_refer(bench.now, id, 202);
    let messages = bench.messages();
    assert_eq!((messages.len(), messages[0].code()), (2, 202));
    let check = |notify: &Message, event: &str, state: &str, body: &str| {
        assert_eq!(*notify.method(), Method::Notify);
        assert_eq!(notify.header(Name::Event), Some(event));
        assert_eq!(notify.header(Name::SubscriptionState), Some(state));
        assert_eq!(notify.header(Name::ContentType), Some("message/sipfrag;version=2.0"));
        assert_eq!(notify.body(), body);
    };
    check(&messages[1], "refer", "active;expires=180", "SIP/2.0 100 Trying\r\n");
    bench.answer(&messages[1], 200, "far", &[]);
    bench.agent.refer_progress(bench.now, id, 486, "Busy\r\nX: y");
    let last = bench.message();
    check(&last, "refer", "terminated;reason=noresource", "SIP/2.0 486 BusyX: y\r\n");
    assert!(last.cseq() > messages[1].cseq());
    bench.answer(&last, 200, "far", &[]);
    bench.agent.refer_progress(bench.now, id, 200, "");
    assert_eq!(bench.messages(), []);
    // A second one is told apart by its number.
    bench.take(&in_dialog("REFER", 4, &tag, "Refer-To: <sip:103@h>\n"));
    bench.out();
    bench.agent.answer_refer(bench.now, id, 202);
    let messages = bench.messages();
    check(&messages[1], "refer;id=4", "active;expires=180", "SIP/2.0 100 Trying\r\n");
    bench.answer(&messages[1], 481, "far", &[]);
    bench.agent.refer_progress(bench.now, id, 200, "");
    assert_eq!(bench.messages(), [], "nobody wants to hear it");
    bench.agent.bye(bench.now, id);
    let bye = bench.message();
    bench.answer(&bye, 200, "far", &[]);
    bench.is_empty_at_last();
}

/// A REFER that nobody had answered when the call ended was remembered for ever.
#[test]
fn a_referral_ends_with_its_call() {
    for far_end in [false, true] {
        let mut bench = bench();
        let (id, tag) = referred(&mut bench, 2);
        if far_end {
            bench.take(&in_dialog("BYE", 3, &tag, ""));
        } else {
            bench.agent.bye(bench.now, id);
        }
        let messages = bench.messages();
        assert!(messages.iter().any(|message| *message.method() == Method::Refer && message.code() == 603));
        bench.is_empty_at_last();
    }
}
