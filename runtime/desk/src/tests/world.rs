//! The second model: it knows nothing of queues, follows what is said and done, and judges each thing that the desk does.

use std::collections::{BTreeMap, BTreeSet};

use zvonar_model::{AttemptId, OperatorId, UnixMillis};

use super::script::group;
use crate::{Action, Caller, Desk, Doing, GivenUp, Group, Miss, Presence, Settings, Status};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Phone {
    /// Until when it rests, and whether it could not be reached.
    Idle {
        rested: UnixMillis,
        unreached: bool,
    },
    Ringing(AttemptId, UnixMillis),
    Talking(AttemptId, Option<Group>),
}

pub(super) const IDLE: Phone = Phone::Idle { rested: UnixMillis(i64::MIN), unreached: false };

#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) groups: BTreeSet<Group>,
    pub(super) presence: Presence,
    pub(super) phone: Phone,
    /// Since when he has no telephone, or since he was last seen without one.
    pub(super) lost: Option<UnixMillis>,
    pub(super) fired: bool,
}

/// What was said last, which explains what is done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    Nothing,
    Came(AttemptId),
    Answered(AttemptId, OperatorId),
    NotTaken(AttemptId, OperatorId, Miss),
    WentAway(OperatorId),
    LostPhone(OperatorId),
    Left(AttemptId),
    Dialled(OperatorId),
}

/// The second model.
pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) now: UnixMillis,
    pub(super) people: BTreeMap<OperatorId, Person>,
    /// Everybody who waits, as they came.
    pub(super) waiting: Vec<Caller>,
    pub(super) tries: BTreeMap<(AttemptId, OperatorId), u32>,
    pub(super) ended: BTreeSet<AttemptId>,
    pub(super) stored: BTreeMap<OperatorId, Presence>,
    pub(super) said: Said,
}

impl World {
    pub(super) fn rings_for(&self, call: &AttemptId) -> Option<&OperatorId> {
        let mut all =
            self.people.iter().filter(|(_, one)| matches!(&one.phone, Phone::Ringing(his, _) if his == call));
        let first = all.next().map(|(id, _)| id);
        assert_eq!(all.next().map(|(id, _)| id), None, "two telephones ring for {call}");
        first
    }

    pub(super) fn talks_with(&self, call: &AttemptId) -> Option<OperatorId> {
        let talks = |one: &Person| matches!(&one.phone, Phone::Talking(his, _) if his == call);
        self.people.iter().find(|(_, one)| talks(one)).map(|(id, _)| id.clone())
    }

    pub(super) fn is_free(&self, one: &Person) -> bool {
        one.presence.status == Status::Available
            && one.lost.is_none()
            && matches!(one.phone, Phone::Idle { rested, .. } if rested <= self.now)
    }

    pub(super) fn serves(one: &Person, group: Option<&Group>) -> bool {
        group.is_none_or(|group| one.groups.contains(group))
    }

