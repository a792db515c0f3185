//! An operator hands his caller on (REFER): to a colleague, to an external number, or into a talk of his with a colleague.

use futures::FutureExt;
use zvonar_desk::Miss;
use zvonar_model::{Outcome, PhoneNumber, SystemResult, Transfer};
use zvonar_scenario::ports::LineError;
use zvonar_switch::{ReferRequest, clock};

use super::consultation::Joined;
use super::ringing::{Rang, Ringing};
use super::{Handing, MOST_HANDS, On, Pulse, With};

/// How the call goes on.
pub(super) enum Next {
    /// With this one.
    Talk(Box<With>),
    /// In the queue, for this part of the time sheet.
    Back(usize),
}

/// Whom the caller is handed on to.
enum Whom {
    Rings(Ringing, Transfer, Option<crate::desks::ExternalCall>),
    Joined(Box<Joined>),
}

impl Handing {
    /// Hands the caller on as the one he talks with wishes.
    pub(super) async fn hand_on(
        &mut self,
        on: &mut On<'_>,
        with: With,
        request: Box<ReferRequest>,
    ) -> Result<Next, LineError> {
        let whom = match self.whom(on, &with, &request).await {
            Ok(whom) => whom,
            Err(why) => {
                tracing::warn!(call = %self.caller.attempt, ?why, "a caller was not handed on");
                with.leg.answer_refer(false).await;
                return Ok(Next::Talk(Box::new(with)));
            }
        };
        with.leg.answer_refer(true).await;
        let (ringing, transfer, mut external) = match whom {
            Whom::Rings(ringing, transfer, external) => (ringing, transfer, external),
            Whom::Joined(joined) => {
                let Joined { leg, place, operator } = *joined;
                let (to_operator, operator, since) = (true, Some(operator), clock::now());
                let transfer = Transfer { to_operator, operator: operator.clone(), ..Transfer::default() };
                let part = self.sheet.begin(on.at(since), transfer);
                self.sheet.talk(on.at(since), part);
                place.joined(self.caller.clone(), Some(on.call.media().place())).await;
                part_with(with).await;
                let (place, pulse) = (Some(place), Pulse::new(since, leg.is_held(), true));
                let next = With { leg, place, operator, _external: None, part, pulse };
                return Ok(Next::Talk(Box::new(next)));
            }
        };
        let back_to = with.part;
        let part = self.sheet.begin(on.now(), transfer);
        on.play_music();
        let until = self.rings_until(&ringing);
        let mut first = Some(with);
        match ringing.ring(on, &mut first, until).await {
            Rang::CallerGone { at } => {
                self.sheet.stop(on.at(at));
                if let Some(first) = first {
                    first.leg.hang_up().await;
                }
                let gone = on.gone();
                let transfer = self.sheet.transfer(part);
                let missed = match &gone {
                    LineError::HungUp => SystemResult::Lost.title(),
                    _ if transfer.to_operator => Miss::NoAnswer.title(),
                    _ => Outcome::NoAnswer.title(),
                };
                transfer.missed = Some(missed.into());
                Err(gone)
            }
            Rang::Picked { leg, place, at } => {
                self.sheet.talk(on.at(at), part);
                let operator = self.sheet.transfer(part).operator.clone();
                self.parties.extend(self.sheet.transfer(part).number.clone());
                self.held.extend(external.as_mut().and_then(|external| external.held.take()));
                if let Some(first) = first {
                    part_with(first).await;
                }
                let pulse = Pulse::new(at, leg.is_held(), place.is_some());
                let next = With { leg, place, operator, _external: external, part, pulse };
                Ok(Next::Talk(Box::new(next)))
            }
            Rang::Missed { missed, code, .. } => {
                self.sheet.transfer(part).missed = Some(missed);
                match first {
                    Some(first) => {
                        first.leg.refer_progress(code, "Not Taken").await;
                        self.sheet.talk(on.now(), back_to);
                        Ok(Next::Talk(Box::new(first)))
                    }
                    // Only those at a desk hand on: where that was, there is a queue.
                    None => {
                        let again = Transfer { to_operator: true, ..Transfer::default() };
                        Ok(Next::Back(self.sheet.begin(on.now(), again)))
                    }
                }
            }
        }
    }

    /// Whom a request means; the error is a sentence.
    async fn whom(&mut self, on: &On<'_>, with: &With, request: &ReferRequest) -> Result<Whom, String> {
        if self.hands >= MOST_HANDS {
            return Err(format!("one call is handed on at most {MOST_HANDS} times"));
        }
        // Only those at a desk hand on: whoever is outside could send the caller anywhere at the tenant's expense.
        if with.operator.is_none() {
            return Err("only operators hand callers on".into());
        }
        if let Some(replaces) = &request.replaces {
            let place = on.call.media().place();
            let joined = self.board.consultations.take(&self.tenant, replaces, place).await?;
            self.hands += 1;
            return Ok(Whom::Joined(Box::new(joined)));
        }
        let desks = &self.board.desks;
        if let Some(operator) = desks.find(&self.tenant, &request.to_user) {
            if with.operator.as_ref() == Some(&operator) {
                return Err(format!("{operator} talks with this caller already"));
            }
            self.hands += 1;
            let key = self.talk_key().ok_or("the call's id leaves no room for a second talk")?;
            let (desks, tenant, caller) = (desks.clone(), self.tenant.clone(), self.caller.clone());
            let (whom, place) = (operator.clone(), Some(on.call.media().place()));
            let rings = async move { desks.hand(&tenant, key, whom, caller, place).await }.boxed();
            let transfer = Transfer { to_operator: true, operator: Some(operator), ..Transfer::default() };
            return Ok(Whom::Rings(Ringing::Operator(rings), transfer, None));
        }
        let number = PhoneNumber::parse(&request.to_user)
            .map_err(|_| format!("`{}` is no colleague and no number", request.to_user))?;
        let office = &desks.of(&self.tenant).map_err(|why| why.to_string())?.office;
        if !office.settings.transfers.operators_may(&number) {
            return Err(format!(
                "operators may not hand callers on to {number}: add its beginning to `operators_may_call` in the tenant's \
                 [tenant.desk]"
            ));
        }
        let (number, trunk, external) = self.permit(&request.to_user).await?;
        self.hands += 1;
        let transfer = Transfer { number: Some(number.clone()), ..Transfer::default() };
        Ok(Whom::Rings(self.dial(on, number, trunk), transfer, Some(external)))
    }
}

/// The one who handed on is told that it is done, and hung up. His place at the desk is free.
async fn part_with(first: With) {
    first.leg.refer_progress(200, "OK").await;
    first.leg.hang_up().await;
}
