//! The messages of RFC 4475 and a dozen worse ones, thrown at a running host: it stays up, and stays polite.

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    time::Duration,
};

use zvonar_tests::{
    clock,
    host::Host,
    machine,
    project::Config,
    sip::{self, Prober},
};

fn folder() -> PathBuf {
    machine::root().join("tests/data/sip-torture")
}

fn messages(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "dat"))
        .collect();
    files.sort();
    files
}

#[test]
fn no_message_silences_the_host_or_makes_it_panic() {
    let _machine = machine::shared();
    let home = tempfile::tempdir().unwrap();
    let config = Config::new("127.0.0.1:9".parse().unwrap());
    let mut host = Host::serve(&config, home.path()).unwrap();
    let files = messages(&folder());
    assert!(files.len() >= 49, "RFC 4475 has 49 messages, here are {}", files.len());
    let mut prober = Prober::new();
    for file in &files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        prober.send(host.address, &fs::read(file).unwrap());
        let answer = prober.options(host.address, Duration::from_secs(5));
        assert!(host.process.is_running(), "{name} ended the host\n{}", host.process.output());
        assert_eq!(answer, Some(200), "after {name} the host answers OPTIONS with this");
    }
    let said = host.process.output();
    assert!(!said.contains("panicked"), "{said}");
    host.process.terminate(Duration::from_secs(30)).unwrap();
    assert!(!host.process.output().contains("panicked"), "{}", host.process.output());
}

/// What becomes of a message, `expected.tsv`.
enum Treatment {
    /// It reaches whoever takes calls; here nobody does, so any final answer but a complaint about its form.
    Call,
    Answer(u16),
    Silence,
}

fn table(folder: &Path) -> Vec<(String, Treatment)> {
    let text = fs::read_to_string(folder.join("expected.tsv")).expect("expected.tsv");
    text.lines()
        .skip(1)
        .map(|line| {
            let mut cells = line.split('\t');
            let (file, _kind, treatment) = (cells.next(), cells.next(), cells.next());
            let treatment = match treatment.unwrap_or_default() {
                "call" => Treatment::Call,
                "silence" => Treatment::Silence,
                answer => {
                    let code = answer.strip_prefix("answer ").and_then(|code| code.parse().ok());
                    Treatment::Answer(code.unwrap_or_else(|| panic!("no treatment: {line}")))
                }
            };
            (file.unwrap_or_default().to_owned(), treatment)
        })
        .collect()
}

/// Answers go to the address that a message came from and the port that its topmost Via names (RFC 3261 §18.2.2), so
/// each message is sent from that port of a loopback address of its own.
#[test]
fn every_torturous_message_is_treated_as_the_table_says() {
    let _machine = machine::shared();
    let home = tempfile::tempdir().unwrap();
    let mut config = Config::new("127.0.0.1:9".parse().unwrap());
    config.allow = vec!["127.0.0.0/8".into()];
    let mut host = Host::serve(&config, home.path()).unwrap();
    let table = table(&folder());
    let mut named: Vec<&str> = table.iter().map(|(file, _)| file.as_str()).collect();
    named.sort_unstable();
    let there: Vec<String> =
        messages(&folder()).iter().map(|p| p.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(named, there, "the table and the files");

    // Another run of the tests has other addresses.
    let net = [64 + (std::process::id() >> 8) as u8 % 128, std::process::id() as u8];
    let mut faults = Vec::new();
    for (index, (file, treatment)) in table.iter().enumerate() {
        let bytes = fs::read(folder().join(file)).unwrap();
        let from = SocketAddr::from(([127, net[0], net[1], index as u8 + 1], via_port(&bytes)));
        let socket = UdpSocket::bind(from).unwrap_or_else(|error| {
            panic!("{from} for {file}: {error}; whoever has this port on all addresses must end first")
        });
        socket.send_to(&bytes, host.address).unwrap();
        let expects_silence = matches!(treatment, Treatment::Silence);
        let limit = Duration::from_millis(if expects_silence { 300 } else { 3000 });
        let answer = final_answer(&socket, limit);
        match (treatment, answer) {
            (Treatment::Silence, None) => {}
            (Treatment::Answer(code), Some(answer)) if *code == answer => {}
            (Treatment::Call, Some(404 | 480 | 603)) => {}
            (Treatment::Silence, answer) => faults.push(format!("{file}: {answer:?} instead of silence")),
            (Treatment::Answer(code), answer) => faults.push(format!("{file}: {answer:?} instead of {code}")),
            (Treatment::Call, answer) => faults.push(format!("{file}: {answer:?}, nobody was asked")),
        }
    }
    assert!(host.process.is_running(), "{}", host.process.output());
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), table.len(), faults.join("\n"));
}

