//! Joins the rest: attempts, conversations, settling, recovery, reports.
