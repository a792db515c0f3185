//! Who gets the call.
//!
//! The desk performs no I/O and reads no clock. Its driver tells it what happened by the `handle_*` functions, does what
//! [`Desk::poll_action`] asks for until there is nothing more, and calls [`Desk::handle_timeout`] once
//! [`Desk::poll_timeout`] is reached. News of calls and operators that the desk does not know (any more) is no fault: it
//! has crossed something on the way, and changes nothing.
//!
//! Time is the wall's when the program began plus what has been measured since, so it never goes back during a run, and
//! can be compared with what an earlier run has stored. A step back is taken for no time at all.
//!
//! # The rules
//!
//! * An operator is free while he is «Доступен», has a telephone, neither rings nor talks, and has not let a call pass just
//!   now.
//! * Whoever came first is given an operator first; an operator whose last talk ended longest ago is asked first, those
//!   who have let this very caller pass after those who have not.
//! * Nobody waits while an operator is free who may take him. A caller has one telephone ringing for him at most, an
//!   operator rings for one caller at most.
//! * Who comes leaves once: by [`Action::Connect`], [`Action::GiveUp`] or [`Action::Lost`].
//!
//! # Telephones that come and go
//!
//! [`Desk::handle_reach`] tells whether any telephone of an operator's is there; whoever is not spoken of has one. One
//! without is not rung and still counts among those who work: after a restart of the host all telephones are gone until
//! they say again where they are, and callers wait for them as for those who talk. Once one is back, its operator is given
//! the next caller. To be out of reach, told or found out by ringing, is no call that he did not take.
//!
//! Who stays without one for longer than [`Settings::lost_phone`], while the desk would give him calls («Доступен», or the
//! «Постобработка» that the desk itself set), has gone home: he is made «Не в сети». A talk shows that he is there, by
//! whatever telephone, and so does a status that he chooses: after either, the time begins anew. A break, or a
//! «Постобработка» of his own choosing, is left to him.
//!
//! # After a restart
//!
//! Durable is the tenant's [`Operator`] and the [`Presence`] that [`Action::Save`] brought out last.
//! [`Desk::restored`] takes those, who has no telephone, the talks that still go on, and those who still wait with the time
//! at which they came. What the old desk let ring must stop: the new one asks again. Who let whom pass is forgotten, and so
//! is the rest of those who did, and for how long somebody had no telephone.
//!
//! Deliberately absent: an operator with several telephones (whoever rings them reports the first that picks up, and the
//! last that goes), and what the caller hears meanwhile.

use std::collections::{BTreeMap, VecDeque};

use zvonar_model::{AttemptId, Millis, OperatorId, UnixMillis};

use crate::queue::{Place, Queue};
use crate::{
    Action, Caller, Doing, Found, GivenUp, Group, Miss, Operator, Presence, Seat, Settings, Status, Talk,
};

mod view;

/// How many of the last talks tell how long one takes.
const TALKS_LOOKED_AT: usize = 50;

/// One tenant's operators and those who wait for them.
#[derive(Debug, Clone)]
pub struct Desk {
    settings: Settings,
    now: UnixMillis,
    seats: BTreeMap<OperatorId, Seat>,
    queue: Queue,
    talks: BTreeMap<AttemptId, OperatorId>,
    /// How long operators were taken by each of the last talks, writing down included.
    taken: VecDeque<u64>,
    actions: VecDeque<Action>,
}

