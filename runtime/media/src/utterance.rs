//! Where an answer begins and where it ends: one spoken answer of a caller, found in the sound of his call.
//!
//! [`Listener`] is given the caller's sound and no clock: time is samples. It tells when he begins, when he pauses (so that
//! recognition may start while nobody knows yet whether that was all), when he goes on, and when he is done. It keeps the
//! sound meanwhile, from a little before the first voiced block; events name parts of it by their samples.
//!
//! # Invariants
//!
//! * After [`Event::Began`] comes exactly one of [`Event::Ended`] and [`Event::Nothing`]; after `Ended` nothing comes.
//! * Parts follow each other without gap or overlap, hold at most [`Settings::piece`], and together hold every voiced block.
//! * [`Event::WentOn`] makes the last [`Event::Pause`] void, and nothing else.
//! * Nothing is allocated after [`Listener::new`].

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use crate::level;
use crate::tonal::TonesOnly;
use crate::voice::{BLOCK, VoiceDetector};

/// How an answer is listened for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// How much is kept from before the first voiced block: voices begin softly.
    pub pre_roll: Duration,
    /// After so much silence recognition may start.
    pub provisional: Duration,
    /// So much silence ends a short answer.
    pub hang_over: Duration,
    /// So much silence ends a long one: whoever tells something pauses between sentences.
    pub long_hang_over: Duration,
    /// From how much speech on an answer is long.
    pub long_from: Duration,
    /// Where an answer is cut.
    pub longest: Duration,
    /// The longest part that is recognised in one go.
    pub piece: Duration,
    /// Less voice than this, from the first to the last voiced block, is no answer but a cough, a click, a key.
    pub least_voice: Duration,
    /// Quieter than this is no voice, in dBFS.
    pub least_dbfs: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pre_roll: Duration::from_millis(300),
            provisional: Duration::from_millis(250),
            hang_over: Duration::from_millis(500),
            long_hang_over: Duration::from_millis(600),
            long_from: Duration::from_millis(1500),
            longest: Duration::from_secs(30),
            piece: Duration::from_secs(8),
            least_voice: Duration::from_millis(200),
            least_dbfs: -52.0,
        }
    }
}

/// Why an answer was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// The caller fell silent.
    Silence,
    /// It reached [`Settings::longest`].
    Longest,
    /// [`Listener::finish`]: nobody listens any longer, or the call is over.
    Finish,
}

/// What a [`Listener`] tells. Parts are ranges of [`Listener::sound`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Somebody began to speak, about 100 ms ago.
    Began,
    /// This part of a long answer is complete.
    Piece(Range<usize>),
    /// A pause: unless the caller goes on, this is the last part.
    Pause(Range<usize>),
    /// He went on: what was recognised of the last pause's part is void.
    WentOn,
    /// That was no speech, or too little of it. The listener waits on; what it had told is void.
    Nothing,
    /// The answer is over.
    Ended {
        /// From the first to the last voiced block: what a caller is charged for.
        voiced: Duration,
        /// The last part; the same as of the last [`Event::Pause`], when there was one since the last word. `None`: all
        /// voice was in the pieces before.
        last: Option<Range<usize>>,
        /// Why.
        by: EndedBy,
    },
}

/// Surer than this, a block begins speech; less sure than [`STILL_VOICE`], it no longer is.
const VOICE: f32 = 0.5;
/// See [`VOICE`].
const STILL_VOICE: f32 = 0.35;
/// So many voiced blocks within [`BEGIN_WITHIN`] are somebody who speaks.
const BEGIN_BLOCKS: u32 = 2;
/// See [`BEGIN_BLOCKS`].
const BEGIN_WITHIN: usize = 3;
/// Fewer voiced blocks than these are no answer, however far apart: two clicks are not a word.
const LEAST_BLOCKS: usize = 5;
/// So many blocks of nothing but tones are no voice, whatever the network says. One alone may be a pure vowel.
const TONE_BLOCKS: u32 = 2;
/// A piece is cut in the last part of it, so that pieces are not needlessly short.
const CUT_IN_LAST: (usize, usize) = (3, 8);
/// The quietest so many blocks (200 ms) are where words part.
const QUIET_BLOCKS: usize = 6;
/// How much sound before the first voiced block is kept besides the pre-roll: the blocks until somebody is sure.
const UNTIL_SURE: usize = BLOCK * BEGIN_WITHIN;
/// At most so many events come of one block.
const EVENTS: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Speaking,
    /// So many samples of silence so far.
    Pausing(usize),
    Over,
}

