//! Telephones that come and go.

use zvonar_model::Millis;

use super::script::{at, call, check, check_with, group, operator, play, settings, step, stored};
use crate::{Caller, Desk, Found, Operator, Presence, Settings, Status, Talk};

/// Olga of sales is there, and nobody else.
const OLGA: [(i64, &str); 2] = [(0, "operator olga sales"), (0, "olga available")];

fn olga(more: &[(i64, &'static str)]) -> Vec<(i64, &'static str)> {
    [&OLGA[..], more].concat()
}

#[test]
fn one_without_a_telephone_is_not_rung_and_is_given_the_next_caller_once_it_is_back() {
    check(
        &olga(&[
            (1, "olga loses-phone"),
            (2, "a wants sales"),
            (3, "b wants sales"),
            (4, "olga available"), // who says that he is there has no telephone yet
            (30, "olga has-phone"),
            (31, "olga takes a"),
            (32, "a is-done"),
        ]),
        "30s ring olga for a | 31s connect a olga | 32s ring olga for b",
    );
    // Another takes them meanwhile.
    check(
        &olga(&[
            (0, "operator ivan sales"),
            (0, "ivan available"),
            (1, "ivan loses-phone"),
            (2, "a wants sales"),
            (3, "b wants sales"),
            (5, "ivan has-phone"),
        ]),
        "2s ring olga for a | 5s ring ivan for b",
    );
}

#[test]
fn callers_wait_for_those_without_a_telephone_as_for_those_who_talk() {
    let mut desk = Desk::new(Settings { tell_every: Some(Millis(20_000)), ..settings() });
    let told =
        play(&mut desk, &olga(&[(1, "olga loses-phone"), (2, "a wants sales"), (3, "b wants sales")]), 0);
    assert_eq!(told, "2s tell a 1 | 3s tell b 2");
    let sales = group("sales");
    assert_eq!((desk.works(sales.as_ref()), desk.free(sales.as_ref())), (true, 0));
    assert_eq!(desk.waiting_for(sales.as_ref()), 2, "no telephone rings for them");
    assert!(!desk.seats().next().unwrap().is_reachable());
}

#[test]
fn a_telephone_that_goes_while_it_rings_makes_it_the_next_ones_turn() {
    let lines = olga(&[
        (0, "operator ivan sales"),
        (0, "ivan available"),
        (1, "a wants sales"),
        (5, "ivan loses-phone"),
        (6, "ivan takes a"), // crossed on the way
        (7, "olga declines a"),
        (8, "ivan has-phone"),
    ]);
    check(
        &lines,
        "1s ring ivan for a | 5s silence ivan for a | 5s ivan missed a Unreachable | 5s ring olga for a \
         | 6s silence ivan for a | 7s olga missed a Declined | 8s ring ivan for a",
    );
    assert_eq!(stored(settings(), &lines, "ivan").misses, 0);
}

/// After a restart of the host a few callers once put every operator on a break: all telephones had still to say where they
/// were, and each that was not found counted against its operator.
#[test]
fn to_be_out_of_reach_is_no_call_that_he_did_not_take() {
    let lines = olga(&[
        (1, "a wants sales 500"),
        (2, "olga declines a"),
        (13, "olga unplugged a"),
        (24, "olga unplugged a"),
        (35, "olga unplugged a"),
        (46, "olga declines a"),
    ]);
    check(
        &lines,
        "1s ring olga for a | 2s olga missed a Declined | 12s ring olga for a | 13s olga missed a Unreachable \
         | 23s ring olga for a | 24s olga missed a Unreachable | 34s ring olga for a | 35s olga missed a Unreachable \
         | 45s ring olga for a | 46s olga missed a Declined",
    );
    let presence = stored(settings(), &lines, "olga");
    assert_eq!((presence.status, presence.misses), (Status::Available, 2), "nor does it end a row of those");
    // Rung beside the queue likewise; picked up and silent is another matter.
    let beside = |came| {
        let lines = olga(&[(1, "olga talks-with x"), (2, came), (3, "a wants sales")]);
        stored(settings(), &lines, "olga").misses
    };
    assert_eq!((beside("x is-not-reached"), beside("x hears-nobody")), (0, 1));
}

#[test]
fn a_telephone_that_is_back_need_not_rest_and_its_operator_may() {
    let lines = |how: &'static str| {
        olga(&[
            (1, "a wants sales"),
            (2, how),
            (3, "olga loses-phone"),
            (5, "olga has-phone"),
            (20, "a leaves"),
        ])
    };
    check(
        &lines("olga unplugged a"),
        "1s ring olga for a | 2s olga missed a Unreachable | 5s ring olga for a | 20s silence olga for a \
         | 20s a lost after 19s, blames olga",
    );
    check(
        &lines("olga declines a"),
        "1s ring olga for a | 2s olga missed a Declined | 12s ring olga for a | 20s silence olga for a \
         | 20s a lost after 19s, blames olga",
    );
    // What was there all the time is no news: it was not reached all the same.
    check(
        &olga(&[(1, "a wants sales"), (2, "olga unplugged a"), (3, "olga has-phone"), (15, "olga takes a")]),
        "1s ring olga for a | 2s olga missed a Unreachable | 12s ring olga for a | 15s connect a olga",
    );
}

#[test]
fn who_has_had_no_telephone_for_ten_minutes_has_gone_home() {
    let lines = olga(&[
        (10, "olga loses-phone"),
        (20, "a wants sales 5000"),
        (700, "olga has-phone"),
        (701, "b wants sales"),
        (702, "b leaves"),
    ]);
    let presence = stored(settings(), &lines, "olga");
    assert_eq!((presence.status, presence.since, presence.until), (Status::Offline, at(610), None));
    check(&lines, "702s b lost after 1s");
    check(&[&lines[..], &[(710, "olga available")]].concat(), "702s b lost after 1s | 710s ring olga for a");
    // In time.
    let back = olga(&[(10, "olga loses-phone"), (609, "olga has-phone"), (701, "b wants sales")]);
    assert_eq!(stored(settings(), &back, "olga").status, Status::Available);
    let sooner = Settings { lost_phone: Millis(60_000), ..settings() };
    assert_eq!(stored(sooner, &lines, "olga").since, at(70));
}

#[test]
fn who_is_not_given_calls_is_left_with_the_status_that_he_chose() {
    for (line, status) in
        [("olga break", Status::Break), ("olga writes", Status::WrapUp), ("olga offline", Status::Offline)]
    {
        let lines = olga(&[(10, line), (11, "olga loses-phone"), (5_000, "a wants sales")]);
        let presence = stored(settings(), &lines, "olga");
        assert_eq!((presence.status, presence.since), (status, at(10)));
        // Once he wants calls again, he has all the time to find his telephone.
        let lines = [&lines[..], &[(5_001, "olga available"), (5_600, "b wants sales")]].concat();
        assert_eq!(stored(settings(), &lines, "olga").status, Status::Available);
        let lines = [&lines[..], &[(5_602, "c wants sales")]].concat();
        let presence = stored(settings(), &lines, "olga");
        assert_eq!((presence.status, presence.since), (Status::Offline, at(5_601)));
    }
}

#[test]
fn a_status_that_he_chooses_begins_the_ten_minutes_anew() {
    let lines = olga(&[
        (0, "olga loses-phone"),
        (500, "olga available"),
        (1_099, "a wants sales"),
        (1_200, "b wants sales"),
    ]);
    assert_eq!(stored(settings(), &lines[..5], "olga").status, Status::Available);
    let presence = stored(settings(), &lines, "olga");
    assert_eq!((presence.status, presence.since), (Status::Offline, at(1_100)));
}

#[test]
fn a_talk_shows_that_he_is_there_and_the_ten_minutes_begin_after_it() {
    let wraps = Settings { wrap_up: Millis(900_000), ..settings() };
    let lines = olga(&[
        (1, "a wants sales 5000"),
        (2, "olga takes a"),
        (3, "olga loses-phone"),
        (2_000, "a is-done"),
        (2_599, "b wants sales"),
        (2_601, "c wants sales"),
    ]);
    let at_work = stored(wraps.clone(), &lines[..7], "olga");
    assert_eq!((at_work.status, at_work.until), (Status::WrapUp, Some(at(2_900))));
    // In the writing down that the desk set he is as good as there; its end does not come to bring him back.
    let gone = stored(wraps, &lines, "olga");
    assert_eq!((gone.status, gone.since, gone.until), (Status::Offline, at(2_600), None));
    assert_eq!(gone.last_talk, Some(at(2_000)));
    // A writing down that ends meanwhile is no new beginning.
    let short = Settings { wrap_up: Millis(15_000), ..settings() };
    assert_eq!(stored(short, &lines, "olga").since, at(2_600));
}

#[test]
fn nothing_is_expected_of_one_who_is_gone() {
    let mut desk = Desk::new(settings());
    play(&mut desk, &olga(&[(1, "olga loses-phone"), (1, "olga loses-phone")]), 0);
    assert_eq!(desk.poll_timeout(), Some(at(601)));
    play(&mut desk, &[(700, "olga loses-phone")], 0);
    assert_eq!(desk.poll_timeout(), None);
    // Nobody is at the desk by that name; who sits down has a telephone until told otherwise.
    check(
        &[
            (0, "olga loses-phone"),
            (1, "operator olga sales"),
            (1, "olga available"),
            (2, "a wants sales"),
            (3, "olga loses-phone"),
            (4, "fire olga"),
            (5, "operator olga sales"),
            (5, "olga available"),
        ],
        "2s ring olga for a | 3s silence olga for a | 3s olga missed a Unreachable | 5s ring olga for a",
    );
}

#[test]
fn the_time_without_a_telephone_follows_the_settings() {
    let mut desk = Desk::new(settings());
    play(&mut desk, &olga(&[(1, "olga loses-phone")]), 0);
    desk.handle_settings(at(100), Settings { lost_phone: Millis(30_000), ..settings() });
    assert_eq!(desk.seats().next().unwrap().presence.status, Status::Offline);
    // Two in one moment: gone, not back from writing down.
    let wraps = Settings { wrap_up: Millis(30_000), lost_phone: Millis(30_000), ..settings() };
    let lines = olga(&[
        (1, "a wants sales"),
        (2, "olga takes a"),
        (3, "olga loses-phone"),
        (10, "a is-done"),
        (20, "b wants sales"),
    ]);
    check_with(wraps.clone(), &lines, "1s ring olga for a | 2s connect a olga");
    let gone = stored(wraps, &[&lines[..], &[(41, "b leaves")]].concat(), "olga");
    assert_eq!((gone.status, gone.since), (Status::Offline, at(40)));
}

#[test]
fn a_desk_that_is_set_up_anew_asks_nobody_whose_telephone_has_still_to_come() {
    let available = Presence { status: Status::Available, ..Presence::default() };
    let of_sales =
        |name| Operator { id: operator(name), groups: group("sales").into_iter().collect(), wrap_up: None };
    let caller = |name, since| {
        let (call, group) = (call(name), group("sales"));
        Caller { call, project: None, group, since: at(since), longest_wait: Millis(60_000) }
    };
    let found = Found {
        operators: ["olga", "ivan", "vera"].map(|name| (of_sales(name), Some(available.clone()))).into(),
        without_phone: ["olga", "ivan", "vera", "nobody"].map(operator).into(),
        talks: vec![Talk { call: call("x"), operator: operator("vera"), group: None }],
        callers: vec![caller("a", -10), caller("b", -5)],
    };
    let mut desk = Desk::restored(at(0), settings(), found);
    let lines = [(3, "ivan has-phone"), (4, "ivan takes a"), (5, "x is-done"), (30, "olga has-phone")];
    let done = play(&mut desk, &lines, 0);
    assert_eq!(done, "3s ring ivan for a | 4s connect a ivan | 30s ring olga for b");
    step(&mut desk, at(31), "olga takes b");
    assert_eq!(desk.poll_timeout(), Some(at(605)), "vera has been seen until 5");
}
