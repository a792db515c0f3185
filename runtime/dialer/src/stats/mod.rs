//! Counts of leads and tallies of calls: a projection of the journal of steps.
//!
//! ```text
//! step ─▶ total of all, total of the project, day of all, day of the project
//! ```
//!
//! The cursor and the rows go in one commit, so folding again, folding twice at once, or folding after a crash counts
//! each step once. Whoever asks for a count folds first, so it is as new as the last settled attempt; folding now and then
//! keeps that short.
//!
//! # What always holds
//!
//! * Rows are written only together with the cursor, by compare-and-set on it: what was read under a cursor belongs to it.
//! * The counts of leads are those of the leads as they were when the last folded step was written; [`Tables::verify`]
//!   counts again and compares.
//! * Folding anew from the beginning gives the same rows.

mod check;
mod fill;

use std::collections::{BTreeMap, BTreeSet};

use zvonar_model::{Kopecks, ProjectId, UnixMillis};
use zvonar_store::{Commit, Item, Key, Write};

use crate::tables::{
    AttemptStep, Read, Scope, StatCursor, StatRow, StatusCounts, Step, TRIES, Tables, decode, encode,
};
use crate::texts::TextStep;
use crate::{Day, DialerError, Result};

pub use check::StatFault;

/// How many steps are read at once.
const BATCH: usize = 1000;

/// The most rows that one commit changes: with the cursor, below the store's limit of writes.
const MAX_ROWS: usize = 90;

impl Tables {
    /// Folds what happened since the last time. Cheap when that is little, so a runner may call it every few seconds;
    /// reports and counts do so themselves.
    pub async fn fold_stats(&self) -> Result<()> {
        self.folded().await.map(drop)
    }

    /// The leads of a project by status, up to the last settled attempt.
    pub async fn status_counts(&self, project: &ProjectId) -> Result<StatusCounts> {
        let cursor = self.folded().await?;
        Ok(self.stat_total(&cursor, &Scope::Project(project.clone())).await?.leads)
    }

    /// Folds everything anew from the journal, after writing the steps that it lacks for records.
    pub async fn rebuild_stats(&self) -> Result<()> {
        self.fill_anew().await?;
        self.folded().await?;
        self.sweep_stats().await
    }

    /// Folds to the end of the journal, and tells how far that was.
    pub(crate) async fn folded(&self) -> Result<StatCursor> {
        let key = self.keys.fold();
        for _ in 0..TRIES {
            let Read { row: mut cursor, mut revision } = self.whole_journal().await?;
            // As long as nobody else folds, batch after batch; on a lost race, from what the other has folded.
            loop {
                let steps =
                    self.store.read(self.keys.shard(), &self.keys.steps(), cursor.cursor, BATCH).await?;
                if steps.is_empty() {
                    return Ok(cursor);
                }
                let rows = self.fold_batch(&mut cursor, &steps).await?;
                let mut writes = vec![Write::replace(key.clone(), revision, encode(&cursor))];
                writes.extend(rows.iter().map(|(place, row)| Write::set(self.stat_key(place), encode(row))));
                // Two that fold the same steps write the same rows, so a witness of the other is as good as ours.
                match self.commit(writes, 0).await? {
                    Commit::Done(revisions) => revision = revisions[0],
                    Commit::Conflict => break,
                }
            }
        }
        Err(DialerError::Contended(key))
    }

    /// The rows after as many of these steps as fit into one commit; the cursor goes along.
    async fn fold_batch(&self, cursor: &mut StatCursor, steps: &[Item]) -> Result<BTreeMap<Place, StatRow>> {
        let mut rows = BTreeMap::new();
        for item in steps {
            let step = decode::<Step>(item)?.row;
            let parts = Parts::of(&step);
            let fresh: BTreeSet<Place> = parts.places().filter(|place| !rows.contains_key(place)).collect();
            if rows.len() + fresh.len() > MAX_ROWS {
                break;
            }
            for place in fresh {
                let row = self.stat_row(cursor, &self.stat_key(&place)).await?;
                rows.insert(place, row);
            }
            parts.fold(&mut rows, item.revision);
            cursor.cursor = item.revision;
        }
        Ok(rows)
    }

    fn stat_key(&self, (scope, day): &Place) -> Key {
        match day {
            None => self.keys.stat_total(scope),
            Some(day) => self.keys.stat_day(scope, *day),
        }
    }

    /// A row of this folding; empty if there is none.
    pub(crate) async fn stat_row(&self, cursor: &StatCursor, key: &Key) -> Result<StatRow> {
        let generation = cursor.generation;
        let stored = self.get::<StatRow>(key).await?.map(|read| read.row);
        let stored = stored.filter(|row| row.generation == generation);
        Ok(stored.unwrap_or_else(|| StatRow { generation, ..StatRow::default() }))
    }

