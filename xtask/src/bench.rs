//! `./zv bench`: the host and the floor program on the same job, one after the other, by the instrument in
//! `tests/bench`. The measured program has core 0 to itself, the generator core 1.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};
use zvonar_tests::{
    clock, host, machine, ports,
    process::Process,
    project::{Config, Route},
};

use crate::{
    apt::{self, Package},
    build_basic_guests,
    shell::{self, step},
};

const TOOLS: &[Package] = &[
    Package { name: "gcc", program: "cc" },
    Package { name: "python3", program: "python3" },
    Package { name: "util-linux", program: "taskset" },
];

/// Where the generator has its RTP; the floor program and the host stay away from there.
const GENERATOR_PORTS: u16 = 20_000;

/// What is measured: its name in `./zv bench NAME`, and what is told to bench.py, thoroughly and quickly.
struct Job {
    name: &'static str,
    thorough: &'static [&'static str],
    quick: &'static [&'static str],
    /// Whether the floor program can do it too.
    floor: bool,
}

const JOBS: &[Job] = &[
    Job {
        name: "ivr",
        thorough: &["ivr", "--rate", "20", "--secs", "20", "--warmup", "20"],
        quick: &["ivr", "--rate", "10", "--secs", "8", "--warmup", "5"],
        floor: true,
    },
    Job {
        name: "idle",
        thorough: &[
            "hold",
            "--user",
            "idle",
            "--calls",
            "1000",
            "--rate",
            "40",
            "--hold",
            "31",
            "--tx-audio",
            "0",
            "--expect-rtp",
            "0",
            "--dtmf-at",
            "0",
        ],
        quick: &[
            "hold",
            "--user",
            "idle",
            "--calls",
            "200",
            "--rate",
            "40",
            "--hold",
            "8",
            "--tx-audio",
            "0",
            "--expect-rtp",
            "0",
            "--dtmf-at",
            "0",
        ],
        floor: false,
    },
    Job {
        name: "hold",
        thorough: &[
            "fill", "--from", "600", "--to", "3000", "--factor", "1.3", "--secs", "12", "--hold", "15",
        ],
        quick: &["fill", "--from", "100", "--to", "400", "--factor", "2", "--secs", "5", "--hold", "6"],
        floor: true,
    },
    Job {
        name: "ramp",
        thorough: &["ramp", "--from", "60", "--to", "400", "--factor", "1.3", "--secs", "12"],
        quick: &["ramp", "--from", "10", "--to", "40", "--factor", "2", "--secs", "8"],
        floor: true,
    },
];

/// Calls of two legs, joined: `runtime/switch/benches/bridges.rs`.
pub(crate) fn bridges(calls: &[&str]) -> Result<(), String> {
    let target =
        host::built().parent().and_then(Path::parent).ok_or("no target folder")?.display().to_string();
    step("compiling the media threads for speed");
    // All packages are selected, so that shared dependencies have the features that tests compile them with.
    let build = ["bench", "--workspace", "--bench", "bridges", "--target-dir", &target, "--"];
    shell::run_with(&mut shell::cargo_command(&[&build, calls].concat()))
}

pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    let quick = arguments.contains(&"--quick");
    let wanted: Vec<&str> = arguments.iter().copied().filter(|argument| *argument != "--quick").collect();
    let jobs: Vec<&Job> = match wanted.as_slice() {
        [] | ["all"] => JOBS.iter().collect(),
        names => names
            .iter()
            .map(|name| JOBS.iter().find(|job| job.name == *name).ok_or(*name))
            .collect::<Result<_, _>>()
            .map_err(|name| format!("bench knows ivr, hold, idle, ramp and all, not `{name}`"))?,
    };
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() < 2) {
        return Err("measuring needs two cores: one for the host, one for the generator".into());
    }
    apt::ensure(TOOLS)?;
    build_basic_guests()?;
    let target = host::built().parent().and_then(Path::parent).ok_or("no target folder")?.to_owned();
    let bench = Bench::prepare(&target)?;
    step("compiling the host for speed");
    shell::cargo(&[
        "build",
        "--release",
        // All packages are selected, so that shared dependencies have the features that tests compile them with.
        "--workspace",
        "--bin",
        "zvonar",
        "--target-dir",
        &target.display().to_string(),
    ])?;

    for job in &jobs {
        let told = if quick { job.quick } else { job.thorough };
        if job.floor {
            step(&format!("{}: the floor program", job.name));
            bench.measure("floor", job.name, told, &mut bench.floor(), None)?;
        }
        step(&format!("{}: zvonar", job.name));
        let (mut command, address) = bench.host(&target.join("release/zvonar"))?;
        bench.measure("zvonar", job.name, told, &mut command, Some(address))?;
    }
    bench.tell()
}

