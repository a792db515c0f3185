//! Reports as tables: headers as people know them, and cells that any writer of tables can take.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use zvonar_model::{Direction, PhoneNumber, Transfer, UnixMillis};

use super::{Contact, Employees, ProjectLine};
use crate::operators::Verdict;
use crate::tables::AttemptStep;

/// What stands in a cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Nothing.
    Empty,
    /// A text.
    Text(String),
    /// A whole number, which can be summed up.
    Whole(i64),
    /// Another number.
    Decimal(f64),
}

/// How telephone numbers are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// `+7 900 ***-**-02`: on screens.
    Masked,
    /// `+79000000002`: in files, which other programs read.
    Whole,
}

impl Numbers {
    fn show(self, number: &PhoneNumber) -> String {
        match self {
            Self::Masked => number.masked(),
            Self::Whole => number.reveal().to_owned(),
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        if text.is_empty() { Self::Empty } else { Self::Text(text.to_owned()) }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        if text.is_empty() { Self::Empty } else { Self::Text(text) }
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        i64::try_from(number).map_or(Self::Empty, Self::Whole)
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Whole(number)
    }
}

/// A moment as reports show it, Moscow time: `02.03.2026 12:30:05`.
pub fn moment(at: UnixMillis) -> String {
    let zone = TimeZone::fixed(Offset::constant(3));
    match Timestamp::from_millisecond(at.0) {
        Ok(at) => at.to_zoned(zone).strftime("%d.%m.%Y %H:%M:%S").to_string(),
        Err(_) => String::new(),
    }
}

/// The header of «Проекты и обзвон роботом».
pub const PROJECTS: [&str; 17] = [
    "Проект",
    "Название",
    "Статус",
    "Контактов",
    "Ещё не звонили",
    "Позвоним ещё раз",
    "Дозвонились",
    "Не дозвонились",
    "Попыток",
    "Отвечено",
    "Отвечено, %",
    "Потеряно",
    "Робот, с",
    "Разговор, с",
    "Копеек",
    "SMS",
    "Копеек за SMS",
];

/// A row of «Проекты и обзвон роботом».
pub fn project(line: &ProjectLine) -> Vec<Cell> {
    let counts = line.project.is_some().then_some(line.leads);
    let count = |of: Option<i64>| of.map_or(Cell::Empty, Cell::Whole);
    vec![
        line.project.as_ref().map_or("", |project| project.as_str()).into(),
        line.title.as_str().into(),
        line.status.as_ref().map_or("", |status| status.title()).into(),
        count(counts.map(|counts| counts.total())),
        count(counts.map(|counts| counts.new)),
        count(counts.map(|counts| counts.again)),
        count(counts.map(|counts| counts.reached)),
        count(counts.map(|counts| counts.unreached)),
        line.calls.attempts.into(),
        line.calls.answered.into(),
        line.answered_percent().map_or(Cell::Empty, |share| Cell::Decimal((share * 10.0).round() / 10.0)),
        line.calls.lost.into(),
        line.calls.robot_seconds.into(),
        line.calls.talk_seconds.into(),
        line.calls.kopecks.0.into(),
        line.texts.texts.into(),
        line.texts.kopecks.0.into(),
    ]
}

/// The header of what came of a project's calls.
pub const RESULTS: [&str; 8] =
    ["Проект", "Сценарий", "Результат", "Попыток", "Отвечено", "Робот, с", "Разговор, с", "Копеек"];

/// A row for each result of a project.
pub fn results(line: &ProjectLine) -> Vec<Vec<Cell>> {
    let row = |result: &super::ResultLine| {
        vec![
            line.title.as_str().into(),
            result.scenario.as_deref().unwrap_or_default().into(),
            result.result.as_str().into(),
            result.calls.attempts.into(),
            result.calls.answered.into(),
            result.calls.robot_seconds.into(),
            result.calls.talk_seconds.into(),
            result.calls.kopecks.0.into(),
        ]
    };
    line.results.iter().map(row).collect()
}

/// The header of «Результаты всех вызовов» and «Результаты последних вызовов».
pub const CALLS: [&str; 20] = [
    "Начало",
    "Проект",
    "Контакт",
    "Номер",
    "Направление",
    "Результат",
    "Сценарий",
    "Клавиши",
    "Робот, с",
    "Разговор, с",
    "Копеек",
    "Ответственный",
    "Перевод",
    "Номер перевода",
    "Ожидание, с",
    "Пропущен",
    "Итог сотрудника",
    "Комментарий сотрудника",
    "Теги",
    "Попытка",
];

/// A row of «Результаты всех вызовов» and «Результаты последних вызовов». `verdict`: what the employee said.
pub fn call(
    step: &AttemptStep,
    employees: &Employees,
    verdict: Option<&Verdict>,
    numbers: Numbers,
) -> Vec<Cell> {
    let of_each = |what: &dyn Fn(&Transfer) -> Option<String>| -> Cell {
        step.transfers.iter().filter_map(what).collect::<Vec<_>>().join("; ").into()
    };
    let wait: u64 = step.transfers.iter().map(|one| one.wait.seconds_up()).sum();
    vec![
        moment(step.started_at).into(),
        step.project.as_ref().map_or("", |project| project.as_str()).into(),
        step.lead.as_ref().map_or("", |lead| lead.as_str()).into(),
        step.number.as_ref().map_or_else(|| step.peer.clone(), |number| numbers.show(number)).into(),
        match step.direction {
            Direction::Outbound => "исходящий",
            Direction::Inbound => "входящий",
        }
        .into(),
        step.result.as_str().into(),
        step.scenario.as_ref().map_or("", |scenario| scenario.name.as_str()).into(),
        step.keys.as_str().into(),
        step.robot_seconds.into(),
        step.talk_seconds.into(),
        step.kopecks.0.into(),
        employees.responsible(step).into(),
        of_each(&|one| Some(kind(one).into())),
        of_each(&|one| one.number.as_ref().map(|number| numbers.show(number))),
        if step.transfers.is_empty() { Cell::Empty } else { wait.into() },
        of_each(&|one| one.missed.clone()),
        verdict.map_or("", |verdict| verdict.result.as_str()).into(),
        verdict.map_or("", |verdict| verdict.comment.as_str()).into(),
        step.tags.join(", ").into(),
        step.attempt.as_str().into(),
    ]
}

/// To whom a caller was handed.
pub fn kind(transfer: &Transfer) -> &'static str {
    if transfer.to_operator { "сотрудник" } else { "внешний номер" }
}

