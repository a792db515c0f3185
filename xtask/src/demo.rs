//! `./zv demo`: a farm of pretend callees and a host, two processes that talk SIP and RTP. Twelve callees press keys, or do
//! what else people do with a telephone; eight more speak, and are understood by the recogniser; seven want an operator,
//! another number or a text message: two operators sit at real telephones, and a pretend SMSC takes the message.

mod handing;

use std::{
    collections::BTreeMap,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use zvonar_tests::{
    clock,
    host::{self, Farm, Host, Report, Row},
    project::{Config, Lead, Project},
};

use crate::{
    build_basic_guests, guest,
    shell::step,
    speech,
    table::{self, Side},
};

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

/// Those who speak: a number, the phrase that must be understood (`None`: no word is said, and none may be charged for), and
/// the result.
const SPEAKERS: [(&str, Option<&str>, &str); 8] = [
    ("+79163456711", Some("confirm"), "Подтвердил"),
    ("+79035678912", Some("cancel"), "Отменил"),
    ("+79267890113", Some("later"), "Перезвонить"),
    // Where nobody sits at a telephone, the robot says that somebody will call.
    ("+79119012314", Some("operator"), BY_OPERATORS),
    ("+79211234515", Some("stop"), "Не звонить"),
    ("+79603456716", Some("later"), "Перезвонить"),
    ("+79855678917", None, "Не дослушал до конца"),
    ("+79997890118", Some("confirm"), "Подтвердил"),
];

/// What comes of somebody who wants an operator, where there are operators and where there are none.
const BY_OPERATORS: &str = "Говорил с оператором";
const WITHOUT_OPERATORS: &str = "Перезвонить";

/// How wide what is said may be on the screen.
const WORDS: usize = 32;

pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    let (mut json, mut keep, mut speech, mut operators) = (false, false, true, true);
    for argument in arguments {
        match *argument {
            "--json" => json = true,
            "--keep" => keep = true,
            "--no-speech" => speech = false,
            "--no-operators" => operators = false,
            other => {
                return Err(format!(
                    "the demo knows --json, --keep, --no-speech and --no-operators, not `{other}`"
                ));
            }
        }
    }
    build_basic_guests()?;
    let hears = speech && hearing();
    if !hears {
        step(
            "compiling the host (on a fresh machine this takes some minutes: the sandbox has a compiler in it)",
        );
        host::build()?;
    }

    let parts = Parts { hears, handing: if operators { handing::prepare() } else { None } };

    let folder =
        std::env::temp_dir().join(format!("zvonar-demo-{}-{}", std::process::id(), clock::unix_millis()));
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let shown = show(&folder, &parts, json);
    match &shown {
        Ok(()) if !keep => {
            let _ = fs::remove_dir_all(&folder);
        }
        _ => eprintln!("configuration, store, sounds and the farm's log: {}", folder.display()),
    }
    shown
}

/// Gets a host that recognises speech. A machine that cannot have one is told why, and sees the rest.
fn hearing() -> bool {
    let prepared = if std::env::var_os("ZVONAR_BIN").is_some() {
        Err("ZVONAR_BIN names the host, and it may hear nothing".to_owned())
    } else {
        guest::build_hearing().and_then(|()| speech::prepare(&[]))
    };
    match prepared {
        Ok(zvonar) => {
            host::adopt(zvonar);
            true
        }
        Err(why) => {
            eprintln!("zv: the callees that speak are left out: {why}");
            false
        }
    }
}

/// The parts of the demonstration that this machine can show beside the first.
struct Parts {
    hears: bool,
    handing: Option<handing::Ready>,
}

/// All who are called.
struct People {
    pressing: Vec<Lead>,
    speaking: Vec<Lead>,
    handed: Vec<Lead>,
}

impl People {
    fn of(parts: &Parts) -> Self {
        let pressing = leads(1, CALLEES.iter().map(|(phone, _)| *phone));
        let first = 1 + pressing.len();
        let speakers = SPEAKERS.iter().map(|(phone, ..)| *phone);
        let speaking = if parts.hears { leads(first, speakers) } else { Vec::new() };
        let first = first + speaking.len();
        let handed = if parts.handing.is_some() { handing::leads(first, parts.hears) } else { Vec::new() };
        Self { pressing, speaking, handed }
    }
}

