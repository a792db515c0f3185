//! How often one person may be called, by all projects of a tenant together.
//!
//! Days, weeks (from Monday) and months are those of the calendar where the person lives; where that may be several
//! zones, a call counts in the period of each. An attempt that was started counts, whatever came of it: the phone may
//! have rung.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use zvonar_model::UnixMillis;

/// The most starts that are kept of one number; no cap may be higher.
pub const MAX_STARTS: usize = 256;

/// How long a start is kept: the longest month, and a day for zones on either side of Greenwich.
const KEPT: Duration = Duration::from_secs(32 * 24 * 3600);

/// The most calls to one number in a period. `None`: as many as the projects' own rules allow; 0 counts as 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Caps {
    /// In a day.
    pub day: Option<u32>,
    /// In a week, Monday to Sunday.
    pub week: Option<u32>,
    /// In a month.
    pub month: Option<u32>,
}

/// A part of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// Midnight to midnight.
    Day,
    /// Monday to Sunday.
    Week,
    /// The first to the last.
    Month,
}

/// Nobody calls this number before that moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capped {
    /// The cap that lets go last.
    pub period: Period,
    /// How many calls it allows.
    pub limit: u32,
    /// The first moment of the next period.
    pub until: UnixMillis,
}

impl Period {
    const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    /// The name in sentences.
    pub fn title(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The first moment of the period that holds this one, and that of the next.
    fn around(self, at: Timestamp, zone: &TimeZone) -> Option<(UnixMillis, UnixMillis)> {
        let date = at.to_zoned(zone.clone()).date();
        let (first, next) = match self {
            Self::Day => (date, date.tomorrow().ok()?),
            Self::Week => {
                let monday =
                    date.checked_sub(i32::from(date.weekday().to_monday_zero_offset()).days()).ok()?;
                (monday, monday.checked_add(7.days()).ok()?)
            }
            Self::Month => (date.first_of_month(), date.last_of_month().tomorrow().ok()?),
        };
        let moment =
            |date: Date| Some(UnixMillis(date.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond()));
        Some((moment(first)?, moment(next)?))
    }
}

impl Caps {
    /// What 230-ФЗ allows for debts: a call a day, two a week, eight a month.
    pub const FZ230: Self = Self { day: Some(1), week: Some(2), month: Some(8) };

    /// What 230-ФЗ allows for messages about debts: two a day, four a week, sixteen a month.
    pub const FZ230_TEXTS: Self = Self { day: Some(2), week: Some(4), month: Some(16) };

    /// The stricter of both, period by period.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let stricter = |one: Option<u32>, other: Option<u32>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self {
            day: stricter(self.day, other.day),
            week: stricter(self.week, other.week),
            month: stricter(self.month, other.month),
        }
    }

    /// Whether there is no cap at all.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    fn of(&self, period: Period) -> Option<u32> {
        let limit = match period {
            Period::Day => self.day,
            Period::Week => self.week,
            Period::Month => self.month,
        };
        limit.map(|limit| limit.max(1))
    }

    /// Whether these calls leave no room for one more now, and when there is room again.
    pub fn hold(&self, starts: &[UnixMillis], zones: &[TimeZone], now: UnixMillis) -> Option<Capped> {
        let mut held = None;
        let mut at = now;
        // Each round moves on to a later period, and no period begins after the last start for ever.
        'again: loop {
            let moment = Timestamp::from_millisecond(at.0).ok()?;
            for (period, zone) in
                Period::ALL.iter().flat_map(|period| zones.iter().map(move |zone| (*period, zone)))
            {
                let Some(limit) = self.of(period) else { continue };
                let (first, next) = period.around(moment, zone)?;
                let calls = starts.iter().filter(|start| (first..next).contains(start)).count();
                if calls >= limit as usize {
                    held = Some(Capped { period, limit, until: next });
                    at = next;
                    continue 'again;
                }
            }
            return held;
        }
    }
}

