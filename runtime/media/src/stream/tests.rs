use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::testing::{Noise, pitch_hz, sine, start};
use crate::{Clip, level};

mod wire;

const US: &str = "10.0.0.1:4000";
const THEM: &str = "10.0.0.2:5000";

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn plan() -> MediaPlan {
    MediaPlan {
        remote: address(THEM),
        codec: Codec::Pcma,
        event_send: Some(101),
        event_receive: Some(101),
        send: true,
        receive: true,
    }
}

/// No packets of silence, so that traces show only what a test is about.
fn quiet() -> StreamSettings {
    StreamSettings { keepalive: None, ..StreamSettings::default() }
}

fn tone(hz: f32, ms: usize) -> Prompt {
    Prompt::from(Arc::new(Clip::from_samples(&sine(hz, ms * 8, 0.4))))
}

/// Keeps all that is recorded.
#[derive(Default)]
struct Tape {
    call: Vec<RecordingFrame>,
    voice: Vec<RecordingFrame>,
    heard: Vec<[u8; FRAME]>,
}

impl Tap for Tape {
    fn call(&mut self, frame: RecordingFrame) -> bool {
        self.call.push(frame);
        true
    }
    fn voice(&mut self, frame: RecordingFrame) -> bool {
        self.voice.push(frame);
        true
    }
    fn heard(&mut self, _: Codec, sound: &[u8; FRAME]) -> bool {
        self.heard.push(*sound);
        true
    }
}

/// A stream, a clock that is moved by hand, and everything that came out so far, as text.
struct Bench {
    stream: Stream,
    start: Instant,
    now_ms: u64,
    tape: Tape,
    trace: Vec<String>,
    packets: Vec<(Header, Vec<u8>)>,
    ids: StreamIds,
}

impl Bench {
    fn new(settings: StreamSettings) -> Self {
        let start = start();
        let ids = StreamIds { ssrc: 77, sequence: 65_530, timestamp: u32::MAX - 1000 };
        let stream = Stream::new(start, settings, ids);
        Self { stream, start, now_ms: 0, tape: Tape::default(), trace: vec![], packets: vec![], ids }
    }

    fn started(settings: StreamSettings, plan: MediaPlan) -> Self {
        let mut bench = Self::new(settings);
        bench.stream.start(bench.now(), plan);
        bench
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.now_ms)
    }

    fn tick(&mut self) {
        let mut out = PacketBuf::new();
        self.stream.tick(self.now(), &mut out, &mut self.tape);
        if !out.is_empty() {
            let (header, payload) = Header::parse(out.as_slice()).expect("sound");
            let payload = out.as_slice()[payload].to_vec();
            // Samples since the first timestamp of all.
            let at = header.timestamp.wrapping_sub(self.ids.timestamp);
            let mark = if header.marker { "*" } else { "" };
            self.trace.push(format!("{}ms {}@{at}{mark}", self.now_ms, header.payload_type));
            self.packets.push((header, payload));
        }
        self.take_events();
    }

    fn take_events(&mut self) {
        while let Some(event) = self.stream.poll_event() {
            let text = match event {
                StreamEvent::Key { digit, .. } => format!("key {digit}"),
                StreamEvent::FirstPacketSent { .. } => continue,
                StreamEvent::FirstPacketHeard { .. } => "heard".to_owned(),
                StreamEvent::PlayEnded { id, end, played, .. } => {
                    format!("{} {end:?} after {}", id.0, played.as_millis())
                }
                StreamEvent::KeysSent => "keys sent".to_owned(),
                StreamEvent::KeysRefused => "keys refused".to_owned(),
                StreamEvent::SilentWire { since, heard } => {
                    let since = since.duration_since(self.start).as_millis();
                    let before = match heard {
                        Heard::Nothing => " and before",
                        Heard::Sound => "",
                        Heard::Pauses => ", as it may be",
                    };
                    format!("silent since {since}{before}")
                }
                StreamEvent::WireBack => "back".to_owned(),
                StreamEvent::Machine(verdict) => format!("{:?} {:?}", verdict.who, verdict.cause),
                StreamEvent::Beep { hz } => format!("beep of {} Hz", (hz / 10.0).round() * 10.0),
                StreamEvent::VoiceEnded { end, at } => format!("voice {end:?} at {at}"),
            };
            self.trace.push(format!("{}ms {text}", self.now_ms));
        }
    }

    /// So many ticks, 20 ms apart.
    fn ticks(&mut self, count: usize) {
        for _ in 0..count {
            self.tick();
            self.now_ms += 20;
        }
    }

    fn hear(&mut self, from: &str, ssrc: u32, sequence: u16, payload_type: u8, payload: &[u8]) -> bool {
        let timestamp = u32::from(sequence) * 160;
        self.hear_at(timestamp, from, ssrc, sequence, payload_type, payload)
    }

    fn hear_at(
        &mut self,
        timestamp: u32,
        from: &str,
        ssrc: u32,
        sequence: u16,
        payload_type: u8,
        payload: &[u8],
    ) -> bool {
        let header = Header { marker: false, payload_type, sequence, timestamp, ssrc };
        let mut packet = vec![0; 12];
        header.write(packet.first_chunk_mut().expect("twelve"));
        packet.extend(payload);
        let handled = self.stream.handle_packet(self.now(), address(from), &packet);
        self.take_events();
        handled != Handled::Refused
    }

    fn key(&mut self, sequence: u16, code: u8) {
        assert!(self.hear(THEM, 1, sequence, 101, &[code, 10, 0, 160]));
    }

    fn trace(&mut self) -> String {
        std::mem::take(&mut self.trace).join(" | ")
    }
}

