//! Listening for spoken answers: a bounded queue of sound, and a thread that finds out where answers begin and end.
//!
//! The network that tells a voice from noise takes 70 µs for 32 ms of sound: nothing for one call, and far too much for a
//! thread that keeps 20 ms time for a thousand. So the shards only copy frames, and this thread listens.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use zvonar_media::utterance::{Event, Listener, Settings};
use zvonar_media::{Codec, FRAME, g711};

use super::kernel::Wake;
use super::outlet::Outlet;
use super::{ListenId, MediaEvent, SpeechStep};

/// Frames that may wait: 160 ms of 1000 calls that are listened to.
const FRAMES: usize = 8192;

/// Beginnings and ends of listening that may wait.
const ORDERS: usize = 256;

/// How often the queue is emptied while somebody is listened to.
const ROUND: Duration = Duration::from_millis(10);

/// 20 ms of a call that is listened to. What was lost on the way is silence.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) listening: ListenId,
    pub(super) codec: Codec,
    pub(super) sound: [u8; FRAME],
}

/// What the owner of a call asks for.
pub(super) enum Order {
    Begin { listening: ListenId, settings: Settings, outlet: Arc<Outlet> },
    End { listening: ListenId },
}

/// The queues to the listening thread.
pub(super) struct Ears {
    orders: ArrayQueue<Order>,
    frames: ArrayQueue<Frame>,
    wake: Wake,
    stopping: AtomicBool,
}

impl std::fmt::Debug for Ears {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ears").field("frames", &self.frames.len()).finish_non_exhaustive()
    }
}

impl Ears {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            orders: ArrayQueue::new(ORDERS),
            frames: ArrayQueue::new(FRAMES),
            wake: Wake::new()?,
            stopping: AtomicBool::new(false),
        })
    }

    /// From the owner of a call. A beginning must come before the shard hears of it.
    pub(super) fn order(&self, mut order: Order) {
        while let Err(back) = self.orders.push(order) {
            if self.stopping.load(Ordering::SeqCst) {
                return;
            }
            order = back;
            std::thread::sleep(super::engine::FULL_WAIT);
        }
        self.wake.wake();
    }

    /// From a shard: no wake-up, the thread looks by itself. `false`: the queue is full, and the frame is lost.
    pub(super) fn hand(&self, frame: Frame) -> bool {
        self.frames.push(frame).is_ok()
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.wake.wake();
    }

    /// The thread. It ends once it is told to stop.
    pub(super) fn run(&self) {
        let mut open: HashMap<ListenId, Ear> = HashMap::new();
        while !self.stopping.load(Ordering::SeqCst) {
            self.take_orders(&mut open);
            while let Some(Frame { listening, codec, sound }) = self.frames.pop() {
                if !open.contains_key(&listening) {
                    self.take_orders(&mut open); // its order came after the last look
                }
                // Frames that were on their way when the listening ended are nobody's.
                if let Some(ear) = open.get_mut(&listening)
                    && ear.hear(listening, codec, &sound)
                {
                    open.remove(&listening);
                }
            }
            self.wake.wait((!open.is_empty()).then_some(ROUND));
        }
    }

    fn take_orders(&self, open: &mut HashMap<ListenId, Ear>) {
        while let Some(order) = self.orders.pop() {
            match order {
                Order::Begin { listening, settings, outlet } => {
                    let ear = Ear { listener: Listener::new(settings), paused: None, outlet };
                    open.insert(listening, ear);
                }
                Order::End { listening } => drop(open.remove(&listening)),
            }
        }
    }
}

/// One call that is listened to.
struct Ear {
    listener: Listener,
    /// The part of the last pause, as it was told.
    paused: Option<(Range<usize>, Arc<[i16]>)>,
    outlet: Arc<Outlet>,
}

impl Ear {
    /// Takes 20 ms; says whether the answer is over.
    fn hear(&mut self, listening: ListenId, codec: Codec, sound: &[u8; FRAME]) -> bool {
        let mut linear = [0; FRAME];
        g711::decode(codec, sound, &mut linear);
        self.listener.handle(&linear);
        let mut over = false;
        while let Some(event) = self.listener.poll_event() {
            let part = |range: &Range<usize>| Arc::<[i16]>::from(&self.listener.sound()[range.clone()]);
            let step = match event {
                Event::Began => SpeechStep::Began,
                Event::Piece(range) => SpeechStep::Piece(part(&range)),
                Event::Pause(range) => {
                    let sound = part(&range);
                    self.paused = Some((range, Arc::clone(&sound)));
                    SpeechStep::Pause(sound)
                }
                Event::WentOn => {
                    self.paused = None;
                    SpeechStep::WentOn
                }
                Event::Nothing => SpeechStep::Nothing,
                Event::Ended { voiced, last, by } => {
                    over = true;
                    let paused = self.paused.take();
                    // What was told at the pause is the same sound, so that whoever began with it knows it again.
                    let last = last.map(|range| match paused {
                        Some((told, sound)) if told == range => sound,
                        _ => part(&range),
                    });
                    SpeechStep::Ended { voiced, last, sound: self.listener.sound().into(), by }
                }
            };
            self.outlet.send(MediaEvent::Speech { listening, step });
        }
        over
    }
}
