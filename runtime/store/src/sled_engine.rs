//! The embedded engine: one machine, nothing to install.
//!
//! One thread of its own checks, applies and flushes all commits. While the disk is busy with one group, the next one
//! gathers in a bounded queue (full: callers wait), so the cost of a flush is shared by all who wait for it.
//!
//! # Traps of sled 0.34.7 that shape this file
//!
//! * `flush()` is no fsync on Linux (`sync_file_range`): `sync_data()` on the database file follows it.
//! * Pages of more than a quarter segment go to files of their own that sled never syncs: new ones are synced after
//!   each flush.
//! * Concurrent `flush_async` deadlocks (sled#1308): only the one thread flushes, blocking, and sled's own timer is off.
//! * Many trees cost gigabytes (sled#1484): one tree, parted by the first bytes of the key.
//! * `watch_prefix` blocks or leaks when nobody drains it: [`Hub`] publishes after the flush.
//! * After a failed write, dropping it waits for ever: then it is not dropped.
//! * Opening damaged files may panic: that is caught, and told as damage.
//!
//! Only `get`, `range`, `apply_batch` and `flush` are asked of sled, so that another engine could replace it here.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use tokio::sync::{mpsc, oneshot};

use crate::files::{BlobFiles, failed};
use crate::hub::Hub;
use crate::rules::{check, holds};
use crate::{
    Commit, Cursor, Event, Item, Key, NEWS, Page, Result, Sha256, Shard, Source, Store, StoreError, Write,
};

/// The layout of keys and values that this code writes.
const FORMAT: u32 = 1;

/// Keys about the store itself; data begin with `d`, the index of journals with `j`.
const FORMAT_KEY: &[u8] = b"mformat";
const REVISION_KEY: &[u8] = b"mrevision";

/// How many commits wait at most before callers do.
const QUEUE: usize = 1024;

/// A group ends at so many commits or so many bytes, so that none waits long and memory stays small.
const GROUP_COMMITS: usize = 512;
const GROUP_BYTES: usize = 4 * 1024 * 1024;

/// Settings of the engine.
#[derive(Debug, Clone)]
pub struct SledOptions {
    /// Memory for pages that were read, in bytes.
    pub cache_bytes: u64,
}

impl Default for SledOptions {
    fn default() -> Self {
        Self { cache_bytes: 64 * 1024 * 1024 }
    }
}

/// A store in a folder of this machine, used by one process at a time.
pub struct SledStore {
    reader: Reader,
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
    hub: Arc<Hub>,
    blobs: BlobFiles,
    /// Held as long as the store is open; the system frees it when the process dies, however it dies.
    _lock: File,
}

impl SledStore {
    /// Opens the store in this folder, and makes it if there is none. Blocks while sled reads its log.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::Damaged`], [`StoreError::Newer`], [`StoreError::DiskFull`] and
    /// [`StoreError::Io`] each say what to do.
    pub fn open(folder: &Path, options: SledOptions) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        let lock = lock(folder)?;
        let database = folder.join("db");
        let db = open_sled(folder, &database, &options)?;
        let reader = Reader { db, folder: folder.into() };
        let revision = reader.prepare()?;
        let blobs = BlobFiles::open(folder.join("blobs"))?;
        let log = database.join("db");
        let disk = Disk {
            log: File::open(&log).map_err(|error| failed(&log, error))?,
            outgrown: database.join("blobs"),
            synced: BTreeSet::new(),
        };
        for made in [&database, folder] {
            let opened = File::open(made).map_err(|error| failed(made, error))?;
            opened.sync_all().map_err(|error| failed(made, error))?;
        }
        let hub = Arc::new(Hub::new(revision));
        let (jobs, inbox) = mpsc::channel(QUEUE);
        let writer = Writer { reader: reader.clone(), hub: hub.clone(), disk, revision, stopped: None };
        let writer = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run(inbox))
            .map_err(|error| failed(folder, error))?;
        Ok(Self { reader, jobs: Some(jobs), writer: Some(writer), hub, blobs, _lock: lock })
    }

    fn gone(&self) -> StoreError {
        StoreError::Stopped("its writer is gone".into())
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        // The end of the queue ends the writer, after what was sent.
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has said so already.
            let _ = writer.join();
        }
    }
}

#[async_trait]
impl Store for SledStore {
    async fn get(&self, shard: Shard, key: &Key) -> Result<Option<Item>> {
        self.reader.get(shard, key)
    }

    async fn commit(&self, shard: Shard, writes: Vec<Write>) -> Result<Commit> {
        check(&writes)?;
        let (reply, answer) = oneshot::channel();
        let jobs = self.jobs.as_ref().expect("taken only by drop");
        jobs.send(Job { shard, writes, reply }).await.map_err(|_| self.gone())?;
        answer.await.map_err(|_| self.gone())?
    }

