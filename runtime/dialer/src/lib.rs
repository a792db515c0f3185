//! Joins the rest: attempts, conversations, settling, recovery, reports.
//!
//! [`Dialer`] dials a project's list over a [`Caller`]; [`Tables`] is what a tenant has stored: projects and leads,
//! records, charges, the balance, reports and the check of the books.
//!
//! # What always holds
//!
//! * The intent is durable before the INVITE leaves, so a crash never makes a phone ring twice.
//! * An attempt has one record and one charge, written in one commit with the lead's next state.
//! * A lead belongs to one attempt at a time, claimed by compare-and-set, whoever runs its project.
//! * No clock is read and no chance is drawn here: both are passed in.

mod adding;
mod alive;
mod attempt;
mod balance;
mod blacklist;
mod call_back;
mod caller;
mod consents;
pub mod conversation;
mod day;
pub mod deployments;
pub mod desks;
mod dialer;
mod errand;
mod error;
mod events;
mod fees;
mod forecast;
mod foreman;
mod grant;
pub mod hooks;
mod hours;
mod leads;
mod lease;
mod life;
pub mod operators;
mod pace;
mod permit;
mod policy;
mod projects;
mod purse;
mod records;
mod recovery;
pub mod report;
mod run;
mod stats;
mod tables;
mod texting;
mod texts;
mod turnstile;
mod verify;
mod why;

pub use adding::{Added, Adding, IfKnown, NewLead};
pub use alive::AliveAttempt;
pub use attempt::{Inbound, Settled, rate_report};
pub use caller::{CallReport, Caller, Effects, NotPlaced, Order, Reserved};
pub use consents::MAX_EVENT_NUMBERS;
pub use day::Day;
pub use dialer::{Dialer, Pressure, WallClock};
pub use error::{DialerError, EditConflict, Result};
pub use events::{Counts, Finished, RunEvent, RunStep};
pub use forecast::{Callees, Forecast, HourOfDialling, forecast};
pub use foreman::{Halted, Keep};
pub use grant::Grant;
pub use leads::{Changed, LeadEdit, LeadFilter, LeadPage, MAX_TAG, MAX_TAGS, Selection};
pub use life::ProjectChange;
pub use pace::{Pace, Paces};
pub use policy::Policy;
pub use projects::{
    MAX_CARD_BYTES, MAX_FIELD_NAME, MAX_FIELDS, MAX_NOTES, MAX_NUMBERS, MAX_TEXT, NewProject,
};
pub use purse::{Account, Prepaid};
pub use records::RecordPage;
pub use recovery::{Abandoned, CUT_OFF, Recovered};
pub use report::{
    CallFilter, CallOrder, CallPage, CallPlace, Contact, ContactPage, Employees, ProjectLine, ProjectReport,
    Report, ReportRow, ReportText, ResultLine, Totals,
};
pub use run::Stop;
pub use stats::StatFault;
pub use tables::{
    AttemptStep, BalanceRow, Blocked, Deployment, DialRules, Edit, Epoch, Intent, Lead, Project, Release,
    Scope, Stage, Standing, StateStep, StatusCounts, Step, Tables, Tally, TenantKeys, TextTally, Withdrawn,
};
pub use texting::{Heard, TextNews};
pub use texts::{
    CallTexts, DecidedTexts, Fate, OutboxState, Post, PostBox, Text, TextDecision, TextId, TextInfo,
    TextOffice, TextPage, TextRules, TextStatus, TextStep, Texts, Whose,
};
pub use verify::{BookFault, Verified};
pub use why::{Hold, NumberStory, PLANNED, Plan, Planned, Why};
