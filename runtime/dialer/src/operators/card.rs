//! «Прозвон»: what an operator sees when a caller is handed to him, and what he says came of it.
//!
//! What he says is a row of its own beside the attempt's record: a record is written once, and the scenario's result stays
//! as it is. It writes a step into the journal, for webhooks to tell.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zvonar_model::{AttemptId, AttemptRecord, OperatorId, ScenarioName, UnixMillis};
use zvonar_store::{Commit, Write};

use crate::projects::MAX_TEXT;
use crate::tables::{Intent, Read, Row, Step, TRIES, Tables, encode};
use crate::{DialerError, Result};

/// The longest comment, in bytes.
pub const MAX_COMMENT: usize = MAX_TEXT;

/// The longest talk script of an operator's own, in bytes.
const MAX_SCRIPT: usize = 16 << 10;

/// The most results that he may be given to pick from.
const MAX_RESULTS: usize = 100;

/// The longest result, in characters.
const MAX_RESULT_NAME: usize = 100;

/// «Прозвон»: what an operator is shown with a call.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Card {
    /// The scenario whose talk script and results he gets, whatever scenario the caller has talked with; `None`: that one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<ScenarioName>,
    /// A talk script of his own, before that of the scenario.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// Results of his own to pick from, before those of the scenario.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<String>,
}

impl Card {
    /// What no card may have, in a sentence.
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        if self.script.as_ref().is_some_and(|script| script.len() > MAX_SCRIPT) {
            return Err(format!("a talk script has at most {} KiB", MAX_SCRIPT >> 10));
        }
        if self.results.len() > MAX_RESULTS {
            return Err(format!("there are at most {MAX_RESULTS} results to pick from"));
        }
        let bad = |name: &&String| {
            name.trim().is_empty()
                || name.chars().count() > MAX_RESULT_NAME
                || name.chars().any(char::is_control)
        };
        match self.results.iter().find(bad) {
            Some(_) => Err(format!("a result is one line of 1 to {MAX_RESULT_NAME} characters")),
            None => Ok(()),
        }
    }
}

/// What an operator says came of a talk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Of which attempt.
    pub attempt: AttemptId,
    /// Who says so.
    pub operator: OperatorId,
    /// The result that he picked.
    pub result: String,
    /// What he wrote to it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// When.
    pub at: UnixMillis,
}

impl Row for Verdict {
    const VERSION: u16 = 1;
}

/// Fields that hold a person's name, as lists have them; the first that is there counts.
const NAME_FIELDS: [&str; 7] = ["name", "имя", "фио", "full_name", "fio", "имя клиента", "контакт"];

/// What a lead is called, for an operator's telephone and his screen: by the fields of its card.
pub fn lead_name(fields: &BTreeMap<String, String>) -> Option<&str> {
    let named = |wanted: &&str| fields.iter().find(|(name, _)| name.trim().to_lowercase() == **wanted);
    let (_, name) =
        NAME_FIELDS.iter().find_map(|wanted| named(wanted).filter(|(_, name)| !name.trim().is_empty()))?;
    Some(name.trim())
}

/// An attempt that an operator has to do with, over or not.
#[derive(Debug, Clone, PartialEq)]
pub enum Handed {
    /// It is under way.
    Now(Box<Intent>),
    /// It is over.
    Over(Box<AttemptRecord>),
}

impl Tables {
    /// Notes what an operator says came of a talk, in place of what he said before. Whether he had to do with it is the
    /// asker's to know.
    ///
    /// # Errors
    /// [`DialerError::BadVerdict`] for a result that is none, or a comment that is too long.
    pub async fn put_verdict(&self, verdict: &Verdict) -> Result<()> {
        let bad = |what: String| Err(DialerError::BadVerdict(what));
        if verdict.result.trim().is_empty() || verdict.result.chars().any(char::is_control) {
            return bad("choose a result; it is one line of text".into());
        }
        if verdict.result.chars().count() > MAX_RESULT_NAME {
            return bad(format!("a result has at most {MAX_RESULT_NAME} characters"));
        }
        if verdict.comment.len() > MAX_COMMENT {
            return bad(format!(
                "a comment has at most {MAX_COMMENT} bytes, this one has {}",
                verdict.comment.len()
            ));
        }
        let key = self.keys.verdict(&verdict.attempt);
        for _ in 0..TRIES {
            let (before, write) = match self.get::<Verdict>(&key).await? {
                Some(Read { row, .. }) if row == *verdict => return Ok(()),
                Some(Read { revision, .. }) => {
                    (revision, Write::replace(key.clone(), revision, encode(verdict)))
                }
                None => (0, Write::create(key.clone(), encode(verdict))),
            };
            let step = Step::Judged(Box::new(verdict.clone()));
            let told = Write::create(self.keys.judged_step(&verdict.attempt, before), encode(&step));
            if let Commit::Done(_) = self.commit(vec![write, told], 0).await? {
                return Ok(());
            }
        }
        Err(DialerError::Contended(key))
    }

    /// What an operator said came of an attempt.
    pub async fn verdict(&self, attempt: &AttemptId) -> Result<Option<Verdict>> {
        Ok(self.get::<Verdict>(&self.keys.verdict(attempt)).await?.map(|read| read.row))
    }

    /// An attempt, under way or over; `None`: it is a call that came in and is not over, or there is none of this id.
    pub async fn handed(&self, attempt: &AttemptId) -> Result<Option<Handed>> {
        if let Some(read) = self.get::<Intent>(&self.keys.intent(attempt)).await? {
            return Ok(Some(Handed::Now(Box::new(read.row))));
        }
        Ok(self.record(attempt).await?.map(|record| Handed::Over(Box::new(record))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lead_is_called_by_the_field_that_holds_a_name() {
        let card = |fields: &[(&str, &str)]| -> BTreeMap<String, String> {
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(
            lead_name(&card(&[("город", "Омск"), ("Имя", " Анна "), ("ФИО", "Анна Петрова")])),
            Some("Анна")
        );
        assert_eq!(lead_name(&card(&[("name", " "), ("фио", "Анна Петрова")])), Some("Анна Петрова"));
        assert_eq!(lead_name(&card(&[("город", "Омск")])), None);
    }
}
