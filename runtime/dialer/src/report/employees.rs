//! Whose calls are whose, as reports tell it: they know employees by their ids alone.

use std::collections::{BTreeMap, BTreeSet};

use zvonar_model::OperatorId;

use super::NOBODY;
use crate::operators::Verdict;
use crate::tables::{AttemptStep, Tables};
use crate::{DialerError, Result};

/// What a tenant's employees are called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Employees {
    names: BTreeMap<OperatorId, String>,
}

impl Employees {
    /// What an employee is called; one who is gone, by his id.
    pub fn name<'a>(&'a self, operator: &'a OperatorId) -> &'a str {
        self.names.get(operator).map_or(operator.as_str(), String::as_str)
    }

    /// «Ответственный» of a call.
    pub fn responsible<'a>(&'a self, step: &'a AttemptStep) -> &'a str {
        step.responsible().map_or(NOBODY, |operator| self.name(operator))
    }
}

/// Whose calls are meant.
#[derive(Debug)]
pub(super) enum Whose {
    Anybodys,
    Nobodys,
    Theirs(BTreeSet<OperatorId>),
}

impl Whose {
    pub(super) fn has(&self, step: &AttemptStep) -> bool {
        match self {
            Self::Anybodys => true,
            Self::Nobodys => step.responsible().is_none(),
            Self::Theirs(theirs) => step.responsible().is_some_and(|operator| theirs.contains(operator)),
        }
    }
}

impl Tables {
    /// What the tenant's employees are called, for reports.
    pub async fn employees(&self) -> Result<Employees> {
        Ok(Employees { names: self.operator_names().await? })
    }

    /// Whom a filter means: an id, or a name, which several may have.
    pub(super) async fn whose(&self, responsible: Option<&str>) -> Result<Whose> {
        let Some(text) = responsible else { return Ok(Whose::Anybodys) };
        if text == NOBODY {
            return Ok(Whose::Nobodys);
        }
        let named = self.operator_names().await?.into_iter().filter(|(_, name)| name == text);
        // One who is gone is still known by his id.
        let theirs: BTreeSet<OperatorId> = named.map(|(id, _)| id).chain(OperatorId::new(text)).collect();
        if theirs.is_empty() {
            return Err(DialerError::BadFilter(format!(
                "no operator is called «{text}»: give the whole name, the id, or «{NOBODY}»"
            )));
        }
        Ok(Whose::Theirs(theirs))
    }

    /// What an employee said came of a call, where one has talked with the caller.
    pub async fn verdict_of(&self, step: &AttemptStep) -> Result<Option<Verdict>> {
        if !step.transfers.iter().any(|one| one.operator.is_some()) {
            return Ok(None);
        }
        self.verdict(&step.attempt).await
    }
}
