//! Keeps everything in memory: for tests, demonstrations and rehearsals. It is as strict as the engines that keep data.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::blob::{collect, source_of};
use crate::hub::Hub;
use crate::rules::{check, holds};
use crate::{
    Commit, Cursor, Event, Item, Key, NEWS, Page, Result, SHARDS, Sha256, Shard, Source, Store, StoreError,
    Write,
};

/// The largest blob that is kept in memory.
const MAX_BLOB_BYTES: usize = 1 << 30;

/// A store that is gone when it is dropped.
pub struct MemoryStore {
    state: Mutex<State>,
    hub: Hub,
}

#[derive(Default)]
struct State {
    revision: u64,
    shards: [Part; SHARDS as usize],
    blobs: BTreeMap<Sha256, Bytes>,
}

/// One shard.
#[derive(Default)]
struct Part {
    keys: BTreeMap<Key, (u64, Bytes)>,
    /// The children of a key by revision, once somebody has read it as a journal: those are read again and again, and
    /// grow long. Most parents are none.
    journals: HashMap<Box<str>, BTreeMap<u64, Key>>,
}

impl Part {
    fn insert(&mut self, key: &Key, revision: u64, value: Bytes) {
        let before = self.keys.insert(key.clone(), (revision, value));
        let Some(journal) = self.journals.get_mut(key.parent_str()) else { return };
        if let Some((before, _)) = before {
            journal.remove(&before);
        }
        journal.insert(revision, key.clone());
    }

    fn remove(&mut self, key: &Key) {
        let Some((before, _)) = self.keys.remove(key) else { return };
        if let Some(journal) = self.journals.get_mut(key.parent_str()) {
            journal.remove(&before);
        }
    }

    /// The direct children of a key by revision.
    fn journal(&mut self, journal: &Key) -> &BTreeMap<u64, Key> {
        if !self.journals.contains_key(journal.as_str()) {
            let children = self.below(journal, None).filter(|(key, ..)| key.parent_str() == journal.as_str());
            let children = children.map(|(key, revision, _)| (revision, key.clone())).collect();
            self.journals.insert(journal.as_str().into(), children);
        }
        &self.journals[journal.as_str()]
    }

    /// All that lies strictly below a prefix, from a place on.
    fn below<'a>(
        &'a self,
        prefix: &'a Key,
        after: Option<Key>,
    ) -> impl Iterator<Item = (&'a Key, u64, &'a Bytes)> {
        let from = after.unwrap_or_else(|| prefix.clone());
        // Keys below a prefix are not all neighbours in the order of texts (`a-b` lies between `a` and `a.b`), but they
        // do all start with its text.
        self.keys
            .range((Bound::Excluded(from), Bound::Unbounded))
            .take_while(move |(key, _)| key.as_str().starts_with(prefix.as_str()))
            .filter(move |(key, _)| key.is_below(prefix))
            .map(|(key, (revision, value))| (key, *revision, value))
    }
}

impl State {
    fn of(&self, shard: Shard) -> &Part {
        &self.shards[usize::from(shard.number())]
    }

    fn of_mut(&mut self, shard: Shard) -> &mut Part {
        &mut self.shards[usize::from(shard.number())]
    }
}

fn item((key, revision, value): (&Key, u64, &Bytes)) -> Item {
    Item { key: key.clone(), revision, value: value.clone() }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self { state: Mutex::default(), hub: Hub::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing below can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, shard: Shard, key: &Key) -> Result<Option<Item>> {
        let state = self.state();
        Ok(state.of(shard).keys.get(key).map(|(revision, value)| item((key, *revision, value))))
    }

    async fn commit(&self, shard: Shard, writes: Vec<Write>) -> Result<Commit> {
        check(&writes)?;
        let mut state = self.state();
        let kept = writes.iter().all(|write| {
            let now = state.of(shard).keys.get(&write.key).map(|(revision, _)| *revision);
            holds(write.expect, now)
        });
        if !kept {
            return Ok(Commit::Conflict);
        }
        let mut revisions = Vec::with_capacity(writes.len());
        let mut events = Vec::with_capacity(writes.len());
        for write in writes {
            state.revision += 1;
            let revision = state.revision;
            revisions.push(revision);
            match &write.value {
                Some(value) => state.of_mut(shard).insert(&write.key, revision, value.clone()),
                None => state.of_mut(shard).remove(&write.key),
            }
            events.push(Event { key: write.key, revision, value: write.value });
        }
        // Under the lock, so that events leave in the order of revisions.
        self.hub.publish(shard, events);
        Ok(Commit::Done(revisions))
    }

    async fn scan(&self, shard: Shard, prefix: &Key, after: Cursor, limit: usize) -> Result<Page> {
        let after = after.place().map(Key::parse).transpose()?;
        let state = self.state();
        let mut items: Vec<Item> =
            state.of(shard).below(prefix, after).take(limit.saturating_add(1)).map(item).collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| Cursor::at(last.key.as_str()));
        Ok(Page { items, next })
    }

    async fn watch(
        &self,
        shard: Shard,
        prefix: &Key,
        from: u64,
    ) -> Result<BoxStream<'static, Result<Event>>> {
        let subscription = self.hub.subscribe(shard);
        if from == NEWS {
            return Ok(subscription.stream(prefix.clone(), from, Vec::new()));
        }
        let found = self.state().of(shard).below(prefix, None).map(item).collect();
        Ok(subscription.stream(prefix.clone(), from, found))
    }

    async fn read(&self, shard: Shard, journal: &Key, after: u64, limit: usize) -> Result<Vec<Item>> {
        let mut state = self.state();
        let part = state.of_mut(shard);
        let later = part.journal(journal).range((Bound::Excluded(after), Bound::Unbounded)).take(limit);
        let later: Vec<(u64, Key)> = later.map(|(revision, key)| (*revision, key.clone())).collect();
        let stored = later.into_iter().filter_map(|(revision, key)| {
            let (_, value) = part.keys.get(&key)?;
            Some(Item { value: value.clone(), key, revision })
        });
        Ok(stored.collect())
    }

    async fn put_blob(&self, sha: Sha256, bytes: Source) -> Result<()> {
        let bytes = collect(bytes, MAX_BLOB_BYTES).await?;
        let found = Sha256::of(&bytes);
        if found != sha {
            return Err(StoreError::WrongHash { wanted: sha, found });
        }
        self.state().blobs.insert(sha, bytes);
        Ok(())
    }

    async fn get_blob(&self, sha: Sha256) -> Result<Option<Source>> {
        Ok(self.state().blobs.get(&sha).cloned().map(source_of))
    }
}
