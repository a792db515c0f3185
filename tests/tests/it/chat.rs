//! `zvonar chat` as a person and as a program use it: lines in, lines out, and no waiting.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use zvonar_tests::{
    clock,
    host::{self, Farm},
    machine,
    process::Process,
};

use crate::calls::call;

const LIMIT: Duration = Duration::from_secs(60);

fn menu() -> String {
    machine::root().join("scenarios/menu").display().to_string()
}

/// Types these lines, and gives what was printed.
fn typed(lines: &str, arguments: &[&str]) -> String {
    let mut command: Command = host::zvonar(["chat", &menu()]);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// The objects of `--json`.
fn objects(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}")))
        .collect()
}

#[test]
fn a_typed_key_is_answered_and_the_call_is_summed_up() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let said = typed("/help\n7\n1\n", &[]);
    let lines = [
        "robot     menu (10.249 s)  ? a key within 10 s; a key stops the prompt",
        "lets three seconds pass",
        "caller    presses 7",
        "robot     again",
        "caller    presses 1",
        "result    Записаться",
        "robot     confirm, goodbye",
        "result   Записаться (set by the scenario)",
        "Робот: 23 с по 0,04 ₽, от ответа до конца звонка = 0,92 ₽",
        "7 of 200 calls to the host",
    ];
    let mut rest = said.as_str();
    for line in lines {
        let (_, after) =
            rest.split_once(line).unwrap_or_else(|| panic!("`{line}` is not said in its place\n{said}"));
        rest = after;
    }
}

#[test]
fn silence_takes_no_time_and_a_closed_input_is_a_hang_up_said_aloud() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let begun = clock::now();
    let said = typed("~\n~\n", &[]);
    assert!(said.contains("Не дослушал до конца") && said.contains("39 s, the robot hung up"), "{said}");
    let said = typed("~3s\n", &[]);
    assert!(said.contains("the input is over: the caller hangs up"), "{said}");
    assert!(said.contains("0:03.000  caller    hangs up"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(35), "virtual time took {:?}", begun.elapsed());
    // Nobody at the other end of stdin at all.
    let mut process = Process::spawn("zvonar chat", &mut host::zvonar(["chat", &menu()])).unwrap();
    let said = process.succeed(LIMIT).unwrap();
    assert!(said.contains("the caller hung up"), "{said}");
}

#[test]
fn a_program_talks_in_objects_and_reads_them() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("talk.txt");
    fs::write(&script, "nonsense of a caller\n{\"press\": \"2\", \"after\": \"1.5s\"}\n").unwrap();
    let script = script.display().to_string();
    let arguments = ["--json", "--script", &script, "--set", "repeats=2", "--field", "name=Анна"];
    let said = objects(&typed("", &arguments));
    let (end, entries) = said.split_last().unwrap();
    let events: Vec<&str> = entries.iter().map(|entry| entry["event"].as_str().unwrap()).collect();
    assert_eq!(
        events,
        ["prompt", "said", "pressed", "answered", "result", "prompt", "hung-up"],
        "speech is no answer to the menu, so the key after it counts\n{said:#?}"
    );
    assert_eq!(entries[0]["clips"], serde_json::json!(["menu"]));
    assert_eq!(entries[0]["asks"]["keys"], 1);
    assert_eq!(entries[2]["at_ms"], 14_349, "1.5 s after the words, which took 1.6 s");
    assert_eq!(end["event"], "end");
    assert_eq!((end["result"].as_str(), end["set_by"].as_str()), (Some("Не интересно"), Some("scenario")));
    assert_eq!(end["kopecks"], end["lines"][0]["kopecks"]);
    assert_eq!(end["spent"]["host_calls"]["allowed"], 200);
}

#[test]
fn what_is_wrong_with_the_arguments_is_said_in_a_sentence() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    for (arguments, part) in [
        (["--set", "repeats=often"], "must be a whole number"),
        (["--set", "repeat=1"], "no setting `repeat`"),
        (["--now", "tomorrow"], "2026-03-02T10:00:00+03:00[Europe/Moscow]"),
        (["--script", "/nonexistent/talk.txt"], "/nonexistent/talk.txt"),
        (["--field", "name"], "NAME=VALUE"),
    ] {
        let mut command = host::zvonar(["chat", &menu()]);
        command.args(arguments);
        let mut process = Process::spawn("zvonar chat", &mut command).unwrap();
        assert!(!process.wait(LIMIT).unwrap().success(), "{arguments:?}");
        assert!(process.stderr().contains(part), "{arguments:?}\n{}", process.stderr());
    }
}

/// The promise of a rehearsal: it comes to what the real call comes to, with a packet's or a round trip's difference.
#[test]
fn a_rehearsal_comes_to_what_the_same_call_comes_to_over_a_network() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let farm = Farm::start(folder.path()).unwrap();
    // What the farm's callees do, and the same as steps.
    let callees = [
        ("79000000001", r#"{"press": "1", "after": "2s"}"#),
        ("79000000002", r#"{"press": "2", "after": "2s"}"#),
        ("79000000004", r#"{"hangs-up": {"after": "1.5s"}}"#),
    ];
    let calls: Vec<_> = callees.iter().map(|(user, _)| call(user, farm.address, &[]).unwrap()).collect();
    for (call, (user, step)) in calls.into_iter().zip(callees) {
        let real = call.ended().unwrap();
        let rehearsed = objects(&typed(&format!("{step}\n"), &["--json"]));
        let end = rehearsed.last().unwrap();
        assert_eq!(end["result"], real.result, "{user}: {real:?}");
        assert_eq!(end["keys"], real.keys, "{user}: {real:?}");
        let seconds = end["robot_s"].as_u64().unwrap();
        assert!(seconds.abs_diff(real.robot_s) <= 1, "{user}: {seconds} s, and really {real:?}");
        assert_eq!(end["kopecks"].as_u64().unwrap(), 4 * seconds);
    }
}
