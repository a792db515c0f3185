//! Talks between operators: one calls a colleague from his own telephone, to ask him before he hands his caller on. The
//! caller may be joined to such a talk (REFER with `Replaces`) and is then with the colleague.
//!
//! # What always holds
//!
//! * Both are engaged as long as it lasts, from the first ring on: the queue rings neither.
//! * It is over when one of them hangs up, when a telephone counts as gone by its [`Pulse`], and after
//!   [`LONGEST_CONSULTATION`] in any case. Telephones that vanish leave nothing behind.
//! * It is given to a caller only if the two can be joined. Otherwise it goes on.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use zvonar_desk::Miss;
use zvonar_model::{AttemptId, OperatorId, TenantId};
use zvonar_switch::media_io::MediaPlace;
use zvonar_switch::{Call, CallEvent, IncomingCall, Replaces, clock};

use super::{Pulse, Switchboard, moment};
use crate::desks::{Place, SilenceRules};
use crate::operators::{CallerView, operator_of_user};

/// The longest talk between operators: as long as a call is by default.
pub const LONGEST_CONSULTATION: Duration = Duration::from_secs(30 * 60);

/// The talks between operators at this host: each is a task of its own, and can be asked for its far end.
#[derive(Debug, Default)]
pub struct Consultations {
    talks: Mutex<BTreeMap<u64, Consultation>>,
}

#[derive(Debug, Clone)]
struct Consultation {
    tenant: TenantId,
    /// The SIP `Call-ID` of the one who called.
    call_id: String,
    takes: mpsc::Sender<Take>,
}

/// Somebody wants the far end of a talk, if it is this one. The going of `reply` says that it is not.
struct Take {
    replaces: Replaces,
    /// Where the caller's sound is.
    beside: MediaPlace,
    reply: oneshot::Sender<Result<Joined, &'static str>>,
}

/// The far end of a talk between operators that a caller is joined to.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) leg: Call,
    pub(super) place: Place<Call>,
    pub(super) operator: OperatorId,
}

/// A talk that can be found. Dropped, it cannot.
struct Entry<'c> {
    all: &'c Consultations,
    number: u64,
    takes: mpsc::Receiver<Take>,
}

impl Consultations {
    /// The far end of the talk that these name, which is over by that. `beside`: where the caller's sound is who is to be
    /// joined to it. The error is a sentence; the talk goes on.
    pub(super) async fn take(
        &self,
        tenant: &TenantId,
        replaces: &Replaces,
        beside: MediaPlace,
    ) -> Result<Joined, &'static str> {
        let all = self.talks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let named = |talk: &Consultation| talk.tenant == *tenant && talk.call_id == replaces.call_id;
        for talk in all.into_values().filter(named) {
            let (reply, told) = oneshot::channel();
            let take = Take { replaces: replaces.clone(), beside: beside.clone(), reply };
            if talk.takes.send(take).await.is_ok()
                && let Ok(answer) = told.await
            {
                return answer;
            }
        }
        Err("the talk that he should be joined to is none of ours")
    }

    fn enter(&self, tenant: TenantId, call_id: String) -> Entry<'_> {
        let (takes, taken) = mpsc::channel(1);
        let mut talks = self.talks.lock().unwrap_or_else(PoisonError::into_inner);
        let number = talks.last_key_value().map_or(0, |(last, _)| last + 1);
        talks.insert(number, Consultation { tenant, call_id, takes });
        Entry { all: self, number, takes: taken }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.all.talks.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
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
        let talk_with = |whom: &OperatorId| {
            let key = AttemptId::fresh(clock::wall(), rand::random());
            CallerView { name: self.desks.name(tenant, whom), colleague: true, ..CallerView::of(key) }
        };
        // Beside the caller whom he talks with, who may be joined to this.
        let beside = self.desks.beside(tenant, &from);
        let (asks, asked) = (talk_with(&from), talk_with(&operator));
        let Ok(engaged) = self.desks.engage(tenant, asked.attempt.clone(), from, asked).await else {
            return incoming.reject(480, "Temporarily Unavailable").await;
        };
        incoming.ring().await;
        let rings = self.desks.hand(tenant, asks.attempt.clone(), operator.clone(), asks, beside);
        let taken = tokio::select! {
            taken = rings => taken,
            _ = incoming.given_up() => return,
        };
        let (place, leg) = match taken {
            Ok(taken) => taken,
            Err(Miss::Busy) => return incoming.reject(486, "Busy Here").await,
            Err(Miss::Declined) => return incoming.reject(603, "Decline").await,
            Err(_) => return incoming.reject(480, "Temporarily Unavailable").await,
        };
        // Before it is answered: whoever hears the answer may name it at once.
        let entry = self.consultations.enter(tenant.clone(), incoming.about.call_id.clone());
        let Ok(call) = incoming.answer_beside(&leg.media().place()).await else { return };
        let rules = match self.desks.of(tenant) {
            Ok(handle) => handle.office.settings.transfers.silence,
            Err(_) => SilenceRules::default(),
        };
        talk(entry, call, Joined { leg, place, operator }, engaged, rules).await;
    }
}