    async fn scan(&self, shard: Shard, prefix: &Key, after: Cursor, limit: usize) -> Result<Page> {
        let after = after.place().map(Key::parse).transpose()?;
        let prefix = prefix.clone();
        self.reader.on_a_thread(move |reader| reader.scan(shard, &prefix, after.as_ref(), limit)).await
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
        let below = prefix.clone();
        let page =
            self.reader.on_a_thread(move |reader| reader.scan(shard, &below, None, usize::MAX)).await?;
        Ok(subscription.stream(prefix.clone(), from, page.items))
    }

    async fn read(&self, shard: Shard, journal: &Key, after: u64, limit: usize) -> Result<Vec<Item>> {
        let journal = journal.clone();
        self.reader.on_a_thread(move |reader| reader.read(shard, &journal, after, limit)).await
    }

    async fn put_blob(&self, sha: Sha256, bytes: Source) -> Result<()> {
        self.blobs.put(sha, bytes).await
    }

    async fn get_blob(&self, sha: Sha256) -> Result<Option<Source>> {
        self.blobs.get(sha).await
    }
}

/// How often, and how far apart, the folder is asked for before somebody else is said to have it.
const LOCK_TRIES: u32 = 20;
/// See [`LOCK_TRIES`].
const LOCK_PAUSE: Duration = Duration::from_millis(25);

/// How often sled is asked, at the same distance, for a database that nobody may have any more.
const SLED_TRIES: u32 = 400;

/// Takes the folder for this process alone.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let file = File::create(&path).map_err(|error| failed(&path, error))?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // A child that is being started holds all that its parent had open until its own program begins, and a
            // host that is stopping may need another moment.
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(failed(&path, error)),
        }
    }
    Err(StoreError::Locked { path: folder.into() })
}

fn open_sled(folder: &Path, database: &Path, options: &SledOptions) -> Result<sled::Db> {
    let config = sled::Config::new()
        .path(database)
        .cache_capacity(options.cache_bytes)
        .mode(sled::Mode::HighThroughput)
        .flush_every_ms(None);
    let open = || std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| config.open()));
    let mut opened = open();
    // We have the folder to ourselves, so whoever still holds sled's own lock is on his way out: a thread of sled that
    // has not let go, or a child that was started and has not become another program.
    for _ in 0..SLED_TRIES {
        match &opened {
            Ok(Err(sled::Error::Io(error))) if error.to_string().starts_with("could not acquire lock") => {
                std::thread::sleep(LOCK_PAUSE);
                opened = open();
            }
            _ => break,
        }
    }
    match opened {
        Ok(Ok(db)) => Ok(db),
        Ok(Err(error)) => Err(told(folder, error)),
        Err(_) => Err(StoreError::Damaged {
            path: folder.into(),
            what: "its database cannot be read to the end".into(),
        }),
    }
}

/// What an error of sled means.
fn told(folder: &Path, error: sled::Error) -> StoreError {
    match error {
        // Its parser of files reports a bad length or digest as an error of I/O.
        sled::Error::Io(source)
            if matches!(
                source.kind(),
                std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
            ) =>
        {
            StoreError::Damaged { path: folder.into(), what: source.to_string() }
        }
        sled::Error::Io(source) => failed(folder, source),
        other => StoreError::Damaged { path: folder.into(), what: other.to_string() },
    }
}

fn data_key(shard: Shard, key: &str) -> Vec<u8> {
    [b"d", &[shard.number()][..], key.as_bytes()].concat()
}

/// The place in the index of journals: by parent, then by revision.
fn index_key(shard: Shard, parent: &str, revision: u64) -> Vec<u8> {
    // No token holds a zero byte, so one parent's entries are neighbours.
    [b"j", &[shard.number()][..], parent.as_bytes(), &[0], &revision.to_be_bytes()].concat()
}

/// The part that any thread may use.
#[derive(Clone)]
struct Reader {
    db: sled::Db,
    folder: Arc<Path>,
}

impl Reader {
    /// Checks the format, and gives the last revision.
    fn prepare(&self) -> Result<u64> {
        match self.db.get(FORMAT_KEY).map_err(|error| told(&self.folder, error))? {
            Some(found) => {
                let found = u32::from_be_bytes(self.number(&found)?);
                if found > FORMAT {
                    return Err(StoreError::Newer { path: self.folder.to_path_buf(), found, known: FORMAT });
                }
            }
            None if self.db.is_empty() => {
                self.db
                    .insert(FORMAT_KEY, &FORMAT.to_be_bytes())
                    .and_then(|_| self.db.flush())
                    .map_err(|error| told(&self.folder, error))?;
            }
            None => return Err(self.damaged("it names no format")),
        }
        match self.db.get(REVISION_KEY).map_err(|error| told(&self.folder, error))? {
            Some(revision) => Ok(u64::from_be_bytes(self.number(&revision)?)),
            None => Ok(0),
        }
    }

