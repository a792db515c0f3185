//! Two calls of one switch joined: a caller and an operator, whose telephones are another switch. Real SIP, real RTP.

use std::f32::consts::TAU;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use zvonar_media::event::KeyTiming;
use zvonar_media::rtp::Header;
use zvonar_media::{Clip, Codec, Prompt, g711, tones};
use zvonar_model::{TenantId, TrunkId};
use zvonar_switch::media_io::MediaPlace;
use zvonar_switch::{
    Call, CallEvent, DialError, Doorway, MediaConfig, MediaError, MediaEvent, Network, Switch, SwitchConfig,
    Target, TrunkConfig, clock,
};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A limit to waiting for what is sure to come.
const SOON: Duration = Duration::from_secs(20);

fn trunk(name: &str) -> TrunkId {
    TrunkId::new(name).expect("an id")
}

fn tenant() -> TenantId {
    TenantId::new("demo").expect("an id")
}

async fn switch(trunks: &[(&str, SocketAddr)], ports: u16, threads: usize) -> (Switch, Doorway) {
    let trunks = trunks.iter().map(|(name, address)| TrunkConfig {
        id: trunk(name),
        address: *address,
        lines: 20,
        calls_per_second: 1000,
        caller: "100".into(),
        login: None,
        tenants: None,
    });
    let media = MediaConfig { ports: ports..=ports + 199, threads, ..MediaConfig::new(HERE) };
    let config = SwitchConfig {
        listen: SocketAddr::new(HERE, 0),
        advertise: None,
        allow: vec![Network::from(HERE)],
        per_source: 1000,
        trunks: trunks.collect(),
        media,
        calls: 100,
        phones: None,
        seed: u64::from(ports),
    };
    Switch::start(config).await.expect("the switch starts")
}

/// The host and the telephones.
struct World {
    host: Switch,
    _host_door: Doorway,
    _phones: Switch,
    door: Doorway,
}

impl World {
    async fn new(ports: u16, threads: usize, carrier: Option<SocketAddr>) -> Self {
        let (phones, door) = switch(&[], ports, 1).await;
        let trunks = carrier.map(|carrier| ("carrier", carrier)).into_iter();
        let trunks: Vec<_> = trunks.chain([("phones", phones.local_addr())]).collect();
        let (host, host_door) = switch(&trunks, ports + 200, threads).await;
        Self { host, _host_door: host_door, _phones: phones, door }
    }

    /// A call of ours and its telephone, both answered.
    async fn call(&mut self, beside: Option<&MediaPlace>) -> [Call; 2] {
        let phones = trunk("phones");
        let reserved = match beside {
            Some(place) => self.host.reserve_beside(&phones, &tenant(), place).await,
            None => self.host.reserve(&phones, &tenant()).await,
        };
        let target = Target::Uri("sip:somebody@phones".into());
        let mut ours = self
            .host
            .place(reserved.expect("a line"), target, Duration::from_secs(30))
            .await
            .expect("placed");
        let arrival = self.door.next().await.expect("a call");
        let mut theirs = arrival.answer().await.expect("a port");
        for call in [&mut ours, &mut theirs] {
            until(call, |event| matches!(event, CallEvent::Answered { .. }).then_some(())).await;
        }
        [ours, theirs]
    }
}

async fn until<T>(call: &mut Call, mut wanted: impl FnMut(&CallEvent) -> Option<T>) -> T {
    let wait = async {
        loop {
            let event = call.next().await;
            if let Some(found) = wanted(&event) {
                return found;
            }
            assert!(!matches!(event, CallEvent::Ended { .. }), "it ended before: {event:?}");
        }
    };
    tokio::time::timeout(SOON, wait).await.expect("within 20 s")
}

fn tone(hz: f32, ms: u64) -> Prompt {
    let samples: Vec<i16> =
        (0..ms * 8).map(|n| ((n as f32 * hz / 8000.0 * TAU).sin() * 13_000.0) as i16).collect();
    Prompt::from(Arc::new(Clip::from_samples(&samples)))
}

/// Waits until this tone is all that is heard at a telephone, and says what share of the sound it had at last. What was
/// under way before is heard for longer where a machine stands still, so it listens up to ten times.
async fn share(call: &mut Call, folder: &Path, hz: f32) -> f32 {
    let mut found = 0.0;
    for _ in 0..10 {
        found = share_now(call, folder, hz).await;
        if found > 0.95 {
            break;
        }
    }
    found
}

