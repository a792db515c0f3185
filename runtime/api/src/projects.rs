//! `/v1/projects`: make, edit, start, pause, finish, copy, call the unreached again.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zvonar_campaign::{ConsentRule, ProjectStatus, RetryClass, RetryRules};
use zvonar_dialer::{DialRules, NewProject, Project, ProjectChange, StatusCounts, Tables};
use zvonar_model::{ProjectId, ScenarioName, TrunkId};

use crate::ApiError;
use crate::auth::Caller;
use crate::desk::{Desk, project_id};
use crate::error::Problem;
use crate::leads::ChangedLeads;
use crate::views::moment;

type Answer<T> = Result<Json<T>, ApiError>;

/// The results that have limits, by their names here.
const CLASSES: [(&str, RetryClass); 5] = [
    ("no_answer", RetryClass::NoAnswer),
    ("busy", RetryClass::Busy),
    ("rejected", RetryClass::Rejected),
    ("system", RetryClass::System),
    ("machine", RetryClass::Machine),
];
/// The longest interval between two calls: a month.
const LONGEST_MIN: u64 = 31 * 24 * 60;
/// The longest that a phone may ring, in seconds.
const LONGEST_RING_S: u64 = 300;

/// The tenant's projects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProjectList {
    /// By id.
    pub projects: Vec<ProjectInfo>,
}

/// A project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProjectInfo {
    /// Its id.
    #[schema(example = "spring")]
    pub id: String,
    /// What people call it.
    #[schema(example = "Весенний обзвон")]
    pub title: String,
    /// `active`, `paused`, `finished` or `error`.
    pub state: String,
    /// The same for people.
    #[schema(example = "Активен")]
    pub status: String,
    /// Why it is finished or in error.
    pub why: Option<String>,
    /// Since when it is so.
    #[schema(format = "date-time")]
    pub since: String,
    /// What an edit has to name: it grows with every edit.
    pub version: u64,
    /// When it was made.
    #[schema(format = "date-time")]
    pub created_at: String,
    /// What runs when somebody picks up.
    pub scenario: String,
    /// The scenario's settings.
    pub settings: BTreeMap<String, String>,
    /// By which trunk.
    pub trunk: String,
    /// How many attempts at once.
    pub lines: u32,
    /// How many attempts may start in a second.
    pub calls_per_second: u32,
    /// How long a phone may ring, in seconds.
    pub ring_s: u64,
    /// 1 to 9: where lines are short, the higher goes first.
    pub priority: u8,
    /// When and how often it dials.
    pub rules: RulesInfo,
    /// Its leads by status.
    pub leads: LeadCounts,
}

/// When a project dials, and how often one person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RulesInfo {
    /// `any`, `ru-default`, `fz230`, or windows as `mon-fri 9:00-21:00, sat 10-18`.
    pub hours: String,
    /// Where a lead lives of whom nothing else says so.
    #[schema(example = "Europe/Moscow")]
    pub zone: String,
    /// Numbers of cities are left out.
    pub only_mobile: bool,
    /// `inform`, `survey`, `collection`.
    pub purpose: String,
    /// Only those are called who consented.
    pub consent_required: bool,
    /// The most calls to one number.
    pub max_calls: u32,
    /// Limits and intervals by result: `no_answer`, `busy`, `rejected`, `system`, `machine`.
    pub retry: BTreeMap<String, RetryInfo>,
}

/// How often a result may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryInfo {
    /// So many times in a row, and the number is left alone.
    pub limit: u32,
    /// Minutes until the next call.
    pub interval_min: u64,
}

/// Leads by status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct LeadCounts {
    /// All of them.
    pub total: i64,
    /// «ещё не звонили».
    pub new: i64,
    /// «позвоним ещё раз».
    pub again: i64,
    /// «дозвонились».
    pub reached: i64,
    /// «не дозвонились».
    pub unreached: i64,
}

impl From<StatusCounts> for LeadCounts {
    fn from(counts: StatusCounts) -> Self {
        let StatusCounts { new, again, reached, unreached } = counts;
        Self { total: counts.total(), new, again, reached, unreached }
    }
}

