//! `/v1/webhooks`: where each stands, what became of what it was told, and «send it again».

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use zvonar_dialer::hooks::{DeliveryState, DeliveryView, HookName, HookView};

use crate::ApiError;
use crate::auth::Caller;
use crate::desk::Desk;
use crate::error::Problem;
use crate::views::moment;

type Answer<T> = Result<Json<T>, ApiError>;

/// As many letters are shown when nobody says how many.
const SHOWN: usize = 50;
/// The most letters of one answer.
const MOST: usize = 500;

/// The tenant's webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookList {
    /// By name: those that the host was started with the last time.
    pub webhooks: Vec<WebhookInfo>,
}

/// Where a webhook stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookInfo {
    /// What it is called.
    pub name: String,
    /// Where it leads, without what follows `?`.
    pub url: String,
    /// What it is told.
    pub events: Vec<String>,
    /// What happened before is not told.
    #[schema(format = "date-time")]
    pub since: String,
    /// `ok`; `failing`: what waits was not taken.
    pub state: String,
    /// How much waits, up to 1000.
    pub waiting: usize,
    /// Since when the first of that waits.
    #[schema(format = "date-time")]
    pub waiting_since: Option<String>,
    /// Of that, how much was not taken at least once.
    pub failing: usize,
    /// Why, the last time.
    pub why: Option<String>,
    /// When something was delivered the last time.
    #[schema(format = "date-time")]
    pub delivered_at: Option<String>,
    /// How much was given up («не доставлено») and is still kept, up to 1000.
    pub lost: usize,
}

/// What a webhook was told, or is to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryList {
    /// What waits, the first first; then what was given up and what was delivered, the last first.
    pub deliveries: Vec<DeliveryInfo>,
}

/// One event, and what became of it at a webhook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryInfo {
    /// The event's id, `Zvonar-Event-Id`.
    #[schema(example = "call_finished-01jndh3k5g")]
    pub id: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// `waiting`, `delivered`, or `lost` («не доставлено»).
    pub state: String,
    /// When it happened.
    #[schema(format = "date-time")]
    pub created_at: String,
    /// When it was to be told.
    #[schema(format = "date-time")]
    pub queued_at: String,
    /// How often it was sent.
    pub tries: u32,
    /// When it is sent again.
    #[schema(format = "date-time")]
    pub next_at: Option<String>,
    /// When it was delivered or given up.
    #[schema(format = "date-time")]
    pub ended_at: Option<String>,
    /// The status of the last answer.
    pub http_status: Option<u16>,
    /// Why it was not taken the last time.
    pub why: Option<String>,
    /// What is sent; only where one delivery is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub body: Option<serde_json::Value>,
}

/// A try-out that is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookTest {
    /// Its event's id.
    pub id: String,
}

/// Which deliveries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Only those: `waiting`, `delivered` or `lost`.
    state: Option<String>,
    /// How many, 500 at most; 50 when absent.
    limit: Option<usize>,
}

impl WebhookInfo {
    fn of(view: HookView) -> Self {
        Self {
            name: view.name.to_string(),
            url: view.url,
            events: view.events.iter().map(ToString::to_string).collect(),
            since: moment(view.since),
            state: if view.failing > 0 { "failing" } else { "ok" }.to_owned(),
            waiting: view.waiting,
            waiting_since: view.waiting_since.map(moment),
            failing: view.failing,
            why: view.why,
            delivered_at: view.delivered.map(moment),
            lost: view.lost,
        }
    }
}

impl DeliveryInfo {
    fn of(view: DeliveryView, whole: bool) -> Self {
        Self {
            body: whole.then(|| serde_json::to_value(&view.event).unwrap_or_default()),
            id: view.event.id,
            kind: view.event.kind.to_string(),
            state: view.state.word().to_owned(),
            created_at: view.event.created_at,
            queued_at: moment(view.queued),
            tries: view.tries,
            next_at: view.due.map(moment),
            ended_at: view.ended.map(moment),
            http_status: view.status,
            why: view.why,
        }
    }
}

/// The name that a path has. What can be no name is nobody's.
fn named(text: &str) -> Result<HookName, ApiError> {
    let shown = || text.chars().take(64).collect();
    text.parse().map_err(|_| ApiError::Store(zvonar_dialer::DialerError::NoHook(shown())))
}

