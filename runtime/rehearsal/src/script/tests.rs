//! When steps happen, shown on the pretend line with a robot whose words are given.

use zvonar_model::Direction;
use zvonar_scenario::ports::{About, Destination, Line as _, LineError, TransferOptions};
use zvonar_scenario::question::KeysWanted;

use super::*;
use crate::clock::{VirtualClock, usual_now};
use crate::line::{Abilities, PretendLine};
use crate::sounds::Sounds;
use crate::stage::without_waiting;
use std::sync::{Arc, Mutex};

/// What the robot does.
#[derive(Clone, Copy)]
enum Robot {
    Plays(&'static str),
    /// A question for so many keys, which stop the prompt, or for words.
    Asks(&'static str, u8),
    Waits(u64),
    Transfers,
}
use Robot::{Asks, Plays, Transfers, Waits};

/// What became of the steps: the entries of the talk, the steps that were left over, the prompt that was not expected.
struct Course {
    entries: String,
    left: Option<Step>,
    unexpected: Option<Unexpected>,
}

fn course(steps: &[Step], robot: &[Robot]) -> Course {
    let steps: VecDeque<(usize, Step)> = (1..).zip(steps.iter().cloned()).collect();
    // Every prompt takes five seconds.
    let sounds =
        Sounds::fixed(&[("menu", 5000, "Нажмите один, чтобы записаться"), ("bye", 5000, "Всего доброго")]);
    let texts = Arc::clone(&sounds);
    let script = Arc::new(Mutex::new(Script::new(steps, move |prompt: &[_]| texts.text(prompt))));
    let about = About {
        call: "1".into(),
        direction: Direction::Outbound,
        caller: "1".into(),
        callee: "2".into(),
        attempt: 1,
    };
    let clock = VirtualClock::new(usual_now(None));
    let caller = Box::new(Arc::clone(&script));
    let line = PretendLine::new(clock, caller, about, sounds, Abilities::default(), Box::new(|_| ()));
    let until = Duration::from_secs(300);
    for act in robot {
        let mut line = line.clone();
        let clip = |name: &str| vec![Part::Clip(Arc::from(name))];
        let done: Result<(), LineError> = without_waiting(async {
            match act {
                Plays(name) => line.play(&clip(name), until).await,
                Asks(name, max) => line.ask(&question(clip(name), *max), until).await.map(drop),
                Waits(ms) => line.wait(Duration::from_millis(*ms), until).await,
                Transfers => {
                    let options = TransferOptions {
                        longest_wait: Duration::from_secs(30),
                        music: None,
                        call_back_project: None,
                    };
                    line.transfer(&Destination::Operator(None), &options, until).await.map(drop)
                }
            }
        });
        if done.is_err() {
            break;
        }
    }
    let told = |entry: &timeline::Entry| match &entry.what {
        timeline::What::Prompt { clips, .. } => format!("{} {}", entry.at_ms, clips.join(", ")),
        what => format!("{} {what}", entry.at_ms),
    };
    let entries = line.talk().entries.iter().map(told).collect::<Vec<_>>().join(" | ");
    let mut script = script.lock().unwrap();
    Course {
        entries,
        unexpected: script.unexpected().cloned(),
        left: script.left_over().map(|(_, step)| step),
    }
}

fn question(prompt: Vec<Part>, max: u8) -> Question {
    let (first, between) = (Duration::from_secs(10), Duration::from_secs(3));
    let keys = KeysWanted { max, finish: Some('#'), first, between };
    let speech = zvonar_scenario::SpeechWanted {
        phrases: Vec::new(),
        wait: Duration::from_secs(5),
        longest: Duration::from_secs(30),
    };
    Question { prompt, keys: Some(keys), speech: Some(speech), key_interrupts: true, voice_interrupts: true }
}

fn secs(seconds: f64) -> Option<Duration> {
    Some(Duration::from_secs_f64(seconds))
}

fn press(keys: &str, after: Option<Duration>) -> Step {
    Step::Press { keys: keys.into(), after }
}

fn hears(clip: &str) -> Step {
    Step::Hears(Expected::Clips(vec![clip.into()]))
}

#[test]
fn steps_happen_when_they_should() {
    let says = |text: &str, after| Step::Says { text: text.into(), after };
    let hangs_up = |after| Step::HangsUp { after };
    let table: &[(&[Step], &[Robot], &str)] = &[
        // The prompt is heard out, and a second passes.
        (&[press("1", None)], &[Asks("menu", 1)], "0 menu | 6000 presses 1 | 6000 the answer: keys 1"),
        (&[press("1", secs(2.0))], &[Asks("menu", 1)], "0 menu | 2000 presses 1 | 2000 the answer: keys 1"),
        // A key waits for its question.
        (
            &[press("1", secs(2.0))],
            &[Plays("bye"), Asks("menu", 1)],
            "0 bye | 5000 menu | 7000 presses 1 | 7000 the answer: keys 1",
        ),
        (
            &[press("12#", None)],
            &[Asks("menu", 4)],
            "0 menu | 6000 presses 1 | 6300 presses 2 | 6600 presses # | 6600 the answer: keys 12",
        ),
        // Within one question times count from the step before.
        (
            &[press("1", secs(2.0)), press("2", secs(1.5)), press("#", None)],
            &[Asks("menu", 4)],
            "0 menu | 2000 presses 1 | 3500 presses 2 | 4500 presses # | 4500 the answer: keys 12",
        ),
        // And in another one from its start.
        (
            &[press("1", secs(2.0)), press("2", secs(1.5))],
            &[Asks("menu", 1), Asks("menu", 1)],
            "0 menu | 2000 presses 1 | 2000 the answer: keys 1 | 2000 menu | 3500 presses 2 | 3500 the answer: keys 2",
        ),
        (
            &[says("да конечно", None)],
            &[Asks("menu", 1)],
            "0 menu | 6000 says «да конечно» | 6800 the answer: speech, and no phrase of the question in it",
        ),
        // A timed silence is when the next step happens.
        (
            &[Step::Silence(secs(8.0)), press("1", None)],
            &[Asks("menu", 1)],
            "0 menu | 8000 presses 1 | 8000 the answer: keys 1",
        ),
        (
            &[Step::Silence(secs(7.0)), press("1", None)],
            &[Plays("bye"), Asks("menu", 1)],
            "0 bye | 5000 menu | 7000 presses 1 | 7000 the answer: keys 1",
        ),
        // A plain one lasts until the question gives up.
        (
            &[Step::Silence(None), press("1", None)],
            &[Asks("menu", 1), Asks("menu", 1)],
            "0 menu | 15000 the answer: silence | 15000 menu | 21000 presses 1 | 21000 the answer: keys 1",
        ),
        // Who presses too late presses into what comes then.
        (
            &[press("1", secs(17.0))],
            &[Asks("menu", 1), Plays("bye")],
            "0 menu | 15000 the answer: silence | 15000 bye | 17000 presses 1, which is dropped",
        ),
        (&[hangs_up(None)], &[Plays("bye")], "0 bye | 1000 hangs up"),
        (&[hangs_up(secs(0.0))], &[Plays("bye")], "0 bye | 0 hangs up"),
        (&[hangs_up(secs(7.0))], &[Plays("bye"), Waits(5000)], "0 bye | 5000 waits (5 s) | 7000 hangs up"),
        (&[hears("bye"), hangs_up(secs(2.0))], &[Plays("bye"), Plays("menu")], "0 bye | 2000 hangs up"),
        (
            &[press("1", secs(1.0)), hears("bye"), hangs_up(secs(2.0))],
            &[Asks("menu", 1), Plays("bye")],
            "0 menu | 1000 presses 1 | 1000 the answer: keys 1 | 1000 bye | 3000 hangs up",
        ),
        (
            &[Step::Machine],
            &[Asks("menu", 1)],
            "0 menu | 3000 an answering machine was recognised | 3000 hangs up",
        ),
        (
            &[Step::Transfer { end: TransferEnd::Busy, after: None }, press("1", None)],
            &[Plays("bye"), Transfers, Asks("menu", 1)],
            "0 bye | 5000 hands the caller over to any operator | 10000 busy | 10000 menu | 16000 presses 1 \
             | 16000 the answer: keys 1",
        ),
        (
            &[Step::Transfer { end: TransferEnd::Talked(Duration::from_secs(9)), after: secs(2.0) }],
            &[Transfers],
            "0 hands the caller over to any operator | 11000 talked 9 s",
        ),
        (
            &[Step::Transfer { end: TransferEnd::NoAnswer, after: None }],
            &[Transfers],
            "0 hands the caller over to any operator | 30000 no-answer",
        ),
        (&[hangs_up(secs(4.0))], &[Transfers], "0 hands the caller over to any operator | 4000 hangs up"),
        (&[], &[Transfers], "0 hands the caller over to any operator | 30000 nobody"),
    ];
    for (steps, robot, entries) in table {
        let course = course(steps, robot);
        assert_eq!(course.entries, *entries, "{steps:?}");
        assert_eq!((course.left, course.unexpected), (None, None), "{steps:?}");
    }
}

#[test]
fn a_prompt_that_was_not_expected_ends_the_talk() {
    let heard = course(&[hears("menu"), hears("bye")], &[Asks("menu", 1), Plays("menu"), Plays("bye")]);
    assert_eq!(heard.entries, "0 menu | 15000 the answer: silence | 15000 menu | 15000 hangs up");
    let unexpected = heard.unexpected.unwrap();
    assert_eq!((unexpected.line, unexpected.heard.as_str()), (2, "menu «Нажмите один, чтобы записаться»"));
    assert_eq!(unexpected.expected.to_string(), "bye");
}

#[test]
fn prompts_are_known_by_their_clips_or_by_their_words() {
    let clips = |names: &[&str]| Expected::Clips(names.iter().map(|name| (*name).to_owned()).collect());
    let heard: Vec<String> = ["hello", "300 ms", "menu", "bye"].map(str::to_owned).into();
    for (expected, is) in [
        (clips(&["menu"]), true),
        (clips(&["hello", "bye"]), true),
        (clips(&["bye", "hello"]), false),
        (clips(&["menu", "menu"]), false),
        (Expected::Words("нажмите Один".into()), true),
        (Expected::Words("нажмите дин".into()), false),
    ] {
        assert_eq!(expected.is(&heard, Some("Ещё раз: нажмите один!")), is, "{expected}");
    }
    assert!(!Expected::Words("нажмите один".into()).is(&heard, None));
}

#[test]
fn steps_that_never_came_to_pass_are_told_and_silence_is_not_one() {
    let left = course(&[press("1", None), hears("bye")], &[Plays("menu")]).left;
    assert_eq!(left, Some(press("1", None)));
    let left = course(&[press("1", None), Step::Silence(None), hears("bye")], &[Asks("menu", 1)]).left;
    assert_eq!(left, Some(hears("bye")));
    let left = course(&[press("1", None), Step::Silence(secs(60.0))], &[Asks("menu", 1)]).left;
    assert_eq!(left, None);
}