/// Listens at a telephone for 700 ms, and of the last 400 says what share of the sound this tone has.
async fn share_now(call: &mut Call, folder: &Path, hz: f32) -> f32 {
    let path = folder.join(format!("{hz}.wav"));
    call.media().record_voice(path.clone(), Duration::from_millis(700), None).expect("a recorder");
    until(call, |event| matches!(event, CallEvent::Media(MediaEvent::VoiceRecorded { .. })).then_some(()))
        .await;
    let samples: Vec<i16> = hound::WavReader::open(&path)
        .expect("a file")
        .samples()
        .map(|sample| sample.expect("whole"))
        .collect();
    let heard = &samples[2400..]; // without what was under way before, and the delay of the buffer
    let (mut found, mut total) = (0.0, 1.0);
    let factor = 2.0 * (TAU * hz / 8000.0).cos();
    // Packet by packet, so that a busy machine that leaves one out does not spoil the rest.
    for packet in heard.chunks_exact(160) {
        let (mut one, mut two) = (0.0_f32, 0.0_f32);
        for sample in packet {
            let sample = f32::from(*sample);
            let next = sample + factor * one - two;
            (two, one) = (one, next);
            total += sample * sample;
        }
        found += (one * one + two * two - factor * one * two) * 2.0 / packet.len() as f32;
    }
    found / total
}

#[tokio::test]
async fn a_caller_and_an_operator_hear_each_other_until_one_of_them_hangs_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut world = World::new(24_000, 2, None).await;
    let [mut caller, mut his_phone] = world.call(None).await;
    caller.media().play_loop(tones::ring_back());
    let [operator, mut her_phone] = world.call(Some(&caller.media().place())).await;
    his_phone.media().play_loop(tone(700.0, 1_000));
    her_phone.media().play_loop(tone(1100.0, 1_000));
    caller.bridge(&operator).expect("opened beside");
    // The ring-back ends with the bridge.
    until(&mut caller, |event| matches!(event, CallEvent::Media(MediaEvent::Stopped { .. })).then_some(()))
        .await;
    let (his, hers) = (
        share(&mut his_phone, folder.path(), 1100.0).await,
        share(&mut her_phone, folder.path(), 700.0).await,
    );
    assert!(his > 0.95 && hers > 0.95, "{his} {hers}");

    // A key of his: she hears it, and we do.
    his_phone.media().stop();
    his_phone.media().send_keys("5", KeyTiming::default()).expect("a key");
    let key = |event: &CallEvent| match event {
        CallEvent::Key { digit, .. } => Some(*digit),
        _ => None,
    };
    assert_eq!(until(&mut caller, key).await, '5');
    assert_eq!(until(&mut her_phone, key).await, '5');

    // She hangs up; he is still there and can be spoken to.
    her_phone.hang_up().await;
    let mut operator = operator;
    operator.ended(SOON).await.expect("she hung up");
    operator.close(|_| {}).await;
    caller.media().play_loop(tone(900.0, 1_000));
    let heard = share(&mut his_phone, folder.path(), 900.0).await;
    assert!(heard > 0.95, "{heard}");
    caller.hang_up().await;
    his_phone.ended(SOON).await.expect("we hung up");
}

#[tokio::test]
async fn a_call_that_was_not_opened_beside_the_other_is_not_joined() {
    let mut world = World::new(24_400, 2, None).await;
    let [caller, _his_phone] = world.call(None).await;
    let [operator, _her_phone] = world.call(None).await;
    assert!(matches!(caller.bridge(&operator), Err(MediaError::Apart)));
}

/// Anyone could call by any carrier's login.
#[tokio::test]
async fn a_trunk_of_somebody_else_is_none() {
    let id = trunk("carrier");
    let carrier = TrunkConfig {
        id: id.clone(),
        address: SocketAddr::new(HERE, 9),
        lines: 1,
        calls_per_second: 10,
        caller: "100".into(),
        login: None,
        tenants: Some([tenant()].into()),
    };
    let config = SwitchConfig {
        listen: SocketAddr::new(HERE, 0),
        advertise: None,
        allow: Vec::new(),
        per_source: 10,
        trunks: vec![carrier],
        media: MediaConfig { ports: 24_600..=24_699, threads: 1, ..MediaConfig::new(HERE) },
        calls: 2,
        phones: None,
        seed: 1,
    };
    let (host, _door) = Switch::start(config).await.expect("the switch starts");
    let other = TenantId::new("other").expect("an id");
    assert!(matches!(host.reserve(&id, &other).await, Err(DialError::NoTrunk(named)) if named == id));
    assert!(host.reserve(&id, &tenant()).await.is_ok());
}

/// A carrier played by hand, with a tone of its own in µ-law.
struct Carrier {
    sip: tokio::net::UdpSocket,
    sound: UdpSocket,
}

impl Carrier {
    async fn new() -> Self {
        let sip = tokio::net::UdpSocket::bind((HERE, 0)).await.expect("a socket");
        Self { sip, sound: UdpSocket::bind((HERE, 0)).expect("a socket") }
    }

