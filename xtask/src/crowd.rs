//! `./zv speech crowd`: twenty callers talk at once, to a host whose recogniser has all cores and the sound of all of them to
//! carry besides; and once more to one whose recogniser is far too small for them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use zvonar_tests::host::{self, Farm, Host, Report};
use zvonar_tests::project::{Config, Lead, Project};

use crate::{guest, shell::step, speech};

/// What callees whose numbers end so must be understood as: a phrase of the appointment.
const SAY: [(&str, &str); 5] =
    [("11", "confirm"), ("12", "cancel"), ("13", "later"), ("15", "stop"), ("16", "later")];
/// How often all of them are called.
const ROUNDS: u32 = 3;
/// Within this time it is over.
const LIMIT: Duration = Duration::from_secs(600);
/// The most packets that may leave later than 20 ms.
const LATE: f64 = 0.001;

/// A recogniser that has no time for a crowd.
const SMALL: &str = "workers = 1\nqueue = 1\n";

/// `callers` talk at once, three times as many in all; then so many again, of whom some must be told that it is busy.
pub(crate) fn run(callers: u32) -> Result<(), String> {
    guest::build_hearing()?;
    host::adopt(speech::prepare(&[])?);
    let folder = std::env::temp_dir().join(format!("zvonar-crowd-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|why| format!("{}: {why}", folder.display()))?;
    let done = talk(callers, "", &folder.join("usual")).and_then(|_| {
        let busy = talk(callers, SMALL, &folder.join("small"))?;
        if busy == 0 { Err("a recogniser with room for two was never busy".into()) } else { Ok(()) }
    });
    match &done {
        Ok(()) => drop(fs::remove_dir_all(&folder)),
        Err(_) => eprintln!("configuration, store, sounds and the farm's log: {}", folder.display()),
    }
    done
}

/// Gives how often somebody was told that the recogniser is busy. `recogniser`: more lines of `[speech]`.
fn talk(callers: u32, recogniser: &str, folder: &Path) -> Result<u64, String> {
    fs::create_dir_all(folder).map_err(|why| format!("{}: {why}", folder.display()))?;
    let lead = |n: u32| {
        let (suffix, _) = SAY[n as usize % SAY.len()];
        Lead { id: format!("caller-{n:03}"), phone: format!("+7916{n:05}{suffix}") }
    };
    let leads: Vec<Lead> = (0..callers * ROUNDS).map(lead).collect();
    let with =
        if recogniser.is_empty() { "" } else { ", and a recogniser with one thread and room for one more" };
    step(&format!("{callers} callers at once, {} in all{with}", leads.len()));
    let mut farm = Farm::start(folder)?;
    let mut config = Config::new(farm.address).scenario("appointment");
    config.calls_per_second = 50;
    config.more = format!("[speech]\nmodel = \"base\"\nlanguage = \"ru\"\n{recogniser}");
    config.projects = vec![Project {
        id: "crowd".into(),
        scenario: "appointment".into(),
        lines: callers,
        ring_s: 8,
        max_calls: 1,
        leads: leads.clone(),
        settings: vec![("repeats".into(), "0".into())],
    }];
    let mut host = Host::start(&config, folder, &["--once"], false)?;
    host.process.succeed(LIMIT)?;
    farm.process.terminate(Duration::from_secs(10))?;

    let said = host.process.stderr();
    let sums = |word: &str| said.lines().find(|line| line.starts_with(word)).map(str::to_owned);
    let (sound, speech) = (sums("sound: "), sums("speech: "));
    let (Some(sound), Some(speech)) = (sound, speech) else {
        return Err(format!("the host told no sums:\n{said}"));
    };
    println!("{sound}\n{speech}");
    let [sent, late, never] = numbers(&sound)?;
    let [words, _, busy] = numbers(&speech)?;

    let report = Report::of(&host.config)?;
    report.check_sums()?;
    let (mut right, mut wrong, mut billed) = (0, Vec::new(), 0);
    for (n, lead) in leads.iter().enumerate() {
        let (_, meant) = SAY[n % SAY.len()];
        for row in report.of_lead(lead) {
            billed += row.answers.len() as u64;
            for answer in &row.answers {
                match answer.phrase.as_deref() {
                    Some(phrase) if phrase == meant => right += 1,
                    other => {
                        wrong.push(format!("«{}» taken for {}", answer.text, other.unwrap_or("nothing")))
                    }
                }
            }
        }
    }
    println!("{right} answers understood, {} not: {}", wrong.len(), wrong.join("; "));
    let share = (late + never) as f64 / sent.max(1) as f64;
    println!(
        "{:.3} % of {sent} packets later than 20 ms; {billed} answers billed, {busy} told that it is busy",
        share * 100.0
    );
    if billed != words {
        return Err(format!("{words} answers were recognised, and {billed} billed"));
    }
    if share > LATE {
        return Err(format!("more than {} % of the sound was late", LATE * 100.0));
    }
    Ok(busy)
}

/// The three numbers of a line of sums.
fn numbers(line: &str) -> Result<[u64; 3], String> {
    let found: Vec<u64> =
        line.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect();
    match found[..] {
        // «later than 20 ms» has a number of its own.
        [one, two, 20, three] | [one, two, three] => Ok([one, two, three]),
        _ => Err(format!("no three sums in `{line}`")),
    }
}
