//! `zvonar webhook`: where the webhooks stand, what became of what they were told, and «send it again».

use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;
use zvonar_api::{DeliveryInfo, DeliveryList, WebhookInfo, WebhookList, WebhookTest};

use super::{Failure, say};
use crate::client::encoded;
use crate::desk::{Desk, Where};
use crate::rows::{self, count};

/// How long a try-out is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(200);
/// The most that are sent again by one request for all.
const MOST: usize = 500;

/// What can be done with webhooks.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Tell where each stands: those that the host was started with the last time.
    List {
        #[command(flatten)]
        at: Where,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Tell what became of the events: what waits, then what was given up and what was delivered, the last first.
    Deliveries {
        /// Its name.
        webhook: String,
        /// One of them, with what is sent.
        event: Option<String>,
        /// Only these.
        #[arg(long, value_name = "STATE")]
        state: Option<State>,
        /// How many.
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
        #[command(flatten)]
        at: Where,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Send events again, at once, whatever became of them.
    Resend {
        /// Its name.
        webhook: String,
        /// Their ids.
        #[arg(required_unless_present = "lost", value_name = "EVENT")]
        events: Vec<String>,
        /// All that were given up («не доставлено»).
        #[arg(long, conflicts_with = "events")]
        lost: bool,
        #[command(flatten)]
        at: Where,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Send an event that tells nothing, and wait for what becomes of it.
    Test {
        /// Its name.
        webhook: String,
        #[command(flatten)]
        at: Where,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    /// It goes, or goes again.
    Waiting,
    /// It was taken.
    Delivered,
    /// «Не доставлено».
    Lost,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Lost => "lost",
        }
    }
}

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::List { at, json } => {
            let list: WebhookList = Desk::open(&at)?.get("/v1/webhooks")?;
            if json {
                return list.webhooks.iter().try_for_each(|one| say(serde_json::to_string(one)?));
            }
            if list.webhooks.is_empty() {
                return say(
                    "no webhooks: [[tenant.webhook]] of the configuration makes one, and the host tells it when it runs",
                );
            }
            let mut table =
                table(&["вебхук", "адрес", "ждёт", "с", "не доставлено", "последняя доставка", "что мешает"]);
            table.add_rows(list.webhooks.iter().map(row_of));
            say(table)
        }
        Command::Deliveries { webhook, event: Some(event), at, json, .. } => {
            let one: DeliveryInfo = Desk::open(&at)?.get(&path(&webhook, Some(&event)))?;
            if json {
                return say(serde_json::to_string(&one)?);
            }
            told(&one)?;
            say(serde_json::to_string_pretty(&one.body)?)
        }
        Command::Deliveries { webhook, state, limit, at, json, .. } => {
            let list = ask(&Desk::open(&at)?, &webhook, state, limit as usize)?;
            if json {
                return list.iter().try_for_each(|one| say(serde_json::to_string(one)?));
            }
            if list.is_empty() {
                return say("nothing");
            }
            let mut table = table(&["событие", "состояние", "когда", "попыток", "следующая", "ответ"]);
            for one in &list {
                let answer =
                    one.why.clone().or_else(|| one.http_status.map(|status| format!("HTTP {status}")));
                table.add_row([
                    one.id.clone(),
                    title(&one.state).to_owned(),
                    rows::told(&one.created_at),
                    one.tries.to_string(),
                    one.next_at.as_deref().map_or_else(String::new, rows::told),
                    answer.unwrap_or_default(),
                ]);
            }
            say(table)
        }
        Command::Resend { webhook, events, lost, at, json } => {
            let desk = Desk::open(&at)?;
            let mut sent = 0_u64;
            let mut send = |event: &str| -> Result<(), Failure> {
                let one: DeliveryInfo =
                    desk.post(&format!("{}/resend", path(&webhook, Some(event))), &json!({}))?;
                sent += 1;
                if json { say(serde_json::to_string(&one)?) } else { Ok(()) }
            };
            if lost {
                loop {
                    let some = ask(&desk, &webhook, Some(State::Lost), MOST)?;
                    some.iter().try_for_each(|one| send(&one.id))?;
                    if some.len() < MOST {
                        break;
                    }
                }
            } else {
                events.iter().try_for_each(|event| send(event))?;
            }
            match sent {
                _ if json => Ok(()),
                0 => say("nothing was given up"),
                _ if desk.is_running() => say(format!("{} on the way again", count(sent, "event"))),
                _ => say(format!("{} will be sent again as soon as the host runs", count(sent, "event"))),
            }
        }
        Command::Test { webhook, at, json } => test(&Desk::open(&at)?, &webhook, json),
    }
}

fn path(webhook: &str, event: Option<&str>) -> String {
    let list = format!("/v1/webhooks/{}/deliveries", encoded(webhook));
    event.map_or(list.clone(), |event| format!("{list}/{}", encoded(event)))
}

fn ask(desk: &Desk, webhook: &str, state: Option<State>, limit: usize) -> Result<Vec<DeliveryInfo>, Failure> {
    let state = state.map_or(String::new(), |state| format!("&state={}", state.word()));
    let list: DeliveryList = desk.get(&format!("{}?limit={limit}{state}", path(webhook, None)))?;
    Ok(list.deliveries)
}

/// Sends a try-out, and waits for its end or its first failure.
fn test(desk: &Desk, webhook: &str, json: bool) -> Result<(), Failure> {
    let WebhookTest { id } = desk.post(&format!("/v1/webhooks/{}/test", encoded(webhook)), &json!({}))?;
    if !desk.is_running() {
        return say(format!("{id} waits for the host to run"));
    }
    let mut waited = Duration::ZERO;
    loop {
        let one: DeliveryInfo = desk.get(&path(webhook, Some(&id)))?;
        let over = one.state == "delivered" || one.why.is_some();
        if over || waited >= PATIENCE {
            if json {
                say(serde_json::to_string(&one)?)?;
            } else {
                told(&one)?;
            }
            return match (&*one.state, one.why) {
                ("delivered", _) => Ok(()),
                (_, Some(why)) => Err(format!("it was not taken: {why}").into()),
                (_, None) => {
                    Err("it waits: what came before it is not taken, or the receiver takes its time".into())
                }
            };
        }
        std::thread::sleep(LOOK);
        waited += LOOK;
    }
}

fn told(one: &DeliveryInfo) -> Result<(), Failure> {
    let answer = one.http_status.map_or(String::new(), |status| format!(", HTTP {status}"));
    say(format!("{}: {}, попыток: {}{answer}", one.id, title(&one.state), one.tries))
}

fn title(state: &str) -> &str {
    match state {
        "waiting" => "ждёт",
        "delivered" => "доставлено",
        "lost" => "не доставлено",
        other => other,
    }
}

fn row_of(one: &WebhookInfo) -> [String; 7] {
    let counted = |many: usize| if many >= 1_000 { "1000+".to_owned() } else { many.to_string() };
    [
        one.name.clone(),
        one.url.clone(),
        counted(one.waiting),
        one.waiting_since.as_deref().map_or_else(String::new, rows::told),
        counted(one.lost),
        one.delivered_at.as_deref().map_or_else(String::new, rows::told),
        one.why.clone().unwrap_or_default(),
    ]
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header);
    table
}
