//! `zvonar sms`: text messages, and what became of them.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Subcommand;
use comfy_table::{Table, presets};
use serde_json::json;
use zvonar_api::{TextList, TextView, Tried};
use zvonar_gateways::smsc::Smsc;
use zvonar_gateways::{Gateway, segments};
use zvonar_model::{PhoneNumber, TenantId};

use super::{Failure, say};
use crate::client::encoded;
use crate::config::Config;
use crate::desk::{Desk, Where};
use crate::rows;

/// What can be done with text messages.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Tell which messages were decided, oldest first, and where each is.
    List {
        /// Only of this attempt.
        #[arg(long, value_name = "ID")]
        attempt: Option<String>,
        /// Decided on this day or later, Moscow time: 2026-03-02.
        #[arg(long, value_name = "DAY")]
        from: Option<String>,
        /// Decided on this day or earlier.
        #[arg(long, value_name = "DAY")]
        to: Option<String>,
        /// Only with this status: queued, in_doubt, accepted, delivered, failed and others.
        #[arg(long, value_name = "STATUS")]
        status: Option<String>,
        /// At most so many; 0: all.
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
        /// A JSON object a line, numbers not masked.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: Where,
    },
    /// Tell all of one message.
    Show {
        /// Its id.
        id: String,
        #[command(flatten)]
        at: Where,
    },
    /// Try at once whether what kept messages is over: after a payment at SMSC, for instance.
    Try {
        #[command(flatten)]
        at: Where,
    },
    /// Tell in how many parts a text goes out, and what SMSC would take for it. Nothing is sent.
    Price {
        /// To which number.
        to: PhoneNumber,
        /// The text.
        text: String,
        #[command(flatten)]
        account: Whose,
    },
    /// Tell what is left on the account at SMSC.
    Balance {
        #[command(flatten)]
        account: Whose,
    },
}

/// Whose account.
#[derive(Debug, clap::Args)]
pub(crate) struct Whose {
    /// The configuration of the host.
    #[arg(long, value_name = "FILE", default_value = "zvonar.toml")]
    config: PathBuf,
    /// The tenant; absent: the only one that sends messages.
    #[arg(long, value_name = "ID")]
    tenant: Option<TenantId>,
}

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::List { attempt, from, to, status, limit, json, at } => {
            let mut asked = String::new();
            for (name, value) in [("attempt", attempt), ("from", from), ("to", to), ("status", status)] {
                if let Some(value) = value {
                    asked += &format!("&{name}={}", encoded(&value));
                }
            }
            list(&Desk::open(&at)?, &asked, limit, json)
        }
        Command::Show { id, at } => {
            let text: TextView = Desk::open(&at)?.get(&format!("/v1/sms/{}", encoded(&id)))?;
            say(serde_json::to_string_pretty(&text)?)
        }
        Command::Try { at } => {
            let tried: Tried = Desk::open(&at)?.post("/v1/sms/try", &json!({}))?;
            say(if tried.trying { "one message is tried at once" } else { "nothing keeps messages" })
        }
        Command::Price { to, text, account } => price(&to, &text, &account),
        Command::Balance { account } => {
            let (sms, workers) = account.open()?;
            let left = super::runtime(workers)?.block_on(async { sms.balance().await })?;
            say(format!("{left} are left on the account at SMSC"))
        }
    }
}

fn list(desk: &Desk, asked: &str, limit: usize, json: bool) -> Result<(), Failure> {
    let limit = if limit == 0 { usize::MAX } else { limit };
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["Сообщение", "Решено", "Кому", "Частей", "Статус", "Причина", "Копеек"]);
    let (mut shown, mut after) = (0, String::new());
    let trouble = loop {
        let wanted = (limit - shown).min(1_000);
        let page: TextList = desk.get(&format!("/v1/sms?limit={wanted}{asked}{after}"))?;
        for text in page.messages {
            shown += 1;
            if json {
                say(serde_json::to_string(&text)?)?;
                continue;
            }
            let to = text.to.parse::<PhoneNumber>().map_or_else(|_| text.to.clone(), |to| to.masked());
            table.add_row([
                text.id,
                rows::told(&text.decided_at),
                to,
                text.segments.to_string(),
                text.title,
                text.why.unwrap_or_default(),
                text.kopecks.map_or_else(String::new, |sum| sum.to_string()),
            ]);
        }
        match page.next.filter(|_| shown < limit) {
            Some(next) => after = format!("&after={next}"),
            None => break page.trouble,
        }
    };
    if json {
        return Ok(());
    }
    say(table)?;
    match trouble {
        Some(trouble) => say(trouble),
        None => Ok(()),
    }
}

fn price(to: &PhoneNumber, text: &str, account: &Whose) -> Result<(), Failure> {
    let counted = segments(text);
    let letters = match counted.forced_by {
        Some(letter) => format!("UCS-2, as `{letter}` is not in the short alphabet"),
        None => "GSM 03.38".into(),
    };
    say(format!(
        "{}, {} ({letters})",
        rows::count(counted.parts, "part"),
        rows::count(counted.units, "unit")
    ))?;
    let (sms, workers) = account.open()?;
    let price = super::runtime(workers)?.block_on(async { sms.price(to, text).await })?;
    let parts = price.parts.map_or(String::new(), |parts| format!(" for {}", rows::count(parts, "part")));
    say(format!("SMSC would take {}{parts}", price.cost))
}

impl Whose {
    /// The client of the account, and how many threads the host has.
    fn open(&self) -> Result<(Arc<dyn Gateway>, usize), Failure> {
        let config = Config::load(&self.config)?;
        let mut sends = config.tenants.iter().filter(|tenant| tenant.sms.is_some());
        let tenant = match &self.tenant {
            Some(wanted) => sends.find(|tenant| tenant.id == *wanted),
            None => sends.next().filter(|_| sends.next().is_none()),
        };
        let sms = tenant.and_then(|tenant| tenant.sms.as_ref()).ok_or(
            "no tenant is named that sends text messages: say --tenant, or give it a [tenant.sms] section",
        )?;
        Ok((Arc::new(Smsc::new(sms.settings.clone())?), 1))
    }
}
