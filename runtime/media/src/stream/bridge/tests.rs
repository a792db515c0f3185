mod one_stream;

use std::net::SocketAddr;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::rtp::PacketBuf;
use crate::stream::{StreamIds, StreamSettings};
use crate::testing::{sine, start};
use crate::{Clip, MediaPlan, PlayId, Prompt, StreamEvent};

/// The caller's telephone and the operator's.
const PHONES: [&str; 2] = ["10.0.0.2:5000", "10.0.0.3:6000"];
const CALLER: usize = 0;
const OPERATOR: usize = 1;

/// The far ends number their events each in its own way.
const EVENTS: [u8; 2] = [101, 96];

fn plan(who: usize) -> MediaPlan {
    MediaPlan {
        remote: PHONES[who].parse().expect("an address"),
        codec: Codec::Pcma,
        event_send: Some(EVENTS[who]),
        event_receive: Some(EVENTS[who]),
        send: true,
        receive: true,
    }
}

fn prompt(ms: usize) -> Prompt {
    Prompt::from(Arc::new(Clip::from_samples(&sine(400.0, ms * 8, 0.4))))
}

#[derive(Default)]
struct Tape(Vec<RecordingFrame>);

impl Tap for Tape {
    fn call(&mut self, frame: RecordingFrame) -> bool {
        self.0.push(frame);
        true
    }
    fn voice(&mut self, _: RecordingFrame) -> bool {
        true
    }
    fn heard(&mut self, _: Codec, _: &[u8; FRAME]) -> bool {
        true
    }
}

/// A packet that left to one of the phones.
#[derive(Debug, Clone)]
struct Left {
    ms: u64,
    header: Header,
    payload: Vec<u8>,
}

/// Two calls side by side, a clock that is moved by hand, and a driver as the media thread is one: it ticks each stream
/// every 20 ms, at once when it hurries, and hands on what is to be passed.
struct Joined {
    start: Instant,
    now_ms: u64,
    streams: [Stream; 2],
    tick_at: [u64; 2],
    tapes: [Tape; 2],
    left: [Vec<Left>; 2],
    bridged: bool,
    trace: Vec<String>,
    /// Sound that was taken from one phone and not sent to the other.
    withheld: usize,
}

const FIRST: StreamIds = StreamIds { ssrc: 77, sequence: 65_530, timestamp: u32::MAX - 4000 };

impl Joined {
    fn new() -> Self {
        Self::with([plan(CALLER), plan(OPERATOR)])
    }

    fn with(plans: [MediaPlan; 2]) -> Self {
        let start = start();
        let settings = StreamSettings { keepalive: None, ..StreamSettings::default() };
        let streams = plans.map(|plan| {
            let mut stream = Stream::new(start, settings, FIRST);
            stream.start(start, plan);
            stream
        });
        Self {
            start,
            now_ms: 0,
            streams,
            tick_at: [0, 7],
            tapes: Default::default(),
            left: Default::default(),
            bridged: false,
            trace: Vec::new(),
            withheld: 0,
        }
    }