struct Bench {
    /// Built tools, media, results.
    folder: PathBuf,
    source: PathBuf,
    results: PathBuf,
    floor_address: SocketAddr,
}

impl Bench {
    /// Builds the tools and their media.
    fn prepare(target: &Path) -> Result<Self, String> {
        step("building the instrument");
        let (folder, source) = (target.join("bench"), machine::root().join("tests/bench"));
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for tool in ["callgen", "nullpeer"] {
            let mut cc = Command::new("cc");
            cc.arg("-O2").arg("-o").arg(folder.join(tool)).arg(source.join(format!("{tool}.c"))).arg("-lm");
            shell::run(&mut cc)?;
        }
        shell::run(Command::new("python3").arg(source.join("mkmedia.py")).arg(folder.join("media")))?;
        let results = folder.join(format!("results-{}.jsonl", clock::unix_millis()));
        let floor_address = SocketAddr::from(([127, 0, 0, 1], ports::free_port()));
        Ok(Self { folder, source, results, floor_address })
    }

    fn floor(&self) -> Command {
        let mut command = pinned(&self.folder.join("nullpeer"));
        command.args([
            "--listen",
            &self.floor_address.to_string(),
            "--ports",
            "4000",
            "--base-port",
            "40000",
        ]);
        command.arg("--media").arg(self.folder.join("media"));
        command
    }

    /// The host with the three jobs as routes, and its address.
    fn host(&self, binary: &Path) -> Result<(Command, SocketAddr), String> {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        let mut config = Config::new(nowhere).scenario("bench");
        config.media_ports = (40_000, 59_999);
        config.routes = ["ivr", "hold", "idle"]
            .map(|job| Route {
                user: job.into(),
                scenario: "bench".into(),
                settings: vec![("job".into(), job.into())],
            })
            .into();
        let folder = self.folder.join("host");
        // Each run starts with an empty store.
        let _ = fs::remove_dir_all(&folder);
        let file = config.write(&folder)?;
        let mut command = pinned(binary);
        command.args(["serve", "--config"]).arg(file);
        Ok((command, config.listen))
    }

    /// Starts a program, has bench.py measure it, and stops it. `address`: that of the host, which says when it is
    /// ready; the floor program is ready at once.
    fn measure(
        &self,
        label: &str,
        job: &str,
        told: &[&str],
        command: &mut Command,
        address: Option<SocketAddr>,
    ) -> Result<(), String> {
        let mut measured = Process::spawn(label, command)?;
        let ready = if address.is_some() { host::READY } else { "nullpeer on" };
        measured.wait_for_line(ready, host::START_LIMIT)?;
        let mut bench = Command::new("python3");
        bench.arg(self.source.join("bench.py")).args(told).arg("--tools").arg(&self.folder);
        bench.args(["--server", &address.unwrap_or(self.floor_address).to_string()]);
        bench.args(["--listen", &format!("127.0.0.1:{}", ports::free_port())]);
        bench.args(["--pids", &measured.id().to_string(), "--label", &format!("{label} {job}")]);
        bench.args(["--base-port", &GENERATOR_PORTS.to_string(), "--ports", "4000"]);
        // The generator must not be late, or it measures itself. Only root may ask for that.
        bench.args(["--nice", if machine::is_root() { "-20" } else { "0" }]);
        bench.arg("--json").arg(&self.results);
        let done = shell::run(&mut bench);
        if !measured.is_running() {
            return Err(format!("{label} ended while it was measured\n{}", measured.output()));
        }
        done?;
        let _ = measured.terminate(Duration::from_secs(20));
        Ok(())
    }

