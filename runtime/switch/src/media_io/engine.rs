//! The handles: the engine that owns the threads, and a port for each call.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use zvonar_media::amd::MachineSettings;
use zvonar_media::event::{self, KeySender, KeyTiming};
use zvonar_media::recording::Channels;
use zvonar_media::utterance;
use zvonar_media::{MediaPlan, PlayId, Prompt, Stream, StreamIds, StreamSettings};

use super::ears::{Ears, Order};
use super::handle::Handle;
use super::outlet::{self, Courier, Outlet};
use super::ports::Ports;
use super::recorder::{FileId, Recorder};
use super::shard::{Call, Shard};
use super::{Command, ListenId, MediaConfig, MediaError, MediaEvents, MediaStats};
use crate::clock;

/// How long a thread that may wait does so before it tries a full queue again.
pub(super) const FULL_WAIT: Duration = Duration::from_micros(200);

/// The media threads. Dropped, it closes every stream and joins them, which takes some milliseconds.
#[derive(Debug)]
pub struct MediaEngine {
    inner: Arc<Inner>,
    threads: Mutex<Option<Threads>>,
}

#[derive(Debug)]
struct Threads {
    shards: Vec<JoinHandle<()>>,
    courier: JoinHandle<()>,
}

#[derive(Debug)]
struct Inner {
    shards: Vec<Arc<Handle>>,
    ports: Arc<Ports>,
    settings: StreamSettings,
    courier: Arc<Courier>,
    recorder: Arc<OnceLock<Arc<Recorder>>>,
    recorder_thread: Mutex<Option<JoinHandle<()>>>,
    ears: Arc<OnceLock<Arc<Ears>>>,
    ears_thread: Mutex<Option<JoinHandle<()>>>,
    next_listening: AtomicU64,
    next_file: AtomicU64,
    stopped: AtomicBool,
}

impl MediaEngine {
    /// Starts the threads. Needs no tokio.
    ///
    /// # Errors
    ///
    /// No port in the range, or no thread to be had.
    pub fn start(config: MediaConfig) -> Result<Self, MediaError> {
        let ports = Arc::new(Ports::new(config.address, &config.ports)?);
        let courier = Arc::new(Courier::new().map_err(MediaError::Threads)?);
        let cores: Vec<Option<usize>> = if config.cores.is_empty() {
            vec![None; config.threads.max(1)]
        } else {
            config.cores.iter().copied().map(Some).collect()
        };
        let recorder = Arc::new(OnceLock::new());
        let ears = Arc::new(OnceLock::new());
        let mut handles = Vec::new();
        let mut prepared = Vec::new();
        for core in cores {
            // Any shard may get all calls, so each has as many places as there are ports: 40 bytes a place.
            let handle = Arc::new(Handle::new(ports.count()).map_err(MediaError::Threads)?);
            let (courier, recorder, ears) = (Arc::clone(&courier), Arc::clone(&recorder), Arc::clone(&ears));
            let shard = Shard::new(Arc::clone(&handle), courier, recorder, ears);
            prepared.push((shard.map_err(MediaError::Threads)?, core));
            handles.push(handle);
        }
        let inner = Arc::new(Inner {
            shards: handles,
            ports,
            settings: config.stream,
            courier: Arc::clone(&courier),
            recorder,
            recorder_thread: Mutex::new(None),
            ears,
            ears_thread: Mutex::new(None),
            next_listening: AtomicU64::new(0),
            next_file: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        });
        let courier_thread = thread("media-courier", move || courier.run()).map_err(MediaError::Threads)?;
        // From here on the engine exists, so that what was started is joined if the rest does not start.
        let engine = Self {
            inner,
            threads: Mutex::new(Some(Threads { shards: Vec::new(), courier: courier_thread })),
        };
        for (n, (shard, core)) in prepared.into_iter().enumerate() {
            let priority = config.priority;
            let started = thread(&format!("media-{n}"), move || shard.run(priority, core));
            let started = started.map_err(MediaError::Threads)?;
            let mut threads = engine.threads.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(threads) = threads.as_mut() {
                threads.shards.push(started);
            }
        }
        Ok(engine)
    }

    /// A port for a call: a socket that is bound, and does nothing yet. It goes to the thread with the fewest calls.
    ///
    /// # Errors
    ///
    /// Every port is taken, no more files may be open, or the engine has stopped.
    pub fn open(&self) -> Result<(MediaPort, MediaEvents), MediaError> {
        let quietest = self.inner.shards.iter().min_by_key(|shard| shard.live.load(Ordering::Relaxed));
        self.open_on(quietest.expect("there is at least one thread"))
    }

