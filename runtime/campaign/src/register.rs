//! The register of Russian number ranges (Минцифры, open data): to whom a number was given out, and in which region.
//!
//! The ministry publishes four tables (`ABC-3xx.csv`, `ABC-4xx.csv`, `ABC-8xx.csv`, `DEF-9xx.csv`); each is loaded as a
//! whole and replaces the one of the same name. A number may be carried to another operator, but keeps the region of its
//! range, and with it the clock that we go by when nothing better is known.
//!
//! A sample ships, so that a host without the register knows where the area codes are. It is made: one range an area
//! code, no operators, no mobile numbers but Crimea's. It never says that a number does not exist; a loaded table does,
//! of the numbers that begin with a digit which it holds.
//!
//! A range takes 16 bytes; names are kept once. Half a million ranges are 8 MB.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use zvonar_model::{PhoneNumber, UnixMillis};

use crate::regions::{is_federal, zones_of_region};
use crate::{NumberKind, NumberRefused, check_number};

/// How many faulty rows of a table are told; more are only counted.
const TOLD: usize = 100;
/// How many tables a register holds: the ministry has four.
const MAX_FILES: usize = 32;
/// The first line of a register as it is kept.
const MAGIC: &str = "zvonar-register 1";
/// The columns as the ministry names them, in their usual order.
const COLUMNS: [&str; 7] = ["авс", "от", "до", "емкость", "оператор", "регион", "инн"];

/// The register, ready to be asked.
#[derive(Debug, Clone, Default)]
pub struct Register {
    made: bool,
    files: Vec<Table>,
    operators: Names,
    regions: Names,
    /// By the place of the region's name.
    zones: Vec<Lies>,
    /// By leading digit: whether a loaded table holds such numbers, so that one outside every range does not exist.
    judged: [bool; 10],
}

/// What the register says of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// To whom the range was given out; the number may have been carried to another since.
    pub operator: &'a str,
    /// The region as the register spells it, parts parted by `|`.
    pub region: &'a str,
    /// The zones of that region; empty: it is none, or all of Russia.
    pub zones: &'a [&'static str],
    /// Numbers of this region are given out everywhere: it is a guess where their owners are.
    pub federal: bool,
}

/// One table of the register, as it was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterFile {
    /// The file's name, as `DEF-9xx.csv`.
    pub name: String,
    /// When it was loaded.
    pub loaded: UnixMillis,
    /// How many ranges were taken.
    pub ranges: usize,
    /// How many numbers those hold.
    pub numbers: u64,
    /// With which digits they begin, behind +7.
    pub digits: Vec<u8>,
}

/// What became of a table that was to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The table as it is now.
    pub file: RegisterFile,
    /// The rows that were not taken, the first hundred.
    pub faults: Vec<RowFault>,
    /// How many were not taken in all.
    pub fault_count: usize,
}

/// A row that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct RowFault {
    /// Its line, from 1.
    pub line: u32,
    /// What is wrong with it.
    pub what: String,
}

/// Why a table is not taken at all, or a kept register not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegisterFault {
    /// No row of it is a range.
    #[error("{name} holds no range: it should have the columns `АВС/ DEF;От;До;Емкость;Оператор;Регион;ИНН`{}", first(.fault))]
    Empty {
        /// The table.
        name: String,
        /// What is wrong with its first row.
        fault: Option<RowFault>,
    },
    /// More tables than there can be.
    #[error(
        "the register has {MAX_FILES} tables already; the ministry publishes four, so load each under one name"
    )]
    TooManyFiles,
    /// The name is none that could be kept.
    #[error("`{0}` is no name of a table: it must be one line of 1 to 100 characters")]
    Name(String),
    /// The kept register is damaged, or of another program.
    #[error("line {0} of the kept register cannot be read: load the ministry's tables again")]
    Damaged(usize),
}

fn first(fault: &Option<RowFault>) -> String {
    fault.as_ref().map_or(String::new(), |fault| format!("; {fault}"))
}

/// Where a region lies.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lies {
    zones: Vec<&'static str>,
    federal: bool,
}

/// One loaded file, its ranges in the order of their numbers, none over another.
#[derive(Debug, Clone)]
struct Table {
    name: String,
    loaded: UnixMillis,
    ranges: Vec<Range>,
}

/// Some numbers in a row: the ten digits of the first above 24 bits of how many follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Range {
    span: u64,
    operator: u32,
    region: u32,
}

impl Range {
    fn new(first: u64, last: u64, operator: u32, region: u32) -> Self {
        Self { span: first << 24 | (last - first), operator, region }
    }

    fn first(self) -> u64 {
        self.span >> 24
    }

