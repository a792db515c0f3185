//! A store that fails for as long as it is told to, whatever it is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures::stream::BoxStream;
use zvonar_store::{
    Commit, Cursor, Event, Item, Key, Page, Result, Sha256, Shard, SharedStore, Source, Store, StoreError,
    Write,
};

pub(crate) struct Sick {
    inner: SharedStore,
    sick: AtomicBool,
}

impl Sick {
    pub(crate) fn new(inner: SharedStore) -> Arc<Self> {
        Arc::new(Self { inner, sick: AtomicBool::new(false) })
    }

    pub(crate) fn set(&self, sick: bool) {
        self.sick.store(sick, Ordering::SeqCst);
    }

    fn well(&self) -> Result<&SharedStore> {
        if self.sick.load(Ordering::SeqCst) {
            return Err(StoreError::Unknown("the disk does not answer".into()));
        }
        Ok(&self.inner)
    }
}

#[async_trait]
impl Store for Sick {
    async fn get(&self, shard: Shard, key: &Key) -> Result<Option<Item>> {
        self.well()?.get(shard, key).await
    }

    async fn commit(&self, shard: Shard, writes: Vec<Write>) -> Result<Commit> {
        self.well()?.commit(shard, writes).await
    }

    async fn scan(&self, shard: Shard, prefix: &Key, after: Cursor, limit: usize) -> Result<Page> {
        self.well()?.scan(shard, prefix, after, limit).await
    }

    async fn watch(
        &self,
        shard: Shard,
        prefix: &Key,
        from: u64,
    ) -> Result<BoxStream<'static, Result<Event>>> {
        self.well()?.watch(shard, prefix, from).await
    }

    async fn read(&self, shard: Shard, journal: &Key, after: u64, limit: usize) -> Result<Vec<Item>> {
        self.well()?.read(shard, journal, after, limit).await
    }

    async fn put_blob(&self, sha: Sha256, bytes: Source) -> Result<()> {
        self.well()?.put_blob(sha, bytes).await
    }

    async fn get_blob(&self, sha: Sha256) -> Result<Option<Source>> {
        self.well()?.get_blob(sha).await
    }
}