    /// The same, on the thread of another call, so that the two can be bridged. A thread has room for as many calls as
    /// there are ports, so it is never full before they are; whether its core can carry them, [`MediaStats`] tells.
    ///
    /// # Errors
    ///
    /// As [`Self::open`], and [`MediaError::Apart`] for a place of another engine.
    pub fn open_in(&self, place: &MediaPlace) -> Result<(MediaPort, MediaEvents), MediaError> {
        if !self.inner.shards.iter().any(|shard| Arc::ptr_eq(shard, &place.shard)) {
            return Err(MediaError::Apart);
        }
        self.open_on(&place.shard)
    }

    fn open_on(&self, shard: &Arc<Handle>) -> Result<(MediaPort, MediaEvents), MediaError> {
        let inner = &self.inner;
        if inner.stopped.load(Ordering::SeqCst) {
            return Err(MediaError::Stopped);
        }
        let (socket, lease) = inner.ports.bind()?;
        let local =
            socket.local_addr().map_err(|source| MediaError::Socket { address: lease.address(), source })?;
        let shard = Arc::clone(shard);
        // As many places as ports, so a port in hand means that a place is free or about to be.
        let place = loop {
            match shard.place() {
                Some(place) => break place,
                None => std::thread::sleep(FULL_WAIT),
            }
        };
        let slot = place.slot;
        let (outlet, last_word, events) = outlet::outlet();
        let outlet_of_port = Arc::clone(&outlet);
        let ids = StreamIds { ssrc: rand::random(), sequence: rand::random(), timestamp: rand::random() };
        let call = Box::new(Call {
            socket,
            lease,
            place,
            outlet,
            last_word,
            stream: Stream::new(clock::now(), inner.settings, ids),
            connected: None,
            file: None,
            voice_file: None,
            listening: None,
            peer: None,
            closing: false,
        });
        let port = MediaPort {
            inner: Arc::clone(inner),
            shard,
            slot,
            local,
            outlet: outlet_of_port,
            listening: Mutex::new(None),
            plays: AtomicU64::new(0),
            recorded: AtomicBool::new(false),
        };
        port.command(Command::Open(call));
        Ok((port, events))
    }

    /// What the threads counted so far.
    pub fn stats(&self) -> MediaStats {
        let mut stats = MediaStats::default();
        for shard in &self.inner.shards {
            stats.streams += shard.live.load(Ordering::Relaxed);
            stats.add(&shard.counters);
        }
        stats
    }

    /// Closes every stream, finishes recordings, and joins the threads. `Closed` reaches every owner. A second time it
    /// does nothing. It blocks for some milliseconds.
    pub fn shutdown(&self) {
        let Some(threads) = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        self.inner.stopped.store(true, Ordering::SeqCst);
        for shard in &self.inner.shards {
            shard.stop();
        }
        for thread in threads.shards {
            join(thread);
        }
        // In the order in which things flow: whoever is stopped has nobody left who could give him work.
        let recorder = self.inner.recorder_thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(recorder), Some(thread)) = (self.inner.recorder.get(), recorder) {
            recorder.stop();
            join(thread);
        }
        let ears = self.inner.ears_thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(ears), Some(thread)) = (self.inner.ears.get(), ears) {
            ears.stop();
            join(thread);
        }
        self.inner.courier.stop();
        join(threads.courier);
    }
}

impl Drop for MediaEngine {
    fn drop(&mut self) {
        self.shutdown();
    }
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run)
}

fn join(thread: JoinHandle<()>) {
    let name = thread.thread().name().unwrap_or("media").to_owned();
    if thread.join().is_err() {
        tracing::error!(thread = name, "a media thread had a bug and ended early; its calls fell silent");
    }
}

impl Inner {
    /// The recorder, with its thread, from the first recording on.
    fn recorder(&self) -> Result<&Arc<Recorder>, MediaError> {
        let mut thread_slot = self.recorder_thread.lock().unwrap_or_else(PoisonError::into_inner);
        if self.stopped.load(Ordering::SeqCst) {
            return Err(MediaError::Stopped);
        }
        if let Some(recorder) = self.recorder.get() {
            return Ok(recorder);
        }
        let recorder = Arc::new(Recorder::new(Arc::clone(&self.courier)).map_err(MediaError::Threads)?);
        let running = Arc::clone(&recorder);
        *thread_slot = Some(thread("media-recorder", move || running.run()).map_err(MediaError::Threads)?);
        Ok(self.recorder.get_or_init(|| recorder))
    }
}

