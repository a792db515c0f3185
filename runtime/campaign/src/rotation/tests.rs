use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

fn meaning(name: &str) -> Meaning {
    match name {
        "answered" => Meaning::Reached,
        "no_answer" => Meaning::Retried(RetryClass::NoAnswer),
        "busy" => Meaning::Retried(RetryClass::Busy),
        "rejected" => Meaning::Retried(RetryClass::Rejected),
        "system" => Meaning::Retried(RetryClass::System),
        "machine" => Meaning::Retried(RetryClass::Machine),
        "never" => Meaning::Never,
        other => panic!("no result {other}"),
    }
}

/// The way of a lead: `A busy 1 | B answered | дозвонились`.
fn way(numbers: usize, max_calls: u32, results: &str) -> String {
    let mut rotation = Rotation::new(RetryRules { max_calls, ..RetryRules::default() }, numbers);
    let mut told = Vec::new();
    for result in results.split_whitespace() {
        let Some(number) = rotation.next() else {
            told.push(format!("({result}: nobody is dialled)"));
            continue;
        };
        let step = rotation.record(number, meaning(result), UnixMillis(0));
        let name = char::from(b'A' + u8::try_from(number).expect("few numbers"));
        let left = step.left.map_or(String::new(), |left| format!(" {left}"));
        told.push(format!("{name} {result} {}{left}", step.streak));
    }
    told.push(rotation.state().title().to_owned());
    told.join(" | ")
}

#[test]
fn numbers_leave_at_the_limit_of_a_result_or_at_the_most_calls() {
    let table = [
        // The two situations of the FAQ.
        (1, 2, "busy rejected", "A busy 1 | A rejected 1 max calls | не дозвонились"),
        (1, 2, "rejected", "A rejected 1 limit of result | не дозвонились"),
        // A streak is broken by another result.
        (1, 3, "busy no_answer busy", "A busy 1 | A no_answer 1 | A busy 1 max calls | не дозвонились"),
        (1, 5, "busy busy", "A busy 1 | A busy 2 limit of result | не дозвонились"),
        (
            2,
            2,
            "busy no_answer no_answer no_answer",
            "A busy 1 | B no_answer 1 | A no_answer 1 max calls | B no_answer 2 max calls | не дозвонились",
        ),
        (
            2,
            2,
            "rejected busy no_answer",
            "A rejected 1 limit of result | B busy 1 | B no_answer 1 max calls | не дозвонились",
        ),
        (2, 2, "no_answer answered", "A no_answer 1 | B answered 0 | дозвонились"),
        (1, 2, "busy", "A busy 1 | позвоним ещё раз"),
        // A machine has a limit of its own, and a number that does not exist is not dialled again.
        (2, 5, "machine never", "A machine 1 limit of result | B never 1 never | не дозвонились"),
        (1, 2, "answered busy", "A answered 0 | (busy: nobody is dialled) | дозвонились"),
        (1, 2, "", "ещё не звонили"),
        (0, 2, "", "не дозвонились"),
    ];
    for (numbers, max_calls, results, expected) in table {
        assert_eq!(
            way(numbers, max_calls, results),
            expected,
            "{numbers} numbers, at most {max_calls}: {results}"
        );
    }
}

#[test]
fn the_next_number_waits_for_its_own_interval() {
    let mut rotation = Rotation::new(RetryRules::default(), 2);
    let hour = 3_600_000;
    rotation.record(0, meaning("no_answer"), UnixMillis(1_000));
    assert_eq!(rotation.state(), LeadState::Again { due: UnixMillis(0) }, "B was never dialled");
    rotation.record(1, meaning("busy"), UnixMillis(2_000));
    assert_eq!(rotation.state(), LeadState::Again { due: UnixMillis(1_000 + hour) });
}

/// The rules a second time, as naively as they can be written: everything is counted anew from the whole history.
fn naive_next(rules: &RetryRules, numbers: usize, history: &[(usize, Meaning)]) -> Option<usize> {
    if history.iter().any(|(_, meaning)| *meaning == Meaning::Reached) {
        return None;
    }
    let alive = |number: usize| {
        let own: Vec<Meaning> = history.iter().filter(|(of, _)| *of == number).map(|(_, m)| *m).collect();
        let Some(last) = own.last() else { return true };
        let in_a_row = own.iter().rev().take_while(|meaning| *meaning == last).count();
        match last {
            Meaning::Retried(class) => {
                own.len() < rules.max_calls.max(1) as usize
                    && in_a_row < rules.of(*class).limit.max(1) as usize
            }
            _ => false,
        }
    };
    let order: Vec<usize> = match history.last() {
        None => (0..numbers).collect(),
        Some((last, _)) => (last + 1..numbers).chain(0..=*last).collect(),
    };
    order.into_iter().find(|number| alive(*number))
}

/// One history by chance, step by step beside the naive count; the seed names it.
fn history_agrees(seed: u64) -> Result<(), String> {
    let mut dice = StdRng::seed_from_u64(seed);
    let (numbers, max_calls) = (dice.random_range(0..5), dice.random_range(0..6));
    let mut rules = RetryRules { max_calls, ..RetryRules::default() };
    for class in CLASSES {
        rules.of_mut(class).limit = dice.random_range(0..5);
    }
    let mut rotation = Rotation::new(rules, numbers);
    let mut history: Vec<(usize, Meaning)> = Vec::new();
    let told =
        |history: &[(usize, Meaning)], what: &str| format!("seed {seed}, {rules:?}, {history:?}: {what}");
    for _ in 0..dice.random_range(0..30) {
        let next = rotation.next();
        if next != naive_next(&rules, numbers, &history) {
            return Err(told(&history, &format!("{next:?} is next")));
        }
        let Some(next) = next else { break };
        let last = history.last().map(|(last, _)| *last);
        let alive = |n: &usize| rotation.numbers()[*n].left.is_none() && Some(*n) != last;
        if last == Some(next) && (0..numbers).any(|n| alive(&n)) {
            return Err(told(&history, "the same number twice in a row beside one that is alive"));
        }
        let meaning = match dice.random_range(0..14) {
            0 => Meaning::Never,
            1 => Meaning::Reached,
            dice => Meaning::Retried(CLASSES[dice % CLASSES.len()]),
        };
        rotation.record(next, meaning, UnixMillis(0));
        history.push((next, meaning));
        if rotation.numbers()[next].calls > max_calls.max(1) {
            return Err(told(&history, "more calls than the most"));
        }
    }
    let finished = naive_next(&rules, numbers, &history).is_none();
    if rotation.state().is_finished() == finished { Ok(()) } else { Err(told(&history, "its end")) }
}

const CLASSES: [RetryClass; 5] =
    [RetryClass::NoAnswer, RetryClass::Busy, RetryClass::Rejected, RetryClass::System, RetryClass::Machine];

#[test]
fn a_hundred_thousand_random_histories_agree_with_a_naive_count() {
    for seed in 0..100_000 {
        if let Err(why) = history_agrees(seed) {
            panic!("{why}");
        }
    }
}
