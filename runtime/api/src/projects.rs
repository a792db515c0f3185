//! `/v1/projects`: what is dialled, and whether.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::Path;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zvonar_campaign::{ConsentRule, Ending, ProjectStatus, Purpose, RetryClass, RetryRules};
use zvonar_dialer::{DialRules, NewProject, Project, ProjectChange, StatusCounts};
use zvonar_model::{ProjectId, ScenarioName, TrunkId};

use crate::ApiError;
use crate::desk::Seated;
use crate::error::Problem;
use crate::leads::ChangedLeads;
use crate::views::moment;

type Answer<T> = Result<Json<T>, ApiError>;

/// A phone rings at least and at most so long, in seconds.
const RING_S: std::ops::RangeInclusive<u64> = 1..=300;
/// The longest interval of redialling: a month.
const LONGEST_MIN: u64 = 31 * 24 * 60;

/// All projects of the tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProjectList {
    /// By id.
    pub projects: Vec<ProjectInfo>,
}

/// A project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProjectInfo {
    /// Its id.
    pub project: String,
    /// What people call it.
    pub title: String,
    /// `active`, `paused`, `finished` or `error`.
    pub status: String,
    /// «Активен», «Приостановлен», «Завершён», «Ошибка».
    #[schema(example = "Активен")]
    pub status_title: String,
    /// What keeps it from dialling, if it is in error; what finished it.
    pub why: Option<String>,
    /// Since when it is so.
    #[schema(format = "date-time")]
    pub since: String,
    /// An edit names the version that it was made of.
    pub version: u64,
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
    /// When it was made.
    #[schema(format = "date-time")]
    pub created_at: String,
    /// The last edits, oldest first.
    pub edits: Vec<EditInfo>,
}

/// When and how often a project dials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RulesInfo {
    /// The most calls to one number.
    pub max_calls: u32,
    /// By `no_answer`, `busy`, `rejected`, `system`, `machine`: so many in a row, and minutes until the next call.
    pub retry: BTreeMap<String, RetryInfo>,
    /// Calling hours in the lead's own time: `any`, `ru-default`, `fz230`, or windows.
    #[schema(example = "mon-fri 9:00-21:00, sat 10-18")]
    pub hours: String,
    /// Where a lead lives of whom nothing else is known.
    #[schema(example = "Europe/Moscow")]
    pub zone: String,
    /// Only numbers of mobile telephones are taken.
    pub only_mobile: bool,
    /// `inform`, `survey`, `collection` or `advertising`.
    #[schema(value_type = String)]
    pub purpose: Purpose,
    /// `not-required` or `required`.
    #[schema(value_type = String)]
    pub consent: ConsentRule,
}

/// One class of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryInfo {
    /// So many in a row, and the number is left alone.
    #[schema(minimum = 1, maximum = 100)]
    pub limit: u32,
    /// Minutes until the next call.
    pub interval_min: u64,
}

/// Leads by status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeadCounts {
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
        Self { new, again, reached, unreached }
    }
}

/// An edit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EditInfo {
    /// The version after it.
    pub version: u64,
    /// By which token, or the configuration.
    pub by: String,
    /// When.
    #[schema(format = "date-time")]
    pub at: String,
    /// The names of what was changed.
    pub changed: Vec<String>,
}

/// The classes of failure by the names of the configuration.
const CLASSES: [(&str, RetryClass); 5] = [
    ("no_answer", RetryClass::NoAnswer),
    ("busy", RetryClass::Busy),
    ("rejected", RetryClass::Rejected),
    ("system", RetryClass::System),
    ("machine", RetryClass::Machine),
];

