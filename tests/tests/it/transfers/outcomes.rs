//! What a transfer can come to, case by case, all in one host at once: people of the farm press keys, and those who are
//! asked to take them pick up, are busy, decline, do not hear it, or are not there.

use std::time::Duration;

use serde_json::Value;
use zvonar_tests::{
    host::{Report, Row},
    machine,
    office::{CALL_BACK, Office},
    project::Lead,
};

use super::{LIMIT, judge, stubborn, watch};

/// How long all calls together may take.
const LONG: Duration = Duration::from_secs(180);
/// Pressed 1, and stays.
const STAYS: u8 = 1;
/// Pressed 1, and hangs up five seconds later.
const LEAVES: u8 = 19;
/// Shows that the scenario has gone on behind the transfer.
const THEN: &str = "field: then = went on";

/// One case.
struct Case {
    name: &'static str,
    /// What the caller is.
    ending: u8,
    /// To whom he is handed.
    to: String,
    /// How long he may wait, in seconds.
    wait: &'static str,
    /// What the report says.
    result: &'static str,
    /// What the scenario has noted of it; `None`: there was a talk, or he has left.
    told: Option<&'static str>,
    /// Who is responsible.
    operator: Option<&'static str>,
    talks: bool,
}

fn operators() -> Vec<Case> {
    let case = |name, ending, wait, result, told, operator, talks| Case {
        name,
        ending,
        to: name.to_owned(),
        wait,
        result,
        told,
        operator,
        talks,
    };
    vec![
        case("taken", STAYS, "30", "Соединён", None, Some("taken"), true),
        case("busy", STAYS, "6", "Оператор занят", Some("занято"), None, false),
        case("declined", STAYS, "6", "Отклонён оператором", Some("отклонил"), None, false),
        // He is given up while this telephone rings, so that its owner is responsible.
        case("rings", STAYS, "4", "Оператор не принял вызов", Some("не ответил"), Some("rings"), false),
        case("nobody", STAYS, "4", "Без результата", Some("нет свободных"), None, false),
        case("leaves", LEAVES, "30", "Потерян", None, None, false),
    ]
}

fn externals() -> Vec<Case> {
    let case = |name, number: &str, wait, result, told, talks| Case {
        name,
        ending: STAYS,
        to: number.to_owned(),
        wait,
        result,
        told,
        operator: None,
        talks,
    };
    vec![
        case("outside", "+74951234522", "30", "Соединён", None, true),
        case("engaged", "+74951234505", "30", "Оператор занят", Some("занято"), false),
        case("unheard", "+74951234506", "4", "Оператор не принял вызов", Some("не ответил"), false),
        case("refused", "+74951234507", "30", "Отклонён оператором", Some("отклонил"), false),
        case("abroad", "+442071234567", "30", "Без результата", Some("plan"), false),
    ]
}

