//! One media thread and the calls it owns.
//!
//! It sleeps until somebody's turn comes, a command arrives, or, when few calls are open, a packet does. With many
//! calls it does not wake for each packet: it looks about once a millisecond and takes them in a batch.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use zvonar_media::recording::RecordingFrame;
use zvonar_media::rtp::PacketBuf;
use zvonar_media::stream::{Handled, Passing, Stream, Tap};
use zvonar_media::{Codec, FRAME, StreamEvent};

use super::ears::{self, Ears};
use super::handle::{Handle, Place};
use super::kernel::{self, Poll};
use super::outlet::{Courier, LastWord, Outlet, Parcel};
use super::ports::Lease;
use super::recorder::{FileId, Item, Recorder};
use super::stats::Counters;
use super::wheel::{SLOTS, Wheel};
use super::{Command, ListenId, Priority};
use crate::clock;

/// Commands and ready sockets that are dealt with before the clock is looked at again.
const AT_ONCE: usize = 256;

/// Up to so many calls the thread wakes for each packet.
const FEW_CALLS: usize = 8;

/// With more calls, how long packets may gather before they are read.
const GATHER: Duration = Duration::from_millis(1);

/// A turn of the thread that took longer than this left packets behind: then a socket is read until it is empty.
const STALL: Duration = Duration::from_millis(15);

/// Packets read from one socket in a row after a stall.
const BACKLOG: usize = 16;

/// Packets that are still taken in when a call is closed: more than a socket holds.
const LAST: usize = 100;

/// After a stall of more than this, visits are skipped instead of caught up with: a burst helps nobody.
const SKIP_AFTER_MS: u64 = 60;
/// Visits that are still caught up with then: two per call.
const CATCH_UP_MS: u64 = 40;

/// Milliseconds among which a stream that hurried chooses its place, so that streams spread.
const SPREAD_MS: u64 = 4;

/// Room for a datagram: RTP of 20 ms has 172 bytes; what does not fit is cut off and refused or counted as it reads.
const DATAGRAM: usize = 1600;

/// A call, as its shard owns it. Made and freed elsewhere.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) socket: UdpSocket,
    pub(super) lease: Lease,
    pub(super) place: Place,
    pub(super) outlet: Arc<Outlet>,
    pub(super) last_word: LastWord,
    pub(super) stream: Stream,
    /// Where the socket is connected to.
    pub(super) connected: Option<SocketAddr>,
    pub(super) file: Option<FileId>,
    pub(super) voice_file: Option<FileId>,
    pub(super) listening: Option<ListenId>,
    /// The call that it is bridged with; that one has this one as its peer.
    pub(super) peer: Option<u32>,
    pub(super) closing: bool,
}

/// Says that the thread is gone, even when it panicked: nobody waits for it then.
struct GoneGuard(Arc<Handle>);

impl Drop for GoneGuard {
    fn drop(&mut self) {
        self.0.gone.store(true, Ordering::SeqCst);
        self.0.discard();
    }
}

pub(super) struct Shard {
    handle: Arc<Handle>,
    courier: Arc<Courier>,
    recorder: Arc<OnceLock<Arc<Recorder>>>,
    ears: Arc<OnceLock<Arc<Ears>>>,
    poll: Poll,
    calls: Box<[Option<Box<Call>>]>,
    open: usize,
    wheel: Wheel,
    epoch: Instant,
    /// The next millisecond since `epoch` whose slot is to be visited.
    due: u64,
    harvested_at: Instant,
    turn_at: Instant,
    packet: PacketBuf,
    datagram: Box<[u8; DATAGRAM]>,
}

impl Shard {
    pub(super) fn new(
        handle: Arc<Handle>,
        courier: Arc<Courier>,
        recorder: Arc<OnceLock<Arc<Recorder>>>,
        ears: Arc<OnceLock<Arc<Ears>>>,
    ) -> std::io::Result<Self> {
        let now = clock::now();
        let capacity = handle.capacity;
        Ok(Self {
            poll: Poll::new(&handle.wake, AT_ONCE)?,
            handle,
            courier,
            recorder,
            ears,
            calls: (0..capacity).map(|_| None).collect(),
            open: 0,
            wheel: Wheel::new(capacity),
            epoch: now,
            due: 0,
            harvested_at: now,
            turn_at: now,
            packet: PacketBuf::new(),
            datagram: Box::new([0; DATAGRAM]),
        })
    }

