//! The life of a project: started, paused, edited, finished, copied.
//!
//! A project is active when its row says so **and** the tenant's quota names it: one commit writes both, so that no more
//! projects are active than may be, however many are started at once and wherever. The quota has a key of its own, which
//! every start and every end of being active changes by compare-and-set; edits and new leads leave it alone.
//!
//! Whoever changes a status writes its step into the journal in the same commit: a tenant's own programs are told of it.
//!
//! An edit names the version that its author saw. Leads that are added meanwhile, starts and pauses are no edits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use zvonar_campaign::{Ending, PRIORITIES, ProjectStatus};
use zvonar_model::{ProjectId, ScenarioName, TrunkId, UnixMillis};
use zvonar_store::{Commit, Write};

use crate::error::EditConflict;
use crate::hours::Hours;
use crate::projects::{MAX_TEXT, cut};
use crate::tables::{DialRules, Edit, Project, Quota, Read, StateStep, Step, TRIES, Tables, encode};
use crate::{DialerError, NewProject, Result};

/// How many edits a project remembers, so that whoever comes second can be told what happened.
const EDITS: usize = 16;

/// Who edits when the configuration's file has changed.
const THE_FILE: &str = "the configuration";

/// What people change of a project; `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProjectChange {
    /// What people call it.
    pub title: Option<String>,
    /// What runs when somebody picks up.
    pub scenario: Option<ScenarioName>,
    /// The scenario's settings, all of them.
    pub settings: Option<BTreeMap<String, String>>,
    /// By which trunk.
    pub trunk: Option<TrunkId>,
    /// How many attempts at once, from 1.
    pub lines: Option<u32>,
    /// How many attempts may start in a second, from 1.
    pub calls_per_second: Option<u32>,
    /// How long to let it ring.
    pub ring: Option<Duration>,
    /// When and how often to dial.
    pub rules: Option<DialRules>,
    /// 1 to 9.
    pub priority: Option<u8>,
}

impl ProjectChange {
    /// What leads from one state of a project to another.
    fn between(from: &Project, to: &Project) -> Self {
        fn new<T: Clone + PartialEq>(from: &T, to: &T) -> Option<T> {
            (from != to).then(|| to.clone())
        }
        Self {
            title: new(&from.title, &to.title),
            scenario: new(&from.scenario, &to.scenario),
            settings: new(&from.settings, &to.settings),
            trunk: new(&from.trunk, &to.trunk),
            lines: new(&from.lines, &to.lines),
            calls_per_second: new(&from.calls_per_second, &to.calls_per_second),
            ring: new(&from.ring, &to.ring).map(Into::into),
            rules: new(&from.rules, &to.rules),
            priority: new(&from.priority, &to.priority),
        }
    }

    /// Makes the change, and names what is different then.
    fn apply(&self, row: &mut Project) -> Vec<String> {
        let mut changed = Vec::new();
        let mut set = |name: &str, differs: bool| {
            if differs {
                changed.push(name.to_owned());
            }
        };
        fn put<T: Clone + PartialEq>(to: &mut T, new: Option<&T>) -> bool {
            let Some(new) = new.filter(|new| *new != to) else { return false };
            *to = new.clone();
            true
        }
        set("title", put(&mut row.title, self.title.as_ref()));
        set("scenario", put(&mut row.scenario, self.scenario.as_ref()));
        set("settings", put(&mut row.settings, self.settings.as_ref()));
        set("trunk", put(&mut row.trunk, self.trunk.as_ref()));
        set("lines", put(&mut row.lines, self.lines.as_ref()));
        set("calls_per_second", put(&mut row.calls_per_second, self.calls_per_second.as_ref()));
        set("ring", put(&mut row.ring, self.ring.map(Into::into).as_ref()));
        set("rules", put(&mut row.rules, self.rules.as_ref()));
        set("priority", put(&mut row.priority, self.priority.as_ref()));
        changed
    }
}

/// Makes a change and notes it. Gives whether anything is different.
fn edit(row: &mut Project, change: &ProjectChange, by: &str, at: UnixMillis) -> bool {
    let changed = change.apply(row);
    if changed.is_empty() {
        return false;
    }
    row.version += 1;
    row.edits.push(Edit { version: row.version, by: by.to_owned(), at, changed });
    let surplus = row.edits.len().saturating_sub(EDITS);
    row.edits.drain(..surplus);
    true
}