    fn last(self) -> u64 {
        self.first() + (self.span & 0xff_ffff)
    }
}

/// Texts, each kept once.
#[derive(Debug, Clone, Default)]
struct Names {
    texts: Vec<Arc<str>>,
    places: HashMap<Arc<str>, u32>,
}

impl Names {
    fn place(&mut self, text: &str) -> u32 {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        let place =
            u32::try_from(self.texts.len()).expect("a register has fewer names than rows, and rows fit");
        let text: Arc<str> = text.into();
        self.texts.push(Arc::clone(&text));
        self.places.insert(text, place);
        place
    }
}

impl Register {
    /// The sample that ships: area codes and their regions.
    pub fn sample() -> Arc<Self> {
        static SAMPLE: LazyLock<Arc<Register>> = LazyLock::new(|| {
            let mut register = Register::default();
            let loaded = register.load("sample.csv", include_str!("register/sample.csv"), UnixMillis(0));
            let sound = loaded.is_ok_and(|loaded| loaded.fault_count == 0);
            assert!(sound, "the sample that ships is sound: a test reads it");
            register.made = true;
            register.judged = [false; 10];
            Arc::new(register)
        });
        Arc::clone(&SAMPLE)
    }

    /// Whether this is the sample, and nothing was loaded.
    pub fn is_made(&self) -> bool {
        self.made
    }

    /// The tables, in the order in which they were loaded first.
    pub fn files(&self) -> Vec<RegisterFile> {
        self.files.iter().map(Table::told).collect()
    }

    /// Loads a table of the ministry in the place of the one of the same name; a sample gives way to it. Rows that make
    /// no sense are left out and told.
    ///
    /// # Errors
    /// When no row is a range, or the name is none: the register stays as it was.
    pub fn load(&mut self, name: &str, csv: &str, loaded: UnixMillis) -> Result<Loaded, RegisterFault> {
        let chars = name.chars().count();
        if !(1..=100).contains(&chars) || name.contains(char::is_control) {
            return Err(RegisterFault::Name(name.chars().take(100).filter(|c| !c.is_control()).collect()));
        }
        let place = self.files.iter().position(|file| file.name == name);
        if !self.made && place.is_none() && self.files.len() == MAX_FILES {
            return Err(RegisterFault::TooManyFiles);
        }
        let (rows, faults) = rows(csv);
        if rows.is_empty() {
            let fault = faults.told.into_iter().next();
            return Err(RegisterFault::Empty { name: name.to_owned(), fault });
        }
        if self.made {
            *self = Self::default();
        }
        let mut ranges = Vec::with_capacity(rows.len());
        for row in &rows {
            let operator = self.operators.place(&row.operator);
            let region = self.region(&row.region);
            ranges.push(Range::new(row.first, row.last, operator, region));
        }
        let table = Table { name: name.to_owned(), loaded, ranges };
        let file = table.told();
        match place.filter(|place| *place < self.files.len()) {
            Some(place) => self.files[place] = table,
            None => self.files.push(table),
        }
        self.judge_anew();
        Ok(Loaded { file, fault_count: faults.count, faults: faults.told })
    }