    fn bridged() -> Self {
        let mut line = Self::new();
        line.bridge();
        line
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.now_ms)
    }

    fn bridge(&mut self) {
        let now = self.now();
        self.streams.iter_mut().for_each(|stream| stream.bridge(now));
        self.bridged = true;
        self.events();
    }

    fn unbridge(&mut self) {
        self.streams.iter_mut().for_each(Stream::unbridge);
        self.bridged = false;
    }

    fn play(&mut self, who: usize, prompt: Prompt) {
        self.streams[who].play(PlayId(1), prompt, false);
        self.hurry(who);
    }

    fn hurry(&mut self, who: usize) {
        if self.streams[who].wants_to_hurry(self.now()) {
            self.tick_at[who] = self.now_ms + 20;
            self.tick(who);
        }
        self.events();
    }

    fn tick(&mut self, who: usize) {
        let mut out = PacketBuf::new();
        let now = self.now();
        self.streams[who].tick(now, &mut out, &mut self.tapes[who]);
        if !out.is_empty() {
            self.note(who, out.as_slice());
        }
        self.events();
    }

    fn note(&mut self, who: usize, packet: &[u8]) {
        let (header, payload) = Header::parse(packet).expect("we send RTP");
        let (ms, payload) = (self.now_ms, packet[payload].to_vec());
        self.left[who].push(Left { ms, header, payload });
    }

    fn events(&mut self) {
        for (who, name) in ["caller", "operator"].into_iter().enumerate() {
            while let Some(event) = self.streams[who].poll_event() {
                let text = match event {
                    StreamEvent::Key { digit, .. } => format!("key {digit}"),
                    StreamEvent::PlayEnded { end, played, .. } => {
                        format!("{end:?} after {}", played.as_millis())
                    }
                    StreamEvent::KeysSent => "keys sent".to_owned(),
                    _ => continue,
                };
                self.trace.push(format!("{}ms {name} {text}", self.now_ms));
            }
        }
    }

    /// Time passes.
    fn wait(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        while self.now_ms < until {
            for who in 0..2 {
                if self.now_ms >= self.tick_at[who] {
                    self.tick_at[who] += 20;
                    self.tick(who);
                }
            }
            self.now_ms += 1;
        }
    }

    /// A phone's packet arrives.
    fn say(&mut self, who: usize, header: Header, payload: &[u8]) {
        let mut packet = vec![0; 12];
        header.write(packet.first_chunk_mut().expect("twelve"));
        packet.extend(payload);
        self.arrive(who, &mut packet);
    }

    fn arrive(&mut self, who: usize, packet: &mut [u8]) {
        let (now, from) = (self.now(), PHONES[who].parse::<SocketAddr>().expect("an address"));
        let handled = self.streams[who].handle_packet(now, from, packet);
        if let Handled::Pass(passing) = handled
            && self.bridged
        {
            let other = 1 - who;
            let range = self.streams[other].pass_on(now, &passing, packet, &mut self.tapes[other]);
            match range {
                Some(range) => self.note(other, &packet[range]),
                None => self.withheld += usize::from(matches!(passing.kind, Kind::Sound(_))),
            }
            self.hurry(other);
        }
        self.events();
    }

    /// The operator's packet of 20 ms number so, now.
    fn operator(&mut self, n: u16) {
        self.say(OPERATOR, sound(n), &[n as u8; FRAME]);
    }

    /// What left to the caller since the last time: `type@samples since the first`, a star for the marker.
    fn heard(&mut self) -> String {
        let text = |left: &Left| {
            let at = left.header.timestamp.wrapping_sub(FIRST.timestamp);
            let n = left.header.sequence.wrapping_sub(FIRST.sequence);
            let mark = if left.header.marker { "*" } else { "" };
            format!("{}ms {n}:{}@{at}{mark}", left.ms, left.header.payload_type)
        };
        let all: Vec<String> = self.left[CALLER].iter().map(text).collect();
        self.left[CALLER].clear();
        all.join(" | ")
    }
}

fn sound(n: u16) -> Header {
    let timestamp = 5_000_000 + u32::from(n) * 160;
    Header { marker: false, payload_type: 8, sequence: 100 + n, timestamp, ssrc: 9 }
}

fn event(n: u16, pressed: u16, marker: bool) -> Header {
    Header { marker, payload_type: EVENTS[OPERATOR], timestamp: sound(pressed).timestamp, ..sound(n) }
}

#[test]
fn what_the_operator_says_leaves_to_the_caller_as_it_comes_and_goes_on_where_our_prompt_stopped() {
    let mut line = Joined::new();
    line.play(CALLER, prompt(40));
    line.wait(50);
    line.bridge();
    line.operator(0);
    let last = line.left[CALLER].last().expect("a packet").clone();
    assert_eq!((last.header.ssrc, last.payload), (77, vec![0; FRAME]));
    for n in 1..4 {
        line.wait(20);
        line.operator(n);
    }
    assert_eq!(
        line.heard(),
        "0ms 0:8@0* | 20ms 1:8@160 | 50ms 2:8@400* | 70ms 3:8@560 | 90ms 4:8@720 | 110ms 5:8@880"
    );
    line.unbridge();
    line.play(CALLER, prompt(40));
    line.operator(4);
    line.wait(20);
    assert_eq!(line.heard(), "110ms 6:8@1040* | 130ms 7:8@1200".split(" | ").next().expect("one"));
    assert_eq!(line.trace.join(" | "), "40ms caller Played after 40");
}

#[test]
fn what_was_lost_is_a_hole_what_was_out_of_order_stays_so_and_nothing_is_doubled() {
    let mut line = Joined::bridged();
    for n in [0, 1, 4, 3, 3, 5, 4, 7] {
        line.operator(n);
        line.wait(20);
    }
    let numbers: Vec<String> =
        line.heard().split(" | ").map(|packet| packet.split(' ').nth(1).expect("two").to_owned()).collect();
    assert_eq!(numbers.join(" "), "0:8@0* 1:8@160 4:8@640 3:8@480 5:8@800 7:8@1120");
    assert_eq!(line.streams[CALLER].report().packets_sent, 6);
}

