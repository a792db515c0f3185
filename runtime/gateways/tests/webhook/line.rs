//! The line before an address, as a table and against chance.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use zvonar_gateways::webhook::{
    AT_ONCE, Back, Line, PATIENCE_OF_A_LETTER, PATIENCE_OF_AN_UNTRIED, RETRIES, ROOM, Turn, Verdict,
};
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
        match line.ended(7, Back::Failed, now) {
            Verdict::Again { failures, due, .. } => {
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
    assert_eq!((line.poll_timeout(), line.room()), (None, ROOM - RETRIES));
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
    assert_eq!(
        line.ended(1, Back::Failed, at(5)),
        Verdict::Again { failures: 1, due: at(5 + MINUTE), since: at(5) }
    );
    assert_eq!(line.next(at(5)), Some(Turn::Bring(3, 1)));
    assert_eq!(line.ended(2, Back::Taken, at(6)), Verdict::Taken);
    assert_eq!(line.next(at(6)), Some(Turn::Bring(4, 1)));
    assert_eq!(line.ended(3, Back::Taken, at(7)), Verdict::Taken);
    assert_eq!((line.next(at(7)), line.poll_timeout()), (None, Some(at(5 + MINUTE))));
    assert_eq!(line.ended(4, Back::Taken, at(8)), Verdict::Taken);
    assert_eq!(line.next(at(5 + MINUTE)), Some(Turn::Bring(1, 2)));
    assert_eq!(line.ended(1, Back::Taken, at(6 + MINUTE)), Verdict::Taken);
    assert_eq!(line.ended(1, Back::Taken, at(6 + MINUTE)), Verdict::GivenUp, "it is gone");
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
                    match line.ended(place, if up { Back::Taken } else { Back::Failed }, now) {
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
    // What knocked and was a day old while nobody opened is given up; the rest is brought once somebody does, also what
    // came on the first day: nobody has ever refused it.
    assert!((20..60).contains(&given_up), "{given_up}");
    assert!(taken + given_up + stored.len() == place as usize, "{taken} {given_up}");
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
            let _ = line.ended(one, if one == 1 { Back::Failed } else { Back::Taken }, now);
        }
        assert!(!line.holds(place), "{place} waits behind another");
        now = now.plus(Duration::from_secs(60));
    }
    assert!(!line.holds(1) && tries == 27, "{tries}");
}

/// Letters as they are stored, and a line that is driven as a hook's task drives it.
struct Stored {
    line: Line,
    /// Since when each waits, its failures and when it is due: what a restart would find.
    letters: BTreeMap<u64, (UnixMillis, u32, UnixMillis)>,
    read_to: u64,
    /// When each was taken.
    taken: BTreeMap<u64, UnixMillis>,
    /// How often each was brought that was given up.
    given_up: BTreeMap<u64, u32>,
    brought: u64,
}

impl Stored {
    fn new(at_once: usize) -> Self {
        Self {
            line: Line::new(at_once),
            letters: BTreeMap::new(),
            read_to: 0,
            taken: BTreeMap::new(),
            given_up: BTreeMap::new(),
            brought: 0,
        }
    }

    fn comes(&mut self, place: u64, now: UnixMillis) {
        self.letters.insert(place, (now, 0, now));
    }

    /// The program dies, and another one begins.
    fn restart(&mut self, at_once: usize) {
        (self.line, self.read_to) = (Line::new(at_once), 0);
    }

    fn fill(&mut self, now: UnixMillis) {
        while self.line.room() > 0 {
            let next = self.letters.range(self.read_to + 1..).next();
            let Some((place, (since, failures, due))) = next.map(|(place, letter)| (*place, *letter)) else {
                break;
            };
            self.read_to = place;
            self.line.take(place, since, failures, due);
            while self.line.put_aside().is_some() {}
        }
        look_aside(&mut self.line, &self.letters, now);
    }

