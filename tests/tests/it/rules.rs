//! The rules of who may be called, from the command line: the register, the blacklist, consents, and why not.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use zvonar_tests::{host, machine, process::Process};

const LIMIT: Duration = Duration::from_secs(30);

const CONFIG: &str = r#"
[node]
data = "data"
[sip]
listen = "127.0.0.1:5060"
[[tenant]]
id = "demo"
caps = { day = 3, week = 10, month = 30 }
"#;

/// What a command says in this folder.
fn said(folder: &Path, arguments: &[&str]) -> String {
    let mut command = host::zvonar(arguments);
    command.current_dir(folder);
    Process::spawn("zvonar", &mut command).unwrap().succeed(LIMIT).unwrap()
}

/// Why a command fails in this folder.
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let mut command = host::zvonar(arguments);
    command.current_dir(folder);
    let mut zvonar = Process::spawn("zvonar", &mut command).unwrap();
    assert!(!zvonar.wait(LIMIT).unwrap().success(), "{arguments:?}");
    zvonar.stderr()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_loaded_register_tells_whose_a_number_is_and_which_do_not_exist() {
    let _machine = machine::shared();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("zvonar.toml"), CONFIG).unwrap();
    let table = "\u{feff}АВС/ DEF;От;До;Емкость;Оператор;Регион;ИНН\n\
                 914;0000000;0999999;1000000;ПАО \"Связь\";г. Мирный|Республика Саха /Якутия/;1\n\
                 914;0500000;1999999;1500000;ПАО \"Связь\";Приморский край;1\n";
    std::fs::write(folder.join("DEF-9xx.csv"), table).unwrap();
    assert!(said(folder, &["numbers", "status"]).starts_with("no table is loaded"));
    let number = |number| lines(&said(folder, &["explain", "number", number, "--json"])).remove(0);
    assert_eq!(
        number("8 999 000-00-00"),
        json!({ "number": "+79990000000", "dialled": true, "kind": "mobile" })
    );

    let loaded = said(folder, &["numbers", "import", "DEF-9xx.csv"]);
    assert!(
        loaded.contains("1 ranges with 1000000 numbers that begin with +7 9; 1 rows left out"),
        "{loaded}"
    );
    assert_eq!(
        number("8 914 000-00-00"),
        json!({
            "number": "+79140000000", "dialled": true, "kind": "mobile", "operator": "ПАО \"Связь\"",
            "region": "г. Мирный, Республика Саха /Якутия/",
            "zones": ["Asia/Yakutsk", "Asia/Vladivostok", "Asia/Srednekolymsk"],
        })
    );
    assert_eq!(number("8 999 000-00-00")["why"], "Несуществующий номер");
    assert_eq!(number("8 495 123-45-67")["dialled"], true, "that table is not loaded");
    let status = lines(&said(folder, &["numbers", "status", "--json"])).remove(0);
    assert_eq!((&status["sample"], &status["files"][0]["digits"]), (&json!(false), &json!([9])));
    std::fs::write(folder.join("list.csv"), "lead,phone\nanna,+79990000000\n").unwrap();
    assert!(refused(folder, &["numbers", "import", "list.csv"]).contains("list.csv holds no range"));
}

#[test]
fn the_blacklist_and_consents_are_kept_from_the_command_line() {
    let _machine = machine::shared();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("zvonar.toml"), CONFIG).unwrap();
    said(folder, &["blacklist", "add", "8 900 000-00-01", "--why", "жалоба"]);
    let list = "Телефон;Причина\n89000000002;попросил\n12;x\n89000000001;\n";
    std::fs::write(folder.join("black.csv"), list).unwrap();
    let told = said(folder, &["blacklist", "import", "black.csv"]);
    assert_eq!(told.trim(), "1 put on the blacklist, 1 were on it, 1 rows left out");
    said(folder, &["blacklist", "remove", "+79000000001"]);
    let left = lines(&said(folder, &["blacklist", "list", "--json"]));
    assert_eq!(left.len(), 1);
    assert_eq!((&left[0]["number"], &left[0]["why"]), (&json!("+79000000002"), &json!("попросил")));
    assert!(refused(folder, &["blacklist", "remove", "+79000000001"]).contains("is not on the blacklist"));

    std::fs::write(folder.join("scan.pdf"), "paper").unwrap();
    let consent =
        ["--purpose", "inform,опрос", "--text", "form-7/2", "--at", "2026-03-02", "--proof", "scan.pdf"];
    said(folder, &[&["consent", "add", "89000000001"][..], &consent].concat());
    assert!(said(folder, &[&["consent", "add", "89000000001"][..], &consent].concat()).contains("before"));
    said(folder, &["consent", "revoke", "89000000001", "--channel", "звонок"]);
    let journal = lines(&said(folder, &["consent", "list", "--json"]));
    assert_eq!(journal.len(), 2, "{journal:?}");
    assert_eq!((&journal[0]["said"], &journal[1]["said"]), (&json!("given"), &json!("revoked")));
    assert_eq!(journal[0]["at"], "2026-03-01T21:00:00Z");
    let proof = journal[0]["proof"].as_str().unwrap();
    assert!(proof.starts_with("scan.pdf sha256:") && proof.len() == 80, "{proof}");
    assert!(refused(folder, &["consent", "add", "89000000001"]).contains("it is given for no purpose"));
    assert!(
        refused(folder, &["explain", "project", "spring"])
            .contains("no project spring is stored; there are: none")
    );
}
