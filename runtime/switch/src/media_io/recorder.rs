//! Recordings on their way to the disk: a bounded queue, and a thread that writes. The disk may be slow; the tick never
//! notices.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_queue::ArrayQueue;
use zvonar_media::VoiceEnd;
use zvonar_media::recording::{Channels, Recording, RecordingFrame};

use super::kernel::Wake;
use super::outlet::{Courier, Outlet, Parcel};
use super::shard::Call;
use super::{MediaEvent, Recorded};
use crate::clock;

/// Frames that may wait: 160 ms of 1000 recorded calls, in 3 MB that are taken with the first recording.
const FRAMES: usize = 16_384;

/// Recordings that may wait to be opened.
const ORDERS: usize = 256;

/// How often the queue is emptied: rarely enough that the writer works in batches, often enough that it never fills.
const ROUND: Duration = Duration::from_millis(10);

/// How often a file's header is brought up to date, so that a crash costs its last seconds only.
const FLUSH: Duration = Duration::from_secs(5);

/// A recording, from before it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FileId(pub(super) u64);

/// What comes from a shard.
#[derive(Debug)]
pub(super) enum Item {
    Frame(FileId, RecordingFrame),
    /// A voice recording is over: write it out, then tell.
    VoiceEnded {
        file: FileId,
        end: VoiceEnd,
        at: u64,
        outlet: Arc<Outlet>,
    },
    /// A call is over: write out its recording, then tell.
    Closed {
        file: FileId,
        at: u64,
        call: Box<Call>,
    },
}

#[derive(Debug)]
struct Order {
    file: FileId,
    path: PathBuf,
    channels: Channels,
}

/// The queues to the recorder's thread.
#[derive(Debug)]
pub(super) struct Recorder {
    orders: ArrayQueue<Order>,
    items: ArrayQueue<Item>,
    courier: Arc<Courier>,
    wake: Wake,
    stopping: AtomicBool,
}

impl Recorder {
    pub(super) fn new(courier: Arc<Courier>) -> std::io::Result<Self> {
        Ok(Self {
            orders: ArrayQueue::new(ORDERS),
            items: ArrayQueue::new(FRAMES),
            courier,
            wake: Wake::new()?,
            stopping: AtomicBool::new(false),
        })
    }

    /// Asks for a file. Must come before the shard hears of it.
    pub(super) fn open(&self, file: FileId, path: PathBuf, channels: Channels) {
        let mut order = Order { file, path, channels };
        while let Err(back) = self.orders.push(order) {
            order = back;
            std::thread::sleep(super::engine::FULL_WAIT);
        }
        self.wake.wake();
    }

    /// From a shard: no wake-up, the recorder looks by itself. Given back when the queue is full.
    #[expect(clippy::result_large_err, reason = "boxing it would allocate on the tick")]
    pub(super) fn hand(&self, item: Item) -> Result<(), Item> {
        self.items.push(item)
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.wake.wake();
    }

    /// The recorder's thread. It ends once it is told to stop and nothing is left.
    pub(super) fn run(&self) {
        let mut files = Files { open: HashMap::new(), flush_at: clock::now() + FLUSH };
        loop {
            let stopping = self.stopping.load(Ordering::SeqCst);
            self.take_orders(&mut files);
            while let Some(item) = self.items.pop() {
                self.take(&mut files, item);
            }
            self.courier.nudge();
            if stopping {
                return;
            }
            files.flush(clock::now());
            self.wake.wait((!files.open.is_empty()).then_some(ROUND));
        }
    }

    fn take_orders(&self, files: &mut Files) {
        while let Some(Order { file, path, channels }) = self.orders.pop() {
            let recording = create(&path, channels);
            if let Err(fault) = &recording {
                tracing::warn!(path = %path.display(), "{fault}");
            }
            files.open.insert(file, OpenFile { path, recording });
        }
    }

    fn take(&self, files: &mut Files, item: Item) {
        let (Item::Frame(id, _) | Item::VoiceEnded { file: id, .. } | Item::Closed { file: id, .. }) = &item;
        let id = *id;
        if !files.open.contains_key(&id) {
            self.take_orders(files); // its order came after the last look
        }
        match item {
            Item::Frame(_, frame) => {
                if let Some(file) = files.open.get_mut(&id) {
                    file.write(|recording| recording.add(&frame));
                }
            }
            Item::VoiceEnded { end, at, outlet, .. } => {
                if let Some(Recorded { path, length }) = files.finish(id, at) {
                    self.tell(Parcel::Ready(outlet, MediaEvent::VoiceRecorded { path, end, length }));
                }
            }
            Item::Closed { at, call, .. } => {
                let recorded = files.finish(id, at);
                self.tell(Parcel::Closed(call, recorded));
            }
        }
    }

    /// This thread may wait for the courier.
    fn tell(&self, mut parcel: Parcel) {
        while let Err(back) = self.courier.hand(parcel) {
            parcel = back;
            self.courier.nudge();
            std::thread::sleep(super::engine::FULL_WAIT);
        }
    }
}

struct Files {
    open: HashMap<FileId, OpenFile>,
    flush_at: Instant,
}

struct OpenFile {
    path: PathBuf,
    /// Or, as a sentence, why it is not.
    recording: Result<Recording<BufWriter<File>>, String>,
}

impl Files {
    fn finish(&mut self, id: FileId, at: u64) -> Option<Recorded> {
        let OpenFile { path, recording } = self.open.remove(&id)?;
        let length = recording.and_then(|recording| {
            recording.finish(at).map_err(|error| format!("the recording could not be finished: {error}"))
        });
        if let Err(fault) = &length {
            tracing::warn!(path = %path.display(), "{fault}");
        }
        Some(Recorded { path, length })
    }

    fn flush(&mut self, now: Instant) {
        if now >= self.flush_at {
            self.flush_at = now + FLUSH;
            for file in self.open.values_mut() {
                file.write(Recording::flush);
            }
        }
    }
}

impl OpenFile {
    fn write(&mut self, write: impl FnOnce(&mut Recording<BufWriter<File>>) -> std::io::Result<()>) {
        let Ok(recording) = &mut self.recording else { return };
        if let Err(error) = write(recording) {
            tracing::warn!(path = %self.path.display(), "the recording could not be written: {error}");
            self.recording = Err(format!("the recording could not be written: {error}"));
        }
    }
}

fn create(path: &Path, channels: Channels) -> Result<Recording<BufWriter<File>>, String> {
    let describe = |error: &dyn std::fmt::Display| format!("the recording could not be created: {error}");
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| describe(&error))?;
    }
    let file = File::create(path).map_err(|error| describe(&error))?;
    Recording::new(BufWriter::new(file), channels).map_err(|error| describe(&error))
}
