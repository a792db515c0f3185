//! What a hook is told: the names are those that integrators of the model service know, where the thing is the same.
//!
//! Telephone numbers are whole here: they are the tenant's own, and go to the tenant's own address. They print masked.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use zvonar_campaign::{LeadStatus, ProjectStatus, Register};
use zvonar_model::{
    AttemptId, AttemptRecord, Direction, LeadId, OperatorId, Outcome, PhoneNumber, ProjectId, SystemResult,
    TenantId, UnixMillis,
};

use super::EventKind;
use crate::operators::Verdict;
use crate::tables::{AttemptStep, Lead, Project, StateStep};
use crate::texts::{TextId, TextStep};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Names it, the same for every try and for every hook.
    pub id: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// When it happened.
    pub created_at: String,
    /// Whose it is.
    pub organization_id: TenantId,
    /// The call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Box<Call>>,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_result: Option<CallResult>,
    /// Whom the lead of the call is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead: Option<Box<LeadCard>>,
    /// The same person, by the names of contacts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<Box<Contact>>,
    /// The text message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sms: Option<Text>,
    /// The project, when it is the project to which something happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_project: Option<CallProject>,
    /// What was too large to be told, and left out: `params`, `notes`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// A finished call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Its attempt.
    pub id: AttemptId,
    /// The far end's number, whole.
    pub phone: Option<PhoneNumber>,
    /// The far end as the network named it.
    pub peer: String,
    /// What it came from: `project`, `manual`, `incoming`.
    pub source: String,
    /// `outbound` or `inbound`.
    pub direction: Direction,
    /// The fields of the lead's card, those that the scenario wrote included.
    pub params: BTreeMap<String, String>,
    /// Which lead.
    pub lead_id: Option<LeadId>,
    /// Whose.
    pub organization_id: TenantId,
    /// The operator who talked, if one did.
    pub user_id: Option<OperatorId>,
    /// When it began.
    pub started_at: String,
    /// When it was answered.
    pub connected_at: Option<String>,
    /// When it was over.
    pub ended_at: String,
    /// How it ended, seen from the network: `answered`, `no_answer`, `busy`, …
    pub reason: String,
    /// Started seconds from the answer to the end.
    pub duration: u64,
    /// Of those, with the robot.
    pub robot_seconds: u64,
    /// Waiting for somebody.
    pub wait_seconds: u64,
    /// Talking to somebody.
    pub talk_seconds: u64,
    /// Which scenario ran.
    pub scenario_id: Option<String>,
    /// Its version.
    pub scenario_version: Option<String>,
    /// The result's id.
    pub result_id: String,
    /// Where the recording can be had.
    pub recording_url: Option<String>,
    /// Where the number belongs, by the register.
    pub region: Option<String>,
    /// When it began, by the clocks there.
    pub local_time: Option<String>,
    /// Which project.
    pub call_project_id: Option<ProjectId>,
    /// What people call it.
    pub call_project_title: Option<String>,
    /// The keys that were pressed.
    pub keys: String,
    /// The answers in words.
    pub answers: Vec<Answer>,
    /// To whom the caller was handed, in order.
    pub transfers: Vec<HandedOver>,
    /// What the call costs.
    pub cost_kopecks: i64,
}

/// An answer in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// As it was understood.
    pub text: String,
    /// The phrase that was found in it.
    pub phrase: Option<String>,
}

/// A transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedOver {
    /// `operator` or `external`.
    pub to: String,
    /// Who talked, or is responsible for the missed call.
    pub user_id: Option<OperatorId>,
    /// The external number.
    pub phone: Option<PhoneNumber>,
    /// Whether somebody picked up.
    pub connected: bool,
    /// Started seconds of waiting.
    pub wait_seconds: u64,
    /// Started seconds of talk.
    pub talk_seconds: u64,
    /// Why nobody talked.
    pub missed: Option<String>,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallResult {
    /// Of which call.
    pub call_id: AttemptId,
    /// A word of the system's (`no_answer`), or the scenario's name of the result.
    pub result_id: String,
    /// As the reports have it.
    pub result_name: String,
    /// What the operator wrote besides.
    pub comment: Option<String>,
    /// The operator whose result it is; `None`: the robot's.
    pub user_id: Option<OperatorId>,
}

