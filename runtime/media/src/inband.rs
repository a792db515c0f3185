//! Keys in the sound itself (ITU-T Q.23/Q.24): two tones at once, found by Goertzel filters, and sung by two oscillators.
//!
//! Used only when the far end takes no telephone-event: speech is full of tones, and every detector in the sound
//! sometimes hears a key where there was none. The tests here hold it to none in minutes of speech-like noise.

use std::f32::consts::TAU;

use crate::{Codec, g711};

const ROWS_HZ: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS_HZ: [f32; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
const KEYS: [[char; 4]; 4] =
    [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];

/// Samples a decision is made over. At 102 (12.75 ms) the filters' width fits the tolerance of 1.5 % that Q.24 asks
/// for, and two blocks in a row fit into the shortest tone of 40 ms.
const BLOCK: usize = 102;
/// A tone quieter than this, in squares of 16-bit samples over a block, is none: about -33 dBm0.
const LEAST_ENERGY: f32 = 8.0e7;
/// How much louder the column may be than the row (8 dB), and the row than the column (4 dB).
const NORMAL_TWIST: f32 = 6.3;
const REVERSE_TWIST: f32 = 2.5;
/// How much louder the best tone of a group must be than each other of it (8 dB).
const RELATIVE_PEAK: f32 = 6.3;
/// The share of all energy that the two tones must make up, in the scale of Goertzel energies over a block: 76 %.
/// A column that is 1.5 % off lies beside its filter and shows 72 % of itself.
const SHARE_OF_TOTAL: f32 = 0.76 * BLOCK as f32 / 2.0;

/// Finds keys in sound. Feed it every frame, in order.
#[derive(Debug, Clone)]
pub struct KeyDetector {
    filters: [Goertzel; 8],
    energy: f32,
    in_block: usize,
    last: Option<char>,
    down: Option<char>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Goertzel {
    factor: f32,
    one_ago: f32,
    two_ago: f32,
}

impl Goertzel {
    fn energy(&self) -> f32 {
        self.one_ago * self.one_ago + self.two_ago * self.two_ago - self.factor * self.one_ago * self.two_ago
    }
}

impl KeyDetector {
    /// One that has heard nothing.
    pub fn new() -> Self {
        let mut filters = [Goertzel::default(); 8];
        for (filter, hz) in filters.iter_mut().zip(ROWS_HZ.into_iter().chain(COLUMNS_HZ)) {
            filter.factor = 2.0 * (TAU * hz / 8000.0).cos();
        }
        Self { filters, energy: 0.0, in_block: 0, last: None, down: None }
    }

    /// Takes sound; gives a key once per press. At most one can begin in a frame.
    pub fn handle(&mut self, samples: &[i16]) -> Option<char> {
        let mut pressed = None;
        let mut rest = samples;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(BLOCK - self.in_block));
            for sample in now {
                let sample = f32::from(*sample);
                self.energy += sample * sample;
                for filter in &mut self.filters {
                    let next = sample + filter.factor * filter.one_ago - filter.two_ago;
                    filter.two_ago = filter.one_ago;
                    filter.one_ago = next;
                }
            }
            self.in_block += now.len();
            rest = later;
            if self.in_block == BLOCK {
                pressed = pressed.or(self.decide());
            }
        }
        pressed
    }

    fn decide(&mut self) -> Option<char> {
        let energies = self.filters.map(|filter| filter.energy());
        let heard = recognise(&energies, self.energy);
        for filter in &mut self.filters {
            (filter.one_ago, filter.two_ago) = (0.0, 0.0);
        }
        (self.energy, self.in_block) = (0.0, 0);
        // Two blocks that agree begin a press, and two that disagree with it end it: one damaged block does neither.
        let steady = heard == self.last;
        self.last = heard;
        if !steady || heard == self.down {
            return None;
        }
        self.down = heard;
        heard
    }
}

impl Default for KeyDetector {
    fn default() -> Self {
        Self::new()
    }
}