/// Listens for one answer.
#[derive(Debug)]
pub struct Listener {
    settings: Settings,
    detector: VoiceDetector,
    tones: TonesOnly,
    tonal: u32,
    state: State,
    /// A block that is not yet full.
    block: [i16; BLOCK],
    filled: usize,
    sound: Vec<i16>,
    /// Level of each block in `sound`, and whether it was voiced.
    blocks: Vec<(f32, bool)>,
    /// Where the first voiced block begins, and the last one ends.
    first_voiced: usize,
    last_voiced: usize,
    voiced_blocks: usize,
    /// Where the part begins that has not been told yet.
    part: usize,
    /// A [`Event::Pause`] has been told, and nothing since.
    told_pause: Option<Range<usize>>,
    events: VecDeque<Event>,
}

impl Listener {
    /// One that has heard nothing. It has all the memory that it will need: half a megabyte for 30 s.
    pub fn new(settings: Settings) -> Self {
        let longest = samples(settings.pre_roll) + UNTIL_SURE + samples(settings.longest) + 2 * BLOCK;
        Self {
            settings,
            detector: VoiceDetector::new(),
            tones: TonesOnly::new(),
            tonal: 0,
            state: State::Waiting,
            block: [0; BLOCK],
            filled: 0,
            sound: Vec::with_capacity(longest),
            blocks: Vec::with_capacity(longest / BLOCK + 1),
            first_voiced: 0,
            last_voiced: 0,
            voiced_blocks: 0,
            part: 0,
            told_pause: None,
            events: VecDeque::with_capacity(2 * EVENTS),
        }
    }

    /// Takes the next sound of the caller, any number of samples. What was lost on the way should come as zeros.
    pub fn handle(&mut self, mut samples: &[i16]) {
        while !samples.is_empty() && self.state != State::Over {
            let take = samples.len().min(BLOCK - self.filled);
            self.block[self.filled..self.filled + take].copy_from_slice(&samples[..take]);
            self.filled += take;
            samples = &samples[take..];
            if self.filled == BLOCK {
                self.filled = 0;
                self.handle_block();
            }
        }
    }

    /// What has happened, oldest first. A driver asks after each [`Listener::handle`] of at most a few blocks: events
    /// of a hundred blocks would not fit, and the oldest would be lost.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Nobody listens any longer: ends what was begun.
    pub fn finish(&mut self) {
        if matches!(self.state, State::Speaking | State::Pausing(_)) {
            self.end(EndedBy::Finish);
        }
        self.state = State::Over;
    }

    /// The sound that events name parts of, 8 kHz.
    pub fn sound(&self) -> &[i16] {
        &self.sound
    }

    /// Whether somebody speaks, or spoke within the hang-over.
    pub fn speaking(&self) -> bool {
        matches!(self.state, State::Speaking | State::Pausing(_))
    }

    fn handle_block(&mut self) {
        let block = self.block;
        let level_dbfs = level::dbfs(&block);
        let sure = self.detector.handle(&block);
        self.tonal = if self.tones.are_all_of(&block) { self.tonal + 1 } else { 0 };
        let bound = if self.state == State::Speaking { STILL_VOICE } else { VOICE };
        let voiced = sure >= bound && level_dbfs >= self.settings.least_dbfs && self.tonal < TONE_BLOCKS;

        if self.state == State::Waiting {
            self.forget();
        }
        let begin = self.sound.len();
        self.sound.extend_from_slice(&block);
        self.blocks.push((level_dbfs, voiced));
        match self.state {
            State::Waiting => self.wait(),
            State::Speaking | State::Pausing(_) => self.follow(begin, voiced),
            State::Over => {}
        }
    }

    /// Keeps the pre-roll alone of what came before.
    fn forget(&mut self) {
        let keep = (samples(self.settings.pre_roll) + UNTIL_SURE).div_ceil(BLOCK);
        if self.blocks.len() >= keep {
            let excess = self.blocks.len() + 1 - keep;
            self.blocks.drain(..excess);
            self.sound.drain(..excess * BLOCK);
        }
    }

