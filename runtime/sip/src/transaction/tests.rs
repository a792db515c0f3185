use std::time::{Duration, Instant};

use super::*;
use crate::Timing;

/// Lets a client transaction run: responses come at their times (in ms), and what it asks for comes out as text.
#[track_caller]
fn check_client(is_invite: bool, is_reliable: bool, responses: &[(u64, u16)], expected: &str) {
    #[expect(clippy::disallowed_methods, reason = "any instant does to count from")]
    let start = Instant::now();
    let mut client = Client::new(start, is_invite, is_reliable, Timing::default());
    let mut log = Vec::new();
    let mut responses = responses.iter().copied().peekable();
    loop {
        let next_response = responses.peek().map(|(at, _)| start + Duration::from_millis(*at));
        let due = client.due();
        let ms = |at: Instant| (at - start).as_millis();
        match (due, next_response) {
            (Some(due), response) if response.is_none_or(|response| due <= response) => {
                let what = client.handle_timeout(due);
                if what != ClientDue::Nothing {
                    log.push(format!("{} {what:?}", ms(due)));
                }
            }
            (_, Some(at)) => {
                let (_, code) = responses.next().unwrap();
                log.push(format!("{} {code} {:?}", ms(at), client.handle_response(at, code)));
            }
            (Some(_) | None, None) => break,
        }
        if client.is_terminated() && responses.peek().is_none() {
            break;
        }
    }
    if !client.is_terminated() {
        log.push("waits".into());
    }
    assert_eq!(log.join(" | "), expected);
}

#[test]
fn an_invite_is_repeated_with_growing_pauses_and_given_up_after_64_t1() {
    check_client(
        true,
        false,
        &[],
        "500 Resend | 1500 Resend | 3500 Resend | 7500 Resend | 15500 Resend | 31500 Resend | 32000 GiveUp",
    );
    check_client(true, true, &[], "32000 GiveUp");
}

#[test]
fn other_requests_are_repeated_at_most_every_t2() {
    check_client(
        false,
        false,
        &[],
        "500 Resend | 1500 Resend | 3500 Resend | 7500 Resend | 11500 Resend | 15500 Resend | 19500 Resend \
         | 23500 Resend | 27500 Resend | 31500 Resend | 32000 GiveUp",
    );
    check_client(false, true, &[], "32000 GiveUp");
    // A provisional response slows the repetitions to T2 and does not put off the end.
    check_client(
        false,
        false,
        &[(600, 100)],
        "500 Resend | 600 100 Deliver | 1500 Resend | 5500 Resend | 9500 Resend | 13500 Resend | 17500 Resend \
         | 21500 Resend | 25500 Resend | 29500 Resend | 32000 GiveUp",
    );
}

#[test]
fn a_ringing_invite_is_neither_repeated_nor_given_up() {
    check_client(true, false, &[(100, 100), (200, 180)], "100 100 Deliver | 200 180 Deliver | waits");
}

#[test]
fn a_refused_invite_is_acknowledged_each_time_until_timer_d() {
    check_client(
        true,
        false,
        &[(100, 486), (600, 486), (700, 180), (800, 200)],
        "100 486 AcknowledgeAndDeliver | 600 486 AcknowledgeAgain | 700 180 Ignore | 800 200 Ignore | 32100 Gone",
    );
    check_client(true, true, &[(100, 486), (200, 486)], "100 486 AcknowledgeAndDeliver | 200 486 Ignore");
}

#[test]
fn an_accepted_invite_passes_every_2xx_until_timer_m() {
    check_client(
        true,
        false,
        &[(100, 200), (600, 200), (700, 180), (800, 486)],
        "100 200 Deliver | 600 200 Deliver | 700 180 Ignore | 800 486 Ignore | 32100 Gone",
    );
    check_client(true, true, &[(100, 200), (9000, 200)], "100 200 Deliver | 9000 200 Deliver | 32100 Gone");
}

#[test]
fn an_answered_request_absorbs_repetitions_until_timer_k() {
    check_client(false, false, &[(100, 200), (600, 200)], "100 200 Deliver | 600 200 Ignore | 5100 Gone");
    check_client(false, true, &[(100, 200), (600, 200)], "100 200 Deliver | 600 200 Ignore");
}

enum Step {
    Respond(u16),
    Ack,
}
use Step::*;

/// Lets a server transaction run: its user and its peer act at their times (in ms).
#[track_caller]
fn check_server(is_invite: bool, is_reliable: bool, steps: &[(u64, Step)], expected: &str) {
    #[expect(clippy::disallowed_methods, reason = "any instant does to count from")]
    let start = Instant::now();
    let mut server = Server::new(start, is_invite, is_reliable, Timing::default());
    let mut log = Vec::new();
    let mut steps = steps.iter().peekable();
    loop {
        let next_step = steps.peek().map(|(at, _)| start + Duration::from_millis(*at));
        let ms = |at: Instant| (at - start).as_millis();
        match (server.due(), next_step) {
            (Some(due), step) if step.is_none_or(|step| due <= step) => {
                let what = server.handle_timeout(due);
                if what != ServerDue::Nothing {
                    log.push(format!("{} {what:?}", ms(due)));
                }
            }
            (_, Some(at)) => match steps.next().unwrap().1 {
                Respond(code) => log.push(format!("{} {code} {}", ms(at), server.respond(at, code))),
                Ack => server.handle_ack(at),
            },
            (_, None) => break,
        }
    }
    if !server.is_terminated() {
        log.push("waits".into());
    }
    assert_eq!(log.join(" | "), expected);
}

#[test]
fn an_invite_that_nobody_answers_at_once_is_answered_100() {
    check_server(true, false, &[], "200 Trying | waits");
    check_server(true, false, &[(100, Respond(180))], "100 180 true | waits");
    check_server(false, false, &[], "waits");
}

#[test]
fn a_refusal_is_repeated_until_its_ack() {
    check_server(
        true,
        false,
        &[(100, Respond(486)), (150, Respond(200)), (4000, Ack)],
        "100 486 true | 150 200 false | 600 Resend | 1600 Resend | 3600 Resend | 9000 Gone",
    );
    check_server(
        true,
        false,
        &[(100, Respond(486))],
        "100 486 true | 600 Resend | 1600 Resend | 3600 Resend | 7600 Resend | 11600 Resend | 15600 Resend \
         | 19600 Resend | 23600 Resend | 27600 Resend | 31600 Resend | 32100 Gone",
    );
    check_server(true, true, &[(100, Respond(486)), (200, Ack)], "100 486 true");
    check_server(true, true, &[(100, Respond(486))], "100 486 true | 32100 Gone");
}

#[test]
fn an_accepted_invite_absorbs_its_repetitions_until_timer_l() {
    check_server(true, false, &[(100, Respond(200))], "100 200 true | 32100 Gone");
    #[expect(clippy::disallowed_methods, reason = "any instant does to count from")]
    let now = Instant::now();
    let mut server = Server::new(now, true, false, Timing::default());
    assert!(server.repeats_response());
    server.respond(now, 200);
    assert!(!server.repeats_response(), "the 2xx is repeated by its user, until the ACK");
}

#[test]
fn other_answers_are_kept_until_timer_j() {
    check_server(false, false, &[(100, Respond(200))], "100 200 true | 32100 Gone");
    check_server(false, true, &[(100, Respond(200))], "100 200 true");
}
