//! What happened in a talk, in order: for people as lines, for programs as JSON.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use zvonar_scenario::ports::{Destination, Part, Question, TransferEnd};
use zvonar_scenario::question::Answer;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// When: milliseconds since the session began, on its virtual clock.
    pub at_ms: u64,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// Who left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The scenario, or its host.
    Robot,
    /// The person on the line.
    Caller,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Robot => "robot",
            Self::Caller => "caller",
        })
    }
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What {
    /// A prompt begins. With `asks` it is a question.
    Prompt {
        /// Its clips by their names, pauses as `300 ms`.
        clips: Vec<String>,
        /// What the clips say, when the package has their texts.
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// How long it lasts when nobody stops it, in milliseconds.
        lasts_ms: u64,
        /// What is an answer to it.
        #[serde(skip_serializing_if = "Option::is_none")]
        asks: Option<Asks>,
    },
    /// The caller pressed a key.
    Pressed {
        /// Which.
        key: char,
        /// Whether it was an answer or a part of one. What is not is dropped.
        heard: bool,
    },
    /// The caller began to say something.
    Said {
        /// What.
        text: String,
        /// Whether anybody listened.
        heard: bool,
    },
    /// A question was answered.
    Answered {
        /// With what: `keys 12`, `phrase yes`, `speech`, `silence`, `recogniser busy`.
        answer: String,
    },
    /// The robot waits without a word.
    Waits {
        /// How long, in milliseconds.
        lasts_ms: u64,
    },
    /// The caller's voice was recorded.
    Recorded {
        /// The recording's name.
        name: String,
        /// How long, in milliseconds.
        lasts_ms: u64,
    },
    /// The caller is handed over.
    Transfer {
        /// To whom.
        #[serde(flatten)]
        to: To,
    },
    /// What came of it.
    TransferEnded {
        /// In the words of the scripts: `busy`, `talked 30s`.
        end: String,
    },
    /// The scenario set its result.
    Result {
        /// Its name.
        name: String,
    },
    /// The scenario wrote a field of the card.
    Field {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// The scenario wrote a note.
    Note {
        /// The note.
        text: String,
    },
    /// The scenario put the person on the blacklist.
    Blocked {
        /// Why.
        reason: String,
    },
    /// The scenario sent a text.
    Sms {
        /// To whom; `None`: to the caller.
        to: Option<String>,
        /// What.
        text: String,
    },
    /// The scenario wrote a line into the log.
    Log {
        /// `debug`, `info`, `warn` or `error`.
        level: String,
        /// The line.
        text: String,
    },
    /// The host answered a call with an error.
    Refused {
        /// Which call.
        call: String,
        /// A sentence.
        why: String,
    },
    /// An answering machine was recognised.
    Machine,
    /// The scenario failed: it trapped, spent a limit, or returned an error.
    Fault {
        /// A sentence.
        why: String,
    },
    /// Somebody hung up, and the talk is over.
    HungUp {
        /// Who.
        by: Side,
    },
}

/// To whom a caller is handed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum To {
    /// An operator of the group; `None`: any.
    Operator(Option<String>),
    /// A number.
    Number(String),
}

impl From<&Destination> for To {
    fn from(to: &Destination) -> Self {
        match to {
            Destination::Operator(group) => Self::Operator(group.clone()),
            Destination::Number(number) => Self::Number(number.clone()),
        }
    }
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator(None) => f.write_str("any operator"),
            Self::Operator(Some(group)) => write!(f, "an operator of `{group}`"),
            Self::Number(number) => f.write_str(number),
        }
    }
}

/// What a question waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asks {
    /// How many keys at most; `None`: keys are no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<u8>,
    /// The key that ends the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish: Option<char>,
    /// How long it waits for the first key, in milliseconds after the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_wait_ms: Option<u64>,
    /// The names of the phrases it listens for; empty: any words; `None`: speech is no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phrases: Option<Vec<String>>,
    /// How long it waits for speech, in milliseconds after the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speech_wait_ms: Option<u64>,
    /// A key stops the prompt.
    pub key_interrupts: bool,
    /// Speech stops the prompt.
    pub voice_interrupts: bool,
}

impl From<&Question> for Asks {
    fn from(question: &Question) -> Self {
        let speech = question.speech.as_ref();
        Self {
            keys: question.keys.map(|keys| keys.max),
            finish: question.keys.and_then(|keys| keys.finish),
            key_wait_ms: question.keys.map(|keys| millis(keys.first)),
            phrases: speech.map(|speech| speech.phrases.iter().map(|phrase| phrase.id.clone()).collect()),
            speech_wait_ms: speech.map(|speech| millis(speech.wait)),
            key_interrupts: question.key_interrupts,
            voice_interrupts: question.voice_interrupts,
        }
    }
}

