//! One run of the program dials a project at a time.
//!
//! A lease is a row that names the run and a moment; it is taken and kept by compare-and-set. Whoever holds it may begin
//! attempts until shortly before that moment; the moment is moved on only when an attempt is to begin, so a project that
//! waits for the morning costs nothing. It is no guard against calling twice, which the claims of leads are: it keeps two
//! hosts from racing for the same leads all day.

use std::time::Duration;

use zvonar_model::{ProjectId, UnixMillis};
use zvonar_store::{Commit, Write};

use crate::tables::{Epoch, LeaseRow, Read, TRIES, Tables, encode};
use crate::{DialerError, Result};

/// How long a project is held without a word of its holder.
pub(crate) const LEASE: Duration = Duration::from_secs(60);

/// With less than this left, it is renewed before the next attempt begins.
const ENOUGH: Duration = Duration::from_secs(30);

/// Whose a project is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// This run's: attempts may begin.
    Ours,
    /// Another run's, if it does not let go, until then.
    Theirs { until: UnixMillis },
}

/// A lease that this run of the program has or wants.
pub(crate) struct Lease {
    tables: Tables,
    project: ProjectId,
    epoch: Epoch,
    /// No other run can be alive: leases of others are those of the dead.
    alone: bool,
    held: Option<Read<LeaseRow>>,
}

impl Lease {
    pub(crate) fn new(tables: Tables, project: ProjectId, epoch: Epoch, alone: bool) -> Self {
        Self { tables, project, epoch, alone, held: None }
    }

    /// Makes sure that the lease is held for a while, if it is to be had.
    pub(crate) async fn hold(&mut self, now: UnixMillis) -> Result<Whose> {
        // Not longer than a lease is, either: then the clock was set back, and the others should see it.
        let enough = |row: &LeaseRow| now.plus(ENOUGH) <= row.until && row.until <= now.plus(LEASE);
        if self.held.as_ref().is_some_and(|held| enough(&held.row)) {
            return Ok(Whose::Ours);
        }
        let key = self.tables.keys.lease(&self.project);
        let row = LeaseRow { epoch: self.epoch, until: now.plus(LEASE) };
        for _ in 0..TRIES {
            let stored = match self.held.take() {
                Some(held) => Some(held),
                None => self.tables.get::<LeaseRow>(&key).await?,
            };
            let write = match stored {
                Some(read) if self.is_theirs(&read.row, now) => {
                    return Ok(Whose::Theirs { until: read.row.until });
                }
                Some(read) => Write::replace(key.clone(), read.revision, encode(&row)),
                None => Write::create(key.clone(), encode(&row)),
            };
            if let Commit::Done(revisions) = self.tables.commit(vec![write], 0).await? {
                self.held = Some(Read { row, revision: revisions[0] });
                return Ok(Whose::Ours);
            }
        }
        Err(DialerError::Contended(key))
    }

    fn is_theirs(&self, row: &LeaseRow, now: UnixMillis) -> bool {
        // A lease that is longer than any is was written before a clock was set back, and would hold for hours.
        let holds = now < row.until && row.until <= now.plus(2 * LEASE);
        row.epoch != self.epoch && !self.alone && holds
    }

    /// Lets go, so that another run need not wait. What fails here runs out by itself.
    pub(crate) async fn release(&mut self) {
        if let Some(held) = self.held.take() {
            let write = Write::delete(self.tables.keys.lease(&self.project), held.revision);
            let _ = self.tables.store.commit(self.tables.keys.shard(), vec![write]).await;
        }
    }
}
