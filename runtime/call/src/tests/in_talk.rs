//! What the far end may do that another of us never does: offers in odd places, hold, keys, no codec at all. It is played
//! by hand.

use std::time::{Duration, Instant};

use zvonar_media::Codec;
use zvonar_sip::message::{Message, Name, Writer, read};

use super::world::dial;
use crate::{CallId, Calls, CallsConfig, Command, Dial, Ended, Event, Flow, Output, Side, Transport};

struct Table {
    calls: Calls,
    now: Instant,
    flow: Flow,
    messages: Vec<Message>,
    events: Vec<(CallId, Event)>,
}

fn sdp(lines: &str) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 10.0.0.2\r\ns=-\r\nc=IN IP4 10.0.0.2\r\nt=0 0\r\n{lines}\r\n")
}

const AUDIO: &str = "m=audio 5004 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000";

impl Table {
    fn new() -> Self {
        Self::with(CallsConfig::default())
    }

    fn with(config: CallsConfig) -> Self {
        #[expect(clippy::disallowed_methods, reason = "any instant does to count from")]
        let now = Instant::now();
        let flow = Flow {
            transport: Transport::Udp,
            local: "10.0.0.1:5060".parse().unwrap(),
            remote: "10.0.0.2:5060".parse().unwrap(),
        };
        Self { calls: Calls::new(config, 1), now, flow, messages: Vec::new(), events: Vec::new() }
    }

    fn drain(&mut self) {
        while let Some(output) = self.calls.poll_output() {
            match output {
                Output::Send { bytes, .. } => self.messages.push(read(&bytes, Transport::Udp).unwrap()),
                Output::Event { call, event } => self.events.push((call, event)),
                other => panic!("{other:?}"),
            }
        }
    }

    fn dial(&mut self) -> CallId {
        let dial = Dial { flow: self.flow, ..dial(Duration::from_secs(20)) };
        let call = self.calls.dial(self.now, dial);
        self.drain();
        call
    }

    fn command(&mut self, call: CallId, command: Command) {
        self.calls.command(self.now, call, command);
        self.drain();
    }

    /// Answers the last message of ours.
    fn answer(&mut self, code: u16, sdp: &str) {
        let writer = Writer::response_to(self.messages.last().unwrap(), &self.flow, code, "", Some("t"));
        let bytes = if sdp.is_empty() {
            writer.finish()
        } else {
            writer.finish_typed("application/sdp", sdp.as_bytes())
        };
        self.calls.handle_bytes(self.now, self.flow, &bytes);
        self.drain();
    }

    /// Sends a request in the dialog with our tag (or outside of any).
    fn request(&mut self, method: &str, cseq: u32, tag: Option<&str>, content_type: &str, body: &str) {
        let mut writer = Writer::request(method, "sip:+78005553535@10.0.0.1");
        let to = tag.map_or("<sip:robot@x>".to_owned(), |tag| format!("<sip:robot@x>;tag={tag}"));
        writer
            .header(Name::Via, format_args!("SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK{method}{cseq}"))
            .header(Name::From, "\"Иван\" <sip:%2B7916@x>;tag=far")
            .header(Name::To, to)
            .header(Name::CallId, "in")
            .header(Name::CSeq, format_args!("{cseq} {method}"))
            .header(Name::Contact, "<sip:bob@10.0.0.2>");
        let bytes = if body.is_empty() {
            writer.finish()
        } else {
            writer.finish_typed(content_type, body.as_bytes())
        };
        self.calls.handle_bytes(self.now, self.flow, &bytes);
        self.drain();
    }

    /// The events so far, short, and forgets them.
    fn told(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events).into_iter().map(|(_, event)| event).collect()
    }

    fn last(&self) -> &Message {
        self.messages.last().expect("something was sent")
    }
}

fn local() -> std::net::SocketAddr {
    "10.0.0.1:40000".parse().unwrap()
}

#[test]
fn a_call_without_an_offer_gets_ours_in_the_200() {
    let mut table = Table::new();
    table.request("INVITE", 1, None, "", "");
    let call = table.events[0].0;
    assert!(matches!(&table.told()[..], [Event::Incoming(incoming)]
        if !incoming.has_offer && incoming.to_user == "+78005553535" && incoming.from_user == "+7916" && incoming.from_display == "Иван"));
    table.command(call, Command::Ring { early_media: Some(local()) });
    assert_eq!(table.last().code(), 180, "there is nothing to play to yet");
    table.command(call, Command::Answer { local_media: local() });
    assert_eq!(table.told(), [], "not before it is known where the sound goes");
    let ok = table.last().clone();
    let offer = String::from_utf8(ok.sdp().expect("our offer").to_vec()).unwrap();
    assert!(offer.contains("m=audio 40000 RTP/AVP 8 0 101\r\n"), "{offer}");
    table.request("ACK", 1, ok.to_tag(), "application/sdp", &sdp(AUDIO));
    let told = table.told();
    assert!(
        matches!(&told[..], [Event::Answered { code: 200, media, .. }, Event::Confirmed]
        if media.remote.to_string() == "10.0.0.2:5004" && media.codec == Codec::Pcma),
        "{told:?}"
    );
}

