//! Single calls to SIPp, which answers, refuses, rings and asks for passwords by scenarios of ours.

use std::{path::Path, time::Duration};

use zvonar_tests::{audio::Recording, machine, pcap, sip, sipp::Sipp};

use crate::{
    calls::{Called, call, recording},
    digest,
};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_person_who_presses_1_is_understood_recorded_and_charged() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(folder.path(), '1');
    let values = [("capture", capture.as_str())];
    let Some(sipp) = Sipp::answer(folder.path(), "press_key", &values, true).unwrap() else { return };
    let file = recording(folder.path());
    let called = call("79000000001", sipp.address, &["--record", &file]).unwrap().ended().unwrap();
    sipp.finish(LIMIT).unwrap();

    assert_eq!((called.keys.as_str(), called.sip_code), ("1", Some(200)), "{called:?}");
    assert_eq!(called.result, "Записаться", "{called:?}");
    assert!(called.packets_sent > 50, "less than a second of prompt: {called:?}");
    assert!(called.packets_heard > 50, "less than a second of the callee: {called:?}");
    assert_eq!(called.packets_lost, 0, "{called:?}");
    // SIPp sends 180 at once; three seconds later would be the answer.
    assert!(called.post_dial_delay_ms.is_some_and(|ms| ms < 2_500), "{called:?}");
    assert!(called.robot_s >= 1 && called.kopecks == 4 * called.robot_s as i64, "{called:?}");

    assert_eq!(called.recording.as_deref(), Some(file.as_str()));
    let recorded = Recording::read(Path::new(&file)).unwrap();
    assert!(recorded.seconds() > 1.0, "{} s", recorded.seconds());
    assert!(recorded.loudest() > 0.02, "nothing of the prompt is on the recording: {}", recorded.loudest());
}

#[test]
fn refusals_of_the_network_become_the_results_of_the_reports() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let table = [
        ("486 Busy Here", 486, "Занято"),
        ("603 Decline", 603, "Отклонён"),
        ("404 Not Found", 404, "Несуществующий номер"),
        ("503 Service Unavailable", 503, "Системная ошибка"),
        ("480 Temporarily Unavailable", 480, "Нет ответа"),
    ];
    for (status, code, result) in table {
        let folder = tempfile::tempdir().unwrap();
        let Some(sipp) = Sipp::answer(folder.path(), "refuse", &[("status", status)], false).unwrap() else {
            return;
        };
        let called = call("79000000005", sipp.address, &[]).unwrap().ended().unwrap();
        sipp.finish(LIMIT).unwrap();
        assert_eq!((called.result.as_str(), called.sip_code), (result, Some(code)), "{called:?}");
        nothing_was_spent(&called);
    }
}

#[test]
fn a_phone_that_nobody_picks_up_is_cancelled_and_means_no_answer() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(sipp) = Sipp::answer(folder.path(), "ring_out", &[], false).unwrap() else { return };
    let called = call("79000000006", sipp.address, &["--ring", "2"]).unwrap().ended().unwrap();
    sipp.finish(LIMIT).unwrap();
    assert_eq!(called.result, "Нет ответа", "{called:?}");
    nothing_was_spent(&called);
}

#[test]
fn a_401_is_answered_so_that_sipp_believes_it() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let values = [("talk_ms", "1200")];
    let Some(sipp) = Sipp::answer(folder.path(), "challenge_401", &values, false).unwrap() else { return };
    let called = call("79000000001", sipp.address, LOGIN).unwrap().ended().unwrap();
    let messages = sipp.finish(LIMIT).unwrap();
    assert_eq!(called.sip_code, Some(200), "{called:?}");
    assert!(!messages.contains("rust eats oxide"), "the password crossed the wire");
}

#[test]
fn a_407_is_answered_by_the_rules_of_rfc_7616() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let values = [("talk_ms", "1200")];
    let Some(sipp) = Sipp::answer(folder.path(), "challenge_407", &values, false).unwrap() else { return };
    let called = call("79000000001", sipp.address, LOGIN).unwrap().ended().unwrap();
    let messages = sipp.finish(LIMIT).unwrap();
    assert_eq!(called.sip_code, Some(200), "{called:?}");

    let invites: Vec<&str> = messages.match_indices("INVITE sip:").map(|(at, _)| &messages[at..]).collect();
    let proof = invites
        .iter()
        .find_map(|invite| sip::header(invite, "Proxy-Authorization"))
        .unwrap_or_else(|| panic!("no INVITE has a Proxy-Authorization\n{messages}"));
    digest::check(proof, "INVITE", "robot", "rust eats oxide").unwrap();
    let bare = invites.iter().filter(|invite| sip::header(invite, "Proxy-Authorization").is_none()).count();
    assert_eq!((invites.len(), bare), (2, 1), "one INVITE without and one with the proof\n{messages}");
}

#[test]
fn a_wrong_password_is_not_tried_for_ever() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let values = [("talk_ms", "1200")];
    let Some(sipp) = Sipp::answer(folder.path(), "challenge_401", &values, false).unwrap() else { return };
    let wrong = ["--username", "robot", "--password", "iron stays bright"];
    let called = call("79000000001", sipp.address, &wrong).unwrap().ended().unwrap();
    assert_eq!((called.result.as_str(), called.sip_code), ("Отклонён", Some(403)), "{called:?}");
    nothing_was_spent(&called);
    assert_eq!(sipp.messages().matches("INVITE sip:").count(), 2, "{}", sipp.messages());
}

const LOGIN: &[&str] = &["--username", "robot", "--password", "rust eats oxide"];

fn nothing_was_spent(called: &Called) {
    assert_eq!(
        (called.robot_s, called.kopecks, called.packets_sent, called.keys.as_str()),
        (0, 0, 0, ""),
        "{called:?}"
    );
}

/// The key and half a minute of silence as captures for SIPp.
fn capture(folder: &Path, key: char) -> String {
    let file = folder.join("caller.pcap");
    let (before, after) = (Duration::from_millis(1500), Duration::from_secs(30));
    pcap::write(&file, &pcap::silence_with_key(before, key, Duration::from_millis(120), after)).unwrap();
    file.display().to_string()
}
