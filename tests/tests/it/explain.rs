//! The commands that let the rules explain themselves: the vectors of redialling and of the tariff, through the binary.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use zvonar_tests::{host, machine, process::Process};

const LIMIT: Duration = Duration::from_secs(30);

/// Has the binary work out every vector of a file, and compares with what the file expects.
fn vectors(command: &[&str], file: &Path, count: usize) {
    let mut zvonar = host::zvonar(command);
    zvonar.arg("--file").arg(file).arg("--json");
    let said = Process::spawn("zvonar", &mut zvonar).unwrap().succeed(LIMIT).unwrap();
    let found: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let text = std::fs::read_to_string(file).unwrap();
    let vectors: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!((found.len(), vectors.len()), (count, count));
    for (found, vector) in found.iter().zip(&vectors) {
        assert_eq!(*found, vector["expected"], "{}", vector["name"]);
    }
}

#[test]
fn every_vector_of_redialling_comes_out_of_explain_retry() {
    let _machine = machine::shared();
    vectors(&["explain", "retry"], &machine::root().join("tests/data/retry-vectors.json"), 8);
}

#[test]
fn every_vector_of_the_tariff_comes_out_of_rate() {
    let _machine = machine::shared();
    vectors(&["rate"], &machine::root().join("runtime/ledger/tests/billing-vectors.json"), 13);
}

#[test]
fn a_lead_that_is_dialled_again_is_told_in_words_and_as_json() {
    let _machine = machine::shared();
    let told = |more: &[&str]| {
        let mut zvonar = host::zvonar(["explain", "retry", "--numbers", "A,B", "--limits", "busy=1"]);
        zvonar.args(["--results", "busy,answered"]).args(more);
        Process::spawn("zvonar", &mut zvonar).unwrap().succeed(LIMIT).unwrap()
    };
    assert!(
        told(&[]).contains("A: busy, 1 in a row; it leaves: 1 in a row are the limit of busy"),
        "{}",
        told(&[])
    );
    let json: Value = serde_json::from_str(&told(&["--json"])).unwrap();
    let log = json!([["A", "busy", 1, "limit of result"], ["B", "answered"]]);
    assert_eq!(json, json!({ "end": "дозвонились", "log": log }));
}

#[test]
fn hours_and_numbers_are_explained_with_the_rule_and_the_next_time() {
    let _machine = machine::shared();
    for (arguments, expected) in [
        (
            &["explain", "hours", "--lead-zone", "Asia/Omsk", "--at", "2026-03-02T07:30", "--json"][..],
            json!({ "open": false, "opens": "2026-03-02T09:00:00+06:00[Asia/Omsk]" }),
        ),
        (
            &["explain", "hours", "--lead-zone", "Asia/Omsk", "--at", "2026-03-02T07:30:00+03:00", "--json"],
            json!({ "open": true, "until": "2026-03-02T21:00:00+06:00[Asia/Omsk]" }),
        ),
        (
            &[
                "explain",
                "hours",
                "--lead-zone",
                "Europe/Moscow",
                "--at",
                "2026-11-04T08:30",
                "--hours",
                "fz230",
                "--json",
            ],
            json!({ "open": false, "opens": "2026-11-04T09:00:00+03:00[Europe/Moscow]" }),
        ),
        (
            &["explain", "number", "8 916 123-45-67", "--json"],
            json!({ "number": "+79161234567", "dialled": true, "kind": "mobile" }),
        ),
        (
            &["explain", "number", "+77011234567", "--json"],
            json!({ "number": "+77011234567", "dialled": false, "why": "Номер Казахстана" }),
        ),
        (
            &["explain", "number", "8 (4152) 12-34-56", "--json"],
            json!({
                "number": "+74152123456", "dialled": true, "kind": "geographic", "region": "Камчатский край",
                "operator": null, "zones": ["Asia/Kamchatka"],
            }),
        ),
    ] {
        let said = Process::spawn("zvonar", &mut host::zvonar(arguments)).unwrap().succeed(LIMIT).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&said).unwrap(), expected, "{arguments:?}");
    }
}

#[test]
fn a_result_or_a_field_that_does_not_exist_is_refused_with_what_there_is() {
    let _machine = machine::shared();
    let folder = tempfile::tempdir().unwrap();
    let call = folder.path().join("call.json");
    std::fs::write(&call, "{\"robt\": 3}").unwrap();
    let call = call.display().to_string();
    for (arguments, sentence) in [
        (
            vec!["explain", "retry", "--numbers", "A", "--results", "bussy"],
            "there is no result `bussy`; there are no_answer,",
        ),
        (
            vec!["explain", "retry", "--numbers", "A", "--limits", "busy=0"],
            "a limit is a whole number from 1 on",
        ),
        (vec!["explain", "retry", "--numbers", "A", "--max", "0"], "0 is not in 1.."),
        (vec!["rate", "--call", &call], "unknown field `robt`"),
        (vec!["rate"], "--call"),
        (vec!["explain", "hours", "--lead-zone", "Mars/Base"], "the tz database has no zone `Mars/Base`"),
        (vec!["explain", "hours", "--lead-zone", "Asia/Omsk", "--at", "soon"], "`soon` is no time"),
        (
            vec!["explain", "hours", "--lead-zone", "Asia/Omsk", "--hours", "moon 9-10"],
            "`moon 9-10` is no window",
        ),
    ] {
        let mut zvonar = Process::spawn("zvonar", &mut host::zvonar(&arguments)).unwrap();
        assert!(!zvonar.wait(LIMIT).unwrap().success(), "{arguments:?}");
        assert!(zvonar.stderr().contains(sentence), "{arguments:?}: {}", zvonar.stderr());
    }
}
