//! Two tenants whose scenarios have the same name share nothing.

use std::{fmt::Write as _, path::Path, time::Duration};

use zvonar_tests::{
    audio, clock,
    host::Host,
    http::{Token, ask},
    machine, package,
    phone::Phone,
    project::{Config, Project, leads},
    records::Days,
};

const LIMIT: Duration = Duration::from_secs(60);
/// What the prompts of the two tenants sound like.
const DEMO_HZ: f64 = 400.0;
const OTHER_HZ: f64 = 1_000.0;

/// The scenario `bench` under the name `talk`, with a prompt of its own: a tone that plays until somebody hangs up.
fn talk(folder: &Path, version: &str, hz: f64) -> std::path::PathBuf {
    let package = package::copy("bench", version, folder);
    package::edit_manifest(&package, |text| {
        text.replace("name = \"bench\"", "name = \"talk\"").replace("default = \"ivr\"", "default = \"hold\"")
    });
    audio::write_wav(&package.join("prompts/long.wav"), &audio::tone(hz, 2.0, 0.5, 8000), 8000).unwrap();
    package
}

/// How much of a tone is in what was heard: the loudest tenth of a second.
fn level(samples: &[f32], hz: f64) -> f64 {
    samples.chunks(800).map(|part| audio::tone_level(part, 8000, hz)).fold(0.0, f64::max)
}

#[test]
fn tenants_with_the_same_names_share_neither_code_nor_sounds_nor_limits_nor_records() {
    let _machine = machine::shared();
    if !machine::built(&["bench"]) {
        return;
    }
    let days = Days::from_now();
    let folder = tempfile::tempdir().unwrap();
    let phone = Phone::start().unwrap();
    let (demo, other) = (Token::new("demo"), Token::new("other"));
    let mut config = Config::new(phone.address).with_http(&demo);
    config.scenarios.push(("talk".into(), talk(&folder.path().join("demo"), "1", DEMO_HZ)));
    config.tenant += "[tenant.limits]\ncall_seconds = 6\n";
    // The same project, the same scenario, another list.
    let list = leads(4, &[0]);
    config.projects = vec![Project {
        id: "spring".into(),
        scenario: "talk".into(),
        lines: 2,
        ring_s: 5,
        max_calls: 1,
        leads: list[..2].to_vec(),
        settings: vec![],
    }];
    let package = talk(&folder.path().join("other"), "9", OTHER_HZ);
    let mut csv = "lead,phone\n".to_owned();
    list[2..].iter().for_each(|lead| writeln!(csv, "{},{}", lead.id, lead.phone).unwrap());
    std::fs::write(folder.path().join("leads-other.csv"), csv).unwrap();
    config.more = format!(
        "[[tenant]]\nid = \"other\"\ntokens = [\"{}\"]\n[tenant.limits]\ncall_seconds = 3\n\n\
         [[scenario]]\ntenant = \"other\"\nname = \"talk\"\npackage = \"{}\"\n\n\
         [[project]]\nid = \"spring\"\ntenant = \"other\"\ntrunk = \"farm\"\nscenario = \"talk\"\nlines = 2\n\
         ring_s = 5\nmax_calls = 1\nhours = \"any\"\nleads = \"leads-other.csv\"\n",
        other.hash,
        package.display()
    );
    let mut host = Host::serve(&config, folder.path()).unwrap();
    assert!(clock::within(LIMIT, || phone.heard().len() == 4), "{}", host.process.output());
    let address = config.http.unwrap();
    let records = |token: &Token| days.attempts(address, token);
    assert!(clock::within(LIMIT, || records(&demo).len() == 2 && records(&other).len() == 2));

    for (at, lead) in list.iter().enumerate() {
        let heard = phone.heard();
        let call = heard.iter().find(|call| call.called.ends_with(&lead.phone[1..])).unwrap();
        let (own, foreign, longest) =
            if at < 2 { (DEMO_HZ, OTHER_HZ, 6.0) } else { (OTHER_HZ, DEMO_HZ, 3.0) };
        assert!(level(&call.samples, own) > 0.1, "{} did not hear its tenant's prompt", lead.id);
        assert!(level(&call.samples, foreign) < 0.05, "{} heard the other tenant's prompt", lead.id);
        let length = call.length.as_secs_f64();
        assert!((longest - 0.5..longest + 3.0).contains(&length), "{}: {length} s", lead.id);
    }
    for (token, tenant, version) in [(&demo, "demo", "1"), (&other, "other", "9")] {
        for record in records(token) {
            assert_eq!(
                (&record["tenant"], &record["scenario"]["version"]),
                (&tenant.into(), &version.into())
            );
            let path = format!("/v1/attempts/{}", record["attempt"].as_str().unwrap());
            let stranger = if tenant == "demo" { &other } else { &demo };
            assert_eq!(ask(address, token, "GET", &path, b"").unwrap().status, 200);
            assert_eq!(ask(address, stranger, "GET", &path, b"").unwrap().status, 404);
        }
    }
    host.process.terminate(LIMIT).unwrap();
}
