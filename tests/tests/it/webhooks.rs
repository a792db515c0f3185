//! A host tells a program of the tenant's own what happens, which checks the signature as README.md says.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};
use zvonar_tests::clock;
use zvonar_tests::host::{self, Host};
use zvonar_tests::http::{Token, ask};
use zvonar_tests::machine;
use zvonar_tests::project::Config;

const SECRET: &str = "the secret of the hook, два";
const LIMIT: Duration = Duration::from_secs(60);

/// The recipe for receivers, from the README, and around it what calls it.
fn receiver_says(folder: &Path, signature: &str, body: &[u8], secret: &str) -> String {
    let readme = std::fs::read_to_string(machine::root().join("README.md")).unwrap();
    let (_, section) = readme.split_once("\n## Webhooks\n").expect("the README has a section");
    let recipe =
        section.split_once("```python\n").and_then(|(_, rest)| rest.split_once("```")).expect("a recipe").0;
    let program = format!(
        "{recipe}\nimport sys\nsignature, secret = sys.argv[1:]\n\
         print(genuine(signature, sys.stdin.buffer.read(), secret))\n"
    );
    let file = folder.join("receiver.py");
    std::fs::write(&file, program).unwrap();
    let mut python = Command::new("python3");
    python.arg(&file).arg(signature).arg(secret);
    python.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = python.spawn().expect("python3 is there");
    child.stdin.take().unwrap().write_all(body).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
}

struct Came {
    head: String,
    body: Vec<u8>,
}

impl Came {
    fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .next()
            .unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Takes what comes, but not the first of it.
fn receiver() -> (SocketAddr, mpsc::Receiver<Came>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, came) = mpsc::sync_channel(100);
    std::thread::spawn(move || {
        let mut first = true;
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = Vec::new();
            let one = loop {
                let mut piece = [0; 4096];
                let read = stream.read(&mut piece).unwrap_or(0);
                bytes.extend_from_slice(&piece[..read]);
                let head = bytes.windows(4).position(|four| four == b"\r\n\r\n");
                let whole = head.and_then(|end| {
                    let came = Came {
                        head: String::from_utf8(bytes[..end].to_vec()).unwrap(),
                        body: bytes[end + 4..].to_vec(),
                    };
                    let length: usize = came.header("content-length").parse().unwrap();
                    (came.body.len() >= length).then_some(came)
                });
                match whole {
                    Some(came) => break Some(came),
                    None if read == 0 => break None,
                    None => {}
                }
            };
            let status = if std::mem::take(&mut first) { "500 Not Yet" } else { "200 OK" };
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            if let Some(one) = one
                && tell.send(one).is_err()
            {
                return;
            }
        }
    });
    (address, came)
}