impl From<&DialRules> for RulesInfo {
    fn from(rules: &DialRules) -> Self {
        let retry = CLASSES.iter().map(|(name, class)| {
            let rule = rules.retry.of(*class);
            let info = RetryInfo { limit: rule.limit, interval_min: rule.interval.as_secs() / 60 };
            ((*name).to_owned(), info)
        });
        Self {
            max_calls: rules.retry.max_calls,
            retry: retry.collect(),
            hours: rules.hours.clone(),
            zone: rules.zone.clone(),
            only_mobile: rules.only_mobile,
            purpose: rules.purpose,
            consent: rules.consent,
        }
    }
}

fn ended(by: Ending) -> &'static str {
    match by {
        Ending::Done => "all its leads are finished",
        Ending::Idle => "nobody was called and nobody added for two weeks",
        Ending::Person => "somebody has finished it",
    }
}

fn info(row: Project, counts: StatusCounts) -> ProjectInfo {
    let (status, why) = match &row.status {
        ProjectStatus::Active => ("active", None),
        ProjectStatus::Paused => ("paused", None),
        ProjectStatus::Finished { by } => ("finished", Some(ended(*by).to_owned())),
        ProjectStatus::Error { why } => ("error", Some(why.clone())),
    };
    ProjectInfo {
        status: status.into(),
        status_title: row.status.title().into(),
        why,
        since: moment(row.since),
        version: row.version,
        rules: RulesInfo::from(&row.rules),
        leads: counts.into(),
        created_at: moment(row.created_at),
        edits: row
            .edits
            .into_iter()
            .map(|edit| EditInfo {
                version: edit.version,
                by: edit.by,
                at: moment(edit.at),
                changed: edit.changed,
            })
            .collect(),
        project: row.project.to_string(),
        title: row.title,
        scenario: row.scenario.to_string(),
        settings: row.settings,
        trunk: row.trunk.to_string(),
        lines: row.lines,
        calls_per_second: row.calls_per_second,
        ring_s: row.ring.0.div_ceil(1000),
        priority: row.priority,
    }
}

async fn answer(seat: &Seated, row: Project) -> Answer<ProjectInfo> {
    let counts = seat.tables.status_counts(&row.project).await?;
    Ok(Json(info(row, counts)))
}

/// Rules to be changed; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RulesChange {
    /// The most calls to one number, 1 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_calls: Option<u32>,
    /// By class; those that are absent stay.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub retry: BTreeMap<String, RetryInfo>,
    /// `any`, `ru-default`, `fz230`, or windows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<String>,
    /// A zone of the tz database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Only numbers of mobile telephones are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_mobile: Option<bool>,
    /// `inform`, `survey`, `collection` or `advertising`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub purpose: Option<Purpose>,
    /// `not-required` or `required`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub consent: Option<ConsentRule>,
}

impl RulesChange {
    fn apply(&self, mut rules: DialRules) -> Result<DialRules, ApiError> {
        if let Some(most) = self.max_calls {
            if !(1..=100).contains(&most) {
                return Err(ApiError::Malformed("`max_calls` is a whole number from 1 to 100".into()));
            }
            rules.retry.max_calls = most;
        }
        for (name, rule) in &self.retry {
            retry(&mut rules.retry, name, *rule)?;
        }
        if let Some(hours) = &self.hours {
            rules.hours.clone_from(hours);
        }
        if let Some(zone) = &self.zone {
            rules.zone.clone_from(zone);
        }
        rules.only_mobile = self.only_mobile.unwrap_or(rules.only_mobile);
        rules.purpose = self.purpose.unwrap_or(rules.purpose);
        rules.consent = self.consent.unwrap_or(rules.consent);
        Ok(rules)
    }
}

fn retry(rules: &mut RetryRules, name: &str, rule: RetryInfo) -> Result<(), ApiError> {
    let Some((_, class)) = CLASSES.iter().find(|(known, _)| *known == name) else {
        let known: Vec<&str> = CLASSES.iter().map(|(name, _)| *name).collect();
        return Err(ApiError::Malformed(format!("`retry` has no `{name}`; it has {}", known.join(", "))));
    };
    if !(1..=100).contains(&rule.limit) || rule.interval_min > LONGEST_MIN {
        return Err(ApiError::Malformed(format!(
            "`retry.{name}`: `limit` is 1 to 100, `interval_min` 0 to {LONGEST_MIN}"
        )));
    }
    let to = rules.of_mut(*class);
    (to.limit, to.interval) = (rule.limit, Duration::from_secs(rule.interval_min * 60));
    Ok(())
}

