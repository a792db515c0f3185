//! `zvonar test` and `zvonar check` on packages with conversations.

use std::{fs, path::Path, time::Duration};

use serde_json::Value;
use zvonar_tests::{host, machine, process::Process};

const LIMIT: Duration = Duration::from_secs(60);

/// A copy of the menu's package with this conversation more.
fn menu_with(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&machine::root().join("scenarios/menu"), folder.path());
    fs::write(folder.path().join("conversations/more.yaml"), text).unwrap();
    folder
}

pub(crate) fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn run(command: &str, package: &Path, arguments: &[&str]) -> (bool, Process) {
    let mut line = host::zvonar([command]);
    line.arg(package).args(arguments);
    let mut process = Process::spawn(command, &mut line).unwrap();
    let good = process.wait(LIMIT).unwrap().success();
    (good, process)
}

#[test]
fn conversations_that_pass_are_counted_in_the_last_line() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let menu = machine::root().join("scenarios/menu");
    let (good, process) = run("test", &menu, &[]);
    let said = process.stdout();
    assert!(good, "{}", process.output());
    assert!(said.lines().any(|line| line == "ok    Нажал 1 — записан (agreed.yaml)"), "{said}");
    let passed = said.lines().filter(|line| line.starts_with("ok")).count();
    assert_eq!(said.lines().last(), Some(format!("{passed} passed, 0 failed").as_str()));
    assert!(passed >= 10, "{said}");
    // One of them, by its title or by its file.
    for filter in ["АВТООТВЕТЧИК", "machine"] {
        let said = run("test", &menu, &[filter]).1.stdout();
        assert_eq!(
            said.lines().collect::<Vec<_>>(),
            ["ok    Ответил автоответчик (machine.yaml)", "1 passed, 0 failed"]
        );
    }
    let (good, process) = run("test", &menu, &["dance"]);
    assert!(!good && process.stderr().contains("no conversation"), "{}", process.output());
}

#[test]
fn a_failing_conversation_shows_where_the_talk_went_another_way() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let text = "title: Нажал 2\ntalk:\n  - press: \"2\"\nexpect:\n  result: Записаться\n";
    let folder = menu_with(text);
    let (good, process) = run("test", folder.path(), &[]);
    assert!(!good);
    let said = process.stdout();
    let place = said.find("FAIL  Нажал 2 (more.yaml)").unwrap_or_else(|| panic!("{said}"));
    let lines: Vec<&str> = said[place..].lines().skip(1).collect();
    let marked = lines.iter().position(|line| line.starts_with("   ✗  ")).unwrap_or_else(|| panic!("{said}"));
    assert!(lines[marked].contains("result    Не интересно"), "{said}");
    assert!(lines[marked + 1].contains("expected  the result «Записаться»"), "{said}");
    assert!(lines[marked + 1].contains("more.yaml:5"), "{said}");
    assert!(lines[marked + 2].contains("got       «Не интересно»"), "{said}");
    assert!(said.lines().last().unwrap().ends_with(" passed, 1 failed"), "{said}");

    let (good, process) = run("test", folder.path(), &["--json", "more.yaml"]);
    assert!(!good);
    let lines: Vec<Value> =
        process.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["passed"], &lines[0]["differences"][0]["line"]), (&false.into(), &5.into()));
    assert_eq!(lines[1], serde_json::json!({ "passed": 0, "failed": 1 }));
}

#[test]
fn what_a_conversation_gets_wrong_is_told_before_it_runs_by_test_and_by_check() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let misspelt =
        menu_with("talk:\n  - prss: \"1\"\n  - press: \"1\"\n    afer: 3s\nexpect:\n  kopeks: 3\n");
    let unknown = menu_with("talk:\n  - hears: menuu\nexpect:\n  result: Записан\n");
    for command in ["test", "check"] {
        for (folder, faults) in [
            (
                &misspelt,
                &[
                    "more.yaml:2: there is no step `prss`, do you mean `press`?",
                    "more.yaml:4: there is no step `afer`, do you mean `after`?",
                    "more.yaml:6: `expect` has no key `kopeks`, do you mean `kopecks`?",
                ] as &[_],
            ),
            (
                &unknown,
                &[
                    "more.yaml:2: the package has no prompt `menuu`, do you mean `menu`?",
                    "more.yaml:4: the manifest declares no result `Записан`",
                ],
            ),
        ] {
            let (good, process) = run(command, folder.path(), &[]);
            assert!(!good);
            for fault in faults {
                assert!(process.stderr().contains(fault), "{command}: {fault}\n{}", process.stderr());
            }
        }
    }
    let (good, process) = run("check", &machine::root().join("scenarios/menu"), &[]);
    assert!(good, "{}", process.output());
}