#[test]
fn every_outcome_of_a_transfer_is_told_to_the_scenario_reported_and_charged() {
    let _machine = machine::shared();
    let Some(mut office) = Office::new().unwrap() else { return };
    let cases: Vec<Case> = operators().into_iter().chain(externals()).collect();
    let mut leads: Vec<Lead> = Vec::new();
    for case in &cases {
        let table = format!("1 | | transfer: {}; {THEN}", case.to);
        let settings = [("transfer-seconds", case.wait), ("call-back-project", "callback")];
        leads.push(office.project(case.name, case.ending, &table, &settings));
    }
    // Handed to himself, by a number that only this list knows.
    let own = Lead { id: "lead-loop".into(), phone: "+79169990001".into() };
    office.project("loop", STAYS, &format!("1 | | transfer: {}; {THEN}", own.phone), &[]);
    for operator in ["taken", "busy", "declined", "rings", "nobody", "leaves"] {
        office.operator(operator, operator).unwrap();
    }
    let capture = watch(&office);
    office.open().unwrap();
    let telephone = office.telephone("taken", "taken", (1_000.0, 3.0)).unwrap();
    let Some(busy) = stubborn(&office, "busy", "refuse", "486 Busy Here") else { return };
    let Some(declined) = stubborn(&office, "declined", "refuse", "603 Decline") else { return };
    let Some(rings) = stubborn(&office, "rings", "ring_out", "") else { return };
    for operator in ["taken", "busy", "declined", "rings"] {
        office.available(operator).unwrap();
    }
    // Everybody is where he belongs: now they are called. Those who are missed are called back when all have been.
    office.turn(CALL_BACK, "pause").unwrap();
    for (case, lead) in cases.iter().zip(&leads) {
        office.dial(case.name, lead).unwrap();
    }
    office.dial("loop", &own).unwrap();
    office.wait_for_attempts(cases.len() + 1, LONG).unwrap();
    let missed: Vec<&Lead> =
        cases.iter().zip(&leads).filter(|(case, _)| !case.talks).map(|(_, lead)| lead).collect();
    office.turn(CALL_BACK, "start").unwrap();
    office.wait_for_attempts(cases.len() + 1 + missed.len(), LONG).unwrap();
    let report = office.close().unwrap();
    for sipp in [busy, declined, rings] {
        sipp.finish(LIMIT).unwrap();
    }
    drop(telephone);
    judge(capture);

    let mut faults = Vec::new();
    for (case, lead) in cases.iter().zip(&leads) {
        let shown = office.lead(case.name, &lead.id).unwrap();
        if let Err(why) = check(case, row(&report, lead), &shown) {
            faults.push(format!("{}: {why}", case.name));
        }
    }
    let shown = office.lead("loop", &own.id).unwrap();
    assert!(faults.is_empty(), "{}\n{}", faults.join("\n"), office.output());
    assert!(!row(&report, &own).transfers[0].connected && noted(&shown).contains("itself"), "{shown}");

    // Whoever was not talked with is called back; nobody else, and no number is in clear in the log.
    let called_back = office.called_back().unwrap();
    assert_eq!(called_back.len(), missed.len(), "{called_back:?}");
    for lead in missed {
        let there = called_back.iter().any(|found| found["numbers"][0].as_str() == Some(&lead.phone));
        assert!(there, "{} is not called back: {called_back:?}", lead.id);
        let again = report.of_lead(lead);
        assert!(again.iter().any(|row| row.result == "Записаться"), "{}: {again:?}", lead.id);
    }
    let log = office.output();
    assert!(log.contains("an external number was not called"), "{log}");
    assert!(!log.contains("2071234567"), "the whole number is in the log: {log}");
}

/// His call in which he was handed over.
fn row<'r>(report: &'r Report, lead: &Lead) -> &'r Row {
    let mut rows = report.of_lead(lead);
    rows.retain(|row| !row.transfers.is_empty());
    assert_eq!(rows.len(), 1, "{}: {rows:?}", lead.id);
    rows[0]
}

fn noted(lead: &Value) -> String {
    let notes = lead["notes"].as_array().into_iter().flatten();
    notes.filter_map(Value::as_str).collect::<Vec<_>>().join("; ")
}

fn check(case: &Case, row: &Row, lead: &Value) -> Result<(), String> {
    let fault = |what: &str| Err(format!("{what}: {row:?} {lead}"));
    if row.result != case.result {
        return fault(&format!("not «{}»", case.result));
    }
    let [transfer] = row.transfers.as_slice() else { return fault("not one transfer") };
    if transfer.connected != case.talks || transfer.operator.as_deref() != case.operator {
        return fault("another end, or another who is responsible");
    }
    if case.talks == (row.talk_s == 0) || transfer.missed.is_some() == case.talks {
        return fault("a talk without time, or time without a talk");
    }
    let went_on = lead["fields"]["then"] == "went on";
    if went_on == (case.ending == LEAVES) {
        return fault("the scenario went on without a caller, or did not go on");
    }
    let noted = noted(lead);
    match case.told {
        Some(told) if !noted.contains(told) => fault(&format!("the scenario was not told «{told}»")),
        None if !noted.is_empty() => fault("the scenario was told that there was no talk"),
        _ => Ok(()),
    }
}
