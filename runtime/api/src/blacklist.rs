//! `/v1/blacklist` and `/v1/consents`: whom no project calls, and who agreed to be called.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use zvonar_campaign::{ConsentEvent, Purpose};
use zvonar_model::{PhoneNumber, UnixMillis};

use crate::ApiError;
use crate::auth::Caller;
use crate::desk::Desk;
use crate::error::Problem;
use crate::views::moment;

type Answer<T> = Result<Json<T>, ApiError>;

/// The most numbers or consents of one request.
const MOST: usize = 5_000;

/// The longest reason, in bytes.
const LONGEST_WHY: usize = zvonar_dialer::MAX_TEXT;

/// The blacklist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Blacklist {
    /// By number.
    pub numbers: Vec<BlockedNumber>,
}

/// A number that nobody calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlockedNumber {
    /// The number.
    #[schema(example = "+79161234567")]
    pub number: String,
    /// Why.
    pub why: String,
    /// Since when.
    #[schema(format = "date-time")]
    pub since: String,
}

/// Numbers that are to go on the blacklist, or off it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NumbersToBlock {
    /// Them, 5000 at most.
    pub numbers: Vec<String>,
    /// Why; not for numbers that go off.
    #[serde(default)]
    pub why: String,
    /// They go off the blacklist.
    #[serde(default)]
    pub remove: bool,
}

/// How many entries changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangedEntries {
    /// So many are new, or gone.
    pub changed: u64,
    /// So many were so already.
    pub same: u64,
}

/// What people said about being called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConsentList {
    /// In the order in which it was written down.
    pub consents: Vec<ConsentInfo>,
}

/// What somebody said about being called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsentInfo {
    /// Given, or taken back.
    pub given: bool,
    /// For which numbers.
    pub numbers: Vec<String>,
    /// For which purposes: `inform`, `survey`, `collection`; none, when taken back: for all.
    #[serde(default)]
    pub purposes: Vec<String>,
    /// When it was said; absent in a request: now.
    #[schema(format = "date-time")]
    #[serde(default)]
    pub at: Option<String>,
    /// What was agreed to, by its id and version.
    #[serde(default)]
    pub text: Option<String>,
    /// How it was said: a form, a paper, a call.
    #[serde(default)]
    pub channel: String,
    /// From which address, if over the network.
    #[serde(default)]
    pub ip: Option<String>,
    /// The proof: a file's name or its SHA-256.
    #[serde(default)]
    pub proof: Option<String>,
}

/// Consents that are to be written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsentsToAdd {
    /// Them, 5000 at most. One that was written down before is not written twice.
    pub consents: Vec<ConsentInfo>,
}

/// Whose consents.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Whose {
    /// Only of this number.
    number: Option<String>,
}

fn number(text: &str) -> Result<PhoneNumber, ApiError> {
    PhoneNumber::parse(text).map_err(|why| ApiError::Malformed(why.to_string()))
}

fn too_many(given: usize) -> Result<(), ApiError> {
    if given > MOST {
        return Err(ApiError::TooMuch(format!("a request takes {MOST} entries at most; send several")));
    }
    Ok(())
}

/// The blacklist.
#[utoipa::path(
    get, path = "/v1/blacklist", tag = "people",
    responses(
        (status = 200, description = "All of it, by number.", body = Blacklist),
        (status = 401, description = "No token, or an unknown one.", body = Problem)
    )
)]
pub(crate) async fn list(State(desk): State<Desk>, caller: Caller) -> Answer<Blacklist> {
    let all = desk.tables(&caller)?.blacklist().await?.into_iter();
    let numbers = all.map(|(number, blocked)| BlockedNumber {
        number: number.reveal().to_owned(),
        why: blocked.why,
        since: moment(blocked.since),
    });
    Ok(Json(Blacklist { numbers: numbers.collect() }))
}

