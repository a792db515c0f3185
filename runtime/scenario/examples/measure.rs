//! What a session costs: `cargo run --release -p zvonar-scenario --example measure [SESSIONS]`.
//!
//! Prints how long a whole session takes when the line answers at once, and what a session holds while it waits for its
//! caller: resident memory and memory maps of the process. Needs the guests (`./zv guests`).

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use zvonar_scenario::ports::{About, Clock, Direction, LeadCard, Line, LineError, Part, Ports, Question};
use zvonar_scenario::question::Answer;
use zvonar_scenario::{Engine, EngineConfig, Limits, Module, Package, Start};

/// Answers everything at once, or never.
struct Quick {
    parks: bool,
}

#[async_trait]
impl Line for Quick {
    fn about(&self) -> About {
        let (caller, callee) = ("+74950000000".into(), "+79001234517".into());
        About { call: "1".into(), direction: Direction::Outbound, caller, callee, attempt: 1 }
    }

    async fn play(&mut self, _: &[Part], _: Duration) -> Result<(), LineError> {
        Ok(())
    }

    async fn ask(&mut self, _: &Question, _: Duration) -> Result<Answer, LineError> {
        Ok(Answer::Keys("1".into()))
    }

    async fn wait(&mut self, _: Duration, _: Duration) -> Result<(), LineError> {
        if self.parks {
            std::future::pending::<()>().await;
        }
        Err(LineError::HungUp)
    }

    async fn hangup(&mut self) {}
}

struct Since(Instant);

impl Clock for Since {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn now(&self) -> String {
        "2026-03-01T10:00:00+03:00[Europe/Moscow]".into()
    }
}

#[expect(clippy::disallowed_methods, reason = "this program measures")]
fn now() -> Instant {
    Instant::now()
}

fn load(engine: &Engine, name: &str) -> Arc<Module> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios").join(name);
    let package = Package::open(&folder).unwrap_or_else(|faults| panic!("\n{faults}\n"));
    engine.load(&package).unwrap_or_else(|error| panic!("{error}"))
}

fn start(module: &Module, job: &str, parks: bool) -> Start {
    let settings = module.manifest().fill_settings(&[("job".to_owned(), job.to_owned())].into());
    let ports = Ports {
        line: Box::new(Quick { parks }),
        lead: Box::new(LeadCard::default()),
        sms: Box::new(zvonar_scenario::ports::NoSms),
        clock: Box::new(Since(now())),
        random: Box::new(|| 4),
    };
    Start { ports, settings: settings.expect("the form has this job"), limits: Limits::default() }
}

/// Resident memory in KiB, and memory maps.
fn held() -> (u64, usize) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.and_then(|text| text.split_whitespace().next()?.parse().ok());
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default().lines().count();
    (resident.unwrap_or(0), maps)
}

fn main() {
    let sessions: u32 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1000);
    let cache = std::env::temp_dir().join(format!("zvonar-measure-{}", std::process::id()));
    let begun = now();
    let engine = Engine::new(&EngineConfig::new(&cache)).unwrap_or_else(|error| panic!("{error}"));
    println!("engine with {} seats: {:?}, {:?} (KiB, maps)", engine.capacity(), begun.elapsed(), held());
    let begun = now();
    let module = load(&engine, "bench");
    println!("compiled in {:?}", begun.elapsed());
    let begun = now();
    drop(load(&engine, "bench"));
    println!("from the cache in {:?}", begun.elapsed());

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
    let runtime = runtime.expect("two threads can be had");
    runtime.block_on(async {
        for (what, job) in [("start, ask once, end", "idle"), ("the whole ivr job", "ivr")] {
            let mut times = Vec::new();
            for _ in 0..5_000 {
                let (seat, start) = (module.take_seat().expect("there is room"), start(&module, job, false));
                let begun = now();
                let end = module.run(seat, start).await;
                times.push(begun.elapsed());
                assert!(!end.wants_fallback(), "{:?}", end.ending);
            }
            times.sort();
            let at = |share: usize| times[times.len() * share / 1000];
            println!("{what}: p50 {:?}, p99 {:?}, p99.9 {:?}", at(500), at(990), at(999));
        }
        let before = held();
        let mut parked = tokio::task::JoinSet::new();
        for _ in 0..sessions {
            let (module, start) = (Arc::clone(&module), start(&module, "idle", true));
            let seat = module.take_seat().expect("there is room");
            parked.spawn(async move { module.run(seat, start).await });
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let after = held();
        let each = |sum: u64| sum as f64 / f64::from(sessions);
        println!(
            "{} sessions wait: {:.1} KiB and {:.2} maps each ({} maps in all)",
            module.live_sessions(),
            each(after.0.saturating_sub(before.0)),
            each(after.1.saturating_sub(before.1) as u64),
            after.1,
        );
        parked.shutdown().await;
        println!("after them {} sessions, {:?} (KiB, maps)", module.live_sessions(), held());
    });
    let _ = fs::remove_dir_all(cache);
}