#[test]
fn an_ack_without_the_answer_ends_such_a_call() {
    let mut table = Table::new();
    table.request("INVITE", 1, None, "", "");
    let call = table.events[0].0;
    table.command(call, Command::Answer { local_media: local() });
    let tag = table.last().to_tag().unwrap().to_owned();
    table.told();
    table.request("ACK", 1, Some(&tag), "", "");
    assert_eq!(table.told(), [Event::Ended(Ended::NoCommonCodec)]);
    assert_eq!(table.last().method().text(), "BYE");
}

#[test]
fn an_offer_with_no_codec_of_ours_is_refused_without_a_word() {
    let mut table = Table::new();
    table.request("INVITE", 1, None, "application/sdp", &sdp("m=audio 5004 RTP/AVP 18"));
    assert_eq!((table.last().code(), table.told().len(), table.calls.len()), (488, 0, 0));
}

/// Answers a call of ours, and says what was told.
fn answered(table: &mut Table, early: &str, code: u16, sdp: &str) -> Vec<Event> {
    table.dial();
    if !early.is_empty() {
        table.answer(183, early);
    }
    table.answer(code, sdp);
    table.told()
}

#[test]
fn an_answer_without_a_codec_that_we_offered_is_closed() {
    for body in ["", &sdp("m=audio 5004 RTP/AVP 18"), &sdp("m=audio 0 RTP/AVP 8"), "nonsense"] {
        let mut table = Table::new();
        assert_eq!(answered(&mut table, "", 200, body), [Event::Ended(Ended::NoCommonCodec)], "{body}");
        let sent: Vec<_> = table.messages.iter().map(|message| message.method().text().to_owned()).collect();
        assert_eq!(sent, ["INVITE", "ACK", "BYE"], "{body}");
    }
}

