//! What stops each misdeed, and what its neighbours lose: `./zv abuse [SECONDS]`.
//!
//! Each deed of `scenarios/naughty` is done once alone, for its end and its CPU; and then again and again by as many
//! culprits at once as the runtime has threads, beside fifty neighbours who wait 20 ms, say a word to their host, and wait
//! again. What a neighbour loses is how late its word comes: the time from the moment at which its line was to answer to
//! its next call to the host. Everything is in one process on two threads, as on a host with `workers = 2`.

mod common;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use common::{Since, at, now};
use zvonar_scenario::ports::{About, LeadCard, Line, LineError, Part, Ports, Question};
use zvonar_scenario::question::Answer;
use zvonar_scenario::{Ending, Fault, Limits, Module, Sms, Start};

const THREADS: usize = 2;
const NEIGHBOURS: usize = 50;
/// What can be done, beside behaving.
const DEEDS: [&str; 17] = [
    "loop",
    "memory",
    "recursion",
    "panic",
    "host-calls",
    "refusals",
    "log",
    "notes",
    "sms",
    "long-texts",
    "large-call",
    "zero-asks",
    "zero-waits",
    "zero-plays",
    "short-waits",
    "after-hangup",
    "error",
];

/// A line of real time on which nobody says anything. It notes how late each word comes.
struct Patient {
    due: Option<Instant>,
    late: Option<Arc<Mutex<Vec<Duration>>>>,
}

impl Patient {
    async fn pass(&mut self, time: Duration) -> Result<(), LineError> {
        if let (Some(due), Some(late)) = (self.due.take(), &self.late) {
            late.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(due.elapsed());
        }
        if !time.is_zero() {
            let due = now() + time;
            tokio::time::sleep_until(due.into()).await;
            self.due = Some(due);
        }
        Ok(())
    }
}

#[async_trait]
impl Line for Patient {
    fn about(&self) -> About {
        common::about()
    }

    async fn play(&mut self, prompt: &[Part], _: Duration) -> Result<(), LineError> {
        self.pass(Duration::from_millis(20 * prompt.len() as u64)).await
    }

    async fn ask(&mut self, question: &Question, _: Duration) -> Result<Answer, LineError> {
        self.pass(question.keys.map_or(Duration::ZERO, |keys| keys.first)).await.map(|()| Answer::Silence)
    }

    async fn wait(&mut self, time: Duration, _: Duration) -> Result<(), LineError> {
        self.pass(time).await
    }

    async fn hangup(&mut self) {}
}

/// A gateway that takes every message.
struct Gateway(Arc<AtomicU64>);

impl Sms for Gateway {
    fn send(&mut self, _: Option<&str>, _: &str) -> Result<String, zvonar_scenario::ports::SmsError> {
        Ok(self.0.fetch_add(1, Ordering::Relaxed).to_string())
    }
}

async fn session(
    module: &Arc<Module>,
    deed: &str,
    late: Option<Arc<Mutex<Vec<Duration>>>>,
    sent: &Arc<AtomicU64>,
) -> zvonar_scenario::SessionEnd {
    let settings = module.manifest().fill_settings(&[("deed".to_owned(), deed.to_owned())].into());
    let ports = Ports {
        line: Box::new(Patient { due: None, late }),
        lead: Box::new(LeadCard::default()),
        sms: Box::new(Gateway(Arc::clone(sent))),
        clock: Box::new(Since(now())),
        random: Box::new(|| 4),
    };
    let settings = settings.expect("the form has this deed");
    module
        .run(module.take_seat().expect("there is room"), Start { ports, settings, limits: Limits::default() })
        .await
}

/// CPU of this thread so far.
fn cpu() -> Duration {
    Duration::from_nanos(common::proc_number("/proc/thread-self/schedstat", ""))
}

