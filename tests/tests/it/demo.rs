//! A list becomes a report: a farm, a host that dials it once, and the report, as `./zv demo` runs them.

use std::time::Duration;

use zvonar_tests::{
    host::{Farm, Host, Report, verify_ledger},
    machine,
    project::{Config, Project, leads},
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
}
