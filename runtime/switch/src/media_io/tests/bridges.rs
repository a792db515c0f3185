//! Two calls joined, each with a telephone made of a plain socket at its far end.

use super::*;

/// A telephone that sends a tone, 20 ms a packet, and keeps all that it hears.
struct Telephone {
    socket: UdpSocket,
    codec: Codec,
    ssrc: u32,
    sequence: u16,
    heard: Vec<(Header, Vec<u8>)>,
}

impl Telephone {
    fn new(codec: Codec, ssrc: u32) -> Self {
        let socket = UdpSocket::bind((HERE, 0)).expect("a socket");
        socket.set_nonblocking(true).expect("an option");
        Self { socket, codec, ssrc, sequence: 0, heard: Vec::new() }
    }

    fn plan(&self) -> MediaPlan {
        MediaPlan { codec: self.codec, ..plan(self.socket.local_addr().expect("bound")) }
    }

    fn header(&mut self, payload_type: u8) -> Header {
        let sequence = self.sequence;
        self.sequence += 1;
        let timestamp = 1_000_000 + u32::from(sequence) * 160;
        Header { marker: sequence == 0, payload_type, sequence, timestamp, ssrc: self.ssrc }
    }

    fn send(&mut self, target: SocketAddr, header: Header, payload: &[u8]) {
        let mut packet = vec![0; 12];
        header.write(packet.first_chunk_mut().expect("twelve"));
        packet.extend(payload);
        self.socket.send_to(&packet, target).expect("sent");
    }

    fn say(&mut self, target: SocketAddr, hz: f32) {
        let header = self.header(self.codec.payload_type());
        let first = u32::from(header.sequence) * 160;
        let sound: Vec<u8> = (first..first + 160)
            .map(|n| g711::encode(self.codec, ((n as f32 * hz / 8000.0 * TAU).sin() * 13_000.0) as i16))
            .collect();
        self.send(target, header, &sound);
    }

    fn take(&mut self) {
        let mut packet = [0; 2000];
        while let Ok(len) = self.socket.recv(&mut packet) {
            let (header, payload) = Header::parse(&packet[..len]).expect("RTP");
            self.heard.push((header, packet[payload].to_vec()));
        }
    }

    /// The sound of what was heard since the last time.
    fn sound(&mut self) -> Vec<i16> {
        self.take();
        let table = g711::table(self.codec);
        let heard = std::mem::take(&mut self.heard);
        let sound = heard.iter().filter(|(header, _)| header.payload_type == self.codec.payload_type());
        sound.flat_map(|(_, payload)| payload.iter().map(|byte| table[usize::from(*byte)])).collect()
    }
}

/// Two calls in one place and their telephones.
struct Pair {
    engine: MediaEngine,
    ports: Vec<(MediaPort, MediaEvents)>,
    phones: [Telephone; 2],
}

