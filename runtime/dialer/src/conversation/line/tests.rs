//! Questions in words on a real call over the loopback: a person's recorded voice, a recogniser that hears what it is told.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicU16;

use zvonar_media::event::KeyTiming;
use zvonar_media::utterance::EndedBy;
use zvonar_media::{Clip, Codec, FRAME, g711};
use zvonar_model::{AttemptId, Direction, TenantId, TrunkId, UnixMillis};
use zvonar_scenario::question::{KeysWanted, Phrase};
use zvonar_speech::model::ModelId;
use zvonar_speech::{Recognised, Recognizer, Request};
use zvonar_switch::media_io::SpeechStep;
use zvonar_switch::{Doorway, MediaConfig, Network, Switch, SwitchConfig, Target, TrunkConfig};

use super::*;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// One that says nothing of what it is sent.
const LONG: Duration = Duration::from_secs(60);

/// Hears the same whatever is said.
#[derive(Debug)]
struct Always(Recognised, ModelId);

#[async_trait]
impl Recognizer for Always {
    fn model(&self) -> &ModelId {
        &self.1
    }

    fn language(&self) -> &str {
        "ru"
    }

    async fn recognise(&self, _: Request) -> Recognised {
        self.0.clone()
    }
}

fn hears(text: &str) -> Recognised {
    let (waited, worked) = (Duration::ZERO, Duration::ZERO);
    Recognised::Text(zvonar_speech::Text { text: text.into(), confidence: 0.8, waited, worked })
}

fn config(trunks: Vec<TrunkConfig>) -> SwitchConfig {
    static NEXT: AtomicU16 = AtomicU16::new(26_000);
    let first = NEXT.fetch_add(20, Ordering::Relaxed);
    SwitchConfig {
        listen: SocketAddr::new(HERE, 0),
        advertise: None,
        allow: vec![Network::everyone_v4()],
        per_source: 10_000,
        trunks,
        media: MediaConfig { ports: first..=first + 19, threads: 1, ..MediaConfig::new(HERE) },
        calls: 10,
        phones: None,
        seed: 7,
    }
}

/// A call, and the telephone at its other end.
struct Phones {
    talk: Arc<Mutex<Talk>>,
    far: Call,
    doors: [Doorway; 2],
    folder: tempfile::TempDir,
}

/// A person's recorded voice.
fn voice() -> Prompt {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../media/tests/data/goodbye.alaw");
    let mut sound = Vec::new();
    for frame in std::fs::read(file).expect("a recording").chunks_exact(FRAME) {
        let mut linear = [0; FRAME];
        g711::decode(Codec::Pcma, frame, &mut linear);
        sound.extend(linear);
    }
    Prompt::new([
        zvonar_media::Part::Pause(Duration::from_millis(300)),
        zvonar_media::Part::Clip(Arc::new(Clip::from_samples(&sound))),
    ])
}

async fn answered(call: &mut Call) -> Instant {
    loop {
        if let CallEvent::Answered { at } = call.next().await {
            return at;
        }
    }
}

