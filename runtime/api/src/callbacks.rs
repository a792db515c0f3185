//! `/v1/callbacks/smsc/{tenant}`: what SMSC tells by itself. No token comes with it; its signature says who it is from.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::routing::get;
use zvonar_dialer::{Heard, TextNews, WallClock};
use zvonar_gateways::smsc::{Callback, CallbackFault};
use zvonar_model::TenantId;

use crate::ApiError;
use crate::error::Problem;

/// The longest form that is read. SMSC's have some hundred bytes.
const LONGEST: usize = 16 << 10;
/// How long a form may be on its way.
const PATIENCE: Duration = Duration::from_secs(10);
/// False signatures are told once in so many milliseconds, with their number: whoever makes them fills no disk.
const QUIET_MS: i64 = 60_000;

/// What the route has.
#[derive(Clone)]
pub(crate) struct Callbacks {
    news: Arc<dyn TextNews>,
    clock: WallClock,
    false_ones: Arc<FalseOnes>,
}

/// False signatures since they were told.
#[derive(Default)]
struct FalseOnes {
    count: AtomicU64,
    told: AtomicI64,
}

/// The route, for whoever keeps the messages.
pub fn callbacks(news: Arc<dyn TextNews>, clock: WallClock) -> Router {
    Router::new()
        .route("/v1/callbacks/smsc/{tenant}", get(smsc).post(smsc))
        .with_state(Callbacks { news, clock, false_ones: Arc::default() })
        .method_not_allowed_fallback(crate::error::no_such_method)
}

/// News of a text message, as SMSC tells it: a form with `id`, `phone`, `status` and their `md5` or `sha1`.
///
/// `GET` with the same in the query is taken, too: SMSC can be set to either.
#[utoipa::path(
    post, path = "/v1/callbacks/smsc/{tenant}", tag = "callbacks", security(()),
    params(("tenant" = String, Path, description = "Whose account at SMSC it is.")),
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "It is stored, or of a message that nobody knows: it need not be told again."),
        (status = 400, description = "It is none of SMSC's.", body = Problem),
        (status = 403, description = "It is not signed with the secret word of the tenant's account.", body = Problem),
        (status = 404, description = "The tenant hears nothing from SMSC.", body = Problem),
        (status = 408, description = "It did not come whole in time.", body = Problem),
        (status = 413, description = "It is too long.", body = Problem),
        (status = 500, description = "It could not be stored: tell it again.", body = Problem)
    )
)]
pub(crate) async fn smsc(
    State(callbacks): State<Callbacks>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let whose = TenantId::new(&tenant).ok();
    let whose = whose.and_then(|tenant| callbacks.news.secret(&tenant).map(|secret| (tenant, secret)));
    let Some((tenant, secret)) = whose else {
        return Err(ApiError::NoPlace(format!(
            "/v1/callbacks/smsc/{}",
            tenant.chars().take(64).collect::<String>()
        )));
    };
    let form = match tokio::time::timeout(PATIENCE, to_bytes(body, LONGEST)).await {
        Ok(Ok(form)) => form,
        Ok(Err(_)) => {
            return Err(ApiError::TooMuch(format!("a callback may have {} KiB", LONGEST >> 10)));
        }
        Err(_) => return Err(ApiError::BrokenOff("it came too slowly".into())),
    };
    let sent = [query.unwrap_or_default().as_bytes(), b"&", &form].concat();
    let news = match Callback::read(&sent, &secret) {
        Ok(news) => news,
        Err(why @ (CallbackFault::Unsigned | CallbackFault::Signature)) => {
            callbacks.false_ones.note(&tenant, &why, (callbacks.clock)().0);
            return Err(ApiError::Forbidden(why.to_string()));
        }
        Err(why) => return Err(ApiError::Malformed(why.to_string())),
    };
    if callbacks.news.news(&tenant, &news).await? == Heard::Unknown {
        tracing::info!(%tenant, sms = ?news.id, "SMSC tells of a message that nobody knows");
    }
    Ok(StatusCode::OK)
}

impl FalseOnes {
    fn note(&self, tenant: &TenantId, why: &CallbackFault, now: i64) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let told = self.told.load(Ordering::Relaxed);
        // A clock that was set back does not silence it for long.
        if (told..told.saturating_add(QUIET_MS)).contains(&now) {
            return;
        }
        if self.told.compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let since = self.count.swap(0, Ordering::Relaxed);
            tracing::warn!(%tenant, since, %why, "a callback that says it is SMSC's is not believed");
        }
    }
}
