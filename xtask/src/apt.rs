//! Debian's packages: installed when missing, with apt's own progress on the screen.

use std::process::Command;

use zvonar_tests::machine;

use crate::shell;

/// A Debian package, and a program by which it is known to be there: a machine that has the program from elsewhere
/// needs no package.
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) program: &'static str,
}

/// Installs those of `packages` that are missing.
///
/// Package lists are fetched anew only when the first try fails: on most machines they are good enough, and on a fresh
/// one there are none.
pub(crate) fn ensure(packages: &[Package]) -> Result<(), String> {
    let missing: Vec<&str> = packages
        .iter()
        .filter(|package| machine::program(package.program).is_none())
        .map(|package| package.name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    install(&missing)
}

/// Installs these packages.
pub(crate) fn install(packages: &[&str]) -> Result<(), String> {
    let list = packages.join(" ");
    shell::step(&format!("installing from Debian: {list}"));
    if machine::program("apt-get").is_none() {
        return Err(format!("this is not a Debian; install by hand what Debian calls: {list}"));
    }
    let mut words = vec!["install", "-y", "--no-install-recommends"];
    words.extend(packages);
    if shell::run(&mut apt_get(&words)?).is_err() {
        get(&["update"])?;
        get(&words)?;
    }
    Ok(())
}

/// Runs apt-get as root, more than once if need be: a mirror may be busy, and another apt may have the lists for a moment.
pub(crate) fn get(arguments: &[&str]) -> Result<(), String> {
    let command = apt_get(arguments)?;
    shell::run_again(command)
}

/// apt-get as root: directly, or by sudo, which may ask for the password. It waits for another apt to finish.
fn apt_get(arguments: &[&str]) -> Result<Command, String> {
    let mut words = vec!["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300"];
    words.extend(arguments);
    if !machine::is_root() {
        if machine::program("sudo").is_none() {
            return Err(format!("run as root, there is no sudo: {}", words[2..].join(" ")));
        }
        words.insert(0, "sudo");
    }
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    Ok(command)
}
