//! What a desk tells of itself.

use zvonar_model::{AttemptId, Millis, ProjectId};

use super::Desk;
use crate::queue::Place;
use crate::{Caller, Group, Seat};

impl Desk {
    /// How many callers of this project wait while no telephone rings for them: what its lines shall follow.
    pub fn waiting(&self, project: &ProjectId) -> u32 {
        self.count(|place| place.caller.project.as_ref() == Some(project))
    }

    /// How many callers who want this group (`None`: just anybody) wait while no telephone rings for them.
    pub fn waiting_for(&self, group: Option<&Group>) -> u32 {
        self.count(|place| place.caller.group.as_ref() == group)
    }

    /// How many operators could take a caller who wants this group at this moment.
    pub fn free(&self, group: Option<&Group>) -> u32 {
        let free = |seat: &&Seat| seat.is_free(self.now) && seat.operator.serves(group);
        u32::try_from(self.seats.values().filter(free).count()).unwrap_or(u32::MAX)
    }

    /// Whether anybody works who takes callers of this group, now or after what he is at.
    pub fn works(&self, group: Option<&Group>) -> bool {
        self.seats.values().any(|seat| seat.works() && seat.operator.serves(group))
    }

    /// A caller's place among those who may be given the same operators; 1: he is the next.
    pub fn position(&self, call: &AttemptId) -> Option<u32> {
        self.queue.position(call, self.seats.values())
    }

    /// About how long a caller will wait: his place, times how long the last talks took an operator, shared by those who
    /// work. Unknown before the first talk is over, and while nobody works who could take him.
    pub fn estimate(&self, call: &AttemptId) -> Option<Millis> {
        let position = self.position(call)?;
        let group = self.queue.get(call)?.caller.group.as_ref();
        let work = self.seats.values().filter(|seat| seat.works() && seat.operator.serves(group)).count();
        let talks = self.taken.len() as u64;
        if work == 0 || talks == 0 {
            return None;
        }
        let each = self.taken.iter().sum::<u64>() / talks;
        Some(Millis((each.saturating_mul(u64::from(position))).div_ceil(work as u64)))
    }

    /// All operators, by their ids.
    pub fn seats(&self) -> impl Iterator<Item = &Seat> {
        self.seats.values()
    }

    /// All who wait, in the order in which they came.
    pub fn callers(&self) -> impl Iterator<Item = &Caller> {
        self.queue.iter().map(|place| &place.caller)
    }

    fn count(&self, counts: impl Fn(&Place) -> bool) -> u32 {
        let count = self.queue.iter().filter(|place| place.ringing.is_none() && counts(place)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}
