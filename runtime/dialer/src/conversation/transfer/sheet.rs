//! How long each part of a call took, to the millisecond: with the robot, waiting, and talking to whom the caller was handed.
//!
//! Moments are whole milliseconds since the answer, and each part is the difference of two of them, so that the parts of a
//! call are as long as the call whatever was rounded.

use std::time::Duration;

use zvonar_model::{Millis, Phases, Transfer};

/// The parts of one call.
#[derive(Debug, Clone, Default)]
pub struct TimeSheet {
    transfers: Vec<Transfer>,
    /// What goes on, and since when.
    open: Option<(usize, Part, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Wait,
    Talk,
}

impl TimeSheet {
    /// A transfer begins: the caller waits for its far end. Gives its place.
    pub fn begin(&mut self, at: Duration, transfer: Transfer) -> usize {
        self.stop(at);
        self.transfers.push(transfer);
        let place = self.transfers.len() - 1;
        self.open = Some((place, Part::Wait, moment(at)));
        place
    }

    /// The far end of this transfer talks with the caller from now on.
    pub fn talk(&mut self, at: Duration, place: usize) {
        self.stop(at);
        self.transfers[place].connected = true;
        self.open = Some((place, Part::Talk, moment(at)));
    }

    /// The caller waits again for the far end of this transfer; the talk with it, if there was one, came to nothing. Since
    /// `silent` he has waited already; what he heard before that was a person, and is not charged as time with the robot.
    pub fn wait_again(&mut self, at: Duration, place: usize, silent: Option<Duration>) {
        self.stop(at);
        let transfer = &mut self.transfers[place];
        let waited =
            silent.map_or(0, |silent| moment(at).saturating_sub(moment(silent))).min(transfer.talk.0);
        transfer.talk.0 -= waited;
        transfer.wait.0 += waited;
        transfer.connected = false;
        self.open = Some((place, Part::Wait, moment(at)));
    }

    /// The caller is with the robot again, or gone.
    pub fn stop(&mut self, at: Duration) {
        let Some((place, part, since)) = self.open.take() else { return };
        let time = moment(at).saturating_sub(since);
        let transfer = &mut self.transfers[place];
        match part {
            Part::Wait => transfer.wait.0 += time,
            Part::Talk => transfer.talk.0 += time,
        }
    }

    /// A transfer by its place.
    pub fn transfer(&mut self, place: usize) -> &mut Transfer {
        &mut self.transfers[place]
    }

    /// Whether anybody talked with the caller in the transfers from this place on.
    pub fn connected_since(&self, place: usize) -> bool {
        self.transfers[place..].iter().any(|transfer| transfer.connected)
    }

    /// How long the caller talked in the transfers from this place on.
    pub fn talked_since(&self, place: usize) -> Duration {
        self.transfers[place..].iter().map(|transfer| Duration::from(transfer.talk)).sum()
    }

    /// The parts of a call that took so long in all. Whoever notices the end a moment later than the network has it puts
    /// that moment into no part.
    pub fn close(mut self, whole: Millis) -> (Phases, Vec<Transfer>) {
        self.stop(whole.into());
        let mut over = self.sum().saturating_sub(whole.0);
        for transfer in self.transfers.iter_mut().rev() {
            for part in [&mut transfer.talk.0, &mut transfer.wait.0] {
                let cut = over.min(*part);
                *part -= cut;
                over -= cut;
            }
        }
        let all = |part: fn(&Transfer) -> u64| Millis(self.transfers.iter().map(part).sum());
        let (wait, talk) = (all(|transfer| transfer.wait.0), all(|transfer| transfer.talk.0));
        let robot = Millis(whole.0 - wait.0 - talk.0);
        (Phases { robot, wait, talk }, self.transfers)
    }

    fn sum(&self) -> u64 {
        self.transfers.iter().map(|transfer| transfer.wait.0 + transfer.talk.0).sum()
    }
}

fn moment(at: Duration) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_parts_of_a_call_are_as_long_as_the_call(
            steps in prop::collection::vec((0u64..5_000_000, 0..4u8), 0..20),
            whole in 0u64..100_000,
        ) {
            let (mut sheet, mut at) = (TimeSheet::default(), Duration::ZERO);
            for (micros, step) in steps {
                at += Duration::from_micros(micros);
                let last = sheet.transfers.len().checked_sub(1);
                match (step, last) {
                    (0, _) => {
                        sheet.begin(at, Transfer::default());
                    }
                    (1, Some(last)) => sheet.talk(at, last),
                    (2, Some(last)) => sheet.wait_again(at, last, (micros % 2 == 0).then_some(at / 2)),
                    _ => sheet.stop(at),
                }
            }
            let (phases, transfers) = sheet.close(Millis(whole));
            prop_assert_eq!(phases.robot.0 + phases.wait.0 + phases.talk.0, whole);
            let sum: u64 = transfers.iter().map(|transfer| transfer.wait.0 + transfer.talk.0).sum();
            prop_assert_eq!(phases.wait.0 + phases.talk.0, sum);
        }
    }
}
