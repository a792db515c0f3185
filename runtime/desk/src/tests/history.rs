//! Random days, with restarts: each thing the desk does must be the right one by the second model.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use zvonar_model::{AttemptId, Millis, OperatorId, UnixMillis};

use super::script::{at, call, group, operator};
use super::world::{IDLE, Person, Phone, Said, World};
use crate::{
    Action, AfterMisses, Caller, Desk, Found, GivenUp, Group, Miss, Operator, Presence, Settings, Status,
    Talk,
};

const OPERATORS: [&str; 4] = ["olga", "ivan", "vera", "pavel"];
pub(super) const GROUPS: [&str; 3] = ["anybody", "sales", "debts"];
const MISSES: [Miss; 4] = [Miss::NoAnswer, Miss::Busy, Miss::Declined, Miss::Unreachable];

#[derive(Debug, Clone)]
enum Event {
    Made(usize, BTreeSet<usize>),
    Fired(usize),
    Chose(usize, Status),
    /// His telephone is there, or gone.
    Reach(usize, bool),
    Came {
        wants: usize,
        longest_wait: u64,
    },
    /// The same call once more.
    CameAgain(usize),
    /// Whoever rings picks up.
    Answered(usize),
    /// Anybody claims to have picked up for any call.
    AnsweredUnasked(usize, usize),
    NotTaken(usize, Miss),
    NotTakenUnasked(usize, usize, Miss),
    Left(usize),
    TalkEnded(usize),
    Dialled(usize),
    Crashed,
}

fn events() -> impl Strategy<Value = Event> {
    let who = 0..OPERATORS.len();
    let which = 0usize..64;
    let groups = prop::collection::btree_set(1..GROUPS.len(), 0..3);
    prop_oneof![
        3 => (who.clone(), groups).prop_map(|(who, groups)| Event::Made(who, groups)),
        1 => who.clone().prop_map(Event::Fired),
        2 => (who.clone(), prop::sample::select(&Status::ALL[..])).prop_map(|(who, status)| Event::Chose(who, status)),
        6 => who.clone().prop_map(|who| Event::Chose(who, Status::Available)),
        6 => (who.clone(), any::<bool>()).prop_map(|(who, there)| Event::Reach(who, there)),
        12 => (0..GROUPS.len(), 0u64..90).prop_map(|(wants, longest_wait)| Event::Came { wants, longest_wait }),
        1 => which.clone().prop_map(Event::CameAgain),
        8 => who.clone().prop_map(Event::Answered),
        2 => (who.clone(), which.clone()).prop_map(|(who, which)| Event::AnsweredUnasked(who, which)),
        4 => (who.clone(), prop::sample::select(&MISSES[..])).prop_map(|(who, how)| Event::NotTaken(who, how)),
        1 => (who.clone(), which.clone(), prop::sample::select(&MISSES[..]))
            .prop_map(|(who, which, how)| Event::NotTakenUnasked(who, which, how)),
        3 => which.clone().prop_map(Event::Left),
        6 => which.prop_map(Event::TalkEnded),
        1 => who.prop_map(Event::Dialled),
        1 => Just(Event::Crashed),
    ]
}

/// The desk and the second model, side by side.
struct Day {
    desk: Desk,
    world: World,
    calls: Vec<AttemptId>,
}

impl Day {
    fn new(settings: Settings) -> Self {
        let world = World {
            settings: settings.clone(),
            now: at(0),
            people: BTreeMap::new(),
            waiting: Vec::new(),
            tries: BTreeMap::new(),
            ended: BTreeSet::new(),
            stored: BTreeMap::new(),
            said: Said::Nothing,
        };
        Self { desk: Desk::new(settings), world, calls: Vec::new() }
    }

    fn settled(&mut self) {
        // What is due by the clock, before anything that is done is judged.
        let now = self.world.now;
        for one in self.world.people.values_mut() {
            let is_given_calls = match one.presence.status {
                Status::Available => true,
                Status::WrapUp => one.presence.until.is_some(),
                _ => false,
            };
            let is_lost =
                one.lost.is_some_and(|lost| lost.plus(self.world.settings.lost_phone.into()) <= now);
            if is_lost && is_given_calls && matches!(one.phone, Phone::Idle { .. }) {
                let last_talk = one.presence.last_talk;
                one.presence =
                    Presence { status: Status::Offline, since: now, until: None, misses: 0, last_talk };
            }
            if one.presence.until.is_some_and(|until| until <= now) {
                (one.presence.status, one.presence.since, one.presence.until) =
                    (Status::Available, now, None);
            }
        }
        while let Some(action) = self.desk.poll_action() {
            self.world.take(&action);
        }
        self.world.judge(&self.desk);
        self.world.said = Said::Nothing;
    }

    /// Lets the clock run to this moment, a timer at a time.
    fn until(&mut self, end: UnixMillis) {
        while let Some(timer) = self.desk.poll_timeout().filter(|timer| *timer <= end) {
            assert!(timer > self.world.now, "a timer that never ends");
            self.world.now = timer;
            self.desk.handle_timeout(timer);
            self.settled();
        }
        self.world.now = end;
    }

