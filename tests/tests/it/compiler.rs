//! A scenario is compiled by a child that is last in the queue for the CPU, has little memory and little time. What is no
//! scenario never gets that far, and is refused in words.

use std::{fs, path::Path, process::Command, time::Duration};

use zvonar_scenario::{Compiler, Engine, EngineConfig, Package, archive, compiler::COMMAND};
use zvonar_tests::{host, machine, process::Process};

const LIMIT: Duration = Duration::from_secs(30);

fn engine(folder: &Path, compiler: Compiler) -> Engine {
    let config = EngineConfig {
        max_sessions: 8,
        compiler: Some(compiler),
        ..EngineConfig::new(folder.join("compiled"))
    };
    Engine::new(&config).unwrap()
}

fn child() -> Compiler {
    Compiler::new(host::build().unwrap(), [COMMAND])
}

fn menu() -> Package {
    Package::open(&machine::root().join("scenarios/menu")).unwrap_or_else(|faults| panic!("\n{faults}\n"))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder.join("compiled"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_the_child_compiles_is_what_the_engine_runs_and_is_kept() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let module = engine(folder.path(), child()).load(&menu()).unwrap();
    let kept = names(folder.path());
    assert!(kept.len() == 2 && kept[0].ends_with(".cwasm") && kept[1].ends_with(".sha256"), "{kept:?}");
    assert!(kept[0].starts_with(&module.reference().sha256), "{kept:?}");
    // Nobody compiles any more: this one could not.
    let nobody = Compiler::new("/nonexistent", [""; 0]);
    engine(folder.path(), nobody.clone()).load(&menu()).unwrap();
    // And an engine without a child takes the same code.
    Engine::new(&EngineConfig { max_sessions: 8, ..EngineConfig::new(folder.path().join("compiled")) })
        .unwrap()
        .load(&menu())
        .unwrap();
    assert_eq!(names(folder.path()), kept);

    let other = tempfile::tempdir().unwrap();
    let told = engine(other.path(), nobody).load(&menu()).unwrap_err().to_string();
    let words = "scenario menu could not be compiled: the compiler failed: it cannot be started: No such file or directory (os error 2)";
    assert_eq!(told, words);
}

#[test]
fn a_child_that_spends_its_time_or_memory_is_stopped_and_leaves_nothing() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let slow = Compiler { time: Duration::ZERO, ..child() };
    let greedy = Compiler { memory_bytes: 16 << 20, ..child() };
    // A program that is no compiler at all, and one that says nothing.
    let wrong = Compiler::new("/bin/sh", ["-c", "echo it is out of order >&2; exit 3"]);
    let silent = Compiler::new("/bin/sh", ["-c", "exit 0"]);
    for (compiler, words) in [
        (slow, "compiling it took more than 0 s, and was stopped"),
        (greedy, "compiling it took more than 16 MiB of memory, and was stopped"),
        (wrong, "the compiler failed: exit status: 3; it is out of order"),
        (silent, "the compiler failed: No such file or directory (os error 2)"),
    ] {
        let told = engine(folder.path(), compiler).load(&menu()).unwrap_err().to_string();
        assert_eq!(told, format!("scenario menu could not be compiled: {words}"));
        assert_eq!(names(folder.path()), [""; 0]);
    }
}

#[test]
fn the_child_is_last_in_the_queue_and_goes_with_its_limits() {
    let _machine = machine::shared();
    let folder = tempfile::tempdir().unwrap();
    // It reads a pipe into which nobody writes: its limits are set by then, and stay to be looked at.
    let pipe = folder.path().join("component");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut command = Command::new(host::build().unwrap());
    command
        .args([COMMAND, "--memory-mib", "512", "--cpu-seconds", "7"])
        .arg(&pipe)
        .arg(folder.path().join("code"));
    let mut child = Process::spawn("zvonar compile", &mut command).unwrap();
    let proc = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", child.id())).unwrap_or_default();
    let limited = || proc("limits").lines().any(|line| line.starts_with("Max core file size        0 "));
    let mut naps = 0;
    while !limited() {
        naps += 1;
        assert!(naps < 3_000, "its limits are not set: {}", proc("limits"));
        std::thread::sleep(Duration::from_millis(10));
    }
    // The nice value is the 17th word after the name in parentheses. It is set a moment after the limits.
    let nice = || {
        proc("stat").rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(16).map(str::to_owned))
    };
    while nice().as_deref() != Some("19") {
        naps += 1;
        assert!(naps < 3_000, "it is not nice: {:?}", nice());
        std::thread::sleep(Duration::from_millis(10));
    }
    let limits = proc("limits");
    for (name, soft) in [("Max address space", "536870912"), ("Max cpu time", "7")] {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        assert_eq!(line[name.len()..].split_whitespace().next(), Some(soft), "{line}");
    }
    child.kill();
}

/// What `zvonar check` says about a package, without the folder it is in; what it exits with.
fn check(package: &Path) -> (String, Option<i32>) {
    let cache = package.parent().unwrap().join("cache");
    let mut command = host::zvonar(["check"]);
    command.arg(package).env("XDG_CACHE_HOME", cache);
    let mut process = Process::spawn("zvonar check", &mut command).unwrap();
    let status = process.wait(LIMIT).unwrap();
    let said = process.output().replace(&format!("{}/", package.parent().unwrap().display()), "");
    (said, status.code())
}

#[test]
fn a_package_is_checked_as_a_folder_and_as_an_archive() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let package = menu();
    let file = folder.path().join("menu.zvonar");
    fs::write(&file, archive::pack(&package).unwrap()).unwrap();
    let (said, code) = check(&file);
    let sound = format!("menu.zvonar: menu 0.1.0 is sound; its content is {}", package.digest);
    assert!(said.contains(&sound) && code == Some(0), "{code:?}: {said}");

    fs::write(folder.path().join("garbage.zvonar"), "just a text, and a little more of it").unwrap();
    fs::File::create(folder.path().join("large.zvonar")).unwrap().set_len(500 << 20).unwrap();
    for (name, words) in [
        (
            "garbage.zvonar",
            "garbage.zvonar: this is no package: a package is a ZIP made by `zvonar build --pack`, and this begins with [6a, 75, 73, 74]",
        ),
        ("large.zvonar", "large.zvonar: the archive has 524288000 bytes; at most 134217728 are taken"),
        (
            "absent",
            "absent/scenario.toml: the manifest of a package cannot be read: No such file or directory (os error 2)",
        ),
    ] {
        let (said, code) = check(&folder.path().join(name));
        assert!(said.contains(words) && code == Some(1) && !said.contains("panicked"), "{code:?}: {said}");
    }
}

#[test]
fn the_command_of_the_child_is_not_for_people() {
    let _machine = machine::shared();
    let help = host::zvonar(["help"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&help.stdout).contains(COMMAND));
}