#[test]
fn a_prompt_leaves_packet_by_packet_and_is_over_when_its_last_is() {
    let mut bench = Bench::started(quiet(), plan());
    bench.stream.play(PlayId(1), tone(400.0, 50), false);
    bench.ticks(5);
    assert_eq!(bench.trace(), "0ms 8@0* | 20ms 8@160 | 40ms 8@320 | 60ms 1 Played after 50");
    let sequence: Vec<u16> = bench.packets.iter().map(|(header, _)| header.sequence).collect();
    assert_eq!(sequence, [65_530, 65_531, 65_532]);
}

#[test]
fn the_sound_that_leaves_is_the_sound_of_the_clip() {
    let mut bench = Bench::started(quiet(), plan());
    bench.stream.play(PlayId(1), tone(1000.0, 1000), false);
    bench.ticks(50);
    let mut heard = vec![0; 8000];
    let bytes: Vec<u8> = bench.packets.iter().flat_map(|(_, payload)| payload.clone()).collect();
    g711::decode(Codec::Pcma, &bytes, &mut heard);
    assert!((pitch_hz(&heard) - 1000.0).abs() < 5.0);
    assert!((level::dbfs(&heard) + 10.97).abs() < 0.2, "{}", level::dbfs(&heard));
}

#[test]
fn a_key_stops_the_prompt_and_the_next_one_begins_at_once() {
    let mut bench = Bench::started(quiet(), plan());
    bench.stream.play(PlayId(1), tone(400.0, 5000), true);
    bench.ticks(3);
    bench.now_ms = 47;
    bench.key(10, 5);
    bench.now_ms = 49;
    assert!(!bench.stream.wants_to_hurry(bench.now()));
    bench.stream.play(PlayId(2), tone(1000.0, 60), true);
    assert!(bench.stream.wants_to_hurry(bench.now()));
    bench.ticks(3);
    // Its first packet leaves 9 ms after the last of the old prompt, and claims the time after that one.
    assert_eq!(
        bench.trace(),
        "0ms 8@0* | 20ms 8@160 | 40ms 8@320 | 47ms heard | 47ms key 5 | 47ms 1 Key after 60 \
         | 49ms 8@480* | 69ms 8@640 | 89ms 8@800"
    );
}

#[test]
fn a_key_does_not_stop_a_prompt_that_must_be_heard() {
    let mut bench = Bench::started(quiet(), plan());
    bench.stream.play(PlayId(1), tone(400.0, 40), false);
    bench.ticks(1);
    bench.key(10, 11);
    bench.ticks(2);
    assert_eq!(bench.trace(), "0ms 8@0* | 20ms heard | 20ms key # | 20ms 8@160 | 40ms 1 Played after 40");
}

