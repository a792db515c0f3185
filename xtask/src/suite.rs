//! The tests and the checks.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use zvonar_tests::host;

use crate::{
    apt::{self, Package},
    build_basic_guests, build_guests,
    shell::{self, cargo, cargo_command, step},
    verdict::Verdict,
};

/// The far ends that the end-to-end tests call, and a judge of what crosses the wire.
pub(crate) const PEERS: &[Package] = &[
    Package { name: "sip-tester", program: "sipp" },
    Package { name: "baresip-core", program: "baresip" },
    Package { name: "tshark", program: "tshark" },
];

/// Where the property tests begin. The same each time, so that a test that fails here fails there too, and a change that has
/// nothing to do with it is not stopped by a case that nobody had drawn before.
const SEED: &str = "20261123";
/// What `proptest` takes its seed from. A bare `cargo test` draws a fresh one.
const SEED_VARIABLE: &str = "PROPTEST_RNG_SEED";

/// Everything that must be true. What a FILTER leaves out is still compiled.
///
/// Formatting and clippy are not part of it (`./zv check`): clippy compiles nothing that a test could use, and would
/// add minutes on a fresh machine.
pub(crate) fn test(filter: &[&str]) -> Result<(), String> {
    apt::ensure(PEERS)?;
    step(
        "compiling the host and the tests (on a fresh machine this takes some minutes: the sandbox has a compiler in it)",
    );
    // Beside it the guests are built: downloads and single-threaded compilers leave a core to the host's. All that the
    // tests need is asked of cargo at once, so that no core waits while one thing is linked.
    std::thread::scope(|scope| {
        let guests = scope.spawn(build_guests);
        let built = cargo(&["build", "--workspace", "--lib", "--bins", "--tests", "--examples"]);
        guests.join().map_err(|_| "the thread that builds the guests stopped at a bug".to_owned())??;
        built
    })?;
    let seed = std::env::var(SEED_VARIABLE).unwrap_or_else(|_| SEED.into());
    step(&format!("testing; property tests begin at {SEED_VARIABLE}={seed}"));
    let run = |arguments: &[&str], threads: usize| {
        let mut command = cargo_command(&["test", "--workspace", "--no-fail-fast"]);
        command.args(arguments).env("ZVONAR_TESTS_STRICT", "1").env("ZVONAR_BIN", host::built());
        command.env(SEED_VARIABLE, &seed).env("RUST_TEST_THREADS", threads.to_string());
        judged(&mut command)
    };
    // Most tests that take long wait for a telephone, not for a core.
    let (verdict, result) = run(filter, test_threads())?;
    if result.is_ok() || !verdict.is_whole() || !(1..=SECOND_CHANCES).contains(&verdict.failed.len()) {
        return result;
    }
    let names = verdict.failed.join(", ");
    step(&format!("once more, one at a time: {names}"));
    let exactly: Vec<&str> =
        ["--", "--exact"].into_iter().chain(verdict.failed.iter().map(String::as_str)).collect();
    let (again, result) = run(&exactly, 1)?;
    result?;
    if again.passed < verdict.failed.len() {
        return Err(format!("not all of these were found again: {names}"));
    }
    step(&format!("UNSTEADY: failed beside the others and passed alone, which wants a look: {names}"));
    Ok(())
}

/// So many tests that fail are looked at once more. Real telephones on a machine that stops for a second now and then
/// may miss each other; when more go wrong, it is not that.
const SECOND_CHANCES: usize = 3;

/// Runs tests, and reads what they print as it is shown.
fn judged(command: &mut Command) -> Result<(Verdict, Result<(), String>), String> {
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| format!("cargo: {error}"))?;
    let printed = child.stdout.take().ok_or("cargo has no output")?;
    // One message is all that ever comes.
    let (tell, told) = mpsc::sync_channel(1);
    std::thread::spawn(move || tell.send(Verdict::read(printed, std::io::stdout())));
    let status = child.wait().map_err(|error| format!("cargo: {error}"))?;
    // Whoever was started by a test and outlives it keeps the output open; nobody waits for it.
    let verdict = match told.recv_timeout(LAST_WORDS) {
        Ok(verdict) => verdict.map_err(|error| format!("cargo's output: {error}"))?,
        Err(_) => Verdict::cut_off(),
    };
    let result = if status.success() { Ok(()) } else { Err(format!("the tests failed ({status})")) };
    Ok((verdict, result))
}

/// How long what the tests have printed may be on its way when they have ended.
const LAST_WORDS: Duration = Duration::from_secs(30);

/// How many tests of one program run at once.
fn test_threads() -> usize {
    4 * std::thread::available_parallelism().map_or(2, usize::from)
}

