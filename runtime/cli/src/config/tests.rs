use std::path::Path;

use super::Config;

const GOOD: &str = r#"
[node]
data = "data"
[sip]
listen = "127.0.0.1:5060"
allow = ["127.0.0.0/8"]
[media]
ports = "20000-29999"
[[tenant]]
id = "demo"
[[trunk]]
id = "farm"
address = "127.0.0.1:5070"
caller = "+74950000000"
[[scenario]]
tenant = "demo"
name = "menu"
package = "scenarios/menu"
[[route]]
user = "ivr"
tenant = "demo"
scenario = "menu"
settings = { job = "ivr", repeats = 2 }
[[project]]
id = "first"
tenant = "demo"
trunk = "farm"
scenario = "menu"
leads = "leads.csv"
"#;

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let faults = Config::parse(Path::new("conf/zvonar.toml"), text).map(|_| ()).expect_err("it has faults");
    assert_eq!(faults, expected);
}

#[test]
fn a_good_file_is_taken_whole_with_paths_beside_it() {
    let config = Config::parse(Path::new("conf/zvonar.toml"), GOOD).expect("it is good");
    assert_eq!(config.node.data, Path::new("conf/data"));
    assert_eq!(config.projects[0].leads, Path::new("conf/leads.csv"));
    assert_eq!(config.routes[0].settings["repeats"], "2");
    assert_eq!(config.media.ports, 20_000..=29_999);
}

#[test]
fn a_trunk_serves_the_tenants_that_it_names() {
    let others = "[[tenant]]\nid = \"other\"\n[[trunk]]\ntenants = [\"other\"]\n";
    let text = GOOD.replace("[[trunk]]\n", others);
    check(
        &text,
        &["conf/zvonar.toml:30: project.trunk: `farm` is not for tenant demo: its `tenants` name others"],
    );
    let unknown = text.replace("tenants = [\"other\"]", "tenants = [\"demo\", \"othr\"]");
    check(&unknown, &["conf/zvonar.toml:14: trunk.tenants: there is no [[tenant]] `othr`"]);
    let nobody = text.replace("tenants = [\"other\"]", "tenants = []");
    check(
        &nobody,
        &[
            "conf/zvonar.toml:14: trunk.tenants: nobody could call by it: name a tenant, or leave `tenants` out for all of them",
            "conf/zvonar.toml:30: project.trunk: `farm` is not for tenant demo: its `tenants` name others",
        ],
    );
}

#[test]
fn every_fault_is_told_at_once_with_its_line_and_what_is_allowed() {
    let text = GOOD
        .replace("\"127.0.0.1:5060\"", "\"localhost\"")
        .replace("20000-29999", "29999-20000")
        .replace("trunk = \"farm\"", "trunk = \"fram\"\nlines = 0")
        .replace("caller = ", "calls_per_secnd = 3\ncaller = ")
        .replace("data = \"data\"", "data = 7");
    check(
        &text,
        &[
            "conf/zvonar.toml:3: node.data: this is a integer, and should be the folder for the store, recordings and compiled modules",
            "conf/zvonar.toml:5: sip.listen: `localhost`: invalid socket address syntax; allowed: an address with a port, as 192.0.2.10:5060",
            "conf/zvonar.toml:8: media.ports: `29999-20000`: the range holds no pair of ports; allowed: a range from 1024 to 65535, as 20000-29999",
            "conf/zvonar.toml:14: `trunk.calls_per_secnd` is not known; did you mean `calls_per_second`?",
            "conf/zvonar.toml:28: project.trunk: there is no trunk `fram`; declared: farm",
            "conf/zvonar.toml:29: project.lines: 0 is out of range; allowed: a whole number from 1 to 1000",
        ],
    );
}

#[test]
fn what_is_missing_is_told_with_what_belongs_there() {
    check(
        "[sip]\n[node]\ndata = \"x\"\n",
        &["conf/zvonar.toml:1: sip.listen is missing: an address with a port, as 192.0.2.10:5060"],
    );
}

#[test]
fn a_file_that_is_no_toml_tells_where() {
    let faults =
        Config::parse(Path::new("z.toml"), "[node\ndata = = 3\n").map(|_| ()).expect_err("it is broken");
    assert!(faults[0].starts_with("z.toml:1: not TOML: "), "{faults:?}");
}

