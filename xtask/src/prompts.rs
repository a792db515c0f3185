//! Prompts that are made rather than recorded: the benchmark's tones, and what the other scenarios say.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use zvonar_scenario::build::voice::{self, Need, Voice};
use zvonar_tests::machine;

use crate::{
    apt::{self, Package},
    guest::{put, told},
    music, shell,
};

/// Speaks the prompts of these packages (folders below `scenarios/`) that have a text and no sound; says whether all have a
/// sound now. A machine that cannot be given a voice is told so in a sentence: only real calls need sounds.
pub(crate) fn speak(packages: &[&str]) -> Result<bool, String> {
    let mut wanted = Vec::new();
    for package in packages {
        let folder = machine::root().join("scenarios").join(package);
        for (name, text) in texts(&folder)? {
            let file = folder.join("prompts").join(format!("{name}.wav"));
            if voice::need(&file, &text) != Need::Nothing {
                wanted.push((file, text));
            }
        }
    }
    if wanted.is_empty() {
        return Ok(true);
    }
    if Voice::find().is_none() {
        let installed = apt::ensure(&[Package { name: "espeak-ng", program: "espeak-ng" }]);
        if let Err(why) = installed {
            eprintln!("{} prompts stay without a sound, {}: {why}", wanted.len(), voice::MISSING);
            return Ok(false);
        }
    }
    let voice = Voice::find().ok_or("espeak-ng was installed and is not there")?;
    shell::step(&format!("{} prompts spoken by {}", wanted.len(), voice.name()));
    // A voice loads its sounds anew for each prompt: half a second of one core.
    let next = AtomicUsize::new(0);
    let speaker = || {
        while let Some((file, text)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
            voice.speak(text, file).map_err(|error| error.to_string())?;
        }
        Ok(())
    };
    let speakers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let speakers: Vec<_> = (0..speakers).map(|_| scope.spawn(speaker)).collect();
        let bug = |_| Err("a thread that spoke prompts stopped at a bug".to_owned());
        speakers.into_iter().try_for_each(|speaker| speaker.join().unwrap_or_else(bug))
    })?;
    Ok(true)
}

/// The `[texts]` of a package's manifest.
fn texts(folder: &Path) -> Result<Vec<(String, String)>, String> {
    let file = folder.join("scenario.toml");
    let manifest = fs::read_to_string(&file).map_err(told("reading", &file))?;
    let manifest: toml::Table = manifest.parse().map_err(|error| format!("{}: {error}", file.display()))?;
    let texts = manifest.get("texts").and_then(toml::Value::as_table).into_iter().flatten();
    Ok(texts.filter_map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned()))).collect())
}

/// The benchmark's prompts. The two pitches are how the instrument tells them apart; `long` is a minute so that the
/// seam of its loop is rare.
pub(crate) fn make_tones() -> Result<(), String> {
    let folder = machine::root().join("scenarios/bench/prompts");
    for (name, hz, seconds) in [("a", 400.0, 5), ("b", 1000.0, 5), ("long", 400.0, 60)] {
        let file = folder.join(format!("{name}.wav"));
        let wave = tone(hz, seconds);
        if fs::read(&file).is_ok_and(|there| there == wave) {
            continue;
        }
        put(&file, &wave)?;
    }
    Ok(())
}

/// The music of those packages whose callers wait for somebody. A file that is there may be the user's own, and stays.
pub(crate) fn make_music() -> Result<(), String> {
    for package in ["table", "reception"] {
        let file = machine::root().join("scenarios").join(package).join("prompts/music.wav");
        if !file.exists() {
            put(&file, &wave(&music::tune()))?;
        }
    }
    Ok(())
}

/// A sine of amplitude 8000 as a WAV file.
fn tone(hz: f64, seconds: u32) -> Vec<u8> {
    let sample = |n: u32| {
        let angle = 2.0 * std::f64::consts::PI * hz * (f64::from(n) + 0.5) / 8000.0;
        (8000.0 * angle.sin()) as i16
    };
    wave(&(0..8000 * seconds).map(sample).collect::<Vec<_>>())
}

/// A WAV file: 8 kHz, 16 bits, mono.
fn wave(samples: &[i16]) -> Vec<u8> {
    let size = u32::try_from(samples.len() * 2).expect("a prompt is shorter than a day");
    let mut wave = Vec::with_capacity(44 + size as usize);
    wave.extend(b"RIFF");
    wave.extend((36 + size).to_le_bytes());
    wave.extend(b"WAVEfmt ");
    wave.extend(16u32.to_le_bytes());
    for word in [1u16, 1] {
        wave.extend(word.to_le_bytes());
    }
    wave.extend(8000u32.to_le_bytes());
    wave.extend(16_000u32.to_le_bytes());
    for word in [2u16, 16] {
        wave.extend(word.to_le_bytes());
    }
    wave.extend(b"data");
    wave.extend(size.to_le_bytes());
    for sample in samples {
        wave.extend(sample.to_le_bytes());
    }
    wave
}
