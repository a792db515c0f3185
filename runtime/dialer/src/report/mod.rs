//! Reports: what became of projects, calls and leads.
//!
//! «Проекты и обзвон роботом» is [`Tables::project_report`], «Результаты всех вызовов» and «Результаты последних вызовов»
//! are [`Tables::call_page`], «Выгрузка контактов» is [`Tables::contact_page`]. They read what is folded from the journal
//! of steps, and of the journal itself one page; none looks through all leads or all calls. [`Tables::report`] does: it is
//! one project whole, with the sums of its ledger lines.

mod calls;
mod contacts;
mod employees;
mod projects;
pub mod sheet;

use serde::Serialize;
use zvonar_campaign::LeadState;
use zvonar_ledger::{Charge, Kind};
use zvonar_model::{
    AttemptId, AttemptRecord, Kopecks, LeadId, PhoneNumber, ProjectId, RecognisedAnswer, Trace, Transfer,
    UnixMillis,
};
use zvonar_store::Key;

use crate::tables::{Lead, Scope, StatRow, Tables};
use crate::texts::{TextId, TextStatus};
use crate::{Day, DialerError, Result};

pub use calls::{CallOrder, CallPage, CallPlace};
pub use contacts::{Contact, ContactPage};
pub use employees::Employees;
pub use projects::{ProjectLine, ProjectReport, ResultLine};

/// Who is responsible for a call that no employee got.
pub const NOBODY: &str = "без ответственного";

/// Which calls a report is about. Empty parts let all pass.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallFilter {
    /// Begun on this day or later, Moscow time.
    pub from: Option<Day>,
    /// Begun on this day or earlier.
    pub to: Option<Day>,
    /// Of a project, or of none.
    pub scope: Scope,
    /// With this result.
    pub result: Option<String>,
    /// By this scenario.
    pub scenario: Option<String>,
    /// To a lead that has this tag; to one that is gone and had it then.
    pub tag: Option<String>,
    /// Of this employee, by his id or his name, or of [`NOBODY`].
    pub responsible: Option<String>,
}

impl CallFilter {
    /// Whether a day's row, or a total, may have calls that are meant. A tag is not looked at.
    fn may_be_in(&self, row: &StatRow) -> bool {
        if row.has_other() {
            return true;
        }
        let scenario = |name: &str| self.scenario.as_deref().is_none_or(|scenario| scenario == name);
        let mut results =
            row.tallies.iter().filter(|(name, _)| scenario(name)).flat_map(|(_, one)| one.keys());
        match &self.result {
            None => results.next().is_some(),
            Some(result) => results.any(|name| *name == shown_result(result)),
        }
    }
}

/// A result as it is named in what is folded.
fn shown_result(result: &str) -> String {
    crate::projects::cut(result, crate::tables::MAX_RESULT)
}

/// A project's report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Which project.
    pub project: ProjectId,
    /// One for each attempt, in the order of their beginnings.
    pub rows: Vec<ReportRow>,
    /// Over all rows and leads.
    pub totals: Totals,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReportRow {
    /// Whom it was to reach; `None`: the call came in, or was placed by hand.
    pub lead: Option<LeadId>,
    /// At which number, masked; the far end as the network named it if that is no number.
    pub number: String,
    /// Which attempt.
    pub attempt: AttemptId,
    /// When it began.
    pub started_at: UnixMillis,
    /// Whether anybody picked up.
    pub answered: bool,
    /// «Результат»: the scenario's own, or the system's.
    pub result: String,
    /// All keys that were pressed.
    pub keys: String,
    /// What was said and recognised; each is charged.
    pub answers: Vec<RecognisedAnswer>,
    /// Started seconds with the robot.
    pub robot_seconds: u64,
    /// Started seconds of waiting for whomever the caller was to be handed to.
    pub wait_seconds: u64,
    /// Started seconds of talk with them.
    pub talk_seconds: u64,
    /// To whom the caller was handed, in order.
    pub transfers: Vec<Transfer>,
    /// What recognition costs, of the whole.
    pub recognition: Kopecks,
    /// Text messages that were decided.
    pub texts: Vec<ReportText>,
    /// What the attempt costs, with its text messages as far as they are charged.
    pub kopecks: Kopecks,
    /// The sum of its ledger lines: the same, or the books are wrong.
    pub lines_sum: Kopecks,
}

/// A text message of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReportText {
    /// Its id.
    pub id: TextId,
    /// In how many parts.
    pub segments: u32,
    /// Where it is.
    pub status: TextStatus,
    /// Why, if that is no good news.
    pub why: Option<String>,
    /// What was charged for it; `None`: the gateway has told no price yet.
    pub kopecks: Option<Kopecks>,
}

/// Sums over a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// Leads in the list.
    pub leads: u64,
    /// «ещё не звонили».
    pub new: u64,
    /// «позвоним ещё раз».
    pub again: u64,
    /// «дозвонились».
    pub reached: u64,
    /// «не дозвонились».
    pub unreached: u64,
    /// Attempts.
    pub attempts: u64,
    /// Attempts that were answered.
    pub answered: u64,
    /// Started seconds with the robot.
    pub robot_seconds: u64,
    /// What all attempts cost.
    pub kopecks: Kopecks,
    /// The sum of all ledger lines.
    pub lines_sum: Kopecks,
}

