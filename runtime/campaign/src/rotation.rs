//! Retries: which number of a lead is dialled next, and when a number has had enough.
//!
//! A number leaves the rotation when the same result came in a row as often as the limit of that result allows, or when
//! its calls have reached the most that one number gets; where both hold, the second is the reason. Numbers are dialled
//! in order, round and round, never the same one twice in a row while another is alive.
//!
//! [`Rotation`] is worked out from the lead's history alone, so a crash cannot change it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use zvonar_model::UnixMillis;

use crate::{LeadState, Meaning, RetryClass};

/// How often one result may come in a row, and how long to wait after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryRule {
    /// So many of it in a row, and the number leaves; 0 counts as 1.
    pub limit: u32,
    /// From the end of the attempt to the next one at the same number.
    pub interval: Duration,
}

/// A project's rules of redialling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryRules {
    /// «Нет ответа».
    pub no_answer: RetryRule,
    /// «Занято».
    pub busy: RetryRule,
    /// «Отклонён».
    pub rejected: RetryRule,
    /// «Системный».
    pub system: RetryRule,
    /// An answering machine.
    pub machine: RetryRule,
    /// «Максимальное число звонков клиенту», for each number; 0 counts as 1.
    pub max_calls: u32,
}

/// The most calls that a robot makes to one number, unless the host's administrator allows a tenant more.
pub const MAX_CALLS: u32 = 2;

impl Default for RetryRules {
    fn default() -> Self {
        let rule = |limit, minutes: u64| RetryRule { limit, interval: Duration::from_secs(minutes * 60) };
        Self {
            no_answer: rule(2, 60),
            busy: rule(2, 10),
            rejected: rule(1, 60),
            system: rule(2, 10),
            machine: rule(1, 60),
            max_calls: MAX_CALLS,
        }
    }
}

impl RetryRules {
    /// The rule of one class.
    pub fn of(&self, class: RetryClass) -> &RetryRule {
        match class {
            RetryClass::NoAnswer => &self.no_answer,
            RetryClass::Busy => &self.busy,
            RetryClass::Rejected => &self.rejected,
            RetryClass::System => &self.system,
            RetryClass::Machine => &self.machine,
        }
    }

    /// The same, to be changed.
    pub fn of_mut(&mut self, class: RetryClass) -> &mut RetryRule {
        match class {
            RetryClass::NoAnswer => &mut self.no_answer,
            RetryClass::Busy => &mut self.busy,
            RetryClass::Rejected => &mut self.rejected,
            RetryClass::System => &mut self.system,
            RetryClass::Machine => &mut self.machine,
        }
    }
}

/// Why a number is not dialled any more. `Display` is the reason as `zvonar explain` gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Its calls have reached the most that one number gets.
    MaxCalls,
    /// The same result came in a row as often as its limit allows.
    Limit(RetryClass),
    /// Dialling it makes no sense: it does not exist, or nobody may call it.
    Never,
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::MaxCalls => "max calls",
            Self::Limit(_) => "limit of result",
            Self::Never => "never",
        })
    }
}

/// One number of a lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NumberState {
    /// How often it was dialled.
    pub calls: u32,
    /// The class of the last result, and how many of it came in a row.
    pub streak: Option<(RetryClass, u32)>,
    /// Not before this moment again.
    pub not_before: UnixMillis,
    /// Why it left the rotation, if it did.
    pub left: Option<Left>,
}

/// What an attempt did to its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// How many of the same result have now come in a row; 0 for an answer.
    pub streak: u32,
    /// Why the number leaves the rotation, if it does.
    pub left: Option<Left>,
}

/// The numbers of one lead and whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    rules: RetryRules,
    numbers: Vec<NumberState>,
    last: Option<usize>,
    reached: bool,
}

impl Rotation {
    /// Of a lead with so many numbers that was never dialled.
    pub fn new(rules: RetryRules, numbers: usize) -> Self {
        Self { rules, numbers: vec![NumberState::default(); numbers], last: None, reached: false }
    }

    /// The numbers, in the order of the card.
    pub fn numbers(&self) -> &[NumberState] {
        &self.numbers
    }

    /// Whose turn it is: the next one in order after the last that has not left. `None`: the lead is finished.
    pub fn next(&self) -> Option<usize> {
        if self.reached {
            return None;
        }
        let first = self.last.map_or(0, |last| last + 1);
        let count = self.numbers.len();
        (0..count).map(|step| (first + step) % count).find(|number| self.numbers[*number].left.is_none())
    }

    /// An attempt at this number is over.
    ///
    /// # Panics
    /// When the lead has no such number.
    pub fn record(&mut self, number: usize, meaning: Meaning, at: UnixMillis) -> Step {
        self.last = Some(number);
        let rules = self.rules;
        let state = &mut self.numbers[number];
        state.calls += 1;
        let class = match meaning {
            Meaning::Reached => {
                self.reached = true;
                return Step { streak: 0, left: None };
            }
            Meaning::Never => {
                state.left = Some(Left::Never);
                return Step { streak: 1, left: state.left };
            }
            Meaning::Retried(class) => class,
        };
        let streak = match state.streak {
            Some((before, count)) if before == class => count + 1,
            _ => 1,
        };
        state.streak = Some((class, streak));
        let rule = rules.of(class);
        state.not_before = at.plus(rule.interval);
        if state.calls >= rules.max_calls.max(1) {
            state.left = Some(Left::MaxCalls);
        } else if streak >= rule.limit.max(1) {
            state.left = Some(Left::Limit(class));
        }
        Step { streak, left: state.left }
    }

    /// Somebody answered at a number that is not among these any more.
    pub(crate) fn reach(&mut self) {
        self.reached = true;
    }

    /// Where the lead stands.
    pub fn state(&self) -> LeadState {
        if self.reached {
            return LeadState::Reached;
        }
        match self.next() {
            None => LeadState::Unreached,
            Some(_) if self.last.is_none() => LeadState::New,
            Some(next) => LeadState::Again { due: self.numbers[next].not_before },
        }
    }
}

#[cfg(test)]
mod tests;
