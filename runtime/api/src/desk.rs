//! What a call centre works at: projects, leads, reports. The same routes serve a running host and, without a socket, a
//! command that opens the store of a stopped one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::routing::{get, post};
use zvonar_dialer::{Tables, WallClock};
use zvonar_model::{TenantId, TrunkId, UnixMillis};

use crate::auth::{self, Caller};
use crate::{ApiError, TokenHash, leads, projects};

/// What a tenant has at the desk.
#[derive(Clone)]
pub struct Seat {
    /// What is stored.
    pub tables: Tables,
    /// How many projects may be active at once.
    pub active_projects: u32,
}

/// Who may come to a desk.
#[derive(Clone)]
enum Door {
    /// Whoever has a token.
    Tokens(Arc<Vec<(TenantId, TokenHash)>>),
    /// Whoever holds the process itself, on behalf of this tenant.
    Open(TenantId),
}

/// The routes' state.
#[derive(Clone)]
pub struct Desk {
    seats: Arc<BTreeMap<TenantId, Seat>>,
    trunks: Arc<BTreeSet<TrunkId>>,
    door: Door,
    clock: WallClock,
}

impl Desk {
    /// A desk that lets in whoever has a token.
    pub fn new(
        seats: BTreeMap<TenantId, Seat>,
        trunks: BTreeSet<TrunkId>,
        tokens: Vec<(TenantId, TokenHash)>,
        clock: WallClock,
    ) -> Self {
        let door = Door::Tokens(Arc::new(tokens));
        Self { seats: Arc::new(seats), trunks: Arc::new(trunks), door, clock }
    }

    /// The desk of one tenant, for a process that may do all that the tenant may. Never behind a socket.
    pub fn of(tenant: TenantId, seat: Seat, trunks: BTreeSet<TrunkId>, clock: WallClock) -> Self {
        let seats = Arc::new(BTreeMap::from([(tenant.clone(), seat)]));
        Self { seats, trunks: Arc::new(trunks), door: Door::Open(tenant), clock }
    }

    /// Its routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/v1/projects", get(projects::list).post(projects::create))
            .route("/v1/projects/{id}", get(projects::one).patch(projects::edit))
            .route("/v1/projects/{id}/start", post(projects::start))
            .route("/v1/projects/{id}/pause", post(projects::pause))
            .route("/v1/projects/{id}/finish", post(projects::finish))
            .route("/v1/projects/{id}/copy", post(projects::copy))
            .route("/v1/projects/{id}/redial", post(projects::redial))
            .route("/v1/projects/{id}/leads", get(leads::list))
            .route("/v1/projects/{id}/leads/tag", post(leads::tag))
            .route("/v1/projects/{id}/leads/move", post(leads::relocate))
            .route("/v1/projects/{id}/leads/delete", post(leads::delete))
            .route("/v1/projects/{id}/leads/{lead}", get(leads::one).patch(leads::edit))
            .with_state(self)
    }
}

/// Who asks, and what is his.
pub(crate) struct Seated {
    pub(crate) tables: Tables,
    pub(crate) active_projects: u32,
    pub(crate) trunks: Arc<BTreeSet<TrunkId>>,
    /// For the notes of edits.
    pub(crate) by: String,
    pub(crate) now: UnixMillis,
}

impl FromRequestParts<Desk> for Seated {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, desk: &Desk) -> Result<Self, ApiError> {
        let caller = match &desk.door {
            Door::Tokens(tokens) => auth::caller(parts, tokens)?,
            Door::Open(tenant) => Caller { tenant: tenant.clone(), token: "command line".into() },
        };
        let seat = desk.seats.get(&caller.tenant).ok_or(ApiError::NoToken)?;
        Ok(Self {
            tables: seat.tables.clone(),
            active_projects: seat.active_projects,
            trunks: Arc::clone(&desk.trunks),
            by: caller.token,
            now: (desk.clock)(),
        })
    }
}