/// What is said of a project; what is absent stays, or is as the FAQ has it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProjectParts {
    /// The id of a project that is to be made: letters a-z A-Z, digits, - and _.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// In an edit: the version that it was made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What runs when somebody picks up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// The scenario's settings, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<BTreeMap<String, String>>,
    /// By which trunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trunk: Option<String>,
    /// How many attempts at once, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines: Option<u32>,
    /// How many attempts may start in a second, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_per_second: Option<u32>,
    /// How long a phone may ring, 1 to 300 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ring_s: Option<u64>,
    /// 1 to 9.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// Calling hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<String>,
    /// The zone of leads of whom nothing else says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Leave numbers of cities out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_mobile: Option<bool>,
    /// `inform`, `survey`, `collection`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// Call only those who consented.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consent_required: Option<bool>,
    /// The most calls to one number, 1 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_calls: Option<u32>,
    /// Limits and intervals of those results that are named.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub retry: BTreeMap<String, RetryInfo>,
}

/// A project to be made of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CopyTo {
    /// The new one's id.
    pub id: String,
    /// What people call it; absent: its id.
    #[serde(default)]
    pub title: Option<String>,
}

/// «Позвонить недозвонившимся»: the new project, and who is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Redialled {
    /// The new project. It is paused.
    pub project: ProjectInfo,
    /// How many leads it got.
    pub copied: ChangedLeads,
}

fn malformed(what: String) -> ApiError {
    ApiError::Malformed(what)
}

impl ProjectParts {
    /// The change that this is of a project.
    fn change(self, rules: &DialRules) -> Result<ProjectChange, ApiError> {
        let whole = |name: &str, value: Option<u32>, most: u32| match value {
            Some(value) if value == 0 || value > most => {
                Err(malformed(format!("`{name}` is {value}; it goes from 1 to {most}")))
            }
            value => Ok(value),
        };
        if let Some(ring) = self.ring_s.filter(|ring| !(1..=LONGEST_RING_S).contains(ring)) {
            return Err(malformed(format!("`ring_s` is {ring}; it goes from 1 to {LONGEST_RING_S}")));
        }
        let rules = self.rules(rules)?;
        Ok(ProjectChange {
            scenario: self.scenario.as_deref().map(scenario).transpose()?,
            trunk: self.trunk.as_deref().map(trunk).transpose()?,
            lines: whole("lines", self.lines, 100_000)?,
            calls_per_second: whole("calls_per_second", self.calls_per_second, 10_000)?,
            ring: self.ring_s.map(Duration::from_secs),
            rules,
            priority: self.priority,
            title: self.title,
            settings: self.settings,
        })
    }

    /// The rules with what is said of them; `None`: nothing is.
    fn rules(&self, now: &DialRules) -> Result<Option<DialRules>, ApiError> {
        let mut rules = now.clone();
        if let Some(hours) = &self.hours {
            rules.hours.clone_from(hours);
        }
        if let Some(zone) = &self.zone {
            rules.zone.clone_from(zone);
        }
        if let Some(purpose) = &self.purpose {
            rules.purpose =
                purpose.parse().map_err(|why: zvonar_campaign::NoPurpose| malformed(why.to_string()))?;
        }
        rules.only_mobile = self.only_mobile.unwrap_or(rules.only_mobile);
        if let Some(required) = self.consent_required {
            rules.consent = if required { ConsentRule::Required } else { ConsentRule::NotRequired };
        }
        if let Some(calls) = self.max_calls {
            if !(1..=100).contains(&calls) {
                return Err(malformed(format!("`max_calls` is {calls}; it goes from 1 to 100")));
            }
            rules.retry.max_calls = calls;
        }
        for (name, retry) in &self.retry {
            set_retry(&mut rules.retry, name, *retry)?;
        }
        Ok((rules != *now).then_some(rules))
    }
}

