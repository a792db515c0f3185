//! `/v1/projects/{id}/leads`: whom a project calls.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use zvonar_campaign::LeadStatus;
use zvonar_dialer::{Changed, DialerError, Lead, LeadEdit, LeadFilter, Selection};
use zvonar_model::{LeadId, PhoneNumber};

use crate::ApiError;
use crate::desk::Seated;
use crate::error::Problem;
use crate::projects::project_id;
use crate::views::moment;

type Answer<T> = Result<Json<T>, ApiError>;

/// Leads on a page, unless more or fewer are asked for.
const PAGE: usize = 100;
/// The most leads on a page.
const MOST: usize = 1_000;
/// The most leads that are named one by one.
const NAMED: usize = 10_000;

/// A lead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeadInfo {
    /// Its id.
    pub lead: String,
    /// `new`, `again`, `reached` or `unreached`.
    pub status: String,
    /// «ещё не звонили», «позвоним ещё раз», «дозвонились», «не дозвонились».
    pub status_title: String,
    /// When it is due again.
    #[schema(format = "date-time")]
    pub due: Option<String>,
    /// Its numbers, in the order in which they are called.
    pub numbers: Vec<String>,
    /// What is known of it.
    pub fields: BTreeMap<String, String>,
    /// What scenarios noted, oldest first.
    pub notes: Vec<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Finished attempts.
    pub attempts: u64,
    /// It is being dialled.
    pub dialling: bool,
}

impl From<Lead> for LeadInfo {
    fn from(lead: Lead) -> Self {
        let status = lead.progress.state.status();
        Self {
            lead: lead.lead.to_string(),
            status: word(status).into(),
            status_title: status.title().into(),
            due: lead.progress.state.due().filter(|due| due.0 > 0).map(moment),
            numbers: lead.numbers.iter().map(|number| number.reveal().to_owned()).collect(),
            fields: lead.fields,
            notes: lead.notes,
            tags: lead.tags.into_iter().collect(),
            attempts: lead.progress.tries.len() as u64,
            dialling: lead.claim.is_some(),
        }
    }
}

fn word(status: LeadStatus) -> &'static str {
    match status {
        LeadStatus::New => "new",
        LeadStatus::Again => "again",
        LeadStatus::Reached => "reached",
        LeadStatus::Unreached => "unreached",
    }
}

/// A status by its word, or as the console has it.
pub(crate) fn status(text: &str) -> Result<LeadStatus, ApiError> {
    let found = LeadStatus::ALL.into_iter().find(|status| word(*status) == text || status.title() == text);
    found.ok_or_else(|| {
        let known: Vec<&str> = LeadStatus::ALL.into_iter().map(word).collect();
        ApiError::Malformed(format!("there is no status `{text}`; there are {}", known.join(", ")))
    })
}

/// Which leads are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams, ToSchema)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FilterBody {
    /// In one of these statuses, with commas between them: `new`, `again`, `reached`, `unreached`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// With all of these tags, with commas between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Whose last call came to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// With this in the id, or these digits in a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl FilterBody {
    /// As the dialler takes it.
    pub(crate) fn read(self) -> Result<LeadFilter, ApiError> {
        let parts = |text: &str| -> Vec<String> {
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        let statuses = self.status.as_deref().map(parts).unwrap_or_default();
        Ok(LeadFilter {
            statuses: statuses.iter().map(|text| status(text)).collect::<Result<_, _>>()?,
            tags: self.tag.as_deref().map(parts).unwrap_or_default(),
            result: self.result,
            text: self.text,
        })
    }
}

/// Which part of the leads.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParameters {
    /// See the filter of the other requests.
    #[serde(default)]
    status: Option<String>,
    /// With all of these tags, with commas between them.
    #[serde(default)]
    tag: Option<String>,
    /// Whose last call came to this.
    #[serde(default)]
    result: Option<String>,
    /// With this in the id, or these digits in a number.
    #[serde(default)]
    text: Option<String>,
    /// The `next` of the page before.
    #[serde(default)]
    after: Option<String>,
    /// How many, 100 by default, 1,000 at most.
    #[serde(default)]
    limit: Option<usize>,
}

