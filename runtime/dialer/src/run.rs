//! A project's run: dials the list until it is done.
//!
//! One task owns the heap of due leads and starts attempts, at most `lines` at a time and at most so many in a second;
//! each attempt is a task of its own, joined here. Two runners of one project take leads from each other by
//! compare-and-set: no lead is dialled twice.
//!
//! [`Dialer::run`] dials a list to its end, whatever the project's status. The [`foreman`](crate::foreman) keeps a run for
//! each active project: that one holds the project's lease, hears of edits and of changes of the list while it dials, and
//! waits when there is nothing to do.

use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Interval, MissedTickBehavior};
use tracing::Instrument;
use zvonar_campaign::{Ending, LeadState, Pacer};
use zvonar_model::{LeadId, PhoneNumber, ProjectId, TenantId, UnixMillis};

use crate::errand::{Attempted, Errand};
use crate::foreman::Desk;
use crate::hours::Hours;
use crate::lease::{Lease, Whose};
use crate::recovery::Abandoned;
use crate::tables::{Lead, Project, Read, Tables, decode, named};
use crate::{Counts, Dialer, DialerError, Finished, NotPlaced, Pace, Result, RunEvent, RunStep, Settled};

/// The longest sleep until a lead is due: the clock of the world may be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// How many leads that were added are looked at before calls have their turn again.
const FRESH_AT_ONCE: usize = 200;

/// How exactly a project's last sign of life is stored.
const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// How long nothing must have happened for a list to be done.
const QUIET: Duration = Duration::from_secs(1);

/// How often the queue of operators is looked at while it keeps lines back.
const QUEUE_LOOKED_AT: Duration = Duration::from_secs(2);

/// How long a lead rests when something was short.
const SHORT_PAUSE: Duration = Duration::from_secs(5);

/// Turns true when a run should begin no more attempts; those in progress are finished. To stop at once, drop the run:
/// its calls hang up, and the next recovery counts them as failed. A sender that is gone means: never.
pub type Stop = watch::Receiver<bool>;

/// What a run comes to.
pub(crate) enum Ended {
    /// It was told to stop.
    Stopped,
    /// Nothing is left to do; of a run that nobody keeps.
    Empty,
    /// The project is over by itself, as it was when this was read.
    Over { by: Ending, read: Box<Read<Project>> },
    /// Another run of the program has the project, until then.
    Taken { until: UnixMillis },
}

pub(crate) struct Run {
    dialer: Dialer,
    tables: Tables,
    project: Arc<Project>,
    events: Option<mpsc::Sender<RunEvent>>,
    /// `None`: it ends with its list.
    kept: Option<Kept>,
    heap: BinaryHeap<Reverse<(UnixMillis, u64, LeadId)>>,
    /// Leads that were added or edited and are to be looked at.
    fresh: VecDeque<LeadId>,
    /// Leads that an attempt of this run has, and whether they were changed meanwhile.
    mine: BTreeMap<LeadId, bool>,
    tasks: JoinSet<Result<Attempted>>,
    counts: Counts,
    elsewhere: u64,
    hours: Arc<Hours>,
    pace: Interval,
    pacer: Pacer,
    /// What the pacer counts from.
    since: UnixMillis,
    /// Something has happened since the list was read the last time.
    unread: bool,
    begun: bool,
    /// The last call or new contact that this run knows of.
    sign: UnixMillis,
    /// The latest time that was seen: one that is earlier says that the clock was set back.
    seen: UnixMillis,
    /// Nothing has happened for [`QUIET`].
    quiet: bool,
    /// The revision of the project's row at which all its leads were finished.
    done: Option<u64>,
    /// What was short the last time; told once.
    short_of: Option<String>,
    /// Operators cannot keep up, so it dials fewer lines.
    slowed: bool,
}

/// What a kept run has beyond others.
pub(crate) struct Kept {
    pub(crate) desk: Arc<Desk>,
    pub(crate) lease: Lease,
}