fn set_retry(rules: &mut RetryRules, name: &str, retry: RetryInfo) -> Result<(), ApiError> {
    let Some((_, class)) = CLASSES.iter().find(|(known, _)| *known == name) else {
        let known = CLASSES.map(|(name, _)| name).join(", ");
        return Err(malformed(format!("`retry` has no result `{name}`; there are {known}")));
    };
    if !(1..=100).contains(&retry.limit) || retry.interval_min > LONGEST_MIN {
        return Err(malformed(format!(
            "`retry.{name}`: a limit goes from 1 to 100, an interval from 0 to {LONGEST_MIN} minutes"
        )));
    }
    let rule = rules.of_mut(*class);
    rule.limit = retry.limit;
    rule.interval = Duration::from_secs(retry.interval_min * 60);
    Ok(())
}

fn scenario(name: &str) -> Result<ScenarioName, ApiError> {
    ScenarioName::new(name).map_err(|why| malformed(format!("`scenario`: {why}")))
}

fn trunk(id: &str) -> Result<TrunkId, ApiError> {
    TrunkId::new(id).map_err(|why| malformed(format!("`trunk`: {why}")))
}

fn new_id(id: &str) -> Result<ProjectId, ApiError> {
    ProjectId::new(id).map_err(|why| malformed(format!("`id`: {why}")))
}

/// A project as it is shown, with its counts.
async fn info(tables: &Tables, row: Project) -> Result<ProjectInfo, ApiError> {
    let leads = tables.status_counts(&row.project).await?.into();
    let (state, why) = match &row.status {
        ProjectStatus::Active => ("active", None),
        ProjectStatus::Paused => ("paused", None),
        ProjectStatus::Finished { .. } => ("finished", None),
        ProjectStatus::Error { why } => ("error", Some(why.clone())),
    };
    let retry = CLASSES.iter().map(|(name, class)| {
        let rule = row.rules.retry.of(*class);
        let info = RetryInfo { limit: rule.limit, interval_min: rule.interval.as_secs() / 60 };
        ((*name).to_owned(), info)
    });
    Ok(ProjectInfo {
        state: state.into(),
        status: row.status.title().into(),
        why,
        since: moment(row.since),
        version: row.version,
        created_at: moment(row.created_at),
        lines: row.lines,
        calls_per_second: row.calls_per_second,
        ring_s: row.ring().as_secs(),
        priority: row.priority,
        rules: RulesInfo {
            retry: retry.collect(),
            hours: row.rules.hours,
            zone: row.rules.zone,
            only_mobile: row.rules.only_mobile,
            purpose: row.rules.purpose.word().into(),
            consent_required: row.rules.consent == ConsentRule::Required,
            max_calls: row.rules.retry.max_calls,
        },
        leads,
        id: row.project.to_string(),
        title: row.title,
        scenario: row.scenario.to_string(),
        settings: row.settings,
        trunk: row.trunk.to_string(),
    })
}

/// The tenant's projects.
#[utoipa::path(
    get, path = "/v1/projects", tag = "projects",
    responses(
        (status = 200, description = "All of them, by id.", body = ProjectList),
        (status = 401, description = "No token, or an unknown one.", body = Problem)
    )
)]
pub(crate) async fn list(State(desk): State<Desk>, caller: Caller) -> Answer<ProjectList> {
    let tables = desk.tables(&caller)?;
    let mut projects = Vec::new();
    for row in tables.projects().await? {
        projects.push(info(tables, row).await?);
    }
    Ok(Json(ProjectList { projects }))
}

