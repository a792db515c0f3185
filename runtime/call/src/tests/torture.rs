//! The messages of RFC 4475 and a dozen of ours: what becomes of each stands in a table that the end-to-end tests read
//! as well.

use std::{fs, path::PathBuf, time::Instant};

use zvonar_sip::message::{Unreadable, read};

use crate::{Calls, CallsConfig, Event, Flow, Output, Transport};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/sip-torture")
}

/// The rows of the table: file, kind, treatment.
fn rows() -> Vec<(String, String, String)> {
    let table = fs::read_to_string(folder().join("expected.tsv")).expect("the table is committed");
    let rows = table.lines().skip(1).map(|line| {
        let mut columns = line.split('\t').map(str::to_owned);
        let mut column = || columns.next().expect("four columns");
        (column(), column(), column())
    });
    rows.collect()
}

/// What becomes of a message: `call`, `answer CODE` or `silence`.
fn treatment(bytes: &[u8]) -> String {
    #[expect(clippy::disallowed_methods, reason = "any instant does to count from")]
    let now = Instant::now();
    let flow = Flow {
        transport: Transport::Udp,
        local: "192.0.2.100:5060".parse().unwrap(),
        remote: "192.0.2.1:5060".parse().unwrap(),
    };
    let mut calls = Calls::new(CallsConfig::default(), 1);
    calls.handle_bytes(now, flow, bytes);
    let mut seen = Vec::new();
    while let Some(output) = calls.poll_output() {
        match output {
            Output::Event { event: Event::Incoming(_), .. } => seen.push("call".to_owned()),
            Output::Event { event, .. } => panic!("{event:?}"),
            other @ (Output::Registered { .. } | Output::Guessing { .. }) => panic!("{other:?}"),
            Output::Send { flow: to, bytes } => {
                assert_eq!(to, flow, "answers go back where the request came from");
                let line = bytes.strip_prefix(b"SIP/2.0 ").expect("a response");
                seen.push(format!("answer {}", String::from_utf8_lossy(&line[..3])));
            }
        }
    }
    if seen.is_empty() { "silence".into() } else { seen.join(", ") }
}

#[test]
fn each_torture_message_is_treated_as_the_table_says() {
    let rows = rows();
    let valid = rows.iter().filter(|(_, kind, _)| kind == "valid").count();
    assert_eq!((rows.len(), valid), (61, 13));
    let mut wrong = Vec::new();
    for (file, _, expected) in &rows {
        let found = treatment(&fs::read(folder().join(file)).expect("the file is committed"));
        if found != *expected {
            wrong.push(format!("{file}: {found} instead of {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Also those whose answer is a refusal: it has to be for what they ask, not for how they are written.
#[test]
fn every_valid_message_is_understood_and_no_invalid_one_is() {
    for (file, kind, _) in rows() {
        let bytes = fs::read(folder().join(&file)).expect("the file is committed");
        let read = read(&bytes, Transport::Udp);
        match kind.as_str() {
            "valid" => assert!(read.is_ok(), "{file}: {read:?}"),
            "invalid" => assert!(read.is_err(), "{file}"),
            _ => {}
        }
    }
}

#[test]
fn a_refusal_says_what_is_wrong() {
    for (file, phrase) in [
        ("badinv01.dat", "malformed Via"),
        ("clerr.dat", "Content-Length exceeds the message"),
        ("quotbal.dat", "malformed To"),
        ("escruri.dat", "headers in the request URI"),
        ("mismatch01.dat", "CSeq names another method"),
        ("multi01.dat", "more than one From"),
        ("insuf.dat", "no From"),
        ("badvers.dat", "Version Not Supported"),
    ] {
        let bytes = fs::read(folder().join(file)).expect("the file is committed");
        match read(&bytes, Transport::Udp) {
            Err(Unreadable::Answer(bad)) => assert_eq!(bad.reason, phrase, "{file}"),
            other => panic!("{file}: {other:?}"),
        }
    }
}
