//! Two calls of one switch joined: a caller and an operator, whose telephones are another switch. Real SIP, real RTP.

use std::f32::consts::TAU;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use zvonar_media::event::KeyTiming;
use zvonar_media::{Clip, Prompt, tones};
use zvonar_model::TrunkId;
use zvonar_switch::media_io::MediaPlace;
use zvonar_switch::{
    Call, CallEvent, Doorway, MediaConfig, MediaError, MediaEvent, Network, Switch, SwitchConfig, Target,
    TrunkConfig,
};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn switch(trunk: Option<SocketAddr>, ports: u16, threads: usize) -> (Switch, Doorway) {
    let trunks = trunk.map(|address| TrunkConfig {
        id: TrunkId::new("phones").expect("an id"),
        address,
        lines: 20,
        calls_per_second: 1000,
        caller: "100".into(),
        login: None,
    });
    let media = MediaConfig { ports: ports..=ports + 199, threads, ..MediaConfig::new(HERE) };
    let config = SwitchConfig {
        listen: SocketAddr::new(HERE, 0),
        advertise: None,
        allow: vec![Network::from(HERE)],
        per_source: 1000,
        trunks: trunks.into_iter().collect(),
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
    async fn new(ports: u16, threads: usize) -> Self {
        let (phones, door) = switch(None, ports, 1).await;
        let (host, host_door) = switch(Some(phones.local_addr()), ports + 200, threads).await;
        Self { host, _host_door: host_door, _phones: phones, door }
    }

    /// A call of ours and its telephone, both answered.
    async fn call(&mut self, beside: Option<&MediaPlace>) -> [Call; 2] {
        let trunk = TrunkId::new("phones").expect("an id");
        let reserved = match beside {
            Some(place) => self.host.reserve_beside(&trunk, place).await,
            None => self.host.reserve(&trunk).await,
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
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("within 20 s")
}

fn tone(hz: f32, ms: u64) -> Prompt {
    let samples: Vec<i16> =
        (0..ms * 8).map(|n| ((n as f32 * hz / 8000.0 * TAU).sin() * 13_000.0) as i16).collect();
    Prompt::from(Arc::new(Clip::from_samples(&samples)))
}

/// Listens at a telephone for half a second, and says what share of the sound this tone has.
async fn share(call: &mut Call, folder: &Path, hz: f32) -> f32 {
    let path = folder.join(format!("{hz}.wav"));
    call.media().record_voice(path.clone(), Duration::from_millis(500), None).expect("a recorder");
    until(call, |event| matches!(event, CallEvent::Media(MediaEvent::VoiceRecorded { .. })).then_some(()))
        .await;
    let samples: Vec<i16> = hound::WavReader::open(&path)
        .expect("a file")
        .samples()
        .map(|sample| sample.expect("whole"))
        .collect();
    let heard = &samples[800..]; // what was under way before, and the delay of the buffer
    let (mut one, mut two, mut total) = (0.0_f32, 0.0_f32, 1.0_f32);
    let factor = 2.0 * (TAU * hz / 8000.0).cos();
    for sample in heard {
        let sample = f32::from(*sample);
        let next = sample + factor * one - two;
        (two, one) = (one, next);
        total += sample * sample;
    }
    (one * one + two * two - factor * one * two) * 2.0 / heard.len() as f32 / total
}

#[tokio::test]
async fn a_caller_and_an_operator_hear_each_other_until_one_of_them_hangs_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut world = World::new(24_000, 2).await;
    let [mut caller, mut his_phone] = world.call(None).await;
    caller.media().play_loop(tones::ring_back());
    let [operator, mut her_phone] = world.call(Some(&caller.media().place())).await;
    his_phone.media().play(tone(700.0, 8_000), false);
    her_phone.media().play(tone(1100.0, 8_000), false);
    caller.bridge(&operator).expect("opened beside");
    let (his, hers) = (
        share(&mut his_phone, folder.path(), 1100.0).await,
        share(&mut her_phone, folder.path(), 700.0).await,
    );
    assert!(his > 0.95 && hers > 0.95, "{his} {hers}");
    // The ring-back ended with the bridge.
    until(&mut caller, |event| matches!(event, CallEvent::Media(MediaEvent::Stopped { .. })).then_some(()))
        .await;

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
    operator.ended(Duration::from_secs(5)).await.expect("she hung up");
    operator.close(|_| {}).await;
    caller.media().play(tone(900.0, 3_000), false);
    let heard = share(&mut his_phone, folder.path(), 900.0).await;
    assert!(heard > 0.95, "{heard}");
    caller.hang_up().await;
    his_phone.ended(Duration::from_secs(5)).await.expect("we hung up");
}

#[tokio::test]
async fn a_call_that_was_not_opened_beside_the_other_is_not_joined() {
    let mut world = World::new(24_400, 2).await;
    let [caller, _his_phone] = world.call(None).await;
    let [operator, _her_phone] = world.call(None).await;
    assert!(matches!(caller.bridge(&operator), Err(MediaError::Apart)));
}
