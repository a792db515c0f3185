use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

const FREE: Busy = Busy { lines: 0, tenant_free: u32::MAX, trunk_free: u32::MAX };

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn whichever_ceiling_is_lowest_holds() {
    let busy = |lines, tenant_free, trunk_free| Busy { lines, tenant_free, trunk_free };
    for (busy, expected) in [
        (busy(0, 100, 100), 10),
        (busy(7, 100, 100), 3),
        (busy(10, 100, 100), 0),
        (busy(12, 100, 100), 0),
        (busy(0, 2, 100), 2),
        (busy(0, 100, 0), 0),
    ] {
        assert_eq!(Pacer::new(10, 1000).with_saved().starts(ms(0), busy), expected, "{busy:?}");
    }
}

impl Pacer {
    fn with_saved(mut self) -> Self {
        self.saved = u64::MAX / 2;
        self
    }
}

#[test]
fn starts_spread_over_the_second() {
    let mut pacer = Pacer::new(100, 10);
    let mut starts = Vec::new();
    for now in (0..2_000).step_by(10).map(ms) {
        let count = pacer.starts(now, FREE);
        assert_eq!(pacer.pause(now).is_zero(), count > 0, "{now:?}");
        pacer.started(now, count);
        starts.extend((0..count).map(|_| now));
    }
    assert_eq!(starts.len(), 20);
    assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= ms(90)), "{starts:?}");
}

#[test]
fn lines_are_halved_while_the_queue_grows_and_come_back_when_it_is_empty() {
    let mut pacer = Pacer::new(40, 10);
    let mut told = Vec::new();
    for (second, waiting) in [
        (0, 0),
        (5, 2),  // grows: half
        (8, 5),  // grows, but those who rang at the cut may still come
        (15, 6), // grows: half
        (25, 6), // holds
        (35, 3), // falls: holds
        (45, 0), // empty, but not for long
        (55, 0), // rises
        (60, 0),
        (65, 0),
        (70, 1), // grows: half
        (80, 0),
        (90, 0),
    ] {
        pacer.queue(Duration::from_secs(second), waiting);
        told.push(pacer.allowed());
    }
    assert_eq!(told, [40, 20, 20, 10, 10, 10, 14, 18, 18, 22, 11, 15, 19]);
}

#[test]
fn an_edit_keeps_a_cut_in_proportion() {
    let mut pacer = Pacer::new(40, 10);
    pacer.queue(ms(0), 1);
    assert_eq!(pacer.allowed(), 20);
    pacer.set(10, 10);
    assert_eq!(pacer.allowed(), 5);
    pacer.set(1, 0);
    assert_eq!((pacer.allowed(), pacer.starts(ms(5_000), FREE)), (1, 1));
}

#[test]
fn more_calls_ring_than_operators_are_free_when_few_pick_up() {
    for (free, rate, expected) in [
        (0, 0.3, 0),
        // Everybody picks up: one in twenty may be lost.
        (1, 1.0, 1),
        (19, 1.0, 20),
        (100, 1.0, 105),
        // With one operator a second caller who picks up is lost at once: few may ring.
        (1, 0.3, 1),
        (1, 0.05, 3),
        // The more operators, the nearer to one answer an operator.
        (10, 0.3, 28),
        (50, 0.3, 167),
        (10, f64::NAN, 10),
    ] {
        assert_eq!(lines_for_operators(free, rate, 0.05, 1_000), expected, "{free} at {rate}");
    }
    assert_eq!(lines_for_operators(10, 0.3, 0.05, 12), 12);
    assert_eq!(lines_for_operators(10, 0.3, 0.05, 4), 4);
}

#[test]
fn too_many_lost_ones_stop_the_guessing_until_it_is_better() {
    let mut answered = Answered::default();
    assert_eq!(answered.lines(10, 0.3, 0.05, 1_000), 28);
    answered.note(true);
    assert_eq!(answered.lines(10, 0.3, 0.05, 1_000), 28, "one of one says nothing");
    (0..20).for_each(|_| answered.note(false));
    answered.note(true);
    assert_eq!(answered.lines(10, 0.3, 0.05, 1_000), 10, "2 of 22");
    (0..20).for_each(|_| answered.note(false));
    assert_eq!(answered.lines(10, 0.3, 0.05, 1_000), 10, "2 of 42: better, not yet good");
    (0..20).for_each(|_| answered.note(false));
    assert_eq!(answered.lines(10, 0.3, 0.05, 1_000), 28, "2 of 62");
    (0..300).for_each(|_| answered.note(false));
    assert_eq!((answered.lost_share(), answered.last.len()), (0.0, LOOKED_AT));
}

/// The formula against the dice.
#[test]
fn as_many_are_lost_as_expected() {
    let mut dice = StdRng::seed_from_u64(1);
    for (free, rate) in [(1, 0.05), (5, 0.2), (10, 0.3), (30, 0.5), (50, 0.9)] {
        let lines = lines_for_operators(free, rate, 0.05, 1_000);
        let (mut answered, mut lost) = (0u64, 0u64);
        for _ in 0..20_000 {
            let count = (0..lines).filter(|_| dice.random_bool(rate)).count() as u64;
            answered += count;
            lost += count.saturating_sub(u64::from(free));
        }
        let share = lost as f64 / answered as f64;
        assert!(share < 0.053, "{free} operators, {rate}: {lines} lines lose {share}");
        let expected = lost_share(lines, free, rate);
        assert!((share - expected).abs() < 0.004, "{free}, {rate}: {share}, {expected}");
    }
}

proptest! {
    #[test]
    fn no_ceiling_is_ever_crossed_and_full_lines_come_back(
        lines in 1u32..50,
        per_second in 1u32..40,
        steps in prop::collection::vec((1u64..700, 0u32..60, 0u32..60, 0u32..4, any::<bool>()), 1..200),
    ) {
        let mut pacer = Pacer::new(lines, per_second);
        let mut now = ms(0);
        let (mut starts, mut busy) = (Vec::<Duration>::new(), 0);
        for (wait, tenant_free, trunk_free, waiting, one_ends) in steps {
            now += ms(wait);
            busy -= u32::from(one_ends && busy > 0);
            pacer.queue(now, waiting);
            prop_assert!((1..=lines).contains(&pacer.allowed()));
            let count = pacer.starts(now, Busy { lines: busy, tenant_free, trunk_free });
            prop_assert!(count <= tenant_free && count <= trunk_free);
            prop_assert!(count == 0 || busy + count <= pacer.allowed());
            if pacer.pause(now) > Duration::ZERO {
                prop_assert_eq!(count, 0);
            }
            pacer.started(now, count);
            busy += count;
            starts.extend((0..count).map(|_| now));
            let second = starts.iter().filter(|start| **start + SECOND > now).count();
            prop_assert!(second <= per_second as usize, "{} in a second", second);
        }
        for _ in 0..(RISE + lines) * 2 {
            now += BETWEEN_RISES;
            pacer.queue(now, 0);
        }
        prop_assert_eq!(pacer.allowed(), lines);
    }

    #[test]
    fn more_operators_or_fewer_answers_never_mean_fewer_lines(
        free in 1u32..40, rate in 0.02f64..1.0, more in 0u32..10, less in 0.0f64..0.5,
    ) {
        let lines = lines_for_operators(free, rate, 0.05, 500);
        prop_assert!(lines >= free.min(500));
        prop_assert!(lines_for_operators(free + more, rate, 0.05, 500) >= lines);
        prop_assert!(lines_for_operators(free, rate * (1.0 - less), 0.05, 500) >= lines);
    }
}
