//! What is folded from the journal of steps: counts of leads, and tallies of calls.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zvonar_campaign::LeadStatus;
use zvonar_model::{Kopecks, ProjectId, UnixMillis};

use super::{AttemptStep, Row};
use crate::Day;
use crate::projects::shortened;

/// The most pairs of scenario and result that one row tells apart; what comes beyond goes under [`OTHER_RESULTS`]. With
/// their longest names they fit into a value of the store, so a scenario that makes its results up stops nobody's reports.
const MAX_PAIRS: usize = 250;

/// The longest name of a result in a row, in bytes.
pub(crate) const MAX_RESULT: usize = 128;

/// Where results are counted that are too many to be told apart.
pub(crate) const OTHER_RESULTS: &str = "прочие";

/// Which of a tenant's calls are counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Scope {
    /// All of them.
    #[default]
    All,
    /// Those of no project: they came in, or were placed by hand.
    Outside,
    /// Those of a project.
    Project(ProjectId),
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("all calls"),
            Self::Outside => f.write_str("the calls of no project"),
            Self::Project(project) => write!(f, "project {project}"),
        }
    }
}

impl Scope {
    /// The project's, or those of none.
    pub fn of(project: Option<&ProjectId>) -> Self {
        project.map_or(Self::Outside, |project| Self::Project(project.clone()))
    }
}

/// Leads of a project by status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StatusCounts {
    /// «ещё не звонили».
    pub new: i64,
    /// «позвоним ещё раз».
    pub again: i64,
    /// «дозвонились».
    pub reached: i64,
    /// «не дозвонились».
    pub unreached: i64,
}

impl StatusCounts {
    /// All leads.
    pub fn total(&self) -> i64 {
        self.new + self.again + self.reached + self.unreached
    }

    /// Those that are not called any more.
    pub fn finished(&self) -> i64 {
        self.reached + self.unreached
    }

    /// Those in one status.
    pub fn of(&self, status: LeadStatus) -> i64 {
        match status {
            LeadStatus::New => self.new,
            LeadStatus::Again => self.again,
            LeadStatus::Reached => self.reached,
            LeadStatus::Unreached => self.unreached,
        }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn add(&mut self, status: LeadStatus, leads: i64) {
        *match status {
            LeadStatus::New => &mut self.new,
            LeadStatus::Again => &mut self.again,
            LeadStatus::Reached => &mut self.reached,
            LeadStatus::Unreached => &mut self.unreached,
        } += leads;
    }

    pub(crate) fn add_all(&mut self, other: &Self) {
        LeadStatus::ALL.into_iter().for_each(|status| self.add(status, other.of(status)));
    }

    pub(crate) fn move_one(&mut self, (before, after): (LeadStatus, LeadStatus)) {
        self.add(before, -1);
        self.add(after, 1);
    }
}

/// Calls that were counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Attempts that are over.
    pub attempts: u64,
    /// Those that were answered.
    pub answered: u64,
    /// Started seconds with the robot.
    pub robot_seconds: u64,
    /// Seconds of talk with whomever the callers were handed to.
    pub talk_seconds: u64,
    /// What they cost.
    pub kopecks: Kopecks,
    /// Callers who were to be handed to an employee, and talked with nobody but the robot.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub lost: u64,
}

fn is_nothing(count: &u64) -> bool {
    *count == 0
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { attempts, answered, robot_seconds, talk_seconds, kopecks, lost } = self;
        write!(
            f,
            "{attempts} attempts, {answered} answered, {robot_seconds} s with the robot, {talk_seconds} s of talk, \
             {lost} lost, {kopecks}"
        )
    }
}

impl Tally {
    /// Counts one more.
    pub(crate) fn count(&mut self, attempt: &AttemptStep) {
        self.attempts += 1;
        self.answered += u64::from(attempt.answered_at.is_some());
        self.robot_seconds += attempt.robot_seconds;
        self.talk_seconds += attempt.talk_seconds;
        self.kopecks += attempt.kopecks;
        self.lost += u64::from(attempt.is_lost());
    }

    /// Both together.
    pub(crate) fn add(&mut self, other: &Self) {
        self.attempts += other.attempts;
        self.answered += other.answered;
        self.robot_seconds += other.robot_seconds;
        self.talk_seconds += other.talk_seconds;
        self.kopecks += other.kopecks;
        self.lost += other.lost;
    }
}

/// Text messages that were charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TextTally {
    /// How many.
    pub texts: u64,
    /// In how many parts.
    pub segments: u64,
    /// What they cost.
    pub kopecks: Kopecks,
}