    /// The thread. It ends once it is told to stop, with every call closed.
    pub(super) fn run(mut self, priority: Priority, core: Option<usize>) {
        let _gone = GoneGuard(Arc::clone(&self.handle));
        let pinned = core.is_none_or(kernel::pin_to);
        let reached = kernel::raise_priority(priority);
        if reached != priority || !pinned {
            static SAID: std::sync::Once = std::sync::Once::new();
            SAID.call_once(|| {
                tracing::warn!(
                    wanted = ?priority, ?reached, pinned,
                    "the media threads run with less than was asked for: sound may stutter when the machine is busy"
                );
            });
        }
        while !self.handle.stopping.load(Ordering::SeqCst) {
            self.turn();
        }
        self.close_all();
    }

    /// Waits for something to do, and does it.
    fn turn(&mut self) {
        self.visit_due();
        self.carry_out_commands();
        self.courier.nudge();
        self.wait_and_read();
        self.courier.nudge();
    }

    // --- time

    fn ms(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX)
    }

    fn visit_due(&mut self) {
        let mut now = clock::now();
        let now_ms = self.ms(now);
        Counters::count(&self.handle.counters.turns, 1);
        if now_ms > self.due + SKIP_AFTER_MS {
            if self.open > 0 {
                let skipped = (now_ms - CATCH_UP_MS - self.due) * self.open as u64 / SLOTS;
                Counters::count(&self.handle.counters.skipped, skipped);
            }
            self.due = now_ms - CATCH_UP_MS;
        }
        while self.due <= self.ms(now) {
            let mut next = self.wheel.first(self.due);
            let due = self.epoch + Duration::from_millis(self.due);
            while let Some(slot) = next {
                next = self.wheel.next(slot);
                now = clock::now();
                self.count_lateness(now.saturating_duration_since(due));
                self.tick(slot, now);
            }
            self.due += 1;
            now = clock::now();
        }
    }

    fn count_lateness(&self, late: Duration) {
        let counters = &self.handle.counters;
        Counters::count(&counters.ticks, 1);
        for (limit_ms, counter) in
            [(5, &counters.late_5ms), (10, &counters.late_10ms), (20, &counters.late_20ms)]
        {
            if late > Duration::from_millis(limit_ms) {
                Counters::count(counter, 1);
            }
        }
    }

    // --- one call

    fn tick(&mut self, slot: u32, now: Instant) {
        let Some(call) = &mut self.calls[slot as usize] else { return };
        if call.closing {
            self.finish(slot, now);
            return;
        }
        let mut tap = CallTap::of(call, self.recorder.get(), self.ears.get());
        call.stream.tick(now, &mut self.packet, &mut tap);
        follow_lock(call);
        if !self.packet.is_empty() {
            send(call, self.packet.as_slice(), &self.handle.counters);
        }
        self.tell(slot);
    }

    /// What the other party of a bridge said leaves to this call: at once, not in its slot of 20 ms.
    fn pass_on(&mut self, slot: u32, passing: &Passing, len: usize, now: Instant) {
        let Some(call) = &mut self.calls[slot as usize] else { return };
        let mut tap = CallTap::of(call, self.recorder.get(), self.ears.get());
        let packet = &mut self.datagram[..len];
        if let Some(range) = call.stream.pass_on(now, passing, packet, &mut tap) {
            send(call, &packet[range], &self.handle.counters);
            Counters::count(&self.handle.counters.packets_passed, 1);
        }
        self.after(slot, now);
    }

    fn bridge(&mut self, slot: u32, other: u32, now: Instant) {
        let is_open = |slot: u32| self.calls[slot as usize].as_ref().is_some_and(|call| !call.closing);
        if slot == other || !is_open(slot) || !is_open(other) || self.peer(slot) == Some(other) {
            return;
        }
        self.unbridge(slot);
        self.unbridge(other);
        for (slot, peer) in [(slot, other), (other, slot)] {
            if let Some(call) = &mut self.calls[slot as usize] {
                call.peer = Some(peer);
                call.stream.bridge(now);
            }
            self.after(slot, now);
        }
    }

    /// Ends the bridge of this call, for both.
    fn unbridge(&mut self, slot: u32) {
        let Some(peer) = self.peer(slot) else { return };
        for slot in [slot, peer] {
            if let Some(call) = &mut self.calls[slot as usize] {
                call.peer = None;
                call.stream.unbridge();
            }
        }
    }

    fn peer(&self, slot: u32) -> Option<u32> {
        self.calls[slot as usize].as_ref()?.peer
    }

    /// After a packet or a command: what the call has to say, and its packet at once if it wants to hurry.
    fn after(&mut self, slot: u32, now: Instant) {
        let Some(call) = &mut self.calls[slot as usize] else { return };
        if call.stream.wants_to_hurry(now) {
            // The farthest slots from here: 17 to 20 ms on.
            let due = self.wheel.quietest(self.due + SLOTS - SPREAD_MS, SPREAD_MS);
            self.wheel.put(slot, due);
            self.tick(slot, now);
        } else {
            self.tell(slot);
        }
    }

    fn tell(&mut self, slot: u32) {
        let Some(call) = &mut self.calls[slot as usize] else { return };
        while let Some(event) = call.stream.poll_event() {
            let back = match (event, self.recorder.get(), call.voice_file) {
                (StreamEvent::VoiceEnded { end, at }, Some(recorder), Some(file)) => {
                    let outlet = Arc::clone(&call.outlet);
                    match recorder.hand(Item::VoiceEnded { file, end, at, outlet }) {
                        Ok(()) => {
                            call.voice_file = None;
                            None
                        }
                        Err(_) => Some(StreamEvent::VoiceEnded { end, at }),
                    }
                }
                (event, ..) => match self.courier.hand(Parcel::Stream(Arc::clone(&call.outlet), event)) {
                    Ok(()) => None,
                    Err(Parcel::Stream(_, event)) => Some(event),
                    Err(_) => None,
                },
            };
            if let Some(event) = back {
                // A queue is full: it waits in the stream, and the next tick tries again.
                Counters::count(&self.handle.counters.events_delayed, 1);
                call.stream.unpoll_event(event);
                return;
            }
        }
    }

    /// Takes a call out of the shard, by way of the recorder if it was recorded. When a queue is full, the call stays,
    /// and its next tick tries again.
    fn finish(&mut self, slot: u32, now: Instant) {
        self.tell(slot);
        let Some(mut call) = self.calls[slot as usize].take() else { return };
        if let Some(event) = call.stream.poll_event() {
            call.stream.unpoll_event(event);
            self.calls[slot as usize] = Some(call);
            return;
        }
        self.poll.remove(&call.socket);
        let recorded = call.file.zip(call.stream.recorded(now)).zip(self.recorder.get());
        let back = match recorded {
            Some(((file, at), recorder)) => match recorder.hand(Item::Closed { file, at, call }) {
                Err(Item::Closed { call, .. }) => Some(call),
                _ => None,
            },
            None => match self.courier.hand(Parcel::Closed(call, None)) {
                Err(Parcel::Closed(call, _)) => Some(call),
                _ => None,
            },
        };
        if back.is_some() {
            self.calls[slot as usize] = back;
            return;
        }
        self.wheel.remove(slot);
        self.open -= 1;
    }

    fn close(&mut self, slot: u32, now: Instant) {
        self.unbridge(slot);
        if self.calls[slot as usize].as_ref().is_some_and(|call| !call.closing) {
            // What the far end said before it hung up may lie unread, above all after a stall: it is heard and recorded.
            self.take_in(slot, LAST);
        }
        let Some(call) = &mut self.calls[slot as usize] else { return };
        if !call.closing {
            call.closing = true;
            call.stream.close(now);
        }
        self.finish(slot, now);
    }

    /// The end of the thread: every call is closed, and here waiting is allowed.
    fn close_all(&mut self) {
        loop {
            while let Some(command) = self.handle.commands.pop() {
                self.carry_out(command, clock::now());
            }
            for slot in 0..self.calls.len() {
                self.close(slot as u32, clock::now());
            }
            self.courier.nudge();
            if self.open == 0 {
                return;
            }
            std::thread::sleep(super::engine::FULL_WAIT);
        }
    }

    // --- commands

    fn carry_out_commands(&mut self) {
        for _ in 0..AT_ONCE {
            let Some(command) = self.handle.commands.pop() else { return };
            Counters::count(&self.handle.counters.commands, 1);
            self.carry_out(command, clock::now());
        }
        // More wait: do not fall asleep over them.
        self.handle.wake.wake();
    }

    fn carry_out(&mut self, command: Command, now: Instant) {
        let slot = match command {
            Command::Open(call) => {
                self.open_call(call);
                return;
            }
            Command::Close { slot } => {
                self.close(slot, now);
                return;
            }
            Command::Bridge { slot, other } => {
                self.bridge(slot, other, now);
                return;
            }
            Command::Unbridge { slot } => {
                self.unbridge(slot);
                return;
            }
            Command::PassKey { slot, digit } => {
                let Some(peer) = self.peer(slot) else { return };
                if let Some(call) = &mut self.calls[peer as usize] {
                    call.stream.pass_key(digit);
                }
                self.after(peer, now);
                return;
            }
            Command::Start { slot, .. }
            | Command::Play { slot, .. }
            | Command::Stop { slot }
            | Command::Keys { slot, .. }
            | Command::Record { slot, .. }
            | Command::RecordVoice { slot, .. }
            | Command::StopVoice { slot }
            | Command::Listen { slot, .. }
            | Command::DetectMachine { slot, .. } => slot,
        };
        let Some(call) = &mut self.calls[slot as usize] else { return };
        match command {
            Command::Start { plan, .. } => {
                call.stream.start(now, plan);
                follow_lock(call);
            }
            Command::Play { id, prompt, stop_on_key, .. } => call.stream.play(id, prompt, stop_on_key),
            Command::Stop { .. } => call.stream.stop(),
            Command::Keys { keys, timing, .. } => call.stream.send_keys(keys.as_bytes(), timing),
            Command::Record { file, .. } => {
                call.file = call.file.or(Some(file));
                call.stream.record(now);
            }
            Command::RecordVoice { file, longest, stop_at_silence, .. } => {
                // One that goes on is ended first, and told under its own name.
                call.stream.stop_voice(now);
                self.tell(slot);
                let Some(call) = &mut self.calls[slot as usize] else { return };
                call.voice_file = Some(file);
                call.stream.record_voice(now, longest, stop_at_silence);
            }
            Command::StopVoice { .. } => call.stream.stop_voice(now),
            Command::Listen { listening, .. } => {
                call.listening = listening;
                call.stream.hear_speech(now, listening.is_some());
            }
            Command::DetectMachine { settings, .. } => call.stream.detect_machine(now, settings),
            Command::Open(_)
            | Command::Close { .. }
            | Command::Bridge { .. }
            | Command::Unbridge { .. }
            | Command::PassKey { .. } => {}
        }
        self.after(slot, now);
    }

    fn open_call(&mut self, call: Box<Call>) {
        let slot = call.place.slot;
        let unreadable = self.poll.add(&call.socket, slot).is_err();
        self.calls[slot as usize] = Some(call);
        self.open += 1;
        let due = self.wheel.quietest(self.due, SLOTS);
        self.wheel.put(slot, due);
        if unreadable {
            self.close(slot, clock::now());
        }
    }

    // --- packets

    fn wait_and_read(&mut self) {
        let now = clock::now();
        let due_in = self
            .wheel
            .next_due(self.due)
            .map(|due| (self.epoch + Duration::from_millis(due)).saturating_duration_since(now));
        let gathering = (self.harvested_at + GATHER).saturating_duration_since(now);
        if self.open > FEW_CALLS && !gathering.is_zero() {
            self.handle.wake.wait(Some(due_in.map_or(gathering, |due| due.min(gathering))));
            return;
        }
        if self.poll.wait(due_in) {
            self.handle.wake.clear();
        }
        let now = clock::now();
        self.harvested_at = now;
        let stalled = now.saturating_duration_since(self.turn_at) > STALL;
        self.turn_at = now;
        for at in 0.. {
            let Some(slot) = self.poll.ready(at) else { break };
            self.read(slot, if stalled { BACKLOG } else { 1 });
        }
    }

    fn read(&mut self, slot: u32, most: usize) {
        for _ in 0..most {
            let Some((len, from)) = self.receive(slot) else { return };
            // What was asked for before this packet was sent is done before it is heard: a key that is pressed the moment
            // the plan is there is a key of the call.
            if !self.handle.commands.is_empty() {
                let Some(outlet) = self.outlet(slot) else { return };
                self.carry_out_commands();
                if !self.outlet(slot).is_some_and(|there| Arc::ptr_eq(&there, &outlet)) {
                    return;
                }
            }
            self.hear(slot, len, from);
        }
    }

    /// The last packets of a call, which is being closed: no command comes before them.
    fn take_in(&mut self, slot: u32, most: usize) {
        for _ in 0..most {
            let Some((len, from)) = self.receive(slot) else { return };
            self.hear(slot, len, from);
        }
    }

    /// The next datagram of this call, into the buffer.
    fn receive(&mut self, slot: u32) -> Option<(usize, SocketAddr)> {
        let call = self.calls.get(slot as usize)?.as_ref()?;
        // The source is asked for even when connected: what came before the connect is still in the queue. Errors are
        // an empty queue, or word that the far end's port is closed, which SIP will tell better.
        call.socket.recv_from(self.datagram.as_mut_slice()).ok()
    }

    fn outlet(&self, slot: u32) -> Option<Arc<Outlet>> {
        Some(Arc::clone(&self.calls.get(slot as usize)?.as_ref()?.outlet))
    }

    fn hear(&mut self, slot: u32, len: usize, from: SocketAddr) {
        let Some(call) = self.calls.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        let now = clock::now();
        let handled = call.stream.handle_packet(now, from, &self.datagram[..len]);
        follow_lock(call);
        let peer = call.peer;
        let refused = handled == Handled::Refused;
        Counters::count(&self.handle.counters.packets_read, 1);
        Counters::count(&self.handle.counters.packets_refused, u64::from(refused));
        if let (Handled::Pass(passing), Some(peer)) = (handled, peer) {
            self.pass_on(peer, &passing, len, now);
        }
        self.after(slot, now);
    }
}

