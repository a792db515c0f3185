//! The only reader of time. Everything below the switch is told what time it is.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use zvonar_model::UnixMillis;

/// Now, for measuring.
#[expect(clippy::disallowed_methods, reason = "this is the clock that everyone else asks")]
pub fn now() -> Instant {
    Instant::now()
}

/// Now, for saying when something was. A clock set before 1970 says 1970.
#[expect(clippy::disallowed_methods, reason = "this is the clock that everyone else asks")]
pub fn wall() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