impl Dialer {
    /// Dials a project until its list is done or it is told to stop, whatever its status: nobody starts, pauses or
    /// finishes it by this. Joins all its tasks.
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
        self.tables(tenant).recover_but(Abandoned::Expired, self.alive(), self.now()).await?;
        let mut run = Run::new(self.clone(), tenant, project, events, None).await?;
        let ended = run.dial(stop).await?;
        let stopped = matches!(ended, Ended::Stopped);
        Ok(Finished { counts: run.counts, stopped, elsewhere: run.elsewhere })
    }
}

/// As many moments a second as calls may begin.
fn pace(project: &Project) -> Interval {
    let mut pace = tokio::time::interval(Duration::from_secs(1) / project.calls_per_second.clamp(1, 100_000));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}

impl Run {
    pub(crate) async fn new(
        dialer: Dialer,
        tenant: &TenantId,
        project: &ProjectId,
        events: Option<mpsc::Sender<RunEvent>>,
        kept: Option<Kept>,
    ) -> Result<Self> {
        let tables = dialer.tables(tenant);
        let stored = tables.project(project).await?;
        let project = stored.ok_or_else(|| DialerError::NoProject(project.clone()))?;
        Ok(Self {
            hours: Arc::new(Hours::new(&project.rules, &tables.policy.register)?),
            pace: pace(&project),
            pacer: Pacer::new(project.lines, project.calls_per_second),
            since: dialer.now(),
            dialer,
            tables,
            project: Arc::new(project),
            events,
            kept,
            heap: BinaryHeap::new(),
            fresh: VecDeque::new(),
            mine: BTreeMap::new(),
            tasks: JoinSet::new(),
            counts: Counts::default(),
            elsewhere: 0,
            unread: true,
            begun: false,
            sign: UnixMillis(0),
            seen: UnixMillis(0),
            quiet: false,
            done: None,
            short_of: None,
            slowed: false,
        })
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Builds the heap from one scan.
    async fn read_list(&mut self) -> Result<()> {
        self.heap.clear();
        self.elsewhere = 0;
        let Counts { lines, attempts, spent, .. } = self.counts;
        let mut counts = Counts { lines, attempts, spent, ..Counts::default() };
        let (heap, elsewhere, hours, mine) =
            (&mut self.heap, &mut self.elsewhere, &self.hours, &mut self.mine);
        let now = self.dialer.now();
        self.tables
            .glance(&self.project.project, |glance, item| {
                counts.leads += 1;
                // Its attempt brings it back, and counts it.
                if !mine.is_empty()
                    && let Some(changed) = mine.get_mut(&named(item)?)
                {
                    *changed = true;
                    return Ok(());
                }
                counts.reached += u64::from(*glance.state() == LeadState::Reached);
                let Some(due) = glance.state().due() else {
                    counts.finished += 1;
                    return Ok(());
                };
                let lead = decode::<Lead>(item)?.row;
                if lead.claim.is_some() {
                    *elsewhere += 1;
                } else {
                    heap.push(Reverse((hours.due(&lead, due, now), lead.position, lead.lead)));
                }
                Ok(())
            })
            .await?;
        self.counts = counts;
        self.unread = false;
        if !self.begun {
            self.begun = true;
            self.tell(RunStep::Begun);
        }
        Ok(())
    }

    /// How many attempts may be in progress now: the project's lines, or fewer while operators cannot keep up.
    fn lines(&mut self) -> usize {
        self.pacer.set(self.project.lines, self.project.calls_per_second);
        let waiting = self.dialer.waiting(self.tables.tenant(), &self.project.project);
        let since = self.dialer.now().0.saturating_sub(self.since.0);
        self.pacer.queue(Duration::from_millis(u64::try_from(since).unwrap_or(0)), waiting);
        let lines = self.pacer.allowed();
        self.slowed = lines < self.project.lines || waiting > 0;
        let pace = self.slowed.then_some(Pace { lines, waiting });
        self.tables.policy.paces.set(self.tables.tenant(), &self.project.project, pace);
        lines as usize
    }

    /// Dials until there is nothing to do, or somebody says stop; joins all attempts. Once a reason to end is known, no
    /// attempt begins any more, and those in progress are finished.
    pub(crate) async fn dial(&mut self, mut stop: Stop) -> Result<Ended> {
        let mut end: Option<Result<Ended>> = None;
        loop {
            if end.is_none() {
                end = self.prepare().await.transpose();
            }
            if end.is_some() && self.tasks.is_empty() {
                break;
            }
            let (open, lines) = (end.is_none(), self.lines());
            let wait = match self.heap.peek() {
                Some(Reverse((due, ..))) if open && self.tasks.len() < lines => {
                    Some(until(self.dialer.now(), *due))
                }
                None if open && self.tasks.is_empty() => {
                    Some(if self.done.is_some() { QUIET } else { LONGEST_SLEEP })
                }
                _ => None,
            };
            // What was added is looked at a part at a time, so that calls go on meanwhile.
            let more = open && !self.fresh.is_empty();
            tokio::select! {
                // A stop goes before anything new; what is done, before what is begun.
                biased;
                () = told(&mut stop), if open => end = Some(Ok(Ended::Stopped)),
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    if let Err(error) = self.joined(ended).await {
                        tracing::error!(error = &error as &dyn std::error::Error, "the run stops");
                        // The first failure is what the run ends with, a stop is no reason to hide one.
                        if !matches!(end, Some(Err(_))) {
                            end = Some(Err(error));
                        }
                    }
                }
                () = rung(self.kept.as_ref()), if open => {}
                _ = self.pace.tick(), if wait == Some(Duration::ZERO) => {
                    match self.begin(&stop).await {
                        Ok(None) => {}
                        Ok(Some(ended)) => end = Some(Ok(ended)),
                        Err(error) => end = Some(Err(error)),
                    }
                }
                () = std::future::ready(()), if more => {}
                // Lines come back as the queue empties, also while nothing else happens.
                () = tokio::time::sleep(QUEUE_LOOKED_AT), if open && self.slowed => {}
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some_and(|wait| !wait.is_zero()) => {
                    // Leads of other runners may have been given back.
                    self.unread |= self.elsewhere > 0;
                    self.quiet = true;
                }
            }
        }
        self.tables.policy.paces.set(self.tables.tenant(), &self.project.project, None);
        if let Some(kept) = &mut self.kept {
            kept.lease.release().await;
        }
        let ended = end.expect("the loop ends with a reason")?;
        self.tables.fold_balance().await?;
        Ok(ended)
    }

