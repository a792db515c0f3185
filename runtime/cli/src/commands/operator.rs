//! `zvonar operator`: who takes calls, by which telephone, and whether he is there.

use std::io::Read;

use comfy_table::{Table, presets};
use zvonar_api::{
    AtDesk, CardSettings, DeskInfo, NewOperator, NewPassword, NewStatus, OperatorChange, OperatorInfo,
    OperatorList, OperatorMade, PhoneSetup, StatusInfo,
};
use zvonar_model::PhoneNumber;

use super::{Failure, say};
use crate::client::encoded;
use crate::desk::{Desk, Where};
use crate::rows;
use crate::rows::told;

/// What `zvonar operator` takes.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make an operator, and tell what his telephone is set up with.
    Add(Box<Add>),
    /// List the operators.
    List(All),
    /// Show an operator.
    Show(One),
    /// Change an operator.
    Set(Box<Set>),
    /// Tell an operator's status, or choose one: available, break, wrap_up, offline.
    Status(Choose),
    /// Give an operator's telephones another password.
    Password(Password),
    /// Remove an operator. A talk goes on to its end.
    Remove(One),
    /// Tell who does what now, and who waits.
    Desk(All),
}

/// Where, and how it is shown.
#[derive(Debug, clap::Args)]
pub(crate) struct All {
    /// JSON: an object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: Where,
}

/// One operator.
#[derive(Debug, clap::Args)]
pub(crate) struct One {
    /// The operator's id.
    id: String,
    #[command(flatten)]
    all: All,
}

/// What can be said of an operator.
#[derive(Debug, clap::Args)]
struct Said {
    /// A group whose callers he takes; given again: all of them. An empty one: none.
    #[arg(long = "group", value_name = "NAME")]
    groups: Vec<String>,
    /// How long he writes down after a talk; empty: as the desk's settings have it.
    #[arg(long, value_name = "SECONDS")]
    wrap_up: Option<String>,
    /// The short number by which colleagues hand calls on to him; empty: none.
    #[arg(long, value_name = "DIGITS")]
    extension: Option<String>,
    /// «Прозвон»: the scenario whose talk script and results he is shown; empty: that of the call.
    #[arg(long, value_name = "NAME")]
    card_scenario: Option<String>,
    /// «Прозвон»: a talk script of his own; empty: none.
    #[arg(long, value_name = "TEXT")]
    card_script: Option<String>,
    /// «Прозвон»: a result of his own to pick from; given again: all of them. An empty one: none.
    #[arg(long = "card-result", value_name = "NAME")]
    card_results: Vec<String>,
}

/// An operator that is made.
#[derive(Debug, clap::Args)]
pub(crate) struct Add {
    /// The id: 1 to 64 of a-z A-Z 0-9 - _; his telephone registers as TENANT.ID.
    id: String,
    /// What people call him; absent: the id.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    said: Said,
    /// Read his telephone's password from the standard input; absent: one is made and told once.
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    all: All,
}

/// A change of an operator.
#[derive(Debug, clap::Args)]
pub(crate) struct Set {
    /// The operator's id.
    id: String,
    /// What people call him.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    said: Said,
    #[command(flatten)]
    all: All,
}

/// A status.
#[derive(Debug, clap::Args)]
pub(crate) struct Choose {
    /// The operator's id.
    id: String,
    /// The status to choose; absent: tell which one it is.
    status: Option<String>,
    #[command(flatten)]
    all: All,
}

/// A password.
#[derive(Debug, clap::Args)]
pub(crate) struct Password {
    /// The operator's id.
    id: String,
    /// Read the password from the standard input; absent: one is made and told once.
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    all: All,
}

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Add(new) => add(*new),
        Command::List(all) => list(&all),
        Command::Show(one) => show(&one),
        Command::Set(change) => set(*change),
        Command::Status(choose) => status(&choose),
        Command::Password(wanted) => password(&wanted),
        Command::Remove(one) => remove(&one),
        Command::Desk(all) => duty(&all),
    }
}

fn path(id: &str) -> String {
    format!("/v1/operators/{}", encoded(id))
}

