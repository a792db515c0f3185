//! An errand: one attempt of a run to reach a lead, from the claim to the settling.
//!
//! Each is a task of its own; the [run](crate::run) begins it and takes up what it [came to](Attempted). Everything that may
//! keep a lead from being called is looked at right before the call, since the list was read a while ago.

use std::sync::Arc;
use std::time::Duration;

use zvonar_campaign::Calling;
use zvonar_model::{AttemptId, LeadId, PhoneNumber, UnixMillis};

use crate::hours::Hours;
use crate::permit::Start;
use crate::purse::Hold;
use crate::run::told;
use crate::tables::{Lead, Project, Tables};
use crate::{CallReport, Dialer, NotPlaced, Result, Settled, Stop};

/// How long an attempt may wait for a line before its lead goes back: a claim holds for a minute.
const LONGEST_WAIT: Duration = Duration::from_secs(45);

/// An attempt that is to be made.
pub(crate) struct Errand {
    pub(crate) dialer: Dialer,
    pub(crate) tables: Tables,
    /// As it was when the attempt began.
    pub(crate) project: Arc<Project>,
    /// By the project's rules.
    pub(crate) hours: Arc<Hours>,
    /// Whom to reach.
    pub(crate) lead: LeadId,
    /// His place in the list.
    pub(crate) position: u64,
    pub(crate) attempt: AttemptId,
    pub(crate) stop: Stop,
}

/// What an errand came to.
pub(crate) enum Attempted {
    Settled {
        lead: LeadId,
        number: PhoneNumber,
        settled: Settled,
        /// The lead after it; `None`: it was not the attempt's any more.
        after: Option<Box<Lead>>,
    },
    /// Another runner has the lead, or it is gone.
    Lost { lead: LeadId },
    /// Somebody edited the lead at that moment: it is to be looked at again.
    Changed { lead: LeadId },
    /// It is not calling time where the lead lives, or not yet its turn.
    Closed { lead: LeadId, position: u64, opens: UnixMillis },
    /// The call could not leave, so the lead is as it was: the run stops, a line was not to be had, or for what reason.
    GivenBack { lead: LeadId, position: u64, why: Option<NotPlaced> },
}

impl Errand {
    pub(crate) async fn run(self) -> Result<Attempted> {
        let Self { dialer, tables, project, hours, lead, position, attempt, mut stop } = self;
        let key = tables.keys.lead(&project.project, &lead);
        let Some(read) = tables.get::<Lead>(&key).await? else {
            return Ok(Attempted::Lost { lead });
        };
        // The list was read a while ago: windows close, and somebody may have had the lead meanwhile.
        if let Some(opens) = closed(&hours, &read.row, dialer.now()) {
            return Ok(Attempted::Closed { lead, position, opens });
        }
        // Whoever is held back by a cap or for want of a consent is not even claimed; a number that must not be called
        // is, since that is what becomes of it.
        let zones = hours.zones(&read.row);
        let mut forbidden = None;
        if let Some(number) = hours.turn(&read.row) {
            forbidden = tables.forbidden(&read.row, number).await?;
            if forbidden.is_none()
                && let Some(held) = tables.held(&project.rules, number, &zones, dialer.now()).await?
            {
                let now = dialer.now();
                let opens = hours.due(&read.row, held.until(now), now);
                return Ok(Attempted::Closed { lead, position, opens });
            }
        }
        // Held until the charge is stored.
        let _held = match dialer.hold(&tables).await? {
            None => None,
            Some(Hold::Held(held)) => Some(held),
            Some(Hold::Later) => {
                let why = "what is left of the balance is held for calls in progress".into();
                return Ok(Attempted::GivenBack { lead, position, why: Some(NotPlaced::NotNow(why)) });
            }
            Some(Hold::Spent(why)) => return Err(why),
        };
        let (person, seen) = (read.row.clone(), read.revision);
        let _alive = dialer.alive_attempt(&attempt);
        let claimed = tables.claim(&project, read, attempt, dialer.epoch(), dialer.now()).await?;
        let Some(mut claimed) = claimed else {
            let changed = tables.get::<Lead>(&key).await?;
            let changed = changed.is_some_and(|now| now.revision != seen && now.row.claim.is_none());
            return Ok(if changed { Attempted::Changed { lead } } else { Attempted::Lost { lead } });
        };
        let order = claimed.order.clone();
        let number = order.number.clone();
        // Whom nobody may call needs no line.
        if let Some(outcome) = forbidden {
            let report = CallReport::unanswered(dialer.now(), outcome);
            let (settled, after) = tables.settle(claimed, report).await?;
            return Ok(Attempted::Settled { lead, number, settled, after });
        }
        // Nothing is started yet: whoever waits for a line when the run stops is called by the next one.
        let reserved = tokio::select! {
            biased;
            () = told(&mut stop) => Err(None),
            reserved = dialer.reserve(&order, project.priority) => reserved.map_err(Some),
            () = tokio::time::sleep(LONGEST_WAIT) => Err(None),
        };
        let reserved = match reserved {
            Ok(reserved) => reserved,
            Err(why) => {
                tables.give_back(claimed).await?;
                return Ok(Attempted::GivenBack { lead, position, why });
            }
        };
        // Waiting for a line takes its time too: windows close, people say no, another project calls the same number.
        let now = dialer.now();
        let held = tables.held(&project.rules, &number, &zones, now).await?;
        let opens = match (closed(&hours, &person, dialer.now()), held) {
            (None, None) => None,
            (opens, held) => {
                let until = held.map_or(now, |held| held.until(now)).max(opens.unwrap_or(now));
                Some(hours.due(&person, until, now))
            }
        };
        if let Some(opens) = opens {
            drop(reserved);
            tables.give_back(claimed).await?;
            return Ok(Attempted::Closed { lead, position, opens });
        }
        let report = match tables.forbidden(&person, &number).await? {
            Some(outcome) => CallReport::unanswered(dialer.now(), outcome),
            None => {
                match tables.start(&mut claimed, &tables.caps(&project.rules), &zones, dialer.now()).await? {
                    // The phone rings from here on.
                    Start::Rings => dialer.place(reserved, order).await,
                    Start::Lost => return Ok(Attempted::Lost { lead }),
                    Start::Capped(capped) => {
                        drop(reserved);
                        tables.give_back(claimed).await?;
                        let opens = hours.due(&person, capped.until, dialer.now());
                        return Ok(Attempted::Closed { lead, position, opens });
                    }
                }
            }
        };
        let (settled, after) = tables.settle(claimed, report).await?;
        Ok(Attempted::Settled { lead, number, settled, after })
    }
}

/// When a lead may be called that may not be called now: it is not calling time where it lives, or not yet its turn.
fn closed(hours: &Hours, lead: &Lead, now: UnixMillis) -> Option<UnixMillis> {
    match (lead.progress.state.due(), hours.calling(lead, now)) {
        (None, _) => None,
        (Some(due), Calling::Open { .. }) if due <= now => None,
        (Some(due), _) => Some(hours.due(lead, due.max(now), now)),
    }
}
