//! A spoken answer as a whole: what its parts come to, and whether it is paid for.
//!
//! Billed is an answer with words in it, whether or not they are a phrase of the question. Silence, noise, a busy
//! recogniser and a text that was never said cost nothing; and nothing here can bill more than was voiced.

use std::sync::Arc;
use std::time::{Duration, Instant};

use zvonar_media::utterance::{Event, Listener, Settings};
use zvonar_model::TenantId;

use crate::invented::Invented;
use crate::recogniser::{Recognised, Recognizer, Request, Text};

/// What came of a spoken answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Spoken {
    /// Words. The only one that is billed.
    Words {
        /// What was understood.
        text: Text,
        /// From the first to the last voiced block.
        voiced: Duration,
    },
    /// Nobody spoke.
    Silence,
    /// There was a voice, and no words were found in it.
    NoWords {
        /// From the first to the last voiced block.
        voiced: Duration,
        /// Why not, for the log and for whoever tunes phrases.
        why: NoWords,
    },
    /// The recogniser had no time for it: the caller is asked for keys, or again.
    Busy,
}

/// Why there are no words in a voice.
#[derive(Debug, Clone, PartialEq)]
pub enum NoWords {
    /// Nothing was understood.
    Nothing,
    /// What came was never said.
    MadeUp(Invented),
    /// What came could be anything.
    Unsure(String),
    /// The recogniser failed.
    Failed(String),
}

impl Spoken {
    /// What the parts of an answer come to. Of an answer that the recogniser left a part of unheard for want of time,
    /// nothing is told: half an answer may mean the opposite.
    pub fn of(parts: impl IntoIterator<Item = Recognised>, voiced: Duration) -> Self {
        let (mut texts, mut why) = (Vec::new(), NoWords::Nothing);
        for part in parts {
            match part {
                Recognised::Text(text) => texts.push(text),
                Recognised::Busy | Recognised::Late => return Self::Busy,
                Recognised::Nothing => {}
                Recognised::MadeUp(invented) => why = NoWords::MadeUp(invented),
                Recognised::Unsure(text) => why = NoWords::Unsure(text.text),
                Recognised::Failed(sentence) => why = NoWords::Failed(sentence),
            }
        }
        // A loop may also begin only where two parts meet.
        match Text::joined(texts).map(crate::recogniser::judged) {
            Some(Recognised::Text(text)) => Self::Words { text, voiced },
            Some(Recognised::MadeUp(invented)) => Self::NoWords { voiced, why: NoWords::MadeUp(invented) },
            _ => Self::NoWords { voiced, why },
        }
    }

    /// The speech that is billed; `None`: nothing is.
    pub fn billed(&self) -> Option<Duration> {
        match self {
            Self::Words { voiced, .. } => Some(*voiced),
            _ => None,
        }
    }
}

/// Finds the answer in a recording (8 kHz) and recognises its parts, each within `patience`, as on a call but without
/// waiting for the sound. `now` is the time.
pub async fn hear(
    sound: &[i16],
    settings: Settings,
    recogniser: &dyn Recognizer,
    tenant: &TenantId,
    patience: Duration,
    now: impl Fn() -> Instant,
) -> Spoken {
    let mut listener = Listener::new(settings);
    let mut parts = Vec::new();
    let mut over = None;
    // A recording that ends with its last word is followed by silence, as a line would be.
    let silence = [0; 8000];
    for block in sound.chunks(160).chain(silence.chunks(160)) {
        listener.handle(block);
        while let Some(event) = listener.poll_event() {
            match event {
                Event::Piece(part) => parts.push(Arc::<[i16]>::from(&listener.sound()[part])),
                Event::Nothing => parts.clear(),
                Event::Ended { voiced, last, .. } => {
                    parts.extend(last.map(|part| Arc::<[i16]>::from(&listener.sound()[part])));
                    over = Some(voiced);
                }
                Event::Began | Event::Pause(_) | Event::WentOn => {}
            }
        }
    }
    let Some(voiced) = over else { return Spoken::Silence };
    let mut heard = Vec::new();
    for sound in parts {
        let deadline = now() + patience;
        heard.push(recogniser.recognise(Request { tenant: tenant.clone(), sound, deadline }).await);
    }
    Spoken::of(heard, voiced)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recogniser::Scripted;

    fn text(text: &str) -> Recognised {
        Recognised::Text(Text {
            text: text.into(),
            confidence: 0.9,
            waited: Duration::ZERO,
            worked: Duration::ZERO,
        })
    }

    #[test]
    fn only_words_are_billed() {
        let voiced = Duration::from_secs(4);
        for (parts, told, billed) in [
            (vec![text("Да.")], "Да.", true),
            (
                vec![text("Я хотел бы"), Recognised::Nothing, text("перенести запись.")],
                "Я хотел бы перенести запись.",
                true,
            ),
            (vec![text("Да."), Recognised::MadeUp(Invented::Loop)], "Да.", true),
            (vec![text("не звоните"), Recognised::Busy], "busy", false),
            (vec![text("не звоните"), Recognised::Late], "busy", false),
            (vec![Recognised::Nothing], "no words: Nothing", false),
            (vec![Recognised::MadeUp(Invented::Credits)], "no words: MadeUp(Credits)", false),
            (vec![Recognised::Failed("as told".into())], "no words: Failed(\"as told\")", false),
            // Each part is one that people say, and all of them together are a loop.
            (
                vec![text("я не знаю что"), text("я не знаю что"), text("я не знаю что")],
                "no words: MadeUp(Loop)",
                false,
            ),
        ] {
            let spoken = Spoken::of(parts.clone(), voiced);
            let as_told = match &spoken {
                Spoken::Words { text, .. } => text.text.clone(),
                Spoken::Silence => "silence".into(),
                Spoken::NoWords { why, .. } => format!("no words: {why:?}"),
                Spoken::Busy => "busy".into(),
            };
            assert_eq!((as_told.as_str(), spoken.billed().is_some()), (told, billed), "{parts:?}");
        }
    }

    #[test]
    fn without_a_voice_nobody_is_asked_what_was_said() {
        let recogniser = Scripted::hearing(["Пошел вон."]);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let tenant = TenantId::new("demo").expect("a good id");
        #[expect(clippy::disallowed_methods, reason = "no test depends on which moment it is")]
        let start = Instant::now();
        let mut seed = 1u32;
        let noise: Vec<i16> = (0..40_000)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 18) as i16 - 8192
            })
            .collect();
        for sound in [vec![0; 40_000], noise] {
            let heard = runtime.block_on(hear(
                &sound,
                Settings::default(),
                &recogniser,
                &tenant,
                Duration::from_secs(1),
                || start,
            ));
            assert_eq!(heard, Spoken::Silence);
        }
    }
}
