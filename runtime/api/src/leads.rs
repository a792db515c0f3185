//! `/v1/projects/{project}/leads`: look for leads, add them by the thousand, edit, tag, move, delete.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use zvonar_campaign::LeadStatus;
use zvonar_dialer::{
    Adding, Changed, DialerError, IfKnown, Lead, LeadEdit, LeadFilter, NewLead, Selection, Tables, Why,
};
use zvonar_model::{LeadId, PhoneNumber};

use crate::ApiError;
use crate::auth::Caller;
use crate::desk::{Desk, project_id};
use crate::error::Problem;
use crate::views::moment;

type Answer<T> = Result<Json<T>, ApiError>;

/// The most leads that one request adds or names, and that one answer shows.
const MOST: usize = 5_000;
/// How many an answer shows when nobody says.
const USUAL: usize = 100;

/// Which leads are shown.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// In this status: `new`, `again`, `reached`, `unreached`, or as in reports («не дозвонились»).
    status: Option<String>,
    /// With this tag.
    tag: Option<String>,
    /// Whose last call came to this.
    result: Option<String>,
    /// With this in the id, or these digits in a number.
    text: Option<String>,
    /// Only those after this one: `next` of the answer before.
    after: Option<String>,
    /// At most so many, 5000 at most; absent: 100.
    limit: Option<usize>,
    /// Without fields and notes.
    #[serde(default)]
    brief: bool,
}

/// Leads of a project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LeadList {
    /// By id. May be fewer than were asked for when what is looked for is rare.
    pub leads: Vec<LeadInfo>,
    /// What to send as `after` for those that follow; absent: there are no more.
    pub next: Option<String>,
}

/// A lead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LeadInfo {
    /// The id.
    pub id: String,
    /// The numbers, in order.
    #[schema(example = json!(["+79161234567"]))]
    pub numbers: Vec<String>,
    /// `new`, `again`, `reached`, `unreached`.
    pub state: String,
    /// The same for people.
    #[schema(example = "ещё не звонили")]
    pub status: String,
    /// How many calls were made.
    pub calls: u32,
    /// Whether a call is being made now.
    pub dialling: bool,
    /// The tags.
    pub tags: Vec<String>,
    /// What is known of the person.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    /// What scenarios noted, oldest first.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// A lead, and why it is not being called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LeadDetail {
    /// The lead.
    #[serde(flatten)]
    pub lead: LeadInfo,
    /// What holds it back.
    pub why: WhyInfo,
}

/// Why a lead is not being called now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WhyInfo {
    /// The rule that lets go last, with what belongs to it.
    #[schema(value_type = Object, example = json!({"rule": "interval", "until": 1772445600000_i64}))]
    pub hold: serde_json::Value,
    /// The earliest moment of the next call; absent: none will be, or it is in progress.
    #[schema(format = "date-time")]
    pub next: Option<String>,
    /// The number that is dialled then, by its place from 0.
    pub turn: Option<usize>,
    /// What became of each number, in a sentence.
    pub numbers: Vec<NumberInfo>,
}

/// What became of a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NumberInfo {
    /// The number, masked.
    pub number: String,
    /// A sentence.
    pub story: String,
}

/// Leads to be added.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddLeads {
    /// `skip` (they stay as they are) or `merge` (they get what they lack): for leads whose id is there already.
    #[serde(default)]
    #[schema(example = "skip")]
    pub if_known: Option<String>,
    /// Only tell what would become of them.
    #[serde(default)]
    pub dry_run: bool,
    /// Them, 5000 at most.
    pub leads: Vec<LeadToAdd>,
}

/// A lead to be added.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LeadToAdd {
    /// The id; absent: it is made from the first number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The numbers, in order.
    pub numbers: Vec<String>,
    /// What is known of the person.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// The tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// What became of leads that were to be added.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AddedLeads {
    /// How many are new.
    pub added: u64,
    /// How many were there and got something.
    pub merged: u64,
    /// How many were there and have nothing new.
    pub known: u64,
    /// Those that were not taken, and why.
    pub refused: Vec<RefusedLead>,
    /// Numbers that were left out of leads that have others, and why.
    pub left_out: Vec<RefusedLead>,
}