fn recognise(energies: &[f32; 8], total: f32) -> Option<char> {
    let (rows, columns) = energies.split_at(4);
    let (row, column) = (loudest(rows)?, loudest(columns)?);
    let (low, high) = (rows[row], columns[column]);
    let loud = low >= LEAST_ENERGY && high >= LEAST_ENERGY;
    let balanced = high < low * NORMAL_TWIST && low < high * REVERSE_TWIST;
    let pure = low + high > SHARE_OF_TOTAL * total;
    (loud && balanced && pure).then_some(KEYS[row][column])
}

/// The loudest of a group, if it stands out from each other one.
fn loudest(group: &[f32]) -> Option<usize> {
    let best = (0..group.len()).max_by(|a, b| group[*a].total_cmp(&group[*b]))?;
    (0..group.len()).all(|n| n == best || group[n] * RELATIVE_PEAK < group[best]).then_some(best)
}

/// Sings a key: each tone at -9 dBm0 or so, a frame at a time.
#[derive(Debug, Clone, Copy)]
pub struct KeySinger {
    row: f32,
    column: f32,
    at: u32,
}

impl KeySinger {
    /// For an event code (RFC 4733); `None` if it is no key.
    pub fn new(code: u8) -> Option<Self> {
        let key = crate::event::key(code)?;
        let row = KEYS.iter().position(|row| row.contains(&key))?;
        let column = KEYS[row].iter().position(|known| *known == key)?;
        Some(Self { row: ROWS_HZ[row], column: COLUMNS_HZ[column], at: 0 })
    }

