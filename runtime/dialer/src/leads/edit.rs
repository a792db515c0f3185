//! One lead's numbers and fields, changed by a person.

use std::collections::BTreeMap;

use zvonar_campaign::{LeadState, rotation};
use zvonar_model::{LeadId, PhoneNumber, ProjectId};
use zvonar_store::{Commit, Write};

use super::fitted;
use crate::projects::check_card;
use crate::tables::{Lead, Read, Step, TRIES, Tables, encode};
use crate::{DialerError, Result};

/// What is changed of a lead; what is not named stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeadEdit {
    /// All numbers, in order. What is known of calls to those that stay, stays known.
    pub numbers: Option<Vec<PhoneNumber>>,
    /// Fields by name; `None` takes the field away.
    pub fields: BTreeMap<String, Option<String>>,
}

impl LeadEdit {
    /// The lead as it is wanted.
    fn apply(&self, lead: &Lead) -> Lead {
        let mut next = lead.clone();
        if let Some(numbers) = &self.numbers {
            let mut seen = std::collections::BTreeSet::new();
            next.numbers = numbers.iter().filter(|number| seen.insert(*number)).cloned().collect();
        }
        for (name, value) in &self.fields {
            match value {
                Some(value) => next.fields.insert(name.clone(), value.clone()),
                None => next.fields.remove(name),
            };
        }
        next
    }
}

impl Tables {
    /// Changes a lead, also one that is being dialled. With new numbers it stands where the calls to them leave it: one
    /// that nobody could be reached at may be called again at a number that was not tried.
    ///
    /// # Errors
    /// [`DialerError::NoProject`], [`DialerError::NoLead`]; [`DialerError::LeadTooLarge`] for more than a lead may have;
    /// [`DialerError::LeadRefused`] for a number that is not dialled. Nothing is changed then.
    pub async fn edit_lead(&self, project: &ProjectId, lead: &LeadId, edit: &LeadEdit) -> Result<Lead> {
        let rules = self.known_project(project).await?.rules;
        for number in edit.numbers.iter().flatten() {
            if let Err(why) = self.check_number(number, rules.only_mobile) {
                let what = format!("{number} is not dialled: {why}");
                return Err(DialerError::LeadRefused { lead: lead.clone(), what });
            }
        }
        let key = self.keys.lead(project, lead);
        for _ in 0..TRIES {
            let Some(Read { row, revision }) = self.get::<Lead>(&key).await? else {
                return Err(DialerError::NoLead(lead.clone()));
            };
            let mut next = edit.apply(&row);
            if next == row {
                return Ok(row);
            }
            check_card(lead, &next.numbers, &next.fields, &next.tags)?;
            if next.numbers != row.numbers && row.progress.state != LeadState::Reached {
                next.progress.state = rotation(&next.progress.tries, &rules.retry, &next.numbers).state();
            }
            let next = fitted(next);
            let moved = (row.progress.state.status(), next.progress.state.status());
            let step = Step::Edited { project: project.clone(), lead: lead.clone(), moved };
            let writes = vec![
                Write::create(self.keys.changed_step("edited", project, revision), encode(&step)),
                Write::replace(key.clone(), revision, encode(&next)),
            ];
            if let Commit::Done(_) = self.commit(writes, 0).await? {
                return Ok(next);
            }
        }
        Err(DialerError::Contended(key))
    }
}
