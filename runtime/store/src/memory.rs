//! Keeps everything in memory: for tests, demonstrations and rehearsals. It is as strict as the engines that keep data.

use std::collections::BTreeMap;
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

/// One shard: its keys by their parents, whose children are mostly written one after the other.
#[derive(Default)]
struct Part {
    families: BTreeMap<Box<str>, Family>,
}

/// The direct children of a key.
#[derive(Default)]
struct Family {
    children: BTreeMap<Key, (u64, Bytes)>,
    /// The same by revision, once somebody has read them as a journal: those are read again and again, and grow long.
    /// Most families are none.
    journal: Option<BTreeMap<u64, Key>>,
}

impl Part {
    fn get(&self, key: &Key) -> Option<(u64, &Bytes)> {
        let (revision, value) = self.families.get(key.parent_str())?.children.get(key)?;
        Some((*revision, value))
    }

    fn insert(&mut self, key: Key, revision: u64, value: Bytes) {
        let parent = key.parent_str();
        if !self.families.contains_key(parent) {
            self.families.insert(parent.into(), Family::default());
        }
        let family = self.families.get_mut(parent).expect("it was just made");
        if let Some(journal) = &mut family.journal {
            journal.insert(revision, key.clone());
        }
        let before = family.children.insert(key, (revision, value));
        if let Some((before, _)) = before
            && let Some(journal) = &mut family.journal
        {
            journal.remove(&before);
        }
    }

    fn remove(&mut self, key: &Key) {
        let Some(family) = self.families.get_mut(key.parent_str()) else { return };
        let Some((before, _)) = family.children.remove(key) else { return };
        if let Some(journal) = &mut family.journal {
            journal.remove(&before);
        }
        if family.children.is_empty() {
            self.families.remove(key.parent_str());
        }
    }

    /// Up to `limit` children of a key with a revision above `after`, by revision.
    fn journal(&mut self, parent: &Key, after: u64, limit: usize) -> Vec<Item> {
        let Some(family) = self.families.get_mut(parent.as_str()) else { return Vec::new() };
        let children = &family.children;
        let journal = family.journal.get_or_insert_with(|| {
            children.iter().map(|(key, (revision, _))| (*revision, key.clone())).collect()
        });
        let later = journal.range((Bound::Excluded(after), Bound::Unbounded)).take(limit);
        later.map(|(revision, key)| item((key, *revision, &children[key].1))).collect()
    }

    /// All that lies strictly below a prefix, family by family, from a place on.
    fn below<'a>(
        &'a self,
        prefix: &'a Key,
        after: Option<Key>,
    ) -> impl Iterator<Item = (&'a Key, u64, &'a Bytes)> {
        let begin = after.as_ref().map_or(prefix.as_str(), Key::parent_str);
        // Families below a prefix are not all neighbours in the order of texts (`a-b` lies between `a` and `a.b`), but
        // they do all start with its text.
        self.families
            .range::<str, _>((Bound::Included(begin), Bound::Unbounded))
            .map(|(parent, family)| (parent.strip_prefix(prefix.as_str()), parent, family))
            .take_while(|(rest, ..)| rest.is_some())
            .filter(|(rest, ..)| rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
            .flat_map(move |(_, parent, family)| {
                // Of later families, all.
                let after = after.clone().filter(|after| after.parent_str() == &**parent);
                family.children.range((after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded))
            })
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
        Ok(state.of(shard).get(key).map(|(revision, value)| item((key, revision, value))))
    }

    async fn commit(&self, shard: Shard, writes: Vec<Write>) -> Result<Commit> {
        check(&writes)?;
        let mut state = self.state();
        let kept = writes.iter().all(|write| {
            let now = state.of(shard).get(&write.key).map(|(revision, _)| revision);
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
                Some(value) => state.of_mut(shard).insert(write.key.clone(), revision, value.clone()),
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
        Ok(self.state().of_mut(shard).journal(journal, after, limit))
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