fn show(folder: &Path, parts: &Parts, json: bool) -> Result<(), String> {
    let people = People::of(parts);
    let count = people.pressing.len() + people.speaking.len() + people.handed.len();
    step(&format!("starting a farm and a host, and calling {count} people (about a minute)"));
    let ip = parts.handing.as_ref().map_or(Ipv4Addr::LOCALHOST.into(), |ready| ready.ip);
    let mut farm = Farm::start_on(ip, folder, &[])?;
    let stand = parts.handing.as_ref().map(|_| handing::Stand::start()).transpose()?;
    let started = clock::now();
    let config = dial(&farm, folder, &people, parts.handing.as_ref().zip(stand.as_ref()))?;
    let said = said(&farm)?;
    farm.process.terminate(Duration::from_secs(10))?;

    let People { pressing, speaking, handed } = people;
    let report = Report::of(&config)?;
    if json {
        for line in &report.lines {
            println!("{line}");
        }
    } else {
        println!("\nОтвечают кнопками (scenarios/menu)");
        print_pressing(&report, &pressing);
        if parts.hears {
            println!(
                "Отвечают словами (scenarios/appointment): что сказано, что распознано и за что взяты деньги"
            );
            print_speaking(&report, &speaking, &said);
        }
    }
    report.check_sums()?;
    check_pressing(&report, &pressing)?;
    check_speaking(&report, &speaking, stand.is_some())?;
    if let Some(stand) = stand {
        handing::show(&config, &report, &handed, stand, json)?;
    }
    let verified = host::verify_ledger(&config)?;
    eprintln!("{}", verified.trim());
    eprintln!(
        "the ledger's lines add up to the charges; {:.0} s from the first call",
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

fn leads<'a>(first: usize, phones: impl Iterator<Item = &'a str>) -> Vec<Lead> {
    phones
        .enumerate()
        .map(|(index, phone)| Lead { id: format!("contact-{:02}", first + index), phone: phone.to_owned() })
        .collect()
}

/// Runs the host until its lists are done; gives the path of its configuration.
fn dial(
    farm: &Farm,
    folder: &Path,
    people: &People,
    handing: Option<(&handing::Ready, &handing::Stand)>,
) -> Result<PathBuf, String> {
    let People { pressing, speaking, handed } = people;
    let mut config = Config::new(farm.address).scenario("menu");
    config.calls_per_second = 5;
    let project = |id: &str, scenario: &str, lines, leads: &[Lead]| Project {
        id: id.into(),
        scenario: scenario.into(),
        lines,
        ring_s: 8,
        max_calls: 1,
        leads: leads.to_vec(),
        settings: vec![],
    };
    config.projects = vec![project("demo", "menu", 4, pressing.as_slice())];
    if !speaking.is_empty() {
        config = config.scenario("appointment");
        config.more = "[speech]\nmodel = \"base\"\nlanguage = \"ru\"\n".into();
        // Asked once: who coughs is not asked again, and nobody waits for him.
        let settings = vec![("repeats".into(), "0".into())];
        config.projects.push(Project { settings, ..project("appointment", "appointment", 8, speaking) });
    }
    let mut telephones = Vec::new();
    let mut host = match handing {
        None => Host::start(&config, folder, &["--once"], true)?,
        Some((ready, stand)) => {
            config = handing::configure(config, ready, stand, handed);
            let passwords = handing::make_operators(&config.write(folder)?)?;
            let mut host = Host::start(&config, folder, &["--once"], true)?;
            host.process.wait_for_line(host::READY, host::START_LIMIT)?;
            telephones = handing::pick_up(&host, folder, &passwords)?;
            host
        }
    };
    host.process.succeed(LIMIT)?;
    drop(telephones);
    Ok(host.config)
}

/// What the farm's callees have said, by their numbers.
fn said(farm: &Farm) -> Result<BTreeMap<String, String>, String> {
    let mut said = BTreeMap::new();
    for event in farm.events()?.iter().filter(|event| event["event"] == "said") {
        if let (Some(number), Some(words)) = (event["number"].as_str(), event["words"].as_str()) {
            said.insert(number.trim_start_matches('+').to_owned(), words.to_owned());
        }
    }
    Ok(said)
}

/// The last attempt at a person, whose number must not be told whole.
fn row<'r>(report: &'r Report, lead: &Lead) -> Result<&'r Row, String> {
    let rows = report.of_lead(lead);
    let row = *rows.last().ok_or_else(|| format!("{} was never called", lead.id))?;
    if row.number.contains(&lead.phone[6..]) {
        return Err(format!("{}: the report shows the whole number", lead.id));
    }
    Ok(row)
}