    /// Does all that is to be done now; each letter comes back at once.
    fn work(&mut self, now: UnixMillis, meets: impl Fn(u64) -> Back) {
        loop {
            self.fill(now);
            let Some(turn) = self.line.next(now) else { break };
            match turn {
                Turn::GiveUp(place) => {
                    let (_, failures, _) = self.letters.remove(&place).unwrap();
                    self.given_up.insert(place, failures);
                }
                Turn::Bring(place, tries) => {
                    self.brought += 1;
                    match self.line.ended(place, meets(place), now) {
                        Verdict::Taken => {
                            self.letters.remove(&place);
                            assert_eq!(self.taken.insert(place, now), None);
                        }
                        Verdict::GivenUp => {
                            self.letters.remove(&place);
                            self.given_up.insert(place, tries);
                        }
                        Verdict::Again { failures, due, since } => {
                            self.letters.insert(place, (since, failures, due));
                        }
                    }
                    while self.line.put_aside().is_some() {}
                }
            }
        }
    }
}

/// Takes in what is aside and due first, as a hook's task does.
fn look_aside(line: &mut Line, letters: &BTreeMap<u64, (UnixMillis, u32, UnixMillis)>, now: UnixMillis) {
    let mut looks = 0;
    while line.wants_aside(now) {
        line.looking_aside();
        let aside = letters.iter().filter(|(place, (_, failures, _))| *failures > 0 && !line.holds(**place));
        let mut aside: Vec<_> =
            aside.map(|(place, (since, failures, due))| (*due, *place, *since, *failures)).collect();
        aside.sort_unstable();
        if let Some((due, ..)) = aside.get(RETRIES) {
            line.note_aside(*due);
        }
        for (due, place, since, failures) in aside.into_iter().take(RETRIES) {
            line.take(place, since, failures, due);
            while line.put_aside().is_some() {}
        }
        looks += 1;
        assert!(looks < 3, "it looks again and again");
    }
}

/// A few letters that a receiver cannot bear were the only ones that knocked, for ever, and after a day all others were
/// given up without having gone once.
#[test]
fn five_letters_that_nobody_can_bear_keep_no_other_from_going() {
    for bears_not in [Back::Failed, Back::Unwanted] {
        for at_once in [1, AT_ONCE] {
            let mut stored = Stored::new(at_once);
            for minute in 0..(50 * 60_u64) {
                let now = at(minute as i64 * MINUTE);
                if minute < 48 * 60 {
                    stored.comes(minute + 1, now);
                }
                stored.work(now, |place| if place <= 5 { bears_not } else { Back::Taken });
            }
            for place in 6..=48 * 60 {
                let waited = stored.taken[&place].0 - at((place as i64 - 1) * MINUTE).0;
                assert!(waited <= 2 * MINUTE, "{bears_not:?}: {place} waited for {waited} ms");
            }
            let lost: Vec<_> = stored.given_up.keys().copied().collect();
            assert_eq!((lost, stored.letters.len()), (vec![1, 2, 3, 4, 5], 0), "{bears_not:?}");
            assert!(stored.given_up.values().all(|tries| *tries >= 26), "{:?}", stored.given_up);
        }
    }
}

/// Two hundred letters that waited to go again filled the line, and no other came in.
#[test]
fn three_hundred_letters_that_nobody_can_bear_keep_no_other_from_going() {
    // All of them first, or every other one.
    for (bears_not, mixed) in [(Back::Unwanted, false), (Back::Unwanted, true), (Back::Failed, true)] {
        let poison = |place: u64| if mixed { place <= 600 && place % 2 == 1 } else { place <= 300 };
        let mut stored = Stored::new(AT_ONCE);
        for minute in 0..(50 * 60_u64) {
            let now = at(minute as i64 * MINUTE);
            if minute == 0 {
                (1..=600).for_each(|place| stored.comes(place, now));
            } else if minute < 47 * 60 {
                stored.comes(600 + minute, now);
            }
            if minute == 20 * 60 {
                stored.restart(AT_ONCE);
            }
            stored.work(now, |place| if poison(place) { bears_not } else { Back::Taken });
            assert!(stored.line.room() > 0, "{bears_not:?} {mixed}: nothing else finds room");
        }
        for place in (1..600 + 47 * 60).filter(|place| !poison(*place)) {
            let came = if place <= 600 { 0 } else { (place as i64 - 600) * MINUTE };
            let waited = since_start(stored.taken[&place]) - came;
            assert!(waited <= MINUTE, "{bears_not:?} {mixed}: {place} waited for {waited} ms");
        }
        assert_eq!(stored.given_up.len(), 300, "{bears_not:?} {mixed}");
        // Those that wait outside the line have their turns, too.
        let tries: Vec<u32> = stored.given_up.values().copied().collect();
        assert!(tries.iter().all(|tries| (26..=27).contains(tries)), "{bears_not:?} {mixed}: {tries:?}");
        assert_eq!(stored.letters.len(), 0);
    }
}

