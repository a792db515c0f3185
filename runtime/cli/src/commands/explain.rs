//! `zvonar explain`: the dialler's rules, answering for themselves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Value, json};
use zvonar_campaign::{
    Calling, Left, Meaning, NumberKind, Register, RetryClass, RetryRules, Rotation, Schedule, Step,
    weekday_name,
};
use zvonar_dialer::{Abandoned, DialerError, Epoch, Hold, Project as StoredProject, Tables, Why};
use zvonar_model::{LeadId, PhoneNumber, ProjectId, UnixMillis};
use zvonar_switch::clock;

use super::{Failure, cases, say};
use crate::config::Config;
use crate::host;

/// What can be explained.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// How the numbers of a lead are dialled again, result by result.
    Retry(Retry),
    /// Why a lead is not being dialled, and when it is next.
    Lead(Lead),
    /// What a project does next: its next ten leads with their times, and what holds all others.
    Project(Project),
    /// Whether somebody may be called at a moment, and when next.
    Hours(Hours),
    /// Whether a number is dialled, and if not, why; with the register, whose it is and where.
    Number {
        /// The number, in any usual spelling.
        number: String,
        /// The configuration of the host whose register is asked; absent: zvonar.toml, if there is one.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// {"number": …, "dialled": …, "kind" or "why": …}, and if a range holds it "region", "operator", "zones".
        #[arg(long)]
        json: bool,
    },
}

/// What `zvonar explain hours` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Hours {
    /// Where the lead lives, as Asia/Omsk; several for a region that spans zones: all must agree.
    #[arg(long, value_name = "ZONE", required = true, value_delimiter = ',', value_parser = zone)]
    lead_zone: Vec<TimeZone>,
    /// The moment: 2026-03-02T10:00:00+03:00, or without an offset for the (first) zone's own time. Absent: now.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// The calling hours: ru-default (9 to 21), fz230 (debts), any, or windows as `mon-fri 9:00-21:00, sat 10-18`.
    #[arg(long, value_name = "HOURS", default_value = "ru-default")]
    hours: String,
    /// {"open": …, "until" or "opens": …}
    #[arg(long)]
    json: bool,
}

/// What `zvonar explain lead` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Lead {
    /// The lead, as the list names it.
    lead: LeadId,
    /// Its project; absent: all projects that have such a lead.
    #[arg(long, value_name = "ID")]
    project: Option<ProjectId>,
    /// The configuration of the host.
    #[arg(long, value_name = "FILE", default_value = "zvonar.toml")]
    config: PathBuf,
    /// One JSON object a project.
    #[arg(long)]
    json: bool,
}

/// Where a configuration is looked for when none is named.
const USUAL: &str = "zvonar.toml";

/// What `zvonar explain project` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Project {
    /// The project.
    project: ProjectId,
    /// The configuration of the host.
    #[arg(long, value_name = "FILE", default_value = "zvonar.toml")]
    config: PathBuf,
    /// {"project": …, "status": …, "still": … or null, "leads": …, "next": […], "others": {RULE: count}}
    #[arg(long)]
    json: bool,
}

fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| format!("the tz database has no zone `{name}`; one is Europe/Moscow"))
}

/// What `zvonar explain retry` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Retry {
    /// The lead's numbers, in the order of the card.
    #[arg(long, value_delimiter = ',', value_name = "A,B", required_unless_present = "file")]
    numbers: Vec<String>,
    /// How often each result may come in a row: no_answer, busy, rejected, system, machine.
    #[arg(long, value_delimiter = ',', value_name = "RESULT=N", value_parser = limit)]
    limits: Vec<(RetryClass, u32)>,
    /// «Максимальное число звонков клиенту»: the most calls to one number.
    #[arg(long, value_name = "N", default_value_t = zvonar_campaign::MAX_CALLS, value_parser = clap::value_parser!(u32).range(1..))]
    max: u32,
    /// What the attempts come to, in order: the classes above, `answered`, `never`.
    #[arg(long, value_delimiter = ',', value_name = "RESULT")]
    results: Vec<String>,
    /// Many cases, one JSON a line: {"numbers": ["A"], "limits": {"busy": 2}, "max_calls": 2, "results": ["busy"]}.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["numbers", "limits", "results"])]
    file: Option<PathBuf>,
    /// {"end": …, "log": [[number, result, in a row, why it left or null], …]}, a line per case.
    #[arg(long)]
    json: bool,
}

