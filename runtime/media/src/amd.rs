//! A person or a machine? By the rhythm of what is said after the answer, like Asterisk's `app_amd`: a person says a
//! word or two and waits; a machine talks on.
//!
//! Rules of thumb, and wrong at times: so every number is a setting, and a verdict carries its cause and what was
//! measured. Where the rules cannot tell, the verdict says so, and the caller should treat it as a person.

use std::f32::consts::TAU;
use std::time::Duration;

use crate::level::{Gate, GateSettings};

/// The numbers behind a verdict.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MachineSettings {
    /// Nobody speaks for this long after the answer: a machine.
    pub initial_silence: Duration,
    /// So much voice in all, before a pause of `after_greeting`: a machine.
    pub greeting: Duration,
    /// A pause of this length after a short greeting: a person, who waits for us.
    pub after_greeting: Duration,
    /// After this long without a verdict there is none.
    pub total: Duration,
    /// Voice shorter than this is no word.
    pub shortest_word: Duration,
    /// Silence of this length ends a word.
    pub between_words: Duration,
    /// Voice without a pause for this long: a machine.
    pub longest_word: Duration,
    /// More words than this: a machine.
    pub most_words: u32,
    /// What counts as voice.
    pub gate: GateSettings,
    /// After the verdict of a machine, how long to wait for its beep; zero: not at all.
    pub beep: Duration,
}

impl Default for MachineSettings {
    fn default() -> Self {
        Self {
            initial_silence: Duration::from_millis(2500),
            greeting: Duration::from_millis(1500),
            after_greeting: Duration::from_millis(800),
            total: Duration::from_millis(5000),
            shortest_word: Duration::from_millis(100),
            between_words: Duration::from_millis(50),
            longest_word: Duration::from_millis(5000),
            most_words: 2,
            gate: GateSettings::default(),
            beep: Duration::ZERO,
        }
    }
}

/// Who picked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A person.
    Human,
    /// An answering machine, a voice menu, an announcement of the network.
    Machine,
    /// It could not be told.
    Unknown,
}

/// Which rule decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Silence from the answer on.
    InitialSilence,
    /// A short greeting, then a pause.
    PauseAfterGreeting,
    /// A long greeting.
    LongGreeting,
    /// Many words.
    ManyWords,
    /// One long word.
    LongWord,
    /// None, in the time there was.
    OutOfTime,
}

/// A verdict, with what it rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Who picked up.
    pub who: Who,
    /// Which rule decided.
    pub cause: Cause,
    /// How long it took from the answer.
    pub after: Duration,
    /// Voice in all.
    pub voice: Duration,
    /// Silence at the end.
    pub silence: Duration,
    /// Words.
    pub words: u32,
}

/// Listens from the answer on, frame by frame.
#[derive(Debug, Clone)]
pub struct MachineDetector {
    settings: MachineSettings,
    gate: Gate,
    total: Duration,
    voice: Duration,
    silence: Duration,
    /// Voice since the last pause between words.
    word: Duration,
    words: u32,
    in_word: bool,
    in_greeting: bool,
}

impl MachineDetector {
    /// One that has heard nothing.
    pub fn new(settings: MachineSettings) -> Self {
        let zero = Duration::ZERO;
        Self {
            settings,
            gate: Gate::new(settings.gate),
            total: zero,
            voice: zero,
            silence: zero,
            word: zero,
            words: 0,
            in_word: false,
            in_greeting: false,
        }
    }

    /// Takes the level of the next frame, which lasted `time`; gives the verdict as soon as there is one. It should be
    /// dropped then.
    pub fn handle(&mut self, level_dbfs: f32, time: Duration) -> Option<Verdict> {
        let limits = self.settings;
        self.total += time;
        let found = if self.gate.handle(level_dbfs, time) {
            self.silence = Duration::ZERO;
            self.voice += time;
            self.word += time;
            if self.word >= limits.shortest_word {
                self.in_greeting = true;
                if !self.in_word {
                    self.in_word = true;
                    self.words += 1;
                }
            }
            if self.word >= limits.longest_word {
                Some((Who::Machine, Cause::LongWord))
            } else if self.words > limits.most_words {
                Some((Who::Machine, Cause::ManyWords))
            } else if self.in_greeting && self.voice >= limits.greeting {
                Some((Who::Machine, Cause::LongGreeting))
            } else {
                None
            }
        } else {
            self.silence += time;
            if self.silence >= limits.between_words {
                self.in_word = false;
                self.word = Duration::ZERO;
            }
            if self.in_greeting && self.silence >= limits.after_greeting {
                Some((Who::Human, Cause::PauseAfterGreeting))
            } else if !self.in_greeting && self.silence >= limits.initial_silence {
                Some((Who::Machine, Cause::InitialSilence))
            } else {
                None
            }
        };
        let out_of_time = (self.total >= limits.total).then_some((Who::Unknown, Cause::OutOfTime));
        let (who, cause) = found.or(out_of_time)?;
        let (voice, silence, words) = (self.voice, self.silence, self.words);
        Some(Verdict { who, cause, after: self.total, voice, silence, words })
    }
}

