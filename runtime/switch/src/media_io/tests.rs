//! The engine over real loopback sockets. What is asserted is order, counts and timestamps; wall time only where it is
//! the point, and then with room for a busy machine.

mod bridges;

use std::f32::consts::TAU;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use zvonar_media::rtp::Header;
use zvonar_media::utterance::Settings;
use zvonar_media::{Clip, Codec, FRAME, Part, g711, level};

use super::*;
use crate::clock;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Each engine has a range of its own, so that tests can run side by side; another run of them begins elsewhere.
fn config() -> MediaConfig {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = 10_000 + (std::process::id() % 60 * 200) as u16;
    let first = begin + NEXT.fetch_add(200, Ordering::Relaxed);
    let stream = StreamSettings { keepalive: None, ..StreamSettings::default() };
    MediaConfig { ports: first..=first + 199, threads: 1, stream, ..MediaConfig::new(HERE) }
}

fn engine() -> MediaEngine {
    MediaEngine::start(config()).expect("the engine starts")
}

fn plan(remote: SocketAddr) -> MediaPlan {
    let (event_send, event_receive) = (Some(101), Some(101));
    MediaPlan { remote, codec: Codec::Pcma, event_send, event_receive, send: true, receive: true }
}

fn tone(hz: f32, ms: u64) -> Prompt {
    let samples: Vec<i16> =
        (0..ms * 8).map(|n| ((n as f32 * hz / 8000.0 * TAU).sin() * 13_000.0) as i16).collect();
    Prompt::from(Arc::new(Clip::from_samples(&samples)))
}

fn pitch_hz(samples: &[i16]) -> f32 {
    let crossings = samples.windows(2).filter(|pair| (pair[0] >= 0) != (pair[1] >= 0)).count();
    crossings as f32 * 8000.0 / 2.0 / samples.len() as f32
}

/// What share of the sound is this tone (Goertzel, packet by packet, so that one that is missing does not spoil the
/// rest), and how loud it is in all.
fn share(samples: &[i16], hz: f32) -> (f32, f32) {
    let factor = 2.0 * (TAU * hz / 8000.0).cos();
    let (mut found, mut total) = (0.0, 1.0);
    for packet in samples.chunks_exact(FRAME) {
        let (mut one, mut two) = (0.0_f32, 0.0_f32);
        for sample in packet {
            let sample = f32::from(*sample);
            let next = sample + factor * one - two;
            (two, one) = (one, next);
            total += sample * sample;
        }
        found += (one * one + two * two - factor * one * two) * 2.0 / FRAME as f32;
    }
    (found / total, level::dbfs(samples))
}

#[track_caller]
fn is_tone(samples: &[i16], hz: f32) {
    assert!(samples.len() >= 30 * FRAME, "only {} samples", samples.len());
    let (share, dbfs) = share(samples, hz);
    assert!(share > 0.9 && (dbfs + 11.0).abs() < 0.7, "{hz} Hz has a share of {share}, at {dbfs} dBFS");
}

async fn next(events: &mut MediaEvents) -> Option<MediaEvent> {
    tokio::time::timeout(Duration::from_secs(20), events.recv()).await.expect("an event within 20 s")
}

/// Waits for the first event that the function takes.
async fn until<T>(events: &mut MediaEvents, mut wanted: impl FnMut(MediaEvent) -> Option<T>) -> T {
    loop {
        let event = next(events).await.expect("not closed yet");
        if let Some(found) = wanted(event) {
            return found;
        }
    }
}

async fn closed(events: &mut MediaEvents) -> Closed {
    let closed = until(events, |event| match event {
        MediaEvent::Closed(closed) => Some(*closed),
        _ => None,
    })
    .await;
    assert!(next(events).await.is_none(), "something came after Closed");
    closed
}

/// Two calls of two engines that talk to each other.
fn pair(first: &MediaEngine, second: &MediaEngine) -> [(MediaPort, MediaEvents); 2] {
    let calls = [first.open().expect("a port"), second.open().expect("a port")];
    calls[0].0.start(plan(calls[1].0.local_addr()));
    calls[1].0.start(plan(calls[0].0.local_addr()));
    calls
}

fn wav(path: &std::path::Path) -> Vec<Vec<i16>> {
    let mut reader = hound::WavReader::open(path).expect("a WAV file");
    let channels = usize::from(reader.spec().channels);
    let all: Vec<i16> = reader.samples().map(|sample| sample.expect("whole")).collect();
    (0..channels).map(|channel| all.iter().skip(channel).step_by(channels).copied().collect()).collect()
}

