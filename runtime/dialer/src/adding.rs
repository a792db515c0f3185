//! Leads that come into a project: by ones, or by the million.
//!
//! Batches are committed several at a time, so their places in the list are taken beforehand, all at once: otherwise each
//! would wait for the one before it at the project's own row.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt};
use zvonar_campaign::{LeadState, NumberRefused, Progress, rotation};
use zvonar_model::{LeadId, PhoneNumber, ProjectId};
use zvonar_store::{Commit, Write};

use crate::leads::fitted;
use crate::projects::check_card;
use crate::tables::{Lead, Project, Read, Step, TRIES, Tables, encode};
use crate::{DialerError, Result};

/// How many leads are added in one commit: with the step, below the store's limit of writes.
const BATCH: usize = 90;
/// A lead that is merged is two writes.
const MERGED: usize = 45;
/// How many batches are on their way at once: the store flushes them together.
const IN_FLIGHT: usize = 16;

/// A lead to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLead {
    /// Its id, new within the project.
    pub lead: LeadId,
    /// Where to call them, in order; at least one, at most [`MAX_NUMBERS`](crate::MAX_NUMBERS).
    pub numbers: Vec<PhoneNumber>,
    /// What is known of them.
    pub fields: BTreeMap<String, String>,
    /// What people sort leads by.
    pub tags: BTreeSet<String>,
}

impl NewLead {
    /// Whether a lead may have all this.
    ///
    /// # Errors
    /// [`DialerError::LeadTooLarge`].
    pub fn check(&self) -> Result<()> {
        check_card(&self.lead, &self.numbers, &self.fields, &self.tags)
    }

    /// The same with what another knows of the person: his fields go before ours.
    fn with(mut self, other: Self) -> Self {
        self.numbers.extend(other.numbers);
        self.fields.extend(other.fields);
        self.tags.extend(other.tags);
        self
    }
}

/// What becomes of leads whose id is in the project already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IfKnown {
    /// They stay as they are.
    #[default]
    Skip,
    /// They get the numbers, fields and tags that they lack, and fields that say something else now. Where they stand
    /// stays, but that somebody who could not be reached may be called again at a number that is new.
    Merge,
}

/// How leads are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Adding {
    /// What becomes of those that are there.
    pub if_known: IfKnown,
    /// Nothing is written: only what would become of them is told.
    pub dry: bool,
}

/// What became of leads that were to be added.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Added {
    /// How many are in the project now that were not.
    pub added: u64,
    /// How many that were there got something new.
    pub merged: u64,
    /// Those whose id was there already, and who have nothing new.
    pub known: Vec<LeadId>,
    /// Those whose number is not dialled, and why.
    pub refused: Vec<(LeadId, NumberRefused)>,
    /// Numbers that are not dialled, of leads that have others, and why.
    pub left_out: Vec<(LeadId, PhoneNumber, NumberRefused)>,
    /// Those that were there and have no room for what is new, and why; they stay as they were.
    pub full: Vec<(LeadId, String)>,
}

impl Added {
    fn extend(&mut self, other: Self) {
        self.added += other.added;
        self.merged += other.merged;
        self.known.extend(other.known);
        self.refused.extend(other.refused);
        self.left_out.extend(other.left_out);
        self.full.extend(other.full);
    }
}

impl Tables {
    /// Adds leads to a project, in their order; those whose id is there already stay as they are. See
    /// [`Tables::add_leads_as`].
    ///
    /// # Errors
    /// As there.
    pub async fn add_leads(&self, project: &ProjectId, leads: Vec<NewLead>) -> Result<Added> {
        self.add_leads_as(project, leads, Adding::default()).await
    }

    /// Adds leads to a project, in their order. Numbers that are not to be dialled stay outside, with the reason. A
    /// failure in the middle leaves some of the leads added; adding all again adds the rest.
    ///
    /// # Errors
    /// [`DialerError::NoProject`]; [`DialerError::LeadTooLarge`] before anything is added, when a lead has too many or too
    /// long fields.
    pub async fn add_leads_as(&self, project: &ProjectId, leads: Vec<NewLead>, how: Adding) -> Result<Added> {
        leads.iter().try_for_each(NewLead::check)?;
        let row = self.project(project).await?.ok_or_else(|| DialerError::NoProject(project.clone()))?;
        let mut done = Added::default();
        let good = self.dialled(&row, leads, how, &mut done);
        self.ensure_journal().await?;
        let first = if how.dry { 0 } else { self.reserve_places(project, good.len() as u64).await? };
        let size = if how.if_known == IfKnown::Merge { MERGED } else { BATCH };
        let mut batches = Vec::with_capacity(good.len() / size + 1);
        for (first, batch) in (first..).step_by(size).zip(good.chunks(size)) {
            batches.push(self.add_batch(&row, first, batch, how));
        }
        let mut added = futures::stream::iter(batches).buffered(IN_FLIGHT);
        while let Some(batch) = added.try_next().await? {
            done.extend(batch);
        }
        Ok(done)
    }

