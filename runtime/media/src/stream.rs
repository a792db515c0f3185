//! The sound of one call: what comes in, what goes out, and when.
//!
//! A stream performs no I/O and reads no clock. Its driver (`switch::media_io`) hands it packets as they come and calls
//! [`Stream::tick`] every 20 ms; a tick makes at most one packet. The driver chooses the rhythm: when
//! [`Stream::wants_to_hurry`], it ticks at once and from there on every 20 ms, so that a prompt begins when it is asked
//! for and not in the next slot.
//!
//! # Invariants
//!
//! * No method allocates or frees. A prompt that is done with leaves inside [`StreamEvent::PlayEnded`].
//! * Each [`Stream::play`] is followed by exactly one `PlayEnded`, unless the stream is dropped before, or its events
//!   are not taken.
//! * Once locked, only the locked address and SSRC are heard, until a plan names another address ("RTP bleed").
//! * Timestamps never go back, and stay in step with the clock across silence.
//!
//! # Choices
//!
//! When nothing is played nothing is sent, but for a packet of silence at the start and whenever nothing was sent for
//! [`StreamSettings::keepalive`]: it opens the way through NATs and shows a latching far end where we are, at the cost
//! of 4 packets a minute instead of 3000. While the far end holds us, prompts wait.
//!
//! Two streams that are bridged hand each other's packets on as they come: see [`Stream::pass_on`]. While the other party
//! is silent a bridged stream sends silence, 50 packets a second like any telephone.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::amd::{BeepDetector, MachineDetector, MachineSettings};
use crate::event::{KeyReceiver, KeySender, KeyTick, KeyTiming};
use crate::inband::{KeyDetector, KeySinger};
use crate::level::Gate;
use crate::playout::Playout;
use crate::recording::{RecordingFrame, Side};
use crate::reorder::{Placed, ReorderBuffer};
use crate::rtp::{Header, PacketBuf};
use crate::sequence::{Arrival, Jitter, SequenceTracker};
use crate::{Codec, FRAME, FRAME_TIME, MediaPlan, Prompt, Report, g711};

mod bridge;
mod event;
mod frames;
mod settings;
mod source;
mod tap;
mod voice;
mod wire;

pub use bridge::{Handled, Passing};
pub use event::{Heard, PlayEnd, PlayId, StreamEvent};
pub use settings::{StreamIds, StreamSettings};
pub use tap::{NoTap, Tap};
pub use voice::VoiceEnd;

use bridge::{Bridge, Kind};
use event::Events;
use source::{Source, Verdict};
use voice::Voice;
use wire::{Sign, Wire};

/// Comfort noise (RFC 3389), static payload type 13: some far ends send it without having offered it.
const COMFORT_NOISE: u8 = 13;

/// At most one packet in this time leaves ahead of the rhythm, so that a scenario that plays without pause cannot
/// flood the far end.
const HURRY_APART: Duration = Duration::from_millis(100);

/// A rhythm that fell behind by more than this is given up: the timestamp jumps, and a new talkspurt begins.
const BEHIND: i32 = 100 * 8;

/// Timestamps count these.
const SAMPLES_A_SECOND: u32 = 8000;

/// The most frames that one tick catches up with on the receiving side.
const CATCH_UP: u32 = 5;

/// See the module.
#[derive(Debug)]
pub struct Stream {
    settings: StreamSettings,
    /// `None` until [`Stream::start`].
    plan: Option<MediaPlan>,
    events: Events,
    report: Report,

    // What comes in.
    source: Source,
    tracker: SequenceTracker,
    jitter: Jitter,
    keys_in: KeyReceiver,
    detector: Option<KeyDetector>,
    machine: Option<MachineDetector>,
    /// Listened for until then.
    beep: Option<(BeepDetector, Instant)>,
    beep_wait: Duration,
    buffer: ReorderBuffer,
    /// When the next frame is to be taken out of the buffer; `None` while nobody listens.
    listen_at: Option<Instant>,
    last_heard: Option<Instant>,
    wire: Wire,