    fn number<const N: usize>(&self, bytes: &[u8]) -> Result<[u8; N]> {
        bytes.try_into().map_err(|_| self.damaged("a number has the wrong length"))
    }

    fn damaged(&self, what: &str) -> StoreError {
        StoreError::Damaged { path: self.folder.to_path_buf(), what: what.into() }
    }

    /// Reads that may take long, away from the threads that serve everybody.
    async fn on_a_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let reader = self.clone();
        match tokio::task::spawn_blocking(move || work(&reader)).await {
            Ok(result) => result,
            Err(error) => Err(StoreError::Stopped(error.to_string())),
        }
    }

    fn item(&self, key: Key, stored: &[u8]) -> Result<Item> {
        let (revision, value) =
            stored.split_first_chunk().ok_or_else(|| self.damaged("a value is too short"))?;
        Ok(Item { key, revision: u64::from_be_bytes(*revision), value: Bytes::copy_from_slice(value) })
    }

    fn get(&self, shard: Shard, key: &Key) -> Result<Option<Item>> {
        let stored = self.db.get(data_key(shard, key.as_str())).map_err(|error| told(&self.folder, error))?;
        stored.map(|stored| self.item(key.clone(), &stored)).transpose()
    }

    fn scan(&self, shard: Shard, prefix: &Key, after: Option<&Key>, limit: usize) -> Result<Page> {
        // All keys below a prefix begin with it and a dot, and `/` is the character after the dot.
        let end = data_key(shard, &format!("{prefix}/"));
        let mut from = match after {
            Some(last) => data_key(shard, last.as_str()),
            None => data_key(shard, &format!("{prefix}.")),
        };
        if after.is_some() {
            from.push(0);
        }
        let mut items = Vec::new();
        let mut next = None;
        for entry in self.db.range(from..end) {
            let (place, stored) = entry.map_err(|error| told(&self.folder, error))?;
            if items.len() == limit {
                next = items.last().map(|last: &Item| Cursor::at(last.key.as_str()));
                break;
            }
            let key = std::str::from_utf8(&place[2..])
                .ok()
                .and_then(|text| Key::parse(text).ok())
                .ok_or_else(|| self.damaged("a key is malformed"))?;
            items.push(self.item(key, &stored)?);
        }
        Ok(Page { items, next })
    }

    fn read(&self, shard: Shard, journal: &Key, after: u64, limit: usize) -> Result<Vec<Item>> {
        // What is written while this reads may show its later part and not its earlier one, and whoever folds the journal
        // would pass over that for ever. All that the store held at this moment is whole.
        let Some(until) = self.db.get(REVISION_KEY).map_err(|error| told(&self.folder, error))? else {
            return Ok(Vec::new());
        };
        let until = u64::from_be_bytes(self.number(&until)?);
        if until <= after {
            return Ok(Vec::new());
        }
        let from = index_key(shard, journal.as_str(), after.saturating_add(1));
        let end = index_key(shard, journal.as_str(), until.saturating_add(1));
        let mut items = Vec::new();
        for entry in self.db.range(from..end).take(limit) {
            let (place, last) = entry.map_err(|error| told(&self.folder, error))?;
            let last = std::str::from_utf8(&last).map_err(|_| self.damaged("a key is malformed"))?;
            let key =
                Key::parse(&format!("{journal}.{last}")).map_err(|_| self.damaged("a key is malformed"))?;
            let revision = place.split_last_chunk().map(|(_, bytes)| u64::from_be_bytes(*bytes));
            // A key that was replaced or deleted since the index was read has its new place further on.
            match self.get(shard, &key)? {
                Some(item) if Some(item.revision) == revision => items.push(item),
                _ => {}
            }
        }
        Ok(items)
    }
}

struct Job {
    shard: Shard,
    writes: Vec<Write>,
    reply: oneshot::Sender<Result<Commit>>,
}

/// A commit that waits for the disk.
struct Applied {
    shard: Shard,
    events: Vec<Event>,
    commit: Commit,
    reply: oneshot::Sender<Result<Commit>>,
}

/// The thread that alone writes.
struct Writer {
    reader: Reader,
    hub: Arc<Hub>,
    disk: Disk,
    revision: u64,
    /// Why nothing more is written: after a failed flush, what the disk holds is known only to a new opening.
    stopped: Option<String>,
}

impl Writer {
    fn run(mut self, mut inbox: mpsc::Receiver<Job>) {
        let mut group = Vec::new();
        while let Some(first) = inbox.blocking_recv() {
            let mut bytes = size(&first);
            group.push(first);
            while group.len() < GROUP_COMMITS && bytes < GROUP_BYTES {
                let Ok(next) = inbox.try_recv() else { break };
                bytes += size(&next);
                group.push(next);
            }
            self.settle(&mut group);
        }
    }