impl Phones {
    async fn call(heard: Recognised) -> Self {
        let (theirs, mut their_door) = Switch::start(config(Vec::new())).await.expect("a switch");
        let trunk = TrunkId::new("line").expect("a good id");
        let address = theirs.local_addr();
        let (caller, login) = ("robot".into(), None);
        let trunks = vec![TrunkConfig {
            id: trunk.clone(),
            address,
            lines: 1,
            calls_per_second: 100,
            caller,
            login,
            tenants: None,
        }];
        let (ours, our_door) = Switch::start(config(trunks)).await.expect("a switch");
        let line = ours.reserve(&trunk, &TenantId::new("demo").expect("a good id")).await.expect("a line");
        let target = Target::Uri(format!("sip:person@{address}"));
        let mut call = ours.place(line, target, Duration::from_secs(10)).await.expect("a call");
        let mut far = their_door.next().await.expect("it rings").answer().await.expect("it is answered");
        let (started, _) = tokio::join!(answered(&mut call), answered(&mut far));
        let tenant = TenantId::new("demo").expect("a good id");
        let attempt = AttemptId::fresh(UnixMillis(0), 1);
        let about = About {
            call: attempt.to_string(),
            direction: Direction::Outbound,
            caller: "robot".into(),
            callee: "person".into(),
            attempt: 1,
        };
        let folder = tempfile::tempdir().expect("a folder");
        let answers = Answers::new(folder.path().to_owned(), &tenant, &attempt);
        let model = ModelId { name: "always".into(), sha256: "0".repeat(64) };
        let ear = Ear { recogniser: Arc::new(Always(heard, model)), tenant };
        let speech = Some(Speech { ear, answers, counts: Arc::default() });
        let talk = Talk::new(call, about, Arc::default(), started, None, speech, None);
        Self { talk, far, doors: [our_door, their_door], folder }
    }

    async fn ask(&self, question: &Question) -> Result<Answer, LineError> {
        let mut line = Talk::line(&self.talk);
        assert!(line.hears_speech());
        line.ask(question, LONG).await
    }

    /// The call is over; what is charged.
    async fn end(self) -> (Vec<RecognisedAnswer>, tempfile::TempDir) {
        let talk = Arc::into_inner(self.talk).expect("nobody else has it").into_inner();
        let (finished, _) = talk.finish().await;
        drop(self.far);
        for door in self.doors {
            door.shutdown().await.expect("it ends");
        }
        (finished.answers, self.folder)
    }
}

/// Two phrases, within this time from the prompt's end; a key too.
fn question(prompt: Duration, wait: Duration, voice_interrupts: bool) -> Question {
    let phrase = |id: &str, way: &str| Phrase { id: id.into(), any_of: vec![way.into()] };
    let phrases = vec![phrase("yes", "да"), phrase("later", "перезвоните")];
    Question {
        prompt: vec![Part::Pause(prompt)],
        keys: Some(KeysWanted { max: 1, finish: None, first: wait, between: wait }),
        speech: Some(SpeechWanted { phrases, wait, longest: Duration::from_secs(30) }),
        key_interrupts: true,
        voice_interrupts,
    }
}

const SHORT: Duration = Duration::from_millis(20);
/// To wait for somebody who says nothing more.
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn what_was_said_is_the_answer_and_is_kept_with_its_sound() {
    let phones = Phones::call(hears("Да, перезвоните!")).await;
    phones.far.media().play(voice(), false);
    let Ok(Answer::Speech(heard)) = phones.ask(&question(SHORT, LONG, false)).await else {
        panic!("no words")
    };
    assert_eq!((heard.phrase.as_deref(), heard.text.as_str()), (Some("later"), "да перезвоните"));
    let (answers, folder) = phones.end().await;
    let [answer] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(answer.text, "Да, перезвоните!");
    assert_eq!(answer.phrase.as_deref(), Some("later"));
    assert_eq!(answer.speech, heard.voiced.into());
    assert!(answer.speech.0 > 500 && answer.speech.0 < 3_000, "{answer:?}");
    assert!(answer.model.starts_with("always@000"));
    let file = folder.path().join(answer.sound.as_deref().expect("a sound"));
    let kept = Clip::load(&file).expect("a WAV file of 8 kHz");
    let mut sound = vec![0; kept.bytes(Codec::Pcma).len()];
    g711::decode(Codec::Pcma, kept.bytes(Codec::Pcma), &mut sound);
    assert!(sound.len() as u64 / 8 >= answer.speech.0, "all of it is kept");
    assert!(zvonar_media::level::dbfs(&sound) > -35.0, "and can be heard");
}

