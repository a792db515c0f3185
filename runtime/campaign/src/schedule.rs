//! When a lead may be called: windows of the week in the lead's own time, with exceptions by date.
//!
//! A lead of a region that spans zones is called only when all of them agree. Time comes in as an argument; zones come
//! from the tz database, never from the server's clock.

use std::collections::BTreeMap;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use zvonar_model::UnixMillis;

/// Minutes of a day.
const DAY: u16 = 24 * 60;
/// How far ahead the next window is looked for: a schedule of exceptions alone may be quiet for a year.
const DAYS_AHEAD: i32 = 400;

/// A part of a day: minutes since its midnight, `from` included, `to` not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    from: u16,
    to: u16,
}

/// Weekly windows, what holds on public holidays, and exceptions by date.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schedule {
    /// Monday first.
    week: [Vec<Window>; 7],
    /// Instead of the weekday's, on public holidays of Russia; `None`: they are days like any other.
    holidays: Option<Vec<Window>>,
    /// Instead of everything else; empty: nobody is called on that day.
    exceptions: BTreeMap<Date, Vec<Window>>,
}

/// Why a schedule is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleFault {
    /// It never opens.
    #[error("the schedule has no window at all: nobody could ever be called")]
    NoWindow,
    /// A part that cannot be read.
    #[error("`{0}` is no window: write days and hours, as `mon-fri 9:00-21:00, sat 10-18`")]
    Unreadable(String),
}

/// Whether now is calling time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calling {
    /// It is, until then at least.
    Open {
        /// The end of the window.
        until: UnixMillis,
    },
    /// It is not.
    Closed {
        /// When it next is in all zones; `None`: not within a year.
        opens: Option<UnixMillis>,
    },
}

/// Public holidays of Russia (Labour Code, article 112): month and day.
const HOLIDAYS: [(i8, i8); 14] = [
    (1, 1),
    (1, 2),
    (1, 3),
    (1, 4),
    (1, 5),
    (1, 6),
    (1, 7),
    (1, 8),
    (2, 23),
    (3, 8),
    (5, 1),
    (5, 9),
    (6, 12),
    (11, 4),
];

impl Window {
    /// Whole hours.
    const fn hours(from: u16, to: u16) -> Self {
        Self { from: from * 60, to: to * 60 }
    }
}

impl Schedule {
    /// The same hours every day: what we take for decent where no law says otherwise.
    pub fn ru_default() -> Self {
        Self { week: std::array::from_fn(|_| vec![Window::hours(9, 21)]), ..Self::default() }
    }

    /// What 230-ФЗ allows for debts: workdays 8 to 22, weekends and holidays 9 to 20.
    pub fn fz230() -> Self {
        let rest = vec![Window::hours(9, 20)];
        let week = |day| if day < 5 { vec![Window::hours(8, 22)] } else { rest.clone() };
        Self { week: std::array::from_fn(week), holidays: Some(rest.clone()), exceptions: BTreeMap::new() }
    }

    /// Around the clock.
    pub fn always() -> Self {
        Self { week: std::array::from_fn(|_| vec![Window::hours(0, 24)]), ..Self::default() }
    }

    /// A preset by its name (`any`, `ru-default`, `fz230`), or windows as [`Schedule::parse`] reads them.
    ///
    /// # Errors
    /// As [`Schedule::parse`].
    pub fn named(text: &str) -> Result<Self, ScheduleFault> {
        match text.trim() {
            "any" => Ok(Self::always()),
            "ru-default" => Ok(Self::ru_default()),
            "fz230" => Ok(Self::fz230()),
            windows => Self::parse(windows),
        }
    }

    /// Reads `mon-fri 9:00-21:00, sat 10-18; sun 22:00-2:00`. A window over midnight goes on in the next day.
    ///
    /// # Errors
    /// The part that cannot be read, or that there is no window.
    pub fn parse(text: &str) -> Result<Self, ScheduleFault> {
        let mut schedule = Self::default();
        for part in text.split([',', ';']).map(str::trim).filter(|part| !part.is_empty()) {
            let unreadable = || ScheduleFault::Unreadable(part.to_owned());
            let (days, hours) = part.split_once(char::is_whitespace).ok_or_else(unreadable)?;
            let (from, to) = hours.trim().split_once(['-', '–']).ok_or_else(unreadable)?;
            let (from, to) = (minute(from).ok_or_else(unreadable)?, minute(to).ok_or_else(unreadable)?);
            if from == to || from == DAY {
                return Err(unreadable());
            }
            for day in weekdays(days).ok_or_else(unreadable)? {
                if from < to {
                    schedule.week[day].push(Window { from, to });
                } else {
                    schedule.week[day].push(Window { from, to: DAY });
                    if to > 0 {
                        schedule.week[(day + 1) % 7].push(Window { from: 0, to });
                    }
                }
            }
        }
        schedule.week.iter_mut().for_each(|windows| windows.sort());
        if schedule.week.iter().all(Vec::is_empty) {
            return Err(ScheduleFault::NoWindow);
        }
        Ok(schedule)
    }