/// One lead's history.
#[derive(Debug, Deserialize)]
struct Case {
    numbers: Vec<String>,
    #[serde(default)]
    limits: BTreeMap<String, u32>,
    #[serde(default = "max_calls")]
    max_calls: u32,
    #[serde(default)]
    results: Vec<String>,
}

fn max_calls() -> u32 {
    zvonar_campaign::MAX_CALLS
}

/// The classes by the names of the command line.
const CLASSES: [(&str, RetryClass); 5] = [
    ("no_answer", RetryClass::NoAnswer),
    ("busy", RetryClass::Busy),
    ("rejected", RetryClass::Rejected),
    ("system", RetryClass::System),
    ("machine", RetryClass::Machine),
];

fn class(name: &str) -> Result<RetryClass, String> {
    let found = CLASSES.iter().find(|(known, _)| *known == name).map(|(_, class)| *class);
    found.ok_or_else(|| format!("there is no result `{name}` with a limit; there are {}", known(&[])))
}

fn limit(text: &str) -> Result<(RetryClass, u32), String> {
    let (name, number) = text.split_once('=').ok_or("a limit is written as busy=2")?;
    let number = number.parse().ok().filter(|number| *number > 0);
    Ok((class(name.trim())?, number.ok_or("a limit is a whole number from 1 on")?))
}

fn meaning(name: &str) -> Result<Meaning, String> {
    match name {
        "answered" => Ok(Meaning::Reached),
        "never" => Ok(Meaning::Never),
        name => class(name)
            .map(Meaning::Retried)
            .map_err(|_| format!("there is no result `{name}`; there are {}", known(&["answered", "never"]))),
    }
}

fn known(more: &[&str]) -> String {
    let names: Vec<&str> = CLASSES.iter().map(|(name, _)| *name).chain(more.iter().copied()).collect();
    names.join(", ")
}

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Retry(arguments) => retries(&arguments),
        Command::Lead(arguments) => explain_lead(&arguments),
        Command::Project(arguments) => explain_project(&arguments),
        Command::Hours(arguments) => hours(&arguments),
        Command::Number { number, config, json } => explain_number(&number, config.as_deref(), json),
    }
}

/// Does something with every stored project that is wanted. The store is ours alone, so no run of the program is alive.
fn with_projects<T>(
    config: &Path,
    wanted: Option<&ProjectId>,
    ask: impl AsyncFn(&Tables, &StoredProject) -> Result<Option<T>, DialerError>,
) -> Result<Vec<(StoredProject, T)>, Failure> {
    let path = config;
    let config = Config::load(path)?;
    let prices = host::price_lists(&config)?;
    let policies = host::policies(&config)?;
    super::runtime(1)?.block_on(async {
        let store = crate::desk::open_alone(&config, path)?;
        let (mut found, mut known) = (Vec::new(), Vec::new());
        for tenant in &config.tenants {
            let tables = Tables::new(store.clone(), prices[&tenant.id].clone(), tenant.id.clone());
            let tables = tables.with_policy(policies[&tenant.id].clone());
            for project in tables.projects().await? {
                known.push(project.project.to_string());
                if wanted.is_some_and(|wanted| *wanted != project.project) {
                    continue;
                }
                match ask(&tables, &project).await {
                    Ok(answer) => found.extend(answer.map(|answer| (project, answer))),
                    // Another project has the lead.
                    Err(DialerError::NoLead(_) | DialerError::NoProject(_)) => {}
                    Err(why) => return Err(why.into()),
                }
            }
        }
        host::close_store(store).await?;
        if let Some(wanted) = wanted.filter(|wanted| !known.contains(&wanted.to_string())) {
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            return Err(format!("no project {wanted} is stored; there are: {known}").into());
        }
        Ok::<_, Failure>(found)
    })
}