/// A project to be made, or what is changed of one: what is absent is as usual, or stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProjectBody {
    /// The id of one to be made: letters a-z A-Z, digits, `-` and `_`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The version that an edit was made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// What runs when somebody picks up; needed to make one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// By which trunk; needed to make one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trunk: Option<String>,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The scenario's settings, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<BTreeMap<String, String>>,
    /// How many attempts at once, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines: Option<u32>,
    /// How many attempts may start in a second, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_per_second: Option<u32>,
    /// How long a phone may ring, 1 to 300 seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ring_s: Option<u64>,
    /// 1 to 9: where lines are short, the higher goes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// When and how often it dials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<RulesChange>,
}

/// What a request must say.
fn needed<T>(value: Option<T>, name: &str, why: &str) -> Result<T, ApiError> {
    value.ok_or_else(|| ApiError::Malformed(format!("`{name}` is missing: {why}")))
}

/// Where a copy goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CopyBody {
    /// The new project's id.
    pub to: String,
    /// What people call it; absent: its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// A project for all who were not reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Redialled {
    /// The new project. It is paused.
    pub project: ProjectInfo,
    /// Its leads.
    pub leads: ChangedLeads,
}

pub(crate) fn project_id(text: &str) -> Result<ProjectId, ApiError> {
    ProjectId::new(text).map_err(|why| ApiError::Malformed(format!("project: {why}")))
}

fn scenario(text: &str) -> Result<ScenarioName, ApiError> {
    ScenarioName::new(text).map_err(|why| ApiError::Malformed(format!("scenario: {why}")))
}

fn trunk(seat: &Seated, text: &str) -> Result<TrunkId, ApiError> {
    let trunk = TrunkId::new(text).map_err(|why| ApiError::Malformed(format!("trunk: {why}")))?;
    if seat.trunks.contains(&trunk) {
        return Ok(trunk);
    }
    let known: Vec<&str> = seat.trunks.iter().map(TrunkId::as_str).collect();
    Err(ApiError::Malformed(format!("trunk: there is no `{trunk}`; this host has {}", known.join(", "))))
}

fn ring(seconds: u64) -> Result<Duration, ApiError> {
    if !RING_S.contains(&seconds) {
        let (from, to) = (RING_S.start(), RING_S.end());
        return Err(ApiError::Malformed(format!("`ring_s` is a whole number from {from} to {to}")));
    }
    Ok(Duration::from_secs(seconds))
}

/// The tenant's projects.
#[utoipa::path(
    get, path = "/v1/projects", tag = "projects",
    responses(
        (status = 200, description = "All of them, by id.", body = ProjectList),
        (status = 401, description = "No token, or an unknown one.", body = Problem)
    )
)]
pub(crate) async fn list(seat: Seated) -> Answer<ProjectList> {
    let mut projects = Vec::new();
    for row in seat.tables.projects().await? {
        let counts = seat.tables.status_counts(&row.project).await?;
        projects.push(info(row, counts));
    }
    Ok(Json(ProjectList { projects }))
}

