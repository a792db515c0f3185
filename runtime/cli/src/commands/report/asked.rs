//! The reports by name: projects, all calls, last calls, contacts.

use std::collections::BTreeSet;

use clap::Subcommand;
use serde_json::{Value, json};
use zvonar_campaign::LeadStatus;
use zvonar_dialer::operators::Verdict;
use zvonar_dialer::report::sheet::{self, Cell};
use zvonar_dialer::{
    AttemptStep, CallFilter, CallOrder, Contact, Day, Employees, LeadFilter, ProjectLine, Scope, Tables,
    Tally,
};
use zvonar_model::{PhoneNumber, ProjectId, TenantId, Transfer};

use super::output::{Output, To};
use crate::commands::Failure;
use crate::config::Config;
use crate::host;

/// How many rows a screen gets unless somebody wants more.
const SCREEN: usize = 100;

/// How many rows are read at once.
const PAGE: usize = 500;

/// Which report.
#[derive(Debug, Subcommand)]
pub(super) enum Report {
    /// «Проекты и обзвон роботом»: leads by status, what came of the calls, what they cost.
    Projects(Projects),
    /// «Результаты всех вызовов»: a row per attempt, the newest first.
    Calls(Calls),
    /// «Результаты последних вызовов»: the last attempt of each lead.
    Last(Calls),
    /// «Выгрузка контактов»: leads by status, tag or last result.
    Contacts(Contacts),
}

/// What `zvonar report projects` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Projects {
    #[command(flatten)]
    filter: Filter,
    /// A row per result instead of one per project.
    #[arg(long)]
    results: bool,
    #[command(flatten)]
    to: To,
}

/// What `zvonar report calls` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Calls {
    #[command(flatten)]
    filter: Filter,
    /// To leads with this tag.
    #[arg(long)]
    tag: Option<String>,
    /// The oldest first.
    #[arg(long)]
    oldest_first: bool,
    /// So many rows; 0: all. Absent: 100 on the screen, all in a file or as JSON.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    to: To,
}

/// What `zvonar report contacts` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Contacts {
    /// Of this tenant; absent: of all.
    #[arg(long, value_name = "ID")]
    tenant: Option<TenantId>,
    /// Of this project; absent: of all.
    #[arg(long, value_name = "ID")]
    project: Option<ProjectId>,
    /// In this status: new, again, reached, unreached, or as the console names it; several with commas.
    #[arg(long, value_delimiter = ',', value_parser = status)]
    status: Vec<LeadStatus>,
    /// With this tag; given again: with all of them.
    #[arg(long)]
    tag: Vec<String>,
    /// Whose last call came to this.
    #[arg(long)]
    result: Option<String>,
    /// With this in the id or in a number.
    #[arg(long)]
    text: Option<String>,
    /// So many rows; 0: all. Absent: 100 on the screen, all in a file or as JSON.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    to: To,
}

/// Which calls are meant.
#[derive(Debug, clap::Args)]
struct Filter {
    /// Of this tenant; absent: of all.
    #[arg(long, value_name = "ID")]
    tenant: Option<TenantId>,
    /// Begun on this day or later, Moscow time.
    #[arg(long, value_name = "DAY")]
    from: Option<Day>,
    /// Begun on this day or earlier.
    #[arg(long = "to", value_name = "DAY")]
    to_day: Option<Day>,
    /// Of this project; `-` for calls of none.
    #[arg(long, value_name = "ID", value_parser = scope)]
    project: Option<Scope>,
    /// With this result.
    #[arg(long)]
    result: Option<String>,
    /// By this scenario.
    #[arg(long)]
    scenario: Option<String>,
    /// Of this employee, by id or name, or «без ответственного».
    #[arg(long)]
    responsible: Option<String>,
}

impl Filter {
    fn meant(&self, tag: Option<String>) -> CallFilter {
        CallFilter {
            from: self.from,
            to: self.to_day,
            scope: self.project.clone().unwrap_or_default(),
            result: self.result.clone(),
            scenario: self.scenario.clone(),
            tag,
            responsible: self.responsible.clone(),
        }
    }
}

fn scope(text: &str) -> Result<Scope, String> {
    if text == "-" {
        return Ok(Scope::Outside);
    }
    ProjectId::new(text).map(Scope::Project).map_err(|why| why.to_string())
}

fn status(text: &str) -> Result<LeadStatus, String> {
    let names = ["new", "again", "reached", "unreached"].into_iter().zip(LeadStatus::ALL);
    let found = names.into_iter().find(|(name, status)| *name == text || status.title() == text);
    let known: Vec<&str> = LeadStatus::ALL.iter().map(|status| status.title()).collect();
    found.map(|(_, status)| status).ok_or_else(|| {
        format!(
            "there is no status `{text}`; there are new, again, reached, unreached ({})",
            known.join(", ")
        )
    })
}

