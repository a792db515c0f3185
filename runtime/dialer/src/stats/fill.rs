//! Steps for what was stored before there was a journal of them, so that upgrading loses nothing.
//!
//! The first look at a tenant's counts writes a step for each lead and each record that has none. How far it is stands in
//! the row of the folding's cursor, and goes in the commits that write the steps: dying on the way and starting twice at
//! once write each step once. Nobody changes a lead of the past before this is done: recovery, runs and all operations on
//! leads wait for it.

use std::collections::BTreeMap;

use zvonar_ledger::Charge;
use zvonar_model::{AttemptRecord, ProjectId};
use zvonar_store::{Commit, Cursor, Write};

use crate::tables::{
    AttemptStep, Fill, Lead, Project, Read, Standing, StatCursor, StatRow, Step, TRIES, Tables, TenantKeys,
    decode, encode,
};
use crate::{DialerError, Result};

/// How many leads or records are looked at for one commit: with the cursor, below the store's limit of writes.
const BATCH: usize = 90;

impl Tables {
    /// Sees to it that everything stored has its step. Two reads when it has.
    pub(crate) async fn ensure_journal(&self) -> Result<()> {
        self.whole_journal().await.map(drop)
    }

    /// The cursor of the folding, once the journal has a step for everything that was before it.
    pub(crate) async fn whole_journal(&self) -> Result<Read<StatCursor>> {
        let key = self.keys.fold();
        // Where each project's journal begins; looked up once.
        let mut begins: Option<BTreeMap<ProjectId, u64>> = None;
        let mut tries = 0;
        loop {
            let Some(Read { row, revision }) = self.get::<StatCursor>(&key).await? else {
                let row = StatCursor { fill: self.first_fill().await?, ..StatCursor::default() };
                // A conflict says that somebody else has begun.
                let _ = self.commit(vec![Write::create(key.clone(), encode(&row))], 0).await?;
                continue;
            };
            if row.fill == Fill::Done {
                return Ok(Read { row, revision });
            }
            if begins.is_none() {
                tracing::info!(tenant = %self.tenant, "the journal of steps is made for what was stored before it");
                begins = Some(self.journal_begins().await?);
            }
            let (next, steps) = match &row.fill {
                Fill::Leads { project, after } => {
                    let begins = begins.as_ref().expect("looked up above");
                    self.fill_leads(project, after.as_deref(), begins, revision).await?
                }
                Fill::Records { after } => self.fill_records(*after).await?,
                Fill::Done => unreachable!("returned above"),
            };
            let row = StatCursor { fill: next, ..row };
            let mut writes = vec![Write::replace(key.clone(), revision, encode(&row))];
            writes.extend(steps);
            // Who lost the race goes on from where the other is.
            match self.commit(writes, 0).await? {
                Commit::Done(_) => tries = 0,
                Commit::Conflict => tries += 1,
            }
            if tries == TRIES {
                return Err(DialerError::Contended(key));
            }
        }
    }

    /// Begins the folding anew, and the looking for records without a step before it.
    pub(super) async fn fill_anew(&self) -> Result<()> {
        let key = self.keys.fold();
        for _ in 0..TRIES {
            let Read { row, revision } = self.whole_journal().await?;
            let row = StatCursor {
                generation: row.generation.wrapping_add(1),
                cursor: 0,
                fill: Fill::Records { after: 0 },
            };
            let write = Write::replace(key.clone(), revision, encode(&row));
            if let Commit::Done(_) = self.commit(vec![write], 0).await? {
                return Ok(());
            }
        }
        Err(DialerError::Contended(key))
    }

    /// Deletes the rows of earlier foldings.
    pub(super) async fn sweep_stats(&self) -> Result<()> {
        let Read { row: cursor, .. } = self.whole_journal().await?;
        let mut after = Some(Cursor::start());
        while let Some(place) = after {
            let page = self.store.scan(self.keys.shard(), &self.keys.all_stats(), place, BATCH).await?;
            after = page.next;
            let mut writes = Vec::new();
            for item in &page.items {
                if decode::<StatRow>(item)?.row.generation != cursor.generation {
                    writes.push(Write::delete(item.key.clone(), item.revision));
                }
            }
            if !writes.is_empty() {
                // They count as empty already: whatever becomes of this, nothing depends on it.
                let _ = self.store.commit(self.keys.shard(), writes).await;
            }
        }
        Ok(())
    }