    /// What the register says of a number; `None`: no range holds it.
    pub fn look_up(&self, number: &PhoneNumber) -> Option<Entry<'_>> {
        let national = national(number)?;
        let range = self.files.iter().find_map(|table| {
            let after = table.ranges.partition_point(|range| range.first() <= national);
            let range = table.ranges[..after].last()?;
            (range.last() >= national).then_some(*range)
        })?;
        let lies = &self.zones[range.region as usize];
        Some(Entry {
            operator: &self.operators.texts[range.operator as usize],
            region: &self.regions.texts[range.region as usize],
            zones: &lies.zones,
            federal: lies.federal,
        })
    }

    /// Whether a number may be dialled, by the plan and by the loaded tables.
    ///
    /// # Errors
    /// The reason, in the words of the reports by [`NumberRefused::title`].
    pub fn check(&self, number: &PhoneNumber) -> Result<NumberKind, NumberRefused> {
        let kind = check_number(number)?;
        let judged =
            national(number).is_some_and(|number| self.judged[(number / 1_000_000_000 % 10) as usize]);
        if judged && self.look_up(number).is_none() {
            return Err(NumberRefused::NoRange);
        }
        Ok(kind)
    }

    /// The register as a text that [`Register::from_text`] reads, without names that no range uses any more.
    pub fn to_text(&self) -> String {
        let (mut operators, mut regions) = (Names::default(), Names::default());
        let mut ranges = String::new();
        let mut head = format!("{MAGIC}\n");
        for table in &self.files {
            // Writing into a text cannot fail.
            let _ = writeln!(head, "f {} {} {}", table.loaded.0, table.ranges.len(), table.name);
            for range in &table.ranges {
                let operator = operators.place(&self.operators.texts[range.operator as usize]);
                let region = regions.place(&self.regions.texts[range.region as usize]);
                let _ = writeln!(
                    ranges,
                    "{} {} {operator} {region}",
                    range.first(),
                    range.last() - range.first()
                );
            }
        }
        for (mark, names) in [('o', &operators), ('r', &regions)] {
            for name in &names.texts {
                let _ = writeln!(head, "{mark} {name}");
            }
        }
        head + &ranges
    }

    /// Reads what [`Register::to_text`] wrote.
    ///
    /// # Errors
    /// The first line that it did not write.
    pub fn from_text(text: &str) -> Result<Self, RegisterFault> {
        let mut register = Self::default();
        let mut lengths = Vec::new();
        let mut lines = text.lines().enumerate();
        let damaged = |at: usize| RegisterFault::Damaged(at + 1);
        if lines.next().is_none_or(|(_, line)| line != MAGIC) {
            return Err(damaged(0));
        }
        let (mut filling, mut last_at, mut before) = (0, 0, None);
        for (at, line) in lines {
            last_at = at;
            let (mark, rest) = line.split_once(' ').ok_or_else(|| damaged(at))?;
            match mark {
                "f" => {
                    let mut parts = rest.splitn(3, ' ');
                    let mut part = || parts.next().ok_or_else(|| damaged(at));
                    let loaded = UnixMillis(part()?.parse().map_err(|_| damaged(at))?);
                    lengths.push(part()?.parse::<usize>().map_err(|_| damaged(at))?);
                    register.files.push(Table { name: part()?.to_owned(), loaded, ranges: Vec::new() });
                }
                "o" => drop(register.operators.place(rest)),
                "r" => drop(register.region(rest)),
                _ => {
                    while lengths
                        .get(filling)
                        .is_some_and(|full| register.files[filling].ranges.len() == *full)
                    {
                        (filling, before) = (filling + 1, None);
                    }
                    let table = register.files.get_mut(filling).ok_or_else(|| damaged(at))?;
                    let range = kept(line).ok_or_else(|| damaged(at))?;
                    let names = (register.operators.texts.len(), register.regions.texts.len());
                    let named = (range.operator as usize) < names.0 && (range.region as usize) < names.1;
                    if !named || before.is_some_and(|last| range.first() <= last) {
                        return Err(damaged(at));
                    }
                    before = Some(range.last());
                    table.ranges.push(range);
                }
            }
        }
        let whole = register.files.iter().zip(&lengths).all(|(table, length)| table.ranges.len() == *length);
        if !whole {
            return Err(damaged(last_at + 1));
        }
        register.judge_anew();
        Ok(register)
    }

    fn region(&mut self, name: &str) -> u32 {
        let place = self.regions.place(name);
        if place as usize == self.zones.len() {
            self.zones.push(Lies { zones: zones_of_region(name), federal: is_federal(name) });
        }
        place
    }

    fn judge_anew(&mut self) {
        self.judged = [false; 10];
        for digit in self.files.iter().flat_map(Table::digits) {
            self.judged[usize::from(digit)] = true;
        }
    }
}

impl Table {
    fn digits(&self) -> Vec<u8> {
        // The ranges are in order, so a digit is found by looking for its first number.
        let holds = |digit: &u8| {
            let first = u64::from(*digit) * 1_000_000_000;
            let after = self.ranges.partition_point(|range| range.last() < first);
            self.ranges.get(after).is_some_and(|range| range.first() < first + 1_000_000_000)
        };
        (0..10).filter(holds).collect()
    }

    fn told(&self) -> RegisterFile {
        RegisterFile {
            name: self.name.clone(),
            loaded: self.loaded,
            ranges: self.ranges.len(),
            numbers: self.ranges.iter().map(|range| range.last() - range.first() + 1).sum(),
            digits: self.digits(),
        }
    }
}

/// The ten digits behind +7.
fn national(number: &PhoneNumber) -> Option<u64> {
    let digits = number.digits().strip_prefix('7').filter(|digits| digits.len() == 10)?;
    digits.parse().ok()
}

/// A range as it is kept: the first number, how many follow, operator, region.
fn kept(line: &str) -> Option<Range> {
    let mut parts = line.split(' ');
    let mut part = || parts.next()?.parse::<u64>().ok();
    let (first, more, operator, region) = (part()?, part()?, part()?, part()?);
    let sound = first < 10_000_000_000 && more < 10_000_000 && parts.next().is_none();
    let (operator, region) = (u32::try_from(operator).ok()?, u32::try_from(region).ok()?);
    sound.then(|| Range::new(first, first + more, operator, region))
}

