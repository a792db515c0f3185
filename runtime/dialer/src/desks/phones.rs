//! The operators' telephones, as a desk sees them.

use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::{Sleep, sleep};
use zvonar_desk::Miss;
use zvonar_model::{OperatorId, TenantId};
use zvonar_switch::media_io::MediaPlace;
use zvonar_switch::{Call, PhoneRing, RingEnd, RingError, RingEvent, Switch, clock};

use crate::operators::{CallerView, PhoneView, sip_user};

/// After a restart, thousands of telephones come within seconds: a desk looks for its own no more often than this.
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// A telephone that shall ring.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Whose operator.
    pub tenant: TenantId,
    /// Who.
    pub operator: OperatorId,
    /// Who calls.
    pub caller: CallerView,
    /// Where the caller's own sound is, so that the two can be joined.
    pub beside: Option<MediaPlace>,
    /// How long it rings, unless the future is dropped before.
    pub ring: Duration,
}

/// Telephones of operators. All those of one operator ring at once; the first that is picked up counts.
#[async_trait]
pub trait Phones<L>: Send + Sync {
    /// Rings, and comes back once somebody has picked up. Dropping the future silences the telephones, and so does
    /// dropping what it gave.
    ///
    /// # Errors
    /// How the call was not taken.
    async fn ring(&self, asked: Asked) -> Result<L, Miss>;

    /// The telephones of an operator that could ring now.
    fn registered(&self, tenant: &TenantId, operator: &OperatorId) -> Vec<PhoneView> {
        let _ = (tenant, operator);
        Vec::new()
    }

    /// A number that is another one whenever a telephone came or went, whosever. `None`: nobody watches that, and every
    /// operator counts as one whose telephone is there.
    fn changes(&self) -> Option<watch::Receiver<u64>> {
        None
    }

    /// Whether any telephone of an operator's is there. Asked only where [`Phones::changes`] are told.
    fn is_there(&self, tenant: &TenantId, operator: &OperatorId) -> bool {
        !self.registered(tenant, operator).is_empty()
    }
}

/// News that telephones came or went: the first at once, those that follow it closely together.
pub(super) struct News {
    /// `None`: there never will be any.
    changes: Option<watch::Receiver<u64>>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl News {
    /// What changes from now on.
    pub(super) fn of<L>(phones: &dyn Phones<L>) -> Self {
        Self { changes: phones.changes(), pause: None }
    }

    /// Whether anybody watches telephones.
    pub(super) fn is_told(&self) -> bool {
        self.changes.is_some()
    }

    /// Comes back once there is news. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) {
        if let Some(pause) = &mut self.pause {
            pause.await;
            self.pause = None;
        }
        if let Some(changes) = &mut self.changes
            && changes.changed().await.is_ok()
        {
            self.pause = Some(Box::pin(sleep(BETWEEN_LOOKS)));
            return;
        }
        // Whoever told them is gone: what was told last holds.
        self.changes = None;
        std::future::pending().await
    }
}

/// The telephones that are registered at this host.
#[derive(Debug, Clone)]
pub struct Exchange(pub Switch);

#[async_trait]
impl Phones<Call> for Exchange {
    async fn ring(&self, asked: Asked) -> Result<Call, Miss> {
        let Asked { tenant, operator, caller, beside, ring } = asked;
        let ring = PhoneRing {
            user: sip_user(&tenant, &operator),
            display: caller.name.unwrap_or_default(),
            number: caller.number.map_or_else(String::new, |number| number.reveal().to_owned()),
            ring,
            beside,
        };
        let mut ringing = self.0.ring(ring).map_err(|why| {
            if let RingError::Media(_) | RingError::Closed = &why {
                tracing::warn!(%operator, %why, "an operator's telephone cannot be rung");
            }
            Miss::Unreachable
        })?;
        loop {
            match ringing.next().await {
                RingEvent::Rings => {}
                RingEvent::Answered(call) => return Ok(call),
                RingEvent::Ended(end) => {
                    return Err(match end {
                        RingEnd::NoAnswer => Miss::NoAnswer,
                        RingEnd::Busy => Miss::Busy,
                        RingEnd::Declined => Miss::Declined,
                        RingEnd::Unreachable(why) => {
                            tracing::info!(%operator, %why, "an operator's telephone cannot be reached");
                            Miss::Unreachable
                        }
                    });
                }
            }
        }
    }

    fn registered(&self, tenant: &TenantId, operator: &OperatorId) -> Vec<PhoneView> {
        let (now, wall) = (clock::now(), clock::wall());
        let contacts = self.0.contacts(&sip_user(tenant, operator)).into_iter();
        let views = contacts.map(|contact| PhoneView {
            address: contact.flow.remote.to_string(),
            agent: Some(contact.user_agent).filter(|agent| !agent.is_empty()),
            until: wall.plus(contact.until.saturating_duration_since(now)),
        });
        views.collect()
    }

    fn changes(&self) -> Option<watch::Receiver<u64>> {
        Some(self.0.registrations())
    }

    fn is_there(&self, tenant: &TenantId, operator: &OperatorId) -> bool {
        !self.0.contacts(&sip_user(tenant, operator)).is_empty()
    }
}