/// Puts numbers on the blacklist, or takes them off.
#[utoipa::path(
    post, path = "/v1/blacklist", tag = "people", request_body = NumbersToBlock,
    responses(
        (status = 200, description = "From now on.", body = ChangedEntries),
        (status = 400, description = "The body is not understood.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 413, description = "Too many at once.", body = Problem)
    )
)]
pub(crate) async fn change(
    State(desk): State<Desk>,
    caller: Caller,
    body: Result<Json<NumbersToBlock>, JsonRejection>,
) -> Answer<ChangedEntries> {
    let Json(NumbersToBlock { numbers, why, remove }) = body?;
    too_many(numbers.len())?;
    if why.len() > LONGEST_WHY {
        return Err(ApiError::TooMuch(format!("`why` has at most {} KiB", LONGEST_WHY >> 10)));
    }
    let numbers = numbers.iter().map(|text| number(text)).collect::<Result<Vec<_>, _>>()?;
    let (tables, all) = (desk.tables(&caller)?, numbers.len() as u64);
    let mut changed = 0;
    if remove {
        for number in &numbers {
            changed += u64::from(tables.unblock(number).await?);
        }
    } else {
        let entries: Vec<_> = numbers.into_iter().map(|number| (number, why.clone())).collect();
        changed = tables.block_all(&entries, (desk.clock)()).await?;
    }
    Ok(Json(ChangedEntries { changed, same: all - changed }))
}

/// What people said about being called.
#[utoipa::path(
    get, path = "/v1/consents", tag = "people", params(Whose),
    responses(
        (status = 200, description = "All of it, or what was said of one number.", body = ConsentList),
        (status = 400, description = "The number is none.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem)
    )
)]
pub(crate) async fn consents(
    State(desk): State<Desk>,
    caller: Caller,
    whose: Result<Query<Whose>, QueryRejection>,
) -> Answer<ConsentList> {
    let Query(Whose { number: wanted }) = whose?;
    let wanted = wanted.as_deref().map(number).transpose()?;
    let events = desk.tables(&caller)?.consent_events(wanted.as_ref()).await?.into_iter();
    let consents = events.map(|event| ConsentInfo {
        given: event.given,
        numbers: event.numbers.iter().map(|number| number.reveal().to_owned()).collect(),
        purposes: event.purposes.iter().map(|purpose| purpose.word().to_owned()).collect(),
        at: Some(moment(event.at)),
        text: event.text,
        channel: event.channel,
        ip: event.ip,
        proof: event.proof,
    });
    Ok(Json(ConsentList { consents: consents.collect() }))
}

/// Writes down what people said about being called.
#[utoipa::path(
    post, path = "/v1/consents", tag = "people", request_body = ConsentsToAdd,
    responses(
        (status = 200, description = "It is written down.", body = ChangedEntries),
        (status = 400, description = "The body is not understood.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 413, description = "Too many at once.", body = Problem)
    )
)]
pub(crate) async fn add_consents(
    State(desk): State<Desk>,
    caller: Caller,
    body: Result<Json<ConsentsToAdd>, JsonRejection>,
) -> Answer<ChangedEntries> {
    let Json(ConsentsToAdd { consents }) = body?;
    too_many(consents.len())?;
    let now = (desk.clock)();
    let events = consents.into_iter().map(|said| event(said, now)).collect::<Result<Vec<_>, _>>()?;
    let changed = desk.tables(&caller)?.add_consents(&events).await?;
    Ok(Json(ChangedEntries { changed, same: events.len() as u64 - changed }))
}

fn event(said: ConsentInfo, now: UnixMillis) -> Result<ConsentEvent, ApiError> {
    let malformed = |why: String| ApiError::Malformed(why);
    let numbers = said.numbers.iter().map(|text| number(text)).collect::<Result<Vec<_>, _>>()?;
    if numbers.is_empty() || numbers.len() > zvonar_dialer::MAX_EVENT_NUMBERS {
        return Err(malformed(format!("a consent is for 1 to {} numbers", zvonar_dialer::MAX_EVENT_NUMBERS)));
    }
    let purposes = said.purposes.iter().map(|purpose| purpose.parse::<Purpose>());
    let purposes = purposes.collect::<Result<Vec<_>, _>>().map_err(|why| malformed(why.to_string()))?;
    if said.given && purposes.is_empty() {
        return Err(malformed(
            "a consent that is given names its purposes: inform, survey, collection".into(),
        ));
    }
    let at = match &said.at {
        None => now,
        Some(text) => {
            let at: jiff::Timestamp =
                text.parse().map_err(|_| malformed("`at` is written as 2026-03-02T10:00:00Z".into()))?;
            UnixMillis(at.as_millisecond())
        }
    };
    Ok(ConsentEvent {
        given: said.given,
        numbers,
        purposes,
        at,
        text: said.text,
        channel: said.channel,
        ip: said.ip,
        proof: said.proof,
        attempt: None,
    })
}