    /// Takes up what is new, and finds out whether anything is left to do.
    async fn prepare(&mut self) -> Result<Option<Ended>> {
        if let Some(ended) = self.hear().await? {
            return Ok(Some(ended));
        }
        let seen = std::mem::replace(&mut self.seen, self.dialer.now());
        if self.seen.plus(LONGEST_SLEEP) < seen {
            tracing::warn!(project = %self.project.project, "the clock was set back");
            // The moments in the heap were those of the other clock: some windows are open now, or will be sooner.
            self.sign = self.sign.min(self.seen);
            self.read_list().await?;
        }
        self.look_at_fresh().await?;
        let waits = self.tasks.is_empty() && self.heap.is_empty() && self.fresh.is_empty();
        self.unread |= self.quiet && self.done.is_some();
        let mut read = None;
        if waits && self.unread {
            // Before the list, so that whoever adds to it meanwhile is not overlooked.
            read = self.tables.read_project(&self.project.project).await?;
            // Leads may have been added or given back meanwhile. If the counts say that all are finished, a long list
            // need not be read for it.
            if self.kept.is_none() || !self.begun || self.count().await? > 0 {
                self.read_list().await?;
            }
            self.unread = false;
        }
        let waits = waits && self.heap.is_empty();
        if self.kept.is_none() {
            return Ok(waits.then_some(Ended::Empty));
        }
        let quiet = std::mem::take(&mut self.quiet);
        let ended = if self.tasks.is_empty() { self.over(read, quiet).await? } else { None };
        if let Some(kept) = &self.kept {
            kept.desk.rest(waits && ended.is_none() && self.done.is_none());
        }
        Ok(ended)
    }

