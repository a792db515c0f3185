//! «Результаты всех вызовов» and «Результаты последних вызовов»: a row per attempt, page by page.
//!
//! The journal of steps is in the order of ends and has no index but its revisions. What is folded of a day tells where in
//! the journal its calls lie and which results they had: days without one that is meant are passed over, and what is left
//! is read from both ends as the order wants it.

use std::fmt;
use std::str::FromStr;

use zvonar_model::LeadId;
use zvonar_store::Item;

use super::CallFilter;
use super::employees::Whose;
use crate::tables::{AttemptStep, Lead, Scope, StatCursor, Step, Tables, decode};
use crate::{Day, Result};

/// How many steps are looked at for one page: a rare filter gives a page with fewer rows and a place to go on, not a wait.
const LOOK: usize = 3_000;

/// What looking at a lead weighs among them, besides its step.
const LEAD: usize = 3;

/// How many days are looked at for one page.
const DAYS: usize = 500;

/// The most steps that are read at once.
const CHUNK: usize = 500;

/// In which order calls are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CallOrder {
    /// The last day first, and within a day whatever ended last.
    #[default]
    NewestFirst,
    /// The first day first, and within a day whatever ended first.
    OldestFirst,
}

/// A place between two rows of a report. `Display` and `FromStr` are `2026-03-02.417`, for cursors of interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallPlace {
    day: Day,
    /// The revision of the last step that was looked at.
    step: u64,
}

impl fmt::Display for CallPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.day, self.step)
    }
}

impl FromStr for CallPlace {
    type Err = String;
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parts =
            text.split_once('.').and_then(|(day, step)| Some((day.parse().ok()?, step.parse().ok()?)));
        let (day, step) =
            parts.ok_or_else(|| format!("`{text}` is no place in a report; leave it out to begin"))?;
        Ok(Self { day, step })
    }
}

/// A part of the calls that are meant.
#[derive(Debug, Clone, PartialEq)]
pub struct CallPage {
    /// In the order that was asked for.
    pub calls: Vec<AttemptStep>,
    /// Where to go on; `None`: there are no more.
    pub next: Option<CallPlace>,
}

/// A search that goes on from page to page.
struct Search<'a> {
    filter: &'a CallFilter,
    whose: Whose,
    last_only: bool,
    limit: usize,
    calls: Vec<AttemptStep>,
    looked: usize,
    /// How many revisions are read at once backwards: as many as had few enough steps among them the last time.
    width: u64,
}

impl Search<'_> {
    fn is_over(&self) -> bool {
        self.calls.len() >= self.limit || self.looked >= LOOK
    }
}

impl Tables {
    /// Up to `limit` calls that are meant, after a place. `last_only`: of each lead's calls only the last one, if that is
    /// meant; leads that are gone have none. Fewer than `limit` when they are rare: go on as long as there is a `next`.
    pub async fn call_page(
        &self,
        filter: &CallFilter,
        last_only: bool,
        order: CallOrder,
        after: Option<CallPlace>,
        limit: usize,
    ) -> Result<CallPage> {
        let nothing = CallPage { calls: Vec::new(), next: None };
        if last_only && filter.scope == Scope::Outside {
            return Ok(nothing);
        }
        let cursor = self.folded().await?;
        let total = self.stat_total(&cursor, &filter.scope).await?;
        let Some((first, last)) = total.days else { return Ok(nothing) };
        let first = filter.from.map_or(first, |from| from.max(first));
        let last = filter.to.map_or(last, |to| to.min(last));
        let mut search = Search {
            filter,
            whose: self.whose(filter.responsible.as_deref()).await?,
            last_only,
            limit: limit.max(1),
            calls: Vec::new(),
            looked: 0,
            width: 8 * limit.clamp(10, CHUNK) as u64,
        };
        let newest = order == CallOrder::NewestFirst;
        let start = if newest { last } else { first };
        let mut day = after.map_or(start, |after| after.day.clamp(first.min(last), last.max(first)));
        let mut days = 0;
        while first <= day && day <= last {
            let from = after.filter(|after| after.day == day).map(|after| after.step);
            let stopped = self.search_day(&cursor, &mut search, day, newest, from).await?;
            if let Some(step) = stopped {
                return Ok(CallPage { calls: search.calls, next: Some(CallPlace { day, step }) });
            }
            day = if newest { day.before() } else { day.next() };
            days += 1;
            if days == DAYS && first <= day && day <= last {
                let step = if newest { u64::MAX } else { 0 };
                return Ok(CallPage { calls: search.calls, next: Some(CallPlace { day, step }) });
            }
        }
        Ok(CallPage { calls: search.calls, next: None })
    }