fn final_answer(socket: &UdpSocket, limit: Duration) -> Option<u16> {
    let until = clock::now() + limit;
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut buffer = [0; 65_536];
    while clock::now() < until {
        if let Ok(length) = socket.recv(&mut buffer) {
            let status = sip::status(&String::from_utf8_lossy(&buffer[..length]));
            if status.is_some_and(|status| status >= 200) {
                return status;
            }
        }
    }
    None
}

/// The port of the topmost Via, 5060 if it names none.
fn via_port(message: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(message).replace("\r\n", "\n");
    // Folded lines are one.
    let text = text.replace("\n ", " ").replace("\n\t", " ");
    let via = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let name = name.trim();
        (name.eq_ignore_ascii_case("via") || name.eq_ignore_ascii_case("v")).then_some(value)
    });
    let sent_by = via.unwrap_or_default().split([';', ',']).next().unwrap_or_default().trim();
    let port = sent_by.rsplit_once(':').map(|(_, port)| port.trim());
    port.and_then(|port| port.parse().ok()).unwrap_or(5060)
}

#[test]
fn the_port_of_a_via_is_found_however_it_is_written() {
    let _machine = machine::shared();
    assert_eq!(via_port(b"INVITE x\r\nVIA  :SIP  / 2.0\r\n / UDP\r\n  192.0.2.2 : 5070 ;branch=1\r\n"), 5070);
    assert_eq!(via_port(b"OPTIONS x\r\nv: SIP/2.0/UDP [2001:db8::9:1];branch=1\r\n"), 5060);
    assert_eq!(via_port(b"OPTIONS x\r\nVia: SIP/2.0/UDP [2001:db8::9:1]:5071, SIP/2.0/TCP a\r\n"), 5071);
    assert_eq!(via_port(b"\r\n\r\n"), 5060);
}

/// Garbage that is no SIP at all, in every length that a datagram can have.
#[test]
fn bytes_that_are_no_sip_are_not_answered() {
    let _machine = machine::shared();
    let home = tempfile::tempdir().unwrap();
    let config = Config::new("127.0.0.1:9".parse().unwrap());
    let mut host = Host::serve(&config, home.path()).unwrap();
    let mut prober = Prober::new();
    for length in [0, 1, 2, 3, 4, 100, 1500, 9000, 65_507] {
        for byte in [0x00, b'\r', b' ', b'A', 0x80, 0xff] {
            prober.send(host.address, &vec![byte; length]);
        }
    }
    let answers = prober.receive(Duration::from_millis(500));
    assert!(answers.is_empty(), "{answers:?}");
    assert_eq!(prober.options(host.address, Duration::from_secs(5)), Some(200));
    assert!(host.process.is_running() && !host.process.output().contains("panicked"));
}

/// A stranger's message gets no answer at all: a scanner learns nothing, not even that SIP is spoken here.
#[test]
fn strangers_are_not_answered() {
    let _machine = machine::shared();
    let home = tempfile::tempdir().unwrap();
    let mut config = Config::new("192.0.2.9:5060".parse().unwrap());
    config.allow = vec!["192.0.2.0/24".into()];
    let mut host = Host::serve(&config, home.path()).unwrap();
    let mut prober = Prober::new();
    assert_eq!(prober.options(host.address, Duration::from_millis(1200)), None);
    let invite = fs::read(folder().join("wsinv.dat")).unwrap();
    prober.send(host.address, &invite);
    let answers = prober.receive(Duration::from_millis(700));
    assert!(answers.is_empty(), "{answers:?}");
    assert!(host.process.is_running());
}