/// The first line of the standard input: passwords on a command line are seen by everybody on the machine.
fn typed() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin().take(10_000).read_to_string(&mut text)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Nothing for an empty text.
fn some(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

fn listed(texts: &[String]) -> Vec<String> {
    texts.iter().filter(|text| !text.is_empty()).cloned().collect()
}

fn seconds(text: &str) -> Result<Option<u64>, Failure> {
    match text {
        "" => Ok(None),
        text => match text.parse() {
            Ok(seconds) => Ok(Some(seconds)),
            Err(_) => Err(format!("--wrap-up: `{text}` is no number of seconds; write 0 to 1800").into()),
        },
    }
}

impl Said {
    /// «Прозвон» after what is said of it; `None`: nothing is.
    fn card(&self, before: Option<CardSettings>) -> Option<CardSettings> {
        let Self { card_scenario: scenario, card_script: script, card_results: results, .. } = self;
        if scenario.is_none() && script.is_none() && results.is_empty() {
            return None;
        }
        let before = before.unwrap_or_default();
        Some(CardSettings {
            scenario: scenario.as_deref().map_or(before.scenario, some),
            script: script.as_deref().map_or(before.script, some),
            results: if results.is_empty() { before.results } else { listed(results) },
        })
    }
}

fn add(new: Add) -> Result<(), Failure> {
    let Add { id, name, said, password_stdin, all } = new;
    let body = NewOperator {
        name: name.unwrap_or_else(|| id.clone()),
        id,
        groups: listed(&said.groups),
        wrap_up_s: said.wrap_up.as_deref().map(seconds).transpose()?.flatten(),
        extension: said.extension.as_deref().and_then(some),
        card: said.card(None),
        password: if password_stdin { Some(typed()?) } else { None },
    };
    let made: OperatorMade = Desk::open(&all.at)?.post("/v1/operators", &body)?;
    if all.json {
        return say(serde_json::to_string(&made)?);
    }
    say(table(&[made.operator]))?;
    setup(&made.phone)
}

/// What somebody types into a telephone.
fn setup(phone: &PhoneSetup) -> Result<(), Failure> {
    say(format_args!("telephone: user {}, realm {}", phone.user, phone.realm))?;
    match &phone.password {
        Some(made) => {
            say(format_args!("password: {made} (told this once; `operator password` makes another)"))
        }
        None => say("password: as it was given"),
    }
}

fn list(all: &All) -> Result<(), Failure> {
    let OperatorList { operators } = Desk::open(&all.at)?.get("/v1/operators")?;
    if all.json {
        return operators.iter().try_for_each(|one| say(serde_json::to_string(one)?));
    }
    if operators.is_empty() {
        return say("there are no operators; `zvonar operator add ID --name NAME` makes one");
    }
    say(table(&operators))
}

fn table(operators: &[OperatorInfo]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["Оператор", "Имя", "Группы", "Внутренний", "Телефон", "Постобработка", "Статус", "С"]);
    for one in operators {
        let user = match one {
            OperatorInfo { may_register: false, .. } => format!("{} (нет пароля)", one.user),
            OperatorInfo { registered: false, .. } => format!("{} ({NO_PHONE})", one.user),
            _ => one.user.clone(),
        };
        table.add_row([
            one.id.clone(),
            one.name.clone(),
            one.groups.join(", "),
            one.extension.clone().unwrap_or_else(|| "–".into()),
            user,
            one.wrap_up_s.map_or_else(|| "общая".into(), |seconds| format!("{seconds} с")),
            one.status_title.clone(),
            rows::told(&one.since),
        ]);
    }
    table
}

fn show(one: &One) -> Result<(), Failure> {
    let operator: OperatorInfo = Desk::open(&one.all.at)?.get(&path(&one.id))?;
    if one.all.json {
        return say(serde_json::to_string(&operator)?);
    }
    let card = operator.card.clone();
    say(table(&[operator]))?;
    let Some(card) = card else { return Ok(()) };
    if let Some(scenario) = &card.scenario {
        say(format_args!("Прозвон: сценарий {scenario}"))?;
    }
    if let Some(script) = &card.script {
        say(format_args!("Прозвон: {script}"))?;
    }
    if !card.results.is_empty() {
        say(format_args!("Прозвон, результаты: {}", card.results.join(", ")))?;
    }
    Ok(())
}

