//! Asks whether the person will come. `run` is the whole call; when it returns, the call is hung up.

mod bindings;

use bindings::Guest;
use bindings::zvonar::scenario::line::{self, Answer, KeysWanted, LineError, Part, Question};
use bindings::zvonar::scenario::{lead, outcome, settings};

struct Scenario;

bindings::export!(Scenario with_types_in bindings);

impl Guest for Scenario {
    fn run() -> Result<(), String> {
        match talk() {
            // Somebody who hangs up is an everyday end.
            Ok(()) | Err(Stop::Line(LineError::HungUp | LineError::Ended(_))) => Ok(()),
            // What is returned here is told to you; the caller hears the fallback.
            Err(Stop::Line(LineError::Refused(why)) | Stop::Words(why)) => Err(why),
        }
    }
}

/// Why the talk cannot go on.
enum Stop {
    Line(LineError),
    Words(String),
}

impl From<LineError> for Stop {
    fn from(error: LineError) -> Self {
        Stop::Line(error)
    }
}

fn talk() -> Result<(), Stop> {
    let repeats: u32 = settings::get("repeats").and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut prompt = clips(&["hello", "menu"]);
    for _ in 0..=repeats {
        match ask(&prompt)?.as_str() {
            "1" => {
                outcome::set_result("Придёт").map_err(Stop::Words)?;
                lead::set_field("visit", "yes").map_err(Stop::Words)?;
                return bye(&["thanks", "goodbye"]);
            }
            "2" => {
                outcome::set_result("Не придёт").map_err(Stop::Words)?;
                return bye(&["sorry", "goodbye"]);
            }
            // No key, or one that means nothing.
            _ => prompt = clips(&["again"]),
        }
    }
    bye(&["goodbye"])
}

/// Plays the prompt and waits 8 s for one key; empty: there was none.
fn ask(prompt: &[Part]) -> Result<String, Stop> {
    let answer = line::ask(&Question {
        prompt: prompt.to_vec(),
        keys: Some(KeysWanted { max: 1, finish: None, first: 8_000, between: 0 }),
        speech: None,
        key_interrupts: true,
        voice_interrupts: false,
    })?;
    Ok(match answer {
        Answer::Keys(keys) => keys,
        _ => String::new(),
    })
}

fn clips(names: &[&str]) -> Vec<Part> {
    names.iter().map(|name| Part::Clip((*name).into())).collect()
}

/// The last words.
fn bye(names: &[&str]) -> Result<(), Stop> {
    line::play(&clips(names))?;
    line::hangup();
    Ok(())
}