    /// The same with other windows on one date; none: nobody is called then.
    #[must_use]
    pub fn except(mut self, date: Date, mut windows: Vec<Window>) -> Self {
        windows.sort();
        self.exceptions.insert(date, windows);
        self
    }

    /// Whether somebody who lives in any of these zones may be called at this moment. Without a zone nobody may.
    pub fn calling(&self, now: UnixMillis, zones: &[TimeZone]) -> Calling {
        let Some(mut at) = Timestamp::from_millisecond(now.0).ok().filter(|_| !zones.is_empty()) else {
            return Calling::Closed { opens: None };
        };
        let start = at;
        // Each round moves to the next moment at which one more zone agrees; a year has few windows.
        for _ in 0..DAYS_AHEAD * 8 {
            let mut until: Option<Timestamp> = None;
            let mut latest = at;
            for zone in zones {
                let Some((opens, closes)) = self.next_window(at, zone) else {
                    return Calling::Closed { opens: None };
                };
                latest = latest.max(opens);
                until = Some(until.map_or(closes, |until| until.min(closes)));
            }
            if latest == at {
                let until = UnixMillis(until.map_or(0, Timestamp::as_millisecond));
                let opens = Some(UnixMillis(at.as_millisecond()));
                return if at == start { Calling::Open { until } } else { Calling::Closed { opens } };
            }
            at = latest;
        }
        Calling::Closed { opens: None }
    }

    /// The window that is open at this moment, from now on, or the next one.
    fn next_window(&self, at: Timestamp, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        let today = at.to_zoned(zone.clone()).date();
        for ahead in 0..DAYS_AHEAD {
            let date = today.checked_add(ahead.days()).ok()?;
            for window in self.windows(date) {
                let (from, to) = (moment(date, window.from, zone)?, moment(date, window.to, zone)?);
                if to > at && from < to {
                    return Some((from.max(at), to));
                }
            }
        }
        None
    }

    fn windows(&self, date: Date) -> &[Window] {
        if let Some(windows) = self.exceptions.get(&date) {
            return windows;
        }
        match &self.holidays {
            Some(windows) if HOLIDAYS.contains(&(date.month(), date.day())) => windows,
            _ => &self.week[usize::from(date.weekday().to_monday_zero_offset().unsigned_abs())],
        }
    }
}

/// A minute of a date. One that a clock change leaves out is the first one after it.
fn moment(date: Date, minute: u16, zone: &TimeZone) -> Option<Timestamp> {
    let date = if minute >= DAY { date.tomorrow().ok()? } else { date };
    let minute = minute % DAY;
    let time = date.at(i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?, 0, 0);
    Some(time.to_zoned(zone.clone()).ok()?.timestamp())
}

/// `9`, `9:30`, `24:00`.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':').unwrap_or((text.trim(), "0"));
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let whole = hour.checked_mul(60)?.checked_add(minute)?;
    (minute < 60 && whole <= DAY).then_some(whole)
}

/// `mon`, `mon-fri`, `sat+sun`, `daily`: days of the week, Monday is 0.
fn weekdays(text: &str) -> Option<Vec<usize>> {
    const NAMES: [(&str, &str); 7] = [
        ("mon", "пн"),
        ("tue", "вт"),
        ("wed", "ср"),
        ("thu", "чт"),
        ("fri", "пт"),
        ("sat", "сб"),
        ("sun", "вс"),
    ];
    let text = text.to_lowercase();
    if text == "daily" || text == "ежедневно" {
        return Some((0..7).collect());
    }
    let day = |name: &str| NAMES.iter().position(|(english, russian)| *english == name || *russian == name);
    let mut days = Vec::new();
    for part in text.split('+') {
        match part.split_once(['-', '–']) {
            None => days.push(day(part)?),
            Some((first, last)) => {
                let (first, last) = (day(first)?, day(last)?);
                let count = (last + 7 - first) % 7;
                days.extend((0..=count).map(|step| (first + step) % 7));
            }
        }
    }
    days.sort_unstable();
    days.dedup();
    Some(days)
}

/// The Russian name of a day, for sentences.
pub fn weekday_name(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "понедельник",
        Weekday::Tuesday => "вторник",
        Weekday::Wednesday => "среда",
        Weekday::Thursday => "четверг",
        Weekday::Friday => "пятница",
        Weekday::Saturday => "суббота",
        Weekday::Sunday => "воскресенье",
    }
}

#[cfg(test)]
mod tests;