impl fmt::Display for Asks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut wanted = Vec::new();
        if let Some(keys) = self.keys {
            let count = if keys == 1 { "a key".to_owned() } else { format!("up to {keys} keys") };
            let finish = self.finish.map(|key| format!(", {key} to finish")).unwrap_or_default();
            wanted.push(format!("{count}{finish} within {}", seconds(self.key_wait_ms.unwrap_or(0))));
        }
        if let Some(phrases) = &self.phrases {
            let what = if phrases.is_empty() {
                "any words".to_owned()
            } else {
                format!("«{}»", phrases.join("», «"))
            };
            wanted.push(format!("{what} within {}", seconds(self.speech_wait_ms.unwrap_or(0))));
        }
        f.write_str(&wanted.join(", or "))?;
        match (self.key_interrupts && self.keys.is_some(), self.voice_interrupts && self.phrases.is_some()) {
            (true, true) => f.write_str("; keys and speech stop the prompt"),
            (true, false) => f.write_str("; a key stops the prompt"),
            (false, true) => f.write_str("; speech stops the prompt"),
            (false, false) => Ok(()),
        }
    }
}

impl Entry {
    /// Who did it: `robot`, `caller`, `result`, …
    pub fn who(&self) -> &'static str {
        match &self.what {
            What::Prompt { .. } | What::Waits { .. } | What::Transfer { .. } | What::Recorded { .. } => {
                "robot"
            }
            What::Pressed { .. } | What::Said { .. } | What::Answered { .. } => "caller",
            What::TransferEnded { .. } => "transfer",
            What::Result { .. } => "result",
            What::Field { .. } | What::Note { .. } | What::Blocked { .. } => "card",
            What::Sms { .. } => "sms",
            What::Log { .. } => "log",
            What::Refused { .. } | What::Machine => "host",
            What::Fault { .. } => "fault",
            What::HungUp { by: Side::Robot } => "robot",
            What::HungUp { by: Side::Caller } => "caller",
        }
    }
}

/// One line: time, who, what.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {:<8}  {}", clock(self.at_ms), self.who(), self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prompt { clips, text, lasts_ms, asks } => {
                let clips = clips.join(", ");
                let said = match text {
                    Some(text) => format!("{clips} «{text}»"),
                    None => clips,
                };
                match asks {
                    None => write!(f, "{said} ({})", seconds(*lasts_ms)),
                    Some(asks) if said.is_empty() => write!(f, "? {asks}"),
                    Some(asks) => write!(f, "{said} ({})  ? {asks}", seconds(*lasts_ms)),
                }
            }
            Self::Pressed { key, heard: true } => write!(f, "presses {key}"),
            Self::Pressed { key, heard: false } => write!(f, "presses {key}, which is dropped"),
            Self::Said { text, heard: true } => write!(f, "says «{text}»"),
            Self::Said { text, heard: false } => write!(f, "says «{text}», and nobody listens"),
            Self::Answered { answer } => write!(f, "the answer: {answer}"),
            Self::Waits { lasts_ms } => write!(f, "waits ({})", seconds(*lasts_ms)),
            Self::Recorded { name, lasts_ms } => write!(f, "recorded {name} ({})", seconds(*lasts_ms)),
            Self::Transfer { to } => write!(f, "hands the caller over to {to}"),
            Self::TransferEnded { end } => f.write_str(end),
            Self::Result { name } => f.write_str(name),
            Self::Field { name, value } => write!(f, "{name} = {value}"),
            Self::Note { text } => write!(f, "note: {text}"),
            Self::Blocked { reason } => write!(f, "not to be called again: {reason}"),
            Self::Sms { to: None, text } => write!(f, "«{text}»"),
            Self::Sms { to: Some(to), text } => write!(f, "to {to}: «{text}»"),
            Self::Log { level, text } => write!(f, "{level}: {text}"),
            Self::Refused { call, why } => write!(f, "{call}: {why}"),
            Self::Machine => f.write_str("an answering machine was recognised"),
            Self::Fault { why } => f.write_str(why),
            Self::HungUp { .. } => f.write_str("hangs up"),
        }
    }
}

