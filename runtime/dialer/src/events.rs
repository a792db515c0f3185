//! What a run tells while it dials.

use zvonar_campaign::ProjectStatus;
use zvonar_model::{AttemptId, Kopecks, LeadId, Outcome, PhoneNumber, ProjectId};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Leads of the project.
    pub leads: u64,
    /// Leads that are finished, those of earlier runs included.
    pub finished: u64,
    /// Of those, the reached.
    pub reached: u64,
    /// Attempts in progress now.
    pub lines: u32,
    /// Attempts of this run that are settled.
    pub attempts: u64,
    /// What they cost.
    pub spent: Kopecks,
}

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEvent {
    /// Of which project.
    pub project: ProjectId,
    /// Where the run stands after it.
    pub counts: Counts,
    /// What it was.
    pub what: RunStep,
}

/// A step of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum RunStep {
    /// The list is read, dialling begins.
    Begun,
    /// An attempt begins.
    Started {
        /// Whom it is to reach.
        lead: LeadId,
    },
    /// An attempt is settled.
    Settled {
        /// Which.
        attempt: AttemptId,
        /// Whom it was to reach.
        lead: LeadId,
        /// At which number; prints itself masked.
        number: PhoneNumber,
        /// What came of it.
        outcome: Outcome,
        /// Started seconds with the robot.
        robot_seconds: u64,
        /// What it costs.
        total: Kopecks,
    },
    /// The project dials no more; told by the foreman.
    Over {
        /// What it came to.
        status: ProjectStatus,
    },
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// Where it stood.
    pub counts: Counts,
    /// Whether it was stopped before the list was done.
    pub stopped: bool,
    /// Leads that other runners were dialling at the end.
    pub elsewhere: u64,
}
