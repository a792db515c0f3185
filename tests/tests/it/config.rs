//! A configuration that cannot work stops the host before anything starts, with all faults and their lines.

use std::{fs, net::UdpSocket, path::Path, time::Duration};

use zvonar_tests::{
    host::{self, Host},
    machine,
    process::Process,
    project::Config,
};

const LIMIT: Duration = Duration::from_secs(30);

/// Starts a host with `text` as its configuration, and gives what it said when it refused.
fn refused(folder: &Path, text: &str) -> String {
    let file = folder.join("zvonar.toml");
    fs::write(&file, text).unwrap();
    let mut command = host::zvonar(["serve", "--config"]);
    command.arg(&file);
    let mut process = Process::spawn("zvonar serve", &mut command).unwrap();
    let status = process.wait(LIMIT).unwrap();
    assert!(status.code().is_some_and(|code| code != 0), "{status}\n{}", process.output());
    let said = process.stderr();
    assert!(!said.contains("panicked"), "{said}");
    said
}

/// The line on which `part` stands, counted from 1.
fn line_of(text: &str, part: &str) -> usize {
    text.lines().position(|line| line.contains(part)).expect("it is in the text") + 1
}

#[test]
fn all_faults_are_told_at_once_with_their_lines_and_what_is_allowed() {
    let _machine = machine::shared();
    let folder = tempfile::tempdir().unwrap();
    let text = "\
[node]
data = \"data\"

[sip]
listen = \"not an address\"
alow = [\"127.0.0.0/8\"]

[media]
address = \"127.0.0.1\"
ports = \"30000-20000\"

[[tenant]]
id = \"demo\"

[[trunk]]
id = \"farm\"
address = \"127.0.0.1:5070\"
lines = \"many\"
calls_per_second = 5
caller = \"+74950000000\"

[[scenario]]
tenant = \"nobody\"
name = \"menu\"
package = \"menu\"

[[project]]
id = \"demo\"
tenant = \"demo\"
trunk = \"teleporter\"
scenario = \"menu\"
lines = 4
ring_s = 15
leads = \"leads.csv\"
";
    let said = refused(folder.path(), text);
    let faults = [
        ("listen = \"not", "address"),
        ("alow =", "allow"),
        ("ports =", "20000-29999"),
        ("lines = \"many\"", "number"),
        ("tenant = \"nobody\"", "demo"),
        ("trunk = \"teleporter\"", "farm"),
    ];
    for (place, hint) in faults {
        let line = line_of(text, place);
        let told = said.lines().find(|told| told.contains(&format!("zvonar.toml:{line}")));
        let told = told.unwrap_or_else(|| panic!("line {line} (`{place}`) is not told of:\n{said}"));
        assert!(told.contains(hint), "the fault of line {line} does not mention `{hint}`: {told}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let _machine = machine::shared();
    let mut command = host::zvonar(["serve", "--config", "/nonexistent/zvonar.toml"]);
    let mut process = Process::spawn("zvonar serve", &mut command).unwrap();
    assert!(!process.wait(LIMIT).unwrap().success());
    assert!(process.stderr().contains("/nonexistent/zvonar.toml"), "{}", process.stderr());
}

#[test]
fn a_port_in_use_is_named() {
    let _machine = machine::shared();
    let folder = tempfile::tempdir().unwrap();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut config = Config::new("127.0.0.1:9".parse().unwrap());
    config.listen = taken.local_addr().unwrap();
    let mut host = Host::start(&config, folder.path(), &[], false).unwrap();
    let status = host.process.wait(LIMIT).unwrap();
    assert!(!status.success());
    let said = host.process.stderr();
    assert!(said.contains(&config.listen.to_string()), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_package_that_is_not_there_is_named() {
    let _machine = machine::shared();
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::new("127.0.0.1:9".parse().unwrap());
    config.scenarios = vec![("ghost".into(), folder.path().join("no-such-package"))];
    let mut host = Host::start(&config, folder.path(), &[], false).unwrap();
    assert!(!host.process.wait(LIMIT).unwrap().success());
    let said = host.process.stderr();
    assert!(said.contains("no-such-package") && !said.contains("panicked"), "{said}");
}

#[test]
fn a_host_that_is_told_to_stop_ends_by_itself() {
    let _machine = machine::shared();
    let folder = tempfile::tempdir().unwrap();
    let config = Config::new("127.0.0.1:9".parse().unwrap());
    let mut host = Host::serve(&config, folder.path()).unwrap();
    let status = host.process.terminate(LIMIT).unwrap();
    assert!(status.success(), "{status}\n{}", host.process.output());
}
