//! Replays: a module against what it did itself, and against what another version did.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use proptest::prelude::*;
use zvonar_model::Trace;
use zvonar_rehearsal::Stage;
use zvonar_rehearsal::line::{Abilities, Hearing};
use zvonar_rehearsal::replay::{Decision, Replayer, Verdict};
use zvonar_rehearsal::script::Step;

use crate::conversations::{self, copy};
use crate::{hangs_up, menu, play, press, press_after, scenarios, setup, stage};

/// As a record is read back from the store.
fn stored(trace: &Trace) -> Trace {
    serde_json::from_slice(&serde_json::to_vec(trace).unwrap()).unwrap()
}

fn replayer(stage: &Stage) -> Replayer {
    Replayer::new(stage.module().clone()).unwrap()
}

/// A version of the menu that calls «Не интересно» by another name: one branch is changed, and nothing else. The name
/// stands in the component's data, and the new one is as long.
fn other_menu(folder: &Path) -> Stage {
    copy(&scenarios().join("menu"), folder);
    let (before, after) = ("Не интересно", "Не интерессо");
    let file = folder.join("menu.wasm");
    let mut component = fs::read(&file).unwrap();
    let places: Vec<usize> = component
        .windows(before.len())
        .enumerate()
        .filter(|(_, window)| *window == before.as_bytes())
        .map(|(place, _)| place)
        .collect();
    assert!(!places.is_empty(), "the component holds the name");
    for place in places {
        component[place..place + after.len()].copy_from_slice(after.as_bytes());
    }
    fs::write(&file, component).unwrap();
    let manifest = folder.join("scenario.toml");
    let text = fs::read_to_string(&manifest).unwrap().replace(before, after);
    fs::write(&manifest, text).unwrap();
    stage(folder)
}

/// Five hundred calls of the menu, and whether each ends in «Не интересно».
fn recorded(stage: &Stage) -> Vec<(Trace, bool)> {
    let courses: [&[Step]; 6] = [
        &[press("1")],
        &[press_after("2", 1.0)],
        &[press("7"), press("2")],
        &[],
        &[hangs_up(2.0)],
        &[press("5"), press("1"), hangs_up(1.0)],
    ];
    let talks: Vec<(Trace, bool)> = courses
        .iter()
        .map(|steps| play(stage, &setup(stage, &[]), steps))
        .map(|talk| (stored(&talk.record.trace), talk.result() == "Не интересно"))
        .collect();
    talks.iter().cycle().take(500).cloned().collect()
}

#[test]
fn of_500_calls_the_same_version_decides_500_alike() {
    let stage = menu();
    let replayer = replayer(&stage);
    let same =
        recorded(&stage).into_iter().filter(|(trace, _)| replayer.replay(trace.clone()) == Verdict::Same);
    assert_eq!(same.count(), 500);
}

#[test]
fn a_changed_branch_decides_otherwise_on_exactly_the_calls_that_take_it() {
    let folder = tempfile::tempdir().unwrap();
    let replayer = replayer(&other_menu(folder.path()));
    let mut otherwise = 0;
    for (trace, takes_it) in recorded(&menu()) {
        match replayer.replay(trace) {
            Verdict::Same => assert!(!takes_it),
            Verdict::Differs(difference) => {
                assert!(takes_it, "{difference:?}");
                otherwise += 1;
                let told = (difference.recorded.to_string(), difference.now.to_string());
                let result = |name: &str| format!("outcome.set-result \"{name}\"");
                assert_eq!(told, (result("Не интересно"), result("Не интерессо")));
            }
            Verdict::NotComparable(why) => panic!("{why}"),
        }
    }
    assert_eq!(otherwise, 167, "two courses of six");
}

#[test]
fn a_manifest_that_takes_a_result_away_is_told_by_the_answer_that_differs() {
    let folder = tempfile::tempdir().unwrap();
    copy(&scenarios().join("menu"), folder.path());
    let manifest = folder.path().join("scenario.toml");
    let text = fs::read_to_string(&manifest).unwrap().replace("name = \"Не интересно\"", "name = \"Отказ\"");
    fs::write(&manifest, text).unwrap();
    let talk = play(&menu(), &setup(&menu(), &[]), &[press("2")]);
    let Verdict::Differs(difference) = replayer(&stage(folder.path())).replay(stored(&talk.record.trace))
    else {
        panic!("the result is not declared any more");
    };
    assert_eq!(difference.recorded.to_string(), "outcome.set-result \"Не интересно\" -> done");
    assert!(difference.now.to_string().contains("declares no result"), "{}", difference.now);
    assert_eq!((difference.index, difference.at_ms), (2, 11_249));
}

