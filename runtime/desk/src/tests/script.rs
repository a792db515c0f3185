//! A day at the desk, written as it would be told: `30 olga takes anna`.

use zvonar_model::{AttemptId, Millis, OperatorId, ProjectId, UnixMillis};

use crate::{Action, Caller, Desk, Group, Miss, Operator, Presence, Settings, Status, Talk};

/// The moment 0 of a script.
pub(crate) const ZERO: i64 = 1_700_000_000_000;

pub(crate) fn at(seconds: i64) -> UnixMillis {
    UnixMillis(ZERO + seconds * 1_000)
}

pub(crate) fn operator(name: &str) -> OperatorId {
    OperatorId::new(name).unwrap()
}

pub(crate) fn call(name: &str) -> AttemptId {
    AttemptId::new(name).unwrap()
}

pub(crate) fn group(name: &str) -> Option<Group> {
    (name != "anybody").then(|| Group::new(name).unwrap())
}

/// As the scripts have them: everything on, in round numbers.
pub(crate) fn settings() -> Settings {
    Settings { most_callers: 5, ..Settings::default() }
}

/// Does what one line says. Waits are 60 s unless the line says otherwise: `anna wants sales 90`.
pub(crate) fn step(desk: &mut Desk, now: UnixMillis, line: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["operator", name, groups] => {
            let groups = groups.split(',').filter_map(group).collect();
            let made = Operator { id: operator(name), groups, wrap_up: None };
            desk.handle_operator(now, made);
        }
        ["fire", name] => desk.handle_removed(now, &operator(name)),
        [name, "available"] => desk.handle_status(now, &operator(name), Status::Available),
        [name, "break"] => desk.handle_status(now, &operator(name), Status::Break),
        [name, "writes"] => desk.handle_status(now, &operator(name), Status::WrapUp),
        [name, "offline"] => desk.handle_status(now, &operator(name), Status::Offline),
        [name, "wants", whom] => wants(desk, now, name, whom, 60),
        [name, "wants", whom, wait] => wants(desk, now, name, whom, wait.parse().unwrap()),
        [name, "leaves"] => desk.handle_left(now, &call(name)),
        [name, "hears-nobody"] => desk.handle_no_talk(now, &call(name), Miss::NoAnswer),
        [name, "is-not-reached"] => desk.handle_no_talk(now, &call(name), Miss::Unreachable),
        [name, "loses-phone"] => desk.handle_reach(now, [(operator(name), false)]),
        [name, "has-phone"] => desk.handle_reach(now, [(operator(name), true)]),
        ["back", names] => desk.handle_reach(now, names.split(',').map(|name| (operator(name), true))),
        [name, "is-free"] => desk.handle_disengaged(now, &call(name)),
        [name, "is-done"] => desk.handle_talk_ended(now, &call(name)),
        [name, "talks-with", whom] => {
            desk.handle_talking(now, Talk { call: call(whom), operator: operator(name), group: None });
        }
        [name, "takes", whom] => desk.handle_answered(now, &call(whom), &operator(name)),
        [name, "declines", whom] => desk.handle_not_taken(now, &call(whom), &operator(name), Miss::Declined),
        [name, "engaged", whom] => desk.handle_not_taken(now, &call(whom), &operator(name), Miss::Busy),
        [name, "unplugged", whom] => {
            desk.handle_not_taken(now, &call(whom), &operator(name), Miss::Unreachable);
        }
        _ => panic!("`{line}` says nothing"),
    }
}

fn wants(desk: &mut Desk, now: UnixMillis, name: &str, whom: &str, wait: u64) {
    desk.handle_caller(
        now,
        Caller {
            call: call(name),
            project: Some(ProjectId::new("spring").unwrap()),
            group: group(whom),
            since: now,
            longest_wait: Millis(wait * 1_000),
        },
    );
}

/// An action in a few words, without those that only store.
pub(crate) fn told(action: &Action) -> Option<String> {
    let seconds = |time: &Millis| time.0.div_ceil(1_000);
    let blamed =
        |who: &Option<OperatorId>| who.as_ref().map_or(String::new(), |who| format!(", blames {who}"));
    Some(match action {
        Action::Ring { call, operator } => format!("ring {operator} for {call}"),
        Action::StopRinging { call, operator } => format!("silence {operator} for {call}"),
        Action::Connect { call, operator } => format!("connect {call} {operator}"),
        Action::TellPosition { call, position, wait: None } => format!("tell {call} {position}"),
        Action::TellPosition { call, position, wait: Some(wait) } => {
            format!("tell {call} {position} ~{}s", seconds(wait))
        }
        Action::Missed { call, operator, how } => format!("{operator} missed {call} {how:?}"),
        Action::GiveUp { call, why, responsible, last, waited } => {
            let last = last.map_or(String::new(), |last| format!(", last {last:?}"));
            format!("{call} gets nobody {why:?} after {}s{last}{}", seconds(waited), blamed(responsible))
        }
        Action::Lost { call, responsible, waited } => {
            format!("{call} lost after {}s{}", seconds(waited), blamed(responsible))
        }
        Action::Save { .. } => return None,
    })
}

/// Runs the lines, timers included, until so many seconds after the last line.
pub(crate) fn play(desk: &mut Desk, lines: &[(i64, &str)], after: i64) -> String {
    let mut all = Vec::new();
    let end = lines.last().map_or(0, |(second, _)| *second) + after;
    let mut lines = lines.iter().peekable();
    loop {
        let line = lines.peek().map(|(second, _)| at(*second));
        let timer = desk.poll_timeout().filter(|timer| *timer <= at(end));
        // What is said in the very moment of a timer comes first: it was on its way.
        let now = match (line, timer) {
            (Some(line), timer) if timer.is_none_or(|timer| line <= timer) => {
                step(desk, line, lines.next().expect("it was looked at").1);
                line
            }
            (_, Some(timer)) => {
                desk.handle_timeout(timer);
                assert!(desk.poll_timeout().is_none_or(|next| next > timer), "a timer that never ends");
                timer
            }
            (_, None) => break,
        };
        while let Some(action) = desk.poll_action() {
            all.extend(told(&action).map(|told| format!("{}s {told}", (now.0 - ZERO) / 1_000)));
        }
    }
    all.join(" | ")
}

/// A day with these settings comes to this.
#[track_caller]
pub(crate) fn check_with(settings: Settings, lines: &[(i64, &str)], expected: &str) {
    let mut desk = Desk::new(settings);
    let done = play(&mut desk, lines, 0);
    let expected: Vec<&str> = expected.split_whitespace().collect();
    assert_eq!(done, expected.join(" "), "{lines:#?}");
}

/// The same with the usual settings.
#[track_caller]
pub(crate) fn check(lines: &[(i64, &str)], expected: &str) {
    check_with(settings(), lines, expected);
}

/// What is stored of an operator after these lines.
pub(crate) fn stored(settings: Settings, lines: &[(i64, &str)], whose: &str) -> Presence {
    let mut desk = Desk::new(settings);
    let mut saved = Presence { since: at(0), ..Presence::default() };
    for (second, line) in lines {
        while let Some(timer) = desk.poll_timeout().filter(|timer| *timer < at(*second)) {
            desk.handle_timeout(timer);
        }
        step(&mut desk, at(*second), line);
        while let Some(action) = desk.poll_action() {
            if let Action::Save { operator, presence } = action
                && operator.as_str() == whose
            {
                saved = presence;
            }
        }
    }
    saved
}