#[tokio::test]
async fn where_nothing_was_recognised_nothing_is_charged() {
    let failed = Recognised::Failed("as told".into());
    for (heard, wait, told) in [
        (Recognised::Busy, LONG, Answer::RecogniserBusy),
        (Recognised::Late, LONG, Answer::RecogniserBusy),
        (failed, LONG, Answer::RecogniserBusy),
        // Somebody laughed: he was waited for until his time was up.
        (Recognised::Nothing, SECOND, Answer::Silence),
    ] {
        let phones = Phones::call(heard).await;
        phones.far.media().play(voice(), false);
        assert_eq!(phones.ask(&question(SHORT, wait, false)).await, Ok(told));
        assert_eq!(phones.end().await.0, []);
    }
}

#[tokio::test]
async fn a_key_that_is_pressed_while_somebody_speaks_is_the_answer() {
    let phones = Phones::call(hears("да")).await;
    // He goes on until he is interrupted.
    phones.far.media().play_loop(voice());
    let press = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        phones.far.media().send_keys("5", KeyTiming::default()).expect("a key");
    };
    let question = question(SHORT, LONG, false);
    let (answer, ()) = tokio::join!(phones.ask(&question), press);
    assert_eq!(answer, Ok(Answer::Keys("5".into())));
    assert_eq!(phones.end().await.0, []);
}

#[tokio::test]
async fn a_voice_interrupts_a_prompt_only_where_it_may() {
    let phones = Phones::call(hears("да")).await;
    phones.far.media().play(voice(), false);
    let answer = phones.ask(&question(LONG, LONG, true)).await;
    assert!(matches!(answer, Ok(Answer::Speech(_))), "the prompt would take a minute: {answer:?}");
    // He has said it all before the prompt is over, and nobody listened.
    phones.far.media().play(voice(), false);
    assert_eq!(phones.ask(&question(Duration::from_secs(6), SECOND, false)).await, Ok(Answer::Silence));
    assert_eq!(phones.end().await.0.len(), 1);
}

#[tokio::test]
async fn phrases_that_nobody_could_tell_apart_are_refused() {
    let phones = Phones::call(hears("да")).await;
    let mut question = question(SHORT, SECOND, false);
    if let Some(speech) = &mut question.speech {
        speech.phrases[1].any_of = vec!["Да!".into()];
    }
    let Err(LineError::Refused(why)) = phones.ask(&question).await else { panic!("it was asked") };
    assert_eq!(why, "phrases `yes` and `later` cannot be told apart: both are said as `Да!`");
    phones.end().await;
}

#[tokio::test]
async fn what_is_recognised_on_a_pause_is_taken_back_when_somebody_goes_on() {
    let tenant = TenantId::new("demo").expect("a good id");
    let model = ModelId { name: "always".into(), sha256: "0".repeat(64) };
    let ear = Ear { recogniser: Arc::new(Always(hears("раз"), model)), tenant };
    let phones = Phones::call(hears("да")).await;
    let listening = phones.far.media().listen(Settings::default()).expect("it listens");
    let (one, two, three): (Arc<[i16]>, Arc<[i16]>, Arc<[i16]>) =
        (Arc::new([1; 8]), Arc::new([2; 8]), Arc::new([3; 8]));
    let mut hearing = Hearing::new(ear, listening);
    let now = clock::now();
    let mut take = |step| hearing.take(step, now);
    assert_eq!(take(SpeechStep::Began), Noticed::Begins);
    take(SpeechStep::Piece(one));
    take(SpeechStep::Pause(Arc::clone(&two)));
    take(SpeechStep::WentOn);
    take(SpeechStep::Pause(Arc::clone(&three)));
    let (voiced, sound, by) = (Duration::from_secs(1), Arc::clone(&two), EndedBy::Silence);
    take(SpeechStep::Ended { voiced, last: Some(three), sound, by });
    let Spoken::Words { text, .. } = hearing.said().await.spoken else { panic!("no words") };
    assert_eq!(text.text, "раз раз", "the piece and what came last, each once");
    phones.end().await;
}
