//! From the media threads to the owners of calls: a bounded queue, and a thread that carries on what lies in it.
//!
//! The courier exists so that the media threads need not wake tasks, which locks, nor free memory, which may wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam_queue::ArrayQueue;
use tokio::sync::mpsc;
use zvonar_media::{PlayEnd, StreamEvent, VoiceEnd};

use super::kernel::Wake;
use super::shard::Call;
use super::{Closed, MediaEvent, Recorded, StoppedBy};

/// Events of all calls that may be under way.
const PARCELS: usize = 8192;

/// Events of one call that may wait for its owner, and how many of these places keys leave to others.
const EVENTS: usize = 64;
const KEPT_FROM_KEYS: usize = 16;

/// What happens to the sound of one call, in order. `Closed` comes last, and always, unless this is dropped.
#[derive(Debug)]
pub struct MediaEvents {
    events: mpsc::Receiver<MediaEvent>,
}

impl MediaEvents {
    /// The next event; `None` after [`MediaEvent::Closed`]. Nothing is lost when the future is dropped.
    pub async fn recv(&mut self) -> Option<MediaEvent> {
        self.events.recv().await
    }

    /// The next event, if there is one already.
    pub fn try_recv(&mut self) -> Option<MediaEvent> {
        self.events.try_recv().ok()
    }
}

/// The near end of [`MediaEvents`].
#[derive(Debug)]
pub(super) struct Outlet {
    events: mpsc::WeakSender<MediaEvent>,
    dropped: AtomicU64,
}

/// The place that is kept for [`MediaEvent::Closed`]. It also keeps the channel open until then.
pub(super) type LastWord = mpsc::OwnedPermit<MediaEvent>;

pub(super) fn outlet() -> (Arc<Outlet>, LastWord, MediaEvents) {
    let (sender, events) = mpsc::channel(EVENTS + 1);
    let weak = sender.downgrade();
    let last_word = sender.try_reserve_owned().expect("a new channel has room");
    (Arc::new(Outlet { events: weak, dropped: AtomicU64::new(0) }), last_word, MediaEvents { events })
}

impl Outlet {
    pub(super) fn send(&self, event: MediaEvent) {
        let Some(events) = self.events.upgrade() else { return };
        let flood = matches!(event, MediaEvent::Key { .. }) && events.capacity() < KEPT_FROM_KEYS;
        if flood || matches!(events.try_send(event), Err(mpsc::error::TrySendError::Full(_))) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What travels to the courier.
#[derive(Debug)]
pub(super) enum Parcel {
    /// An event as the stream made it.
    Stream(Arc<Outlet>, StreamEvent),
    /// An event of the recorder.
    Ready(Arc<Outlet>, MediaEvent),
    /// A call that is over, to be told and freed.
    Closed(Box<Call>, Option<Recorded>),
}

/// The queue to the courier.
#[derive(Debug)]
pub(super) struct Courier {
    parcels: ArrayQueue<Parcel>,
    wake: Wake,
    asleep: AtomicBool,
    stopping: AtomicBool,
}

impl Courier {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            parcels: ArrayQueue::new(PARCELS),
            wake: Wake::new()?,
            asleep: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        })
    }

    /// Gives it a parcel, or gives it back when the queue is full. Follow it by [`Courier::nudge`].
    pub(super) fn hand(&self, parcel: Parcel) -> Result<(), Parcel> {
        self.parcels.push(parcel)
    }

    /// Wakes the courier if it sleeps: one system call for all parcels of a turn.
    pub(super) fn nudge(&self) {
        if self.asleep.swap(false, Ordering::SeqCst) {
            self.wake.wake();
        }
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.wake.wake();
    }

    /// The courier's thread. It ends once it is told to stop and nothing is left.
    pub(super) fn run(&self) {
        loop {
            while let Some(parcel) = self.parcels.pop() {
                deliver(parcel);
            }
            // Asleep is said before the last look, and asked for after each push: one of the two sides sees the other.
            self.asleep.store(true, Ordering::SeqCst);
            if self.parcels.is_empty() {
                if self.stopping.load(Ordering::SeqCst) {
                    return;
                }
                self.wake.wait(None);
            }
            self.asleep.store(false, Ordering::SeqCst);
        }
    }
}

fn deliver(parcel: Parcel) {
    match parcel {
        Parcel::Stream(outlet, event) => outlet.send(match event {
            StreamEvent::Key { digit, at } => MediaEvent::Key { digit, at },
            StreamEvent::FirstPacketSent { at } => MediaEvent::FirstPacketSent { at },
            StreamEvent::FirstPacketHeard { at } => MediaEvent::FirstPacketHeard { at },
            StreamEvent::PlayEnded { id, end, played, prompt: _ } => match end {
                PlayEnd::Played => MediaEvent::Played { id },
                PlayEnd::Key => MediaEvent::Stopped { id, by: StoppedBy::Key, played },
                PlayEnd::Command => MediaEvent::Stopped { id, by: StoppedBy::Command, played },
            },
            StreamEvent::KeysSent => MediaEvent::KeysSent,
            StreamEvent::KeysRefused => MediaEvent::KeysRefused,
            StreamEvent::Machine(verdict) => MediaEvent::Machine(verdict),
            StreamEvent::Beep { hz } => MediaEvent::Beep { hz },
            StreamEvent::SilentWire { since, heard } => MediaEvent::SilentWire { since, heard },
            StreamEvent::WireBack => MediaEvent::WireBack,
            // The shard hands these to the recorder, whose word is the last; without a recorder there is no file.
            StreamEvent::VoiceEnded { end, .. } => no_recorder(end),
        }),
        Parcel::Ready(outlet, event) => outlet.send(event),
        Parcel::Closed(call, recording) => {
            let Call { socket, lease, place, outlet, last_word, stream, .. } = *call;
            let mut report = stream.report();
            report.events_dropped += outlet.dropped.load(Ordering::Relaxed);
            // The port and the place are free before the owner hears of it.
            drop((socket, lease, place));
            last_word.send(MediaEvent::Closed(Box::new(Closed { report, recording })));
        }
    }
}

fn no_recorder(end: VoiceEnd) -> MediaEvent {
    MediaEvent::VoiceRecorded {
        path: std::path::PathBuf::new(),
        end,
        length: Err("the recorder has stopped".to_owned()),
    }
}
