//! Where everything that must survive a crash is kept: one small trait, several engines.
//!
//! A *shard* is the unit of atomicity: one commit touches one shard. Within a shard every write gets a *revision*, a
//! number that only grows. Keys are dotted tokens ([`Key`]); a *journal* is a key whose direct children are only ever
//! created, never changed. Blobs (modules, prompts) are kept by the SHA-256 of their bytes.
//!
//! # What a caller may rely on
//!
//! * A commit is all or nothing, and durable when [`Store::commit`] returns [`Commit::Done`].
//! * The revisions of one commit are consecutive, in the order of its writes: never read back what you wrote.
//! * An `Err` of `commit` means that the outcome is *unknown*: send the same commit again, or let [`commit_surely`] do
//!   so.
//! * What is read may be about to become durable; nothing committed on top of it becomes durable sooner.
//!
//! Deliberately absent: transactions over shards, ordered scans, secondary indexes (keep projections instead), and
//! everything that knows what is stored: typed tables live in `dialer::tables`.

mod blob;
pub mod conformance;
mod error;
pub mod fault;
mod files;
mod hub;
mod key;
mod memory;
mod rules;
mod sled_engine;
mod surely;

use std::sync::Arc;

use async_trait::async_trait;
pub use bytes::Bytes;
pub use futures::stream::BoxStream;

pub use blob::{Sha256, Source, collect, source_of};
pub use error::StoreError;
pub use key::{Key, KeyError, MAX_KEY_BYTES};
pub use memory::MemoryStore;
pub use sled_engine::{SledOptions, SledStore};
pub use surely::commit_surely;

/// What every call of a store may come to.
pub type Result<T> = std::result::Result<T, StoreError>;

/// A store that is shared by tasks and chosen at run time.
pub type SharedStore = Arc<dyn Store>;

/// The largest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 256 * 1024;

/// The most writes in one commit.
pub const MAX_WRITES: usize = 100;

/// What to watch from for changes alone.
pub const NEWS: u64 = u64::MAX;

/// How many shards there are. Fixed for the life of a store: a tenant's shard is worked out, not stored.
pub const SHARDS: u8 = 16;

/// The unit of atomicity: a commit, a scan and a journal stay within one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(u8);

impl Shard {
    /// The shard of everything that belongs to this owner (a tenant's id). The same text gives the same shard for ever.
    pub fn of(owner: &str) -> Self {
        Self(Sha256::of(owner.as_bytes()).as_bytes()[0] % SHARDS)
    }

    /// The shard of this number, if there is one.
    pub fn numbered(number: u8) -> Option<Self> {
        (number < SHARDS).then_some(Self(number))
    }

    /// 0 to [`SHARDS`] − 1.
    pub fn number(self) -> u8 {
        self.0
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..SHARDS).map(Self)
    }
}

/// What must hold of a key for a commit to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Nothing: the last writer wins.
    Any,
    /// The key does not exist.
    Absent,
    /// The key exists at exactly this revision.
    Rev(u64),
}

/// One write of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// What is written; each key once in a commit.
    pub key: Key,
    /// What must hold of it.
    pub expect: Expect,
    /// At most [`MAX_VALUE_BYTES`]; `None` deletes.
    pub value: Option<Bytes>,
}

impl Write {
    /// Creates the key; a conflict if it exists. This is also how a journal is appended to.
    pub fn create(key: Key, value: impl Into<Bytes>) -> Self {
        Self { key, expect: Expect::Absent, value: Some(value.into()) }
    }

    /// Replaces the value that was read at this revision.
    pub fn replace(key: Key, revision: u64, value: impl Into<Bytes>) -> Self {
        Self { key, expect: Expect::Rev(revision), value: Some(value.into()) }
    }

    /// Sets the value, whatever was there.
    pub fn set(key: Key, value: impl Into<Bytes>) -> Self {
        Self { key, expect: Expect::Any, value: Some(value.into()) }
    }

    /// Deletes the value that was read at this revision.
    pub fn delete(key: Key, revision: u64) -> Self {
        Self { key, expect: Expect::Rev(revision), value: None }
    }
}

/// What a commit came to. Losing a race is an everyday result, not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Commit {
    /// All writes are durable; their revisions, in order.
    Done(Vec<u64>),
    /// Some expectation did not hold; nothing was written.
    Conflict,
}

/// A stored value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Where it is.
    pub key: Key,
    /// The write that put it there.
    pub revision: u64,
    /// What it is.
    pub value: Bytes,
}

/// A place in a scan. Opaque: only the store that gave it can go on from it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cursor(Option<Box<str>>);

impl Cursor {
    /// The beginning.
    pub fn start() -> Self {
        Self::default()
    }

    /// For engines outside this crate's own modules.
    pub fn at(place: &str) -> Self {
        Self(Some(place.into()))
    }

    /// What [`Cursor::at`] was given.
    pub fn place(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

/// A part of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In no promised order.
    pub items: Vec<Item>,
    /// Where to go on; `None`: this was the last.
    pub next: Option<Cursor>,
}

/// A change that a watcher sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What changed.
    pub key: Key,
    /// The write that changed it.
    pub revision: u64,
    /// The new value; `None`: it was deleted.
    pub value: Option<Bytes>,
}

/// An engine that keeps data. See the crate's documentation for what holds in all of them, and [`conformance`] for the
/// cases that each one passes.
#[async_trait]
pub trait Store: Send + Sync {
    /// The value of one key.
    async fn get(&self, shard: Shard, key: &Key) -> Result<Option<Item>>;

    /// Does all the writes or none; they are durable when it returns.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for a commit that no store would take (too many writes, a key twice, a value too large):
    /// nothing was written. After any other error the outcome is unknown: send the same commit again; if that is a
    /// [`Commit::Conflict`], look at a key that only this commit can have written. [`commit_surely`] does all this.
    async fn commit(&self, shard: Shard, writes: Vec<Write>) -> Result<Commit>;

    /// Up to `limit` items strictly below `prefix` (whole tokens: `a.b` covers `a.b.c`, neither `a.b` nor `a.bc`). A key
    /// that exists during the whole scan is seen exactly once; one that is written meanwhile, once or not at all.
    async fn scan(&self, shard: Shard, prefix: &Key, after: Cursor, limit: usize) -> Result<Page>;

    /// First the items below `prefix` with a revision above `from`, then every change as it becomes durable, by
    /// revision. [`NEWS`] for `from`: nothing that is there already, and no scan for it, however much that is. Deletions are seen only while watching. Meant for small sets (operators, modules): the first part is a
    /// scan unless it is left out. A watcher that is too slow gets [`StoreError::Lagged`] and the end of the stream; watch again from the last
    /// revision seen.
    async fn watch(&self, shard: Shard, prefix: &Key, from: u64)
    -> Result<BoxStream<'static, Result<Event>>>;

    /// Up to `limit` direct children of `journal` with a revision above `after`, in the order of their revisions.
    async fn read(&self, shard: Shard, journal: &Key, after: u64, limit: usize) -> Result<Vec<Item>>;

    /// Keeps a blob. Keeping it twice is no error. Durable when it returns.
    ///
    /// # Errors
    /// [`StoreError::WrongHash`] when the bytes are not those of `sha`: nothing is kept.
    async fn put_blob(&self, sha: Sha256, bytes: Source) -> Result<()>;

    /// The bytes of a blob, in pieces; `None` if it is not kept. A blob that was damaged ends in
    /// [`StoreError::WrongHash`].
    async fn get_blob(&self, sha: Sha256) -> Result<Option<Source>>;
}