#[test]
fn laws_that_differ_are_recoded_byte_by_byte_and_packets_of_any_length_pass() {
    let mut line = Joined::with([MediaPlan { codec: Codec::Pcmu, ..plan(CALLER) }, plan(OPERATOR)]);
    line.bridge();
    let all: Vec<u8> = (0..480u16).map(|n| n as u8).collect();
    line.say(OPERATOR, sound(0), &all);
    let left = line.left[CALLER].pop().expect("a packet");
    assert_eq!(left.header.payload_type, 0);
    let table = g711::table(Codec::Pcma);
    let expected: Vec<u8> =
        all.iter().map(|byte| g711::encode(Codec::Pcmu, table[usize::from(*byte)])).collect();
    assert_eq!(left.payload, expected);
    line.wait(60);
    line.say(OPERATOR, Header { sequence: 101, timestamp: sound(3).timestamp, ..sound(0) }, &all[..80]);
    assert_eq!(line.heard(), "60ms 1:0@480");
}

#[test]
fn a_header_that_is_longer_than_ours_and_padding_are_left_behind() {
    let mut line = Joined::bridged();
    let mut packet = vec![0; 12];
    sound(0).write(packet.first_chunk_mut().expect("twelve"));
    packet[0] = 0xb1; // padding, extension, one contributing source
    packet.extend([1, 2, 3, 4, 0xbe, 0xde, 0, 1, 9, 9, 9, 9]);
    packet.extend([7; FRAME]);
    packet.extend([0, 0, 0, 4]);
    line.arrive(OPERATOR, &mut packet);
    assert_eq!(line.left[CALLER][0].payload, [7; FRAME]);
    assert_eq!(line.heard(), "0ms 0:8@0*");
}

#[test]
fn a_key_passes_under_the_others_payload_type_and_is_told_too() {
    let mut line = Joined::bridged();
    line.operator(0);
    line.wait(20);
    for (n, payload) in
        [[5, 10, 0, 160], [5, 10, 1, 64], [5, 0x8a, 1, 64], [5, 0x8a, 1, 64]].iter().enumerate()
    {
        line.say(OPERATOR, event(1 + n as u16, 1, n == 0), payload);
        line.wait(20);
    }
    line.operator(5);
    assert_eq!(line.left[CALLER][3].payload, [5, 0x8a, 1, 64]);
    assert_eq!(
        line.heard(),
        "0ms 0:8@0* | 20ms 1:101@160* | 40ms 2:101@160 | 60ms 3:101@160 | 80ms 4:101@160 | 100ms 5:8@800"
    );
    assert_eq!(line.trace.join(" | "), "20ms operator key 5");
}

#[test]
fn sound_beside_the_packets_of_a_key_passes_too() {
    let mut line = Joined::bridged();
    line.operator(0);
    line.wait(20);
    for n in 0..3u16 {
        let [high, low] = (160 * (n + 1)).to_be_bytes();
        line.say(OPERATOR, event(1 + 2 * n, 1, n == 0), &[5, 10, high, low]);
        let header = Header { sequence: 102 + 2 * n, ..sound(1 + n) };
        line.say(OPERATOR, header, &[1; FRAME]);
        line.wait(20);
    }
    assert_eq!(
        line.heard(),
        "0ms 0:8@0* | 20ms 1:101@160* | 20ms 2:8@160 | 40ms 3:101@160 | 40ms 4:8@320 | 60ms 5:101@160 \
         | 60ms 6:8@480"
    );
}

#[test]
fn a_key_for_a_far_end_without_events_is_sung_in_place_of_the_sound() {
    let mut line = Joined::with([MediaPlan { event_send: None, ..plan(CALLER) }, plan(OPERATOR)]);
    line.bridge();
    let mut detector = crate::inband::KeyDetector::default();
    let mut heard = String::new();
    for n in 0..30 {
        if n == 5 || n == 6 {
            line.say(OPERATOR, event(n, 5, n == 5), &[11, 10, 0, 160]);
        } else {
            line.operator(n);
        }
        line.wait(20);
    }
    for left in &line.left[CALLER] {
        assert_eq!(left.header.payload_type, 8);
        let mut linear = [0; FRAME];
        g711::decode(Codec::Pcma, &left.payload, &mut linear);
        heard.extend(detector.handle(&linear));
    }
    assert_eq!(heard, "#");
    assert_eq!(line.trace.join(" | "), "100ms operator key #", "the owner sent no keys himself");
    let last = line.left[CALLER].last().expect("sound again");
    assert_eq!((last.ms, last.payload[0]), (580, 29));
}