/// Lets the two talk. `engaged`: the place of the one who called.
async fn talk(mut entry: Entry<'_>, mut call: Call, far: Joined, engaged: Place<Call>, rules: SilenceRules) {
    let Joined { mut leg, place, operator } = far;
    if let Err(why) = call.bridge(&leg) {
        tracing::error!(%why, "two operators cannot hear each other: both are hung up");
        call.hang_up().await;
        return leg.hang_up().await;
    }
    let mut longest = std::pin::pin!(sleep(LONGEST_CONSULTATION));
    // How both ends name the call is known once it is up.
    let mut is_up = false;
    let began = clock::now();
    let mut pulses = [&call, &leg].map(|one| Pulse::new(began, one.is_held(), true));
    let wanted = loop {
        let gone = pulses.iter().filter_map(|pulse| pulse.poll_timeout(&rules)).min();
        tokio::select! {
            event = call.next() => {
                is_up |= matches!(event, CallEvent::Answered { .. });
                pulses[0].handle(clock::now(), &event);
                if is_end(&call, event).await {
                    break None;
                }
            }
            event = leg.next() => {
                pulses[1].handle(clock::now(), &event);
                if is_end(&leg, event).await {
                    break None;
                }
            }
            () = moment(gone) => {
                tracing::warn!(%operator, "a telephone of a talk between operators is gone: both are hung up");
                break None;
            }
            Some(take) = entry.takes.recv(), if is_up => {
                if !call.matches(&take.replaces) {
                    continue;
                }
                if leg.media().place() == take.beside {
                    break Some(take.reply);
                }
                // One that is gone needs no answer.
                let _ = take.reply.send(Err(
                    "the colleague's sound and the caller's are on different media threads, so they cannot be joined: \
                     call the colleague while you talk with the caller"
                ));
            },
            () = &mut longest => {
                tracing::warn!(%operator, "a talk between operators has reached its longest length");
                break None;
            }
        }
    };
    drop(entry);
    call.unbridge();
    let Some(reply) = wanted else {
        // Before the places come free: whoever is rung next shall find his telephone on the hook.
        leg.hang_up().await;
        return call.hang_up().await;
    };
    // Before the caller goes on: whoever called has nothing to do with it any more.
    drop(engaged);
    // An asker that is gone leaves a telephone that hangs up.
    let _ = reply.send(Ok(Joined { leg, place, operator }));
    call.hang_up().await;
}

/// Whether a talk between operators is over by what happens to one of its telephones.
async fn is_end(call: &Call, event: CallEvent) -> bool {
    match event {
        CallEvent::Ended { .. } => true,
        CallEvent::Refer(_) => {
            // What is handed on is the talk with the caller, never this one.
            call.answer_refer(false).await;
            false
        }
        _ => false,
    }
}
