//! Which phrase of a question was meant.
//!
//! [`PhraseSet::new`] checks the phrases of a question and gets them ready; [`PhraseSet::find`] looks for them in a text,
//! anywhere in it. Words may have other endings (stems), a recogniser's slips are forgiven (edit distance), numbers are
//! the same in words and digits.
//!
//! # What is never forgiven
//!
//! * A number must be that number, and «не» must stand where the phrase has it and nowhere else: «согласен» is not found
//!   in «не согласен», «нажмите 1» not in «нажмите 2».
//! * A word of four letters or less must be that word: «да» is not «дай».
//! * A whole word must not be another one, however long the phrase is: «во вторник утром» is not «во вторник вечером».
//!
//! Of several phrases that stand in a text the one that says clearly more counts («да, перезвоните» is «перезвоните»);
//! where none does, nobody knows which was meant, and there is no answer.

use std::collections::HashMap;

use rust_stemmers::{Algorithm, Stemmer};

use crate::distance::edits;
use crate::numerals::{as_digits, is_number};
use crate::text::normalised;

/// The most phrases that a question may have, and the most ways of saying one.
pub const MOST_PHRASES: usize = 100;
/// See [`MOST_PHRASES`].
pub const MOST_WAYS: usize = 50;

/// The share of a phrase's letters that may be wrong.
const FORGIVEN: f32 = 0.25;
/// The same for a single word within it.
const FORGIVEN_OF_A_WORD: f32 = 0.34;
/// And where words were parted elsewhere; at most so many letters, which is less than a word that means something.
const FORGIVEN_ACROSS_WORDS: f32 = 0.15;
/// See [`FORGIVEN_ACROSS_WORDS`].
const LETTERS_ACROSS_WORDS: f32 = 2.0;
/// A word must have more letters than this, of its stem, for any of them to be wrong.
const SHORT_WORD: usize = 4;
/// Of so many words one may be another.
const WORDS_PER_OTHER: usize = 6;
/// What other endings, and what each other letter, take off a score of 1.
const STEM_SCORE: f32 = 0.95;
/// At most so well scores what is no answer, however like it is.
const UNFIT_SCORE: f32 = 0.7;
/// By how much a score must be better where two phrases say equally much.
const CLEARLY: f32 = 0.1;
/// By how much longer a phrase must be than another one that stands elsewhere in the text.
const SAYS_MORE: f32 = 1.5;
/// A phrase of at most so many letters («да») is a particle in a text with more than so many words besides it.
const PARTICLE_LETTERS: usize = 3;
/// See [`PARTICLE_LETTERS`].
const PARTICLE_WORDS: usize = 4;
/// A number says as much as a word of so many letters, however it is written.
const NUMBER_LETTERS: usize = 4;
/// Stems keep at least so many letters: «даю» is not «да».
const STEM_LETTERS: usize = 3;
/// How many words of a text are looked at: what is said in 30 s, and then some.
const MOST_WORDS: usize = 150;

/// So many words after it a «не» may mean.
const NEGATION_REACHES: usize = 5;
/// What follows a «не» that means the words before it.
const REFUSALS: [&str; 7] = ["нуж", "над", "хоч", "буд", "мог", "стоит", "требу"];

/// Words to listen for, and by which name they come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phrase {
    /// Its name.
    pub id: String,
    /// Any of these is it.
    pub any_of: Vec<String>,
}