/// A lead, or a number of it, that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedLead {
    /// The place in the request, from 0.
    pub place: usize,
    /// The reason in the words of reports.
    #[schema(example = "Номер Казахстана")]
    pub reason: String,
}

/// What is changed of a lead; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LeadChange {
    /// All numbers, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Vec<String>>,
    /// Fields by name; null takes a field away.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Option<String>>,
}

/// Which leads something is done to: either `leads`, or all that match the rest. One of them must be said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LeadSelection {
    /// These, by id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub leads: Vec<String>,
    /// All in this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// All with this tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// All whose last call came to this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// All with this in the id or a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// All of the project.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

/// Tags that leads get and lose.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LeadsToTag {
    /// Which leads.
    pub which: LeadSelection,
    /// Tags that they get.
    #[serde(default)]
    pub add: Vec<String>,
    /// Tags that they lose.
    #[serde(default)]
    pub remove: Vec<String>,
}

/// Leads that go to another project.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LeadsToMove {
    /// Which leads.
    pub which: LeadSelection,
    /// To which project.
    pub to: String,
    /// They stay here as well.
    #[serde(default)]
    pub copy: bool,
}

/// What became of leads that something was to be done to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangedLeads {
    /// To so many it was done.
    pub changed: u64,
    /// So many were so already, or had gone.
    pub same: u64,
    /// So many are being dialled and stay where they are: do it again when their calls are over.
    pub busy: u64,
    /// So many have all the tags that a lead may have.
    pub full: u64,
}

impl From<Changed> for ChangedLeads {
    fn from(Changed { changed, same, busy, full }: Changed) -> Self {
        Self { changed, same, busy, full }
    }
}

fn malformed(what: impl Into<String>) -> ApiError {
    ApiError::Malformed(what.into())
}

/// A status by its word or its title.
fn status(text: &str) -> Result<LeadStatus, ApiError> {
    let wanted = text.trim().to_lowercase().replace('ё', "е");
    let found = LeadStatus::ALL
        .into_iter()
        .find(|status| wanted == word(*status) || wanted == status.title().to_lowercase().replace('ё', "е"));
    found.ok_or_else(|| {
        let all = LeadStatus::ALL.map(|status| format!("{} («{status}»)", word(status)));
        malformed(format!("`{text}` is no status; there are {}", all.join(", ")))
    })
}

fn word(status: LeadStatus) -> &'static str {
    match status {
        LeadStatus::New => "new",
        LeadStatus::Again => "again",
        LeadStatus::Reached => "reached",
        LeadStatus::Unreached => "unreached",
    }
}

fn filter(
    wanted: Option<&str>,
    tag: Option<String>,
    result: Option<String>,
    text: Option<String>,
) -> Result<LeadFilter, ApiError> {
    let statuses = wanted.map(status).transpose()?.into_iter().collect();
    Ok(LeadFilter { statuses, tags: tag.into_iter().collect(), result, text })
}

impl LeadSelection {
    fn selection(self) -> Result<Selection, ApiError> {
        let Self { leads, status, tag, result, text, all } = self;
        let by_filter = status.is_some() || tag.is_some() || result.is_some() || text.is_some();
        match (leads.is_empty(), by_filter, all) {
            (false, false, false) if leads.len() <= MOST => {
                Ok(Selection::These(leads.iter().map(|id| lead_id(id)).collect::<Result<_, _>>()?))
            }
            (false, false, false) => {
                Err(ApiError::TooMuch(format!("a request names {MOST} leads at most; send several")))
            }
            (true, true, false) => Ok(Selection::All(filter(status.as_deref(), tag, result, text)?)),
            (true, false, true) => Ok(Selection::All(LeadFilter::default())),
            _ => Err(malformed(
                "say which leads: `leads` with their ids, or a filter (`status`, `tag`, `result`, `text`), or `all`: true",
            )),
        }
    }
}