impl Tables {
    /// The report of a project as it stands. Attempts in progress are not in it.
    pub async fn report(&self, project: &ProjectId) -> Result<Report> {
        if self.project(project).await?.is_none() {
            return Err(DialerError::NoProject(project.clone()));
        }
        let mut totals = Totals::default();
        let mut tried: Vec<Lead> = Vec::new();
        self.each(&self.keys.leads(project), |read| {
            let lead: Lead = read.row;
            totals.leads += 1;
            match lead.progress.state {
                LeadState::New => totals.new += 1,
                LeadState::Again { .. } => totals.again += 1,
                LeadState::Reached => totals.reached += 1,
                LeadState::Unreached => totals.unreached += 1,
            }
            if !lead.progress.tries.is_empty() {
                tried.push(lead);
            }
        })
        .await?;
        let mut rows = Vec::with_capacity(tried.len());
        for lead in tried {
            for one in &lead.progress.tries {
                let row = self.report_row(&lead, &one.attempt).await?;
                totals.attempts += 1;
                totals.answered += u64::from(row.answered);
                totals.robot_seconds += row.robot_seconds;
                totals.kopecks += row.kopecks;
                totals.lines_sum += row.lines_sum;
                rows.push(row);
            }
        }
        rows.sort_by(|a, b| (a.started_at, &a.attempt).cmp(&(b.started_at, &b.attempt)));
        Ok(Report { project: project.clone(), rows, totals })
    }

    /// The calls that no project placed: those that came in, and those placed by hand.
    pub async fn report_outside_projects(&self) -> Result<Vec<ReportRow>> {
        let mut records: Vec<AttemptRecord> = Vec::new();
        self.each(&self.keys.calls(), |read| {
            let record: AttemptRecord = read.row;
            if record.project.is_none() {
                // What a row does not show need not be kept in memory.
                records.push(AttemptRecord { trace: Trace::default(), ..record });
            }
        })
        .await?;
        records.sort_by(|a, b| (a.started_at, &a.attempt).cmp(&(b.started_at, &b.attempt)));
        let mut rows = Vec::with_capacity(records.len());
        for record in records {
            let number = match &record.number {
                Some(number) => number.masked(),
                None => record.peer.clone(),
            };
            rows.push(self.row_of(None, number, record).await?);
        }
        Ok(rows)
    }

    async fn report_row(&self, lead: &Lead, attempt: &AttemptId) -> Result<ReportRow> {
        let key = self.keys.call(attempt);
        let record = self.get::<AttemptRecord>(&key).await?.ok_or_else(|| missing(key))?.row;
        let number =
            record.number.as_ref().or(lead.numbers.first()).map_or_else(String::new, PhoneNumber::masked);
        self.row_of(Some(lead.lead.clone()), number, record).await
    }

    async fn row_of(&self, lead: Option<LeadId>, number: String, record: AttemptRecord) -> Result<ReportRow> {
        let key = self.keys.charge(&record.attempt);
        let charge = self.get::<Charge>(&key).await?.ok_or_else(|| missing(key))?.row;
        let mut texts = Vec::new();
        let (mut total, mut lines) =
            (charge.total, charge.lines.iter().map(|line| line.sum).sum::<Kopecks>());
        for id in record.sms.iter().filter(|sms| sms.price.is_none()).filter_map(|sms| sms.id.parse().ok()) {
            let Some(info) = self.text(&id).await? else { continue };
            if let Some(charge) = self.text_charge(&id).await? {
                total += charge.total;
                lines += charge.lines.iter().map(|line| line.sum).sum::<Kopecks>();
            }
            texts.push(ReportText {
                id,
                segments: info.text.segments,
                status: info.status(),
                why: info.reason(),
                kopecks: info.fate.charged,
            });
        }
        Ok(ReportRow {
            lead,
            number,
            attempt: record.attempt,
            started_at: record.started_at,
            answered: record.answered_at.is_some(),
            result: record.outcome.title().to_owned(),
            keys: record.keys,
            answers: record.answers,
            robot_seconds: charge.robot_seconds,
            wait_seconds: record.phases.wait.seconds_up(),
            talk_seconds: record.phases.talk.seconds_up(),
            transfers: record.transfers,
            recognition: charge
                .lines
                .iter()
                .filter(|line| line.kind == Kind::Recognition)
                .map(|line| line.sum)
                .sum(),
            texts,
            kopecks: total,
            lines_sum: lines,
        })
    }

    /// The record of an attempt.
    pub async fn record(&self, attempt: &AttemptId) -> Result<Option<AttemptRecord>> {
        Ok(self.get(&self.keys.call(attempt)).await?.map(|read| read.row))
    }

    /// Shows every record of the tenant, in the order of their attempts' beginnings, a page in memory at a time.
    pub async fn each_record(&self, mut show: impl FnMut(AttemptRecord)) -> Result<()> {
        self.each(&self.keys.calls(), |read| show(read.row)).await
    }

    /// What an attempt costs, line by line.
    pub async fn charge(&self, attempt: &AttemptId) -> Result<Option<Charge>> {
        Ok(self.get(&self.keys.charge(attempt)).await?.map(|read| read.row))
    }
}

/// Rows are written in one commit, so one without the other is damage.
fn missing(key: Key) -> DialerError {
    DialerError::Unreadable { key, what: "it is not there, though another row names it".into() }
}
