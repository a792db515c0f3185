//! The telephone as the dialler sees it: one order in, one report out.
//!
//! `conversation` places real calls over `switch` and runs scenarios on them; tests pretend to.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::texts::TextDecision;
use async_trait::async_trait;
use zvonar_model::{
    AttemptId, LeadId, MediaReport, Millis, Outcome, Phases, PhoneNumber, ProjectId, RecognisedAnswer,
    ScenarioName, ScenarioRef, SentSms, TenantId, Trace, Transfer, TrunkId, UnixMillis,
};

/// Places calls, in two steps, so that nothing is stored as started that has to wait for a line.
#[async_trait]
pub trait Caller: Send + Sync {
    /// Waits until the call could leave at once: a line of the trunk, a place for the scenario, a port for the sound.
    /// Dropping the future takes nothing.
    ///
    /// # Errors
    /// No INVITE has left and none will: the lead can be tried again as if nothing had been.
    async fn reserve(&self, order: &Order) -> Result<Box<dyn Reserved + '_>, NotPlaced>;
}

/// A call that may leave at once. What was reserved comes free when it is dropped.
#[async_trait]
pub trait Reserved: Send {
    /// Calls, lets the scenario talk, and comes back when both legs and the session are over. Whatever happens is a
    /// report: failures of ours are [`Outcome::SystemError`].
    ///
    /// The intent is on the disk by now, so the phone may ring. Dropping the future hangs up.
    async fn call(self: Box<Self>, order: Order) -> CallReport;
}

/// Why a call could not be reserved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPlaced {
    /// Something is short; it may be there in a few seconds.
    #[error("{0}")]
    NotNow(String),
    /// Something must be mended first: the trunk or the scenario does not exist.
    #[error("{0}")]
    Never(String),
}

/// What a call needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Which try this is: names the recording and the log lines.
    pub attempt: AttemptId,
    /// On whose behalf.
    pub tenant: TenantId,
    /// The project that dials; `None`: placed by hand.
    pub project: Option<ProjectId>,
    /// Whom it means to reach.
    pub lead: Option<LeadId>,
    /// Whom to call.
    pub number: PhoneNumber,
    /// By which trunk.
    pub trunk: TrunkId,
    /// What to run when somebody picks up.
    pub scenario: ScenarioName,
    /// The scenario's settings in this project.
    pub settings: BTreeMap<String, String>,
    /// The lead's fields.
    pub fields: BTreeMap<String, String>,
    /// The how-manieth attempt to reach this lead it is, from 1.
    pub attempt_number: u32,
    /// How long to let it ring.
    pub ring: Duration,
}

/// What became of a call: the part of the [`AttemptRecord`](zvonar_model::AttemptRecord) that only the call knows, and
/// what the scenario wants remembered.
#[derive(Debug, Clone, PartialEq)]
pub struct CallReport {
    /// The far end as the network named it; empty: as it was dialled.
    pub peer: String,
    /// When it was answered, if it was: the charge depends on it.
    pub answered_at: Option<UnixMillis>,
    /// When it was over.
    pub ended_at: UnixMillis,
    /// From the INVITE to the first sign of ringing, or to the answer.
    pub post_dial_delay: Option<Millis>,
    /// How long each part took; all zero when nobody picked up.
    pub phases: Phases,
    /// How it ended.
    pub outcome: Outcome,
    /// A machine was recognised at the far end.
    pub machine: bool,
    /// The last SIP status of the INVITE.
    pub sip_code: Option<u16>,
    /// All keys that were heard.
    pub keys: String,
    /// Answers in words that were recognised.
    pub answers: Vec<RecognisedAnswer>,
    /// The transfers that were tried.
    pub transfers: Vec<Transfer>,
    /// Texts whose price is known by now; those in [`Effects::texts`] come to them.
    pub sms: Vec<SentSms>,
    /// Which scenario ran.
    pub scenario: Option<ScenarioRef>,
    /// What crossed the wire.
    pub media: MediaReport,
    /// The recording's file name.
    pub recording: Option<String>,
    /// The scenario's calls to its host.
    pub trace: Trace,
    /// What the scenario wants remembered.
    pub effects: Effects,
}

impl CallReport {
    /// A call that came to this without an answer; the rest can be filled in.
    pub fn unanswered(ended_at: UnixMillis, outcome: Outcome) -> Self {
        Self {
            peer: String::new(),
            answered_at: None,
            ended_at,
            post_dial_delay: None,
            phases: Phases::default(),
            outcome,
            machine: false,
            sip_code: None,
            keys: String::new(),
            answers: Vec::new(),
            transfers: Vec::new(),
            sms: Vec::new(),
            scenario: None,
            media: MediaReport::default(),
            recording: None,
            trace: Trace::default(),
            effects: Effects::default(),
        }
    }

    /// A call that we failed to make; `why` is a sentence for the report.
    pub fn failed(ended_at: UnixMillis, why: impl Into<String>) -> Self {
        Self::unanswered(ended_at, Outcome::SystemError { why: why.into() })
    }
}

/// What a scenario wants remembered. Written in the same commit as the record, so it happens once or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Effects {
    /// Fields of the lead to set.
    pub set_fields: BTreeMap<String, String>,
    /// Notes to add to the lead.
    pub notes: Vec<String>,
    /// Never call this person again, and why («попросил не звонить»).
    pub block: Option<String>,
    /// «Добавить в проект и перезвонить по пропущенному»: he wanted somebody and got nobody, and is added to this project.
    pub call_back: Option<ProjectId>,
    /// Text messages to send. Most are stored by then, each once by its place in the call.
    pub texts: Vec<TextDecision>,
}