    /// The next 20 ms of it.
    pub fn fill(&mut self, codec: Codec, out: &mut [u8]) {
        for byte in out {
            let time = self.at as f32 / 8000.0;
            let sum = (TAU * self.row * time).sin() + (TAU * self.column * time).sin();
            *byte = g711::encode(codec, (sum * 8000.0) as i16);
            // A second of tone repeats exactly: all tones are whole hertz.
            self.at = (self.at + 1) % 8000;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FRAME;
    use crate::testing::Noise;

    const ALL: &str = "123A456B789C*0#D";

    fn tone(key: char, ms: usize, off: f32, low: f32, high: f32) -> Vec<f32> {
        let row = KEYS.iter().position(|row| row.contains(&key)).expect("a key");
        let column = KEYS[row].iter().position(|known| *known == key).expect("a key");
        (0..ms * 8)
            .map(|n| {
                let time = n as f32 / 8000.0;
                low * (TAU * ROWS_HZ[row] * off * time).sin()
                    + high * (TAU * COLUMNS_HZ[column] * off * time).sin()
            })
            .collect()
    }

    /// Through both laws, as it would come over the wire.
    fn keys(sound: &[f32]) -> String {
        let mut heard = String::new();
        for codec in Codec::ALL {
            let mut detector = KeyDetector::new();
            let samples: Vec<i16> = sound
                .iter()
                .map(|sample| g711::table(codec)[usize::from(g711::encode(codec, *sample as i16))])
                .collect();
            heard = samples.chunks(FRAME).filter_map(|frame| detector.handle(frame)).collect();
        }
        heard
    }

    fn dialled(ms: usize, off: f32, low: f32, high: f32) -> String {
        let mut sound = Vec::new();
        for key in ALL.chars() {
            sound.extend(tone(key, ms, off, low, high));
            sound.extend(vec![0.0; 8 * 50]);
        }
        keys(&sound)
    }

    #[test]
    fn every_key_is_heard_once() {
        assert_eq!(dialled(80, 1.0, 6000.0, 6000.0), ALL);
        assert_eq!(dialled(1000, 1.0, 6000.0, 6000.0), ALL);
    }

    #[test]
    fn short_quiet_twisted_and_detuned_keys_are_heard() {
        assert_eq!(dialled(45, 1.0, 6000.0, 6000.0), ALL, "45 ms");
        assert_eq!(dialled(60, 1.0, 500.0, 500.0), ALL, "-33 dBFS a tone");
        assert_eq!(dialled(60, 1.015, 6000.0, 6000.0), ALL, "1.5 % sharp");
        assert_eq!(dialled(60, 0.985, 6000.0, 6000.0), ALL, "1.5 % flat");
        assert_eq!(dialled(60, 1.0, 4000.0, 8000.0), ALL, "6 dB of twist");
        assert_eq!(dialled(60, 1.0, 6500.0, 4500.0), ALL, "3 dB of reverse twist");
    }

    #[test]
    fn the_same_key_twice_is_two_keys_and_noise_on_top_does_no_harm() {
        let mut noise = Noise(7);
        let mut sound = Vec::new();
        for key in "1155##".chars() {
            sound.extend(tone(key, 80, 1.0, 5000.0, 5000.0));
            sound.extend(vec![0.0; 8 * 60]);
        }
        for sample in &mut sound {
            *sample += noise.unit() * 600.0;
        }
        assert_eq!(keys(&sound), "1155##");
    }

    #[test]
    fn tones_too_far_off_or_alone_are_no_keys() {
        assert_eq!(dialled(100, 1.04, 6000.0, 6000.0), "");
        assert_eq!(dialled(100, 1.0, 6000.0, 0.0), "");
        assert_eq!(dialled(100, 1.0, 0.0, 6000.0), "");
        assert_eq!(dialled(100, 1.0, 1000.0, 9000.0), "");
        // Ring-back, dial and conference tones of the Russian network, and a fax.
        for hz in [425.0, 440.0, 950.0, 1100.0, 1400.0, 2100.0] {
            let sound: Vec<f32> = (0..8000).map(|n| 9000.0 * (TAU * hz * n as f32 / 8000.0).sin()).collect();
            assert_eq!(keys(&sound), "", "{hz} Hz");
        }
    }

    /// Voices are buzzes of a wandering pitch through two or three wandering resonances, with pauses and hiss.
    #[test]
    fn five_minutes_of_speech_like_noise_hold_no_key() {
        for seed in 0..5 {
            let mut noise = Noise(seed);
            let mut sound = Vec::new();
            while sound.len() < 8000 * 60 {
                let pitch = 90.0 + 160.0 * noise.unit().abs();
                let formants =
                    [300.0 + 500.0 * noise.unit().abs(), 900.0 + 1500.0 * noise.unit().abs(), 2600.0];
                let glide = 1.0 + 0.15 * noise.unit();
                let len = 800 + (noise.next() % 2400) as usize;
                for n in 0..len {
                    let time = n as f32 / 8000.0;
                    let bend = 1.0 + (glide - 1.0) * n as f32 / len as f32;
                    let mut sample = noise.unit() * 150.0;
                    for harmonic in 1..24 {
                        let hz = pitch * bend * harmonic as f32;
                        let gain: f32 =
                            formants.iter().map(|at| 1.0 / (1.0 + ((hz - at) / 90.0).powi(2))).sum();
                        sample += 6000.0 * gain * (TAU * hz * time).sin();
                    }
                    sound.push(sample.clamp(-32000.0, 32000.0));
                }
                sound.extend((0..(noise.next() % 1600)).map(|_| noise.unit() * 100.0));
            }
            assert_eq!(keys(&sound), "", "seed {seed}");
        }
    }

    #[test]
    fn what_is_sung_is_heard() {
        let mut detector = KeyDetector::new();
        let mut heard = String::new();
        for key in ALL.chars() {
            let mut singer = KeySinger::new(crate::event::code(key).expect("a key")).expect("a key");
            for tick in 0..8 {
                let mut frame = [0xff; FRAME];
                if tick < 5 {
                    singer.fill(Codec::Pcmu, &mut frame);
                }
                let mut linear = [0; FRAME];
                g711::decode(Codec::Pcmu, &frame, &mut linear);
                heard.extend(detector.handle(&linear));
            }
        }
        assert_eq!(heard, ALL);
    }
}
