//! Random calls over a network that loses, repeats and reorders. A failure names its seed.

use std::{collections::BTreeMap, time::Duration};

use super::world::{CALLEE, CALLER, Weather, World, dial, media};
use crate::{CallId, Command, Ended, Event};

/// What an end does, and how long after what.
enum Plan {
    Ring,
    Play,
    Answer,
    Reject,
    Hangup,
}

/// Plays one run to its end and checks what always holds.
fn play(seed: u64, damage_percent: u64) -> World {
    let mut world = World::new(seed, Weather::default());
    let chance = &mut world.chance;
    world.weather = match chance.below(4) {
        0 => Weather::default(),
        1 => Weather { repeat_percent: 30, jitter_ms: 800, ..Weather::default() },
        2 => Weather { loss_percent: 30, ..Weather::default() },
        _ => Weather { loss_percent: 20, repeat_percent: 20, jitter_ms: 400, ..Weather::default() },
    };
    world.weather.damage_percent = damage_percent;
    // Everybody's plans, by time: the caller's calls and hang-ups, then what the callee does to what came in.
    let mut plans: BTreeMap<(Duration, u64), (usize, usize, Plan)> = BTreeMap::new();
    let count = 1 + chance.below(2) as usize;
    let mut dials = Vec::new();
    let mut number = 0;
    let mut plan = |plans: &mut BTreeMap<_, _>, at, host, call, what| {
        number += 1;
        plans.insert((Duration::from_millis(at), number), (host, call, what));
    };
    for call in 0..count {
        let dialled = chance.below(3000);
        dials.push((Duration::from_millis(dialled), Duration::from_millis(500 + chance.below(30_000))));
        let mut at = dialled + chance.below(6000);
        if chance.percent(60) {
            let what = if chance.percent(30) { Plan::Play } else { Plan::Ring };
            plan(&mut plans, at, CALLEE, call, what);
        }
        at += chance.below(30_000);
        match chance.below(10) {
            0..6 => plan(&mut plans, at, CALLEE, call, Plan::Answer),
            6..8 => plan(&mut plans, at, CALLEE, call, Plan::Reject),
            _ => {}
        }
        // A callee that never says BYE is one in two; a caller that never does, one in two as well.
        if chance.percent(50) {
            plan(&mut plans, at + chance.below(20_000), CALLEE, call, Plan::Hangup);
        }
        if chance.percent(50) {
            plan(&mut plans, dialled + chance.below(60_000), CALLER, call, Plan::Hangup);
        }
    }
    let mut calls: Vec<Option<CallId>> = vec![None; count];
    let start = world.start;
    for (index, (at, _)) in dials.iter().enumerate() {
        number += 1;
        plans.insert((*at, number), (usize::MAX, index, Plan::Ring));
    }
    while let Some(((at, _), (host, index, what))) = plans.pop_first() {
        world.run_until(start + at);
        if host == usize::MAX {
            calls[index] = Some(world.dial(dial(dials[index].1)));
            continue;
        }
        let call = if host == CALLER {
            calls[index]
        } else {
            // The callee's calls in the order they came.
            let mut came = world.events.iter().filter_map(|(_, host, call, event)| {
                (*host == CALLEE && matches!(event, Event::Incoming(_))).then_some(*call)
            });
            came.nth(index)
        };
        let Some(call) = call else { continue };
        let command = match what {
            Plan::Ring => Command::Ring { early_media: None },
            Plan::Play => Command::Ring { early_media: Some(media(CALLEE)) },
            Plan::Answer => Command::Answer { local_media: media(CALLEE) },
            Plan::Reject => Command::Reject { code: 486, reason: String::new() },
            Plan::Hangup => Command::Hangup,
        };
        world.command(host, call, command);
    }
    // Long enough for everything but two ends that talk on. One end alone must not.
    world.run(Duration::from_secs(300));
    let left = [CALLER, CALLEE].map(|host| world.hosts[host].len());
    assert!(
        left[0] == left[1] || damage_percent > 0,
        "seed {seed}: somebody is left on the line alone: {:?}",
        world.events
    );
    // A damaged BYE may be one that nobody understands: then each end has to hang up for itself.
    let enders: &[usize] = if damage_percent > 0 { &[CALLER, CALLEE] } else { &[CALLER] };
    for host in enders {
        for call in world.live(*host) {
            world.command(*host, call, Command::Hangup);
        }
    }
    world.run_out();
    world
}

/// `World` itself asserts that nothing comes after an end.
fn check(seed: u64, damage_percent: u64) {
    let world = play(seed, damage_percent);
    for host in [CALLER, CALLEE] {
        assert_eq!(world.hosts[host].len(), 0, "seed {seed}: host {host} has calls left");
        assert_eq!(world.hosts[host].remembered(), 0, "seed {seed}: host {host} remembers something");
        assert_eq!(world.live(host), [], "seed {seed}: calls of host {host} without an end");
    }
    // Who says that nobody picked up says so of a callee who agrees, or at least was told.
    for (_, host, call, event) in &world.events {
        let Event::Ended(ended) = event else { continue };
        let answered = world
            .events
            .iter()
            .filter(|(_, at, of, event)| at == host && of == call && matches!(event, Event::Answered { .. }))
            .count();
        assert!(answered <= 1, "seed {seed}: answered twice");
        let fits = match ended {
            Ended::HungUp { .. } | Ended::Lost { .. } => answered == 1,
            _ => answered == 0,
        };
        assert!(fits, "seed {seed}: host {host}, {call}: {ended:?} with {answered} answers");
    }
}

#[test]
fn ten_thousand_random_calls_end_once_and_leave_nothing_behind() {
    for seed in 0..10_000 {
        check(seed, 0);
    }
}

/// Bytes changed under way make wrong calls, but no panic, no call without an end, and nothing that stays.
#[test]
fn damaged_messages_leave_nothing_behind_either() {
    for seed in 0..3_000 {
        check(seed, 25);
    }
}

/// The same seed gives the same run, to the byte: that is what makes a failure repeatable.
#[test]
fn a_seed_repeats_its_run() {
    for seed in 0..20 {
        let trace = |world: World| {
            let start = world.start;
            let events = world.events.into_iter();
            events
                .map(|(at, host, call, event)| format!("{:?} {host} {call} {event:?}", at - start))
                .collect::<Vec<_>>()
        };
        assert_eq!(trace(play(seed, 5)), trace(play(seed, 5)), "seed {seed}");
    }
}