/// Makes a project. It is paused until it is started.
#[utoipa::path(
    post, path = "/v1/projects", tag = "projects", request_body = ProjectParts,
    responses(
        (status = 201, description = "It is there.", body = ProjectInfo),
        (status = 400, description = "The body is not understood.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 409, description = "The id is taken.", body = Problem),
        (status = 422, description = "No project may be so.", body = Problem)
    )
)]
pub(crate) async fn create(
    State(desk): State<Desk>,
    caller: Caller,
    body: Result<Json<ProjectParts>, JsonRejection>,
) -> Result<(StatusCode, Json<ProjectInfo>), ApiError> {
    let Json(parts) = body?;
    let lacks = |what: &str| malformed(format!("a project that is to be made needs `{what}`"));
    if parts.version.is_some() {
        return Err(malformed("a project that is to be made has no `version` yet".into()));
    }
    let id = parts.id.clone().ok_or_else(|| lacks("id"))?;
    let scenario = scenario(parts.scenario.as_deref().ok_or_else(|| lacks("scenario"))?)?;
    let trunk = trunk(parts.trunk.as_deref().ok_or_else(|| lacks("trunk"))?)?;
    let mut new = NewProject::new(new_id(&id)?, scenario, trunk);
    let change = parts.change(&new.rules)?;
    new.title = change.title.unwrap_or(new.title);
    new.settings = change.settings.unwrap_or_default();
    new.lines = change.lines.unwrap_or(new.lines);
    new.calls_per_second = change.calls_per_second.unwrap_or(new.calls_per_second);
    new.ring = change.ring.unwrap_or(new.ring);
    new.rules = change.rules.unwrap_or(new.rules);
    new.priority = change.priority.unwrap_or(new.priority);
    let tables = desk.tables(&caller)?;
    let made = tables.create_project(new, (desk.clock)()).await?;
    Ok((StatusCode::CREATED, Json(info(tables, made).await?)))
}

/// A project.
#[utoipa::path(
    get, path = "/v1/projects/{project}", tag = "projects",
    params(("project" = String, Path, description = "The project's id")),
    responses(
        (status = 200, description = "As it is now.", body = ProjectInfo),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such project.", body = Problem)
    )
)]
pub(crate) async fn one(
    State(desk): State<Desk>,
    caller: Caller,
    Path(project): Path<String>,
) -> Answer<ProjectInfo> {
    let tables = desk.tables(&caller)?;
    let row = tables.project(&project_id(&project)?).await?;
    Ok(Json(info(tables, row.ok_or(ApiError::NoProject(project))?).await?))
}

/// Edits a project; one that dials takes it up within about a second. The edit names the version that it was made of.
#[utoipa::path(
    patch, path = "/v1/projects/{project}", tag = "projects", request_body = ProjectParts,
    params(("project" = String, Path, description = "The project's id")),
    responses(
        (status = 200, description = "As it is now.", body = ProjectInfo),
        (status = 400, description = "The body is not understood.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such project.", body = Problem),
        (status = 409, description = "Somebody has edited it meanwhile; `version` is the one now, `faults` say what changed.", body = Problem),
        (status = 422, description = "No project may be so.", body = Problem)
    )
)]
pub(crate) async fn edit(
    State(desk): State<Desk>,
    caller: Caller,
    Path(project): Path<String>,
    body: Result<Json<ProjectParts>, JsonRejection>,
) -> Answer<ProjectInfo> {
    let Json(parts) = body?;
    let version = parts.version.ok_or_else(|| {
        malformed("an edit needs `version`: the one of the project that it was made of".into())
    })?;
    if parts.id.is_some() {
        return Err(malformed("the `id` of a project stays what it is".into()));
    }
    let tables = desk.tables(&caller)?;
    let id = project_id(&project)?;
    let row = tables.project(&id).await?.ok_or(ApiError::NoProject(project))?;
    // Of another version than the one named these rules are not written.
    let change = parts.change(&row.rules)?;
    let edited = tables.edit_project(&id, version, &change, &caller.token, (desk.clock)()).await?;
    Ok(Json(info(tables, edited).await?))
}

/// Starts a project.
#[utoipa::path(
    post, path = "/v1/projects/{project}/start", tag = "projects",
    params(("project" = String, Path, description = "The project's id")),
    responses(
        (status = 200, description = "It is active.", body = ProjectInfo),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such project.", body = Problem),
        (status = 409, description = "As many are active as may be; `faults` names them.", body = Problem),
        (status = 422, description = "It cannot dial as it is.", body = Problem)
    )
)]
pub(crate) async fn start(
    State(desk): State<Desk>,
    caller: Caller,
    Path(project): Path<String>,
) -> Answer<ProjectInfo> {
    let office = desk.office(&caller)?;
    let started =
        office.tables.start_project(&project_id(&project)?, office.active_projects, (desk.clock)()).await?;
    Ok(Json(info(&office.tables, started).await?))
}

