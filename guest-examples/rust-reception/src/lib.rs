//! An inbound reception: departments by key or by word while the office is open, a promise to call back while it is not.

mod bindings;

use bindings::Guest;
use bindings::zvonar::scenario::line::{
    self, Answer, Destination, KeysWanted, LineError, Part, Phrase, Question, SpeechWanted, TransferEnd,
    TransferOptions,
};
use bindings::zvonar::scenario::{host, lead, outcome, settings};

struct Reception;

bindings::export!(Reception with_types_in bindings);

impl Guest for Reception {
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

/// A department: its key, how it is called, its group of operators.
struct Department {
    key: &'static str,
    words: &'static [&'static str],
    group: &'static str,
}

const DEPARTMENTS: [Department; 2] = [
    Department {
        key: "1", words: &["продажи", "купить", "отдел продаж"], group: "sales"
    },
    Department {
        key: "2", words: &["поддержка", "поддержку", "не работает"], group: "support"
    },
];
const ANYBODY: &str = "0";

fn talk() -> Result<(), Stop> {
    let open = is_open(&host::now(), hour("opens", 9), hour("closes", 18));
    host::log(host::Level::Info, if open { "open" } else { "closed" });
    if !open {
        return closed();
    }
    let mut prompt = vec![clip("hello"), clip("departments")];
    for _ in 0..=repeats() {
        match ask(&prompt)?.as_deref() {
            Some(ANYBODY) => return hand_over(None),
            Some(key) => match DEPARTMENTS.iter().find(|department| department.key == key) {
                Some(department) => return hand_over(Some(department.group)),
                None => prompt = vec![clip("wrong-key"), clip("departments")],
            },
            None => prompt = vec![clip("departments")],
        }
    }
    // Somebody with a dial phone, or in need of help: a person will find out.
    hand_over(None)
}

/// Asks for a department; the answer is its key, said or pressed. `None`: there was none.
fn ask(prompt: &[Part]) -> Result<Option<String>, Stop> {
    let phrase = |department: &Department| Phrase {
        id: department.key.into(),
        any_of: department.words.iter().map(|way| (*way).into()).collect(),
    };
    let mut question = Question {
        prompt: prompt.to_vec(),
        keys: Some(KeysWanted { max: 1, finish: None, first: 6_000, between: 0 }),
        speech: Some(SpeechWanted {
            phrases: DEPARTMENTS.iter().map(phrase).collect(),
            wait: 6_000,
            longest: 8_000,
        }),
        key_interrupts: true,
        voice_interrupts: true,
    };
    let answer = match line::ask(&question) {
        // No recogniser here, or none that is free: keys will do.
        Err(LineError::Refused(_)) | Ok(Answer::RecogniserBusy) => {
            question.speech = None;
            line::ask(&question)?
        }
        answer => answer?,
    };
    Ok(match answer {
        Answer::Keys(keys) => Some(keys),
        Answer::Speech(heard) => Some(heard.phrase.unwrap_or_default()),
        Answer::Silence | Answer::RecogniserBusy => None,
    })
}

fn hand_over(group: Option<&str>) -> Result<(), Stop> {
    play(&["connecting"])?;
    let music = settings::get("music").filter(|clip| !clip.is_empty());
    let options = TransferOptions { longest_wait: 60_000, music, call_back_project: None };
    match line::transfer(&Destination::Operator(group.map(Into::into)), &options) {
        Ok(TransferEnd::Talked(_)) => {
            set_result("Соединён")?;
            bye(&["goodbye"])
        }
        Ok(_) | Err(LineError::Refused(_)) => call_back(&["all-busy"]),
        Err(over) => Err(over.into()),
    }
}

fn closed() -> Result<(), Stop> {
    match ask(&[clip("closed"), clip("call-back")])?.as_deref() {
        Some("1") => call_back(&[]),
        _ => {
            set_result("Нерабочее время")?;
            bye(&["goodbye"])
        }
    }
}

fn call_back(first: &[&str]) -> Result<(), Stop> {
    set_result("Перезвонить")?;
    lead::note(&format!("Просит перезвонить на {}", line::about().caller));
    play(first)?;
    bye(&["we-will-call", "goodbye"])
}

/// Whether an office with these hours is open on a workday at `now`, as `2026-03-01T10:00:00+03:00[Europe/Moscow]`.
fn is_open(now: &str, opens: u32, closes: u32) -> bool {
    let number = |from: usize, to: usize| now.get(from..to).and_then(|text| text.parse::<u32>().ok());
    let (Some(year), Some(month), Some(day), Some(hour)) =
        (number(0, 4), number(5, 7), number(8, 10), number(11, 13))
    else {
        return false;
    };
    (1..=5).contains(&weekday(year, month, day)) && (opens..closes).contains(&hour)
}

/// 1 for Monday to 7 for Sunday, by Sakamoto's method.
fn weekday(year: u32, month: u32, day: u32) -> u32 {
    let shift = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4];
    let year = if month < 3 { year - 1 } else { year };
    let month = usize::try_from(month.clamp(1, 12) - 1).unwrap_or(0);
    let sunday_is_0 = (year + year / 4 - year / 100 + year / 400 + shift[month] + day) % 7;
    if sunday_is_0 == 0 { 7 } else { sunday_is_0 }
}

fn hour(setting: &str, usual: u32) -> u32 {
    settings::get(setting).and_then(|text| text.parse().ok()).unwrap_or(usual)
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
