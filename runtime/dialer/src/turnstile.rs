//! Who goes first when lines are short: the project of higher priority, among those of a tenant that dial by the same
//! trunk.
//!
//! Attempts ask a trunk for a line one at a time. As long as lines are free nobody notices; when none is, one attempt waits
//! at the trunk and all others here, so that the line that comes free next goes to whoever matters most, and not to
//! whoever asked first.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use zvonar_model::TrunkId;

/// The turnstiles of a tenant's trunks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turnstiles(Arc<Mutex<HashMap<TrunkId, Turnstile>>>);

/// There is one for a trunk as long as somebody passes it.
#[derive(Debug, Default)]
struct Turnstile {
    waiting: BinaryHeap<Waiting>,
    asked: u64,
}

#[derive(Debug)]
struct Waiting {
    /// The higher goes first; of equals, whoever asked first.
    rank: (u8, Reverse<u64>),
    passes: oneshot::Sender<Pass>,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank.cmp(&other.rank)
    }
}

/// Whoever holds it is the one who asks the trunk. Dropped, it goes to whoever is next.
#[derive(Debug)]
pub(crate) struct Pass {
    turnstiles: Turnstiles,
    trunk: TrunkId,
}

impl Turnstiles {
    /// Waits for one's turn. Dropping the future gives it up.
    pub(crate) async fn pass(&self, trunk: &TrunkId, priority: u8) -> Pass {
        let turn = {
            let mut all = self.all();
            match all.get_mut(trunk) {
                None => {
                    all.insert(trunk.clone(), Turnstile::default());
                    return Pass { turnstiles: self.clone(), trunk: trunk.clone() };
                }
                Some(turnstile) => {
                    let (passes, turn) = oneshot::channel();
                    turnstile.asked += 1;
                    let rank = (priority, Reverse(turnstile.asked));
                    turnstile.waiting.push(Waiting { rank, passes });
                    turn
                }
            }
        };
        turn.await.expect("whoever passes hands the turn on")
    }

    fn all(&self) -> MutexGuard<'_, HashMap<TrunkId, Turnstile>> {
        // Nothing below can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut all = self.turnstiles.all();
        let Some(turnstile) = all.get_mut(&self.trunk) else { return };
        // Those who have gone away are passed over.
        let next = std::iter::from_fn(|| turnstile.waiting.pop()).find(|next| !next.passes.is_closed());
        match next {
            None => drop(all.remove(&self.trunk)),
            Some(next) => {
                drop(all);
                let pass = Self { turnstiles: self.turnstiles.clone(), trunk: self.trunk.clone() };
                // Whoever has gone away in this moment hands it on by dropping it.
                drop(next.passes.send(pass));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn trunk(name: &str) -> TrunkId {
        TrunkId::new(name).unwrap()
    }

    #[test]
    fn the_turn_goes_to_the_highest_priority_and_among_equals_to_the_first() {
        let turnstiles = Turnstiles::default();
        let (main, other) = (trunk("main"), trunk("other"));
        let first = turnstiles.pass(&main, 1).now_or_never().expect("nobody is there");
        assert!(turnstiles.pass(&other, 1).now_or_never().is_some(), "another trunk is not waited for");
        let mut waiting: Vec<_> = [(5, "a"), (9, "b"), (5, "c"), (9, "d")]
            .map(|(p, who)| (who, Box::pin(turnstiles.pass(&main, p))))
            .into();
        for (_, turn) in &mut waiting {
            assert!(turn.as_mut().now_or_never().is_none());
        }
        // Whoever gives up leaves nobody behind him waiting.
        drop(waiting.remove(1));
        let mut order = Vec::new();
        let mut pass = first;
        while !waiting.is_empty() {
            drop(pass);
            let mut next = None;
            for (at, (_, turn)) in waiting.iter_mut().enumerate() {
                if let Some(pass) = turn.as_mut().now_or_never() {
                    assert!(next.is_none(), "two passed at once");
                    next = Some((at, pass));
                }
            }
            let (at, passed) = next.expect("somebody passes");
            order.push(waiting.remove(at).0);
            pass = passed;
        }
        assert_eq!(order, ["d", "a", "c"]);
        drop(pass);
        assert!(turnstiles.all().is_empty(), "nothing is kept of a trunk that nobody asks");
    }

    #[test]
    fn a_turn_that_was_given_to_somebody_who_has_gone_goes_on() {
        let turnstiles = Turnstiles::default();
        let main = trunk("main");
        let first = turnstiles.pass(&main, 5).now_or_never().unwrap();
        let mut gone = Box::pin(turnstiles.pass(&main, 9));
        let mut stays = Box::pin(turnstiles.pass(&main, 1));
        assert!(gone.as_mut().now_or_never().is_none() && stays.as_mut().now_or_never().is_none());
        drop(first);
        // His turn has come, and he goes away without having looked.
        drop(gone);
        assert!(stays.as_mut().now_or_never().is_some());
    }
}
