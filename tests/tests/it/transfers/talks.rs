//! Talks with operators and external numbers, in which everybody says a tone of his own and keeps what he hears.

use std::time::Duration;

use zvonar_tests::{
    audio::Recording,
    baresip::Baresip,
    capture::Capture,
    machine,
    office::{DESK, GOODBYE_HZ, MENU_HZ, MUSIC_HZ, Office},
};

use super::{LIMIT, judge, watch};

/// What the caller says, and what those say who take his call.
const CALLER_HZ: f64 = 600.0;
const ANNA_HZ: f64 = 1_000.0;
const BORIS_HZ: f64 = 800.0;
/// All tones that are to be told apart.
const TONES: [f64; 5] = [CALLER_HZ, ANNA_HZ, BORIS_HZ, MUSIC_HZ, GOODBYE_HZ];
/// Somebody who is no operator.
const NUMBER: &str = "+74951234522";
/// Longer than any talk here.
const LONG_S: f64 = 60.0;

/// A caller who has pressed 1.
fn caller(office: &Office, name: &str) -> Baresip {
    let caller = office.caller(name, (CALLER_HZ, LONG_S)).unwrap();
    caller.tell("dial", &office.uri(DESK)).unwrap();
    // A key from before the question would be no answer to it.
    caller.wait_to_hear(MENU_HZ, LIMIT).unwrap();
    caller.press('1').unwrap();
    caller
}

/// Until each hears the other, and for another second: of shorter calls baresip does not tell the end.
fn they_talk(caller: &Baresip, (other, voice_hz): (&Baresip, f64)) {
    caller.wait_to_hear(voice_hz, LIMIT).unwrap();
    other.wait_to_hear(CALLER_HZ, LIMIT).unwrap();
    std::thread::sleep(Duration::from_secs(1));
}

/// A caller who talks with Anna.
struct Talk {
    office: Office,
    capture: Option<Capture>,
    anna: Baresip,
    caller: Baresip,
}

impl Talk {
    /// `None`: real telephones do not work here, which has been said aloud.
    fn begun() -> Option<Self> {
        let mut office = Office::new().unwrap()?;
        office.route("1 | | transfer: sales", &[]);
        office.operator("anna", "sales").unwrap();
        let capture = watch(&office);
        office.open().unwrap();
        let mut anna = office.telephone("anna", "anna", (ANNA_HZ, LONG_S)).unwrap();
        office.available("anna").unwrap();
        let caller = caller(&office, "caller");
        anna.wait_for_call(LIMIT).unwrap();
        they_talk(&caller, (&anna, ANNA_HZ));
        Some(Self { office, capture, anna, caller })
    }
}

/// What was heard of the only call.
fn only(telephone: Baresip) -> Recording {
    let log = telephone.output();
    let mut heard = telephone.finish_all().unwrap();
    assert_eq!(heard.len(), 1, "{log}");
    heard.remove(0)
}

#[test]
fn both_hear_each_other_keys_pass_a_hold_is_music_and_the_wire_shows_no_fault() {
    let _machine = machine::shared();
    let Some(mut office) = Office::new().unwrap() else { return };
    office.route("1 | | transfer: sales", &[]);
    office.operator("anna", "sales").unwrap();
    let capture = watch(&office);
    office.open().unwrap();
    let mut caller = caller(&office, "caller");
    // Nobody is at work yet: he hears music, until she dials that she is there.
    caller.wait_to_hear(MUSIC_HZ, LIMIT).unwrap();
    let mut anna = office.telephone("anna", "anna", (ANNA_HZ, LONG_S)).unwrap();
    anna.tell("dial", &office.uri("*71")).unwrap();
    anna.wait_for_calls(2, LIMIT).unwrap();
    they_talk(&caller, (&anna, ANNA_HZ));
    caller.press('5').unwrap();
    anna.wait_for_key('5', LIMIT).unwrap();
    anna.press('7').unwrap();
    caller.wait_for_key('7', LIMIT).unwrap();
    anna.tell("hold", "").unwrap();
    caller.wait_to_hear(MUSIC_HZ, LIMIT).unwrap();
    anna.tell("resume", "").unwrap();
    caller.wait_to_hear(ANNA_HZ, LIMIT).unwrap();
    // She hangs up, and the scenario says its last words.
    anna.tell("hangup", "").unwrap();
    caller.wait_for_end(LIMIT).unwrap();
    let caller = only(caller);
    let anna = anna.finish_all().unwrap().pop().expect("two calls");
    let report = office.close().unwrap();

    assert_eq!(
        caller.tones_in_turn(&TONES),
        [MUSIC_HZ, ANNA_HZ, MUSIC_HZ, ANNA_HZ, GOODBYE_HZ],
        "{}",
        office.output()
    );
    assert_eq!(anna.tones_in_turn(&TONES), [CALLER_HZ]);
    let [row] = report.rows.as_slice() else { panic!("{report:?}") };
    let [transfer] = row.transfers.as_slice() else { panic!("{row:?}") };
    assert!(transfer.connected && transfer.operator.as_deref() == Some("anna"), "{row:?}");
    assert_eq!((row.wait_s, row.talk_s), (transfer.wait_s, transfer.talk_s), "{row:?}");
    assert!(row.result == "Соединён" && row.wait_s >= 1 && (1..60).contains(&row.talk_s), "{row:?}");

    let Some(packets) = judge(capture) else { return };
    let keys: Vec<u8> = packets.iter().filter_map(|packet| packet.key).collect();
    assert!(keys.contains(&5) && keys.contains(&7), "{keys:?}");
    // How late they are is measured by `./zv bench bridges`, on a machine that does nothing else.
}

