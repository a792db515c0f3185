//! `/v1/reports`: «Проекты и обзвон роботом», «Результаты всех вызовов», «Результаты последних вызовов».

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use zvonar_dialer::operators::Verdict;
use zvonar_dialer::report::sheet;
use zvonar_dialer::{
    AttemptStep, CallFilter, CallOrder, Day, Employees, ProjectLine, Scope, Tally, TextTally,
};
use zvonar_model::{Direction, PhoneNumber, ProjectId, Transfer};

use crate::ApiError;
use crate::auth::Caller;
use crate::card::CallResult;
use crate::desk::Desk;
use crate::error::Problem;
use crate::projects::LeadCounts;
use crate::views::moment;

type Answer<T> = Result<Json<T>, ApiError>;

/// The most rows of one answer.
const MOST: usize = 1_000;
/// How many an answer shows when nobody says.
const USUAL: usize = 100;

/// Which calls.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Begun on this day or later, Moscow time: `2026-03-02`.
    from: Option<String>,
    /// Begun on this day or earlier.
    to: Option<String>,
    /// Of this project; `-` for calls of none.
    project: Option<String>,
    /// With this result.
    result: Option<String>,
    /// By this scenario.
    scenario: Option<String>,
    /// To leads with this tag; not for the report of projects.
    tag: Option<String>,
    /// Of this employee, by id or name, or «без ответственного».
    responsible: Option<String>,
}

/// Which rows of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Rows {
    from: Option<String>,
    to: Option<String>,
    project: Option<String>,
    result: Option<String>,
    scenario: Option<String>,
    tag: Option<String>,
    responsible: Option<String>,
    /// Of each lead only the last call.
    #[serde(default)]
    last: bool,
    /// The oldest first.
    #[serde(default)]
    oldest_first: bool,
    /// Only those behind this place: `next` of the answer before.
    after: Option<String>,
    /// At most so many, 1000 at most; absent: 100.
    limit: Option<usize>,
}

/// «Проекты и обзвон роботом».
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProjectsReport {
    /// By project; the calls of none come last.
    pub projects: Vec<ProjectCalls>,
    /// All calls, without their text messages.
    pub calls: CallSums,
    /// All text messages that were charged.
    pub texts: TextSums,
}

/// A project's leads and calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProjectCalls {
    /// Which; absent: calls that came in, or were placed by hand.
    pub project: Option<String>,
    /// What people call it.
    pub title: String,
    /// Where it stands.
    pub status: Option<String>,
    /// Its leads as they are now.
    pub leads: LeadCounts,
    /// Its calls, without their text messages.
    pub calls: CallSums,
    /// Text messages that were charged, by the days on which they were decided; none, when calls of one result or scenario
    /// are meant.
    pub texts: TextSums,
    /// The part of them that was answered.
    pub answered_percent: Option<f64>,
    /// The same by scenario and result.
    pub results: Vec<ResultCalls>,
}

/// Calls with one result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResultCalls {
    /// By which scenario.
    pub scenario: Option<String>,
    /// With which result.
    pub result: String,
    /// The calls.
    pub calls: CallSums,
}

/// Calls together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallSums {
    /// Attempts.
    pub attempts: u64,
    /// Those that were answered.
    pub answered: u64,
    /// Started seconds with the robot.
    pub robot_seconds: u64,
    /// Seconds of talk with whomever callers were handed to.
    pub talk_seconds: u64,
    /// What they cost.
    pub kopecks: i64,
    /// Callers who were to be handed to an employee, and talked with nobody but the robot.
    pub lost: u64,
}

/// Text messages together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TextSums {
    /// Messages.
    pub texts: u64,
    /// Their parts.
    pub segments: u64,
    /// What they cost.
    pub kopecks: i64,
}

impl From<TextTally> for TextSums {
    fn from(tally: TextTally) -> Self {
        Self { texts: tally.texts, segments: tally.segments, kopecks: tally.kopecks.0 }
    }
}

