//! The host dies of kill -9 at random moments of a running list and is started again until the list is done. Two facts
//! are looked at: nobody's phone rang twice, and every answered attempt has exactly one charge.

use std::{collections::BTreeMap, time::Duration};

use zvonar_tests::{
    clock,
    host::{Farm, Host, Report, verify_ledger},
    machine,
    project::{Config, Lead, Project, leads},
};

/// Kills of an ordinary run; `./zv kill-soak` asks for more by `ZVONAR_KILLS`.
const KILLS: u32 = 4;
/// How long the host may live between two kills, in milliseconds: from "reads its store" to "several calls stand".
const LIFE_MS: std::ops::Range<u64> = 50..4000;

/// Answered and ended by a key, answered and left, busy, declined, unknown.
const ENDINGS: &[u8] = &[1, 2, 4, 1, 5, 7, 2, 8];

#[test]
fn nobody_is_called_twice_and_every_answer_is_charged_once_whenever_the_host_is_killed() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let kills =
        std::env::var("ZVONAR_KILLS").map_or(KILLS, |text| text.parse().expect("ZVONAR_KILLS is a number"));
    let mut chance = Chance(clock::unix_millis() | 1);
    eprintln!("{kills} kills, seed {}", chance.0);
    let folder = tempfile::tempdir().unwrap();
    let farm = Farm::start(folder.path()).unwrap();
    let list = leads(20 + 10 * kills as usize, ENDINGS);
    let mut config = Config::new(farm.address).scenario("menu");
    config.calls_per_second = 5;
    config.projects = vec![Project {
        id: "demo".into(),
        scenario: "menu".into(),
        lines: 8,
        ring_s: 5,
        max_calls: 1,
        leads: list.clone(),
        settings: vec![],
    }];

    for kill in 1..=kills {
        let mut host = Host::start(&config, folder.path(), &["--once"], false).unwrap();
        std::thread::sleep(Duration::from_millis(chance.within(LIFE_MS)));
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
    for lead in &list {
        check(lead, rung.get(&lead.phone[1..]).map_or(&[], Vec::as_slice), &report);
    }
    let verified = verify_ledger(&host.config).unwrap();
    let answered = report.rows.iter().filter(|row| row.robot_s > 0).count();
    eprintln!("{} leads, {answered} charged, {}", list.len(), verified.trim());
}

/// The two facts, for one person. `calls`: the Call-IDs with which the phone rang.
fn check(lead: &Lead, calls: &[String], report: &Report) {
    let rows = report.of_lead(lead);
    assert!(calls.len() <= 1, "{}'s phone rang {} times: {calls:?}\n{rows:?}", lead.id, calls.len());
    assert_eq!(rows.len(), 1, "{}: one attempt, one row; {rows:?}", lead.id);
    let row = rows[0];
    // A crash in mid-attempt ends it as a failure of ours, which nobody pays for.
    if row.result == "Системная ошибка" {
        assert_eq!(row.kopecks, 0, "{row:?}");
        return;
    }
    assert_eq!(calls.len(), 1, "{} has a result but the phone never rang: {row:?}", lead.id);
    let picks_up = matches!(lead.phone.as_bytes().last(), Some(b'1'..=b'4'));
    assert_eq!(row.kopecks > 0, picks_up, "{row:?}");
    assert_eq!(row.kopecks, 4 * row.robot_s as i64, "{row:?}");
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
