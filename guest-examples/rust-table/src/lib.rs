//! The scenario without code. Its settings hold a table of keys and phrases; a row says which result they set and what is
//! done. `scenarios/table/README.md` explains the table to people who fill it in; [`table`] reads it.

mod bindings;
mod table;

use bindings::Guest;
use bindings::zvonar::scenario::line::{
    self, Answer, Destination, KeysWanted, LineError, Part, Phrase, Question, SpeechWanted, TransferEnd,
    TransferOptions,
};
use bindings::zvonar::scenario::sms::SmsError;
use bindings::zvonar::scenario::{host, lead, outcome, settings, sms};
use table::{Action, Row, Table};

struct Stock;

bindings::export!(Stock with_types_in bindings);

impl Guest for Stock {
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
    let table = match Table::read(&setting("table")) {
        Ok(table) => table,
        Err(faults) => {
            // Nobody is to hear a menu that nobody has thought through.
            for fault in &faults {
                host::log(host::Level::Error, fault);
            }
            return Err(Stop::Words(faults.join("; ")));
        }
    };
    let mut talk = Talk { table: &table, speech: true, first: true };
    let mut prompt = clips(&setting("prompt"));
    for _ in 0..=setting("repeats").parse::<u32>().unwrap_or(1) {
        match talk.ask(&prompt)? {
            Some(row) => return follow(row),
            None => prompt = clips(&setting("repeat-prompt")),
        }
    }
    match table.silence() {
        Some(row) => follow(row),
        None => bye(),
    }
}

struct Talk<'a> {
    table: &'a Table,
    /// Whether the host is still to be asked for speech.
    speech: bool,
    /// Nothing was asked yet: the «алло» of whoever picks up is no answer, and does not stop the prompt.
    first: bool,
}

impl<'a> Talk<'a> {
    /// Asks; the answer is the row that was chosen. `None`: none.
    fn ask(&mut self, prompt: &[Part]) -> Result<Option<&'a Row>, Stop> {
        let answer = line::ask(&self.question(prompt));
        let answer = match answer {
            // No recogniser here, or none that is free: keys will do.
            Err(LineError::Refused(_)) | Ok(Answer::RecogniserBusy)
                if self.listens() && self.table.keys() > 0 =>
            {
                self.speech = false;
                line::ask(&self.question(prompt))?
            }
            answer => answer?,
        };
        self.first = false;
        Ok(match answer {
            Answer::Keys(keys) => self.table.by_key(&keys),
            Answer::Speech(heard) => heard
                .phrase
                .and_then(|id| id.parse::<usize>().ok())
                .and_then(|row| self.table.rows().get(row)),
            Answer::Silence | Answer::RecogniserBusy => None,
        })
    }

    fn listens(&self) -> bool {
        self.speech && self.table.rows().iter().any(|row| !row.phrases.is_empty())
    }

    fn question(&self, prompt: &[Part]) -> Question {
        let wait = setting("wait-seconds").parse::<u32>().unwrap_or(8).saturating_mul(1_000);
        // A row's place in the table is the phrase's id.
        let phrases = self.table.rows().iter().enumerate().filter(|(_, row)| !row.phrases.is_empty());
        let phrases =
            phrases.map(|(place, row)| Phrase { id: place.to_string(), any_of: row.phrases.clone() });
        let longest = u8::try_from(self.table.keys()).unwrap_or(u8::MAX);
        Question {
            prompt: prompt.to_vec(),
            keys: (longest > 0).then_some(KeysWanted {
                max: longest,
                finish: None,
                first: wait,
                between: 3_000,
            }),
            speech: self.listens().then(|| SpeechWanted {
                phrases: phrases.collect(),
                wait,
                longest: 10_000,
            }),
            key_interrupts: true,
            voice_interrupts: !self.first,
        }
    }
}

/// Sets the row's result and does what it says, in order.
fn follow(row: &Row) -> Result<(), Stop> {
    // Whoever is handed on has the row's result once somebody has talked with him. Until then the host knows better what it
    // is: lost, not answered, busy.
    let is_handed = row.actions.iter().any(|action| matches!(action, Action::Transfer(_)));
    if !is_handed {
        set_result(row)?;
    }
    for action in &row.actions {
        match action {
            Action::Say(names) => line::play(&clips(names))?,
            Action::Sms(text) => {
                let why = match sms::send(None, &fill(text)) {
                    Ok(_) => continue,
                    Err(SmsError::NotConfigured) => "нет шлюза".into(),
                    Err(SmsError::Limit) => "исчерпан лимит".into(),
                    Err(SmsError::Refused(why)) => why,
                };
                lead::note(&format!("СМС не отправлено: {why}"));
            }
            Action::Transfer(to) => {
                if transfer(to)? {
                    set_result(row)?;
                }
            }
            Action::Field(name, value) => lead::set_field(name, &fill(value)).map_err(Stop::Words)?,
            Action::Note(text) => lead::note(&fill(text)),
            Action::Block => lead::block("Попросил больше не звонить"),
        }
    }
    bye()
}

fn set_result(row: &Row) -> Result<(), Stop> {
    match row.result.as_str() {
        "" => Ok(()),
        result => outcome::set_result(result).map_err(Stop::Words),
    }
}

/// Hands the caller on. `false`: nobody took him.
fn transfer(to: &str) -> Result<bool, Stop> {
    let to = match to {
        number if number.starts_with('+') => Destination::Number(number.into()),
        "" => Destination::Operator(None),
        group => Destination::Operator(Some(group.into())),
    };
    let given = |name| Some(setting(name)).filter(|text| !text.is_empty());
    let options = TransferOptions {
        longest_wait: setting("transfer-seconds").parse::<u32>().unwrap_or(60).saturating_mul(1_000),
        music: given("music"),
        call_back_project: given("call-back-project"),
    };
    let why = match line::transfer(&to, &options) {
        Ok(TransferEnd::Talked(_)) => return Ok(true),
        Ok(TransferEnd::Failed(why)) | Err(LineError::Refused(why)) => why,
        Ok(TransferEnd::Busy) => "занято".into(),
        Ok(TransferEnd::NoAnswer) => "не ответил".into(),
        Ok(TransferEnd::Rejected) => "отклонил".into(),
        Ok(TransferEnd::Nobody) => "нет свободных".into(),
        Err(over) => return Err(over.into()),
    };
    lead::note(&format!("Перевод не состоялся: {why}"));
    Ok(false)
}

/// The last words, if the settings have some.
fn bye() -> Result<(), Stop> {
    let last = clips(&setting("goodbye"));
    if !last.is_empty() {
        line::play(&last)?;
    }
    line::hangup();
    Ok(())
}

/// The text with the card's fields in place of `{their names}`. A field that is not there leaves nothing.
fn fill(text: &str) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, behind)) = after.split_once('}') else { break };
        filled.push_str(before);
        filled.push_str(&lead::field(name).unwrap_or_default());
        rest = behind;
    }
    filled.push_str(rest);
    filled
}

/// The clips that are named with commas or blanks in between.
fn clips(names: &str) -> Vec<Part> {
    let names = names.split([',', ' ']).map(str::trim).filter(|name| !name.is_empty());
    names.map(|name| Part::Clip(name.into())).collect()
}

fn setting(name: &str) -> String {
    settings::get(name).unwrap_or_default()
}
