//! A project's run: dials the list until it is done.
//!
//! One task owns the heap of due leads and starts attempts, at most `lines` at a time and at most so many in a second;
//! each attempt is a task of its own, joined here. Two runners of one project take leads from each other by
//! compare-and-set: no lead is dialled twice.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tracing::Instrument;
use zvonar_campaign::{Calling, LeadState};
use zvonar_model::{AttemptId, Kopecks, LeadId, Outcome, PhoneNumber, ProjectId, TenantId, UnixMillis};

use crate::hours::Hours;
use crate::permit::Start;
use crate::recovery::Abandoned;
use crate::tables::{Lead, Project, Tables};
use crate::{CallReport, Dialer, DialerError, NotPlaced, Result, Settled};

/// The longest sleep until a lead is due: the clock of the world may be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// How long an attempt may wait for a line before its lead goes back: a claim holds for a minute.
const LONGEST_WAIT: Duration = Duration::from_secs(45);

/// How long a lead rests when something was short.
const SHORT_PAUSE: Duration = Duration::from_secs(5);

/// Turns true when a run should begin no more attempts; those in progress are finished. To stop at once, drop the run:
/// its calls hang up, and the next recovery counts them as failed. A sender that is gone means: never.
pub type Stop = watch::Receiver<bool>;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Leads of the project.
    pub leads: u64,
    /// Leads that are finished, those of earlier runs included.
    pub finished: u64,
    /// Of those, the reached.
    pub reached: u64,
    /// Attempts in progress now.
    pub lines: u32,
    /// Attempts of this run that are settled.
    pub attempts: u64,
    /// What they cost.
    pub spent: Kopecks,
}

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEvent {
    /// Where the run stands after it.
    pub counts: Counts,
    /// What it was.
    pub what: RunStep,
}

/// A step of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum RunStep {
    /// The list is read, dialling begins.
    Begun,
    /// An attempt begins.
    Started {
        /// Whom it is to reach.
        lead: LeadId,
    },
    /// An attempt is settled.
    Settled {
        /// Which.
        attempt: AttemptId,
        /// Whom it was to reach.
        lead: LeadId,
        /// At which number; prints itself masked.
        number: PhoneNumber,
        /// What came of it.
        outcome: Outcome,
        /// Started seconds with the robot.
        robot_seconds: u64,
        /// What it costs.
        total: Kopecks,
    },
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// Where it stood.
    pub counts: Counts,
    /// Whether it was stopped before the list was done.
    pub stopped: bool,
    /// Leads that other runners were dialling at the end.
    pub elsewhere: u64,
}

/// What a task comes back with.
enum Attempted {
    Settled {
        lead: LeadId,
        number: PhoneNumber,
        settled: Settled,
    },
    /// Another runner has the lead.
    Lost,
    /// It is not calling time where the lead lives.
    Closed {
        lead: LeadId,
        position: u64,
        opens: UnixMillis,
    },
    /// The call could not leave, so the lead is as it was: the run stops, a line was not to be had, or for what reason.
    GivenBack {
        lead: LeadId,
        position: u64,
        why: Option<NotPlaced>,
    },
}

struct Run {
    dialer: Dialer,
    tables: Tables,
    project: Project,
    events: Option<mpsc::Sender<RunEvent>>,
    heap: BinaryHeap<Reverse<(UnixMillis, u64, LeadId)>>,
    tasks: JoinSet<Result<Attempted>>,
    counts: Counts,
    elsewhere: u64,
    hours: Hours,
    /// What was short the last time; told once.
    short_of: Option<String>,
}

impl Dialer {
    /// Dials a project until its list is done or it is told to stop. Joins all its tasks.
    ///
    /// Attempts of this store that ran out of their lease are settled first; after a crash on an embedded store, call
    /// [`Dialer::recover`] before. `events` may be full: what does not fit is not told, and the counts of the next event
    /// make up for it.
    ///
    /// # Errors
    /// The first failure of the store; attempts in progress are finished before it is given back.
    pub async fn run(
        &self,
        tenant: &TenantId,
        project: &ProjectId,
        events: Option<mpsc::Sender<RunEvent>>,
        stop: Stop,
    ) -> Result<Finished> {
        let tables = self.tables(tenant);
        let stored = tables.project(project).await?;
        let project = stored.ok_or_else(|| DialerError::NoProject(project.clone()))?;
        let hours = Hours::new(&project.rules, &tables.policy.register)?;
        tables.recover(Abandoned::Expired, self.now()).await?;
        let mut run = Run {
            dialer: self.clone(),
            tables,
            project,
            events,
            heap: BinaryHeap::new(),
            tasks: JoinSet::new(),
            counts: Counts::default(),
            elsewhere: 0,
            hours,
            short_of: None,
        };
        run.read_list().await?;
        run.tell(RunStep::Begun);
        run.dial(stop).await
    }
}

