//! Whole talks of the menu, as the caller hears them and as the record keeps them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use zvonar_model::{SystemResult, TalkEnd};
use zvonar_scenario::{Ending, LeadCard, Limits, Ports, Registry, Start};

use crate::line::{Caller, PretendLine, module, settings, talk, talk_within};

/// Plays a script to the menu; gives what was heard, and the result.
async fn menu(script: &[(u64, Caller)]) -> (String, TalkEnd) {
    let line = PretendLine::new(script);
    let end = talk(&module("menu"), &[], &line).await;
    assert_eq!(end.ending, Ending::Returned, "{:?}", end.trace);
    assert!(!end.wants_fallback());
    (line.heard().join(", "), end.talk_end())
}

fn said(name: &str) -> TalkEnd {
    TalkEnd::Scenario(name.into())
}

fn system(result: SystemResult) -> TalkEnd {
    TalkEnd::System(result)
}

#[tokio::test]
async fn a_key_in_the_prompt_stops_it_and_its_result_is_set() {
    let heard = "0ms menu, 1500ms confirm, 1500ms goodbye, 5500ms (hangup)";
    assert_eq!(menu(&[(1500, Caller::Presses('1'))]).await, (heard.into(), said("Записаться")));
    let heard = "0ms menu, 1500ms goodbye, 3500ms (hangup)";
    assert_eq!(menu(&[(1500, Caller::Presses('2'))]).await, (heard.into(), said("Не интересно")));
}

#[tokio::test]
async fn a_caller_who_says_nothing_hears_the_menu_twice_and_did_not_hear_it_out() {
    let heard = "0ms menu, 12000ms again, 24000ms goodbye, 26000ms (hangup)";
    assert_eq!(menu(&[]).await, (heard.into(), system(SystemResult::NotHeardOut)));
    assert_eq!(SystemResult::NotHeardOut.title(), "Не дослушал до конца");
}

#[tokio::test]
async fn a_key_at_the_second_asking_counts() {
    let script = [(1000, Caller::Presses('7')), (2500, Caller::Presses('1'))];
    let heard = "0ms menu, 1000ms again, 2500ms confirm, 2500ms goodbye, 6500ms (hangup)";
    assert_eq!(menu(&script).await, (heard.into(), said("Записаться")));
}

#[tokio::test]
async fn who_leaves_in_the_menu_did_not_hear_it_out_and_who_leaves_after_a_key_keeps_the_result() {
    let left = menu(&[(1200, Caller::HangsUp)]).await;
    assert_eq!(left, ("0ms menu".into(), system(SystemResult::NotHeardOut)));
    let left = menu(&[(1200, Caller::Presses('1')), (1300, Caller::HangsUp)]).await;
    assert_eq!(left, ("0ms menu, 1200ms confirm, 1200ms goodbye".into(), said("Записаться")));
}