fn send(call: &Call, packet: &[u8], counters: &Counters) {
    let sent = match (call.connected, call.stream.target()) {
        (Some(_), _) => call.socket.send(packet).is_ok(),
        (None, Some(target)) => call.socket.send_to(packet, target).is_ok(),
        (None, None) => false,
    };
    Counters::count(if sent { &counters.packets_sent } else { &counters.packets_unsent }, 1);
}

/// Connects the socket once the source is locked, which halves the price of a send, and makes the kernel refuse
/// everybody else; lets go again when a plan opens it.
fn follow_lock(call: &mut Call) {
    let locked = call.stream.locked();
    if locked == call.connected {
        return;
    }
    let done = match locked {
        Some(source) => call.socket.connect(source),
        None => kernel::disconnect(&call.socket),
    };
    // A far end that cannot be connected to (another address family) is sent to without; nothing arrives either way.
    call.connected = locked.filter(|_| done.is_ok());
}

struct CallTap<'a> {
    recorder: Option<&'a Arc<Recorder>>,
    file: Option<FileId>,
    voice_file: Option<FileId>,
    ears: Option<&'a Arc<Ears>>,
    listening: Option<ListenId>,
}

impl<'a> CallTap<'a> {
    fn of(call: &Call, recorder: Option<&'a Arc<Recorder>>, ears: Option<&'a Arc<Ears>>) -> Self {
        let Call { file, voice_file, listening, .. } = *call;
        Self { recorder, file, voice_file, ears, listening }
    }

    fn hand(&self, file: Option<FileId>, frame: RecordingFrame) -> bool {
        match (self.recorder, file) {
            (Some(recorder), Some(file)) => recorder.hand(Item::Frame(file, frame)).is_ok(),
            _ => false,
        }
    }
}

impl Tap for CallTap<'_> {
    fn call(&mut self, frame: RecordingFrame) -> bool {
        self.hand(self.file, frame)
    }

    fn voice(&mut self, frame: RecordingFrame) -> bool {
        self.hand(self.voice_file, frame)
    }

    fn heard(&mut self, codec: Codec, sound: &[u8; FRAME]) -> bool {
        match (self.ears, self.listening) {
            (Some(ears), Some(listening)) => ears.hand(ears::Frame { listening, codec, sound: *sound }),
            _ => false,
        }
    }
}