impl Run {
    /// Builds the heap from one scan.
    async fn read_list(&mut self) -> Result<()> {
        self.heap.clear();
        self.elsewhere = 0;
        let Counts { lines, attempts, spent, .. } = self.counts;
        let mut counts = Counts { lines, attempts, spent, ..Counts::default() };
        let (heap, elsewhere, hours) = (&mut self.heap, &mut self.elsewhere, &mut self.hours);
        let now = self.dialer.now();
        self.tables
            .each::<Lead>(&self.tables.keys.leads(&self.project.project), |read| {
                let lead = read.row;
                counts.leads += 1;
                counts.reached += u64::from(lead.progress.state == LeadState::Reached);
                match lead.progress.state.due() {
                    None => counts.finished += 1,
                    Some(_) if lead.claim.is_some() => *elsewhere += 1,
                    Some(due) => {
                        heap.push(Reverse((hours.due(&lead, due, now), lead.position, lead.lead)));
                    }
                }
            })
            .await?;
        self.counts = counts;
        Ok(())
    }

    async fn dial(mut self, mut stop: Stop) -> Result<Finished> {
        let mut pace =
            tokio::time::interval(Duration::from_secs(1) / self.project.calls_per_second.clamp(1, 100_000));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let lines = self.project.lines.max(1) as usize;
        let mut stopped = false;
        let mut failure: Option<DialerError> = None;
        loop {
            let dialling = !stopped && failure.is_none();
            if dialling && self.tasks.is_empty() && self.heap.is_empty() {
                // Leads may have been added or given back meanwhile.
                self.read_list().await?;
            }
            if self.tasks.is_empty() && (!dialling || self.heap.is_empty()) {
                break;
            }
            let wait = match self.heap.peek() {
                Some(Reverse((due, ..))) if dialling && self.tasks.len() < lines => {
                    Some(until(self.dialer.now(), *due))
                }
                _ => None,
            };
            tokio::select! {
                // A stop goes before anything new; what is done, before what is begun.
                biased;
                () = told(&mut stop), if !stopped => stopped = true,
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    self.counts.lines = self.tasks.len() as u32;
                    let ended = match ended.map_err(|error| DialerError::Bug(error.to_string())).flatten() {
                        Ok(Attempted::Settled { lead, number, settled }) => {
                            self.settled(lead, number, settled).await
                        }
                        Ok(Attempted::Lost) => Ok(()),
                        Ok(Attempted::Closed { lead, position, opens }) => {
                            self.heap.push(Reverse((opens, position, lead)));
                            Ok(())
                        }
                        Ok(Attempted::GivenBack { lead, position, why }) => self.given_back(lead, position, why),
                        Err(error) => Err(error),
                    };
                    if let Err(error) = ended {
                        tracing::error!(error = &error as &dyn std::error::Error, "the run stops");
                        failure.get_or_insert(error);
                    }
                }
                _ = pace.tick(), if wait == Some(Duration::ZERO) => self.begin(&stop),
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some_and(|wait| !wait.is_zero()) => {}
            }
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        self.tables.fold_balance().await?;
        Ok(Finished { counts: self.counts, stopped, elsewhere: self.elsewhere })
    }

    /// Begins an attempt to reach the lead that is due first.
    fn begin(&mut self, stop: &Stop) {
        let Some(Reverse((_, _, lead))) = self.heap.pop() else { return };
        let (dialer, tables, project) = (self.dialer.clone(), self.tables.clone(), self.project.clone());
        let attempt = dialer.attempt_id();
        let span = tracing::info_span!("attempt", %attempt, %lead, campaign = %project.project);
        let to = lead.clone();
        self.tasks.spawn(attempt_once(dialer, tables, project, to, attempt, stop.clone()).instrument(span));
        self.counts.lines = self.tasks.len() as u32;
        self.tell(RunStep::Started { lead });
    }

    /// A lead that could not be called is due again soon; what must be mended first ends the run.
    fn given_back(&mut self, lead: LeadId, position: u64, why: Option<NotPlaced>) -> Result<()> {
        let pause = match why {
            Some(NotPlaced::Never(why)) => return Err(DialerError::CannotCall(why)),
            Some(NotPlaced::NotNow(why)) => {
                if self.short_of.as_ref() != Some(&why) {
                    tracing::warn!(%why, "calls wait");
                    self.short_of = Some(why);
                }
                SHORT_PAUSE
            }
            None => Duration::ZERO,
        };
        self.heap.push(Reverse((self.dialer.now().plus(pause), position, lead)));
        Ok(())
    }