impl Desk {
    /// A desk without operators.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            now: UnixMillis(i64::MIN),
            seats: BTreeMap::new(),
            queue: Queue::default(),
            talks: BTreeMap::new(),
            taken: VecDeque::new(),
            actions: VecDeque::new(),
        }
    }

    /// A desk that goes on where the last one of the tenant was. Telephones that rang for that one must stop.
    pub fn restored(now: UnixMillis, settings: Settings, found: Found) -> Self {
        let mut desk = Self::new(settings);
        for (operator, presence) in found.operators {
            desk.sit_down(now, operator, presence);
        }
        for (_, seat) in desk.seats.iter_mut().filter(|(id, _)| found.without_phone.contains(*id)) {
            seat.lost = Some(now);
        }
        for talk in found.talks {
            desk.take_up(now, talk);
        }
        let mut callers = found.callers;
        callers.sort_by_key(|caller| caller.since);
        for caller in callers {
            desk.enter(now, caller, true);
        }
        desk.settle(now);
        desk
    }

    /// The settings were edited. What rings and who waits is left as it is.
    pub fn handle_settings(&mut self, now: UnixMillis, settings: Settings) {
        self.settings = settings;
        self.settle(now);
    }

    /// An operator was made or edited. One that is at the desk keeps the presence that he has there; a new one is
    /// «Не в сети».
    pub fn handle_operator(&mut self, now: UnixMillis, operator: Operator) {
        self.sit_down(now, operator, None);
        self.settle(now);
    }

    /// An operator was removed. A talk goes on to its end.
    pub fn handle_removed(&mut self, now: UnixMillis, operator: &OperatorId) {
        let now = self.at(now);
        let Some(seat) = self.seats.get_mut(operator) else { return };
        match seat.doing.clone() {
            Doing::Talking { .. } => seat.leaving = true,
            Doing::Idle { .. } => drop(self.seats.remove(operator)),
            Doing::Ringing { call, .. } => {
                self.actions.push_back(Action::StopRinging { call, operator: operator.clone() });
                self.passed_by(operator, Miss::WentAway);
                self.seats.remove(operator);
            }
        }
        self.settle(now);
    }

    /// An operator has chosen a status. During a talk it holds from the end of the talk on; while his telephone rings,
    /// whatever is not «Доступен» declines the call.
    pub fn handle_status(&mut self, now: UnixMillis, operator: &OperatorId, status: Status) {
        let now = self.at(now);
        let Some(seat) = self.seats.get_mut(operator).filter(|seat| !seat.leaving) else { return };
        let presence = &mut seat.presence;
        if (presence.status, presence.until, presence.misses) != (status, None, 0) {
            presence.turn(now, status);
            self.save(operator);
        }
        let Some(seat) = self.seats.get_mut(operator) else { return };
        seat.is_seen(now);
        match &seat.doing {
            // Who says that he is there need not rest.
            Doing::Idle { .. } if status == Status::Available => seat.doing = Doing::IDLE,
            Doing::Ringing { call, .. } if status != Status::Available => {
                let (call, operator) = (call.clone(), operator.clone());
                self.actions.push_back(Action::StopRinging { call, operator: operator.clone() });
                self.passed_by(&operator, Miss::WentAway);
            }
            _ => {}
        }
        self.settle(now);
    }

    /// Operators have a telephone now (one of theirs at least), or have none any more; of those who come back together, the
    /// one who waits longest is given the first caller. News of an operator who is not at the desk is lost: one who sits
    /// down has a telephone until told otherwise.
    pub fn handle_reach(&mut self, now: UnixMillis, news: impl IntoIterator<Item = (OperatorId, bool)>) {
        let now = self.at(now);
        for (operator, reachable) in news {
            self.reach(now, &operator, reachable);
        }
        self.settle(now);
    }

    fn reach(&mut self, now: UnixMillis, operator: &OperatorId, reachable: bool) {
        let Some(seat) = self.seats.get_mut(operator).filter(|seat| seat.is_reachable() != reachable) else {
            return;
        };
        seat.lost = (!reachable).then_some(now);
        match &seat.doing {
            // It was his telephone that had to rest, and this one is there.
            Doing::Idle { after: Some(Miss::Unreachable), .. } if reachable => seat.doing = Doing::IDLE,
            // Nobody can pick up any more.
            Doing::Ringing { call, .. } if !reachable => {
                let call = call.clone();
                self.actions.push_back(Action::StopRinging { call, operator: operator.clone() });
                self.passed_by(operator, Miss::Unreachable);
            }
            _ => {}
        }
    }

    /// A caller wants an operator. One who waits since earlier was given back by a telephone that stayed silent, and keeps his
    /// place however many came meanwhile.
    pub fn handle_caller(&mut self, now: UnixMillis, caller: Caller) {
        let comes_back = caller.since < self.now.max(now);
        self.enter(now, caller, comes_back);
        self.settle(now);
    }

    /// A talk that this desk did not begin goes on: the operator dialled himself, say.
    pub fn handle_talking(&mut self, now: UnixMillis, talk: Talk) {
        self.take_up(now, talk);
        self.settle(now);
    }

    /// An operator has picked up for this caller.
    pub fn handle_answered(&mut self, now: UnixMillis, call: &AttemptId, operator: &OperatorId) {
        let now = self.at(now);
        match self.seats.get(operator).map(|seat| &seat.doing) {
            Some(Doing::Ringing { call: his, .. }) if his == call => {
                let place = self.queue.leave(call).expect("a telephone rings for one who waits");
                let presence = &mut self.seats.get_mut(operator).expect("he was found just now").presence;
                if std::mem::take(&mut presence.misses) > 0 {
                    self.save(operator);
                }
                self.actions.push_back(Action::Connect { call: call.clone(), operator: operator.clone() });
                self.talk(now, call.clone(), operator, place.caller.group);
            }
            // Told twice.
            Some(Doing::Talking { call: his, .. }) if his == call => {}
            // He picked up when it was too late, or was not asked: nobody is there for him.
            _ => {
                let (call, operator) = (call.clone(), operator.clone());
                self.actions.push_back(Action::StopRinging { call, operator });
            }
        }
        self.settle(now);
    }

    /// An operator's telephone was not picked up for this caller: the next one's turn.
    pub fn handle_not_taken(&mut self, now: UnixMillis, call: &AttemptId, operator: &OperatorId, how: Miss) {
        let now = self.at(now);
        if matches!(self.seats.get(operator).map(|seat| &seat.doing), Some(Doing::Ringing { call: his, .. }) if his == call)
        {
            self.missed(operator, how);
        }
        self.settle(now);
    }

    /// The caller has hung up, or wants no operator any more.
    pub fn handle_left(&mut self, now: UnixMillis, call: &AttemptId) {
        let now = self.at(now);
        if let Some(place) = self.queue.leave(call) {
            let responsible = self.silence(&place);
            let (call, waited) = (call.clone(), place.waited(now));
            self.actions.push_back(Action::Lost { call, responsible, waited });
        }
        self.talk_over(call);
        self.settle(now);
    }

    /// The talk of this caller is over, whoever ended it.
    pub fn handle_talk_ended(&mut self, now: UnixMillis, call: &AttemptId) {
        let now = self.at(now);
        self.talk_over(call);
        self.settle(now);
    }

    /// A talk was none: the operator's telephone was picked up and stayed silent, or it was rung beside the queue
    /// ([`Desk::handle_talking`]) and nobody picked up. It counts as a call that he did not take, as `how` has it. The
    /// caller, if he is still there, comes again by [`Desk::handle_caller`].
    pub fn handle_no_talk(&mut self, now: UnixMillis, call: &AttemptId, how: Miss) {
        let now = self.at(now);
        if let Some(operator) = self.talks.remove(call) {
            if self.seats.get(&operator).is_some_and(|seat| seat.leaving) {
                self.seats.remove(&operator);
            } else {
                self.not_taken(&operator, how);
            }
        }
        self.settle(now);
    }

    /// Whoever was engaged with no caller ([`Desk::handle_talking`]: he has called a colleague, say) is free again. There
    /// is nothing to write down, and callers wait no longer for it.
    pub fn handle_disengaged(&mut self, now: UnixMillis, call: &AttemptId) {
        let now = self.at(now);
        if let Some(operator) = self.talks.remove(call) {
            if self.seats.get(&operator).is_some_and(|seat| seat.leaving) {
                self.seats.remove(&operator);
            } else {
                self.idle(&operator, Doing::IDLE);
            }
        }
        self.settle(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: UnixMillis) {
        self.settle(now);
    }

    /// What the driver shall do next; in this order.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Desk::handle_timeout`] is wanted, if nothing else happens before.
    pub fn poll_timeout(&self) -> Option<UnixMillis> {
        let tells = self.tell_every().is_some();
        let callers = self.queue.iter().map(|place| {
            if tells && place.ringing.is_none() { place.until.min(place.tell_at) } else { place.until }
        });
        let operators = self.seats.values().flat_map(|seat| {
            let rings = match &seat.doing {
                Doing::Ringing { until, .. } => Some(*until),
                Doing::Idle { rested, .. } if *rested > self.now => Some(*rested),
                Doing::Idle { .. } | Doing::Talking { .. } => None,
            };
            rings.into_iter().chain(seat.presence.until).chain(seat.gone_at(self.settings.lost_phone))
        });
        callers.chain(operators).min()
    }

    // --- what the functions above are made of

    fn sit_down(&mut self, now: UnixMillis, operator: Operator, stored: Option<Presence>) {
        let now = self.at(now);
        match self.seats.get_mut(&operator.id) {
            Some(seat) => {
                let id = operator.id.clone();
                seat.operator = operator;
                // Removed and made again in one talk: what was stored of him is gone.
                if std::mem::take(&mut seat.leaving) {
                    self.save(&id);
                }
            }
            None => {
                let new = Presence { since: now, ..Presence::default() };
                let presence = stored.map_or(new, |stored| stored.not_after(now));
                let seat = Seat { operator, presence, doing: Doing::IDLE, lost: None, leaving: false };
                self.seats.insert(seat.operator.id.clone(), seat);
            }
        }
    }

    fn enter(&mut self, now: UnixMillis, mut caller: Caller, comes_back: bool) {
        let now = self.at(now);
        caller.since = caller.since.min(now);
        if self.queue.contains(&caller.call) || self.talks.contains_key(&caller.call) {
            return;
        }
        let group = caller.group.as_ref();
        let why = if !self.seats.values().any(|seat| !seat.leaving && seat.operator.serves(group)) {
            GivenUp::NoSuchOperator
        } else {
            let is_full = self.queue.len() >= self.settings.most_callers.max(1) as usize;
            // Others wait for others: whoever is taken at once takes nobody's place.
            let waits = || !self.seats.values().any(|seat| seat.is_free(now) && seat.operator.serves(group));
            if !is_full || comes_back || !waits() {
                return self.queue.enter(now, caller);
            }
            GivenUp::QueueFull
        };
        let waited = Millis(u64::try_from(now.0.saturating_sub(caller.since.0)).unwrap_or(0));
        let call = caller.call;
        self.actions.push_back(Action::GiveUp { call, why, responsible: None, last: None, waited });
    }

    fn take_up(&mut self, now: UnixMillis, talk: Talk) {
        let now = self.at(now);
        let Talk { call, operator, group } = talk;
        if self.talks.contains_key(&call) {
            return;
        }
        match self.seats.get(&operator).map(|seat| seat.doing.clone()) {
            None | Some(Doing::Talking { .. }) => return,
            Some(Doing::Idle { .. }) => {}
            Some(Doing::Ringing { call: his, .. }) if his == call => {
                return self.handle_answered(now, &call, &operator);
            }
            Some(Doing::Ringing { call: other, .. }) => {
                self.actions.push_back(Action::StopRinging { call: other, operator: operator.clone() });
                self.passed_by(&operator, Miss::Busy);
            }
        }
        if let Some(place) = self.queue.leave(&call) {
            self.silence(&place);
        }
        self.talk(now, call, &operator, group);
    }

    fn at(&mut self, now: UnixMillis) -> UnixMillis {
        self.now = self.now.max(now);
        self.now
    }

    fn tell_every(&self) -> Option<Millis> {
        self.settings.tell_every.filter(|every| every.0 > 0)
    }

    fn save(&mut self, operator: &OperatorId) {
        let Some(seat) = self.seats.get(operator).filter(|seat| !seat.leaving) else { return };
        let presence = seat.presence.clone();
        self.actions.push_back(Action::Save { operator: operator.clone(), presence });
    }

    fn idle(&mut self, operator: &OperatorId, idle: Doing) {
        if let Some(seat) = self.seats.get_mut(operator) {
            seat.doing = idle;
        }
    }

    fn talk(&mut self, now: UnixMillis, call: AttemptId, operator: &OperatorId, group: Option<Group>) {
        if let Some(seat) = self.seats.get_mut(operator) {
            seat.doing = Doing::Talking { call: call.clone(), since: now, group };
            self.talks.insert(call, operator.clone());
        }
    }

    /// The telephone that rings for one who has just left the queue.
    fn silence(&mut self, place: &Place) -> Option<OperatorId> {
        let operator = place.ringing.clone()?;
        let call = place.caller.call.clone();
        self.actions.push_back(Action::StopRinging { call, operator: operator.clone() });
        self.idle(&operator, Doing::IDLE);
        Some(operator)
    }

    /// The caller for whom this operator's telephone rings goes back to waiting, where he stood.
    fn passed_by(&mut self, operator: &OperatorId, how: Miss) {
        let Some(seat) = self.seats.get_mut(operator) else { return };
        let Some(call) = seat.doing.call().cloned() else { return };
        seat.doing = Doing::IDLE;
        if let Some(place) = self.queue.get_mut(&call) {
            place.ringing = None;
            place.last = Some(how);
            *place.tries.entry(operator.clone()).or_default() += 1;
        }
        self.actions.push_back(Action::Missed { call, operator: operator.clone(), how });
    }

    /// The same when the operator did not take the call. It counts against him, unless he was engaged, so that he is there
    /// and will be free again, or out of reach, which is no fault of his.
    fn missed(&mut self, operator: &OperatorId, how: Miss) {
        self.passed_by(operator, how);
        self.not_taken(operator, how);
    }

    fn not_taken(&mut self, operator: &OperatorId, how: Miss) {
        let now = self.now;
        let Some(seat) = self.seats.get_mut(operator) else { return };
        seat.doing = Doing::Idle { rested: now.plus(self.settings.rest.into()), after: Some(how) };
        if matches!(how, Miss::Busy | Miss::Unreachable) {
            return;
        }
        let presence = &mut seat.presence;
        presence.misses = presence.misses.saturating_add(1);
        if let Some(rule) = self.settings.after_misses
            && presence.misses >= rule.in_a_row.max(1)
            && presence.status == Status::Available
        {
            presence.turn(now, rule.status);
        }
        self.save(operator);
    }

    fn talk_over(&mut self, call: &AttemptId) {
        let now = self.now;
        let Some(operator) = self.talks.remove(call) else { return };
        let Some(seat) = self.seats.get_mut(&operator) else { return };
        let Doing::Talking { since, group, .. } = std::mem::replace(&mut seat.doing, Doing::IDLE) else {
            return;
        };
        if seat.leaving {
            self.seats.remove(&operator);
            return;
        }
        seat.is_seen(now);
        let wrap_up = self.settings.wrap_up(&seat.operator, group.as_ref());
        let presence = &mut seat.presence;
        presence.last_talk = Some(now);
        // Who chose a break in mid-talk has it now.
        if presence.status == Status::Available && wrap_up > Millis(0) {
            (presence.status, presence.since) = (Status::WrapUp, now);
            presence.until = Some(now.plus(wrap_up.into()));
        }
        self.taken
            .push_back(u64::try_from(now.0.saturating_sub(since.0)).unwrap_or(0).saturating_add(wrap_up.0));
        if self.taken.len() > TALKS_LOOKED_AT {
            self.taken.pop_front();
        }
        self.save(&operator);
    }

    /// Ends what is over, and gives whoever is free to whoever waits.
    fn settle(&mut self, now: UnixMillis) {
        let now = self.at(now);
        self.end_waits(now);
        self.end_rings(now);
        self.send_home(now);
        self.end_wrap_ups(now);
        self.give(now);
        self.tell(now);
    }

    fn end_waits(&mut self, now: UnixMillis) {
        let over = |place: &&Place| place.until <= now;
        let over: Vec<AttemptId> =
            self.queue.iter().filter(over).map(|place| place.caller.call.clone()).collect();
        for call in over {
            let Some(place) = self.queue.leave(&call) else { continue };
            let responsible = self.silence(&place);
            let (why, waited) = (GivenUp::WaitedLongEnough, place.waited(now));
            self.actions.push_back(Action::GiveUp { call, why, responsible, last: place.last, waited });
        }
    }

    fn end_rings(&mut self, now: UnixMillis) {
        let mut over = Vec::new();
        for seat in self.seats.values() {
            if let Doing::Ringing { call, until } = &seat.doing
                && *until <= now
            {
                over.push((call.clone(), seat.operator.id.clone()));
            }
        }
        for (call, operator) in over {
            self.actions.push_back(Action::StopRinging { call, operator: operator.clone() });
            self.missed(&operator, Miss::NoAnswer);
        }
    }

    /// Those who have been without a telephone for too long are not waited for.
    fn send_home(&mut self, now: UnixMillis) {
        let lost_phone = self.settings.lost_phone;
        let mut gone = Vec::new();
        for (id, seat) in &mut self.seats {
            if seat.gone_at(lost_phone).is_some_and(|gone_at| gone_at <= now) {
                seat.presence.turn(now, Status::Offline);
                gone.push(id.clone());
            }
        }
        gone.iter().for_each(|operator| self.save(operator));
    }

    fn end_wrap_ups(&mut self, now: UnixMillis) {
        let mut over = Vec::new();
        for (id, seat) in &mut self.seats {
            if seat.presence.until.is_some_and(|until| until <= now) {
                let presence = &mut seat.presence;
                (presence.status, presence.since, presence.until) = (Status::Available, now, None);
                over.push(id.clone());
            }
        }
        over.iter().for_each(|operator| self.save(operator));
    }

    /// Whoever came first chooses first. One pass is enough: nobody becomes free by it.
    fn give(&mut self, now: UnixMillis) {
        let mut free: Vec<&Seat> = self.seats.values().filter(|seat| seat.is_free(now)).collect();
        let mut given = Vec::new();
        for place in self.queue.iter_mut().filter(|place| place.ringing.is_none()) {
            if free.is_empty() {
                break;
            }
            let group = place.caller.group.as_ref();
            let suited = free.iter().enumerate().filter(|(_, seat)| seat.operator.serves(group));
            let Some((at, _)) = suited.min_by_key(|(_, seat)| place.rank(seat)) else { continue };
            let operator = free.swap_remove(at).operator.id.clone();
            place.ringing = Some(operator.clone());
            given.push((place.caller.call.clone(), operator));
        }
        let until = now.plus(self.settings.ring.into());
        for (call, operator) in given {
            self.idle(&operator, Doing::Ringing { call: call.clone(), until });
            self.actions.push_back(Action::Ring { call, operator });
        }
    }

    fn tell(&mut self, now: UnixMillis) {
        let Some(every) = self.tell_every() else { return };
        let mut due = Vec::new();
        for place in self.queue.iter_mut().filter(|place| place.ringing.is_none() && place.tell_at <= now) {
            place.tell_at = now.plus(every.into());
            due.push(place.caller.call.clone());
        }
        for call in due {
            let Some(position) = self.position(&call) else { continue };
            let wait = self.estimate(&call);
            self.actions.push_back(Action::TellPosition { call, position, wait });
        }
    }
}
