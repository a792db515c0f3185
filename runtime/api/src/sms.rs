//! `/v1/sms`: text messages that calls decided, and what became of each.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use zvonar_dialer::{Day, Tables, TextId, TextInfo, TextStatus};
use zvonar_model::{AttemptId, UnixMillis};

use crate::ApiError;
use crate::auth::Caller;
use crate::desk::Desk;
use crate::error::Problem;
use crate::views::moment;

type Answer<T> = Result<Json<T>, ApiError>;

/// The most messages of one answer.
const MOST: usize = 1_000;
/// How many an answer shows when nobody says.
const USUAL: usize = 100;
/// How many messages are looked at for one answer: a rare status gives fewer of them and a place to go on.
const LOOK: usize = 5_000;

/// Which messages.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Only of this attempt.
    attempt: Option<String>,
    /// Decided on this day or later, Moscow time: `2026-03-02`.
    from: Option<String>,
    /// Decided on this day or earlier.
    to: Option<String>,
    /// Only with this status: `queued`, `sending`, `in_doubt`, `accepted`, `sent`, `delivered`, `read`, `expired`,
    /// `undelivered`, `rejected`, `failed`.
    status: Option<String>,
    /// Only those behind this place: `next` of the answer before.
    after: Option<u64>,
    /// At most so many, 1000 at most; absent: 100.
    limit: Option<usize>,
}

/// Text messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TextList {
    /// The oldest first. May be fewer than were asked for when what is looked for is rare.
    pub messages: Vec<TextView>,
    /// What to send as `after` for those that follow; absent: there are no more.
    pub next: Option<u64>,
    /// What keeps messages from going out, if something does.
    pub trouble: Option<String>,
    /// When one is tried again.
    #[schema(format = "date-time")]
    pub tried_again_at: Option<String>,
    /// How many have left today, Moscow time.
    pub today: u32,
}

/// A text message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TextView {
    /// Its id: the attempt in which it was decided, and which of its messages it is.
    pub id: String,
    /// The attempt.
    pub attempt: String,
    /// For which project; absent: the call came in, or was placed by hand.
    pub project: Option<String>,
    /// In a call with whom.
    pub lead: Option<String>,
    /// To whom.
    #[schema(example = "+79161234567")]
    pub to: String,
    /// What.
    pub text: String,
    /// In how many parts.
    pub segments: u32,
    /// When it was decided.
    #[schema(format = "date-time")]
    pub decided_at: String,
    /// By which number the gateway knows it; absent: it was never given.
    pub number: Option<u32>,
    /// Where it is: see `status` of the request. `in_doubt`: it was given and the answer was lost, so the gateway is asked.
    pub status: String,
    /// The same in the words of the reports.
    pub title: String,
    /// Why, if that is no good news.
    pub why: Option<String>,
    /// What was charged for it; absent: the gateway has told no price yet.
    pub kopecks: Option<i64>,
}

impl From<TextInfo> for TextView {
    fn from(info: TextInfo) -> Self {
        let (status, why) = (info.status(), info.reason());
        let TextInfo { text, fate } = info;
        Self {
            id: text.id.to_string(),
            attempt: text.id.attempt.to_string(),
            project: text.project.map(|project| project.to_string()),
            lead: text.lead.map(|lead| lead.to_string()),
            to: text.to.reveal().to_owned(),
            text: text.text,
            segments: text.segments,
            decided_at: moment(text.decided_at),
            number: fate.number.map(|number| number.get()),
            status: status.word().to_owned(),
            title: status.title().to_owned(),
            why,
            kopecks: fate.charged.map(|sum| sum.0),
        }
    }
}

/// Whether messages are tried again at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tried {
    /// `false`: nothing kept them.
    pub trying: bool,
}

