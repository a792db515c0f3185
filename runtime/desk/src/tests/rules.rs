//! The rules, one by one.

use zvonar_model::{Millis, ProjectId};

use super::script::{at, call, check, check_with, group, operator, play, settings, step, stored};
use crate::{
    AfterMisses, Caller, Desk, Found, Group, GroupFault, Operator, Presence, Settings, Status, Talk,
};

/// Olga and Ivan of sales are there.
const TWO: [(i64, &str); 4] =
    [(0, "operator olga sales"), (0, "operator ivan sales"), (0, "olga available"), (0, "ivan available")];

fn two(more: &[(i64, &'static str)]) -> Vec<(i64, &'static str)> {
    [&TWO[..], more].concat()
}

#[test]
fn the_operator_whose_last_talk_ended_longest_ago_is_asked() {
    check(
        &two(&[
            (1, "a wants sales"),
            (2, "ivan takes a"),
            (3, "b wants sales"),
            (4, "olga takes b"),
            (50, "b is-done"),
            (60, "a is-done"),
            (70, "c wants sales"),
        ]),
        "1s ring ivan for a | 2s connect a ivan | 3s ring olga for b | 4s connect b olga | 70s ring olga for c",
    );
}

#[test]
fn a_telephone_that_is_picked_up_and_stays_silent_counts_as_one_that_was_not_taken() {
    check(
        &two(&[
            (1, "a wants sales"),
            (2, "ivan takes a"),
            (12, "a hears-nobody"),
            (12, "a wants sales"),
            (13, "olga takes a"),
            (14, "b wants sales"),
            (30, "operator vera sales"),
        ]),
        "1s ring ivan for a | 2s connect a ivan | 12s ring olga for a | 13s connect a olga | 22s ring ivan for b",
    );
    let twice =
        two(&[(1, "a wants sales"), (2, "ivan takes a"), (12, "a hears-nobody"), (13, "a hears-nobody")]);
    let ivan = stored(settings(), &twice, "ivan");
    assert_eq!((ivan.misses, ivan.last_talk), (1, None), "that was no talk, and is told once");
}

#[test]
fn whoever_called_a_colleague_is_not_rung_meanwhile_and_takes_the_next_caller_at_once() {
    let day = [
        (0, "operator olga sales"),
        (0, "olga available"),
        // In the middle of a ring, too: the caller goes on waiting.
        (1, "a wants sales"),
        (2, "olga talks-with ivan"),
        (3, "b wants sales"),
        (30, "ivan is-free"),
        (31, "olga takes a"),
        (35, "a is-done"),
    ];
    check(
        &day,
        "1s ring olga for a | 2s silence olga for a | 2s olga missed a Busy | 30s ring olga for a | 31s connect a olga | \
         35s ring olga for b",
    );
    let wrap_up = Settings { wrap_up: Millis(20_000), ..settings() };
    let olga = stored(wrap_up.clone(), &day[..6], "olga");
    assert_eq!(
        (olga.status, olga.last_talk, olga.misses),
        (Status::Available, None, 0),
        "that was no caller"
    );
    let olga = stored(wrap_up, &day, "olga");
    assert_eq!((olga.status, olga.last_talk), (Status::WrapUp, Some(at(35))));
    // Removed meanwhile, she is gone with its end.
    let mut desk = Desk::new(settings());
    play(&mut desk, &day[..4], 0);
    step(&mut desk, at(5), "fire olga");
    step(&mut desk, at(6), "ivan is-free");
    assert_eq!(desk.seats().count(), 0);
}

#[test]
fn nobody_free_means_waiting_until_somebody_is_and_who_came_first_comes_first() {
    check(
        &[
            (0, "operator olga sales"),
            (1, "a wants sales"),
            (2, "b wants sales"),
            (10, "olga available"),
            (12, "olga takes a"),
            (30, "a is-done"),
            (32, "olga takes b"),
        ],
        "10s ring olga for a | 12s connect a olga | 30s ring olga for b | 32s connect b olga",
    );
}

#[test]
fn a_caller_of_a_narrow_group_is_not_passed_by_those_who_take_anybody() {
    check(
        &[
            (0, "operator olga sales,debts"),
            (1, "a wants debts"),
            (2, "b wants anybody"),
            (3, "c wants anybody"),
            (5, "olga available"),
            (6, "olga takes a"),
            (7, "d wants debts"),
            (9, "a is-done"),
            (10, "olga takes b"),
            (11, "b is-done"),
            (12, "olga takes c"),
            (13, "c is-done"),
        ],
        "5s ring olga for a | 6s connect a olga | 9s ring olga for b | 10s connect b olga | 11s ring olga for c \
         | 12s connect c olga | 13s ring olga for d",
    );
}

#[test]
fn an_operator_takes_nobody_of_a_group_that_is_not_his() {
    check(
        &[
            (0, "operator olga sales"),
            (0, "operator ivan debts"),
            (0, "olga available"),
            (1, "a wants debts"),
            (2, "b wants sales"),
            (3, "ivan available"),
            (4, "c wants parking"),
        ],
        "2s ring olga for b | 3s ring ivan for a | 4s c gets nobody NoSuchOperator after 0s",
    );
}

#[test]
fn who_has_waited_long_enough_is_told() {
    check(
        &[(0, "operator olga sales"), (1, "a wants sales 30"), (40, "olga available")],
        "31s a gets nobody WaitedLongEnough after 30s",
    );
}

#[test]
fn a_wait_that_ends_while_a_telephone_rings_silences_it_and_names_its_operator() {
    check(
        &[(0, "operator olga sales"), (1, "a wants sales 30"), (25, "olga available"), (40, "b wants sales")],
        "25s ring olga for a | 31s silence olga for a | 31s a gets nobody WaitedLongEnough after 30s, blames olga \
         | 40s ring olga for b",
    );
}

#[test]
fn a_wait_and_a_ring_that_end_together_end_the_wait() {
    check(
        &two(&[(1, "a wants sales 20"), (30, "b wants sales")]),
        "1s ring ivan for a | 21s silence ivan for a \
         | 21s a gets nobody WaitedLongEnough after 20s, blames ivan | 30s ring ivan for b",
    );
}

#[test]
fn who_leaves_is_nobodys_fault_unless_a_telephone_rang() {
    check(
        &[
            (0, "operator olga sales"),
            (1, "a wants sales"),
            (5, "a leaves"),
            (10, "olga available"),
            (11, "b wants sales"),
            (14, "b leaves"),
            (14, "b leaves"),
        ],
        "5s a lost after 4s | 11s ring olga for b | 14s silence olga for b | 14s b lost after 3s, blames olga",
    );
}

#[test]
fn a_telephone_that_is_not_taken_makes_it_the_next_ones_turn() {
    for (line, how) in [("declines", "Declined"), ("engaged", "Busy"), ("unplugged", "Unreachable")] {
        let said = format!("ivan {line} a");
        let mut lines = two(&[(1, "a wants sales")]);
        lines.push((3, &said));
        lines.push((4, "olga takes a"));
        let expected =
            format!("1s ring ivan for a | 3s ivan missed a {how} | 3s ring olga for a | 4s connect a olga");
        let mut desk = Desk::new(settings());
        assert_eq!(play(&mut desk, &lines, 0), expected);
    }
    check(
        &two(&[(1, "a wants sales"), (30, "olga takes a")]),
        "1s ring ivan for a | 21s silence ivan for a | 21s ivan missed a NoAnswer | 21s ring olga for a \
         | 30s connect a olga",
    );
}

/// With three, the two who talked longest ago could otherwise take turns and the third would never be asked.
#[test]
fn everybody_is_asked_once_before_anybody_is_asked_again() {
    let lines =
        [&TWO[..], &[(0, "operator vera sales"), (0, "vera available"), (1, "a wants sales 200")]].concat();
    let lines = [&lines[..], &[(70, "b wants sales")]].concat();
    check(
        &lines,
        "1s ring ivan for a | 21s silence ivan for a | 21s ivan missed a NoAnswer | 21s ring olga for a \
         | 41s silence olga for a | 41s olga missed a NoAnswer | 41s ring vera for a \
         | 61s silence vera for a | 61s vera missed a NoAnswer | 61s ring ivan for a | 70s ring olga for b",
    );
}

#[test]
fn a_telephone_that_was_not_taken_is_left_alone_for_a_while() {
    check(
        &[
            (0, "operator olga sales"),
            (0, "olga available"),
            (1, "a wants sales 100"),
            (2, "olga declines a"),
            (14, "olga declines a"),
            (16, "olga available"),
        ],
        "1s ring olga for a | 2s olga missed a Declined | 12s ring olga for a | 14s olga missed a Declined \
         | 16s ring olga for a",
    );
}

#[test]
fn who_does_not_take_three_calls_in_a_row_is_on_a_break() {
    let lines = [
        (0, "operator olga sales"),
        (0, "olga available"),
        (1, "a wants sales 500"),
        (21, "olga declines a"),
        (32, "olga declines a"),
        (43, "olga declines a"),
        (44, "b wants sales"),
        (90, "b leaves"),
    ];
    check(
        &lines,
        "1s ring olga for a | 21s olga missed a Declined | 31s ring olga for a | 32s olga missed a Declined \
         | 42s ring olga for a | 43s olga missed a Declined | 90s b lost after 46s",
    );
    let presence = stored(settings(), &lines, "olga");
    assert_eq!((presence.status, presence.since, presence.misses), (Status::Break, at(43), 0));
    // Engaged is not away, and a talk begins the count anew.
    let engaged =
        lines.map(|(at, line)| (at, if line.contains("declines") { "olga engaged a" } else { line }));
    assert_eq!(stored(settings(), &engaged, "olga").status, Status::Available);
    let took = lines.map(|(at, line)| (at, if at == 32 { "olga takes a" } else { line }));
    assert_eq!(stored(settings(), &took, "olga").misses, 0);
    let never = Settings { after_misses: None, ..settings() };
    assert_eq!(stored(never, &lines, "olga").status, Status::Available);
    let at_once = Some(AfterMisses { in_a_row: 0, status: Status::Offline });
    let at_once = stored(Settings { after_misses: at_once, ..settings() }, &lines, "olga");
    assert_eq!((at_once.status, at_once.since), (Status::Offline, at(21)));
}

#[test]
fn a_caller_who_gives_up_is_no_miss_in_a_row() {
    let lines = [
        (0, "operator olga sales"),
        (0, "olga available"),
        (1, "a wants sales"),
        (2, "a leaves"),
        (3, "b wants sales 1"),
        (5, "c wants sales"),
        (6, "c leaves"),
    ];
    assert_eq!(stored(settings(), &lines, "olga").misses, 0);
    check(
        &lines,
        "1s ring olga for a | 2s silence olga for a | 2s a lost after 1s, blames olga | 3s ring olga for b \
         | 4s silence olga for b | 4s b gets nobody WaitedLongEnough after 1s, blames olga | 5s ring olga for c \
         | 6s silence olga for c | 6s c lost after 1s, blames olga",
    );
}

#[test]
fn going_away_in_mid_ring_declines_the_call() {
    for status in ["offline", "break", "writes"] {
        let said = format!("ivan {status}");
        let mut lines = two(&[(1, "a wants sales")]);
        lines.push((5, &said));
        let mut desk = Desk::new(settings());
        assert_eq!(
            play(&mut desk, &lines, 0),
            "1s ring ivan for a | 5s silence ivan for a | 5s ivan missed a WentAway | 5s ring olga for a"
        );
    }
    check(
        &two(&[(1, "a wants sales"), (5, "fire ivan"), (6, "fire olga"), (7, "b wants sales")]),
        "1s ring ivan for a | 5s silence ivan for a | 5s ivan missed a WentAway | 5s ring olga for a \
         | 6s silence olga for a | 6s olga missed a WentAway | 7s b gets nobody NoSuchOperator after 0s",
    );
}

#[test]
fn a_talk_is_not_cut_by_a_status_and_a_break_begins_after_it() {
    let wraps = Settings { wrap_up: Millis(15_000), ..settings() };
    let lines = [
        (0, "operator olga sales"),
        (0, "olga available"),
        (1, "a wants sales"),
        (2, "olga takes a"),
        (5, "olga break"),
        (6, "b wants sales"),
        (30, "a is-done"),
        (50, "olga available"),
    ];
    check_with(wraps.clone(), &lines, "1s ring olga for a | 2s connect a olga | 50s ring olga for b");
    let presence = stored(wraps, &lines[..7], "olga");
    assert_eq!((presence.status, presence.last_talk), (Status::Break, Some(at(30))));
}

#[test]
fn after_a_talk_there_is_time_to_write_it_down() {
    let of_group = [(Group::new("debts").unwrap(), Millis(40_000))].into();
    let wraps = Settings { wrap_up: Millis(15_000), wrap_up_of: of_group, ..settings() };
    for (whom, own, until) in
        [("sales", None, 45), ("debts", None, 70), ("anybody", None, 45), ("debts", Some(5), 35)]
    {
        let mut desk = Desk::new(wraps.clone());
        let groups = ["sales", "debts"].into_iter().filter_map(group).collect();
        let olga = Operator { id: operator("olga"), groups, wrap_up: own.map(|own| Millis(own * 1_000)) };
        desk.handle_operator(at(0), olga);
        let first = format!("a wants {whom}");
        let lines: [(i64, &str); 5] = [
            (0, "olga available"),
            (1, &first),
            (2, "olga takes a"),
            (30, "a is-done"),
            (31, "b wants sales"),
        ];
        let done = play(&mut desk, &lines, 60);
        assert!(done.contains(&format!("| {until}s ring olga for b")), "{whom} {own:?}: {done}");
    }
    // Whoever is done sooner says so; whoever wants more time says that.
    let lines = [
        (0, "operator olga sales"),
        (0, "olga available"),
        (1, "a wants sales"),
        (2, "olga takes a"),
        (30, "a is-done"),
        (31, "b wants sales"),
        (35, "olga available"),
    ];
    let done = "1s ring olga for a | 2s connect a olga | 35s ring olga for b";
    check_with(wraps.clone(), &lines, done);
    let longer = lines.map(|(at, line)| (at, if at == 35 { "olga writes" } else { line }));
    check_with(
        wraps.clone(),
        &[&longer[..], &[(92, "b leaves")]].concat(),
        "1s ring olga for a | 2s connect a olga | 91s b gets nobody WaitedLongEnough after 60s",
    );
    assert_eq!(stored(wraps, &longer, "olga").until, None);
}

#[test]
fn an_answer_counts_once_and_only_from_who_was_asked() {
    check(
        &two(&[
            (1, "a wants sales"),
            (2, "olga takes a"), // was not asked
            (3, "ivan takes a"),
            (3, "ivan takes a"),  // told twice
            (4, "olga takes a"),  // somebody has him by now
            (5, "vera takes a"),  // nobody knows her
            (5, "a wants sales"), // he has somebody
            (6, "b wants sales"),
            (7, "ivan takes b"), // with the telephone that he does not talk by
            (8, "b leaves"),
            (8, "olga takes b"), // crossed on the way
            (9, "ivan declines a"),
            (10, "olga declines b"),
            (11, "a is-done"),
            (11, "a is-done"),
            (12, "c wants sales"),
        ]),
        "1s ring ivan for a | 2s silence olga for a | 3s connect a ivan | 4s silence olga for a | 5s silence vera for a \
         | 6s ring olga for b | 7s silence ivan for b | 8s silence olga for b | 8s b lost after 2s, blames olga | 8s silence olga for b \
         | 12s ring olga for c",
    );
}

#[test]
fn an_answer_in_the_moment_of_a_timer_is_an_answer() {
    check(&two(&[(1, "a wants sales 20"), (21, "ivan takes a")]), "1s ring ivan for a | 21s connect a ivan");
}

#[test]
fn a_full_queue_says_so_at_once() {
    let lines: Vec<(i64, &str)> = [
        (0, "operator olga sales"),
        (1, "a wants sales"),
        (1, "b wants sales"),
        (1, "c wants anybody"),
        (1, "d wants sales"),
        (1, "e wants sales"),
        (2, "f wants sales"),
        (2, "a wants sales"), // he is there
        (3, "c leaves"),
        (4, "f wants sales"),
    ]
    .into();
    check(&lines, "2s f gets nobody QueueFull after 0s | 3s c lost after 2s");
}

#[test]
fn those_who_wait_are_told_their_place_and_how_long_it_may_take() {
    let tells = Settings { tell_every: Some(Millis(20_000)), ..settings() };
    let lines = [
        (0, "operator olga sales,debts"),
        (0, "operator ivan parking"),
        (0, "olga available"),
        (1, "a wants sales"),
        (2, "olga takes a"),
        (3, "b wants debts"),
        (4, "c wants parking"),
        (5, "d wants sales"),
        (6, "e wants anybody"),
        (32, "a is-done"),
    ];
    check_with(
        tells.clone(),
        &lines,
        "1s ring olga for a | 2s connect a olga | 3s tell b 1 | 4s tell c 1 | 5s tell d 2 | 6s tell e 3 \
         | 23s tell b 1 | 24s tell c 1 | 25s tell d 2 | 26s tell e 3 | 32s ring olga for b",
    );
    let mut desk = Desk::new(tells);
    play(&mut desk, &lines, 0);
    // Talks take 30 s; one operator works. He who wants parking waits for somebody who does not.
    let told = ["b", "c", "d", "e"].map(|name| {
        (desk.position(&call(name)).unwrap(), desk.estimate(&call(name)).map(|wait| wait.0 / 1_000))
    });
    assert_eq!(told, [(1, Some(30)), (1, None), (2, Some(60)), (3, Some(90))]);
    assert_eq!(desk.position(&call("a")), None, "he does not wait any more");
    let never = Desk::new(Settings { tell_every: Some(Millis(0)), ..settings() });
    assert_eq!(never.poll_timeout(), None);
}

#[test]
fn pacing_hears_of_those_for_whom_no_telephone_rings() {
    let mut desk = Desk::new(settings());
    let spring = ProjectId::new("spring").unwrap();
    for line in ["operator olga sales", "olga available", "a wants sales", "b wants anybody", "c wants sales"]
    {
        step(&mut desk, at(0), line);
    }
    let seen = |desk: &Desk| {
        let sales = group("sales");
        (
            desk.waiting(&spring),
            desk.waiting_for(sales.as_ref()),
            desk.waiting_for(None),
            desk.free(sales.as_ref()),
        )
    };
    assert_eq!(seen(&desk), (2, 1, 1, 0));
    assert_eq!(desk.waiting(&ProjectId::new("autumn").unwrap()), 0);
    step(&mut desk, at(1), "operator ivan sales");
    step(&mut desk, at(1), "ivan available");
    assert_eq!(seen(&desk), (1, 1, 0, 0));
    for line in ["a leaves", "b leaves", "c leaves"] {
        step(&mut desk, at(2), line);
    }
    assert_eq!(seen(&desk), (0, 0, 0, 2));
    assert!(desk.works(group("sales").as_ref()) && !desk.works(group("debts").as_ref()));
    step(&mut desk, at(3), "ivan break");
    assert_eq!(seen(&desk), (0, 0, 0, 1));
}

#[test]
fn a_talk_that_the_desk_did_not_begin_takes_its_operator() {
    check(
        &two(&[
            (1, "ivan talks-with x"),
            (2, "a wants sales"),
            (3, "olga talks-with y"), // while her telephone rings
            (10, "y is-done"),
            (11, "olga talks-with a"), // while it rings for him
            (12, "b wants sales"),
            (20, "x is-done"),
            (21, "olga talks-with b"), // not while she talks with another
            (22, "a is-done"),
            (23, "olga talks-with b"), // while ivan's telephone rings for him
        ]),
        "2s ring olga for a | 3s silence olga for a | 3s olga missed a Busy | 10s ring olga for a \
         | 11s connect a olga | 20s ring ivan for b | 23s silence ivan for b",
    );
}

/// What was stored, through its written form.
fn found(presences: &[(&str, Presence)]) -> Found {
    let operators = presences.iter().map(|(name, presence)| {
        let stored = serde_json::from_str(&serde_json::to_string(presence).unwrap()).unwrap();
        (
            Operator { id: operator(name), groups: group("sales").into_iter().collect(), wrap_up: None },
            Some(stored),
        )
    });
    Found { operators: operators.collect(), ..Found::default() }
}

#[test]
fn a_desk_that_is_set_up_anew_goes_on_where_the_old_one_was() {
    let available =
        |talk| Presence { status: Status::Available, last_talk: Some(at(talk)), ..Presence::default() };
    let vera = Presence { status: Status::WrapUp, until: Some(at(30)), ..Presence::default() };
    let mut found = found(&[("olga", available(-10)), ("ivan", available(-20)), ("vera", vera)]);
    found.talks.push(Talk { call: call("a"), operator: operator("olga"), group: None });
    // Told in any order, they stand as they came.
    for (name, since, wait) in [("c", -20, 60), ("b", -25, 60), ("d", -50, 40)] {
        let (call, group) = (call(name), group("sales"));
        let longest_wait = Millis(wait * 1_000);
        found.callers.push(Caller { call, project: None, group, since: at(since), longest_wait });
    }
    let mut desk = Desk::restored(at(0), settings(), found);
    assert_eq!(
        play(&mut desk, &[(5, "ivan takes b"), (6, "a is-done"), (8, "b is-done")], 30),
        "5s d gets nobody WaitedLongEnough after 50s | 5s ring ivan for b | 5s connect b ivan | 6s ring olga for c \
         | 26s silence olga for c | 26s olga missed c NoAnswer | 26s ring ivan for c"
    );
}

#[test]
fn a_clock_that_was_set_back_between_two_runs_holds_nobody_up() {
    let olga = Presence {
        status: Status::WrapUp,
        since: at(86_400),
        until: Some(at(86_415)),
        last_talk: Some(at(86_400)),
        misses: 0,
    };
    let mut desk = Desk::restored(at(0), settings(), found(&[("olga", olga)]));
    assert_eq!(play(&mut desk, &[(1, "a wants anybody")], 20), "15s ring olga for a");
    assert_eq!(desk.seats().next().unwrap().presence.last_talk, Some(at(0)));
    // Within a run, a step back is no time at all.
    let b =
        Caller { call: call("b"), project: None, group: None, since: at(15), longest_wait: Millis(5_000) };
    desk.handle_caller(at(-1_000), b);
    assert_eq!(desk.callers().last().unwrap().since, at(15));
    assert_eq!(desk.poll_timeout(), Some(at(20)));
}

#[test]
fn a_full_queue_of_others_turns_nobody_away_who_is_taken_at_once_or_comes_back() {
    let mut desk = Desk::new(Settings { most_callers: 1, ..settings() });
    for line in ["operator ivan sales", "operator olga debts", "olga available", "a wants sales"] {
        step(&mut desk, at(0), line);
    }
    let done = play(&mut desk, &[(1, "b wants debts"), (2, "c wants debts")], 3);
    assert_eq!(done, "1s ring olga for b | 2s c gets nobody QueueFull after 0s");
    // A silent telephone had him since the beginning.
    let back =
        Caller { call: call("d"), project: None, group: None, since: at(1), longest_wait: Millis(60_000) };
    desk.handle_caller(at(4), back);
    assert!(desk.callers().any(|caller| caller.call == call("d")));
}

#[test]
fn whoever_waited_before_a_restart_keeps_his_place_though_fewer_may_wait() {
    let olga = Presence { status: Status::Break, ..Presence::default() };
    let mut found = found(&[("olga", olga)]);
    for (name, since) in [("c", -10), ("a", -30), ("b", -20)] {
        let (call, longest_wait) = (call(name), Millis(60_000));
        found.callers.push(Caller { call, project: None, group: None, since: at(since), longest_wait });
    }
    let mut desk = Desk::restored(at(0), Settings { most_callers: 2, ..settings() }, found);
    let done = play(&mut desk, &[(1, "olga available")], 0);
    assert_eq!(done, "1s ring olga for a");
    assert_eq!(desk.callers().count(), 3);
}

#[test]
fn an_edit_is_taken_up_at_once() {
    check(
        &two(&[
            (1, "a wants sales"),
            (2, "b wants debts"),
            (3, "operator olga sales,debts"),
            (4, "ivan takes a"),
            (5, "fire ivan"), // in mid-talk
            (6, "a is-done"),
            (7, "c wants sales"),
            (8, "ivan available"),
        ]),
        "1s ring ivan for a | 2s b gets nobody NoSuchOperator after 0s | 4s connect a ivan | 7s ring olga for c",
    );
    let mut desk = Desk::new(settings());
    for line in ["operator olga sales", "a wants sales", "b wants sales"] {
        step(&mut desk, at(0), line);
    }
    desk.handle_settings(at(1), Settings { ring: Millis(3_000), ..settings() });
    let done = play(&mut desk, &[(2, "olga available")], 3);
    assert_eq!(done, "2s ring olga for a | 5s silence olga for a | 5s olga missed a NoAnswer");
}

#[test]
fn the_name_of_a_group_is_one_line_of_any_language() {
    assert_eq!(Group::new("  Продажи ").unwrap().as_str(), "Продажи");
    assert_eq!(Group::new(" "), Err(GroupFault::Empty));
    assert_eq!(Group::new("a\nb"), Err(GroupFault::Control('\n')));
    assert_eq!(Group::new(&"я".repeat(65)), Err(GroupFault::TooLong(65)));
    assert!(serde_json::from_str::<Group>("\"\"").is_err(), "stored names are checked as well");
    for status in Status::ALL {
        let json = serde_json::to_string(&status).unwrap();
        assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), status);
    }
}
