//! Calls as traces: messages with the host that sent them (0 calls, 1 is called), events with the host that hears them.

use std::time::Duration;

use super::world::{CALLEE, CALLER, Weather, World, dial, media};
use crate::{Command, Ended, Event, Side};

enum Do {
    /// The callee: 180.
    Ring,
    /// The callee: 183 with sound.
    Play,
    /// The callee: 200.
    Answer,
    /// The callee: a refusal.
    Reject(u16),
    /// Either end.
    Hangup(usize),
    /// From now on, messages of a host that start so are lost.
    Swallow(usize, &'static str),
    /// Nothing is lost any more.
    Calm,
}
use Do::*;

/// One call, dialled at 0 with 20 s to ring, and what is done at which millisecond.
fn play(script: &[(u64, Do)]) -> World {
    let mut world = World::new(7, Weather::default());
    world.keeps_log = true;
    let early = script.iter().take_while(|(at, step)| *at == 0 && matches!(step, Swallow(..))).count();
    for (_, step) in &script[..early] {
        if let Swallow(host, start) = step {
            world.swallow.push((*host, start));
        }
    }
    let call = world.dial(dial(Duration::from_secs(20)));
    for (at, step) in &script[early..] {
        world.run_until(world.start + Duration::from_millis(*at));
        let callee = world.incoming(CALLEE);
        let command = |world: &mut World, command| {
            world.command(CALLEE, callee.expect("the call came in"), command);
        };
        match step {
            Ring => command(&mut world, Command::Ring { early_media: None }),
            Play => command(&mut world, Command::Ring { early_media: Some(media(CALLEE)) }),
            Answer => command(&mut world, Command::Answer { local_media: media(CALLEE) }),
            Reject(code) => command(&mut world, Command::Reject { code: *code, reason: String::new() }),
            Hangup(CALLER) => world.command(CALLER, call, Command::Hangup),
            Hangup(_) => command(&mut world, Command::Hangup),
            Swallow(host, start) => world.swallow.push((*host, start)),
            Calm => world.swallow.clear(),
        }
    }
    world.run_out();
    for host in [CALLER, CALLEE] {
        assert_eq!((world.hosts[host].len(), world.hosts[host].remembered()), (0, 0), "{:#?}", world.log);
    }
    world
}

#[track_caller]
fn check(script: &[(u64, Do)], expected: &[&str]) {
    let world = play(script);
    assert_eq!(world.log, expected, "{:#?}", world.log);
}

#[test]
fn a_call_is_answered_and_hung_up() {
    check(
        &[(20, Ring), (3000, Answer), (8000, Hangup(CALLER))],
        &[
            "0.000 0 INVITE",
            "0.010 1: Incoming",
            "0.020 1 180 INVITE",
            "0.030 0: Progress",
            "3.000 1: Answered",
            "3.000 1 200 INVITE",
            "3.010 0 ACK",
            "3.010 0: Answered",
            "3.020 1: Confirmed",
            "8.000 0: Ended(HungUp { by: Near, talk: 4.99s })",
            "8.000 0 BYE",
            "8.010 1 200 BYE",
            "8.010 1: Ended(HungUp { by: Far, talk: 5.01s })",
        ],
    );
}

#[test]
fn early_media_and_a_slow_callee() {
    check(
        &[(500, Play), (3000, Answer), (8000, Hangup(CALLEE))],
        &[
            "0.000 0 INVITE",
            "0.010 1: Incoming",
            "0.210 1 100 INVITE",
            "0.220 0: Progress",
            "0.500 1 183 INVITE",
            "0.500 1: Progress",
            "0.510 0: Progress",
            "3.000 1: Answered",
            "3.000 1 200 INVITE",
            "3.010 0 ACK",
            "3.010 0: Answered",
            "3.020 1: Confirmed",
            "8.000 1: Ended(HungUp { by: Near, talk: 5s })",
            "8.000 1 BYE",
            "8.010 0 200 BYE",
            "8.010 0: Ended(HungUp { by: Far, talk: 5s })",
        ],
    );
}

#[test]
fn a_busy_callee_is_acknowledged() {
    check(
        &[(20, Reject(486))],
        &[
            "0.000 0 INVITE",
            "0.010 1: Incoming",
            "0.020 1: Ended(Refused { code: 486, reason: \"\", by: Near })",
            "0.020 1 486 INVITE",
            "0.030 0 ACK",
            "0.030 0: Ended(Refused { code: 486, reason: \"Busy Here\", by: Far })",
        ],
    );
}

#[test]
fn a_call_that_rings_out_is_cancelled() {
    check(
        &[(20, Ring)],
        &[
            "0.000 0 INVITE",
            "0.010 1: Incoming",
            "0.020 1 180 INVITE",
            "0.030 0: Progress",
            "20.000 0 CANCEL",
            "20.010 1 200 CANCEL",
            "20.010 1 487 INVITE",
            "20.010 1: Ended(CanceledByFarEnd)",
            "20.020 0 ACK",
            "20.020 0: Ended(RangOut)",
        ],
    );
}

/// The person picks up in the very moment that our patience ends.
#[test]
fn an_answer_that_crosses_our_cancel_is_acknowledged_and_closed() {
    check(
        &[(20, Ring), (19_995, Answer)],
        &[
            "0.000 0 INVITE",
            "0.010 1: Incoming",
            "0.020 1 180 INVITE",
            "0.030 0: Progress",
            "19.995 1: Answered",
            "19.995 1 200 INVITE",
            "20.000 0 CANCEL",
            "20.005 0 ACK",
            "20.005 0: Ended(AnsweredLate)",
            "20.005 0 BYE",
            "20.010 1 200 CANCEL",
            "20.015 1: Confirmed",
            "20.015 1 200 BYE",
            "20.015 1: Ended(HungUp { by: Far, talk: 20ms })",
        ],
    );
}

/// A carrier that lost our CANCELs rang on after we had given up. The person who then picked up heard nobody, for as long
/// as he held on: his answer was neither acknowledged nor closed.
#[test]
fn whoever_picks_up_after_we_gave_up_on_our_cancel_is_not_left_on_the_line() {
    let world = play(&[(20, Ring), (1000, Swallow(CALLER, "CANCEL")), (70_000, Calm), (80_000, Answer)]);
    let gave_up = world.log.iter().position(|line| line.contains("RangOut")).expect("the caller gives up");
    let late = &world.log[gave_up..];
    assert_eq!(
        late,
        [
            "52.000 0: Ended(RangOut)",
            "80.000 1: Answered",
            "80.000 1 200 INVITE",
            "80.010 0 ACK",
            "80.010 0 BYE",
            "80.020 1: Confirmed",
            "80.020 1 200 BYE",
            "80.020 1: Ended(HungUp { by: Far, talk: 20ms })",
        ],
        "{:#?}",
        world.log
    );
}

#[test]
fn a_cancel_waits_for_the_first_provisional_response() {
    check(
        &[(0, Swallow(CALLEE, "1")), (2000, Hangup(CALLER)), (3000, Calm)],
        &[
            "0.000 0 INVITE",
            "0.010 1: Incoming",
            "0.210 1 100 INVITE lost",
            "0.500 0 INVITE",
            "0.510 1 100 INVITE lost",
            "1.500 0 INVITE",
            "1.510 1 100 INVITE lost",
            "3.500 0 INVITE",
            "3.510 1 100 INVITE",
            "3.520 0 CANCEL",
            "3.520 0: Progress",
            "3.530 1 200 CANCEL",
            "3.530 1 487 INVITE",
            "3.530 1: Ended(CanceledByFarEnd)",
            "3.540 0 ACK",
            "3.540 0: Ended(CanceledByUs)",
        ],
    );
}

#[test]
fn an_invite_that_nobody_hears_is_unreachable() {
    let world = play(&[(0, Swallow(CALLER, "INVITE"))]);
    let ends: Vec<_> = world.log.iter().filter(|line| line.contains("Ended")).collect();
    assert_eq!(ends, ["32.000 0: Ended(Unreachable)"]);
    assert_eq!(world.log.iter().filter(|line| line.ends_with("0 INVITE lost")).count(), 7);
}

#[test]
fn a_lost_ack_is_sent_again_for_each_repeated_200() {
    check(
        &[(20, Answer), (25, Swallow(CALLER, "ACK")), (1000, Calm), (8000, Hangup(CALLEE))],
        &[
            "0.000 0 INVITE",
            "0.010 1: Incoming",
            "0.020 1: Answered",
            "0.020 1 200 INVITE",
            "0.030 0 ACK lost",
            "0.030 0: Answered",
            "0.520 1 200 INVITE",
            "0.530 0 ACK lost",
            "1.520 1 200 INVITE",
            "1.530 0 ACK",
            "1.540 1: Confirmed",
            "8.000 1: Ended(HungUp { by: Near, talk: 7.98s })",
            "8.000 1 BYE",
            "8.010 0 200 BYE",
            "8.010 0: Ended(HungUp { by: Far, talk: 7.98s })",
        ],
    );
}

#[test]
fn a_caller_who_never_acknowledges_is_lost_and_told() {
    let world = play(&[(0, Swallow(CALLER, "ACK")), (20, Answer)]);
    let ends: Vec<_> = world.log.iter().filter(|line| line.contains("Ended")).collect();
    assert_eq!(
        ends,
        ["32.020 1: Ended(Lost { talk: 32s })", "32.030 0: Ended(HungUp { by: Far, talk: 32s })"],
        "{:#?}",
        world.log
    );
    let repeated = world.log.iter().filter(|line| line.ends_with("1 200 INVITE")).count();
    assert_eq!(repeated, 11, "once, and every T1, 2 T1, … up to T2 until 64 T1");
}

/// Hanging up right after the answer must not overtake the ACK (RFC 3261 §15).
#[test]
fn the_callees_bye_waits_for_the_ack() {
    check(
        &[(20, Answer), (22, Hangup(CALLEE))],
        &[
            "0.000 0 INVITE",
            "0.010 1: Incoming",
            "0.020 1: Answered",
            "0.020 1 200 INVITE",
            "0.022 1: Ended(HungUp { by: Near, talk: 2ms })",
            "0.030 0 ACK",
            "0.030 0: Answered",
            "0.040 1 BYE",
            "0.050 0 200 BYE",
            "0.050 0: Ended(HungUp { by: Far, talk: 20ms })",
        ],
    );
}

#[test]
fn a_callee_that_answers_no_bye_does_not_hold_us_up() {
    let world = play(&[(0, Swallow(CALLEE, "200 BYE")), (20, Answer), (5000, Hangup(CALLER))]);
    let ends: Vec<_> = world.log.iter().filter(|line| line.contains("Ended")).collect();
    assert_eq!(
        ends,
        [
            "5.000 0: Ended(HungUp { by: Near, talk: 4.97s })",
            "5.010 1: Ended(HungUp { by: Far, talk: 4.99s })"
        ]
    );
    assert_eq!(world.log.iter().filter(|line| line.ends_with("0 BYE")).count(), 11);
}

#[test]
fn both_may_hang_up_at_once() {
    let world = play(&[(20, Answer), (5000, Hangup(CALLER)), (5000, Hangup(CALLEE))]);
    let by_near = |event: &Event| matches!(event, Event::Ended(Ended::HungUp { by: Side::Near, .. }));
    assert_eq!(world.events.iter().filter(|(.., event)| by_near(event)).count(), 2);
}

#[test]
fn both_ends_learn_where_the_sound_goes() {
    let world = play(&[(20, Answer), (1000, Hangup(CALLER))]);
    let plans: Vec<_> = world
        .events
        .iter()
        .filter_map(|(_, host, _, event)| match event {
            Event::Answered { media, code: 200, .. } => Some((*host, media.remote)),
            _ => None,
        })
        .collect();
    assert_eq!(plans, [(CALLEE, media(CALLER)), (CALLER, media(CALLEE))]);
}

#[test]
fn the_callee_learns_who_calls() {
    let world = play(&[(20, Reject(486))]);
    let incoming = world.events.iter().find_map(|(.., event)| match event {
        Event::Incoming(incoming) => Some(incoming.clone()),
        _ => None,
    });
    let incoming = incoming.expect("the call came in");
    assert_eq!(
        (incoming.to_user.as_str(), incoming.from_user.as_str(), incoming.from_display.as_str()),
        ("+79161234567", "+74951234567", "Робот")
    );
    assert!(incoming.has_offer);
}

/// An address with headers (`?Subject=x`) went out as the request URI, which no end may accept (RFC 3261 §19.1.1); ours
/// did not either, and the answer to that call stopped the calls of the whole host.
#[test]
fn an_address_with_headers_is_refused_before_anything_leaves() {
    let mut world = World::new(7, Weather::default());
    let to_uri = "sip:+79161234567@10.0.0.2?Subject=x".into();
    let call = world.dial(crate::Dial { to_uri, ..dial(Duration::from_secs(20)) });
    assert!(world.ended.contains_key(&(CALLER, call)), "it is over at once");
    let events: Vec<_> = world.events.iter().map(|(.., event)| event).collect();
    assert!(
        matches!(events[..], [Event::Ended(Ended::Refused { code: 400, by: Side::Near, .. })]),
        "{events:?}"
    );
    assert_eq!(world.hosts[CALLER].remembered(), 0);
}
