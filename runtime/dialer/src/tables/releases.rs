//! Versions of scenarios as they are stored: which exist, and which are in use.
//!
//! The changes of a [`Deployment`] are pure functions here; `deployments` loads code and swaps it.

use serde::{Deserialize, Serialize};
use zvonar_model::{ScenarioName, UnixMillis};
use zvonar_store::{Commit, Write};

use super::{Read, Row, TRIES, Tables, encode};
use crate::{DialerError, Result};

/// Which versions of a scenario are in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Which scenario.
    pub scenario: ScenarioName,
    /// The number that was given out last; numbers are never used again.
    pub newest: u32,
    /// What calls get.
    pub live: u32,
    /// Since when.
    pub since: UnixMillis,
    /// What some percent of the calls get instead.
    pub canary: Option<(u32, u8)>,
    /// What was live before, oldest first: a rollback takes the last.
    pub before: Vec<u32>,
    /// Whether the live version is judged by the one before it: it came by a deploy, not by a rollback.
    pub on_probation: bool,
    /// The content that the configuration had when it was last looked at.
    #[serde(default)]
    pub configured: Option<String>,
}

impl Row for Deployment {
    const VERSION: u16 = 1;
}

/// One version of a scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Which scenario.
    pub scenario: ScenarioName,
    /// 7 for v7.
    pub number: u32,
    /// The package's digest: the same for the same content.
    pub digest: String,
    /// SHA-256 of the component, in hex: what the records of calls name.
    pub component: String,
    /// The manifest's version.
    pub version: String,
    /// SHA-256 of the archive, in hex: the blob's name.
    pub archive: String,
    /// The archive's length in bytes.
    pub bytes: u64,
    /// When it was deployed.
    pub at: UnixMillis,
    /// By whom: a token's name, or `configuration`.
    pub by: String,
    /// What was said with it.
    pub note: String,
    /// What became of its calls, as far as it was written down.
    #[serde(default)]
    pub calls: u32,
    /// Calls that failed.
    #[serde(default)]
    pub faults: u32,
    /// Calls that ended without a result.
    #[serde(default)]
    pub without_result: u32,
    /// Why it is not used any more, if somebody or something decided so.
    #[serde(default)]
    pub withdrawn: Option<Withdrawn>,
}

impl Row for Release {
    const VERSION: u16 = 1;
}

/// When and why a version was taken out of use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// When.
    pub at: UnixMillis,
    /// A sentence.
    pub why: String,
}

impl Deployment {
    /// The first version of a scenario.
    pub(crate) fn first(scenario: ScenarioName, now: UnixMillis) -> Self {
        Self {
            scenario,
            newest: 1,
            live: 1,
            since: now,
            canary: None,
            before: Vec::new(),
            on_probation: false,
            configured: None,
        }
    }

    /// The next version goes live at once.
    pub(crate) fn deployed(mut self, now: UnixMillis) -> Self {
        self.newest += 1;
        self.canary = None;
        self.go_live(self.newest, now);
        self
    }

    /// The next version becomes the canary.
    pub(crate) fn deployed_as_canary(mut self, percent: u8) -> Self {
        self.newest += 1;
        self.canary = Some((self.newest, percent));
        self
    }

    /// The canary goes live; `None`: there is none.
    pub(crate) fn promoted(mut self, now: UnixMillis) -> Option<Self> {
        let (number, _) = self.canary.take()?;
        self.go_live(number, now);
        Some(self)
    }

    /// Back to what was live before the live one; a canary goes with it. `None`: there was nothing before.
    pub(crate) fn rolled_back(mut self, now: UnixMillis) -> Option<Self> {
        self.live = self.before.pop()?;
        self.canary = None;
        self.since = now;
        self.on_probation = false;
        Some(self)
    }

    /// Straight to a version, older or newer.
    pub(crate) fn set_live(mut self, number: u32, now: UnixMillis) -> Self {
        match self.before.iter().position(|before| *before == number) {
            // Back along the way it came.
            Some(place) => self.before.truncate(place),
            None => self.before.push(self.live),
        }
        self.live = number;
        self.canary = None;
        self.since = now;
        self.on_probation = false;
        self
    }

    fn go_live(&mut self, number: u32, now: UnixMillis) {
        self.before.push(self.live);
        self.live = number;
        self.since = now;
        self.on_probation = true;
    }

    /// What was live before the live one.
    pub fn previous(&self) -> Option<u32> {
        self.before.last().copied()
    }

    /// Whether calls may get this version, or a rollback go to it.
    fn needs(&self, number: u32) -> bool {
        number == self.live
            || self.previous() == Some(number)
            || self.canary.is_some_and(|(canary, _)| canary == number)
    }
}

impl Tables {
    /// All scenarios of the tenant with what is in use of them, by name.
    pub async fn deployments(&self) -> Result<Vec<Deployment>> {
        let mut all = Vec::new();
        self.each(&self.keys.deployments(), |read| all.push(read.row)).await?;
        all.sort_unstable_by(|a: &Deployment, b| a.scenario.cmp(&b.scenario));
        Ok(all)
    }

    /// What is in use of a scenario.
    pub async fn deployment(&self, scenario: &ScenarioName) -> Result<Option<Deployment>> {
        Ok(self.read_deployment(scenario).await?.map(|read| read.row))
    }

    pub(crate) async fn read_deployment(&self, scenario: &ScenarioName) -> Result<Option<Read<Deployment>>> {
        self.get(&self.keys.deployment(scenario)).await
    }

