//! A debt notice. Nothing about the debt is said before the person has shown to be the debtor, by the last four digits of
//! the contract: somebody else may have picked up, and a debt is nobody else's business.

mod bindings;

use bindings::Guest;
use bindings::zvonar::scenario::line::{
    self, Answer, Destination, KeysWanted, LineError, Part, Question, TransferEnd, TransferOptions,
};
use bindings::zvonar::scenario::{host, lead, outcome, settings};

struct Debt;

bindings::export!(Debt with_types_in bindings);

impl Guest for Debt {
    fn run() -> Result<(), String> {
        match talk() {
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
    let (Some(contract), Some(sum)) = (digits_of("contract"), digits_of("sum")) else {
        return Err(Stop::Words(
            "the card has no `contract` or no `sum`: nobody can be asked, nothing told".into(),
        ));
    };
    let secret = &contract[contract.len().saturating_sub(4)..];
    if !identified(secret)? {
        return Ok(());
    }
    lead::set_field("identified", "yes").map_err(Stop::Words)?;
    let told = [clip("your-debt"), Part::Digits(sum), clip("roubles"), clip("what-now")];
    let mut prompt = told.to_vec();
    for _ in 0..=repeats() {
        match key(&prompt, 1)?.as_deref() {
            Some("1") => {
                set_result("Обещал оплатить")?;
                // `2026-03-02T10:00:00+03:00[…]`: the day is the first ten characters.
                let today = host::now();
                lead::set_field("promised", today.get(..10).unwrap_or(&today)).map_err(Stop::Words)?;
                return bye(&["thanks", "goodbye"]);
            }
            Some("2") => return operator(),
            Some("3") => {
                set_result("Не согласен с долгом")?;
                lead::note("Не согласен с долгом, ждёт письма с расчётом");
                return bye(&["we-will-write", "goodbye"]);
            }
            Some(_) => prompt = vec![clip("wrong-key"), clip("what-now")],
            None => prompt = vec![clip("what-now")],
        }
    }
    // The debt was told; what they think of it is unknown.
    set_result("Проинформирован")?;
    bye(&["goodbye"])
}

/// Asks for the four digits; says goodbye itself when they do not come.
fn identified(secret: &str) -> Result<bool, Stop> {
    let mut prompt = vec![clip("hello"), clip("last-four")];
    for _ in 0..=repeats() {
        match key(&prompt, 4)?.as_deref() {
            Some(keys) if keys == secret => return Ok(true),
            Some("9") => {
                set_result("Неверный номер")?;
                bye(&["sorry", "goodbye"])?;
                return Ok(false);
            }
            Some(_) => prompt = vec![clip("does-not-match"), clip("last-four")],
            None => prompt = vec![clip("last-four")],
        }
    }
    set_result("Личность не подтверждена")?;
    bye(&["not-identified", "goodbye"])?;
    Ok(false)
}

fn operator() -> Result<(), Stop> {
    play(&["connecting"])?;
    let options = TransferOptions { longest_wait: 30_000, music: None, call_back_project: None };
    let group = settings::get("operators").filter(|group| !group.is_empty());
    match line::transfer(&Destination::Operator(group), &options) {
        Ok(TransferEnd::Talked(_)) => {
            set_result("Говорил с оператором")?;
            bye(&["goodbye"])
        }
        Ok(_) | Err(LineError::Refused(_)) => {
            set_result("Перезвонить")?;
            bye(&["we-will-call", "goodbye"])
        }
        Err(over) => Err(over.into()),
    }
}

/// Plays a prompt and waits 10 s for so many keys. `None`: there were none.
fn key(prompt: &[Part], max: u8) -> Result<Option<String>, Stop> {
    let answer = line::ask(&Question {
        prompt: prompt.to_vec(),
        keys: Some(KeysWanted { max, finish: Some('#'), first: 10_000, between: 3_000 }),
        speech: None,
        key_interrupts: true,
        voice_interrupts: false,
    })?;
    Ok(match answer {
        Answer::Keys(keys) => Some(keys),
        Answer::Silence | Answer::Speech(_) | Answer::RecogniserBusy => None,
    })
}

fn digits_of(field: &str) -> Option<String> {
    let digits: String = lead::field(field)?.chars().filter(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

fn repeats() -> u32 {
    settings::get("repeats").and_then(|text| text.parse().ok()).unwrap_or(1)
}

fn set_result(name: &str) -> Result<(), Stop> {
    outcome::set_result(name).map_err(Stop::Words)
}

fn clip(name: &str) -> Part {
    Part::Clip(name.into())
}

fn play(clips: &[&str]) -> Result<(), Stop> {
    let prompt: Vec<Part> = clips.iter().map(|name| clip(name)).collect();
    Ok(line::play(&prompt)?)
}

/// The last words.
fn bye(clips: &[&str]) -> Result<(), Stop> {
    play(clips)?;
    line::hangup();
    Ok(())
}
