//! When a lead may be called: windows of the week in the lead's own time, with exceptions by date.
//!
//! A lead of a region that spans zones is called only when all of them agree. Time comes in as an argument; zones come
//! from the tz database, never from the server's clock.
//!
//! Public holidays are those of the Labour Code, the same every year; what the government moves each year (a workday
//! for a Saturday) is written into the schedule as an exception, since it is known for a year ahead at most.

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
    /// A date that cannot be read, or what is to hold on it.
    #[error(
        "`{0}` is no exception: write a date or `holidays` and what holds then, as `2026-12-31 off`, `2027-01-09 10-16`, \
         `2026-11-01 workday`, `2026-05-11 holiday`, `holidays 10-16`"
    )]
    Exception(String),
    /// The hours of a date go over its midnight.
    #[error("`{0}` goes over midnight: the hours of a date end at 24:00, write the rest with the next date")]
    OverMidnight(String),
    /// A preset behind something else.
    #[error("`{0}` must stand first: what follows it are its exceptions")]
    PresetFirst(String),
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
        Self::parse(text)
    }

    /// Reads `mon-fri 9:00-21:00, sat 10-18; sun 22:00-2:00`. A window over midnight goes on in the next day.
    ///
    /// A preset's name may stand first. Exceptions may stand anywhere behind: `2026-12-31 off` (nobody is called),
    /// `2027-01-09 10-16` (these hours instead; several for one date add up), `2026-11-01 workday` and
    /// `2026-05-11 holiday` (as on a Monday, as on a public holiday), `holidays off` or `holidays 10-16` (what holds on
    /// public holidays; without it they are days like any other, but for `fz230`, where they are as weekends).
    ///
    /// # Errors
    /// The part that cannot be read, or that there is no window.
    pub fn parse(text: &str) -> Result<Self, ScheduleFault> {
        let mut schedule = Self::default();
        let mut parts = text.split([',', ';']).map(str::trim).filter(|part| !part.is_empty()).peekable();
        if let Some(preset) = parts.peek().copied().and_then(Self::preset) {
            (schedule, _) = (preset, parts.next());
        }
        let (mut days, mut holidays) = (Vec::new(), None::<Vec<Window>>);
        for part in parts {
            if Self::preset(part).is_some() {
                return Err(ScheduleFault::PresetFirst(part.to_owned()));
            }
            let (what, hours) = part
                .split_once(char::is_whitespace)
                .map(|(what, hours)| (what, hours.trim()))
                .ok_or_else(|| ScheduleFault::Unreadable(part.to_owned()))?;
            match what.to_lowercase().as_str() {
                "holidays" | "праздники" => {
                    let fresh = exception(hours, part)?;
                    holidays.get_or_insert_default().extend(fresh);
                }
                date if date.starts_with(|c: char| c.is_ascii_digit()) => {
                    let date: Date = date.parse().map_err(|_| ScheduleFault::Exception(part.to_owned()))?;
                    match hours.to_lowercase().as_str() {
                        "workday" | "рабочий" => days.push((date, true)),
                        "holiday" | "праздник" => days.push((date, false)),
                        hours => {
                            let fresh = exception(hours, part)?;
                            schedule.exceptions.entry(date).or_default().extend(fresh);
                        }
                    }
                }
                _ => schedule.add_weekly(what, hours, part)?,
            }
        }
        // What is written goes before what the preset has.
        schedule.holidays = holidays.or(schedule.holidays);
        let lists =
            schedule.week.iter_mut().chain(&mut schedule.holidays).chain(schedule.exceptions.values_mut());
        lists.for_each(|windows| windows.sort());
        // As on other days, so only once those are known.
        for (date, workday) in days {
            let day = if workday {
                &schedule.week[0]
            } else {
                schedule.holidays.as_ref().unwrap_or(&schedule.week[6])
            };
            schedule.exceptions.insert(date, day.clone());
        }
        if schedule.week.iter().chain(schedule.exceptions.values()).all(Vec::is_empty) {
            return Err(ScheduleFault::NoWindow);
        }
        Ok(schedule)
    }

    fn preset(name: &str) -> Option<Self> {
        match name {
            "any" => Some(Self::always()),
            "ru-default" => Some(Self::ru_default()),
            "fz230" => Some(Self::fz230()),
            _ => None,
        }
    }

    fn add_weekly(&mut self, days: &str, hours: &str, part: &str) -> Result<(), ScheduleFault> {
        let unreadable = || ScheduleFault::Unreadable(part.to_owned());
        let Window { from, to } = window(hours).ok_or_else(unreadable)?;
        for day in weekdays(days).ok_or_else(unreadable)? {
            if from < to {
                self.week[day].push(Window { from, to });
            } else {
                self.week[day].push(Window { from, to: DAY });
                if to > 0 {
                    self.week[(day + 1) % 7].push(Window { from: 0, to });
                }
            }
        }
        Ok(())
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
        Self::all_calling(&[self], now, zones)
    }

    /// Whether somebody who lives in any of these zones may be called at this moment by all of these schedules. Without
    /// a zone or a schedule nobody may.
    pub fn all_calling(schedules: &[&Self], now: UnixMillis, zones: &[TimeZone]) -> Calling {
        let nobody = zones.is_empty() || schedules.is_empty();
        let Some(mut at) = Timestamp::from_millisecond(now.0).ok().filter(|_| !nobody) else {
            return Calling::Closed { opens: None };
        };
        let start = at;
        // Each round moves to the next moment at which one more of them agrees; a year has few windows.
        for _ in 0..DAYS_AHEAD * 8 {
            let mut until: Option<Timestamp> = None;
            let mut latest = at;
            for (schedule, zone) in
                schedules.iter().flat_map(|schedule| zones.iter().map(move |zone| (schedule, zone)))
            {
                let Some((opens, closes)) = schedule.next_window(at, zone) else {
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
    let zoned = time.to_zoned(zone.clone()).ok()?;
    if zoned.datetime() == time {
        return Some(zoned.timestamp());
    }
    let after = zoned.timestamp().checked_add(1.second()).ok()?;
    Some(zone.preceding(after).next()?.timestamp())
}

/// What holds on an exceptional day: `off`, or hours.
fn exception(hours: &str, part: &str) -> Result<Option<Window>, ScheduleFault> {
    if matches!(hours.to_lowercase().as_str(), "off" | "выходной") {
        return Ok(None);
    }
    match window(hours) {
        None => Err(ScheduleFault::Exception(part.to_owned())),
        Some(Window { from, to }) if from < to => Ok(Some(Window { from, to })),
        Some(_) => Err(ScheduleFault::OverMidnight(part.to_owned())),
    }
}

/// `9-21`, `9:30–18:00`; `from` after `to` is a window over midnight. None is empty, none begins at the day's end.
fn window(hours: &str) -> Option<Window> {
    let (from, to) = hours.trim().split_once(['-', '–'])?;
    let (from, to) = (minute(from)?, minute(to)?);
    (from != to && from != DAY).then_some(Window { from, to })
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