    /// The versions of a scenario that are kept, newest first.
    pub async fn releases(&self, scenario: &ScenarioName) -> Result<Vec<Release>> {
        Ok(self.read_releases(scenario).await?.into_iter().map(|read| read.row).collect())
    }

    async fn read_releases(&self, scenario: &ScenarioName) -> Result<Vec<Read<Release>>> {
        let mut all: Vec<Read<Release>> = Vec::new();
        self.each(&self.keys.releases(scenario), |read| all.push(read)).await?;
        all.sort_unstable_by_key(|read| std::cmp::Reverse(read.row.number));
        Ok(all)
    }

    /// One version of a scenario.
    pub async fn release(&self, scenario: &ScenarioName, number: u32) -> Result<Option<Release>> {
        Ok(self.get::<Release>(&self.keys.release(scenario, number)).await?.map(|read| read.row))
    }

    /// Stores a new version and what is in use now, in one commit. Versions above the `kept` newest go, but for those in
    /// use. `false`: somebody else was quicker.
    pub(crate) async fn add_release(
        &self,
        release: &Release,
        before: Option<&Read<Deployment>>,
        mut after: Deployment,
        kept: usize,
    ) -> Result<bool> {
        let surplus: Vec<_> = self.read_releases(&release.scenario).await?;
        let surplus = surplus.into_iter().skip(kept.saturating_sub(1));
        // A commit has room for a hundred writes; what is left over goes with the next version.
        let surplus: Vec<_> = surplus.filter(|read| !after.needs(read.row.number)).take(90).collect();
        after.before.retain(|number| surplus.iter().all(|read| read.row.number != *number));
        let mut writes = vec![
            Write::create(self.keys.release(&release.scenario, release.number), encode(release)),
            self.deployment_write(before, &after),
        ];
        for read in surplus {
            let key = self.keys.release(&release.scenario, read.row.number);
            writes.push(Write { key, expect: zvonar_store::Expect::Any, value: None });
        }
        Ok(matches!(self.commit(writes, 0).await?, Commit::Done(_)))
    }

    /// Stores what is in use now. `false`: somebody else was quicker.
    pub(crate) async fn change_deployment(
        &self,
        before: &Read<Deployment>,
        after: &Deployment,
    ) -> Result<bool> {
        let write = self.deployment_write(Some(before), after);
        Ok(matches!(self.commit(vec![write], 0).await?, Commit::Done(_)))
    }

    fn deployment_write(&self, before: Option<&Read<Deployment>>, after: &Deployment) -> Write {
        let key = self.keys.deployment(&after.scenario);
        match before {
            Some(before) => Write::replace(key, before.revision, encode(after)),
            None => Write::create(key, encode(after)),
        }
    }

    /// Changes what is written of a version. A version that is kept no more stays away.
    pub(crate) async fn note_release(
        &self,
        scenario: &ScenarioName,
        number: u32,
        change: impl Fn(&mut Release),
    ) -> Result<()> {
        let key = self.keys.release(scenario, number);
        for _ in 0..TRIES {
            let Some(Read { mut row, revision }) = self.get::<Release>(&key).await? else { return Ok(()) };
            let before = row.clone();
            change(&mut row);
            if row == before {
                return Ok(());
            }
            let write = Write::replace(key.clone(), revision, encode(&row));
            if let Commit::Done(_) = self.commit(vec![write], 0).await? {
                return Ok(());
            }
        }
        Err(DialerError::Contended(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1);

    fn deployment() -> Deployment {
        Deployment::first(ScenarioName::new("menu").unwrap(), NOW)
    }

    /// `live/canary/before`.
    fn told(deployment: &Deployment) -> String {
        let canary = deployment.canary.map(|(number, percent)| format!("{number}@{percent}"));
        format!("{}/{}/{:?}", deployment.live, canary.unwrap_or_default(), deployment.before)
    }

    #[test]
    fn a_rollback_goes_back_the_way_the_versions_came() {
        let third = deployment().deployed(NOW).deployed(NOW);
        assert_eq!(told(&third), "3//[1, 2]");
        assert!(third.on_probation);
        let second = third.rolled_back(NOW).unwrap();
        assert_eq!((told(&second).as_str(), second.on_probation), ("2//[1]", false));
        let fourth = second.deployed(NOW);
        assert_eq!(told(&fourth), "4//[1, 2]", "a number is never used again, and v3 is not gone back to");
        let first = fourth.rolled_back(NOW).unwrap().rolled_back(NOW).unwrap();
        assert!(first.rolled_back(NOW).is_none());
    }

    #[test]
    fn going_to_a_version_by_number_keeps_the_way_back() {
        let fourth = deployment().deployed(NOW).deployed(NOW).deployed(NOW);
        let second = fourth.set_live(2, NOW);
        assert_eq!(told(&second), "2//[1]");
        assert_eq!(told(&second.set_live(4, NOW)), "4//[1, 2]");
    }

    #[test]
    fn a_canary_leaves_the_live_version_alone_until_it_is_promoted() {
        let canary = deployment().deployed_as_canary(10);
        assert_eq!(told(&canary), "1/2@10/[]");
        assert_eq!(told(&canary.clone().deployed_as_canary(20)), "1/3@20/[]");
        assert_eq!(told(&canary.clone().deployed(NOW)), "3//[1]", "a plain deploy ends a canary");
        assert_eq!(told(&canary.promoted(NOW).unwrap()), "2//[1]");
        assert!(deployment().promoted(NOW).is_none());
    }
}
