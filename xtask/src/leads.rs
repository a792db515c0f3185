//! What a long list costs: `./zv bench leads`. A million contacts are imported by the real program, a project with them is
//! started and dialled at 100 calls a second, and counts and reports are asked for meanwhile; the same by SQLite.

use std::{
    fmt::Write as _,
    fs,
    io::{BufWriter, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use zvonar_tests::{host, machine};

use crate::shell::{self, step};

const LEADS: u32 = 1_000_000;
const SECONDS: &str = "30";

/// `./zv bench leads [--quick]`.
pub(crate) fn bench(quick: bool) -> Result<(), String> {
    let leads = if quick { LEADS / 10 } else { LEADS };
    let target = host::built().parent().and_then(Path::parent).ok_or("no target folder")?.to_owned();
    let folder = target.display().to_string();
    step("compiling the host for speed");
    // All packages are selected, so that shared dependencies have the features that tests compile them with.
    let build = ["build", "--release", "--workspace", "--bin", "zvonar", "--example", "leads_rate"];
    shell::cargo(&[&build[..], &["--target-dir", &folder]].concat())?;
    let release = target.join("release");

    let work = target.join("bench-leads");
    let _ = fs::remove_dir_all(&work);
    fs::create_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))?;
    let (list, config) = (work.join("list.csv"), work.join("zvonar.toml"));
    step(&format!("a list of {leads} contacts"));
    write_list(&list, leads).map_err(|error| format!("{}: {error}", list.display()))?;
    fs::write(&config, CONFIG).map_err(|error| format!("{}: {error}", config.display()))?;
    let zvonar = |arguments: &[&str]| {
        let mut command = Command::new(release.join("zvonar"));
        command.args(arguments).arg("--config").arg(&config);
        command
    };
    shell::run(&mut zvonar(&[
        "project",
        "create",
        "long",
        "--scenario",
        "menu",
        "--trunk",
        "carrier",
        "--lines",
        "400",
        "--calls-per-second",
        "100",
        "--hours",
        "any",
    ]))?;
    step("zvonar import");
    let mut import = zvonar(&["import", &list.display().to_string(), "--project", "long"]);
    let (import_s, import_mib) = watched(&mut import)?;
    step(&format!("dialling for {SECONDS} s"));
    let mut rate = Command::new(release.join("examples/leads_rate"));
    let ours = json(rate.arg(work.join("data")).args(["demo", "long", SECONDS]))?;
    step("the same by SQLite");
    let mut sqlite = Command::new("python3");
    sqlite.arg(machine::root().join("tests/bench/leads_sqlite.py"));
    let theirs = json(sqlite.arg(&list).arg(work.join("sqlite")).arg(SECONDS))?;
    println!("{}", table(leads, (import_s, import_mib), &ours, &theirs));
    let _ = fs::remove_dir_all(&work);
    Ok(())
}

const CONFIG: &str = r#"
[node]
data = "data"

[sip]
listen = "127.0.0.1:5060"

[[tenant]]
id = "demo"

[[trunk]]
id = "carrier"
address = "127.0.0.1:5070"
caller = "+74950000000"
"#;

/// Contacts as lists have them: a name, a city, a date, and a second number for every third.
fn write_list(path: &Path, leads: u32) -> std::io::Result<()> {
    let mut file = BufWriter::new(fs::File::create(path)?);
    writeln!(file, "lead,phone,phone2,name,city,date")?;
    for i in 0..leads {
        let second = if i % 3 == 0 { format!("+7901{i:07}") } else { String::new() };
        let zone = ["Москва", "Омск", "Самара", "Чита"][i as usize % 4];
        writeln!(file, "lead-{i},+7900{i:07},{second},Анна Петровна {i},{zone},2026-03-{:02}", i % 28 + 1)?;
    }
    file.flush()
}

/// Runs a program to its end: how long it took, in seconds, and the most memory it had, in MiB.
fn watched(command: &mut Command) -> Result<(f64, u64), String> {
    let begun = now();
    let mut child = command.stdout(Stdio::null()).spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let mut most = 0;
    loop {
        most = peak_mib(&child).unwrap_or(0).max(most);
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok((begun.elapsed().as_secs_f64(), most)),
            Ok(Some(status)) => return Err(format!("{command:?} failed ({status})")),
            Ok(None) => std::thread::sleep(Duration::from_millis(50)),
            Err(error) => return Err(format!("{command:?}: {error}")),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this command measures")]
fn now() -> Instant {
    Instant::now()
}

fn peak_mib(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}

/// The one line of JSON that a program prints.
fn json(command: &mut Command) -> Result<Value, String> {
    let output =
        command.stderr(Stdio::inherit()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?} failed ({})", output.status));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("{command:?}: {error}"))
}

fn table(leads: u32, (import_s, import_mib): (f64, u64), ours: &Value, theirs: &Value) -> String {
    let mut text =
        format!("{leads} contacts               Zvonar (sled)   SQLite (WAL, FULL)   ratio   reach\n");
    let mut row = |name: &str, ours: Option<f64>, theirs: Option<f64>, reach: &str| {
        let shown = |value: Option<f64>| value.map_or("–".into(), |value| format!("{value:.2}"));
        let ratio = ours.zip(theirs).map_or("–".into(), |(ours, theirs)| format!("{:.2}", ours / theirs));
        let _ = writeln!(text, "{name:<28} {:>10} {:>20} {ratio:>7}   {reach}", shown(ours), shown(theirs));
    };
    let of = |value: &Value, key: &str| value[key].as_f64();
    row("import, s", Some(import_s), of(theirs, "import_s"), "180");
    row("import, MiB at most", Some(import_mib as f64), of(theirs, "import_peak_mib"), "300");
    row("opening the store, s", of(ours, "open_s"), None, "");
    row("start of the project, s", of(ours, "start_s"), None, "10");
    row("settled a second", of(ours, "settled_per_s"), of(theirs, "calls_per_s"), "100");
    row("claim p50, ms", of(ours, "claim_p50_ms"), of(theirs, "claim_p50_ms"), "");
    row("claim p99, ms", of(ours, "claim_p99_ms"), of(theirs, "claim_p99_ms"), "5");
    row("settling p99, ms", of(ours, "settle_p99_ms"), of(theirs, "settle_p99_ms"), "");
    row("memory while dialling, MiB", of(ours, "peak_mib"), None, "");
    for (name, label) in [
        ("counts", "counts by status, ms"),
        ("projects", "report: projects, ms"),
        ("calls", "report: all calls, ms"),
        ("last", "report: last calls, ms"),
        ("contacts", "contacts by status, ms"),
    ] {
        let theirs = of(theirs, "counts_ms").filter(|_| name == "counts");
        row(&format!("{label} p50"), of(&ours["answers"][name], "p50_ms"), theirs, "");
        row(&format!("{label} most"), of(&ours["answers"][name], "max_ms"), None, "200");
    }
    text
}
