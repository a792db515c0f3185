//! What is noticed of a spoken answer.

use zvonar_media::utterance::Settings;

use super::*;

/// What was noticed of one answer.
struct Noticed {
    steps: Vec<SpeechStep>,
    voiced: Duration,
    /// By how much it took longer than it lasts: so much longer may its pauses have become.
    stretched: Duration,
    /// No thread stood still.
    calm: bool,
}

impl Noticed {
    fn is_sound(&self, length: Duration) -> bool {
        let longest = if self.calm { length } else { length + self.stretched };
        let is_last = |step: &SpeechStep| matches!(step, SpeechStep::Ended { last: Some(_), .. });
        self.voiced > length / 3 && self.voiced <= longest && self.steps.last().is_some_and(is_last)
    }
}

fn goodbye() -> Vec<i16> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../media/tests/data/goodbye.alaw");
    let mut words = Vec::new();
    for frame in std::fs::read(file).expect("a recording").chunks_exact(FRAME) {
        let mut linear = [0; FRAME];
        g711::decode(Codec::Pcma, frame, &mut linear);
        words.extend(linear);
    }
    words
}

/// Says the words, after the tone of a busy line, to somebody who listens; and again after that to nobody.
async fn notice(words: &[i16]) -> Noticed {
    let (first, second) = (engine(), engine());
    let [(ours, mut heard), (theirs, mut _told)] = pair(&first, &second);
    let clip = Arc::new(Clip::from_samples(words));
    let busy: Vec<i16> =
        (0..8_000).map(|n| ((n as f32 * 425.0 / 8000.0 * TAU).sin() * 13_000.0) as i16).collect();
    let listening = ours.listen(Settings::default()).expect("the thread starts");
    let asked = clock::now();
    theirs.play(
        Prompt::new([
            Part::Clip(Arc::new(Clip::from_samples(&busy))),
            Part::Pause(Duration::from_millis(300)),
            Part::Clip(Arc::clone(&clip)),
            Part::Pause(Duration::from_millis(1_200)),
        ]),
        false,
    );
    let planned = Duration::from_millis(1_000 + 300 + 500) + spoken(words);
    let (mut steps, mut voiced) = (Vec::new(), Duration::ZERO);
    // Words in pieces may be no speech, and then no end comes.
    while let Ok(event) = tokio::time::timeout(Duration::from_secs(20), heard.recv()).await {
        let MediaEvent::Speech { listening: of, step } = event.expect("not closed yet") else { continue };
        assert_eq!(of, listening);
        let ended = match &step {
            SpeechStep::Ended { voiced, .. } => Some(*voiced),
            _ => None,
        };
        steps.push(step);
        if let Some(ended) = ended {
            voiced = ended;
            break;
        }
    }
    let stretched = asked.elapsed().saturating_sub(planned);
    let calm = calm(&[&first, &second]).await;
    // Whoever listens no more hears no more.
    theirs.play(Prompt::from(clip), false);
    ours.stop_listening();
    drop(ours);
    while let Some(event) = next(&mut heard).await {
        assert!(!matches!(event, MediaEvent::Speech { .. }));
    }
    Noticed { steps, voiced, stretched, calm }
}

fn spoken(words: &[i16]) -> Duration {
    Duration::from_millis(words.len() as u64 / 8)
}

#[tokio::test]
async fn what_is_said_is_noticed_with_its_sound_and_its_end_and_a_tone_is_not() {
    let words = goodbye();
    let length = spoken(&words);
    let mut noticed = notice(&words).await;
    // A thread that stood still in the middle of a word makes two answers of one.
    for _ in 0..3 {
        if noticed.calm || noticed.is_sound(length) {
            break;
        }
        noticed = notice(&words).await;
    }
    let Noticed { steps, voiced, calm, .. } = &noticed;
    assert!(matches!(steps.first(), Some(SpeechStep::Began)), "{}", steps.len());
    assert!(noticed.is_sound(length), "{voiced:?} of {length:?}, in time: {calm}");
    let Some(SpeechStep::Ended { last: Some(last), sound, .. }) = steps.last() else {
        panic!("no last part")
    };
    let paused = steps.iter().rev().find_map(|step| match step {
        SpeechStep::Pause(part) => Some(part),
        _ => None,
    });
    assert!(Arc::ptr_eq(last, paused.expect("a pause comes before the end")));
    assert!(sound.len() >= last.len());
}
