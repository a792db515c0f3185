//! What scenarios cost, and what they cannot do: `./zv bench guests` and `./zv abuse`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;
use zvonar_tests::{host, machine};

use crate::{
    build_guests,
    shell::{self, step},
};

/// Calls that wait at once: of small guests, and of those that carry an interpreter.
const SMALL: u32 = 1_000;
const LARGE: u32 = 200;

/// Every built example scenario, one after the other, and an embedded QuickJS on the talk of `menu`.
pub(crate) fn guests(quick: bool) -> Result<(), String> {
    build_guests()?;
    let target = host::built().parent().and_then(Path::parent).ok_or("no target folder")?.to_owned();
    let folder = target.display().to_string();
    step("compiling the sandbox for speed");
    // All packages are selected, so that shared dependencies have the features that tests compile them with.
    let build = ["build", "--release", "--workspace", "--example", "measure", "--target-dir", &folder];
    shell::cargo(&build)?;
    step("compiling the embedded QuickJS that they are measured beside");
    let apart = target.join("quickjs");
    let (manifest, apart_name) = ("tests/bench/quickjs/Cargo.toml", apart.display().to_string());
    shell::cargo(&[
        "build",
        "--release",
        "--locked",
        "--manifest-path",
        manifest,
        "--target-dir",
        &apart_name,
    ])?;
    let share = if quick { 10 } else { 1 };
    let mut rows = Vec::new();
    for (package, language) in packages()? {
        let sessions = if matches!(&*language, "rust" | "c") { SMALL } else { LARGE } / share;
        step(&format!("measuring {}", package.display()));
        let mut command = Command::new(target.join("release/examples/measure"));
        rows.push(line(command.arg("--json").arg(format!("{}:{sessions}", package.display())))?);
    }
    step("measuring QuickJS");
    let mut command = Command::new(apart.join("release/quickjs-bench"));
    rows.push(line(command.arg((LARGE / share).to_string()))?);
    println!("{}", table(&rows));
    Ok(())
}

/// What each misdeed comes to, and what fifty neighbours lose by it.
pub(crate) fn abuse(arguments: &[&str]) -> Result<(), String> {
    build_guests()?;
    step("compiling the sandbox");
    // All packages are selected, so that it is the sandbox that the tests were compiled with.
    shell::cargo(&["build", "--workspace", "--example", "abuse"])?;
    let program = host::built().with_file_name("examples").join("abuse");
    shell::run_with(Command::new(program).args(arguments))
}

/// The packages whose component is built, with their languages; the tests' own are left out.
fn packages() -> Result<Vec<(PathBuf, String)>, String> {
    let folder = machine::root().join("scenarios");
    let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut packages: Vec<(PathBuf, String)> = entries
        .filter_map(|entry| {
            let package = entry.ok()?.path();
            let manifest = fs::read_to_string(package.join("scenario.toml")).ok()?;
            let value = |key: &str| {
                let line =
                    manifest.lines().find_map(|line| line.strip_prefix(key)?.trim().strip_prefix('='))?;
                line.split('"').nth(1).map(str::to_owned)
            };
            let built = package.join(value("component")?).is_file();
            (built && !package.ends_with("naughty"))
                .then_some((package, value("language").unwrap_or_default()))
        })
        .collect();
    packages.sort();
    Ok(packages)
}

/// Runs a program that prints one line of JSON.
fn line(command: &mut Command) -> Result<Value, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.stderr(Stdio::inherit()).output().map_err(|error| format!("{name}: {error}"))?;
    if !done.status.success() {
        return Err(format!("{name} failed ({})", done.status));
    }
    serde_json::from_slice(&done.stdout).map_err(|error| format!("{name} printed no JSON: {error}"))
}

fn table(rows: &[Value]) -> String {
    let head = [
        "",
        "language",
        "component, KiB",
        "compile, CPU s",
        "start p50, µs",
        "start p99, µs",
        "whole p50, µs",
        "whole p99, µs",
        "waiting",
        "KiB each",
        "seats",
    ];
    let keys = [
        "package",
        "language",
        "component_kib",
        "compile_cpu_s",
        "start_p50_us",
        "start_p99_us",
        "whole_p50_us",
        "whole_p99_us",
        "parked",
        "parked_kib",
        "seats",
    ];
    let mut text = format!("\n| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        let cells = keys.map(|key| match &row[key] {
            Value::String(text) => text.clone(),
            Value::Null => "–".into(),
            number => number.to_string(),
        });
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}
