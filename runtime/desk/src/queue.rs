//! Those who wait, in the order in which they came.

use std::collections::{BTreeMap, BTreeSet};

use zvonar_model::{AttemptId, Millis, OperatorId, UnixMillis};

use crate::{Caller, Group, Miss, Seat};

/// One who waits, with or without a telephone that rings for him.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) caller: Caller,
    /// When he has waited long enough.
    pub(crate) until: UnixMillis,
    /// Whose telephone rings for him.
    pub(crate) ringing: Option<OperatorId>,
    /// How often each operator was asked for him in vain: those who were not come first.
    pub(crate) tries: BTreeMap<OperatorId, u32>,
    /// How the last of them did not take it.
    pub(crate) last: Option<Miss>,
    /// When he is told his place next.
    pub(crate) tell_at: UnixMillis,
}

/// Since when, and the how-manieth of all: two who came in the same millisecond stand as they came.
type Ticket = (UnixMillis, u64);

/// All who wait.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    places: BTreeMap<Ticket, Place>,
    tickets: BTreeMap<AttemptId, Ticket>,
    came: u64,
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn contains(&self, call: &AttemptId) -> bool {
        self.tickets.contains_key(call)
    }

    /// Puts a caller where his time of coming belongs. He is not in it yet.
    pub(crate) fn enter(&mut self, now: UnixMillis, caller: Caller) {
        self.came += 1;
        let ticket = (caller.since, self.came);
        self.tickets.insert(caller.call.clone(), ticket);
        let place = Place {
            until: caller.since.plus(caller.longest_wait.into()),
            caller,
            ringing: None,
            tries: BTreeMap::new(),
            last: None,
            tell_at: now,
        };
        self.places.insert(ticket, place);
    }

    pub(crate) fn leave(&mut self, call: &AttemptId) -> Option<Place> {
        self.places.remove(&self.tickets.remove(call)?)
    }

    pub(crate) fn get(&self, call: &AttemptId) -> Option<&Place> {
        self.places.get(self.tickets.get(call)?)
    }

    pub(crate) fn get_mut(&mut self, call: &AttemptId) -> Option<&mut Place> {
        self.places.get_mut(self.tickets.get(call)?)
    }

    /// Who came first comes first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Place> {
        self.places.values()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Place> {
        self.places.values_mut()
    }

    /// How many come before this one or are this one, of those who may be given an operator of his.
    pub(crate) fn position<'a>(
        &self,
        call: &AttemptId,
        seats: impl Iterator<Item = &'a Seat>,
    ) -> Option<u32> {
        let ticket = self.tickets.get(call)?;
        let wanted = self.places.get(ticket)?.caller.group.as_ref();
        let mut rivals: BTreeSet<Option<&Group>> = BTreeSet::from([wanted]);
        for seat in seats.filter(|seat| seat.works() && seat.operator.serves(wanted)) {
            rivals.insert(None);
            rivals.extend(seat.operator.groups.iter().map(Some));
        }
        let before = self.places.range(..ticket).map(|(_, place)| place.caller.group.as_ref());
        Some(u32::try_from(before.filter(|group| rivals.contains(group)).count()).unwrap_or(u32::MAX - 1) + 1)
    }
}

impl Place {
    /// How long he has waited.
    pub(crate) fn waited(&self, now: UnixMillis) -> Millis {
        Millis(u64::try_from(now.0.saturating_sub(self.caller.since.0)).unwrap_or(0))
    }

    /// Who is asked first for him: whom he has been refused by least, and whose last talk is longest ago.
    pub(crate) fn rank<'a>(&self, seat: &'a Seat) -> (u32, Option<UnixMillis>, &'a OperatorId) {
        let tries = self.tries.get(&seat.operator.id).copied().unwrap_or(0);
        (tries, seat.presence.last_talk, &seat.operator.id)
    }
}