    /// The next message that begins so, and from where.
    async fn hear(&self, start: &str) -> (String, SocketAddr) {
        let mut buffer = vec![0; 65_535];
        loop {
            let heard = tokio::time::timeout(SOON, self.sip.recv_from(&mut buffer));
            let (length, from) = heard.await.unwrap_or_else(|_| panic!("no {start}")).expect("received");
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.starts_with(start) {
                return (text, from);
            }
        }
    }

    async fn answer(&self, (request, from): &(String, SocketAddr), status: &str, sdp: &str) {
        let line = |name: &str| request.lines().find(|line| line.starts_with(name)).expect("a header");
        let [via, sender, call, cseq, to] = ["Via", "From", "Call-ID", "CSeq", "To"].map(line);
        let kind = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let here = self.sip.local_addr().expect("bound");
        let answer = format!(
            "SIP/2.0 {status}\r\n{via}\r\n{sender}\r\n{to};tag=far\r\n{call}\r\n{cseq}\r\nContact: <sip:x@{here}>\r\n\
             {kind}Content-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        );
        self.sip.send_to(answer.as_bytes(), from).await.expect("sent");
    }
}

/// An external number that does not pick up, but has something to say before: the caller hears it at once, each in his
/// own law, and hears us again when it comes to nothing.
#[tokio::test]
async fn what_an_external_number_says_before_it_answers_is_heard_by_the_caller() {
    let folder = tempfile::tempdir().expect("a folder");
    let carrier = Carrier::new().await;
    let mut world = World::new(24_800, 2, Some(carrier.sip.local_addr().expect("bound"))).await;
    let [mut caller, mut his_phone] = world.call(None).await;
    caller.media().play_loop(tones::ring_back());
    let place = caller.media().place();
    let reserved = world.host.reserve_beside(&trunk("carrier"), &tenant(), &place).await.expect("a line");
    let target = Target::Uri("sip:+74950000000@carrier".into());
    let mut outside = world.host.place(reserved, target, Duration::from_secs(30)).await.expect("placed");
    let invite = carrier.hear("INVITE").await;
    let port = invite.0.split("m=audio ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
    let ours = SocketAddr::new(HERE, port.expect("our port"));
    carrier.answer(&invite, "180 Ringing", "").await;
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {} RTP/AVP 0\r\n",
        carrier.sound.local_addr().expect("bound").port()
    );
    carrier.answer(&invite, "183 Session Progress", &sdp).await;
    let mut progress = Vec::new();
    while progress.len() < 2 {
        let seen = until(&mut outside, |event| match event {
            CallEvent::Progress { code, sound } => Some((*code, *sound)),
            _ => None,
        });
        progress.push(seen.await);
    }
    assert_eq!(progress, [(180, false), (183, true)]);
    caller.bridge(&outside).expect("opened beside");
    until(&mut caller, |event| matches!(event, CallEvent::Media(MediaEvent::Stopped { .. })).then_some(()))
        .await;
    let sound = carrier.sound.try_clone().expect("a socket");
    let begin = clock::now();
    let heard_enough = Arc::new(AtomicBool::new(false));
    let enough = Arc::clone(&heard_enough);
    let speaker = std::thread::spawn(move || {
        for n in 0..u16::MAX {
            if enough.load(Ordering::Relaxed) {
                return;
            }
            let mut packet = vec![0; 12];
            let timestamp = u32::from(n) * 160;
            Header { marker: n == 0, payload_type: 0, sequence: n, timestamp, ssrc: 3 }
                .write(packet.first_chunk_mut().expect("twelve"));
            let wave = |at: u32| ((at as f32 * 1300.0 / 8000.0 * TAU).sin() * 13_000.0) as i16;
            packet.extend((timestamp..timestamp + 160).map(|at| g711::encode(Codec::Pcmu, wave(at))));
            sound.send_to(&packet, ours).expect("sent");
            let next = begin + Duration::from_millis(20) * (u32::from(n) + 1);
            std::thread::sleep(next.saturating_duration_since(clock::now()));
        }
    });
    let heard = share(&mut his_phone, folder.path(), 1300.0).await;
    heard_enough.store(true, Ordering::Relaxed);
    assert!(heard > 0.95, "{heard}");
    carrier.answer(&invite, "486 Busy Here", "").await;
    outside.ended(SOON).await.expect("it is busy");
    outside.close(|_| {}).await;
    speaker.join().expect("it has spoken");
    caller.media().play_loop(tone(900.0, 50));
    let heard = share(&mut his_phone, folder.path(), 900.0).await;
    assert!(heard > 0.95, "{heard}");
}
