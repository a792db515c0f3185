//! Operators by commands: on a host that stands still, and on the same one while it runs.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use md5::{Digest, Md5};
use serde_json::Value;
use zvonar_tests::{
    clock,
    host::{self, Host},
    http::Token,
    machine,
    process::Process,
    project::Config,
    sip::{Prober, header, headers, status},
};

use crate::calls::call;

const LIMIT: Duration = Duration::from_secs(60);

const CONFIG: &str = "[node]\ndata = \"data\"\n\n[sip]\nlisten = \"127.0.0.1:0\"\n\n[[tenant]]\nid = \"demo\"\n\n[tenant.limits]\noperators = 3\n";

/// Runs a command to its end with something on its standard input; what it printed.
fn zvonar(folder: &Path, arguments: &[&str], typed: &str) -> Result<String, String> {
    let mut command = host::zvonar(arguments);
    command.current_dir(folder).env_remove("ZVONAR_HOST").env_remove("ZVONAR_TOKEN");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that reads nothing has closed it.
    let _ = child.stdin.take().expect("it is piped").write_all(typed.as_bytes());
    let done = child.wait_with_output().unwrap();
    let (said, told) = (
        String::from_utf8_lossy(&done.stdout).into_owned(),
        String::from_utf8_lossy(&done.stderr).into_owned(),
    );
    assert!(!told.contains("panicked"), "{arguments:?}: {told}");
    if done.status.success() { Ok(said) } else { Err(told) }
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    let said = zvonar(folder, arguments, "").unwrap_or_else(|why| panic!("{arguments:?}: {why}"));
    serde_json::from_str(said.trim()).unwrap_or_else(|why| panic!("{arguments:?}: {why}: {said}"))
}

fn refused(folder: &Path, arguments: &[&str], typed: &str, word: &str) {
    let why = zvonar(folder, arguments, typed).expect_err("it is refused");
    assert!(why.contains(word), "{arguments:?}: {why}");
}

#[test]
fn operators_are_made_shown_changed_and_removed_by_commands() {
    let _machine = machine::shared();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("zvonar.toml"), CONFIG).unwrap();
    assert!(zvonar(folder, &["operator", "list"], "").unwrap().contains("zvonar operator add"));

    let made = json(folder, &["operator", "add", "anna", "--name", "Анна", "--group", "Продажи", "--json"]);
    assert_eq!((&made["phone"]["user"], &made["phone"]["realm"]), (&"demo.anna".into(), &"zvonar".into()));
    assert!(made["phone"]["password"].as_str().unwrap().len() >= 16, "{made}");
    let own = zvonar(
        folder,
        &["operator", "add", "boris", "--extension", "102", "--password-stdin"],
        "его пароль\n",
    );
    let own = own.unwrap();
    assert!(own.contains("user demo.boris") && !own.contains("его пароль"), "{own}");

    let set = [
        "operator",
        "set",
        "anna",
        "--wrap-up",
        "30",
        "--extension",
        "101",
        "--card-result",
        "Продано",
        "--json",
    ];
    let set = json(folder, &set);
    assert_eq!(
        (&set["wrap_up_s"], &set["name"], &set["groups"][0]),
        (&30.into(), &"Анна".into(), &"Продажи".into())
    );
    let script = json(
        folder,
        &["operator", "set", "anna", "--card-script", "Здравствуйте!", "--wrap-up", "", "--json"],
    );
    assert_eq!((&script["wrap_up_s"], &script["extension"]), (&Value::Null, &"101".into()));
    assert_eq!(script["card"]["results"][0], "Продано", "what is not named of the card stays: {script}");
    let shown = zvonar(folder, &["operator", "show", "anna"], "").unwrap();
    assert!(shown.contains("Прозвон: Здравствуйте!") && shown.contains("demo.anna"), "{shown}");

    assert_eq!(json(folder, &["operator", "status", "anna", "available", "--json"])["status"], "available");
    let said = zvonar(folder, &["operator", "status", "anna"], "").unwrap();
    assert!(said.starts_with("anna: Доступен с ") && said.trim_end().ends_with("(МСК)"), "{said}");
    let desk = json(folder, &["operator", "desk", "--json"]);
    assert_eq!(
        (&desk["operators"][0]["status"], &desk["operators"][0]["doing"]),
        (&"available".into(), &"idle".into())
    );
    assert!(zvonar(folder, &["operator", "desk"], "").unwrap().contains("nobody waits"));

    refused(folder, &["operator", "add", "anna"], "", "already");
    refused(folder, &["operator", "add", "vera", "--password-stdin"], "short\n", "at least 8 characters");
    refused(folder, &["operator", "add", "vera", "--extension", "102"], "", "102 is boris's");
    refused(folder, &["operator", "add", "vera", "--wrap-up", "soon"], "", "write 0 to 1800");
    refused(folder, &["operator", "status", "anna", "away"], "", "available, break, wrap_up, offline");
    refused(folder, &["operator", "set", "nobody", "--name", "x"], "", "no operator nobody");
    zvonar(folder, &["operator", "add", "vera"], "").unwrap();
    refused(folder, &["operator", "add", "gleb"], "", "3 operators are all");
    zvonar(folder, &["operator", "remove", "vera"], "").unwrap();
    refused(folder, &["operator", "remove", "vera"], "", "vera");

    // Passwords are in no file, as they are or as they are told.
    let password =
        json(folder, &["operator", "password", "anna", "--json"])["password"].as_str().unwrap().to_owned();
    for entry in fs::read_dir(folder.join("data")).unwrap().flatten() {
        if let Ok(bytes) = fs::read(entry.path()) {
            for word in [password.as_bytes(), "его пароль".as_bytes()] {
                assert!(
                    !bytes.windows(word.len()).any(|window| window == word),
                    "{}",
                    entry.path().display()
                );
            }
        }
    }
}

