//! Running other programs, with their output on our stderr: stdout is for results.

use std::{
    os::fd::AsFd,
    process::{Command, Stdio},
    time::Duration,
};

use zvonar_tests::machine;

/// Says on the screen what comes next.
pub(crate) fn step(text: &str) {
    eprintln!("\x1b[1m==> {text}\x1b[0m");
}

/// Cargo, the one that built us, in the root of the repository.
pub(crate) fn cargo_command(arguments: &[&str]) -> Command {
    let mut command = machine::cargo();
    command.args(arguments);
    command
}

/// Runs cargo and wants it to succeed.
pub(crate) fn cargo(arguments: &[&str]) -> Result<(), String> {
    run(&mut cargo_command(arguments))
}

/// Runs a program to its end with its output on our stderr, and wants it to succeed.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let stderr = std::io::stderr().as_fd().try_clone_to_owned().map_err(|error| error.to_string())?;
    run_with(command.stdout(Stdio::from(stderr)))
}

/// The same for what asks a server far away: three times before it is believed.
pub(crate) fn run_again(mut command: Command) -> Result<(), String> {
    for pause_s in [5, 20] {
        match run(&mut command) {
            Ok(()) => return Ok(()),
            Err(why) => step(&format!("{why}; once more in {pause_s} s")),
        }
        std::thread::sleep(Duration::from_secs(pause_s));
    }
    run(&mut command)
}

/// The same, with its stdout as ours: for results.
pub(crate) fn run_with(command: &mut Command) -> Result<(), String> {
    let name = words(command);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{name}` failed ({status})")),
        Err(error) => Err(format!("`{name}` cannot be started: {error}")),
    }
}

fn words(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