#[test]
fn a_caller_who_hangs_up_ends_his_operators_call() {
    let _machine = machine::shared();
    let Some(Talk { mut office, capture, mut anna, mut caller }) = Talk::begun() else { return };
    caller.tell("hangup", "").unwrap();
    caller.wait_for_end(LIMIT).unwrap();
    anna.wait_for_end(LIMIT).unwrap();
    let (caller, anna) = (only(caller), only(anna));
    assert_eq!(anna.tones_in_turn(&TONES), [CALLER_HZ]);
    assert!(!caller.tones_in_turn(&TONES).contains(&GOODBYE_HZ));
    let report = office.close().unwrap();
    judge(capture);
    let [row] = report.rows.as_slice() else { panic!("{report:?}") };
    assert!(row.result == "Соединён" && row.transfers[0].connected && row.talk_s >= 1, "{row:?}");
}

#[test]
fn of_two_telephones_of_one_operator_that_pick_up_at_once_one_talks() {
    let _machine = machine::shared();
    let Some(mut office) = Office::new().unwrap() else { return };
    office.route("1 | | transfer: sales", &[]);
    office.operator("anna", "sales").unwrap();
    let capture = watch(&office);
    office.open().unwrap();
    let telephones = ["desk", "mobile"];
    let telephones = telephones.map(|place| office.telephone("anna", place, (ANNA_HZ, 3.0)).unwrap());
    office.available("anna").unwrap();
    let mut caller = caller(&office, "caller");
    caller.wait_for_end(LIMIT).unwrap();
    let tones = only(caller).tones_in_turn(&TONES);
    assert_eq!(tones.iter().filter(|hz| **hz == ANNA_HZ).count(), 1, "{tones:?}");
    assert_eq!(tones.last(), Some(&GOODBYE_HZ), "{tones:?}");
    let mut heard = 0;
    for telephone in telephones {
        let log = telephone.output();
        let recordings = telephone.finish_all().unwrap();
        let talks = recordings.iter().filter(|talk| talk.tones_in_turn(&TONES).contains(&CALLER_HZ));
        heard += talks.count();
        assert!(log.contains("answering call"), "{log}");
    }
    assert_eq!(heard, 1, "telephones that heard the caller");
    let report = office.close().unwrap();
    judge(capture);
    let [row] = report.rows.as_slice() else { panic!("{report:?}") };
    assert_eq!(row.transfers.len(), 1, "{row:?}");
    assert!(row.transfers[0].connected && (2..30).contains(&row.talk_s), "{row:?}");
}

#[test]
fn an_operator_hands_his_caller_on_to_a_colleague() {
    let _machine = machine::shared();
    let Some(mut office) = Office::new().unwrap() else { return };
    office.route("1 | | transfer: 101", &[]);
    office.operator("anna", "101").unwrap();
    office.operator("boris", "102").unwrap();
    let capture = watch(&office);
    office.open().unwrap();
    let mut anna = office.telephone("anna", "anna", (ANNA_HZ, LONG_S)).unwrap();
    office.available("anna").unwrap();
    let mut boris = office.telephone("boris", "boris", (BORIS_HZ, 3.0)).unwrap();
    office.available("boris").unwrap();
    let mut caller = caller(&office, "caller");
    anna.wait_for_call(LIMIT).unwrap();
    they_talk(&caller, (&anna, ANNA_HZ));
    anna.tell("transfer", &office.uri("102")).unwrap();
    boris.wait_for_call(LIMIT).unwrap();
    // She has nothing to do with it any more.
    anna.wait_for_end(LIMIT).unwrap();
    caller.wait_for_end(LIMIT).unwrap();
    let tones = only(caller).tones_in_turn(&TONES);
    let voices: Vec<f64> = tones.into_iter().filter(|hz| *hz != MUSIC_HZ).collect();
    assert_eq!(voices, [ANNA_HZ, BORIS_HZ, GOODBYE_HZ], "{}", office.output());
    assert_eq!(only(anna).tones_in_turn(&TONES), [CALLER_HZ]);
    assert_eq!(only(boris).tones_in_turn(&TONES), [CALLER_HZ]);
    let report = office.close().unwrap();
    judge(capture);
    let [row] = report.rows.as_slice() else { panic!("{report:?}") };
    let who: Vec<_> = row.transfers.iter().map(|one| (one.operator.as_deref(), one.connected)).collect();
    assert_eq!(who, [(Some("anna"), true), (Some("boris"), true)], "{row:?}");
}