    /// Looks through one day. Gives the last step that was looked at, if the page ends there.
    async fn search_day(
        &self,
        cursor: &StatCursor,
        search: &mut Search<'_>,
        day: Day,
        newest: bool,
        from: Option<u64>,
    ) -> Result<Option<u64>> {
        let row = self.stat_day(cursor, &search.filter.scope, day).await?;
        let Some((first, last)) = row.steps.filter(|_| search.filter.may_be_in(&row)) else {
            return Ok(None);
        };
        // Exclusive both.
        let mut above = first.saturating_sub(1);
        let mut below = last.saturating_add(1);
        match from {
            Some(from) if newest => below = below.min(from),
            Some(from) => above = above.max(from),
            None => {}
        }
        while above.saturating_add(1) < below {
            let (items, reached) = if newest {
                self.steps_below(above, below, &mut search.width).await?
            } else {
                self.steps_above(above, below, search.limit).await?
            };
            for item in &items {
                search.looked += 1;
                if let Step::Attempt(step) = decode::<Step>(item)?.row
                    && Day::of(step.started_at) == day
                    && self.is_meant(&step, search).await?
                {
                    let mut step = *step;
                    for charge in self.text_charges(&step.attempt, step.texts).await? {
                        step.kopecks += charge.total;
                    }
                    search.calls.push(step);
                }
                if search.is_over() {
                    return Ok(Some(item.revision));
                }
            }
            if newest {
                below = reached;
            } else {
                above = reached;
            }
        }
        Ok(None)
    }

    /// The first steps between two revisions, and how far they go.
    async fn steps_above(&self, above: u64, below: u64, limit: usize) -> Result<(Vec<Item>, u64)> {
        let limit = limit.clamp(50, CHUNK);
        let mut items = self.store.read(self.keys.shard(), &self.keys.steps(), above, limit).await?;
        let more = items.len() == limit;
        items.retain(|item| item.revision < below);
        let reached = items.last().filter(|_| more).map_or(below, |last| last.revision);
        Ok((items, reached))
    }

    /// The last steps between two revisions, the last first, and how far down they go. A store reads upwards only, so as
    /// many revisions are tried as may hold a good number of steps.
    async fn steps_below(&self, above: u64, below: u64, width: &mut u64) -> Result<(Vec<Item>, u64)> {
        loop {
            let from = above.max(below.saturating_sub(1).saturating_sub(*width));
            let mut items = self.store.read(self.keys.shard(), &self.keys.steps(), from, CHUNK).await?;
            let full = items.len() == CHUNK && items.last().is_some_and(|last| last.revision < below - 1);
            if full {
                // There may be more between these and the end. A revision has one step at most, so this comes to an end.
                *width = (*width / 4).max(CHUNK as u64 / 2);
                continue;
            }
            items.retain(|item| item.revision < below);
            items.reverse();
            if items.len() < CHUNK / 4 {
                *width = width.saturating_mul(4);
            }
            return Ok((items, from + 1));
        }
    }

    /// Whether a call is one of those that a report is about.
    async fn is_meant(&self, step: &AttemptStep, search: &mut Search<'_>) -> Result<bool> {
        let CallFilter { scope, result, scenario, tag, .. } = search.filter;
        let named = step.scenario.as_ref().map(|scenario| scenario.name.as_str());
        let plain = (*scope == Scope::All || *scope == Scope::of(step.project.as_ref()))
            && result.as_ref().is_none_or(|result| *result == step.result)
            && scenario.as_deref().is_none_or(|scenario| Some(scenario) == named)
            && search.whose.has(step);
        if !plain || (tag.is_none() && !search.last_only) {
            return Ok(plain);
        }
        let lead = self.lead_of(step).await?;
        search.looked += if step.lead.is_some() { LEAD } else { 0 };
        let is_last =
            |lead: &Lead| lead.progress.tries.last().is_some_and(|last| last.attempt == step.attempt);
        let has_tag = |tag: &String| match &lead {
            Some(lead) => lead.tags.contains(tag),
            None => step.tags.contains(tag),
        };
        Ok((!search.last_only || lead.as_ref().is_some_and(is_last)) && tag.as_ref().is_none_or(has_tag))
    }

    async fn lead_of(&self, step: &AttemptStep) -> Result<Option<Lead>> {
        let whose: Option<(_, &LeadId)> = step.project.as_ref().zip(step.lead.as_ref());
        match whose {
            Some((project, lead)) => self.lead(project, lead).await,
            None => Ok(None),
        }
    }
}
