//! The contract's conformance: one scenario in four languages passes one set of conversations, and every package of
//! `scenarios/` passes its own.

use std::{fs, path::PathBuf};

use zvonar_tests::{host, machine};

/// The packages that have conversations: name, and how many.
fn packages() -> Vec<(String, usize)> {
    let scenarios = machine::root().join("scenarios");
    let mut packages: Vec<(String, usize)> = fs::read_dir(&scenarios)
        .expect("scenarios/")
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let conversations = fs::read_dir(scenarios.join(&name).join("conversations")).ok()?.count();
            Some((name, conversations))
        })
        .collect();
    packages.sort();
    packages
}

/// Plays all conversations of a package; what did not go as written is the error.
fn play(package: &str, conversations: usize) -> Result<(), String> {
    let folder: PathBuf = machine::root().join("scenarios").join(package);
    let mut command = host::zvonar(["test"]);
    let output = command.arg(&folder).output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    let right = format!("{conversations} passed, 0 failed");
    if output.status.success() && said.lines().last() == Some(&right) {
        return Ok(());
    }
    Err(format!("{package}:\n{said}{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn one_scenario_in_four_languages_passes_the_same_conversations() {
    let _machine = machine::shared();
    let packages = packages();
    let names = ["appointment", "appointment-c", "appointment-js", "appointment-python"];
    if !machine::built(&names) {
        return;
    }
    let counts =
        names.map(|name| packages.iter().find(|(other, _)| other == name).map_or(0, |(_, count)| *count));
    assert!(counts[0] >= 12 && counts.iter().all(|count| *count == counts[0]), "{counts:?}");
    let failed: Vec<String> = names.iter().filter_map(|name| play(name, counts[0]).err()).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn every_other_scenario_passes_its_conversations() {
    let _machine = machine::shared();
    let mut failed = Vec::new();
    for (name, conversations) in packages() {
        if name.starts_with("appointment") || !machine::built(&[&name]) {
            continue;
        }
        assert!(conversations >= 4, "{name} has {conversations} conversations");
        failed.extend(play(&name, conversations).err());
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