    /// Takes one thing that the desk does, and judges it.
    pub(super) fn take(&mut self, action: &Action) {
        let now = self.now;
        match action {
            Action::Ring { call, operator } => {
                let one = &self.people[operator];
                assert!(self.is_free(one), "{operator} is not free: {one:?}");
                let at = self.waiting.iter().position(|caller| caller.call == *call).expect("he waits");
                assert_eq!(self.rings_for(call), None);
                for earlier in &self.waiting[..at] {
                    let passed =
                        self.rings_for(&earlier.call).is_none() && Self::serves(one, earlier.group.as_ref());
                    assert!(!passed, "{operator} is asked for {call}, but {} came before", earlier.call);
                }
                let wanted = self.waiting[at].group.as_ref();
                let rank = |id: &OperatorId, one: &Person| {
                    let tries = self.tries.get(&(call.clone(), id.clone())).copied().unwrap_or(0);
                    (tries, one.presence.last_talk, id.clone())
                };
                let first =
                    self.people.iter().filter(|(_, one)| self.is_free(one) && Self::serves(one, wanted));
                let first = first.min_by_key(|(id, one)| rank(id, one)).map(|(id, _)| id.clone());
                assert_eq!(first.as_ref(), Some(operator), "somebody waits longer for a call");
                let until = now.plus(self.settings.ring.into());
                self.people.get_mut(operator).unwrap().phone = Phone::Ringing(call.clone(), until);
            }
            Action::StopRinging { call, operator } => {
                let rings = self.people.get(operator).map(|one| &one.phone);
                let rings = matches!(rings, Some(Phone::Ringing(his, _)) if his == call);
                if !rings {
                    let crossed = Said::Answered(call.clone(), operator.clone());
                    assert_eq!(self.said, crossed, "a telephone that does not ring is silenced");
                }
            }
            Action::Missed { call, operator, how } => {
                let Some(Phone::Ringing(his, until)) = self.people.get(operator).map(|one| one.phone.clone())
                else {
                    panic!("{operator} does not ring");
                };
                assert_eq!(&his, call);
                let said = match how {
                    Miss::WentAway => self.said == Said::WentAway(operator.clone()),
                    Miss::Unreachable if self.said == Said::LostPhone(operator.clone()) => true,
                    Miss::Busy if self.said == Said::Dialled(operator.clone()) => true,
                    how => self.said == Said::NotTaken(call.clone(), operator.clone(), *how),
                };
                assert!(said || (*how == Miss::NoAnswer && until <= now), "nobody said {how:?}");
                *self.tries.entry((call.clone(), operator.clone())).or_default() += 1;
                let (rest, rule) = (self.settings.rest, self.settings.after_misses);
                let dialled = matches!(self.said, Said::Dialled(_) | Said::LostPhone(_));
                let one = self.people.get_mut(operator).unwrap();
                let rests = *how != Miss::WentAway && !dialled;
                let unreached = *how == Miss::Unreachable;
                one.phone =
                    if rests { Phone::Idle { rested: now.plus(rest.into()), unreached } } else { IDLE };
                if one.fired {
                    self.people.remove(operator);
                } else if rests && !unreached && *how != Miss::Busy {
                    one.presence.misses += 1;
                    if let Some(rule) = rule
                        && one.presence.misses >= rule.in_a_row
                    {
                        one.presence.misses = 0;
                        (one.presence.status, one.presence.since) = (rule.status, now);
                    }
                }
            }
            Action::Connect { call, operator } => {
                assert_eq!(self.said, Said::Answered(call.clone(), operator.clone()));
                assert_eq!(self.rings_for(call), Some(operator));
                let at = self.waiting.iter().position(|caller| caller.call == *call).expect("he waits");
                let group = self.waiting.remove(at).group;
                let one = self.people.get_mut(operator).unwrap();
                (one.phone, one.presence.misses) = (Phone::Talking(call.clone(), group), 0);
                self.ends(call);
            }
            Action::GiveUp { call, why, responsible, waited, .. } => {
                let rang = self.rings_for(call).cloned();
                assert_eq!(*responsible, rang);
                let at = self.waiting.iter().position(|caller| caller.call == *call);
                match why {
                    GivenUp::WaitedLongEnough => {
                        let caller = self.waiting.remove(at.expect("he waits"));
                        assert_eq!(now, caller.since.plus(caller.longest_wait.into()).max(caller.since));
                        assert_eq!(*waited, caller.longest_wait);
                    }
                    // He came just now, and was counted among them by us.
                    GivenUp::QueueFull | GivenUp::NoSuchOperator => {
                        assert_eq!(self.said, Said::Came(call.clone()));
                        let caller = self.waiting.remove(at.expect("he came"));
                        let mut people = self.people.values();
                        let served = people.any(|one| !one.fired && Self::serves(one, caller.group.as_ref()));
                        assert_eq!(served, *why == GivenUp::QueueFull);
                        // Some more may be there: who was taken at once, and came back.
                        assert!(!served || self.waiting.len() >= self.settings.most_callers as usize);
                    }
                }
                self.silenced(rang);
                self.ends(call);
            }
            Action::Lost { call, responsible, .. } => {
                assert_eq!(self.said, Said::Left(call.clone()));
                let rang = self.rings_for(call).cloned();
                assert_eq!(*responsible, rang);
                self.waiting.retain(|caller| caller.call != *call);
                self.silenced(rang);
                self.ends(call);
            }
            Action::Save { operator, presence } => {
                self.stored.insert(operator.clone(), presence.clone());
            }
            Action::TellPosition { call, position, .. } => {
                assert_eq!(self.rings_for(call), None);
                assert_eq!(*position, self.position(call));
            }
        }
    }

    pub(super) fn silenced(&mut self, operator: Option<OperatorId>) {
        if let Some(operator) = operator {
            self.people.get_mut(&operator).unwrap().phone = IDLE;
        }
    }