#[test]
fn only_one_packet_in_a_while_may_hurry() {
    let mut bench = Bench::started(quiet(), plan());
    let mut hurried = 0;
    for ms in 0..1000 {
        bench.now_ms = ms;
        bench.stream.play(PlayId(ms), tone(400.0, 1000), true);
        if bench.stream.wants_to_hurry(bench.now()) || ms % 20 == 0 {
            hurried += 1;
            bench.tick();
        }
    }
    assert!(hurried <= 62, "{hurried} packets in a second instead of 50 and a few");
}

#[test]
fn another_prompt_takes_the_place_of_the_first() {
    let mut bench = Bench::started(quiet(), plan());
    bench.stream.play(PlayId(1), tone(400.0, 500), false);
    bench.ticks(2);
    bench.stream.play(PlayId(2), tone(400.0, 20), false);
    bench.ticks(2);
    bench.stream.stop();
    bench.take_events();
    assert_eq!(
        bench.trace(),
        "0ms 8@0* | 20ms 8@160 | 40ms 8@320* | 40ms 1 Command after 40 | 60ms 2 Played after 20"
    );
}

#[test]
fn after_silence_the_timestamp_is_what_the_clock_says() {
    let mut bench = Bench::started(quiet(), plan());
    bench.stream.play(PlayId(1), tone(400.0, 20), false);
    bench.ticks(100);
    bench.stream.play(PlayId(2), tone(400.0, 20), false);
    bench.tick();
    assert_eq!(bench.trace(), "0ms 8@0* | 20ms 1 Played after 20 | 2000ms 8@16000*");
}

#[test]
fn after_a_stall_the_timestamp_catches_up_with_the_clock() {
    let mut bench = Bench::started(quiet(), plan());
    bench.stream.play(PlayId(1), tone(400.0, 1000), false);
    bench.ticks(2);
    bench.now_ms += 500;
    bench.ticks(2);
    assert_eq!(bench.trace(), "0ms 8@0* | 20ms 8@160 | 540ms 8@4320* | 560ms 8@4480");
}

#[test]
fn what_is_played_before_the_start_begins_with_it() {
    let mut bench = Bench::new(quiet());
    bench.stream.play(PlayId(1), tone(400.0, 20), false);
    bench.ticks(2);
    assert!(!bench.stream.wants_to_hurry(bench.now()));
    bench.stream.start(bench.now(), plan());
    assert!(bench.stream.wants_to_hurry(bench.now()));
    bench.ticks(2);
    assert_eq!(bench.trace(), "40ms 8@320* | 60ms 1 Played after 20");
}

#[test]
fn on_hold_nothing_leaves_and_the_prompt_waits() {
    let mut bench = Bench::started(quiet(), plan());
    bench.stream.play(PlayId(1), tone(400.0, 60), false);
    bench.ticks(1);
    bench.stream.start(bench.now(), MediaPlan { send: false, ..plan() });
    bench.ticks(10);
    bench.stream.start(bench.now(), plan());
    bench.ticks(3);
    assert_eq!(bench.trace(), "0ms 8@0* | 220ms 8@1760* | 240ms 8@1920 | 260ms 1 Played after 60");
}

#[test]
fn silence_is_sent_at_the_start_and_now_and_then() {
    let keepalive = Some(Duration::from_secs(15));
    let mut bench = Bench::started(StreamSettings { keepalive, ..quiet() }, plan());
    bench.ticks(2000);
    assert_eq!(
        bench.trace(),
        "0ms 8@0* | 10000ms silent since 0 and before | 15000ms 8@120000* | 30000ms 8@240000*"
    );
    assert!(bench.packets.iter().all(|(_, payload)| payload[..] == [0xd5; 160]));
}