#[tokio::test]
async fn a_prompt_is_heard_at_the_other_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("voice").join("heard.wav");
    let (first, second) = (engine(), engine());
    let [(us, mut our_events), (them, mut their_events)] = pair(&first, &second);
    them.record_voice(path.clone(), Duration::from_secs(10), Some(Duration::from_millis(400)))
        .expect("a recorder");
    let id = us.play(tone(700.0, 1500), true);
    until(&mut our_events, |event| {
        matches!(event, MediaEvent::Played { id: played } if played == id).then_some(())
    })
    .await;
    let (file, end, length) = until(&mut their_events, |event| match event {
        MediaEvent::VoiceRecorded { path, end, length } => Some((path, end, length)),
        _ => None,
    })
    .await;
    assert_eq!((file, end), (path.clone(), VoiceEnd::Silence));
    let samples = wav(&path).remove(0);
    assert_eq!(length, Ok(Duration::from_micros(samples.len() as u64 * 125)));
    let begin = samples.iter().position(|sample| sample.abs() > 3000).expect("a sound");
    is_tone(&samples[begin..begin + 11_000], 700.0);
    drop((us, them));
    let (us, them) = (closed(&mut our_events).await, closed(&mut their_events).await);
    assert_eq!((us.report.packets_sent, them.report.packets_heard, them.report.packets_lost), (75, 75, 0));
    assert_eq!(first.stats().streams, 0);
}

#[tokio::test]
async fn keys_reach_the_other_end_both_ways() {
    let (first, second) = (engine(), engine());
    let [(us, mut our_events), (them, mut their_events)] = pair(&first, &second);
    let timing = KeyTiming { hold: Duration::from_millis(60), gap: Duration::from_millis(40) };
    us.send_keys("12*", timing).expect("keys");
    them.send_keys("9#D", timing).expect("keys");
    assert!(matches!(us.send_keys("1+2", timing), Err(MediaError::NoKeys)));
    for (events, expected) in [(&mut our_events, "9#D"), (&mut their_events, "12*")] {
        let mut heard = String::new();
        let mut sent = false;
        while heard.len() < expected.len() || !sent {
            match next(events).await.expect("open") {
                MediaEvent::Key { digit, .. } => heard.push(digit),
                MediaEvent::KeysSent => sent = true,
                _ => {}
            }
        }
        assert_eq!(heard, expected);
    }
}

/// A far end made of a plain socket, which sees packets as they are.
struct Phone {
    socket: UdpSocket,
    target: SocketAddr,
    sequence: u16,
}

impl Phone {
    fn new(target: SocketAddr) -> Self {
        let socket = UdpSocket::bind((HERE, 0)).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        Self { socket, target, sequence: 7 }
    }

    fn send(&mut self, payload_type: u8, marker: bool, payload: &[u8]) {
        let timestamp = u32::from(self.sequence) * 160;
        let header = Header { marker, payload_type, sequence: self.sequence, timestamp, ssrc: 5 };
        self.sequence += 1;
        let mut packet = vec![0; 12];
        header.write(packet.first_chunk_mut().expect("twelve"));
        packet.extend(payload);
        self.socket.send_to(&packet, self.target).expect("sent");
    }

    fn key(&mut self, code: u8) {
        self.send(101, true, &[code, 10, 0, 160]);
    }

    /// The next packet: when, its header, and the pitch of its sound.
    fn receive(&self) -> (Instant, Header, f32) {
        let mut packet = [0; 2000];
        let len = self.socket.recv(&mut packet).expect("a packet within 10 s");
        let at = clock::now();
        let (header, payload) = Header::parse(&packet[..len]).expect("RTP");
        let mut samples = [0; 160];
        g711::decode(Codec::Pcma, &packet[payload], &mut samples);
        (at, header, pitch_hz(&samples))
    }
}

