//! Speech on a pretend line: how long words take, and which phrase of a question was said.
//!
//! Nothing is recognised here: what the caller says is given as text, word for word. The rule that finds a phrase in it is
//! the plain part of what a recogniser does afterwards: whole words, without their endings being bent.

use std::time::Duration;

use zvonar_scenario::question::Phrase;

/// How long one word takes: 150 of them a minute, as an unhurried announcer speaks.
const WORD: Duration = Duration::from_millis(400);
/// The shortest thing that is said.
const SHORTEST: Duration = Duration::from_millis(600);

/// How long it takes to say a text.
pub fn lasts(text: &str) -> Duration {
    let words = u32::try_from(text.split_whitespace().count()).unwrap_or(u32::MAX);
    WORD.saturating_mul(words).max(SHORTEST)
}

/// A text as it is compared: small letters, no punctuation, ё as е, one space between words.
pub fn normalised(text: &str) -> String {
    let plain: String = text
        .to_lowercase()
        .chars()
        .map(|c| match c {
            'ё' => 'е',
            c if c.is_alphanumeric() => c,
            _ => ' ',
        })
        .collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether the words of `part` stand in `whole`, in a row. Both are [`normalised`].
pub(crate) fn contains_words(whole: &str, part: &str) -> bool {
    !part.is_empty() && format!(" {whole} ").contains(&format!(" {part} "))
}

/// The phrase that was said: the longest one whose words stand in the text, in a row. Of two different phrases of the same
/// length neither counts, since nobody knows which was meant.
pub fn find<'p>(text: &str, phrases: &'p [Phrase]) -> Option<&'p str> {
    let text = normalised(text);
    let mut best: Option<(usize, &str)> = None;
    let mut doubtful = false;
    for phrase in phrases {
        let ways = phrase.any_of.iter().map(|way| normalised(way));
        let said = ways.filter(|way| contains_words(&text, way)).map(|way| way.chars().count()).max();
        let Some(length) = said else { continue };
        match best {
            Some((longest, _)) if length < longest => {}
            Some((longest, id)) if length == longest => doubtful |= id != phrase.id,
            _ => (best, doubtful) = (Some((length, phrase.id.as_str())), false),
        }
    }
    best.filter(|_| !doubtful).map(|(_, id)| id)
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
            assert_eq!(find(text, &phrases), phrase, "{text}");
        }
    }

    #[test]
    fn of_two_phrases_of_the_same_length_neither_is_the_answer() {
        let phrases = phrases(&[("one", &["раз"]), ("two", &["два"]), ("both", &["раз два три"])]);
        assert_eq!(find("раз", &phrases), Some("one"));
        assert_eq!(find("раз или два", &phrases), None);
        assert_eq!(find("раз два три", &phrases), Some("both"));
    }

    #[test]
    fn words_take_their_time() {
        assert_eq!(lasts("да"), Duration::from_millis(600));
        assert_eq!(lasts("перезвоните мне завтра утром"), Duration::from_millis(1600));
    }
}
