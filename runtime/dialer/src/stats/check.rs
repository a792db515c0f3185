//! The counts, checked: against the leads as they are, and against the records and the charges.
//!
//! Dialling may go on meanwhile. What is compared is the state at one place of the journal: a lead that has changed since
//! is counted as the first step after that place says it was.

use std::collections::BTreeMap;
use std::fmt;

use zvonar_campaign::LeadStatus;
use zvonar_ledger::Charge;
use zvonar_model::{AttemptId, AttemptRecord, LeadId, ProjectId};
use zvonar_store::{Cursor, Item, Key};

use super::{Place, text_places};
use crate::tables::{
    AttemptStep, Scope, StatCursor, StatRow, StatusCounts, Step, TRIES, Tables, Tally, TenantKeys, TextTally,
    decode, named,
};
use crate::verify::{BookFault, Verified};
use crate::{Day, DialerError, Result};

/// How many records and steps are read at once.
const BATCH: usize = 500;

/// How often a project is counted again when leads are deleted under our hands.
const COUNTINGS: usize = 5;

/// Something wrong with the journal of steps, or with what was folded from it. `zvonar ledger rebuild` mends all but
/// steps that are false.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatFault {
    /// A call of which no report knows.
    NoStep {
        /// Which.
        attempt: AttemptId,
    },
    /// A step that its record and charge do not give.
    StepDiffers {
        /// Of which attempt.
        attempt: AttemptId,
    },
    /// A step of a call that is not recorded.
    NoRecord {
        /// Which.
        attempt: AttemptId,
    },
    /// A count of leads that is not right.
    Leads {
        /// Of which project.
        project: ProjectId,
        /// In which status.
        status: LeadStatus,
        /// What the projection says.
        stored: i64,
        /// How many there are.
        counted: i64,
    },
    /// Calls that were counted wrongly.
    Calls {
        /// Whose.
        scope: Scope,
        /// Of which day; `None`: of all time.
        day: Option<Day>,
        /// Of which scenario and result; `None`: the calls are right, but a report would look for them in the wrong place.
        of: Option<(String, String)>,
        /// What the projection says.
        stored: Tally,
        /// What the records and the charges give.
        counted: Tally,
    },
    /// Text messages that were counted wrongly.
    Texts {
        /// Whose.
        scope: Scope,
        /// Of which day; `None`: of all time.
        day: Option<Day>,
        /// What the projection says.
        stored: TextTally,
        /// What the charges give.
        counted: TextTally,
    },
}

impl fmt::Display for StatFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStep { attempt } => {
                write!(f, "attempt {attempt} is recorded, but no step tells the reports of it")
            }
            Self::StepDiffers { attempt } => {
                write!(f, "the step of attempt {attempt} is not what its record and its charge give")
            }
            Self::NoRecord { attempt } => {
                write!(f, "a step tells the reports of attempt {attempt}, but no call is recorded")
            }
            Self::Leads { project, status, stored, counted } => {
                write!(
                    f,
                    "{stored} leads of project {project} are counted as «{status}», there are {counted}"
                )
            }
            Self::Texts { scope, day, stored, counted } => {
                write!(f, "the counts of {scope}")?;
                if let Some(day) = day {
                    write!(f, " on {day}")?;
                }
                write!(f, " say: {stored}; the charges give {counted}")
            }
            Self::Calls { scope, day, of, stored, counted } => {
                write!(f, "the counts of {scope}")?;
                if let Some(day) = day {
                    write!(f, " on {day}")?;
                }
                match of {
                    Some((scenario, result)) => {
                        write!(f, " say of «{result}»")?;
                        if !scenario.is_empty() {
                            write!(f, " by {scenario}")?;
                        }
                        write!(f, ": {stored}; the records give {counted}")
                    }
                    None => write!(f, " point to the wrong place in the journal"),
                }
            }
        }
    }
}

impl Tables {
    /// Compares steps with records, and counts with leads, records and charges.
    pub(crate) async fn verify_stats(&self, found: &mut Verified) -> Result<()> {
        for project in self.projects().await? {
            self.verify_leads(&project.project, found).await?;
        }
        let (cursor, rows) = self.stat_snapshot().await?;
        let mut counted = self.count_records(&cursor, found).await?;
        self.count_texts(&cursor, &mut counted).await?;
        self.verify_steps(&cursor, found).await?;
        let scopes = counted.keys().chain(rows.keys());
        let places: std::collections::BTreeSet<_> = scopes.collect();
        let empty = StatRow::default();
        for place in places {
            let stored = rows.get(place).unwrap_or(&empty);
            let counted = counted.get(place).unwrap_or(&empty);
            for fault in differences(place, stored, counted) {
                found.fault(BookFault::Stats(fault));
            }
        }
        Ok(())
    }

