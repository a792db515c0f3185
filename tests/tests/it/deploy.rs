//! Versions in a running host, from the outside: deployed under live calls, compared, rolled back by people and by
//! themselves, there again after a restart and after any kill.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;
use zvonar_tests::{
    clock,
    host::{self, Farm, Host, Report},
    http::{Token, ask},
    machine, package,
    phone::Phone,
    process::Process,
    project::{Config, Project, leads},
    records::{self, Days},
};

const LIMIT: Duration = Duration::from_secs(60);

/// `zvonar` against a host.
fn client(config: &Config, token: &Token, words: &[&str]) -> Command {
    let mut command = host::zvonar(words);
    command.env("ZVONAR_HOST", config.url()).env("ZVONAR_TOKEN", &token.secret);
    command
}

fn told(config: &Config, token: &Token, words: &[&str]) -> String {
    let mut command = client(config, token, words);
    Process::spawn("zvonar", &mut command).unwrap().succeed(LIMIT).unwrap().trim_end().to_owned()
}

fn deploy(config: &Config, token: &Token, package: &Path, more: &[&str]) -> String {
    told(config, token, &[&["deploy", package.to_str().unwrap()], more].concat())
}

/// The versions of a scenario, newest first.
fn versions(config: &Config, token: &Token, name: &str) -> Vec<Value> {
    let lines = told(config, token, &["versions", name, "--json"]);
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn states(config: &Config, token: &Token, name: &str) -> Vec<String> {
    let versions = versions(config, token, name);
    versions.iter().map(|v| format!("v{} {}", v["number"], v["state"].as_str().unwrap())).collect()
}

#[test]
fn a_version_is_deployed_under_live_calls_rolled_back_and_there_after_a_restart() {
    let _machine = machine::shared();
    if !machine::built(&["bench"]) {
        return;
    }
    let days = Days::from_now();
    let folder = tempfile::tempdir().unwrap();
    // Everybody stays on the line until we have them hang up.
    let phone = Phone::start().unwrap();
    let token = Token::new("demo");
    let mut config = Config::new(phone.address).with_http(&token);
    config.scenarios.push(("bench".into(), package::copy("bench", "1", &folder.path().join("bench"))));
    config.projects = vec![Project {
        id: "demo".into(),
        scenario: "bench".into(),
        lines: 3,
        ring_s: 5,
        max_calls: 1,
        leads: leads(6, &[0]),
        settings: vec![("job".into(), "hold".into())],
    }];
    let mut host = Host::serve(&config, folder.path()).unwrap();
    let on_call =
        || phone.talking() == 3 && told(&config, &token, &["versions", "--json"]).contains("\"calls_now\":3");
    assert!(clock::within(LIMIT, on_call), "{}", host.process.output());
    let second = package::copy("bench", "2", &folder.path().join("second"));
    assert_eq!(
        deploy(&config, &token, &second, &["--note", "новое меню"]),
        "bench: v2 live, 3 calls still on v1"
    );
    host.process.wait_for_line("demo: bench: v2 live, 3 calls still on v1", LIMIT).unwrap();
    assert_eq!(states(&config, &token, "bench"), ["v2 live", "v1 previous"]);
    phone.hang_up();
    host.process.wait_for_line("the last call on v1 has ended", LIMIT).unwrap();
    let table = told(&config, &token, &["versions", "bench"]);
    assert!(table.contains("v2") && table.contains("новое меню"), "{table}");
    let all_on_second = || phone.heard().len() == 3 && phone.talking() == 3;
    assert!(clock::within(LIMIT, all_on_second), "{}", host.process.output());
    phone.hang_up();
    let attempts = || days.attempts(config.http.unwrap(), &token);
    assert!(clock::within(LIMIT, || attempts().len() == 6), "{}", host.process.output());

    // Each call ran whole on the version that it began with: those of the first had ended before the others began.
    let records = attempts();
    let versions_of: Vec<_> =
        records.iter().map(|record| record["scenario"]["version"].as_str().unwrap()).collect();
    assert_eq!(versions_of, ["1", "1", "1", "2", "2", "2"], "{records:?}");

    // What was recorded replays from the running host, against any version.
    let second = second.to_str().unwrap();
    let days: BTreeSet<String> = records.iter().map(records::day_of).collect();
    for day in &days {
        let calls = records.iter().filter(|record| records::day_of(record) == *day).count();
        let replay = ["replay", "--host", &config.url(), "--day", day, "--against", second];
        assert_eq!(
            told(&config, &token, &replay),
            format!("{calls} replayed: {calls} the same, 0 decide otherwise, 0 not comparable")
        );
    }

    assert_eq!(told(&config, &token, &["rollback", "bench"]), "bench: v1 live");
    host.process.terminate(LIMIT).unwrap();
    // The configuration is as it was, so what is live is what was live.
    let mut host = Host::serve(&config, folder.path()).unwrap();
    assert_eq!(states(&config, &token, "bench"), ["v2 withdrawn", "v1 live"]);
    let counted = &versions(&config, &token, "bench");
    assert_eq!((&counted[0]["calls"], &counted[1]["calls"]), (&3.into(), &3.into()), "{counted:?}");
    // Now it changes.
    package::copy("bench", "3", &folder.path().join("bench"));
    host.process.terminate(LIMIT).unwrap();
    let mut host = Host::serve(&config, folder.path()).unwrap();
    assert_eq!(states(&config, &token, "bench"), ["v3 live", "v2 withdrawn", "v1 previous"]);
    let sum = Report::of(&{
        host.process.terminate(LIMIT).unwrap();
        host.config.clone()
    });
    assert!(sum.unwrap().check_sums().unwrap() > 0);
}

/// The scenario of the second version traps on every call.
#[test]
fn a_version_that_fails_on_every_call_is_taken_back_after_five() {
    let _machine = machine::shared();
    if !machine::built(&["naughty"]) {
        return;
    }
    let days = Days::from_now();
    let folder = tempfile::tempdir().unwrap();
    let farm = Farm::start(folder.path()).unwrap();
    let token = Token::new("demo");
    let good = package::copy("naughty", "1", &folder.path().join("good"));
    let bad = package::copy("naughty", "2", &folder.path().join("bad"));
    package::edit_manifest(&bad, |text| text.replace("default = \"behave\"", "default = \"panic\""));
    let mut config = Config::new(farm.address).with_http(&token);
    config.scenarios.push(("naughty".into(), good));
    config.calls_per_second = 2;
    config.projects = vec![Project {
        id: "demo".into(),
        scenario: "naughty".into(),
        lines: 1,
        ring_s: 5,
        max_calls: 1,
        leads: leads(40, &[3]),
        settings: vec![],
    }];
    let mut host = Host::serve(&config, folder.path()).unwrap();
    let attempts = || days.attempts(config.http.unwrap(), &token);
    let talked = || attempts().iter().any(|record| record.to_string().contains("Хорошо"));
    assert!(clock::within(LIMIT, talked), "{}", host.process.output());
    deploy(&config, &token, &bad, &[]);
    host.process.wait_for_line("rolled back automatically: all of its first", LIMIT).unwrap();
    assert!(clock::within(LIMIT, || states(&config, &token, "naughty") == ["v2 withdrawn", "v1 live"]));
    let list = versions(&config, &token, "naughty");
    let why = list[0]["withdrawn"].as_str().unwrap();
    assert!(why.contains("of its first"), "{why}");
    let burned = list[0]["faults"].as_u64().unwrap();
    assert!((5..=7).contains(&burned), "{burned} people heard the failing version");
    let good_before = list[1]["calls"].as_u64().unwrap();
    let more = || versions(&config, &token, "naughty")[1]["calls"].as_u64().unwrap() > good_before + 3;
    assert!(clock::within(LIMIT, more), "calls go on, on the version before\n{}", host.process.output());
    host.process.terminate(LIMIT).unwrap();
}

/// Whatever moment the host dies at, it comes back with a version that is whole, and goes on numbering.
#[test]
fn a_host_that_is_killed_in_the_middle_of_deploys_comes_back_whole() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let token = Token::new("demo");
    let mut config = Config::new("127.0.0.1:9".parse().unwrap()).with_http(&token);
    config.scenarios.push(("menu".into(), package::copy("menu", "0", &folder.path().join("menu"))));
    let packages: Vec<PathBuf> = (1..=8)
        .map(|n| package::copy("menu", &n.to_string(), &folder.path().join(format!("p{n}"))))
        .collect();
    let archives: Vec<Vec<u8>> = packages.iter().map(|folder| package::pack(folder)).collect();
    let mut acknowledged = 1;
    for kill in 0..6_u64 {
        let mut host = Host::serve(&config, folder.path()).unwrap();
        let list = versions(&config, &token, "menu");
        let live: Vec<_> = list.iter().filter(|version| version["state"] == "live").collect();
        assert_eq!(live.len(), 1, "{list:?}");
        let number = live[0]["number"].as_u64().unwrap();
        assert!(number >= acknowledged, "v{acknowledged} had been acknowledged, and v{number} is live");
        assert!(
            list.iter().enumerate().all(|(at, version)| version["number"] == list.len() - at),
            "{list:?}"
        );
        let (address, uploads, by) = (config.http.unwrap(), archives.clone(), token.clone());
        let uploader = std::thread::spawn(move || {
            let mut last = 0;
            for archive in uploads.iter().cycle().take(100) {
                match ask(address, &by, "POST", "/v1/scenarios", archive) {
                    Ok(answer) if answer.status == 201 => last = answer.json()["number"].as_u64().unwrap(),
                    _ => break,
                }
            }
            last
        });
        std::thread::sleep(Duration::from_millis(100 + 173 * kill));
        host.process.kill();
        acknowledged = uploader.join().unwrap().max(number);
    }
}