#[test]
fn a_name_may_stand_only_once() {
    check(
        &format!("{GOOD}\n[[tenant]]\nid = \"demo\"\n"),
        &["conf/zvonar.toml:31: `demo` stands here a second time; names must differ"],
    );
}

#[test]
fn caps_purposes_and_consents_are_read_and_what_the_law_forbids_is_refused() {
    let with = |tenant: &str, project: &str| {
        let text = GOOD.replace("id = \"demo\"", &format!("id = \"demo\"\n{tenant}"));
        let text = format!("{text}\n{project}");
        Config::parse(Path::new("z.toml"), &text)
    };
    let config =
        with("caps = { day = 3, month = 30 }", "purpose = \"взыскание\"\nconsent = \"required\"").unwrap();
    let (caps, rules) = (config.tenants[0].caps, &config.projects[0].rules);
    assert_eq!((caps.day, caps.week, caps.month), (Some(3), None, Some(30)));
    assert_eq!((rules.purpose.word(), rules.only_mobile), ("collection", false));
    assert_eq!(format!("{:?}", rules.consent), "Required");
    for (tenant, project, sentence) in [
        ("caps = { day = 0 }", "", "day is `0`; a cap is a whole number from 1 to 200"),
        ("caps = { year = 9 }", "", "there is no cap `year`; there are day, week, month"),
        ("", "purpose = \"advertising\"", "38-ФЗ art. 18 (2)"),
        ("", "purpose = \"fun\"", "`fun` is no purpose; there are inform, survey, collection, advertising"),
        ("", "consent = \"perhaps\"", "`perhaps` is neither `required` nor `not-required`"),
        ("", "hours = \"2026-12-31 off\"", "the schedule has no window at all"),
    ] {
        let faults = with(tenant, project).map(|_| ()).unwrap_err();
        assert!(faults[0].contains(sentence), "{faults:?}");
    }
}

/// «Every address» in the configuration went into every SDP as 0.0.0.0: calls were answered, charged and silent.
#[test]
fn an_address_that_far_ends_cannot_reach_is_refused() {
    check(
        &GOOD.replace("127.0.0.1:5060", "0.0.0.0:5060").replace("[media]", "[media]\naddress = \"::1\""),
        &[
            "conf/zvonar.toml:5: sip.listen: every address of this machine, so far ends must be told which: set sip.advertise",
            "conf/zvonar.toml:8: media.address: sound and SIP must both be IPv4 or both IPv6",
        ],
    );
}

#[test]
fn what_a_tenant_may_use_and_who_acts_for_it_is_read_and_checked() {
    let hash = "0f".repeat(32);
    let with = |lines: &str| GOOD.replace("id = \"demo\"", &format!("id = \"demo\"\n{lines}"));
    let good = with(&format!("tokens = [\"ci:{hash}\"]\n[tenant.limits]\ncalls = 5\nmemory_mib = 8"));
    let config =
        Config::parse(Path::new("z.toml"), &format!("{good}\n[http]\nlisten = \"127.0.0.1:8080\"\n"));
    let config = config.expect("it is good");
    let tenant = &config.tenants[0];
    assert_eq!((tenant.grant.calls, tenant.grant.limits.memory_bytes), (5, 8 << 20));
    assert_eq!(tenant.grant.versions, 100, "what is not written has its default");
    assert_eq!((tenant.tokens[0].name(), config.http), ("ci", Some("127.0.0.1:8080".parse().unwrap())));

    let table = [
        ("[tenant.limits]\ncals = 5".to_owned(), "did you mean `calls`?"),
        ("[tenant.limits]\ncalls = 0".to_owned(), "out of range"),
        (format!("tokens = [\"zvt_{hash}\"]"), "run `zvonar token`, and take this one out of use"),
        (format!("tokens = [\"ci{hash}\"]"), "64 hex digits"),
        (format!("tokens = [\"a:{hash}\", \"b:{hash}\"]"), "the token `b` stands in the configuration twice"),
    ];
    for (lines, says) in table {
        let faults =
            Config::parse(Path::new("z.toml"), &with(&lines)).map(|_| ()).expect_err("it has a fault");
        assert!(faults.len() == 1 && faults[0].contains(says), "{lines}: {faults:?}");
    }
    // Whom the token belongs to must be clear.
    let second = format!(
        "{}\n[[tenant]]\nid = \"other\"\ntokens = [\"x:{hash}\"]\n",
        with(&format!("tokens = [\"ci:{hash}\"]"))
    );
    let faults = Config::parse(Path::new("z.toml"), &second).map(|_| ()).expect_err("it stands twice");
    assert!(faults[0].contains("the token `x` stands in the configuration twice"), "{faults:?}");
}