pub(super) fn run(config: &Config, report: Report, json: bool) -> Result<(), Failure> {
    let prices = host::price_lists(config)?;
    let wanted = match &report {
        Report::Projects(asked) => asked.filter.tenant.clone(),
        Report::Calls(asked) | Report::Last(asked) => asked.filter.tenant.clone(),
        Report::Contacts(asked) => asked.tenant.clone(),
    };
    if let Some(tenant) = wanted.as_ref().filter(|tenant| !prices.contains_key(*tenant)) {
        let all: Vec<String> = prices.keys().map(ToString::to_string).collect();
        return Err(format!("the configuration has no tenant {tenant}; it has: {}", all.join(", ")).into());
    }
    super::super::runtime(1)?.block_on(async {
        let store = host::open_store(&config.node.data)?;
        let mut tenants = Vec::new();
        for (tenant, prices) in prices {
            if wanted.as_ref().is_none_or(|wanted| *wanted == tenant) {
                tenants.push(Tables::new(store.clone(), prices, tenant));
            }
        }
        let done = match &report {
            Report::Projects(asked) => projects(&tenants, asked, json).await,
            Report::Calls(asked) => calls(&tenants, asked, false, json).await,
            Report::Last(asked) => calls(&tenants, asked, true, json).await,
            Report::Contacts(asked) => contacts(&tenants, asked, json).await,
        };
        drop(tenants);
        host::close_store(store).await?;
        done
    })
}

/// Rows of several tenants say whose they are.
struct Whose(bool);

impl Whose {
    fn header(&self, header: &[impl AsRef<str>]) -> Vec<String> {
        let first = self.0.then(|| "Организация".to_owned());
        first.into_iter().chain(header.iter().map(|name| name.as_ref().to_owned())).collect()
    }

    fn row(&self, tables: &Tables, row: Vec<Cell>) -> Vec<Cell> {
        let first = self.0.then(|| Cell::from(tables.tenant().as_str()));
        first.into_iter().chain(row).collect()
    }
}

async fn projects(tenants: &[Tables], asked: &Projects, json: bool) -> Result<(), Failure> {
    let whose = Whose(tenants.len() > 1);
    let header = if asked.results { whose.header(&sheet::RESULTS) } else { whose.header(&sheet::PROJECTS) };
    let mut output = Output::begin(&asked.to, json, &header)?;
    for tables in tenants {
        let report = tables.project_report(&asked.filter.meant(None)).await?;
        for line in &report.lines {
            if asked.results && !json {
                for row in sheet::results(line) {
                    output.row(whose.row(tables, row), || Value::Null)?;
                }
            } else {
                let row = whose.row(tables, sheet::project(line));
                output.row(row, || project_json(tables, line))?;
            }
        }
    }
    output.finish(false)
}

async fn calls(tenants: &[Tables], asked: &Calls, last_only: bool, json: bool) -> Result<(), Failure> {
    let whose = Whose(tenants.len() > 1);
    let mut output = Output::begin(&asked.to, json, &whose.header(&sheet::CALLS))?;
    let order = if asked.oldest_first { CallOrder::OldestFirst } else { CallOrder::NewestFirst };
    let filter = asked.filter.meant(asked.tag.clone());
    let mut left = limit(asked.limit, json || asked.to.is_file());
    let mut more = false;
    for tables in tenants {
        let mut after = None;
        let employees = tables.employees().await?;
        loop {
            let page = tables.call_page(&filter, last_only, order, after, left.clamp(1, PAGE)).await?;
            for call in page.calls {
                if left == 0 {
                    more = true;
                    break;
                }
                left -= 1;
                let said = tables.verdict_of(&call).await?;
                let row = sheet::call(&call, &employees, said.as_ref(), output.numbers());
                output.row(whose.row(tables, row), || call_json(tables, &call, &employees, said.as_ref()))?;
            }
            after = page.next;
            if after.is_none() || more {
                break;
            }
        }
    }
    output.finish(more)
}

