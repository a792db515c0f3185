//! What callers hear while they wait: «Во поле берёза стояла», as a music box plays it. Nobody's property, and a few
//! kilobytes of notes instead of a megabyte of recording.

use std::f64::consts::TAU;

/// Samples a second on a telephone line.
const HZ: u32 = 8_000;
/// The shortest note, in seconds.
const EIGHTH: f64 = 0.24;
/// The loudest of one note; two may sound at once.
const PEAK: f64 = 7_000.0;
/// After this time a note has 1/e of its loudness, in seconds.
const DECAY: f64 = 0.35;

/// Semitones above the A of 440 Hz, and eighths.
const TUNE: [(i32, u32); 34] = [
    (7, 1),
    (7, 1),
    (7, 1),
    (7, 1),
    (5, 2),
    (3, 1),
    (3, 1),
    (2, 2),
    (0, 2),
    (7, 1),
    (7, 1),
    (10, 1),
    (7, 1),
    (5, 1),
    (5, 1),
    (3, 1),
    (3, 1),
    (2, 2),
    (0, 2),
    (2, 3),
    (3, 1),
    (5, 2),
    (3, 1),
    (3, 1),
    (2, 2),
    (0, 2),
    (2, 3),
    (3, 1),
    (5, 2),
    (3, 1),
    (3, 1),
    (2, 2),
    (0, 2),
    (-12, 4),
];

/// The tune once through, as samples of 16 bits at 8 kHz. Played in a loop it has no seam: the last note has died away.
pub(crate) fn tune() -> Vec<i16> {
    let eighths: u32 = TUNE.iter().map(|(_, length)| length).sum();
    let mut sound = vec![0.0_f64; (f64::from(eighths) * EIGHTH * f64::from(HZ)) as usize];
    let mut begins = 0;
    for (semitones, length) in TUNE {
        let start = (f64::from(begins) * EIGHTH * f64::from(HZ)) as usize;
        let pitch = 440.0 * 2.0_f64.powf(f64::from(semitones) / 12.0);
        for (n, sample) in sound[start..].iter_mut().enumerate() {
            let t = n as f64 / f64::from(HZ);
            // The first 5 ms rise, so that nothing clicks.
            let loudness = PEAK * (t / 0.005).min(1.0) * (-t / DECAY).exp();
            *sample += loudness * ((TAU * pitch * t).sin() + 0.2 * (TAU * 2.0 * pitch * t).sin()) / 1.2;
        }
        begins += length;
    }
    sound.into_iter().map(|sample| sample.clamp(-32_768.0, 32_767.0) as i16).collect()
}
