//! The sound of calls: sockets and the threads that keep 20 ms time.
//!
//! A few OS threads each own a shard of the calls. A call has one UDP socket, connected once its source is locked, and
//! a `zvonar_media::Stream`, which decides everything; a thread only moves packets, commands and events:
//!
//! ```text
//! MediaPort ──commands──▶ ┌─────────┐ ──packets──▶ network
//!  (any task)  + eventfd  │ a shard │ ◀─packets──
//!                         └─────────┘ ──frames───▶ recorder thread ──▶ WAV files
//!                              └───────frames───▶ listening thread ──▶ where answers begin and end
//! MediaEvents ◀── courier thread ◀── events ─┘
//! ```
//!
//! # Invariants
//!
//! * A shard never locks, allocates, frees, logs or waits for anybody (the test `media_thread_allocates_nothing`
//!   counts). What must be freed, a played prompt or a closed call, travels to the courier inside an event.
//! * A command is carried out as soon as the shard sees it, which is at once: the first packet of a prompt leaves then,
//!   not in the call's next slot of 20 ms, and the call is visited in that rhythm from there on.
//! * [`MediaEvent::Closed`] comes once, last, and always.
//!
//! # When a queue is full
//!
//! * Commands (4096 a shard): the caller's thread waits, in steps of 200 µs, until the shard has taken some. A shard
//!   empties the queue about every millisecond, so this means that its core is overloaded. Nothing is lost.
//! * Events of all calls (8192 an engine): they stay in their call's stream, which holds 16; past eight, key presses are
//!   dropped and counted in the call's report.
//! * Events of one call ([`MediaEvents`], 64): a key is dropped and counted when fewer than 16 places are free, so that
//!   a flood of keys cannot push out the end of a prompt; anything else only when none is. A place is kept for `Closed`.
//! * Recording frames (16,384 an engine): the newest is dropped and counted; the file has silence there.
//! * Frames that are listened to (8,192 an engine): the newest is dropped and counted.
//! * Recordings being opened (256): the caller's thread waits.
//!
//! # Bridges
//!
//! Two calls of one shard hand each other's packets on (`zvonar_media::stream`, [`MediaPort::bridge`]): read from the one
//! socket, sent by the other in the same turn, without decoding and without a queue. A bridge ends for both when either
//! ends it, closes, or is bridged with another. Calls of different shards are not bridged: what would cross from thread
//! to thread would wait for its turn there, so the second call is opened where the first is ([`MediaEngine::open_in`]).
//!
//! Deliberately absent: RTCP on the wire, SRTP, mixing.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use zvonar_media::amd::{MachineSettings, Verdict};
use zvonar_media::event::KeyTiming;
use zvonar_media::utterance::EndedBy;
use zvonar_media::{Heard, MediaPlan, PlayId, Prompt, Report, StreamSettings, VoiceEnd};

mod ears;
mod engine;
mod handle;
mod inbox;
mod kernel;
mod outlet;
mod ports;
mod recorder;
mod shard;
mod stats;
mod wheel;

pub use engine::{MediaEngine, MediaPlace, MediaPort};
pub use outlet::MediaEvents;
pub use stats::MediaStats;

/// How the sound is set up.
#[derive(Debug, Clone)]
pub struct MediaConfig {
    /// Which address the sockets are bound to. `0.0.0.0` is possible, but then [`MediaPort::local_addr`] says so, and
    /// the SDP must name another.
    pub address: IpAddr,
    /// Ports for RTP; the even ones are used, one a call, so their number is the limit on calls.
    pub ports: RangeInclusive<u16>,
    /// How many threads keep time; at least one. 1,500 to 2,000 two-way calls a thread. Ignored when `cores` is given.
    pub threads: usize,
    /// Cores reserved for media: one thread is pinned to each. Empty: `threads` threads, wherever the kernel likes.
    pub cores: Vec<usize>,
    /// How hard the threads try to come first.
    pub priority: Priority,
    /// What every stream starts with.
    pub stream: StreamSettings,
}

impl MediaConfig {
    /// Ports 16384 to 32767 (below those that Linux hands out by itself), one thread for two cores, real-time priority.
    pub fn new(address: IpAddr) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            address,
            ports: 16_384..=32_767,
            threads: (cores / 2).max(1),
            cores: Vec::new(),
            priority: Priority::RealTime,
            stream: StreamSettings::default(),
        }
    }
}

/// How hard the media threads try to come before other threads. What the system does not permit is not an error: the
/// next lower is taken, and the log says so once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// `SCHED_FIFO` at its lowest priority: before everything that is not real-time itself.
    RealTime,
    /// A nice value of -15.
    Nice,
    /// Like any other thread.
    Normal,
}

