//! The dialler's rules: who may be dialled, and what an outcome means for a lead.
//!
//! Functions from facts to decisions: nothing here reads a clock, a file or a socket.
//!
//! The rules of redialling are in [`Rotation`], those of calling hours in [`Schedule`], which numbers there are and where
//! they lie in [`Register`].

mod caps;
mod consent;
mod lead;
mod numbers;
mod pacing;
mod project;
mod purpose;
mod regions;
mod register;
mod rotation;
mod schedule;

pub use caps::{Capped, Caps, MAX_STARTS, Period, with_start};
pub use consent::{ConsentEvent, ConsentRule, Consents, Said};
pub use lead::{LeadState, LeadStatus, Meaning, Progress, RetryClass, Try, after, meaning, rotation};
pub use numbers::{NumberKind, NumberRefused, check_number};
pub use pacing::{Answered, Busy, Pacer, lines_for_operators};
pub use project::{ACTIVE_PROJECTS, Ending, IDLE, PRIORITIES, ProjectStatus, USUAL_PRIORITY, ending};
pub use purpose::{NoPurpose, Purpose, RobotRefused};
pub use regions::zones_of_region;
pub use register::{Entry, Loaded, Register, RegisterFault, RegisterFile, RowFault};
pub use rotation::{Left, MAX_CALLS, NumberState, RetryRule, RetryRules, Rotation, Step};
pub use schedule::{Calling, Schedule, ScheduleFault, Window, weekday_name};
