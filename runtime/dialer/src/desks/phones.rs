//! The operators' telephones, as a desk sees them.

use std::time::Duration;

use async_trait::async_trait;
use zvonar_desk::Miss;
use zvonar_model::{OperatorId, TenantId};
use zvonar_switch::media_io::MediaPlace;
use zvonar_switch::{Call, PhoneRing, RingEnd, RingError, RingEvent, Switch, clock};

use crate::operators::{CallerView, PhoneView, sip_user};

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
}