/// A tone shorter than this is no beep, but a vowel or a click.
const SHORTEST_BEEP: Duration = Duration::from_millis(120);
/// A tone longer than this is a fax, a busy signal, music: no beep either.
const LONGEST_BEEP: Duration = Duration::from_millis(2000);
/// Where machines beep.
const BEEPS_HZ: std::ops::RangeInclusive<f32> = 350.0..=2600.0;
/// How far the pitch may wander within a beep.
const STEADY_HZ: f32 = 15.0;
/// The least level of a beep.
const LEAST_DBFS: f32 = -38.0;
/// The share of a frame's energy that may be anything but the one tone.
const IMPURITY: f32 = 0.02;

/// Finds the beep after which a machine records. Feed it every frame.
#[derive(Debug, Clone, Default)]
pub struct BeepDetector {
    hz: f32,
    lasted: Duration,
}

impl BeepDetector {
    /// Takes a frame that lasted `time`; gives the pitch in hertz when a beep has just ended.
    pub fn handle(&mut self, samples: &[i16], time: Duration) -> Option<f32> {
        let tone = pure_tone(samples);
        match tone {
            Some(hz) if (hz - self.hz).abs() <= STEADY_HZ => {
                self.lasted += time;
                None
            }
            _ => {
                let beeped = (SHORTEST_BEEP..=LONGEST_BEEP).contains(&self.lasted).then_some(self.hz);
                (self.hz, self.lasted) = tone.map_or((0.0, Duration::ZERO), |hz| (hz, time));
                beeped
            }
        }
    }
}