#[test]
fn a_telephone_that_picks_up_and_goes_silent_loses_the_caller_to_a_colleague() {
    let _machine = machine::shared();
    let Some(mut office) = Office::new().unwrap() else { return };
    office.route("1 | | transfer: sales", &[("transfer-seconds", "60")]);
    office.operator("anna", "sales").unwrap();
    office.operator("boris", "sales").unwrap();
    office.open().unwrap();
    let mut anna = office.telephone("anna", "anna", (ANNA_HZ, LONG_S)).unwrap();
    office.available("anna").unwrap();
    let mut caller = caller(&office, "caller");
    anna.wait_for_call(LIMIT).unwrap();
    they_talk(&caller, (&anna, ANNA_HZ));
    anna.freeze();
    let mut boris = office.telephone("boris", "boris", (BORIS_HZ, 3.0)).unwrap();
    office.available("boris").unwrap();
    boris.wait_for_call(LIMIT).unwrap();
    caller.wait_for_end(LIMIT).unwrap();
    let tones = only(caller).tones_in_turn(&TONES);
    let voices: Vec<f64> = tones.into_iter().filter(|hz| *hz != MUSIC_HZ).collect();
    assert_eq!(voices, [ANNA_HZ, BORIS_HZ, GOODBYE_HZ], "{}", office.output());
    assert_eq!(only(boris).tones_in_turn(&TONES), [CALLER_HZ]);
    let report = office.close().unwrap();
    let [row] = report.rows.as_slice() else { panic!("{report:?}") };
    assert_eq!(row.transfers.last().unwrap().operator.as_deref(), Some("boris"), "{row:?}");
}

#[test]
fn a_caller_and_an_external_number_hear_each_other_and_keys_pass() {
    let _machine = machine::shared();
    let Some(mut office) = Office::new().unwrap() else { return };
    office.route(&format!("1 | | transfer: {NUMBER}"), &[]);
    let folder = office.folder().join("outside");
    let Some(mut outside) = Baresip::start_as(&folder, NUMBER, (BORIS_HZ, LONG_S)).unwrap() else {
        return;
    };
    office.config.trunk = outside.address;
    let capture = watch(&office);
    office.open().unwrap();
    let mut caller = caller(&office, "caller");
    outside.wait_for_call(LIMIT).unwrap();
    they_talk(&caller, (&outside, BORIS_HZ));
    caller.press('5').unwrap();
    outside.wait_for_key('5', LIMIT).unwrap();
    outside.press('7').unwrap();
    caller.wait_for_key('7', LIMIT).unwrap();
    outside.tell("hangup", "").unwrap();
    outside.wait_for_end(LIMIT).unwrap();
    caller.wait_for_end(LIMIT).unwrap();
    let tones = only(caller).tones_in_turn(&TONES);
    assert_eq!(tones[tones.len().saturating_sub(2)..], [BORIS_HZ, GOODBYE_HZ], "{tones:?}");
    assert_eq!(only(outside).tones_in_turn(&TONES), [CALLER_HZ]);
    let report = office.close().unwrap();
    judge(capture);
    let [row] = report.rows.as_slice() else { panic!("{report:?}") };
    let [transfer] = row.transfers.as_slice() else { panic!("{row:?}") };
    assert!(transfer.connected && transfer.operator.is_none(), "{row:?}");
    // Three kopecks a second, which `close` has compared.
    assert!((1..60).contains(&transfer.talk_s) && row.kopecks >= 4 + 3 * transfer.talk_s as i64, "{row:?}");
    assert!(!format!("{row:?}").contains(&NUMBER[4..]), "the report shows the whole number: {row:?}");
}

#[test]
fn an_operator_hands_nobody_on_to_a_number_that_no_one_has_allowed() {
    let _machine = machine::shared();
    let Some(Talk { mut office, capture, anna, mut caller }) = Talk::begun() else { return };
    // Somebody who gets at a telephone could have the tenant pay for his talks.
    anna.tell("transfer", &office.uri(NUMBER)).unwrap();
    office.wait_for_line("operators may not hand callers on").unwrap();
    // baresip 1.0 hangs up when it is refused this, so the caller is back with the scenario.
    caller.wait_for_end(LIMIT).unwrap();
    let tones = only(caller).tones_in_turn(&TONES);
    assert_eq!(tones[tones.len().saturating_sub(2)..], [ANNA_HZ, GOODBYE_HZ], "{tones:?}");
    let report = office.close().unwrap();
    judge(capture);
    assert_eq!(office.farm.events().unwrap(), [] as [serde_json::Value; 0], "the number was called");
    assert!(!office.output().contains(&NUMBER[4..]), "the whole number is in the log: {}", office.output());
    let [row] = report.rows.as_slice() else { panic!("{report:?}") };
    let [transfer] = row.transfers.as_slice() else { panic!("{row:?}") };
    assert!(transfer.connected && transfer.operator.as_deref() == Some("anna"), "{row:?}");
}
