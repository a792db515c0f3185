//! Calls that we place.

use super::*;

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