    fn wait(&mut self) {
        let recent = self.blocks.len().saturating_sub(BEGIN_WITHIN);
        let voiced = self.blocks[recent..].iter().filter(|(_, voiced)| *voiced).count();
        if (voiced as u32) < BEGIN_BLOCKS {
            return;
        }
        let first =
            recent + self.blocks[recent..].iter().position(|(_, voiced)| *voiced).expect("two are voiced");
        self.first_voiced = first * BLOCK;
        self.last_voiced = self.sound.len();
        self.voiced_blocks = voiced;
        self.part = self.first_voiced.saturating_sub(samples(self.settings.pre_roll));
        self.told_pause = None;
        self.state = State::Speaking;
        self.events.push_back(Event::Began);
    }

    fn follow(&mut self, begin: usize, voiced: bool) {
        if voiced {
            self.last_voiced = begin + BLOCK;
            self.voiced_blocks += 1;
            self.state = State::Speaking;
            if self.told_pause.take().is_some() {
                self.events.push_back(Event::WentOn);
            }
        } else {
            let silent = self.sound.len() - self.last_voiced;
            self.state = State::Pausing(silent);
            if silent >= samples(self.hang_over()) {
                return if self.is_speech() { self.end(EndedBy::Silence) } else { self.forget_all() };
            }
            if silent >= samples(self.settings.provisional) && self.told_pause.is_none() && self.is_speech() {
                let part = self.part..self.last_part_end();
                // Voice before a cut may be all there is: then there is nothing to start.
                if self.last_voiced > self.part {
                    self.told_pause = Some(part.clone());
                    self.events.push_back(Event::Pause(part));
                }
            }
        }
        if self.sound.len() - self.first_voiced >= samples(self.settings.longest) {
            return self.end(EndedBy::Longest);
        }
        if self.sound.len() - self.part >= samples(self.settings.piece) && self.told_pause.is_none() {
            self.cut();
        }
    }

    fn hang_over(&self) -> Duration {
        let spoken = self.last_voiced - self.first_voiced;
        let long = spoken >= samples(self.settings.long_from);
        if long { self.settings.long_hang_over } else { self.settings.hang_over }
    }

    /// Whether there was enough voice to be an answer. What counts is its length from the first to the last voiced block, as
    /// in what is billed: the closure before the «т» of a short «нет» is silence to any detector.
    fn is_speech(&self) -> bool {
        let voice = self.last_voiced - self.first_voiced;
        voice >= samples(self.settings.least_voice) && self.voiced_blocks >= LEAST_BLOCKS
    }

    /// Where the last part ends: a little silence behind the last word helps a recogniser to hear that it was the last.
    fn last_part_end(&self) -> usize {
        (self.last_voiced + samples(self.settings.provisional)).min(self.sound.len())
    }

    /// Tells a piece that ends at the quietest place.
    fn cut(&mut self) {
        let piece = samples(self.settings.piece);
        let (last, of) = CUT_IN_LAST;
        let from = (self.part + piece - piece * last / of).div_ceil(BLOCK);
        let to = ((self.part + piece) / BLOCK).min(self.blocks.len()).saturating_sub(QUIET_BLOCKS);
        // Loudness adds up as power: one loud block within 200 ms is a word.
        let power = |at: &usize| -> f32 {
            self.blocks[*at..*at + QUIET_BLOCKS].iter().map(|(dbfs, _)| 10.0_f32.powf(dbfs / 10.0)).sum()
        };
        let quietest = (from..=to).min_by(|a, b| power(a).total_cmp(&power(b))).unwrap_or(to);
        let end = (quietest + QUIET_BLOCKS / 2) * BLOCK;
        self.events.push_back(Event::Piece(self.part..end));
        self.part = end;
    }

    fn end(&mut self, by: EndedBy) {
        if !self.is_speech() {
            self.events.push_back(Event::Nothing);
            self.state = State::Over;
            return;
        }
        let last = self
            .told_pause
            .take()
            .or_else(|| (self.last_voiced > self.part).then(|| self.part..self.last_part_end()));
        let voiced = crate::clip::duration(self.last_voiced - self.first_voiced).min(self.settings.longest);
        self.events.push_back(Event::Ended { voiced, last, by });
        self.state = State::Over;
    }

    /// It was no speech: waits on, with what was heard as pre-roll.
    fn forget_all(&mut self) {
        self.state = State::Waiting;
        for (_, voiced) in &mut self.blocks {
            *voiced = false;
        }
        self.events.push_back(Event::Nothing);
    }
}

fn samples(time: Duration) -> usize {
    usize::try_from(time.as_millis() * 8).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