/// The id that somebody names. What can be no id is nobody's.
fn lead_id(text: &str) -> Result<LeadId, ApiError> {
    LeadId::new(text).map_err(|_| ApiError::NoLead(text.chars().take(64).collect()))
}

fn info(lead: Lead, brief: bool) -> LeadInfo {
    let status = lead.progress.state.status();
    LeadInfo {
        id: lead.lead.to_string(),
        numbers: lead.numbers.iter().map(|number| number.reveal().to_owned()).collect(),
        state: word(status).into(),
        status: status.title().into(),
        calls: u32::try_from(lead.progress.tries.len()).unwrap_or(u32::MAX),
        dialling: lead.claim.is_some(),
        tags: lead.tags.into_iter().collect(),
        fields: if brief { BTreeMap::new() } else { lead.fields },
        notes: if brief { Vec::new() } else { lead.notes },
    }
}

async fn known<'a>(
    tables: &'a Tables,
    project: &str,
) -> Result<(zvonar_dialer::Project, &'a Tables), ApiError> {
    let row = tables.project(&project_id(project)?).await?;
    Ok((row.ok_or_else(|| ApiError::NoProject(project.into()))?, tables))
}

/// Leads of a project.
#[utoipa::path(
    get, path = "/v1/projects/{project}/leads", tag = "leads",
    params(("project" = String, Path, description = "The project's id"), Which),
    responses(
        (status = 200, description = "Those that match, by id.", body = LeadList),
        (status = 400, description = "A parameter is wrong.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such project.", body = Problem)
    )
)]
pub(crate) async fn list(
    State(desk): State<Desk>,
    caller: Caller,
    Path(project): Path<String>,
    which: Result<Query<Which>, QueryRejection>,
) -> Answer<LeadList> {
    let Query(Which { status, tag, result, text, after, limit, brief }) = which?;
    let (project, tables) = known(desk.tables(&caller)?, &project).await?;
    let filter = filter(status.as_deref(), tag, result, text)?;
    let after = after.as_deref().map(lead_id).transpose()?;
    let limit = limit.unwrap_or(USUAL).clamp(1, MOST);
    let page = tables.lead_page(&project.project, &filter, after.as_ref(), limit).await?;
    let leads = page.leads.into_iter().map(|lead| info(lead, brief)).collect();
    Ok(Json(LeadList { leads, next: page.next.map(|next| next.to_string()) }))
}

/// Adds leads, in their order. Whoever cannot be taken is told with the reason, the others are taken.
#[utoipa::path(
    post, path = "/v1/projects/{project}/leads", tag = "leads", request_body = AddLeads,
    params(("project" = String, Path, description = "The project's id")),
    responses(
        (status = 200, description = "What became of them.", body = AddedLeads),
        (status = 400, description = "The body is not understood.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such project.", body = Problem),
        (status = 413, description = "Too many at once.", body = Problem)
    )
)]
pub(crate) async fn add(
    State(desk): State<Desk>,
    caller: Caller,
    Path(project): Path<String>,
    body: Result<Json<AddLeads>, JsonRejection>,
) -> Answer<AddedLeads> {
    let Json(AddLeads { if_known, dry_run: dry, leads }) = body?;
    let if_known = match if_known.as_deref() {
        None | Some("skip") => IfKnown::Skip,
        Some("merge") => IfKnown::Merge,
        Some(other) => return Err(malformed(format!("`if_known` is skip or merge, not `{other}`"))),
    };
    if leads.len() > MOST {
        return Err(ApiError::TooMuch(format!("a request adds {MOST} leads at most; send several")));
    }
    let (project, tables) = known(desk.tables(&caller)?, &project).await?;
    let mut told = AddedLeads::default();
    let (mut good, mut places) = (Vec::with_capacity(leads.len()), BTreeMap::new());
    for (place, lead) in leads.into_iter().enumerate() {
        match new_lead(lead) {
            Ok(new) => {
                places.entry(new.lead.clone()).or_insert(place);
                good.push(new);
            }
            Err(reason) => told.refused.push(RefusedLead { place, reason }),
        }
    }
    let done = tables.add_leads_as(&project.project, good, Adding { if_known, dry }).await?;
    let refusal = |lead: &LeadId, reason: String| RefusedLead { place: places[lead], reason };
    told.added = done.added;
    told.merged = done.merged;
    told.known = done.known.len() as u64;
    told.refused.extend(done.refused.iter().map(|(lead, why)| refusal(lead, why.title().into())));
    told.refused.extend(done.full.into_iter().map(|(lead, why)| refusal(&lead, why)));
    told.left_out.extend(done.left_out.iter().map(|(lead, _, why)| refusal(lead, why.title().into())));
    told.refused.sort_unstable_by_key(|refused| refused.place);
    Ok(Json(told))
}