impl From<Verdict> for CallResult {
    fn from(verdict: Verdict) -> Self {
        Self {
            call_id: verdict.attempt,
            result_id: verdict.result.clone(),
            result_name: verdict.result,
            comment: Some(verdict.comment).filter(|comment| !comment.is_empty()),
            user_id: Some(verdict.operator),
        }
    }
}

/// A lead as it stands after the call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeadCard {
    /// Which.
    pub id: LeadId,
    /// Of which project.
    pub call_project_id: ProjectId,
    /// `new`, `again`, `reached`, `unreached`.
    pub status: LeadStatus,
    /// All its numbers, whole.
    pub phones: Vec<PhoneNumber>,
    /// Its tags.
    pub tags: BTreeSet<String>,
    /// What scenarios noted.
    pub notes: Vec<String>,
    /// How often it was called.
    pub calls: usize,
}

/// A lead by the names of contacts: what its card has under these names, in English or Russian.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contact {
    /// The lead's id.
    pub id: LeadId,
    /// `name`, `имя`, `фио`.
    pub name: Option<String>,
    /// `comment`, `комментарий`.
    pub comment: Option<String>,
    /// `post`, `должность`.
    pub post: Option<String>,
    /// `city`, `город`.
    pub city: Option<String>,
    /// `business`, `компания`.
    pub business: Option<String>,
    /// `homepage`, `сайт`.
    pub homepage: Option<String>,
    /// `emails`, `email`, `почта`, parted by commas.
    pub emails: Vec<String>,
    /// `inn`, `инн`.
    pub inn: Option<String>,
    /// `kpp`, `кпп`.
    pub kpp: Option<String>,
    /// Its tags.
    pub tags: BTreeSet<String>,
    /// All its numbers, whole.
    pub phones: Vec<PhoneNumber>,
}

/// A text message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// Which, as `zvonar sms` has it.
    pub id: TextId,
    /// To whom, whole.
    pub phone: PhoneNumber,
    /// Where it is: `queued`, `sent`, `delivered`, …
    pub status: String,
    /// Why, where there is something to tell.
    pub why: Option<String>,
    /// In how many parts.
    pub parts: u32,
    /// What was charged for it at this moment; a message is charged once.
    pub cost_kopecks: Option<i64>,
    /// The call that it was decided in.
    pub call_id: AttemptId,
    /// To which lead.
    pub lead_id: Option<LeadId>,
    /// Of which project.
    pub call_project_id: Option<ProjectId>,
}

/// A project and its status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallProject {
    /// Which.
    pub id: ProjectId,
    /// What people call it.
    pub title: String,
    /// Where it stands: `active`, `paused`, `finished`, `error`.
    pub state: String,
    /// The same as people read it.
    pub status: String,
    /// Why, where there is something to tell.
    pub why: Option<String>,
    /// Where it stood before.
    pub state_before: String,
}

/// What an event of a call is made of.
pub(super) struct Facts<'a> {
    pub(super) record: &'a AttemptRecord,
    pub(super) step: &'a AttemptStep,
    /// What an operator has said of it by now.
    pub(super) verdict: Option<&'a Verdict>,
    pub(super) project: Option<&'a Project>,
    pub(super) lead: Option<&'a Lead>,
    pub(super) register: &'a Register,
    pub(super) recordings: Option<&'a str>,
}

impl Event {
    /// An event of which only its name is known.
    pub(super) fn bare(kind: EventKind, tenant: &TenantId, of: &str, at: UnixMillis) -> Self {
        Self {
            id: format!("{kind}-{of}"),
            kind,
            created_at: moment(at),
            organization_id: tenant.clone(),
            call: None,
            call_result: None,
            lead: None,
            contact: None,
            sms: None,
            call_project: None,
            left_out: Vec::new(),
        }
    }

    /// Of a finished call. Its result is the operator's, if he has said one by now, and the robot's otherwise.
    pub(super) fn of_call(kind: EventKind, facts: &Facts<'_>) -> Self {
        let Facts { record, project, lead, verdict, .. } = facts;
        let bare = Self::bare(kind, &record.tenant, record.attempt.as_str(), record.ended_at);
        let result = match verdict {
            Some(verdict) => CallResult::from((*verdict).clone()),
            None => CallResult {
                call_id: record.attempt.clone(),
                result_id: result_id(&record.outcome),
                result_name: record.outcome.title().to_owned(),
                comment: None,
                user_id: None,
            },
        };
        let lead = lead.zip(*project);
        Self {
            call: Some(Box::new(Call::of(facts))),
            call_result: Some(result),
            contact: lead.map(|(lead, _)| Box::new(Contact::of(lead))),
            lead: lead.map(|(lead, project)| Box::new(LeadCard::of(lead, &project.project))),
            ..bare
        }
    }

