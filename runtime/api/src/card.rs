//! `/v1/operators/{id}/card`: «Прозвон», what an operator sees when a caller is handed to him, and what he says came of it.
//!
//! Names are those that integrators know from webhooks.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use zvonar_dialer::operators::{CallerView, Card, Handed, OperatorRow, Verdict, WhatHeDoes, lead_name};
use zvonar_dialer::{Lead, Tables};
use zvonar_model::{
    AttemptId, Direction, LeadId, OperatorId, PhoneNumber, ProjectId, ScenarioName, Transfer, UnixMillis,
};

use crate::ApiError;
use crate::auth::Caller;
use crate::desk::{Desk, Office};
use crate::error::Problem;
use crate::operators::operator_id;
use crate::views::moment;

type Answer<T> = Result<Json<T>, ApiError>;

/// How many earlier attempts a card shows.
const HISTORY: usize = 20;

/// Which call.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// This one, also when it is over; absent: the one that he rings for or talks with now.
    call: Option<String>,
}

/// What an operator sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CardInfo {
    /// `none`, `ringing`, `talking`, `over`.
    pub state: String,
    /// The talk script.
    pub script: Option<String>,
    /// The results to pick from; empty: any.
    pub results: Vec<String>,
    /// The call; absent: there is none now.
    pub call: Option<CardCall>,
    /// Who is called, or calls.
    pub contact: Option<CardContact>,
    /// Earlier attempts to reach the person, the last first; 20 at most.
    pub history: Vec<CardAttempt>,
    /// What was said of this call already.
    pub call_result: Option<CallResult>,
}

/// The call on a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CardCall {
    /// The attempt.
    pub id: String,
    /// The number.
    pub phone: Option<String>,
    /// `outbound` or `inbound`; absent: not known before the end.
    pub direction: Option<String>,
    /// The tenant.
    pub organization_id: String,
    /// The operator.
    pub user_id: String,
    /// The lead.
    pub lead_id: Option<String>,
    /// When it began.
    #[schema(format = "date-time")]
    pub started_at: Option<String>,
    /// When they began to talk; of a call that is over: when it was answered.
    #[schema(format = "date-time")]
    pub connected_at: Option<String>,
    /// When it was over.
    #[schema(format = "date-time")]
    pub ended_at: Option<String>,
    /// The scenario that it talked with.
    pub scenario_id: Option<String>,
    /// The project that dialled.
    pub call_project_id: Option<String>,
    /// What people call it.
    pub call_project_title: Option<String>,
}

/// The person on a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CardContact {
    /// The lead; absent: nobody of the tenant's lists.
    pub id: Option<String>,
    /// What he is called.
    pub name: Option<String>,
    /// His numbers.
    pub phones: Vec<String>,
    /// His tags.
    pub tags: Vec<String>,
    /// What is known of him.
    pub fields: BTreeMap<String, String>,
    /// What scenarios noted, oldest first.
    pub comment: Vec<String>,
}

/// An earlier attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CardAttempt {
    /// Which: `/v1/attempts/{id}` has all of it.
    pub id: String,
    /// At which number.
    pub phone: Option<String>,
    /// When it began.
    #[schema(format = "date-time")]
    pub started_at: String,
    /// «Результат», the scenario's or the system's.
    pub result_name: String,
    /// Who talked with him then.
    pub user_id: Option<String>,
    /// What that one said of it.
    pub call_result: Option<CallResult>,
}

/// What an operator says came of a talk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallResult {
    /// The attempt.
    pub call_id: String,
    /// The operator.
    pub user_id: String,
    /// The result that he picked.
    pub result_name: String,
    /// What he wrote to it.
    pub comment: String,
    /// When.
    #[schema(format = "date-time")]
    pub at: String,
}

/// What an operator says came of a talk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCallResult {
    /// The attempt; absent: the one that he talks with now.
    #[serde(default)]
    pub call_id: Option<String>,
    /// One of the card's results.
    pub result_name: String,
    /// What he writes to it.
    #[serde(default)]
    pub comment: String,
}