#[test]
fn the_desk_and_the_telephones_are_read_and_every_fault_is_told() {
    let with = |desk: &str, rest: &str| {
        let text = GOOD.replace("id = \"demo\"", &format!("id = \"demo\"\n[tenant.desk]\n{desk}"));
        Config::parse(Path::new("conf/zvonar.toml"), &format!("{text}\n{rest}"))
    };
    let config = with("", "").unwrap();
    assert_eq!((config.realm().as_str(), config.tenants[0].grant.operators), ("zvonar", 100));
    assert!(config.phones.is_some(), "whoever sets up a desk wants its telephones");
    let plain = Config::parse(Path::new("z.toml"), GOOD).unwrap();
    assert_eq!(plain.phones, None, "strangers are not even answered unless telephones are wanted");
    assert_eq!(config.tenants[0].desk.settings, zvonar_desk::Settings::default());
    assert!(config.tenants[0].desk.follow_queue && plain.tenants[0].desk.follow_queue);

    let desk = "ring_s = 15\nwrap_up_s = 20\nwrap_up_of = { \"Продажи\" = 45 }\nmisses = 0\ntell_every_s = 30\n\
                most_callers = 7\nfollow_queue = false\nlost_phone_s = 900\nsounds = \"queue\"\n[tenant.limits]\noperators = 3";
    let config = with(desk, "[phones]\nrealm = \"pbx.example.org\"").unwrap();
    assert!(!config.tenants[0].desk.follow_queue);
    let settings = &config.tenants[0].desk.settings;
    assert_eq!((settings.ring.0, settings.wrap_up.0, settings.most_callers), (15_000, 20_000, 7));
    assert_eq!(settings.lost_phone.0, 900_000);
    let of_sales =
        settings.wrap_up_of.iter().map(|(group, time)| (group.as_str(), time.0)).collect::<Vec<_>>();
    assert_eq!(of_sales, [("Продажи", 45_000)]);
    assert_eq!((settings.after_misses, settings.tell_every.map(|every| every.0)), (None, Some(30_000)));
    assert_eq!((config.realm().as_str(), config.tenants[0].grant.operators), ("pbx.example.org", 3));
    assert!(config.phones.is_some());

    for (desk, rest, sentence) in [
        ("lost_phone_s = 60", "", "out of range; allowed: a whole number from 300 to 86400"),
        ("ring_s = 4", "", "out of range; allowed: a whole number from 5 to 120"),
        ("wrap_up_of = { x = 1801 }", "", "x is `1801`; allowed: a whole number of seconds from 0 to 1800"),
        ("wrap_up_of = { \" \" = 1 }", "", "a group of operators has a name"),
        ("after_misses = \"available\"", "", "goes on a `break`, or `offline`"),
        ("ring = 4", "", "did you mean `ring_s`?"),
        ("operators_may_call = [\"8495\"]", "", "`8495` begins no number; write it as +7495"),
        ("", "[phones]\nrealm = \"my realm\"", "letter by letter"),
        ("", "[[operator]]\nid = \"anna\"", "`operator` is not known"),
    ] {
        let faults = with(desk, rest).map(|_| ()).unwrap_err();
        assert!(faults.len() == 1 && faults[0].contains(sentence), "{desk} {rest}: {faults:?}");
    }
}

