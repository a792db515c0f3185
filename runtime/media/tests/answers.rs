//! Where answers end, on thirty recordings of a person: Debian's `asterisk-core-sounds-ru-wav`. Without it the test says so
//! and does nothing; the four recordings of `tests/data` are listened to by the unit tests in any case.

use std::path::Path;

use zvonar_media::utterance::{Event, Listener, Settings};
use zvonar_media::{Clip, Codec, g711, level};

const RECORDINGS: &str = "/usr/share/asterisk/sounds/ru";
const SENTENCES: &str = include_str!("../../speech/tests/data/sentences-ru.tsv");

/// Through A-law, as a telephone has it.
fn recorded(name: &str) -> Vec<i16> {
    let clip = Clip::load(&Path::new(RECORDINGS).join(name)).expect("a recording");
    let mut sound = vec![0; clip.bytes(Codec::Pcma).len()];
    g711::decode(Codec::Pcma, clip.bytes(Codec::Pcma), &mut sound);
    sound
}

fn hush(ms: usize) -> Vec<i16> {
    let mut seed = 7u32;
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 26) as i16 - 32
    };
    (0..ms * 8).map(|_| next()).collect()
}

/// The last millisecond in which something is said.
fn last_word(sound: &[i16]) -> usize {
    let loud = |block: &[i16]| level::dbfs(block) > -42.0;
    sound.chunks(80).rposition(loud).map_or(0, |at| (at + 1) * 10)
}

/// When the answer ended (ms), and how much of it is kept (ms).
fn listen(sound: &[i16]) -> Option<(usize, usize)> {
    let mut listener = Listener::new(Settings::default());
    let mut kept = 0;
    for (n, frame) in sound.chunks(160).enumerate() {
        listener.handle(frame);
        while let Some(event) = listener.poll_event() {
            match event {
                Event::Piece(part) => kept += part.len(),
                Event::Ended { last, .. } => {
                    kept += last.map_or(0, |part| part.len());
                    return Some(((n + 1) * 20, kept / 8));
                }
                _ => {}
            }
        }
    }
    None
}

#[test]
fn no_word_is_cut_off_and_the_end_is_known_within_700_ms() {
    if !Path::new(RECORDINGS).is_dir() {
        eprintln!("SKIPPED: {RECORDINGS} is not there: apt-get install asterisk-core-sounds-ru-wav");
        return;
    }
    let names: Vec<&str> = SENTENCES.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(names.len(), 30);
    let mut delays = Vec::new();
    let mut check = |name: &str, sound: &[i16]| {
        let (end, kept) = listen(sound).unwrap_or_else(|| panic!("{name}: nobody was heard"));
        let last = last_word(sound);
        assert!(end >= last, "{name}: it ended at {end} ms, and the last word ends at {last} ms");
        delays.push(end - last);
        kept
    };
    for (n, name) in names.iter().enumerate() {
        let clip = recorded(name);
        let before = 200 + 97 * n;
        let kept = check(name, &[hush(before), clip.clone(), hush(2000)].concat());
        let said = last_word(&clip);
        assert!(kept >= said.saturating_sub(120), "{name}: {kept} ms are kept of {said}");
        // Two sentences with a pause between them, of which the second must not be lost.
        let next = recorded(names[(n + 1) % names.len()]);
        let pause = [250, 320, 400][n % 3];
        check(name, &[hush(before), clip, hush(pause), next, hush(2000)].concat());
    }
    delays.sort_unstable();
    let (half, most) = (delays[delays.len() / 2], delays[delays.len() * 95 / 100]);
    eprintln!("{} answers; the end is known {half} ms after the last word, p95 {most} ms", delays.len());
    assert!(most <= 700, "p95 is {most} ms: {delays:?}");
}