#[test]
fn a_host_tells_a_receiver_that_checks_the_signature_as_the_readme_says() {
    let _machine = machine::shared();
    let folder = tempfile::tempdir().unwrap();
    let (address, came) = receiver();
    let token = Token::new("demo");
    let mut config = Config::new("127.0.0.1:9".parse().unwrap()).with_http(&token);
    config.tenant += &format!(
        "[[tenant.webhook]]\nname = \"crm\"\nurl = \"http://{address}/hooks?key=hidden\"\nsecret_file = \"crm.secret\"\n\
         events = [\"project_state\"]\n\
         [tenant.sms]\nkey = \"key\"\nhosts = [\"http://127.0.0.1:9\"]\ncallback_secret = \"слово\"\n"
    );
    std::fs::write(folder.path().join("crm.secret"), format!("{SECRET}\n")).unwrap();
    let host = Host::serve(&config, folder.path()).unwrap();
    let http = config.http.unwrap();
    let post = |path: &str, body: &str| ask(http, &token, "POST", path, body.as_bytes()).unwrap();
    let made = json!({"id": "spring", "title": "Весна", "scenario": "menu", "trunk": "farm"});
    assert_eq!(post("/v1/projects", &made.to_string()).status, 201);
    assert_eq!(post("/v1/projects/spring/start", "{}").status, 200);

    // The first is not taken, and is sent again by command.
    let first = came.recv_timeout(LIMIT).unwrap();
    let event = first.json()["id"].as_str().unwrap().to_owned();
    let command = |arguments: &[&str]| {
        let mut command = host::zvonar(["webhook"]);
        command.args(arguments).arg("--json").env("ZVONAR_HOST", format!("http://{http}"));
        let done = command.env("ZVONAR_TOKEN", &token.secret).output().unwrap();
        let told = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{arguments:?}: {told}");
        let said = String::from_utf8(done.stdout).unwrap();
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let mut list = Vec::new();
    let failing = clock::within(LIMIT, || {
        list = command(&["list"]);
        list[0]["failing"] == 1
    });
    assert!(failing, "the event that was not taken is not told as failing: {list:?}");
    assert_eq!((&list[0]["name"], &list[0]["state"]), (&json!("crm"), &json!("failing")));
    assert_eq!(list[0]["url"], format!("http://{address}/hooks"), "what follows ? is not shown");
    assert_eq!(command(&["resend", "crm", &event])[0]["state"], "waiting");
    let again = came.recv_timeout(LIMIT).unwrap();
    assert_eq!((again.header("zvonar-event-id"), &again.body), (&event[..], &first.body));
    assert!(again.head.starts_with("POST /hooks?key=hidden HTTP/1.1"), "{}", again.head);
    let said = again.json();
    assert_eq!((&said["type"], &said["call_project"]["title"]), (&json!("project_state"), &json!("Весна")));
    assert_eq!(said["call_project"]["state"], "active");

    let tested = command(&["test", "crm"]);
    assert_eq!((&tested[0]["state"], &tested[0]["http_status"]), (&json!("delivered"), &json!(200)));
    let test = came.recv_timeout(LIMIT).unwrap();
    assert_eq!(
        (test.json()["type"].clone(), test.header("content-type")),
        (json!("test"), "application/json")
    );

    if machine::program("python3").is_some() {
        let judge = |came: &Came, body: &[u8], secret: &str| {
            receiver_says(folder.path(), came.header("zvonar-signature"), body, secret)
        };
        for one in [&first, &again, &test] {
            assert_eq!(judge(one, &one.body, SECRET), "True");
        }
        assert_eq!(judge(&test, &test.body, "another secret of a hook"), "False");
        assert_eq!(judge(&test, b"{}", SECRET), "False");
    } else {
        machine::skip("python3 is not installed, so the recipe of the README is not tried");
    }

    // SMSC is believed by its signature, md5 of `7:79001234567:1:слово`, and needs no token.
    let callback = |signature: &str| {
        let nobody = Token { secret: "none".into(), ..token.clone() };
        let form = format!("id=7&phone=79001234567&status=1&md5={signature}");
        ask(http, &nobody, "POST", "/v1/callbacks/smsc/demo", form.as_bytes()).unwrap().status
    };
    assert_eq!(callback("39ac0862d30b05d9494e2a7594b5dd17"), 200, "a message that nobody knows");
    assert_eq!(callback("39ac0862d30b05d9494e2a7594b5dd18"), 403);

    // What is over is told by the next run of the program too, and what happens at the end is told before it.
    let pages = command(&["deliveries", "crm", "--state", "delivered"]);
    assert_eq!(pages.len(), 2, "{pages:?}");
    assert_eq!(post("/v1/projects/spring/pause", "{}").status, 200);
    let mut host = host;
    assert!(host.process.terminate(LIMIT).unwrap().success());
    let last = came.recv_timeout(LIMIT).unwrap().json();
    assert_eq!(last["call_project"]["state"], "paused");
    let kept = host::zvonar(["webhook", "deliveries", "crm", "--json", "--config"])
        .arg(&host.config)
        .env_remove("ZVONAR_HOST")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(kept.stdout).unwrap().lines().count(), 3);
}