    pub(super) fn ends(&mut self, call: &AttemptId) {
        assert!(self.ended.insert(call.clone()), "{call} leaves the desk twice");
    }

    pub(super) fn position(&self, call: &AttemptId) -> u32 {
        let at = self.waiting.iter().position(|caller| caller.call == *call).expect("he waits");
        let wanted = self.waiting[at].group.as_ref();
        let rival = |other: &Caller| {
            other.group.as_ref() == wanted
                || self.people.values().any(|one| {
                    matches!(one.presence.status, Status::Available | Status::WrapUp)
                        && !one.fired
                        && Self::serves(one, wanted)
                        && Self::serves(one, other.group.as_ref())
                })
        };
        self.waiting[..at].iter().filter(|other| rival(other)).count() as u32 + 1
    }

    /// A talk is over, if there is one.
    pub(super) fn talk_over(&mut self, call: &AttemptId) {
        let Some(operator) = self.talks_with(call) else { return };
        let one = self.people.get_mut(&operator).unwrap();
        let Phone::Talking(_, group) = std::mem::replace(&mut one.phone, IDLE) else { unreachable!() };
        if one.fired {
            self.people.remove(&operator);
            return;
        }
        one.presence.last_talk = Some(self.now);
        one.lost = one.lost.map(|_| self.now);
        let of_group = group.and_then(|group| self.settings.wrap_up_of.get(&group).copied());
        let wrap_up = of_group.unwrap_or(self.settings.wrap_up);
        if one.presence.status == Status::Available && wrap_up.0 > 0 {
            (one.presence.status, one.presence.since) = (Status::WrapUp, self.now);
            one.presence.until = Some(self.now.plus(wrap_up.into()));
        }
    }

    /// What must hold whenever the desk has nothing more to do.
    pub(super) fn judge(&self, desk: &Desk) {
        for caller in &self.waiting {
            assert!(
                caller.since.plus(caller.longest_wait.into()) > self.now,
                "{} waits too long",
                caller.call
            );
            assert!(!self.ended.contains(&caller.call) && self.talks_with(&caller.call).is_none());
            if self.rings_for(&caller.call).is_none() {
                for (id, one) in &self.people {
                    let could = self.is_free(one) && Self::serves(one, caller.group.as_ref());
                    assert!(!could, "{} waits while {id} is free", caller.call);
                }
            }
            assert_eq!(desk.position(&caller.call), Some(self.position(&caller.call)));
        }
        let theirs: Vec<&Caller> = desk.callers().collect();
        assert_eq!(theirs, self.waiting.iter().collect::<Vec<_>>());
        let seats: Vec<_> =
            desk.seats().map(|seat| (seat.operator.id.clone(), seat.presence.clone())).collect();
        let people: Vec<_> = self.people.iter().map(|(id, one)| (id.clone(), one.presence.clone())).collect();
        assert_eq!(seats, people);
        for (seat, (id, one)) in desk.seats().zip(&self.people) {
            let same = match (&seat.doing, &one.phone) {
                (Doing::Idle { .. }, Phone::Idle { .. }) => true,
                (Doing::Ringing { call, until }, Phone::Ringing(his, his_until)) => {
                    assert!(*until > self.now, "{id} rings too long");
                    call == his && until == his_until
                }
                (Doing::Talking { call, .. }, Phone::Talking(his, _)) => call == his,
                _ => false,
            };
            assert!(same && seat.is_reachable() == one.lost.is_none(), "{id}: {seat:?}, {one:?}");
            let stored = self.stored.get(id).cloned().unwrap_or_default();
            let unsaved = one.presence.status == Status::Offline && one.presence.last_talk.is_none();
            assert!(one.fired || unsaved || stored == one.presence, "{id}: {stored:?}, {one:?}");
        }
        for wants in super::history::GROUPS.map(group) {
            let wants = wants.as_ref();
            let silent =
                |caller: &&Caller| caller.group.as_ref() == wants && self.rings_for(&caller.call).is_none();
            assert_eq!(desk.waiting_for(wants) as usize, self.waiting.iter().filter(silent).count());
            let free = |one: &&Person| self.is_free(one) && Self::serves(one, wants);
            assert_eq!(desk.free(wants) as usize, self.people.values().filter(free).count());
        }
    }
}