    // What goes out.
    ids: StreamIds,
    /// When `ids.timestamp` was.
    epoch: Instant,
    /// The timestamp after the last packet that was sent; `None` before the first.
    sent_until: Option<u32>,
    sent_at: Option<Instant>,
    /// The previous tick sent sound, so the next one does not begin a talkspurt.
    talking: bool,
    hurry: bool,
    hurry_after: Instant,
    playing: Option<Playing>,
    keys_out: KeySender,
    /// Some of them are our owner's, who is told when they have left; the others are the other party's.
    keys_told: bool,
    singer: Option<KeySinger>,
    bridge: Option<Bridge>,

    // What is recorded.
    recording: Option<CallRecording>,
    voice: Option<Voice>,
    /// Somebody listens to what is said.
    hearing: bool,
}

#[derive(Debug)]
struct Playing {
    id: PlayId,
    playout: Playout,
    stop_on_key: bool,
}

#[derive(Debug, Clone, Copy)]
struct CallRecording {
    since: Instant,
    /// Where our next frame belongs, in samples.
    us: u64,
    /// Where the sound of the other party with this timestamp belongs; the rest of it follows from there.
    passed: Option<(u32, u64)>,
}

impl Stream {
    /// A stream that neither sends nor hears yet.
    pub fn new(now: Instant, settings: StreamSettings, ids: StreamIds) -> Self {
        let delay = u32::try_from(settings.reorder.as_millis() * 8).unwrap_or(u32::MAX);
        Self {
            settings,
            plan: None,
            events: Events::new(),
            report: Report::default(),
            source: Source::new(),
            tracker: SequenceTracker::default(),
            jitter: Jitter::default(),
            keys_in: KeyReceiver::default(),
            detector: None,
            machine: None,
            beep: None,
            beep_wait: Duration::ZERO,
            buffer: ReorderBuffer::new(Codec::Pcma, delay),
            listen_at: None,
            last_heard: None,
            wire: Wire::new(now, settings.silent_wire),
            ids,
            epoch: now,
            sent_until: None,
            sent_at: None,
            talking: false,
            hurry: false,
            hurry_after: now,
            playing: None,
            keys_out: KeySender::default(),
            keys_told: false,
            singer: None,
            bridge: None,
            recording: None,
            voice: None,
            hearing: false,
        }
    }

    /// Begins, or follows a re-INVITE. A plan with the same address keeps the lock on it, if anything came from there.
    pub fn start(&mut self, now: Instant, plan: MediaPlan) {
        let first = self.plan.is_none();
        if self.plan.as_ref().is_none_or(|before| before.remote != plan.remote) {
            self.source.open(plan.remote, now + self.settings.latch_window);
            self.wire.new_far_end();
        } else {
            self.source.confirm(plan.remote, now + self.settings.latch_window);
        }
        if self.plan.as_ref().is_none_or(|before| before.codec != plan.codec) {
            self.buffer.reset(plan.codec);
        }
        self.detector = plan.event_receive.is_none().then(|| self.detector.take().unwrap_or_default());
        self.plan = Some(plan);
        if first {
            self.wire.begin(now);
        }
        self.wire.watch(now, self.hears());
        self.listen(now);
        if first && (self.playing.is_some() || self.keys_out.is_busy()) {
            self.hurry = true;
        }
    }

    /// Where packets go now: the latched source, or else where the plan says. `None` before the start.
    pub fn target(&self) -> Option<SocketAddr> {
        Some(self.source.latched().unwrap_or(self.plan.as_ref()?.remote))
    }

    /// The only source from here on, once it is settled: the driver may connect its socket.
    pub fn locked(&self) -> Option<SocketAddr> {
        self.source.locked()
    }

    /// Plays a prompt in place of whatever plays. `stop_on_key`: the first key ends it.
    pub fn play(&mut self, id: PlayId, prompt: Prompt, stop_on_key: bool) {
        self.end_play(PlayEnd::Command);
        self.playing = Some(Playing { id, playout: Playout::new(prompt), stop_on_key });
        self.hurry = true;
    }

    /// Stops what plays, if anything.
    pub fn stop(&mut self) {
        self.end_play(PlayEnd::Command);
    }

