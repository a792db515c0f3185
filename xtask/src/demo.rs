//! `./zv demo`: a farm of twelve pretend callees and a host, two processes that talk SIP and RTP over the loopback.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use zvonar_tests::{
    clock,
    host::{self, Farm, Host, Report},
    project::{Config, Lead, Project},
};

use crate::{build_guests, shell::step};

/// Within this time of its first call the demo has ended.
const LIMIT: Duration = Duration::from_secs(90);

/// Whom we call: a number, whose last two digits choose what its callee does, and what the report must say. `None`:
/// whatever a mailbox comes to.
const CALLEES: [(&str, Option<&str>); 12] = [
    ("+79161234501", Some("Записаться")),
    ("+79031112202", Some("Не интересно")),
    ("+79265550103", Some("Не дослушал до конца")),
    ("+79117770204", Some("Не дослушал до конца")),
    ("+79213334405", Some("Занято")),
    ("+79608889906", Some("Нет ответа")),
    ("+79857654307", Some("Отклонён")),
    ("+79991231208", Some("Несуществующий номер")),
    ("+79052223309", None),
    ("+79172345601", Some("Записаться")),
    ("+79194567802", Some("Не интересно")),
    ("+79506667705", Some("Занято")),
];

pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    let (mut json, mut keep) = (false, false);
    for argument in arguments {
        match *argument {
            "--json" => json = true,
            "--keep" => keep = true,
            other => return Err(format!("the demo knows --json and --keep, not `{other}`")),
        }
    }
    build_guests()?;
    step("compiling the host (on a fresh machine this takes some minutes: the sandbox has a compiler in it)");
    host::build()?;

    let folder =
        std::env::temp_dir().join(format!("zvonar-demo-{}-{}", std::process::id(), clock::unix_millis()));
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let shown = show(&folder, json);
    match &shown {
        Ok(()) if !keep => {
            let _ = fs::remove_dir_all(&folder);
        }
        _ => eprintln!("configuration, store and the farm's log: {}", folder.display()),
    }
    shown
}

fn show(folder: &Path, json: bool) -> Result<(), String> {
    let leads: Vec<Lead> = CALLEES
        .iter()
        .enumerate()
        .map(|(index, (phone, _))| Lead {
            id: format!("contact-{:02}", index + 1),
            phone: (*phone).to_owned(),
        })
        .collect();
    step("starting twelve callees and a host, and calling");
    let mut farm = Farm::start(folder)?;
    let started = clock::now();
    let config = dial(&farm, folder, &leads)?;
    farm.process.terminate(Duration::from_secs(10))?;

    let report = Report::of(&config)?;
    if json {
        for line in &report.lines {
            println!("{line}");
        }
    } else {
        print(&report);
    }
    check(&report, &leads)?;
    let verified = host::verify_ledger(&config)?;
    eprintln!("{}", verified.trim());
    eprintln!(
        "the ledger's lines add up to the charges; {:.0} s from the first call",
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Runs the host until its list is done; gives the path of its configuration.
fn dial(farm: &Farm, folder: &Path, leads: &[Lead]) -> Result<PathBuf, String> {
    let mut config = Config::new(farm.address).scenario("menu");
    config.calls_per_second = 5;
    config.projects = vec![Project {
        id: "demo".into(),
        scenario: "menu".into(),
        lines: 4,
        ring_s: 8,
        max_calls: 1,
        leads: leads.to_vec(),
        settings: vec![],
    }];
    let mut host = Host::start(&config, folder, &["--once"], true)?;
    host.process.succeed(LIMIT)?;
    Ok(host.config)
}

/// Every person was called, with the result that the callee's behaviour leads to, and the money adds up.
fn check(report: &Report, leads: &[Lead]) -> Result<(), String> {
    report.check_sums()?;
    for (lead, (phone, result)) in leads.iter().zip(CALLEES) {
        let rows = report.of_lead(lead);
        let Some(row) = rows.last() else {
            return Err(format!("{} was never called", lead.id));
        };
        if row.number.contains(&phone[6..]) {
            return Err(format!("{}: the report shows the whole number", lead.id));
        }
        if result.is_some_and(|result| row.result != result) {
            return Err(format!("{}: «{}» instead of «{}»", lead.id, row.result, result.unwrap_or_default()));
        }
    }
    Ok(())
}

fn print(report: &Report) {
    let mut table: Vec<[String; 5]> =
        vec![["контакт", "номер", "результат", "робот, с", "копейки"].map(str::to_owned)];
    for row in &report.rows {
        table.push([
            row.lead.clone().unwrap_or_else(|| "–".into()),
            row.number.clone(),
            row.result.clone(),
            row.robot_s.to_string(),
            row.kopecks.to_string(),
        ]);
    }
    let robot_s: u64 = report.rows.iter().map(|row| row.robot_s).sum();
    let kopecks: i64 = report.rows.iter().map(|row| row.kopecks).sum();
    table.push(["итого".into(), String::new(), String::new(), robot_s.to_string(), kopecks.to_string()]);

    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..5).map(width).collect();
    let rule =
        || println!("{}", widths.iter().map(|width| "─".repeat(width + 2)).collect::<Vec<_>>().join("┼"));
    println!();
    for (index, row) in table.iter().enumerate() {
        if index == 1 || index + 1 == table.len() {
            rule();
        }
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(
                |(column, (cell, width))| {
                    if column < 3 { format!(" {cell:<width$} ") } else { format!(" {cell:>width$} ") }
                },
            )
            .collect();
        println!("{}", cells.join("│").trim_end());
    }
    println!();
}