/// Makes a project. It is paused, and has no leads.
#[utoipa::path(
    post, path = "/v1/projects", tag = "projects", request_body = ProjectBody,
    responses(
        (status = 201, description = "It is there.", body = ProjectInfo),
        (status = 400, description = "The body is wrong.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 409, description = "There is a project of this id.", body = Problem),
        (status = 422, description = "No project may be like this.", body = Problem)
    )
)]
pub(crate) async fn create(
    seat: Seated,
    body: Result<Json<ProjectBody>, JsonRejection>,
) -> Result<(StatusCode, Json<ProjectInfo>), ApiError> {
    let Json(more) = body?;
    if more.version.is_some() {
        return Err(ApiError::Malformed("`version` belongs to an edit; a new project has version 1".into()));
    }
    let project = needed(more.project, "project", "the id of the new project")?;
    let name = needed(more.scenario, "scenario", "what runs when somebody picks up")?;
    let by = needed(more.trunk, "trunk", "by which trunk it dials")?;
    let new = NewProject::new(project_id(&project)?, scenario(&name)?, trunk(&seat, &by)?);
    let rules = more.rules.unwrap_or_default().apply(new.rules.clone())?;
    let new = NewProject {
        title: more.title.unwrap_or(new.title),
        settings: more.settings.unwrap_or_default(),
        lines: more.lines.unwrap_or(new.lines),
        calls_per_second: more.calls_per_second.unwrap_or(new.calls_per_second),
        ring: more.ring_s.map_or(Ok(new.ring), ring)?,
        priority: more.priority.unwrap_or(new.priority),
        rules,
        ..new
    };
    let row = seat.tables.create_project(new, seat.now).await?;
    Ok((StatusCode::CREATED, answer(&seat, row).await?))
}

/// One project.
#[utoipa::path(
    get, path = "/v1/projects/{id}", tag = "projects",
    params(("id" = String, Path, description = "The project")),
    responses(
        (status = 200, description = "As it is.", body = ProjectInfo),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such project.", body = Problem)
    )
)]
pub(crate) async fn one(seat: Seated, Path(id): Path<String>) -> Answer<ProjectInfo> {
    let id = project_id(&id)?;
    let row = seat.tables.project(&id).await?;
    let row = row.ok_or(zvonar_dialer::DialerError::NoProject(id))?;
    answer(&seat, row).await
}

/// Changes a project, also while it dials: the change is taken up within about a second.
#[utoipa::path(
    patch, path = "/v1/projects/{id}", tag = "projects",
    params(("id" = String, Path, description = "The project")), request_body = ProjectBody,
    responses(
        (status = 200, description = "As it is now.", body = ProjectInfo),
        (status = 400, description = "The body is wrong.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such project.", body = Problem),
        (status = 409, description = "Somebody has edited it meanwhile; the message says what and which version it has.", body = Problem),
        (status = 422, description = "No project may be like this.", body = Problem)
    )
)]
pub(crate) async fn edit(
    seat: Seated,
    Path(id): Path<String>,
    body: Result<Json<ProjectBody>, JsonRejection>,
) -> Answer<ProjectInfo> {
    let Json(more) = body?;
    if more.project.is_some() {
        return Err(ApiError::Malformed(
            "a project keeps its id; `copy` makes another of its settings".into(),
        ));
    }
    let version = needed(more.version, "version", "the version that the edit was made of")?;
    let id = project_id(&id)?;
    let row = seat.tables.project(&id).await?;
    let row = row.ok_or_else(|| zvonar_dialer::DialerError::NoProject(id.clone()))?;
    let change = ProjectChange {
        title: more.title,
        scenario: more.scenario.as_deref().map(scenario).transpose()?,
        settings: more.settings,
        trunk: more.trunk.as_deref().map(|by| trunk(&seat, by)).transpose()?,
        lines: more.lines,
        calls_per_second: more.calls_per_second,
        ring: more.ring_s.map(ring).transpose()?,
        rules: more.rules.map(|rules| rules.apply(row.rules)).transpose()?,
        priority: more.priority,
    };
    let row = seat.tables.edit_project(&id, version, &change, &seat.by, seat.now).await?;
    answer(&seat, row).await
}

