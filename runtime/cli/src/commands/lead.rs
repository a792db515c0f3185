//! `zvonar lead`: the leads of a project.

use std::collections::BTreeMap;

use comfy_table::{Table, presets};
use zvonar_api::{
    ChangedLeads, LeadChange, LeadDetail, LeadInfo, LeadList, LeadSelection, LeadsToMove, LeadsToTag,
};
use zvonar_model::PhoneNumber;

use super::{Failure, pair, say};
use crate::client::encoded;
use crate::desk::{self, Desk, Where};

/// What `zvonar lead` takes.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List leads.
    List(List),
    /// Show a lead, and why it is not being called.
    Show(One),
    /// Give leads a tag.
    Tag(Tag),
    /// Take a tag from leads.
    Untag(Tag),
    /// Move leads to another project; there they begin anew.
    Move(Move),
    /// Delete leads. Calls in progress are finished, recorded and charged.
    Delete(Many),
    /// Change a lead's numbers and fields, also while it is being called.
    Edit(Edit),
}

/// Where.
#[derive(Debug, clap::Args)]
struct In {
    /// The project.
    #[arg(long, value_name = "ID")]
    project: String,
    /// JSON: an object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: Where,
}

/// Leads that match.
#[derive(Debug, clap::Args)]
struct Filter {
    /// In this status: new, again, reached, unreached, or as in reports («не дозвонились»).
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// With this tag.
    #[arg(long, value_name = "TAG")]
    tagged: Option<String>,
    /// Whose last call came to this.
    #[arg(long, value_name = "RESULT")]
    result: Option<String>,
    /// With this in the id, or these digits in a number.
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
}

/// A listing.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    within: In,
    #[command(flatten)]
    filter: Filter,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Only those after this one.
    #[arg(long, value_name = "ID")]
    after: Option<String>,
}

/// One lead.
#[derive(Debug, clap::Args)]
pub(crate) struct One {
    /// The lead's id.
    lead: String,
    #[command(flatten)]
    within: In,
}

/// Many leads.
#[derive(Debug, clap::Args)]
pub(crate) struct Many {
    /// The leads' ids; or else a filter, or --all.
    leads: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// All leads of the project.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    within: In,
}

/// A tag for many leads.
#[derive(Debug, clap::Args)]
pub(crate) struct Tag {
    /// The tag.
    tag: String,
    #[command(flatten)]
    many: Many,
}

/// Leads that move.
#[derive(Debug, clap::Args)]
pub(crate) struct Move {
    #[command(flatten)]
    many: Many,
    /// To which project.
    #[arg(long, value_name = "ID")]
    to: String,
    /// They stay in their project as well.
    #[arg(long)]
    copy: bool,
}

/// A change of a lead.
#[derive(Debug, clap::Args)]
pub(crate) struct Edit {
    #[command(flatten)]
    one: One,
    /// A number; given several times, in order; they replace all that were there.
    #[arg(long = "phone", value_name = "NUMBER")]
    phones: Vec<String>,
    /// A field; with nothing behind = it is taken away.
    #[arg(long = "field", value_name = "NAME=VALUE", value_parser = pair)]
    fields: Vec<(String, String)>,
}

/// How many leads are asked for at once.
const PAGE: usize = 5_000;

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::List(list) => self::list(&list),
        Command::Show(one) => show(&one),
        Command::Tag(Tag { tag, many }) => {
            change(many, "tag", |which| LeadsToTag { which, add: vec![tag], remove: Vec::new() })
        }
        Command::Untag(Tag { tag, many }) => {
            change(many, "tag", |which| LeadsToTag { which, add: Vec::new(), remove: vec![tag] })
        }
        Command::Move(Move { many, to, copy }) => {
            change(many, "move", |which| LeadsToMove { which, to, copy })
        }
        Command::Delete(many) => change(many, "delete", |which| which),
        Command::Edit(Edit { one, phones, fields }) => {
            let fields: BTreeMap<String, Option<String>> = fields
                .into_iter()
                .map(|(name, value)| (name, Some(value).filter(|v| !v.is_empty())))
                .collect();
            let change = LeadChange { numbers: (!phones.is_empty()).then_some(phones), fields };
            let desk = Desk::open(&one.within.at)?;
            let lead: LeadInfo = desk.patch(&path(&one), &change)?;
            if one.within.json { say(serde_json::to_string(&lead)?) } else { say(table(&[lead])) }
        }
    }
}

