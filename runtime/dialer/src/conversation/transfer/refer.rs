//! An operator hands his caller on (REFER): to a colleague, to an external number, or into a talk of his with a colleague.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use futures::FutureExt;
use tokio::sync::{mpsc, oneshot};
use zvonar_model::{PhoneNumber, TenantId, Transfer};
use zvonar_scenario::ports::{LineError, TransferOptions};
use zvonar_switch::{CallEvent, IncomingCall, ReferRequest, Replaces, clock};

use super::ringing::{Rang, Ringing};
use super::{Handing, MOST_HANDS, On, Pulse, Switchboard, With};
use crate::operators::{CallerView, operator_of_user};

/// How the call goes on.
pub(super) enum Next {
    /// With this one.
    Talk(Box<With>),
    /// In the queue, for this part of the time sheet.
    Back(usize),
    /// With the scenario.
    Over,
}

/// Whom the caller is handed on to.
enum Whom {
    Rings(Ringing, Transfer, Option<crate::desks::ExternalCall>),
    Joined(Box<Joined>),
}

/// The far end of a talk between operators that a caller is joined to.
struct Joined {
    leg: zvonar_switch::Call,
    place: Option<crate::desks::Place<zvonar_switch::Call>>,
    operator: Option<zvonar_model::OperatorId>,
}

impl Handing {
    /// Hands the caller on as the one he talks with wishes.
    pub(super) async fn hand_on(
        &mut self,
        on: &mut On<'_>,
        with: With,
        request: Box<ReferRequest>,
        options: &TransferOptions,
    ) -> Result<Next, LineError> {
        let whom = match self.whom(on, &with, &request).await {
            Ok(whom) => whom,
            Err(why) => {
                tracing::warn!(call = %self.caller.attempt, %why, "a caller was not handed on");
                with.leg.answer_refer(false).await;
                return Ok(Next::Talk(Box::new(with)));
            }
        };
        with.leg.answer_refer(true).await;
        let (ringing, transfer, external) = match whom {
            Whom::Rings(ringing, transfer, external) => (ringing, transfer, external),
            Whom::Joined(joined) => {
                let transfer =
                    Transfer { to_operator: true, operator: joined.operator.clone(), ..Transfer::default() };
                let part = self.sheet.begin(on.now(), transfer);
                let since = clock::now();
                self.sheet.talk(on.at(since), part);
                part_with(with).await;
                let Joined { leg, place, operator } = *joined;
                let pulse = Pulse::new(since, leg.is_held(), place.is_some());
                let next = With { leg, place, operator, _external: None, part, pulse };
                return Ok(Next::Talk(Box::new(next)));
            }
        };
        let back_to = with.part;
        let part = self.sheet.begin(on.now(), transfer);
        on.play_music();
        let mut first = Some(with);
        match ringing.ring(on, &mut first, self.rings_until(options)).await {
            Rang::CallerGone { at } => {
                self.sheet.stop(on.at(at));
                if let Some(first) = first {
                    first.leg.hang_up().await;
                }
                Err(on.gone())
            }
            Rang::Picked { leg, place, at } => {
                self.sheet.talk(on.at(at), part);
                let operator = self.sheet.transfer(part).operator.clone();
                self.parties.extend(self.sheet.transfer(part).number.clone());
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
                    // Whoever handed him on to an external number was no operator's business.
                    None if !self.sheet.transfer(back_to).to_operator => {
                        self.sheet.stop(on.now());
                        Ok(Next::Over)
                    }
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
            let joined = self.board.consultations.take(&self.tenant, replaces).await;
            let joined = joined.ok_or("the talk that he should be joined to is none of ours")?;
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

/// The talks between operators at this host: each is a task of its own, and can be asked for its far end.
#[derive(Debug, Default)]
pub struct Consultations {
    talks: Mutex<BTreeMap<u64, Consultation>>,
}

#[derive(Debug, Clone)]
struct Consultation {
    tenant: TenantId,
    takes: mpsc::Sender<Take>,
}

/// Somebody wants the far end of a talk, if it is this one.
struct Take {
    replaces: Replaces,
    reply: oneshot::Sender<Joined>,
}

impl Consultations {
    /// The far end of the talk that these name, which is over by that.
    async fn take(&self, tenant: &TenantId, replaces: &Replaces) -> Option<Joined> {
        let all = self.talks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (_, talk) in all.into_iter().filter(|(_, talk)| talk.tenant == *tenant) {
            let (reply, told) = oneshot::channel();
            if talk.takes.send(Take { replaces: replaces.clone(), reply }).await.is_ok()
                && let Ok(joined) = told.await
            {
                return Some(joined);
            }
        }
        None
    }

    fn enter(&self, tenant: TenantId) -> (u64, mpsc::Receiver<Take>) {
        let (takes, taken) = mpsc::channel(1);
        let mut talks = self.talks.lock().unwrap_or_else(PoisonError::into_inner);
        let number = talks.last_key_value().map_or(0, |(last, _)| last + 1);
        talks.insert(number, Consultation { tenant, takes });
        (number, taken)
    }

    fn leave(&self, number: u64) {
        self.talks.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }
}

impl Switchboard {
    /// An operator calls a colleague from his own telephone, to ask him before he hands a caller on. Comes back when that
    /// talk is over, or a caller has taken his place in it.
    pub async fn consult(&self, mut incoming: IncomingCall, tenant: &TenantId, colleague: &str) {
        let from = incoming.about.account.as_deref().and_then(operator_of_user);
        let Some((_, from)) = from.filter(|(of, _)| of == tenant) else {
            return incoming.reject(403, "Forbidden").await;
        };
        let Some(operator) = self.desks.find(tenant, colleague) else {
            return incoming.reject(404, "Not Found").await;
        };
        let key = zvonar_model::AttemptId::fresh(clock::wall(), rand::random());
        let caller = CallerView { name: self.desks.name(tenant, &from), ..CallerView::of(key.clone()) };
        incoming.ring().await;
        // Beside the caller whom he talks with, who may be joined to this.
        let beside = self.desks.beside(tenant, &from);
        let rings = self.desks.hand(tenant, key, operator.clone(), caller, beside);
        let taken = tokio::select! {
            taken = rings => taken,
            _ = incoming.given_up() => return,
        };
        let (place, mut leg) = match taken {
            Ok(taken) => taken,
            Err(zvonar_desk::Miss::Busy) => return incoming.reject(486, "Busy Here").await,
            Err(zvonar_desk::Miss::Declined) => return incoming.reject(603, "Decline").await,
            Err(_) => return incoming.reject(480, "Temporarily Unavailable").await,
        };
        let Ok(mut call) = incoming.answer_beside(&leg.media().place()).await else { return };
        if let Err(why) = call.bridge(&leg) {
            tracing::error!(%why, "two operators cannot hear each other");
        }
        let (number, mut takes) = self.consultations.enter(tenant.clone());
        loop {
            tokio::select! {
                event = call.next() => if let CallEvent::Ended { .. } = event {
                    leg.hang_up().await;
                    break;
                },
                event = leg.next() => if let CallEvent::Ended { .. } = event {
                    call.hang_up().await;
                    break;
                },
                Some(Take { replaces, reply }) = takes.recv() => {
                    if !call.matches(&replaces) {
                        continue; // the asker hears it by the going of `reply`
                    }
                    call.unbridge();
                    self.consultations.leave(number);
                    let joined = Joined { leg, place: Some(place), operator: Some(operator) };
                    // An asker that is gone leaves a telephone that hangs up.
                    let _ = reply.send(joined);
                    return call.hang_up().await;
                }
            }
        }
        self.consultations.leave(number);
    }
}