/// A part of the calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallRows {
    /// A row per attempt. May be fewer than were asked for when what is looked for is rare.
    pub calls: Vec<CallRow>,
    /// What to send as `after` for those that follow; absent: there are no more.
    pub next: Option<String>,
}

/// An attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallRow {
    /// Which: `/v1/attempts/{id}` has all of it.
    pub attempt: String,
    /// For which project.
    pub project: Option<String>,
    /// To reach whom.
    pub lead: Option<String>,
    /// Whether it came in.
    pub inbound: bool,
    /// The far end's number, or what the network called it.
    pub number: String,
    /// When it began.
    #[schema(format = "date-time")]
    pub started_at: String,
    /// Whether it was answered.
    pub answered: bool,
    /// «Результат».
    pub result: String,
    /// By which scenario.
    pub scenario: Option<String>,
    /// All keys that were pressed.
    pub keys: String,
    /// Started seconds with the robot.
    pub robot_seconds: u64,
    /// Seconds of talk with whomever the caller was handed to.
    pub talk_seconds: u64,
    /// What it cost, with its text messages as far as they are charged.
    pub kopecks: i64,
    /// How many text messages were decided in it: `/v1/sms?attempt=…` has them.
    pub texts: u32,
    /// The lead's tags at that time.
    pub tags: Vec<String>,
    /// «Ответственный»: the employee who talked last, or who missed the call.
    pub responsible: String,
    /// To whom the caller was handed, in order.
    pub transfers: Vec<TransferRow>,
    /// What the employee said came of it.
    pub call_result: Option<CallResult>,
}

/// To whom a caller was handed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransferRow {
    /// «сотрудник» or «внешний номер».
    pub kind: String,
    /// The employee who talked, or who is responsible for the missed call.
    pub user_id: Option<String>,
    /// The external number, masked.
    pub number: Option<String>,
    /// Whether they talked.
    pub connected: bool,
    /// Started seconds of waiting.
    pub wait_seconds: u64,
    /// Started seconds of talk.
    pub talk_seconds: u64,
    /// How it was missed: «Оператор занят».
    pub missed: Option<String>,
}

impl From<&Transfer> for TransferRow {
    fn from(one: &Transfer) -> Self {
        Self {
            kind: sheet::kind(one).into(),
            user_id: one.operator.as_ref().map(ToString::to_string),
            number: one.number.as_ref().map(PhoneNumber::masked),
            connected: one.connected,
            wait_seconds: one.wait.seconds_up(),
            talk_seconds: one.talk.seconds_up(),
            missed: one.missed.clone(),
        }
    }
}

impl From<Tally> for CallSums {
    fn from(tally: Tally) -> Self {
        Self {
            attempts: tally.attempts,
            answered: tally.answered,
            robot_seconds: tally.robot_seconds,
            talk_seconds: tally.talk_seconds,
            kopecks: tally.kopecks.0,
            lost: tally.lost,
        }
    }
}

impl From<ProjectLine> for ProjectCalls {
    fn from(line: ProjectLine) -> Self {
        let answered_percent = line.answered_percent();
        let results = line.results.into_iter().map(|one| ResultCalls {
            scenario: one.scenario,
            result: one.result,
            calls: one.calls.into(),
        });
        Self {
            project: line.project.map(|project| project.to_string()),
            title: line.title,
            status: line.status.map(|status| status.title().to_owned()),
            leads: line.leads.into(),
            calls: line.calls.into(),
            texts: line.texts.into(),
            answered_percent,
            results: results.collect(),
        }
    }
}

