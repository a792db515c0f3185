//! What the outcome of an attempt means for the lead.

use serde::{Deserialize, Serialize};
use zvonar_model::{AttemptId, AttemptRecord, Outcome, PhoneNumber, SystemResult, TalkEnd, UnixMillis};

use crate::{RetryRules, Rotation};

/// Where a lead stands within its project. `Display` and [`LeadState::title`] give the Russian of the console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is", try_from = "StoredState")]
pub enum LeadState {
    /// Not dialled yet.
    New,
    /// To be dialled again, not before this moment.
    Again {
        /// When.
        due: UnixMillis,
    },
    /// A person answered: finished.
    Reached,
    /// All tries are spent, or none makes sense: finished.
    Unreached,
}

/// A [`LeadState`] as it is read. A tagged enum keeps a copy of all its fields until it has seen the tag, and lists are
/// read by the million leads.
#[derive(Deserialize)]
struct StoredState {
    is: LeadStatus,
    due: Option<UnixMillis>,
}

impl TryFrom<StoredState> for LeadState {
    type Error = &'static str;

    fn try_from(StoredState { is, due }: StoredState) -> Result<Self, Self::Error> {
        Ok(match is {
            LeadStatus::New => Self::New,
            LeadStatus::Again => Self::Again { due: due.ok_or("missing field `due`")? },
            LeadStatus::Reached => Self::Reached,
            LeadStatus::Unreached => Self::Unreached,
        })
    }
}

/// Where a lead stands, without the times: what is counted and filtered by. `Display` and [`LeadStatus::title`] give the
/// Russian of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeadStatus {
    /// Not dialled yet.
    New,
    /// To be dialled again.
    Again,
    /// A person answered: finished.
    Reached,
    /// All tries are spent, or none makes sense: finished.
    Unreached,
}

impl LeadStatus {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 4] = [Self::New, Self::Again, Self::Reached, Self::Unreached];

    /// The name in reports and the console.
    pub fn title(self) -> &'static str {
        match self {
            Self::New => "ещё не звонили",
            Self::Again => "позвоним ещё раз",
            Self::Reached => "дозвонились",
            Self::Unreached => "не дозвонились",
        }
    }
}

impl std::fmt::Display for LeadStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.title())
    }
}

impl LeadState {
    /// The same without the times.
    pub fn status(&self) -> LeadStatus {
        match self {
            Self::New => LeadStatus::New,
            Self::Again { .. } => LeadStatus::Again,
            Self::Reached => LeadStatus::Reached,
            Self::Unreached => LeadStatus::Unreached,
        }
    }

    /// The name in reports and the console.
    pub fn title(&self) -> &'static str {
        self.status().title()
    }

    /// From when on the lead may be dialled; `None`: never again.
    pub fn due(&self) -> Option<UnixMillis> {
        match self {
            Self::New => Some(UnixMillis(0)),
            Self::Again { due } => Some(*due),
            Self::Reached | Self::Unreached => None,
        }
    }

    /// Whether nothing more is to be done.
    pub fn is_finished(&self) -> bool {
        self.due().is_none()
    }
}

impl std::fmt::Display for LeadState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.title())
    }
}

/// A lead's way through its project: where it stands and how it came there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Where it stands.
    pub state: LeadState,
    /// The tries so far, in order. Bounded by the most calls a project makes to one lead.
    pub tries: Vec<Try>,
}

/// One finished attempt, as far as redialling cares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Try {
    /// Which one: its record and its charge go by this id.
    pub attempt: AttemptId,
    /// At which number.
    #[serde(default)]
    pub number: Option<PhoneNumber>,
    /// What it meant.
    pub meaning: Meaning,
    /// When it was over.
    pub at: UnixMillis,
}

