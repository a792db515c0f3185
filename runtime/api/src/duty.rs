//! `/v1/desk`: who does what now, and who waits.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zvonar_dialer::operators::{CallerView, OperatorView, Waiting, WhatHeDoes};
use zvonar_model::{OperatorId, UnixMillis};

use crate::ApiError;
use crate::auth::Caller;
use crate::desk::Desk;
use crate::error::Problem;
use crate::views::moment;

/// The desk at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeskInfo {
    /// By id.
    pub operators: Vec<OnDuty>,
    /// Those who wait, in the order in which they came.
    pub queue: Vec<InQueue>,
}

/// An operator at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OnDuty {
    /// Who.
    pub id: String,
    /// What people call him.
    pub name: String,
    /// `available`, `break`, `wrap_up`, `offline`.
    pub status: String,
    /// The same for people.
    pub status_title: String,
    /// Since when.
    #[schema(format = "date-time")]
    pub since: String,
    /// When the desk ends it by itself.
    #[schema(format = "date-time")]
    pub until: Option<String>,
    /// `idle`, `ringing`, `talking`.
    pub doing: String,
    /// Since when he talks.
    #[schema(format = "date-time")]
    pub connected_at: Option<String>,
    /// For whom his telephone rings, or with whom he talks.
    pub call: Option<AtDesk>,
    /// How many calls in a row he has not taken.
    pub misses: u32,
    /// His telephones that are registered. None: no caller is given to him.
    pub phones: Vec<PhoneInfo>,
}

/// A caller at the desk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AtDesk {
    /// The attempt; absent: he talks with a colleague, which is no call of its own.
    pub id: Option<String>,
    /// Whether it is a colleague of his.
    #[serde(default)]
    pub colleague: bool,
    /// His number.
    pub phone: Option<String>,
    /// What he is called.
    pub name: Option<String>,
    /// The lead that he is.
    pub lead_id: Option<String>,
    /// The project that dialled.
    pub call_project_id: Option<String>,
}

/// A caller who waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InQueue {
    /// Who.
    pub call: AtDesk,
    /// Whose operators he wants; absent: just anybody.
    pub group: Option<String>,
    /// Since when.
    #[schema(format = "date-time")]
    pub since: String,
    /// For how long by now, in seconds.
    pub waited_s: u64,
    /// His place among those who may be given the same operators; 1: he is the next.
    pub position: u32,
    /// About how long it will take, in seconds; absent: nobody can tell.
    pub wait_s: Option<u64>,
    /// Whose telephone rings for him.
    pub ringing: Option<String>,
}

/// A telephone that is registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PhoneInfo {
    /// Where its packets come from.
    pub address: String,
    /// What it calls itself.
    pub agent: Option<String>,
    /// When its registration ends unless it is renewed.
    #[schema(format = "date-time")]
    pub until: String,
}

impl From<&CallerView> for AtDesk {
    fn from(caller: &CallerView) -> Self {
        Self {
            id: (!caller.colleague).then(|| caller.attempt.to_string()),
            colleague: caller.colleague,
            phone: caller.number.as_ref().map(|number| number.reveal().to_owned()),
            name: caller.name.clone(),
            lead_id: caller.lead.as_ref().map(ToString::to_string),
            call_project_id: caller.project.as_ref().map(ToString::to_string),
        }
    }
}

fn on_duty(one: OperatorView, names: &BTreeMap<OperatorId, String>) -> OnDuty {
    let (doing, connected_at) = match &one.doing {
        WhatHeDoes::Idle => ("idle", None),
        WhatHeDoes::Rings { .. } => ("ringing", None),
        WhatHeDoes::Talks { since, .. } => ("talking", Some(moment(*since))),
    };
    let phones = one.phones.into_iter().map(|phone| PhoneInfo {
        address: phone.address,
        agent: phone.agent,
        until: moment(phone.until),
    });
    OnDuty {
        name: names.get(&one.operator).cloned().unwrap_or_else(|| one.operator.to_string()),
        id: one.operator.to_string(),
        status: one.presence.status.word().into(),
        status_title: one.presence.status.title().into(),
        since: moment(one.presence.since),
        until: one.presence.until.map(moment),
        doing: doing.into(),
        connected_at,
        call: one.doing.caller().map(Into::into),
        misses: one.presence.misses,
        phones: phones.collect(),
    }
}

fn in_queue(one: &Waiting, now: UnixMillis) -> InQueue {
    InQueue {
        call: (&one.caller).into(),
        group: one.group.as_ref().map(ToString::to_string),
        since: moment(one.since),
        waited_s: u64::try_from(now.0.saturating_sub(one.since.0) / 1000).unwrap_or(0),
        position: one.position,
        wait_s: one.wait.map(|wait| wait.seconds_up()),
        ringing: one.ringing.as_ref().map(ToString::to_string),
    }
}

/// Who does what now, and who waits.
#[utoipa::path(
    get, path = "/v1/desk", tag = "operators",
    responses(
        (status = 200, description = "The operators and the queue at this moment.", body = DeskInfo),
        (status = 401, description = "No token, or an unknown one.", body = Problem)
    )
)]
pub(crate) async fn now(State(desk): State<Desk>, caller: Caller) -> Result<Json<DeskInfo>, ApiError> {
    let view = desk.staff(&caller)?.view().await?;
    let names = desk.tables(&caller)?.operator_names().await?;
    let now = (desk.clock)();
    let operators = view.operators.into_iter().map(|one| on_duty(one, &names)).collect();
    let queue = view.queue.iter().map(|one| in_queue(one, now)).collect();
    Ok(Json(DeskInfo { operators, queue }))
}