/// A lead as it is added; the error is the reason.
fn new_lead(lead: LeadToAdd) -> Result<NewLead, String> {
    let numbers = lead.numbers.iter().map(|number| PhoneNumber::parse(number));
    let numbers: Vec<PhoneNumber> = numbers.collect::<Result<_, _>>().map_err(|why| why.to_string())?;
    let first = numbers.first().ok_or("a lead needs a number")?;
    let lead_id = match &lead.id {
        Some(id) => LeadId::new(id).map_err(|why| why.to_string())?,
        None => zvonar_lists::lead_id(first),
    };
    let new = NewLead { lead: lead_id, numbers, fields: lead.fields, tags: lead.tags.into_iter().collect() };
    match new.check() {
        Ok(()) => Ok(new),
        Err(DialerError::LeadTooLarge { what, .. }) => Err(what),
        Err(why) => Err(why.to_string()),
    }
}

/// A lead, and why it is not being called.
#[utoipa::path(
    get, path = "/v1/projects/{project}/leads/{lead}", tag = "leads",
    params(
        ("project" = String, Path, description = "The project's id"),
        ("lead" = String, Path, description = "The lead's id")
    ),
    responses(
        (status = 200, description = "As it is now.", body = LeadDetail),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such project or lead.", body = Problem)
    )
)]
pub(crate) async fn one(
    State(desk): State<Desk>,
    caller: Caller,
    Path((project, lead)): Path<(String, String)>,
) -> Answer<LeadDetail> {
    let (project, tables) = known(desk.tables(&caller)?, &project).await?;
    let id = lead_id(&lead)?;
    let stored = tables.lead(&project.project, &id).await?.ok_or(ApiError::NoLead(lead))?;
    let why = tables.why(&project.project, &id, (desk.clock)()).await?;
    let why = explained(&why, project.rules.retry.max_calls);
    Ok(Json(LeadDetail { lead: info(stored, false), why }))
}

fn explained(why: &Why, max_calls: u32) -> WhyInfo {
    let numbers = why
        .numbers
        .iter()
        .map(|number| NumberInfo { number: number.number.masked(), story: number.sentence(max_calls) });
    WhyInfo {
        hold: serde_json::to_value(&why.hold).expect("text keys and no failing parts"),
        next: why.next.map(moment),
        turn: why.turn,
        numbers: numbers.collect(),
    }
}

