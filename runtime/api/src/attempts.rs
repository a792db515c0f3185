//! `/v1/attempts`: the records of finished attempts, as replays read them.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use zvonar_dialer::Tables;
use zvonar_dialer::deployments::DeployError;
use zvonar_model::{AttemptId, AttemptRecord, UnixMillis};

use crate::auth::Caller;
use crate::error::Problem;
use crate::sms::TextView;
use crate::{Api, ApiError, READERS};

/// How many records are read at once.
const PAGE: usize = 200;
/// Whose midnight a day begins at, when nobody says.
const ZONE: &str = "Europe/Moscow";

/// Which attempts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// The day on which they began, `2026-03-02`; absent: today.
    day: Option<String>,
    /// In which zone the day is; absent: Europe/Moscow.
    zone: Option<String>,
    /// Only of this scenario.
    scenario: Option<String>,
    /// Only those after this one: the id of the last that was read.
    after: Option<String>,
    /// At most so many; absent: all of the day.
    limit: Option<u64>,
}

/// The records of a day, one JSON object a line, in the order in which the attempts ended.
#[utoipa::path(
    get, path = "/v1/attempts", tag = "attempts", params(Which),
    responses(
        (status = 200, description = "A record a line; the shape of a record has the number `version`, and fields may be added to it.", body = String, content_type = "application/x-ndjson"),
        (status = 400, description = "A parameter is wrong.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no attempt `after`.", body = Problem),
        (status = 429, description = "Too many answers are being read already.", body = Problem)
    )
)]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(which) = which?;
    let day = day(which.day.as_deref(), which.zone.as_deref(), (api.clock)())?;
    let tables = tables(&api, &caller)?.clone();
    let busy = || ApiError::Busy(READERS);
    let readers = api.readers.get(&caller.tenant).ok_or_else(busy)?;
    let place = Arc::clone(readers).try_acquire_owned().map_err(|_| busy())?;
    let above = match &which.after {
        None => tables.records_from(day.0).await?,
        Some(id) => {
            let known = match AttemptId::new(id) {
                Ok(attempt) => tables.record_place(&attempt).await?,
                Err(_) => None,
            };
            known.ok_or_else(|| ApiError::NoAttempt(id.chars().take(64).collect()))?
        }
    };
    let limit = which.limit.unwrap_or(u64::MAX);
    let state = Some((tables, above, limit));
    let pieces = futures::stream::try_unfold(state, move |state| {
        // Free again when the answer is read or given up.
        let _held = &place;
        let scenario = which.scenario.clone();
        async move {
            let Some((tables, above, left)) = state.filter(|(.., left)| *left > 0) else { return Ok(None) };
            let page = tables.records(above, PAGE, day).await?;
            let (text, told) = lines(&page.records, scenario.as_deref(), left);
            let next = page.next.map(|above| (tables, above, left - told));
            Ok::<_, zvonar_dialer::DialerError>(Some((text, next)))
        }
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(pieces)).into_response())
}

/// A record, and what has become of its text messages since.
#[derive(Debug, Serialize)]
pub(crate) struct WithTexts {
    #[serde(flatten)]
    record: AttemptRecord,
    /// In the order in which they were decided.
    texts: Vec<TextView>,
}

/// The record of one finished attempt.
#[utoipa::path(
    get, path = "/v1/attempts/{id}", tag = "attempts",
    params(("id" = String, Path, description = "The attempt")),
    responses(
        (status = 200, description = "Its record, and as `texts` what has become of its text messages since.", content_type = "application/json"),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "No such attempt has finished.", body = Problem)
    )
)]
pub(crate) async fn one(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<WithTexts>, ApiError> {
    let tables = tables(&api, &caller)?;
    let found = match AttemptId::new(&id) {
        Ok(attempt) => tables.record(&attempt).await?,
        Err(_) => None,
    };
    let record = found.ok_or_else(|| ApiError::NoAttempt(id.chars().take(64).collect()))?;
    let texts = match &*record.sms {
        [] => Vec::new(),
        _ => tables.texts_of(&record.attempt).await?.into_iter().map(Into::into).collect(),
    };
    Ok(Json(WithTexts { record, texts }))
}

fn tables<'a>(api: &'a Api, caller: &Caller) -> Result<&'a Tables, ApiError> {
    api.deployments.tables(&caller.tenant).ok_or(ApiError::Deploy(DeployError::Bug))
}

/// As lines, up to so many; and how many they are.
fn lines(records: &[AttemptRecord], scenario: Option<&str>, left: u64) -> (Bytes, u64) {
    let of = |record: &&AttemptRecord| match scenario {
        None => true,
        Some(wanted) => record.scenario.as_ref().is_some_and(|scenario| scenario.name == wanted),
    };
    let (mut text, mut told) = (Vec::new(), 0);
    for record in records.iter().filter(of) {
        if told == left {
            break;
        }
        serde_json::to_writer(&mut text, record).expect("records have text keys and no failing parts");
        text.push(b'\n');
        told += 1;
    }
    (text.into(), told)
}

/// From midnight to midnight.
fn day(day: Option<&str>, zone: Option<&str>, now: UnixMillis) -> Result<(UnixMillis, UnixMillis), ApiError> {
    let name = zone.unwrap_or(ZONE);
    let wrong_zone = |_| ApiError::Malformed(format!("`zone` is a name as `{ZONE}`, not `{name}`"));
    let zone = TimeZone::get(name).map_err(wrong_zone)?;
    let malformed = || ApiError::Malformed("`day` is written as 2026-03-02".into());
    let date: Date = match day {
        Some(text) => text.parse().map_err(|_| malformed())?,
        None => {
            let now = jiff::Timestamp::from_millisecond(now.0).map_err(|_| malformed())?;
            now.to_zoned(zone.clone()).date()
        }
    };
    let midnight = |date: Date| {
        let moment = date.to_zoned(zone.clone()).map_err(|_| malformed())?;
        Ok::<_, ApiError>(UnixMillis(moment.timestamp().as_millisecond()))
    };
    Ok((midnight(date)?, midnight(date.tomorrow().map_err(|_| malformed())?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_from_midnight_to_midnight_of_its_zone() {
        let now = UnixMillis(1_772_402_400_000); // 2026-03-01T22:00:00Z: the second of March in Moscow
        let hours = |day: (UnixMillis, UnixMillis)| (day.0.0 / 3_600_000, (day.1.0 - day.0.0) / 3_600_000);
        let moscow = day(Some("2026-03-02"), None, now).unwrap();
        assert_eq!(hours(moscow), ((1_772_402_400_000 - 3_600_000) / 3_600_000, 24));
        assert_eq!(day(None, None, now).unwrap(), moscow, "today is Moscow's");
        assert_eq!(hours(day(Some("2026-03-02"), Some("UTC"), now).unwrap()).0, hours(moscow).0 + 3);
        for (text, zone) in [("02.03.2026", None), ("2026-02-30", None), ("2026-03-02", Some("Moscow"))] {
            assert!(matches!(day(Some(text), zone, now), Err(ApiError::Malformed(_))), "{text} {zone:?}");
        }
    }
}