#[test]
fn webhooks_are_read_with_their_secrets_and_what_they_cannot_be_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("crm.secret"), "the secret of the hook\n").expect("a file");
    let path = folder.path().join("zvonar.toml");
    let with = |lines: &str| {
        let hook = format!("id = \"demo\"\n[[tenant.webhook]]\nname = \"crm\"\n{lines}");
        Config::parse(&path, &GOOD.replace("id = \"demo\"", &hook))
    };
    let url = "url = \"https://example.org/zvonar?key=1\"";
    let config = with(&format!(
        "{url}\nsecret_file = \"crm.secret\"\nold_secret = \"the secret of before\"\nevents = [\"call_result\"]\nat_once = 1"
    ));
    let config = config.expect("it is good");
    let [webhook] = &config.tenants[0].webhooks[..] else { panic!("{config:?}") };
    assert_eq!((webhook.hook.shown_url.as_str(), webhook.hook.at_once), ("https://example.org/zvonar", 1));
    assert_eq!((webhook.hook.events.len(), webhook.endpoint.secrets.len()), (1, 2));
    assert!(!format!("{config:?}").contains("secret of"), "no secret is printed");
    let config = with(&format!("{url}\nsecret = \"the secret of the hook\"")).expect("it is good");
    assert_eq!(config.tenants[0].webhooks[0].hook.events.len(), 5, "all events");

    let secret = "secret = \"the secret of the hook\"";
    for (lines, says) in [
        (format!("{url}\n"), "webhook.secret: a webhook signs what it sends"),
        (format!("{url}\nsecret = \"short\""), "at least 16 characters"),
        (format!("{url}\nsecret = \"\""), "the secret is empty"),
        (format!("{url}\nsecret_file = \"none\""), "webhook.secret_file: the file cannot be read"),
        (format!("{url}\n{secret}\nsecret_file = \"crm.secret\""), "do not go together"),
        (format!("{url}\n{secret}\nauthorities = \"none\""), "webhook.authorities: the file cannot be read"),
        (format!("url = \"example.org\"\n{secret}"), "webhook.url: this is no address of a webhook"),
        (format!("url = \"https://me:pass@example.org/\"\n{secret}"), "without a name and password"),
        (secret.to_owned(), "webhook.url is missing"),
        (
            format!("{url}\n{secret}\nevents = [\"call_over\"]"),
            "there is no event of this name; there are call_finished",
        ),
        (
            format!("{url}\n{secret}\n[[tenant.webhook]]\nname = \"crm\"\n{url}\n{secret}"),
            "stands here a second time",
        ),
    ] {
        let faults = with(&lines).map(|_| ()).expect_err("it has a fault");
        assert!(faults.len() == 1 && faults[0].contains(says), "{lines}: {faults:?}");
        assert!(!faults[0].contains("me:pass"), "{faults:?}");
    }
}

#[test]
fn an_account_at_smsc_is_named_in_one_way_and_its_secrets_may_lie_elsewhere() {
    let with = |lines: &str| GOOD.replace("[[trunk]]", &format!("[tenant.sms]\n{lines}\n[[trunk]]"));
    let faults = |lines: &str| {
        let found = Config::parse(Path::new("conf/zvonar.toml"), &with(lines)).map(|_| ());
        found.expect_err("it has faults").join("\n")
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("word"), "слово\n").unwrap();
    let path = folder.path().join("zvonar.toml");
    let text = with("login = \"demo\"\npassword_file = \"word\"\nper_person = 2\nuseful_h = 6");
    let config = Config::parse(&path, &text).expect("it is good");
    let sms = config.tenants[0].sms.as_ref().expect("it sends messages");
    assert_eq!((sms.rules.per_person, sms.rules.useful.as_secs(), sms.settings.hosts.len()), (2, 21_600, 5));
    assert_eq!(sms.rules.account, "login demo");
    for (lines, told) in [
        ("", "say the account at SMSC"),
        ("login = \"demo\"", "login and password go together"),
        ("password = \"x\"", "the login is missing"),
        ("login = \"demo\"\npassword = \"x\"\nkey = \"y\"", "a key goes alone"),
        ("key = \"x\"\nkey_env = \"Y\"", "one of key, key_file, key_env is enough"),
        ("key_file = \"nowhere\"", "cannot be read"),
        ("key_env = \"ZVONAR_NO_SUCH_VARIABLE\"", "is not set"),
        ("key = \" \"", "the secret is empty"),
        ("key = \"x\"\nhosts = [\"http://smsc.ru\"]", "is not encrypted"),
        ("key = \"x\"\nparts = 40", "out of range"),
    ] {
        let found = faults(lines);
        assert!(found.contains(told), "{lines}: {found}");
        assert!(found.starts_with("conf/zvonar.toml:"), "{found}");
    }
}