#[test]
fn keys_are_sent_as_events_and_the_prompt_waits_for_them() {
    let mut bench = Bench::started(quiet(), plan());
    bench.stream.play(PlayId(1), tone(400.0, 40), false);
    bench.ticks(1);
    let timing = KeyTiming { hold: Duration::from_millis(40), gap: Duration::from_millis(20) };
    bench.stream.send_keys(b"4", timing);
    bench.ticks(8);
    assert_eq!(
        bench.trace(),
        "0ms 8@0* | 20ms 101@160* | 40ms 101@160 | 60ms 101@160 | 80ms 101@160 | 100ms 101@160 \
         | 120ms keys sent | 140ms 8@1120* | 160ms 1 Played after 40"
    );
    assert_eq!(bench.packets[3].1, [4, 0x80 | 10, 1, 64]);
    bench.stream.send_keys(b"+", timing);
    bench.take_events();
    assert_eq!(bench.trace(), "180ms keys refused");
}

/// Two streams on one line, for a while; what the second one tells.
fn talk(first: &mut Bench, second: &mut Bench, ticks: usize) {
    for _ in 0..ticks {
        let before = first.packets.len();
        first.ticks(1);
        for (header, payload) in first.packets.split_off(before) {
            let mut packet = vec![0; 12];
            header.write(packet.first_chunk_mut().expect("twelve"));
            packet.extend(payload);
            second.stream.handle_packet(second.now(), address(THEM), &packet);
        }
        second.take_events();
        second.ticks(1);
    }
}

#[test]
fn keys_reach_the_other_end_as_events_and_in_the_sound() {
    for (event, codec) in [(Some(96), Codec::Pcma), (None, Codec::Pcma), (None, Codec::Pcmu)] {
        let plan = MediaPlan { event_send: event, event_receive: event, codec, ..plan() };
        let mut first = Bench::started(quiet(), plan.clone());
        let mut second = Bench::started(quiet(), plan);
        first.stream.send_keys(b"147*0#22", KeyTiming::default());
        talk(&mut first, &mut second, 100);
        let keys: String = second
            .trace()
            .split(" | ")
            .filter_map(|line| line.split_once("key "))
            .map(|(_, key)| key)
            .collect();
        assert_eq!(keys, "147*0#22", "{event:?} {codec:?}");
        assert_eq!(second.stream.report().keys_heard, 8);
    }
}

#[test]
fn keys_in_the_sound_are_not_looked_for_where_events_were_agreed_on() {
    let mut first = Bench::started(quiet(), MediaPlan { event_send: None, ..plan() });
    let mut second = Bench::started(quiet(), plan());
    first.stream.send_keys(b"5", KeyTiming::default());
    talk(&mut first, &mut second, 30);
    assert_eq!(second.trace(), "0ms heard");
}

#[test]
fn a_second_source_is_refused_once_the_first_is_locked() {
    let sound = [0xd5; 160];
    let mut bench = Bench::started(quiet(), plan());
    assert!(bench.hear(THEM, 1, 1, 8, &sound));
    assert_eq!(bench.stream.locked(), Some(address(THEM)));
    assert!(!bench.hear("10.9.9.9:5000", 1, 2, 8, &sound), "another host");
    assert!(!bench.hear("10.0.0.2:5002", 1, 2, 8, &sound), "another port");
    assert!(!bench.hear(THEM, 2, 2, 8, &sound), "another SSRC");
    assert!(!bench.hear(THEM, 1, 2, 0, &sound), "another codec");
    assert!(!bench.hear(THEM, 1, 2, 100, &sound), "another payload type");
    assert_eq!(bench.stream.handle_packet(bench.now(), address(THEM), b"no RTP at all"), Handled::Refused);
    assert!(bench.hear(THEM, 1, 2, 8, &sound));
    assert!(bench.hear(THEM, 1, 3, 13, &[70]), "comfort noise");
    let report = bench.stream.report();
    assert_eq!((report.packets_heard, report.packets_refused), (3, 6));
}