impl Inner {
    /// The listening thread, from the first listening on.
    fn ears(&self) -> Result<&Arc<Ears>, MediaError> {
        let mut thread_slot = self.ears_thread.lock().unwrap_or_else(PoisonError::into_inner);
        if self.stopped.load(Ordering::SeqCst) {
            return Err(MediaError::Stopped);
        }
        if let Some(ears) = self.ears.get() {
            return Ok(ears);
        }
        let ears = Arc::new(Ears::new().map_err(MediaError::Threads)?);
        let running = Arc::clone(&ears);
        *thread_slot = Some(thread("media-ears", move || running.run()).map_err(MediaError::Threads)?);
        Ok(self.ears.get_or_init(|| ears))
    }
}

/// Keys on their way to a shard, without memory of their own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys {
    bytes: [u8; KeySender::CAPACITY],
    len: usize,
}

impl Keys {
    fn new(keys: &str) -> Option<Self> {
        let known = keys.chars().all(|key| event::code(key).is_some());
        if !known || keys.len() > KeySender::CAPACITY {
            return None;
        }
        let mut bytes = [0; KeySender::CAPACITY];
        bytes[..keys.len()].copy_from_slice(keys.as_bytes());
        Some(Self { bytes, len: keys.len() })
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Which thread carries a call: another that shall be bridged with it is opened in the same place. Outlives the call.
#[derive(Clone)]
pub struct MediaPlace {
    shard: Arc<Handle>,
}

/// Two are the same if calls there can be bridged.
impl PartialEq for MediaPlace {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shard, &other.shard)
    }
}

impl Eq for MediaPlace {}

impl fmt::Debug for MediaPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MediaPlace").finish_non_exhaustive()
    }
}

/// The sound of one call, as its owner holds it. Dropped, it closes the stream; [`super::MediaEvent::Closed`] follows.
///
/// No method fails once the port is open, and none loses a command: when a shard has 4096 commands waiting, the
/// caller's thread waits (see [`crate::media_io`]). After the engine's shutdown, commands do nothing.
#[derive(Debug)]
pub struct MediaPort {
    inner: Arc<Inner>,
    shard: Arc<Handle>,
    slot: u32,
    local: SocketAddr,
    outlet: Arc<Outlet>,
    /// What goes on at the moment.
    listening: Mutex<Option<ListenId>>,
    plays: AtomicU64,
    recorded: AtomicBool,
}

impl MediaPort {
    /// Where the far end should send to: what goes into our SDP.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Where another call must be opened to be bridged with this one.
    pub fn place(&self) -> MediaPlace {
        MediaPlace { shard: Arc::clone(&self.shard) }
    }

    /// Begins, or follows a re-INVITE. What was played before waits and begins now.
    pub fn start(&self, plan: MediaPlan) {
        self.command(Command::Start { slot: self.slot, plan });
    }

    /// Plays a prompt in place of whatever plays; its first packet leaves at once. `stop_on_key`: the first key stops
    /// it, inside the media thread. One `Played` or `Stopped` with this id follows.
    pub fn play(&self, prompt: Prompt, stop_on_key: bool) -> PlayId {
        let id = PlayId(self.plays.fetch_add(1, Ordering::Relaxed));
        self.command(Command::Play { slot: self.slot, id, prompt, stop_on_key });
        id
    }

    /// Plays a prompt again and again, without a gap, until [`Self::stop`], another prompt, or a bridge: the music of
    /// waiting. A key does not stop it. `Stopped` follows.
    pub fn play_loop(&self, prompt: Prompt) -> PlayId {
        self.play(prompt.repeated(), false)
    }

    /// Joins this call with another: from now on each far end hears the other, both ways, as soon as each packet comes.
    /// Keys reach the other and are told here as well; recordings go on, with the other party on our side. A prompt that
    /// repeats until it is stopped ends; any other is heard in place of the other party, now and later, and the bridge
    /// goes on after it. A call has one other party: with whom each was joined before, he is let go.
    ///
    /// # Errors
    ///
    /// [`MediaError::Apart`]: the other is carried by another thread, since it was not opened in this one's
    /// [`Self::place`]; or it is this one itself.
    pub fn bridge(&self, other: &Self) -> Result<(), MediaError> {
        if !Arc::ptr_eq(&self.shard, &other.shard) || self.slot == other.slot {
            return Err(MediaError::Apart);
        }
        self.command(Command::Bridge { slot: self.slot, other: other.slot });
        Ok(())
    }

