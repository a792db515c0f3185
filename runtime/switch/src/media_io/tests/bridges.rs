//! Two calls joined, each with a telephone made of a plain socket at its far end.

use tokio::time::MissedTickBehavior;

use super::phones::{Telephone, receive};
use super::*;

/// Two calls in one place and their telephones.
struct Pair {
    engine: MediaEngine,
    ports: Vec<(MediaPort, MediaEvents)>,
    phones: [Telephone; 2],
}

impl Pair {
    /// Their bridge puts nothing of its own where a telephone says nothing: what they hear is what was said, however long
    /// this machine stands still meanwhile.
    fn new(codecs: [Codec; 2]) -> Self {
        let mut config = config();
        config.stream.bridge_fill = Duration::from_secs(3600);
        Self::on(MediaEngine::start(config).expect("the engine starts"), codecs)
    }

    fn on(engine: MediaEngine, codecs: [Codec; 2]) -> Self {
        let phones = [Telephone::new(codecs[0], 5), Telephone::new(codecs[1], 6)];
        let first = engine.open().expect("a port");
        let second = engine.open_in(&first.0.place()).expect("a port");
        let ports = vec![first, second];
        for ((port, _), phone) in ports.iter().zip(&phones) {
            port.start(phone.plan());
        }
        Self { engine, ports, phones }
    }

    fn bridged(codecs: [Codec; 2]) -> Self {
        let pair = Self::new(codecs);
        pair.ports[0].0.bridge(&pair.ports[1].0).expect("in one place");
        pair
    }

    /// Both speak, the first at 700 Hz and the second at 1100, for so many packets, all of which have been dealt with in
    /// the end. A speaker that stands still goes on where he was; the longest that one did is given.
    async fn talk(&mut self, packets: usize) -> Duration {
        let targets: Vec<SocketAddr> = self.ports.iter().map(|(port, _)| port.local_addr()).collect();
        let read = self.engine.stats().packets_read;
        let mut rhythm = tokio::time::interval(Duration::from_millis(20));
        rhythm.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut said, mut longest) = (clock::now(), Duration::ZERO);
        for _ in 0..packets {
            rhythm.tick().await;
            longest = longest.max(said.elapsed());
            said = clock::now();
            for ((phone, target), hz) in self.phones.iter_mut().zip(&targets).zip([700.0, 1100.0]) {
                phone.say(*target, hz);
            }
        }
        settled(&self.engine, |stats| stats.packets_read >= read + 2 * packets as u64).await;
        longest
    }

    /// What was heard until now is forgotten.
    fn forget(&mut self) {
        self.phones.iter_mut().for_each(|phone| drop(phone.sound()));
    }

    fn sounds(&mut self) -> [Vec<i16>; 2] {
        self.phones.each_mut().map(Telephone::sound)
    }
}

#[tokio::test]
async fn each_hears_the_other_whatever_the_laws_and_after_the_bridge_nobody_does() {
    for codecs in [[Codec::Pcma, Codec::Pcma], [Codec::Pcma, Codec::Pcmu]] {
        let mut pair = Pair::bridged(codecs);
        pair.talk(60).await;
        let heard = pair.sounds();
        is_tone(&heard[0], 1100.0, true);
        is_tone(&heard[1], 700.0, true);
        pair.ports[1].0.unbridge();
        pair.talk(20).await;
        assert!(pair.phones.iter_mut().all(|phone| phone.sound().is_empty()));
        let stats = pair.engine.stats();
        assert_eq!((heard[0].len() / FRAME, stats.packets_passed), (60, 120), "{stats:?}");
    }
}