    /// Of a call that an operator gave a result after its end; the step has this revision. `facts`: what is known of the
    /// call, if it has a record.
    pub(super) fn of_judged(
        tenant: &TenantId,
        judged: Verdict,
        facts: Option<&Facts<'_>>,
        revision: u64,
    ) -> Self {
        let of = format!("{}-{revision}", judged.attempt);
        let bare = Self::bare(EventKind::CallResult, tenant, &of, judged.at);
        let call_result = Some(CallResult::from(judged));
        match facts.map(|facts| Self::of_call(EventKind::CallResult, facts)) {
            Some(event) => Self { id: bare.id, created_at: bare.created_at, call_result, ..event },
            None => Self { call_result, ..bare },
        }
    }

    /// Of a text message.
    pub(super) fn of_sms(tenant: &TenantId, step: TextStep, revision: u64) -> Self {
        let of = format!("{}-{revision}", step.text);
        let sms = Text {
            call_id: step.text.attempt.clone(),
            id: step.text,
            phone: step.to,
            status: step.status.word().to_owned(),
            why: step.why,
            parts: step.segments,
            cost_kopecks: step.charged.map(|kopecks| kopecks.0),
            lead_id: step.lead,
            call_project_id: step.project,
        };
        Self { sms: Some(sms), ..Self::bare(EventKind::SmsStatus, tenant, &of, step.at) }
    }

    /// Of a project.
    pub(super) fn of_state(tenant: &TenantId, step: StateStep, revision: u64) -> Self {
        let of = format!("{}-{revision}", step.project);
        let why = match &step.after {
            ProjectStatus::Error { why } => Some(why.clone()),
            _ => None,
        };
        let call_project = CallProject {
            id: step.project,
            title: step.title,
            state: state(&step.after).to_owned(),
            status: step.after.title().to_owned(),
            why,
            state_before: state(&step.before).to_owned(),
        };
        let bare = Self::bare(EventKind::ProjectState, tenant, &of, step.at);
        Self { call_project: Some(call_project), ..bare }
    }

    /// Leaves out what may be long.
    pub(super) fn shortened(mut self) -> Self {
        if let Some(call) = &mut self.call {
            call.params.clear();
        }
        if let Some(lead) = &mut self.lead {
            lead.notes.clear();
        }
        self.contact = None;
        self.left_out = ["params", "notes", "contact"].map(str::to_owned).into();
        self
    }

    /// As it is sent.
    pub fn body(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("events have text keys and no failing parts")
    }
}

impl Call {
    fn of(facts: &Facts<'_>) -> Self {
        let Facts { record, step, project, lead, register, recordings, .. } = facts;
        let place = record.number.as_ref().and_then(|number| register.look_up(number));
        let place = place.filter(|place| !place.federal);
        let duration = record.answered_at.map_or(0, |at| record.ended_at.0.saturating_sub(at.0).max(0));
        let transfers = record.transfers.iter().map(|transfer| HandedOver {
            to: if transfer.to_operator { "operator" } else { "external" }.to_owned(),
            user_id: transfer.operator.clone(),
            phone: transfer.number.clone(),
            connected: transfer.connected,
            wait_seconds: transfer.wait.seconds_up(),
            talk_seconds: transfer.talk.seconds_up(),
            missed: transfer.missed.clone(),
        });
        let talked = record.transfers.iter().rev().find(|transfer| transfer.connected);
        let answers = record.answers.iter();
        let answers =
            answers.map(|answer| Answer { text: answer.text.clone(), phrase: answer.phrase.clone() });
        let source = match (record.direction, &record.project) {
            (Direction::Inbound, _) => "incoming",
            (Direction::Outbound, Some(_)) => "project",
            (Direction::Outbound, None) => "manual",
        };
        let recording = record.recording.as_ref().zip(*recordings);
        Self {
            id: record.attempt.clone(),
            phone: record.number.clone(),
            peer: record.peer.clone(),
            source: source.to_owned(),
            direction: record.direction,
            params: lead.map_or_else(BTreeMap::new, |lead| lead.fields.clone()),
            lead_id: record.lead.clone(),
            organization_id: record.tenant.clone(),
            user_id: talked.and_then(|transfer| transfer.operator.clone()),
            started_at: moment(record.started_at),
            connected_at: record.answered_at.map(moment),
            ended_at: moment(record.ended_at),
            reason: reason(&record.outcome).to_owned(),
            duration: duration.unsigned_abs().div_ceil(1000),
            robot_seconds: step.robot_seconds,
            wait_seconds: record.phases.wait.seconds_up(),
            talk_seconds: step.talk_seconds,
            scenario_id: record.scenario.as_ref().map(|scenario| scenario.name.clone()),
            scenario_version: record.scenario.as_ref().map(|scenario| scenario.version.clone()),
            result_id: result_id(&record.outcome),
            recording_url: recording.map(|(name, base)| format!("{base}{name}")),
            region: place.as_ref().map(|place| place.region.to_owned()),
            local_time: place.and_then(|place| local(record.started_at, place.zones)),
            call_project_id: record.project.clone(),
            call_project_title: project.map(|project| project.title.clone()),
            keys: record.keys.clone(),
            answers: answers.collect(),
            transfers: transfers.collect(),
            cost_kopecks: step.kopecks.0,
        }
    }
}

