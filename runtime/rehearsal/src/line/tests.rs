//! The rules of `wit/line.wit`, one by one, on the pretend line.

use std::collections::VecDeque;

use proptest::prelude::*;
use zvonar_model::Direction;
use zvonar_scenario::question::{KeysWanted, Phrase};

use super::*;
use crate::clock::usual_now;
use crate::stage::without_waiting;

/// A caller whose acts have fixed moments, in milliseconds since the answer.
struct Acts {
    acts: VecDeque<(u64, Act)>,
    transfer: Option<(Duration, TransferEnd)>,
}

impl Caller for Acts {
    fn begin(&mut self, _: Duration, _: Scene<'_>) {}

    fn next(&mut self, until: Duration) -> Option<(Duration, Act)> {
        let (at, _) = self.acts.front()?;
        if ms(*at) >= until {
            return None;
        }
        self.acts.pop_front().map(|(at, act)| (ms(at), act))
    }

    fn end(&mut self, _: Duration, _: Option<&Answer>) {}

    fn transfer(&mut self) -> Option<(Duration, TransferEnd)> {
        self.transfer.take()
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn press(key: char) -> Act {
    Act::Press(key)
}

fn say(text: &str, lasts: u64) -> Act {
    Act::Say { text: text.into(), lasts: ms(lasts) }
}

/// The longest call of these tests.
const UNTIL: Duration = Duration::from_secs(100);

fn pretend(acts: &[(u64, Act)], abilities: Abilities) -> PretendLine {
    let about = About {
        call: "1".into(),
        direction: Direction::Outbound,
        caller: "+74950000000".into(),
        callee: "+79161234567".into(),
        attempt: 1,
    };
    let sounds = Sounds::fixed(&[("menu", 5000, "Нажмите один"), ("bye", 1000, "До свидания")]);
    let caller = Acts { acts: acts.iter().cloned().collect(), transfer: None };
    let clock = VirtualClock::new(usual_now(None));
    PretendLine::new(clock, Box::new(caller), about, sounds, abilities, Box::new(|_| ()))
}

fn clip(name: &str) -> Vec<Part> {
    vec![Part::Clip(Arc::from(name))]
}

/// A menu: one key within ten seconds, a key stops the prompt.
fn menu() -> Question {
    Question {
        prompt: clip("menu"),
        keys: Some(KeysWanted { max: 1, finish: None, first: ms(10_000), between: ms(3000) }),
        speech: None,
        key_interrupts: true,
        voice_interrupts: false,
    }
}

fn speech() -> SpeechWanted {
    let phrase = |id: &str, way: &str| Phrase { id: id.into(), any_of: vec![way.into()] };
    SpeechWanted {
        phrases: vec![phrase("yes", "да"), phrase("no", "нет")],
        wait: ms(5000),
        longest: ms(2000),
    }
}

/// Asks on a line, and says when and how that was answered.
fn asked(line: &PretendLine, question: &Question) -> String {
    let answer = without_waiting(line.clone().ask(question, UNTIL));
    let answer = match answer {
        Ok(answer) => timeline::answer(&answer),
        Err(why) => why.to_string(),
    };
    format!("{} {answer}", line.talk().now().as_millis())
}

fn check(question: &Question, table: &[(&[(u64, Act)], &str)]) {
    for (acts, answer) in table {
        assert_eq!(asked(&pretend(acts, Abilities::default()), question), *answer, "{acts:?}");
    }
}

#[test]
fn keys_answer_a_menu() {
    check(
        &menu(),
        &[
            (&[(1500, press('1'))], "1500 keys 1"),
            (&[(7000, press('1'))], "7000 keys 1"),
            (&[], "15000 silence"),
            (&[(15_000, press('1'))], "15000 silence"),
            (&[(2000, Act::HangUp)], "2000 the far end hung up"),
            (&[(3000, Act::IsMachine)], "3000 the call was ended: an answering machine picked up"),
            // Words are no answer to a question for keys.
            (&[(1000, say("один", 600)), (6000, press('2'))], "6000 keys 2"),
        ],
    );
}

#[test]
fn a_prompt_that_keys_do_not_stop_is_heard_out() {
    check(
        &Question { key_interrupts: false, ..menu() },
        &[(&[(1500, press('1')), (2000, press('2'))], "5000 keys 1"), (&[], "15000 silence")],
    );
}

#[test]
fn a_number_ends_with_its_last_key_the_finish_key_or_a_pause() {
    let keys = KeysWanted { max: 4, finish: Some('#'), first: ms(10_000), between: ms(3000) };
    check(
        &Question { keys: Some(keys), ..menu() },
        &[
            (&[(100, press('1')), (200, press('2')), (300, press('3')), (400, press('4'))], "400 keys 1234"),
            (&[(100, press('1')), (200, press('#'))], "200 keys 1"),
            (&[(100, press('#'))], "100 no keys but the finish key"),
            (&[(100, press('1'))], "3100 keys 1"),
            (&[(6000, press('1')), (8900, press('2'))], "11900 keys 12"),
        ],
    );
}

#[test]
fn speech_is_heard_from_the_prompts_end_or_through_it_where_it_may_stop_it() {
    let only_speech = Question { keys: None, speech: Some(speech()), ..menu() };
    check(
        &only_speech,
        &[
            // It answers the last question, or nothing.
            (&[(1000, say("да", 600))], "10000 silence"),
            (&[(6000, say("да", 600))], "6600 phrase yes"),
            (&[(6000, say("ну нет", 800))], "6800 phrase no"),
            (&[(6000, say("не знаю", 800))], "6800 speech, and no phrase of the question in it"),
            (&[(6000, say("да и нет", 800))], "6800 phrase no"),
            // Whoever has begun in time may finish.
            (&[(9900, say("да", 600))], "10500 phrase yes"),
            (&[(10_000, say("да", 600))], "10000 silence"),
            // A long answer is cut.
            (&[(6000, say("да", 9000))], "8000 phrase yes"),
            // Keys are no answer here.
            (&[(6000, press('1'))], "10000 silence"),
            (&[(6000, say("да", 600)), (6300, Act::HangUp)], "6300 the far end hung up"),
        ],
    );
    check(
        &Question { voice_interrupts: true, ..only_speech },
        &[(&[(1000, say("да", 600))], "1600 phrase yes"), (&[], "10000 silence")],
    );
}

#[test]
fn of_keys_and_speech_the_first_to_come_is_the_answer() {
    let both = Question { speech: Some(speech()), voice_interrupts: true, ..menu() };
    check(
        &both,
        &[
            (&[(1000, press('1')), (1500, say("да", 600))], "1000 keys 1"),
            (&[(1000, say("да", 600)), (1300, press('1'))], "1300 keys 1"),
            (&[(1000, say("да", 600)), (1700, press('1'))], "1600 phrase yes"),
            // The longer patience of both.
            (&[], "15000 silence"),
            // Nobody listens any more after five seconds, but keys count for ten.
            (&[(11_000, say("да", 600))], "15000 silence"),
            (&[(11_000, press('2'))], "11000 keys 2"),
        ],
    );
    let number = KeysWanted { max: 3, finish: None, first: ms(2000), between: ms(3000) };
    check(
        &Question { keys: Some(number), ..both },
        &[
            // A key was first: the answer will be keys.
            (&[(1000, press('1')), (1500, say("да", 600))], "4000 keys 1"),
            // Two seconds for a key, five for a word.
            (&[], "10000 silence"),
            (&[(8000, press('1')), (9000, say("да", 600))], "9600 phrase yes"),
        ],
    );
}

#[test]
fn a_busy_recogniser_says_so_and_a_deaf_host_has_none() {
    let question = Question { keys: None, speech: Some(speech()), ..menu() };
    let acts = [(6000, say("да", 600))];
    let busy = pretend(&acts, Abilities { speech: Hearing::Busy, ..Abilities::default() });
    assert_eq!(asked(&busy, &question), "6600 recogniser busy");
    assert!(busy.talk().answers.is_empty(), "nothing is billed");
    let deaf = pretend(&acts, Abilities { speech: Hearing::Deaf, ..Abilities::default() });
    assert!(!deaf.hears_speech());
}

#[test]
fn keys_outside_of_questions_are_dropped_and_recorded() {
    let line = pretend(&[(200, press('1')), (1200, press('2')), (6000, press('3'))], Abilities::default());
    without_waiting(line.clone().play(&clip("bye"), UNTIL)).unwrap();
    without_waiting(line.clone().wait(ms(500), UNTIL)).unwrap();
    assert_eq!(asked(&line, &menu()), "6000 keys 3");
    let talk = line.talk();
    assert_eq!(talk.keys, "123");
    let pressed = talk.entries.iter().filter_map(|entry| match &entry.what {
        What::Pressed { key, heard } => Some((*key, *heard)),
        _ => None,
    });
    assert_eq!(pressed.collect::<Vec<_>>(), [('1', false), ('2', false), ('3', true)]);
}

#[test]
fn the_longest_call_ends_whatever_is_going_on() {
    for call in ["play", "ask", "wait", "record", "transfer"] {
        let line = pretend(&[], Abilities::default());
        let until = ms(800);
        let ended = without_waiting(async {
            let mut line = line.clone();
            match call {
                "play" => line.play(&clip("menu"), until).await,
                "ask" => line.ask(&menu(), until).await.map(drop),
                "wait" => line.wait(ms(5000), until).await,
                "record" => line.record_voice(ms(5000), Duration::ZERO, until).await.map(drop),
                _ => line.transfer(&Destination::Operator(None), &options(), until).await.map(drop),
            }
        });
        assert_eq!(ended, Err(too_long()), "{call}");
        assert_eq!(line.talk().now(), until, "{call}");
    }
}

fn options() -> TransferOptions {
    TransferOptions { longest_wait: ms(20_000), music: None, call_back_project: None }
}

#[test]
fn a_transfer_is_waited_for_talked_and_told() {
    for (given, acts, end, times) in [
        (None, vec![], "nobody", (20_000, 0)),
        (Some((ms(5000), TransferEnd::Busy)), vec![], "busy", (5000, 0)),
        (Some((ms(5000), TransferEnd::Talked(ms(30_000)))), vec![], "talked 30 s", (5000, 30_000)),
        // Too late for the caller's patience.
        (Some((ms(25_000), TransferEnd::Talked(ms(1000)))), vec![], "nobody", (20_000, 0)),
        (Some((Duration::MAX, TransferEnd::NoAnswer)), vec![], "no-answer", (20_000, 0)),
        (Some((ms(5000), TransferEnd::Busy)), vec![(2000, Act::HangUp)], "the far end hung up", (2000, 0)),
    ] {
        let line = pretend(&[], Abilities::default());
        line.talk().caller = Box::new(Acts { acts: acts.into(), transfer: given });
        let to = Destination::Operator(Some("sales".into()));
        let came = without_waiting(line.clone().transfer(&to, &options(), UNTIL));
        let came = came.map_or_else(|why| why.to_string(), |end| timeline::transfer_end(&end));
        let talk = line.talk();
        assert_eq!(came, end);
        assert_eq!((talk.waited, talk.talked), (ms(times.0), ms(times.1)), "{end}");
        assert_eq!(talk.handed.last().map(|transfer| transfer.connected), Some(times.1 > 0), "{end}");
    }
    let lacking = pretend(&[], Abilities { transfers: false, ..Abilities::default() });
    let refused = without_waiting(lacking.clone().transfer(&Destination::Operator(None), &options(), UNTIL));
    assert!(matches!(refused, Err(LineError::Refused(_))), "{refused:?}");
}

#[test]
fn a_recording_ends_with_silence_or_at_its_longest() {
    for (acts, stop_at_silence, ends) in [
        (vec![], 2000, 2000),
        (vec![(1000, say("меня зовут Анна", 1200))], 2000, 4200),
        (vec![(1000, say("и так далее", 60_000))], 2000, 10_000),
        (vec![], 0, 10_000),
    ] {
        let line = pretend(&acts, Abilities::default());
        let name = without_waiting(line.clone().record_voice(ms(10_000), ms(stop_at_silence), UNTIL));
        assert_eq!(name.as_deref(), Ok("voice-1.wav"));
        assert_eq!(line.talk().now(), ms(ends), "{acts:?}");
    }
    let lacking = pretend(&[], Abilities { recordings: false, ..Abilities::default() });
    let refused = without_waiting(lacking.clone().record_voice(ms(1000), ms(500), UNTIL));
    assert!(matches!(refused, Err(LineError::Refused(_))), "{refused:?}");
}

proptest! {
    /// Whatever is asked and done, a question ends, in its time, and time never goes back.
    #[test]
    fn every_question_ends_in_its_time(
        keys in prop::option::of((1u8..4, prop::option::of(Just('#')), 0u64..3000, 0u64..3000)),
        speech_wait in prop::option::of(0u64..3000),
        interrupts: (bool, bool),
        prompt: bool,
        acts in prop::collection::vec((0u64..9000, 0u8..5), 0..8),
    ) {
        // A question wants something.
        let speech_wait = if keys.is_none() { speech_wait.or(Some(1000)) } else { speech_wait };
        let mut acts: Vec<(u64, Act)> = acts
            .into_iter()
            .map(|(at, what)| (at, match what {
                0 => press('1'),
                1 => press('#'),
                2 => say("да", 700),
                3 => say("что", 2500),
                _ => press('9'),
            }))
            .collect();
        acts.sort_by_key(|(at, _)| *at);
        let question = Question {
            prompt: if prompt { clip("menu") } else { Vec::new() },
            keys: keys.map(|(max, finish, first, between)| KeysWanted { max, finish, first: ms(first), between: ms(between) }),
            speech: speech_wait.map(|wait| SpeechWanted { wait: ms(wait), ..speech() }),
            key_interrupts: interrupts.0,
            voice_interrupts: interrupts.1,
        };
        let line = pretend(&acts, Abilities::default());
        let answer = without_waiting(line.clone().ask(&question, UNTIL));
        prop_assert!(answer.is_ok(), "{:?}", answer);
        let talk = line.talk();
        // The prompt, the patience, two more keys with their pauses, the longest word.
        prop_assert!(talk.now() <= ms(5000 + 3000 + 2 * 3000 + 2000), "{:?}", talk.now());
        let times: Vec<u64> = talk.entries.iter().map(|entry| entry.at_ms).collect();
        prop_assert!(times.is_sorted(), "{:?}", times);
        match answer.unwrap() {
            Answer::Keys(_) => prop_assert!(question.keys.is_some()),
            Answer::Speech(_) => prop_assert!(question.speech.is_some()),
            Answer::Silence => {}
            Answer::RecogniserBusy => prop_assert!(false, "it is not busy"),
        }
    }
}
