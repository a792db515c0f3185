//! The task that owns a tenant's desk: does what the desk says, and tells it what happened. It decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use zvonar_desk::{Action, Desk, Doing, Found, Group, Miss, Operator, Presence, Status, Talk};
use zvonar_model::{AttemptId, OperatorId, UnixMillis};
use zvonar_switch::media_io::MediaPlace;

use super::phones::News;
use super::{Asked, Office, Phones, TalkNow, Told, lock};
use crate::operators::{CallerView, DeskView, OperatorRow, OperatorView, Waiting as WaitingView, WhatHeDoes};
use crate::{DialerError, Result};

/// The longest sleep until something is due: the desk is asked again after it.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// A telephone that is picked up in the moment in which the desk gives up on it has still a moment to be told so.
const BEYOND_THE_RING: Duration = Duration::from_secs(2);

/// How long a presence that could not be stored waits for the next try.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Something that somebody has to say to a desk.
pub(crate) enum Ask<L> {
    /// He wants an operator.
    Wait { caller: zvonar_desk::Caller, guest: Guest<L> },
    /// He wants none any more; his end tells whose call it was.
    Leave(AttemptId),
    /// His talk was none.
    NoTalk(AttemptId),
    /// A colleague hands him on.
    Hand {
        key: AttemptId,
        operator: OperatorId,
        caller: CallerView,
        beside: Option<MediaPlace>,
        done: oneshot::Sender<std::result::Result<L, Miss>>,
    },
    /// He calls a colleague himself.
    Engage { key: AttemptId, operator: OperatorId, caller: CallerView, done: oneshot::Sender<()> },
    /// A caller was joined to this talk, which was one between operators.
    Joined { key: AttemptId, caller: CallerView, beside: Option<MediaPlace> },
    /// An operator chose a status. Told once it is stored.
    Status { operator: OperatorId, status: Status, done: oneshot::Sender<Result<Presence>> },
    /// What is stored of an operator now.
    Operator { operator: OperatorId, row: Option<Box<OperatorRow>>, done: oneshot::Sender<()> },
    /// Who does what.
    View(oneshot::Sender<DeskView>),
    /// The host stops.
    Stop,
}

/// Somebody who waits.
pub(crate) struct Guest<L> {
    pub(super) news: mpsc::Sender<Told<L>>,
    pub(super) end: oneshot::Sender<Told<L>>,
    pub(super) caller: CallerView,
    pub(super) beside: Option<MediaPlace>,
    pub(super) group: Option<Group>,
}

/// A telephone that rings.
struct Ring<L> {
    task: Id,
    abort: AbortHandle,
    /// It was rung beside the queue; whoever did that is told.
    hand: Option<oneshot::Sender<std::result::Result<L, Miss>>>,
}

/// What a telephone came to.
type Rung<L> = std::result::Result<(Id, std::result::Result<L, Miss>), JoinError>;

/// What storing came to.
type Saved = (OperatorId, Presence, Result<()>);

pub(super) struct Worker<L> {
    office: Arc<Office>,
    phones: Arc<dyn Phones<L>>,
    /// Telephones came or went.
    news: News,
    desk: Desk,
    guests: BTreeMap<AttemptId, Guest<L>>,
    /// Those who were handed on and talk beside the queue, as they are shown.
    handed: BTreeMap<AttemptId, (CallerView, Option<MediaPlace>)>,
    /// Those who call a colleague and have another talk yet.
    consulting: BTreeMap<AttemptId, (OperatorId, CallerView)>,
    rings: JoinSet<std::result::Result<L, Miss>>,
    ringing: BTreeMap<(AttemptId, OperatorId), Ring<L>>,
    /// Picked up just now; the desk says what becomes of it.
    picked: BTreeMap<(AttemptId, OperatorId), L>,
    /// The newest of each that is not stored yet.
    unsaved: BTreeMap<OperatorId, Presence>,
    saving: Option<(OperatorId, BoxFuture<'static, Saved>)>,
    /// Who wants to hear that an operator's presence is stored.
    to_be_told: Vec<(OperatorId, Presence, oneshot::Sender<Result<Presence>>)>,
}

impl<L: Send + 'static> Worker<L> {
    pub(super) fn new(
        office: Arc<Office>,
        phones: Arc<dyn Phones<L>>,
        found: Vec<(OperatorRow, Option<Presence>)>,
    ) -> Self {
        {
            let mut talks = lock(&office.talks);
            for gone in office.gone.take() {
                talks.remove(&gone);
            }
        }
        // Listened for before anybody is looked for: one that comes in between is news.
        let news = News::of(&*phones);
        let ids = found.iter().map(|(row, _)| &row.operator.id);
        let lost = ids.filter(|id| news.is_told() && !phones.is_there(&office.tenant, id));
        let without_phone = lost.cloned().collect();
        let operators = found.iter().map(|(row, presence)| (row.operator.clone(), presence.clone()));
        let operators: Vec<(Operator, Option<Presence>)> = operators.collect();
        *lock(&office.people) = found.into_iter().map(|(row, _)| (row.operator.id.clone(), row)).collect();
        let talks = lock(&office.talks).values().map(|now| now.talk.clone()).collect();
        let found = Found { operators, without_phone, talks, callers: Vec::new() };
        let desk = Desk::restored(office.now(), office.settings.queue.clone(), found);
        Self {
            office,
            phones,
            news,
            desk,
            guests: BTreeMap::new(),
            handed: BTreeMap::new(),
            consulting: BTreeMap::new(),
            rings: JoinSet::new(),
            ringing: BTreeMap::new(),
            picked: BTreeMap::new(),
            unsaved: BTreeMap::new(),
            saving: None,
            to_be_told: Vec::new(),
        }
    }

