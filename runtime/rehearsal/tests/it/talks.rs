//! Whole talks of real guests on the pretend line: the record, the charge, the card, as a real call would leave them.

use std::sync::{Arc, Mutex};

use zvonar_model::trace::TraceEvent;
use zvonar_model::{Kopecks, Millis, Phases};
use zvonar_rehearsal::line::{Abilities, Hearing};
use zvonar_rehearsal::timeline::Side;
use zvonar_rehearsal::{GatewayManner, Rehearsed, Setup};
use zvonar_scenario::Ending;

use crate::{hangs_up, menu, play, press, press_after, scenarios, setup, stage};

#[test]
fn a_talk_leaves_the_record_and_the_charge_of_a_real_call() {
    let stage = menu();
    let talk = play(&stage, &setup(&stage, &[]), &[press_after("1", 3.0)]);
    assert_eq!((talk.result(), talk.hung_up), ("Записаться", Side::Robot));
    // Three seconds, «Спасибо! Вы записаны.» and «Всего доброго. До свидания!»: as long as their sounds are.
    assert_eq!(talk.record.phases, Phases { robot: Millis(7990), ..Phases::default() });
    assert_eq!((talk.seconds(), talk.charge.total), (8, Kopecks(32)));
    assert_eq!(talk.charge.lines[0].why, "Робот: 8 с по 0,04 ₽, от ответа до конца звонка");
    assert_eq!((talk.record.keys.as_str(), &talk.ending), ("1", &Ending::Returned));
    let lines: Vec<String> = talk.entries.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "0:00.000  robot     menu (10.249 s)  ? a key within 10 s; a key stops the prompt",
            "0:03.000  caller    presses 1",
            "0:03.000  caller    the answer: keys 1",
            "0:03.000  result    Записаться",
            "0:03.000  robot     confirm, goodbye (4.989 s)",
            "0:07.989  robot     hangs up",
        ]
    );
}

#[test]
fn the_same_steps_give_the_same_talk() {
    let stage = menu();
    let once = play(&stage, &setup(&stage, &[]), &[press("7"), press("2")]);
    let again = play(&stage, &setup(&stage, &[]), &[press("7"), press("2")]);
    assert_eq!((&once.entries, &once.charge), (&again.entries, &again.charge));
    // Ticks tell of the machine, not of the talk: a busy one sees the guest running where a free one does not.
    let told = |talk: &Rehearsed| {
        let events = talk.record.trace.events.iter();
        events.map(|event| TraceEvent { ticks: 0, ..event.clone() }).collect::<Vec<_>>()
    };
    assert_eq!(told(&once), told(&again));
}

#[test]
fn what_a_scenario_does_is_shown_as_it_happens() {
    let stage = stage(&scenarios().join("naughty"));
    let mut setup = setup(&stage, &[("deed", "everything")]);
    setup.fields.insert("Имя".into(), "Анна".into());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let shown = Arc::clone(&seen);
    let script = zvonar_rehearsal::script::Script::new(std::collections::VecDeque::new(), |_: &[_]| None);
    let talk =
        stage.play(&setup, script, move |entry| shown.lock().unwrap().push(entry.to_string())).unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(
        seen.as_slice(),
        [
            "0:00.000  log       warn: a line",
            "0:00.000  card      Имя = Пётр",
            "0:00.000  host      lead.set-field: a field's name has 1 to 64 bytes, this one has 0",
            "0:00.000  card      note: хочет перезвонить",
            "0:00.000  card      not to be called again: просил не звонить",
            "0:00.000  sms       «Ждём вас»",
            "0:00.000  robot     hands the caller over to any operator",
            "0:01.000  transfer  nobody",
            "0:01.500  robot     recorded voice-1.wav (0.5 s)",
            "0:01.500  robot     300 ms (0.3 s)",
            "0:01.800  robot     waits (0.2 s)",
            "0:02.000  robot     hangs up",
        ]
    );
    assert_eq!(talk.card.written["Имя"], "Пётр");
    assert_eq!((talk.sms.len(), talk.usage.sms, talk.usage.log_lines), (1, 1, 1));
    assert_eq!(talk.usage.host_calls as usize, talk.record.trace.events.len());
    assert!(talk.usage.memory_bytes > 0 && talk.usage.memory_bytes <= talk.limits.memory_bytes);
    assert_eq!(talk.record.phases, Phases { robot: Millis(1000), wait: Millis(1000), talk: Millis(0) });
}

#[test]
fn a_host_may_lack_what_others_have() {
    let stage = stage(&scenarios().join("naughty"));
    let abilities = Abilities { speech: Hearing::Deaf, transfers: false, recordings: false };
    let setup =
        Setup { abilities, gateway: GatewayManner::Absent, ..setup(&stage, &[("deed", "everything")]) };
    let talk = play(&stage, &setup, &[]);
    let refused: Vec<String> = talk.entries.iter().map(|entry| entry.what.to_string()).collect();
    for sentence in [
        "sms.send: not-configured",
        "line.transfer: this host does not transfer calls",
        "line.record-voice: this host keeps no recordings",
    ] {
        assert!(refused.iter().any(|line| line == sentence), "{sentence}\n{refused:#?}");
    }
}

#[test]
fn a_scenario_that_fails_plays_its_fallback_and_says_where() {
    let stage = stage(&scenarios().join("naughty"));
    for (deed, part) in [("panic", "trapped"), ("loop", "CPU"), ("error", "returned an error")] {
        let talk = play(&stage, &setup(&stage, &[("deed", deed)]), &[]);
        assert_eq!(talk.result(), "Системная ошибка", "{deed}");
        assert!(talk.fault().is_some_and(|fault| fault.contains(part)), "{deed}: {:?}", talk.fault());
        let lines: Vec<String> = talk.entries.iter().map(ToString::to_string).collect();
        assert!(lines.iter().any(|line| line.contains("fault") && line.contains(part)), "{lines:#?}");
    }
}

#[test]
fn whoever_leaves_at_once_heard_nothing_and_pays_nothing() {
    let stage = menu();
    for (after, result, kopecks) in [
        (0.0, "Сообщение не проиграно", 0),
        (0.02, "Не дослушал до конца", 4),
        (1.0, "Не дослушал до конца", 4),
    ] {
        let talk = play(&stage, &setup(&stage, &[]), &[hangs_up(after)]);
        assert_eq!((talk.result(), talk.charge.total.0), (result, kopecks), "{after}");
    }
}

#[test]
fn a_scenario_that_only_waits_ends_with_the_longest_call() {
    let stage = stage(&scenarios().join("bench"));
    let talk = play(&stage, &setup(&stage, &[("job", "idle")]), &[]);
    assert_eq!((talk.seconds(), talk.hung_up), (talk.limits.call.as_secs(), Side::Robot));
}