/// All claims of a store that nobody else has open are those of dead runs.
const ALL_DEAD: Abandoned = Abandoned::OfOtherRuns(Epoch(0));

fn explain_lead(arguments: &Lead) -> Result<(), Failure> {
    let found = with_projects(&arguments.config, arguments.project.as_ref(), async |tables, project| {
        tables.why_if(&project.project, &arguments.lead, ALL_DEAD, clock::wall()).await.map(Some)
    })?;
    if found.is_empty() {
        return Err(format!("no project has a lead {}", arguments.lead).into());
    }
    for (project, why) in &found {
        if arguments.json {
            say(lead_json(project, why))?;
        } else {
            tell_lead(project, why)?;
        }
    }
    Ok(())
}

fn lead_json(project: &StoredProject, why: &Why) -> Value {
    let numbers: Vec<Value> = why
        .numbers
        .iter()
        .map(|story| {
            json!({
                "number": story.number.masked(), "calls": story.state.calls,
                "left": story.state.left.map(|left| left.to_string()), "blocked": story.blocked,
                "refused": story.refused,
            })
        })
        .collect();
    json!({
        "project": project.project.as_str(), "lead": why.lead.as_str(), "status": why.status, "hold": why.hold,
        "behind": why.behind, "next": why.next.map(|next| next.0), "earliest": why.earliest.map(|at| at.0),
        "turn": why.turn, "numbers": numbers,
    })
}

/// Moments in the project's own zone.
fn teller(project: &StoredProject) -> impl Fn(UnixMillis) -> String {
    let zone = TimeZone::get(&project.rules.zone).unwrap_or(TimeZone::UTC);
    move |moment| {
        let moment = Timestamp::from_millisecond(moment.0).unwrap_or(Timestamp::UNIX_EPOCH);
        moment.to_zoned(zone.clone()).strftime("%d.%m.%Y %H:%M %Z").to_string()
    }
}

fn tell_lead(project: &StoredProject, why: &Why) -> Result<(), Failure> {
    let retry = &project.rules.retry;
    say(format!("{} in project {}: {}", why.lead, project.project, why.status))?;
    for story in &why.numbers {
        say(format!("  {}", story.sentence(retry.max_calls)))?;
    }
    let at = teller(project);
    let timed = |hold: &Hold, moment: Option<UnixMillis>| {
        let next = match (hold, moment) {
            (Hold::Interval { .. } | Hold::Cap { .. } | Hold::Hours { .. }, Some(moment)) => {
                format!(": next from {}", at(moment))
            }
            (Hold::Hours { .. }, None) => ": it does not open within a year".into(),
            (Hold::DeadClaim { until: Some(until), .. }, _) => {
                format!(", or its lease is over at {}", at(*until))
            }
            (Hold::NoConsent { .. }, _) => "; it is looked for again every hour".into(),
            _ => String::new(),
        };
        format!("{}{next}", hold.sentence())
    };
    match &why.behind {
        None => say(format!("  {}", timed(&why.hold, why.next))),
        Some(behind) => {
            say(format!("  {}: no next call until it is started", why.hold.sentence()))?;
            say(format!("  once it dials: {}", timed(behind, why.earliest)))
        }
    }
}

