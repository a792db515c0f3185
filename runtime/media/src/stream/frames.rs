//! The far end's sound, 20 ms at a time, for those who want it: recordings, listeners, and whoever looks for keys and
//! machines in it.

use std::time::Instant;

use super::{CATCH_UP, Stream, StreamEvent, Tap, VoiceEnd, samples};
use crate::amd::{BeepDetector, Who};
use crate::recording::{RecordingFrame, Side};
use crate::{FRAME, FRAME_TIME, g711, level};

impl Stream {
    /// Frames are taken out of the buffer only while somebody wants them; else packets are counted and dropped.
    pub(super) fn listen(&mut self, now: Instant) {
        let wanted = self.detector.is_some()
            || self.recording.is_some()
            || self.voice.is_some()
            || self.hearing
            || self.machine.is_some()
            || self.beep.is_some();
        match (wanted, &self.plan) {
            (true, Some(plan)) if self.listen_at.is_none() => {
                self.buffer.reset(plan.codec);
                self.listen_at = Some(now);
            }
            (false, _) => self.listen_at = None,
            _ => {}
        }
    }

    pub(super) fn listen_to_frames(&mut self, now: Instant, tap: &mut impl Tap) {
        let Some(mut due) = self.listen_at else { return };
        let mut frame = [0; FRAME];
        for _ in 0..CATCH_UP {
            if due > now {
                break;
            }
            let there = self.buffer.pull(&mut frame);
            self.hear(due, &frame, there, tap);
            due += FRAME_TIME;
        }
        if due + FRAME_TIME * CATCH_UP < now {
            due = now; // the thread stood still: what was not heard is lost
        }
        if self.listen_at.is_some() {
            self.listen_at = Some(due);
        }
    }

    fn hear(&mut self, at: Instant, sound: &[u8; FRAME], there: bool, tap: &mut impl Tap) {
        let Some(codec) = self.plan.as_ref().map(|plan| plan.codec) else { return };
        if there && let Some(recording) = self.recording {
            let at = samples(at.saturating_duration_since(recording.since));
            let frame = RecordingFrame::whole(Side::FarEnd, codec, at, sound);
            self.report.frames_dropped += u64::from(!tap.call(frame));
        }
        if self.hearing {
            let silence = [g711::silence(codec); FRAME];
            let dropped = !tap.heard(codec, if there { sound } else { &silence });
            self.report.frames_dropped += u64::from(dropped);
        }
        let decoded =
            self.detector.is_some() || self.voice.is_some() || self.machine.is_some() || self.beep.is_some();
        if !decoded {
            return;
        }
        let mut linear = [0; FRAME];
        g711::decode(codec, sound, &mut linear);
        self.look_for_machine(at, &linear, there);
        if let Some(digit) = self.detector.as_mut().and_then(|detector| detector.handle(&linear)) {
            self.key(at, digit);
        }
        if let Some(voice) = &mut self.voice {
            let dbfs = if there { level::dbfs(&linear) } else { level::SILENCE_DBFS };
            let frame = RecordingFrame::whole(Side::FarEnd, codec, voice.at(), sound);
            let end = voice.handle(dbfs);
            if there {
                self.report.frames_dropped += u64::from(!tap.voice(frame));
            }
            if let Some(end) = end {
                self.end_voice(at, end);
            }
        }
    }

    fn look_for_machine(&mut self, at: Instant, linear: &[i16; FRAME], there: bool) {
        if let Some(machine) = &mut self.machine {
            let dbfs = if there { level::dbfs(linear) } else { level::SILENCE_DBFS };
            if let Some(verdict) = machine.handle(dbfs, FRAME_TIME) {
                self.events.push(StreamEvent::Machine(verdict));
                self.machine = None;
                if verdict.who == Who::Machine && !self.beep_wait.is_zero() {
                    self.beep = Some((BeepDetector::default(), at + self.beep_wait));
                }
            }
        } else if let Some((beep, until)) = &mut self.beep {
            let found = beep.handle(linear, FRAME_TIME);
            if let Some(hz) = found {
                self.events.push(StreamEvent::Beep { hz });
            }
            if found.is_some() || at >= *until {
                self.beep = None;
            }
        }
        if self.machine.is_none() && self.beep.is_none() {
            self.listen(at);
        }
    }

    pub(super) fn end_voice(&mut self, now: Instant, end: VoiceEnd) {
        if let Some(voice) = self.voice.take() {
            self.events.push(StreamEvent::VoiceEnded { end, at: voice.at() });
            self.listen(now);
        }
    }
}