    async fn settled(&mut self, lead: LeadId, number: PhoneNumber, settled: Settled) -> Result<()> {
        let Settled::Done { record, charge } = settled else { return Ok(()) };
        self.counts.attempts += 1;
        self.counts.spent += charge.total;
        if let Some(row) = self.tables.lead(&self.project.project, &lead).await? {
            self.counts.finished += u64::from(row.progress.state.is_finished());
            self.counts.reached += u64::from(row.progress.state == LeadState::Reached);
            if let Some(due) = row.progress.state.due() {
                let due = self.hours.due(&row, due, self.dialer.now());
                self.heap.push(Reverse((due, row.position, row.lead)));
            }
        }
        self.tell(RunStep::Settled {
            attempt: record.attempt,
            lead,
            number,
            outcome: record.outcome,
            robot_seconds: charge.robot_seconds,
            total: charge.total,
        });
        Ok(())
    }

    fn tell(&self, what: RunStep) {
        if let Some(events) = &self.events {
            // Full or gone: dialling does not wait for whoever looks on.
            let _ = events.try_send(RunEvent { counts: self.counts, what });
        }
    }
}

/// One attempt from the claim to the settling.
async fn attempt_once(
    dialer: Dialer,
    tables: Tables,
    project: Project,
    lead: LeadId,
    attempt: AttemptId,
    mut stop: Stop,
) -> Result<Attempted> {
    let Some(read) = tables.get::<Lead>(&tables.keys.lead(&project.project, &lead)).await? else {
        return Ok(Attempted::Lost);
    };
    let position = read.row.position;
    // The list was read a while ago, and windows close.
    let mut hours = Hours::new(&project.rules, &tables.policy.register)?;
    let person = read.row.clone();
    let closed = |hours: &mut Hours| match hours.calling(&person, dialer.now()) {
        Calling::Open { .. } => None,
        Calling::Closed { .. } => Some(hours.due(&person, dialer.now(), dialer.now())),
    };
    if let Some(opens) = closed(&mut hours) {
        return Ok(Attempted::Closed { lead, position, opens });
    }
    // Whoever is held back by a cap or for want of a consent is not even claimed; a number that must not be called is,
    // since that is what becomes of it.
    let zones = hours.zones(&person);
    if let Some(number) = hours.turn(&person)
        && tables.forbidden(&person, number).await?.is_none()
        && let Some(held) = tables.held(&project.rules, number, &zones, dialer.now()).await?
    {
        let now = dialer.now();
        return Ok(Attempted::Closed { lead, position, opens: hours.due(&person, held.until(now), now) });
    }
    let claimed = tables.claim(&project, read, attempt, dialer.epoch(), dialer.now()).await?;
    let Some(mut claimed) = claimed else { return Ok(Attempted::Lost) };
    let order = claimed.order.clone();
    let number = order.number.clone();
    // Whom nobody may call needs no line.
    if let Some(outcome) = tables.forbidden(&person, &number).await? {
        let report = CallReport::unanswered(dialer.now(), outcome);
        let settled = tables.settle(claimed, report).await?;
        return Ok(Attempted::Settled { lead, number, settled });
    }
    // Nothing is started yet: whoever waits for a line when the run stops is called by the next one.
    let reserved = tokio::select! {
        biased;
        () = told(&mut stop) => Err(None),
        reserved = dialer.caller().reserve(&order) => reserved.map_err(Some),
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
    let opens = match (closed(&mut hours), tables.held(&project.rules, &number, &zones, now).await?) {
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
        None => match tables.start(&mut claimed, &tables.caps(&project.rules), &zones, dialer.now()).await? {
            // The phone rings from here on.
            Start::Rings => dialer.place(reserved, order).await,
            Start::Lost => return Ok(Attempted::Lost),
            Start::Capped(capped) => {
                drop(reserved);
                tables.give_back(claimed).await?;
                let opens = hours.due(&person, capped.until, dialer.now());
                return Ok(Attempted::Closed { lead, position, opens });
            }
        },
    };
    let settled = tables.settle(claimed, report).await?;
    Ok(Attempted::Settled { lead, number, settled })
}

/// How long until a lead is due, as far as it is worth sleeping.
fn until(now: UnixMillis, due: UnixMillis) -> Duration {
    let ms = due.0.saturating_sub(now.0).max(0);
    Duration::from_millis(ms.unsigned_abs()).min(LONGEST_SLEEP)
}

/// Comes back when the run is told to stop.
async fn told(stop: &mut Stop) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Nobody is left who could tell.
        std::future::pending().await
    }
}
