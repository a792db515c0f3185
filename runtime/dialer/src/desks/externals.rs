//! How many calls to external numbers a tenant's callers have at a time, and in an hour: whoever gets at a scenario shall not
//! telephone at the tenant's expense without end.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use zvonar_model::UnixMillis;

use super::{TransferRules, lock};
use crate::purse::Held;

const HOUR: Duration = Duration::from_secs(3600);

/// One tenant's.
#[derive(Debug, Clone)]
pub(crate) struct Externals {
    state: Arc<Mutex<State>>,
    at_once: u32,
    per_hour: u32,
}

#[derive(Debug, Default)]
struct State {
    now: u32,
    /// When each of the last hour began, oldest first; at most as many as an hour may have.
    begun: VecDeque<UnixMillis>,
}

/// A call to an external number; one of those that may be is free again when it is dropped.
#[derive(Debug)]
pub struct ExternalCall {
    state: Arc<Mutex<State>>,
    /// What the beginning of the talk costs, where that is held beforehand.
    pub(crate) held: Option<Held>,
}

impl Externals {
    pub(crate) fn new(rules: &TransferRules) -> Self {
        Self { state: Arc::default(), at_once: rules.at_once, per_hour: rules.per_hour }
    }

    /// One more, or a sentence why not.
    pub(crate) fn take(&self, now: UnixMillis) -> Result<ExternalCall, String> {
        let mut state = lock(&self.state);
        while state.begun.front().is_some_and(|begun| begun.plus(HOUR) <= now) {
            state.begun.pop_front();
        }
        if state.now >= self.at_once {
            return Err(format!(
                "{} calls of this tenant are handed to external numbers already: raise `transfers_at_once` in its \
                 [tenant.desk]",
                self.at_once
            ));
        }
        if state.begun.len() >= self.per_hour as usize {
            return Err(format!(
                "{} calls of this tenant were handed to external numbers within an hour: raise `transfers_per_hour` in \
                 its [tenant.desk]",
                self.per_hour
            ));
        }
        state.now += 1;
        state.begun.push_back(now);
        Ok(ExternalCall { state: Arc::clone(&self.state), held: None })
    }
}

impl Drop for ExternalCall {
    fn drop(&mut self) {
        lock(&self.state).now -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_to_external_numbers_are_bounded_at_a_time_and_in_an_hour() {
        let externals =
            Externals::new(&TransferRules { at_once: 2, per_hour: 3, ..TransferRules::default() });
        let at = |seconds: i64| UnixMillis(seconds * 1_000);
        let first = externals.take(at(0)).unwrap();
        let _second = externals.take(at(1)).unwrap();
        assert!(externals.take(at(2)).unwrap_err().starts_with("2 calls of this tenant are handed"));
        drop(first);
        let third = externals.take(at(3)).unwrap();
        drop(third);
        assert!(externals.take(at(4)).unwrap_err().starts_with("3 calls of this tenant were handed"));
        assert!(externals.take(at(3_600)).is_ok(), "the first is an hour ago");
    }
}
