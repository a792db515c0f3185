//! One call of [`super::Calls`]: its machine, and what its messages are made of.

use std::{
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use bytes::Bytes;
use zvonar_media::MediaPlan;
use zvonar_sip::agent::SessionId;

use crate::{
    leg::Leg,
    negotiation::{Negotiation, NoCommonCodec},
};

/// Which of the two caps a call counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A person who calls us, or whom a campaign calls: [`crate::CallsConfig::max_calls`].
    Caller,
    /// A phone of ours, or somebody whom a caller is handed to: [`crate::CallsConfig::max_legs`].
    Leg,
}

/// One call: the machine, and what its messages are made of.
pub(super) struct Call {
    pub leg: Leg,
    pub session: SessionId,
    pub due: Option<Instant>,
    pub negotiation: Negotiation,
    /// Where our sound comes in, once that is known.
    pub local: Option<SocketAddr>,
    /// What was agreed last.
    pub plan: Option<MediaPlan>,
    /// The offer of an inbound INVITE.
    pub offer: Option<Bytes>,
    /// The answer to it: made once, for 183 and 200 alike.
    pub answer: Option<String>,
    /// Our 2xx had an offer: the ACK brings the answer.
    pub awaits_answer: bool,
    /// The code of the 2xx.
    pub code: u16,
    /// The far end is a phone of ours, at this address.
    pub phone: Option<IpAddr>,
    pub kind: Kind,
}

impl Call {
    /// Our answer to the offer of an INVITE: the same every time.
    pub(super) fn make_answer(&mut self, local: SocketAddr) -> Result<(String, MediaPlan), NoCommonCodec> {
        if let (Some(answer), Some(plan)) = (&self.answer, &self.plan) {
            return Ok((answer.clone(), plan.clone()));
        }
        let offer = self.offer.clone().unwrap_or_default();
        let (answer, plan) = self.negotiation.answer(&offer, local)?;
        self.local = Some(local);
        self.answer = Some(answer.clone());
        self.plan = Some(plan.clone());
        Ok((answer, plan))
    }

    /// Takes the answer to an offer of ours.
    pub(super) fn take_answer(&mut self, sdp: &Bytes) -> Option<MediaPlan> {
        let plan = self.negotiation.take_answer(sdp, self.local?).ok()?;
        self.plan = Some(plan.clone());
        Some(plan)
    }
}