fn path(one: &One) -> String {
    format!("{}/leads/{}", desk::project(&one.within.project), encoded(&one.lead))
}

fn list(list: &List) -> Result<(), Failure> {
    let desk = Desk::open(&list.within.at)?;
    let Filter { status, tagged, result, text } = &list.filter;
    let mut wanted = format!("{}/leads?", desk::project(&list.within.project));
    for (name, value) in [("status", status), ("tag", tagged), ("result", result), ("text", text)] {
        if let Some(value) = value {
            wanted += &format!("{name}={}&", encoded(value));
        }
    }
    let (mut leads, mut after) = (Vec::new(), list.after.clone());
    // A rare filter gives pages with few leads.
    while leads.len() < list.limit {
        let more = after.map_or_else(String::new, |after| format!("&after={}", encoded(&after)));
        let page: LeadList =
            desk.get(&format!("{wanted}limit={}{more}", (list.limit - leads.len()).min(PAGE)))?;
        leads.extend(page.leads);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if list.within.json {
        return leads.iter().try_for_each(|lead| say(serde_json::to_string(lead)?));
    }
    say(table(&leads))?;
    match after {
        Some(after) => say(format_args!("there are more: --after {after}")),
        None => Ok(()),
    }
}

fn table(leads: &[LeadInfo]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["Контакт", "Телефоны", "Статус", "Звонков", "Теги", "Поля"]);
    for lead in leads {
        // A screen is looked at by more people than one.
        let numbers = lead.numbers.iter().map(|number| match PhoneNumber::parse(number) {
            Ok(number) => number.masked(),
            Err(_) => "–".into(),
        });
        let fields = lead.fields.iter().map(|(name, value)| format!("{name}: {value}"));
        table.add_row([
            lead.id.clone(),
            numbers.collect::<Vec<_>>().join("\n"),
            if lead.dialling { "звоним".into() } else { lead.status.clone() },
            lead.calls.to_string(),
            lead.tags.join(", "),
            fields.collect::<Vec<_>>().join("\n"),
        ]);
    }
    table
}

fn show(one: &One) -> Result<(), Failure> {
    let detail: LeadDetail = Desk::open(&one.within.at)?.get(&path(one))?;
    if one.within.json {
        return say(serde_json::to_string(&detail)?);
    }
    say(table(&[detail.lead]))?;
    let rule = detail.why.hold["rule"].as_str().unwrap_or("turn").to_owned();
    match &detail.why.next {
        Some(next) => say(format_args!("next call: {next} at the earliest; what holds it: {rule}"))?,
        None => say(format_args!("no call is due; what holds it: {rule}"))?,
    }
    detail.why.numbers.iter().try_for_each(|number| say(format_args!("  {}", number.story)))
}

/// Does something to many leads, and tells what came of it.
fn change<T: serde::Serialize>(
    many: Many,
    what: &str,
    body: impl FnOnce(LeadSelection) -> T,
) -> Result<(), Failure> {
    let Many { leads, filter: Filter { status, tagged: tag, result, text }, all, within } = many;
    let body = body(LeadSelection { leads, status, tag, result, text, all });
    let path = format!("{}/leads/{what}", desk::project(&within.project));
    let changed: ChangedLeads = Desk::open(&within.at)?.post(&path, &body)?;
    if within.json {
        return say(serde_json::to_string(&changed)?);
    }
    let ChangedLeads { changed, same, busy, full } = changed;
    say(format_args!("{changed} leads changed, {same} were so already or had gone"))?;
    if busy > 0 {
        say(format_args!(
            "{busy} are being called and stay where they are: do it again when their calls are over"
        ))?;
    }
    if full > 0 {
        say(format_args!("{full} have all the tags that a lead may have"))?;
    }
    Ok(())
}