    /// Counts the leads of a project as they were at the end of the folding, and compares.
    async fn verify_leads(&self, project: &ProjectId, found: &mut Verified) -> Result<()> {
        for _ in 0..COUNTINGS {
            let (cursor, stored) = self.total_snapshot(project).await?;
            let mut counted = StatusCounts::default();
            // Leads that were written after that place, and how they were counted.
            let mut fresh: BTreeMap<LeadId, LeadStatus> = BTreeMap::new();
            self.glance(project, |glance, item| {
                let status = glance.state().status();
                counted.add(status, 1);
                if item.revision > cursor.cursor {
                    fresh.insert(named(item)?, status);
                }
                Ok(())
            })
            .await?;
            let Some(before) = self.statuses_before(project, cursor.cursor).await? else { continue };
            for (lead, status) in fresh {
                if let Some(before) = before.get(&lead) {
                    counted.add(status, -1);
                    before.iter().for_each(|before| counted.add(*before, 1));
                }
            }
            for status in LeadStatus::ALL {
                let (stored, counted) = (stored.leads.of(status), counted.of(status));
                if stored != counted {
                    let project = project.clone();
                    found.fault(BookFault::Stats(StatFault::Leads { project, status, stored, counted }));
                }
            }
            return Ok(());
        }
        Err(DialerError::Contended(self.keys.leads(project)))
    }

    /// Where the leads stood before the first step after this place that moved them; `None`: they were in no list. No
    /// answer when leads went out: nobody knows then whether they were counted.
    async fn statuses_before(
        &self,
        of: &ProjectId,
        mut after: u64,
    ) -> Result<Option<BTreeMap<LeadId, Option<LeadStatus>>>> {
        let mut before: BTreeMap<LeadId, Option<LeadStatus>> = BTreeMap::new();
        loop {
            let steps = self.store.read(self.keys.shard(), &self.keys.steps(), after, BATCH).await?;
            let Some(last) = steps.last() else { return Ok(Some(before)) };
            after = last.revision;
            for item in &steps {
                match decode::<Step>(item)?.row {
                    Step::Added { project, leads } if project == *of => {
                        for lead in leads {
                            before.entry(lead).or_insert(None);
                        }
                    }
                    Step::Attempt(attempt) if attempt.project.as_ref() == Some(of) => {
                        if let Some((lead, (from, _))) = attempt.lead.zip(attempt.moved) {
                            before.entry(lead).or_insert(Some(from));
                        }
                    }
                    Step::Edited { project, lead, moved: (from, _) } if project == *of => {
                        before.entry(lead).or_insert(Some(from));
                    }
                    Step::Removed { project, .. } | Step::Found { project, .. } if project == *of => {
                        return Ok(None);
                    }
                    _ => {}
                }
            }
        }
    }

    /// The total of a project, and how far it is folded.
    async fn total_snapshot(&self, project: &ProjectId) -> Result<(StatCursor, StatRow)> {
        for _ in 0..TRIES {
            let cursor = self.folded().await?;
            let row = self.stat_total(&cursor, &Scope::Project(project.clone())).await?;
            if self.whole_journal().await?.row == cursor {
                return Ok((cursor, row));
            }
        }
        Err(DialerError::Contended(self.keys.fold()))
    }

    /// All rows, as they were under one cursor.
    async fn stat_snapshot(&self) -> Result<(StatCursor, BTreeMap<Place, StatRow>)> {
        for _ in 0..TRIES {
            let cursor = self.folded().await?;
            let mut rows = BTreeMap::new();
            let mut after = Some(Cursor::start());
            while let Some(place) = after {
                let page = self.store.scan(self.keys.shard(), &self.keys.all_stats(), place, BATCH).await?;
                after = page.next;
                for item in &page.items {
                    let row = decode::<StatRow>(item)?.row;
                    if row.generation == cursor.generation {
                        rows.insert(place_of(item)?, row);
                    }
                }
            }
            if self.whole_journal().await?.row == cursor {
                return Ok((cursor, rows));
            }
        }
        Err(DialerError::Contended(self.keys.fold()))
    }

    /// Tallies the records that are folded, one by one; steps that are missing or false are faults.
    async fn count_records(
        &self,
        cursor: &StatCursor,
        found: &mut Verified,
    ) -> Result<BTreeMap<Place, StatRow>> {
        let mut rows: BTreeMap<Place, StatRow> = BTreeMap::new();
        let mut after = 0;
        loop {
            let records = self.store.read(self.keys.shard(), &self.keys.calls(), after, BATCH).await?;
            let Some(last) = records.last() else { return Ok(rows) };
            after = last.revision;
            for item in records.iter().filter(|item| item.revision <= cursor.cursor) {
                let record = decode::<AttemptRecord>(item)?.row;
                // Told by the check of the charges.
                let Some(charge) = self.get::<Charge>(&self.keys.charge(&record.attempt)).await? else {
                    continue;
                };
                let mut due = AttemptStep::of(&record, &charge.row, None);
                let step = self.get::<Step>(&self.keys.attempt_step(&record.attempt)).await?;
                let Some(step) = step else {
                    found.fault(BookFault::Stats(StatFault::NoStep { attempt: record.attempt }));
                    continue;
                };
                if !matches!(&step.row, Step::Attempt(stored) if same(stored, &mut due)) {
                    found.fault(BookFault::Stats(StatFault::StepDiffers { attempt: record.attempt }));
                }
                let day = Day::of(due.started_at);
                for scope in [Scope::All, Scope::of(due.project.as_ref())] {
                    let total = rows.entry((scope.clone(), None)).or_default();
                    total.count(&due, step.revision);
                    let (first, last) = total.days.unwrap_or((day, day));
                    total.days = Some((first.min(day), last.max(day)));
                    rows.entry((scope, Some(day))).or_default().count(&due, step.revision);
                }
            }
        }
    }