/// Starts a project: it dials from now on in its hours.
#[utoipa::path(
    post, path = "/v1/projects/{id}/start", tag = "projects",
    params(("id" = String, Path, description = "The project")),
    responses(
        (status = 200, description = "It is active.", body = ProjectInfo),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such project.", body = Problem),
        (status = 409, description = "As many are active as may be; the message names them.", body = Problem),
        (status = 422, description = "It cannot dial as it is.", body = Problem)
    )
)]
pub(crate) async fn start(seat: Seated, Path(id): Path<String>) -> Answer<ProjectInfo> {
    let row = seat.tables.start_project(&project_id(&id)?, seat.active_projects, seat.now).await?;
    answer(&seat, row).await
}

/// Stops a project for a while: calls in progress are finished.
#[utoipa::path(
    post, path = "/v1/projects/{id}/pause", tag = "projects",
    params(("id" = String, Path, description = "The project")),
    responses(
        (status = 200, description = "It is paused, or finished if it was.", body = ProjectInfo),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such project.", body = Problem)
    )
)]
pub(crate) async fn pause(seat: Seated, Path(id): Path<String>) -> Answer<ProjectInfo> {
    let row = seat.tables.pause_project(&project_id(&id)?, seat.now).await?;
    answer(&seat, row).await
}

/// Ends a project, whatever is left of its list. It can be started again.
#[utoipa::path(
    post, path = "/v1/projects/{id}/finish", tag = "projects",
    params(("id" = String, Path, description = "The project")),
    responses(
        (status = 200, description = "It is finished.", body = ProjectInfo),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such project.", body = Problem)
    )
)]
pub(crate) async fn finish(seat: Seated, Path(id): Path<String>) -> Answer<ProjectInfo> {
    let row = seat.tables.finish_project(&project_id(&id)?, seat.now).await?;
    answer(&seat, row).await
}

/// Makes a project with the settings of this one, without its leads. It is paused.
#[utoipa::path(
    post, path = "/v1/projects/{id}/copy", tag = "projects",
    params(("id" = String, Path, description = "The project")), request_body = CopyBody,
    responses(
        (status = 201, description = "It is there.", body = ProjectInfo),
        (status = 400, description = "The body is wrong.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such project.", body = Problem),
        (status = 409, description = "The new id is taken.", body = Problem)
    )
)]
pub(crate) async fn copy(
    seat: Seated,
    Path(id): Path<String>,
    body: Result<Json<CopyBody>, JsonRejection>,
) -> Result<(StatusCode, Json<ProjectInfo>), ApiError> {
    let Json(CopyBody { to, title }) = body?;
    let title = title.unwrap_or_else(|| to.clone());
    let row = seat.tables.copy_project(&project_id(&id)?, project_id(&to)?, title, seat.now).await?;
    Ok((StatusCode::CREATED, answer(&seat, row).await?))
}

/// «Call the unreached again»: a project with the settings of this one and all its «не дозвонились». It is paused. Doing
/// it again with the same id goes on where it was cut short.
#[utoipa::path(
    post, path = "/v1/projects/{id}/redial", tag = "projects",
    params(("id" = String, Path, description = "The project")), request_body = CopyBody,
    responses(
        (status = 201, description = "It is there.", body = Redialled),
        (status = 400, description = "The body is wrong.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such project.", body = Problem),
        (status = 409, description = "The new id is taken by another.", body = Problem)
    )
)]
pub(crate) async fn redial(
    seat: Seated,
    Path(id): Path<String>,
    body: Result<Json<CopyBody>, JsonRejection>,
) -> Result<(StatusCode, Json<Redialled>), ApiError> {
    let Json(CopyBody { to, title }) = body?;
    let title = title.unwrap_or_else(|| to.clone());
    let done = seat.tables.redial(&project_id(&id)?, &project_id(&to)?, &title, seat.now).await?;
    let Json(project) = answer(&seat, done.0).await?;
    Ok((StatusCode::CREATED, Json(Redialled { project, leads: done.1.into() })))
}