fn set(change: Set) -> Result<(), Failure> {
    let Set { id, name, said, all } = change;
    let desk = Desk::open(&all.at)?;
    let wants_card =
        said.card_scenario.is_some() || said.card_script.is_some() || !said.card_results.is_empty();
    // What is not named of the card stays, so it is read first.
    let before = if wants_card { desk.get::<OperatorInfo>(&path(&id))?.card } else { None };
    let body = OperatorChange {
        name,
        groups: (!said.groups.is_empty()).then(|| listed(&said.groups)),
        wrap_up_s: said.wrap_up.as_deref().map(seconds).transpose()?,
        extension: said.extension.as_deref().map(some),
        card: said.card(before).map(|card| Some(card).filter(|card| *card != CardSettings::default())),
    };
    let operator: OperatorInfo = desk.patch(&path(&id), &body)?;
    if all.json { say(serde_json::to_string(&operator)?) } else { say(table(&[operator])) }
}

fn status(choose: &Choose) -> Result<(), Failure> {
    let desk = Desk::open(&choose.all.at)?;
    let path = format!("{}/status", path(&choose.id));
    let status: StatusInfo = match &choose.status {
        Some(status) => desk.put(&path, &NewStatus { status: status.clone() })?,
        None => desk.get(&path)?,
    };
    if choose.all.json {
        return say(serde_json::to_string(&status)?);
    }
    let until = status.until.map_or_else(String::new, |until| format!(", до {}", told(&until)));
    say(format_args!("{}: {} с {}{until} (МСК)", choose.id, status.status_title, told(&status.since)))
}

fn password(wanted: &Password) -> Result<(), Failure> {
    let password = if wanted.password_stdin { Some(typed()?) } else { None };
    let path = format!("{}/password", path(&wanted.id));
    let phone: PhoneSetup = Desk::open(&wanted.all.at)?.post(&path, &NewPassword { password })?;
    if wanted.all.json { say(serde_json::to_string(&phone)?) } else { setup(&phone) }
}

fn remove(one: &One) -> Result<(), Failure> {
    let was: OperatorInfo = Desk::open(&one.all.at)?.delete(&path(&one.id))?;
    if one.all.json { say(serde_json::to_string(&was)?) } else { say(format_args!("{} is removed", was.id)) }
}

/// What is said of an operator to whom no caller is given, whatever his status.
const NO_PHONE: &str = "телефон не в сети";

fn duty(all: &All) -> Result<(), Failure> {
    let desk: DeskInfo = Desk::open(&all.at)?.get("/v1/desk")?;
    if all.json {
        return say(serde_json::to_string(&desk)?);
    }
    let mut operators = Table::new();
    operators.load_style(presets::UTF8_HORIZONTAL_ONLY);
    operators.set_header(["Оператор", "Имя", "Статус", "Занят", "С кем", "Телефоны"]);
    for one in &desk.operators {
        let doing = match one.doing.as_str() {
            "ringing" => "звонит",
            "talking" => "говорит",
            _ => "–",
        };
        let phones = one.phones.iter().map(|phone| match &phone.agent {
            Some(agent) => format!("{} ({agent})", phone.address),
            None => phone.address.clone(),
        });
        let phones = phones.collect::<Vec<_>>().join("\n");
        operators.add_row([
            one.id.clone(),
            one.name.clone(),
            one.status_title.clone(),
            doing.to_owned(),
            one.call.as_ref().map_or_else(String::new, shown),
            if phones.is_empty() { NO_PHONE.to_owned() } else { phones },
        ]);
    }
    say(operators)?;
    if desk.queue.is_empty() {
        return say("nobody waits");
    }
    let mut queue = Table::new();
    queue.load_style(presets::UTF8_HORIZONTAL_ONLY);
    queue.set_header(["Место", "Кто", "Группа", "Ждёт, с", "Ещё, с", "Звоним"]);
    for one in &desk.queue {
        queue.add_row([
            one.position.to_string(),
            shown(&one.call),
            one.group.clone().unwrap_or_else(|| "любая".into()),
            one.waited_s.to_string(),
            one.wait_s.map_or_else(|| "–".into(), |wait| wait.to_string()),
            one.ringing.clone().unwrap_or_default(),
        ]);
    }
    say(queue)
}

/// A caller, for a screen: it is looked at by more people than one.
fn shown(call: &AtDesk) -> String {
    let number = call.phone.as_deref().and_then(|text| PhoneNumber::parse(text).ok());
    let number = number.map_or_else(|| "–".to_owned(), |number| number.masked());
    match call.name.as_ref().or(call.lead_id.as_ref()) {
        Some(name) => format!("{name}, {number}"),
        None => number,
    }
}
