//! Reads a TOML document by hand, so that every fault is told at once, each with its line and what is allowed.
//!
//! `serde` stops at the first fault. Here a [`Section`] hands out its values one by one, writes down what is wrong and
//! goes on with a stand-in; nothing built from stand-ins leaves [`super::Config::load`], because it fails when anything
//! was written down.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

/// All faults of one configuration file, in the order of their lines.
#[derive(Debug)]
pub(crate) struct Faults {
    path: PathBuf,
    text: String,
    found: RefCell<Vec<(usize, String)>>,
}

impl Faults {
    pub(crate) fn new(path: &Path, text: &str) -> Self {
        Self { path: path.into(), text: text.into(), found: RefCell::default() }
    }

    /// Writes down what is wrong at a place of the file.
    pub(crate) fn add(&self, place: &Range<usize>, sentence: impl Into<String>) {
        let line = self.text[..place.start.min(self.text.len())].matches('\n').count() + 1;
        self.found.borrow_mut().push((line, sentence.into()));
    }

    /// The sentences, `FILE:LINE: …`, or `None` when all is well.
    pub(crate) fn into_sentences(self) -> Option<Vec<String>> {
        let mut found = self.found.into_inner();
        found.sort();
        found.dedup();
        let told = found.into_iter().map(|(line, text)| format!("{}:{line}: {text}", self.path.display()));
        Some(told.collect::<Vec<_>>()).filter(|all| !all.is_empty())
    }
}

