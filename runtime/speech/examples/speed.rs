//! How long recognition takes: of one recording after another, and with several callers at once.
//!
//! ```text
//! cargo run --release -p zvonar-speech --features whisper --example speed -- [--workers N] [--callers N]… FILE.wav…
//! ```
//!
//! A JSON object per file: `whole_s` and `cpu_s` of the recording in one piece, `pieces_s` of the parts that a call would have
//! recognised, and `last_s` of the last of them, which is what a caller waits for. Each is the median of three, taken in
//! turns. With `--callers`, an object for each number: how long an answer of the first file takes from being asked for,
//! and answers a second.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use zvonar_media::utterance::{Event, Listener, Settings};
use zvonar_media::{Clip, Codec, g711};
use zvonar_model::TenantId;
use zvonar_speech::model::Shelf;
use zvonar_speech::{Pool, PoolSettings, Recognised, Recognizer, Request, whisper};

/// Turns of each measurement.
const TURNS: usize = 3;
/// How long callers call.
const CALLING: Duration = Duration::from_secs(20);

#[expect(
    clippy::disallowed_methods,
    reason = "a measurement from outside: there is no clock of the host here"
)]
fn now() -> Instant {
    Instant::now()
}

/// The CPU time of this process, all threads.
fn cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes to the one place that it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

struct Recording {
    name: String,
    sound: Arc<[i16]>,
    parts: Vec<Arc<[i16]>>,
}

fn recording(file: &str) -> Recording {
    let clip = Clip::load(Path::new(file)).unwrap_or_else(|why| panic!("{why}"));
    let mut sound = vec![0; clip.bytes(Codec::Pcma).len()];
    g711::decode(Codec::Pcma, clip.bytes(Codec::Pcma), &mut sound);
    let mut listener = Listener::new(Settings::default());
    let mut parts = Vec::new();
    for block in sound.chunks(160).chain([0; 8000].chunks(160)) {
        listener.handle(block);
        while let Some(event) = listener.poll_event() {
            if let Event::Piece(part) | Event::Ended { last: Some(part), .. } = event {
                parts.push(Arc::from(&listener.sound()[part]));
            }
        }
    }
    Recording { name: file.into(), sound: sound.into(), parts }
}

fn main() {
    let mut files = Vec::new();
    let (mut workers, mut callers) = (1, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse().ok()).expect("a number");
        match argument.as_str() {
            "--workers" => workers = number(),
            "--callers" => callers.push(number()),
            _ => files.push(recording(&argument)),
        }
    }
    let shelf = Shelf::of_user().expect("a home");
    let settings = PoolSettings { workers, queue: 256 };
    let pool =
        whisper::start(&shelf, "base", "ru", settings, Arc::new(now)).unwrap_or_else(|why| panic!("{why}"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let pool = Arc::new(pool);

    let ask = |sound: &Arc<[i16]>| {
        let begun = (now(), cpu());
        let heard = runtime.block_on(pool.recognise(request(sound)));
        (now() - begun.0, cpu().saturating_sub(begun.1), heard)
    };
    let mut times = vec![Vec::new(); files.len()];
    for _ in 0..TURNS {
        for (file, times) in files.iter().zip(&mut times) {
            let (whole, spent, heard) = ask(&file.sound);
            let parts: Vec<Duration> = file.parts.iter().map(|part| ask(part).0).collect();
            let last = parts.last().copied().unwrap_or_default();
            times.push(([whole, spent, parts.iter().sum(), last], heard));
        }
    }
    for (file, times) in files.iter().zip(&times) {
        let median = |which: usize| {
            let mut all: Vec<f64> = times.iter().map(|(times, _)| times[which].as_secs_f64()).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        let text = match &times[0].1 {
            Recognised::Text(text) => text.text.replace('"', ""),
            other => format!("{other:?}").replace('"', ""),
        };
        println!(
            "{{\"file\": \"{}\", \"seconds\": {:.1}, \"whole_s\": {:.3}, \"cpu_s\": {:.3}, \"pieces\": {}, \"pieces_s\": {:.3}, \
             \"last_s\": {:.3}, \"text\": \"{text}\"}}",
            file.name,
            file.sound.len() as f64 / 8000.0,
            median(0),
            median(1),
            file.parts.len(),
            median(2),
            median(3),
        );
    }
    for count in callers {
        println!("{}", together(&runtime, &pool, &files[0], count, workers));
    }
}

fn request(sound: &Arc<[i16]>) -> Request {
    let tenant = TenantId::new("speed").expect("a good id");
    Request { tenant, sound: Arc::clone(sound), deadline: now() + Duration::from_secs(120) }
}

/// So many callers, each of whom answers again as soon as he was understood.
fn together(
    runtime: &tokio::runtime::Runtime,
    pool: &Arc<Pool>,
    file: &Recording,
    count: usize,
    workers: usize,
) -> String {
    let end = now() + CALLING;
    let caller = || {
        let (pool, sound) = (Arc::clone(pool), Arc::clone(&file.sound));
        async move {
            let mut waits = Vec::new();
            while now() < end {
                let begun = now();
                pool.recognise(request(&sound)).await;
                waits.push((now() - begun).as_secs_f64());
            }
            waits
        }
    };
    let tasks: Vec<_> = (0..count).map(|_| runtime.spawn(caller())).collect();
    let mut waits: Vec<f64> =
        tasks.into_iter().flat_map(|task| runtime.block_on(task).expect("no panic")).collect();
    waits.sort_by(f64::total_cmp);
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
    let resident = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = resident.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    format!(
        "{{\"callers\": {count}, \"workers\": {workers}, \"answers_per_s\": {:.2}, \"p50_s\": {:.3}, \"p95_s\": {:.3}, \
         \"most_memory\": \"{}\"}}",
        waits.len() as f64 / CALLING.as_secs_f64(),
        at(0.5),
        at(0.95),
        resident.trim()
    )
}
