//! «Проекты и обзвон роботом»: per project its leads by status, and what came of its calls.

use serde::Serialize;
use zvonar_campaign::ProjectStatus;
use zvonar_model::{ProjectId, UnixMillis};

use super::{CallFilter, CallOrder, shown_result};
use crate::tables::{AttemptStep, Scope, StatCursor, StatRow, StatusCounts, Tables, Tally, TextTally};
use crate::{Day, DialerError, Result};

/// How many calls are read at once where they are counted one by one.
const PAGE: usize = 500;

/// What became of projects.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProjectReport {
    /// By project; the calls of none, if there are any, come last.
    pub lines: Vec<ProjectLine>,
    /// All leads.
    pub leads: StatusCounts,
    /// All calls.
    pub calls: Tally,
    /// All text messages that were charged.
    pub texts: TextTally,
}

/// One project.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProjectLine {
    /// Which; `None`: calls that came in, or were placed by hand.
    pub project: Option<ProjectId>,
    /// What people call it.
    pub title: String,
    /// Where it stands.
    pub status: Option<ProjectStatus>,
    /// Its leads as they are now, whatever the period.
    pub leads: StatusCounts,
    /// Its calls, without their text messages.
    pub calls: Tally,
    /// Text messages that were charged, by the days on which they were decided. None of them, when calls of one result or
    /// scenario are meant: they are not counted by that.
    pub texts: TextTally,
    /// The same by scenario and result, the most frequent first.
    pub results: Vec<ResultLine>,
    /// When its last call was over, of those that are meant by the day.
    pub last_call: Option<UnixMillis>,
}

/// Calls with one result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResultLine {
    /// By which scenario; `None`: none ran.
    pub scenario: Option<String>,
    /// With what result.
    pub result: String,
    /// The calls.
    pub calls: Tally,
}

impl ProjectLine {
    /// The part of the attempts that was answered, in percent; `None`: there were none.
    pub fn answered_percent(&self) -> Option<f64> {
        (self.calls.attempts > 0).then(|| self.calls.answered as f64 * 100.0 / self.calls.attempts as f64)
    }
}

impl Tables {
    /// Leads by status and calls by result, project by project, from what is folded: as quick with a million leads as with
    /// ten.
    ///
    /// # Errors
    /// [`DialerError::NoProject`]; [`DialerError::BadFilter`] for a tag, by which calls are not counted.
    pub async fn project_report(&self, filter: &CallFilter) -> Result<ProjectReport> {
        if filter.tag.is_some() {
            let what = "calls are not counted by tag: ask for the calls with it, or for the contacts";
            return Err(DialerError::BadFilter(what.into()));
        }
        let cursor = self.folded().await?;
        let mut report = ProjectReport {
            lines: Vec::new(),
            leads: StatusCounts::default(),
            calls: Tally::default(),
            texts: TextTally::default(),
        };
        let projects = match &filter.scope {
            Scope::All => self.projects().await?,
            Scope::Outside => Vec::new(),
            Scope::Project(id) => {
                vec![self.project(id).await?.ok_or_else(|| DialerError::NoProject(id.clone()))?]
            }
        };
        for row in projects {
            let scope = Scope::Project(row.project.clone());
            let total = self.stat_total(&cursor, &scope).await?;
            let mut line = ProjectLine {
                project: Some(row.project),
                title: row.title,
                status: Some(row.status),
                leads: total.leads,
                calls: Tally::default(),
                texts: TextTally::default(),
                results: Vec::new(),
                last_call: None,
            };
            self.add_calls(&cursor, &scope, total, filter, &mut line).await?;
            report.leads.add_all(&line.leads);
            report.lines.push(line);
        }
        if !matches!(filter.scope, Scope::Project(_)) {
            let total = self.stat_total(&cursor, &Scope::Outside).await?;
            let mut line = ProjectLine {
                project: None,
                title: "Без проекта".into(),
                status: None,
                leads: StatusCounts::default(),
                calls: Tally::default(),
                texts: TextTally::default(),
                results: Vec::new(),
                last_call: None,
            };
            self.add_calls(&cursor, &Scope::Outside, total, filter, &mut line).await?;
            if line.calls.attempts > 0 || line.texts.texts > 0 {
                report.lines.push(line);
            }
        }
        for line in &report.lines {
            report.calls.add(&line.calls);
            report.texts.add(&line.texts);
        }
        Ok(report)
    }

    /// Adds up what the filter means.
    async fn add_calls(
        &self,
        cursor: &StatCursor,
        scope: &Scope,
        total: StatRow,
        filter: &CallFilter,
        line: &mut ProjectLine,
    ) -> Result<()> {
        let Some((first, last)) = total.days else { return Ok(()) };
        if filter.responsible.is_some() {
            self.add_one_by_one(scope, filter, line).await?;
        } else if filter.from.is_none_or(|from| from <= first) && filter.to.is_none_or(|to| last <= to) {
            add_row(&total, filter, line);
        } else {
            let mut day: Day = filter.from.map_or(first, |from| from.max(first));
            let until = filter.to.map_or(last, |to| to.min(last));
            while day <= until {
                add_row(&self.stat_day(cursor, scope, day).await?, filter, line);
                day = day.next();
            }
        }
        line.results.sort_by(|a, b| {
            let key = |line: &ResultLine| (line.scenario.clone(), line.result.clone());
            b.calls.attempts.cmp(&a.calls.attempts).then_with(|| key(a).cmp(&key(b)))
        });
        Ok(())
    }

    /// The same call by call: whose they are is not folded, since few reports ask for it.
    async fn add_one_by_one(&self, scope: &Scope, filter: &CallFilter, line: &mut ProjectLine) -> Result<()> {
        let filter = CallFilter { scope: scope.clone(), ..filter.clone() };
        let mut after = None;
        loop {
            let page = self.call_page(&filter, false, CallOrder::OldestFirst, after, PAGE).await?;
            page.calls.iter().for_each(|call| add_call(call, line));
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}

/// Counts one call among those of its scenario and result.
fn add_call(call: &AttemptStep, line: &mut ProjectLine) {
    let mut one = Tally::default();
    one.count(call);
    line.calls.add(&one);
    let scenario = call.scenario.as_ref().map(|scenario| scenario.name.clone());
    let result = shown_result(&call.result);
    match line.results.iter_mut().find(|known| known.scenario == scenario && known.result == result) {
        Some(known) => known.calls.add(&one),
        None => line.results.push(ResultLine { scenario, result, calls: one }),
    }
    line.last_call = line.last_call.max(Some(call.ended_at));
}

fn add_row(row: &StatRow, filter: &CallFilter, line: &mut ProjectLine) {
    let mut any = false;
    if filter.scenario.is_none() && filter.result.is_none() {
        line.texts.add(&row.texts);
    }
    for (scenario, results) in &row.tallies {
        if filter.scenario.as_ref().is_some_and(|wanted| wanted != scenario) {
            continue;
        }
        for (result, tally) in results {
            if filter.result.as_ref().is_some_and(|wanted| shown_result(wanted) != *result) {
                continue;
            }
            any = true;
            line.calls.add(tally);
            let scenario = Some(scenario.clone()).filter(|name| !name.is_empty());
            match line.results.iter_mut().find(|one| one.scenario == scenario && one.result == *result) {
                Some(known) => known.calls.add(tally),
                None => line.results.push(ResultLine { scenario, result: result.clone(), calls: *tally }),
            }
        }
    }
    if any {
        line.last_call = line.last_call.max(row.last_call);
    }
}