/// Stops a project for a while. Calls in progress are finished.
#[utoipa::path(
    post, path = "/v1/projects/{project}/pause", tag = "projects",
    params(("project" = String, Path, description = "The project's id")),
    responses(
        (status = 200, description = "No attempt begins any more.", body = ProjectInfo),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such project.", body = Problem)
    )
)]
pub(crate) async fn pause(
    State(desk): State<Desk>,
    caller: Caller,
    Path(project): Path<String>,
) -> Answer<ProjectInfo> {
    let tables = desk.tables(&caller)?;
    let paused = tables.pause_project(&project_id(&project)?, (desk.clock)()).await?;
    Ok(Json(info(tables, paused).await?))
}

/// Ends a project, whatever is left of its list.
#[utoipa::path(
    post, path = "/v1/projects/{project}/finish", tag = "projects",
    params(("project" = String, Path, description = "The project's id")),
    responses(
        (status = 200, description = "It is finished.", body = ProjectInfo),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such project.", body = Problem)
    )
)]
pub(crate) async fn finish(
    State(desk): State<Desk>,
    caller: Caller,
    Path(project): Path<String>,
) -> Answer<ProjectInfo> {
    let tables = desk.tables(&caller)?;
    let finished = tables.finish_project(&project_id(&project)?, (desk.clock)()).await?;
    Ok(Json(info(tables, finished).await?))
}

/// Makes a project with the settings of another, without its leads.
#[utoipa::path(
    post, path = "/v1/projects/{project}/copy", tag = "projects", request_body = CopyTo,
    params(("project" = String, Path, description = "The project's id")),
    responses(
        (status = 201, description = "The new project. It is paused.", body = ProjectInfo),
        (status = 400, description = "The body is not understood.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such project.", body = Problem),
        (status = 409, description = "The id is taken.", body = Problem)
    )
)]
pub(crate) async fn copy(
    State(desk): State<Desk>,
    caller: Caller,
    Path(project): Path<String>,
    body: Result<Json<CopyTo>, JsonRejection>,
) -> Result<(StatusCode, Json<ProjectInfo>), ApiError> {
    let Json(CopyTo { id, title }) = body?;
    let tables = desk.tables(&caller)?;
    let title = title.unwrap_or_else(|| id.clone());
    let made = tables.copy_project(&project_id(&project)?, new_id(&id)?, title, (desk.clock)()).await?;
    Ok((StatusCode::CREATED, Json(info(tables, made).await?)))
}

/// Makes a project of all whom another did not reach.
#[utoipa::path(
    post, path = "/v1/projects/{project}/redial", tag = "projects", request_body = CopyTo,
    params(("project" = String, Path, description = "The project's id")),
    responses(
        (status = 201, description = "The new project. It is paused.", body = Redialled),
        (status = 400, description = "The body is not understood.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such project.", body = Problem),
        (status = 409, description = "The id is taken.", body = Problem)
    )
)]
pub(crate) async fn redial(
    State(desk): State<Desk>,
    caller: Caller,
    Path(project): Path<String>,
    body: Result<Json<CopyTo>, JsonRejection>,
) -> Result<(StatusCode, Json<Redialled>), ApiError> {
    let Json(CopyTo { id, title }) = body?;
    let tables = desk.tables(&caller)?;
    let title = title.unwrap_or_else(|| id.clone());
    let (made, copied) = tables.redial(&project_id(&project)?, &new_id(&id)?, &title, (desk.clock)()).await?;
    let project = info(tables, made).await?;
    Ok((StatusCode::CREATED, Json(Redialled { project, copied: copied.into() })))
}