    /// Works until the host stops, or nobody is left who could ask.
    pub(super) async fn run(&mut self, inbox: &mut mpsc::Receiver<Ask<L>>) {
        loop {
            self.see_off();
            self.engage();
            self.act();
            self.publish();
            self.save_next();
            let now = self.office.now();
            let due = self.desk.poll_timeout().map_or(LONGEST_SLEEP, |due| until(now, due));
            tokio::select! {
                () = self.office.gone.bell.notified() => {}
                ask = inbox.recv() => {
                    // Who left before goes before whoever comes: it may be the same.
                    self.see_off();
                    match ask {
                        None | Some(Ask::Stop) => return,
                        Some(ask) => self.hear(ask),
                    }
                }
                Some(rung) = self.rings.join_next_with_id(), if !self.rings.is_empty() => self.rung(rung),
                saved = saved(&mut self.saving) => self.saved(saved),
                () = self.news.next() => self.look_for_phones(),
                () = tokio::time::sleep(due.min(LONGEST_SLEEP)) => {
                    let now = self.office.now();
                    self.desk.handle_timeout(now);
                }
            }
        }
    }

    /// Stores what must outlive the program. Whoever waits is told by the going of this.
    pub(super) async fn finish(mut self) {
        self.see_off();
        self.act();
        if let Some((_, saving)) = self.saving.take() {
            let saved = saving.await;
            self.saved(saved);
        }
        while let Some((operator, presence)) = self.unsaved.pop_first() {
            if let Err(why) = self.office.tables.save_presence(&operator, &presence).await {
                tracing::error!(%operator, %why, "an operator's status is not stored");
            }
        }
    }

    /// What is not stored yet.
    pub(super) fn unsaved(&mut self) -> BTreeMap<OperatorId, Presence> {
        std::mem::take(&mut self.unsaved)
    }

    /// Those who have left.
    fn see_off(&mut self) {
        let now = self.office.now();
        for call in self.office.gone.take() {
            let talk = lock(&self.office.talks).remove(&call);
            self.guests.remove(&call);
            self.consulting.remove(&call);
            let was_handed = self.handed.remove(&call).is_some();
            // Nobody picked up for one who was handed on: the colleague whose telephone rang is as free as before.
            let rang = was_handed && self.silence_hand(&call);
            if rang || talk.is_some_and(|now| now.caller.colleague) {
                self.desk.handle_disengaged(now, &call);
            } else {
                self.desk.handle_left(now, &call);
            }
        }
    }

    /// Whoever calls a colleague is engaged by that as soon as no other talk of his goes on.
    fn engage(&mut self) {
        let now = self.office.now();
        let talks = |doing: &Doing| matches!(doing, Doing::Talking { .. });
        loop {
            let free = |operator: &OperatorId| {
                self.desk.seats().any(|seat| seat.operator.id == *operator && !talks(&seat.doing))
            };
            let due = self.consulting.iter().find(|(_, (operator, _))| free(operator));
            let Some(call) = due.map(|(call, _)| call.clone()) else { return };
            let Some((operator, caller)) = self.consulting.remove(&call) else { return };
            let talk = Talk { call, operator, group: None };
            self.desk.handle_talking(now, talk.clone());
            self.talks(talk, caller, None);
        }
    }

