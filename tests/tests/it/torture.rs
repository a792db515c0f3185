//! The messages of RFC 4475 and a dozen worse ones, thrown at a running host: it stays up, and stays polite.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use zvonar_tests::{host::Host, machine, project::Config, sip::Prober};

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

/// Also garbage that is no SIP at all, in every length that a datagram can have.
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
    let mut config = Config::new("127.0.0.1:9".parse().unwrap());
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
