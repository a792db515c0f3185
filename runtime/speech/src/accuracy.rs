//! How well a text was recognised: errors per word and per letter, beside what was really said.

use crate::distance::edits;
use crate::text::normalised;

/// Errors of one text or of many: sums, so that a long answer weighs more than a short one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Errors {
    /// Words inserted, deleted or replaced.
    pub words_wrong: usize,
    /// Words that were said.
    pub words: usize,
    /// Letters inserted, deleted or replaced; the spaces between words are letters.
    pub letters_wrong: usize,
    /// Letters that were said.
    pub letters: usize,
}

impl Errors {
    /// What was said beside what was heard. Case, punctuation, «ё» and the way a number is written are no errors.
    pub fn between(said: &str, heard: &str) -> Self {
        let (said, heard) = (plain(said), plain(heard));
        let mut row = Vec::new();
        let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
        let letters = |text: &str| -> Vec<char> { text.chars().collect() };
        Self {
            words_wrong: edits(&words(&said), &words(&heard), &mut row),
            words: words(&said).len(),
            letters_wrong: edits(&letters(&said), &letters(&heard), &mut row),
            letters: letters(&said).len(),
        }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            words_wrong: self.words_wrong + other.words_wrong,
            words: self.words + other.words,
            letters_wrong: self.letters_wrong + other.letters_wrong,
            letters: self.letters + other.letters,
        }
    }

    /// The word error rate, as a share; above 1 when more was invented than said.
    pub fn wer(&self) -> f64 {
        self.words_wrong as f64 / self.words.max(1) as f64
    }

    /// The character error rate, likewise.
    pub fn cer(&self) -> f64 {
        self.letters_wrong as f64 / self.letters.max(1) as f64
    }
}

fn plain(text: &str) -> String {
    crate::numerals::as_digits(&normalised(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_per_word_and_per_letter() {
        let same = Errors::between("Ещё раз, пожалуйста: нажмите один!", "еще раз пожалуйста нажмите 1");
        assert_eq!((same.words_wrong, same.letters_wrong), (0, 0));
        let off = Errors::between("время ожидания", "время ожидание минут");
        assert_eq!((off.words_wrong, off.words, off.letters_wrong, off.letters), (2, 2, 7, 14));
        assert!((off.and(same).wer() - 2.0 / 7.0).abs() < 1e-9);
        assert!((off.cer() - 0.5).abs() < 1e-9);
    }
}