    fn call(&self, which: usize) -> Option<AttemptId> {
        self.calls.get(which % self.calls.len().max(1)).cloned()
    }

    fn rung(&self, who: usize) -> Option<(AttemptId, OperatorId)> {
        let who = operator(OPERATORS[who]);
        match &self.world.people.get(&who)?.phone {
            Phone::Ringing(call, _) => Some((call.clone(), who)),
            _ => None,
        }
    }

    fn happens(&mut self, event: Event) {
        let now = self.world.now;
        let world = &mut self.world;
        match event {
            Event::Made(who, groups) => {
                let id = operator(OPERATORS[who]);
                let groups: BTreeSet<Group> = groups.into_iter().filter_map(|at| group(GROUPS[at])).collect();
                let new = Person {
                    groups: groups.clone(),
                    presence: Presence { since: now, ..Presence::default() },
                    phone: IDLE,
                    lost: None,
                    fired: false,
                };
                let one = world.people.entry(id.clone()).or_insert(new);
                (one.groups, one.fired) = (groups.clone(), false);
                self.desk.handle_operator(now, Operator { id, groups, wrap_up: None });
            }
            Event::Fired(who) => {
                let id = operator(OPERATORS[who]);
                world.said = Said::WentAway(id.clone());
                if let Some(one) = world.people.get_mut(&id) {
                    one.fired = true;
                    if matches!(one.phone, Phone::Idle { .. }) {
                        world.people.remove(&id);
                    }
                }
                world.stored.remove(&id);
                self.desk.handle_removed(now, &id);
            }
            Event::Chose(who, status) => {
                let id = operator(OPERATORS[who]);
                if let Some(one) = world.people.get_mut(&id).filter(|one| !one.fired) {
                    let presence = &one.presence;
                    if (presence.status, presence.until, presence.misses) != (status, None, 0) {
                        one.presence = Presence {
                            status,
                            since: now,
                            until: None,
                            misses: 0,
                            last_talk: presence.last_talk,
                        };
                    }
                    one.lost = one.lost.map(|_| now);
                    if status == Status::Available && matches!(one.phone, Phone::Idle { .. }) {
                        one.phone = IDLE;
                    }
                    if status != Status::Available {
                        world.said = Said::WentAway(id.clone());
                    }
                }
                self.desk.handle_status(now, &id, status);
            }
            Event::Reach(who, there) => {
                let id = operator(OPERATORS[who]);
                if let Some(one) = world.people.get_mut(&id)
                    && one.lost.is_none() != there
                {
                    one.lost = (!there).then_some(now);
                    if there && matches!(one.phone, Phone::Idle { unreached: true, .. }) {
                        one.phone = IDLE;
                    }
                }
                world.said = Said::LostPhone(id.clone());
                self.desk.handle_reach(now, &id, there);
            }
            Event::Came { wants, longest_wait } => {
                let call = call(&format!("c{}", self.calls.len()));
                self.calls.push(call.clone());
                world.said = Said::Came(call.clone());
                let longest_wait = Millis(longest_wait * 1_000 + 1);
                let caller =
                    Caller { call, project: None, group: group(GROUPS[wants]), since: now, longest_wait };
                world.waiting.push(caller.clone());
                self.desk.handle_caller(now, caller);
            }
            Event::CameAgain(which) => {
                let Some(caller) = world.waiting.get(which % world.waiting.len().max(1)).cloned() else {
                    return;
                };
                self.desk.handle_caller(now, Caller { since: now, ..caller });
            }
            Event::Answered(who) => {
                let Some((call, id)) = self.rung(who) else { return };
                self.world.said = Said::Answered(call.clone(), id.clone());
                self.desk.handle_answered(now, &call, &id);
            }
            Event::AnsweredUnasked(who, which) => {
                let Some(call) = self.call(which) else { return };
                let id = operator(OPERATORS[who]);
                self.world.said = Said::Answered(call.clone(), id.clone());
                self.desk.handle_answered(now, &call, &id);
            }
            Event::NotTaken(who, how) => {
                let Some((call, id)) = self.rung(who) else { return };
                self.world.said = Said::NotTaken(call.clone(), id.clone(), how);
                self.desk.handle_not_taken(now, &call, &id, how);
            }
            Event::NotTakenUnasked(who, which, how) => {
                let Some(call) = self.call(which) else { return };
                let id = operator(OPERATORS[who]);
                self.world.said = Said::NotTaken(call.clone(), id.clone(), how);
                self.desk.handle_not_taken(now, &call, &id, how);
            }
            Event::Left(which) => {
                let Some(call) = self.call(which) else { return };
                self.world.said = Said::Left(call.clone());
                self.world.talk_over(&call);
                self.desk.handle_left(now, &call);
            }
            Event::TalkEnded(which) => {
                let talks: Vec<AttemptId> = world
                    .people
                    .values()
                    .filter_map(|one| match &one.phone {
                        Phone::Talking(call, _) => Some(call.clone()),
                        _ => None,
                    })
                    .collect();
                let Some(call) = talks.get(which % talks.len().max(1)).cloned() else { return };
                world.talk_over(&call);
                self.desk.handle_talk_ended(now, &call);
            }
            Event::Dialled(who) => {
                let id = operator(OPERATORS[who]);
                let own = call(&format!("own{}", self.calls.len()));
                self.calls.push(own.clone());
                world.ended.insert(own.clone());
                let talk = Talk { call: own.clone(), operator: id.clone(), group: None };
                world.said = Said::Dialled(id.clone());
                self.desk.handle_talking(now, talk);
                // What rang is missed first.
                while let Some(action) = self.desk.poll_action() {
                    if matches!(action, Action::Ring { .. }) {
                        world.said = Said::Dialled(id.clone());
                    }
                    if let Action::Ring { .. } = action {
                        Self::dials(world, &id, &own);
                    }
                    world.take(&action);
                }
                Self::dials(world, &id, &own);
            }
            Event::Crashed => self.crash(),
        }
        self.settled();
    }

