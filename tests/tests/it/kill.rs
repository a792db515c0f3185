//! The host dies of kill -9 at random moments of a running list and is started again until the list is done. Three facts
//! are looked at: nobody was called beyond the limits, every lead is finished, and every answered attempt has exactly one
//! charge.

use std::{collections::BTreeMap, time::Duration};

use zvonar_tests::{
    clock,
    host::{Farm, Host, Report, Row, verify_ledger},
    machine,
    project::{Config, Lead, Project, leads},
};

/// Kills of an ordinary run and leads of its list; `./zv kill-soak` asks for more by `ZVONAR_KILLS` (`50 2000`).
const KILLS: &str = "4 60";
/// How long the host may live between two kills, in milliseconds: from "reads its store" to "several calls stand"; in a
/// long list also to "many are over".
const LIFE_MS: std::ops::Range<u64> = 50..4000;
const LONG_LIFE_MS: std::ops::Range<u64> = 50..8000;

/// Answered and left, answered and ended by a key, busy, declined, unknown.
const ENDINGS: &[u8] = &[4, 1, 5, 4, 7, 2, 4, 8];

/// The most calls to one number, and what each result allows of its own in a row. The next call may follow at once.
const MAX_CALLS: usize = 3;
const RETRY: &str =
    "retry = { busy = 2, busy_min = 0, rejected = 1, rejected_min = 0, system = 2, system_min = 0 }";

#[test]
fn nobody_is_called_beyond_the_limits_and_every_answer_is_charged_once_whenever_the_host_is_killed() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let size = std::env::var("ZVONAR_KILLS").unwrap_or_else(|_| KILLS.into());
    let (kills, people) = size.split_once(' ').expect("kills and leads");
    let kills: u32 = kills.parse().expect("a number of kills");
    let people: usize = people.parse().expect("a number of leads");
    let mut chance = Chance(clock::unix_millis() | 1);
    eprintln!("{kills} kills, {people} leads, seed {}", chance.0);
    let folder = tempfile::tempdir().unwrap();
    let farm = Farm::start(folder.path()).unwrap();
    let list = leads(people, ENDINGS);
    let mut config = Config::new(farm.address).scenario("menu");
    // As fast as the list is done with all its kills, and no faster.
    let long = kills > 10;
    let life = if long { LONG_LIFE_MS } else { LIFE_MS };
    let pace = (people as u32 / kills.max(1) / if long { 4 } else { 2 }).clamp(5, 50);
    config.calls_per_second = pace;
    config.trunk_lines = 100;
    config.dialling = format!("calls_per_second = {pace}\n{RETRY}");
    config.projects = vec![Project {
        id: "demo".into(),
        scenario: "menu".into(),
        lines: (4 * pace).min(100),
        ring_s: 5,
        max_calls: MAX_CALLS as u32,
        leads: list.clone(),
        settings: vec![],
    }];

    for kill in 1..=kills {
        let mut host = Host::start(&config, folder.path(), &["--once"], false).unwrap();
        std::thread::sleep(Duration::from_millis(chance.within(life.clone())));
        assert!(
            host.process.is_running(),
            "before kill {kill} the host had ended by itself\n{}",
            host.process.output()
        );
        host.process.kill();
    }
    let mut host = Host::start(&config, folder.path(), &["--once"], false).unwrap();
    let limit = Duration::from_secs(60 + 5 * list.len() as u64);
    host.process.succeed(limit).unwrap();

    let rung = rung(&farm);
    let report = Report::of(&host.config).unwrap();
    report.check_sums().unwrap();
    let mut cut_off = 0;
    for lead in &list {
        cut_off += check(lead, rung.get(&lead.phone[1..]).map_or(&[], Vec::as_slice), &report);
    }
    let verified = verify_ledger(&host.config).unwrap();
    let answered = report.rows.iter().filter(|row| row.robot_s > 0).count();
    eprintln!(
        "{} attempts for {} leads, {answered} charged, {cut_off} cut off, {}",
        report.rows.len(),
        list.len(),
        verified.trim()
    );
}

/// The facts, for one person; gives how many of the attempts were cut off. `calls`: the Call-IDs with which the phone
/// rang.
fn check(lead: &Lead, calls: &[String], report: &Report) -> usize {
    let rows = report.of_lead(lead);
    let told = || format!("{}: calls {calls:?}, rows {rows:?}", lead.id);
    let is = |row: &Row, result: &str| row.result == result;
    let cut_off = rows.iter().filter(|row| is(row, "Системная ошибка")).count();
    // A crash in mid-attempt ends it as a failure of ours, which nobody pays for; its phone may have rung.
    assert!(calls.len() <= rows.len() && calls.len() + cut_off >= rows.len(), "{}", told());
    assert!(rows.len() <= MAX_CALLS, "{}", told());
    let picks_up = matches!(lead.phone.as_bytes().last(), Some(b'1'..=b'4'));
    for row in &rows {
        let answered = picks_up && !is(row, "Системная ошибка");
        assert_eq!(row.kopecks > 0, answered, "{}", told());
        assert_eq!(row.kopecks, 4 * row.robot_s as i64, "{}", told());
    }
    // What ended the lead, and that nothing followed it. Every list of results here has one end and no other.
    let in_a_row = |at: usize, limit: usize, result: &str| {
        at + 1 >= limit && rows[at + 1 - limit..=at].iter().all(|row| is(row, result))
    };
    let ends = |at: usize| {
        rows[at].kopecks > 0
            || is(rows[at], "Несуществующий номер")
            || is(rows[at], "Отклонён")
            || in_a_row(at, 2, "Занято")
            || in_a_row(at, 2, "Системная ошибка")
            || at + 1 == MAX_CALLS
    };
    let first_end = (0..rows.len()).find(|at| ends(*at));
    assert_eq!(first_end, rows.len().checked_sub(1), "not finished, or called after its end: {}", told());
    cut_off
}

/// Number without the plus → the Call-IDs of its INVITEs, as the farm saw them.
fn rung(farm: &Farm) -> BTreeMap<String, Vec<String>> {
    let mut rung: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in farm.events().unwrap() {
        if event["event"] == "invite" {
            let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            rung.entry(text("number").trim_start_matches('+').to_owned()).or_default().push(text("call"));
        }
    }
    rung
}

/// A xorshift: moments need no better randomness, and a failure names its seed.
struct Chance(u64);

impl Chance {
    fn within(&mut self, range: std::ops::Range<u64>) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        range.start + self.0 % (range.end - range.start)
    }
}
