//! Operations on many leads: tag, untag, delete, move, copy.

use std::collections::BTreeSet;

use zvonar_campaign::Progress;
use zvonar_model::{LeadId, ProjectId};
use zvonar_store::{Commit, Write};

use super::filter::LeadFilter;
use super::{MAX_TAGS, fitted, tag_fault};
use crate::tables::{Lead, Project, Read, Standing, Step, TRIES, Tables, encode};
use crate::{DialerError, Result};

/// How many leads are changed in one commit: with what goes along, below the store's limit of writes.
const BATCH: usize = 90;

/// A lead that moves is two writes.
const MOVED: usize = 45;

/// Which leads something is done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// These.
    These(Vec<LeadId>),
    /// All that match when it is their turn.
    All(LeadFilter),
}

/// What became of leads that something was to be done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Changed {
    /// To so many it was done.
    pub changed: u64,
    /// So many were so already, or had gone.
    pub same: u64,
    /// So many are being dialled, so they stay where they are: do it again when their calls are over.
    pub busy: u64,
    /// So many could not take it: they have all the tags that a lead may have.
    pub full: u64,
}

/// The leads of a selection, batch by batch.
struct Batches<'a> {
    selection: &'a Selection,
    place: Place,
}

enum Place {
    These(usize),
    After(Option<LeadId>),
    End,
}

impl<'a> Batches<'a> {
    fn of(selection: &'a Selection) -> Self {
        let place = match selection {
            Selection::These(_) => Place::These(0),
            Selection::All(_) => Place::After(None),
        };
        Self { selection, place }
    }

    /// The next up to `size` leads; `None`: that was all. May be empty in between.
    async fn next(
        &mut self,
        tables: &Tables,
        project: &ProjectId,
        size: usize,
    ) -> Result<Option<Vec<LeadId>>> {
        match (self.selection, &self.place) {
            (Selection::These(leads), Place::These(from)) => {
                let batch: Vec<LeadId> = leads.iter().skip(*from).take(size).cloned().collect();
                self.place = Place::These(from + batch.len());
                // A commit writes each key once.
                let batch: BTreeSet<LeadId> = batch.into_iter().collect();
                Ok((!batch.is_empty()).then(|| batch.into_iter().collect()))
            }
            (Selection::All(filter), Place::After(after)) => {
                let page = tables.lead_page(project, filter, after.as_ref(), size).await?;
                self.place = page.next.map_or(Place::End, |next| Place::After(Some(next)));
                Ok(Some(page.leads.into_iter().map(|lead| lead.lead).collect()))
            }
            _ => Ok(None),
        }
    }

    /// Whether a lead is still selected: it may have changed since the page was read.
    async fn has(&self, tables: &Tables, lead: &Lead) -> Result<bool> {
        match self.selection {
            Selection::These(_) => Ok(true),
            Selection::All(filter) => tables.lead_matches(lead, filter).await,
        }
    }
}