impl From<Verdict> for CallResult {
    fn from(verdict: Verdict) -> Self {
        Self {
            call_id: verdict.attempt.to_string(),
            user_id: verdict.operator.to_string(),
            result_name: verdict.result,
            comment: verdict.comment,
            at: moment(verdict.at),
        }
    }
}

/// A call as far as it is known, wherever that was found.
#[derive(Debug, Default)]
struct Known {
    state: &'static str,
    attempt: Option<AttemptId>,
    direction: Option<Direction>,
    project: Option<ProjectId>,
    lead: Option<LeadId>,
    number: Option<PhoneNumber>,
    name: Option<String>,
    scenario: Option<String>,
    started: Option<UnixMillis>,
    connected: Option<UnixMillis>,
    ended: Option<UnixMillis>,
    /// Whether he talks or has talked in it.
    talked: bool,
}

impl Known {
    fn at_desk(caller: &CallerView, doing: &WhatHeDoes) -> Self {
        let (state, connected) = match doing {
            WhatHeDoes::Talks { since, .. } => ("talking", Some(*since)),
            WhatHeDoes::Rings { .. } => ("ringing", None),
            WhatHeDoes::Idle => ("none", None),
        };
        Self {
            state,
            attempt: Some(caller.attempt.clone()),
            project: caller.project.clone(),
            lead: caller.lead.clone(),
            number: caller.number.clone(),
            name: caller.name.clone(),
            connected,
            talked: connected.is_some(),
            ..Self::default()
        }
    }

    /// Adds what is stored of it.
    fn with(mut self, handed: Option<Handed>) -> Self {
        match handed {
            None => {}
            Some(Handed::Now(intent)) => {
                self.direction = Some(Direction::Outbound);
                self.project = self.project.or(intent.project);
                self.lead = self.lead.or(intent.lead);
                self.number = self.number.or(Some(intent.number));
                if let zvonar_dialer::Stage::Started { at } = intent.stage {
                    self.started = Some(at);
                }
            }
            Some(Handed::Over(record)) => {
                self.state = "over";
                self.direction = Some(record.direction);
                self.project = record.project;
                self.lead = record.lead;
                self.number = record.number;
                self.scenario = record.scenario.map(|scenario| scenario.name);
                self.started = Some(record.started_at);
                self.connected = record.answered_at;
                self.ended = Some(record.ended_at);
            }
        }
        self
    }
}

/// The call that is meant. An attempt of another operator's is not shown as this one's.
async fn find(office: &Office, operator: &OperatorId, wanted: Option<&str>) -> Result<Known, ApiError> {
    let view = office.staff.view().await?;
    let his = view.operators.iter().find(|one| one.operator == *operator);
    let doing = his.map(|one| &one.doing).unwrap_or(&WhatHeDoes::Idle);
    // A talk with a colleague is no attempt: there is nothing to show of it, and nothing to note.
    let caller = doing.caller().filter(|caller| !caller.colleague);
    let now = caller.map(|caller| Known::at_desk(caller, doing));
    let Some(wanted) = wanted else {
        let Some(known) = now else { return Ok(Known { state: "none", ..Known::default() }) };
        let handed = match &known.attempt {
            Some(attempt) => office.tables.handed(attempt).await?,
            None => None,
        };
        return Ok(known.with(handed));
    };
    let nothing = || ApiError::NoAttempt(wanted.chars().take(64).collect());
    let attempt = AttemptId::new(wanted).map_err(|_| nothing())?;
    if let Some(known) = now.filter(|known| known.attempt.as_ref() == Some(&attempt)) {
        return Ok(known.with(office.tables.handed(&attempt).await?));
    }
    match office.tables.handed(&attempt).await? {
        Some(Handed::Over(record)) => {
            let his = |one: &&Transfer| one.operator.as_ref() == Some(operator);
            let mut his = record.transfers.iter().filter(his).peekable();
            his.peek().ok_or_else(nothing)?;
            let talked = his.any(|one| one.connected);
            let known = Known { attempt: Some(attempt), talked, ..Known::default() };
            Ok(known.with(Some(Handed::Over(record))))
        }
        // Under way, and no longer with him: the robot may have taken the caller back, or a colleague.
        now if view
            .operators
            .iter()
            .any(|one| one.operator == *operator && one.last.as_ref() == Some(&attempt)) =>
        {
            let known = Known { state: "over", attempt: Some(attempt), talked: true, ..Known::default() };
            Ok(known.with(now))
        }
        _ => Err(nothing()),
    }
}