impl Pair {
    fn new(codecs: [Codec; 2]) -> Self {
        let engine = engine();
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

    /// Both speak, the first at 700 Hz and the second at 1100, for so many packets.
    async fn talk(&mut self, packets: usize) {
        let targets: Vec<SocketAddr> = self.ports.iter().map(|(port, _)| port.local_addr()).collect();
        let mut rhythm = tokio::time::interval(Duration::from_millis(20));
        for _ in 0..packets {
            rhythm.tick().await;
            for ((phone, target), hz) in self.phones.iter_mut().zip(&targets).zip([700.0, 1100.0]) {
                phone.say(*target, hz);
            }
        }
        // The last of them are on their way; in a longer pause silence would be sent in place of more.
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
}

#[tokio::test]
async fn each_hears_the_other_whatever_the_laws_and_after_the_bridge_nobody_does() {
    for codecs in [[Codec::Pcma, Codec::Pcma], [Codec::Pcma, Codec::Pcmu]] {
        let mut pair = Pair::bridged(codecs);
        pair.talk(60).await;
        let heard: Vec<Vec<i16>> = pair.phones.iter_mut().map(Telephone::sound).collect();
        is_tone(&heard[0][5 * FRAME..], 1100.0);
        is_tone(&heard[1][5 * FRAME..], 700.0);
        pair.ports[1].0.unbridge();
        // What is said before the media thread has heard of it passes.
        pair.talk(5).await;
        pair.phones.iter_mut().for_each(|phone| drop(phone.sound()));
        pair.talk(20).await;
        assert!(pair.phones.iter_mut().all(|phone| phone.sound().is_empty()));
        let stats = pair.engine.stats();
        assert!((110..=132).contains(&stats.packets_passed), "{stats:?}");
    }
}

/// The wire itself: what one phone sent is what the other gets, bit by bit, under our name.
#[tokio::test]
async fn packets_pass_unchanged_under_one_ssrc_with_numbers_in_a_row() {
    let mut pair = Pair::bridged([Codec::Pcma; 2]);
    pair.talk(50).await;
    pair.phones[1].take();
    let heard = std::mem::take(&mut pair.phones[1].heard);
    assert!(heard.windows(2).all(|two| {
        two[1].0.sequence == two[0].0.sequence.wrapping_add(1)
            && two[1].0.timestamp.wrapping_sub(two[0].0.timestamp) % 160 == 0
            && two[1].0.ssrc == two[0].0.ssrc
            && !two[1].0.marker
    }));
    assert!(heard[0].0.ssrc != 5 && heard[0].0.marker);
    assert!(heard.len() >= 48, "{}", heard.len());
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
    tokio::time::sleep(Duration::from_millis(300)).await;
    for (phone, code) in [(0, 9), (1, 11)] {
        pair.phones[phone].take();
        let keys: Vec<u8> = pair.phones[phone]
            .heard
            .iter()
            .filter(|(header, _)| header.payload_type == 101)
            .map(|(_, payload)| payload[0])
            .collect();
        assert!(keys.len() >= 4 && keys.iter().all(|key| *key == code), "{keys:?}");
    }
}

#[tokio::test]
async fn a_prompt_over_the_bridge_is_heard_by_one_and_the_talk_goes_on_after_it() {
    let mut pair = Pair::bridged([Codec::Pcma; 2]);
    pair.talk(10).await;
    let id = pair.ports[0].0.play(tone(400.0, 400), false);
    pair.phones.iter_mut().for_each(|phone| drop(phone.sound()));
    pair.talk(60).await;
    until(&mut pair.ports[0].1, |event| {
        matches!(event, MediaEvent::Played { id: of } if of == id).then_some(())
    })
    .await;
    let heard: Vec<Vec<i16>> = pair.phones.iter_mut().map(Telephone::sound).collect();
    // Its first packet may have left before we began to listen.
    let (prompt, rest) = heard[0].split_at(18 * FRAME);
    assert!(share(prompt, 400.0).0 > 0.98, "{:?}", share(prompt, 400.0));
    is_tone(&rest[4 * FRAME..], 1100.0);
    is_tone(&heard[1][5 * FRAME..], 700.0);
}

#[tokio::test]
async fn music_goes_round_without_a_gap_until_the_bridge_begins() {
    let mut pair = Pair::new([Codec::Pcma; 2]);
    // 30 ms, so that every other packet has a seam in it.
    let id = pair.ports[0].0.play_loop(tone(400.0, 30));
    tokio::time::sleep(Duration::from_millis(700)).await;
    is_tone(&pair.phones[0].sound(), 400.0);
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
    let mut pair = Pair::bridged([Codec::Pcma; 2]);
    pair.talk(10).await;
    pair.phones.iter_mut().for_each(|phone| drop(phone.sound()));
    let plan = pair.phones[1].plan();
    pair.ports[1].0.start(MediaPlan { send: false, receive: false, ..plan.clone() });
    // The operator's telephone says nothing while it holds.
    let target = pair.ports[0].0.local_addr();
    for _ in 0..40 {
        pair.phones[0].say(target, 700.0);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let heard: Vec<Vec<i16>> = pair.phones.iter_mut().map(Telephone::sound).collect();
    assert!(heard[1].len() <= FRAME, "{}", heard[1].len());
    assert!(heard[0].len() >= 30 * FRAME && level::dbfs(&heard[0][FRAME..]) < -60.0, "{}", heard[0].len());
    pair.ports[1].0.start(plan);
    pair.talk(45).await;
    let heard: Vec<Vec<i16>> = pair.phones.iter_mut().map(Telephone::sound).collect();
    is_tone(&heard[0][10 * FRAME..], 1100.0);
    is_tone(&heard[1][10 * FRAME..], 700.0);
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
    for _ in 0..10 {
        stranger.say(third.0.local_addr(), 900.0);
        pair.phones[0].say(pair.ports[0].0.local_addr(), 700.0);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
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
    is_tone(&pair.phones[0].sound()[FRAME..], 900.0);
}

#[tokio::test]
async fn both_sides_are_recorded_apart_while_bridged() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut pair = Pair::bridged([Codec::Pcma, Codec::Pcmu]);
    for (n, (port, _)) in pair.ports.iter().enumerate() {
        port.record(folder.path().join(format!("{n}.wav"))).expect("a recorder");
    }
    pair.talk(60).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    for ((port, mut events), (left, right)) in pair.ports.drain(..).zip([(700.0, 1100.0), (1100.0, 700.0)]) {
        drop(port);
        let closed = closed(&mut events).await;
        assert_eq!(closed.report.frames_dropped, 0);
        let channels = wav(&closed.recording.expect("recorded").path);
        for (samples, hz) in channels.iter().zip([left, right]) {
            let begin = samples.iter().position(|sample| sample.abs() > 3000).expect("a sound");
            is_tone(&samples[begin..begin + 50 * FRAME], hz);
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
    ears.set_read_timeout(Some(Duration::from_secs(5))).expect("an option");
    let ears = ears.try_clone().expect("a socket");
    let mut delays = Vec::new();
    for round in 0..60u64 {
        tokio::time::sleep(Duration::from_millis(15 + round % 7)).await;
        let before = clock::now();
        pair.phones[0].say(target, 700.0);
        ears.recv(&mut [0; 2000]).expect("it passes");
        delays.push(before.elapsed());
    }
    delays.sort_unstable();
    assert!(delays[30] < Duration::from_millis(5), "half of them took more than {:?}", delays[30]);
}