    /// Sends keys: as telephone-events, or in the sound where the far end takes none. They go before prompts, which
    /// wait. When more than 32 would wait, or one is no key, none is sent, and [`StreamEvent::KeysRefused`] says so.
    pub fn send_keys(&mut self, keys: &[u8], timing: KeyTiming) {
        if self.keys_out.push(keys, timing) {
            self.hurry = true;
            self.keys_told = true;
        } else {
            self.events.push(StreamEvent::KeysRefused);
        }
    }

    /// Records the whole call from now on. Once: asked again, it goes on.
    pub fn record(&mut self, now: Instant) {
        if self.recording.is_none() {
            self.recording = Some(CallRecording { since: now, us: 0, passed: None });
            self.listen(now);
        }
    }

    /// Records the far end's voice: at most `longest`, and with `stop_at_silence` until it is silent for so long. One
    /// at a time: a recording that goes on is ended.
    pub fn record_voice(&mut self, now: Instant, longest: Duration, stop_at_silence: Option<Duration>) {
        self.end_voice(now, VoiceEnd::Stopped);
        let begin = self.settings.voice_begin;
        self.voice = Some(Voice::new(longest, stop_at_silence, begin, Gate::new(self.settings.gate)));
        self.listen(now);
    }

    /// Ends the voice recording, if one goes on.
    pub fn stop_voice(&mut self, now: Instant) {
        self.end_voice(now, VoiceEnd::Stopped);
    }

    /// Whether somebody listens to what is said: [`Tap::heard`] gets every frame then.
    pub fn hear_speech(&mut self, now: Instant, on: bool) {
        self.hearing = on;
        self.listen(now);
    }

    /// Finds out who picked up: [`StreamEvent::Machine`] follows, within `settings.total`; and
    /// [`StreamEvent::Beep`] after it, if it is a machine that beeps within `settings.beep`.
    pub fn detect_machine(&mut self, now: Instant, settings: MachineSettings) {
        self.machine = Some(MachineDetector::new(settings));
        self.beep = None;
        self.beep_wait = settings.beep;
        self.listen(now);
    }

    /// Ends what goes on; nothing may be begun after this.
    pub fn close(&mut self, now: Instant) {
        self.end_play(PlayEnd::Command);
        self.end_voice(now, VoiceEnd::Closed);
    }

    /// Where the recording of the whole call ends if it ends now, in samples; `None`: there is none.
    pub fn recorded(&self, now: Instant) -> Option<u64> {
        self.recording.map(|recording| samples(now.saturating_duration_since(recording.since)))
    }

    /// Takes a packet from the network.
    pub fn handle_packet(&mut self, now: Instant, from: SocketAddr, packet: &[u8]) -> Handled {
        let handled = self.take_packet(now, from, packet).unwrap_or(Handled::Refused);
        self.report.packets_refused += u64::from(handled == Handled::Refused);
        handled
    }

    fn take_packet(&mut self, now: Instant, from: SocketAddr, packet: &[u8]) -> Option<Handled> {
        let plan = self.plan.as_ref()?;
        let (header, range) = Header::parse(packet)?;
        let payload = &packet[range.clone()];
        let is_event = plan.event_receive == Some(header.payload_type);
        let codec = Some(plan.codec).filter(|codec| header.payload_type == codec.payload_type());
        if !is_event && codec.is_none() && header.payload_type != COMFORT_NOISE {
            return None;
        }
        let verdict = self.source.judge(now, from, header.ssrc, self.settings.ssrc_silence);
        match verdict {
            Verdict::Refused => return None,
            Verdict::Known => {}
            Verdict::New => {
                self.tracker.new_source();
                self.jitter.new_source();
                self.keys_in.reset();
                self.buffer.reset(plan.codec);
                self.wire.new_source();
            }
        }
        match self.tracker.handle(header.sequence) {
            Arrival::New => self.report.packets_heard += 1,
            Arrival::Duplicate => return Some(Handled::Taken),
            Arrival::Stray => return None,
        }
        if self.last_heard.is_none() {
            self.events.push(StreamEvent::FirstPacketHeard { at: now });
        }
        self.last_heard = Some(now);
        if self.wire.handle(now, plan.receive) {
            self.events.push(StreamEvent::WireBack);
        }
        let kind = if is_event {
            let pressed = self.keys_in.handle(now, header.marker, header.timestamp, payload);
            if let Some(digit) = pressed {
                self.key(now, digit);
            }
            Kind::Key { pressed: pressed.and(payload.first().copied()) }
        } else if let Some(codec) = codec {
            self.jitter.handle(now, header.timestamp);
            if self.listen_at.is_some()
                && self.buffer.put(header.timestamp, header.marker, payload) == Placed::Late
            {
                self.report.packets_late += 1;
            }
            Kind::Sound(codec)
        } else {
            Kind::Quiet
        };
        let Header { marker, sequence, timestamp, .. } = header;
        let fresh = matches!(verdict, Verdict::New);
        let overtaken = self.tracker.latest() != Some(sequence);
        if !overtaken {
            self.wire.notice(match kind {
                Kind::Sound(_) => Sign::Sound { sequence, timestamp, samples: range.len() as u32 },
                Kind::Quiet => Sign::Quiet,
                Kind::Key { .. } => Sign::Key,
            });
        }
        Some(Handled::Pass(Passing { kind, fresh, overtaken, marker, sequence, timestamp, payload: range }))
    }

