//! The time of a session: measured on the host's clock, told in the lead's zone.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use zvonar_switch::clock;

pub(super) use crate::hours::ZONE_FIELD;
/// Where a lead without a zone of his own is taken to live.
const DEFAULT_ZONE: &str = "Europe/Moscow";

/// A session's clock.
pub(super) struct Clock {
    started: Instant,
    zone: TimeZone,
}

impl Clock {
    /// `started`: the session's zero. A zone that nobody knows counts as none.
    pub(super) fn new(started: Instant, zone: Option<&String>) -> Self {
        let named = zone.and_then(|name| TimeZone::get(name).ok());
        let zone = named.or_else(|| TimeZone::get(DEFAULT_ZONE).ok()).unwrap_or(TimeZone::UTC);
        Self { started, zone }
    }
}

impl zvonar_scenario::ports::Clock for Clock {
    fn elapsed(&self) -> Duration {
        clock::now().saturating_duration_since(self.started)
    }

    fn now(&self) -> String {
        let millis = Timestamp::from_millisecond(clock::wall().0).unwrap_or(Timestamp::UNIX_EPOCH);
        millis.to_zoned(self.zone.clone()).to_string()
    }
}