/// Every person was called, with the result that the callee's behaviour leads to.
fn check_pressing(report: &Report, leads: &[Lead]) -> Result<(), String> {
    for (lead, (_, result)) in leads.iter().zip(CALLEES) {
        let row = row(report, lead)?;
        if result.is_some_and(|result| row.result != result) {
            return Err(format!("{}: «{}» instead of «{}»", lead.id, row.result, result.unwrap_or_default()));
        }
        if !row.answers.is_empty() || row.recognition_kopecks != 0 {
            return Err(format!("{}: charged for an answer in words, and was not asked for any", lead.id));
        }
    }
    Ok(())
}

/// Every word was understood and charged for, and nothing else was.
fn check_speaking(report: &Report, leads: &[Lead], are_operators: bool) -> Result<(), String> {
    for (lead, (_, phrase, result)) in leads.iter().zip(SPEAKERS) {
        let result = if result == BY_OPERATORS && !are_operators { WITHOUT_OPERATORS } else { result };
        let row = row(report, lead)?;
        let phrases: Vec<Option<&str>> = row.answers.iter().map(|answer| answer.phrase.as_deref()).collect();
        let expected: Vec<Option<&str>> = phrase.iter().map(|phrase| Some(*phrase)).collect();
        if phrases != expected {
            return Err(format!("{}: understood {phrases:?} instead of {expected:?}", lead.id));
        }
        if row.result != result {
            return Err(format!("{}: «{}» instead of «{result}»", lead.id, row.result));
        }
        if (row.recognition_kopecks == 0) != row.answers.is_empty() {
            return Err(format!("{}: its answers and their price do not agree: {row:?}", lead.id));
        }
    }
    Ok(())
}

fn print_pressing(report: &Report, leads: &[Lead]) {
    let rows: Vec<&Row> = leads.iter().flat_map(|lead| report.of_lead(lead)).collect();
    let mut lines = vec![["контакт", "номер", "результат", "робот, с", "копейки"].map(str::to_owned)];
    lines.extend(rows.iter().map(|row| {
        [
            row.lead.clone().unwrap_or_else(|| "–".into()),
            row.number.clone(),
            row.result.clone(),
            row.robot_s.to_string(),
            row.kopecks.to_string(),
        ]
    }));
    let (robot_s, kopecks) = sums(&rows);
    lines.push(["итого".into(), String::new(), String::new(), robot_s, kopecks]);
    table::print([Side::Left, Side::Left, Side::Left, Side::Right, Side::Right], &lines);
}

fn print_speaking(report: &Report, leads: &[Lead], said: &BTreeMap<String, String>) {
    let mut lines = vec![
        ["контакт", "сказал → понято", "фраза", "результат", "робот, с", "ответы", "за них", "копейки"]
            .map(str::to_owned),
    ];
    let rows: Vec<&Row> = leads.iter().flat_map(|lead| report.of_lead(lead)).collect();
    for (lead, row) in
        leads.iter().flat_map(|lead| report.of_lead(lead).into_iter().map(move |row| (lead, row)))
    {
        let words = match said.get(lead.phone.trim_start_matches('+')) {
            Some(words) if words.is_empty() => "(кашель)".into(),
            Some(words) => table::wrap(words, WORDS),
            None => "–".into(),
        };
        let mut spoken = vec![words];
        spoken.extend(row.answers.iter().map(|answer| table::wrap(&format!("→ «{}»", answer.text), WORDS)));
        let phrases = row.answers.iter().map(|answer| answer.phrase.as_deref().unwrap_or("–"));
        lines.push([
            lead.id.clone(),
            spoken.join("\n"),
            phrases.collect::<Vec<_>>().join("\n"),
            row.result.clone(),
            row.robot_s.to_string(),
            row.answers.len().to_string(),
            row.recognition_kopecks.to_string(),
            row.kopecks.to_string(),
        ]);
    }
    let (robot_s, kopecks) = sums(&rows);
    let answers: usize = rows.iter().map(|row| row.answers.len()).sum();
    let recognition: i64 = rows.iter().map(|row| row.recognition_kopecks).sum();
    lines.push([
        "итого".into(),
        String::new(),
        String::new(),
        String::new(),
        robot_s,
        answers.to_string(),
        recognition.to_string(),
        kopecks,
    ]);
    let (left, right) = (Side::Left, Side::Right);
    table::print([left, left, left, left, right, right, right, right], &lines);
}

/// The robot's seconds and the kopecks of all rows.
fn sums(rows: &[&Row]) -> (String, String) {
    let robot_s: u64 = rows.iter().map(|row| row.robot_s).sum();
    let kopecks: i64 = rows.iter().map(|row| row.kopecks).sum();
    (robot_s.to_string(), kopecks.to_string())
}
