//! A text as it is compared: small letters, no punctuation.

/// Small letters, no punctuation, ё as е, one space between words.
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
pub fn contains_words(whole: &str, part: &str) -> bool {
    !part.is_empty() && format!(" {whole} ").contains(&format!(" {part} "))
}

/// Takes out what a recogniser puts between brackets, stars and notes: it is a remark on the sound, not something that
/// was said.
pub fn without_remarks(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut closes: Option<char> = None;
    let mut remark = String::new();
    for c in text.chars() {
        match closes {
            Some(end) if c == end => {
                closes = None;
                remark.clear();
                plain.push(' ');
            }
            Some(_) => remark.push(c),
            None => match c {
                '(' => closes = Some(')'),
                '[' => closes = Some(']'),
                '{' => closes = Some('}'),
                '*' => closes = Some('*'),
                '♪' | '♫' => closes = Some(c),
                c => plain.push(c),
            },
        }
    }
    // A bracket that is never closed was no bracket.
    plain.push_str(&remark);
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn remarks_are_taken_out() {
        for (text, said) in [
            ("Да [смех] конечно", "Да конечно"),
            ("(ТРЕВОЖНАЯ МУЗЫКА)", ""),
            ("*вздыхает* нет", "нет"),
            ("♪ Ля-ля ♪ да", "да"),
            ("да (но не сейчас", "да но не сейчас"),
            ("", ""),
        ] {
            assert_eq!(without_remarks(text), said);
        }
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in ".{0,40}") {
            let once = normalised(&text);
            prop_assert_eq!(normalised(&once), once);
        }
    }
}