/// The person presses a key in the middle of a prompt, at whatever moment between two packets. The prompt stops inside
/// the media thread; the owner plays the next, and its first packet does not wait for the call's next slot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_interrupts_and_the_first_packet_of_the_next_prompt_leaves_at_once() {
    let engine = engine();
    let (port, mut events) = engine.open().expect("a port");
    let mut phone = Phone::new(port.local_addr());
    port.start(plan(phone.socket.local_addr().expect("bound")));
    let (low, high) = (tone(400.0, 5000), tone(1000.0, 5000));
    let mut ahead_of_slot = 0;
    for round in 0..20u64 {
        let first = port.play(low.clone(), true);
        let mut last = loop {
            let packet = phone.receive();
            if packet.2 < 600.0 {
                break packet;
            }
        };
        for _ in 0..7 {
            let packet = phone.receive();
            assert_eq!(packet.1.timestamp, last.1.timestamp.wrapping_add(160), "a prompt goes on in step");
            last = packet;
        }
        std::thread::sleep(Duration::from_millis(round % 10));
        phone.key(3);
        // As the scenario would: the key, then the stop, then the next prompt.
        until(&mut events, |event| matches!(event, MediaEvent::Key { digit: '3', .. }).then_some(())).await;
        let (id, by) = until(&mut events, |event| match event {
            MediaEvent::Stopped { id, by, .. } => Some((id, by)),
            _ => None,
        })
        .await;
        assert_eq!((id, by), (first, StoppedBy::Key));
        let second = port.play(high.clone(), true);
        let next = loop {
            let packet = phone.receive();
            assert_eq!(packet.1.sequence, last.1.sequence.wrapping_add(1));
            if packet.2 > 700.0 {
                break packet;
            }
            last = packet; // it left before the key arrived
        };
        assert!(next.1.marker, "a new talkspurt");
        let step = next.1.timestamp.wrapping_sub(last.1.timestamp);
        assert!(
            (160..1600).contains(&step),
            "the new sound follows the old, and does not overlap it: {step}"
        );
        // In the rhythm the packets would be 20 ms apart, whenever the key came.
        ahead_of_slot += u32::from(next.0 - last.0 < Duration::from_millis(16));
        port.stop();
        until(&mut events, |event| {
            matches!(event, MediaEvent::Stopped { id, .. } if id == second).then_some(())
        })
        .await;
    }
    assert!(ahead_of_slot >= 5, "only {ahead_of_slot} of 20 left ahead of their slot");
}

#[tokio::test]
async fn a_second_source_is_not_heard() {
    let engine = engine();
    let (port, mut events) = engine.open().expect("a port");
    let (mut phone, mut stranger) = (Phone::new(port.local_addr()), Phone::new(port.local_addr()));
    port.start(plan(phone.socket.local_addr().expect("bound")));
    // What is sent before the socket knows its far end is nobody's.
    port.play(tone(400.0, 1_000), false);
    phone.receive();
    phone.send(8, true, &[0xd5; 160]);
    until(&mut events, |event| matches!(event, MediaEvent::FirstPacketHeard { .. }).then_some(())).await;
    for _ in 0..20 {
        stranger.key(1);
    }
    phone.key(2);
    let key = until(&mut events, |event| match event {
        MediaEvent::Key { digit, .. } => Some(digit),
        _ => None,
    })
    .await;
    assert_eq!(key, '2');
    drop(port);
    let report = closed(&mut events).await.report;
    assert_eq!((report.packets_heard, report.keys_heard), (2, 1));
}

/// Somebody who has learnt keys by heart presses the moment the call is there. Whether the media thread had looked at the
/// plan before it looked at the packet was chance.
#[tokio::test]
async fn a_key_right_after_the_plan_is_heard() {
    let engine = engine();
    for round in 0..200 {
        let (port, mut events) = engine.open().expect("a port");
        let mut phone = Phone::new(port.local_addr());
        // The thread is asleep, awake, or on its way, as it comes.
        std::thread::sleep(Duration::from_micros(round % 20 * 10));
        port.start(plan(phone.socket.local_addr().expect("bound")));
        phone.key(4);
        until(&mut events, |event| matches!(event, MediaEvent::Key { digit: '4', .. }).then_some(())).await;
    }
}

/// The far end moved (a re-INVITE): the connected socket must let go of the old address, and keep its own port.
#[tokio::test]
async fn a_plan_with_another_address_moves_the_sound_there() {
    let engine = engine();
    let (port, mut events) = engine.open().expect("a port");
    let (mut old, mut new) = (Phone::new(port.local_addr()), Phone::new(port.local_addr()));
    port.start(plan(old.socket.local_addr().expect("bound")));
    port.play(tone(400.0, 20_000), false);
    // The plan is followed by now: what came before it would not be heard.
    old.receive();
    old.key(1);
    until(&mut events, |event| matches!(event, MediaEvent::Key { digit: '1', .. }).then_some(())).await;
    port.start(plan(new.socket.local_addr().expect("bound")));
    new.receive();
    old.key(8);
    new.key(2);
    until(&mut events, |event| matches!(event, MediaEvent::Key { digit: '2', .. }).then_some(())).await;
    new.receive();
}