    /// Counts the text messages whose charges are folded.
    async fn count_texts(&self, cursor: &StatCursor, rows: &mut BTreeMap<Place, StatRow>) -> Result<()> {
        let mut after = 0;
        loop {
            let charges = self.store.read(self.keys.shard(), &self.keys.charges(), after, BATCH).await?;
            let Some(last) = charges.last() else { return Ok(()) };
            after = last.revision;
            for item in charges.iter().filter(|item| item.revision <= cursor.cursor) {
                let Some(id) = TenantKeys::charged_text(&item.key) else { continue };
                // One that is missing is told by the check of the charges.
                let Some(info) = self.text(&id).await? else { continue };
                let total = decode::<Charge>(item)?.row.total;
                for place in text_places(info.text.project.as_ref(), info.text.decided_at) {
                    let (day, whole) = (Day::of(info.text.decided_at), place.1.is_none());
                    let row = rows.entry(place).or_default();
                    row.count_text(info.text.segments, total, day, whole);
                }
            }
        }
    }

    /// Looks for steps of calls that are not recorded.
    async fn verify_steps(&self, cursor: &StatCursor, found: &mut Verified) -> Result<()> {
        let mut after = 0;
        while after < cursor.cursor {
            let steps = self.store.read(self.keys.shard(), &self.keys.steps(), after, BATCH).await?;
            let Some(last) = steps.last() else { return Ok(()) };
            after = last.revision;
            for item in &steps {
                let Step::Attempt(step) = decode::<Step>(item)?.row else { continue };
                let recorded = self.store.get(self.keys.shard(), &self.keys.call(&step.attempt)).await?;
                if recorded.is_none() {
                    found.fault(BookFault::Stats(StatFault::NoRecord { attempt: step.attempt }));
                }
            }
        }
        Ok(())
    }
}

/// What a row's key says.
fn place_of(item: &Item) -> Result<Place> {
    let unreadable = |what: String| DialerError::Unreadable { key: item.key.clone(), what };
    let mut tokens = item.key.tokens().rev();
    let (day, scope) = (tokens.next().unwrap_or_default(), tokens.next().unwrap_or_default());
    let scope = match scope {
        scope if scope == Key::root("").as_str() => Scope::Outside,
        scope if scope == Key::root("*").as_str() => Scope::All,
        project => Scope::Project(ProjectId::new(project).map_err(|why| unreadable(why.to_string()))?),
    };
    let day = if day == "total" { None } else { Some(day.parse().map_err(unreadable)?) };
    Ok((scope, day))
}

/// Whether a step tells of the same attempt; how the lead moved and its tags are in no record, and are taken from the step.
fn same(step: &AttemptStep, due: &mut AttemptStep) -> bool {
    due.tags.clone_from(&step.tags);
    due.moved = step.moved;
    step == due
}

/// How two rows tell different things of calls.
fn differences((scope, day): &Place, stored: &StatRow, counted: &StatRow) -> Vec<StatFault> {
    if stored.texts != counted.texts {
        let (scope, day) = (scope.clone(), *day);
        return vec![StatFault::Texts { scope, day, stored: stored.texts, counted: counted.texts }];
    }
    let fault =
        |of, stored, counted| StatFault::Calls { scope: scope.clone(), day: *day, of, stored, counted };
    let tally = |row: &StatRow, (scenario, result): &(String, String)| {
        row.tallies.get(scenario).and_then(|results| results.get(result)).copied().unwrap_or_default()
    };
    // Which results are told apart and which are «прочие» may depend on the order in which they came.
    if stored.has_other() || counted.has_other() {
        let (stored, counted) = (stored.sum(), counted.sum());
        let of = (String::new(), crate::tables::OTHER_RESULTS.to_owned());
        return if stored == counted { Vec::new() } else { vec![fault(Some(of), stored, counted)] };
    }
    let pairs =
        stored.tallies.iter().chain(&counted.tallies).flat_map(|(scenario, results)| {
            results.keys().map(move |result| (scenario.clone(), result.clone()))
        });
    let pairs: std::collections::BTreeSet<_> = pairs.collect();
    let mut found: Vec<StatFault> = Vec::new();
    for pair in pairs {
        let (stored, counted) = (tally(stored, &pair), tally(counted, &pair));
        if stored != counted {
            found.push(fault(Some(pair), stored, counted));
        }
    }
    let places = |row: &StatRow| (row.steps, row.days, row.last_call);
    if found.is_empty() && places(stored) != places(counted) {
        found.push(fault(None, stored.sum(), counted.sum()));
    }
    found
}
