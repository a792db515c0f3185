//! `/v1/scenarios`: deploy, list, compare, go back.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use zvonar_dialer::deployments::Upload;
use zvonar_scenario::archive::MAX_ARCHIVE_BYTES;

use crate::auth::Caller;
use crate::error::Problem;
use crate::views::{Deployed, ScenarioList, VersionList};
use crate::{Api, ApiError};

/// An upload of which nothing comes for so long has broken off.
const SILENCE: Duration = Duration::from_secs(30);

type Answer<T> = Result<Json<T>, ApiError>;

/// How a package is deployed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeployParameters {
    /// Only so many percent of the calls get it, 1 to 99; absent: it goes live.
    canary: Option<u8>,
    /// What to remember with it.
    #[serde(default)]
    note: String,
}

/// Deploys a package: checks, compiles and swaps it in. Calls in progress stay on the version they began with.
#[utoipa::path(
    post, path = "/v1/scenarios", tag = "scenarios", params(DeployParameters),
    request_body(content = Vec<u8>, description = "A `.zvonar` archive, as `zvonar build` makes it", content_type = "application/octet-stream"),
    responses(
        (status = 201, description = "It is in use.", body = Deployed),
        (status = 200, description = "It is what is live already; nothing was changed.", body = Deployed),
        (status = 400, description = "A parameter is wrong, or there is no archive in the body.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 408, description = "The upload broke off.", body = Problem),
        (status = 409, description = "It does not fit what is in use.", body = Problem),
        (status = 413, description = "The archive is too large.", body = Problem),
        (status = 422, description = "The package is at fault; `faults` has a sentence for each.", body = Problem),
        (status = 429, description = "Too many uploads; `Retry-After` says when to come again.", body = Problem)
    )
)]
pub(crate) async fn deploy(
    State(api): State<Api>,
    caller: Caller,
    parameters: Result<Query<DeployParameters>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Deployed>), ApiError> {
    let Query(DeployParameters { canary, note }) = parameters?;
    if canary.is_some_and(|percent| !(1..=99).contains(&percent)) {
        return Err(ApiError::Malformed(
            "`canary` is a percent from 1 to 99; leave it out to go live".into(),
        ));
    }
    // By its announced length a body is refused before any of it is read.
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > MAX_ARCHIVE_BYTES) {
        return Err(ApiError::TooLarge { limit: MAX_ARCHIVE_BYTES });
    }
    let turn = api.deployments.turn(&caller.tenant).await?;
    let archive = read(body).await?;
    if archive.is_empty() {
        return Err(ApiError::Malformed(
            "the body is empty; send a package: `curl --data-binary @menu.zvonar …`".into(),
        ));
    }
    let upload = Upload { archive, by: caller.token, note, canary };
    let deployed = Deployed::from(api.deployments.deploy(turn, upload).await?);
    let status = if deployed.unchanged { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(deployed)))
}

/// Reads a body up to the limit; one that stops coming is given up.
async fn read(body: Body) -> Result<Bytes, ApiError> {
    let mut pieces = body.into_data_stream();
    let mut whole = BytesMut::new();
    loop {
        let piece = match tokio::time::timeout(SILENCE, pieces.next()).await {
            Ok(Some(Ok(piece))) => piece,
            Ok(Some(Err(why))) => return Err(ApiError::BrokenOff(why.to_string())),
            Ok(None) => return Ok(whole.freeze()),
            Err(_) => return Err(ApiError::BrokenOff(format!("nothing came for {} s", SILENCE.as_secs()))),
        };
        if (whole.len() + piece.len()) as u64 > MAX_ARCHIVE_BYTES {
            return Err(ApiError::TooLarge { limit: MAX_ARCHIVE_BYTES });
        }
        whole.extend_from_slice(&piece);
    }
}

/// The tenant's scenarios.
#[utoipa::path(
    get, path = "/v1/scenarios", tag = "scenarios",
    responses(
        (status = 200, description = "All of them, by name.", body = ScenarioList),
        (status = 401, description = "No token, or an unknown one.", body = Problem)
    )
)]
pub(crate) async fn list(State(api): State<Api>, caller: Caller) -> Answer<ScenarioList> {
    let scenarios = api.deployments.scenarios(&caller.tenant).await?;
    Ok(Json(ScenarioList { scenarios: scenarios.into_iter().map(Into::into).collect() }))
}

/// The versions of a scenario that are kept, newest first.
#[utoipa::path(
    get, path = "/v1/scenarios/{name}/versions", tag = "scenarios",
    params(("name" = String, Path, description = "The scenario")),
    responses(
        (status = 200, description = "Newest first.", body = VersionList),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such scenario.", body = Problem)
    )
)]
pub(crate) async fn versions(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
) -> Answer<VersionList> {
    let versions = api.deployments.versions(&caller.tenant, &name).await?;
    Ok(Json(VersionList { scenario: name, versions: versions.into_iter().map(Into::into).collect() }))
}

/// Where to go back to.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rollback {
    /// A version's number; absent: the canary is taken out of use, or, if there is none, the version before goes live.
    to: Option<u32>,
}

/// Goes back to the version before, or to another one that is kept.
#[utoipa::path(
    post, path = "/v1/scenarios/{name}/rollback", tag = "scenarios",
    params(("name" = String, Path, description = "The scenario")),
    request_body = Option<Rollback>,
    responses(
        (status = 200, description = "It is in use.", body = Deployed),
        (status = 400, description = "The body is wrong.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such scenario or version.", body = Problem),
        (status = 409, description = "There is nothing to go back to.", body = Problem),
        (status = 422, description = "A route or project has settings that this version does not take.", body = Problem)
    )
)]
pub(crate) async fn rollback(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    body: Result<Option<Json<Rollback>>, JsonRejection>,
) -> Answer<Deployed> {
    let Rollback { to } = body?.map(|Json(rollback)| rollback).unwrap_or_default();
    let changed = api.deployments.rollback(&caller.tenant, &name, to, &caller.token).await?;
    Ok(Json(changed.into()))
}

/// How many calls the canary gets.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Canary {
    /// Percent of the calls, 0 to 100.
    #[schema(maximum = 100)]
    percent: u8,
}

/// Gives the canary another percent of the calls.
#[utoipa::path(
    post, path = "/v1/scenarios/{name}/canary", tag = "scenarios",
    params(("name" = String, Path, description = "The scenario")),
    request_body = Canary,
    responses(
        (status = 200, description = "Done.", body = Deployed),
        (status = 400, description = "The body is wrong.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such scenario.", body = Problem),
        (status = 409, description = "There is no canary.", body = Problem)
    )
)]
pub(crate) async fn canary(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    body: Result<Json<Canary>, JsonRejection>,
) -> Answer<Deployed> {
    let Json(Canary { percent }) = body?;
    if percent > 100 {
        return Err(ApiError::Malformed("`percent` is a whole number from 0 to 100".into()));
    }
    Ok(Json(api.deployments.set_canary(&caller.tenant, &name, percent).await?.into()))
}

/// Makes the canary the live version.
#[utoipa::path(
    post, path = "/v1/scenarios/{name}/promote", tag = "scenarios",
    params(("name" = String, Path, description = "The scenario")),
    responses(
        (status = 200, description = "It is live.", body = Deployed),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such scenario.", body = Problem),
        (status = 409, description = "There is no canary.", body = Problem)
    )
)]
pub(crate) async fn promote(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
) -> Answer<Deployed> {
    Ok(Json(api.deployments.promote(&caller.tenant, &name).await?.into()))
}
