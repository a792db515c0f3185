//! The records of a host over HTTP, at whatever hour a test runs: the interface gives a day at a time, and days begin at
//! Moscow's midnight.

use std::net::SocketAddr;

use serde_json::Value;

use crate::{
    clock,
    http::{Token, ask},
};

/// Moscow's clock is three hours ahead all year.
const MOSCOW_MS: u64 = 3 * 3_600_000;
const DAY_MS: u64 = 24 * 3_600_000;

/// All days of a test, from its start on.
#[derive(Debug, Clone)]
pub struct Days {
    /// Counted from 1970 in Moscow.
    first: u64,
}

impl Days {
    /// From this moment on.
    pub fn from_now() -> Self {
        Self { first: number(clock::unix_millis()) }
    }

    /// The records of all attempts that have ended since, in the order in which they did.
    ///
    /// # Panics
    ///
    /// If the host does not give them.
    pub fn attempts(&self, address: SocketAddr, token: &Token) -> Vec<Value> {
        let days = self.first..=number(clock::unix_millis());
        days.flat_map(|day| {
            let path = format!("/v1/attempts?day={}", date(day));
            let answer = ask(address, token, "GET", &path, b"").expect("the host answers");
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
            let lines = answer.body.lines().map(|line| serde_json::from_str(line).expect("a record is JSON"));
            lines.collect::<Vec<Value>>()
        })
        .collect()
    }
}

/// The day of a record, `2026-03-02`: the one on which the attempt began.
///
/// # Panics
///
/// If it is no record.
pub fn day_of(record: &Value) -> String {
    date(number(record["started_at"].as_u64().expect("a record says when it began")))
}

/// Which day it is in Moscow.
fn number(unix_millis: u64) -> u64 {
    (unix_millis + MOSCOW_MS) / DAY_MS
}

/// The Gregorian date of a day, counted from 1970.
fn date(mut day: u64) -> String {
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}", day + 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_day_begins_at_midnight_in_moscow() {
        for (started_at, day) in [
            (0, "1970-01-01"),
            (951_857_999_999_u64, "2000-02-29"),
            (951_858_000_000, "2000-03-01"),
            (1_772_398_799_999, "2026-03-01"),
            (1_772_398_800_000, "2026-03-02"),
            (1_798_750_799_999, "2026-12-31"),
            (1_798_750_800_000, "2027-01-01"),
            (1_835_470_800_000, "2028-03-01"),
        ] {
            assert_eq!(day_of(&json!({ "started_at": started_at })), day);
        }
    }
}