    /// Where filling begins: nowhere, for a tenant who has nothing yet.
    async fn first_fill(&self) -> Result<Fill> {
        Ok(match self.project_after(None).await? {
            Some(project) => Fill::Leads { project, after: None },
            None if self.store.read(self.keys.shard(), &self.keys.calls(), 0, 1).await?.is_empty() => {
                Fill::Done
            }
            None => Fill::Records { after: 0 },
        })
    }

    /// The next project by id.
    async fn project_after(&self, before: Option<&ProjectId>) -> Result<Option<ProjectId>> {
        let projects = self.projects().await?.into_iter().map(|project| project.project);
        Ok(projects.filter(|project| before.is_none_or(|before| project > before)).min())
    }

    /// The position of the first lead of each project that has a step: those before it are older than the journal.
    async fn journal_begins(&self) -> Result<BTreeMap<ProjectId, u64>> {
        let mut begins: BTreeMap<ProjectId, u64> = BTreeMap::new();
        self.each(&self.keys.projects(), |read: Read<Project>| {
            begins.insert(read.row.project, u64::MAX);
        })
        .await?;
        let mut after = 0;
        loop {
            let steps = self.store.read(self.keys.shard(), &self.keys.steps(), after, 500).await?;
            let Some(last) = steps.last() else { return Ok(begins) };
            after = last.revision;
            for item in &steps {
                let Some(position) = TenantKeys::added_position(&item.key) else { continue };
                if let Step::Added { project, .. } = decode::<Step>(item)?.row
                    && let Some(begin) = begins.get_mut(&project)
                {
                    *begin = position.min(*begin);
                }
            }
        }
    }

    /// The next leads of a project: the place behind them, and the step for those that have none. It is named by the
    /// revision of the cursor that it replaces.
    async fn fill_leads(
        &self,
        project: &ProjectId,
        after: Option<&str>,
        begins: &BTreeMap<ProjectId, u64>,
        revision: u64,
    ) -> Result<(Fill, Vec<Write>)> {
        let place = after.map_or_else(Cursor::start, Cursor::at);
        let begin = begins.get(project).copied().unwrap_or(u64::MAX);
        let mut next = None;
        let mut leads = Vec::new();
        if begin > 0 {
            let page = self.store.scan(self.keys.shard(), &self.keys.leads(project), place, BATCH).await?;
            for item in &page.items {
                let lead = decode::<Lead>(item)?.row;
                if lead.position < begin {
                    leads.push(Standing::of(&lead));
                }
            }
            next = page.next;
        }
        let next = match next {
            Some(next) => Fill::Leads { project: project.clone(), after: next.place().map(str::to_owned) },
            None => match self.project_after(Some(project)).await? {
                Some(project) => Fill::Leads { project, after: None },
                None => Fill::Records { after: 0 },
            },
        };
        if leads.is_empty() {
            return Ok((next, Vec::new()));
        }
        let key = self.keys.changed_step("found", project, revision);
        let step = Step::Found { project: project.clone(), leads };
        Ok((next, vec![Write::create(key, encode(&step))]))
    }

    /// The next records: the revision of the last, and the steps of those that have none.
    async fn fill_records(&self, after: u64) -> Result<(Fill, Vec<Write>)> {
        let records = self.store.read(self.keys.shard(), &self.keys.calls(), after, BATCH).await?;
        let Some(last) = records.last() else { return Ok((Fill::Done, Vec::new())) };
        let mut writes = Vec::new();
        for item in &records {
            let record = decode::<AttemptRecord>(item)?.row;
            let key = self.keys.attempt_step(&record.attempt);
            if self.store.get(self.keys.shard(), &key).await?.is_some() {
                continue;
            }
            // A record without a charge is told by the check of the books; it cannot be shown as free.
            let Some(charge) = self.get::<Charge>(&self.keys.charge(&record.attempt)).await? else {
                continue;
            };
            let step = Step::Attempt(Box::new(AttemptStep::of(&record, &charge.row, None)));
            writes.push(Write::create(key, encode(&step)));
        }
        Ok((Fill::Records { after: last.revision }, writes))
    }
}