async fn contacts(tenants: &[Tables], asked: &Contacts, json: bool) -> Result<(), Failure> {
    let filter = LeadFilter {
        statuses: asked.status.clone(),
        tags: asked.tag.clone(),
        result: asked.result.clone(),
        text: asked.text.clone(),
    };
    let mut lists = Vec::new();
    for tables in tenants {
        for row in tables.projects().await? {
            if asked.project.as_ref().is_none_or(|wanted| *wanted == row.project) {
                lists.push((tables, row.project));
            }
        }
    }
    if let Some(project) = asked.project.as_ref().filter(|_| lists.is_empty()) {
        return Err(format!("there is no project {project}").into());
    }
    let whose = Whose(tenants.len() > 1);
    let rows = limit(asked.limit, json || asked.to.is_file());
    // A table has its header first, so the names of the fields are gathered before.
    let mut fields = BTreeSet::new();
    let mut left = rows;
    for (tables, project) in &lists {
        let mut after = None;
        while !json && left > 0 {
            let page = tables.lead_page(project, &filter, after.as_ref(), left.min(PAGE)).await?;
            left -= page.leads.len().min(left);
            fields.extend(page.leads.into_iter().flat_map(|lead| lead.fields.into_keys()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    let header = [sheet::contacts_header(&fields), vec!["Проект".to_owned()]].concat();
    let mut output = Output::begin(&asked.to, json, &whose.header(&header))?;
    let (mut left, mut more) = (rows, false);
    for (tables, project) in &lists {
        let mut after = None;
        loop {
            let page = tables.contact_page(project, &filter, after.as_ref(), left.clamp(1, PAGE)).await?;
            for contact in page.contacts {
                if left == 0 {
                    more = true;
                    break;
                }
                left -= 1;
                let mut row = sheet::contact(&contact, &fields, output.numbers());
                row.push(project.as_str().into());
                output.row(whose.row(tables, row), || contact_json(tables, project, &contact))?;
            }
            after = page.next;
            if after.is_none() || more {
                break;
            }
        }
    }
    output.finish(more)
}

/// How many rows are shown.
fn limit(asked: Option<usize>, all: bool) -> usize {
    match asked {
        Some(0) => usize::MAX,
        Some(rows) => rows,
        None if all => usize::MAX,
        None => SCREEN,
    }
}

fn tally_json(tally: &Tally) -> Value {
    json!({
        "attempts": tally.attempts, "answered": tally.answered, "robot_s": tally.robot_seconds,
        "talk_s": tally.talk_seconds, "kopecks": tally.kopecks.0, "lost": tally.lost,
    })
}

fn project_json(tables: &Tables, line: &ProjectLine) -> Value {
    let results: Vec<Value> = line
        .results
        .iter()
        .map(|one| json!({"scenario": one.scenario, "result": one.result, "calls": tally_json(&one.calls)}))
        .collect();
    json!({
        "tenant": tables.tenant(), "project": line.project, "title": line.title,
        "status": line.status.as_ref().map(|status| status.title()), "leads": line.leads,
        "calls": tally_json(&line.calls),
        "texts": {"texts": line.texts.texts, "segments": line.texts.segments, "kopecks": line.texts.kopecks.0},
        "answered_percent": line.answered_percent(), "results": results,
        "last_call": line.last_call,
    })
}

fn call_json(tables: &Tables, call: &AttemptStep, employees: &Employees, said: Option<&Verdict>) -> Value {
    let number = call.number.as_ref().map_or_else(|| call.peer.clone(), |number| number.masked());
    json!({
        "tenant": tables.tenant(), "attempt": call.attempt, "project": call.project, "lead": call.lead,
        "direction": call.direction, "number": number, "started_at": call.started_at,
        "answered_at": call.answered_at, "ended_at": call.ended_at, "result": call.result,
        "scenario": call.scenario, "keys": call.keys, "robot_s": call.robot_seconds,
        "talk_s": call.talk_seconds, "kopecks": call.kopecks.0, "texts": call.texts, "tags": call.tags,
        "responsible": employees.responsible(call),
        "transfers": call.transfers.iter().map(transfer_json).collect::<Vec<_>>(),
        "call_result": said.map(|said| json!({
            "user_id": said.operator, "result_name": said.result, "comment": said.comment, "at": said.at,
        })),
    })
}

/// To whom a caller was handed.
pub(super) fn transfer_json(one: &Transfer) -> Value {
    json!({
        "to": sheet::kind(one), "operator": one.operator,
        "number": one.number.as_ref().map(PhoneNumber::masked), "connected": one.connected,
        "wait_s": one.wait.seconds_up(), "talk_s": one.talk.seconds_up(), "missed": one.missed,
    })
}

fn contact_json(tables: &Tables, project: &ProjectId, contact: &Contact) -> Value {
    let lead = &contact.lead;
    let numbers: Vec<String> = lead.numbers.iter().map(|number| number.masked()).collect();
    json!({
        "tenant": tables.tenant(), "project": project, "lead": lead.lead, "numbers": numbers,
        "status": lead.progress.state.title(), "tags": lead.tags, "fields": lead.fields,
        "attempts": lead.progress.tries.len(),
        "last_call": contact.last.as_ref().map(|last| last.started_at),
        "last_result": contact.last.as_ref().map(|last| &last.result),
    })
}
