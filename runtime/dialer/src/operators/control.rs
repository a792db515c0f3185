//! Who takes calls now: the port through which people's wishes reach the desk.
//!
//! A running host has the desk's worker behind it; a command on a host that stands still has [`StoredDesk`], which knows
//! what is stored and nothing more.

use async_trait::async_trait;
use zvonar_desk::{Group, Presence, Status};
use zvonar_model::{AttemptId, LeadId, Millis, OperatorId, PhoneNumber, ProjectId, TenantId, UnixMillis};

use crate::tables::Tables;
use crate::{DialerError, Result, WallClock};

/// The desks of a host, as those who look after operators see them.
#[async_trait]
pub trait DeskControl: Send + Sync {
    /// An operator chose a status. Gives his presence as it is then; stored.
    ///
    /// # Errors
    /// [`DialerError::NoOperator`] among others.
    async fn status(&self, tenant: &TenantId, operator: &OperatorId, status: Status) -> Result<Presence>;

    /// Who does what now, and who waits.
    async fn view(&self, tenant: &TenantId) -> Result<DeskView>;

    /// An operator's row was made, edited or removed; the desk looks at it again.
    async fn operator_changed(&self, tenant: &TenantId, operator: &OperatorId) -> Result<()>;
}

/// A tenant's desk at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeskView {
    /// By id.
    pub operators: Vec<OperatorView>,
    /// In the order in which they came.
    pub queue: Vec<Waiting>,
}

/// An operator at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorView {
    /// Who.
    pub operator: OperatorId,
    /// What he says of himself, since when, and until when if the desk ends it.
    pub presence: Presence,
    /// What his telephone does.
    pub doing: WhatHeDoes,
    /// His telephones that are registered now.
    pub phones: Vec<PhoneView>,
    /// The call of his last talk, in which he is or was, since the host runs.
    pub last: Option<AttemptId>,
}

/// What an operator's telephone does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum WhatHeDoes {
    /// Nothing.
    #[default]
    Idle,
    /// Rings for a caller.
    Rings {
        /// For whom.
        caller: CallerView,
    },
    /// A talk.
    Talks {
        /// With whom.
        caller: CallerView,
        /// Since when.
        since: UnixMillis,
    },
}

impl WhatHeDoes {
    /// The caller he has to do with.
    pub fn caller(&self) -> Option<&CallerView> {
        match self {
            Self::Idle => None,
            Self::Rings { caller } | Self::Talks { caller, .. } => Some(caller),
        }
    }
}

/// A caller who waits or talks. What is not known of him is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerView {
    /// Which call it is.
    pub attempt: AttemptId,
    /// The project that dialled.
    pub project: Option<ProjectId>,
    /// The project's lead.
    pub lead: Option<LeadId>,
    /// His number.
    pub number: Option<PhoneNumber>,
    /// His name, as telephones show it.
    pub name: Option<String>,
    /// He is no caller but a colleague, who is asked something or asks: that is no attempt, and nothing is noted of it.
    pub colleague: bool,
}

impl CallerView {
    /// A caller of whom nothing but the call is known.
    pub fn of(attempt: AttemptId) -> Self {
        Self { attempt, project: None, lead: None, number: None, name: None, colleague: false }
    }
}

/// A caller in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Who.
    pub caller: CallerView,
    /// Whose operators he wants; `None`: just anybody.
    pub group: Option<Group>,
    /// Since when.
    pub since: UnixMillis,
    /// His place among those who may be given the same operators; 1: he is the next.
    pub position: u32,
    /// About how long it will take; `None`: nobody can tell.
    pub wait: Option<Millis>,
    /// Whose telephone rings for him.
    pub ringing: Option<OperatorId>,
}

/// A telephone that is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneView {
    /// Where its packets come from.
    pub address: String,
    /// What it calls itself.
    pub agent: Option<String>,
    /// When its registration ends unless it is renewed.
    pub until: UnixMillis,
}

/// What is stored, for a host that stands still: nobody talks, nobody waits.
pub struct StoredDesk {
    tables: Tables,
    clock: WallClock,
}

impl StoredDesk {
    /// The desk of the tenant whose tables these are.
    pub fn new(tables: Tables, clock: WallClock) -> Self {
        Self { tables, clock }
    }

    fn is_mine(&self, tenant: &TenantId, operator: &OperatorId) -> Result<()> {
        if tenant == self.tables.tenant() { Ok(()) } else { Err(DialerError::NoOperator(operator.clone())) }
    }
}

#[async_trait]
impl DeskControl for StoredDesk {
    async fn status(&self, tenant: &TenantId, operator: &OperatorId, status: Status) -> Result<Presence> {
        self.is_mine(tenant, operator)?;
        if self.tables.operator(operator).await?.is_none() {
            return Err(DialerError::NoOperator(operator.clone()));
        }
        let before = self.tables.presence(operator).await?.unwrap_or_default();
        let chosen = (before.status, before.until) == (status, None) && before.since != UnixMillis::default();
        let since = if chosen { before.since } else { (self.clock)() };
        let presence = Presence { status, since, until: None, misses: 0, last_talk: before.last_talk };
        self.tables.save_presence(operator, &presence).await?;
        Ok(presence)
    }

    async fn view(&self, tenant: &TenantId) -> Result<DeskView> {
        if tenant != self.tables.tenant() {
            return Ok(DeskView::default());
        }
        let operators = self.tables.operators().await?.into_iter().map(|(row, presence)| OperatorView {
            presence: presence.unwrap_or(Presence { since: row.created, ..Presence::default() }),
            operator: row.operator.id,
            doing: WhatHeDoes::Idle,
            phones: Vec::new(),
            last: None,
        });
        Ok(DeskView { operators: operators.collect(), queue: Vec::new() })
    }

    async fn operator_changed(&self, _: &TenantId, _: &OperatorId) -> Result<()> {
        Ok(())
    }
}