#[test]
fn a_far_end_behind_nat_is_latched_in_the_first_second_and_locked_after_it() {
    const NAT: &str = "203.0.113.7:61000";
    let sound = [0xd5; 160];
    let mut bench = Bench::started(quiet(), plan());
    assert_eq!(bench.stream.target(), Some(address(THEM)));
    bench.now_ms = 500;
    assert!(bench.hear(NAT, 1, 1, 8, &sound));
    assert_eq!((bench.stream.target(), bench.stream.locked()), (Some(address(NAT)), None));
    assert!(!bench.hear("198.51.100.1:9", 1, 2, 8, &sound), "one latch only");
    bench.now_ms = 1000;
    bench.tick();
    assert_eq!(bench.stream.locked(), Some(address(NAT)));
    assert!(!bench.hear(THEM, 1, 3, 8, &sound), "the planned address is too late");
}

#[test]
fn the_planned_address_takes_its_place_back_within_the_window() {
    let sound = [0xd5; 160];
    let mut bench = Bench::started(quiet(), plan());
    assert!(bench.hear("198.51.100.1:9", 99, 1000, 8, &sound), "somebody's stray stream came first");
    assert!(bench.hear(THEM, 1, 1, 8, &sound));
    assert_eq!(bench.stream.locked(), Some(address(THEM)));
    assert!(!bench.hear("198.51.100.1:9", 99, 1001, 8, &sound));
}

#[test]
fn after_the_window_only_the_planned_address_is_heard() {
    let mut bench = Bench::started(quiet(), plan());
    bench.now_ms = 1001;
    assert!(!bench.hear("198.51.100.1:9", 99, 1000, 8, &[0xd5; 160]));
    assert_eq!(bench.stream.locked(), Some(address(THEM)));
    assert!(bench.hear(THEM, 1, 1, 8, &[0xd5; 160]));
}

/// A telephone behind NAT said 180 with its own address and was silent until it was picked up: then it was mute.
#[test]
fn an_address_that_nothing_came_from_is_open_again_with_the_next_plan() {
    const NAT: &str = "203.0.113.7:61000";
    let sound = [0xd5; 160];
    let mut bench = Bench::started(quiet(), plan());
    bench.now_ms = 5_000;
    bench.tick();
    assert_eq!(bench.stream.locked(), Some(address(THEM)));
    bench.stream.start(bench.now(), plan());
    assert_eq!(bench.stream.locked(), None);
    bench.now_ms = 5_100;
    assert!(bench.hear(NAT, 1, 1, 8, &sound));
    bench.now_ms = 6_100;
    bench.tick();
    assert_eq!((bench.stream.target(), bench.stream.locked()), (Some(address(NAT)), Some(address(NAT))));
    // It was heard, so a re-INVITE opens nothing.
    bench.stream.start(bench.now(), plan());
    assert!(!bench.hear("198.51.100.1:9", 99, 1000, 8, &sound) && bench.hear(NAT, 1, 2, 8, &sound));
}

#[test]
fn a_plan_with_another_address_moves_the_lock_and_one_with_the_same_does_not() {
    let sound = [0xd5; 160];
    let mut bench = Bench::started(quiet(), plan());
    bench.hear(THEM, 1, 1, 8, &sound);
    bench.stream.start(bench.now(), plan());
    assert!(!bench.hear("198.51.100.1:9", 99, 1000, 8, &sound));
    assert!(bench.hear(THEM, 2, 5000, 8, &sound), "a new SSRC comes with a new plan");
    bench.stream.start(bench.now(), MediaPlan { remote: address(US), ..plan() });
    assert_eq!((bench.stream.locked(), bench.stream.target()), (None, Some(address(US))));
    assert!(bench.hear(US, 3, 9, 8, &sound));
    assert!(!bench.hear(THEM, 2, 5001, 8, &sound));
}

#[test]
fn a_new_ssrc_is_followed_once_the_old_one_is_silent_and_its_loss_is_not_counted() {
    let sound = [0xd5; 160];
    let mut bench = Bench::started(quiet(), plan());
    bench.hear(THEM, 1, 100, 8, &sound);
    bench.now_ms = 299;
    assert!(!bench.hear(THEM, 2, 9000, 8, &sound));
    bench.now_ms = 300;
    assert!(bench.hear(THEM, 2, 9001, 8, &sound));
    assert!(!bench.hear(THEM, 1, 101, 8, &sound));
    assert_eq!(bench.stream.report().packets_lost, 0);
}