impl TextTally {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Counts one more, of so many parts.
    pub(crate) fn count(&mut self, segments: u32, kopecks: Kopecks) {
        self.texts += 1;
        self.segments += u64::from(segments);
        self.kopecks += kopecks;
    }

    /// Both together.
    pub(crate) fn add(&mut self, other: &Self) {
        self.texts += other.texts;
        self.segments += other.segments;
        self.kopecks += other.kopecks;
    }
}

impl std::fmt::Display for TextTally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} text messages in {} parts, {}", self.texts, self.segments, self.kopecks)
    }
}

/// Tallies by scenario (empty: none ran), then by result.
pub(crate) type Tallies = BTreeMap<String, BTreeMap<String, Tally>>;

/// What is folded of a scope, or of one of its days.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct StatRow {
    /// Rows of an earlier folding than the cursor's count as empty: see [`StatCursor::generation`].
    pub(crate) generation: u32,
    /// Leads as they are, in the total of a project.
    #[serde(default, skip_serializing_if = "StatusCounts::is_empty")]
    pub(crate) leads: StatusCounts,
    /// What came of the calls.
    #[serde(default)]
    pub(crate) tallies: Tallies,
    /// Text messages, on the days on which they were decided.
    #[serde(default, skip_serializing_if = "TextTally::is_empty")]
    pub(crate) texts: TextTally,
    /// The revisions of the first and the last of its attempts' steps: where a report looks for them.
    #[serde(default)]
    pub(crate) steps: Option<(u64, u64)>,
    /// In a total: the first and the last day with attempts or text messages.
    #[serde(default)]
    pub(crate) days: Option<(Day, Day)>,
    /// When the last attempt was over.
    #[serde(default)]
    pub(crate) last_call: Option<UnixMillis>,
}

impl Row for StatRow {
    const VERSION: u16 = 1;
}

impl StatRow {
    /// All calls together.
    pub(crate) fn sum(&self) -> Tally {
        let mut sum = Tally::default();
        self.tallies.values().flat_map(BTreeMap::values).for_each(|tally| sum.add(tally));
        sum
    }

    /// Whether there were more results than are told apart.
    pub(crate) fn has_other(&self) -> bool {
        self.tallies.get("").is_some_and(|results| results.contains_key(OTHER_RESULTS))
    }

    /// Counts a text message of a day. `total`: this is no day's row.
    pub(crate) fn count_text(&mut self, segments: u32, kopecks: Kopecks, day: Day, total: bool) {
        self.texts.count(segments, kopecks);
        if total {
            let (first, last) = self.days.unwrap_or((day, day));
            self.days = Some((first.min(day), last.max(day)));
        }
    }

    /// Counts an attempt, whose step has this revision.
    pub(crate) fn count(&mut self, attempt: &AttemptStep, revision: u64) {
        let scenario = attempt.scenario.as_ref().map_or("", |scenario| scenario.name.as_str());
        let result = shortened(&attempt.result, MAX_RESULT);
        match self.tallies.get_mut(scenario).and_then(|results| results.get_mut(result)) {
            Some(tally) => tally.count(attempt),
            None => {
                let pairs: usize = self.tallies.values().map(BTreeMap::len).sum();
                let (scenario, result) =
                    if pairs < MAX_PAIRS { (scenario, result) } else { ("", OTHER_RESULTS) };
                let results = self.tallies.entry(scenario.to_owned()).or_default();
                results.entry(result.to_owned()).or_default().count(attempt);
            }
        }
        let (first, last) = self.steps.unwrap_or((revision, revision));
        self.steps = Some((first.min(revision), last.max(revision)));
        self.last_call = self.last_call.max(Some(attempt.ended_at));
    }
}

/// How far the steps are folded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct StatCursor {
    /// Counts the foldings from the beginning. Folding anew is one write of this number: what earlier foldings left
    /// counts as empty from then on, so no crash can leave half of it.
    pub(crate) generation: u32,
    /// The last step that is folded, by revision.
    pub(crate) cursor: u64,
    /// Whether the journal has a step for everything that was before it.
    pub(crate) fill: Fill,
}

impl Row for StatCursor {
    const VERSION: u16 = 1;
}

/// How far steps were written for what an earlier program, which kept none, had stored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub(crate) enum Fill {
    /// For leads, project by project.
    Leads {
        /// This one is being looked through.
        project: ProjectId,
        /// Up to this place.
        after: Option<String>,
    },
    /// For records.
    Records {
        /// Up to this revision.
        after: u64,
    },
    /// There is nothing left to be written.
    #[default]
    Done,
}