/// What no project may be, in a sentence.
pub(crate) fn check(row: &Project) -> Result<()> {
    let bad = |what: String| Err(DialerError::BadProject { project: row.project.clone(), what });
    if row.lines == 0 || row.calls_per_second == 0 {
        return bad("lines and calls per second are at least 1".into());
    }
    if !PRIORITIES.contains(&row.priority) {
        let (low, high) = (PRIORITIES.start(), PRIORITIES.end());
        return bad(format!("the priority {} is none; it goes from {low} to {high}", row.priority));
    }
    match Hours::check(&row.rules) {
        Ok(()) => Ok(()),
        Err(DialerError::CannotCall(why)) => bad(why),
        Err(other) => Err(other),
    }
}

/// What becomes of a project's status.
enum Turn {
    /// It goes over to this, unless it is there.
    To(ProjectStatus),
    /// It stays.
    Stay,
}

impl Tables {
    /// Makes a project active; one that is already, stays so. `most`: how many of the tenant's may be at once
    /// ([`Grant::active_projects`](crate::Grant)).
    ///
    /// # Errors
    /// [`DialerError::TooManyActive`] with the names of those that are; [`DialerError::BadProject`] when its hours cannot
    /// be read.
    pub async fn start_project(&self, project: &ProjectId, most: u32, now: UnixMillis) -> Result<Project> {
        self.start_and(project, most, now, |_| {}).await
    }

    /// As [`Tables::start_project`]; what else is written in the same commit.
    pub(crate) async fn start_and(
        &self,
        project: &ProjectId,
        most: u32,
        now: UnixMillis,
        also: impl Fn(&mut Project),
    ) -> Result<Project> {
        self.turn(project, now, Some(most), also, |row| {
            check(row)?;
            Ok(Turn::To(ProjectStatus::Active))
        })
        .await
    }

    /// Goes on with a project that finished by itself, since it has somebody to call; `was_idle`: also with one that had
    /// nothing to do for too long. `false`: it did not finish so.
    ///
    /// # Errors
    /// [`DialerError::TooManyActive`]: it stays finished.
    pub(crate) async fn go_on(
        &self,
        project: &ProjectId,
        was_idle: bool,
        most: u32,
        now: UnixMillis,
    ) -> Result<bool> {
        let rested = |row: &Project| match row.status {
            ProjectStatus::Finished { by: Ending::Done } => check(row).is_ok(),
            ProjectStatus::Finished { by: Ending::Idle } => was_idle && check(row).is_ok(),
            _ => false,
        };
        let sign = |row: &mut Project| {
            if rested(row) {
                row.active_at = row.active_at.max(now);
            }
        };
        if !self.project(project).await?.is_some_and(|row| rested(&row)) {
            return Ok(false);
        }
        let decide =
            |row: &Project| Ok(if rested(row) { Turn::To(ProjectStatus::Active) } else { Turn::Stay });
        Ok(self.turn(project, now, Some(most), sign, decide).await?.status.is_active())
    }

    /// Stops a project for a while: no attempt begins any more, those in progress are finished. A finished one stays
    /// finished.
    pub async fn pause_project(&self, project: &ProjectId, now: UnixMillis) -> Result<Project> {
        self.turn(
            project,
            now,
            None,
            |_| {},
            |row| {
                Ok(match row.status {
                    ProjectStatus::Finished { .. } => Turn::Stay,
                    _ => Turn::To(ProjectStatus::Paused),
                })
            },
        )
        .await
    }

    /// Ends a project, whatever is left of its list.
    pub async fn finish_project(&self, project: &ProjectId, now: UnixMillis) -> Result<Project> {
        self.turn(
            project,
            now,
            None,
            |_| {},
            |row| {
                Ok(match row.status {
                    ProjectStatus::Finished { .. } => Turn::Stay,
                    _ => Turn::To(ProjectStatus::Finished { by: Ending::Person }),
                })
            },
        )
        .await
    }

    /// Stops a project that cannot dial before something is mended. Only an active one: whoever paused it meanwhile was
    /// not told of the error, and is when he starts it again.
    pub(crate) async fn fail(&self, project: &ProjectId, why: &str, now: UnixMillis) -> Result<Project> {
        let status = ProjectStatus::Error { why: cut(why, MAX_TEXT) };
        self.turn(
            project,
            now,
            None,
            |_| {},
            |row| Ok(if row.status.is_active() { Turn::To(status.clone()) } else { Turn::Stay }),
        )
        .await
    }