    /// A talk goes on from now on, whatever becomes of this task.
    fn talks(&self, talk: Talk, caller: CallerView, beside: Option<MediaPlace>) {
        if !caller.colleague {
            lock(&self.office.lasts).insert(talk.operator.clone(), caller.attempt.clone());
        }
        let now = TalkNow { talk, caller, beside, since: self.office.now() };
        lock(&self.office.talks).insert(now.talk.call.clone(), now);
    }

    /// Silences the telephone that rings beside the queue for this talk. `false`: none does.
    fn silence_hand(&mut self, key: &AttemptId) -> bool {
        let mut of_this = self.ringing.iter().filter(|((call, _), ring)| call == key && ring.hand.is_some());
        let Some(place) = of_this.next().map(|(place, _)| place.clone()) else { return false };
        if let Some(ring) = self.ringing.remove(&place) {
            ring.abort.abort();
        }
        true
    }

    fn hear(&mut self, ask: Ask<L>) {
        let now = self.office.now();
        match ask {
            // Who left before he was heard was seen off before he came.
            Ask::Wait { guest, .. } if guest.end.is_closed() => {}
            Ask::Hand { done, .. } if done.is_closed() => {}
            Ask::Engage { done, .. } if done.is_closed() => {}
            Ask::Wait { caller, guest } => {
                self.guests.insert(caller.call.clone(), guest);
                self.desk.handle_caller(now, caller);
            }
            Ask::Leave(call) => {
                // An operator may have picked up for him in this moment: they do not talk.
                lock(&self.office.talks).remove(&call);
                self.desk.handle_left(now, &call);
            }
            Ask::NoTalk(call) => {
                lock(&self.office.talks).remove(&call);
                self.handed.remove(&call);
                // Who sits at a dead headset is not given one caller after the other: this counts like one that rang out.
                self.desk.handle_no_talk(now, &call, Miss::NoAnswer);
            }
            Ask::Hand { key, operator, caller, beside, done } => {
                let seat = self.desk.seats().find(|seat| seat.operator.id == operator);
                match seat.map(|seat| &seat.doing) {
                    None => drop(done.send(Err(Miss::Unreachable))),
                    Some(Doing::Ringing { .. } | Doing::Talking { .. }) => drop(done.send(Err(Miss::Busy))),
                    Some(Doing::Idle { .. }) => {
                        let talk = Talk { call: key.clone(), operator: operator.clone(), group: None };
                        self.desk.handle_talking(now, talk);
                        self.handed.insert(key.clone(), (caller.clone(), beside.clone()));
                        self.ring(key, operator, caller, beside, Some(done));
                    }
                }
            }
            Ask::Engage { key, operator, caller, done } => {
                self.consulting.insert(key, (operator, caller));
                self.engage();
                // One who does not listen for it has left, and says so.
                let _ = done.send(());
            }
            Ask::Joined { key, caller, beside } => {
                if let Some(talk) = lock(&self.office.talks).get_mut(&key) {
                    lock(&self.office.lasts).insert(talk.talk.operator.clone(), caller.attempt.clone());
                    (talk.since, talk.caller, talk.beside) = (now, caller.clone(), beside.clone());
                }
                if let Some(handed) = self.handed.get_mut(&key) {
                    *handed = (caller, beside);
                }
            }
            Ask::Status { operator, status, done } => {
                self.desk.handle_status(now, &operator, status);
                self.act();
                let seat = self.desk.seats().find(|seat| seat.operator.id == operator);
                match seat.map(|seat| seat.presence.clone()) {
                    None => drop(done.send(Err(DialerError::NoOperator(operator)))),
                    Some(presence) if self.is_stored(&operator) => drop(done.send(Ok(presence))),
                    Some(presence) => self.to_be_told.push((operator, presence, done)),
                }
            }
            Ask::Operator { operator, row, done } => {
                match row {
                    Some(row) => {
                        lock(&self.office.people).insert(operator, (*row).clone());
                        self.desk.handle_operator(now, row.operator);
                        // One who is new has a telephone as far as the desk knows.
                        if self.news.is_told() {
                            self.look_for_phones();
                        }
                    }
                    None => {
                        lock(&self.office.people).remove(&operator);
                        lock(&self.office.lasts).remove(&operator);
                        self.desk.handle_removed(now, &operator);
                    }
                }
                // One who does not listen for it does not mind.
                let _ = done.send(());
            }
            Ask::View(done) => {
                let _ = done.send(self.view());
            }
            Ask::Stop => {}
        }
    }