fn explain_project(arguments: &Project) -> Result<(), Failure> {
    let found = with_projects(&arguments.config, Some(&arguments.project), async |tables, project| {
        tables.plan(&project.project, ALL_DEAD, clock::wall()).await.map(Some)
    })?;
    for (project, plan) in &found {
        let at = teller(project);
        if arguments.json {
            let next: Vec<Value> = plan
                .next
                .iter()
                .map(|planned| {
                    json!({
                        "lead": planned.lead.as_str(), "at": planned.at.0, "number": planned.number.masked(),
                        "hold": planned.hold,
                    })
                })
                .collect();
            say(json!({
                "project": plan.project.as_str(), "status": project.status.title(), "still": plan.still,
                "leads": plan.leads, "next": next, "others": plan.others,
            }))?;
            continue;
        }
        say(format!("{}: {}, {} leads", plan.project, project.status, plan.leads))?;
        if let Some(still) = &plan.still {
            say(format!("  {}; the times hold once it dials", still.sentence()))?;
        }
        for planned in &plan.next {
            let rule = planned.hold.rule();
            say(format!("  {}  {}  {}  {rule}", at(planned.at), planned.lead, planned.number))?;
        }
        let others: Vec<String> = plan.others.iter().map(|(rule, count)| format!("{rule} {count}")).collect();
        if !others.is_empty() {
            say(format!("  all others: {}", others.join(", ")))?;
        }
    }
    Ok(())
}

fn explain_number(text: &str, config: Option<&Path>, json: bool) -> Result<(), Failure> {
    let number = PhoneNumber::parse(text)?;
    let shown = number.reveal();
    let register = match config {
        Some(config) => host::register(&Config::load(config)?)?,
        None if Path::new(USUAL).exists() => host::register(&Config::load(Path::new(USUAL))?)?,
        None => Register::sample(),
    };
    let (dialled, word, why) = match register.check(&number) {
        Ok(NumberKind::Mobile) => (true, "kind", "mobile".to_owned()),
        Ok(NumberKind::Geographic) => (true, "kind", "geographic".to_owned()),
        Err(refused) => (false, "why", refused.title().to_owned()),
    };
    let entry = register.look_up(&number).filter(|_| dialled);
    let region = entry.map(|entry| entry.region.replace('|', ", "));
    // The sample's operators are made.
    let operator = entry.map(|entry| entry.operator).filter(|_| !register.is_made());
    let zones = entry.map_or(&[][..], |entry| entry.zones);
    if json {
        let mut told = json!({ "number": shown, "dialled": dialled, word: why });
        if let Some(region) = region {
            told["region"] = json!(region);
            told["operator"] = json!(operator);
            told["zones"] = json!(zones);
        }
        return say(told);
    }
    say(format!("{shown}: {}{why}", if dialled { "dialled, " } else { "not dialled: " }))?;
    if let Some(region) = region {
        let operator = operator.map_or(String::new(), |operator| format!(", {operator}"));
        let zones = if zones.is_empty() { "no zone of its own".to_owned() } else { zones.join(" and ") };
        say(format!("  {region}{operator}: {zones}"))?;
    }
    if register.is_made() {
        say("  (the register is not loaded: see `zvonar numbers`)")?;
    }
    Ok(())
}

fn hours(arguments: &Hours) -> Result<(), Failure> {
    let schedule = Schedule::named(&arguments.hours)?;
    let zones = &arguments.lead_zone;
    let at = match &arguments.at {
        None => clock::wall(),
        Some(text) => moment(text, &zones[0])?,
    };
    let there = |moment: UnixMillis| {
        let moment = Timestamp::from_millisecond(moment.0).unwrap_or(Timestamp::UNIX_EPOCH);
        moment.to_zoned(zones[0].clone())
    };
    let say_time = |moment: UnixMillis| {
        let there = there(moment);
        let day = weekday_name(there.weekday());
        format!("{day} {}", there.strftime("%d.%m.%Y %H:%M %Z"))
    };
    let (json, sentence) = match schedule.calling(at, zones) {
        Calling::Open { until } => (
            json!({ "open": true, "until": there(until).to_string() }),
            format!("{}: it is calling time, until {}", say_time(at), say_time(until)),
        ),
        Calling::Closed { opens: Some(opens) } => (
            json!({ "open": false, "opens": there(opens).to_string() }),
            format!("{}: nobody is called now; next from {}", say_time(at), say_time(opens)),
        ),
        Calling::Closed { opens: None } => (
            json!({ "open": false, "opens": null }),
            format!("{}: nobody is called now, nor within a year: the zones never agree", say_time(at)),
        ),
    };
    if arguments.json { say(json) } else { say(sentence) }
}