/// What is wrong with the phrases of a question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PhraseFault {
    /// Too many of them.
    #[error("a question listens for at most {MOST_PHRASES} phrases, not {0}")]
    TooMany(usize),
    /// One without a name.
    #[error("a phrase has no id: give it one, it is how the answer is told")]
    NoId,
    /// Two have the same name.
    #[error("two phrases are called `{0}`: write their ways of saying it into one")]
    SameId(String),
    /// Nothing to listen for, or too much.
    #[error("phrase `{id}` has {ways} ways of saying it; it needs 1 to {MOST_WAYS}")]
    Ways {
        /// Which phrase.
        id: String,
        /// How many it has.
        ways: usize,
    },
    /// A way of saying it without a word.
    #[error("phrase `{id}`: `{way}` holds no word that could be heard")]
    Empty {
        /// Which phrase.
        id: String,
        /// As it was written.
        way: String,
    },
    /// Two that nobody could tell apart.
    #[error("phrases `{first}` and `{second}` cannot be told apart: both are said as `{way}`")]
    Equal {
        /// The first of the two.
        first: String,
        /// The second.
        second: String,
        /// As the second one has it.
        way: String,
    },
}

/// Why a phrase was found, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// One fits.
    Fits,
    /// Two or more fit, and none says clearly more.
    Ambiguous,
    /// None fits.
    NothingFits,
}

/// What [`PhraseSet::find`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found<'s> {
    /// The phrase that was meant, by its id.
    pub phrase: Option<&'s str>,
    /// How well it fits, 0 to 1: 1 is word for word. Without a phrase: how well the best one fits.
    pub score: f32,
    /// Why it is this one, or none.
    pub why: Why,
    /// The best phrase besides it, whether or not it fits, and its score: what was nearly meant.
    pub next: Option<(&'s str, f32)>,
}

/// A word as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    exact: String,
    stem: Vec<char>,
    /// A number or a negation: stands as it is, or the phrase does not.
    firm: bool,
    /// Which clause it stands in, counted from the begin of the text.
    clause: usize,
}

/// One way of saying a phrase.
#[derive(Debug, Clone)]
struct Way {
    phrase: usize,
    words: Vec<Word>,
    /// The stems with spaces between them, and the same without.
    spaced: Vec<char>,
    letters: usize,
}

/// The phrases of one question, ready to be looked for.
#[derive(Debug, Clone)]
pub struct PhraseSet {
    ids: Vec<String>,
    ways: Vec<Way>,
}

/// Where a way of saying a phrase stands in a text, and how well it fits.
#[derive(Debug, Clone, Copy)]
struct Fit {
    phrase: usize,
    score: f32,
    letters: usize,
    /// Which words of the text it covers.
    begin: usize,
    end: usize,
    /// Whether it is good enough to be an answer.
    fits: bool,
}

