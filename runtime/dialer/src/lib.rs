//! Joins the rest: attempts, conversations, settling, recovery, reports.

mod caller;

pub use caller::{CallReport, Caller, Effects, Order};
