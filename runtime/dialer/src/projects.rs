//! Projects and their leads: made here, read by the runner and the reports.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use zvonar_campaign::{NumberKind, NumberRefused, PRIORITIES, ProjectStatus, USUAL_PRIORITY};
use zvonar_model::{LeadId, PhoneNumber, ProjectId, ScenarioName, TrunkId, UnixMillis};
use zvonar_scenario::card::card_bytes;
pub use zvonar_scenario::card::{MAX_CARD_BYTES, MAX_FIELD_NAME, MAX_FIELDS, MAX_TEXT};
use zvonar_store::{Commit, MAX_VALUE_BYTES, Write};

use crate::leads::{MAX_TAGS, tag_fault};
use crate::tables::{DialRules, Lead, Project, Read, Tables, encode};
use crate::{DialerError, Result};

/// The most numbers of a lead.
pub const MAX_NUMBERS: usize = 50;
/// The most notes of a lead; older ones go first.
pub const MAX_NOTES: usize = 32;
// Three quarters of what the store takes: there is always room for what becomes of the lead.
const _: () = assert!(MAX_CARD_BYTES <= MAX_VALUE_BYTES / 4 * 3);

/// A project to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProject {
    /// Its id, new within the tenant.
    pub project: ProjectId,
    /// What people call it.
    pub title: String,
    /// What runs when somebody picks up.
    pub scenario: ScenarioName,
    /// The scenario's settings.
    pub settings: BTreeMap<String, String>,
    /// By which trunk.
    pub trunk: TrunkId,
    /// How many attempts at once; 0 counts as 1.
    pub lines: u32,
    /// How many attempts may start in a second; 0 counts as 1.
    pub calls_per_second: u32,
    /// How long to let it ring.
    pub ring: Duration,
    /// When and how often to dial.
    pub rules: DialRules,
    /// 1 to 9: where lines are short, the higher goes first.
    pub priority: u8,
}

impl NewProject {
    /// One line, ten calls a second, half a minute of ringing, the rules of the FAQ: for `..` behind what is said
    /// otherwise.
    pub fn new(project: ProjectId, scenario: ScenarioName, trunk: TrunkId) -> Self {
        Self {
            title: project.to_string(),
            project,
            scenario,
            settings: BTreeMap::new(),
            trunk,
            lines: 1,
            calls_per_second: 10,
            ring: Duration::from_secs(30),
            rules: DialRules::default(),
            priority: USUAL_PRIORITY,
        }
    }

    /// What a stored project would be made anew from.
    pub fn like(row: Project) -> Self {
        Self {
            ring: row.ring(),
            project: row.project,
            title: row.title,
            scenario: row.scenario,
            settings: row.settings,
            trunk: row.trunk,
            lines: row.lines,
            calls_per_second: row.calls_per_second,
            rules: row.rules,
            priority: row.priority,
        }
    }
}

/// A project without leads and paused, as it is stored.
pub(crate) fn stored(new: NewProject, now: UnixMillis) -> Project {
    Project {
        project: new.project,
        title: new.title,
        scenario: new.scenario,
        settings: new.settings,
        trunk: new.trunk,
        lines: new.lines.max(1),
        calls_per_second: new.calls_per_second.max(1),
        ring: new.ring.into(),
        rules: new.rules,
        leads: 0,
        status: ProjectStatus::Paused,
        since: now,
        version: 1,
        priority: new.priority.clamp(*PRIORITIES.start(), *PRIORITIES.end()),
        created_at: now,
        active_at: now,
        edits: Vec::new(),
        file: None,
    }
}

