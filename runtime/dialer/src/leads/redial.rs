//! «Call the unreached again»: a new project of all «не дозвонились» of another.

use zvonar_campaign::LeadStatus;
use zvonar_model::{ProjectId, UnixMillis};

use super::bulk::{Changed, Selection};
use super::filter::LeadFilter;
use crate::tables::{Project, Tables};
use crate::{DialerError, Result};

impl Tables {
    /// Makes a project with the settings of another and copies of all leads that it did not reach. It is paused until
    /// somebody starts it; the old project stays as it is. Cut short and done again with the same ids, it goes on where it
    /// was: a project that is there already gets those who are not in it yet.
    ///
    /// # Errors
    /// [`DialerError::NoProject`]; [`DialerError::ProjectExists`] when the new id belongs to a project with other settings,
    /// which is nobody's continuation.
    pub async fn redial(
        &self,
        from: &ProjectId,
        to: &ProjectId,
        title: &str,
        now: UnixMillis,
    ) -> Result<(Project, Changed)> {
        let source = self.known_project(from).await?;
        let project = match self.copy_project(from, to.clone(), title.to_owned(), now).await {
            Ok(made) => made,
            Err(DialerError::ProjectExists(_)) => match self.project(to).await? {
                Some(there) if from != to && is_copy(&there, &source, title) => there,
                _ => return Err(DialerError::ProjectExists(to.clone())),
            },
            Err(other) => return Err(other),
        };
        let unreached = Selection::All(LeadFilter::status(LeadStatus::Unreached));
        let copied = self.copy_leads(from, to, &unreached).await?;
        Ok((project, copied))
    }
}

/// Whether a project is what an earlier try has made.
fn is_copy(there: &Project, of: &Project, title: &str) -> bool {
    there.title == title
        && (&there.scenario, &there.settings, &there.trunk) == (&of.scenario, &of.settings, &of.trunk)
}
