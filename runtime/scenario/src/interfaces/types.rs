//! `types`: prompts of the WIT into prompts of the line, errors of the line into errors of the WIT.

use std::sync::Arc;
use std::time::Duration;

pub(crate) use super::wit::types::{Host, LineError, Part};
use crate::limits::{DIGITS, PROMPT_PARTS};
use crate::ports;
use crate::session::State;

impl Host for State {}

impl From<ports::LineError> for LineError {
    fn from(error: ports::LineError) -> Self {
        match error {
            ports::LineError::HungUp => Self::HungUp,
            ports::LineError::Ended(why) => Self::Ended(why),
            ports::LineError::Refused(why) => Self::Refused(why),
        }
    }
}

impl State {
    /// The clips and pauses that a prompt comes to; `Refused`, with a sentence, when one part cannot be played.
    pub(crate) fn prompt(&self, parts: &[Part]) -> Result<Vec<ports::Part>, ports::LineError> {
        let refused = |why: String| Err(ports::LineError::Refused(why));
        if parts.len() > PROMPT_PARTS {
            return refused(format!(
                "a prompt has at most {PROMPT_PARTS} parts, this one has {}",
                parts.len()
            ));
        }
        let mut prompt = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Part::Clip(name) => match self.clip(name) {
                    Some(clip) => prompt.push(ports::Part::Clip(clip)),
                    None => return refused(self.no_such_clip(name)),
                },
                Part::Pause(ms) => prompt.push(ports::Part::Pause(Duration::from_millis((*ms).into()))),
                Part::Digits(digits) if digits.len() > DIGITS => {
                    return refused(format!("at most {DIGITS} digits are spelled out at once"));
                }
                Part::Digits(digits) => {
                    for digit in digits.chars() {
                        if !digit.is_ascii_digit() {
                            return refused(format!("`{digit}` is not a digit"));
                        }
                        match self.clip(&format!("digit-{digit}")) {
                            Some(clip) => prompt.push(ports::Part::Clip(clip)),
                            None => {
                                return refused(format!(
                                    "the package has no clip `digit-{digit}` to spell with"
                                ));
                            }
                        }
                    }
                }
                Part::Number(_) => return refused("this host does not read numbers out yet".into()),
                Part::Say(_) => return refused("this host has no speech synthesis".into()),
            }
        }
        Ok(prompt)
    }

    pub(super) fn clip(&self, name: &str) -> Option<Arc<str>> {
        self.module.clip(name)
    }

    pub(super) fn no_such_clip(&self, name: &str) -> String {
        let known: Vec<&str> = self.module.clips().take(10).map(|name| &**name).collect();
        match known.is_empty() {
            true => format!("there is no clip `{}`: the package has none", shorten(name, 64)),
            false => {
                format!("there is no clip `{}`; the package has `{}`", shorten(name, 64), known.join("`, `"))
            }
        }
    }
}

/// The beginning of a text, at most this many bytes, cut between characters.
pub(crate) fn shorten(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
