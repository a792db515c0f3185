//! The nouns every crate shares: ids, phone numbers, money, time, outcomes, the attempt record and its trace.
//!
//! Nothing here reads a clock, a file or a socket, and nothing decides: rules live in `campaign` and `ledger`.
//! Everything here can be stored: stored types carry a version where their shape may change.

mod attempt;
mod ids;
mod money;
mod outcome;
mod phone;
mod time;
pub mod trace;

pub use attempt::{
    AttemptRecord, Direction, MediaReport, Phases, RECORD_VERSION, RecognisedAnswer, ScenarioRef, SentSms,
    Transfer,
};
pub use ids::{AttemptId, IdError, LeadId, OperatorId, ProjectId, ScenarioName, TenantId, TrunkId};
pub use money::Kopecks;
pub use outcome::{Outcome, SystemResult, TalkEnd};
pub use phone::{PhoneError, PhoneNumber};
pub use time::{Millis, UnixMillis};
pub use trace::Trace;