/// What he reads and what he may pick: his own, else that of the scenario he chose, else that of the caller's.
fn script(
    desk: &Desk,
    caller: &Caller,
    card: Option<&Card>,
    talked: Option<&str>,
) -> (Option<String>, Vec<String>) {
    let card = card.cloned().unwrap_or_default();
    let chosen = card.scenario.as_ref().map(ScenarioName::as_str).or(talked);
    let of_scenario = chosen.and_then(|name| desk.talk_script(&caller.tenant, name));
    let script = card.script.or_else(|| of_scenario.as_ref()?.script.clone());
    let results = if card.results.is_empty() {
        of_scenario.map(|one| one.results).unwrap_or_default()
    } else {
        card.results
    };
    (script, results)
}

/// The scenario that a call talks with, known before its end by its project.
async fn scenario_of(tables: &Tables, known: &Known) -> Result<(Option<String>, Option<String>), ApiError> {
    let project = match &known.project {
        Some(project) => tables.project(project).await?,
        None => None,
    };
    let title = project.as_ref().map(|project| project.title.clone());
    Ok((known.scenario.clone().or(project.map(|project| project.scenario.to_string())), title))
}

async fn history(
    tables: &Tables,
    lead: &Lead,
    but: Option<&AttemptId>,
) -> Result<Vec<CardAttempt>, ApiError> {
    let mut history = Vec::new();
    for one in lead.progress.tries.iter().rev().filter(|one| Some(&one.attempt) != but).take(HISTORY) {
        let Some(record) = tables.record(&one.attempt).await? else { continue };
        let user = record.transfers.iter().rev().find_map(|transfer| transfer.operator.clone());
        let said = match user {
            Some(_) => tables.verdict(&one.attempt).await?,
            None => None,
        };
        history.push(CardAttempt {
            id: one.attempt.to_string(),
            phone: record.number.as_ref().map(|number| number.reveal().to_owned()),
            started_at: moment(record.started_at),
            result_name: record.outcome.title().to_owned(),
            user_id: user.map(|user| user.to_string()),
            call_result: said.map(Into::into),
        });
    }
    Ok(history)
}

async fn row(tables: &Tables, id: &OperatorId) -> Result<OperatorRow, ApiError> {
    tables.operator(id).await?.ok_or_else(|| ApiError::NoOperator(id.to_string()))
}

