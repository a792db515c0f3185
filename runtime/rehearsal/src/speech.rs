//! Speech on a pretend line: how long words take, and which phrase of a question was said.
//!
//! Nothing is recognised here: what the caller says is given as text, word for word. The phrase that is meant by it is
//! found by the same rules as in what a recogniser heard on a real call.

use std::time::Duration;

use zvonar_scenario::question::Phrase;
use zvonar_speech::PhraseSet;
pub(crate) use zvonar_speech::text::contains_words;
pub use zvonar_speech::text::normalised;

/// How long one word takes: 150 of them a minute, as an unhurried announcer speaks.
const WORD: Duration = Duration::from_millis(400);
/// The shortest thing that is said.
const SHORTEST: Duration = Duration::from_millis(600);

/// How long it takes to say a text.
pub fn lasts(text: &str) -> Duration {
    let words = u32::try_from(text.split_whitespace().count()).unwrap_or(u32::MAX);
    WORD.saturating_mul(words).max(SHORTEST)
}

fn set(phrases: &[Phrase]) -> Result<PhraseSet, String> {
    PhraseSet::of(phrases.iter().map(|phrase| (phrase.id.as_str(), phrase.any_of.as_slice())))
}

/// Whether a question can listen for these phrases; the error says in sentences why it cannot.
pub(crate) fn check(phrases: &[Phrase]) -> Result<(), String> {
    set(phrases).map(|_| ())
}

/// The phrase that was said; `None`: none, or nobody knows which. The phrases are sound.
pub(crate) fn find(text: &str, phrases: &[Phrase]) -> Option<String> {
    set(phrases).ok()?.find(text).phrase.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phrases(told: &[(&str, &[&str])]) -> Vec<Phrase> {
        let phrase = |(id, ways): &(&str, &[&str])| Phrase {
            id: (*id).into(),
            any_of: ways.iter().map(|way| (*way).to_owned()).collect(),
        };
        told.iter().map(phrase).collect()
    }

    #[test]
    fn the_longest_phrase_that_stands_in_the_text_is_the_answer() {
        let phrases = phrases(&[
            ("yes", &["да", "согласен", "ещё бы"]),
            ("no", &["нет", "не согласен", "не надо"]),
            ("later", &["перезвоните позже", "не сейчас"]),
            ("again", &["повторите", "да повторите"]),
        ]);
        for (text, phrase) in [
            ("Да.", Some("yes")),
            ("ну… да, конечно", Some("yes")),
            ("Еще бы!", Some("yes")),
            ("я не согласен", Some("no")),
            // «согласен» stands in it too, and is shorter.
            ("не согласен", Some("no")),
            ("Перезвоните, позже", Some("later")),
            ("Да, повторите", Some("again")),
            // A part of a word is no word.
            ("дата", None),
            ("позже", None),
            ("", None),
            ("!?", None),
        ] {
            assert_eq!(find(text, &phrases).as_deref(), phrase, "{text}");
        }
    }

    #[test]
    fn of_two_phrases_of_the_same_length_neither_is_the_answer() {
        let phrases = phrases(&[("one", &["раз"]), ("two", &["два"]), ("both", &["раз два три"])]);
        assert_eq!(find("раз", &phrases).as_deref(), Some("one"));
        assert_eq!(find("раз или два", &phrases), None);
        assert_eq!(find("раз два три", &phrases).as_deref(), Some("both"));
    }

    #[test]
    fn words_take_their_time() {
        assert_eq!(lasts("да"), Duration::from_millis(600));
        assert_eq!(lasts("перезвоните мне завтра утром"), Duration::from_millis(1600));
    }
}