    fn dials(world: &mut World, id: &OperatorId, own: &AttemptId) {
        if let Some(one) = world.people.get_mut(id)
            && matches!(one.phone, Phone::Idle { .. })
        {
            one.phone = Phone::Talking(own.clone(), None);
        }
    }

    /// The desk is gone; a new one is told what was stored, who talks, and who waits, in any order.
    fn crash(&mut self) {
        let world = &mut self.world;
        world.people.retain(|_, one| !one.fired);
        world.tries.clear();
        let mut found = Found::default();
        for (id, one) in world.people.iter_mut().rev() {
            let operator = Operator { id: id.clone(), groups: one.groups.clone(), wrap_up: None };
            let stored = world.stored.get(id).cloned();
            if stored.is_none() {
                one.presence.since = world.now;
            }
            found.operators.push((operator, stored));
            // Whoever sets it up knows whose telephone is there, and not since when.
            one.lost = one.lost.map(|_| world.now);
            if one.lost.is_some() {
                found.without_phone.insert(id.clone());
            }
            match &one.phone {
                Phone::Talking(call, group) => {
                    found.talks.push(Talk { call: call.clone(), operator: id.clone(), group: group.clone() });
                }
                _ => one.phone = IDLE,
            }
        }
        // Those of one moment stand as they are told.
        found.callers = world.waiting.clone();
        found.callers.sort_by_key(|caller| std::cmp::Reverse(caller.since));
        let mut told = found.callers.clone();
        told.sort_by_key(|caller| caller.since);
        world.waiting.clear();
        // Whose operators are all gone by now is told at once.
        for caller in told {
            let served = world.people.values().any(|one| World::serves(one, caller.group.as_ref()));
            if served {
                world.waiting.push(caller);
            } else {
                world.ended.insert(caller.call.clone());
            }
        }
        self.desk = Desk::restored(world.now, world.settings.clone(), found);
        let mut kept = Vec::new();
        while let Some(action) = self.desk.poll_action() {
            if !matches!(&action, Action::GiveUp { why: GivenUp::NoSuchOperator, .. }) {
                kept.push(action);
            }
        }
        kept.iter().for_each(|action| world.take(action));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_right_one_is_asked_and_everybody_leaves_once(
        (ring, rest, wrap_up, of_debts, lost_phone) in (1u64..30, 0u64..20, 0u64..30, 0u64..30, 1u64..60),
        misses in prop::option::of((1u32..4, prop::sample::select(&Status::ALL[1..]))),
        tell_every in prop::option::of(1u64..40),
        most_callers in 1u32..8,
        steps in prop::collection::vec((prop_oneof![Just(0u64), 1u64..3_000, 1u64..30_000], events()), 1..120),
    ) {
        let mut day = Day::new(Settings {
            ring: Millis(ring * 1_000),
            wrap_up: Millis(wrap_up * 1_000),
            wrap_up_of: [(Group::new("debts").unwrap(), Millis(of_debts * 1_000))].into(),
            rest: Millis(rest * 1_000),
            after_misses: misses.map(|(in_a_row, status)| AfterMisses { in_a_row, status }),
            lost_phone: Millis(lost_phone * 1_000),
            most_callers,
            tell_every: tell_every.map(|every| Millis(every * 1_000)),
        });
        for (name, status) in [("olga", Status::Available), ("ivan", Status::Available), ("vera", Status::Offline)] {
            let who = OPERATORS.iter().position(|other| *other == name).unwrap();
            day.happens(Event::Made(who, [1 + who % 2].into()));
            day.happens(Event::Chose(who, status));
        }
        for (wait, event) in steps {
            let then = UnixMillis(day.world.now.0 + wait as i64);
            day.until(then);
            day.happens(event);
        }
        // In the end everybody is served or told; talks go on as long as they like.
        let end = UnixMillis(day.world.now.0 + 100_000);
        day.until(end);
        prop_assert!(day.world.waiting.is_empty(), "{:?}", day.world.waiting);
        for call in &day.calls {
            prop_assert!(day.world.ended.contains(call), "nobody told {}", call);
        }
    }
}