/// One deed alone: what stopped it, where, and what it cost.
fn alone(module: &Arc<Module>, deed: &str) -> (String, String, Duration, u64) {
    let sent = Arc::new(AtomicU64::new(0));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a thread can be had");
    let before = cpu();
    let end = runtime.block_on(session(module, deed, None, &sent));
    let spent = cpu().saturating_sub(before);
    let (what, place) = match end.ending {
        Ending::Returned => ("nothing: it returned".to_owned(), None),
        Ending::Failed(words) => (format!("its own error: {words}"), None),
        Ending::Faulted(Fault::Limit { spent, place }) => (spent.to_string(), place),
        Ending::Faulted(Fault::Trap { place, .. }) => ("a trap".to_owned(), place),
        Ending::Faulted(Fault::NotStarted(why)) => (why, None),
    };
    let place = place.map_or("–".to_owned(), |place| match place.source {
        Some((file, line)) => {
            format!("{} ({}:{line})", place.function, file.rsplit('/').next().unwrap_or_default())
        }
        None => place.function,
    });
    (what, place, spent, sent.load(Ordering::Relaxed))
}

/// How late the neighbours' words come beside culprits that do the deed again and again; and how often they did it.
fn beside(module: &Arc<Module>, deed: Option<&'static str>, time: Duration) -> (Vec<Duration>, u64, u64) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_time().build();
    let (late, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
    let (done, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    runtime.expect("two threads can be had").block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..NEIGHBOURS {
            let (module, late, stop) = (Arc::clone(module), Arc::clone(&late), Arc::clone(&stop));
            let failed = Arc::clone(&failed);
            tasks.spawn(async move {
                // Not all of them at the same moment.
                tokio::time::sleep(Duration::from_micros(400 * n as u64)).await;
                while !stop.load(Ordering::Relaxed) {
                    let end = session(&module, "behave", Some(Arc::clone(&late)), &Arc::default()).await;
                    if end.result.is_none() {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        for _ in 0..deed.map_or(0, |_| THREADS) {
            let (module, stop, done) = (Arc::clone(module), Arc::clone(&stop), Arc::clone(&done));
            let deed = deed.unwrap_or_default();
            tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    session(&module, deed, None, &Arc::default()).await;
                    done.fetch_add(1, Ordering::Relaxed);
                    // The next call is another task's: a call comes and goes with its own.
                    tokio::task::yield_now().await;
                }
            });
        }
        tokio::time::sleep(time).await;
        stop.store(true, Ordering::Relaxed);
        while tasks.join_next().await.is_some() {}
    });
    let mut late = std::mem::take(&mut *late.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
    late.sort();
    (late, done.load(Ordering::Relaxed), failed.load(Ordering::Relaxed))
}

fn ms(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1000.0)
}

fn main() {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(2.0);
    let time = Duration::from_secs_f64(seconds);
    let (engine, cache) = common::engine();
    let (_, module) = common::load(&engine, &common::scenarios().join("naughty"));
    println!(
        "{NEIGHBOURS} neighbours, {THREADS} culprits at once, again and again for {seconds} s each, on {THREADS} threads\n"
    );
    println!(
        "{:<13} {:<42} {:<34} {:>8} {:>7} | {:>28}",
        "misdeed", "what stopped it", "where", "CPU, ms", "times", "a neighbour's word is late,"
    );
    println!("{:<107} | {:>9} {:>8} {:>9}", "", "p50, ms", "p99, ms", "worst, ms");
    let row = |name: &str, told: (&str, &str, String, String), late: &[Duration]| {
        let mut line = String::new();
        let (what, place, cpu, times) = told;
        let _ = write!(line, "{name:<13} {what:<42} {place:<34} {cpu:>8} {times:>7} | ");
        let worst = late.last().copied().unwrap_or_default();
        let _ = write!(line, "{:>9} {:>8} {:>9}", ms(at(late, 500)), ms(at(late, 990)), ms(worst));
        println!("{line}");
    };
    let (calm, _, mut failures) = beside(&module, None, time);
    row("(none)", ("", "", String::new(), String::new()), &calm);
    for deed in DEEDS {
        let (mut what, place, cpu, sent) = alone(&module, deed);
        if sent > 0 {
            let _ = write!(what, ", {sent} SMS");
        }
        let (late, times, failed) = beside(&module, Some(deed), time);
        row(deed, (&what, &place, ms(cpu), times.to_string()), &late);
        failures += failed;
    }
    println!("\nneighbours that did not finish: {failures}");
    drop(engine);
    let _ = std::fs::remove_dir_all(cache);
    assert_eq!(failures, 0);
}