/// A row of the ministry's table.
struct Row<'a> {
    line: u32,
    first: u64,
    last: u64,
    operator: std::borrow::Cow<'a, str>,
    region: std::borrow::Cow<'a, str>,
}

#[derive(Default)]
struct Faults {
    told: Vec<RowFault>,
    count: usize,
}

impl Faults {
    fn add(&mut self, line: u32, what: String) {
        self.count += 1;
        if self.told.len() < TOLD {
            self.told.push(RowFault { line, what });
        }
    }
}

/// The rows of a table in the order of their numbers, none over another, and what was left out.
fn rows(csv: &str) -> (Vec<Row<'_>>, Faults) {
    let csv = csv.strip_prefix('\u{feff}').unwrap_or(csv);
    let mut places: [usize; 7] = std::array::from_fn(|place| place);
    let (mut rows, mut faults) = (Vec::new(), Faults::default());
    for (line, text) in (1u32..).zip(csv.lines()) {
        let text = text.trim_end_matches('\r');
        if text.trim().is_empty() {
            continue;
        }
        if line == 1
            && let Some(found) = header(text)
        {
            places = found;
            continue;
        }
        match row(line, text, &places) {
            Ok(row) => rows.push(row),
            Err(what) => faults.add(line, what),
        }
    }
    rows.sort_by_key(|row| (row.first, row.line));
    let mut sound: Vec<Row<'_>> = Vec::with_capacity(rows.len());
    for row in rows {
        match sound.last() {
            Some(before) if before.last >= row.first => {
                faults.add(row.line, format!("its numbers stand in line {} already", before.line));
            }
            _ => sound.push(row),
        }
    }
    faults.told.sort_by_key(|fault| fault.line);
    (sound, faults)
}

/// Where each column stands; `None`: this line is no header.
fn header(text: &str) -> Option<[usize; 7]> {
    let names: Vec<String> =
        text.split(';').map(|name| name.trim().trim_matches('"').to_lowercase()).collect();
    let mut places = [usize::MAX; 7];
    for (place, column) in places.iter_mut().zip(COLUMNS) {
        let is = |name: &String| match column {
            // The ministry writes the code's first letters now in Latin, now in Cyrillic.
            "авс" => ["авс", "abc", "аbc", "def"].iter().any(|start| name.starts_with(start)),
            "емкость" => name.replace('ё', "е") == column,
            column => name == column,
        };
        if let Some(found) = names.iter().position(is) {
            *place = found;
        }
    }
    // Everything but the capacity and the tax number is needed; those may be absent.
    [0, 1, 2, 4, 5].iter().all(|column| places[*column] != usize::MAX).then_some(places)
}

fn row<'a>(line: u32, text: &'a str, places: &[usize; 7]) -> Result<Row<'a>, String> {
    let cells: Vec<&str> = text.split(';').collect();
    let cell = |column: usize| cells.get(places[column]).map(|cell| cell.trim());
    let needed = |column: usize| {
        cell(column)
            .ok_or_else(|| format!("has {} columns, and `{}` is none of them", cells.len(), COLUMNS[column]))
    };
    let digits = |text: &str, most: usize| {
        let sound = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        sound.then(|| text.parse::<u64>().ok()).flatten()
    };
    let code = needed(0)?;
    let code = digits(code, 3)
        .filter(|code| *code >= 100)
        .ok_or_else(|| format!("`{code}` is no code of three digits"))?;
    let bound = |column: usize| {
        let text = needed(column)?;
        digits(text, 7).ok_or_else(|| format!("`{text}` is no number of seven digits"))
    };
    let (from, to) = (bound(1)?, bound(2)?);
    if from > to {
        return Err(format!("the range ends at {to:07}, before it begins at {from:07}"));
    }
    if let Some(capacity) = cell(3).filter(|capacity| !capacity.is_empty())
        && capacity.parse::<u64>() != Ok(to - from + 1)
    {
        return Err(format!("the range holds {} numbers, and its capacity says `{capacity}`", to - from + 1));
    }
    let (operator, region) = (unquoted(needed(4)?), unquoted(needed(5)?));
    let base = code * 10_000_000;
    Ok(Row { line, first: base + from, last: base + to, operator, region })
}

/// A cell without the quotes that a spreadsheet puts around it.
fn unquoted(cell: &str) -> std::borrow::Cow<'_, str> {
    match cell.strip_prefix('"').and_then(|cell| cell.strip_suffix('"')) {
        Some(inner) if inner.replace("\"\"", "").contains('"') => cell.into(),
        Some(inner) => inner.replace("\"\"", "\"").into(),
        None => cell.into(),
    }
}

#[cfg(test)]
mod tests;
