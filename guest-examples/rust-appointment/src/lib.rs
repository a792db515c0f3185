//! «Запись на приём»: the person confirms the appointment, cancels or moves it, wants to be called later or to talk to an
//! operator, or wants no more calls.
//!
//! The same scenario stands beside this one in C, JavaScript and Python; all four pass the conversations of
//! `scenarios/appointment`. What each branch says and sets is listed in that folder's README.

mod bindings;

use bindings::Guest;
use bindings::zvonar::scenario::line::{
    self, Answer, Destination, KeysWanted, LineError, Part, Phrase, Question, SpeechWanted, TransferEnd,
    TransferOptions,
};
use bindings::zvonar::scenario::sms::SmsError;
use bindings::zvonar::scenario::{host, lead, outcome, settings, sms};

struct Appointment;

bindings::export!(Appointment with_types_in bindings);

impl Guest for Appointment {
    fn run() -> Result<(), String> {
        match talk() {
            // Somebody who hangs up is an everyday end: the host says how far the talk came.
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

/// What the person wants.
enum Choice {
    Confirm,
    Cancel,
    Move,
    Later,
    Operator,
    Stop,
    /// A key or words that mean nothing here.
    Unclear,
    Silence,
}

/// The ways of saying each choice.
const PHRASES: [(&str, &[&str]); 6] = [
    ("confirm", &["да", "подтверждаю", "приду", "конечно"]),
    ("cancel", &["нет", "не приду", "не смогу", "отмените"]),
    ("move", &["перенести", "перенесите", "другой день", "другое время"]),
    ("later", &["перезвоните", "позвоните позже", "не сейчас", "неудобно говорить"]),
    ("operator", &["оператор", "оператора", "с человеком"]),
    ("stop", &["не звоните", "больше не звоните", "удалите мой номер"]),
];

fn talk() -> Result<(), Stop> {
    host::log(host::Level::Debug, &format!("attempt {}", line::about().attempt));
    let mut menu = Menu { speech: true };
    // Apart from the question: the «алло» of whoever picks up is no answer to it.
    play(&[greeting(&host::now())])?;
    let mut prompt = vec![clip("reminder")];
    if let (Some(date), Some(time)) = (digits_of("date"), digits_of("time")) {
        prompt.extend([Part::Digits(date), clip("at"), Part::Digits(time)]);
    }
    prompt.push(clip("menu"));
    for _ in 0..=repeats() {
        match menu.ask(&prompt)? {
            Choice::Confirm => return confirm(),
            Choice::Cancel => return cancel(),
            Choice::Move => return change(),
            Choice::Later => return later(),
            Choice::Operator => return operator(),
            Choice::Stop => return stop(),
            Choice::Unclear => prompt = vec![clip("wrong-key"), clip("menu")],
            Choice::Silence => prompt = vec![clip("again"), clip("menu")],
        }
    }
    bye(&["goodbye"])
}

struct Menu {
    /// Whether the host is still to be asked for speech.
    speech: bool,
}

impl Menu {
    fn ask(&mut self, prompt: &[Part]) -> Result<Choice, Stop> {
        let answer = match line::ask(&self.question(prompt)) {
            // No recogniser here, or none that is free: keys will do.
            Err(LineError::Refused(_)) | Ok(Answer::RecogniserBusy) if self.speech => {
                self.speech = false;
                line::ask(&self.question(prompt))?
            }
            answer => answer?,
        };
        Ok(match answer {
            Answer::Silence => Choice::Silence,
            Answer::Keys(keys) => match keys.as_str() {
                "1" => Choice::Confirm,
                "2" => Choice::Move,
                "3" => Choice::Cancel,
                "4" => Choice::Later,
                "0" => Choice::Operator,
                "9" => Choice::Stop,
                _ => Choice::Unclear,
            },
            Answer::Speech(heard) => match heard.phrase.as_deref() {
                Some("confirm") => Choice::Confirm,
                Some("cancel") => Choice::Cancel,
                Some("move") => Choice::Move,
                Some("later") => Choice::Later,
                Some("operator") => Choice::Operator,
                Some("stop") => Choice::Stop,
                _ => Choice::Unclear,
            },
            Answer::RecogniserBusy => Choice::Unclear,
        })
    }

    fn question(&self, prompt: &[Part]) -> Question {
        let phrase = |(id, ways): &(&str, &[&str])| Phrase {
            id: (*id).into(),
            any_of: ways.iter().map(|way| (*way).into()).collect(),
        };
        Question {
            prompt: prompt.to_vec(),
            keys: Some(KeysWanted { max: 1, finish: None, first: 8_000, between: 0 }),
            speech: self.speech.then(|| SpeechWanted {
                phrases: PHRASES.iter().map(phrase).collect(),
                wait: 8_000,
                longest: 10_000,
            }),
            key_interrupts: true,
            voice_interrupts: true,
        }
    }
}

fn confirm() -> Result<(), Stop> {
    // The result comes before the good words: it stands even if the person does not wait for them.
    set_result("Подтвердил")?;
    lead::set_field("confirmed", "yes").map_err(Stop::Words)?;
    if settings::get("send-sms").as_deref() != Some("yes") {
        return bye(&["confirmed", "goodbye"]);
    }
    match sms::send(None, &fill(&settings::get("sms-text").unwrap_or_default())) {
        Ok(_) => bye(&["confirmed", "sms-sent", "goodbye"]),
        Err(why) => {
            let why = match why {
                SmsError::NotConfigured => "нет шлюза".into(),
                SmsError::Refused(why) => why,
                SmsError::Limit => "исчерпан лимит".into(),
            };
            lead::note(&format!("СМС не отправлено: {why}"));
            bye(&["confirmed", "goodbye"])
        }
    }
}

fn cancel() -> Result<(), Stop> {
    set_result("Отменил")?;
    lead::set_field("confirmed", "no").map_err(Stop::Words)?;
    bye(&["cancelled", "goodbye"])
}

fn later() -> Result<(), Stop> {
    set_result("Перезвонить")?;
    lead::note("Просил перезвонить позже");
    bye(&["we-will-call", "goodbye"])
}

/// Asks for another day, as four digits and `#`. `*` begins anew.
fn change() -> Result<(), Stop> {
    set_result("Перенести")?;
    let mut prompt = vec![clip("which-day")];
    for _ in 0..=repeats() {
        let answer = line::ask(&Question {
            prompt,
            keys: Some(KeysWanted { max: 4, finish: Some('#'), first: 10_000, between: 4_000 }),
            speech: None,
            key_interrupts: true,
            voice_interrupts: false,
        })?;
        prompt = match answer {
            Answer::Keys(keys) => match day_and_month(&keys) {
                Some(day) => {
                    lead::set_field("new-date", &day).map_err(Stop::Words)?;
                    lead::note(&format!("Просит перенести на {day}"));
                    return bye(&["moved", "goodbye"]);
                }
                None if keys.contains('*') => vec![clip("which-day")],
                None => vec![clip("not-a-date"), clip("which-day")],
            },
            _ => vec![clip("again"), clip("which-day")],
        };
    }
    lead::note("Просит перенести, день не назвал");
    bye(&["we-will-call", "goodbye"])
}

/// `DD.MM` if the keys are a day of a year.
fn day_and_month(keys: &str) -> Option<String> {
    if keys.len() != 4 || !keys.bytes().all(|key| key.is_ascii_digit()) {
        return None;
    }
    let (day, month) = keys.split_at(2);
    let longest = match month.parse::<u32>().ok()? {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    (1..=longest).contains(&day.parse::<u32>().ok()?).then(|| format!("{day}.{month}"))
}

fn operator() -> Result<(), Stop> {
    play(&["connecting"])?;
    let options = TransferOptions { longest_wait: 30_000, music: None, call_back_project: None };
    let why = match line::transfer(&Destination::Operator(None), &options) {
        Ok(TransferEnd::Talked(time)) => {
            set_result("Говорил с оператором")?;
            lead::note(&format!("Говорил с оператором {} с", time / 1_000));
            return bye(&["goodbye"]);
        }
        Ok(TransferEnd::Busy) => "занято".into(),
        Ok(TransferEnd::NoAnswer) => "не ответил".into(),
        Ok(TransferEnd::Rejected) => "отклонил".into(),
        Ok(TransferEnd::Nobody) => "нет свободных".into(),
        Ok(TransferEnd::Failed(why)) | Err(LineError::Refused(why)) => why,
        Err(over) => return Err(over.into()),
    };
    set_result("Перезвонить")?;
    lead::note(&format!("Просил оператора: {why}"));
    bye(&["we-will-call", "goodbye"])
}

fn stop() -> Result<(), Stop> {
    set_result("Не звонить")?;
    lead::block("Попросил больше не звонить");
    bye(&["removed", "goodbye"])
}

/// The greeting for the time of day in `now`, as `2026-03-01T10:00:00+03:00[Europe/Moscow]`.
fn greeting(now: &str) -> &'static str {
    match now.get(11..13).and_then(|hour| hour.parse().ok()) {
        Some(5..=11) => "good-morning",
        Some(12..=17) => "good-day",
        _ => "good-evening",
    }
}

/// The digits of a field of the card, to be read out one by one; `None` without any.
fn digits_of(field: &str) -> Option<String> {
    let digits: String = lead::field(field)?.chars().filter(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

/// The text of the message with the card's fields in place of `{name}`, `{date}` and `{time}`.
fn fill(text: &str) -> String {
    ["name", "date", "time"].iter().fold(text.to_owned(), |text, field| {
        text.replace(&format!("{{{field}}}"), &lead::field(field).unwrap_or_default())
    })
}

/// The manifest's form lets only numbers through, and has a default.
fn repeats() -> u32 {
    settings::get("repeats").and_then(|text| text.parse().ok()).unwrap_or(2)
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