    /// Whether the next tick should come at once instead of in the rhythm.
    pub fn wants_to_hurry(&self, now: Instant) -> bool {
        self.hurry && now >= self.hurry_after && self.plan.as_ref().is_some_and(|plan| plan.send)
    }

    /// 20 ms have passed, or the stream wanted to hurry. Writes the packet to send into `out`, or leaves it empty.
    pub fn tick(&mut self, now: Instant, out: &mut PacketBuf, tap: &mut impl Tap) {
        out.clear();
        if self.plan.is_none() {
            return;
        }
        self.source.settle(now);
        self.listen_to_frames(now, tap);
        self.watch_silence(now);
        if self.hurry {
            self.hurry = false;
            // Not a hurry at all when the last packet's time is over anyway.
            if self.sent_at.is_some_and(|at| now < at + FRAME_TIME) {
                self.hurry_after = now + HURRY_APART;
            }
        }
        self.speak(now, out, tap);
    }

    /// The next event, if any waits.
    pub fn poll_event(&mut self) -> Option<StreamEvent> {
        self.events.pop()
    }

    /// Puts an event back that could not be delivered; it is the next again.
    pub fn unpoll_event(&mut self, event: StreamEvent) {
        self.events.unpop(event);
    }

    /// The totals so far.
    pub fn report(&self) -> Report {
        Report {
            packets_lost: self.tracker.lost(),
            packets_duplicate: self.tracker.duplicates(),
            jitter_us: self.jitter.micros(),
            events_dropped: self.report.events_dropped + self.events.dropped,
            ..self.report
        }
    }

    // --- what comes in

    fn key(&mut self, now: Instant, digit: char) {
        self.report.keys_heard += 1;
        if self.events.is_half_full() {
            self.report.events_dropped += 1;
        } else {
            self.events.push(StreamEvent::Key { digit, at: now });
        }
        if self.playing.as_ref().is_some_and(|playing| playing.stop_on_key) {
            self.end_play(PlayEnd::Key);
        }
    }

