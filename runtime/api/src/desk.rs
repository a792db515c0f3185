//! The desk: projects and their leads, over HTTP or without a socket.
//!
//! A running host serves these routes beside the others. When none runs, whoever has the data folder sends the very same
//! requests to a [`LocalDesk`]: there is one implementation of every command.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::DefaultBodyLimit;
use axum::http::{Request, StatusCode, header};
use axum::middleware::map_request;
use axum::routing::{get, post};
use bytes::Bytes;
use futures::{StreamExt, stream};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use tokio::time::sleep;
use zvonar_dialer::deployments::{Deployments, TalkScript};
use zvonar_dialer::operators::Staff;
use zvonar_dialer::{Tables, WallClock};
use zvonar_model::{ProjectId, TenantId};

use crate::auth::{Caller, Tokens};
use crate::error::ApiError;
use crate::token::TokenHash;
use crate::{balance, blacklist, card, duty, leads, operators, projects, reports, sms, webhooks};

/// The largest body that the desk takes: a thousand leads of a few kilobytes each.
pub(crate) const MAX_BODY: usize = 8 << 20;
/// How long a body may be on its way.
const BODY_PATIENCE: Duration = Duration::from_secs(60);
/// The largest answer that is taken without a socket.
const MAX_ANSWER: usize = 256 << 20;

/// What one tenant's requests reach.
#[derive(Clone)]
pub struct Office {
    /// All that he has stored.
    pub tables: Tables,
    /// How many of his projects may be active at once.
    pub active_projects: u32,
    /// His operators.
    pub staff: Staff,
}

/// What the routes of the desk share.
#[derive(Clone)]
pub struct Desk {
    offices: Arc<BTreeMap<TenantId, Office>>,
    tokens: Arc<Vec<(TenantId, TokenHash)>>,
    /// Scenarios, for the talk scripts of operators; `None`: the host stands still, and nobody is handed a call.
    scenarios: Option<Deployments>,
    pub(crate) clock: WallClock,
}

impl Desk {
    /// For these tenants, and whoever has one of these tokens.
    pub fn new(offices: Vec<Office>, tokens: Vec<(TenantId, TokenHash)>, clock: WallClock) -> Self {
        let offices = offices.into_iter().map(|office| (office.tables.tenant().clone(), office));
        Self { offices: Arc::new(offices.collect()), tokens: Arc::new(tokens), scenarios: None, clock }
    }

    /// The same in a running host, with its scenarios.
    #[must_use]
    pub(crate) fn with_scenarios(mut self, scenarios: Deployments) -> Self {
        self.scenarios = Some(scenarios);
        self
    }

    /// What a scenario has for operators.
    pub(crate) fn talk_script(&self, tenant: &TenantId, scenario: &str) -> Option<TalkScript> {
        self.scenarios.as_ref()?.talk_script(tenant, scenario)
    }

    /// The caller's operators.
    pub(crate) fn staff(&self, caller: &Caller) -> Result<&Staff, ApiError> {
        Ok(&self.office(caller)?.staff)
    }

    /// What the caller's requests reach.
    pub(crate) fn office(&self, caller: &Caller) -> Result<&Office, ApiError> {
        self.offices.get(&caller.tenant).ok_or(ApiError::NoToken)
    }

    pub(crate) fn tables(&self, caller: &Caller) -> Result<&Tables, ApiError> {
        Ok(&self.office(caller)?.tables)
    }