    /// Applies a group, makes it durable, and answers.
    fn settle(&mut self, group: &mut Vec<Job>) {
        let mut applied = Vec::with_capacity(group.len());
        for Job { shard, writes, reply } in group.drain(..) {
            if let Some(why) = &self.stopped {
                let _ = reply.send(Err(StoreError::Stopped(why.clone())));
                continue;
            }
            match self.apply(shard, writes) {
                Ok((commit, events)) => applied.push(Applied { shard, events, commit, reply }),
                Err(error) => {
                    self.stop(&error);
                    let _ = reply.send(Err(error));
                }
            }
        }
        let wrote = applied.iter().any(|one| !one.events.is_empty());
        let flushed = if wrote { self.disk.flush(&self.reader) } else { Ok(()) };
        if let Err(error) = flushed {
            self.stop(&error);
            let why = error.to_string();
            let mut first = Some(error);
            for one in applied {
                let error = first.take().unwrap_or_else(|| StoreError::Stopped(why.clone()));
                let _ = one.reply.send(Err(error));
            }
            return;
        }
        for Applied { shard, events, commit, reply } in applied {
            self.hub.publish(shard, events);
            // Nobody waits any more: the commit is done all the same.
            let _ = reply.send(Ok(commit));
        }
    }

    /// Nothing is written any more.
    fn stop(&mut self, error: &StoreError) {
        tracing::error!(error = error as &dyn std::error::Error, "the store stops");
        if self.stopped.replace(error.to_string()).is_none() {
            // After a failed write, the drop of sled's last handle waits for ever for the disk. So one is kept: the
            // process can end in good order, and only a new one can open the store.
            std::mem::forget(self.reader.clone());
        }
    }

    fn apply(&mut self, shard: Shard, writes: Vec<Write>) -> Result<(Commit, Vec<Event>)> {
        let mut before = Vec::with_capacity(writes.len());
        for write in &writes {
            let now = self.reader.get(shard, &write.key)?.map(|item| item.revision);
            if !holds(write.expect, now) {
                return Ok((Commit::Conflict, Vec::new()));
            }
            before.push(now);
        }
        let mut batch = sled::Batch::default();
        let mut revision = self.revision;
        let mut revisions = Vec::with_capacity(writes.len());
        let mut events = Vec::with_capacity(writes.len());
        for (write, before) in writes.into_iter().zip(before) {
            revision += 1;
            revisions.push(revision);
            let parent = write.key.parent_str();
            if let Some(before) = before {
                batch.remove(index_key(shard, parent, before));
            }
            match &write.value {
                Some(value) => {
                    batch.insert(
                        data_key(shard, write.key.as_str()),
                        [&revision.to_be_bytes()[..], value].concat(),
                    );
                    batch.insert(index_key(shard, parent, revision), write.key.last().as_bytes());
                }
                None => batch.remove(data_key(shard, write.key.as_str())),
            }
            events.push(Event { key: write.key, revision, value: write.value });
        }
        batch.insert(REVISION_KEY, &revision.to_be_bytes());
        self.reader.db.apply_batch(batch).map_err(|error| told(&self.reader.folder, error))?;
        self.revision = revision;
        Ok((Commit::Done(revisions), events))
    }
}

fn size(job: &Job) -> usize {
    job.writes.iter().map(|write| write.value.as_ref().map_or(0, Bytes::len)).sum()
}

/// What has to reach the disk.
struct Disk {
    log: File,
    /// The folder of pages that outgrew the log.
    outgrown: PathBuf,
    synced: BTreeSet<OsString>,
}

impl Disk {
    fn flush(&mut self, reader: &Reader) -> Result<()> {
        reader.db.flush().map_err(|error| told(&reader.folder, error))?;
        self.sync_outgrown().map_err(|error| failed(&reader.folder, error))?;
        self.log.sync_data().map_err(|error| failed(&reader.folder, error))
    }

    /// Syncs the pages that got files of their own since the last time. Usually there is none.
    fn sync_outgrown(&mut self) -> std::io::Result<()> {
        let mut present = BTreeSet::new();
        let mut fresh = false;
        for entry in fs::read_dir(&self.outgrown)? {
            let name = entry?.file_name();
            if !self.synced.contains(&name) {
                match File::open(self.outgrown.join(&name)) {
                    Ok(file) => file.sync_all()?,
                    // It was already replaced by a newer page.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                }
                fresh = true;
            }
            present.insert(name);
        }
        if fresh {
            File::open(&self.outgrown)?.sync_all()?;
        }
        self.synced = present;
        Ok(())
    }
}