#[test]
fn a_save_is_deployed_and_a_broken_one_leaves_the_version_in_use() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let token = Token::new("demo");
    let mut config = Config::new("127.0.0.1:9".parse().unwrap()).with_http(&token);
    config.scenarios.push(("menu".into(), package::copy("menu", "1", &folder.path().join("menu"))));
    let _host = Host::serve(&config, folder.path()).unwrap();
    let work = package::copy("menu", "2", &folder.path().join("work"));
    let mut command = client(&config, &token, &["watch", work.to_str().unwrap()]);
    let mut watch = Process::spawn("zvonar watch", &mut command).unwrap();
    watch.wait_for_line("menu: v2 live", LIMIT).unwrap();
    // The manifest alone.
    package::edit_manifest(&work, |text| text.replace("version = \"2\"", "version = \"3\""));
    watch.wait_for_line("menu: v3 live", LIMIT).unwrap();
    // A sound alone.
    fs::copy(work.join("prompts/menu.wav"), work.join("prompts/again.wav")).unwrap();
    watch.wait_for_line("menu: v4 live", LIMIT).unwrap();
    package::edit_manifest(&work, |text| text.replace("version =", "verison ="));
    watch.wait_for_line("nothing was deployed; the version in use stays", LIMIT).unwrap();
    assert!(watch.stdout().contains("verison"), "{}", watch.output());
    assert_eq!(states(&config, &token, "menu")[0], "v4 live");
    package::edit_manifest(&work, |text| text.replace("verison =", "version ="));
    // What it was before is what is live: nothing to do.
    watch.wait_for_line("live already", LIMIT).unwrap();
}