impl PhraseSet {
    /// Checks phrases and gets them ready. An empty set is sound: it finds nothing in any text.
    ///
    /// # Errors
    ///
    /// All that is wrong with them, each as a sentence.
    pub fn new<'p>(phrases: impl IntoIterator<Item = &'p Phrase>) -> Result<Self, Vec<PhraseFault>> {
        let phrases: Vec<&Phrase> = phrases.into_iter().collect();
        if phrases.len() > MOST_PHRASES {
            return Err(vec![PhraseFault::TooMany(phrases.len())]);
        }
        let (mut ids, mut ways): (Vec<String>, Vec<Way>) = (Vec::new(), Vec::new());
        let mut faults = Vec::new();
        let mut taken: HashMap<Vec<char>, usize> = HashMap::new();
        for phrase in phrases {
            let id = phrase.id.clone();
            if id.trim().is_empty() {
                faults.push(PhraseFault::NoId);
            } else if ids.contains(&id) {
                faults.push(PhraseFault::SameId(id.clone()));
            }
            if phrase.any_of.is_empty() || phrase.any_of.len() > MOST_WAYS {
                faults.push(PhraseFault::Ways { id: id.clone(), ways: phrase.any_of.len() });
            }
            let number = ids.len();
            for text in phrase.any_of.iter().take(MOST_WAYS) {
                let words = words(text);
                if words.is_empty() {
                    faults.push(PhraseFault::Empty { id: id.clone(), way: text.clone() });
                    continue;
                }
                let spaced = joined(&words);
                let first = *taken.entry(spaced.clone()).or_insert(number);
                if first != number && ids[first] != id {
                    let first = ids[first].clone();
                    faults.push(PhraseFault::Equal { first, second: id.clone(), way: text.clone() });
                }
                let letters = words.iter().map(Word::weight).sum();
                ways.push(Way { phrase: number, words, spaced, letters });
            }
            ids.push(id);
        }
        if faults.is_empty() { Ok(Self { ids, ways }) } else { Err(faults) }
    }

    /// The same from pairs of a name and its ways.
    ///
    /// # Errors
    ///
    /// All that is wrong with them, in one line.
    pub fn of<'p>(phrases: impl IntoIterator<Item = (&'p str, &'p [String])>) -> Result<Self, String> {
        let phrases =
            phrases.into_iter().map(|(id, ways)| Phrase { id: id.to_owned(), any_of: ways.to_vec() });
        let phrases: Vec<Phrase> = phrases.collect();
        Self::new(&phrases)
            .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The phrase that was meant by a text.
    pub fn find(&self, text: &str) -> Found<'_> {
        let mut words = words(text);
        words.truncate(MOST_WORDS);
        let mut best: Vec<Option<Fit>> = vec![None; self.ids.len()];
        let mut scratch = Vec::new();
        for way in &self.ways {
            let Some(fit) = way.best(&words, &mut scratch) else { continue };
            let known = &mut best[way.phrase];
            if known.is_none_or(|known| fit.before(&known)) {
                *known = Some(fit);
            }
        }
        let mut all: Vec<Fit> = best.into_iter().flatten().collect();
        all.sort_by(|a, b| b.score.total_cmp(&a.score).then(b.letters.cmp(&a.letters)));
        let fitting: Vec<&Fit> = all.iter().filter(|fit| fit.fits).collect();
        let meant = fitting
            .iter()
            .find(|fit| fitting.iter().all(|other| other.phrase == fit.phrase || fit.says_more_than(other)));
        let why = match (meant, fitting.is_empty()) {
            (Some(_), _) => Why::Fits,
            (None, true) => Why::NothingFits,
            (None, false) => Why::Ambiguous,
        };
        let first = meant.map(|fit| **fit).or_else(|| all.first().copied());
        let next = all.iter().find(|fit| first.is_some_and(|first| first.phrase != fit.phrase));
        Found {
            phrase: meant.map(|fit| self.ids[fit.phrase].as_str()),
            score: first.map_or(0.0, |fit| fit.score),
            why,
            next: if meant.is_some() { next } else { all.first() }
                .map(|fit| (self.ids[fit.phrase].as_str(), fit.score)),
        }
    }
}

impl Fit {
    /// Whether this is the better of two ways of saying one phrase.
    fn before(&self, other: &Self) -> bool {
        (self.fits, self.letters as f32 * self.score) > (other.fits, other.letters as f32 * other.score)
            || (!self.fits && !other.fits && self.score > other.score)
    }

    /// Whether this phrase is meant, and not the other one that fits too.
    fn says_more_than(&self, other: &Self) -> bool {
        let overlap = self.begin < other.end && other.begin < self.end;
        if overlap {
            let longer = self.letters > other.letters && self.score + CLEARLY >= other.score;
            longer || self.score >= other.score + CLEARLY
        } else {
            self.letters as f32 >= SAYS_MORE * other.letters as f32
        }
    }
}

impl Way {
    /// Where it stands best in a text; `None`: nothing in the text is comparable.
    fn best(&self, text: &[Word], row: &mut Vec<usize>) -> Option<Fit> {
        let slack = 1 + self.words.len() / WORDS_PER_OTHER;
        let sizes = self.words.len().saturating_sub(slack).max(1)..=self.words.len() + slack;
        let mut best: Option<Fit> = None;
        for size in sizes {
            for begin in 0..(text.len() + 1).saturating_sub(size) {
                let Some(fit) = self.fit(text, begin, begin + size, row) else { continue };
                if best.is_none_or(|best| (fit.fits, fit.score) > (best.fits, best.score)) {
                    best = Some(fit);
                }
            }
        }
        best
    }

