//! Calls of a real host, replayed from its books: the same version decides alike, another one is told by its first
//! decision.

use std::{fs, path::Path, time::Duration};

use serde_json::Value;
use zvonar_tests::{
    host::{self, Farm, Host},
    machine,
    process::Process,
    project::{Config, Project, leads},
};

use crate::conversations::copy;

const LIMIT: Duration = Duration::from_secs(60);

fn replay(config: &Path, against: &Path, arguments: &[&str]) -> Process {
    let mut command = host::zvonar(["replay", "--config"]);
    command.arg(config).arg("--against").arg(against).args(arguments);
    Process::spawn("zvonar replay", &mut command).unwrap()
}

fn objects(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}")))
        .collect()
}

#[test]
fn recorded_calls_replay_the_same_and_a_changed_result_is_told_on_the_calls_that_had_it() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let farm = Farm::start(folder.path()).unwrap();
    let mut config = Config::new(farm.address).scenario("menu");
    config.projects = vec![Project {
        id: "recorded".into(),
        scenario: "menu".into(),
        lines: 8,
        ring_s: 5,
        max_calls: 1,
        // Two press 1, three press 2, one hangs up, one is busy.
        leads: leads(7, &[1, 2, 2, 4, 1, 2, 5]),
        settings: vec![],
    }];
    let mut host = Host::start(&config, folder.path(), &["--once"], false).unwrap();
    host.process.succeed(Duration::from_secs(90)).unwrap();

    let menu = machine::root().join("scenarios/menu");
    let said = replay(&host.config, &menu, &["--all"]).succeed(LIMIT).unwrap();
    assert_eq!(said, "6 replayed: 6 the same, 0 decide otherwise, 0 not comparable");

    let other = tempfile::tempdir().unwrap();
    copy(&menu, other.path());
    let manifest = other.path().join("scenario.toml");
    let text = fs::read_to_string(&manifest).unwrap().replace("name = \"Не интересно\"", "name = \"Отказ\"");
    fs::write(&manifest, text).unwrap();
    let said = replay(&host.config, other.path(), &["--all"]).succeed(LIMIT).unwrap();
    assert_eq!(said.lines().last(), Some("6 replayed: 3 the same, 3 decide otherwise, 0 not comparable"));
    assert_eq!(said.matches("recorded  outcome.set-result \"Не интересно\" -> done").count(), 3, "{said}");
    assert!(said.contains("now       outcome.set-result \"Не интересно\" -> {\"err\":"), "{said}");

    let lines = objects(&replay(&host.config, other.path(), &["--all", "--json"]).succeed(LIMIT).unwrap());
    let (sum, calls) = lines.split_last().unwrap();
    assert_eq!((&sum["replayed"], &sum["differ"]), (&6.into(), &3.into()));
    let differs = calls.iter().find(|call| call["verdict"] == "differs").unwrap();
    assert!(differs["number"].as_str().unwrap().contains('*'), "numbers are masked: {differs}");
    let attempt = differs["attempt"].as_str().unwrap();
    let said = replay(&host.config, other.path(), &[attempt]).succeed(LIMIT).unwrap();
    assert!(said.ends_with("1 replayed: 0 the same, 1 decide otherwise, 0 not comparable"), "{said}");

    // Days on which nobody called, and attempts that nobody made.
    let said = replay(&host.config, &menu, &["--day", "2001-01-01"]).succeed(LIMIT).unwrap();
    assert_eq!(said, "0 replayed: 0 the same, 0 decide otherwise, 0 not comparable");
    for (arguments, part) in [
        (&["no-such-attempt"] as &[&str], "no attempt `no-such-attempt`"),
        (&["--day", "yesterday"], "yesterday"),
        (&["--all", "--tenant", "nobody"], "no tenant `nobody`"),
        (&[], "--all"),
    ] {
        let mut process = replay(&host.config, &menu, arguments);
        assert!(!process.wait(LIMIT).unwrap().success(), "{arguments:?}");
        assert!(process.stderr().contains(part), "{arguments:?}\n{}", process.stderr());
    }
}