#[test]
fn a_refused_letter_neither_shuts_the_door_nor_shows_that_it_is_shut() {
    let mut line = Line::new(1);
    (1..=20).for_each(|place| line.take(place, at(0), 0, at(0)));
    for place in 1..=9 {
        assert_eq!(line.next(at(0)), Some(Turn::Bring(place, 1)));
        let _ = line.ended(place, Back::Unwanted, at(0));
    }
    assert_eq!(line.shut_since(), None);
    for place in 10..=14 {
        assert_eq!(line.next(at(0)), Some(Turn::Bring(place, 1)));
        let _ = line.ended(place, Back::Failed, at(0));
    }
    assert_eq!((line.shut_since(), line.next(at(0))), (Some(at(0)), None));
    // The next one knocks at once after a refusal, and it is one that never went.
    assert_eq!(line.next(at(MINUTE)), Some(Turn::Bring(15, 1)));
    let _ = line.ended(15, Back::Unwanted, at(MINUTE));
    assert_eq!(line.shut_since(), Some(at(0)), "nor does it open it");
    assert_eq!(line.next(at(MINUTE)), Some(Turn::Bring(16, 1)));
    let _ = line.ended(16, Back::Failed, at(MINUTE));
    assert_eq!((line.next(at(MINUTE)), line.poll_timeout()), (None, Some(at(6 * MINUTE))));
}

/// A receiver that was away for more than a day and is slow when it comes back: what waited for it was given up at the
/// first failure.
#[test]
fn a_letter_is_tried_for_a_day_however_long_it_has_waited() {
    let mut line = Line::new(AT_ONCE);
    line.take(7, at(0), 0, at(0));
    let (mut now, mut tries) = (at(30 * HOUR), 0);
    while line.next(now).is_some() {
        tries += 1;
        let Verdict::Again { due, since, .. } = line.ended(7, Back::Failed, now) else { break };
        assert_eq!(since, at(30 * HOUR));
        now = due;
    }
    assert!(tries > 20 && now >= at(52 * HOUR), "{tries} tries until {}", since_start(now) / HOUR);
}

/// Whoever has mended the receiver need not wait for the next hour.
#[test]
fn somebody_who_says_that_it_is_open_again_is_believed_once() {
    let mut line = Line::new(1);
    (1..=9).for_each(|place| line.take(place, at(0), 0, at(0)));
    for _ in 1..=5 {
        let Some(Turn::Bring(place, 1)) = line.next(at(0)) else { panic!("one is brought") };
        let _ = line.ended(place, Back::Failed, at(0));
    }
    assert_eq!((line.shut_since(), line.next(at(1))), (Some(at(0)), None));
    line.knock(at(1));
    let Some(Turn::Bring(place, _)) = line.next(at(1)) else { panic!("it knocks") };
    let _ = line.ended(place, Back::Failed, at(2));
    assert_eq!(line.next(at(2)), None, "it is still shut");
    line.knock(at(3));
    let Some(Turn::Bring(place, _)) = line.next(at(3)) else { panic!("it knocks again") };
    let _ = line.ended(place, Back::Taken, at(4));
    assert!(line.shut_since().is_none() && line.next(at(4)).is_some(), "all others follow");
}

/// Nobody is there for ten days: what never went waits for a week.
#[test]
fn what_never_went_is_given_up_after_a_week_and_what_failed_after_a_day() {
    let mut stored = Stored::new(AT_ONCE);
    (1..=400).for_each(|place| stored.comes(place, at(0)));
    let mut untried = 400;
    for hour in 0..10 * 24 {
        stored.work(at(hour * HOUR), |_| Back::Failed);
        let never_went = stored.given_up.values().filter(|tries| **tries == 0).count();
        assert!(never_went == 0 || hour >= 7 * 24, "{never_went} after {hour} hours");
        untried = stored.letters.values().filter(|(_, failures, _)| *failures == 0).count();
    }
    assert_eq!((untried, stored.letters.len(), stored.given_up.len()), (0, 0, 400));
    assert!(stored.given_up.values().filter(|tries| **tries == 0).count() > 200);
    assert!(stored.brought < 300, "{}", stored.brought);
}