    /// How well it fits these words of the text.
    fn fit(&self, text: &[Word], begin: usize, end: usize, row: &mut Vec<usize>) -> Option<Fit> {
        let window = &text[begin..end];
        let fit = |score: f32, fits: bool| {
            // «да» in a long sentence is a particle.
            let particle = self.letters <= PARTICLE_LETTERS && text.len() > self.words.len() + PARTICLE_WORDS;
            let fits = fits && !particle && !negated(text, begin, end);
            let score = if fits { score } else { score.min(UNFIT_SCORE) };
            Some(Fit { phrase: self.phrase, score, letters: self.letters, begin, end, fits })
        };
        let firm = |words: &'_ [Word]| -> Vec<String> {
            words.iter().filter(|word| word.firm).map(|word| word.exact.clone()).collect()
        };
        if window.len() == self.words.len() {
            if window.iter().zip(&self.words).all(|(a, b)| a.exact == b.exact) {
                return fit(1.0, true);
            }
            if window.iter().zip(&self.words).all(|(a, b)| a.stem == b.stem) {
                return fit(STEM_SCORE, true);
            }
        }
        let heard = joined(window);
        // Most windows are of another length by more than could be forgiven.
        if heard.len().abs_diff(self.spaced.len()) * 2 > self.spaced.len() {
            return None;
        }
        let wrong = edits(&self.spaced, &heard, row);
        let share = wrong as f32 / self.spaced.len() as f32;
        if share > 0.5 {
            return None;
        }
        let fits = share <= FORGIVEN && firm(window) == firm(&self.words) && self.words_agree(window, row);
        fit(STEM_SCORE * (1.0 - share), fits)
    }

    /// Whether no word of it has become another one, but for one in [`WORDS_PER_OTHER`].
    fn words_agree(&self, window: &[Word], row: &mut Vec<usize>) -> bool {
        // Words that were parted elsewhere: what counts is that hardly a letter is another.
        let solid = |words: &[Word]| -> Vec<char> {
            words.iter().flat_map(|word| word.stem.iter().copied()).collect()
        };
        if window.len() != self.words.len() && self.spaced.len() > SHORT_WORD + 1 {
            let (mine, theirs) = (solid(&self.words), solid(window));
            let forgiven = (FORGIVEN_ACROSS_WORDS * mine.len() as f32).round().min(LETTERS_ACROSS_WORDS);
            if edits(&mine, &theirs, row) as f32 <= forgiven {
                return true;
            }
        }
        // Edit distance over words, where words that differ in a letter or so are the same, and so are one and the two
        // that it fell apart into.
        let others = {
            let (rows, columns) = (self.words.len(), window.len());
            let mut least = vec![vec![0; columns + 1]; rows + 1];
            for i in 0..=rows {
                for j in 0..=columns {
                    let mut best = if i == 0 && j == 0 { 0 } else { usize::MAX };
                    if i > 0 {
                        best = best.min(least[i - 1][j] + 1);
                    }
                    if j > 0 {
                        best = best.min(least[i][j - 1] + 1);
                    }
                    if i > 0 && j > 0 {
                        let same = self.words[i - 1].resembles(&window[j - 1], row);
                        best = best.min(least[i - 1][j - 1] + usize::from(!same));
                    }
                    if i > 1 && j > 0 && together(&self.words[i - 2..i], &window[j - 1]) {
                        best = best.min(least[i - 2][j - 1]);
                    }
                    if i > 0 && j > 1 && together(&window[j - 2..j], &self.words[i - 1]) {
                        best = best.min(least[i - 1][j - 2]);
                    }
                    least[i][j] = best;
                }
            }
            least[rows][columns]
        };
        others <= self.words.len() / WORDS_PER_OTHER
    }
}

impl Word {
    /// How much it says.
    fn weight(&self) -> usize {
        if is_number(&self.exact) { NUMBER_LETTERS.max(self.exact.len()) } else { self.exact.chars().count() }
    }