    /// Ends a project by itself, if it is still as it was read: no lead was added since. `false`: it is not.
    pub(crate) async fn finish_if(&self, read: Read<Project>, by: Ending, now: UnixMillis) -> Result<bool> {
        if !read.row.status.is_active() {
            return Ok(false);
        }
        let mut next = read.row.clone();
        next.status = ProjectStatus::Finished { by };
        next.since = now;
        for _ in 0..TRIES {
            let quota = self.quota().await?;
            let mut writes =
                vec![Write::replace(self.keys.project(&next.project), read.revision, encode(&next))];
            writes.extend(self.quota_write(quota, |active| active.remove(&next.project)));
            writes.extend(self.state_write(&read.row, &next, read.revision));
            if let Commit::Done(_) = self.commit(writes, 0).await? {
                return Ok(true);
            }
            match self.read_project(&next.project).await? {
                // It was the quota that changed: another project was started or stopped.
                Some(now) if now.revision == read.revision => {}
                _ => return Ok(false),
            }
        }
        Err(DialerError::Contended(self.keys.quota()))
    }

    /// Notes a call or a new contact, for [`zvonar_campaign::IDLE`].
    pub(crate) async fn note_active(&self, project: &ProjectId, at: UnixMillis) -> Result<()> {
        self.turn(project, at, None, |row| row.active_at = row.active_at.max(at), |_| Ok(Turn::Stay)).await?;
        Ok(())
    }

    /// Takes a project from one status to another, and in and out of the quota with it.
    async fn turn(
        &self,
        project: &ProjectId,
        now: UnixMillis,
        most: Option<u32>,
        also: impl Fn(&mut Project),
        decide: impl Fn(&Project) -> Result<Turn>,
    ) -> Result<Project> {
        for _ in 0..TRIES {
            // The quota first: a row that is read after it and says otherwise has a revision of its own to fail by.
            let quota = self.quota().await?;
            let Some(Read { row, revision }) = self.read_project(project).await? else {
                return Err(DialerError::NoProject(project.clone()));
            };
            let mut next = row.clone();
            also(&mut next);
            if let Turn::To(status) = decide(&row)?
                && status != row.status
            {
                next.status = status;
                next.since = now;
            }
            if next == row {
                return Ok(row);
            }
            let mut writes = vec![Write::replace(self.keys.project(project), revision, encode(&next))];
            if next.status.is_active() && !row.status.is_active() {
                let taken = quota.as_ref().map_or(0, |read| read.row.active.len());
                if let Some(most) = most.filter(|most| taken >= *most as usize) {
                    match self.too_many(quota, most).await? {
                        Some(refused) => return Err(refused),
                        None => continue,
                    }
                }
                writes.extend(self.quota_write(quota, |active| active.insert(project.clone())));
            } else if row.status.is_active() && !next.status.is_active() {
                writes.extend(self.quota_write(quota, |active| active.remove(project)));
            }
            writes.extend(self.state_write(&row, &next, revision));
            if let Commit::Done(_) = self.commit(writes, 0).await? {
                return Ok(next);
            }
        }
        Err(DialerError::Contended(self.keys.project(project)))
    }

    /// The step that a project went over to another status, if it did. `revision`: of its row before.
    fn state_write(&self, before: &Project, after: &Project, revision: u64) -> Option<Write> {
        let step = || {
            Step::State(Box::new(StateStep {
                project: after.project.clone(),
                title: after.title.clone(),
                before: before.status.clone(),
                after: after.status.clone(),
                at: after.since,
            }))
        };
        let key = self.keys.changed_step("state", &after.project, revision);
        (before.status != after.status).then(|| Write::create(key, encode(&step())))
    }

    /// The refusal with its names. `None`: a place has come free meanwhile.
    async fn too_many(&self, quota: Option<Read<Quota>>, most: u32) -> Result<Option<DialerError>> {
        let mut active = Vec::new();
        for id in quota.into_iter().flat_map(|read| read.row.active) {
            if let Some(row) = self.project(&id).await? {
                active.push((id, row.title));
            }
        }
        let refused = active.len() >= most as usize;
        Ok(refused.then_some(DialerError::TooManyActive { most, active }))
    }

    pub(crate) async fn quota(&self) -> Result<Option<Read<Quota>>> {
        self.get(&self.keys.quota()).await
    }

    /// The change of the quota, if it is one; `change` says so.
    fn quota_write(
        &self,
        quota: Option<Read<Quota>>,
        change: impl FnOnce(&mut BTreeSet<ProjectId>) -> bool,
    ) -> Option<Write> {
        let (revision, mut row) = match quota {
            Some(read) => (Some(read.revision), read.row),
            None => (None, Quota::default()),
        };
        let key = self.keys.quota();
        change(&mut row.active).then(|| match revision {
            Some(revision) => Write::replace(key, revision, encode(&row)),
            None => Write::create(key, encode(&row)),
        })
    }

