//! A list as people make them goes into a host that stands still; what was refused comes back with its reason, and what was
//! taken comes out again, as CSV and as a workbook.

use std::fs;
use std::path::Path;

use serde_json::Value;
use zvonar_tests::{host, machine};

const CONFIG: &str = "[node]\ndata = \"data\"\n\n[sip]\nlisten = \"127.0.0.1:0\"\n\n[[tenant]]\nid = \"demo\"\n\n[[trunk]]\nid = \"carrier\"\naddress = \"127.0.0.1:5070\"\nlines = 10\ncalls_per_second = 5\ncaller = \"+74950000000\"\n";

/// Runs a command to its end; what it printed.
fn zvonar(folder: &Path, arguments: &[&str]) -> Result<String, String> {
    let mut command = host::zvonar(arguments);
    command.current_dir(folder).env_remove("ZVONAR_HOST").env_remove("ZVONAR_TOKEN");
    let done = command.output().unwrap();
    let (said, told) = (
        String::from_utf8_lossy(&done.stdout).into_owned(),
        String::from_utf8_lossy(&done.stderr).into_owned(),
    );
    assert!(!told.contains("panicked"), "{arguments:?}: {told}");
    if done.status.success() { Ok(said) } else { Err(told) }
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    let said = zvonar(folder, arguments).unwrap_or_else(|why| panic!("{arguments:?}: {why}"));
    serde_json::from_str(said.trim()).unwrap_or_else(|why| panic!("{arguments:?}: {why}: {said}"))
}

/// Two encodings, a formula, an extension, an empty row, the header twice, a lost quotation mark, a rounded number.
fn nasty() -> Vec<u8> {
    let mut list = "sep=;\r\nID;Телефон;Телефон 2;Имя;Теги;Часовой пояс\r\n".as_bytes().to_vec();
    list.extend("anna;8 916 123-45-67;;Анна;vip, Москва;МСК+2\r\n".as_bytes());
    // «Борис» in windows-1251.
    list.extend(b"boris;8 916 123-45-68;8 495 123-45-67 #12;\xc1\xee\xf0\xe8\xf1;;\r\n");
    list.extend("vera;\"7,9161234569E+10\";;=HYPERLINK(\"x\");;\r\n;;;;;\r\n".as_bytes());
    list.extend("ID;Телефон;Телефон 2;Имя;Теги;Часовой пояс\r\n".as_bytes());
    list.extend("gleb;8 701 234-56-78;;Глеб;;\r\ndina;\"8 916 123-45-69;Дина;;\r\n".as_bytes());
    list.extend("egor;8 916 123-45-67;;Егор;;\r\nжанна;8 916 123-45-70;;Жанна;;\r\n".as_bytes());
    list.extend("zoe;7,91612E+10;;Зоя;;\r\n".as_bytes());
    list
}

