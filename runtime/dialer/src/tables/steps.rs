//! The journal of what happened to leads. Counts and reports are folded from it, so they need not look through all leads
//! and never read the traces of calls.

use serde::{Deserialize, Serialize};
use zvonar_campaign::LeadStatus;
use zvonar_ledger::Charge;
use zvonar_model::{
    AttemptId, AttemptRecord, Direction, Kopecks, LeadId, PhoneNumber, ProjectId, ScenarioRef, UnixMillis,
};

use super::{Lead, Row};

/// Something that happened to leads: written in the commit that made it so, never edited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Step {
    /// Leads were added to a project, «ещё не звонили».
    Added {
        /// To which.
        project: ProjectId,
        /// Who, in the order of the list.
        leads: Vec<LeadId>,
    },
    /// An attempt is over.
    Attempt(Box<AttemptStep>),
    /// Leads went out of a project: deleted, or moved to another one, which has an [`Step::Added`] of its own.
    Removed {
        /// Out of which.
        project: ProjectId,
        /// Who, and where each stood.
        leads: Vec<Standing>,
    },
    /// Somebody changed a lead's numbers or fields, or the rules so that its numbers have had their calls.
    Edited {
        /// In which project.
        project: ProjectId,
        /// Whose.
        lead: LeadId,
        /// Its status before and after: new numbers may make a finished lead one to be called.
        moved: (LeadStatus, LeadStatus),
    },
    /// Leads got tags or lost them. Nothing is counted by it, and nobody is called sooner or later for it.
    Tagged {
        /// In which project.
        project: ProjectId,
        /// Whose.
        leads: Vec<LeadId>,
    },
    /// Leads that were in a project before this journal was kept: written once, by the first program that keeps it.
    Found {
        /// In which.
        project: ProjectId,
        /// Who, and where each stood.
        leads: Vec<Standing>,
    },
}

/// A lead and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Which.
    pub lead: LeadId,
    /// Where.
    pub status: LeadStatus,
}

impl Standing {
    pub(crate) fn of(lead: &Lead) -> Self {
        Self { lead: lead.lead.clone(), status: lead.progress.state.status() }
    }
}

impl Row for Step {
    const VERSION: u16 = 1;
}

/// A finished attempt as reports show it: the record without what only an inquiry into one call needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptStep {
    /// Which.
    pub attempt: AttemptId,
    /// For which project; `None`: the call came in, or was placed by hand.
    pub project: Option<ProjectId>,
    /// To reach whom.
    pub lead: Option<LeadId>,
    /// Who called whom.
    pub direction: Direction,
    /// The far end's number, if it has one.
    pub number: Option<PhoneNumber>,
    /// The far end as the network named it.
    pub peer: String,
    /// When it began.
    pub started_at: UnixMillis,
    /// When it was answered, if it was.
    pub answered_at: Option<UnixMillis>,
    /// When it was over.
    pub ended_at: UnixMillis,
    /// «Результат»: the scenario's own, or the system's.
    pub result: String,
    /// Which scenario ran, if one did.
    pub scenario: Option<ScenarioRef>,
    /// All keys that were pressed.
    pub keys: String,
    /// Started seconds with the robot.
    pub robot_seconds: u64,
    /// Seconds of talk with whomever the caller was handed to, started ones counted.
    pub talk_seconds: u64,
    /// What it costs.
    pub kopecks: Kopecks,
    /// The lead's tags at that time.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The lead's status before and after; `None`: there was no lead, or it was deleted meanwhile.
    pub moved: Option<(LeadStatus, LeadStatus)>,
}

impl AttemptStep {
    /// Of a record and its charge. `lead`: before and after, if the attempt was one of its own.
    pub(crate) fn of(record: &AttemptRecord, charge: &Charge, lead: Option<(&Lead, &Lead)>) -> Self {
        Self {
            attempt: record.attempt.clone(),
            project: record.project.clone(),
            lead: record.lead.clone(),
            direction: record.direction,
            number: record.number.clone(),
            peer: record.peer.clone(),
            started_at: record.started_at,
            answered_at: record.answered_at,
            ended_at: record.ended_at,
            result: record.outcome.title().to_owned(),
            scenario: record.scenario.clone(),
            keys: record.keys.clone(),
            robot_seconds: charge.robot_seconds,
            talk_seconds: record.phases.talk.seconds_up(),
            kopecks: charge.total,
            tags: lead.map_or_else(Vec::new, |(before, _)| before.tags.iter().cloned().collect()),
            moved: lead
                .map(|(before, after)| (before.progress.state.status(), after.progress.state.status())),
        }
    }
}
