//! `/v1/balance`: what the tenant has paid, what its calls have cost, and what is left.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ApiError;
use crate::auth::Caller;
use crate::desk::Desk;
use crate::error::Problem;

/// What was paid and spent so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BalanceInfo {
    /// The sum of all charges.
    pub spent_kopecks: i64,
    /// How many charges that were, those of nothing included.
    pub charges: u64,
    /// The sum of the subscription fees.
    pub fees_kopecks: i64,
    /// The sum of the payments.
    pub paid_kopecks: i64,
    /// What is left of them; negative when it is owed.
    pub left_kopecks: i64,
}

/// What the tenant has paid and spent, to the last call that was settled.
#[utoipa::path(
    get, path = "/v1/balance", tag = "money",
    responses(
        (status = 200, description = "The sums.", body = BalanceInfo),
        (status = 401, description = "No token, or an unknown one.", body = Problem)
    )
)]
pub(crate) async fn one(State(desk): State<Desk>, caller: Caller) -> Result<Json<BalanceInfo>, ApiError> {
    let account = desk.tables(&caller)?.account().await?;
    Ok(Json(BalanceInfo {
        spent_kopecks: account.spent.0,
        charges: account.charges,
        fees_kopecks: account.fees.0,
        paid_kopecks: account.paid.0,
        left_kopecks: account.left().0,
    }))
}
