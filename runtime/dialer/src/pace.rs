//! The pace of projects whose operators cannot keep up: a run tells how many lines the queue leaves it, and whoever asks why
//! a lead is not dialled yet is told.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use zvonar_model::{ProjectId, TenantId};

/// What the queue of callers leaves a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The attempts that it may have in progress.
    pub lines: u32,
    /// Its callers who wait for an operator.
    pub waiting: u32,
}

/// The projects of a host that dial fewer lines than they have.
#[derive(Debug, Default)]
pub struct Paces(Mutex<BTreeMap<(TenantId, ProjectId), Pace>>);

impl Paces {
    /// What the queue leaves this project; `None`: all its lines.
    pub fn of(&self, tenant: &TenantId, project: &ProjectId) -> Option<Pace> {
        let paces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        paces.get(&(tenant.clone(), project.clone())).copied()
    }

    pub(crate) fn set(&self, tenant: &TenantId, project: &ProjectId, pace: Option<Pace>) {
        let mut paces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (tenant.clone(), project.clone());
        match pace {
            Some(pace) => drop(paces.insert(key, pace)),
            None => drop(paces.remove(&key)),
        }
    }
}