/// The wire itself: what one phone sent is what the other gets, bit by bit, under our name.
#[tokio::test]
async fn packets_pass_unchanged_under_one_ssrc_with_numbers_in_a_row() {
    let mut pair = Pair::bridged([Codec::Pcma; 2]);
    // In a row, so that nothing here can break the rhythm: less than a second, and less than a socket holds.
    let target = pair.ports[0].0.local_addr();
    for _ in 0..40 {
        pair.phones[0].say(target, 700.0);
    }
    pair.phones[1].hears(40).await;
    let heard = std::mem::take(&mut pair.phones[1].heard);
    assert!(heard.windows(2).all(|two| {
        two[1].0.sequence == two[0].0.sequence.wrapping_add(1)
            && two[1].0.timestamp == two[0].0.timestamp.wrapping_add(160)
            && two[1].0.ssrc == two[0].0.ssrc
            && !two[1].0.marker
    }));
    assert!(heard[0].0.ssrc != 5 && heard[0].0.marker);
    assert_eq!(heard.len(), 40);
}

#[tokio::test]
async fn a_key_reaches_the_other_and_its_owner_and_one_by_the_signalling_too() {
    let mut pair = Pair::bridged([Codec::Pcma; 2]);
    pair.talk(5).await;
    let target = pair.ports[1].0.local_addr();
    let pressed = pair.phones[1].header(101);
    for n in 0..4u16 {
        let header = Header { sequence: pressed.sequence + n, marker: n == 0, ..pressed };
        pair.phones[1].send(target, header, &[9, if n > 1 { 0x8a } else { 10 }, 0, 160]);
    }
    let key = until(&mut pair.ports[1].1, |event| match event {
        MediaEvent::Key { digit, .. } => Some(digit),
        _ => None,
    })
    .await;
    assert_eq!(key, '9');
    pair.ports[0].0.pass_key('#');
    for (phone, code) in pair.phones.iter_mut().zip([9, 11]) {
        let mut keys: Vec<u8> = Vec::new();
        comes("a key", || {
            phone.take();
            let heard = phone.heard.drain(..).filter(|(header, _)| header.payload_type == 101);
            keys.extend(heard.map(|(_, payload)| payload[0]));
            keys.len() >= 4
        })
        .await;
        assert!(keys.iter().all(|key| *key == code), "{keys:?}");
    }
}

#[tokio::test]
async fn a_prompt_over_the_bridge_is_heard_by_one_and_the_talk_goes_on_after_it() {
    let mut pair = Pair::bridged([Codec::Pcma; 2]);
    pair.talk(10).await;
    pair.forget();
    let id = pair.ports[0].0.play(tone(400.0, 400), false);
    // A thread that stands still plays the prompt for longer, and more of the talk is not heard.
    for _ in 0..200 {
        pair.talk(5).await;
        pair.phones[0].take();
        if pair.phones[0].heard.len() >= 60 {
            break;
        }
    }
    until(&mut pair.ports[0].1, |event| {
        matches!(event, MediaEvent::Played { id: of } if of == id).then_some(())
    })
    .await;
    let heard = pair.sounds();
    let (prompt, rest) = heard[0].split_at(20 * FRAME);
    assert!(prompt.chunks_exact(FRAME).all(|packet| share(packet, 400.0) > 0.98), "{}", share(prompt, 400.0));
    is_tone(rest, 1100.0, true);
    is_tone(&heard[1], 700.0, true);
}

#[tokio::test]
async fn music_goes_round_without_a_gap_until_the_bridge_begins() {
    let mut pair = Pair::new([Codec::Pcma; 2]);
    // 30 ms, so that every other packet has a seam in it.
    let id = pair.ports[0].0.play_loop(tone(400.0, 30));
    pair.phones[0].hears(35).await;
    is_tone(&pair.phones[0].sound(), 400.0, true);
    pair.ports[0].0.bridge(&pair.ports[1].0).expect("in one place");
    let by = until(&mut pair.ports[0].1, |event| match event {
        MediaEvent::Stopped { id: of, by, .. } => Some((of, by)),
        _ => None,
    })
    .await;
    assert_eq!(by, (id, StoppedBy::Command));
}

