//! The flood of one tenant stops at himself.

use std::time::Duration;

use serde_json::Value;
use zvonar_tests::{
    callgen::{self, Callgen},
    clock,
    host::Host,
    http::{Token, ask},
    machine, package,
    project::{Config, Route},
};

const LIMIT: Duration = Duration::from_secs(60);
/// How many neighbours talk, and how long.
const NEIGHBOURS: u32 = 25;
const TALK: Duration = Duration::from_secs(15);

#[test]
fn the_flood_of_one_tenant_costs_its_neighbours_nothing() {
    let _machine = machine::alone();
    if !machine::built(&["bench", "naughty"]) {
        return;
    }
    callgen::in_time(NEIGHBOURS, neighbours_beside_a_flood);
}

/// What the generator says of the neighbours.
fn neighbours_beside_a_flood() -> Value {
    let folder = tempfile::tempdir().unwrap();
    let callgen = Callgen::compile(folder.path());
    let (demo, noisy) = (Token::new("demo"), Token::new("noisy"));
    let mut config = Config::new("127.0.0.1:9".parse().unwrap()).with_http(&demo).scenario("bench");
    config.routes = vec![Route {
        user: "hold".into(),
        scenario: "bench".into(),
        settings: vec![("job".into(), "hold".into())],
    }];
    // It talks on five calls at once at most, and logs for ever.
    let package = package::copy("naughty", "1", &folder.path().join("noisy"));
    config.more = format!(
        "[[tenant]]\nid = \"noisy\"\ntokens = [\"{}\"]\n\
         [tenant.limits]\ncalls = 5\nuploads_per_minute = 6\nwaiting_uploads = 1\nlog_lines = 10\n\n\
         [[scenario]]\ntenant = \"noisy\"\nname = \"naughty\"\npackage = \"{}\"\n\n\
         [[scenario]]\ntenant = \"noisy\"\nname = \"bench\"\npackage = \"{}\"\n\n\
         [[route]]\nuser = \"noisy\"\ntenant = \"noisy\"\nscenario = \"bench\"\nsettings = {{ job = \"hold\" }}\n\
         [[route]]\nuser = \"chatty\"\ntenant = \"noisy\"\nscenario = \"naughty\"\nsettings = {{ deed = \"log\" }}\n",
        noisy.hash,
        package.display(),
        machine::root().join("scenarios/bench").display()
    );
    let mut host = Host::serve(&config, folder.path()).unwrap();
    let neighbours = callgen.call(host.address, "hold", (NEIGHBOURS, 25), TALK);
    std::thread::sleep(Duration::from_secs(2));

    let flood = callgen.call(host.address, "noisy", (120, 20), Duration::from_secs(5));
    let chatter = callgen.call(host.address, "chatty", (60, 10), Duration::from_secs(1));
    let archives: Vec<Vec<u8>> = (2..6)
        .map(|n| {
            let folder = folder.path().join(format!("flood-{n}"));
            package::pack(&package::copy("naughty", &n.to_string(), &folder))
        })
        .collect();
    let address = config.http.unwrap();
    let uploaders: Vec<_> = (0..8)
        .map(|at| {
            let (archive, noisy) = (archives[at % 4].clone(), noisy.clone());
            std::thread::spawn(move || {
                let ask =
                    || ask(address, &noisy, "POST", "/v1/scenarios", &archive).map(|answer| answer.status);
                (0..10).filter_map(|_| ask().ok()).collect::<Vec<u16>>()
            })
        })
        .collect();
    // Meanwhile the neighbour deploys, and is not kept waiting.
    let began = clock::now();
    let archive = package::pack(&package::copy("bench", "2", &folder.path().join("bench")));
    let deployed = ask(address, &demo, "POST", "/v1/scenarios", &archive).unwrap();
    assert_eq!(deployed.status, 201, "{deployed:?}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let answers: Vec<u16> = uploaders.into_iter().flat_map(|uploader| uploader.join().unwrap()).collect();
    let taken = answers.iter().filter(|status| [200, 201].contains(status)).count();
    assert!(
        (1..=8).contains(&taken) && answers.iter().all(|status| [200, 201, 429].contains(status)),
        "{answers:?}"
    );

    let flood = flood.figures(LIMIT);
    assert!(flood["fail"]["503"].as_u64().is_some_and(|refused| refused > 50), "{flood:#}");
    chatter.figures(LIMIT);
    let measured = neighbours.figures(LIMIT);
    assert_eq!(measured["ok"].as_u64(), Some(u64::from(NEIGHBOURS)), "{measured:#}");
    assert_eq!(measured["rtp"]["lost"].as_u64(), Some(0), "{measured:#}");
    // Whatever was logged ten thousand times is not in the host's own log.
    let said = host.process.output();
    assert!(!said.contains("and another thing"), "{said}");
    host.process.terminate(LIMIT).unwrap();
    measured
}
