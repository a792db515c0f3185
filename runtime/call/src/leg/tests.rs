use super::{Input::*, *};

const RING: Duration = Duration::from_secs(30);
const CANCEL_WAIT: Duration = Duration::from_secs(32);

#[expect(clippy::disallowed_methods, reason = "any instant does to count from")]
fn start() -> Instant {
    Instant::now()
}

/// Plays inputs (in seconds) to a leg, lets its timers run, and prints what it wants done.
fn play(mut leg: Leg, start: Instant, script: &[(u64, Input)]) -> String {
    let mut log = Vec::new();
    let mut script = script.iter().cloned().peekable();
    loop {
        let next = script.peek().map(|(at, _)| start + Duration::from_secs(*at));
        let now = match (leg.poll_timeout(), next) {
            (Some(due), input) if input.is_none_or(|input| due < input) => {
                leg.handle_timeout(due);
                due
            }
            (_, Some(at)) => {
                let (_, input) = script.next().unwrap();
                leg.handle(at, input);
                at
            }
            (_, None) => break,
        };
        while let Some(action) = leg.poll_action() {
            log.push(format!("{}s {action:?}", (now - start).as_secs()));
        }
    }
    log.join(" | ")
}

#[track_caller]
fn check(script: &[(u64, Input)], expected: &str) {
    let start = start();
    assert_eq!(play(Leg::outbound(start, RING, CANCEL_WAIT), start, script), expected);
}

#[track_caller]
fn check_inbound(script: &[(u64, Input)], expected: &str) {
    let start = start();
    assert_eq!(play(Leg::inbound(start, CANCEL_WAIT), start, script), expected);
}

fn refused(code: u16) -> Input {
    Refused { code, reason: "r".into() }
}

const ANSWERED: Input = Answered { is_usable: true };

#[test]
fn a_talk_is_measured_from_the_answer_to_the_bye() {
    check(
        &[(4, ANSWERED), (9, FarHangup), (10, Hangup), (11, FarHangup)],
        "4s Up | 9s Ended(HungUp { by: Far, talk: 5s })",
    );
    check(
        &[(4, ANSWERED), (9, Hangup), (10, FarHangup)],
        "4s Up | 9s Bye | 9s Ended(HungUp { by: Near, talk: 5s })",
    );
}

#[test]
fn an_answer_that_crosses_our_cancel_is_closed() {
    check(&[(31, ANSWERED)], "30s Cancel | 31s Bye | 31s Ended(AnsweredLate)");
    check(&[(2, Hangup), (3, Answered { is_usable: false })], "2s Cancel | 3s Bye | 3s Ended(AnsweredLate)");
}

#[test]
fn a_call_that_rings_too_long_is_taken_back() {
    check(&[(31, refused(487))], "30s Cancel | 31s Ended(RangOut)");
    check(&[], "30s Cancel | 62s Abandon | 62s Ended(RangOut)");
    check(&[(5, Hangup), (6, refused(487))], "5s Cancel | 6s Ended(CanceledByUs)");
    check(&[(5, Hangup)], "5s Cancel | 37s Abandon | 37s Ended(CanceledByUs)");
}

#[test]
fn a_refusal_that_crosses_our_cancel_is_told_as_it_is() {
    check(&[(31, refused(486))], "30s Cancel | 31s Ended(Refused { code: 486, reason: \"r\", by: Far })");
    check(&[(31, refused(503))], "30s Cancel | 31s Ended(RangOut)");
}

#[test]
fn refusals_and_silence_end_a_call() {
    check(&[(3, refused(486))], "3s Ended(Refused { code: 486, reason: \"r\", by: Far })");
    check(&[(29, NoResponse)], "29s Ended(Unreachable)");
    check(&[(32, NoResponse)], "30s Cancel | 32s Ended(Unreachable)");
    check(&[(2, Hangup), (32, NoResponse)], "2s Cancel | 32s Ended(CanceledByUs)");
}

#[test]
fn an_answer_without_a_codec_of_ours_is_closed() {
    check(&[(3, Answered { is_usable: false })], "3s Bye | 3s Ended(NoCommonCodec)");
}

#[test]
fn an_inbound_call_is_up_with_our_200_and_confirmed_by_the_ack() {
    check_inbound(
        &[(1, Answer { has_offer: true }), (2, Acknowledged { is_usable: true }), (9, FarHangup)],
        "1s Accept | 1s Up | 2s Confirmed | 9s Ended(HungUp { by: Far, talk: 8s })",
    );
}

#[test]
fn a_call_without_an_offer_is_up_with_the_ack() {
    check_inbound(
        &[(1, Answer { has_offer: false }), (2, Acknowledged { is_usable: true }), (9, Hangup)],
        "1s Accept | 2s Up | 2s Confirmed | 9s Bye | 9s Ended(HungUp { by: Near, talk: 7s })",
    );
    check_inbound(
        &[(1, Answer { has_offer: false }), (2, Acknowledged { is_usable: false })],
        "1s Accept | 2s Bye | 2s Ended(NoCommonCodec)",
    );
}

#[test]
fn a_caller_who_never_acknowledges_is_lost() {
    check_inbound(
        &[(1, Answer { has_offer: true }), (33, NeverAcknowledged)],
        "1s Accept | 1s Up | 33s Ended(Lost { talk: 32s })",
    );
    check_inbound(
        &[(1, Answer { has_offer: false }), (33, NeverAcknowledged)],
        "1s Accept | 33s Ended(Lost { talk: 0ns })",
    );
}

#[test]
fn an_inbound_call_that_nobody_answers_is_refused_at_last() {
    check_inbound(
        &[],
        "180s Reject { code: 480, reason: \"\" } | 180s Ended(Refused { code: 480, reason: \"\", by: Near })",
    );
    check_inbound(&[(3, Canceled), (4, Answer { has_offer: true })], "3s Ended(CanceledByFarEnd)");
    check_inbound(
        &[(3, Hangup)],
        "3s Reject { code: 603, reason: \"\" } | 3s Ended(Refused { code: 603, reason: \"\", by: Near })",
    );
}

/// Feeds each leg a different run of inputs; a failure names its seed.
#[test]
fn every_leg_ends_once_and_last() {
    for seed in 0..10_000_u64 {
        let start = start();
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut draw = |limit: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % limit
        };
        let mut leg = if draw(2) == 0 {
            Leg::outbound(start, RING, CANCEL_WAIT)
        } else {
            Leg::inbound(start, CANCEL_WAIT)
        };
        let mut now = start;
        let mut ends = Vec::new();
        let mut actions = 0;
        for step in 0..60 {
            now += Duration::from_secs(draw(20));
            let input = match draw(11) {
                _ if step == 59 => FarHangup,
                0 => Answered { is_usable: draw(2) == 0 },
                1 => refused(300 + draw(400) as u16),
                2 => NoResponse,
                3 => Acknowledged { is_usable: draw(2) == 0 },
                4 => NeverAcknowledged,
                5 => Canceled,
                6 => FarHangup,
                7 => Answer { has_offer: draw(2) == 0 },
                8 => Reject { code: 486, reason: String::new() },
                9 => Hangup,
                _ => {
                    leg.handle_timeout(now);
                    continue;
                }
            };
            leg.handle(now, input);
            while let Some(action) = leg.poll_action() {
                actions += 1;
                if matches!(action, Action::Ended(_)) {
                    ends.push(actions);
                }
            }
        }
        assert_eq!(ends, [actions], "seed {seed}");
        assert_eq!(leg.poll_timeout(), None, "seed {seed}");
    }
}