impl CallRow {
    fn of(step: AttemptStep, employees: &Employees, said: Option<Verdict>) -> Self {
        Self {
            responsible: employees.responsible(&step).to_owned(),
            transfers: step.transfers.iter().map(Into::into).collect(),
            call_result: said.map(Into::into),
            attempt: step.attempt.to_string(),
            project: step.project.map(|project| project.to_string()),
            lead: step.lead.map(|lead| lead.to_string()),
            inbound: step.direction == Direction::Inbound,
            number: step.number.map_or(step.peer, |number| number.reveal().to_owned()),
            started_at: moment(step.started_at),
            answered: step.answered_at.is_some(),
            result: step.result,
            scenario: step.scenario.map(|scenario| scenario.name),
            keys: step.keys,
            robot_seconds: step.robot_seconds,
            talk_seconds: step.talk_seconds,
            kopecks: step.kopecks.0,
            texts: step.texts,
            tags: step.tags,
        }
    }
}

impl Which {
    fn filter(self) -> Result<CallFilter, ApiError> {
        let day = |name: &str, text: Option<String>| {
            let wrong = |_| ApiError::Malformed(format!("`{name}` is a day as 2026-03-02"));
            text.map(|text| text.parse::<Day>().map_err(wrong)).transpose()
        };
        let scope = match self.project.as_deref() {
            None => Scope::All,
            Some("-") => Scope::Outside,
            Some(id) => Scope::Project(
                ProjectId::new(id).map_err(|_| ApiError::NoProject(id.chars().take(64).collect()))?,
            ),
        };
        Ok(CallFilter {
            from: day("from", self.from)?,
            to: day("to", self.to)?,
            scope,
            result: self.result,
            scenario: self.scenario,
            tag: self.tag,
            responsible: self.responsible,
        })
    }
}

/// «Проекты и обзвон роботом»: leads by status, what came of the calls, what they cost.
#[utoipa::path(
    get, path = "/v1/reports/projects", tag = "reports", params(Which),
    responses(
        (status = 200, description = "A row per project.", body = ProjectsReport),
        (status = 400, description = "A parameter is wrong.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such project.", body = Problem)
    )
)]
pub(crate) async fn projects(
    State(desk): State<Desk>,
    caller: Caller,
    which: Result<Query<Which>, QueryRejection>,
) -> Answer<ProjectsReport> {
    let Query(which) = which?;
    let report = desk.tables(&caller)?.project_report(&which.filter()?).await?;
    let projects = report.lines.into_iter().map(Into::into).collect();
    Ok(Json(ProjectsReport { projects, calls: report.calls.into(), texts: report.texts.into() }))
}

/// «Результаты всех вызовов», or with `last` «Результаты последних вызовов».
#[utoipa::path(
    get, path = "/v1/reports/calls", tag = "reports", params(Rows),
    responses(
        (status = 200, description = "A row per attempt.", body = CallRows),
        (status = 400, description = "A parameter is wrong.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem)
    )
)]
pub(crate) async fn calls(
    State(desk): State<Desk>,
    caller: Caller,
    rows: Result<Query<Rows>, QueryRejection>,
) -> Answer<CallRows> {
    let Query(Rows {
        from,
        to,
        project,
        result,
        scenario,
        tag,
        responsible,
        last,
        oldest_first,
        after,
        limit,
    }) = rows?;
    let filter = Which { from, to, project, result, scenario, tag, responsible }.filter()?;
    let after = after.map(|after| after.parse()).transpose().map_err(ApiError::Malformed)?;
    let order = if oldest_first { CallOrder::OldestFirst } else { CallOrder::NewestFirst };
    let limit = limit.unwrap_or(USUAL).clamp(1, MOST);
    let tables = desk.tables(&caller)?;
    let page = tables.call_page(&filter, last, order, after, limit).await?;
    let employees = tables.employees().await?;
    let mut calls = Vec::with_capacity(page.calls.len());
    for step in page.calls {
        let said = tables.verdict_of(&step).await?;
        calls.push(CallRow::of(step, &employees, said));
    }
    Ok(Json(CallRows { calls, next: page.next.map(|next| next.to_string()) }))
}
