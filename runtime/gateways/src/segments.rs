//! In how many parts the network sends a text, each of which is paid for.
//!
//! GSM 03.38 has 160 units a message, 153 a part of a longer one; as soon as one letter, as every Cyrillic one, is not in
//! that alphabet, the whole text goes out as UCS-2: 70 units, 67 a part. A unit of UCS-2 is a UTF-16 unit, so a smiley
//! takes two. What takes two units is never cut in the middle, so a part may end a unit early.

use std::ops::Range;

/// The most parts a text is sent in, unless the tenant has set another limit.
pub const MOST_PARTS: u32 = 10;

/// The longest text that SMSC takes, whatever its alphabet.
pub const MOST_CHARACTERS: usize = 1_000;

/// The letters that take one unit, and those that take two.
const GSM: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
const GSM_EXTENSION: &str = "^{}\\[~]|€";

/// In which letters a text goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphabet {
    /// GSM 03.38: Latin letters, digits, some signs.
    Gsm7,
    /// Any letter; less than half as many in a part.
    Ucs2,
}

/// What becomes of a text on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segments {
    /// In which letters.
    pub alphabet: Alphabet,
    /// The first letter that GSM 03.38 does not have: a single dash or quotation mark may double the price.
    pub forced_by: Option<char>,
    /// Its length in units of the alphabet.
    pub units: u32,
    /// In how many parts.
    pub parts: u32,
}

/// Why a text is not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextFault {
    /// Nothing to read.
    #[error("the text is empty")]
    Empty,
    /// Too many parts.
    #[error("the text takes {parts} parts, and at most {most} are sent: make it {surplus} characters shorter{}", hint(*forced_by))]
    Parts {
        /// As many as it takes.
        parts: u32,
        /// As many as may be.
        most: u32,
        /// What is beyond the last of them, in characters.
        surplus: usize,
        /// The letter that makes parts short.
        forced_by: Option<char>,
    },
    /// Too many characters for the gateway.
    #[error("the text has {0} characters, and the gateway takes at most {MOST_CHARACTERS}: shorten it")]
    Characters(usize),
}

fn hint(forced_by: Option<char>) -> String {
    match forced_by {
        // Who writes Russian knows that he does.
        Some(letter) if !letter.is_alphabetic() => format!(
            " (it holds `{letter}`, which is not in the short alphabet of text messages: without such signs parts are twice as long)"
        ),
        _ => String::new(),
    }
}

/// What becomes of this text on its way. An empty one is a message, too.
pub fn segments(text: &str) -> Segments {
    let scale = Scale::of(text);
    let units =
        u32::try_from(text.chars().map(|letter| scale.units(letter)).sum::<usize>()).unwrap_or(u32::MAX);
    let parts = u32::try_from(cut(text).len()).unwrap_or(u32::MAX);
    Segments { alphabet: scale.alphabet, forced_by: scale.forced_by, units, parts }
}

/// The same, if the text may be sent in at most so many parts.
///
/// # Errors
///
/// Says what is wrong with it, and by how much.
pub fn check(text: &str, most: u32) -> Result<Segments, TextFault> {
    if text.trim().is_empty() {
        return Err(TextFault::Empty);
    }
    let segments = segments(text);
    if segments.parts > most {
        let kept = most.checked_sub(1).and_then(|last| cut(text).get(last as usize).map(|part| part.end));
        let surplus = text[kept.unwrap_or(0)..].chars().count();
        let Segments { parts, forced_by, .. } = segments;
        return Err(TextFault::Parts { parts, most, surplus, forced_by });
    }
    match text.chars().count() {
        count if count > MOST_CHARACTERS => Err(TextFault::Characters(count)),
        _ => Ok(segments),
    }
}

/// Where the network cuts a text.
pub fn cut(text: &str) -> Vec<Range<usize>> {
    let scale = Scale::of(text);
    let (alone, each) = match scale.alphabet {
        Alphabet::Gsm7 => (160, 153),
        Alphabet::Ucs2 => (70, 67),
    };
    if text.chars().map(|letter| scale.units(letter)).sum::<usize>() <= alone {
        return std::iter::once(0..text.len()).collect();
    }
    let (mut parts, mut start, mut used) = (Vec::new(), 0, 0);
    for (at, letter) in text.char_indices() {
        let units = scale.units(letter);
        if used + units > each {
            parts.push(start..at);
            (start, used) = (at, 0);
        }
        used += units;
    }
    parts.push(start..text.len());
    parts
}

