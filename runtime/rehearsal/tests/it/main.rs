//! Rehearsals with built guests: whole talks, conversations, replays.
//!
//! The guests are those of `scenarios/`; `./zv guests` builds them, and `./zv test` does so before the tests.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use zvonar_ledger::PriceList;
use zvonar_rehearsal::script::{Script, Step};
use zvonar_rehearsal::{Rehearsed, Setup, Stage};
use zvonar_scenario::{Engine, EngineConfig, Limits, Package};

mod conversations;
mod replays;
mod talks;

fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios")
}

/// One engine for all tests: its cache is in the build folder, where nobody else writes.
fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
        Engine::new(&EngineConfig { max_sessions: 64, ..EngineConfig::new(cache) }).unwrap()
    })
}

fn package(folder: &Path) -> Package {
    Package::open(folder).unwrap_or_else(|faults| {
        panic!("\n{faults}\n(the guests of these tests are built by `./zv guests`)\n")
    })
}

/// A package, ready to be rehearsed.
fn stage(folder: &Path) -> Stage {
    let module = engine().load(&package(folder)).unwrap_or_else(|error| panic!("{error}"));
    Stage::new(module, PriceList::default(), Limits::default()).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn menu() -> Stage {
    stage(&scenarios().join("menu"))
}

fn setup(stage: &Stage, settings: &[(&str, &str)]) -> Setup {
    let filled: BTreeMap<String, String> =
        settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Setup { settings: stage.module().manifest().fill_settings(&filled).unwrap(), ..Setup::default() }
}

fn play(stage: &Stage, setup: &Setup, steps: &[Step]) -> Rehearsed {
    let steps: VecDeque<(usize, Step)> = (1..).zip(steps.iter().cloned()).collect();
    let sounds = Arc::clone(stage.sounds());
    let caller = Script::new(steps, move |prompt: &[_]| sounds.text(prompt));
    stage.play(setup, caller, |_| ()).unwrap()
}

fn press(keys: &str) -> Step {
    Step::Press { keys: keys.into(), after: None }
}

fn press_after(keys: &str, seconds: f64) -> Step {
    Step::Press { keys: keys.into(), after: Some(Duration::from_secs_f64(seconds)) }
}

fn hangs_up(seconds: f64) -> Step {
    Step::HangsUp { after: Some(Duration::from_secs_f64(seconds)) }
}
