//! `zvonar call` as the tests of single calls use it, and calls that need no peer.

use std::{
    net::{SocketAddr, UdpSocket},
    path::Path,
    time::Duration,
};

use serde::Deserialize;
use zvonar_tests::{clock, host, machine, ports, process::Process};

/// A call that rings, talks and ends takes less.
const LONGEST: Duration = Duration::from_secs(90);

/// What `zvonar call --json` prints.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Called {
    pub(crate) result: String,
    pub(crate) keys: String,
    pub(crate) sip_code: Option<u16>,
    pub(crate) packets_sent: u64,
    pub(crate) packets_heard: u64,
    pub(crate) packets_lost: u64,
    pub(crate) post_dial_delay_ms: Option<u64>,
    pub(crate) robot_s: u64,
    pub(crate) kopecks: i64,
    pub(crate) recording: Option<String>,
}

/// A call in progress.
pub(crate) struct Call(Process);

/// Calls `user` at `address` with the scenario `menu`; we listen on the same IP address.
pub(crate) fn call(user: &str, address: SocketAddr, more: &[&str]) -> Result<Call, String> {
    let listen = SocketAddr::new(address.ip(), ports::free_port());
    let mut command = host::zvonar(["call", "--json"]);
    command
        .args(["--to", &format!("sip:{user}@{address}"), "--listen", &listen.to_string()])
        .arg("--scenario")
        .arg(machine::root().join("scenarios/menu"))
        .args(more);
    Process::spawn("zvonar call", &mut command).map(Call)
}

impl Call {
    /// Waits for its end and reads what it printed. Whatever became of the call, there is one JSON object on stdout.
    pub(crate) fn ended(mut self) -> Result<Called, String> {
        self.0.wait(LONGEST)?;
        let text = self.0.stdout();
        serde_json::from_str(&text)
            .map_err(|error| format!("{error} in what the call printed\n{}", self.0.output()))
    }
}

/// The whole of a recording option's path, as an argument.
pub(crate) fn recording(folder: &Path) -> String {
    folder.join("call.wav").display().to_string()
}

#[test]
fn a_port_where_nobody_listens_is_told_as_such_and_costs_nothing() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let address = SocketAddr::from(([127, 0, 0, 1], ports::free_port()));
    let started = clock::now();
    let mut call = call("79000000001", address, &["--ring", "5"]).unwrap().0;
    call.wait(LONGEST).unwrap();
    let said = call.output();
    assert!(said.contains(&address.to_string()), "it does not say whom it could not reach\n{said}");
    assert!(!said.contains("panicked"), "{said}");
    // RFC 3261 timer B, 32 s: nobody waits longer for a first answer.
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}\n{said}", started.elapsed());
}

#[test]
fn a_far_end_that_never_answers_the_invite_is_given_up() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    // It listens and says nothing: no refused datagram tells the caller.
    let deaf = UdpSocket::bind("127.0.0.1:0").unwrap();
    let called = call("79000000001", deaf.local_addr().unwrap(), &["--ring", "3"]).unwrap().ended().unwrap();
    assert!(["Нет ответа", "Системная ошибка"].contains(&called.result.as_str()), "{called:?}");
    assert_eq!((called.robot_s, called.kopecks, called.packets_sent), (0, 0, 0), "{called:?}");
}
