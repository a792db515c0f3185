//! The line before an address, as a table and against chance.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use zvonar_gateways::webhook::{AT_ONCE, Line, PATIENCE_OF_A_LETTER, ROOM, Turn, Verdict};
use zvonar_model::UnixMillis;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

fn at(ms: i64) -> UnixMillis {
    UnixMillis(1_772_445_600_000 + ms)
}

fn since_start(moment: UnixMillis) -> i64 {
    moment.0 - 1_772_445_600_000
}

#[test]
fn a_letter_that_nobody_takes_goes_by_the_table_and_is_given_up_after_a_day() {
    let mut line = Line::new(AT_ONCE);
    line.take(7, at(0), 0, at(0));
    let mut tries = Vec::new();
    let mut now = at(0);
    loop {
        let turn = line.next(now);
        assert_eq!(turn, Some(Turn::Bring(7, tries.len() as u32 + 1)), "at {}", since_start(now));
        assert_eq!(line.next(now), None, "it is out");
        tries.push(since_start(now) / MINUTE);
        match line.ended(7, false, now) {
            Verdict::Again { failures, due } => {
                assert_eq!(failures as usize, tries.len());
                assert_eq!((line.poll_timeout(), line.next(UnixMillis(due.0 - 1))), (Some(due), None));
                now = due;
            }
            Verdict::GivenUp => break,
            Verdict::Taken => unreachable!(),
        }
    }
    let mut expected = vec![0, 1, 6, 21];
    expected.extend((1..=23).map(|hour| 21 + 60 * hour));
    assert_eq!(tries, expected);
    assert_eq!((line.poll_timeout(), line.room()), (None, ROOM));
}

#[test]
fn letters_go_in_order_a_few_at_once_and_pass_one_that_is_not_taken() {
    let mut line = Line::new(2);
    (1..=4).for_each(|place| line.take(place, at(0), 0, at(0)));
    assert_eq!(
        [line.next(at(0)), line.next(at(0)), line.next(at(0))],
        [Some(Turn::Bring(1, 1)), Some(Turn::Bring(2, 1)), None]
    );
    assert_eq!(line.poll_timeout(), None, "somebody has to come back first");
    assert_eq!(line.ended(1, false, at(5)), Verdict::Again { failures: 1, due: at(5 + MINUTE) });
    assert_eq!(line.next(at(5)), Some(Turn::Bring(3, 1)));
    assert_eq!(line.ended(2, true, at(6)), Verdict::Taken);
    assert_eq!(line.next(at(6)), Some(Turn::Bring(4, 1)));
    assert_eq!(line.ended(3, true, at(7)), Verdict::Taken);
    assert_eq!((line.next(at(7)), line.poll_timeout()), (None, Some(at(5 + MINUTE))));
    assert_eq!(line.ended(4, true, at(8)), Verdict::Taken);
    assert_eq!(line.next(at(5 + MINUTE)), Some(Turn::Bring(1, 2)));
    assert_eq!(line.ended(1, true, at(6 + MINUTE)), Verdict::Taken);
    assert_eq!(line.ended(1, true, at(6 + MINUTE)), Verdict::GivenUp, "it is gone");
}

/// A receiver that is down for two days, and a thousand letters an hour: it is knocked at once an hour.
#[test]
fn a_door_that_is_shut_is_knocked_at_with_one_letter_at_a_time() {
    let mut line = Line::new(AT_ONCE);
    let (mut place, mut stored, mut knocks, mut given_up, mut taken) = (0, BTreeMap::new(), Vec::new(), 0, 0);
    for minute in 0..(50 * 60) {
        let now = at(minute * MINUTE);
        for _ in 0..16 {
            place += 1;
            stored.insert(place, now);
        }
        loop {
            let fresh: Vec<_> =
                stored.iter().filter(|(place, _)| !line.holds(**place)).take(line.room()).collect();
            fresh.into_iter().for_each(|(place, since)| line.take(*place, *since, 0, *since));
            match line.next(now) {
                None => break,
                Some(Turn::GiveUp(place)) => {
                    given_up += 1;
                    stored.remove(&place);
                }
                Some(Turn::Bring(place, _)) => {
                    let up = minute >= 48 * 60;
                    if !up {
                        knocks.push(minute);
                    }
                    match line.ended(place, up, now) {
                        Verdict::Taken => {
                            taken += 1;
                            stored.remove(&place);
                        }
                        Verdict::GivenUp => {
                            given_up += 1;
                            stored.remove(&place);
                        }
                        Verdict::Again { .. } => {}
                    }
                }
            }
            assert!(line.room() <= ROOM);
        }
    }
    // Five at once, then after 1, 5, 15 minutes, then hourly.
    assert_eq!(knocks[..9], [0, 0, 0, 0, 0, 1, 6, 21, 81]);
    assert!(knocks.len() < 60, "{} knocks", knocks.len());
    // What was a day old while nobody opened is given up, and the rest is brought once somebody does.
    assert!((20_000..30_000).contains(&given_up), "{given_up}");
    assert!(taken > 20_000 && taken + given_up + stored.len() == place as usize, "{taken} {given_up}");
    assert!(stored.len() <= 5, "{} are left", stored.len());
}

