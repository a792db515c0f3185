//! A day of the reports: Moscow time, wherever the leads live and whatever the zone of a project.
//!
//! A project's zone may be edited; were days counted by it, folding the journal anew would give other rows than folding
//! it as it grew. Moscow has had one offset since 2014.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::{Date, date};
use jiff::{Span, ToSpan};
use serde::{Deserialize, Serialize};
use zvonar_ledger::Month;
use zvonar_model::UnixMillis;

/// From UTC to Moscow.
const OFFSET_MS: i64 = 3 * 3_600_000;
/// A day has no other length there.
const DAY_MS: i64 = 24 * 3_600_000;

/// A day, Moscow time. `Display` and `FromStr` are `2026-03-02`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(Date);

impl Day {
    /// The day of a moment.
    pub fn of(moment: UnixMillis) -> Self {
        let days = moment.0.saturating_add(OFFSET_MS).div_euclid(DAY_MS);
        let span = Span::new().try_days(days).ok();
        let day = span.and_then(|span| date(1970, 1, 1).checked_add(span).ok());
        // Times that far off come from no clock.
        Self(day.unwrap_or(if days < 0 { Date::MIN } else { Date::MAX }))
    }

    /// Its first moment.
    pub fn begin(self) -> UnixMillis {
        let days = (self.0 - date(1970, 1, 1)).get_days();
        UnixMillis(i64::from(days) * DAY_MS - OFFSET_MS)
    }

    /// The first moment after it.
    pub fn end(self) -> UnixMillis {
        self.begin().plus(Duration::from_millis(DAY_MS.unsigned_abs()))
    }

    /// Ten in the morning of the next one, in Moscow: nine in Kaliningrad, and evening in Kamchatka. What waits for the next
    /// day wakes nobody.
    pub(crate) fn next_morning(self) -> UnixMillis {
        self.end().plus(Duration::from_secs(10 * 3600))
    }

    /// The month that it is in.
    pub fn month(self) -> Month {
        Month { year: self.0.year(), month: self.0.month() }
    }

    /// The day after.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1.day()))
    }

    /// The day before.
    #[must_use]
    pub fn before(self) -> Self {
        Self(self.0.saturating_sub(1.day()))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Day {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("`{text}` is no day; one is 2026-03-02"))
    }
}

impl TryFrom<String> for Day {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_in_moscow() {
        let day: Day = "2026-03-02".parse().unwrap();
        // 2026-03-01T21:00:00Z.
        assert_eq!(day.begin(), UnixMillis(1_772_398_800_000));
        assert_eq!(Day::of(day.begin()), day);
        assert_eq!(Day::of(UnixMillis(day.begin().0 - 1)), day.before());
        assert_eq!(Day::of(day.end()), day.next());
        assert_eq!(Day::of(UnixMillis(day.end().0 - 1)), day);
        assert_eq!((day.to_string().as_str(), day.next().before()), ("2026-03-02", day));
    }

    #[test]
    fn times_beyond_any_calendar_have_a_day_all_the_same() {
        assert!(Day::of(UnixMillis(i64::MAX)) > Day::of(UnixMillis(0)));
        assert!(Day::of(UnixMillis(i64::MIN)) < Day::of(UnixMillis(-1)));
        assert!("2026-02-30".parse::<Day>().is_err());
    }
}
