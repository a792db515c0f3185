//! What scenarios cost: `measure [--json] [PACKAGE[:SESSIONS]…]`; `./zv bench guests` runs it on all of `scenarios/`.
//!
//! For each package: the size of its component, compiling it, how long a session takes from its start to its first call
//! to the host, how long a whole session takes when the line answers at once (every question with `1`), and what a
//! session holds while it waits for its caller: resident memory and memory maps of the process.
//!
//! Each package is measured in a process of its own, so that none inherits another's memory. Without packages:
//! `scenarios/bench`. SESSIONS (1000) wait at once. With `--json` a line for each package.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use common::{Since, at, now, proc_number};
use serde_json::{Value, json};
use zvonar_scenario::ports::{About, Clock, LeadCard, Line, LineError, Part, Ports, Question};
use zvonar_scenario::question::Answer;
use zvonar_scenario::{Engine, Limits, Module, Start};

/// Sessions that are measured one after the other, and before them, unmeasured.
const RUNS: usize = 3_000;
const WARM_UP: usize = 200;
/// After so many questions the caller leaves.
const PATIENCE: u32 = 30;

/// Answers everything at once, or never.
struct Quick {
    parks: bool,
    asked: u32,
}

impl Quick {
    async fn answer<T>(&mut self, answer: T) -> Result<T, LineError> {
        if self.parks {
            std::future::pending::<()>().await;
        }
        self.asked += 1;
        if self.asked > PATIENCE { Err(LineError::HungUp) } else { Ok(answer) }
    }
}

#[async_trait]
impl Line for Quick {
    fn about(&self) -> About {
        common::about()
    }

    fn hears_speech(&self) -> bool {
        true
    }

    async fn play(&mut self, _: &[Part], _: Duration) -> Result<(), LineError> {
        self.answer(()).await
    }

    async fn ask(&mut self, _: &Question, _: Duration) -> Result<Answer, LineError> {
        self.answer(Answer::Keys("1".into())).await
    }

    async fn wait(&mut self, _: Duration, _: Duration) -> Result<(), LineError> {
        self.answer(()).await
    }

    async fn hangup(&mut self) {}
}

/// Notes when it was first asked: that is the session's first call to its host.
struct Started {
    since: Instant,
    first: Arc<AtomicU64>,
}

impl Clock for Started {
    fn elapsed(&self) -> Duration {
        let elapsed = self.since.elapsed();
        let nanoseconds = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX).max(1);
        let _ = self.first.compare_exchange(0, nanoseconds, Ordering::Relaxed, Ordering::Relaxed);
        elapsed
    }

    fn now(&self) -> String {
        Since(self.since).now()
    }
}

fn start(module: &Module, parks: bool, clock: Box<dyn Clock>) -> Start {
    let settings = module.manifest().fill_settings(&std::collections::BTreeMap::new());
    let fields = [("name", "Анна"), ("date", "12 марта"), ("time", "10:30")];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let ports = Ports {
        line: Box::new(Quick { parks, asked: 0 }),
        lead: Box::new(Arc::new(Mutex::new(LeadCard::new(fields)))),
        sms: Box::new(zvonar_scenario::ports::NoSms),
        clock,
        random: Box::new(|| 4),
    };
    Start { ports, settings: settings.expect("defaults fit their own form"), limits: Limits::default() }
}

/// Resident memory in KiB, and memory maps.
fn held() -> (u64, u64) {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default().lines().count();
    (proc_number("/proc/self/status", "VmRSS:"), maps as u64)
}

/// CPU of this process so far.
fn cpu() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may hold spaces; user and system time are the 12th and 13th words after it.
    let words = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = words.skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
    // A hundred ticks a second, on every Linux of today.
    Duration::from_millis(ticks * 10)
}

fn micros(time: Duration) -> f64 {
    (time.as_nanos() as f64 / 100.0).round() / 10.0
}

