//! `/v1/balance`: what the tenant's calls have cost.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ApiError;
use crate::auth::Caller;
use crate::desk::Desk;
use crate::error::Problem;

/// What was spent so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BalanceInfo {
    /// The sum of all charges.
    pub spent_kopecks: i64,
    /// How many charges that were, those of nothing included.
    pub charges: u64,
}

/// What the tenant's calls have cost, to the last that was settled.
#[utoipa::path(
    get, path = "/v1/balance", tag = "money",
    responses(
        (status = 200, description = "The sum.", body = BalanceInfo),
        (status = 401, description = "No token, or an unknown one.", body = Problem)
    )
)]
pub(crate) async fn one(State(desk): State<Desk>, caller: Caller) -> Result<Json<BalanceInfo>, ApiError> {
    let balance = desk.tables(&caller)?.balance().await?;
    Ok(Json(BalanceInfo { spent_kopecks: balance.spent.0, charges: balance.charges }))
}