    /// Whether somebody may have said this word and been heard saying the other one.
    fn resembles(&self, other: &Self, row: &mut Vec<usize>) -> bool {
        if self.exact == other.exact || self.stem == other.stem {
            return true;
        }
        if self.firm || other.firm || self.stem.len() <= SHORT_WORD {
            return false;
        }
        edits(&self.stem, &other.stem, row) as f32 <= FORGIVEN_OF_A_WORD * self.stem.len() as f32
    }
}

/// Whether two words are another one, written apart.
fn together(two: &[Word], one: &Word) -> bool {
    let length: usize = two.iter().map(|word| word.exact.len()).sum();
    length == one.exact.len() && one.exact.starts_with(&two[0].exact) && one.exact.ends_with(&two[1].exact)
}

/// Whether the words around say the opposite: «не надо оператора», «оператор не нужен», «да не хочу я».
///
/// A «не» reaches over the next words of its clause; «я не понял, соедините» negates nothing of what follows the comma.
/// Whoever speaks without commas is asked once more.
fn negated(text: &[Word], begin: usize, end: usize) -> bool {
    let clause = text[begin].clause;
    let before = &text[begin.saturating_sub(NEGATION_REACHES)..begin];
    if before.iter().any(|word| word.clause == clause && matches!(word.exact.as_str(), "не" | "ни" | "без"))
    {
        return true;
    }
    let mut after = text[end..].iter().take_while(|word| word.clause == text[end - 1].clause);
    let refuses = |word: &Word| REFUSALS.iter().any(|begin| word.exact.starts_with(begin));
    let short =
        text[begin..end].iter().map(|word| word.exact.chars().count()).sum::<usize>() <= PARTICLE_LETTERS;
    after.next().is_some_and(|word| word.exact == "не") && (short || after.next().is_some_and(refuses))
}

fn joined(words: &[Word]) -> Vec<char> {
    let mut all = Vec::new();
    for word in words {
        if !all.is_empty() {
            all.push(' ');
        }
        all.extend(&word.stem);
    }
    all
}

/// The clauses of a text: what stands between marks that a space follows.
fn clauses(text: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let polite = |word: &str| word.to_lowercase().starts_with("пожалуйста");
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let bare = word.trim_end_matches([',', '.', '!', '?', ';', ':', '…']);
        let clause = all.last_mut().expect("there is a first");
        // «Не, перезвоните» says no, and then that; «не перезвоните» says something else. Only the mark tells them apart.
        let refusal = bare.to_lowercase() == "не" && matches!(&word[bare.len()..], "," | "." | "!" | ";");
        clause.push_str(if refusal { "нет" } else { word });
        clause.push(' ');
        // «Не звоните, пожалуйста, больше» is one clause for all its commas.
        let aside = word.ends_with(',') && (polite(word) || words.peek().is_some_and(|next| polite(next)));
        if bare.len() < word.len() && !aside {
            all.push(String::new());
        }
    }
    all
}

fn words(text: &str) -> Vec<Word> {
    thread_local! {
        static RUSSIAN: Stemmer = Stemmer::create(Algorithm::Russian);
        static ENGLISH: Stemmer = Stemmer::create(Algorithm::English);
    }
    let word = |word: &str, clause: usize| {
        let firm = is_number(word) || matches!(word, "не" | "ни" | "нет" | "без");
        let stemmer = if word.is_ascii() { &ENGLISH } else { &RUSSIAN };
        let stem: Vec<char> = stemmer.with(|stemmer| stemmer.stem(word).chars().collect());
        let stem = if firm || stem.len() < STEM_LETTERS { word.chars().collect() } else { stem };
        Word { exact: word.to_owned(), stem, firm, clause }
    };
    let mut all = Vec::new();
    for (clause, text) in clauses(text).iter().enumerate() {
        all.extend(as_digits(&normalised(text)).split_whitespace().map(|text| word(text, clause)));
    }
    all
}

#[cfg(test)]
mod tests;
