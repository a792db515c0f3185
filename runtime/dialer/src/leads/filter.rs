//! Leads that match, page by page.

use zvonar_campaign::LeadStatus;
use zvonar_model::{LeadId, ProjectId};
use zvonar_store::Cursor;

use crate::Result;
use crate::tables::{AttemptStep, Lead, Step, Tables, decode};

/// How many leads are looked at for one page: a rare filter gives a page with fewer rows and a place to go on, not a wait.
const LOOK: usize = 2_000;

/// How many leads are read at once.
const CHUNK: usize = 500;

/// Which leads are wanted. Empty parts let all pass.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeadFilter {
    /// In one of these statuses.
    pub statuses: Vec<LeadStatus>,
    /// With all of these tags.
    pub tags: Vec<String>,
    /// Whose last call came to this.
    pub result: Option<String>,
    /// With this in the id, or these digits in a number (8 stands for +7).
    pub text: Option<String>,
}

impl LeadFilter {
    /// Leads in this status.
    pub fn status(status: LeadStatus) -> Self {
        Self { statuses: vec![status], ..Self::default() }
    }

    /// Leads with this tag.
    pub fn tag(tag: &str) -> Self {
        Self { tags: vec![tag.to_owned()], ..Self::default() }
    }

    /// Whether a lead matches in all but the result of its last call.
    fn matches(&self, lead: &Lead) -> bool {
        (self.statuses.is_empty() || self.statuses.contains(&lead.progress.state.status()))
            && self.tags.iter().all(|tag| lead.tags.contains(tag))
            && self.text.as_ref().is_none_or(|text| has_text(lead, text))
    }
}

fn has_text(lead: &Lead, text: &str) -> bool {
    let text = text.trim().to_lowercase();
    if lead.lead.as_str().to_lowercase().contains(&text) {
        return true;
    }
    // What has letters is no part of a number.
    if text.chars().any(char::is_alphabetic) {
        return false;
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    if digits.len() < 2 {
        return false;
    }
    // As it is dialled within the country.
    let abroad = digits.strip_prefix('8').map(|rest| format!("7{rest}"));
    lead.numbers.iter().any(|number| {
        let number = number.digits();
        number.contains(&digits) || abroad.as_ref().is_some_and(|abroad| number.starts_with(abroad))
    })
}

/// A part of the leads that match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeadPage {
    /// In the order of their ids.
    pub leads: Vec<Lead>,
    /// The last lead that was looked at: where to go on; `None`: there are no more.
    pub next: Option<LeadId>,
}

impl Tables {
    /// Up to `limit` leads of a project that match, after this one. Fewer when matches are rare: go on as long as there is
    /// a `next`.
    pub async fn lead_page(
        &self,
        project: &ProjectId,
        filter: &LeadFilter,
        after: Option<&LeadId>,
        limit: usize,
    ) -> Result<LeadPage> {
        let limit = limit.max(1);
        // Both engines go through keys in their order, and go on from any of them.
        let place = |lead: &LeadId| Cursor::at(self.keys.lead(project, lead).as_str());
        let mut cursor = after.map_or_else(Cursor::start, place);
        let mut leads = Vec::new();
        let mut looked = 0;
        loop {
            let chunk = if filter == &LeadFilter::default() { limit.min(CHUNK) } else { CHUNK };
            let page = self.store.scan(self.keys.shard(), &self.keys.leads(project), cursor, chunk).await?;
            let mut last = None;
            for item in &page.items {
                let lead = decode::<Lead>(item)?.row;
                looked += 1;
                last = Some(lead.lead.clone());
                if self.lead_matches(&lead, filter).await? {
                    leads.push(lead);
                }
                if leads.len() == limit || looked == LOOK.max(limit) {
                    break;
                }
            }
            let whole =
                last.is_none() || page.items.last().is_some_and(|item| item.key.last() == last_id(&last));
            let ended = whole && page.next.is_none();
            if ended || leads.len() == limit || looked >= LOOK.max(limit) {
                return Ok(LeadPage { leads, next: last.filter(|_| !ended) });
            }
            cursor = last.as_ref().map_or_else(Cursor::start, place);
        }
    }

    /// Whether a lead matches.
    pub(crate) async fn lead_matches(&self, lead: &Lead, filter: &LeadFilter) -> Result<bool> {
        if !filter.matches(lead) {
            return Ok(false);
        }
        let Some(result) = &filter.result else { return Ok(true) };
        Ok(self.last_call(lead).await?.is_some_and(|call| call.result == *result))
    }

    /// The last finished attempt to reach a lead.
    pub(crate) async fn last_call(&self, lead: &Lead) -> Result<Option<AttemptStep>> {
        let Some(last) = lead.progress.tries.last() else { return Ok(None) };
        Ok(match self.get::<Step>(&self.keys.attempt_step(&last.attempt)).await?.map(|read| read.row) {
            Some(Step::Attempt(step)) => Some(*step),
            _ => None,
        })
    }
}

fn last_id(lead: &Option<LeadId>) -> &str {
    lead.as_ref().map_or("", LeadId::as_str)
}