    pub(crate) async fn stat_total(&self, cursor: &StatCursor, scope: &Scope) -> Result<StatRow> {
        self.stat_row(cursor, &self.keys.stat_total(scope)).await
    }

    pub(crate) async fn stat_day(&self, cursor: &StatCursor, scope: &Scope, day: Day) -> Result<StatRow> {
        self.stat_row(cursor, &self.keys.stat_day(scope, day)).await
    }
}

/// What of a step is counted, and where.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    /// The project whose leads changed, and how many more each status has.
    pub(crate) leads: Option<(&'a ProjectId, StatusCounts)>,
    /// The attempt that is over.
    pub(crate) attempt: Option<&'a AttemptStep>,
    /// The text message that was charged, and how much.
    pub(crate) text: Option<(&'a TextStep, Kopecks)>,
}

impl<'a> Parts<'a> {
    pub(crate) fn of(step: &'a Step) -> Self {
        let mut change = StatusCounts::default();
        let (project, attempt) = match step {
            Step::Added { project, leads } => {
                change.new += leads.len() as i64;
                (Some(project), None)
            }
            Step::Attempt(attempt) => {
                if let Some(moved) = attempt.moved {
                    change.move_one(moved);
                }
                (attempt.project.as_ref().filter(|_| attempt.moved.is_some()), Some(&**attempt))
            }
            Step::Removed { project, leads } => {
                leads.iter().for_each(|lead| change.add(lead.status, -1));
                (Some(project), None)
            }
            Step::Edited { project, moved, .. } => {
                change.move_one(*moved);
                (Some(project), None)
            }
            Step::Tagged { .. } | Step::Text(_) | Step::State(_) | Step::Judged(_) => (None, None),
            Step::Found { project, leads } => {
                leads.iter().for_each(|lead| change.add(lead.status, 1));
                (Some(project), None)
            }
        };
        let text = match step {
            Step::Text(text) => text.charged.map(|kopecks| (&**text, kopecks)),
            _ => None,
        };
        let leads = project.filter(|_| change != StatusCounts::default()).map(|of| (of, change));
        Self { leads, attempt, text }
    }

    /// The rows that this touches; some of them twice.
    fn places(&self) -> impl Iterator<Item = Place> {
        let leads = self.leads.map(|(project, _)| (Scope::Project(project.clone()), None));
        let calls = self.attempt.into_iter().flat_map(|attempt| {
            let day = Day::of(attempt.started_at);
            let scopes = [Scope::All, Scope::of(attempt.project.as_ref())];
            scopes.into_iter().flat_map(move |scope| [(scope.clone(), None), (scope, Some(day))])
        });
        let texts =
            self.text.into_iter().flat_map(|(text, _)| text_places(text.project.as_ref(), text.decided_at));
        leads.into_iter().chain(calls).chain(texts)
    }

    /// Adds this to the rows, all of which are there.
    fn fold(&self, rows: &mut BTreeMap<Place, StatRow>, revision: u64) {
        if let Some((project, change)) = &self.leads {
            row(rows, &(Scope::Project((*project).clone()), None)).leads.add_all(change);
        }
        if let Some((text, kopecks)) = self.text {
            for place in text_places(text.project.as_ref(), text.decided_at) {
                let (day, total) = (Day::of(text.decided_at), place.1.is_none());
                row(rows, &place).count_text(text.segments, kopecks, day, total);
            }
        }
        if let Some(attempt) = self.attempt {
            let day = Day::of(attempt.started_at);
            for scope in [Scope::All, Scope::of(attempt.project.as_ref())] {
                let mut place = (scope, None);
                let total = row(rows, &place);
                total.count(attempt, revision);
                let (first, last) = total.days.unwrap_or((day, day));
                total.days = Some((first.min(day), last.max(day)));
                place.1 = Some(day);
                row(rows, &place).count(attempt, revision);
            }
        }
    }
}

/// Where a text message is counted.
pub(crate) fn text_places(
    project: Option<&ProjectId>,
    decided_at: UnixMillis,
) -> impl Iterator<Item = Place> + use<> {
    let (scopes, day) = ([Scope::All, Scope::of(project)], Day::of(decided_at));
    scopes.into_iter().flat_map(move |scope| [(scope.clone(), None), (scope, Some(day))])
}

fn row<'a>(rows: &'a mut BTreeMap<Place, StatRow>, place: &Place) -> &'a mut StatRow {
    rows.get_mut(place).expect("the rows of a step are read before it is folded")
}

/// Whose row it is, and of which day; `None`: the total.
pub(crate) type Place = (Scope, Option<Day>);