/// What is done to leads.
#[derive(Clone, Copy)]
enum Operation<'a> {
    Tag { add: &'a BTreeSet<String>, remove: &'a BTreeSet<String> },
    Delete,
    Copy { to: &'a ProjectId },
    Move { to: &'a ProjectId },
}

impl Tables {
    /// Gives leads tags and takes others from them. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`DialerError::NoProject`]; [`DialerError::BadTag`] before anything is changed.
    pub async fn tag_leads(
        &self,
        project: &ProjectId,
        selection: &Selection,
        add: &BTreeSet<String>,
        remove: &BTreeSet<String>,
    ) -> Result<Changed> {
        if let Some(what) = add.iter().find_map(|tag| tag_fault(tag)) {
            return Err(DialerError::BadTag(what));
        }
        self.operate(project, selection, Operation::Tag { add, remove }).await
    }

    /// Deletes leads. Calls in progress go on: they are recorded and charged, and bring nobody back. What was recorded of
    /// earlier calls stays.
    ///
    /// # Errors
    /// [`DialerError::NoProject`].
    pub async fn delete_leads(&self, project: &ProjectId, selection: &Selection) -> Result<Changed> {
        self.operate(project, selection, Operation::Delete).await
    }

    /// Moves leads to another project, where they begin anew; what was recorded of their calls stays with the old one.
    /// Whoever is there already, by his id, stays where he is.
    ///
    /// # Errors
    /// [`DialerError::NoProject`].
    pub async fn move_leads(
        &self,
        from: &ProjectId,
        to: &ProjectId,
        selection: &Selection,
    ) -> Result<Changed> {
        self.known_project(to).await?;
        self.operate(from, selection, Operation::Move { to }).await
    }

    /// Copies leads to another project, where they begin anew. Whoever is there already, by his id, is passed over.
    ///
    /// # Errors
    /// [`DialerError::NoProject`].
    pub async fn copy_leads(
        &self,
        from: &ProjectId,
        to: &ProjectId,
        selection: &Selection,
    ) -> Result<Changed> {
        self.known_project(to).await?;
        self.operate(from, selection, Operation::Copy { to }).await
    }

    async fn operate(
        &self,
        project: &ProjectId,
        selection: &Selection,
        what: Operation<'_>,
    ) -> Result<Changed> {
        self.known_project(project).await?;
        let size = if matches!(what, Operation::Move { .. }) { MOVED } else { BATCH };
        let mut done = Changed::default();
        let mut batches = Batches::of(selection);
        while let Some(ids) = batches.next(self, project, size).await? {
            self.operate_on(project, &batches, &ids, what, &mut done).await?;
        }
        Ok(done)
    }

    /// Does something to a batch of leads as they are now, again and again until nobody changes them meanwhile.
    async fn operate_on(
        &self,
        project: &ProjectId,
        batches: &Batches<'_>,
        ids: &[LeadId],
        what: Operation<'_>,
        done: &mut Changed,
    ) -> Result<()> {
        for _ in 0..TRIES {
            let mut now = *done;
            let mut leads = Vec::with_capacity(ids.len());
            for id in ids {
                match self.get::<Lead>(&self.keys.lead(project, id)).await? {
                    Some(read) if batches.has(self, &read.row).await? => leads.push(read),
                    _ => now.same += 1,
                }
            }
            let writes = match what {
                Operation::Tag { add, remove } => self.tagged(project, leads, (add, remove), &mut now),
                Operation::Delete => self.deleted(project, &leads, &mut now),
                Operation::Copy { to } => self.transferred(project, to, leads, false, &mut now).await?,
                Operation::Move { to } => self.transferred(project, to, leads, true, &mut now).await?,
            };
            if writes.is_empty() || matches!(self.commit(writes, 0).await?, Commit::Done(_)) {
                *done = now;
                return Ok(());
            }
        }
        Err(DialerError::Contended(self.keys.leads(project)))
    }

    /// The writes that tag leads, the step first.
    fn tagged(
        &self,
        project: &ProjectId,
        leads: Vec<Read<Lead>>,
        (add, remove): (&BTreeSet<String>, &BTreeSet<String>),
        done: &mut Changed,
    ) -> Vec<Write> {
        let (mut writes, mut tagged, mut first) = (Vec::new(), Vec::new(), 0);
        for Read { row, revision } in leads {
            let mut next = row.clone();
            next.tags.extend(add.iter().cloned());
            next.tags.retain(|tag| !remove.contains(tag));
            if next.tags == row.tags {
                done.same += 1;
            } else if next.tags.len() > MAX_TAGS && next.tags.len() > row.tags.len() {
                done.full += 1;
            } else {
                if tagged.is_empty() {
                    first = revision;
                }
                tagged.push(next.lead.clone());
                let key = self.keys.lead(project, &next.lead);
                writes.push(Write::replace(key, revision, encode(&fitted(next))));
            }
        }
        if !tagged.is_empty() {
            done.changed += tagged.len() as u64;
            let step = Step::Tagged { project: project.clone(), leads: tagged };
            writes.insert(0, Write::create(self.keys.changed_step("tagged", project, first), encode(&step)));
        }
        writes
    }

    /// The writes that delete leads, the step first.
    fn deleted(&self, project: &ProjectId, leads: &[Read<Lead>], done: &mut Changed) -> Vec<Write> {
        if leads.is_empty() {
            return Vec::new();
        }
        done.changed += leads.len() as u64;
        let mut writes = vec![self.removed(project, leads)];
        for Read { row, revision } in leads {
            writes.push(Write::delete(self.keys.lead(project, &row.lead), *revision));
        }
        writes
    }

    /// The writes that bring leads into another project, the step first.
    async fn transferred(
        &self,
        from: &ProjectId,
        to: &ProjectId,
        leads: Vec<Read<Lead>>,
        and_delete: bool,
        done: &mut Changed,
    ) -> Result<Vec<Write>> {
        let Some(Read { row: mut target, revision }) = self.read_project(to).await? else {
            return Err(DialerError::NoProject(to.clone()));
        };
        let first = target.leads;
        let (mut writes, mut gone, mut come) = (Vec::new(), Vec::new(), Vec::new());
        for read in leads {
            let there = self.keys.lead(to, &read.row.lead);
            if read.row.claim.is_some() {
                done.busy += 1;
            } else if self.store.get(self.keys.shard(), &there).await?.is_some() {
                done.same += 1;
            } else {
                let position = target.leads;
                let lead = Lead { position, progress: Progress::new(), claim: None, ..read.row.clone() };
                target.leads += 1;
                writes.push(Write::create(there, encode(&fitted(lead))));
                come.push(read.row.lead.clone());
                gone.push(read);
            }
        }
        if come.is_empty() {
            return Ok(Vec::new());
        }
        done.changed += come.len() as u64;
        if and_delete {
            writes.push(self.removed(from, &gone));
            for Read { row, revision } in &gone {
                writes.push(Write::delete(self.keys.lead(from, &row.lead), *revision));
            }
        }
        let added = Step::Added { project: to.clone(), leads: come };
        writes.insert(0, Write::create(self.keys.added_step(to, first), encode(&added)));
        writes.push(Write::replace(self.keys.project(to), revision, encode(&target)));
        Ok(writes)
    }

    /// The step that these leads go out of their project.
    fn removed(&self, project: &ProjectId, leads: &[Read<Lead>]) -> Write {
        let first = leads.first().map_or(0, |read| read.revision);
        let leads = leads.iter().map(|read| Standing::of(&read.row)).collect();
        let step = Step::Removed { project: project.clone(), leads };
        Write::create(self.keys.changed_step("removed", project, first), encode(&step))
    }

    /// A project, once the journal tells of all its leads.
    pub(super) async fn known_project(&self, project: &ProjectId) -> Result<Project> {
        self.ensure_journal().await?;
        self.project(project).await?.ok_or_else(|| DialerError::NoProject(project.clone()))
    }
}
