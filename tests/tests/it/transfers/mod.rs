//! Callers are handed to operators with real telephones and to external numbers: what everybody hears, what becomes of the
//! call, and what it costs.

mod outcomes;
mod talks;

use std::time::Duration;

/// How long anything may take that is to happen now, on a machine that has other things to do.
const LIMIT: Duration = Duration::from_secs(30);