/// How letters of one text are counted.
struct Scale {
    alphabet: Alphabet,
    forced_by: Option<char>,
}

impl Scale {
    fn of(text: &str) -> Self {
        let forced_by =
            text.chars().find(|letter| !GSM.contains(*letter) && !GSM_EXTENSION.contains(*letter));
        let alphabet = if forced_by.is_some() { Alphabet::Ucs2 } else { Alphabet::Gsm7 };
        Self { alphabet, forced_by }
    }

    fn units(&self, letter: char) -> usize {
        match self.alphabet {
            Alphabet::Gsm7 => 1 + usize::from(GSM_EXTENSION.contains(letter)),
            Alphabet::Ucs2 => letter.len_utf16(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_is_sent_in_as_many_parts_as_the_network_makes_of_it() {
        for (letter, count, more, parts) in [
            ("д", 70, "", 1),
            ("д", 71, "", 2),
            ("д", 134, "", 2),
            ("д", 135, "", 3),
            ("x", 160, "", 1),
            ("x", 161, "", 2),
            ("x", 306, "", 2),
            ("x", 307, "", 3),
            ("x", 159, "€", 2),
            ("x", 158, "€", 1),
            ("x", 68, "😀", 1),
            ("x", 69, "😀", 2),
            // A smiley that does not fit goes to the next part whole: 66 + 2, 66 + 2, and the third.
            ("x", 66, &("😀".to_owned() + &"x".repeat(64) + "😀"), 3),
            ("x", 67, &("😀".to_owned() + &"x".repeat(65)), 2),
            // Nor is an extension sign parted from its escape.
            ("x", 152, &("€".to_owned() + &"x".repeat(152)), 3),
            ("x", 153, &("€".to_owned() + &"x".repeat(151)), 2),
            ("€", 80, "", 1),
            ("", 0, "", 1),
        ] {
            assert_eq!(segments(&(letter.repeat(count) + more)).parts, parts, "{count} × {letter} {more}");
        }
        let one = segments("Привет");
        assert_eq!((one.alphabet, one.units, one.forced_by), (Alphabet::Ucs2, 6, Some('П')));
        let one = segments("{Hi}");
        assert_eq!((one.alphabet, one.units, one.forced_by), (Alphabet::Gsm7, 6, None));
    }

    #[test]
    fn a_text_that_is_too_long_is_told_by_how_much_and_why() {
        assert!(check(&"д".repeat(670), MOST_PARTS).is_ok());
        let why = check(&"д".repeat(690), MOST_PARTS).unwrap_err().to_string();
        assert_eq!(why, "the text takes 11 parts, and at most 10 are sent: make it 20 characters shorter");
        let why = check(&("x".repeat(700) + "—"), MOST_PARTS).unwrap_err().to_string();
        assert!(why.contains("make it 31 characters shorter (it holds `—`"), "{why}");
        assert_eq!(
            check("x", 0).unwrap_err().to_string(),
            "the text takes 1 parts, and at most 0 are sent: make it 1 characters shorter"
        );
        assert_eq!(check(" \n", MOST_PARTS), Err(TextFault::Empty));
        assert_eq!(check(&"x".repeat(1_001), MOST_PARTS), Err(TextFault::Characters(1_001)));
    }

    proptest! {
        #[test]
        fn parts_are_the_text_and_none_is_too_long(text in "[a-z€{а-я😀—]{0,400}") {
            let parts = cut(&text);
            let whole: String = parts.iter().map(|part| &text[part.clone()]).collect();
            prop_assert_eq!(&whole, &text);
            let found = segments(&text);
            prop_assert_eq!(found.parts as usize, parts.len());
            for part in &parts {
                let units: usize = match found.alphabet {
                    Alphabet::Ucs2 => text[part.clone()].encode_utf16().count(),
                    Alphabet::Gsm7 => text[part.clone()].chars().map(|c| if "€{".contains(c) { 2 } else { 1 }).sum(),
                };
                let most = match (found.alphabet, parts.len()) {
                    (Alphabet::Ucs2, 1) => 70,
                    (Alphabet::Ucs2, _) => 67,
                    (Alphabet::Gsm7, 1) => 160,
                    (Alphabet::Gsm7, _) => 153,
                };
                prop_assert!(units <= most);
                // A part ends early by one unit at most, and only before what takes two.
                if part.end < text.len() {
                    prop_assert!(units >= most - 1);
                }
            }
        }
    }
}