    /// The ids of the tenant's active projects.
    pub async fn active_projects(&self) -> Result<Vec<ProjectId>> {
        Ok(self.quota().await?.map_or_else(Vec::new, |read| read.row.active.into_iter().collect()))
    }

    /// Changes what a project is; a run in progress takes it up within about a second. `seen`: the version that the edit
    /// was made of. `by`: who makes it, for whoever comes second. An edit that changes nothing is no edit.
    ///
    /// # Errors
    /// [`DialerError::EditConflict`] with what happened since; [`DialerError::BadProject`] for what no project may be.
    pub async fn edit_project(
        &self,
        project: &ProjectId,
        seen: u64,
        change: &ProjectChange,
        by: &str,
        now: UnixMillis,
    ) -> Result<Project> {
        for attempt in 0..TRIES {
            let Some(Read { mut row, revision }) = self.read_project(project).await? else {
                return Err(DialerError::NoProject(project.clone()));
            };
            if row.version != seen {
                // The answer to the first sending may have been lost, and leads been added since.
                let ours = |edit: &Edit| edit.version == seen + 1 && edit.by == by && edit.at == now;
                if attempt > 0 && row.edits.iter().any(ours) {
                    return Ok(row);
                }
                let version = row.version;
                let edits = row.edits.into_iter().filter(|edit| edit.version > seen).collect();
                let project = project.clone();
                return Err(DialerError::EditConflict(Box::new(EditConflict {
                    project,
                    seen,
                    version,
                    edits,
                })));
            }
            if !edit(&mut row, change, by, now) {
                return Ok(row);
            }
            check(&row)?;
            let write = Write::replace(self.keys.project(project), revision, encode(&row));
            if let Commit::Done(_) = self.commit(vec![write], 0).await? {
                return Ok(row);
            }
        }
        Err(DialerError::Contended(self.keys.project(project)))
    }

    /// A new project with the settings of another: without its leads and its history, and paused.
    ///
    /// # Errors
    /// [`DialerError::ProjectExists`] when the new id is taken.
    pub async fn copy_project(
        &self,
        from: &ProjectId,
        to: ProjectId,
        title: String,
        now: UnixMillis,
    ) -> Result<Project> {
        let stored = self.project(from).await?;
        let from = stored.ok_or_else(|| DialerError::NoProject(from.clone()))?;
        self.create_project(NewProject { project: to, title, ..NewProject::like(from) }, now).await
    }

    /// Stores a project as the configuration's file has it now. What was edited here since the file was read the last
    /// time stays, unless the file has changed the same. Gives the project, and whether the file names it for the first
    /// time: then it is to be started by [`Tables::start_configured`] once its list is there.
    pub async fn put_project(&self, new: NewProject, now: UnixMillis) -> Result<(Project, bool)> {
        for _ in 0..TRIES {
            let wanted = crate::projects::stored(new.clone(), UnixMillis(0));
            let Some(Read { row, revision }) = self.read_project(&new.project).await? else {
                match self.create_project(new.clone(), now).await {
                    Err(DialerError::ProjectExists(_)) => continue,
                    done => return done.map(|row| (row, true)),
                }
            };
            let mut next = row.clone();
            let change = ProjectChange::between(row.file.as_deref().unwrap_or(&row), &wanted);
            edit(&mut next, &change, THE_FILE, now);
            // Until it was started once, the file is as if it had not been read.
            let first = row.file.is_none();
            if !first {
                next.file = Some(Box::new(wanted));
            }
            if next == row {
                return Ok((row, first));
            }
            let write = Write::replace(self.keys.project(&row.project), revision, encode(&next));
            if let Commit::Done(_) = self.commit(vec![write], 0).await? {
                return Ok((next, first));
            }
        }
        Err(DialerError::Contended(self.keys.project(&new.project)))
    }

    /// Starts a project that the configuration's file names for the first time. The same commit notes that it was: what
    /// people make of it afterwards stays.
    ///
    /// # Errors
    /// As [`Tables::start_project`]; after a refusal it stays «Приостановлен», also at the next beginning of the program.
    pub async fn start_configured(&self, new: NewProject, most: u32, now: UnixMillis) -> Result<Project> {
        let project = new.project.clone();
        let wanted = Box::new(crate::projects::stored(new, UnixMillis(0)));
        let note = |row: &mut Project| row.file = Some(wanted.clone());
        match self.start_and(&project, most, now, note).await {
            Err(refused @ (DialerError::TooManyActive { .. } | DialerError::BadProject { .. })) => {
                self.turn(&project, now, None, note, |_| Ok(Turn::Stay)).await?;
                Err(refused)
            }
            done => done,
        }
    }
}