impl LeadCard {
    fn of(lead: &Lead, project: &ProjectId) -> Self {
        Self {
            id: lead.lead.clone(),
            call_project_id: project.clone(),
            status: lead.progress.state.status(),
            phones: lead.numbers.clone(),
            tags: lead.tags.clone(),
            notes: lead.notes.clone(),
            calls: lead.progress.tries.len(),
        }
    }
}

impl Contact {
    fn of(lead: &Lead) -> Self {
        let field = |names: &[&str]| {
            let mut fields = lead.fields.iter();
            let found = fields
                .find(|(name, value)| !value.is_empty() && names.contains(&name.to_lowercase().as_str()));
            found.map(|(_, value)| value.clone())
        };
        let emails = field(&["emails", "email", "e-mail", "почта"]).unwrap_or_default();
        let emails = emails.split([',', ';', ' ']).filter(|one| !one.is_empty()).map(str::to_owned);
        Self {
            id: lead.lead.clone(),
            name: field(&["name", "имя", "фио"]),
            comment: field(&["comment", "комментарий"]),
            post: field(&["post", "должность"]),
            city: field(&["city", "город"]),
            business: field(&["business", "компания"]),
            homepage: field(&["homepage", "сайт"]),
            emails: emails.collect(),
            inn: field(&["inn", "инн"]),
            kpp: field(&["kpp", "кпп"]),
            tags: lead.tags.clone(),
            phones: lead.numbers.clone(),
        }
    }
}

/// Whether somebody wanted a person and got none.
pub(super) fn is_lost(record: &AttemptRecord) -> bool {
    let said = matches!(
        record.outcome.system(),
        Some(
            SystemResult::Lost
                | SystemResult::OperatorNoAnswer
                | SystemResult::OperatorBusy
                | SystemResult::OperatorDeclined
        )
    );
    let tried = !record.transfers.is_empty();
    (said || tried) && !record.machine && !record.transfers.iter().any(|transfer| transfer.connected)
}

pub(crate) fn moment(at: UnixMillis) -> String {
    Timestamp::from_millisecond(at.0).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// The time in the first of these zones.
fn local(at: UnixMillis, zones: &[&str]) -> Option<String> {
    let zone = TimeZone::get(zones.first()?).ok()?;
    let at = Timestamp::from_millisecond(at.0).ok()?.to_zoned(zone);
    Some(at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
}

fn state(status: &ProjectStatus) -> &'static str {
    match status {
        ProjectStatus::Active => "active",
        ProjectStatus::Paused => "paused",
        ProjectStatus::Finished { .. } => "finished",
        ProjectStatus::Error { .. } => "error",
    }
}

fn reason(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Answered { .. } => "answered",
        Outcome::NoAnswer => "no_answer",
        Outcome::Busy => "busy",
        Outcome::Rejected => "rejected",
        Outcome::NoSuchNumber => "no_such_number",
        Outcome::SystemError { .. } => "system_error",
        Outcome::Unknown { .. } => "unknown_error",
        Outcome::Blacklisted => "blacklisted",
    }
}

/// The system's word for its own results, the scenario's name for its.
fn result_id(outcome: &Outcome) -> String {
    match outcome.system() {
        None => outcome.title().to_owned(),
        Some(result) => serde_json::to_value(result)
            .ok()
            .and_then(|word| word.as_str().map(str::to_owned))
            .unwrap_or_default(),
    }
}