/// The first columns of «Выгрузка контактов»; a column for each field follows.
pub const CONTACTS: [&str; 7] =
    ["Контакт", "Телефоны", "Статус", "Теги", "Попыток", "Последний звонок", "Последний результат"];

/// The header of «Выгрузка контактов» with these fields.
pub fn contacts_header(fields: &BTreeSet<String>) -> Vec<String> {
    CONTACTS.iter().map(|name| (*name).to_owned()).chain(fields.iter().cloned()).collect()
}

/// A row of «Выгрузка контактов» with these fields.
pub fn contact(contact: &Contact, fields: &BTreeSet<String>, numbers: Numbers) -> Vec<Cell> {
    let Contact { lead, last } = contact;
    let phones: Vec<String> = lead.numbers.iter().map(|number| numbers.show(number)).collect();
    let tags: Vec<&str> = lead.tags.iter().map(String::as_str).collect();
    let mut row: Vec<Cell> = vec![
        lead.lead.as_str().into(),
        phones.join(", ").into(),
        lead.progress.state.title().into(),
        tags.join(", ").into(),
        (lead.progress.tries.len() as u64).into(),
        last.as_ref().map_or_else(String::new, |last| moment(last.started_at)).into(),
        last.as_ref().map_or("", |last| last.result.as_str()).into(),
    ];
    row.extend(fields.iter().map(|name| lead.fields.get(name).map_or("", String::as_str).into()));
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_in_moscow_time() {
        assert_eq!(moment(UnixMillis(1_772_443_805_000)), "02.03.2026 12:30:05");
    }
}