/// The pitch of a frame that is one tone and hardly anything else.
///
/// Any sine obeys `x[n+1] + x[n-1] = c·x[n]` with `c = 2·cos(ω)`; the best `c` gives the pitch, and what it leaves
/// unexplained says how pure the tone is.
fn pure_tone(samples: &[i16]) -> Option<f32> {
    if crate::level::dbfs(samples) < LEAST_DBFS {
        return None;
    }
    let (mut cross, mut middle, mut outer) = (0f32, 0f32, 0f32);
    for three in samples.windows(3) {
        let sum = f32::from(three[0]) + f32::from(three[2]);
        let mid = f32::from(three[1]);
        cross += sum * mid;
        middle += mid * mid;
        outer += sum * sum;
    }
    let c = cross / middle;
    let unexplained = outer - c * cross;
    if !(-2.0..=2.0).contains(&c) || unexplained > IMPURITY * middle {
        return None;
    }
    let hz = (c / 2.0).acos() * 8000.0 / TAU;
    BEEPS_HZ.contains(&hz).then_some(hz)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Noise, sine};
    use crate::{Codec, FRAME, FRAME_TIME, g711, level};

    /// Each letter is 20 ms: `v` voice, anything else hiss. What is decided, why, and when.
    fn judge(script: &str, settings: MachineSettings) -> Option<Verdict> {
        let mut detector = MachineDetector::new(settings);
        script.chars().find_map(|letter| {
            let dbfs = if letter == 'v' { -22.0 } else { -58.0 };
            detector.handle(dbfs, FRAME_TIME)
        })
    }

    fn check(script: &str, who: Who, cause: Cause, after_ms: u64) {
        let verdict = judge(script, MachineSettings::default()).expect("a verdict");
        assert_eq!(
            (verdict.who, verdict.cause, verdict.after.as_millis()),
            (who, cause, after_ms.into()),
            "{script}"
        );
    }

    fn script(parts: &[(char, usize)]) -> String {
        parts.iter().flat_map(|(letter, ms)| std::iter::repeat_n(*letter, ms / 20)).collect()
    }

    #[test]
    fn a_word_and_a_pause_is_a_person() {
        check(&script(&[('.', 400), ('v', 400), ('.', 2000)]), Who::Human, Cause::PauseAfterGreeting, 1600);
        check(
            &script(&[('.', 400), ('v', 300), ('.', 200), ('v', 300), ('.', 2000)]),
            Who::Human,
            Cause::PauseAfterGreeting,
            2000,
        );
    }

    #[test]
    fn talk_without_end_is_a_machine() {
        check(&script(&[('.', 400), ('v', 3000)]), Who::Machine, Cause::LongGreeting, 1900);
        let words = script(&[('v', 200), ('.', 100)]).repeat(10);
        check(&words, Who::Machine, Cause::ManyWords, 700);
    }

    #[test]
    fn silence_is_a_machine_and_clicks_are_silence() {
        check(&script(&[('.', 5000)]), Who::Machine, Cause::InitialSilence, 2500);
        check(&script(&[('.', 500), ('v', 40), ('.', 3000)]), Who::Machine, Cause::InitialSilence, 3040);
    }

    #[test]
    fn what_fits_no_rule_is_unknown() {
        let settings =
            MachineSettings { most_words: 100, greeting: Duration::from_secs(60), ..Default::default() };
        let murmur = script(&[('v', 200), ('.', 600)]).repeat(10);
        let verdict = judge(&murmur, settings).expect("a verdict");
        assert_eq!((verdict.who, verdict.cause), (Who::Unknown, Cause::OutOfTime));
        assert_eq!(verdict.after, Duration::from_secs(5));
        assert_eq!((verdict.words, verdict.voice), (7, Duration::from_millis(1400)));
    }

    #[test]
    fn each_number_is_a_setting() {
        let greeting = script(&[('.', 400), ('v', 1000), ('.', 2000)]);
        let after =
            |settings| judge(&greeting, settings).map(|verdict| (verdict.who, verdict.after.as_millis()));
        let usual = MachineSettings::default();
        assert_eq!(after(usual), Some((Who::Human, 2200)));
        assert_eq!(
            after(MachineSettings { greeting: Duration::from_millis(900), ..usual }),
            Some((Who::Machine, 1300))
        );
        assert_eq!(
            after(MachineSettings { longest_word: Duration::from_millis(500), ..usual }),
            Some((Who::Machine, 900))
        );
        assert_eq!(
            after(MachineSettings { after_greeting: Duration::from_millis(300), ..usual }),
            Some((Who::Human, 1700))
        );
        assert_eq!(
            after(MachineSettings { initial_silence: Duration::from_millis(300), ..usual }),
            Some((Who::Machine, 300))
        );
        assert_eq!(after(MachineSettings { most_words: 0, ..usual }), Some((Who::Machine, 500)));
        assert_eq!(
            after(MachineSettings { total: Duration::from_millis(1000), ..usual }),
            Some((Who::Unknown, 1000))
        );
    }

    fn beeps(sound: &[i16]) -> Vec<f32> {
        let mut detector = BeepDetector::default();
        let wire = |sample: &i16| g711::table(Codec::Pcma)[usize::from(g711::encode(Codec::Pcma, *sample))];
        let sound: Vec<i16> = sound.iter().map(wire).collect();
        sound.chunks_exact(FRAME).filter_map(|frame| detector.handle(frame, FRAME_TIME)).collect()
    }

    #[test]
    fn a_beep_is_found_when_it_ends_at_any_usual_pitch() {
        for hz in [425.0, 620.0, 850.0, 1000.0, 1400.0, 2100.0] {
            for ms in [200, 400, 1000] {
                let mut sound = sine(hz, 8 * ms, 0.2);
                sound.extend([0; 1600]);
                let found = beeps(&sound);
                assert!(found.len() == 1 && (found[0] - hz).abs() < 10.0, "{hz} Hz for {ms} ms: {found:?}");
            }
        }
    }

    #[test]
    fn a_blip_a_fax_two_tones_and_noise_are_no_beeps() {
        let mut noise = Noise(1);
        let quiet = [0; 1600];
        let blip = [sine(1000.0, 640, 0.3), quiet.to_vec()].concat();
        let fax = [sine(1100.0, 8 * 3000, 0.3), quiet.to_vec()].concat();
        let two: Vec<i16> =
            sine(697.0, 4000, 0.2).iter().zip(sine(1209.0, 4000, 0.2)).map(|(a, b)| a + b).collect();
        let hiss: Vec<i16> = (0..80_000).map(|_| (noise.unit() * 9000.0) as i16).collect();
        for (name, sound) in [("blip", blip), ("fax", fax), ("two tones", two), ("hiss", hiss)] {
            assert_eq!(beeps(&sound), Vec::<f32>::new(), "{name}");
        }
    }

    #[test]
    fn a_recording_of_levels_is_judged_as_it_sounds() {
        // A real frame path: «Алло?» as a buzz of 400 ms, then the line's hiss.
        let mut noise = Noise(5);
        let mut detector = MachineDetector::new(MachineSettings::default());
        let verdict = (0..250).find_map(|frame| {
            let loud = if (10..30).contains(&frame) { 0.15 } else { 0.0008 };
            let samples: Vec<i16> = (0..FRAME).map(|_| (noise.unit() * loud * 32767.0) as i16).collect();
            detector.handle(level::dbfs(&samples), FRAME_TIME)
        });
        assert_eq!(verdict.map(|verdict| (verdict.who, verdict.words)), Some((Who::Human, 1)));
    }
}
