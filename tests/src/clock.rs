//! The one place of this crate that reads the time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Monotonic time: measures how long real processes and real calls take.
#[expect(clippy::disallowed_methods, reason = "real processes are waited for in real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since 1970: names what must differ from one run to the next.
#[expect(clippy::disallowed_methods, reason = "names of a run come from the wall clock")]
pub fn unix_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

/// Asks `ready` every 20 ms, for `limit` at most; whether it said yes in time.
pub fn within(limit: Duration, mut ready: impl FnMut() -> bool) -> bool {
    let until = now() + limit;
    loop {
        if ready() {
            return true;
        }
        if now() >= until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