impl Progress {
    /// Of a lead that was never dialled.
    pub fn new() -> Self {
        Self { state: LeadState::New, tries: Vec::new() }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

/// What an outcome means for redialling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    /// A person was talked to.
    Reached,
    /// Not reached; counts against the limit of this class.
    Retried(RetryClass),
    /// Not reached, and dialling again makes no sense.
    Never,
}

/// The classes of failure that have limits and intervals of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryClass {
    /// «Нет ответа».
    NoAnswer,
    /// «Занято».
    Busy,
    /// «Отклонён».
    Rejected,
    /// «Системный».
    System,
    /// An answering machine.
    Machine,
}

impl RetryClass {
    /// The name in the console.
    pub fn title(self) -> &'static str {
        match self {
            Self::NoAnswer => "Нет ответа",
            Self::Busy => "Занято",
            Self::Rejected => "Отклонён",
            Self::System => "Системный",
            Self::Machine => "Автоответчик",
        }
    }
}

/// What a finished attempt means for redialling.
///
/// An answer reaches the lead unless a machine gave it, nothing was played, or the scenario broke: the person has heard
/// nothing of what the call was for then.
pub fn meaning(record: &AttemptRecord) -> Meaning {
    match &record.outcome {
        // The scenario may have set its result before anybody knew to whom it spoke.
        Outcome::Answered { .. } if record.machine => Meaning::Retried(RetryClass::Machine),
        Outcome::Answered { result: TalkEnd::System(result) } => match result {
            SystemResult::Machine => Meaning::Retried(RetryClass::Machine),
            SystemResult::NothingPlayed | SystemResult::SystemError => Meaning::Retried(RetryClass::System),
            _ => Meaning::Reached,
        },
        Outcome::Answered { result: TalkEnd::Scenario(_) } => Meaning::Reached,
        Outcome::NoAnswer => Meaning::Retried(RetryClass::NoAnswer),
        Outcome::Busy => Meaning::Retried(RetryClass::Busy),
        Outcome::Rejected => Meaning::Retried(RetryClass::Rejected),
        Outcome::SystemError { .. } | Outcome::Unknown { .. } => Meaning::Retried(RetryClass::System),
        Outcome::NoSuchNumber | Outcome::Blacklisted => Meaning::Never,
    }
}

/// Where a lead with these numbers stands after an attempt that meant so much. It depends on nothing but its arguments, so
/// that a crash cannot change it.
#[must_use]
pub fn after(
    progress: &Progress,
    record: &AttemptRecord,
    meaning: Meaning,
    rules: &RetryRules,
    numbers: &[PhoneNumber],
) -> Progress {
    let mut tries = progress.tries.clone();
    let number = record.number.clone();
    tries.push(Try { attempt: record.attempt.clone(), number, meaning, at: record.ended_at });
    let state = rotation(&tries, rules, numbers).state();
    Progress { state, tries }
}

/// Whose turn it is among a lead's numbers after these tries. A try at a number that is on the card no more does not
/// count, but for an answer.
pub fn rotation(tries: &[Try], rules: &RetryRules, numbers: &[PhoneNumber]) -> Rotation {
    let mut rotation = Rotation::new(*rules, numbers.len());
    for one in tries {
        // Tries of before numbers were kept with them are those of the first.
        let number = one.number.as_ref().map_or(Some(0), |number| numbers.iter().position(|n| n == number));
        match number.filter(|number| *number < numbers.len()) {
            Some(number) => drop(rotation.record(number, one.meaning, one.at)),
            None if one.meaning == Meaning::Reached => rotation.reach(),
            None => {}
        }
    }
    rotation
}

#[cfg(test)]
mod tests {
    use zvonar_model::{Direction, MediaReport, Phases, RECORD_VERSION, TenantId, Trace};

    use super::*;

    fn record(outcome: Outcome, machine: bool) -> AttemptRecord {
        AttemptRecord {
            version: RECORD_VERSION,
            attempt: AttemptId::new("a1").unwrap(),
            tenant: TenantId::new("acme").unwrap(),
            project: None,
            lead: None,
            direction: Direction::Outbound,
            number: None,
            peer: String::new(),
            trunk: None,
            started_at: UnixMillis(1_000),
            answered_at: outcome.is_answered().then_some(UnixMillis(5_000)),
            ended_at: UnixMillis(9_000),
            post_dial_delay: None,
            phases: Phases::default(),
            outcome,
            machine,
            sip_code: None,
            keys: String::new(),
            answers: Vec::new(),
            transfers: Vec::new(),
            sms: Vec::new(),
            scenario: None,
            media: MediaReport::default(),
            recording: None,
            trace: Trace::default(),
        }
    }