#[tokio::test]
async fn a_recorded_call_has_the_far_end_left_and_us_right_and_is_complete_when_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (engine(), engine());
    let [(us, mut our_events), (them, mut their_events)] = pair(&first, &second);
    us.record(folder.path().join("call.wav")).expect("a recorder");
    us.record(folder.path().join("again.wav")).expect("a recorder");
    us.play(tone(400.0, 1000), false);
    them.play(tone(1000.0, 1000), false);
    for events in [&mut our_events, &mut their_events] {
        until(events, |event| matches!(event, MediaEvent::Played { .. }).then_some(())).await;
    }
    // What the reorder buffer still holds, and what a busy machine has not read yet.
    tokio::time::sleep(Duration::from_millis(400)).await;
    drop(us);
    let closed = closed(&mut our_events).await;
    let recorded = closed.recording.expect("a recording");
    assert_eq!(recorded.path, folder.path().join("call.wav"));
    assert_eq!(closed.report.frames_dropped, 0);
    let channels = wav(&recorded.path);
    assert_eq!(recorded.length, Ok(Duration::from_micros(channels[0].len() as u64 * 125)));
    for (samples, hz) in channels.iter().zip([1000.0, 400.0]) {
        let begin = samples.iter().position(|sample| sample.abs() > 3000).expect("a sound");
        is_tone(&samples[begin..begin + 7600], hz);
    }
    assert!(!folder.path().join("again.wav").exists());
}

#[tokio::test]
async fn a_recording_that_cannot_be_written_is_said_to_be_so_and_the_call_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_owned(); // a folder is no file
    let engine = engine();
    let (port, mut events) = engine.open().expect("a port");
    let phone = Phone::new(port.local_addr());
    port.start(plan(phone.socket.local_addr().expect("bound")));
    port.record(path.clone()).expect("a recorder");
    port.play(tone(400.0, 100), false);
    until(&mut events, |event| matches!(event, MediaEvent::Played { .. }).then_some(())).await;
    drop(port);
    let recorded = closed(&mut events).await.recording.expect("it was asked for");
    assert_eq!(recorded.path, path);
    let fault = recorded.length.expect_err("no file");
    assert!(fault.starts_with("the recording could not be created: "), "{fault}");
}

#[tokio::test]
async fn without_a_prompt_and_without_keepalive_nothing_is_sent() {
    let engine = engine();
    let (port, mut events) = engine.open().expect("a port");
    let phone = Phone::new(port.local_addr());
    phone.socket.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    port.start(plan(phone.socket.local_addr().expect("bound")));
    let mut packet = [0; 2000];
    assert!(phone.socket.recv(&mut packet).is_err());
    drop(port);
    assert_eq!(closed(&mut events).await.report.packets_sent, 0);
}

#[tokio::test]
async fn a_shutdown_closes_every_call_and_frees_every_port() {
    let config = config();
    let folder = tempfile::tempdir().expect("a folder");
    let engine = MediaEngine::start(MediaConfig { threads: 2, ..config.clone() }).expect("the engine starts");
    let mut calls = Vec::new();
    for n in 0..100 {
        let (port, events) = engine.open().expect("a port");
        port.start(plan(SocketAddr::new(HERE, 9)));
        port.play(tone(400.0, 10_000), false);
        if n % 10 == 0 {
            port.record(folder.path().join(format!("{n}.wav"))).expect("a recorder");
        }
        calls.push((port, events));
    }
    assert!(matches!(engine.open(), Err(MediaError::PortsExhausted { count: 100, .. })));
    assert_eq!(engine.stats().streams, 100);
    engine.shutdown();
    assert!(matches!(engine.open(), Err(MediaError::Stopped)));
    for (n, (port, events)) in calls.iter_mut().enumerate() {
        port.play(tone(400.0, 10), false); // does nothing, and does not wait
        let closed = closed(events).await;
        assert_eq!(closed.recording.is_some(), n % 10 == 0);
    }
    assert_eq!(engine.stats().streams, 0);
    drop(calls);
    let again = MediaEngine::start(config).expect("the ports are free");
    let calls: Vec<_> = (0..100).map(|_| again.open().expect("a port")).collect();
    assert_eq!(calls.len(), 100);
}

