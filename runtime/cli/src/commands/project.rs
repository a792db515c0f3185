//! `zvonar project`: the life of projects.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;
use zvonar_api::{CopyTo, ProjectInfo, ProjectList, ProjectParts, Redialled, RetryInfo};

use super::{Failure, pair, say};
use crate::desk::{self, Desk, Where};

/// What `zvonar project` takes.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List the projects with their leads by status.
    List(All),
    /// Show a project.
    Show(One),
    /// Make a project. It is paused until it is started.
    Create(Make),
    /// Change a project, also while it dials.
    Edit(Edit),
    /// Start a project.
    Start(One),
    /// Stop a project for a while; calls in progress are finished.
    Pause(One),
    /// End a project, whatever is left of its list.
    Finish(One),
    /// Make a project with the settings of another, without its leads.
    Copy(Copy),
    /// «Позвонить недозвонившимся»: make a project of all whom another did not reach.
    Redial(Copy),
}

/// All projects.
#[derive(Debug, clap::Args)]
pub(crate) struct All {
    /// One JSON object a project.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: Where,
}

/// One project.
#[derive(Debug, clap::Args)]
pub(crate) struct One {
    /// The project's id.
    project: String,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: Where,
}

/// A new project.
#[derive(Debug, clap::Args)]
pub(crate) struct Make {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    parts: Parts,
}

/// A change.
#[derive(Debug, clap::Args)]
pub(crate) struct Edit {
    #[command(flatten)]
    one: One,
    /// The version that the change was made of (`zvonar project show`); absent: the one of this moment.
    #[arg(long, value_name = "N")]
    version: Option<u64>,
    #[command(flatten)]
    parts: Parts,
}

/// A project made of another.
#[derive(Debug, clap::Args)]
pub(crate) struct Copy {
    #[command(flatten)]
    one: One,
    /// The new project's id.
    #[arg(long, value_name = "ID")]
    to: String,
    /// What people call it.
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
}

/// What is said of a project.
#[derive(Debug, clap::Args)]
struct Parts {
    /// What people call it.
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// What runs when somebody picks up.
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
    /// A setting of the scenario; with any of them given, all others are gone.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = pair)]
    settings: Vec<(String, String)>,
    /// By which trunk.
    #[arg(long, value_name = "ID")]
    trunk: Option<String>,
    /// How many attempts at once.
    #[arg(long, value_name = "N")]
    lines: Option<u32>,
    /// How many attempts may start in a second.
    #[arg(long, value_name = "N")]
    calls_per_second: Option<u32>,
    /// How long a phone may ring.
    #[arg(long, value_name = "SECONDS")]
    ring: Option<u64>,
    /// 1 to 9: where lines are short, the higher goes first.
    #[arg(long, value_name = "N")]
    priority: Option<u8>,
    /// Calling hours where the lead lives: any, ru-default, fz230, or `mon-fri 9:00-21:00, sat 10-18`.
    #[arg(long, value_name = "HOURS")]
    hours: Option<String>,
    /// Where leads live of whom nothing else says so.
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// Leave numbers of cities out when contacts are added.
    #[arg(long, value_name = "true|false")]
    only_mobile: Option<bool>,
    /// What it calls for: inform, survey, collection.
    #[arg(long, value_name = "PURPOSE")]
    purpose: Option<String>,
    /// Call only those who consented.
    #[arg(long, value_name = "true|false")]
    consent_required: Option<bool>,
    /// «Максимальное число звонков клиенту»: the most calls to one number.
    #[arg(long, value_name = "N")]
    max_calls: Option<u32>,
    /// A limit in a row and the minutes in between: busy=2/10. Results: no_answer, busy, rejected, system, machine.
    #[arg(long, value_name = "RESULT=LIMIT/MINUTES", value_parser = retry)]
    retry: Vec<(String, RetryInfo)>,
}

fn retry(text: &str) -> Result<(String, RetryInfo), String> {
    let wrong = || format!("`{text}` is none: write it as busy=2/10");
    let (name, rule) = text.split_once('=').ok_or_else(wrong)?;
    let (limit, minutes) = rule.split_once('/').ok_or_else(wrong)?;
    let limit = limit.trim().parse().map_err(|_| wrong())?;
    let interval_min = minutes.trim().parse().map_err(|_| wrong())?;
    Ok((name.trim().to_owned(), RetryInfo { limit, interval_min }))
}