#[tokio::test]
async fn whoever_holds_hears_nothing_and_the_other_hears_silence_at_the_usual_pace() {
    let mut pair = Pair::on(engine(), [Codec::Pcma; 2]);
    pair.ports[0].0.bridge(&pair.ports[1].0).expect("in one place");
    pair.talk(10).await;
    let plan = pair.phones[1].plan();
    let commands = pair.engine.stats().commands;
    pair.ports[1].0.start(MediaPlan { send: false, receive: false, ..plan.clone() });
    settled(&pair.engine, |stats| stats.commands > commands).await;
    pair.forget();
    // The operator's telephone says nothing while it holds.
    let target = pair.ports[0].0.local_addr();
    for _ in 0..1000 {
        pair.phones[0].say(target, 700.0);
        tokio::time::sleep(Duration::from_millis(20)).await;
        pair.phones[0].take();
        if pair.phones[0].heard.len() >= 30 {
            break;
        }
    }
    let usual = pair.phones[0].heard.windows(2).filter(|two| follows(&two[0].0, &two[1].0)).count();
    let [silence, nothing] = pair.sounds();
    assert!(nothing.is_empty(), "{}", nothing.len());
    assert!(silence.len() >= 30 * FRAME && level::dbfs(&silence) < -60.0, "{}", silence.len());
    assert!(usual >= 20, "only {usual} came at the usual pace");
    pair.ports[1].0.start(plan);
    // Where this machine stands still there is silence in between.
    let loud =
        |sound: &Vec<i16>| sound.chunks_exact(FRAME).filter(|packet| level::dbfs(packet) > -40.0).count();
    let mut heard = [Vec::new(), Vec::new()];
    for _ in 0..40 {
        pair.talk(5).await;
        let more = pair.sounds();
        heard.iter_mut().zip(more).for_each(|(heard, more)| heard.extend(more));
        if heard.iter().all(|heard| loud(heard) >= 30) {
            break;
        }
    }
    is_tone(&heard[0], 1100.0, false);
    is_tone(&heard[1], 700.0, false);
}