/// Edits a lead, also one that is being called.
#[utoipa::path(
    patch, path = "/v1/projects/{project}/leads/{lead}", tag = "leads", request_body = LeadChange,
    params(
        ("project" = String, Path, description = "The project's id"),
        ("lead" = String, Path, description = "The lead's id")
    ),
    responses(
        (status = 200, description = "As it is now.", body = LeadInfo),
        (status = 400, description = "The body is not understood.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such project or lead.", body = Problem),
        (status = 422, description = "A number is not dialled, or a lead has no room for it.", body = Problem)
    )
)]
pub(crate) async fn edit(
    State(desk): State<Desk>,
    caller: Caller,
    Path((project, lead)): Path<(String, String)>,
    body: Result<Json<LeadChange>, JsonRejection>,
) -> Answer<LeadInfo> {
    let Json(LeadChange { numbers, fields }) = body?;
    let (project, tables) = known(desk.tables(&caller)?, &project).await?;
    let parse = |number: &String| PhoneNumber::parse(number).map_err(|why| malformed(why.to_string()));
    let numbers = numbers.map(|numbers| numbers.iter().map(parse).collect::<Result<_, _>>()).transpose()?;
    let edited = tables.edit_lead(&project.project, &lead_id(&lead)?, &LeadEdit { numbers, fields }).await?;
    Ok(Json(info(edited, false)))
}

/// Gives leads tags and takes others from them.
#[utoipa::path(
    post, path = "/v1/projects/{project}/leads/tag", tag = "leads", request_body = LeadsToTag,
    params(("project" = String, Path, description = "The project's id")),
    responses(
        (status = 200, description = "What became of them.", body = ChangedLeads),
        (status = 400, description = "The body is not understood.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such project.", body = Problem),
        (status = 422, description = "No tag may be so.", body = Problem)
    )
)]
pub(crate) async fn tag(
    State(desk): State<Desk>,
    caller: Caller,
    Path(project): Path<String>,
    body: Result<Json<LeadsToTag>, JsonRejection>,
) -> Answer<ChangedLeads> {
    let Json(LeadsToTag { which, add, remove }) = body?;
    let (project, tables) = known(desk.tables(&caller)?, &project).await?;
    let tags = |tags: Vec<String>| tags.into_iter().map(|tag| tag.trim().to_owned()).collect::<BTreeSet<_>>();
    let selection = which.selection()?;
    let changed = tables.tag_leads(&project.project, &selection, &tags(add), &tags(remove)).await?;
    Ok(Json(changed.into()))
}

/// Moves leads to another project, or copies them; there they begin anew.
#[utoipa::path(
    post, path = "/v1/projects/{project}/leads/move", tag = "leads", request_body = LeadsToMove,
    params(("project" = String, Path, description = "The project's id")),
    responses(
        (status = 200, description = "What became of them.", body = ChangedLeads),
        (status = 400, description = "The body is not understood.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such project.", body = Problem)
    )
)]
pub(crate) async fn transfer(
    State(desk): State<Desk>,
    caller: Caller,
    Path(project): Path<String>,
    body: Result<Json<LeadsToMove>, JsonRejection>,
) -> Answer<ChangedLeads> {
    let Json(LeadsToMove { which, to, copy }) = body?;
    let (from, tables) = known(desk.tables(&caller)?, &project).await?;
    let (to, _) = known(tables, &to).await?;
    if from.project == to.project {
        return Err(malformed("the leads are in that project already"));
    }
    let selection = which.selection()?;
    let changed = if copy {
        tables.copy_leads(&from.project, &to.project, &selection).await?
    } else {
        tables.move_leads(&from.project, &to.project, &selection).await?
    };
    Ok(Json(changed.into()))
}

/// Deletes leads. Calls in progress are finished, recorded and charged.
#[utoipa::path(
    post, path = "/v1/projects/{project}/leads/delete", tag = "leads", request_body = LeadSelection,
    params(("project" = String, Path, description = "The project's id")),
    responses(
        (status = 200, description = "What became of them.", body = ChangedLeads),
        (status = 400, description = "The body is not understood.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such project.", body = Problem)
    )
)]
pub(crate) async fn delete(
    State(desk): State<Desk>,
    caller: Caller,
    Path(project): Path<String>,
    body: Result<Json<LeadSelection>, JsonRejection>,
) -> Answer<ChangedLeads> {
    let Json(which) = body?;
    let (project, tables) = known(desk.tables(&caller)?, &project).await?;
    let changed = tables.delete_leads(&project.project, &which.selection()?).await?;
    Ok(Json(changed.into()))
}