/// A part of the leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeadPageInfo {
    /// Those that match.
    pub leads: Vec<LeadInfo>,
    /// Where to go on; absent: that was all. A page may be short, or empty, and not be the last: a rare filter is looked
    /// for a while and no longer.
    pub next: Option<String>,
}

/// Which leads something is done to: these, or all that match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SelectionBody {
    /// Their ids, 10,000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leads: Option<Vec<String>>,
    /// All that match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<FilterBody>,
}

impl SelectionBody {
    fn read(self) -> Result<Selection, ApiError> {
        match (self.leads, self.all) {
            (Some(leads), None) if leads.len() <= NAMED => {
                Ok(Selection::These(leads.iter().map(|text| lead_id(text)).collect::<Result<_, _>>()?))
            }
            (Some(_), None) => {
                Err(ApiError::Malformed(format!("at most {NAMED} leads are named one by one")))
            }
            (None, Some(filter)) => Ok(Selection::All(filter.read()?)),
            _ => Err(ApiError::Malformed(
                "say which leads: either `leads`, their ids, or `all`, a filter ({} is all of them)".into(),
            )),
        }
    }
}

/// What became of leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangedLeads {
    /// To so many it was done.
    pub changed: u64,
    /// So many were so already, or had gone.
    pub same: u64,
    /// So many are being dialled, so they stay where they are: do it again when their calls are over.
    pub busy: u64,
    /// So many could not take it: they have all the tags that a lead may have.
    pub full: u64,
}

impl From<Changed> for ChangedLeads {
    fn from(changed: Changed) -> Self {
        let Changed { changed, same, busy, full } = changed;
        Self { changed, same, busy, full }
    }
}

/// Tags to give and to take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TagBody {
    /// To which leads.
    pub which: SelectionBody,
    /// Tags to give.
    #[serde(default)]
    pub add: BTreeSet<String>,
    /// Tags to take.
    #[serde(default)]
    pub remove: BTreeSet<String>,
}

/// Where leads go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveBody {
    /// Which leads.
    pub which: SelectionBody,
    /// The other project.
    pub to: String,
    /// They stay here as well.
    #[serde(default)]
    pub copy: bool,
}

/// What is changed of a lead; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LeadBody {
    /// All its numbers, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Vec<String>>,
    /// Fields by name; `null` takes one away.
    #[serde(default)]
    pub fields: BTreeMap<String, Option<String>>,
}

pub(crate) fn lead_id(text: &str) -> Result<LeadId, ApiError> {
    LeadId::new(text).map_err(|why| ApiError::Malformed(format!("lead: {why}")))
}

/// The leads of a project, by their ids.
#[utoipa::path(
    get, path = "/v1/projects/{id}/leads", tag = "leads",
    params(("id" = String, Path, description = "The project"), PageParameters),
    responses(
        (status = 200, description = "A part of them.", body = LeadPageInfo),
        (status = 400, description = "A parameter is wrong.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such project.", body = Problem)
    )
)]
pub(crate) async fn list(
    seat: Seated,
    Path(id): Path<String>,
    parameters: Result<Query<PageParameters>, QueryRejection>,
) -> Answer<LeadPageInfo> {
    let Query(PageParameters { status, tag, result, text, after, limit }) = parameters?;
    let filter = FilterBody { status, tag, result, text }.read()?;
    let after = after.as_deref().map(lead_id).transpose()?;
    let id = project_id(&id)?;
    if seat.tables.project(&id).await?.is_none() {
        return Err(DialerError::NoProject(id).into());
    }
    let limit = limit.unwrap_or(PAGE).clamp(1, MOST);
    let page = seat.tables.lead_page(&id, &filter, after.as_ref(), limit).await?;
    Ok(Json(LeadPageInfo {
        leads: page.leads.into_iter().map(Into::into).collect(),
        next: page.next.map(|next| next.to_string()),
    }))
}

/// One lead.
#[utoipa::path(
    get, path = "/v1/projects/{id}/leads/{lead}", tag = "leads",
    params(("id" = String, Path, description = "The project"), ("lead" = String, Path, description = "The lead")),
    responses(
        (status = 200, description = "As it is.", body = LeadInfo),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such lead.", body = Problem)
    )
)]
pub(crate) async fn one(seat: Seated, Path((id, lead)): Path<(String, String)>) -> Answer<LeadInfo> {
    let (id, lead) = (project_id(&id)?, lead_id(&lead)?);
    let found = seat.tables.lead(&id, &lead).await?;
    Ok(Json(found.ok_or(DialerError::NoLead(lead))?.into()))
}