    /// Ends the bridge, for both. Without one, nothing happens.
    pub fn unbridge(&self) {
        self.command(Command::Unbridge { slot: self.slot });
    }

    /// A key of this call's far end that came by the signalling: it is sent to the other party, if there is one.
    pub fn pass_key(&self, digit: char) {
        self.command(Command::PassKey { slot: self.slot, digit });
    }

    /// Stops what plays.
    pub fn stop(&self) {
        self.command(Command::Stop { slot: self.slot });
    }

    /// Sends keys: as telephone-events, or in the sound where the far end takes none. `KeysSent` follows, or
    /// `KeysRefused` when 32 keys wait already.
    ///
    /// # Errors
    ///
    /// [`MediaError::NoKeys`]: more than 32, or not all of `0`–`9`, `*`, `#`, `A`–`D`.
    pub fn send_keys(&self, keys: &str, timing: KeyTiming) -> Result<(), MediaError> {
        let keys = Keys::new(keys).ok_or(MediaError::NoKeys)?;
        self.command(Command::Keys { slot: self.slot, keys, timing });
        Ok(())
    }

    /// Records the whole call from now on into a WAV file (8 kHz, 16 bits; left the far end, right we). The folder is
    /// made if it is missing. The result comes with `Closed`, once the file is complete. A second call does nothing.
    ///
    /// # Errors
    ///
    /// The recorder's thread did not start, or the engine has stopped.
    pub fn record(&self, path: PathBuf) -> Result<(), MediaError> {
        if self.recorded.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        let file = self.file(path, Channels::Both)?;
        self.command(Command::Record { slot: self.slot, file });
        Ok(())
    }

    /// Records the far end alone, mono, for at most `longest`, or until it is silent for `stop_at_silence`; it has
    /// [`StreamSettings::voice_begin`] to begin. `VoiceRecorded` follows. A recording of this kind that goes on ends.
    ///
    /// # Errors
    ///
    /// The recorder's thread did not start, or the engine has stopped.
    pub fn record_voice(
        &self,
        path: PathBuf,
        longest: Duration,
        stop_at_silence: Option<Duration>,
    ) -> Result<(), MediaError> {
        let file = self.file(path, Channels::FarEnd)?;
        self.command(Command::RecordVoice { slot: self.slot, file, longest, stop_at_silence });
        Ok(())
    }

    /// Ends the recording of the far end, if one goes on.
    pub fn stop_voice(&self) {
        self.command(Command::StopVoice { slot: self.slot });
    }

    /// Listens for one spoken answer from now on; `Speech` events follow, with this id. What goes on ends.
    ///
    /// # Errors
    ///
    /// The listening thread did not start, or the engine has stopped.
    pub fn listen(&self, settings: utterance::Settings) -> Result<ListenId, MediaError> {
        let ears = self.inner.ears()?;
        let listening = ListenId(self.inner.next_listening.fetch_add(1, Ordering::Relaxed));
        let before = self.listening.lock().unwrap_or_else(PoisonError::into_inner).replace(listening);
        if let Some(before) = before {
            ears.order(Order::End { listening: before });
        }
        ears.order(Order::Begin { listening, settings, outlet: Arc::clone(&self.outlet) });
        self.command(Command::Listen { slot: self.slot, listening: Some(listening) });
        Ok(listening)
    }

    /// Ends the listening, if one goes on. Some of its events may still be on their way.
    pub fn stop_listening(&self) {
        let before = self.listening.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(listening), Some(ears)) = (before, self.inner.ears.get()) {
            self.command(Command::Listen { slot: self.slot, listening: None });
            ears.order(Order::End { listening });
        }
    }

    /// Finds out who picked up. Ask at the answer: `Machine` follows within `settings.total`, and `Beep` after it, if
    /// it is a machine that beeps within `settings.beep`.
    pub fn detect_machine(&self, settings: MachineSettings) {
        self.command(Command::DetectMachine { slot: self.slot, settings });
    }

    /// Closes the stream, as dropping does. `Closed` follows.
    pub fn close(self) {
        drop(self);
    }

    fn file(&self, path: PathBuf, channels: Channels) -> Result<FileId, MediaError> {
        let file = FileId(self.inner.next_file.fetch_add(1, Ordering::Relaxed));
        self.inner.recorder()?.open(file, path, channels);
        Ok(file)
    }

    fn command(&self, command: Command) {
        self.shard.command(command);
    }
}

impl Drop for MediaPort {
    fn drop(&mut self) {
        self.stop_listening();
        self.command(Command::Close { slot: self.slot });
    }
}
