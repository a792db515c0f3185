//! A store that fails on purpose, for the tests that stop the world after each durable write in turn.
//!
//! [`FaultStore`] stands for the connection of *one process* to a store that outlives it. A crash stops that process:
//! every call on this store, now and later, waits for ever, as calls of a dead process do; the test drops its tasks and
//! starts anew with another `FaultStore` over the same inner store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::stream::BoxStream;
use tokio::sync::watch;

use crate::{
    Commit, Cursor, Event, Item, Key, Page, Result, Sha256, Shard, SharedStore, Source, Store, StoreError,
    Write,
};

/// What happens to one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process dies before the commit is sent.
    CrashBefore,
    /// The process dies when the commit is durable, and never learns that it is.
    CrashAfter,
    /// The commit is lost on its way; the process is told that the outcome is unknown.
    LostBefore,
    /// The commit is durable; the process is told that the outcome is unknown.
    LostAfter,
}

/// A store with faults planned for its commits, by their number (the first is 1).
pub struct FaultStore {
    inner: SharedStore,
    plan: Mutex<Plan>,
    dead: watch::Sender<bool>,
}

struct Plan {
    sent: u64,
    faults: BTreeMap<u64, Fault>,
}

impl FaultStore {
    /// A process's connection to `inner`, with these faults ahead of it.
    pub fn new(inner: SharedStore, faults: impl IntoIterator<Item = (u64, Fault)>) -> Arc<Self> {
        let plan = Plan { sent: 0, faults: faults.into_iter().collect() };
        Arc::new(Self { inner, plan: Mutex::new(plan), dead: watch::Sender::new(false) })
    }

    /// How many commits were sent so far, failed ones included.
    pub fn commits(&self) -> u64 {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).sent
    }

    /// The process dies now, between two commits.
    pub fn crash(&self) {
        self.dead.send_replace(true);
    }

    /// Comes back when the process has died.
    pub async fn crashed(&self) {
        let mut dead = self.dead.subscribe();
        // The sender is in `self`, so it is there as long as this waits.
        let _ = dead.wait_for(|dead| *dead).await;
    }

    /// Lets a living process through and holds a dead one for ever. Others have their turn first, as they have with a
    /// store that takes its time: what two tasks do at once happens here in every order.
    async fn alive(&self) {
        tokio::task::yield_now().await;
        if *self.dead.borrow() {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Store for FaultStore {
    async fn get(&self, shard: Shard, key: &Key) -> Result<Option<Item>> {
        self.alive().await;
        self.inner.get(shard, key).await
    }

    async fn commit(&self, shard: Shard, writes: Vec<Write>) -> Result<Commit> {
        self.alive().await;
        let fault = {
            let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
            plan.sent += 1;
            let number = plan.sent;
            plan.faults.remove(&number)
        };
        match fault {
            None => {
                let done = self.inner.commit(shard, writes).await;
                // It may have died while the commit was under way.
                self.alive().await;
                done
            }
            Some(Fault::CrashBefore) => {
                self.crash();
                std::future::pending().await
            }
            Some(Fault::CrashAfter) => {
                // The inner store's answer reaches nobody.
                let _ = self.inner.commit(shard, writes).await;
                self.crash();
                std::future::pending().await
            }
            Some(Fault::LostBefore) => Err(StoreError::Unknown("the commit was lost on its way".into())),
            Some(Fault::LostAfter) => {
                let _ = self.inner.commit(shard, writes).await?;
                Err(StoreError::Unknown("the answer was lost on its way".into()))
            }
        }
    }

    async fn scan(&self, shard: Shard, prefix: &Key, after: Cursor, limit: usize) -> Result<Page> {
        self.alive().await;
        self.inner.scan(shard, prefix, after, limit).await
    }

    async fn watch(
        &self,
        shard: Shard,
        prefix: &Key,
        from: u64,
    ) -> Result<BoxStream<'static, Result<Event>>> {
        self.alive().await;
        self.inner.watch(shard, prefix, from).await
    }

    async fn read(&self, shard: Shard, journal: &Key, after: u64, limit: usize) -> Result<Vec<Item>> {
        self.alive().await;
        self.inner.read(shard, journal, after, limit).await
    }

    async fn put_blob(&self, sha: Sha256, bytes: Source) -> Result<()> {
        self.alive().await;
        self.inner.put_blob(sha, bytes).await
    }

    async fn get_blob(&self, sha: Sha256) -> Result<Option<Source>> {
        self.alive().await;
        self.inner.get_blob(sha).await
    }
}