#[tokio::test]
async fn one_side_that_closes_leaves_the_other_to_us() {
    let mut pair = Pair::bridged([Codec::Pcma; 2]);
    pair.talk(10).await;
    let (port, mut events) = pair.ports.remove(1);
    let theirs = port.local_addr();
    drop(port);
    closed(&mut events).await;
    // A third takes the place of the second in the shard, and has nothing to do with the first.
    let third = pair.engine.open_in(&pair.ports[0].0.place()).expect("a port");
    assert_ne!(third.0.local_addr(), theirs);
    let mut stranger = Telephone::new(Codec::Pcma, 8);
    third.0.start(stranger.plan());
    pair.phones[0].take();
    pair.phones[0].heard.clear();
    let read = pair.engine.stats().packets_read;
    for _ in 0..10 {
        stranger.say(third.0.local_addr(), 900.0);
        pair.phones[0].say(pair.ports[0].0.local_addr(), 700.0);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    settled(&pair.engine, |stats| stats.packets_read >= read + 20).await;
    assert!(pair.phones[0].sound().is_empty() && stranger.sound().is_empty());
    // And the first can be played to, and joined with the third.
    let id = pair.ports[0].0.play(tone(400.0, 100), false);
    until(&mut pair.ports[0].1, |event| {
        matches!(event, MediaEvent::Played { id: of } if of == id).then_some(())
    })
    .await;
    pair.phones[0].take();
    pair.phones[0].heard.clear();
    pair.ports[0].0.bridge(&third.0).expect("in one place");
    for _ in 0..40 {
        stranger.say(third.0.local_addr(), 900.0);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    pair.phones[0].hears(40).await;
    is_tone(&pair.phones[0].sound(), 900.0, true);
}

#[tokio::test]
async fn both_sides_are_recorded_apart_while_bridged() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut pair = Pair::bridged([Codec::Pcma, Codec::Pcmu]);
    for (n, (port, _)) in pair.ports.iter().enumerate() {
        port.record(folder.path().join(format!("{n}.wav"))).expect("a recorder");
    }
    let mut longest = pair.talk(60).await;
    if !calm(&[&pair.engine]).await {
        // A thread that stood still left something out: then there is more to record.
        longest = longest.max(pair.talk(120).await);
    }
    // What the reorder buffers still hold.
    let ticks = pair.engine.stats().ticks + 40;
    settled(&pair.engine, |stats| stats.ticks >= ticks).await;
    let whole = calm(&[&pair.engine]).await && longest < Duration::from_millis(60);
    for ((port, mut events), (left, right)) in pair.ports.drain(..).zip([(700.0, 1100.0), (1100.0, 700.0)]) {
        drop(port);
        let closed = closed(&mut events).await;
        assert_eq!(closed.report.frames_dropped, 0);
        let channels = wav(&closed.recording.expect("recorded").path);
        for (samples, hz) in channels.iter().zip([left, right]) {
            begins_with_tone(samples, hz, 50 * FRAME, whole);
        }
    }
}

#[tokio::test]
async fn calls_of_different_threads_and_a_call_with_itself_are_not_joined() {
    let config = config();
    let engine = MediaEngine::start(MediaConfig { threads: 2, ..config }).expect("the engine starts");
    let (first, _one) = engine.open().expect("a port");
    let (second, _two) = engine.open().expect("a port");
    assert!(matches!(first.bridge(&second), Err(MediaError::Apart)));
    assert!(matches!(first.bridge(&first), Err(MediaError::Apart)));
    let (third, _three) = engine.open_in(&second.place()).expect("a port");
    assert!(second.bridge(&third).is_ok());
    assert!(second.place() == third.place() && first.place() != third.place(), "and it can be known before");
}

#[tokio::test]
async fn a_telephone_that_falls_silent_is_told_and_so_is_its_return() {
    let mut config = config();
    config.stream.silent_wire = Some(Duration::from_millis(200));
    let engine = MediaEngine::start(config).expect("the engine starts");
    let (port, mut events) = engine.open().expect("a port");
    let mut phone = Telephone::new(Codec::Pcma, 5);
    port.start(phone.plan());
    let began = clock::now();
    let since = until(&mut events, |event| match event {
        MediaEvent::SilentWire { since, .. } => Some(since),
        _ => None,
    })
    .await;
    assert!(since <= clock::now() - Duration::from_millis(200) && since + Duration::from_secs(5) > began);
    phone.say(port.local_addr(), 400.0);
    until(&mut events, |event| matches!(event, MediaEvent::WireBack).then_some(())).await;
    until(&mut events, |event| matches!(event, MediaEvent::SilentWire { .. }).then_some(())).await;
}

/// What a bridge adds on the way: a packet is sent on as soon as it is read, not in the next slot of 20 ms.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_packet_is_on_its_way_to_the_other_within_milliseconds() {
    let mut pair = Pair::bridged([Codec::Pcma; 2]);
    pair.talk(5).await;
    let target = pair.ports[0].0.local_addr();
    pair.phones[1].take();
    let ears = &pair.phones[1].socket;
    ears.set_nonblocking(false).expect("an option");
    ears.set_read_timeout(Some(Duration::from_secs(10))).expect("an option");
    let ears = ears.try_clone().expect("a socket");
    let mut delays = Vec::new();
    for round in 0..60u64 {
        // At every place between two visits alike: one that waited for the next would come in step with what it waited for.
        tokio::time::sleep(Duration::from_millis(5 + round % 20)).await;
        let before = clock::now();
        pair.phones[0].say(target, 700.0);
        receive(&ears, &mut [0; 2000]);
        delays.push(before.elapsed());
    }
    delays.sort_unstable();
    // A machine with other things to do keeps some of them back; the rhythm would keep all but a few.
    assert!(delays[20] < Duration::from_millis(3), "two of three took more than {:?}", delays[20]);
}
