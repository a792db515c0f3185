//! How many calls a second are replayed on one core: `cargo run --release -p zvonar-rehearsal --example replay_rate [CALLS]`.
//!
//! Rehearses some courses of the menu, and replays their traces against the same module. Needs the guests (`./zv guests`).

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use zvonar_ledger::PriceList;
use zvonar_model::Trace;
use zvonar_rehearsal::replay::{Replayer, Verdict};
use zvonar_rehearsal::script::{Script, Step};
use zvonar_rehearsal::{Setup, Stage};
use zvonar_scenario::{Engine, EngineConfig, Limits, Package};

#[expect(clippy::disallowed_methods, reason = "this program measures")]
fn now() -> Instant {
    Instant::now()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let calls: usize = std::env::args().nth(1).map(|text| text.parse()).transpose()?.unwrap_or(20_000);
    let cache = std::env::temp_dir().join(format!("zvonar-replay-rate-{}", std::process::id()));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/menu");
    let package = Package::open(&folder)?;
    let engine = Engine::new(&EngineConfig { max_sessions: 4, ..EngineConfig::new(&cache) })?;
    let module = engine.load(&package)?;
    let stage = Stage::new(module.clone(), PriceList::default(), Limits::default())
        .map_err(|faults| format!("{faults:?}"))?;
    let press = |keys: &str| Step::Press { keys: keys.into(), after: None };
    let courses = [
        vec![press("1")],
        vec![press("2")],
        vec![press("7"), press("1")],
        vec![],
        vec![Step::HangsUp { after: Some(Duration::from_secs(2)) }],
    ];
    let mut traces: Vec<Trace> = Vec::new();
    for steps in courses {
        let steps: VecDeque<(usize, Step)> = steps.into_iter().enumerate().collect();
        let settings =
            package.manifest.fill_settings(&Default::default()).map_err(|faults| faults.join("\n"))?;
        let setup = Setup { settings, ..Setup::default() };
        traces.push(stage.play(&setup, Script::new(steps, |_: &[_]| None), |_| ())?.record.trace);
    }
    let bytes: Vec<usize> =
        traces.iter().filter_map(|trace| Some(serde_json::to_vec(trace).ok()?.len())).collect();
    println!("the traces have {bytes:?} bytes");
    let replayer = Replayer::new(module)?;
    let recorded: Vec<Trace> = traces.iter().cycle().take(calls).cloned().collect();
    let begun = now();
    let same = recorded
        .into_iter()
        .map(|trace| replayer.replay(trace))
        .filter(|verdict| *verdict == Verdict::Same)
        .count();
    let took = begun.elapsed();
    println!(
        "{calls} calls, {same} the same, in {took:?}: {:.0} a second",
        calls as f64 / took.as_secs_f64()
    );
    std::fs::remove_dir_all(cache)?;
    Ok(())
}
