//! What phrases make of answers that are known: which is taken for which, what was nearly found, and what another phrase
//! would catch.

use std::collections::BTreeMap;

use crate::phrases::{PhraseSet, Why};

/// An answer that was heard, and what it should have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The text that was understood.
    pub text: String,
    /// The phrase that was meant; `Some(None)`: none of them; `None`: nobody said.
    pub meant: Option<Option<String>>,
}

/// A text that found no phrase, or the wrong one.
#[derive(Debug, Clone, PartialEq)]
pub struct Miss {
    /// The text.
    pub text: String,
    /// What was found.
    pub found: Option<String>,
    /// What should have been, as far as anybody said.
    pub meant: Option<Option<String>>,
    /// Two phrases fitted.
    pub ambiguous: bool,
    /// The phrase that came nearest, and its score.
    pub near: Option<(String, f32)>,
}

/// The outcome of all of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Confusion {
    /// How often (meant, found) came; `None` is no phrase. Only of answers of which somebody said what was meant.
    pub pairs: BTreeMap<(Option<String>, Option<String>), usize>,
    /// How often each phrase was found, of all answers.
    pub found: BTreeMap<Option<String>, usize>,
    /// What went wrong, and what was nearly found, the nearest first.
    pub misses: Vec<Miss>,
}

impl Confusion {
    /// What a set makes of answers.
    pub fn of<'a>(set: &PhraseSet, answers: impl IntoIterator<Item = &'a Known>) -> Self {
        let mut all = Self::default();
        for answer in answers {
            let found = set.find(&answer.text);
            let phrase = found.phrase.map(str::to_owned);
            *all.found.entry(phrase.clone()).or_default() += 1;
            if let Some(meant) = &answer.meant {
                *all.pairs.entry((meant.clone(), phrase.clone())).or_default() += 1;
            }
            let wrong = answer.meant.as_ref().is_some_and(|meant| *meant != phrase);
            let unsaid = answer.meant.is_none() && phrase.is_none();
            if wrong || unsaid {
                let near = found.next.map(|(id, score)| (id.to_owned(), score));
                all.misses.push(Miss {
                    text: answer.text.clone(),
                    found: phrase,
                    meant: answer.meant.clone(),
                    ambiguous: found.why == Why::Ambiguous,
                    near,
                });
            }
        }
        let score = |miss: &Miss| miss.near.as_ref().map_or(0.0, |(_, score)| *score);
        all.misses.sort_by(|a, b| score(b).total_cmp(&score(a)));
        all
    }

    /// Answers for which the right phrase, or rightly none, was found.
    pub fn right(&self) -> usize {
        self.pairs.iter().filter(|((meant, found), _)| meant == found).map(|(_, count)| count).sum()
    }

    /// Answers for which a phrase was found that was not meant: the costly kind of error.
    pub fn false_accepts(&self) -> usize {
        let wrong = |(meant, found): &(Option<String>, Option<String>)| found.is_some() && meant != found;
        self.pairs.iter().filter(|(pair, _)| wrong(pair)).map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phrases::Phrase;

    #[test]
    fn what_is_taken_for_what_is_counted() {
        let phrase = |id: &str, ways: &[&str]| Phrase {
            id: id.into(),
            any_of: ways.iter().map(|way| (*way).to_owned()).collect(),
        };
        let set = PhraseSet::new(&[
            phrase("yes", &["да", "давайте"]),
            phrase("later", &["перезвоните мне завтра"]),
        ]);
        let set = set.expect("a sound set");
        let known = |text: &str, meant: Option<Option<&str>>| Known {
            text: text.into(),
            meant: meant.map(|meant| meant.map(str::to_owned)),
        };
        let answers = [
            known("да", Some(Some("yes"))),
            known("давайте в другой раз", Some(None)),
            known("перезвоните мне после", Some(Some("later"))),
            known("кто это", Some(None)),
            known("перезвоните мне завтра", None),
            known("ну не знаю", None),
        ];
        let all = Confusion::of(&set, &answers);
        assert_eq!((all.right(), all.false_accepts()), (2, 1));
        let texts: Vec<&str> = all.misses.iter().map(|miss| miss.text.as_str()).collect();
        assert_eq!(texts[0], "перезвоните мне после", "the nearest first: {:?}", all.misses);
        assert_eq!(texts.len(), 3);
        assert_eq!(all.found[&Some("later".into())], 1);
    }
}
