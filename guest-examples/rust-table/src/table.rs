//! The table: a row a line, three columns.
//!
//! ```text
//! 1, да, согласен | Согласен | sms: Ждём вас {date}; say: thanks
//! 0, оператор     | Перезвонить | transfer: sales
//! тишина          | | say: no-answer
//! // a remark
//! ```
//!
//! The first column lists keys and phrases, the second is the result (it may be empty), the third what is done, in order.
//! Reading finds every fault, each with the number of its line.

/// A table that holds together.
pub(crate) struct Table {
    rows: Vec<Row>,
    silence: Option<Row>,
}

/// What happens on some keys and phrases.
pub(crate) struct Row {
    pub(crate) keys: Vec<String>,
    pub(crate) phrases: Vec<String>,
    pub(crate) result: String,
    pub(crate) actions: Vec<Action>,
}

/// One thing to do.
pub(crate) enum Action {
    /// Plays clips.
    Say(String),
    /// Sends a text to the person.
    Sms(String),
    /// To a group of operators, to any (empty), or to a number (`+7…`).
    Transfer(String),
    /// Writes a field of the card.
    Field(String, String),
    /// Adds a note to the card.
    Note(String),
    /// No more calls to this person.
    Block,
}

/// What the first column says for the row of those who do not answer.
const SILENCE: [&str; 2] = ["тишина", "silence"];
/// How many keys one answer may have.
const LONGEST_KEY: usize = 4;

impl Table {
    /// Reads a table, or says everything that is wrong with it.
    pub(crate) fn read(text: &str) -> Result<Self, Vec<String>> {
        let mut table = Self { rows: Vec::new(), silence: None };
        let mut faults = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with("//") {
                continue;
            }
            match Row::read(line) {
                Ok((row, true)) if table.silence.is_none() => table.silence = Some(row),
                Ok((_, true)) => {
                    faults.push(format!("table, line {number}: there is a row for silence already"))
                }
                Ok((row, false)) => match table.rows.iter().find_map(|other| other.shares(&row)) {
                    None => table.rows.push(row),
                    Some(twice) => {
                        faults.push(format!("table, line {number}: `{twice}` stands in another row already"));
                    }
                },
                Err(found) => {
                    faults.extend(found.into_iter().map(|fault| format!("table, line {number}: {fault}")))
                }
            }
        }
        if table.rows.is_empty() && faults.is_empty() {
            faults.push(
                "table: there is no row with a key or a phrase, as `1, да | Согласен | say: thanks`".into(),
            );
        }
        if faults.is_empty() { Ok(table) } else { Err(faults) }
    }

    /// The rows with keys or phrases, in order.
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The row of those who do not answer.
    pub(crate) fn silence(&self) -> Option<&Row> {
        self.silence.as_ref()
    }

    /// The row with these keys.
    pub(crate) fn by_key(&self, keys: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.keys.iter().any(|key| key == keys))
    }

    /// The most keys that an answer has; 0 if no row has any.
    pub(crate) fn keys(&self) -> usize {
        self.rows.iter().flat_map(|row| &row.keys).map(String::len).max().unwrap_or(0)
    }
}

impl Row {
    /// Reads a row, and says whether it is the one for silence.
    fn read(line: &str) -> Result<(Self, bool), Vec<String>> {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let (answers, result, actions) = match columns[..] {
            [answers, result] => (answers, result, ""),
            [answers, result, actions] => (answers, result, actions),
            _ => {
                return Err(vec![format!(
                    "a row is `keys and phrases | result | actions`; this one has {} of these columns",
                    columns.len()
                )]);
            }
        };
        let mut row =
            Self { keys: Vec::new(), phrases: Vec::new(), result: result.to_owned(), actions: Vec::new() };
        let mut faults = Vec::new();
        let is_silence = SILENCE.contains(&answers.to_lowercase().as_str());
        if !is_silence {
            for answer in answers.split(',').map(str::trim).filter(|answer| !answer.is_empty()) {
                let is_key = answer.chars().all(|c| matches!(c, '0'..='9' | '*' | '#'));
                match is_key {
                    true if answer.len() > LONGEST_KEY => {
                        faults.push(format!("`{answer}` has more than {LONGEST_KEY} keys"));
                    }
                    true => row.keys.push(answer.to_owned()),
                    false => row.phrases.push(answer.to_lowercase()),
                }
            }
            if row.keys.is_empty() && row.phrases.is_empty() && faults.is_empty() {
                faults.push("the first column is empty: it lists keys and phrases, as `1, да`".into());
            }
        }
        for action in actions.split(';').map(str::trim).filter(|action| !action.is_empty()) {
            match Action::read(action) {
                Ok(action) => row.actions.push(action),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok((row, is_silence)) } else { Err(faults) }
    }

    /// A key or phrase that both have.
    fn shares(&self, other: &Self) -> Option<String> {
        let mut mine = self.keys.iter().chain(&self.phrases);
        mine.find(|answer| other.keys.contains(answer) || other.phrases.contains(answer)).cloned()
    }
}

impl Action {
    fn read(text: &str) -> Result<Self, String> {
        let (verb, object) =
            text.split_once(':').map_or((text, ""), |(verb, object)| (verb.trim(), object.trim()));
        let needed = |what: &str| {
            if object.is_empty() { Err(format!("`{verb}:` needs {what}")) } else { Ok(object.to_owned()) }
        };
        match verb.to_lowercase().as_str() {
            "say" | "сказать" => Ok(Self::Say(needed("the name of a prompt")?)),
            "sms" | "смс" => Ok(Self::Sms(needed("a text")?)),
            "transfer" | "перевести" => Ok(Self::Transfer(object.to_owned())),
            "note" | "заметка" => Ok(Self::Note(needed("a text")?)),
            "block" | "не звонить" => Ok(Self::Block),
            "field" | "поле" => match object.split_once('=') {
                Some((name, value)) if !name.trim().is_empty() => {
                    Ok(Self::Field(name.trim().to_owned(), value.trim().to_owned()))
                }
                _ => Err(format!("`{verb}:` needs a name and a value, as `{verb}: visit = yes`")),
            },
            other => Err(format!(
                "there is no action `{other}`; there are `say`, `sms`, `transfer`, `field`, `note`, `block`"
            )),
        }
    }
}