impl Parts {
    fn parts(self) -> ProjectParts {
        let settings: BTreeMap<String, String> = self.settings.into_iter().collect();
        ProjectParts {
            id: None,
            version: None,
            title: self.title,
            scenario: self.scenario,
            settings: (!settings.is_empty()).then_some(settings),
            trunk: self.trunk,
            lines: self.lines,
            calls_per_second: self.calls_per_second,
            ring_s: self.ring,
            priority: self.priority,
            hours: self.hours,
            zone: self.zone,
            only_mobile: self.only_mobile,
            purpose: self.purpose,
            consent_required: self.consent_required,
            max_calls: self.max_calls,
            retry: self.retry.into_iter().collect(),
        }
    }
}

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::List(All { json, at }) => {
            let list: ProjectList = Desk::open(&at)?.get("/v1/projects")?;
            if json {
                return list.projects.iter().try_for_each(|one| say(serde_json::to_string(one)?));
            }
            say(table(&list.projects))
        }
        Command::Show(one) => {
            let info = Desk::open(&one.at)?.get(&desk::project(&one.project))?;
            show(&info, one.json)
        }
        Command::Create(Make { one, parts }) => {
            let body = ProjectParts { id: Some(one.project.clone()), ..parts.parts() };
            show(&Desk::open(&one.at)?.post("/v1/projects", &body)?, one.json)
        }
        Command::Edit(Edit { one, version, parts }) => {
            let (desk, path) = (Desk::open(&one.at)?, desk::project(&one.project));
            let version = match version {
                Some(version) => version,
                None => desk.get::<ProjectInfo>(&path)?.version,
            };
            let body = ProjectParts { version: Some(version), ..parts.parts() };
            show(&desk.patch(&path, &body)?, one.json)
        }
        Command::Start(one) => turn(&one, "start"),
        Command::Pause(one) => turn(&one, "pause"),
        Command::Finish(one) => turn(&one, "finish"),
        Command::Copy(Copy { one, to, title }) => {
            let path = format!("{}/copy", desk::project(&one.project));
            show(&Desk::open(&one.at)?.post(&path, &CopyTo { id: to, title })?, one.json)
        }
        Command::Redial(Copy { one, to, title }) => {
            let path = format!("{}/redial", desk::project(&one.project));
            let made: Redialled = Desk::open(&one.at)?.post(&path, &CopyTo { id: to, title })?;
            if one.json {
                return say(serde_json::to_string(&made)?);
            }
            say(format_args!("{} leads were not reached and are in the new project", made.copied.changed))?;
            show(&made.project, false)
        }
    }
}

fn turn(one: &One, to: &str) -> Result<(), Failure> {
    let path = format!("{}/{to}", desk::project(&one.project));
    show(&Desk::open(&one.at)?.post(&path, &json!({}))?, one.json)
}

fn table(projects: &[ProjectInfo]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "Проект",
        "Название",
        "Статус",
        "Линий",
        "Контактов",
        "Ещё не звонили",
        "Позвоним ещё раз",
        "Дозвонились",
        "Не дозвонились",
    ]);
    for project in projects {
        let leads = project.leads;
        let counts =
            [leads.total, leads.new, leads.again, leads.reached, leads.unreached].map(|n| n.to_string());
        let names =
            [project.id.clone(), project.title.clone(), project.status.clone(), project.lines.to_string()];
        table.add_row(names.into_iter().chain(counts));
    }
    for column in 3..9 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn show(project: &ProjectInfo, json: bool) -> Result<(), Failure> {
    if json {
        return say(serde_json::to_string(project)?);
    }
    let status = match &project.why {
        Some(why) => format!("{}: {why}", project.status),
        None => project.status.clone(),
    };
    let settings: Vec<String> =
        project.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let rules = &project.rules;
    let retry: Vec<String> = rules
        .retry
        .iter()
        .map(|(name, rule)| format!("{name} {} / {} мин", rule.limit, rule.interval_min))
        .collect();
    let leads = project.leads;
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    for (name, value) in [
        ("Проект", format!("{} ({})", project.title, project.id)),
        ("Статус", status),
        ("С", project.since.clone()),
        ("Версия", project.version.to_string()),
        ("Сценарий", project.scenario.clone()),
        ("Настройки сценария", settings.join(", ")),
        ("Транк", project.trunk.clone()),
        ("Количество линий", project.lines.to_string()),
        ("Звонков в секунду", project.calls_per_second.to_string()),
        ("Ожидание ответа, с", project.ring_s.to_string()),
        ("Приоритет", project.priority.to_string()),
        ("Часы обзвона", format!("{}, {}", rules.hours, rules.zone)),
        ("Цель", rules.purpose.clone()),
        ("Только мобильные", yes(rules.only_mobile)),
        ("Только с согласием", yes(rules.consent_required)),
        ("Звонков на номер", rules.max_calls.to_string()),
        ("Повторы", retry.join(", ")),
        (
            "Контакты",
            format!(
                "{}: ещё не звонили {}, позвоним ещё раз {}, дозвонились {}, не дозвонились {}",
                leads.total, leads.new, leads.again, leads.reached, leads.unreached
            ),
        ),
    ] {
        table.add_row([name.to_owned(), value]);
    }
    say(table)
}

fn yes(yes: bool) -> String {
    if yes { "да".into() } else { "нет".into() }
}