    /// The table, and the same as JSON.
    fn tell(&self) -> Result<(), String> {
        let say = |error: &dyn std::fmt::Display| format!("{}: {error}", self.results.display());
        let text = fs::read_to_string(&self.results).map_err(|error| say(&error))?;
        let runs: Vec<Value> =
            text.lines().map(serde_json::from_str).collect::<Result<_, _>>().map_err(|error| say(&error))?;
        let rows = rows(&runs);
        println!("\n{:<44} {:>12} {:>12} {:>8}", "", "floor", "zvonar", "ratio");
        for row in &rows {
            let number = |value: Option<f64>| value.map_or("–".into(), |value| format!("{value:.2}"));
            let ratio =
                row.floor.zip(row.host).filter(|(floor, _)| *floor > 0.0).map(|(floor, host)| host / floor);
            println!(
                "{:<44} {:>12} {:>12} {:>8}",
                row.what,
                number(row.floor),
                number(row.host),
                number(ratio)
            );
        }
        for run in &runs {
            if let Some(foreign) = run["sut"]["foreign_pct"].as_f64().filter(|percent| *percent > 5.0) {
                println!(
                    "{}: others used {foreign} % of the core; these figures are no capacity",
                    run["label"]
                );
            }
        }
        let summary = self.results.with_extension("summary.json");
        let rows: Vec<Value> = rows
            .iter()
            .map(|row| json!({ "what": row.what, "floor": row.floor, "zvonar": row.host }))
            .collect();
        fs::write(&summary, format!("{:#}\n", Value::from(rows))).map_err(|error| say(&error))?;
        println!("\nevery run: {}\nthis table: {}", self.results.display(), summary.display());
        Ok(())
    }
}

/// `program` on core 0.
fn pinned(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(program);
    command
}

struct Row {
    what: &'static str,
    floor: Option<f64>,
    host: Option<f64>,
}

/// One row per figure that was measured.
fn rows(runs: &[Value]) -> Vec<Row> {
    type Figure = fn(&Value) -> Option<f64>;
    let figures: &[(&str, &str, Figure)] = &[
        ("ivr", "CPU of a call, ms", |run| run["sut"]["cpu_ms_per_call"].as_f64()),
        ("ivr", "INVITE to 200, p50, ms", |run| run["pdd_ms"]["p50"].as_f64()),
        ("ivr", "INVITE to 200, p99, ms", |run| run["pdd_ms"]["p99"].as_f64()),
        ("ivr", "INVITE to the first packet, p99, ms", |run| run["first_rtp_ms"]["p99"].as_f64()),
        // From the first packet of the event: the host acts on it, and does not wait for its end 100 ms later.
        ("ivr", "digit's begin to the next prompt, p50, ms", |run| run["dtmf2b_start_ms"]["p50"].as_f64()),
        ("ivr", "digit's begin to the next prompt, p99, ms", |run| run["dtmf2b_start_ms"]["p99"].as_f64()),
        ("ivr", "packets more than 20 ms late, %", |run| run["rtp"]["late_20ms_pct"].as_f64()),
        ("idle", "memory of a call without sound, KiB", |run| {
            let grown = run["sut"]["rss_peak_mb"].as_f64()? - run["sut"]["rss_before_mb"].as_f64()?;
            Some(grown * 1024.0 / run["peak_concurrent"].as_f64().filter(|calls| *calls > 0.0)?)
        }),
        ("hold", "calls at once, prompts < 1 % late or lost", |run| run["held"].as_f64()),
        ("ramp", "calls a second, none failed", |run| run["held"].as_f64()),
    ];
    figures
        .iter()
        .filter_map(|(job, what, figure)| {
            let of = |label: &str| {
                let label = format!("{label} {job}");
                // A climb's summary is its last line.
                runs.iter().rfind(|run| run["label"] == label.as_str()).and_then(figure)
            };
            let (floor, host) = (of("floor"), of("zvonar"));
            (floor.is_some() || host.is_some()).then_some(Row { what, floor, host })
        })
        .collect()
}
