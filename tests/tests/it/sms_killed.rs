//! The host dies of kill -9 at random moments while its calls decide text messages and its outbox gives them to a pretend
//! SMSC, which lives on. What is looked at: each message that was decided is with the stand exactly once, or is seen to be
//! in doubt; none is there twice; and each is charged once, what the stand took.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use zvonar_tests::{
    clock,
    host::{Farm, Host, Report, verify_ledger, zvonar},
    http, machine,
    process::Process,
    project::{Config, Project, leads},
};

/// Kills of an ordinary run; `./zv sms-soak` asks for more by `ZVONAR_SMS_KILLS`.
const KILLS: &str = "3";
/// How long the host may live between two kills, in milliseconds: callees press their key some three seconds after a call
/// begins, so that many messages are decided and given in the second half of it.
const LIFE_MS: std::ops::Range<u64> = 3_500..7_500;
/// New calls a second.
const PACE: u32 = 8;
/// How long the stand keeps a question: many kills fall into that time.
const STAND_TAKES_MS: &str = "150";
const LIMIT: Duration = Duration::from_secs(60);
/// Longer than a message in doubt waits before it is asked for, and its answer takes.
const DOUBTS: Duration = Duration::from_secs(75);

#[test]
fn a_host_that_is_killed_while_it_sends_gives_each_message_away_once_and_charges_it_once() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let kills: u32 = std::env::var("ZVONAR_SMS_KILLS").unwrap_or_else(|_| KILLS.into()).parse().unwrap();
    let mut chance = Chance(clock::unix_millis() | 1);
    eprintln!("{kills} kills, seed {}", chance.0);
    let folder = tempfile::tempdir().unwrap();
    let (mut stand, address) = stand();
    let farm = Farm::start(folder.path()).unwrap();
    // As many people as are called until the last kill, about.
    let people = (kills * PACE * 5).max(30) as usize;
    let mut config = Config::new(farm.address).scenario("menu");
    config.calls_per_second = PACE;
    config.trunk_lines = 80;
    config.tenant = format!(
        "[tenant.sms]\nlogin = \"demo\"\npassword = \"word\"\nhosts = [\"http://{address}\"]\nper_minute = 6000\n"
    );
    config.dialling = format!("calls_per_second = {PACE}");
    config.projects = vec![Project {
        id: "demo".into(),
        scenario: "menu".into(),
        lines: 80,
        ring_s: 5,
        max_calls: 1,
        // Two of three press 1, and are sent a message.
        leads: leads(people, &[1, 1, 4]),
        settings: vec![("sms-text".into(), "Вы записаны, ждём вас".into())],
    }];
    let mut caught = 0;
    for kill in 1..=kills {
        let mut host = Host::start(&config, folder.path(), &[], false).unwrap();
        std::thread::sleep(Duration::from_millis(chance.within(LIFE_MS)));
        assert!(host.process.is_running(), "before kill {kill}: {}", host.process.output());
        host.process.kill();
        caught += found(&host);
    }
    let mut host = Host::start(&config, folder.path(), &["--once"], false).unwrap();
    host.process.succeed(Duration::from_secs(60 + people as u64)).unwrap();
    caught += found(&host);
    let before = texts(&host.config);
    let doubts = before.values().filter(|text| text["status"] == "in_doubt").count();
    let taken = taken(&address);
    check(&before, &taken, "right after the last run");
    // Doubts are settled by asking, and by nothing else.
    let mut host = Host::serve(&config, folder.path()).unwrap();
    std::thread::sleep(DOUBTS);
    assert!(host.process.terminate(LIMIT).unwrap().success(), "{}", host.process.output());
    let (after, taken) = (texts(&host.config), self::taken(&address));
    check(&after, &taken, "in the end");
    assert!(after.values().all(|text| text["status"] != "in_doubt"), "{after:?}");
    let report = Report::of(&host.config).unwrap();
    report.check_sums().unwrap();
    let verified = verify_ledger(&host.config).unwrap();
    eprintln!(
        "{} messages decided, {} with the stand; {caught} were on their way when the host died, {doubts} in doubt when the \
         list was done; {}",
        after.len(),
        taken.len(),
        verified.trim()
    );
    assert!(after.len() >= kills as usize, "too few were sent a message: {}", after.len());
    stand.kill();
}