/// What a call of the scenario to its host has to tell, if the line does not show it itself.
pub(crate) fn of_call(call: &'static str, given: &Value, got: &Value) -> Option<What> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let part = |index: usize| text(&given[index]);
    if let Some(error) = got.get("err") {
        let why = match (error.as_str(), error.get("refused")) {
            (Some("hung-up"), _) => return None,
            (Some(why), _) => why.to_owned(),
            (None, Some(why)) => text(why),
            // The line is over; whoever ended it has said so.
            (None, None) => return None,
        };
        return Some(What::Refused { call: call.to_owned(), why });
    }
    Some(match call {
        "outcome.set-result" => What::Result { name: text(given) },
        "lead.set-field" => What::Field { name: part(0), value: part(1) },
        "lead.note" => What::Note { text: text(given) },
        "lead.block" => What::Blocked { reason: text(given) },
        "sms.send" => What::Sms { to: given[0].as_str().map(str::to_owned), text: part(1) },
        "host.log" => What::Log { level: part(0), text: part(1) },
        _ => return None,
    })
}

/// An answer in a few words.
pub(crate) fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Keys(keys) if keys.is_empty() => "no keys but the finish key".into(),
        Answer::Keys(keys) => format!("keys {keys}"),
        Answer::Speech(heard) => match &heard.phrase {
            Some(phrase) => format!("phrase {phrase}"),
            None => "speech, and no phrase of the question in it".into(),
        },
        Answer::Silence => "silence".into(),
        Answer::RecogniserBusy => "recogniser busy".into(),
    }
}

/// The end of a transfer as scripts write it.
pub(crate) fn transfer_end(end: &TransferEnd) -> String {
    match end {
        TransferEnd::Talked(time) => format!("talked {}", seconds(millis(*time))),
        TransferEnd::Busy => "busy".into(),
        TransferEnd::NoAnswer => "no-answer".into(),
        TransferEnd::Rejected => "rejected".into(),
        TransferEnd::Nobody => "nobody".into(),
        TransferEnd::Failed(why) => format!("failed: {why}"),
    }
}

/// A prompt's parts by name.
pub(crate) fn clips(prompt: &[Part]) -> Vec<String> {
    let name = |part: &Part| match part {
        Part::Clip(name) => name.to_string(),
        Part::Pause(time) => format!("{} ms", time.as_millis()),
    };
    prompt.iter().map(name).collect()
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// `4.2 s`: no more digits than it takes.
pub(crate) fn seconds(millis: u64) -> String {
    let text = format!("{}.{:03}", millis / 1000, millis % 1000);
    format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
}

/// `1:04.250`.
fn clock(millis: u64) -> String {
    format!("{}:{:02}.{:03}", millis / 60_000, millis / 1000 % 60, millis % 1000)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn calls_to_the_host_become_lines_for_people() {
        for (call, given, got, line) in [
            ("outcome.set-result", json!("Записаться"), json!(null), "0:03.000  result    Записаться"),
            (
                "outcome.set-result",
                json!("Да"),
                json!({"err": "no such result"}),
                "0:03.000  host      outcome.set-result: no such result",
            ),
            (
                "lead.set-field",
                json!(["confirmed", "yes"]),
                json!(null),
                "0:03.000  card      confirmed = yes",
            ),
            (
                "lead.block",
                json!("просил"),
                json!(null),
                "0:03.000  card      not to be called again: просил",
            ),
            ("sms.send", json!([null, "Ждём вас"]), json!("sms-1"), "0:03.000  sms       «Ждём вас»"),
            (
                "sms.send",
                json!([null, "Ждём"]),
                json!({"err": "not-configured"}),
                "0:03.000  host      sms.send: not-configured",
            ),
            ("host.log", json!(["warn", "a line"]), json!(null), "0:03.000  log       warn: a line"),
            (
                "line.play",
                json!(["x"]),
                json!({"err": {"refused": "there is no clip `x`"}}),
                "0:03.000  host      line.play: there is no clip `x`",
            ),
        ] {
            let what = of_call(call, &given, &got).expect("it has something to tell");
            assert_eq!(Entry { at_ms: 3000, what }.to_string(), line);
        }
        for (call, got) in [
            ("line.play", json!({"err": "hung-up"})),
            ("line.ask", json!({"err": {"ended": "the call is over"}})),
            ("line.play", json!(null)),
            ("host.now", json!("…")),
        ] {
            assert_eq!(of_call(call, &json!(null), &got), None, "{call} {got}");
        }
    }

    #[test]
    fn lengths_of_time_are_as_short_as_they_can_be() {
        for (millis, text) in [(0, "0 s"), (400, "0.4 s"), (2366, "2.366 s"), (10_000, "10 s")] {
            assert_eq!(seconds(millis), text);
        }
        assert_eq!(clock(64_250), "1:04.250");
    }
}