/// A command against a running host; what it printed as JSON.
fn told(config: &Config, token: &Token, words: &[&str]) -> Value {
    let mut command = host::zvonar(words);
    command.env("ZVONAR_HOST", config.url()).env("ZVONAR_TOKEN", &token.secret).arg("--json");
    let said = Process::spawn("zvonar operator", &mut command).unwrap().succeed(LIMIT).unwrap();
    serde_json::from_str(said.trim()).unwrap_or_else(|why| panic!("{words:?}: {why}: {said}"))
}

/// Registers a telephone: nobody else at this address is even heard.
fn register(near: SocketAddr, user: &str, password: &str) -> Prober {
    static CALLS: AtomicU32 = AtomicU32::new(1);
    let (prober, id) = (Prober::new(), CALLS.fetch_add(1, Ordering::Relaxed));
    let hash = |text: String| hex::encode(Md5::digest(text.as_bytes()));
    let mut proof = String::new();
    for cseq in 1..=2 {
        let request = format!(
            "REGISTER sip:zvonar SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;rport;branch=z9hG4bK-{id}-{cseq}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{user}@zvonar>;tag=1\r\nTo: <sip:{user}@zvonar>\r\nCall-ID: {id}\r\n\
             CSeq: {cseq} REGISTER\r\nContact: <sip:{user}@127.0.0.1:9>\r\nExpires: 300\r\n{proof}\
             Content-Length: 0\r\n\r\n"
        );
        // As a telephone does it: again and again until there is an answer.
        let sequence = format!("{cseq} REGISTER");
        let mut found = None;
        clock::within(Duration::from_secs(10), || {
            prober.send(near, request.as_bytes());
            let answers = prober.receive(Duration::from_millis(500));
            found = answers.into_iter().find(|answer| header(answer, "CSeq") == Some(sequence.as_str()));
            found.is_some()
        });
        let answer = &found.expect("the host answers a REGISTER");
        if status(answer) == Some(200) {
            return prober;
        }
        let challenge = headers(answer, "WWW-Authenticate").into_iter().find(|value| value.contains("MD5"));
        let challenge = challenge.expect("a telephone may know MD5 alone");
        let nonce = challenge.split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let (a1, a2) = (hash(format!("{user}:zvonar:{password}")), hash("REGISTER:sip:zvonar".into()));
        let response = hash(format!("{a1}:{nonce}:00000001:c0ffee:auth:{a2}"));
        proof = format!(
            "Authorization: Digest username=\"{user}\", realm=\"zvonar\", nonce=\"{nonce}\", uri=\"sip:zvonar\", \
             response=\"{response}\", algorithm=MD5, qop=auth, nc=00000001, cnonce=\"c0ffee\"\r\n"
        );
    }
    panic!("the telephone is not let in");
}

/// The host lets nobody in but telephones that prove themselves: no network is allowed, and its trunk is elsewhere.
#[test]
fn an_operators_telephone_chooses_a_status_and_can_call_nobody() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let token = Token::new("demo");
    let mut config = Config::new(SocketAddr::from(([192, 0, 2, 1], 5060))).with_http(&token);
    config.allow = Vec::new();
    config.more = "[phones]\n".into();
    let mut house = Host::serve(&config, folder.path()).unwrap();
    let made = told(&config, &token, &["operator", "add", "anna"]);
    let password = made["phone"]["password"].as_str().unwrap().to_owned();
    let is_registered =
        || told(&config, &token, &["operator", "show", "anna"])["registered"].as_bool().expect("it is told");
    assert!(!is_registered());
    let _registered = register(config.listen, "demo.anna", &password);
    assert!(is_registered());
    let dial = |number: &str, password: &str| {
        let login = ["--username", "demo.anna", "--password", password];
        call(number, config.listen, &login).unwrap().ended().unwrap()
    };
    let is_now = |is: &str| {
        let told = told(&config, &token, &["operator", "status", "anna"]);
        assert_eq!(told["status"], is, "{told}");
    };
    is_now("offline");
    let called = dial("*71", &password);
    assert!(called.sip_code == Some(200) && called.packets_heard > 25, "{called:?}");
    is_now("available");
    for (number, code) in [("79161234567", 403), ("810441234567890", 403), ("*79", 404)] {
        let called = dial(number, &password);
        assert_eq!(called.sip_code, Some(code), "{number}: {called:?}");
    }
    // Another password: the telephone registers by it from then on.
    let other = told(&config, &token, &["operator", "password", "anna"]);
    let _again = register(config.listen, "demo.anna", other["password"].as_str().unwrap());
    assert!(house.process.terminate(LIMIT).unwrap().success());
    let mut house = Host::serve(&config, folder.path()).unwrap();
    // He waits for his telephone, which has still to say where it is.
    is_now("available");
    assert!(!is_registered());
    assert!(house.process.terminate(LIMIT).unwrap().success());
}
