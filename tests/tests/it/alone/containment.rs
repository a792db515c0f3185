//! Scenarios that misbehave, one of each kind at the same time, beside fifty calls that do not: the misbehaving one's
//! callee hears the fallback, the report says «Системная ошибка», and the neighbours notice nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use zvonar_tests::{
    audio,
    callgen::{self, Callgen},
    host::{Host, Report, START_LIMIT},
    machine,
    phone::Phone,
    project::{Config, Project, Route, leads},
};

/// What the scenario `naughty` can do wrong, by its setting `deed`.
const DEEDS: &[&str] = &[
    "loop",
    "memory",
    "panic",
    "recursion",
    "host-calls",
    "log",
    "notes",
    "large-call",
    "error",
    "sms",
    "long-texts",
    "zero-asks",
    "zero-waits",
    "zero-plays",
    "refusals",
];
const FALLBACK_HZ: f64 = 700.0;
const NEIGHBOURS: u32 = 50;
/// How many callees each misdeed has.
const LEADS: usize = 4;
/// How long the neighbours talk: the naughty ones come and go in the middle of it.
const TALK: Duration = Duration::from_secs(15);

#[test]
fn neighbours_of_misbehaving_scenarios_lose_nothing_and_their_callers_hear_the_fallback() {
    let _machine = machine::alone();
    if !machine::built(&["bench", "naughty"]) {
        return;
    }
    callgen::in_time(NEIGHBOURS, neighbours_beside_all_deeds);
}

/// What the generator says of the neighbours.
fn neighbours_beside_all_deeds() -> Value {
    let folder = tempfile::tempdir().unwrap();
    let callgen = Callgen::compile(folder.path());
    let phone = Phone::start().unwrap();
    let mut config = Config::new(phone.address).scenario("bench");
    config.scenarios.push(("naughty".into(), naughty(folder.path())));
    config.routes = vec![Route {
        user: "hold".into(),
        scenario: "bench".into(),
        settings: vec![("job".into(), "hold".into())],
    }];
    // As many projects at once as there are misdeeds.
    config.tenant = format!("[tenant.limits]\nactive_projects = {}\n", DEEDS.len());
    config.projects = DEEDS
        .iter()
        .enumerate()
        .map(|(index, deed)| {
            let mut list = leads(LEADS * (index + 1), &[0]);
            Project {
                id: (*deed).into(),
                scenario: "naughty".into(),
                lines: 2,
                ring_s: 5,
                max_calls: 1,
                leads: list.split_off(LEADS * index),
                settings: vec![("deed".into(), (*deed).into())],
            }
        })
        .collect();
    let mut host = Host::start(&config, folder.path(), &[], false).unwrap();
    host.process.wait_for_line(zvonar_tests::host::READY, START_LIMIT).unwrap();
    let measured =
        callgen.call(host.address, "hold", (NEIGHBOURS, 25), TALK).figures(Duration::from_secs(90));
    host.process.terminate(Duration::from_secs(30)).unwrap();

    assert_eq!(measured["ok"].as_u64(), Some(u64::from(NEIGHBOURS)), "{measured:#}");
    let rtp = &measured["rtp"];
    assert_eq!(rtp["lost"].as_u64(), Some(0), "{measured:#}");
    assert!(
        rtp["rx"].as_u64().is_some_and(|packets| packets > 50 * 14 * u64::from(NEIGHBOURS)),
        "{measured:#}"
    );

    let report = Report::of(&host.config).unwrap();
    let heard = phone.heard();
    for project in &config.projects {
        for lead in &project.leads {
            let rows = report.of_lead(lead);
            assert_eq!(rows.len(), 1, "{} of {}: {rows:?}", lead.id, project.id);
            assert_eq!(rows[0].result, "Системная ошибка", "{} of {}: {rows:?}", lead.id, project.id);
            let call = heard.iter().find(|call| call.called.ends_with(&lead.phone[1..]));
            let call = call.unwrap_or_else(|| panic!("{} of {} was never called", lead.id, project.id));
            let level = call
                .samples
                .chunks(800)
                .map(|part| audio::tone_level(part, 8000, FALLBACK_HZ))
                .fold(0.0, f64::max);
            assert!(level > 0.1, "{}: the callee did not hear the fallback ({level})", project.id);
            assert!(call.hung_up, "{}: the callee had to hang up", project.id);
            assert!(call.length < Duration::from_secs(30), "{}: {:?}", project.id, call.length);
        }
    }
    measured
}

/// A package around the scenario `naughty`, whose fallback is a tone that nothing else here has.
fn naughty(folder: &Path) -> PathBuf {
    let package = folder.join("naughty");
    fs::create_dir_all(package.join("prompts")).unwrap();
    let component = machine::root().join("scenarios/naughty/naughty.wasm");
    fs::copy(component, package.join("naughty.wasm")).unwrap();
    let tone = audio::tone(FALLBACK_HZ, 1.5, 0.5, 8000);
    audio::write_wav(&package.join("prompts/fallback.wav"), &tone, 8000).unwrap();
    let manifest = "name = \"naughty\"\nversion = \"0.1.0\"\ncomponent = \"naughty.wasm\"\nprompts = \"prompts\"\n\n\
         [[results]]\nname = \"Хорошо\"\ngroup = \"success\"\n\n\
         [[settings]]\nname = \"deed\"\ntype = \"text\"\ndefault = \"behave\"\nhelp = \"Что сделать не так\"\n\n\
         # A question that waits for no time takes a millisecond on a real line: the calls of a flood of them are done soon.\n\
         [limits]\nhost-calls = 2000\n\n\
         [fallback]\nprompt = \"fallback\"\n";
    fs::write(package.join("scenario.toml"), manifest).unwrap();
    package
}