/// The webhooks.
#[utoipa::path(
    get, path = "/v1/webhooks", tag = "webhooks",
    responses(
        (status = 200, description = "Where each stands.", body = WebhookList),
        (status = 401, description = "No token, or an unknown one.", body = Problem)
    )
)]
pub(crate) async fn list(State(desk): State<Desk>, caller: Caller) -> Answer<WebhookList> {
    let webhooks = desk.tables(&caller)?.hooks().await?.into_iter().map(WebhookInfo::of).collect();
    Ok(Json(WebhookList { webhooks }))
}

/// What became of what a webhook was told.
#[utoipa::path(
    get, path = "/v1/webhooks/{webhook}/deliveries", tag = "webhooks", params(("webhook" = String, Path, description = "Its name."), Which),
    responses(
        (status = 200, description = "What waits, was given up, was delivered.", body = DeliveryList),
        (status = 400, description = "A parameter is not understood.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "No such webhook.", body = Problem)
    )
)]
pub(crate) async fn deliveries(
    State(desk): State<Desk>,
    caller: Caller,
    Path(webhook): Path<String>,
    which: Result<Query<Which>, QueryRejection>,
) -> Answer<DeliveryList> {
    let Query(Which { state, limit }) = which?;
    let state = match state {
        None => None,
        Some(word) => {
            let mut all = DeliveryState::ALL.into_iter();
            Some(all.find(|state| state.word() == word).ok_or_else(|| {
                ApiError::Malformed("the state of a delivery is `waiting`, `delivered` or `lost`".into())
            })?)
        }
    };
    let limit = limit.unwrap_or(SHOWN);
    if !(1..=MOST).contains(&limit) {
        return Err(ApiError::Malformed(format!("`limit` is 1 to {MOST}")));
    }
    let views = desk.tables(&caller)?.deliveries(&named(&webhook)?, state, limit).await?;
    Ok(Json(DeliveryList {
        deliveries: views.into_iter().map(|view| DeliveryInfo::of(view, false)).collect(),
    }))
}

/// One of them, with what is sent.
#[utoipa::path(
    get, path = "/v1/webhooks/{webhook}/deliveries/{id}", tag = "webhooks",
    params(("webhook" = String, Path, description = "Its name."), ("id" = String, Path, description = "The event's id.")),
    responses(
        (status = 200, description = "The delivery.", body = DeliveryInfo),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "No such webhook, or nothing is kept of this event.", body = Problem)
    )
)]
pub(crate) async fn delivery(
    State(desk): State<Desk>,
    caller: Caller,
    Path((webhook, id)): Path<(String, String)>,
) -> Answer<DeliveryInfo> {
    let view = desk.tables(&caller)?.delivery(&named(&webhook)?, &id).await?;
    Ok(Json(DeliveryInfo::of(view, true)))
}

/// Sends an event again, at once, whatever became of it.
#[utoipa::path(
    post, path = "/v1/webhooks/{webhook}/deliveries/{id}/resend", tag = "webhooks",
    params(("webhook" = String, Path, description = "Its name."), ("id" = String, Path, description = "The event's id.")),
    responses(
        (status = 200, description = "It goes, and is tried for another day.", body = DeliveryInfo),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "No such webhook, or nothing is kept of this event.", body = Problem)
    )
)]
pub(crate) async fn resend(
    State(desk): State<Desk>,
    caller: Caller,
    Path((webhook, id)): Path<(String, String)>,
) -> Answer<DeliveryInfo> {
    let view = desk.tables(&caller)?.resend(&named(&webhook)?, &id, (desk.clock)()).await?;
    Ok(Json(DeliveryInfo::of(view, false)))
}

/// Sends an event of the type `test`, which tells nothing.
#[utoipa::path(
    post, path = "/v1/webhooks/{webhook}/test", tag = "webhooks", params(("webhook" = String, Path, description = "Its name.")),
    responses(
        (status = 200, description = "It goes; ask for its delivery.", body = WebhookTest),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "No such webhook.", body = Problem)
    )
)]
pub(crate) async fn test(
    State(desk): State<Desk>,
    caller: Caller,
    Path(webhook): Path<String>,
) -> Answer<WebhookTest> {
    let id = desk.tables(&caller)?.test_hook(&named(&webhook)?, (desk.clock)()).await?;
    Ok(Json(WebhookTest { id }))
}
