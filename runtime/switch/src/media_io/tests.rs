//! The engine over real loopback sockets. What is asserted is order, counts and timestamps; wall time only where it is
//! the point, and then with room for a busy machine.

mod bridges;
mod ear;
mod phones;
mod recordings;

use std::f32::consts::TAU;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use phones::Phone;
use zvonar_media::rtp::Header;
use zvonar_media::{Clip, Codec, FRAME, Part, g711, level};

use super::*;
use crate::clock;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Each engine has a loopback address of its own, so that tests can run side by side; another run of them has others.
fn config() -> MediaConfig {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let run = (std::process::id() % 250) as u8;
    let address = Ipv4Addr::new(127, 78, run, NEXT.fetch_add(1, Ordering::Relaxed));
    let stream = StreamSettings { keepalive: None, ..StreamSettings::default() };
    MediaConfig { ports: 20_000..=20_199, threads: 1, stream, ..MediaConfig::new(address.into()) }
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
/// rest).
fn share(samples: &[i16], hz: f32) -> f32 {
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
    found / total
}

/// The sound is this tone. One that is `whole` has no gap; in another, what a thread that stood still left out is passed
/// over, and so is the loudness of the packets that this cut.
#[track_caller]
fn is_tone(samples: &[i16], hz: f32, whole: bool) {
    let packets: Vec<&[i16]> = samples.chunks_exact(FRAME).collect();
    let loud: Vec<bool> = packets.iter().map(|packet| level::dbfs(packet) > -40.0).collect();
    let of = |kept: &dyn Fn(usize) -> bool| -> Vec<i16> {
        (0..packets.len()).filter(|n| kept(*n)).flat_map(|n| packets[n]).copied().collect()
    };
    let near = |n: usize| &loud[n.saturating_sub(1)..loud.len().min(n + 2)];
    let (heard, uncut) = (of(&|n| loud[n]), of(&|n| near(n).iter().all(|loud| *loud)));
    assert!(heard.len() >= 30 * FRAME, "only {} samples", heard.len());
    assert!(!whole || loud.iter().all(|loud| *loud), "{hz} Hz has gaps: {loud:?}");
    let (share, dbfs) = (share(&heard, hz), level::dbfs(&uncut));
    assert!(share > 0.9 && (dbfs + 11.0).abs() < 0.7, "{hz} Hz has a share of {share}, at {dbfs} dBFS");
}

/// The recording has this tone from its first sound on: so many samples without a gap, if no thread stood still.
#[track_caller]
fn begins_with_tone(samples: &[i16], hz: f32, length: usize, whole: bool) {
    let begin = samples.iter().position(|sample| sample.abs() > 3000).expect("a sound");
    let end = if whole { begin + length } else { samples.len() };
    is_tone(&samples[begin..end], hz, whole);
}

/// Whether the media threads were always in time: only then does everything go through without a gap. One that stands
/// still at this moment has not counted it yet, so each has to take its turns first.
async fn calm(engines: &[&MediaEngine]) -> bool {
    for engine in engines {
        let turns = engine.stats().turns;
        comes("two turns", || engine.stats().turns > turns + 1).await;
    }
    engines.iter().map(|engine| engine.stats()).all(|stats| stats.late_20ms == 0 && stats.skipped == 0)
}

/// Waits for what is sure to come, however long a busy machine takes.
async fn comes(what: &str, mut there: impl FnMut() -> bool) {
    let began = clock::now();
    while !there() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what} did not come within 20 s");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Waits until the media thread has counted so much, and is done with what it counted: it has begun another turn.
async fn settled(engine: &MediaEngine, counted: impl Fn(MediaStats) -> bool) {
    comes("what the engine counts", || counted(engine.stats())).await;
    let turns = engine.stats().turns;
    comes("another turn", || engine.stats().turns > turns).await;
}

/// Sound goes on in step, or, where the thread stood still for longer than a talkspurt bears, begins anew.
fn follows(last: &Header, next: &Header) -> bool {
    let step = next.timestamp.wrapping_sub(last.timestamp);
    next.sequence == last.sequence.wrapping_add(1) && (step == 160 || (next.marker && step > 960))
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
        let began = clock::now();
        let first = port.play(low.clone(), true);
        let mut last = loop {
            let packet = phone.receive();
            if packet.2 < 600.0 {
                break packet;
            }
        };
        let begin = last.1.timestamp;
        for _ in 0..7 {
            let packet = phone.receive();
            assert!(follows(&last.1, &packet.1), "a prompt goes on in step: {:?} {:?}", last.1, packet.1);
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
        let step = next.1.timestamp.wrapping_sub(last.1.timestamp).cast_signed();
        assert!(step >= 160, "the new sound follows the old, and does not overlap it: {step}");
        // Ahead of the clock by less than four packets: the last, those that the thread catches up with after it stood
        // still, and what the rhythm was early.
        let passed = next.1.timestamp.wrapping_sub(begin);
        let latest = began.elapsed().as_millis() * 8 + 4 * FRAME as u128;
        assert!(u128::from(passed) <= latest, "nor does it leave a gap: {passed} samples, at most {latest}");
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
    let folder = tempfile::tempdir().expect("a folder");
    let engine = MediaEngine::start(MediaConfig { threads: 2, ..config() }).expect("the engine starts");
    let mut calls = Vec::new();
    let refused = loop {
        let n = calls.len();
        let (port, events) = match engine.open() {
            Ok(call) => call,
            Err(refused) => break refused,
        };
        port.start(plan(SocketAddr::new(HERE, 9)));
        port.play(tone(400.0, 10_000), false);
        if n % 10 == 0 {
            port.record(folder.path().join(format!("{n}.wav"))).expect("a recorder");
        }
        calls.push((port, events));
    };
    assert!(matches!(refused, MediaError::PortsExhausted { count: 100, .. }), "{refused:?}");
    // But for a few that others may have at the moment.
    assert!(calls.len() >= 90 && engine.stats().streams == calls.len() as u64, "{}", calls.len());
    let addresses: Vec<SocketAddr> = calls.iter().map(|(port, _)| port.local_addr()).collect();
    engine.shutdown();
    assert!(matches!(engine.open(), Err(MediaError::Stopped)));
    for (n, (port, events)) in calls.iter_mut().enumerate() {
        port.play(tone(400.0, 10), false); // does nothing, and does not wait
        let closed = closed(events).await;
        assert_eq!(closed.recording.is_some(), n % 10 == 0);
    }
    assert_eq!(engine.stats().streams, 0);
    drop(calls);
    for address in addresses {
        comes("a free port", || UdpSocket::bind(address).is_ok()).await;
    }
}

/// A caller that leans on the keys while nobody reads: the end of the prompt must still be told.
#[tokio::test]
async fn keys_that_nobody_reads_do_not_push_out_the_end_of_a_prompt() {
    let engine = engine();
    let (port, mut events) = engine.open().expect("a port");
    let mut phone = Phone::new(port.local_addr());
    port.start(plan(phone.socket.local_addr().expect("bound")));
    // No more at once than a socket holds.
    for batch in 1..=5 {
        for _ in 0..40 {
            phone.key(1);
        }
        settled(&engine, |stats| stats.packets_read >= batch * 40).await;
    }
    let id = port.play(tone(400.0, 40), false);
    // Events of all calls leave in one queue: what comes after the end of the prompt tells that it was delivered.
    let (other, mut others) = engine.open().expect("a port");
    let listener = Phone::new(other.local_addr());
    other.start(plan(listener.socket.local_addr().expect("bound")));
    other.play(tone(400.0, 200), false);
    until(&mut others, |event| matches!(event, MediaEvent::Played { .. }).then_some(())).await;
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
    let mut last = phone.receive().1;
    for _ in 0..3 {
        let header = phone.receive().1;
        assert!(follows(&last, &header), "{last:?} {header:?}");
        last = header;
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