/// «Прозвон»: the talk script, the person's card, the results to pick from.
#[utoipa::path(
    get, path = "/v1/operators/{id}/card", tag = "operators",
    params(("id" = String, Path, description = "The operator."), Which),
    responses(
        (status = 200, description = "What he sees. Without a call: the script alone.", body = CardInfo),
        (status = 400, description = "A parameter is wrong.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such operator, or he had nothing to do with that call.", body = Problem)
    )
)]
pub(crate) async fn one(
    State(desk): State<Desk>,
    caller: Caller,
    Path(id): Path<String>,
    which: Result<Query<Which>, QueryRejection>,
) -> Answer<CardInfo> {
    let (id, Query(Which { call })) = (operator_id(&id)?, which?);
    let office = desk.office(&caller)?;
    let tables = &office.tables;
    let row = row(tables, &id).await?;
    let known = find(office, &id, call.as_deref()).await?;
    let (scenario, title) = scenario_of(tables, &known).await?;
    let (script, results) = script(&desk, &caller, row.card.as_ref(), scenario.as_deref());
    let lead = match known.project.as_ref().zip(known.lead.as_ref()) {
        Some((project, lead)) => tables.lead(project, lead).await?,
        None => None,
    };
    let said = match &known.attempt {
        Some(attempt) => tables.verdict(attempt).await?,
        None => None,
    };
    let history = match &lead {
        Some(lead) => history(tables, lead, known.attempt.as_ref()).await?,
        None => Vec::new(),
    };
    let contact = known.attempt.is_some().then(|| contact(&known, lead));
    let word = |direction| match direction {
        Direction::Outbound => "outbound",
        Direction::Inbound => "inbound",
    };
    let call = known.attempt.map(|attempt| CardCall {
        id: attempt.to_string(),
        phone: known.number.map(|number| number.reveal().to_owned()),
        direction: known.direction.map(|direction| word(direction).to_owned()),
        organization_id: caller.tenant.to_string(),
        user_id: id.to_string(),
        lead_id: known.lead.map(|lead| lead.to_string()),
        started_at: known.started.map(moment),
        connected_at: known.connected.map(moment),
        ended_at: known.ended.map(moment),
        scenario_id: scenario,
        call_project_id: known.project.map(|project| project.to_string()),
        call_project_title: title,
    });
    let call_result = said.map(Into::into);
    Ok(Json(CardInfo { state: known.state.into(), script, results, call, contact, history, call_result }))
}

fn contact(known: &Known, lead: Option<Lead>) -> CardContact {
    let reveal = |number: &PhoneNumber| number.reveal().to_owned();
    match lead {
        Some(lead) => CardContact {
            name: lead_name(&lead.fields).map(str::to_owned).or_else(|| known.name.clone()),
            id: Some(lead.lead.to_string()),
            phones: lead.numbers.iter().map(reveal).collect(),
            tags: lead.tags.into_iter().collect(),
            fields: lead.fields,
            comment: lead.notes,
        },
        None => CardContact {
            id: None,
            name: known.name.clone(),
            phones: known.number.iter().map(reveal).collect(),
            tags: Vec::new(),
            fields: BTreeMap::new(),
            comment: Vec::new(),
        },
    }
}

/// Notes what an operator says came of a talk. The scenario's own result stays as it is; said again, the last word counts.
#[utoipa::path(
    post, path = "/v1/operators/{id}/card/result", tag = "operators", request_body = NewCallResult,
    params(("id" = String, Path, description = "The operator.")),
    responses(
        (status = 200, description = "It is noted.", body = CallResult),
        (status = 400, description = "The body is not understood.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such operator, or he had nothing to do with that call.", body = Problem),
        (status = 409, description = "Others changed the same at that moment: ask again.", body = Problem),
        (status = 422, description = "It is none of the results, he talks with nobody, or the comment is too long.", body = Problem)
    )
)]
pub(crate) async fn result(
    State(desk): State<Desk>,
    caller: Caller,
    Path(id): Path<String>,
    body: Result<Json<NewCallResult>, JsonRejection>,
) -> Answer<CallResult> {
    let (id, Json(NewCallResult { call_id, result_name, comment })) = (operator_id(&id)?, body?);
    let office = desk.office(&caller)?;
    let row = row(&office.tables, &id).await?;
    let known = find(office, &id, call_id.as_deref()).await?;
    let Some(attempt) = known.attempt.clone() else {
        return Err(ApiError::Refused("he talks with nobody now: say which call by `call_id`".into()));
    };
    if !known.talked {
        return Err(ApiError::Refused(format!(
            "he has not talked in the call {attempt}: nothing came of it as yet"
        )));
    }
    let (scenario, _) = scenario_of(&office.tables, &known).await?;
    let (_, results) = script(&desk, &caller, row.card.as_ref(), scenario.as_deref());
    let result = result_name.trim().to_owned();
    if !results.is_empty() && !results.contains(&result) {
        let what = format!("`{result}` is none of the results of his card: {}", results.join(", "));
        return Err(ApiError::Refused(what));
    }
    let verdict = Verdict { attempt, operator: id, result, comment, at: (desk.clock)() };
    office.tables.put_verdict(&verdict).await?;
    Ok(Json(verdict.into()))
}
