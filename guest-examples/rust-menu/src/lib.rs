//! «Нажмите один, чтобы записаться, или два, если вам не интересно.»
//!
//! Straight-line code: `ask` looks blocking, and the host suspends the instance while the caller listens.

mod bindings;

use bindings::Guest;
use bindings::zvonar::scenario::line::{self, Answer, KeysWanted, LineError, Part, Question};
use bindings::zvonar::scenario::sms::SmsError;
use bindings::zvonar::scenario::{lead, outcome, settings, sms};

struct Menu;

bindings::export!(Menu with_types_in bindings);

impl Guest for Menu {
    fn run() -> Result<(), String> {
        match talk() {
            // Somebody who hangs up is an everyday end. What is missing here was said by the host already: no result
            // is set, so the report reads «Не дослушал до конца».
            Ok(()) | Err(Stop::Line(LineError::HungUp | LineError::Ended(_))) => Ok(()),
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
    // The manifest's form lets only numbers through, and has a default.
    let repeats: u32 = settings::get("repeats").and_then(|text| text.parse().ok()).unwrap_or(1);
    for round in 0..=repeats {
        // «Здравствуйте…» is said once.
        let answer = ask(if round == 0 { "menu" } else { "again" })?;
        match answer.as_deref() {
            Some("1") => {
                // The result comes before the good words: it stands even if the caller does not wait for them.
                outcome::set_result("Записаться").map_err(Stop::Words)?;
                send_text();
                play(&["confirm", "goodbye"])?;
                line::hangup();
                return Ok(());
            }
            Some("2") => {
                outcome::set_result("Не интересно").map_err(Stop::Words)?;
                play(&["goodbye"])?;
                line::hangup();
                return Ok(());
            }
            // No key in 10 s, or one that means nothing: once more.
            _ => {}
        }
    }
    play(&["goodbye"])?;
    line::hangup();
    Ok(())
}

/// Sends the message of the settings to the caller, if there is one. It is queued at once: nobody on the line waits for it.
fn send_text() {
    let text = settings::get("sms-text").unwrap_or_default();
    if text.is_empty() {
        return;
    }
    if let Err(why) = sms::send(None, &text) {
        let why = match why {
            SmsError::NotConfigured => "нет шлюза".into(),
            SmsError::Refused(why) => why,
            SmsError::Limit => "исчерпан лимит".into(),
        };
        lead::note(&format!("СМС не отправлено: {why}"));
    }
}

/// Plays a menu, and waits 10 s for one key. `None`: there was none.
fn ask(clip: &str) -> Result<Option<String>, Stop> {
    let answer = line::ask(&Question {
        prompt: vec![Part::Clip(clip.into())],
        keys: Some(KeysWanted { max: 1, finish: None, first: 10_000, between: 0 }),
        speech: None,
        key_interrupts: true,
        voice_interrupts: false,
    })?;
    Ok(match answer {
        Answer::Keys(keys) => Some(keys),
        Answer::Silence | Answer::Speech(_) | Answer::RecogniserBusy => None,
    })
}

fn play(clips: &[&str]) -> Result<(), Stop> {
    let prompt: Vec<Part> = clips.iter().map(|clip| Part::Clip((*clip).into())).collect();
    Ok(line::play(&prompt)?)
}