#[test]
fn recorded_settings_hold_and_the_defaults_of_the_new_version_do_not() {
    let folder = tempfile::tempdir().unwrap();
    copy(&scenarios().join("menu"), folder.path());
    let manifest = folder.path().join("scenario.toml");
    let text = fs::read_to_string(&manifest).unwrap().replace("default = \"1\"", "default = \"0\"");
    fs::write(&manifest, text).unwrap();
    let talk = play(&menu(), &setup(&menu(), &[("repeats", "3")]), &[]);
    assert_eq!(replayer(&stage(folder.path())).replay(stored(&talk.record.trace)), Verdict::Same);
}

#[test]
fn a_version_that_says_more_or_less_than_the_recorded_one_differs_at_the_end() {
    let stage = menu();
    let mut trace = stored(&play(&stage, &setup(&stage, &[]), &[press("1")]).record.trace);
    let hangup = trace.events.pop().unwrap();
    let Verdict::Differs(difference) = replayer(&stage).replay(trace.clone()) else { panic!("it hangs up") };
    assert_eq!(
        (&difference.recorded, difference.now.to_string().as_str()),
        (&Decision::Returns, "line.hangup")
    );
    trace.events.extend([hangup.clone(), hangup]);
    let Verdict::Differs(difference) = replayer(&stage).replay(trace) else { panic!("it returns") };
    assert_eq!(
        (difference.recorded.to_string().as_str(), &difference.now),
        ("line.hangup", &Decision::Returns)
    );
}

#[test]
fn a_scenario_that_fails_where_the_recorded_one_did_not_differs() {
    let naughty = stage(&scenarios().join("naughty"));
    let mut trace = play(&naughty, &setup(&naughty, &[("deed", "everything")]), &[]).record.trace;
    trace.events[0].got = "panic".into();
    let Verdict::Differs(difference) = replayer(&naughty).replay(trace) else { panic!("it panics") };
    assert!(matches!(&difference.now, Decision::Fails(why) if why.contains("trapped")), "{difference:?}");
}

#[test]
fn a_broken_answer_in_a_trace_is_told_and_not_guessed() {
    let stage = menu();
    let mut trace = play(&stage, &setup(&stage, &[]), &[press("1")]).record.trace;
    trace.events[1].got = serde_json::json!({ "keys": 1 });
    let Verdict::NotComparable(why) = replayer(&stage).replay(trace) else { panic!("keys are a text") };
    assert_eq!(why, "event 1 of its trace has an answer to line.ask that cannot be read: {\"keys\":1}");
}

#[test]
fn every_conversation_replays_the_same_and_a_typical_trace_has_at_most_4_kb_as_it_is_stored() {
    for folder in conversations::packages() {
        let (stage, mut sizes) = (stage(&folder), Vec::new());
        let replayer = replayer(&stage);
        for conversation in conversations::read(&folder) {
            let trace = conversation.play(&stage).unwrap().rehearsed.record.trace;
            sizes.push(serde_json::to_vec(&trace).unwrap().len());
            let verdict = replayer.replay(stored(&trace));
            let whole = trace.fault.is_none();
            assert_eq!(verdict == Verdict::Same, whole, "{}: {verdict:?}", conversation.file.display());
        }
        sizes.sort_unstable();
        let typical = sizes[sizes.len() / 2];
        eprintln!(
            "{}: {} to {} bytes, {typical} in the middle",
            folder.display(),
            sizes[0],
            sizes[sizes.len() - 1]
        );
        assert!(typical <= 4096, "{}: {sizes:?}", folder.display());
    }
}

/// The menu, and the scenario that calls every function of the world.
fn stages() -> &'static [Stage; 2] {
    static STAGES: OnceLock<[Stage; 2]> = OnceLock::new();
    STAGES.get_or_init(|| [menu(), stage(&scenarios().join("naughty"))])
}

fn any_step() -> impl Strategy<Value = Step> {
    let time = || prop::option::of((0u64..15_000).prop_map(std::time::Duration::from_millis));
    prop_oneof![
        ("[0-9*#A-D]{1,3}", time()).prop_map(|(keys, after)| Step::Press { keys, after }),
        ("да|нет|что", time()).prop_map(|(text, after)| Step::Says { text, after }),
        time().prop_map(Step::Silence),
        time().prop_map(|after| Step::HangsUp { after }),
        Just(Step::Machine),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_talk_replays_the_same_against_its_own_module(
        steps in prop::collection::vec(any_step(), 0..6),
        repeats in 0u32..4,
        able: bool,
        seed: u64,
        everything: bool,
    ) {
        let stage = &stages()[usize::from(everything)];
        let repeats = repeats.to_string();
        let settings = if everything { ("deed", "everything") } else { ("repeats", repeats.as_str()) };
        let mut setup = setup(stage, &[settings]);
        setup.seed = seed;
        if !able {
            setup.abilities = Abilities { speech: Hearing::Deaf, transfers: false, recordings: false };
        }
        let trace = play(stage, &setup, &steps).record.trace;
        prop_assert_eq!(replayer(stage).replay(stored(&trace)), Verdict::Same);
    }
}
