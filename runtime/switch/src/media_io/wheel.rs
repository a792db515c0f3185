//! Whose turn it is in which millisecond: twenty slots, each a list of calls.
//!
//! The lists run through the calls by index, so putting a call in, taking it out and moving it cost the same few
//! writes, and nothing is allocated after the start.

/// Slots, one a millisecond: a call is visited every 20 ms.
pub(super) const SLOTS: u64 = 20;

const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Links {
    next: u32,
    before: u32,
    slot: u8,
}

/// In no list.
const OUT: Links = Links { next: NONE, before: NONE, slot: u8::MAX };

#[derive(Debug)]
pub(super) struct Wheel {
    links: Box<[Links]>,
    heads: [u32; SLOTS as usize],
    loads: [u32; SLOTS as usize],
}

impl Wheel {
    /// For calls numbered below `capacity`.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            links: vec![OUT; capacity].into_boxed_slice(),
            heads: [NONE; SLOTS as usize],
            loads: [0; SLOTS as usize],
        }
    }

    /// Puts a call where its next turn is in the millisecond `due`, from wherever it was.
    pub(super) fn put(&mut self, call: u32, due: u64) {
        self.remove(call);
        let slot = (due % SLOTS) as usize;
        let next = self.heads[slot];
        self.links[call as usize] = Links { next, before: NONE, slot: slot as u8 };
        if next != NONE {
            self.links[next as usize].before = call;
        }
        self.heads[slot] = call;
        self.loads[slot] += 1;
    }

    /// Takes a call out, if it is in.
    pub(super) fn remove(&mut self, call: u32) {
        let Links { next, before, slot } = std::mem::replace(&mut self.links[call as usize], OUT);
        if slot == OUT.slot {
            return;
        }
        if before == NONE {
            self.heads[usize::from(slot)] = next;
        } else {
            self.links[before as usize].next = next;
        }
        if next != NONE {
            self.links[next as usize].before = before;
        }
        self.loads[usize::from(slot)] -= 1;
    }

    /// The first call of a millisecond's slot.
    pub(super) fn first(&self, due: u64) -> Option<u32> {
        Some(self.heads[(due % SLOTS) as usize]).filter(|call| *call != NONE)
    }

    /// The call after this one. Read it before anything is done to this one.
    pub(super) fn next(&self, call: u32) -> Option<u32> {
        Some(self.links[call as usize].next).filter(|call| *call != NONE)
    }

    /// Of the milliseconds from `due` on, so many, the one with the fewest calls: streams that begin together are
    /// spread a little, so that they do not come in one burst for ever.
    pub(super) fn quietest(&self, due: u64, among: u64) -> u64 {
        (due..due + among).min_by_key(|due| self.loads[(due % SLOTS) as usize]).unwrap_or(due)
    }

    /// The first millisecond at or after `from` in which somebody has his turn.
    pub(super) fn next_due(&self, from: u64) -> Option<u64> {
        (from..from + SLOTS).find(|due| self.loads[(due % SLOTS) as usize] > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn members(wheel: &Wheel, slot: u64) -> Vec<u32> {
        let mut all: Vec<u32> = std::iter::successors(wheel.first(slot), |call| wheel.next(*call)).collect();
        all.sort_unstable();
        all
    }

    proptest! {
        #[test]
        fn calls_are_where_they_were_put(steps in proptest::collection::vec((0u32..30, proptest::option::of(0u64..100)), 0..300)) {
            let mut wheel = Wheel::new(30);
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            for (call, due) in steps {
                match due {
                    Some(due) => {
                        wheel.put(call, due);
                        model.insert(call, due % SLOTS);
                    }
                    None => {
                        wheel.remove(call);
                        model.remove(&call);
                    }
                }
            }
            for slot in 0..SLOTS {
                let expected: Vec<u32> = model.iter().filter(|(_, at)| **at == slot).map(|(call, _)| *call).collect();
                prop_assert_eq!(wheel.loads[slot as usize] as usize, expected.len());
                prop_assert_eq!(members(&wheel, slot), expected);
            }
            prop_assert_eq!(wheel.next_due(7), (7..27).find(|due| model.values().any(|at| *at == due % SLOTS)));
        }
    }

    #[test]
    fn a_crowd_is_spread_over_the_slots_it_may_have() {
        let mut wheel = Wheel::new(100);
        for call in 0..100 {
            let due = wheel.quietest(19, 4);
            wheel.put(call, due);
        }
        assert_eq!([19, 20, 21, 22].map(|slot| members(&wheel, slot).len()), [25; 4]);
    }
}
