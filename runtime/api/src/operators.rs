//! `/v1/operators`: who takes calls, by which telephone, and whether he is there.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use zvonar_desk::{Group, Presence, Status};
use zvonar_dialer::operators::{Card, OperatorEdit, OperatorRow, OperatorView, Staff};
use zvonar_model::{Millis, OperatorId, ScenarioName};

use crate::ApiError;
use crate::auth::Caller;
use crate::desk::Desk;
use crate::error::Problem;
use crate::views::moment;

type Answer<T> = Result<Json<T>, ApiError>;

/// The operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperatorList {
    /// By id.
    pub operators: Vec<OperatorInfo>,
}

/// An operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperatorInfo {
    /// The id.
    #[schema(example = "anna")]
    pub id: String,
    /// What people call him.
    pub name: String,
    /// The groups whose callers he takes, beside those who want just anybody.
    pub groups: Vec<String>,
    /// How long he writes down after a talk, in seconds; absent: as the desk's settings have it.
    pub wrap_up_s: Option<u64>,
    /// The short number by which colleagues hand calls on to him.
    pub extension: Option<String>,
    /// The name by which his telephones register.
    #[schema(example = "demo.anna")]
    pub user: String,
    /// The realm that they are asked by.
    pub realm: String,
    /// Whether they can register: a password was set for this realm.
    pub may_register: bool,
    /// Whether one is registered now: as long as none is, no caller is given to him.
    pub registered: bool,
    /// `available`, `break`, `wrap_up`, `offline`.
    pub status: String,
    /// The same for people.
    #[schema(example = "Доступен")]
    pub status_title: String,
    /// Since when it is so.
    #[schema(format = "date-time")]
    pub since: String,
    /// «Прозвон»: what he is shown with a call.
    pub card: Option<CardSettings>,
    /// When he was made.
    #[schema(format = "date-time")]
    pub created_at: String,
}

/// «Прозвон»: what an operator is shown with a call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CardSettings {
    /// The scenario whose talk script and results he gets; absent: that of the scenario the caller has talked with.
    #[serde(default)]
    pub scenario: Option<String>,
    /// A talk script of his own, before the scenario's.
    #[serde(default)]
    pub script: Option<String>,
    /// Results of his own to pick from, before the scenario's.
    #[serde(default)]
    pub results: Vec<String>,
}

/// An operator that is to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOperator {
    /// The id: 1 to 64 of a-z A-Z 0-9 - _.
    pub id: String,
    /// What people call him.
    pub name: String,
    /// His groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// His own time for writing down after a talk, in seconds: 0 to 1800.
    #[serde(default)]
    pub wrap_up_s: Option<u64>,
    /// 2 to 6 digits.
    #[serde(default)]
    pub extension: Option<String>,
    /// His telephone's password, at least 8 characters; absent: one is made, and told in the answer.
    #[serde(default)]
    pub password: Option<String>,
    /// «Прозвон».
    #[serde(default)]
    pub card: Option<CardSettings>,
}

/// What is changed of an operator. What is absent stays; `null` takes away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OperatorChange {
    /// What people call him.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// All his groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// His own time for writing down, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    pub wrap_up_s: Option<Option<u64>>,
    /// His extension.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub extension: Option<Option<String>>,
    /// «Прозвон».
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<CardSettings>)]
    pub card: Option<Option<CardSettings>>,
}

/// Tells `null` from what is absent.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// What an operator's telephone is set up with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PhoneSetup {
    /// The name that it registers by.
    pub user: String,
    /// The realm that it is asked by.
    pub realm: String,
    /// The password, if it was made here. It is told this once: nobody can look it up.
    pub password: Option<String>,
}

/// An operator who was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperatorMade {
    /// He.
    pub operator: OperatorInfo,
    /// His telephone.
    pub phone: PhoneSetup,
}

/// A password that is to be set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    /// At least 8 characters; absent: one is made, and told in the answer.
    #[serde(default)]
    pub password: Option<String>,
}

/// An operator's status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusInfo {
    /// `available`, `break`, `wrap_up`, `offline`.
    pub status: String,
    /// The same for people.
    pub status_title: String,
    /// Since when.
    #[schema(format = "date-time")]
    pub since: String,
    /// When the desk ends it by itself; absent: it lasts.
    #[schema(format = "date-time")]
    pub until: Option<String>,
}

/// A status that is chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewStatus {
    /// `available`, `break`, `wrap_up`, `offline`, or as in reports: «Перерыв».
    pub status: String,
}

impl From<Presence> for StatusInfo {
    fn from(presence: Presence) -> Self {
        Self {
            status: presence.status.word().into(),
            status_title: presence.status.title().into(),
            since: moment(presence.since),
            until: presence.until.map(moment),
        }
    }
}

fn malformed(why: impl ToString) -> ApiError {
    ApiError::Malformed(why.to_string())
}