/// The test of money and manners, for longer: the same code as in `test`, killing more often.
pub(crate) fn kill_soak(arguments: &[&str]) -> Result<(), String> {
    let number = |text: &str| text.parse::<u32>().map_err(|_| format!("`{text}` is not a number"));
    let (kills, leads) = match arguments {
        [] => (50, 2_000),
        [kills] => (number(kills)?, 20 * number(kills)?),
        [kills, leads] => (number(kills)?, number(leads)?),
        _ => return Err("kill-soak takes the kills and the leads of the list: 50 2000".into()),
    };
    build_basic_guests()?;
    let zvonar = host::build()?;
    step(&format!("killing a host {kills} times that dials {leads} leads"));
    let mut command = cargo_command(&["test", "--workspace", "--test", "it", "kill::", "--", "--nocapture"]);
    command.env("ZVONAR_KILLS", format!("{kills} {leads}")).env("ZVONAR_TESTS_STRICT", "1");
    command.env("ZVONAR_BIN", zvonar);
    shell::run_with(&mut command)
}

/// Text messages of a host that is killed while it sends them, for longer: the same code as in `test`, killing more often.
pub(crate) fn sms_soak(arguments: &[&str]) -> Result<(), String> {
    let kills = match arguments {
        [] => 100,
        [kills] => kills.parse::<u32>().map_err(|_| format!("`{kills}` is not a number"))?,
        _ => return Err("sms-soak takes the kills: 100".into()),
    };
    build_basic_guests()?;
    let zvonar = host::build()?;
    step(&format!("killing a host {kills} times that sends text messages to a stand"));
    let filter = "killed_while_it_sends";
    let mut command = cargo_command(&["test", "--workspace", "--test", "it", filter, "--", "--nocapture"]);
    command.env("ZVONAR_SMS_KILLS", kills.to_string()).env("ZVONAR_TESTS_STRICT", "1");
    command.env("ZVONAR_BIN", zvonar);
    shell::run_with(&mut command)
}

/// An hour of each trouble of SMSC on a virtual clock, and what happened to each message.
pub(crate) fn sms_table() -> Result<(), String> {
    let filter = "what_happens_to_messages_in_an_hour";
    let mut command =
        cargo_command(&["test", "-q", "--workspace", "--test", "books", filter, "--", "--nocapture"]);
    shell::run_with(&mut command)
}

/// A month of fifty projects and 200,000 leads on a pretend clock, with faults and restarts, against the oracle.
pub(crate) fn month(arguments: &[&str]) -> Result<(), String> {
    step("a month of 50 projects of 10 tenants, 200,000 leads in 11 zones");
    let mut command =
        cargo_command(&["test", "--release", "--workspace", "--test", "books", "month", "--", "--nocapture"]);
    match arguments {
        [] => {}
        [seed] => drop(command.env("ZVONAR_SEED", seed)),
        _ => return Err("month takes a seed, a number, or nothing".into()),
    }
    command.env("ZVONAR_MONTH", "full");
    shell::run_with(&mut command)
}

/// The test of versions under live calls, at full size: 500 calls, ten deploys in a minute, compiled for speed.
pub(crate) fn reload_soak(arguments: &[&str]) -> Result<(), String> {
    let size = match arguments {
        [] => "500 10 60".to_owned(),
        [calls, deploys, seconds] => format!("{calls} {deploys} {seconds}"),
        _ => return Err("reload-soak takes the calls, the deploys and in how many seconds: 500 10 60".into()),
    };
    build_guests()?;
    step("compiling the host for speed");
    let target = host::built().parent().and_then(Path::parent).ok_or("no target folder")?.to_owned();
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
    step(&format!("deploys under live calls (calls, deploys, seconds: {size})"));
    let mut command = cargo_command(&["test", "--workspace", "--test", "it", "reload", "--", "--nocapture"]);
    command.env("ZVONAR_RELOAD", size).env("ZVONAR_TESTS_STRICT", "1");
    command.env("ZVONAR_BIN", target.join("release/zvonar"));
    shell::run_with(&mut command)
}

/// Formatting, lints, licences and advisories.
pub(crate) fn check() -> Result<(), String> {
    step("formatting");
    cargo(&["fmt", "--all", "--check"])?;
    step("lints");
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    let deny = cargo_command(&["deny", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !deny.is_ok_and(|status| status.success()) {
        eprintln!(
            "cargo-deny is not installed (cargo install cargo-deny): licences and advisories were not looked at"
        );
        return Ok(());
    }
    step("licences, sources, advisories");
    cargo(&["deny", "check"])
}
