//! Typed tables over the store: what is stored where, for one tenant at a time.

mod keys;
mod releases;
mod rows;
mod stats;
mod steps;

use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zvonar_ledger::PriceList;
use zvonar_model::{LeadId, ProjectId, TenantId};
use zvonar_store::{Commit, Cursor, Item, Key, SharedStore, Write, commit_surely};

pub use keys::TenantKeys;
pub use releases::{Deployment, Release, Withdrawn};
pub use rows::{BalanceRow, Blocked, DialRules, Edit, Epoch, Intent, Lead, Project, Stage};
pub(crate) use rows::{ConsentRow, Glance, LeaseRow, PaidRow, Payment, PersonRow, Quota, Row};
pub(crate) use stats::{Fill, MAX_RESULT, OTHER_RESULTS, StatCursor, StatRow};
pub use stats::{Scope, StatusCounts, Tally, TextTally};
pub use steps::{AttemptStep, Standing, StateStep, Step};

use crate::{DialerError, Policy, Result};

/// How many items are read at once.
const PAGE: usize = 500;

/// How often a change is tried again when others change the same thing.
pub(crate) const TRIES: usize = 32;

/// All that one tenant has stored. Cheap to clone.
#[derive(Clone)]
pub struct Tables {
    pub(crate) store: SharedStore,
    pub(crate) prices: Arc<PriceList>,
    pub(crate) tenant: TenantId,
    pub(crate) keys: TenantKeys,
    pub(crate) policy: Policy,
}

/// Something read, with the revision that a change of it expects.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Read<T> {
    pub(crate) row: T,
    pub(crate) revision: u64,
}

/// A row as it is written: its version first, so that a newer one is recognised before it is read.
#[derive(Serialize)]
struct Envelope<'a, T> {
    v: u16,
    row: &'a T,
}

#[derive(Deserialize)]
struct Opened<T> {
    v: u16,
    row: T,
}

#[derive(Deserialize)]
struct Version {
    v: u16,
}

/// Most rows are shorter than this.
const USUAL_ROW: usize = 1000;

pub(crate) fn encode<T: Row>(row: &T) -> Bytes {
    let mut text = Vec::with_capacity(USUAL_ROW);
    serde_json::to_writer(&mut text, &Envelope { v: T::VERSION, row })
        .expect("rows have text keys and no failing parts");
    // Rows are kept for long: exactly as long as they are.
    Bytes::copy_from_slice(&text)
}

pub(crate) fn decode<T: Row>(item: &Item) -> Result<Read<T>> {
    let (row, revision) = (open(item, T::VERSION)?, item.revision);
    Ok(Read { row, revision })
}

/// A row, or a part of it, of at most this version.
fn open<T: DeserializeOwned>(item: &Item, known: u16) -> Result<T> {
    let newer = |v| DialerError::Newer { key: item.key.clone(), found: v, known };
    match serde_json::from_slice::<Opened<T>>(&item.value) {
        Ok(Opened { v, row }) if v <= known => Ok(row),
        Ok(Opened { v, .. }) => Err(newer(v)),
        // A row of a newer program need not have this one's shape.
        Err(error) => Err(match serde_json::from_slice(&item.value) {
            Ok(Version { v }) if v > known => newer(v),
            _ => DialerError::Unreadable { key: item.key.clone(), what: error.to_string() },
        }),
    }
}

/// The lead that an item is of.
pub(crate) fn named(item: &Item) -> Result<LeadId> {
    // Ids are in keys as they are.
    LeadId::new(item.key.last())
        .map_err(|error| DialerError::Unreadable { key: item.key.clone(), what: error.to_string() })
}

impl Tables {
    /// The tables of one tenant.
    pub fn new(store: SharedStore, prices: Arc<PriceList>, tenant: TenantId) -> Self {
        let keys = TenantKeys::new(&tenant);
        Self { store, prices, tenant, keys, policy: Policy::default() }
    }

    /// The same under another policy: what is known of numbers, and what holds for all of the tenant's projects.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Whose they are.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    pub(crate) async fn get<T: Row>(&self, key: &Key) -> Result<Option<Read<T>>> {
        self.store.get(self.keys.shard(), key).await?.as_ref().map(decode).transpose()
    }

    /// Sends a commit until its outcome is known. See [`commit_surely`] for the witness.
    pub(crate) async fn commit(&self, writes: Vec<Write>, witness: usize) -> Result<Commit> {
        Ok(commit_surely(&*self.store, self.keys.shard(), writes, witness).await?)
    }

    /// A page of a table. `None` for the cursor that comes back: it was the last.
    pub(crate) async fn page<T: Row>(
        &self,
        prefix: &Key,
        after: Cursor,
    ) -> Result<(Vec<Read<T>>, Option<Cursor>)> {
        let page = self.store.scan(self.keys.shard(), prefix, after, PAGE).await?;
        let rows = page.items.iter().map(decode).collect::<Result<_>>()?;
        Ok((rows, page.next))
    }

    /// Shows every row of a table with the last part of its key, a page in memory at a time.
    pub(crate) async fn each_keyed<T: Row>(
        &self,
        prefix: &Key,
        mut show: impl FnMut(&str, Read<T>),
    ) -> Result<()> {
        let mut after = Some(Cursor::start());
        while let Some(cursor) = after {
            let page = self.store.scan(self.keys.shard(), prefix, cursor, PAGE).await?;
            for item in &page.items {
                show(item.key.last(), decode(item)?);
            }
            after = page.next;
        }
        Ok(())
    }

    /// Shows every lead of a project, as far as a [`Glance`] goes, and what it was of.
    pub(crate) async fn glance(
        &self,
        project: &ProjectId,
        mut show: impl FnMut(Glance, &Item) -> Result<()>,
    ) -> Result<()> {
        let leads = self.keys.leads(project);
        let mut after = Some(Cursor::start());
        while let Some(cursor) = after {
            let page = self.store.scan(self.keys.shard(), &leads, cursor, PAGE).await?;
            for item in &page.items {
                show(open(item, Lead::VERSION)?, item)?;
            }
            after = page.next;
        }
        Ok(())
    }

    /// Shows every row of a table, a page in memory at a time.
    pub(crate) async fn each<T: Row>(&self, prefix: &Key, mut show: impl FnMut(Read<T>)) -> Result<()> {
        let mut after = Some(Cursor::start());
        while let Some(cursor) = after {
            let (rows, next) = self.page(prefix, cursor).await?;
            rows.into_iter().for_each(&mut show);
            after = next;
        }
        Ok(())
    }
}
