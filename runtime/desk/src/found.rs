//! What there is when a desk is set up anew.

use std::collections::BTreeSet;

use zvonar_model::{AttemptId, OperatorId};

use crate::{Caller, Group, Operator, Presence};

/// A talk of an operator's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Talk {
    /// With whom.
    pub call: AttemptId,
    /// Whose.
    pub operator: OperatorId,
    /// The group that the caller wanted.
    pub group: Option<Group>,
}

/// What there is when a desk is set up anew.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The tenant's operators, and what was stored of each last.
    pub operators: Vec<(Operator, Option<Presence>)>,
    /// Those of them who have no telephone at this moment.
    pub without_phone: BTreeSet<OperatorId>,
    /// The talks that still go on.
    pub talks: Vec<Talk>,
    /// Those who still wait.
    pub callers: Vec<Caller>,
}