    #[test]
    fn only_a_person_who_heard_something_counts_as_reached() {
        use Meaning::{Never, Reached, Retried};
        let scenario = Outcome::Answered { result: TalkEnd::Scenario("Согласен".into()) };
        let table = [
            (scenario, Reached),
            (Outcome::answered(SystemResult::Connected), Reached),
            (Outcome::answered(SystemResult::NotHeardOut), Reached),
            (Outcome::answered(SystemResult::Lost), Reached),
            (Outcome::answered(SystemResult::OperatorNoAnswer), Reached),
            (Outcome::answered(SystemResult::OperatorBusy), Reached),
            (Outcome::answered(SystemResult::OperatorDeclined), Reached),
            (Outcome::answered(SystemResult::NoResult), Reached),
            (Outcome::answered(SystemResult::Machine), Retried(RetryClass::Machine)),
            (Outcome::answered(SystemResult::NothingPlayed), Retried(RetryClass::System)),
            (Outcome::answered(SystemResult::SystemError), Retried(RetryClass::System)),
            (Outcome::NoAnswer, Retried(RetryClass::NoAnswer)),
            (Outcome::Busy, Retried(RetryClass::Busy)),
            (Outcome::Rejected, Retried(RetryClass::Rejected)),
            (Outcome::SystemError { why: "x".into() }, Retried(RetryClass::System)),
            (Outcome::Unknown { code: 302 }, Retried(RetryClass::System)),
            (Outcome::NoSuchNumber, Never),
            (Outcome::Blacklisted, Never),
        ];
        for (outcome, expected) in table {
            let record = record(outcome, false);
            assert_eq!(meaning(&record), expected, "{:?}", record.outcome);
        }
    }

    /// A scenario that sets its result first and talks afterwards made every answering machine a reached person.
    #[test]
    fn a_machine_is_not_reached_whatever_the_scenario_said_of_the_call() {
        let outcome = Outcome::Answered { result: TalkEnd::Scenario("Согласен".into()) };
        let number = PhoneNumber::parse("+79000000001").unwrap();
        let rules = RetryRules::default();
        let record = record(outcome, true);
        let after = after(&Progress::new(), &record, meaning(&record), &rules, &[number]);
        assert_eq!(after.tries[0].meaning, Meaning::Retried(RetryClass::Machine));
        assert_eq!(after.state, LeadState::Unreached);
    }

    #[test]
    fn a_state_is_read_as_it_is_written() {
        for (state, text) in [
            (LeadState::New, r#"{"is":"new"}"#),
            (LeadState::Again { due: UnixMillis(7) }, r#"{"is":"again","due":7}"#),
            (LeadState::Reached, r#"{"is":"reached"}"#),
            (LeadState::Unreached, r#"{"is":"unreached"}"#),
        ] {
            assert_eq!(serde_json::to_string(&state).unwrap(), text);
            assert_eq!(serde_json::from_str::<LeadState>(text).unwrap(), state);
        }
        assert!(serde_json::from_str::<LeadState>(r#"{"is":"again"}"#).is_err(), "when is not known");
    }

    #[test]
    fn a_finished_lead_is_never_due() {
        assert_eq!(LeadState::New.due(), Some(UnixMillis(0)));
        assert_eq!(LeadState::Again { due: UnixMillis(7) }.due(), Some(UnixMillis(7)));
        assert!(LeadState::Reached.is_finished() && LeadState::Unreached.is_finished());
        assert_eq!(LeadState::Again { due: UnixMillis(7) }.to_string(), "позвоним ещё раз");
    }
}