/// One table of the file. [`Section::finish`] tells the keys that nobody asked for.
pub(crate) struct Section<'f> {
    faults: &'f Faults,
    name: String,
    table: DeTable<'f>,
    place: Range<usize>,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'f> Section<'f> {
    pub(crate) fn new(faults: &'f Faults, name: &str, table: DeTable<'f>, place: Range<usize>) -> Self {
        Self { faults, name: name.into(), table, place, asked: RefCell::default() }
    }

    /// Where the table stands, for faults that concern all of it.
    pub(crate) fn place(&self) -> Range<usize> {
        self.place.clone()
    }

    /// Where a key's value stands, or the table if the key is missing.
    pub(crate) fn place_of(&self, key: &str) -> Range<usize> {
        self.table.get(key).map_or(self.place(), Spanned::span)
    }

    /// Writes down a fault of a key's value.
    pub(crate) fn fault(&self, key: &str, sentence: impl Display) {
        self.faults.add(&self.place_of(key), format!("{}: {sentence}", self.dotted(key)));
    }

    fn dotted(&self, key: &str) -> String {
        if self.name.is_empty() { key.into() } else { format!("{}.{key}", self.name) }
    }

    fn value(&self, key: &'static str) -> Option<&DeValue<'f>> {
        self.asked.borrow_mut().insert(key);
        self.table.get(key).map(Spanned::get_ref)
    }

    fn missing(&self, key: &str, allowed: &str) {
        self.faults.add(&self.place, format!("{} is missing: {allowed}", self.dotted(key)));
    }

    fn wrong_type(&self, key: &str, value: &DeValue<'_>, allowed: &str) {
        self.fault(key, format!("this is a {}, and should be {allowed}", value.type_str()));
    }

    /// A text, parsed into what it stands for; `allowed` tells the reader what may stand here.
    pub(crate) fn text<T: FromStr>(&self, key: &'static str, allowed: &str) -> Option<T>
    where
        T::Err: Display,
    {
        match self.value(key)? {
            DeValue::String(text) => match text.parse() {
                Ok(value) => Some(value),
                Err(why) => {
                    self.fault(key, format!("`{text}`: {why}; allowed: {allowed}"));
                    None
                }
            },
            other => {
                self.wrong_type(key, other, allowed);
                None
            }
        }
    }

    /// A text that must be there.
    pub(crate) fn needed_text<T: FromStr>(&self, key: &'static str, allowed: &str) -> Option<T>
    where
        T::Err: Display,
    {
        if self.value(key).is_none() {
            self.missing(key, allowed);
        }
        self.text(key, allowed)
    }

    /// A whole number within a range, or the default.
    pub(crate) fn number(
        &self,
        key: &'static str,
        range: std::ops::RangeInclusive<i64>,
        default: i64,
    ) -> i64 {
        let allowed = format!("a whole number from {} to {}", range.start(), range.end());
        match self.value(key) {
            None => default,
            Some(DeValue::Integer(text)) => match i64::from_str_radix(text.as_str(), text.radix()) {
                Ok(number) if range.contains(&number) => number,
                _ => {
                    self.fault(key, format!("{text} is out of range; allowed: {allowed}"));
                    default
                }
            },
            Some(other) => {
                self.wrong_type(key, other, &allowed);
                default
            }
        }
    }

    /// `true` or `false`, or the default.
    pub(crate) fn switch(&self, key: &'static str, default: bool) -> bool {
        match self.value(key) {
            None => default,
            Some(DeValue::Boolean(value)) => *value,
            Some(other) => {
                self.wrong_type(key, other, "true or false");
                default
            }
        }
    }

    /// A list of texts, each parsed.
    pub(crate) fn texts<T: FromStr>(&self, key: &'static str, allowed: &str) -> Vec<T>
    where
        T::Err: Display,
    {
        let items = match self.value(key) {
            None => return Vec::new(),
            Some(DeValue::Array(items)) => items,
            Some(other) => {
                self.wrong_type(key, other, &format!("a list of: {allowed}"));
                return Vec::new();
            }
        };
        let mut parsed = Vec::new();
        for item in items.iter() {
            let text = item.get_ref().as_str();
            match text.map(|text| (text, text.parse())) {
                Some((_, Ok(value))) => parsed.push(value),
                Some((text, Err(why))) => {
                    self.faults.add(
                        &item.span(),
                        format!("{}: `{text}`: {why}; allowed: {allowed}", self.dotted(key)),
                    );
                }
                None => self.wrong_type(key, item.get_ref(), &format!("a list of: {allowed}")),
            }
        }
        parsed
    }

    /// A table of texts, whole numbers and switches, each kept as text: settings of a scenario.
    pub(crate) fn settings(&self, key: &'static str) -> Vec<(String, String)> {
        let table = match self.value(key) {
            None => return Vec::new(),
            Some(DeValue::Table(table)) => table,
            Some(other) => {
                self.wrong_type(key, other, "a table: { name = \"value\", … }");
                return Vec::new();
            }
        };
        let mut settings = Vec::new();
        for (name, value) in table {
            let text = match value.get_ref() {
                DeValue::String(text) => text.to_string(),
                DeValue::Integer(number) => number.to_string(),
                DeValue::Boolean(value) => value.to_string(),
                other => {
                    self.fault(
                        key,
                        format!(
                            "{} is a {}; allowed: a text, a whole number, true or false",
                            name.get_ref(),
                            other.type_str()
                        ),
                    );
                    continue;
                }
            };
            settings.push((name.get_ref().to_string(), text));
        }
        settings
    }

    /// Whether there is anything of this name.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The table of this name, or an empty one in its place.
    pub(crate) fn section(&mut self, key: &'static str) -> Section<'f> {
        let (table, place) = self.take_table(key).unwrap_or_else(|| (DeTable::new(), self.place()));
        Section::new(self.faults, &self.dotted(key), table, place)
    }

    fn take_table(&mut self, key: &'static str) -> Option<(DeTable<'f>, Range<usize>)> {
        self.asked.borrow_mut().insert(key);
        let value = self.table.remove(key)?;
        let place = value.span();
        match value.into_inner() {
            DeValue::Table(table) => Some((table, place)),
            other => {
                let sentence =
                    format!("{} is a {}, and should be a table: [{key}]", self.dotted(key), other.type_str());
                self.faults.add(&place, sentence);
                None
            }
        }
    }

    /// The tables of a list `[[key]]`.
    pub(crate) fn sections(&mut self, key: &'static str) -> Vec<Section<'f>> {
        self.asked.borrow_mut().insert(key);
        let Some(value) = self.table.remove(key) else { return Vec::new() };
        let place = value.span();
        let DeValue::Array(items) = value.into_inner() else {
            self.faults.add(&place, format!("{} should be a list of tables: [[{key}]]", self.dotted(key)));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for item in items {
            let place = item.span();
            match item.into_inner() {
                DeValue::Table(table) => sections.push(Section::new(self.faults, key, table, place)),
                _ => self
                    .faults
                    .add(&place, format!("{} should be a list of tables: [[{key}]]", self.dotted(key))),
            }
        }
        sections
    }

    /// Tells the keys that nobody asked for, each with the nearest one that exists.
    pub(crate) fn finish(self) {
        let asked = self.asked.borrow();
        for key in self.table.keys().filter(|key| !asked.contains(key.get_ref().as_ref())) {
            let name = key.get_ref().as_ref();
            let near = asked.iter().max_by(|a, b| strsim::jaro(a, name).total_cmp(&strsim::jaro(b, name)));
            let hint = match near.filter(|near| strsim::jaro(near, name) > 0.7) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", asked.iter().copied().collect::<Vec<_>>().join(", ")),
            };
            self.faults.add(&key.span(), format!("`{}` is not known; {hint}", self.dotted(name)));
        }
    }
}