    /// Leaves out the numbers that may not be dialled, and leads without any other; and those that come twice.
    fn dialled(&self, project: &Project, leads: Vec<NewLead>, how: Adding, done: &mut Added) -> Vec<NewLead> {
        let mut good: Vec<NewLead> = Vec::with_capacity(leads.len());
        let mut places: BTreeMap<LeadId, usize> = BTreeMap::new();
        for mut lead in leads {
            let mut refused = Vec::new();
            lead.numbers.retain(|number| match self.check_number(number, project.rules.only_mobile) {
                Ok(()) => true,
                Err(why) => {
                    refused.push((lead.lead.clone(), number.clone(), why));
                    false
                }
            });
            unique(&mut lead.numbers);
            if lead.numbers.is_empty() {
                done.refused.extend(refused.into_iter().next().map(|(lead, _, why)| (lead, why)));
                continue;
            }
            done.left_out.extend(refused);
            match places.get(&lead.lead) {
                None => {
                    places.insert(lead.lead.clone(), good.len());
                    good.push(lead);
                }
                Some(_) if how.if_known == IfKnown::Skip => done.known.push(lead.lead),
                Some(place) => {
                    let mut both = good[*place].clone().with(lead);
                    unique(&mut both.numbers);
                    match both.check() {
                        Ok(()) => {
                            done.merged += 1;
                            good[*place] = both;
                        }
                        Err(why) => done.full.push((both.lead, why.to_string())),
                    }
                }
            }
        }
        good
    }

    /// Takes so many places at the end of the list; gives the first. Those that nobody gets in the end stay empty.
    pub(crate) async fn reserve_places(&self, project: &ProjectId, count: u64) -> Result<u64> {
        for _ in 0..TRIES {
            let Some(Read { mut row, revision }) = self.read_project(project).await? else {
                return Err(DialerError::NoProject(project.clone()));
            };
            let first = row.leads;
            if count == 0 {
                return Ok(first);
            }
            row.leads += count;
            let write = Write::replace(self.keys.project(project), revision, encode(&row));
            if let Commit::Done(_) = self.commit(vec![write], 0).await? {
                return Ok(first);
            }
        }
        Err(DialerError::Contended(self.keys.project(project)))
    }

    /// Adds a batch at the places from `first` on, again and again until nobody changes its leads meanwhile.
    async fn add_batch(
        &self,
        project: &Project,
        mut first: u64,
        batch: &[NewLead],
        how: Adding,
    ) -> Result<Added> {
        let id = &project.project;
        for _ in 0..TRIES {
            let (writes, done) = self.batch_writes(project, first, batch, how).await?;
            if how.dry || writes.is_empty() || matches!(self.commit(writes, 0).await?, Commit::Done(_)) {
                return Ok(done);
            }
            // Somebody else may have been given the same places: the answer to a reservation can be lost.
            first = self.reserve_places(id, batch.len() as u64).await?;
        }
        Err(DialerError::Contended(self.keys.leads(id)))
    }

    /// What adding a batch writes as things stand, a lead first, and what becomes of it.
    async fn batch_writes(
        &self,
        project: &Project,
        first: u64,
        batch: &[NewLead],
        how: Adding,
    ) -> Result<(Vec<Write>, Added)> {
        let id = &project.project;
        let (mut writes, mut added) = (Vec::with_capacity(batch.len() + 1), Vec::new());
        let mut done = Added::default();
        for (position, new) in (first..).zip(batch) {
            let key = self.keys.lead(id, &new.lead);
            // Whether a lead is there is all that has to be known of it, unless it is merged.
            let known = match how.if_known {
                IfKnown::Skip => self.store.get(self.keys.shard(), &key).await?.map(|_| Known::Stays),
                IfKnown::Merge => self.get::<Lead>(&key).await?.map(|read| merged(project, read, new)),
            };
            match known {
                None => {
                    let lead = Lead {
                        lead: new.lead.clone(),
                        numbers: new.numbers.clone(),
                        fields: new.fields.clone(),
                        notes: Vec::new(),
                        tags: new.tags.clone(),
                        position,
                        progress: Progress::new(),
                        claim: None,
                    };
                    writes.push(Write::create(key, encode(&lead)));
                    added.push(lead.lead);
                }
                Some(Known::Stays) => done.known.push(new.lead.clone()),
                Some(Known::Full(why)) => done.full.push((new.lead.clone(), why)),
                Some(Known::Merged { lead, revision, step }) => {
                    done.merged += 1;
                    writes.push(Write::replace(key, revision, encode(&*lead)));
                    let step_key = self.keys.changed_step("edited", id, revision);
                    writes.push(Write::create(step_key, encode(&step)));
                }
            }
        }
        done.added = added.len() as u64;
        if !added.is_empty() {
            let step = Step::Added { project: id.clone(), leads: added };
            writes.push(Write::create(self.keys.added_step(id, first), encode(&step)));
        }
        Ok((writes, done))
    }
}

/// What becomes of a lead that is there.
enum Known {
    Stays,
    Full(String),
    Merged { lead: Box<Lead>, revision: u64, step: Step },
}

fn merged(project: &Project, Read { row, revision }: Read<Lead>, new: &NewLead) -> Known {
    let mut next = row.clone();
    next.numbers.extend(new.numbers.iter().cloned());
    unique(&mut next.numbers);
    next.fields.extend(new.fields.iter().map(|(name, value)| (name.clone(), value.clone())));
    next.tags.extend(new.tags.iter().cloned());
    if next == row {
        return Known::Stays;
    }
    if let Err(why) = check_card(&next.lead, &next.numbers, &next.fields, &next.tags) {
        return Known::Full(why.to_string());
    }
    if next.numbers != row.numbers && row.progress.state != LeadState::Reached {
        next.progress.state = rotation(&next.progress.tries, &project.rules.retry, &next.numbers).state();
    }
    let next = fitted(next);
    let moved = (row.progress.state.status(), next.progress.state.status());
    let step = Step::Edited { project: project.project.clone(), lead: next.lead.clone(), moved };
    Known::Merged { lead: Box::new(next), revision, step }
}

/// Each number once, in the order of their first places.
fn unique(numbers: &mut Vec<PhoneNumber>) {
    let mut seen = BTreeSet::new();
    numbers.retain(|number| seen.insert(number.clone()));
}