pub(crate) fn moment(text: &str, zone: &TimeZone) -> Result<UnixMillis, Failure> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(UnixMillis(moment.as_millisecond()));
    }
    let local = text.parse::<jiff::civil::DateTime>().ok().and_then(|time| time.to_zoned(zone.clone()).ok());
    let local = local
        .ok_or_else(|| format!("`{text}` is no time: write 2026-03-02T10:00 or 2026-03-02T10:00:00+03:00"))?;
    Ok(UnixMillis(local.timestamp().as_millisecond()))
}

fn retries(arguments: &Retry) -> Result<(), Failure> {
    let cases = match &arguments.file {
        Some(file) => cases::read(file, "input")?,
        None => vec![Case {
            numbers: arguments.numbers.clone(),
            limits: BTreeMap::new(),
            max_calls: arguments.max,
            results: arguments.results.clone(),
        }],
    };
    for case in cases {
        let mut rules = RetryRules { max_calls: case.max_calls, ..RetryRules::default() };
        for (class, limit) in &arguments.limits {
            rules.of_mut(*class).limit = *limit;
        }
        for (name, limit) in &case.limits {
            rules.of_mut(class(name)?).limit = *limit;
        }
        retry(&case, rules, arguments.json)?;
    }
    Ok(())
}

fn retry(case: &Case, rules: RetryRules, json: bool) -> Result<(), Failure> {
    let mut rotation = Rotation::new(rules, case.numbers.len());
    let mut log: Vec<Value> = Vec::new();
    for (at, result) in case.results.iter().enumerate() {
        let meaning = meaning(result)?;
        let Some(next) = rotation.next() else {
            eprintln!("the lead is finished; the last {} results were not used", case.results.len() - at);
            break;
        };
        let number = &case.numbers[next];
        let step = rotation.record(next, meaning, UnixMillis(0));
        match (json, meaning) {
            (true, Meaning::Reached) => log.push(json!([number, result])),
            (true, _) => {
                log.push(json!([number, result, step.streak, step.left.map(|left| left.to_string())]))
            }
            (false, _) => say(sentence(number, meaning, step, &rules))?,
        }
    }
    let end = rotation.state().title();
    if json {
        // As integrators' tables spell it.
        return say(json!({ "end": end.replace('ё', "е"), "log": log }));
    }
    match rotation.next() {
        Some(next) => say(format!("{end}: next is {}", case.numbers[next])),
        None => say(end),
    }
}

fn sentence(number: &str, meaning: Meaning, step: Step, rules: &RetryRules) -> String {
    let class = match meaning {
        Meaning::Reached => return format!("{number}: answered"),
        Meaning::Never => return format!("{number}: not to be dialled again; it leaves"),
        Meaning::Retried(class) => class,
    };
    let name = CLASSES.iter().find(|(_, known)| *known == class).map_or("", |(name, _)| name);
    let then = match step.left {
        None => "it stays".to_owned(),
        Some(Left::MaxCalls) => format!("it leaves: {} calls are the most for one number", rules.max_calls),
        Some(Left::Limit(_)) => {
            format!("it leaves: {} in a row are the limit of {name}", rules.of(class).limit)
        }
        Some(Left::Never) => "it leaves".to_owned(),
    };
    format!("{number}: {name}, {} in a row; {then}", step.streak)
}
