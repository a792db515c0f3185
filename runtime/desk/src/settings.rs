//! What a tenant sets for its desk.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zvonar_model::Millis;

use crate::{Group, Operator, Status};

/// What a tenant sets for its desk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long one operator's telephone rings before it is the next one's turn.
    pub ring: Millis,
    /// How long an operator is left alone after a talk, to write down what came of it.
    pub wrap_up: Millis,
    /// The same for callers who wanted this group. An operator's own time comes before both.
    pub wrap_up_of: BTreeMap<Group, Millis>,
    /// How long a telephone that was not taken is left alone.
    pub rest: Millis,
    /// What happens to an operator who does not take his calls (to be engaged or out of reach is none of that); `None`:
    /// nothing.
    pub after_misses: Option<AfterMisses>,
    /// An operator who takes calls and has had no telephone for so long is «Не в сети». Longer than a registration lasts,
    /// or a restart of the host sends everybody home.
    pub lost_phone: Millis,
    /// How many callers may wait at once; one more is told at once that nobody is free.
    pub most_callers: u32,
    /// How often those who wait are told their place; `None`: never.
    pub tell_every: Option<Millis>,
}

/// What happens to an operator who does not take his calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AfterMisses {
    /// After so many in a row; 0 counts as 1.
    pub in_a_row: u32,
    /// This becomes his status.
    pub status: Status,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ring: Millis(20_000),
            wrap_up: Millis(0),
            wrap_up_of: BTreeMap::new(),
            rest: Millis(10_000),
            after_misses: Some(AfterMisses { in_a_row: 3, status: Status::Break }),
            lost_phone: Millis(600_000),
            most_callers: 200,
            tell_every: None,
        }
    }
}

impl Settings {
    /// How long this operator is left alone after a talk with a caller who wanted this group.
    pub(crate) fn wrap_up(&self, operator: &Operator, group: Option<&Group>) -> Millis {
        let of_group = || group.and_then(|group| self.wrap_up_of.get(group)).copied();
        operator.wrap_up.or_else(of_group).unwrap_or(self.wrap_up)
    }
}
