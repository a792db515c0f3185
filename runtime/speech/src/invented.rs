//! Texts that a recogniser makes up: loops, and the credits of the films that it learned from.
//!
//! Voice detection keeps most of them away, since whisper invents on silence and noise. These rules catch what comes
//! through: nobody pays for a sentence that nobody said.

use crate::text::normalised;

/// Why a text is not what was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invented {
    /// The same again and again.
    Loop,
    /// Credits and captions of films.
    Credits,
}

/// How often in a row one word, two words, or more of them may be said. «Нет-нет-нет-нет!» is said by people.
const WORD_TIMES: usize = 5;
const PAIR_TIMES: usize = 3;
const ROW_TIMES: usize = 2;
/// The longest row of words that is looked for.
const LONGEST_ROW: usize = 12;
/// How often the same one to four letters may follow each other within a word.
const LETTERS_TIMES: usize = 7;

/// What whisper has learned from Russian subtitles, and says about sounds that are no speech. Begins of normalised texts.
const CREDITS: [&str; 12] = [
    "субтитры сделал",
    "субтитры создавал",
    "субтитры добавил",
    "субтитры подогнал",
    "субтитры делал",
    "субтитры от",
    "субтитры и перевод",
    "редактор субтитров",
    "корректор а",
    "продолжение следует",
    "спасибо за просмотр",
    "подписывайтесь на канал",
];

/// Whether a recogniser made this text up; `None`: it may have been said.
pub fn invented(text: &str) -> Option<Invented> {
    let text = normalised(text);
    if CREDITS
        .iter()
        .any(|begin| text.strip_prefix(begin).is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')))
    {
        return Some(Invented::Credits);
    }
    let words: Vec<&str> = text.split(' ').collect();
    let looped = (1..=LONGEST_ROW.min(words.len() / 2)).any(|row| {
        let allowed = match row {
            1 => WORD_TIMES,
            2 => PAIR_TIMES,
            _ => ROW_TIMES,
        };
        longest_run(&words, row) > allowed
    });
    let stammers = words.iter().any(|word| {
        let letters: Vec<char> = word.chars().collect();
        // Digits are said one after another: 8 800 000 00 00.
        !letters.iter().all(char::is_ascii_digit)
            && (1..=4).any(|row| longest_run(&letters, row) > LETTERS_TIMES)
    });
    (looped || stammers).then_some(Invented::Loop)
}

/// How often in a row the best row of `row` items stands in `items`.
fn longest_run<T: PartialEq>(items: &[T], row: usize) -> usize {
    let mut longest = 1;
    for phase in 0..row {
        let mut run = 1;
        let mut at = phase + row;
        while at + row <= items.len() {
            run = if items[at - row..at] == items[at..at + row] { run + 1 } else { 1 };
            longest = longest.max(run);
            at += row;
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_and_credits_are_told_from_what_people_say() {
        for (text, made_up) in [
            ("Да.", None),
            ("Нет-нет-нет-нет!", None),
            ("да, да, да, да, да", None),
            ("Алло. Алло. Алло.", None),
            ("восемь восемь ноль ноль ноль ноль ноль", None),
            ("8 800 0000000000", None),
            ("не надо не надо не надо", None),
            ("я говорю вам завтра перезвоните я говорю вам завтра", None),
            ("", None),
            ("ну ну ну ну ну ну ну ну", Some(Invented::Loop)),
            ("и так и так и так и так и так", Some(Invented::Loop)),
            ("я не знаю что это я не знаю что это я не знаю что это я не знаю", Some(Invented::Loop)),
            ("ААААААААААА", Some(Invented::Loop)),
            ("ха ха хахахахахахахахаха", Some(Invented::Loop)),
            ("Субтитры сделал DimaTorzok", Some(Invented::Credits)),
            ("Продолжение следует...", Some(Invented::Credits)),
            ("Спасибо за просмотр!", Some(Invented::Credits)),
            ("субтитрыот", None),
        ] {
            assert_eq!(invented(text), made_up, "{text}");
        }
    }
}