/// The id that a path names. What can be no id is nobody's.
pub(crate) fn operator_id(text: &str) -> Result<OperatorId, ApiError> {
    OperatorId::new(text).map_err(|_| ApiError::NoOperator(text.chars().take(64).collect()))
}

fn groups(texts: &[String]) -> Result<std::collections::BTreeSet<Group>, ApiError> {
    texts.iter().map(|text| Group::new(text).map_err(malformed)).collect()
}

fn wrap_up(seconds: Option<u64>) -> Option<Millis> {
    seconds.map(|seconds| Millis(seconds.saturating_mul(1000)))
}

fn card(settings: CardSettings) -> Result<Card, ApiError> {
    let scenario = settings.scenario.as_deref().map(ScenarioName::new).transpose();
    let scenario = scenario.map_err(|why| malformed(format!("card.scenario: {why}")))?;
    Ok(Card { scenario, script: settings.script, results: settings.results })
}

/// An operator, as the desk has him, with the presence that it or the store has of him.
fn info(
    staff: &Staff,
    row: OperatorRow,
    seen: Option<&OperatorView>,
    stored: Option<&Presence>,
) -> OperatorInfo {
    let presence = seen.map(|one| &one.presence).or(stored);
    let (status, since) = presence.map_or((Status::Offline, row.created), |one| (one.status, one.since));
    OperatorInfo {
        user: staff.user(&row.operator.id),
        realm: staff.realm().to_owned(),
        may_register: staff.may_register(&row),
        registered: seen.is_some_and(|one| !one.phones.is_empty()),
        id: row.operator.id.to_string(),
        name: row.name,
        groups: row.operator.groups.iter().map(ToString::to_string).collect(),
        wrap_up_s: row.operator.wrap_up.map(|wrap_up| wrap_up.0 / 1000),
        extension: row.extension,
        status: status.word().into(),
        status_title: status.title().into(),
        since: moment(since),
        card: row.card.map(|card| CardSettings {
            scenario: card.scenario.map(|scenario| scenario.to_string()),
            script: card.script,
            results: card.results,
        }),
        created_at: moment(row.created),
    }
}

/// Everybody as the desk has him: newer than what is stored.
async fn everybody(staff: &Staff) -> Result<BTreeMap<OperatorId, OperatorView>, ApiError> {
    let view = staff.view().await?;
    Ok(view.operators.into_iter().map(|one| (one.operator.clone(), one)).collect())
}

async fn shown(desk: &Desk, caller: &Caller, row: OperatorRow) -> Result<OperatorInfo, ApiError> {
    let staff = desk.staff(caller)?;
    let everybody = everybody(staff).await?;
    let seen = everybody.get(&row.operator.id);
    Ok(info(staff, row, seen, None))
}

/// All operators.
#[utoipa::path(
    get, path = "/v1/operators", tag = "operators",
    responses(
        (status = 200, description = "By id.", body = OperatorList),
        (status = 401, description = "No token, or an unknown one.", body = Problem)
    )
)]
pub(crate) async fn list(State(desk): State<Desk>, caller: Caller) -> Answer<OperatorList> {
    let staff = desk.staff(&caller)?;
    let everybody = everybody(staff).await?;
    let rows = desk.tables(&caller)?.operators().await?.into_iter();
    let operators = rows.map(|(row, stored)| {
        let seen = everybody.get(&row.operator.id);
        info(staff, row, seen, stored.as_ref())
    });
    Ok(Json(OperatorList { operators: operators.collect() }))
}

/// Makes an operator. He is «Не в сети» until he says otherwise.
#[utoipa::path(
    post, path = "/v1/operators", tag = "operators", request_body = NewOperator,
    responses(
        (status = 201, description = "He, and what his telephone is set up with.", body = OperatorMade),
        (status = 400, description = "The body is not understood.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 409, description = "There is one of this id, or as many as may be.", body = Problem),
        (status = 422, description = "No operator may be so.", body = Problem)
    )
)]
pub(crate) async fn create(
    State(desk): State<Desk>,
    caller: Caller,
    body: Result<Json<NewOperator>, JsonRejection>,
) -> Result<(StatusCode, Json<OperatorMade>), ApiError> {
    let Json(new) = body?;
    let id = OperatorId::new(&new.id).map_err(|why| malformed(format!("id: {why}")))?;
    let mut row = OperatorRow::new(id, &new.name, (desk.clock)());
    row.operator.groups = groups(&new.groups)?;
    row.operator.wrap_up = wrap_up(new.wrap_up_s);
    row.extension = new.extension;
    row.card = new.card.map(card).transpose()?;
    let (row, phone) = desk.staff(&caller)?.add(row, new.password.as_deref()).await?;
    let operator = shown(&desk, &caller, row).await?;
    let phone = PhoneSetup { user: phone.user, realm: phone.realm, password: phone.made };
    Ok((StatusCode::CREATED, Json(OperatorMade { operator, phone })))
}