#[test]
fn a_nasty_list_goes_in_comes_out_and_nothing_of_it_is_executed() {
    let _machine = machine::shared();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("zvonar.toml"), CONFIG).unwrap();
    fs::write(folder.join("list.csv"), nasty()).unwrap();
    let made =
        json(folder, &["project", "create", "spring", "--scenario", "menu", "--trunk", "carrier", "--json"]);
    assert_eq!(made["state"], "paused");

    let import = ["import", "list.csv", "--project", "spring", "--tag", "весна", "--json"];
    let dry = json(folder, &[&import[..], &["--dry-run"]].concat());
    assert_eq!((&dry["added"], &dry["refused"]), (&3.into(), &5.into()), "{dry}");
    let told = json(folder, &import);
    for (what, count) in [
        ("added", 3),
        ("refused", 5),
        ("numbers_left_out", 1),
        ("empty_rows", 1),
        ("repeated_headers", 1),
        ("known", 0),
    ] {
        assert_eq!(told[what], count, "{what}: {told}");
    }
    let refused = fs::read_to_string(folder.join("list.refused.csv")).unwrap();
    for row in [
        "8 495 123-45-67 #12;Борис;;;4;Взят без одного из номеров. Добавочный номер",
        ";8 701 234-56-78;;Глеб;;;8;Номер Казахстана",
        ";9;Незакрытая кавычка",
        ";10;Номер уже есть в списке: строка 3",
        ";11;Негодный ID",
        ";12;Цифры номера потеряны",
    ] {
        assert!(refused.contains(&row[1..]), "{row}\n{refused}");
    }
    // The same again is nothing new, and the refused rows alone are refused again.
    assert_eq!(json(folder, &import)["known"], 3);
    let again = json(
        folder,
        &["import", "list.refused.csv", "--project", "spring", "--json", "--refused", "again.csv"],
    );
    assert_eq!(
        (&again["added"], &again["known"], &again["refused"]),
        (&0.into(), &1.into(), &5.into()),
        "{again}"
    );

    let leads = zvonar(folder, &["lead", "list", "--project", "spring", "--json"]).unwrap();
    let leads: Vec<Value> = leads.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(leads.len(), 3);
    assert_eq!(leads[0]["fields"]["tz"], "Etc/GMT-5");
    assert_eq!(leads[1]["fields"]["Имя"], "Борис");
    assert_eq!(
        (&leads[2]["numbers"][0], &leads[2]["fields"]["Имя"]),
        (&"+79161234569".into(), &"=HYPERLINK(\"x\")".into())
    );
    let screen = zvonar(folder, &["lead", "list", "--project", "spring"]).unwrap();
    assert!(screen.contains("+7 916 ***-**-67") && !screen.contains("79161234567"), "{screen}");
    let tagged = json(folder, &["lead", "tag", "позже", "--project", "spring", "--tagged", "vip", "--json"]);
    assert_eq!(tagged["changed"], 1);

    json(folder, &["export", "--project", "spring", "--to", "out.csv", "--json"]);
    let csv = fs::read_to_string(folder.join("out.csv")).unwrap();
    assert!(csv.contains("\"'=HYPERLINK(\"\"x\"\")\"") && csv.contains("anna;+79161234567;"), "{csv}");
    let one =
        json(folder, &["export", "--project", "spring", "--tag", "позже", "--to", "one.xlsx", "--json"]);
    assert_eq!(one["leads"], 1);
    json(
        folder,
        &["export", "--project", "spring", "--status", "ещё не звонили", "--to", "out.xlsx", "--json"],
    );
    // What came out goes into another project as it was.
    json(folder, &["project", "copy", "spring", "--to", "summer", "--json"]);
    json(folder, &["project", "copy", "spring", "--to", "autumn", "--json"]);
    for (file, project) in [("out.csv", "summer"), ("out.xlsx", "autumn")] {
        let told = json(folder, &["import", file, "--project", project, "--json"]);
        assert_eq!((&told["added"], &told["refused"]), (&3.into(), &0.into()), "{file}: {told}");
        let leads = zvonar(folder, &["lead", "list", "--project", project, "--json"]).unwrap();
        for (line, before) in leads.lines().zip(&leads_without_marks(folder)) {
            let lead: Value = serde_json::from_str(line).unwrap();
            for part in ["id", "numbers", "tags"] {
                assert_eq!(lead[part], before[part], "{file}: {part}");
            }
            assert_eq!(lead["fields"]["Имя"], before["fields"]["Имя"], "{file}");
        }
    }
}

/// The leads of the first project as they are now.
fn leads_without_marks(folder: &Path) -> Vec<Value> {
    let leads = zvonar(folder, &["lead", "list", "--project", "spring", "--json"]).unwrap();
    leads.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_the_desk_cannot_do_it_says() {
    let _machine = machine::shared();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let told = zvonar(folder, &["project", "list"]).unwrap_err();
    assert!(told.contains("--host URL") && told.contains("--config FILE"), "{told}");
    fs::write(folder.join("zvonar.toml"), CONFIG).unwrap();
    fs::write(folder.join("list.csv"), "anna;89161234567\n").unwrap();
    for (arguments, says) in [
        (&["import", "list.csv", "--project", "spring"][..], "there is no project `spring`"),
        (&["import", "none.csv", "--project", "spring"], "there is no such list"),
        (&["import", "list.csv", "--project", "spring", "--refused", "list.csv"], "would be overwritten"),
        (&["import", "list.csv", "--project", "spring", "--map", "phone"], "phone=COLUMN"),
        (&["project", "list", "--tenant", "acme"], "it has: demo"),
        (&["lead", "show", "anna", "--project", "spring"], "there is no project `spring`"),
    ] {
        let told = zvonar(folder, arguments).unwrap_err();
        assert!(told.contains(says), "{arguments:?}: {told}");
    }
    zvonar(folder, &["project", "create", "spring", "--scenario", "menu", "--trunk", "carrier"]).unwrap();
    let told = zvonar(folder, &["import", "list.csv", "--project", "spring"]).unwrap_err();
    assert!(told.contains("--no-header --map phone=NUMBER") && !told.contains("89161234567"), "{told}");
    let told = json(
        folder,
        &[
            "import",
            "list.csv",
            "--project",
            "spring",
            "--no-header",
            "--map",
            "phone=2",
            "--map",
            "lead=1",
            "--json",
        ],
    );
    assert_eq!(told["added"], 1);
    let first = json(folder, &["project", "edit", "spring", "--lines", "3", "--json"]);
    assert_eq!(first["version"], 2);
    let told = zvonar(folder, &["project", "edit", "spring", "--lines", "4", "--version", "1"]).unwrap_err();
    assert!(told.contains("version 2"), "{told}");
}