#[test]
fn commands_against_a_host_say_what_is_wrong() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let token = Token::new("demo");
    let mut config = Config::new("127.0.0.1:9".parse().unwrap()).with_http(&token);
    config.scenarios.push(("menu".into(), package::copy("menu", "1", &folder.path().join("menu"))));
    let refused = |config: &Config, token: &Token, words: &[&str]| {
        let mut process = Process::spawn("zvonar", &mut client(config, token, words)).unwrap();
        let status = process.wait(LIMIT).unwrap();
        assert!(status.code().is_some_and(|code| code != 0), "{words:?}: {}", process.output());
        process.stderr()
    };
    assert!(refused(&config, &token, &["versions"]).contains("does not answer"));
    let _host = Host::serve(&config, folder.path()).unwrap();
    let stranger = Token::new("demo");
    assert!(refused(&config, &stranger, &["versions"]).contains("zvonar token"));
    let misspelt = refused(&config, &token, &["rollback", "menuu"]);
    assert!(misspelt.contains("no scenario `menuu`") && misspelt.contains("menu"), "{misspelt}");
    assert!(refused(&config, &token, &["rollback", "menu"]).contains("first version"));
    assert!(refused(&config, &token, &["rollback", "menu", "--to", "v9"]).contains("no v9"));
    assert!(refused(&config, &token, &["rollback", "menu", "--to", "nine"]).contains("v6"));
    assert!(refused(&config, &token, &["promote", "menu"]).contains("no canary"));
    let garbage = folder.path().join("garbage.zvonar");
    fs::write(&garbage, "no zip").unwrap();
    let said = refused(&config, &token, &["deploy", garbage.to_str().unwrap()]);
    assert!(said.contains("the package was refused"), "{said}");
    // A near word is offered.
    assert!(refused(&config, &token, &["dploy", "menu"]).contains("deploy"));
}
