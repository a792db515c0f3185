//! The world is stopped before and after each durable write in turn, and by chance, with a gateway that misbehaves.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use zvonar_gateways::stand::Manner;
use zvonar_store::fault::Fault;

use super::{Script, World, facts};

/// None, one or three in a call; the last one to somebody else.
fn several() -> Script {
    Arc::new(|order| {
        let digits: u64 = order.number.digits().parse().unwrap();
        let text = |n: u32| format!("Сообщение {n} звонка {}", order.attempt);
        match digits % 4 {
            0 => vec![],
            1 | 2 => vec![(100 * (digits % 7), None, text(1))],
            _ => vec![
                (300, None, text(1)),
                (1, None, text(2)),
                (900, Some(format!("+7916{:07}", digits % 1_000)), text(3)),
            ],
        }
    })
}

fn world(seed: u64, leads: u32) -> World {
    let mut world = World::new(seed);
    world.script = several();
    world.list(leads, 3);
    world
}

/// Lives on until all is known.
fn finish(world: &mut World, case: &str) -> u64 {
    let lived = world.process(Vec::new(), async |process| {
        process.dial().await;
        process.settled().await;
    });
    assert!(lived.is_some(), "{case}: nothing kills the last process");
    facts(world, case)
}

#[test]
fn a_crash_before_or_after_any_durable_write_sends_each_decided_message_once_and_charges_it_once() {
    let mut whole = world(1, 9);
    let writes = whole.process(Vec::new(), async |process| {
        process.dial().await;
        process.settled().await;
        process.commits.commits()
    });
    let (writes, texts) = (writes.unwrap(), facts(&whole, "undisturbed"));
    assert!(texts >= 8 && writes > 4 * texts, "{texts} {writes}");
    let mut lost = 0;
    for fault in [Fault::CrashBefore, Fault::CrashAfter] {
        for commit in 1..=writes {
            let mut world = world(1, 9);
            let case = format!("{fault:?} {commit} of {writes}");
            let lived = world.process(vec![(commit, fault)], async |process| {
                process.dial().await;
                process.settled().await;
            });
            assert!(lived.is_none(), "{case}: it dies");
            lost += u64::from(finish(&mut world, &case) < texts);
        }
    }
    // Some die in the middle of a call, before what it would have decided.
    assert!(lost > 3, "{lost}");
}

#[test]
fn a_commit_of_unknown_outcome_neither_loses_a_message_nor_sends_it_twice() {
    for (fault, seed) in [(Fault::LostBefore, 2), (Fault::LostAfter, 3)] {
        for third in 0..3 {
            let mut world = world(seed, 9);
            let faults =
                (1..200).filter(|commit| commit % 3 == third).map(|commit| (commit, fault)).collect();
            let lived = world.process(faults, async |process| {
                process.dial().await;
                process.settled().await;
            });
            assert!(lived.is_some());
            assert!(facts(&world, &format!("{fault:?} {third}")) >= 8);
        }
    }
}

/// Deaths, lost commits and a gateway that refuses, loses answers, babbles or is not there.
#[test]
fn storms_send_each_decided_message_once_and_charge_it_once() {
    for seed in 100..160 {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut world = world(seed, 12);
        for _ in 0..dice.random_range(1..6) {
            let mut faults = Vec::new();
            for commit in 1..120 {
                match dice.random_range(0..20) {
                    0 => faults.push((commit, Fault::LostAfter)),
                    1 => faults.push((commit, Fault::LostBefore)),
                    _ => {}
                }
            }
            let end = dice.random_range(1..120);
            faults.push((end, if dice.random_bool(0.5) { Fault::CrashBefore } else { Fault::CrashAfter }));
            let manner = match dice.random_range(0..10) {
                0 => Manner::LosesTheAnswer,
                1 => Manner::AnswersHalf,
                2 => Manner::Babbles,
                3 => Manner::IsSilent,
                4 => Manner::Fails,
                5 => Manner::Refuses([2, 3, 4, 9][dice.random_range(0..4)]),
                _ => Manner::Answers,
            };
            let times = dice.random_range(1..20);
            world.stand.lock().unwrap().treat(manner, Some(times));
            let down = dice.random_bool(0.2);
            world.process(faults, async |process| {
                process.gateway.set_down(down);
                process.dial().await;
                tokio::time::sleep(std::time::Duration::from_secs(dice.random_range(0..900))).await;
                process.gateway.set_down(false);
                process.settled().await;
            });
        }
        world.stand.lock().unwrap().treat(Manner::Answers, None);
        finish(&mut world, &format!("seed {seed}"));
    }
}