#[test]
fn a_letter_that_nobody_can_take_holds_up_no_other() {
    let mut line = Line::new(AT_ONCE);
    line.take(1, at(0), 0, at(0));
    let (mut now, mut tries) = (at(0), 0);
    for place in 2..2_000 {
        line.take(place, now, 0, now);
        while let Some(Turn::Bring(one, _)) = line.next(now) {
            tries += u32::from(one == 1);
            let _ = line.ended(one, one != 1, now);
        }
        assert!(!line.holds(place), "{place} waits behind another");
        now = now.plus(Duration::from_secs(60));
    }
    assert!(!line.holds(1) && tries == 27, "{tries}");
}

#[derive(Debug, Clone)]
enum Happens {
    Comes(u8),
    Passes(i64),
    Back(prop::sample::Index, bool),
    Lost(prop::sample::Index),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        (1..40_u8).prop_map(Happens::Comes),
        (0..4 * MINUTE).prop_map(Happens::Passes),
        (0..30 * HOUR).prop_map(Happens::Passes),
        (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(which, taken)| Happens::Back(which, taken)),
        (any::<prop::sample::Index>(), Just(false)).prop_map(|(which, taken)| Happens::Back(which, taken)),
        any::<prop::sample::Index>().prop_map(Happens::Lost),
    ]
}

proptest! {
    /// Whatever comes back in whatever order: no letter is out twice, none is forgotten, none goes first before those
    /// that came before it, and the time that the line names is the time at which it has something to do.
    #[test]
    fn no_letter_is_forgotten_or_out_twice(at_once in 0..6_usize, script in prop::collection::vec(happens(), 1..200)) {
        let mut line = Line::new(at_once);
        let (mut now, mut place) = (at(0), 0_u64);
        let (mut inside, mut out, mut gone) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        for step in script {
            match step {
                Happens::Comes(many) => {
                    for _ in 0..usize::from(many).min(line.room()) {
                        place += 1;
                        line.take(place, now, 0, now);
                        inside.insert(place, now);
                    }
                }
                Happens::Passes(ms) => now = now.plus(Duration::from_millis(ms as u64)),
                Happens::Back(which, taken) if !out.is_empty() => {
                    let one = *which.get(&out.iter().copied().collect::<Vec<u64>>());
                    out.remove(&one);
                    match line.ended(one, taken, now) {
                        Verdict::Taken => {
                            prop_assert!(taken);
                            inside.remove(&one);
                        }
                        Verdict::GivenUp => {
                            let since: UnixMillis = inside.remove(&one).unwrap();
                            prop_assert!(!taken && since.plus(PATIENCE_OF_A_LETTER) < now.plus(Duration::from_secs(3600)));
                        }
                        Verdict::Again { due, .. } => prop_assert!(!taken && due > now),
                    }
                }
                Happens::Lost(which) if !inside.is_empty() => {
                    let one = *which.get(&inside.keys().copied().collect::<Vec<u64>>());
                    line.lose(one);
                    inside.remove(&one);
                    out.remove(&one);
                }
                Happens::Back(..) | Happens::Lost(_) => {}
            }
            while let Some(turn) = line.next(now) {
                match turn {
                    Turn::Bring(one, tries) => {
                        prop_assert!(out.insert(one), "{one} is out twice");
                        prop_assert!(inside.contains_key(&one));
                        if tries == 1 {
                            prop_assert!(gone.insert(one));
                            prop_assert!(inside.keys().take_while(|before| **before < one).all(|before| gone.contains(before)));
                        }
                    }
                    Turn::GiveUp(one) => {
                        let since: UnixMillis = inside.remove(&one).unwrap();
                        prop_assert!(!out.contains(&one) && since.plus(PATIENCE_OF_A_LETTER) <= now);
                        gone.insert(one);
                    }
                }
            }
            prop_assert!(out.len() <= at_once.max(1));
            prop_assert_eq!(line.room(), ROOM - inside.len());
            match line.poll_timeout() {
                // Something is out: who comes back says more.
                None => prop_assert!(inside.is_empty() || !out.is_empty()),
                Some(due) => {
                    prop_assert!(due > now, "it says that there is something to do, and does nothing");
                    let mut later = line.clone();
                    prop_assert!(later.next(UnixMillis(due.0 - 1)).is_none());
                    prop_assert!(later.next(due).is_some());
                }
            }
        }
    }
}