    /// Tells the desk whose telephones came or went.
    fn look_for_phones(&mut self) {
        let now = self.office.now();
        let there = |operator: &OperatorId| self.phones.is_there(&self.office.tenant, operator);
        let seats = self.desk.seats().map(|seat| (&seat.operator.id, seat.is_reachable()));
        let others = seats.filter(|(operator, was_there)| there(operator) != *was_there);
        let others: Vec<_> = others.map(|(operator, was_there)| (operator.clone(), !was_there)).collect();
        for (operator, is_there) in &others {
            tracing::debug!(%operator, is_there, "an operator's telephone came or went");
        }
        self.desk.handle_reach(now, others);
    }

    /// Does all that the desk wants done.
    fn act(&mut self) {
        while let Some(action) = self.desk.poll_action() {
            match action {
                Action::Ring { call, operator } => {
                    let Some(guest) = self.guests.get(&call) else { continue };
                    let (caller, beside) = (guest.caller.clone(), guest.beside.clone());
                    self.ring(call, operator, caller, beside, None);
                }
                Action::StopRinging { call, operator } => {
                    let place = (call, operator);
                    if let Some(ring) = self.ringing.remove(&place) {
                        ring.abort.abort();
                    }
                    // Picked up too late: dropped, it hangs up.
                    self.picked.remove(&place);
                }
                Action::Connect { call, operator } => self.connect(call, operator),
                Action::TellPosition { call, position, wait } => {
                    if let Some(guest) = self.guests.get(&call) {
                        // One who does not listen misses this, and hears the next.
                        let _ = guest.news.try_send(Told::Position { position, wait });
                    }
                }
                Action::Missed { call, operator, how } => {
                    tracing::info!(%call, %operator, ?how, "an operator did not take a call");
                }
                Action::GiveUp { call, why, responsible, last, .. } => {
                    self.end(&call, Told::GaveUp { why, responsible, last });
                }
                Action::Lost { call, responsible, .. } => self.end(&call, Told::Lost { responsible }),
                Action::Save { operator, presence } => drop(self.unsaved.insert(operator, presence)),
            }
        }
    }

    fn end(&mut self, call: &AttemptId, told: Told<L>) {
        if let Some(guest) = self.guests.remove(call) {
            // Whoever does not listen any more has left.
            let _ = guest.end.send(told);
        }
    }

    fn ring(
        &mut self,
        call: AttemptId,
        operator: OperatorId,
        caller: CallerView,
        beside: Option<MediaPlace>,
        hand: Option<oneshot::Sender<std::result::Result<L, Miss>>>,
    ) {
        let ring = Duration::from(self.office.settings.queue.ring) + BEYOND_THE_RING;
        let tenant = self.office.tenant.clone();
        let asked = Asked { tenant, operator: operator.clone(), caller, beside, ring };
        let phones = Arc::clone(&self.phones);
        let abort = self.rings.spawn(async move { phones.ring(asked).await });
        self.ringing.insert((call, operator), Ring { task: abort.id(), abort, hand });
    }

    /// A telephone has come to an end: picked up, or missed.
    fn rung(&mut self, rung: Rung<L>) {
        let (task, came) = match rung {
            Ok((task, came)) => (task, came),
            Err(why) => {
                if why.is_panic() {
                    tracing::error!(%why, "a bug kept an operator's telephone from ringing");
                }
                (why.id(), Err(Miss::Unreachable))
            }
        };
        let Some(place) =
            self.ringing.iter().find(|(_, ring)| ring.task == task).map(|(place, _)| place.clone())
        else {
            // It was to be silent by then: what was picked up is dropped, and hangs up.
            return;
        };
        let Some(Ring { hand, .. }) = self.ringing.remove(&place) else { return };
        let now = self.office.now();
        let (call, operator) = place.clone();
        match (hand, came) {
            (None, Ok(leg)) => {
                self.picked.insert(place, leg);
                self.desk.handle_answered(now, &call, &operator);
            }
            (None, Err(how)) => self.desk.handle_not_taken(now, &call, &operator, how),
            (Some(done), Ok(leg)) => {
                let unknown = || (CallerView::of(call.clone()), None);
                let (caller, beside) = self.handed.get(&call).cloned().unwrap_or_else(unknown);
                self.talks(Talk { call: call.clone(), operator, group: None }, caller, beside);
                if done.send(Ok(leg)).is_err() {
                    // Whoever handed him on is gone: so is his place, and the desk hears of that.
                    tracing::debug!(%call, "an operator picked up for one who had gone");
                }
            }
            (Some(done), Err(how)) => {
                self.handed.remove(&call);
                self.desk.handle_no_talk(now, &call, how);
                let _ = done.send(Err(how));
            }
        }
    }

