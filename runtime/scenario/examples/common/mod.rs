//! What the programs that measure share.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use zvonar_scenario::ports::{About, Clock, Direction};
use zvonar_scenario::{Engine, EngineConfig, Module, Package};

/// The time: these programs measure it.
#[expect(clippy::disallowed_methods, reason = "this program measures")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Real time since a moment.
pub(crate) struct Since(pub(crate) Instant);

impl Clock for Since {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn now(&self) -> String {
        "2026-03-01T10:00:00+03:00[Europe/Moscow]".into()
    }
}

/// A call that there is not.
pub(crate) fn about() -> About {
    let (caller, callee) = ("+74950000000".into(), "+79001234517".into());
    About { call: "1".into(), direction: Direction::Outbound, caller, callee, attempt: 1 }
}

/// An engine with a cache of its own, which the caller removes.
pub(crate) fn engine() -> (Engine, PathBuf) {
    let cache = std::env::temp_dir().join(format!("zvonar-measure-{}", std::process::id()));
    (Engine::new(&EngineConfig::new(&cache)).unwrap_or_else(|error| panic!("{error}")), cache)
}

/// The folder of the example scenarios.
pub(crate) fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios")
}

/// Opens and compiles a package.
pub(crate) fn load(engine: &Engine, folder: &Path) -> (Package, Arc<Module>) {
    let package = Package::open(folder).unwrap_or_else(|faults| panic!("\n{faults}\n"));
    let module = engine.load(&package).unwrap_or_else(|error| panic!("{error}"));
    (package, module)
}

/// A share of sorted times, in thousandths.
pub(crate) fn at(sorted: &[Duration], thousandths: usize) -> Duration {
    sorted
        .get((sorted.len() * thousandths / 1000).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

/// The first number in a file of /proc, in the line that begins with `name`.
pub(crate) fn proc_number(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