#[test]
fn a_key_told_by_the_signalling_passes_and_without_a_bridge_it_does_not() {
    let mut line = Joined::new();
    line.streams[CALLER].pass_key('7');
    line.wait(100);
    assert_eq!(line.heard(), "");
    line.bridge();
    line.streams[CALLER].pass_key('7');
    line.hurry(CALLER);
    line.wait(300);
    assert!(line.heard().starts_with("100ms 0:101@800* | 120ms 1:101@800 | "), "{}", line.heard());
}

#[test]
fn in_the_others_silence_packets_of_silence_keep_the_pace_and_he_comes_back_in_his_place() {
    let mut line = Joined::bridged();
    line.operator(0);
    line.wait(200);
    line.operator(10);
    line.wait(20);
    line.operator(11);
    assert_eq!(
        line.heard(),
        "0ms 0:8@0* | 100ms 1:8@800* | 120ms 2:8@960 | 140ms 3:8@1120 | 160ms 4:8@1280 | 180ms 5:8@1440 \
         | 200ms 6:8@1600* | 220ms 7:8@1760"
    );
}

#[test]
fn what_a_network_held_back_is_dropped_when_its_time_was_filled() {
    let mut line = Joined::bridged();
    for n in 0..5 {
        line.operator(n);
        line.wait(20);
    }
    line.wait(400);
    // Twenty packets at once, and then one every 20 ms as before.
    for n in 5..25 {
        line.operator(n);
    }
    line.wait(20);
    line.left[CALLER].clear();
    for n in 25..40 {
        line.operator(n);
        line.wait(20);
    }
    let delays: Vec<i64> = line.left[CALLER]
        .iter()
        .map(|left| i64::from(left.header.timestamp.wrapping_sub(FIRST.timestamp)) / 8 - left.ms as i64)
        .collect();
    assert_eq!(delays.len(), 15);
    assert!(delays.iter().all(|ahead| (0..=60).contains(ahead)), "{delays:?}");
}

/// Some telephones stop their clock while they are muted.
#[test]
fn a_clock_that_stood_still_is_followed_after_a_moment() {
    let mut line = Joined::bridged();
    line.operator(0);
    line.wait(1000);
    line.left[CALLER].clear();
    for n in 1..30 {
        line.operator(n);
        line.wait(20);
    }
    let firsts: Vec<u64> =
        line.left[CALLER].iter().filter(|left| left.payload[0] == 6).map(|left| left.ms).collect();
    assert_eq!(firsts, [1100]);
    assert_eq!(line.left[CALLER].last().expect("sound").payload[0], 29);
}

#[test]
fn a_jump_of_the_clock_with_a_marker_and_a_new_source_are_followed_at_once() {
    let mut line = Joined::bridged();
    line.operator(0);
    line.wait(20);
    line.say(OPERATOR, Header { marker: true, timestamp: 3, ..sound(1) }, &[1; FRAME]);
    line.wait(20);
    line.say(OPERATOR, Header { timestamp: 163, ..sound(2) }, &[2; FRAME]);
    line.wait(320);
    line.left[CALLER].clear();
    line.say(OPERATOR, Header { ssrc: 10, timestamp: 77, sequence: 9, ..sound(0) }, &[3; FRAME]);
    line.wait(20);
    line.say(OPERATOR, Header { ssrc: 10, timestamp: 237, sequence: 10, ..sound(0) }, &[4; FRAME]);
    assert_eq!(line.heard(), "360ms 14:8@2880* | 380ms 15:8@3040");
}

#[test]
fn a_prompt_is_heard_in_place_of_the_other_party_and_the_bridge_goes_on_after_it() {
    let mut line = Joined::bridged();
    for n in 0..20 {
        if n == 5 {
            line.play(CALLER, prompt(100));
        }
        line.operator(n);
        line.wait(20);
    }
    let order: Vec<String> = line.left[CALLER]
        .iter()
        .map(|left| {
            if left.payload[..] == [left.payload[0]; FRAME] {
                left.payload[0].to_string()
            } else {
                "p".into()
            }
        })
        .collect();
    assert_eq!(order.join(" "), "0 1 2 3 4 p p p p p 11 12 13 14 15 16 17 18 19");
    let numbers: Vec<u16> = line.left[CALLER].iter().map(|left| left.header.sequence).collect();
    assert!(numbers.windows(2).all(|two| two[1] == two[0].wrapping_add(1)));
    assert_eq!(line.trace.join(" | "), "200ms caller Played after 100");
    // The other side heard nothing of it, and the caller's silence was filled.
    assert!(line.left[OPERATOR].iter().all(|left| left.payload[..] == [0xd5; FRAME]));
}

