//! A list becomes a report: a farm, a host that dials it once, and the report, as `./zv demo` runs them.

use std::path::Path;
use std::time::Duration;

use zvonar_tests::{
    host::{Farm, Host, Report, verify_ledger, zvonar},
    machine,
    process::Process,
    project::{Config, Lead, Project, leads},
};

/// What a farm's callee does, by the last two digits; what the report must say of it (`None`: whatever a mailbox comes
/// to); whether it picks up.
const BEHAVIOURS: &[(u8, Option<&str>, bool)] = &[
    (1, Some("Записаться"), true),
    (2, Some("Не интересно"), true),
    (3, Some("Не дослушал до конца"), true),
    (4, Some("Не дослушал до конца"), true),
    (5, Some("Занято"), false),
    (6, Some("Нет ответа"), false),
    (7, Some("Отклонён"), false),
    (8, Some("Несуществующий номер"), false),
    (9, None, true),
];

#[test]
fn every_behaviour_of_a_callee_becomes_its_result_and_the_sums_add_up() {
    let _machine = machine::shared();
    if !machine::built(&["menu"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let farm = Farm::start(folder.path()).unwrap();
    let endings: Vec<u8> = BEHAVIOURS.iter().map(|(ending, _, _)| *ending).collect();
    let list = leads(BEHAVIOURS.len(), &endings);
    let mut config = Config::new(farm.address).scenario("menu");
    config.projects = vec![Project {
        id: "demo".into(),
        scenario: "menu".into(),
        lines: 9,
        ring_s: 5,
        max_calls: 1,
        leads: list.clone(),
        settings: vec![],
    }];
    let mut host = Host::start(&config, folder.path(), &["--once"], false).unwrap();
    host.process.succeed(Duration::from_secs(90)).unwrap();

    let report = Report::of(&host.config).unwrap();
    let sum = report.check_sums().unwrap();
    assert!(sum > 0);
    for (lead, (ending, result, answered)) in list.iter().zip(BEHAVIOURS) {
        let rows = report.of_lead(lead);
        assert_eq!(rows.len(), 1, "callee {ending:02}: {rows:?}");
        let row = rows[0];
        if let Some(result) = result {
            assert_eq!(row.result, *result, "callee {ending:02}: {row:?}");
        }
        assert_eq!(row.kopecks, 4 * row.robot_s as i64, "callee {ending:02}: {row:?}");
        assert_eq!(row.robot_s > 0, *answered, "callee {ending:02}: {row:?}");
        assert!(row.number.contains('*') && !row.number.contains(&lead.phone[6..]), "{row:?}");
    }
    verify_ledger(&host.config).unwrap();
    // Said in the report, not shown: no number of the list is anywhere in it whole.
    let text = report.lines.join("\n");
    assert!(list.iter().all(|lead| !text.contains(&lead.phone[1..])), "{text}");
    the_reports_by_name_agree(&host.config, &list, &report, sum);
}

/// «Проекты», «Результаты всех вызовов», «Результаты последних вызовов» and «Выгрузка контактов» of the same calls.
fn the_reports_by_name_agree(config: &Path, list: &[Lead], report: &Report, sum: i64) {
    let ask = |arguments: &[&str]| {
        let mut command = zvonar(["report"]);
        command.args(arguments).arg("--config").arg(config);
        Process::spawn("zvonar report", &mut command).unwrap().succeed(Duration::from_secs(60)).unwrap()
    };
    let json = |arguments: &[&str]| -> Vec<serde_json::Value> {
        let arguments = [arguments, &["--json"]].concat();
        ask(&arguments).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let projects = json(&["projects"]);
    assert_eq!(projects.len(), 1, "{projects:?}");
    assert_eq!(projects[0]["calls"]["kopecks"], sum);
    let leads = &projects[0]["leads"];
    assert_eq!(leads["reached"].as_i64().unwrap() + leads["unreached"].as_i64().unwrap(), list.len() as i64);
    for name in ["calls", "last"] {
        let calls = json(&[name]);
        assert_eq!(calls.len(), report.rows.len(), "each lead was called once");
        assert_eq!(calls.iter().map(|call| call["kopecks"].as_i64().unwrap()).sum::<i64>(), sum);
    }
    let busy = json(&["calls", "--result", "Занято", "--oldest-first"]);
    assert_eq!(busy.len(), report.rows.iter().filter(|row| row.result == "Занято").count());
    assert!(json(&["calls", "--from", "2020-01-01", "--to", "2020-01-02"]).is_empty());
    // On the screen numbers are masked, in a file they are not: other programs go on with it.
    let screen = ask(&["calls"]);
    assert!(
        screen.contains("Занято") && list.iter().all(|lead| !screen.contains(&lead.phone[1..])),
        "{screen}"
    );
    let file = config.with_file_name("contacts.csv");
    let told = ask(&["contacts", "--status", "reached,не дозвонились", "--csv", file.to_str().unwrap()]);
    assert!(told.trim_end().ends_with(&format!("{} rows", list.len())), "{told}");
    let text = std::fs::read_to_string(file).unwrap();
    assert!(list.iter().all(|lead| text.contains(&lead.phone[1..])), "{text}");
}
