//! The jobs that a benchmark asks of a telephone robot. Which one is told by the setting `job`.

mod bindings;

use bindings::Guest;
use bindings::zvonar::scenario::line::{self, Answer, KeysWanted, LineError, Part, Question};
use bindings::zvonar::scenario::{outcome, settings};

struct Bench;

bindings::export!(Bench with_types_in bindings);

impl Guest for Bench {
    fn run() -> Result<(), String> {
        let done = match settings::get("job").as_deref() {
            Some("ivr") => ivr(),
            Some("hold") => hold(),
            Some("idle") => idle(),
            other => return Err(format!("the setting `job` must be ivr, hold or idle, not {other:?}")),
        };
        match done {
            Ok(()) | Err(LineError::HungUp | LineError::Ended(_)) => Ok(()),
            Err(LineError::Refused(why)) => Err(why),
        }
    }
}

/// Plays `a`; a key stops it and brings `b`; then hangs up.
fn ivr() -> Result<(), LineError> {
    let answer = line::ask(&Question {
        prompt: clip("a"),
        keys: Some(KeysWanted { max: 1, finish: None, first: 10_000, between: 0 }),
        speech: None,
        key_interrupts: true,
        voice_interrupts: false,
    })?;
    if matches!(answer, Answer::Keys(keys) if keys == "1") {
        outcome::set_result("Нажал 1").map_err(LineError::Refused)?;
        line::play(&clip("b"))?;
    }
    line::hangup();
    Ok(())
}

/// Plays `long` over and over until the far end leaves.
fn hold() -> Result<(), LineError> {
    loop {
        line::play(&clip("long"))?;
    }
}

/// Says nothing until the far end leaves.
fn idle() -> Result<(), LineError> {
    loop {
        line::wait(60_000)?;
    }
}

fn clip(name: &str) -> Vec<Part> {
    vec![Part::Clip(name.into())]
}
