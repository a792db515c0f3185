//! Handing over to an external number: whether it may be called, and by which line.

use std::time::{Duration, Instant};

use futures::FutureExt;
use zvonar_campaign::NumberRefused;
use zvonar_model::{Outcome, PhoneNumber, SystemResult, TrunkId};
use zvonar_scenario::ports::{LineError, TransferEnd, TransferOptions};
use zvonar_switch::clock;

use super::ringing::{Rang, Ringing};
use super::{Handing, On, Pulse, Talked, With};
use crate::desks::ExternalCall;
use crate::purse::Hold;

/// How long an external number may ring to which an operator hands a caller on.
const OUTSIDE_RINGS: Duration = Duration::from_secs(60);
/// What the desk says of a colleague who does not pick up comes a little later than that.
const TO_BE_TOLD: Duration = Duration::from_secs(2);

impl Handing {
    pub(super) async fn hand_to_number(
        &mut self,
        on: &mut On<'_>,
        part: usize,
        number: &str,
        options: &TransferOptions,
    ) -> Result<TransferEnd, LineError> {
        let (number, trunk, mut external) = match self.permit(number).await {
            Ok(permitted) => permitted,
            Err(why) => return Ok(self.failed(part, why)),
        };
        self.sheet.transfer(part).number = Some(number.clone());
        on.play_music();
        let until = clock::now() + options.longest_wait;
        let ringing = self.dial(on, number.clone(), trunk);
        match ringing.ring(on, &mut None, until).await {
            Rang::CallerGone { at } => {
                self.sheet.stop(on.at(at));
                // It may be this side that has had enough of the call.
                let gone = on.gone();
                let lost = gone == LineError::HungUp;
                let missed = if lost { SystemResult::Lost.title() } else { Outcome::NoAnswer.title() };
                self.sheet.transfer(part).missed = Some(missed.into());
                if lost {
                    self.result = Some(SystemResult::Lost);
                }
                Err(gone)
            }
            Rang::Missed { end, missed, .. } => {
                self.sheet.stop(on.now());
                self.sheet.transfer(part).missed = Some(missed);
                self.result = match end {
                    TransferEnd::NoAnswer => Some(SystemResult::OperatorNoAnswer),
                    TransferEnd::Busy => Some(SystemResult::OperatorBusy),
                    TransferEnd::Rejected => Some(SystemResult::OperatorDeclined),
                    _ => self.result,
                };
                Ok(end)
            }
            Rang::Picked { leg, at, .. } => {
                self.found();
                self.sheet.talk(on.at(at), part);
                self.parties.push(number);
                self.held.extend(external.held.take());
                let (place, operator, external) = (None, None, Some(external));
                let pulse = Pulse::new(at, leg.is_held(), false);
                let with = With { leg, place, operator, _external: external, part, pulse };
                match self.talk(on, with).await? {
                    Talked::Over => Ok(TransferEnd::Talked(self.sheet.talked_since(part))),
                    // An external number is at no desk that the caller could go back to.
                    Talked::Back { .. } => {
                        self.sheet.stop(on.now());
                        Ok(TransferEnd::Talked(self.sheet.talked_since(part)))
                    }
                }
            }
        }
    }

    /// A telephone outside that is to ring, beside the caller's own call.
    pub(super) fn dial(&self, on: &On<'_>, number: PhoneNumber, trunk: TrunkId) -> Ringing {
        let switch = self.board.switch.clone();
        let (place, far) = (on.call.media().place(), format!("the external number by trunk {trunk}"));
        let line = {
            let (switch, tenant) = (switch.clone(), self.tenant.clone());
            async move { switch.reserve_beside(&trunk, &tenant, &place).await }.boxed()
        };
        Ringing::Line { line, switch, number, far }
    }

    /// Whether a number may be called for this call, and by which trunk. The error is a sentence for the scenario.
    pub(super) async fn permit(
        &mut self,
        number: &str,
    ) -> Result<(PhoneNumber, TrunkId, ExternalCall), String> {
        let tenant = &self.tenant;
        let office = &self.board.desks.of(tenant).map_err(|why| why.to_string())?.office;
        // Somebody who gets at a scenario could telephone abroad at the tenant's expense: what is refused is in the log.
        let refused = |why: String| {
            tracing::warn!(%tenant, call = %self.caller.attempt, %why, "an external number was not called");
            why
        };
        let parsed =
            PhoneNumber::parse(number).map_err(|why| refused(format!("this is no number: {why}")))?;
        office.tables.policy.register.check(&parsed).map_err(|why| refused(outside_the_plan(&why)))?;
        if self.parties.contains(&parsed) {
            return Err(refused(format!("{parsed} is in this call already: a call is not handed to itself")));
        }
        match office.tables.blocked(&parsed).await {
            Ok(None) => {}
            Ok(Some(_)) => return Err(refused(format!("{parsed} is on the blacklist: nobody calls it"))),
            Err(why) => return Err(refused(format!("the blacklist cannot be read: {why}"))),
        }
        let trunk = self.trunk.clone().or_else(|| office.settings.transfers.trunk.clone());
        let Some(trunk) = trunk else {
            return Err(refused(
                "there is no trunk for calls to external numbers: set `transfer_trunk` in the tenant's [tenant.desk]"
                    .into(),
            ));
        };
        let mut external = office.externals.take(office.now()).map_err(refused)?;
        if let Some(purse) = office.purse.get() {
            let held = purse.hold_external(&office.tables, office.now()).await;
            external.held = match held.map_err(|why| refused(format!("the balance cannot be read: {why}")))? {
                Hold::Held(held) => Some(held),
                Hold::Later => {
                    return Err(refused("what is left of the balance is held for calls in progress".into()));
                }
                Hold::Spent(why) => return Err(refused(why.to_string())),
            };
        }
        Ok((parsed, trunk, external))
    }

    /// Until when a telephone may ring for one who is handed on. The scenario's patience was for the queue.
    pub(super) fn rings_until(&self, ringing: &Ringing) -> Instant {
        let ring = match (ringing, self.board.desks.of(&self.tenant)) {
            (Ringing::Operator(_), Ok(handle)) => handle.office.settings.queue.ring.into(),
            _ => OUTSIDE_RINGS,
        };
        clock::now() + ring + TO_BE_TOLD
    }
}

fn outside_the_plan(why: &NumberRefused) -> String {
    format!("the number is not called («{}»): only numbers of the Russian numbering plan are", why.title())
}