/// An operator.
#[utoipa::path(
    get, path = "/v1/operators/{id}", tag = "operators", params(("id" = String, Path, description = "The operator.")),
    responses(
        (status = 200, description = "He.", body = OperatorInfo),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such operator.", body = Problem)
    )
)]
pub(crate) async fn one(
    State(desk): State<Desk>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer<OperatorInfo> {
    let id = operator_id(&id)?;
    let row = desk.tables(&caller)?.operator(&id).await?.ok_or(ApiError::NoOperator(id.to_string()))?;
    Ok(Json(shown(&desk, &caller, row).await?))
}

/// Changes an operator.
#[utoipa::path(
    patch, path = "/v1/operators/{id}", tag = "operators", request_body = OperatorChange,
    params(("id" = String, Path, description = "The operator.")),
    responses(
        (status = 200, description = "He, as he is now.", body = OperatorInfo),
        (status = 400, description = "The body is not understood.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such operator.", body = Problem),
        (status = 422, description = "No operator may be so.", body = Problem)
    )
)]
pub(crate) async fn edit(
    State(desk): State<Desk>,
    caller: Caller,
    Path(id): Path<String>,
    body: Result<Json<OperatorChange>, JsonRejection>,
) -> Answer<OperatorInfo> {
    let (id, Json(change)) = (operator_id(&id)?, body?);
    let edit = OperatorEdit {
        name: change.name,
        groups: change.groups.as_deref().map(groups).transpose()?,
        wrap_up: change.wrap_up_s.map(wrap_up),
        extension: change.extension,
        card: change.card.map(|wanted| wanted.map(card).transpose()).transpose()?,
        secret: None,
    };
    let row = desk.staff(&caller)?.edit(&id, &edit).await?;
    Ok(Json(shown(&desk, &caller, row).await?))
}

/// Removes an operator. His telephones are not let in any more; a talk goes on to its end, and reports know him by his id.
#[utoipa::path(
    delete, path = "/v1/operators/{id}", tag = "operators",
    params(("id" = String, Path, description = "The operator.")),
    responses(
        (status = 200, description = "He is gone; as he was.", body = OperatorInfo),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such operator.", body = Problem)
    )
)]
pub(crate) async fn remove(
    State(desk): State<Desk>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer<OperatorInfo> {
    let id = operator_id(&id)?;
    let row = desk.tables(&caller)?.operator(&id).await?.ok_or(ApiError::NoOperator(id.to_string()))?;
    let was = shown(&desk, &caller, row).await?;
    desk.staff(&caller)?.remove(&id).await?;
    Ok(Json(was))
}

/// An operator's status.
#[utoipa::path(
    get, path = "/v1/operators/{id}/status", tag = "operators",
    params(("id" = String, Path, description = "The operator.")),
    responses(
        (status = 200, description = "What he says of himself.", body = StatusInfo),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such operator.", body = Problem)
    )
)]
pub(crate) async fn status(
    State(desk): State<Desk>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer<StatusInfo> {
    let id = operator_id(&id)?;
    let row = desk.tables(&caller)?.operator(&id).await?.ok_or(ApiError::NoOperator(id.to_string()))?;
    let presence = everybody(desk.staff(&caller)?).await?.remove(&id).map(|one| one.presence);
    Ok(Json(presence.unwrap_or(Presence { since: row.created, ..Presence::default() }).into()))
}

/// Chooses a status for an operator. In mid-talk it holds from the end of the talk on.
#[utoipa::path(
    put, path = "/v1/operators/{id}/status", tag = "operators", request_body = NewStatus,
    params(("id" = String, Path, description = "The operator.")),
    responses(
        (status = 200, description = "What it is now.", body = StatusInfo),
        (status = 400, description = "The body is not understood.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such operator.", body = Problem)
    )
)]
pub(crate) async fn choose(
    State(desk): State<Desk>,
    caller: Caller,
    Path(id): Path<String>,
    body: Result<Json<NewStatus>, JsonRejection>,
) -> Answer<StatusInfo> {
    let (id, Json(NewStatus { status })) = (operator_id(&id)?, body?);
    let status: Status = status.parse().map_err(malformed)?;
    Ok(Json(desk.staff(&caller)?.status(&id, status).await?.into()))
}

/// Gives an operator's telephones another password.
#[utoipa::path(
    post, path = "/v1/operators/{id}/password", tag = "operators", request_body = NewPassword,
    params(("id" = String, Path, description = "The operator.")),
    responses(
        (status = 200, description = "What the telephones are set up with.", body = PhoneSetup),
        (status = 400, description = "The body is not understood.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such operator.", body = Problem),
        (status = 422, description = "It is no password.", body = Problem)
    )
)]
pub(crate) async fn password(
    State(desk): State<Desk>,
    caller: Caller,
    Path(id): Path<String>,
    body: Result<Json<NewPassword>, JsonRejection>,
) -> Answer<PhoneSetup> {
    let (id, Json(NewPassword { password })) = (operator_id(&id)?, body?);
    let told = desk.staff(&caller)?.set_password(&id, password.as_deref()).await?;
    Ok(Json(PhoneSetup { user: told.user, realm: told.realm, password: told.made }))
}