/// A caller that leans on the keys while nobody reads: the end of the prompt must still be told.
#[tokio::test]
async fn keys_that_nobody_reads_do_not_push_out_the_end_of_a_prompt() {
    let engine = engine();
    let (port, mut events) = engine.open().expect("a port");
    let mut phone = Phone::new(port.local_addr());
    port.start(plan(phone.socket.local_addr().expect("bound")));
    for _ in 0..200 {
        phone.key(1);
        std::thread::sleep(Duration::from_millis(1));
    }
    let id = port.play(tone(400.0, 40), false);
    std::thread::sleep(Duration::from_millis(300));
    let mut keys = 0;
    until(&mut events, |event| match event {
        MediaEvent::Key { .. } => {
            keys += 1;
            None
        }
        MediaEvent::Played { id: played } => (played == id).then_some(()),
        _ => None,
    })
    .await;
    assert!((40..=64).contains(&keys), "{keys} keys were kept");
    drop(port);
    let report = closed(&mut events).await.report;
    assert_eq!(report.keys_heard, 200);
    assert_eq!(report.events_dropped, 200 - keys);
}

#[tokio::test]
async fn parts_of_a_prompt_follow_each_other_without_a_gap() {
    let engine = engine();
    let (port, _events) = engine.open().expect("a port");
    let phone = Phone::new(port.local_addr());
    port.start(plan(phone.socket.local_addr().expect("bound")));
    let clip = Arc::new(Clip::from_samples(&[8000; 200]));
    port.play(
        Prompt::new([
            Part::Clip(Arc::clone(&clip)),
            Part::Pause(Duration::from_millis(30)),
            Part::Clip(clip),
        ]),
        false,
    );
    let mut packets = 0;
    let mut last = phone.receive().1;
    while packets < 3 {
        let header = phone.receive().1;
        assert_eq!(header.timestamp, last.timestamp.wrapping_add(160));
        last = header;
        packets += 1;
    }
}

#[tokio::test]
async fn what_is_said_is_noticed_with_its_sound_and_its_end_and_a_tone_is_not() {
    let (first, second) = (engine(), engine());
    let [(ours, mut heard), (theirs, mut _told)] = pair(&first, &second);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../media/tests/data/goodbye.alaw");
    let mut words = Vec::new();
    for frame in std::fs::read(file).expect("a recording").chunks_exact(FRAME) {
        let mut linear = [0; FRAME];
        g711::decode(Codec::Pcma, frame, &mut linear);
        words.extend(linear);
    }
    let clip = Arc::new(Clip::from_samples(&words));
    let busy: Vec<i16> =
        (0..8_000).map(|n| ((n as f32 * 425.0 / 8000.0 * TAU).sin() * 13_000.0) as i16).collect();
    let listening = ours.listen(Settings::default()).expect("the thread starts");
    theirs.play(
        Prompt::new([
            Part::Clip(Arc::new(Clip::from_samples(&busy))),
            Part::Pause(Duration::from_millis(300)),
            Part::Clip(clip),
            Part::Pause(Duration::from_millis(1_200)),
        ]),
        false,
    );
    let mut steps = Vec::new();
    let voiced = until(&mut heard, |event| {
        let MediaEvent::Speech { listening: of, step } = event else { return None };
        assert_eq!(of, listening);
        match &step {
            SpeechStep::Ended { voiced, .. } => {
                let voiced = *voiced;
                steps.push(step);
                Some(voiced)
            }
            _ => {
                steps.push(step);
                None
            }
        }
    })
    .await;
    assert!(matches!(steps[0], SpeechStep::Began), "{}", steps.len());
    let length = Duration::from_millis(words.len() as u64 / 8);
    assert!(voiced > length / 3 && voiced <= length, "{voiced:?} of {length:?}");
    let Some(SpeechStep::Ended { last: Some(last), sound, .. }) = steps.last() else {
        panic!("no last part")
    };
    let paused = steps.iter().rev().find_map(|step| match step {
        SpeechStep::Pause(part) => Some(part),
        _ => None,
    });
    assert!(Arc::ptr_eq(last, paused.expect("a pause comes before the end")));
    assert!(sound.len() >= last.len());
    // Whoever listens no more hears no more.
    theirs.play(Prompt::from(Arc::new(Clip::from_samples(&words))), false);
    ours.stop_listening();
    drop(ours);
    while let Some(event) = next(&mut heard).await {
        assert!(!matches!(event, MediaEvent::Speech { .. }));
    }
}

#[tokio::test]
async fn a_call_is_not_opened_in_the_place_of_another_engines_call() {
    let (first, second) = (engine(), engine());
    let (port, _events) = first.open().expect("a port");
    let place = port.place();
    assert!(first.open_in(&place).is_ok());
    assert!(matches!(second.open_in(&place), Err(MediaError::Apart)));
    drop(port);
    assert!(first.open_in(&place).is_ok(), "a place outlives its call");
}
