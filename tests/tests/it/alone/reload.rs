//! Versions come and go under calls in progress: no call fails, none changes its version, the sound stays whole, and the
//! code of old versions is given back. `./zv reload-soak` does it with 500 calls and ten deploys in a minute.

use std::{collections::BTreeSet, fs, time::Duration};

use serde_json::Value;
use zvonar_tests::{
    callgen::{self, Callgen},
    clock,
    host::Host,
    http::{Token, ask},
    machine, package, ports,
    project::{Config, Route},
    records::Days,
};

const LIMIT: Duration = Duration::from_secs(60);

/// Calls in progress, deploys, and in how many seconds.
#[derive(Clone, Copy)]
struct Size(u32, u32, u32);

/// The size of `ZVONAR_RELOAD`: then this is a soak, on a machine that does nothing else.
fn soak() -> Option<Size> {
    let text = std::env::var("ZVONAR_RELOAD").ok()?;
    let numbers: Vec<u32> = text.split(' ').map(|number| number.parse().expect("a number")).collect();
    let [calls, deploys, seconds] = numbers[..] else { panic!("ZVONAR_RELOAD is CALLS DEPLOYS SECONDS") };
    Some(Size(calls, deploys, seconds))
}

/// What the kernel says of a process.
struct Memory {
    rss_kib: u64,
    /// Files of compiled code that are mapped.
    code: BTreeSet<String>,
}

fn memory(pid: u32) -> Memory {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let code = maps.lines().filter(|line| line.ends_with(".cwasm"));
    let code = code.filter_map(|line| line.rsplit('/').next()).map(str::to_owned);
    Memory { rss_kib: rss.trim().trim_end_matches(" kB").parse().unwrap(), code: code.collect() }
}

#[test]
fn deploys_under_calls_in_progress_break_none_change_none_and_give_the_old_code_back() {
    let _machine = machine::alone();
    if !machine::built(&["bench"]) {
        return;
    }
    if let Some(size) = soak() {
        let (late, all) = callgen::late(&deploys_under_calls(size));
        assert!(late * 1_000 < all, "{late} of {all} packets came more than 20 ms late");
    } else {
        callgen::in_time(20, || deploys_under_calls(Size(20, 3, 6)));
    }
}

/// Does it once, and gives what the generator says of the calls that last through all deploys.
fn deploys_under_calls(Size(calls, deploys, seconds): Size) -> Value {
    let days = Days::from_now();
    let folder = tempfile::tempdir().unwrap();
    let callgen = Callgen::compile(folder.path());
    let token = Token::new("demo");
    let mut config = Config::new("127.0.0.1:9".parse().unwrap()).with_http(&token);
    config.tenant += "[tenant.limits]\nuploads_per_minute = 1000\n";
    config.media_ports = ports::media_range(u16::try_from(2 * calls + 200).unwrap());
    config.scenarios.push(("bench".into(), package::copy("bench", "1", &folder.path().join("v1"))));
    config.routes = ["hold", "short"]
        .map(|user| Route {
            user: user.into(),
            scenario: "bench".into(),
            settings: vec![("job".into(), "hold".into())],
        })
        .into();
    let archives: Vec<Vec<u8>> = (2..deploys + 2)
        .map(|version| {
            let folder = folder.path().join(format!("v{version}"));
            package::pack(&package::copy("bench", &version.to_string(), &folder))
        })
        .collect();
    let mut host = Host::serve(&config, folder.path()).unwrap();
    let (pid, address) = (host.process.id(), config.http.unwrap());
    let calls_now = || {
        let list = ask(address, &token, "GET", "/v1/scenarios", b"").unwrap().json();
        list["scenarios"][0]["calls_now"].as_u64().unwrap()
    };

    let rate = calls.min(25);
    // Long enough for all of them to see all deploys.
    let hold = Duration::from_secs(u64::from(seconds + calls / rate + 10));
    let held = callgen.call(host.address, "hold", (calls, rate), hold);
    assert!(clock::within(LIMIT, || calls_now() == u64::from(calls)), "{}", host.process.output());
    let before = memory(pid);
    // Others come and go meanwhile.
    let short = callgen.call(host.address, "short", (2 * seconds, 2), Duration::from_secs(1));
    let pause = Duration::from_secs(seconds.into()) / deploys;
    let mut swaps = vec![(0, 0)];
    let mut peak = before.rss_kib;
    for (at, archive) in archives.iter().enumerate() {
        let began = clock::unix_millis();
        let answer = ask(address, &token, "POST", "/v1/scenarios", archive).unwrap();
        assert_eq!(answer.status, 201, "{answer:?}");
        swaps.push((began, clock::unix_millis()));
        // The short calls on the version before end in a second.
        let settled = || memory(pid).code.len() <= 3;
        let given_back = clock::within(LIMIT, settled);
        let now = memory(pid);
        peak = peak.max(now.rss_kib);
        eprintln!("{}; {} MiB", answer.json()["lineup"].as_str().unwrap(), now.rss_kib >> 10);
        assert!(given_back, "versions between that have no calls are given back at once: {:?}", now.code);
        if at + 1 < archives.len() {
            let spent = Duration::from_millis(clock::unix_millis() - began);
            std::thread::sleep(pause.saturating_sub(spent));
        }
    }
    let (held, short) = (held.figures(hold + LIMIT), short.figures(hold + LIMIT));
    assert!(clock::within(LIMIT, || calls_now() == 0), "{}", host.process.output());
    let settled = || memory(pid).code.len() == 1;
    assert!(clock::within(LIMIT, settled), "old code is still there: {:?}", memory(pid).code);
    let after = memory(pid);
    let (late, all) = callgen::late(&held);
    eprintln!(
        "{calls} calls under {deploys} deploys in {seconds} s: {} failed, {late} of {all} packets more than 20 ms late, {} lost; \
         resident {} MiB before, {} MiB at most, {} MiB when all had hung up",
        held["failed"],
        held["rtp"]["lost"],
        before.rss_kib >> 10,
        peak >> 10,
        after.rss_kib >> 10
    );
    assert_eq!(held["ok"].as_u64(), Some(u64::from(calls)), "{held:#}");
    assert_eq!(short["ok"].as_u64(), Some(u64::from(2 * seconds)), "{short:#}");
    assert_eq!(held["rtp"]["lost"].as_u64(), Some(0), "{held:#}");

    let records = days.attempts(address, &token);
    assert_eq!(records.len() as u32, calls + 2 * seconds);
    let first_swap = swaps[1].0;
    for record in &records {
        let version: usize = record["scenario"]["version"].as_str().unwrap().parse().unwrap();
        let started = record["started_at"].as_u64().unwrap();
        // A call that came while its version was live, or was just being swapped.
        let until = swaps.get(version).map_or(u64::MAX, |(_, swapped)| *swapped);
        assert!(started <= until, "a call of {started} ran on v{version}, which was over at {until}");
        assert!(version == 1 || started + 1_000 >= swaps[version - 1].0, "{started} is before v{version}");
        assert!(started >= first_swap || version == 1, "a call in progress changed its version");
    }
    host.process.terminate(LIMIT).unwrap();
    held
}