#[tokio::test]
async fn a_setting_of_the_project_reaches_the_scenario() {
    let line = PretendLine::new(&[]);
    talk(&module("menu"), &[("repeats", "0")], &line).await;
    assert_eq!(line.heard().join(", "), "0ms menu, 12000ms goodbye, 14000ms (hangup)");
    let faults = module("menu").manifest().fill_settings(
        &[("repeats", "often"), ("volume", "11")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
    );
    assert_eq!(
        faults.unwrap_err(),
        ["scenario menu has no setting `volume`", "setting `repeats` must be a whole number, not `often`"]
    );
}

#[tokio::test]
async fn the_trace_holds_every_call_with_its_answer_and_stays_small() {
    let line = PretendLine::new(&[(1500, Caller::Presses('1'))]);
    let end = talk(&module("menu"), &[], &line).await;
    let mut trace = end.trace;
    // Ticks depend on how busy the machine is.
    trace.ticks = 0;
    trace.events.iter_mut().for_each(|event| event.ticks = 0);
    let lines: Vec<String> = trace.events.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
    assert_eq!(
        lines,
        [
            r#"{"at_ms":0,"call":"settings.get","given":"repeats","got":"1"}"#,
            r#"{"at_ms":0,"took_ms":1500,"call":"line.ask","given":{"keys":{"between":0,"first":10000,"max":1},"prompt":["menu"]},"got":{"keys":"1"}}"#,
            r#"{"at_ms":1500,"call":"outcome.set-result","given":"Записаться"}"#,
            r#"{"at_ms":1500,"call":"settings.get","given":"sms-text","got":""}"#,
            r#"{"at_ms":1500,"took_ms":4000,"call":"line.play","given":["confirm","goodbye"]}"#,
            r#"{"at_ms":5500,"call":"line.hangup"}"#,
        ]
    );
    let json = serde_json::to_string(&trace).unwrap();
    assert!(json.len() < 1024, "{} bytes", json.len());
    assert_eq!(serde_json::from_str::<zvonar_model::Trace>(&json).unwrap(), trace);
}

#[tokio::test]
async fn the_longest_call_ends_the_line_and_the_scenario_ends_by_itself() {
    let line = PretendLine::new(&[]);
    let limits = Limits { call: Duration::from_secs(5), ..Limits::default() };
    let end = talk_within(&module("menu"), &[], &line, limits).await;
    assert_eq!((&end.ending, end.line_over), (&Ending::Returned, true));
    let last = end.trace.events.last().unwrap();
    assert_eq!((last.at_ms, last.took_ms), (0, 5000), "{last:?}");
}

#[tokio::test]
async fn the_hold_job_plays_until_the_far_end_leaves() {
    let line = PretendLine::new(&[(5_000, Caller::HangsUp)]);
    let end = talk(&module("bench"), &[("job", "hold")], &line).await;
    assert_eq!(end.ending, Ending::Returned);
    assert_eq!(line.heard().join(", "), "0ms long, 2000ms long, 4000ms long");
    let line = PretendLine::new(&[(90_000, Caller::HangsUp)]);
    let end = talk(&module("bench"), &[("job", "idle")], &line).await;
    assert_eq!((end.ending, line.heard().len()), (Ending::Returned, 0));
}

#[tokio::test]
async fn a_swap_is_seen_by_new_calls_and_the_old_module_is_freed_with_its_last_call() {
    let registry = Registry::default();
    let tenant = "acme".parse().unwrap();
    let (old, new) = (module("menu"), module("menu"));
    let (old_in_use, new_in_use) = (Arc::strong_count(&old), Arc::strong_count(&new));
    registry.publish(&tenant, "menu", old.clone());
    let slot = registry.slot(&tenant, "menu").unwrap();
    let running = slot.assign(0);
    registry.publish(&tenant, "menu", new.clone());
    assert!(Arc::ptr_eq(&running, &old) && Arc::ptr_eq(&slot.assign(0), &new));
    assert_eq!(slot.lineup().to_string(), "v2 live, 1 call still on v1");
    assert!(registry.slot(&"other".parse().unwrap(), "menu").is_none(), "another tenant sees nothing");
    // The old version still serves the call that holds it.
    let line = PretendLine::new(&[(500, Caller::Presses('2'))]);
    assert_eq!(talk(&running, &[], &line).await.result.as_deref(), Some("Не интересно"));
    assert_eq!(running.live_sessions(), 0);
    drop(running);
    assert_eq!((Arc::strong_count(&old), Arc::strong_count(&new)), (old_in_use, new_in_use + 1));
}

#[tokio::test]
async fn every_function_of_the_world_is_answered_and_told() {
    let card = Arc::new(Mutex::new(LeadCard::new([("Имя".to_owned(), "Иван".to_owned())].into())));
    let module = module("naughty");
    let line = PretendLine::new(&[]);
    let ports = Ports {
        line: Box::new(line.clone()),
        lead: Box::new(Arc::clone(&card)),
        sms: Box::new(zvonar_scenario::ports::NoSms),
        clock: Box::new(line.clone()),
        random: Box::new(|| u64::MAX),
    };
    let start =
        Start { ports, settings: settings(&module, &[("deed", "everything")]), limits: Limits::default() };
    let end = module.run(module.take_seat().unwrap(), start).await;
    assert_eq!(end.ending, Ending::Returned);
    let told: Vec<String> = end
        .trace
        .events
        .iter()
        .map(|event| format!("{} {} {} -> {}", event.at_ms, event.call, event.given, event.got))
        .collect();
    assert_eq!(
        told,
        [
            r#"0 settings.get "deed" -> "everything""#,
            r#"0 line.about null -> {"attempt":1,"call":"call-1","callee":"+79001234517","caller":"+74950000000","direction":"outbound"}"#,
            r#"0 host.now null -> "2026-03-01T10:00:00+03:00[Europe/Moscow]""#,
            r#"0 host.random null -> "18446744073709551615""#,
            r#"0 host.log ["warn","a line"] -> null"#,
            r#"0 lead.field "Имя" -> "Иван""#,
            r#"0 lead.set-field ["Имя","Пётр"] -> null"#,
            r#"0 lead.field "Имя" -> "Пётр""#,
            r#"0 lead.set-field ["","nobody"] -> {"err":"a field's name has 1 to 64 bytes, this one has 0"}"#,
            r#"0 lead.note "хочет перезвонить" -> null"#,
            r#"0 lead.block "просил не звонить" -> null"#,
            r#"0 sms.send [null,"Ждём вас"] -> {"err":"not-configured"}"#,
            r#"0 line.transfer {"longest-wait":1000,"operator":null} -> {"err":{"refused":"this host does not transfer calls"}}"#,
            r#"0 line.record-voice [1000,500] -> {"err":{"refused":"this host keeps no recordings"}}"#,
            r#"0 line.play [300] -> null"#,
            r#"300 line.wait 200 -> null"#,
        ]
    );
    let card = card.lock().unwrap();
    assert_eq!(card.written, [("Имя".to_owned(), "Пётр".to_owned())].into());
    assert_eq!((card.notes.len(), card.blocked.as_deref()), (1, Some("просил не звонить")));
}