    /// The routes, without what every router has: an answer for paths that lead nowhere.
    pub(crate) fn routes(self) -> Router {
        Router::new()
            .route("/v1/projects", get(projects::list).post(projects::create))
            .route("/v1/projects/{project}", get(projects::one).patch(projects::edit))
            .route("/v1/projects/{project}/start", post(projects::start))
            .route("/v1/projects/{project}/pause", post(projects::pause))
            .route("/v1/projects/{project}/finish", post(projects::finish))
            .route("/v1/projects/{project}/copy", post(projects::copy))
            .route("/v1/projects/{project}/redial", post(projects::redial))
            .route("/v1/projects/{project}/leads", get(leads::list).post(leads::add))
            .route("/v1/projects/{project}/leads/tag", post(leads::tag))
            .route("/v1/projects/{project}/leads/move", post(leads::transfer))
            .route("/v1/projects/{project}/leads/delete", post(leads::delete))
            .route("/v1/projects/{project}/leads/{lead}", get(leads::one).patch(leads::edit))
            .route("/v1/reports/projects", get(reports::projects))
            .route("/v1/reports/calls", get(reports::calls))
            .route("/v1/blacklist", get(blacklist::list).post(blacklist::change))
            .route("/v1/consents", get(blacklist::consents).post(blacklist::add_consents))
            .route("/v1/balance", get(balance::one))
            .route("/v1/operators", get(operators::list).post(operators::create))
            .route("/v1/operators/{id}", get(operators::one).patch(operators::edit).delete(operators::remove))
            .route("/v1/operators/{id}/status", get(operators::status).put(operators::choose))
            .route("/v1/operators/{id}/password", post(operators::password))
            .route("/v1/operators/{id}/card", get(card::one))
            .route("/v1/operators/{id}/card/result", post(card::result))
            .route("/v1/desk", get(duty::now))
            .route("/v1/webhooks", get(webhooks::list))
            .route("/v1/webhooks/{webhook}/deliveries", get(webhooks::deliveries))
            .route("/v1/webhooks/{webhook}/deliveries/{id}", get(webhooks::delivery))
            .route("/v1/webhooks/{webhook}/deliveries/{id}/resend", post(webhooks::resend))
            .route("/v1/webhooks/{webhook}/test", post(webhooks::test))
            .route("/v1/sms", get(sms::list))
            .route("/v1/sms/try", post(sms::try_now))
            .route("/v1/sms/{id}", get(sms::one))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .layer(map_request(in_time))
            .with_state(self)
    }

    /// The routes alone, for whoever has the data folder.
    pub fn local(self) -> LocalDesk {
        let routes = self.routes().fallback(crate::error::no_such_place);
        LocalDesk(routes.method_not_allowed_fallback(crate::error::no_such_method))
    }
}

impl Tokens for Desk {
    fn tokens(&self) -> &[(TenantId, TokenHash)] {
        &self.tokens
    }
}

/// The desk in this process, without a socket.
#[derive(Clone)]
pub struct LocalDesk(Router);

impl LocalDesk {
    /// Sends a request to the routes; gives the status and the body. `body`: JSON.
    pub async fn ask(&self, method: &str, path: &str, token: &str, body: Option<Vec<u8>>) -> (u16, Bytes) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.map_or_else(Body::empty, Body::from));
        let request = match request {
            Ok(request) => request,
            Err(why) => return (StatusCode::BAD_REQUEST.as_u16(), why.to_string().into()),
        };
        let Ok(response) = TowerToHyperService::new(self.0.clone()).call(request).await;
        let status = response.status();
        match to_bytes(response.into_body(), MAX_ANSWER).await {
            Ok(bytes) => (status.as_u16(), bytes),
            Err(why) => (StatusCode::INTERNAL_SERVER_ERROR.as_u16(), why.to_string().into()),
        }
    }
}

/// A body that must be whole in time: whoever sends a byte now and then keeps no connection.
async fn in_time(request: Request<Body>) -> Request<Body> {
    request.map(|body| {
        let begun = (body.into_data_stream(), Box::pin(sleep(BODY_PATIENCE)));
        let pieces = stream::unfold(Some(begun), |going| async move {
            let (mut pieces, mut late) = going?;
            tokio::select! {
                biased;
                piece = pieces.next() => Some((piece?, Some((pieces, late)))),
                () = &mut late => Some((Err(axum::Error::new(TooSlow)), None)),
            }
        });
        Body::from_stream(pieces)
    })
}

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
#[error("the body came too slowly: it has {} seconds", BODY_PATIENCE.as_secs())]
struct TooSlow;

/// The id that a path names. What can be no id is nobody's.
pub(crate) fn project_id(text: &str) -> Result<ProjectId, ApiError> {
    ProjectId::new(text).map_err(|_| ApiError::NoProject(text.chars().take(64).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up() {
        let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{"))]);
        let slow = Request::new(Body::from_stream(first.chain(stream::pending())));
        let read = to_bytes(in_time(slow).await.into_body(), MAX_BODY).await;
        assert!(read.expect_err("it is not whole").to_string().contains("too slowly"));
        let whole = in_time(Request::new(Body::from("{}"))).await.into_body();
        assert_eq!(to_bytes(whole, MAX_BODY).await.expect("it is whole"), "{}");
    }
}