#[test]
fn lost_repeated_and_late_packets_are_counted() {
    let sound = [0xd5; 160];
    let mut bench = Bench::started(quiet(), plan());
    bench.stream.record(bench.now());
    for sequence in [1, 2, 4, 4, 5, 8] {
        bench.hear(THEM, 1, sequence, 8, &sound);
        bench.ticks(1);
    }
    bench.hear(THEM, 1, 3, 8, &sound);
    let report = bench.stream.report();
    assert_eq!(
        (report.packets_heard, report.packets_lost, report.packets_duplicate, report.packets_late),
        (6, 2, 1, 1)
    );
}

#[test]
fn both_sides_are_recorded_in_their_places() {
    let mut bench = Bench::started(quiet(), plan());
    bench.stream.record(bench.now());
    bench.stream.play(PlayId(1), tone(400.0, 100), false);
    for sequence in 0..10u16 {
        bench.hear(THEM, 1, sequence, 8, &[sequence as u8 + 1; 160]);
        bench.ticks(1);
    }
    bench.now_ms += 1000;
    bench.stream.play(PlayId(2), tone(400.0, 20), false);
    bench.ticks(1);
    let places = |side| -> Vec<u64> {
        bench.tape.call.iter().filter(|frame| frame.side == side).map(|frame| frame.at).collect()
    };
    assert_eq!(places(Side::Us), [0, 160, 320, 480, 640, 9600]);
    let far: Vec<(u64, u8)> = bench
        .tape
        .call
        .iter()
        .filter(|frame| frame.side == Side::FarEnd)
        .map(|frame| (frame.at, frame.sound[0]))
        .filter(|(_, sound)| *sound != 0xd5)
        .collect();
    // Delayed by the reorder buffer's 60 ms; the last three still were in it when the thread stood still.
    assert_eq!(far[..7], [(480, 1), (640, 2), (800, 3), (960, 4), (1120, 5), (1280, 6), (1440, 7)]);
    assert_eq!(bench.stream.recorded(bench.now()), Some(bench.now_ms * 8));
}

/// The far end speaks as told: each letter is 100 ms, `v` voice and `.` hiss.
fn record_voice(script: &str, longest_ms: u64, silence_ms: Option<u64>) -> (String, usize) {
    let mut noise = Noise(3);
    let mut bench = Bench::started(quiet(), plan());
    let silence = silence_ms.map(Duration::from_millis);
    bench.stream.record_voice(bench.now(), Duration::from_millis(longest_ms), silence);
    let mut sequence = 0;
    for letter in script.chars() {
        for _ in 0..5 {
            let loud = if letter == 'v' { 0.2 } else { 0.001 };
            let sound = [(); 160].map(|()| g711::encode(Codec::Pcma, (noise.unit() * loud * 32767.0) as i16));
            bench.hear(THEM, 1, sequence, 8, &sound);
            bench.ticks(1);
            sequence += 1;
        }
    }
    bench.stream.stop_voice(bench.now());
    bench.take_events();
    let trace =
        bench.trace().split(" | ").find_map(|line| line.split_once("voice ")).expect("an end").1.to_owned();
    (trace, bench.tape.voice.len())
}

#[test]
fn a_voice_recording_ends_at_silence_at_its_length_or_when_stopped() {
    let speech = "..vvvvv.vvvv..vvv";
    let silence = ".".repeat(60);
    // 1.7 s of speech, the buffer's 60 ms, a second of silence.
    assert_eq!(record_voice(&format!("{speech}{silence}"), 20_000, Some(1000)).0, "Silence at 22080");
    assert_eq!(record_voice(&"v".repeat(40), 2000, Some(1000)), ("Longest at 16000".into(), 100));
    assert_eq!(record_voice(&format!("{speech}{silence}"), 20_000, None).0, "Stopped at 61600");
    // Nobody speaks: five seconds to begin.
    assert_eq!(record_voice(&silence, 20_000, Some(1000)).0, "Silence at 40000");
}

