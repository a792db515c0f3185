//! Who turns sound into words: the trait, and what comes of a piece of sound.
//!
//! Only [`Recognised::Text`] may ever be billed. Everything else names why there are no words, and costs nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use zvonar_model::TenantId;

use crate::invented::{Invented, invented};
use crate::model::ModelId;
use crate::text::{normalised, without_remarks};

/// A piece of sound in which somebody speaks: voice detection comes before.
#[derive(Debug, Clone)]
pub struct Request {
    /// Whose call it is: a tenant's flood stops at himself.
    pub tenant: TenantId,
    /// 8 kHz, at most 30 s.
    pub sound: Arc<[i16]>,
    /// When nobody waits for the words any longer.
    pub deadline: Instant,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Recognised {
    /// Words.
    Text(Text),
    /// No words: a breath, laughter, a remark on the sound.
    Nothing,
    /// A text that was never said.
    MadeUp(Invented),
    /// So doubtful that it could be anything.
    Unsure(Text),
    /// No capacity before the deadline. The scenario is told, so that it can ask for keys.
    Busy,
    /// It was begun and not ready at the deadline.
    Late,
    /// The recogniser failed, in words for the log.
    Failed(String),
}

/// Words that were heard.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// As it was understood, with its case and punctuation, which tell clauses apart.
    pub text: String,
    /// The mean probability of its tokens, 0 to 1.
    pub confidence: f32,
    /// How long it waited for a worker.
    pub waited: Duration,
    /// How long the work took.
    pub worked: Duration,
}

impl Text {
    /// Several parts of one answer as one; the confidence is that of the whole, by its length.
    pub fn joined(parts: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut parts = parts.into_iter();
        let mut whole = parts.next()?;
        for part in parts {
            let (before, more) = (whole.text.chars().count() as f32, part.text.chars().count() as f32);
            whole.confidence =
                (whole.confidence * before + part.confidence * more) / (before + more).max(1.0);
            if !whole.text.is_empty() && !part.text.is_empty() {
                whole.text.push(' ');
            }
            whole.text.push_str(&part.text);
            whole.waited += part.waited;
            whole.worked += part.worked;
        }
        Some(whole)
    }
}

/// A text's tokens must be surer than this, in the mean. Thirty real sentences have 0.48 and more; this keeps out what is
/// pure guessing, and voice detection has kept out the rest before.
pub const LEAST_CONFIDENCE: f32 = 0.35;

/// What a recogniser's raw text is: words, or a reason why not.
pub fn judged(text: Text) -> Recognised {
    let said = without_remarks(&text.text);
    if normalised(&said).is_empty() {
        return Recognised::Nothing;
    }
    if let Some(why) = invented(&said) {
        return Recognised::MadeUp(why);
    }
    let text = Text { text: said, ..text };
    if text.confidence < LEAST_CONFIDENCE { Recognised::Unsure(text) } else { Recognised::Text(text) }
}

/// Turns sound into words.
#[async_trait]
pub trait Recognizer: Send + Sync + std::fmt::Debug {
    /// Which model listens: it is written into the record of every answer.
    fn model(&self) -> &ModelId;

    /// The language that it listens for, as `ru`.
    fn language(&self) -> &str;

    /// Recognises a piece of sound. It answers at the deadline or a little after; dropping the future takes the request
    /// back, and stops the work on it.
    async fn recognise(&self, request: Request) -> Recognised;
}

/// A recogniser for tests and rehearsals that hears what it was told it would: the answers in their order, and nothing
/// once they are used up.
#[derive(Debug)]
pub struct Scripted {
    model: ModelId,
    answers: Mutex<std::collections::VecDeque<Recognised>>,
}

impl Scripted {
    /// One that hears these, one after another.
    pub fn new(answers: impl IntoIterator<Item = Recognised>) -> Self {
        let model = ModelId { name: "scripted".into(), sha256: "0".repeat(64) };
        Self { model, answers: Mutex::new(answers.into_iter().collect()) }
    }

    /// Texts, heard surely and at once.
    pub fn hearing<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        Self::new(texts.into_iter().map(|text| {
            judged(Text {
                text: text.into(),
                confidence: 1.0,
                waited: Duration::ZERO,
                worked: Duration::ZERO,
            })
        }))
    }
}

#[async_trait]
impl Recognizer for Scripted {
    fn model(&self) -> &ModelId {
        &self.model
    }

    fn language(&self) -> &str {
        "ru"
    }

    async fn recognise(&self, _: Request) -> Recognised {
        let next = self.answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        next.unwrap_or(Recognised::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str, confidence: f32) -> Text {
        Text { text: text.into(), confidence, waited: Duration::ZERO, worked: Duration::ZERO }
    }

    #[test]
    fn only_words_that_somebody_may_have_said_are_a_text() {
        for (raw, confidence, outcome) in [
            (" Да, конечно.", 0.9, Recognised::Text(text("Да, конечно.", 0.9))),
            ("[смех] Нет", 0.8, Recognised::Text(text("Нет", 0.8))),
            ("(ТРЕВОЖНАЯ МУЗЫКА)", 0.9, Recognised::Nothing),
            (" ...", 0.9, Recognised::Nothing),
            ("Продолжение следует...", 0.9, Recognised::MadeUp(Invented::Credits)),
            ("и и и и и и и и", 0.9, Recognised::MadeUp(Invented::Loop)),
            ("Пошел вон.", 0.2, Recognised::Unsure(text("Пошел вон.", 0.2))),
        ] {
            assert_eq!(judged(text(raw, confidence)), outcome, "{raw}");
        }
    }

    #[test]
    fn parts_of_an_answer_become_one() {
        let whole =
            Text::joined([text("Я бы хотел", 0.5), text("", 0.0), text("перенести.", 0.8)]).expect("parts");
        assert_eq!(whole.text, "Я бы хотел перенести.");
        assert!((whole.confidence - 0.65).abs() < 0.01, "{}", whole.confidence);
        assert_eq!(Text::joined([]), None);
    }
}