impl Tables {
    /// Makes a project. It is paused until [`Tables::start_project`].
    ///
    /// # Errors
    /// [`DialerError::ProjectExists`] when its id is taken; [`DialerError::BadProject`] for a purpose that a robot must not
    /// have.
    pub async fn create_project(&self, new: NewProject, now: UnixMillis) -> Result<Project> {
        let row = stored(new, now);
        crate::life::check(&row)?;
        let key = self.keys.project(&row.project);
        match self.commit(vec![Write::create(key, encode(&row))], 0).await? {
            Commit::Done(_) => Ok(row),
            Commit::Conflict => Err(DialerError::ProjectExists(row.project)),
        }
    }

    /// A project by its id.
    pub async fn project(&self, project: &ProjectId) -> Result<Option<Project>> {
        Ok(self.read_project(project).await?.map(|read| read.row))
    }

    pub(crate) async fn read_project(&self, project: &ProjectId) -> Result<Option<Read<Project>>> {
        self.get(&self.keys.project(project)).await
    }

    /// All projects of the tenant, by id.
    pub async fn projects(&self) -> Result<Vec<Project>> {
        let mut projects = Vec::new();
        self.each(&self.keys.projects(), |read| projects.push(read.row)).await?;
        projects.sort_unstable_by(|a: &Project, b| a.project.cmp(&b.project));
        Ok(projects)
    }

    /// Whether a project dials a number, as far as the number goes.
    ///
    /// # Errors
    /// The reason, for the report of an import.
    pub fn check_number(
        &self,
        number: &PhoneNumber,
        only_mobile: bool,
    ) -> std::result::Result<(), NumberRefused> {
        match self.policy.register.check(number)? {
            NumberKind::Geographic if only_mobile => Err(NumberRefused::NotMobile),
            _ => Ok(()),
        }
    }

    /// A lead by its id.
    pub async fn lead(&self, project: &ProjectId, lead: &LeadId) -> Result<Option<Lead>> {
        Ok(self.get::<Lead>(&self.keys.lead(project, lead)).await?.map(|read| read.row))
    }

    /// All leads of a project, in the order in which they were added.
    pub async fn leads(&self, project: &ProjectId) -> Result<Vec<Lead>> {
        let mut leads = Vec::new();
        self.each(&self.keys.leads(project), |read| leads.push(read.row)).await?;
        leads.sort_unstable_by_key(|lead: &Lead| lead.position);
        Ok(leads)
    }
}

/// Whether a lead may have all this.
pub(crate) fn check_card(
    lead: &LeadId,
    numbers: &[PhoneNumber],
    fields: &BTreeMap<String, String>,
    tags: &BTreeSet<String>,
) -> Result<()> {
    let too_large = |what: String| Err(DialerError::LeadTooLarge { lead: lead.clone(), what });
    if numbers.is_empty() || numbers.len() > MAX_NUMBERS {
        return too_large(format!("{} numbers; a lead has 1 to {MAX_NUMBERS}", numbers.len()));
    }
    if tags.len() > MAX_TAGS {
        return too_large(format!("{} tags; at most {MAX_TAGS} are kept", tags.len()));
    }
    if let Some(what) = tags.iter().find_map(|tag| tag_fault(tag)) {
        return too_large(what);
    }
    if fields.len() > MAX_FIELDS {
        return too_large(format!("{} fields; at most {MAX_FIELDS} are kept", fields.len()));
    }
    for (name, value) in fields {
        if name.len() > MAX_FIELD_NAME {
            return too_large(format!(
                "the field name `{}…` is longer than {MAX_FIELD_NAME} bytes",
                cut(name, 20)
            ));
        }
        if value.len() > MAX_TEXT {
            return too_large(format!("the field `{name}` is longer than {MAX_TEXT} bytes"));
        }
    }
    let bytes = card_bytes(fields);
    if bytes > MAX_CARD_BYTES {
        return too_large(format!("its fields are {bytes} bytes as JSON; at most {MAX_CARD_BYTES} are kept"));
    }
    Ok(())
}

/// As much of a text as fits into so many bytes.
pub(crate) fn cut(text: &str, bytes: usize) -> String {
    shortened(text, bytes).to_owned()
}

pub(crate) fn shortened(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