/// The messages that calls decided, oldest first, and whether messages go out.
#[utoipa::path(
    get, path = "/v1/sms", tag = "sms", params(Which),
    responses(
        (status = 200, description = "A part of them.", body = TextList),
        (status = 400, description = "A parameter is wrong.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem)
    )
)]
pub(crate) async fn list(
    State(desk): State<Desk>,
    caller: Caller,
    which: Result<Query<Which>, QueryRejection>,
) -> Answer<TextList> {
    let Query(which) = which?;
    let tables = desk.tables(&caller)?;
    let day = |name: &str, text: &Option<String>| {
        let wrong = |_| ApiError::Malformed(format!("`{name}` is a day as 2026-03-02"));
        text.as_ref().map(|text| text.parse::<Day>().map_err(wrong)).transpose()
    };
    let (from, to) = (day("from", &which.from)?, day("to", &which.to)?);
    let (from, to) = (from.map(Day::begin), to.map_or(UnixMillis(i64::MAX), Day::end));
    let status = match which.status.as_deref() {
        None => None,
        Some(word) => Some(named(word)?),
    };
    let meant = |info: &TextInfo| {
        status.is_none_or(|status| info.status() == status)
            && from.is_none_or(|from| info.text.decided_at >= from)
            && info.text.decided_at < to
    };
    let (mut messages, mut next): (Vec<TextView>, _) = (Vec::new(), None);
    if let Some(attempt) = &which.attempt {
        let attempt = AttemptId::new(attempt);
        let attempt = attempt.map_err(|_| ApiError::Malformed("`attempt` is the id of an attempt".into()))?;
        messages.extend(tables.texts_of(&attempt).await?.into_iter().filter(&meant).map(TextView::from));
    } else {
        let limit = which.limit.unwrap_or(USUAL).clamp(1, MOST);
        let begin = match (which.after, from) {
            (Some(after), _) => after,
            (None, Some(from)) => tables.texts_from(from).await?,
            (None, None) => 0,
        };
        (messages, next) = page(tables, begin, limit, to, &meant).await?;
    }
    let state = tables.outbox_state((desk.clock)()).await?;
    Ok(Json(TextList {
        messages,
        next,
        trouble: state.trouble.map(|trouble| trouble.sentence().to_owned()),
        tried_again_at: state.until.map(moment),
        today: state.today,
    }))
}

async fn page(
    tables: &Tables,
    begin: u64,
    limit: usize,
    to: UnixMillis,
    meant: &impl Fn(&TextInfo) -> bool,
) -> Result<(Vec<TextView>, Option<u64>), ApiError> {
    let (mut messages, mut place, mut looked) = (Vec::new(), Some(begin), 0);
    while let Some(above) = place
        && messages.len() < limit
        && looked < LOOK
    {
        let wanted = limit - messages.len();
        let page = tables.text_page(above, wanted, to).await?;
        looked += wanted;
        messages.extend(page.texts.into_iter().filter(meant).map(TextView::from));
        place = page.next;
    }
    Ok((messages, place))
}

fn named(word: &str) -> Result<TextStatus, ApiError> {
    let words = || TextStatus::ALL.map(TextStatus::word).join(", ");
    let found = TextStatus::ALL.into_iter().find(|status| status.word() == word);
    found.ok_or_else(|| ApiError::Malformed(format!("`status` is one of {}", words())))
}

/// One message.
#[utoipa::path(
    get, path = "/v1/sms/{id}", tag = "sms",
    params(("id" = String, Path, description = "The message")),
    responses(
        (status = 200, description = "It.", body = TextView),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "The tenant has no such message.", body = Problem)
    )
)]
pub(crate) async fn one(
    State(desk): State<Desk>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer<TextView> {
    let tables = desk.tables(&caller)?;
    let found = match id.parse::<TextId>() {
        Ok(text) => tables.text(&text).await?,
        Err(_) => None,
    };
    let found = found.ok_or_else(|| ApiError::NoText(id.chars().take(80).collect()))?;
    Ok(Json(found.into()))
}

/// Somebody has mended what kept the messages, paid for instance: one is tried at once, and the others follow if it goes.
#[utoipa::path(
    post, path = "/v1/sms/try", tag = "sms",
    responses(
        (status = 200, description = "Whether anything had kept them.", body = Tried),
        (status = 401, description = "No token, or an unknown one.", body = Problem)
    )
)]
pub(crate) async fn try_now(State(desk): State<Desk>, caller: Caller) -> Answer<Tried> {
    let trying = desk.tables(&caller)?.try_texts_now((desk.clock)()).await?;
    Ok(Json(Tried { trying }))
}