#[derive(Debug, Clone)]
enum Happens {
    Comes(u8),
    Passes(i64),
    Back(prop::sample::Index, Back),
    Lost(prop::sample::Index),
}

fn back() -> impl Strategy<Value = Back> {
    prop::sample::select(&[Back::Taken, Back::Failed, Back::Failed, Back::Unwanted][..])
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        1 => (1..40_u8).prop_map(Happens::Comes),
        1 => (0..4 * MINUTE).prop_map(Happens::Passes),
        1 => (0..30 * HOUR).prop_map(Happens::Passes),
        3 => (any::<prop::sample::Index>(), back()).prop_map(|(which, back)| Happens::Back(which, back)),
        1 => any::<prop::sample::Index>().prop_map(Happens::Lost),
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
        let mut letters: BTreeMap<u64, (UnixMillis, u32, UnixMillis)> = BTreeMap::new();
        for step in script {
            match step {
                Happens::Comes(many) => {
                    for _ in 0..usize::from(many).min(line.room()) {
                        place += 1;
                        line.take(place, now, 0, now);
                        inside.insert(place, now);
                        letters.insert(place, (now, 0, now));
                    }
                }
                Happens::Passes(ms) => now = now.plus(Duration::from_millis(ms as u64)),
                Happens::Back(which, back) if !out.is_empty() => {
                    let one = *which.get(&out.iter().copied().collect::<Vec<u64>>());
                    out.remove(&one);
                    let taken = back == Back::Taken;
                    match line.ended(one, back, now) {
                        Verdict::Taken => {
                            prop_assert!(taken);
                            inside.remove(&one);
                            letters.remove(&one);
                        }
                        Verdict::GivenUp => {
                            letters.remove(&one);
                            let since: UnixMillis = inside.remove(&one).unwrap();
                            prop_assert!(!taken && since.plus(PATIENCE_OF_A_LETTER) < now.plus(Duration::from_secs(3600)));
                        }
                        Verdict::Again { failures, due, since } => {
                            prop_assert!(!taken && due > now);
                            letters.insert(one, (since, failures, due));
                            inside.insert(one, since);
                        }
                    }
                    while let Some(aside) = line.put_aside() {
                        prop_assert!(!out.contains(&aside) && letters[&aside].1 > 0);
                    }
                }
                Happens::Lost(which) if !inside.is_empty() => {
                    let one = *which.get(&inside.keys().copied().collect::<Vec<u64>>());
                    line.lose(one);
                    inside.remove(&one);
                    letters.remove(&one);
                    out.remove(&one);
                }
                Happens::Back(..) | Happens::Lost(_) => {}
            }
            loop {
                look_aside(&mut line, &letters, now);
                let Some(turn) = line.next(now) else { break };
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
                        let (_, failures, _) = letters.remove(&one).unwrap();
                        let patience = if failures > 0 { PATIENCE_OF_A_LETTER } else { PATIENCE_OF_AN_UNTRIED };
                        prop_assert!(!out.contains(&one) && since.plus(patience) <= now);
                        gone.insert(one);
                    }
                }
            }
            prop_assert!(out.len() <= at_once.max(1));
            let fresh = letters.values().filter(|(_, failures, _)| *failures == 0).count();
            let held = letters.keys().filter(|place| line.holds(**place)).count();
            prop_assert!(line.room() == ROOM - RETRIES - fresh && held <= ROOM);
            match line.poll_timeout() {
                // Something is out: who comes back says more.
                None => prop_assert!(inside.is_empty() || !out.is_empty()),
                Some(due) => {
                    prop_assert!(due > now, "it says that there is something to do, and does nothing");
                    let before = UnixMillis(due.0 - 1);
                    let mut later = line.clone();
                    prop_assert!(later.next(before).is_none() && !later.wants_aside(before));
                    prop_assert!(later.next(due).is_some() || later.wants_aside(due));
                }
            }
        }
    }
}