/// Why sound could not be had.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The configured range has no even port.
    #[error("the range of media ports {first}-{last} has no even port")]
    NoPorts {
        /// Its first.
        first: u16,
        /// Its last.
        last: u16,
    },
    /// Every port is taken.
    #[error(
        "all {count} media ports of {first}-{last} are taken: allow fewer calls or give a wider range of ports"
    )]
    PortsExhausted {
        /// The first of the range.
        first: u16,
        /// The last of the range.
        last: u16,
        /// How many even ports are in it.
        count: usize,
    },
    /// A socket could not be made: most often the limit on open files.
    #[error("no socket for the sound on {address}")]
    Socket {
        /// Where.
        address: SocketAddr,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// A thread, an epoll or an eventfd could not be made.
    #[error("the media threads did not start")]
    Threads(#[source] std::io::Error),
    /// The sound of two calls that were to be joined is carried by different threads, or is one and the same.
    #[error("these two calls cannot be joined: open the second in the place of the first")]
    Apart,
    /// What should be sent as keys is none.
    #[error("only the keys 0-9, *, #, A-D can be sent, and at most 32 at once")]
    NoKeys,
    /// The engine has been shut down.
    #[error("the media engine has stopped")]
    Stopped,
}

/// What an owner of a call hears about its sound.
#[derive(Debug)]
pub enum MediaEvent {
    /// A key, as a telephone-event or in the sound. A key that stops a prompt comes before that `Stopped`.
    Key {
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
        /// When its first packet came.
        at: Instant,
    },
    /// The first packet has left.
    FirstPacketSent {
        /// When.
        at: Instant,
    },
    /// The first packet of the far end was taken.
    FirstPacketHeard {
        /// When.
        at: Instant,
    },
    /// A prompt was played to its end: its last 20 ms are over.
    Played {
        /// Which.
        id: PlayId,
    },
    /// A prompt was stopped before its end.
    Stopped {
        /// Which.
        id: PlayId,
        /// By what.
        by: StoppedBy,
        /// How much of it had left.
        played: Duration,
    },
    /// All keys of `send_keys` have left.
    KeysSent,
    /// Keys of `send_keys` were not sent: too many wait already.
    KeysRefused,
    /// No RTP came for [`StreamSettings::silent_wire`], though it should: a telephone that answered and fell silent, or a
    /// network that broke. Told once, and once more if still nothing comes after the sound was agreed anew or bridged.
    /// Not while the far end says that it sends nothing; one that holds us and does not say so is told. A far end that
    /// suppresses silence is silent too: this alone is no reason to hang up.
    SilentWire {
        /// When something came last, or the sound began.
        since: Instant,
        /// What came before.
        heard: Heard,
    },
    /// RTP comes again after [`MediaEvent::SilentWire`].
    WireBack,
    /// Whether a person or a machine picked up, after `detect_machine`.
    Machine(Verdict),
    /// The machine has beeped: from now on it records.
    Beep {
        /// Its pitch.
        hz: f32,
    },
    /// What is said, after `listen`.
    Speech {
        /// Which listening.
        listening: ListenId,
        /// What was noticed.
        step: SpeechStep,
    },
    /// A voice recording is finished, and its file complete.
    VoiceRecorded {
        /// The file.
        path: PathBuf,
        /// Why it ended.
        end: VoiceEnd,
        /// How long it is; or, as a sentence, why there is no file.
        length: Result<Duration, String>,
    },
    /// The stream is closed, its socket gone and its recording complete. The last event.
    Closed(Box<Closed>),
}

/// One listening of a call. Its events carry it, since some may be on their way when another begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenId(u64);

/// What was noticed of a spoken answer: `zvonar_media::utterance`, with the sound. 8 kHz.
#[derive(Debug, Clone)]
pub enum SpeechStep {
    /// Somebody began to speak.
    Began,
    /// This part of a long answer is complete.
    Piece(Arc<[i16]>),
    /// A pause: unless the caller goes on, this is the last part.
    Pause(Arc<[i16]>),
    /// He went on: the last pause's part is void.
    WentOn,
    /// That was no speech; what was told of it is void. The listening goes on.
    Nothing,
    /// The answer is over, and with it the listening.
    Ended {
        /// From the first to the last voiced block.
        voiced: Duration,
        /// The last part: the very one of the last pause, if there was one since the last word. `None`: all of it was in
        /// the pieces.
        last: Option<Arc<[i16]>>,
        /// All of the answer, with a little from before.
        sound: Arc<[i16]>,
        /// Why.
        by: EndedBy,
    },
}

/// Why a prompt was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoppedBy {
    /// The far end pressed a key.
    Key,
    /// [`MediaPort::stop`], or another `play`.
    Command,
}

/// The end of a stream.
#[derive(Debug)]
pub struct Closed {
    /// What crossed the wire.
    pub report: Report,
    /// The recording of the whole call, if one was asked for.
    pub recording: Option<Recorded>,
}

/// A recording of a whole call.
#[derive(Debug)]
pub struct Recorded {
    /// The file.
    pub path: PathBuf,
    /// How long it is; or, as a sentence, why there is no file or an incomplete one.
    pub length: Result<Duration, String>,
}

/// What a shard is asked to do. The slot is the call's place in its shard.
#[derive(Debug)]
enum Command {
    Open(Box<shard::Call>),
    Start {
        slot: u32,
        plan: MediaPlan,
    },
    Play {
        slot: u32,
        id: PlayId,
        prompt: Prompt,
        stop_on_key: bool,
    },
    Stop {
        slot: u32,
    },
    Keys {
        slot: u32,
        keys: engine::Keys,
        timing: KeyTiming,
    },
    Record {
        slot: u32,
        file: recorder::FileId,
    },
    RecordVoice {
        slot: u32,
        file: recorder::FileId,
        longest: Duration,
        stop_at_silence: Option<Duration>,
    },
    StopVoice {
        slot: u32,
    },
    Listen {
        slot: u32,
        listening: Option<ListenId>,
    },
    DetectMachine {
        slot: u32,
        settings: MachineSettings,
    },
    Bridge {
        slot: u32,
        other: u32,
    },
    Unbridge {
        slot: u32,
    },
    /// A key that this call's far end pressed, for the other party.
    PassKey {
        slot: u32,
        digit: char,
    },
    Close {
        slot: u32,
    },
}

#[cfg(test)]
mod tests;
