//! A caller who wants an operator.

use zvonar_model::{AttemptId, Millis, ProjectId, UnixMillis};

use crate::Group;

/// A caller who wants an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Which call it is.
    pub call: AttemptId,
    /// The project that dialled; its lines follow how many of its callers wait.
    pub project: Option<ProjectId>,
    /// Whose operators; `None`: just anybody.
    pub group: Option<Group>,
    /// Since when he waits: now, or before the desk was set up anew. Who waits longest comes first.
    pub since: UnixMillis,
    /// How long he may wait.
    pub longest_wait: Millis,
}