    /// Whether the project is over by itself. `read`: its row, if it was read just now.
    async fn over(&mut self, read: Option<Read<Project>>, quiet: bool) -> Result<Option<Ended>> {
        let now = self.dialer.now();
        if read.is_none() && self.ending(&self.project, now).is_none() {
            self.done = None;
            return Ok(None);
        }
        let read = match read {
            Some(read) => Some(read),
            None => self.tables.read_project(&self.project.project).await?,
        };
        let read = read.ok_or_else(|| DialerError::NoProject(self.project.project.clone()))?;
        let ending = self.ending(&read.row, now);
        let before = self.done.take();
        match ending {
            // Leads that are being added have their places in the project's row before they are there, so the row must
            // have been the same for a while.
            Some(Ending::Done) if !(quiet && before == Some(read.revision)) => {
                self.done = Some(read.revision);
                Ok(None)
            }
            ending => Ok(ending.map(|by| Ended::Over { by, read: Box::new(read) })),
        }
    }

    /// Takes the counts of leads from the projection. Gives how many are not finished.
    async fn count(&mut self) -> Result<u64> {
        let counts = self.tables.status_counts(&self.project.project).await?;
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        let open = count(counts.new) + count(counts.again);
        self.counts.reached = count(counts.reached);
        self.counts.finished = self.counts.reached + count(counts.unreached);
        self.counts.leads = self.counts.finished + open;
        Ok(open)
    }

    fn ending(&self, project: &Project, now: UnixMillis) -> Option<Ending> {
        let open = self.counts.leads.saturating_sub(self.counts.finished);
        let sign = self.sign.max(project.active_at).max(project.since);
        // As long as somebody is to be called now or soon, it is the list that says what is left.
        zvonar_campaign::ending(self.counts.leads, open.max(self.heap.len() as u64), sign, now)
    }

    /// Takes up what the foreman has told.
    async fn hear(&mut self) -> Result<Option<Ended>> {
        let Some(mut news) = self.kept.as_ref().and_then(|kept| kept.desk.take()) else { return Ok(None) };
        if news.project {
            let stored = self.tables.project(&self.project.project).await?;
            let row = stored.ok_or_else(|| DialerError::NoProject(self.project.project.clone()))?;
            if !row.status.is_active() {
                return Ok(Some(Ended::Stopped));
            }
            if row.calls_per_second != self.project.calls_per_second {
                self.pace = pace(&row);
            }
            let rules = row.rules != self.project.rules;
            self.project = Arc::new(row);
            if rules {
                // Nobody is due any more when he was.
                self.hours = Arc::new(Hours::new(&self.project.rules, &self.tables.policy.register)?);
                news.list = true;
            }
        }
        if news.list {
            self.read_list().await?;
        }
        if news.counts {
            self.unread = true;
            self.count().await?;
        }
        if !news.leads.is_empty() {
            self.fresh.extend(news.leads);
            self.sign_of_life().await?;
        }
        Ok(None)
    }

    /// Looks at leads that were added or edited, some at a time.
    async fn look_at_fresh(&mut self) -> Result<()> {
        let some = self.fresh.len().min(FRESH_AT_ONCE);
        for lead in self.fresh.drain(..some).collect::<Vec<_>>() {
            if let Some(changed) = self.mine.get_mut(&lead) {
                *changed = true;
                continue;
            }
            let Some(row) = self.tables.lead(&self.project.project, &lead).await? else { continue };
            if let (Some(due), None) = (row.progress.state.due(), &row.claim) {
                let due = self.hours.due(&row, due, self.dialer.now());
                self.heap.push(Reverse((due, row.position, lead)));
            }
        }
        Ok(())
    }

    /// A call or a new contact: a kept project that sees none for long is over. Stored once a day.
    async fn sign_of_life(&mut self) -> Result<()> {
        self.sign = self.dialer.now();
        if self.kept.is_some() && self.project.active_at.plus(A_DAY) <= self.sign {
            Arc::make_mut(&mut self.project).active_at = self.sign;
            self.tables.note_active(&self.project.project, self.sign).await?;
        }
        Ok(())
    }

