//! The pretend SMSC as a program: what is given to it is printed, and it behaves as it is told.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use zvonar_tests::{host, machine, process::Process};

const LIMIT: Duration = Duration::from_secs(30);

/// Posts a form and gives the body of the answer.
fn post(address: &str, path: &str, form: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = form.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{form}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").expect("an answer has a head").1.to_owned()
}

#[test]
fn a_stand_takes_messages_prints_them_and_refuses_as_it_is_told() {
    let _machine = machine::shared();
    let arguments =
        ["smsc-stand", "--listen", "127.0.0.1:0", "--login", "me", "--password", "word", "--balance", "400"];
    let mut stand = Process::spawn("stand", &mut host::zvonar(arguments)).unwrap();
    let ready = stand.wait_for_line("listening on http://", LIMIT).unwrap();
    let address = ready.rsplit("http://").next().unwrap().trim().to_owned();
    let send = |id: u32, account: &str| -> Value {
        let form = format!("{account}&fmt=3&charset=utf-8&cost=3&phones=79001234567&mes=Привет+{id}&id={id}");
        serde_json::from_str(&post(&address, "/sys/send.php", &form)).unwrap()
    };
    let me = "login=me&psw=word";
    assert_eq!(send(1, me), json!({ "id": 1, "cnt": 1, "cost": "1.80", "balance": "2.20" }));
    assert_eq!(send(2, "login=me&psw=other")["error_code"], 2);
    assert_eq!(post(&address, "/stand/manner?manner=4&times=1", ""), "");
    assert_eq!(send(2, me)["error_code"], 4);
    assert_eq!(send(2, me)["cnt"], 1);
    assert_eq!(send(3, me)["error_code"], 3, "40 kopecks are left");
    assert!(post(&address, "/stand/manner?manner=100", "").contains("an error from 1 to 9"));
    stand.wait_for_line("Привет 2", LIMIT).unwrap();
    assert!(stand.terminate(LIMIT).unwrap().success());
    let taken: Vec<Value> = stand.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let texts: Vec<&Value> = taken.iter().map(|taken| &taken["text"]).collect();
    assert_eq!(texts, ["Привет 1", "Привет 2"]);
}