#[test]
fn the_answer_may_have_come_with_the_early_media() {
    let mut table = Table::new();
    let told = answered(&mut table, &sdp(AUDIO), 200, "");
    match &told[..] {
        [Event::Progress { code: 183, media: Some(early) }, Event::Answered { code: 200, media, .. }] => {
            assert_eq!(early, media);
            assert_eq!(media.event_send, Some(101));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn hold_and_release_change_the_media() {
    for method in ["INVITE", "UPDATE"] {
        let mut table = Table::new();
        table.request("INVITE", 1, None, "application/sdp", &sdp(AUDIO));
        let call = table.events[0].0;
        table.command(call, Command::Answer { local_media: local() });
        let tag = table.last().to_tag().unwrap().to_owned();
        table.request("ACK", 1, Some(&tag), "", "");
        table.told();
        for (cseq, line, flows) in [
            (2, "a=sendonly", (false, true)),
            (3, "a=inactive", (false, false)),
            (4, "a=sendrecv", (true, true)),
        ] {
            table.request(method, cseq, Some(&tag), "application/sdp", &sdp(&format!("{AUDIO}\r\n{line}")));
            assert_eq!(table.last().code(), 200);
            match &table.told()[..] {
                [Event::MediaChanged { media }] => {
                    assert_eq!((media.send, media.receive), flows, "{method} {line}")
                }
                other => panic!("{other:?}"),
            }
            table.request("ACK", cseq, Some(&tag), "", "");
        }
        // The same again changes nothing, and an offer with nothing for us changes nothing either.
        table.request(method, 5, Some(&tag), "application/sdp", &sdp(AUDIO));
        table.request("ACK", 5, Some(&tag), "", "");
        table.request(method, 6, Some(&tag), "application/sdp", &sdp("m=audio 5004 RTP/AVP 18"));
        assert_eq!((table.last().code(), table.told()), (488, vec![]), "{method}");
        table.command(call, Command::Hangup);
        assert!(matches!(table.told()[..], [Event::Ended(Ended::HungUp { by: Side::Near, .. })]));
    }
}

#[test]
fn a_reinvite_without_an_offer_gets_ours_and_moves_the_media_with_its_ack() {
    let mut table = Table::new();
    table.request("INVITE", 1, None, "application/sdp", &sdp(AUDIO));
    let call = table.events[0].0;
    table.command(call, Command::Answer { local_media: local() });
    let tag = table.last().to_tag().unwrap().to_owned();
    table.request("ACK", 1, Some(&tag), "", "");
    table.told();
    table.request("INVITE", 2, Some(&tag), "", "");
    assert!(table.last().sdp().is_some());
    table.request("ACK", 2, Some(&tag), "application/sdp", &sdp("m=audio 6006 RTP/AVP 0"));
    assert!(matches!(&table.told()[..], [Event::MediaChanged { media }]
        if media.remote.port() == 6006 && media.codec == Codec::Pcmu));
}

#[test]
fn keys_by_info_are_told() {
    let mut table = Table::new();
    table.request("INVITE", 1, None, "application/sdp", &sdp(AUDIO));
    let call = table.events[0].0;
    table.command(call, Command::Answer { local_media: local() });
    let tag = table.last().to_tag().unwrap().to_owned();
    table.request("ACK", 1, Some(&tag), "", "");
    table.told();
    table.request("INFO", 2, Some(&tag), "application/dtmf-relay", "Signal=7\r\nDuration=160\r\n");
    table.request("INFO", 3, Some(&tag), "application/media_control+xml", "<x/>");
    assert_eq!(table.told(), [Event::Key { digit: '7', held: Some(Duration::from_millis(160)) }]);
}

#[test]
fn over_the_cap_nobody_is_called_and_nobody_gets_through() {
    let mut table = Table::with(CallsConfig { max_calls: 1, ..CallsConfig::default() });
    table.dial();
    table.dial();
    assert_eq!(table.told(), [Event::Ended(Ended::TooManyCalls)]);
    table.request("INVITE", 1, None, "application/sdp", &sdp(AUDIO));
    assert_eq!((table.last().code(), table.last().header(Name::RetryAfter)), (503, Some("10")));
    assert_eq!(table.calls.len(), 1);
}

/// With as many callers as the host may have, no operator's telephone could be rung: all of them waited for nothing.
#[test]
fn whom_callers_are_handed_to_have_room_of_their_own() {
    let mut table = Table::with(CallsConfig { max_calls: 1, max_legs: 2, ..CallsConfig::default() });
    let caller = table.dial();
    let hand_on = |table: &mut Table, is_phone: bool| {
        let dial = Dial { flow: table.flow, is_phone, is_leg: !is_phone, ..dial(Duration::from_secs(20)) };
        let call = table.calls.dial(table.now, dial);
        table.drain();
        call
    };
    let (first, _second) = (hand_on(&mut table, true), hand_on(&mut table, false));
    assert_eq!((table.told(), table.calls.len()), (vec![], 3));
    hand_on(&mut table, true);
    assert_eq!(table.told(), [Event::Ended(Ended::TooManyCalls)], "that room has an end too");
    table.dial();
    assert_eq!(table.told(), [Event::Ended(Ended::TooManyCalls)], "and is none for callers");
    // Whoever goes makes room for his own kind.
    for (gone, is_caller) in [(first, false), (caller, true)] {
        table.command(gone, Command::Hangup);
        table.now += Duration::from_secs(40);
        table.calls.handle_timeout(table.now);
        table.drain();
        assert!(matches!(table.told()[..], [.., Event::Ended(_)]));
        let _ = if is_caller { table.dial() } else { hand_on(&mut table, true) };
        assert_eq!(table.told(), []);
    }
}

#[test]
fn an_address_that_is_no_uri_is_not_called() {
    let mut table = Table::new();
    let dial = Dial { to_uri: "sip:1@h\r\nX: y".into(), ..dial(Duration::from_secs(1)) };
    table.calls.dial(table.now, dial);
    table.drain();
    assert!(matches!(table.told()[..], [Event::Ended(Ended::Refused { code: 400, by: Side::Near, .. })]));
    assert!(table.messages.is_empty());
}

#[test]
fn who_calls_is_shown_as_told() {
    let mut table = Table::new();
    let dial = Dial {
        flow: table.flow,
        asserted_identity: Some("sip:+7495@trunk".into()),
        ..dial(Duration::from_secs(1))
    };
    table.calls.dial(table.now, dial);
    table.drain();
    let invite = table.last();
    assert_eq!(invite.header(Name::PAssertedIdentity), Some("<sip:+7495@trunk>"));
    let from = invite.from().unwrap();
    assert_eq!((from.display().as_str(), from.uri), ("Робот", "sip:+74951234567@10.0.0.1:5060"));
}