    /// Begins an attempt to reach the lead that is due first.
    async fn begin(&mut self, stop: &Stop) -> Result<Option<Ended>> {
        if let Some(kept) = &mut self.kept
            && let Whose::Theirs { until } = kept.lease.hold(self.dialer.now()).await?
        {
            return Ok(Some(Ended::Taken { until }));
        }
        let (position, lead) = loop {
            let Some(Reverse((due, position, lead))) = self.heap.pop() else { return Ok(None) };
            if due > self.dialer.now() {
                self.heap.push(Reverse((due, position, lead)));
                return Ok(None);
            }
            // One that stands there twice, since it was edited, is brought back by the attempt that has it.
            if let Entry::Vacant(free) = self.mine.entry(lead.clone()) {
                free.insert(false);
                break (position, lead);
            }
        };
        self.unread = true;
        let attempt = self.dialer.attempt_id();
        let span = tracing::info_span!("attempt", %attempt, %lead, campaign = %self.project.project);
        let errand = Errand {
            dialer: self.dialer.clone(),
            tables: self.tables.clone(),
            project: Arc::clone(&self.project),
            hours: Arc::clone(&self.hours),
            lead: lead.clone(),
            position,
            attempt,
            stop: stop.clone(),
        };
        self.tasks.spawn(errand.run().instrument(span));
        self.counts.lines = self.tasks.len() as u32;
        self.tell(RunStep::Started { lead });
        Ok(None)
    }

    /// Takes up what an attempt came to.
    async fn joined(&mut self, ended: std::result::Result<Result<Attempted>, JoinError>) -> Result<()> {
        self.counts.lines = self.tasks.len() as u32;
        let attempted = ended.map_err(|error| DialerError::Bug(error.to_string())).flatten()?;
        match attempted {
            Attempted::Settled { lead, number, settled, after } => {
                self.settled(lead, number, settled, after).await?;
            }
            Attempted::Lost { lead } => drop(self.returned(&lead)),
            Attempted::Changed { lead } => {
                self.mine.remove(&lead);
                self.fresh.push_back(lead);
            }
            Attempted::Closed { lead, position, opens } => {
                if !self.returned(&lead) {
                    self.heap.push(Reverse((opens, position, lead)));
                }
            }
            Attempted::GivenBack { lead, position, why } => {
                self.mine.remove(&lead);
                self.given_back(lead, position, why)?;
            }
        }
        Ok(())
    }

    /// An attempt is over: its lead is nobody's. Gives whether it was changed meanwhile and is therefore looked at again.
    fn returned(&mut self, lead: &LeadId) -> bool {
        let changed = self.mine.remove(lead).unwrap_or(false);
        if changed {
            self.fresh.push_back(lead.clone());
        }
        changed
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

    async fn settled(
        &mut self,
        lead: LeadId,
        number: PhoneNumber,
        settled: Settled,
        after: Option<Box<Lead>>,
    ) -> Result<()> {
        let changed = self.returned(&lead);
        let Settled::Done { record, charge } = settled else { return Ok(()) };
        self.counts.attempts += 1;
        self.counts.spent += charge.total;
        self.sign_of_life().await?;
        if let Some(after) = after {
            let state = &after.progress.state;
            self.counts.finished += u64::from(state.is_finished());
            self.counts.reached += u64::from(*state == LeadState::Reached);
            if let Some(due) = state.due().filter(|_| !changed) {
                let due = self.hours.due(&after, due, self.dialer.now());
                self.heap.push(Reverse((due, after.position, after.lead)));
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
            let _ = events.try_send(RunEvent {
                project: self.project.project.clone(),
                counts: self.counts,
                what,
            });
        }
    }
}

/// How long until a lead is due, as far as it is worth sleeping.
fn until(now: UnixMillis, due: UnixMillis) -> Duration {
    let ms = due.0.saturating_sub(now.0).max(0);
    Duration::from_millis(ms.unsigned_abs()).min(LONGEST_SLEEP)
}

/// Comes back when the foreman has told something.
async fn rung(kept: Option<&Kept>) {
    match kept {
        Some(kept) => kept.desk.rung().await,
        None => std::future::pending().await,
    }
}

/// Comes back when the run is told to stop.
pub(crate) async fn told(stop: &mut Stop) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Nobody is left who could tell.
        std::future::pending().await
    }
}
