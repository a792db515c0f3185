//! What the host grants one tenant, so that a flood of his stops at himself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use zvonar_campaign::ACTIVE_PROJECTS;
use zvonar_model::UnixMillis;
use zvonar_scenario::Limits;

use crate::operators::USUAL_OPERATORS;

/// What one tenant may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// What each of his sessions may use.
    pub limits: Limits,
    /// Simultaneous calls with a scenario; `u32::MAX`: as many as the host has room for.
    pub calls: u32,
    /// Uploads that may wait for the one that is being compiled. More are refused.
    pub waiting_uploads: u32,
    /// Uploads a minute. As many may come at once.
    pub uploads_per_minute: u32,
    /// Versions of each scenario that are kept.
    pub versions: u32,
    /// Projects that are active at once. More are refused.
    pub active_projects: u32,
    /// Operators that he may have. More are refused.
    pub operators: u32,
}

impl Default for Grant {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            calls: u32::MAX,
            waiting_uploads: 4,
            uploads_per_minute: 30,
            versions: 100,
            active_projects: ACTIVE_PROJECTS,
            operators: USUAL_OPERATORS,
        }
    }
}

/// The calls that a tenant has at this moment.
#[derive(Debug, Clone)]
pub(crate) struct Calls {
    now: Arc<AtomicU32>,
    most: u32,
}

/// One of a tenant's calls; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicU32>);

impl Calls {
    pub(crate) fn new(most: u32) -> Self {
        Self { now: Arc::default(), most }
    }

    /// A place for one more; the error is a sentence.
    pub(crate) fn take(&self) -> Result<Place, String> {
        let more = |now: u32| (now < self.most).then_some(now + 1);
        match self.now.fetch_update(Ordering::AcqRel, Ordering::Acquire, more) {
            Ok(_) => Ok(Place(Arc::clone(&self.now))),
            Err(_) => Err(format!(
                "all {} calls of this tenant are taken: raise `calls` in its [tenant.limits], or dial fewer lines",
                self.most
            )),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// So many a minute, and as many at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bucket {
    per_minute: u32,
    left: f64,
    at: UnixMillis,
}

impl Bucket {
    pub(crate) fn full(per_minute: u32, now: UnixMillis) -> Self {
        Self { per_minute, left: f64::from(per_minute), at: now }
    }

    /// Takes one; the error is how long until there is one again.
    pub(crate) fn take(&mut self, now: UnixMillis) -> Result<(), Duration> {
        let per_ms = f64::from(self.per_minute) / 60_000.0;
        let passed = now.0.saturating_sub(self.at.0).max(0) as f64;
        self.left = (self.left + passed * per_ms).min(f64::from(self.per_minute));
        self.at = now;
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Ok(());
        }
        let ms = ((1.0 - self.left) / per_ms).min(60_000.0);
        Err(Duration::from_millis(ms.ceil() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_at_its_limit_of_calls_waits_for_its_own_and_nobody_elses() {
        let (one, other) = (Calls::new(2), Calls::new(2));
        let first = one.take().unwrap();
        let _second = one.take().unwrap();
        assert!(one.take().unwrap_err().starts_with("all 2 calls of this tenant are taken"));
        assert!(other.take().is_ok());
        drop(first);
        assert!(one.take().is_ok());
    }

    #[test]
    fn uploads_come_at_once_up_to_a_minutes_worth_and_then_evenly() {
        let mut bucket = Bucket::full(6, UnixMillis(0));
        for _ in 0..6 {
            assert_eq!(bucket.take(UnixMillis(0)), Ok(()));
        }
        assert_eq!(bucket.take(UnixMillis(0)), Err(Duration::from_secs(10)));
        assert_eq!(bucket.take(UnixMillis(4_000)), Err(Duration::from_secs(6)));
        assert_eq!(bucket.take(UnixMillis(10_001)), Ok(()));
        // A clock that is set back gives nothing and takes nothing.
        assert!(bucket.take(UnixMillis(5_000)).is_err());
        assert_eq!(bucket.take(UnixMillis(3_600_000)), Ok(()));
    }
}