#[test]
fn a_key_pressed_while_the_other_hears_a_prompt_reaches_him_all_the_same() {
    let mut line = Joined::bridged();
    line.play(CALLER, prompt(200));
    line.wait(40);
    line.say(OPERATOR, event(0, 0, true), &[5, 10, 0, 160]);
    line.wait(500);
    let keys: Vec<u8> = line.left[CALLER]
        .iter()
        .filter(|left| left.header.payload_type == 101)
        .map(|left| left.payload[0])
        .collect();
    assert_eq!(keys, [5; 8], "pressed for 100 ms, and three end packets");
    assert!(line.trace.join(" | ").ends_with("caller Played after 200"), "{:?}", line.trace);
}

#[test]
fn music_ends_with_the_bridge_and_an_announcement_is_played_out() {
    let mut line = Joined::new();
    line.play(CALLER, prompt(40).repeated());
    line.play(OPERATOR, prompt(60));
    line.wait(20);
    line.bridge();
    line.operator(0);
    line.say(CALLER, sound(0), &[1; FRAME]);
    line.wait(60);
    line.say(CALLER, sound(3), &[2; FRAME]);
    assert_eq!(line.trace.join(" | "), "20ms caller Command after 20 | 60ms operator Played after 60");
    assert_eq!(line.left[CALLER][1].payload, [0; FRAME]);
    assert_eq!(line.left[OPERATOR].last().expect("sound").payload, [2; FRAME]);
}

#[test]
fn whoever_holds_us_is_sent_nothing_and_hears_the_other_again_when_he_takes_us_back() {
    let mut line = Joined::bridged();
    let start_plan = |line: &mut Joined, send| {
        let now = line.now();
        line.streams[CALLER].start(now, MediaPlan { send, ..plan(CALLER) });
    };
    start_plan(&mut line, false);
    for n in 0..10 {
        line.operator(n);
        line.wait(20);
    }
    assert_eq!(line.heard(), "");
    start_plan(&mut line, true);
    line.operator(10);
    line.wait(20);
    line.operator(11);
    assert_eq!(line.heard(), "200ms 0:8@1600* | 220ms 1:8@1760");
}

#[test]
fn comfort_noise_takes_no_number_and_is_silence() {
    let mut line = Joined::bridged();
    line.operator(0);
    line.wait(20);
    line.say(OPERATOR, Header { payload_type: 13, ..sound(1) }, &[60]);
    line.wait(180);
    line.operator(10);
    assert_eq!(
        line.heard(),
        "0ms 0:8@0* | 100ms 1:8@800* | 120ms 2:8@960 | 140ms 3:8@1120 | 160ms 4:8@1280 | 180ms 5:8@1440 \
         | 200ms 6:8@1600*"
    );
}

#[test]
fn the_callers_recording_has_what_he_hears_in_its_place_whatever_the_network_did() {
    let mut line = Joined::bridged();
    let now = line.now();
    line.streams[CALLER].record(now);
    for (n, wait) in [(0, 20), (1, 35), (3, 0), (2, 25), (5, 20), (6, 0)] {
        line.operator(n);
        line.wait(wait);
    }
    let half = [9; FRAME / 2];
    line.say(OPERATOR, sound(7), &half);
    let places: Vec<(u64, u8, usize)> = line.tapes[CALLER]
        .0
        .iter()
        .filter(|frame| frame.side == Side::Us)
        .map(|frame| (frame.at, frame.sound[0], frame.len))
        .collect();
    let whole = |n: u8| (u64::from(n) * 160, n, FRAME);
    assert_eq!(places, [whole(0), whole(1), whole(3), whole(2), whole(5), whole(6), (7 * 160, 9, FRAME / 2)]);
    assert!(line.tapes[OPERATOR].0.is_empty());
}

proptest! {
    #[test]
    fn no_packet_makes_a_bridge_panic(
        packets in proptest::collection::vec((0usize..2, 0u8..3, proptest::collection::vec(any::<u8>(), 0..300)), 0..60),
    ) {
        let mut line = Joined::bridged();
        for (who, kind, mut packet) in packets {
            if packet.len() > 12 {
                packet[0] &= 0xbf;
                packet[0] |= 0x80;
                packet[1] = [8, EVENTS[who], 13][usize::from(kind)];
                packet[8..12].fill(7);
            }
            line.arrive(who, &mut packet);
            line.wait(3);
        }
    }
}
