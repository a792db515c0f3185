//! Reading: what is right is read as it is meant, what is wrong is told with its line.

use std::time::Duration;

use proptest::prelude::*;
use zvonar_model::{Direction, Kopecks};
use zvonar_scenario::ports::TransferEnd;

use super::read::{conversation, near};
use super::*;
use crate::gateway::GatewayManner;
use crate::line::Hearing;
use crate::script::Expected;
use crate::timeline::Side;

fn read(text: &str) -> Conversation {
    let path = Path::new("conversations/some.yaml");
    conversation(path, text).unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// The faults of a text, as `line: sentence`.
fn faults(text: &str) -> Vec<String> {
    let faults = conversation(Path::new("some.yaml"), text).expect_err("it is wrong");
    faults.into_iter().map(|(line, what)| format!("{line}: {what}")).collect()
}

#[test]
fn everything_that_a_conversation_may_have_is_read() {
    let read = read(
        r#"
title: Нажал 1 — записан
call: { direction: inbound, caller: "+79161234567", callee: "+74950000000", attempt: 2 }
now: "2026-03-02T21:30:00+03:00[Europe/Moscow]"
seed: 7
fields: { name: Анна, date: 12 марта }
settings: { repeats: "2" }
host: { speech: busy, transfers: no, recordings: no, sms: { price: 350 } }
talk:
  - hears: menu
  - hears: [greeting, menu]
  - hears: нажмите один
  - press: 1
    after: 3s
  - says: да
    after: 1.5s
  - silence: 500ms
  - silence
  - transfer: { talked: 2m }
    after: 4s
  - transfer: no-answer
  - hangs-up: { after: 2s }
  - hangs-up
expect:
  result: Записаться
  hangs-up: caller
  transfer: { operator: null }
  sms: [ "Ждём вас", { to: "+79160000000", text: Ещё один } ]
  fields: { confirmed: "yes" }
  notes: [ хочет утром ]
  blocked: none
  kopecks: 30
  seconds: 12
  fault: trapped
"#,
    );
    assert_eq!(read.title, "Нажал 1 — записан");
    let setup = &read.setup;
    assert_eq!((setup.direction, setup.attempt, setup.seed), (Direction::Inbound, 2, 7));
    assert_eq!(setup.now.as_ref().unwrap().hour(), 21);
    assert_eq!(setup.fields["date"], "12 марта");
    assert_eq!((setup.abilities.speech, setup.abilities.transfers), (Hearing::Busy, false));
    assert_eq!((&setup.gateway, setup.sms_price), (&GatewayManner::Takes, Kopecks(350)));
    assert_eq!(read.settings, At { line: 7, value: [("repeats".to_owned(), "2".to_owned())].into() });
    let (secs, ms) = (Duration::from_secs, Duration::from_millis);
    let talk = [
        (10, Step::Hears(Expected::Clips(vec!["menu".into()]))),
        (11, Step::Hears(Expected::Clips(vec!["greeting".into(), "menu".into()]))),
        (12, Step::Hears(Expected::Words("нажмите один".into()))),
        (13, Step::Press { keys: "1".into(), after: Some(secs(3)) }),
        (15, Step::Says { text: "да".into(), after: Some(ms(1500)) }),
        (17, Step::Silence(Some(ms(500)))),
        (18, Step::Silence(None)),
        (19, Step::Transfer { end: TransferEnd::Talked(secs(120)), after: Some(secs(4)) }),
        (21, Step::Transfer { end: TransferEnd::NoAnswer, after: None }),
        (22, Step::HangsUp { after: Some(secs(2)) }),
        (23, Step::HangsUp { after: None }),
    ];
    assert_eq!(Vec::from(read.talk), talk);
    let expect = read.expect;
    assert_eq!(expect.result, Some(At { line: 25, value: "Записаться".into() }));
    assert_eq!(expect.hangs_up.map(|at| at.value), Some(Side::Caller));
    assert_eq!(expect.transfer.map(|at| at.value), Some(Some(Destination::Operator(None))));
    let texts = [(None, "Ждём вас".to_owned()), (Some("+79160000000".to_owned()), "Ещё один".to_owned())];
    assert_eq!(expect.sms.map(|at| at.value), Some(texts.into()));
    assert_eq!(expect.fields["confirmed"].value, "yes");
    assert_eq!(expect.notes.map(|at| at.value), Some(vec!["хочет утром".to_owned()]));
    assert_eq!(expect.blocked.map(|at| at.value), Some(None));
    assert_eq!((expect.kopecks.map(|at| at.value), expect.seconds.map(|at| at.value)), (Some(30), Some(12)));
    assert_eq!(expect.fault.map(|at| at.value), Some(Some("trapped".into())));
}

#[test]
fn the_example_of_the_help_is_a_conversation() {
    let read = read(FORMAT);
    assert_eq!((read.title.as_str(), read.talk.len()), ("Нажал 1 — записан", 10));
    assert_eq!(read.setup.abilities, crate::line::Abilities::default());
    assert!(read.expect.notes.is_some() && read.expect.fault.is_some());
}

#[test]
fn what_is_left_out_is_as_usual() {
    let read = read("talk: [ machine ]\nexpect: { transfer: none, sms: none, fault: none }\n");
    assert_eq!((read.title.as_str(), &read.setup), ("some", &Setup::default()));
    assert_eq!(Vec::from(read.talk), [(1, Step::Machine)]);
    assert_eq!(read.expect.transfer.unwrap().value, None);
    assert_eq!(read.expect.sms.unwrap().value, []);
    assert_eq!(read.expect.fault.unwrap().value, None);
    assert_eq!(self::read("").talk, []);
}

#[test]
fn every_fault_is_told_with_its_line_and_what_would_be_right() {
    let text = r#"titel: Нажал
call: { direction: sideways }
now: завтра
seed: many
fields: [ a ]
host: { speach: no, sms: maybe }
tariff: ../tariff.toml
talk:
  - prss: "1"
  - press: x
    after: soon
  - press: ""
  - hears: []
  - says: [ да ]
  - silence: 3
  - silence: 3s
    after: 2s
  - press: "1"
    says: да
  - after: 3s
  - transfer: maybe
  - hangs-up: later
  - machine
  - dance
expect:
  results: Записаться
  hangs-up: nobody
  transfer: somebody
  sms: текст
  notes: { a: b }
  kopecks: 30.5
"#;
    assert_eq!(
        faults(text),
        [
            "1: a conversation has no key `titel`, do you mean `title`?",
            "2: `direction` is `outbound` or `inbound`, not `sideways`",
            "3: `now`: `завтра` is no time with a zone; write it as 2026-03-02T10:00:00+03:00[Europe/Moscow]",
            "4: `seed` is a whole number, not `many`",
            "5: `fields` is a table of keys, `name: value`, not a list",
            "6: `host` has no key `speach`, do you mean `speech`?",
            "6: `sms` is `yes`, `no`, `{ refuses: \"…\" }` or `{ price: 350 }`, not `maybe`",
            "7: `tariff` must be a path inside the package, not `../tariff.toml`",
            "9: there is no step `prss`, do you mean `press`?",
            "10: `press` is one or more keys: 0 to 9, *, # and A to D, in quotes, not `x`",
            "11: `after` is a time as `3s`, `1.5s`, `500ms` or `2m`, not `soon`",
            "12: `press` is one or more keys: 0 to 9, *, # and A to D, in quotes, not ``",
            "13: `hears` is a clip, a list of clips, or words of a prompt's text, not a list",
            "14: `says` is a text, not a list",
            "15: `silence` is a time as `3s`, `1.5s`, `500ms` or `2m`, not `3`",
            "17: `silence` has no `after`; put a `- silence: …` before it",
            "19: one step does one thing; begin a new one: `- says: …`",
            "20: a step says what happens, not only when; there are `hears`, `press`, `says`, `silence`, `hangs-up`, `transfer`, `machine`",
            "21: `transfer` is `busy`, `no-answer`, `rejected`, `nobody`, `{ talked: 30s }` or `{ failed: \"…\" }`, not `maybe`",
            "22: `hangs-up` is alone, or `{ after: 2s }`, not `later`",
            "23: `machine` is the first step, or none",
            "24: there is no step `dance`; there are `hears`, `press`, `says`, `silence`, `hangs-up`, `transfer`, `machine`",
            "26: `expect` has no key `results`, do you mean `result`?",
            "27: `hangs-up` is `robot` or `caller`, not `nobody`",
            "28: `transfer` is `none`, `{ operator: null }`, `{ operator: group }` or `{ number: \"+7…\" }`, not `somebody`",
            "29: `sms` is a list of texts, or of `{ to: \"+7…\", text: \"…\" }`, not `текст`",
            "30: `notes` is a list of texts, not a table of keys",
            "31: `kopecks` is a whole number, not `30.5`",
        ]
    );
}

#[test]
fn a_step_of_json_is_a_step() {
    assert_eq!(
        step_of_json(r#"{"press": "1", "after": "3s"}"#),
        Ok(Step::Press { keys: "1".into(), after: Some(Duration::from_secs(3)) })
    );
    assert_eq!(
        step_of_json(r#"{"transfer": {"talked": "30s"}}"#).map(|step| step.to_string()),
        Ok("a transfer that ends: talked 30 s".into())
    );
    for wrong in [r#"{"press"}"#, r#"{"press": 1, "says": 2}"#, "[]", r#"{"jump": 1}"#] {
        assert!(step_of_json(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn times_are_read_with_their_units() {
    let ms = Duration::from_millis;
    for (text, read) in [
        ("3s", Some(ms(3000))),
        ("1.5s", Some(ms(1500))),
        ("500ms", Some(ms(500))),
        ("2m", Some(ms(120_000))),
        ("0s", Some(ms(0))),
        ("0.25 s", Some(ms(250))),
        ("3", None),
        ("s", None),
        ("-1s", None),
        ("1e3s", None),
        ("infs", None),
        ("99999m", None),
        ("три с", None),
    ] {
        assert_eq!(time(text), read, "{text}");
    }
}

#[test]
fn the_near_word_is_found_and_a_far_one_is_not() {
    let known = ["Записаться", "Не интересно"];
    assert_eq!(near("записатся", known), Some("Записаться"));
    assert_eq!(near("Неинтересно", known), Some("Не интересно"));
    assert_eq!(near("Перезвонить", known), None);
}

proptest! {
    /// Packages come from uploads: whatever their bytes are, they are read or refused.
    #[test]
    fn no_text_makes_the_reader_panic(
        text in prop_oneof![
            ".{0,200}",
            "[-:{}\\[\\]\"'&*!|>%@#, \n\ta1]{0,200}",
            "((talk|expect|press|says|hears|transfer|after|fields|- |  |: |\n|3s|\"|[{}\\[\\]]|да){1,3}){0,60}",
        ],
    ) {
        let _ = conversation(Path::new("any.yaml"), &text);
        let _ = step_of_json(&text);
    }
}