/// The starts to keep of a number that is called now.
#[must_use]
pub fn with_start(starts: &[UnixMillis], now: UnixMillis) -> Vec<UnixMillis> {
    let oldest = UnixMillis(now.0.saturating_sub(KEPT.as_millis() as i64));
    let mut kept: Vec<UnixMillis> = starts.iter().copied().filter(|start| *start >= oldest).collect();
    kept.push(now);
    let surplus = kept.len().saturating_sub(MAX_STARTS);
    kept.drain(..surplus);
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> UnixMillis {
        UnixMillis(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    /// `period until`, in UTC; `free`.
    fn told(caps: Caps, starts: &[&str], zones: &[&str], now: &str) -> String {
        let starts: Vec<UnixMillis> = starts.iter().map(|start| at(start)).collect();
        let zones: Vec<TimeZone> = zones.iter().map(|name| zone(name)).collect();
        match caps.hold(&starts, &zones, at(now)) {
            None => "free".into(),
            Some(held) => format!(
                "{} {} until {}",
                held.limit,
                held.period.title(),
                Timestamp::from_millisecond(held.until.0).unwrap()
            ),
        }
    }

    #[test]
    fn a_person_is_called_so_often_a_day_a_week_and_a_month_where_they_live() {
        let debts = Caps::FZ230;
        let three = Caps { day: Some(3), ..Caps::default() };
        const MSK: &[&str] = &["Europe/Moscow"];
        for (caps, starts, zones, now, expected) in [
            (debts, &[][..], MSK, "2026-03-02T10:00:00Z", "free"),
            // Monday, 2 March: once a day, until midnight in Moscow.
            (
                debts,
                &["2026-03-02T09:00:00Z"],
                MSK,
                "2026-03-02T10:00:00Z",
                "1 day until 2026-03-02T21:00:00Z",
            ),
            (debts, &["2026-03-02T09:00:00Z"], MSK, "2026-03-02T21:00:00Z", "free"),
            // Yesterday in Moscow, today in Omsk.
            (debts, &["2026-03-01T20:00:00Z"], MSK, "2026-03-02T10:00:00Z", "free"),
            (
                debts,
                &["2026-03-01T20:00:00Z"],
                &["Asia/Omsk"],
                "2026-03-02T10:00:00Z",
                "1 day until 2026-03-02T18:00:00Z",
            ),
            // Two in a week: nothing before Monday.
            (
                debts,
                &["2026-03-02T09:00:00Z", "2026-03-03T09:00:00Z"],
                MSK,
                "2026-03-03T10:00:00Z",
                "2 week until 2026-03-08T21:00:00Z",
            ),
            (debts, &["2026-03-01T09:00:00Z", "2026-03-03T09:00:00Z"], MSK, "2026-03-04T10:00:00Z", "free"),
            // Several zones: the last one to let go.
            (
                debts,
                &["2026-03-02T09:00:00Z"],
                &["Asia/Irkutsk", "Asia/Yakutsk"],
                "2026-03-02T10:00:00Z",
                "1 day until 2026-03-02T16:00:00Z",
            ),
            (three, &["2026-03-02T09:00:00Z", "2026-03-02T09:00:00Z"], MSK, "2026-03-02T10:00:00Z", "free"),
            (
                three,
                &["2026-03-02T09:00:00Z", "2026-03-02T09:00:01Z", "2026-03-02T09:00:02Z"],
                MSK,
                "2026-03-02T10:00:00Z",
                "3 day until 2026-03-02T21:00:00Z",
            ),
            (Caps::default(), &["2026-03-02T09:00:00Z"], MSK, "2026-03-02T09:00:00Z", "free"),
            (
                Caps { month: Some(0), ..Caps::default() },
                &["2026-03-02T09:00:00Z"],
                MSK,
                "2026-03-30T09:00:00Z",
                "1 month until 2026-03-31T21:00:00Z",
            ),
        ] {
            assert_eq!(told(caps, starts, zones, now), expected, "{caps:?} {starts:?} {zones:?} {now}");
        }
        let eight: Vec<String> =
            [2, 3, 9, 10, 16, 17, 23, 24].map(|day| format!("2026-03-{day:02}T09:00:00Z")).into();
        let eight: Vec<&str> = eight.iter().map(String::as_str).collect();
        assert_eq!(told(debts, &eight, MSK, "2026-03-30T09:00:00Z"), "8 month until 2026-03-31T21:00:00Z");
        let caps = debts.and(Caps { day: Some(5), week: Some(1), month: None });
        assert_eq!(caps, Caps { day: Some(1), week: Some(1), month: Some(8) });
    }

    #[test]
    fn starts_are_kept_for_a_month_and_never_without_bound() {
        let day = Duration::from_secs(24 * 3600);
        let mut starts = Vec::new();
        let mut now = at("2026-01-01T00:00:00Z");
        for _ in 0..100 {
            starts = with_start(&starts, now);
            now = now.plus(day);
        }
        assert_eq!(starts.len(), 33, "the longest month and a day on either side");
        for _ in 0..1_000 {
            starts = with_start(&starts, now);
        }
        assert_eq!(starts.len(), MAX_STARTS);
        // A clock that was set back loses nothing.
        let back = with_start(&starts, at("2026-01-01T00:00:00Z"));
        assert_eq!(back.len(), MAX_STARTS);
    }

    proptest! {
        /// The second model counts by formatted dates and tries every midnight.
        #[test]
        fn what_is_held_is_free_at_its_end_and_not_a_second_sooner(
            hours in prop::collection::vec(0i64..24 * 40, 0..60),
            now in 24 * 40i64..24 * 45,
            (day, week, month) in (prop::option::of(1u32..4), prop::option::of(1u32..8), prop::option::of(1u32..20)),
            zones in prop::sample::subsequence(vec!["Europe/Kaliningrad", "Europe/Moscow", "Asia/Yakutsk", "Asia/Kamchatka"], 1..=3),
        ) {
            let zero = at("2026-02-10T00:30:00Z").0;
            let hour = |hours: i64| UnixMillis(zero + hours * 3_600_000);
            let starts: Vec<UnixMillis> = hours.into_iter().map(hour).collect();
            let zones: Vec<TimeZone> = zones.iter().map(|name| zone(name)).collect();
            let caps = Caps { day, week, month };
            let key = |at: UnixMillis, zone: &TimeZone| {
                let date = Timestamp::from_millisecond(at.0).unwrap().to_zoned(zone.clone()).date();
                [date.to_string(), format!("{:?}", date.iso_week_date().first_of_week()), date.strftime("%Y-%m").to_string()]
            };
            let free = |at: UnixMillis| zones.iter().all(|zone| {
                [day, week, month].iter().enumerate().all(|(which, limit)| {
                    let same = starts.iter().filter(|start| key(**start, zone)[which] == key(at, zone)[which]).count();
                    limit.is_none_or(|limit| same < limit as usize)
                })
            });
            let mut first = hour(now);
            let held = caps.hold(&starts, &zones, first);
            prop_assert_eq!(held.is_none(), free(first));
            if let Some(held) = held {
                // Midnights are at half past in this count of hours.
                first = UnixMillis(first.0 - first.0.rem_euclid(1_800_000));
                while !free(first) {
                    first = UnixMillis(first.0 + 1_800_000);
                }
                prop_assert_eq!(held.until, first);
            }
        }
    }
}