    fn connect(&mut self, call: AttemptId, operator: OperatorId) {
        let leg = self.picked.remove(&(call.clone(), operator.clone()));
        let (Some(leg), Some(guest)) = (leg, self.guests.remove(&call)) else {
            // He has left in this moment, and said so: his place is gone.
            return;
        };
        let Guest { end, caller, group, beside, .. } = guest;
        self.talks(Talk { call: call.clone(), operator: operator.clone(), group }, caller, beside);
        if end.send(Told::Connected { operator, leg }).is_err() {
            tracing::debug!(%call, "an operator picked up for one who had gone");
        }
    }

    /// Tells the runs of the projects how many wait.
    fn publish(&self) {
        let mut waiting = BTreeMap::new();
        for caller in self.desk.callers() {
            if let Some(project) = &caller.project
                && !waiting.contains_key(project)
            {
                waiting.insert(project.clone(), self.desk.waiting(project));
            }
        }
        *lock(&self.office.waiting) = waiting;
    }

    fn is_stored(&self, operator: &OperatorId) -> bool {
        !self.unsaved.contains_key(operator) && self.saving.as_ref().is_none_or(|(of, _)| of != operator)
    }

    /// Begins to store the next presence, one at a time: nothing older is written after something newer.
    fn save_next(&mut self) {
        if self.saving.is_some() {
            return;
        }
        let Some((operator, presence)) = self.unsaved.pop_first() else { return };
        let (tables, whose) = (self.office.tables.clone(), operator.clone());
        let save = async move {
            let saved = tables.save_presence(&whose, &presence).await;
            if saved.is_err() {
                tokio::time::sleep(STORE_PAUSE).await;
            }
            (whose, presence, saved)
        };
        self.saving = Some((operator, save.boxed()));
    }

    fn saved(&mut self, (operator, presence, saved): Saved) {
        self.saving = None;
        if let Err(why) = saved {
            tracing::error!(%operator, %why, "an operator's status is not stored yet; it is tried again");
            // One that came meanwhile is newer.
            self.unsaved.entry(operator).or_insert(presence);
            return;
        }
        if !self.unsaved.contains_key(&operator) {
            let told = self.to_be_told.extract_if(.., |(of, ..)| *of == operator);
            for (_, presence, done) in told {
                let _ = done.send(Ok(presence));
            }
        }
    }

    fn view(&self) -> DeskView {
        let (talks, lasts) = (lock(&self.office.talks), lock(&self.office.lasts));
        let caller = |call: &AttemptId| {
            let guest = self.guests.get(call).map(|guest| &guest.caller);
            let known = guest.or_else(|| talks.get(call).map(|now| &now.caller));
            let known = known.or_else(|| self.handed.get(call).map(|(caller, _)| caller));
            known.cloned().unwrap_or_else(|| CallerView::of(call.clone()))
        };
        let operators = self.desk.seats().map(|seat| OperatorView {
            operator: seat.operator.id.clone(),
            presence: seat.presence.clone(),
            doing: match &seat.doing {
                Doing::Idle { .. } => WhatHeDoes::Idle,
                Doing::Ringing { call, .. } => WhatHeDoes::Rings { caller: caller(call) },
                Doing::Talking { call, since, .. } => {
                    let rings = self.ringing.contains_key(&(call.clone(), seat.operator.id.clone()));
                    let caller = caller(call);
                    if rings {
                        WhatHeDoes::Rings { caller }
                    } else {
                        let since = talks.get(call).map_or(*since, |now| now.since);
                        WhatHeDoes::Talks { caller, since }
                    }
                }
            },
            phones: self.phones.registered(&self.office.tenant, &seat.operator.id),
            last: lasts.get(&seat.operator.id).cloned(),
        });
        let rings = |call: &AttemptId| {
            self.ringing.keys().find(|(of, _)| of == call).map(|(_, operator)| operator.clone())
        };
        let queue = self.desk.callers().map(|waits| WaitingView {
            caller: caller(&waits.call),
            group: waits.group.clone(),
            since: waits.since,
            position: self.desk.position(&waits.call).unwrap_or(1),
            wait: self.desk.estimate(&waits.call),
            ringing: rings(&waits.call),
        });
        DeskView { operators: operators.collect(), queue: queue.collect() }
    }
}

/// The end of what is being stored; never, if nothing is.
async fn saved(saving: &mut Option<(OperatorId, BoxFuture<'static, Saved>)>) -> Saved {
    match saving {
        Some((_, saving)) => saving.await,
        None => std::future::pending().await,
    }
}

fn until(now: UnixMillis, due: UnixMillis) -> Duration {
    Duration::from_millis(u64::try_from(due.0.saturating_sub(now.0)).unwrap_or(0))
}