fn measure(engine: &Engine, cache: &Path, folder: &Path, sessions: u32) -> Value {
    let (before, begun) = (cpu(), now());
    let (package, module) = common::load(engine, folder);
    let (compile_cpu, compile) = (cpu() - before, begun.elapsed());
    let begun = now();
    drop(engine.load(&package));
    let cached = begun.elapsed();
    let code = fs::read_dir(cache).into_iter().flatten().flatten();
    let code = code.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "cwasm"));
    let code: u64 = code.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
    runtime.expect("two threads can be had").block_on(async {
        let (mut starts, mut wholes, mut how) = (Vec::new(), Vec::new(), String::new());
        for run in 0..WARM_UP + RUNS {
            let first = Arc::new(AtomicU64::new(0));
            let seat = module.take_seat().expect("there is room");
            let clock = Started { since: now(), first: Arc::clone(&first) };
            let begun = clock.since;
            let end = module.run(seat, start(&module, false, Box::new(clock))).await;
            let whole = begun.elapsed();
            assert!(!end.wants_fallback(), "{}: {:?}", folder.display(), end.ending);
            if run >= WARM_UP {
                starts.push(Duration::from_nanos(first.load(Ordering::Relaxed)));
                wholes.push(whole);
                how = format!("{} host calls, {:?}", end.trace.events.len(), end.result);
            }
        }
        starts.sort();
        wholes.sort();
        let before = held();
        let mut parked = tokio::task::JoinSet::new();
        for _ in 0..sessions {
            let Some(seat) = module.take_seat() else { break };
            let start = start(&module, true, Box::new(Since(now())));
            let module = Arc::clone(&module);
            parked.spawn(async move { module.run(seat, start).await });
        }
        let waiting = parked.len() as u64;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(u64::from(module.live_sessions()), waiting, "all of them wait");
        let after = held();
        let each = |sum: u64| ((sum as f64 / waiting as f64) * 10.0).round() / 10.0;
        parked.shutdown().await;
        json!({
            "package": package.manifest.name, "language": package.manifest.language,
            "component_kib": package.component.len() / 1024, "code_kib": code / 1024,
            "compile_s": compile.as_secs_f64(), "compile_cpu_s": compile_cpu.as_secs_f64(),
            "from_cache_ms": micros(cached) / 1000.0,
            "start_p50_us": micros(at(&starts, 500)), "start_p99_us": micros(at(&starts, 990)),
            "whole_p50_us": micros(at(&wholes, 500)), "whole_p99_us": micros(at(&wholes, 990)),
            "talk": how, "parked": waiting,
            "parked_kib": each(after.0.saturating_sub(before.0)),
            "parked_maps": each(after.1.saturating_sub(before.1)),
            "seats": module.seats(), "initial_memory_kib": module.initial_memory() / 1024,
        })
    })
}

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let json =
        arguments.iter().position(|argument| argument == "--json").map(|at| arguments.remove(at)).is_some();
    // The process that measures one package.
    if let [flag, folder, sessions] = &*arguments
        && flag == "--one"
    {
        let (engine, cache) = common::engine();
        let told = measure(&engine, &cache, Path::new(folder), sessions.parse().expect("a number"));
        drop(engine);
        let _ = fs::remove_dir_all(cache);
        println!("{told}");
        return ExitCode::SUCCESS;
    }
    if arguments.is_empty() {
        arguments.push(common::scenarios().join("bench").display().to_string());
    }
    let own = std::env::current_exe().expect("this program has a file");
    for argument in arguments {
        let (folder, sessions) = argument.rsplit_once(':').unwrap_or((&argument, "1000"));
        let done = Command::new(&own).args(["--one", folder, sessions]).output().expect("it can be started");
        if !done.status.success() {
            eprint!("{}", String::from_utf8_lossy(&done.stderr));
            return ExitCode::FAILURE;
        }
        let told = String::from_utf8_lossy(&done.stdout);
        match serde_json::from_str::<Value>(&told) {
            Ok(told) if !json => println!("{told:#}"),
            _ => print!("{told}"),
        }
    }
    ExitCode::SUCCESS
}