    /// Whether the far end is to send anything.
    fn hears(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.receive)
    }

    fn watch_silence(&mut self, now: Instant) {
        if let Some(silent) = self.wire.tick(now) {
            self.events.push(silent);
        }
    }

    // --- what goes out

    fn speak(&mut self, now: Instant, out: &mut PacketBuf, tap: &mut impl Tap) {
        let Some(plan) = &self.plan else { return };
        if !plan.send {
            self.talking = false;
            return;
        }
        let (codec, event_type) = (plan.codec, plan.event_send);
        let timestamp = self.next_timestamp(now);
        match self.keys_out.tick(timestamp) {
            KeyTick::Idle => {}
            KeyTick::Gap => {
                self.talking = false;
                self.singer = None;
                if !self.keys_out.is_busy() && std::mem::take(&mut self.keys_told) {
                    self.events.push(StreamEvent::KeysSent);
                }
                return;
            }
            KeyTick::Packet { marker, timestamp: pressed, payload, code, ended } => {
                if let Some(payload_type) = event_type {
                    let header = self.header(marker, payload_type, pressed);
                    out.begin(header, payload.len()).copy_from_slice(&payload);
                    self.sent(now, timestamp.wrapping_add(FRAME as u32));
                    self.talking = false;
                } else if !ended {
                    if marker {
                        self.singer = KeySinger::new(code);
                    }
                    let mut sound = [g711::silence(codec); FRAME];
                    if let Some(singer) = &mut self.singer {
                        singer.fill(codec, &mut sound);
                    }
                    self.say(now, timestamp, codec, &sound, out, tap);
                }
                return;
            }
        }
        let mut sound = [0; FRAME];
        let filled = self.playing.as_mut().is_some_and(|playing| playing.playout.fill(codec, &mut sound));
        if filled {
            self.say(now, timestamp, codec, &sound, out, tap);
            return;
        }
        self.end_play(PlayEnd::Played);
        if let Some(bridge) = &mut self.bridge {
            if bridge.fills(now, self.sent_at, self.settings.bridge_fill) {
                self.say(now, timestamp, codec, &[g711::silence(codec); FRAME], out, tap);
            } else {
                self.talking = false;
            }
            return;
        }
        self.talking = false;
        let due = match (self.settings.keepalive, self.sent_at) {
            (Some(every), Some(at)) => now >= at + every,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if due {
            self.say(now, timestamp, codec, &[g711::silence(codec); FRAME], out, tap);
            self.talking = false;
        }
    }

    fn say(
        &mut self,
        now: Instant,
        timestamp: u32,
        codec: Codec,
        sound: &[u8; FRAME],
        out: &mut PacketBuf,
        tap: &mut impl Tap,
    ) {
        let header = self.header(!self.talking, codec.payload_type(), timestamp);
        out.begin(header, FRAME).copy_from_slice(sound);
        self.sent(now, timestamp.wrapping_add(FRAME as u32));
        self.talking = true;
        if let Some(recording) = &mut self.recording {
            recording.passed = None;
            // Frames of one talkspurt join without a seam, whatever the wobble of the ticks.
            let elapsed = samples(now.saturating_duration_since(recording.since));
            if elapsed.abs_diff(recording.us) > 2 * FRAME as u64 {
                recording.us = elapsed;
            }
            let frame = RecordingFrame::whole(Side::Us, codec, recording.us, sound);
            recording.us += FRAME as u64;
            self.report.frames_dropped += u64::from(!tap.call(frame));
        }
    }

    fn header(&mut self, marker: bool, payload_type: u8, timestamp: u32) -> Header {
        let sequence = self.ids.sequence;
        self.ids.sequence = sequence.wrapping_add(1);
        if let Some(bridge) = &mut self.bridge {
            bridge.interrupt();
        }
        Header { marker, payload_type, sequence, timestamp, ssrc: self.ids.ssrc }
    }

    /// A packet leaves; the next one's time begins at `until`.
    fn sent(&mut self, now: Instant, until: u32) {
        if self.sent_at.is_none() {
            self.events.push(StreamEvent::FirstPacketSent { at: now });
        }
        self.sent_until = Some(until);
        self.sent_at = Some(now);
        self.report.packets_sent += 1;
    }

    /// What a packet that leaves now is stamped with. Within a talkspurt, and for a packet that hurries, the last one
    /// plus its 20 ms: the new sound may come early, but not overlap the old. After silence, what the clock says.
    fn next_timestamp(&mut self, now: Instant) -> u32 {
        let clock = self.clock(now);
        let Some(until) = self.sent_until else { return clock };
        let behind = clock.wrapping_sub(until).cast_signed();
        if behind > BEHIND {
            self.talking = false;
        }
        if behind > 0 && !self.talking { clock } else { until }
    }

    /// What the clock says, as a timestamp.
    fn clock(&self, now: Instant) -> u32 {
        let elapsed = samples(now.saturating_duration_since(self.epoch)) as u32;
        self.ids.timestamp.wrapping_add(elapsed)
    }

    fn end_play(&mut self, end: PlayEnd) {
        if let Some(Playing { id, playout, .. }) = self.playing.take() {
            let played = playout.played();
            self.events.push(StreamEvent::PlayEnded { id, end, played, prompt: playout.into_prompt() });
            self.talking = false;
        }
    }
}

/// A length of time in samples.
fn samples(time: Duration) -> u64 {
    u64::try_from(time.as_micros() * 8 / 1000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