/// How many messages a host has found that were on their way when the one before it died.
fn found(host: &Host) -> usize {
    host.process.output().matches("while a text message was being sent").count()
}

/// Message by message, what we say of it and what the stand has.
fn check(texts: &BTreeMap<String, Value>, taken: &[Value], when: &str) {
    let mut by_number: BTreeMap<u64, Vec<&Value>> = BTreeMap::new();
    for one in taken {
        by_number.entry(one["id"].as_u64().expect("a number")).or_default().push(one);
    }
    // The stand takes a number once, whatever is offered: that nobody has it twice must not be its merit alone.
    let again: Vec<_> = taken.iter().filter(|one| one["offered_again"] != 0).collect();
    assert!(again.is_empty(), "{when}: offered once more, though the stand had them: {again:?}");
    let phones: BTreeSet<&str> = taken.iter().filter_map(|one| one["phone"].as_str()).collect();
    assert_eq!(phones.len(), taken.len(), "{when}: somebody has the message twice");
    let mut known = BTreeSet::new();
    for (id, text) in texts {
        let number = text["number"].as_u64();
        known.extend(number);
        let found = number.and_then(|number| by_number.get(&number)).map_or(&[][..], |found| &found[..]);
        let charged = text["kopecks"].as_i64();
        match text["status"].as_str().expect("a status") {
            "queued" | "failed" => assert_eq!((found.len(), charged), (0, None), "{when}: {id} {text}"),
            "sending" | "in_doubt" => {
                assert!(found.len() <= 1 && charged.is_none(), "{when}: {id} {text}");
            }
            _ => {
                let [found] = found else { panic!("{when}: {id} {text}: {found:?}") };
                assert_eq!(Some(&*format!("+{}", found["phone"].as_str().unwrap())), text["to"].as_str());
                assert_eq!(charged, found["cost"].as_i64(), "{when}: {id} {text}");
            }
        }
    }
    let strange: Vec<_> = by_number.keys().filter(|number| !known.contains(number)).collect();
    assert!(strange.is_empty(), "{when}: the stand has messages that nobody decided: {strange:?}");
}

fn stand() -> (Process, String) {
    let arguments = [
        "smsc-stand",
        "--listen",
        "127.0.0.1:0",
        "--login",
        "demo",
        "--password",
        "word",
        "--balance",
        "100000000",
        "--delay-ms",
        STAND_TAKES_MS,
    ];
    let mut stand = Process::spawn("stand", &mut zvonar(arguments)).unwrap();
    let ready = stand.wait_for_line("listening on http://", LIMIT).unwrap();
    let address = ready.rsplit("http://").next().unwrap().trim().to_owned();
    (stand, address)
}

/// All messages of a host that has ended, by id.
fn texts(config: &Path) -> BTreeMap<String, Value> {
    let mut command = zvonar(["sms", "list", "--json", "--limit", "0", "--config"]);
    command.arg(config);
    let told = Process::spawn("zvonar sms list", &mut command).unwrap().succeed(LIMIT).unwrap();
    let texts = told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    texts.map(|text| (text["id"].as_str().unwrap().to_owned(), text)).collect()
}

/// What the stand has taken.
fn taken(address: &str) -> Vec<Value> {
    let nobody = http::Token { secret: String::new(), hash: String::new() };
    let answer = http::ask(address.parse().unwrap(), &nobody, "GET", "/stand/messages", &[]).unwrap();
    answer.json().as_array().cloned().unwrap_or_else(|| panic!("{answer:?}"))
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