/// Changes a lead's numbers and fields, also while it is being dialled.
#[utoipa::path(
    patch, path = "/v1/projects/{id}/leads/{lead}", tag = "leads",
    params(("id" = String, Path, description = "The project"), ("lead" = String, Path, description = "The lead")),
    request_body = LeadBody,
    responses(
        (status = 200, description = "As it is now.", body = LeadInfo),
        (status = 400, description = "The body is wrong.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such lead.", body = Problem),
        (status = 422, description = "No lead may be like this.", body = Problem)
    )
)]
pub(crate) async fn edit(
    seat: Seated,
    Path((id, lead)): Path<(String, String)>,
    body: Result<Json<LeadBody>, JsonRejection>,
) -> Answer<LeadInfo> {
    let Json(LeadBody { numbers, fields }) = body?;
    let number = |text: &String| {
        PhoneNumber::parse(text).map_err(|why| ApiError::Malformed(format!("numbers: {why}")))
    };
    let numbers: Option<Vec<PhoneNumber>> =
        numbers.map(|numbers| numbers.iter().map(number).collect()).transpose()?;
    let edit = LeadEdit { numbers, fields };
    let lead = seat.tables.edit_lead(&project_id(&id)?, &lead_id(&lead)?, &edit).await?;
    Ok(Json(lead.into()))
}

/// Gives leads tags and takes others from them.
#[utoipa::path(
    post, path = "/v1/projects/{id}/leads/tag", tag = "leads",
    params(("id" = String, Path, description = "The project")), request_body = TagBody,
    responses(
        (status = 200, description = "Done.", body = ChangedLeads),
        (status = 400, description = "The body is wrong.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such project.", body = Problem),
        (status = 422, description = "Something is no tag.", body = Problem)
    )
)]
pub(crate) async fn tag(
    seat: Seated,
    Path(id): Path<String>,
    body: Result<Json<TagBody>, JsonRejection>,
) -> Answer<ChangedLeads> {
    let Json(TagBody { which, add, remove }) = body?;
    let changed = seat.tables.tag_leads(&project_id(&id)?, &which.read()?, &add, &remove).await?;
    Ok(Json(changed.into()))
}

/// Moves or copies leads to another project, where they begin anew.
#[utoipa::path(
    post, path = "/v1/projects/{id}/leads/move", tag = "leads",
    params(("id" = String, Path, description = "The project")), request_body = MoveBody,
    responses(
        (status = 200, description = "Done.", body = ChangedLeads),
        (status = 400, description = "The body is wrong.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such project.", body = Problem)
    )
)]
pub(crate) async fn relocate(
    seat: Seated,
    Path(id): Path<String>,
    body: Result<Json<MoveBody>, JsonRejection>,
) -> Answer<ChangedLeads> {
    let Json(MoveBody { which, to, copy }) = body?;
    let (from, to, which) = (project_id(&id)?, project_id(&to)?, which.read()?);
    let changed = match copy {
        true => seat.tables.copy_leads(&from, &to, &which).await?,
        false => seat.tables.move_leads(&from, &to, &which).await?,
    };
    Ok(Json(changed.into()))
}

/// Deletes leads. Calls in progress go on, and are recorded and charged.
#[utoipa::path(
    post, path = "/v1/projects/{id}/leads/delete", tag = "leads",
    params(("id" = String, Path, description = "The project")), request_body = SelectionBody,
    responses(
        (status = 200, description = "Done.", body = ChangedLeads),
        (status = 400, description = "The body is wrong.", body = Problem),
        (status = 401, description = "No token, or an unknown one.", body = Problem),
        (status = 404, description = "There is no such project.", body = Problem)
    )
)]
pub(crate) async fn delete(
    seat: Seated,
    Path(id): Path<String>,
    body: Result<Json<SelectionBody>, JsonRejection>,
) -> Answer<ChangedLeads> {
    let Json(which) = body?;
    Ok(Json(seat.tables.delete_leads(&project_id(&id)?, &which.read()?).await?.into()))
}
