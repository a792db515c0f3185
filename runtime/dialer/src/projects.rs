//! Projects and their leads: made here, read by the runner and the reports.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use zvonar_campaign::{NumberKind, NumberRefused, PRIORITIES, Progress, ProjectStatus, USUAL_PRIORITY};
use zvonar_model::{LeadId, PhoneNumber, ProjectId, ScenarioName, TrunkId, UnixMillis};
use zvonar_scenario::card::card_bytes;
pub use zvonar_scenario::card::{MAX_CARD_BYTES, MAX_FIELD_NAME, MAX_FIELDS, MAX_TEXT};
use zvonar_store::{Commit, MAX_VALUE_BYTES, Write};

use crate::leads::{MAX_TAGS, tag_fault};
use crate::tables::{Blocked, DialRules, Lead, Project, Read, Step, TRIES, Tables, encode};
use crate::{DialerError, Result};

/// The most numbers of a lead.
pub const MAX_NUMBERS: usize = 50;
/// The most notes of a lead; older ones go first.
pub const MAX_NOTES: usize = 32;
// Three quarters of what the store takes: there is always room for what becomes of the lead.
const _: () = assert!(MAX_CARD_BYTES <= MAX_VALUE_BYTES / 4 * 3);

/// How many leads are added in one commit: with the project's own row and the step, below the store's limit of writes.
const BATCH: usize = 90;

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

/// A lead to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLead {
    /// Its id, new within the project.
    pub lead: LeadId,
    /// Where to call them, in order; at least one, at most [`MAX_NUMBERS`].
    pub numbers: Vec<PhoneNumber>,
    /// What is known of them.
    pub fields: BTreeMap<String, String>,
    /// What people sort leads by.
    pub tags: BTreeSet<String>,
}

/// What became of leads that were to be added.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Added {
    /// How many are in the project now that were not.
    pub added: u64,
    /// Those whose id was there already; they stay as they were.
    pub known: Vec<LeadId>,
    /// Those whose number is not dialled, and why.
    pub refused: Vec<(LeadId, NumberRefused)>,
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
        row.rules
            .purpose
            .allow_robot()
            .map_err(|why| DialerError::BadProject { project: row.project.clone(), what: why.to_string() })?;
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

    /// Adds leads to a project, in their order. Numbers that are not to be dialled stay outside, with the reason. A
    /// failure in the middle leaves the leads before it added; adding all again adds the rest.
    ///
    /// # Errors
    /// [`DialerError::LeadTooLarge`] before anything is added, when a lead has too many or too long fields.
    pub async fn add_leads(&self, project: &ProjectId, leads: Vec<NewLead>) -> Result<Added> {
        for lead in &leads {
            check_size(lead)?;
        }
        let only_mobile = self.project(project).await?.is_some_and(|project| project.rules.only_mobile);
        let mut done = Added::default();
        let mut good = Vec::with_capacity(leads.len());
        let mut named = std::collections::BTreeSet::new();
        for mut lead in leads {
            // Those that may not be dialled are left out; a lead without any other stays outside.
            let mut refused = None;
            lead.numbers.retain(|number| match self.check_number(number, only_mobile) {
                Ok(()) => true,
                Err(why) => {
                    refused.get_or_insert(why);
                    false
                }
            });
            let mut seen = std::collections::BTreeSet::new();
            lead.numbers.retain(|number| seen.insert(number.clone()));
            match refused.filter(|_| lead.numbers.is_empty()).map_or(Ok(()), Err) {
                Err(why) => done.refused.push((lead.lead, why)),
                Ok(()) if !named.insert(lead.lead.clone()) => done.known.push(lead.lead),
                Ok(()) => good.push(lead),
            }
        }
        self.ensure_journal().await?;
        for batch in good.chunks(BATCH) {
            self.add_batch(project, batch, &mut done).await?;
        }
        Ok(done)
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

    async fn add_batch(&self, project: &ProjectId, batch: &[NewLead], done: &mut Added) -> Result<()> {
        for _ in 0..TRIES {
            let Some(Read { mut row, revision }) = self.read_project(project).await? else {
                return Err(DialerError::NoProject(project.clone()));
            };
            let mut writes = Vec::with_capacity(batch.len() + 1);
            let mut known = Vec::new();
            let (first, mut added) = (row.leads, Vec::new());
            for new in batch {
                let key = self.keys.lead(project, &new.lead);
                if self.store.get(self.keys.shard(), &key).await?.is_some() {
                    known.push(new.lead.clone());
                    continue;
                }
                let lead = Lead {
                    lead: new.lead.clone(),
                    numbers: new.numbers.clone(),
                    fields: new.fields.clone(),
                    notes: Vec::new(),
                    tags: new.tags.clone(),
                    position: row.leads,
                    progress: Progress::new(),
                    claim: None,
                };
                row.leads += 1;
                writes.push(Write::create(key, encode(&lead)));
                added.push(lead.lead);
            }
            let count = added.len() as u64;
            if count > 0 {
                let step = Step::Added { project: project.clone(), leads: added };
                writes.push(Write::create(self.keys.added_step(project, first), encode(&step)));
                writes.push(Write::replace(self.keys.project(project), revision, encode(&row)));
                if self.commit(writes, 0).await? == Commit::Conflict {
                    continue;
                }
            }
            done.added += count;
            done.known.extend(known);
            return Ok(());
        }
        Err(DialerError::Contended(self.keys.project(project)))
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

    /// Puts a number on the blacklist: no project calls it from now on.
    pub async fn block(&self, number: &PhoneNumber, why: &str, since: UnixMillis) -> Result<()> {
        let row = Blocked { why: cut(why, MAX_TEXT), since, attempt: None };
        let _ = self.commit(vec![Write::set(self.keys.blocked(number), encode(&row))], 0).await?;
        Ok(())
    }

    /// Why a number is on the blacklist, if it is.
    pub async fn blocked(&self, number: &PhoneNumber) -> Result<Option<Blocked>> {
        Ok(self.get::<Blocked>(&self.keys.blocked(number)).await?.map(|read| read.row))
    }
}

fn check_size(lead: &NewLead) -> Result<()> {
    check_card(&lead.lead, &lead.numbers, &lead.fields, &lead.tags)
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
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
