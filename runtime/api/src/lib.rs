//! The HTTP interface: scenarios and their versions, projects and their leads, records of calls.
//!
//! ```text
//! token ─▶ tenant ─▶ route ─▶ dialer::deployments, dialer::Tables
//! ```
//!
//! The routes that need nothing but what is stored are the [`Desk`]: commands send their requests to it in this process
//! when no host runs.
//!
//! A request belongs to one tenant, named by its token and nothing else; there is no way to ask for another's. What comes
//! out is never a stored type: [`views`](self) are their own, but for the record of an attempt, whose shape has a version
//! of its own and is what replays read.
//!
//! # What always holds
//!
//! * An answer that is no success is `{code, message, faults}`: a word for programs, a sentence for people that says what
//!   to do, and one more sentence for each fault of a package. The detail goes to the log.
//! * An upload is read only when it is its turn, and never beyond its limit.
//! * Connections, their headers and their bodies have limits of number and time.
//!
//! Deliberately absent: TLS, which is a reverse proxy's in front of it.

mod attempts;
mod auth;
mod balance;
mod blacklist;
mod callbacks;
mod card;
mod desk;
mod duty;
mod error;
mod leads;
mod operators;
mod projects;
mod reports;
mod scenarios;
mod server;
mod sms;
mod token;
mod views;
mod webhooks;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use tokio::sync::Semaphore;
use utoipa::OpenApi;
use zvonar_dialer::WallClock;
use zvonar_dialer::deployments::Deployments;
use zvonar_dialer::operators::Staff;
use zvonar_model::TenantId;

use auth::{BearerTokens, Tokens};
pub use balance::BalanceInfo;
pub use blacklist::{
    Blacklist, BlockedNumber, ChangedEntries, ConsentInfo, ConsentList, ConsentsToAdd, NumbersToBlock,
};
pub use callbacks::callbacks;
pub use card::{CallResult, CardAttempt, CardCall, CardContact, CardInfo, NewCallResult};
pub use desk::{Desk, LocalDesk, Office};
pub use duty::{AtDesk, DeskInfo, InQueue, OnDuty, PhoneInfo};
pub use error::ApiError;
pub use leads::{
    AddLeads, AddedLeads, ChangedLeads, LeadChange, LeadDetail, LeadInfo, LeadList, LeadSelection, LeadToAdd,
    LeadsToMove, LeadsToTag, NumberInfo, RefusedLead, WhyInfo,
};
pub use operators::{
    CardSettings, NewOperator, NewPassword, NewStatus, OperatorChange, OperatorInfo, OperatorList,
    OperatorMade, PhoneSetup, StatusInfo,
};
pub use projects::{
    CopyTo, LeadCounts, ProjectInfo, ProjectList, ProjectParts, Redialled, RetryInfo, RulesInfo,
};
pub use reports::{
    CallRow, CallRows, CallSums, ProjectCalls, ProjectsReport, ResultCalls, TextSums, TransferRow,
};
pub use server::{Server, ServerError};
pub use sms::{TextList, TextView, Tried};
pub use token::{Token, TokenError, TokenHash};
pub use views::{Deployed, ScenarioInfo, ScenarioList, VersionInfo, VersionList};
pub use webhooks::{DeliveryInfo, DeliveryList, WebhookInfo, WebhookList, WebhookTest};

/// How many answers full of records one tenant may be reading at once.
const READERS: usize = 4;

/// What the routes share.
#[derive(Clone)]
struct Api {
    deployments: Deployments,
    tokens: Arc<Vec<(TenantId, TokenHash)>>,
    readers: Arc<BTreeMap<TenantId, Arc<Semaphore>>>,
    clock: WallClock,
}

/// The routes, for these tenants and their tokens. `staff`: the operators of each tenant.
pub fn router(
    deployments: Deployments,
    staff: &BTreeMap<TenantId, Staff>,
    tokens: Vec<(TenantId, TokenHash)>,
    clock: WallClock,
) -> Router {
    let tenants = tokens.iter().map(|(tenant, _)| (tenant.clone(), Arc::new(Semaphore::new(READERS))));
    let readers = Arc::new(tenants.collect());
    let offices = deployments.offices().into_iter();
    let offices = offices.filter_map(|(tables, grant)| {
        let staff = staff.get(tables.tenant())?.clone();
        Some(Office { tables, active_projects: grant.active_projects, staff })
    });
    let desk = Desk::new(offices.collect(), tokens.clone(), clock.clone());
    let desk = desk.with_scenarios(deployments.clone());
    let api = Api { deployments, tokens: Arc::new(tokens), readers, clock };
    let routes = Router::new()
        .route("/v1/scenarios", get(scenarios::list).post(scenarios::deploy))
        .route("/v1/scenarios/{name}/versions", get(scenarios::versions))
        .route("/v1/scenarios/{name}/rollback", post(scenarios::rollback))
        .route("/v1/scenarios/{name}/canary", post(scenarios::canary))
        .route("/v1/scenarios/{name}/promote", post(scenarios::promote))
        .route("/v1/attempts", get(attempts::list))
        .route("/v1/attempts/{id}", get(attempts::one))
        .route("/openapi.json", get(openapi))
        .route("/healthz", get(healthz))
        .with_state(api);
    routes
        .merge(desk.routes())
        .fallback(error::no_such_place)
        .method_not_allowed_fallback(error::no_such_method)
}

impl Tokens for Api {
    fn tokens(&self) -> &[(TenantId, TokenHash)] {
        &self.tokens
    }
}

/// What the interface says about itself.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Zvonar",
        version = "1",
        description = "Deploy scenarios into a running host, make projects and dial their leads, look after operators, read the records of calls. \
                       Every request but /healthz, /openapi.json and /v1/callbacks carries `Authorization: Bearer zvt_…`; the token \
                       names the tenant."
    ),
    paths(
        scenarios::list,
        scenarios::deploy,
        scenarios::versions,
        scenarios::rollback,
        scenarios::canary,
        scenarios::promote,
        attempts::list,
        attempts::one,
        projects::list,
        projects::create,
        projects::one,
        projects::edit,
        projects::start,
        projects::pause,
        projects::finish,
        projects::copy,
        projects::redial,
        leads::list,
        leads::add,
        leads::one,
        leads::edit,
        leads::tag,
        leads::transfer,
        leads::delete,
        reports::projects,
        reports::calls,
        blacklist::list,
        blacklist::change,
        blacklist::consents,
        blacklist::add_consents,
        balance::one,
        operators::list,
        operators::create,
        operators::one,
        operators::edit,
        operators::remove,
        operators::status,
        operators::choose,
        operators::password,
        card::one,
        card::result,
        duty::now,
        webhooks::list,
        webhooks::deliveries,
        webhooks::delivery,
        webhooks::resend,
        webhooks::test,
        callbacks::smsc,
        sms::list,
        sms::one,
        sms::try_now,
        openapi,
        healthz
    ),
    components(schemas(error::Problem)),
    modifiers(&BearerTokens),
    security(("token" = []))
)]
struct Document;

/// This document.
#[utoipa::path(get, path = "/openapi.json", security(()), responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")))]
async fn openapi() -> axum::Json<utoipa::openapi::OpenApi> {
    axum::Json(document())
}

/// Whether the host is there.
#[utoipa::path(get, path = "/healthz", security(()), responses((status = 200, description = "It is.", body = String, content_type = "text/plain")))]
async fn healthz() -> &'static str {
    "ok\n"
}