#[test]
fn a_machine_is_told_by_its_long_greeting_and_then_by_its_beep() {
    let mut noise = Noise(3);
    let mut bench = Bench::started(quiet(), plan());
    let settings = MachineSettings { beep: Duration::from_secs(20), ..MachineSettings::default() };
    bench.stream.detect_machine(bench.now(), settings);
    for sequence in 0..200u16 {
        let frame: Vec<i16> = match sequence {
            20..120 => (0..160).map(|_| (noise.unit() * 6000.0) as i16).collect(),
            130..150 => sine(1000.0, 160, 0.3),
            _ => vec![0; 160],
        };
        let sound: Vec<u8> = frame.iter().map(|sample| g711::encode(Codec::Pcma, *sample)).collect();
        bench.hear(THEM, 1, sequence, 8, &sound);
        bench.ticks(1);
    }
    // Each told 60 ms late: what the reorder buffer holds. The verdict at 400 + 1500 ms, the beep's end at 3000 ms.
    assert_eq!(bench.trace(), "0ms heard | 1940ms Machine LongGreeting | 3060ms beep of 1000 Hz");
}

#[test]
fn a_close_ends_what_goes_on() {
    let mut bench = Bench::started(quiet(), plan());
    bench.stream.play(PlayId(9), tone(400.0, 500), false);
    bench.stream.record_voice(bench.now(), Duration::from_secs(10), None);
    bench.ticks(2);
    bench.stream.close(bench.now());
    bench.take_events();
    assert_eq!(bench.trace(), "0ms 8@0* | 20ms 8@160 | 40ms 9 Command after 40 | 40ms voice Closed at 320");
}

#[test]
fn a_flood_of_keys_does_not_push_out_the_end_of_a_prompt() {
    let mut bench = Bench::started(quiet(), plan());
    bench.stream.play(PlayId(1), tone(400.0, 500), false);
    for sequence in 0..100u16 {
        let header = Header {
            marker: true,
            payload_type: 101,
            sequence,
            timestamp: u32::from(sequence) * 1000,
            ssrc: 1,
        };
        let mut packet = [0; 16];
        header.write(packet.first_chunk_mut().expect("twelve"));
        packet[12..].copy_from_slice(&[1, 10, 0, 160]);
        assert_ne!(bench.stream.handle_packet(bench.now(), address(THEM), &packet), Handled::Refused);
    }
    bench.stream.stop();
    let mut events = 0;
    let mut ended = false;
    while let Some(event) = bench.stream.poll_event() {
        events += 1;
        ended |= matches!(event, StreamEvent::PlayEnded { .. });
    }
    assert!(ended && events <= 16);
    let report = bench.stream.report();
    assert_eq!((report.keys_heard, report.events_dropped), (100, 93));
}

#[test]
fn an_event_that_is_put_back_is_the_next_again() {
    let mut bench = Bench::started(quiet(), plan());
    bench.stream.play(PlayId(1), tone(400.0, 500), false);
    bench.stream.play(PlayId(2), tone(400.0, 500), false);
    bench.stream.stop();
    let event = bench.stream.poll_event().expect("one");
    bench.stream.unpoll_event(event);
    bench.take_events();
    assert_eq!(bench.trace(), "0ms 1 Command after 0 | 0ms 2 Command after 0");
}

proptest! {
    #[test]
    fn whatever_comes_over_the_wire_nothing_panics(
        packets in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..300)), 0..60),
        inband: bool,
    ) {
        let event_receive = (!inband).then_some(101);
        let mut bench = Bench::started(quiet(), MediaPlan { event_receive, ..plan() });
        bench.stream.record(bench.now());
        bench.stream.record_voice(bench.now(), Duration::from_secs(1), Some(Duration::from_millis(100)));
        for (sound, mut packet) in packets {
            if packet.len() > 12 {
                packet[0] = 0x80;
                packet[1] = if sound { 8 } else { 101 };
                packet[8..12].fill(7);
            }
            bench.stream.handle_packet(bench.now(), address(THEM), &packet);
            bench.take_events();
            bench.ticks(1);
        }
    }
}
