//! A clock that stands still until somebody moves it: ten seconds of silence take no time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Zoned;
use jiff::tz::TimeZone;
use zvonar_model::UnixMillis;
use zvonar_scenario::ports::Clock;

/// When rehearsals take place unless they say otherwise: a Monday morning in Moscow.
pub const USUAL_NOW: &str = "2026-03-02T10:00:00+03:00[Europe/Moscow]";

/// The lead's field that names his zone, as on a real call.
pub(crate) const ZONE_FIELD: &str = "tz";

/// Virtual time. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct VirtualClock {
    /// Since the session began, in microseconds.
    micros: Arc<AtomicU64>,
    began: Arc<Zoned>,
}

impl VirtualClock {
    /// A clock that shows `began` at the session's zero.
    pub fn new(began: Zoned) -> Self {
        Self { micros: Arc::default(), began: Arc::new(began) }
    }

    /// Moves to a moment since the session began. It never goes back.
    pub fn move_to(&self, moment: Duration) {
        let micros = u64::try_from(moment.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_max(micros, Ordering::AcqRel);
    }

    /// The time that has passed since the session began.
    pub fn time(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::Acquire))
    }

    /// This moment for a record.
    pub fn unix(&self) -> UnixMillis {
        UnixMillis(self.began.timestamp().as_millisecond()).plus(self.time())
    }
}

impl Clock for VirtualClock {
    fn elapsed(&self) -> Duration {
        self.time()
    }

    fn now(&self) -> String {
        let passed = Duration::from_millis(u64::try_from(self.time().as_millis()).unwrap_or(u64::MAX));
        let now = self.began.checked_add(passed);
        now.as_ref().unwrap_or(&self.began).to_string()
    }
}

/// Reads the time of a rehearsal: `2026-03-02T10:00:00+03:00[Europe/Moscow]`. The error is a sentence.
pub fn read_now(text: &str) -> Result<Zoned, String> {
    text.parse::<Zoned>().map_err(|_| format!("`{text}` is no time with a zone; write it as {USUAL_NOW}"))
}

/// The usual time, in the zone of a lead who has one.
pub(crate) fn usual_now(zone: Option<&String>) -> Zoned {
    let usual: Zoned = USUAL_NOW.parse().expect("the constant is a time");
    match zone.and_then(|name| TimeZone::get(name).ok()) {
        // Ten in the morning where he lives.
        Some(zone) => usual.datetime().to_zoned(zone).unwrap_or(usual),
        None => usual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_moves_only_when_it_is_moved_and_tells_the_leads_time() {
        let clock = VirtualClock::new(usual_now(None));
        assert_eq!((clock.elapsed(), clock.now().as_str()), (Duration::ZERO, USUAL_NOW));
        clock.move_to(Duration::from_millis(61_500));
        clock.move_to(Duration::from_secs(1));
        assert_eq!(clock.elapsed(), Duration::from_millis(61_500));
        assert_eq!(clock.now(), "2026-03-02T10:01:01.5+03:00[Europe/Moscow]");
        assert_eq!(usual_now(Some(&"Asia/Omsk".into())).to_string(), "2026-03-02T10:00:00+06:00[Asia/Omsk]");
    }

    #[test]
    fn a_time_without_a_zone_is_refused_with_an_example() {
        assert!(read_now("2026-03-02T21:00:00+03:00[Europe/Moscow]").is_ok());
        for wrong in ["", "now", "2026-03-02 10:00", "2026-03-02T10:00:00+03:00"] {
            assert!(read_now(wrong).unwrap_err().contains(USUAL_NOW), "{wrong}");
        }
    }
}
