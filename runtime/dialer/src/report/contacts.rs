//! «Выгрузка контактов»: leads by status, tag or result, with what came of them.

use zvonar_model::{LeadId, ProjectId};

use crate::tables::{AttemptStep, Lead, Tables};
use crate::{LeadFilter, LeadPage, Result};

/// A lead and its last call.
#[derive(Debug, Clone, PartialEq)]
pub struct Contact {
    /// The lead.
    pub lead: Lead,
    /// Its last finished attempt, if there was one.
    pub last: Option<AttemptStep>,
}

/// A part of the contacts that match.
#[derive(Debug, Clone, PartialEq)]
pub struct ContactPage {
    /// In the order of their ids.
    pub contacts: Vec<Contact>,
    /// The last lead that was looked at: where to go on; `None`: there are no more.
    pub next: Option<LeadId>,
}

impl Tables {
    /// Up to `limit` leads of a project that match, after this one, each with its last call. See [`Tables::lead_page`].
    pub async fn contact_page(
        &self,
        project: &ProjectId,
        filter: &LeadFilter,
        after: Option<&LeadId>,
        limit: usize,
    ) -> Result<ContactPage> {
        let LeadPage { leads, next } = self.lead_page(project, filter, after, limit).await?;
        let mut contacts = Vec::with_capacity(leads.len());
        for lead in leads {
            let last = self.last_call(&lead).await?;
            contacts.push(Contact { lead, last });
        }
        Ok(ContactPage { contacts, next })
    }
}
