//! Why a lead is not being dialled at this moment, and when it is next: the rule that holds it, and what each of its
//! numbers has been through. The plan of a project asks the same of all its leads.
//!
//! The rules are those that a run follows, asked in the same order: what is told here is what will be.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;
use zvonar_campaign::{
    Calling, Caps, ConsentRule, Ending, LeadState, Left, Meaning, NumberState, Period, ProjectStatus,
    Purpose, Rotation, rotation,
};
use zvonar_model::{AttemptId, LeadId, PhoneNumber, ProjectId, UnixMillis};

use crate::hours::Hours;
use crate::recovery::Abandoned;
use crate::tables::{Blocked, ConsentRow, Intent, Lead, PersonRow, Project, Read, Tables};
use crate::{DialerError, Pace, Result};

/// How many leads a plan names.
pub const PLANNED: usize = 10;

/// What holds a lead back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "rule")]
pub enum Hold {
    /// Nothing but its turn: it is dialled as soon as the project has come to it.
    Turn,
    /// All lines of the project are taken.
    Lines {
        /// Attempts in progress.
        busy: u32,
        /// How many there may be.
        lines: u32,
    },
    /// Operators cannot keep up: while callers wait for them, fewer lines are dialled, and all of those are taken.
    Queue {
        /// Callers of the project who wait.
        waiting: u32,
        /// How many attempts there may be now.
        lines: u32,
        /// How many there may be when nobody waits.
        of: u32,
    },
    /// It is being dialled now.
    Dialling {
        /// By which attempt.
        attempt: AttemptId,
    },
    /// A run of the program that is dead had it: the next start of the host, or the end of the lease, frees it.
    DeadClaim {
        /// Its attempt.
        attempt: AttemptId,
        /// The end of its lease.
        until: Option<UnixMillis>,
    },
    /// The project is paused.
    Paused,
    /// The project is finished.
    ProjectFinished {
        /// What finished it.
        by: Ending,
    },
    /// The project has stopped with an error, as with a balance that is spent.
    ProjectError {
        /// A sentence.
        why: String,
    },
    /// The interval after the last result of the number whose turn it is.
    Interval {
        /// The end of it.
        until: UnixMillis,
    },
    /// It is not calling time where the lead lives.
    Hours {
        /// The project's hours, as they are written.
        hours: String,
    },
    /// The number was called as often as it may be, by all projects together.
    Cap {
        /// In which period.
        period: Period,
        /// How often it may be.
        limit: u32,
        /// When the period is over.
        until: UnixMillis,
    },
    /// The project calls only those who consented, and nobody did for this number.
    NoConsent {
        /// To calls of which purpose.
        purpose: Purpose,
    },
    /// All numbers that are left are on the blacklist: at its turn it is finished without a call.
    Blacklist {
        /// Why the next of them is.
        why: String,
    },
    /// No number that is left may be dialled: at its turn it is finished without a call.
    Refused {
        /// Why the next of them is not, as «Несуществующий номер».
        why: &'static str,
    },
    /// Somebody answered.
    Reached,
    /// All its numbers have left the rotation.
    Spent,
}

impl Hold {
    /// The rule's name, as it is in JSON.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Turn => "turn",
            Self::Lines { .. } => "lines",
            Self::Queue { .. } => "queue",
            Self::Dialling { .. } => "dialling",
            Self::DeadClaim { .. } => "dead_claim",
            Self::Paused => "paused",
            Self::ProjectFinished { .. } => "project_finished",
            Self::ProjectError { .. } => "project_error",
            Self::Interval { .. } => "interval",
            Self::Hours { .. } => "hours",
            Self::Cap { .. } => "cap",
            Self::NoConsent { .. } => "no_consent",
            Self::Blacklist { .. } => "blacklist",
            Self::Refused { .. } => "refused",
            Self::Reached => "reached",
            Self::Spent => "spent",
        }
    }

    /// What the rule says, in a sentence without its end.
    pub fn sentence(&self) -> String {
        match self {
            Self::Turn => "nothing holds it: it is dialled as soon as the project has come to it".into(),
            Self::Lines { busy, lines } => {
                format!("held by the lines: {busy} of {lines} are taken")
            }
            Self::Queue { waiting, lines, of } => format!(
                "held by the queue for operators: {waiting} callers wait there, so {lines} of {of} lines are dialled, and \
                 they are taken"
            ),
            Self::Dialling { attempt } => format!("it is being dialled now: attempt {attempt}"),
            Self::DeadClaim { attempt, .. } => format!(
                "held by attempt {attempt} of a run that is over: the next start of the host settles it"
            ),
            Self::Paused => "held by the project, which is paused («Приостановлен»)".into(),
            Self::ProjectFinished { by } => {
                let by = match by {
                    Ending::Done => "all its leads are finished",
                    Ending::Idle => "14 days without a call and without a new contact",
                    Ending::Person => "somebody finished it",
                };
                format!("held by the project, which is over («Завершён»): {by}")
            }
            Self::ProjectError { why } => format!("held by the project, which has stopped («Ошибка»): {why}"),
            Self::Interval { .. } => "held by the interval after its last result".into(),
            Self::Hours { hours } => format!("held by the calling hours ({hours}, where the lead lives)"),
            Self::Cap { period, limit, .. } => format!(
                "held by the cap: {limit} calls a {} are the most for one number, over all projects",
                period.title()
            ),
            Self::NoConsent { purpose } => {
                format!("held for want of a consent: the project calls only those who agreed to «{purpose}»")
            }
            Self::Blacklist { why } => {
                format!(
                    "on the blacklist ({why}): it is finished as «Номер из черного списка» without a call"
                )
            }
            Self::Refused { why } => format!("not dialled: «{why}»; it is finished without a call"),
            Self::Reached => "finished: somebody answered".into(),
            Self::Spent => "finished: all its numbers have left".into(),
        }
    }
}

/// What one number of a lead has been through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberStory {
    /// The number; prints itself masked.
    pub number: PhoneNumber,
    /// Its calls and what came of them in a row.
    pub state: NumberState,
    /// Why it is on the blacklist, if it is.
    pub blocked: Option<String>,
    /// Why the numbering plan keeps it from being dialled, if it does.
    pub refused: Option<&'static str>,
}

/// Why a lead is not being dialled, and when next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// Whom it is about.
    pub lead: LeadId,
    /// «позвоним ещё раз» and the like.
    pub status: &'static str,
    /// What holds it: the project if it stands still, else the rule that lets go last.
    pub hold: Hold,
    /// Of a lead whose project stands still: what would hold it if that did not.
    pub behind: Option<Hold>,
    /// The earliest moment of the next call; `None`: none will be as things stand, or it is in progress.
    pub next: Option<UnixMillis>,
    /// The earliest moment that the rules of the lead allow, also if its project stands still.
    pub earliest: Option<UnixMillis>,
    /// The number that is dialled then, by its place on the card.
    pub turn: Option<usize>,
    /// All numbers, in the order of the card.
    pub numbers: Vec<NumberStory>,
}

/// What a project will do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Which project.
    pub project: ProjectId,
    /// Why it stands still, if it does: the times below hold once it does not.
    pub still: Option<Hold>,
    /// The next leads, [`PLANNED`] at most, in the order in which they are dialled.
    pub next: Vec<Planned>,
    /// All others, by the name of the rule that holds them ([`Hold::rule`]); those that only wait their turn too.
    pub others: BTreeMap<&'static str, u64>,
    /// How many leads there are.
    pub leads: u64,
}

/// A lead that is dialled soon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Who.
    pub lead: LeadId,
    /// The earliest moment.
    pub at: UnixMillis,
    /// At which number; prints itself masked.
    pub number: PhoneNumber,
    /// What holds it until then.
    pub hold: Hold,
}

impl Tables {
    /// Explains a lead at this moment. A claim whose lease is over is a dead run's.
    ///
    /// # Errors
    /// [`DialerError::NoProject`] and [`DialerError::NoLead`]; [`DialerError::CannotCall`] for a schedule that cannot be
    /// read.
    pub async fn why(&self, project: &ProjectId, lead: &LeadId, now: UnixMillis) -> Result<Why> {
        self.why_if(project, lead, Abandoned::Expired, now).await
    }

    /// As [`Tables::why`], by whoever knows more of which runs are dead: with a store that no other process has open, all
    /// are.
    pub async fn why_if(
        &self,
        project: &ProjectId,
        lead: &LeadId,
        dead: Abandoned,
        now: UnixMillis,
    ) -> Result<Why> {
        let stored = self.project(project).await?;
        let project = stored.ok_or_else(|| DialerError::NoProject(project.clone()))?;
        let lead =
            self.lead(&project.project, lead).await?.ok_or_else(|| DialerError::NoLead(lead.clone()))?;
        let mut judge = self.judge(&project, dead, now).await?;
        let mut facts = Facts::default();
        let rotation = rotation(&lead.progress.tries, &project.rules.retry, &lead.numbers);
        let mut numbers = Vec::with_capacity(lead.numbers.len());
        for (number, state) in lead.numbers.iter().zip(rotation.numbers()) {
            let blocked = self.blocked(number).await?;
            numbers.push(NumberStory {
                number: number.clone(),
                state: *state,
                blocked: blocked.as_ref().map(|blocked| blocked.why.clone()),
                refused: self.policy.register.check(number).err().map(|refused| refused.title()),
            });
            let digits = digits(number);
            facts.blocked.extend(blocked.map(|row| (digits, (row.why, row.attempt.is_some()))));
            if self.consents(number).await?.allow(project.rules.purpose) {
                facts.consented.insert(digits);
            }
            facts.starts.extend(self.starts(number).await?.map(|read| (digits, read.row.starts)));
        }
        let found = judge.lead(self, &lead, &facts);
        let still = judge.still().filter(|_| !lead.progress.state.is_finished() && lead.claim.is_none());
        let (hold, behind) = match still {
            Some(still) => (still, Some(found.hold)),
            None => (found.hold, None),
        };
        Ok(Why {
            status: lead.progress.state.title(),
            turn: found.turn.filter(|_| found.at.is_some()),
            next: found.at.filter(|_| behind.is_none()),
            earliest: found.at,
            lead: lead.lead,
            hold,
            behind,
            numbers,
        })
    }

    /// What a project will do next. Looks through all its leads.
    ///
    /// # Errors
    /// As [`Tables::why_if`].
    pub async fn plan(&self, project: &ProjectId, dead: Abandoned, now: UnixMillis) -> Result<Plan> {
        let stored = self.project(project).await?;
        let project = stored.ok_or_else(|| DialerError::NoProject(project.clone()))?;
        let mut judge = self.judge(&project, dead, now).await?;
        let facts = self.facts(&project, &judge.caps).await?;
        // The first in the order in which a run takes them: by time, then by place in the list.
        let mut first: BTreeMap<(UnixMillis, u64), Planned> = BTreeMap::new();
        let (mut others, mut leads) = (BTreeMap::new(), 0);
        self.each::<Lead>(&self.keys.leads(&project.project), |read| {
            let lead = read.row;
            leads += 1;
            let found = judge.lead(self, &lead, &facts);
            let Some((at, turn)) = found.at.zip(found.turn) else {
                *others.entry(found.hold.rule()).or_default() += 1;
                return;
            };
            let planned =
                Planned { number: lead.numbers[turn].clone(), lead: lead.lead, at, hold: found.hold };
            first.insert((at, lead.position), planned);
            if first.len() > PLANNED
                && let Some((_, last)) = first.pop_last()
            {
                *others.entry(last.hold.rule()).or_default() += 1;
            }
        })
        .await?;
        Ok(Plan {
            still: judge.still(),
            project: project.project,
            next: first.into_values().collect(),
            others,
            leads,
        })
    }

    async fn judge(&self, project: &Project, dead: Abandoned, now: UnixMillis) -> Result<Judge> {
        let mut attempts = HashMap::new();
        self.each::<Intent>(&self.keys.intents(), |read| {
            if read.row.project.as_ref() == Some(&project.project) {
                let over = match dead {
                    Abandoned::OfOtherRuns(epoch) => read.row.epoch != epoch,
                    Abandoned::Expired => read.row.lease_until < now,
                };
                attempts.insert(read.row.attempt, (over, read.row.lease_until));
            }
        })
        .await?;
        Ok(Judge {
            hours: Hours::new(&project.rules, &self.policy.register)?,
            caps: self.caps(&project.rules),
            project: project.clone(),
            busy: attempts.values().filter(|(over, _)| !over).count() as u32,
            pace: self.policy.paces.of(self.tenant(), &project.project),
            attempts,
            now,
        })
    }

    /// All that is known of numbers, read once for a whole list.
    async fn facts(&self, project: &Project, caps: &Caps) -> Result<Facts> {
        let mut facts = Facts::default();
        self.each_keyed(&self.keys.all_blocked(), |key, read: Read<Blocked>| {
            // Reasons are not told of a million leads.
            let reason = (String::new(), read.row.attempt.is_some());
            facts.blocked.extend(key.parse().ok().map(|digits: u64| (digits, reason)));
        })
        .await?;
        if project.rules.consent == ConsentRule::Required {
            self.each(&self.keys.all_consented(), |read: Read<ConsentRow>| {
                if read.row.consents.allow(project.rules.purpose) {
                    facts.consented.insert(digits(&read.row.number));
                }
            })
            .await?;
        }
        if !caps.is_none() {
            self.each_keyed(&self.keys.persons(), |key, read: Read<PersonRow>| {
                facts.starts.extend(key.parse().ok().map(|digits: u64| (digits, read.row.starts)));
            })
            .await?;
        }
        Ok(facts)
    }
}

/// What is known of numbers, by their digits.
#[derive(Debug, Default)]
struct Facts {
    /// Why, and whether somebody asked for it in a call.
    blocked: HashMap<u64, (String, bool)>,
    /// Those whose owners consented to the project's purpose.
    consented: HashSet<u64>,
    starts: HashMap<u64, Vec<UnixMillis>>,
}

/// Fifteen digits at most.
fn digits(number: &PhoneNumber) -> u64 {
    number.digits().parse().expect("a phone number has 7 to 15 digits")
}

/// What a project's rules say of leads at one moment.
struct Judge {
    project: Project,
    hours: Hours,
    caps: Caps,
    /// The project's attempts in progress: whether their run is dead, and when their lease is over.
    attempts: HashMap<AttemptId, (bool, UnixMillis)>,
    busy: u32,
    /// What the queue for operators leaves of the lines; `None`: all.
    pace: Option<Pace>,
    now: UnixMillis,
}

/// What they say of one.
struct Found {
    hold: Hold,
    at: Option<UnixMillis>,
    turn: Option<usize>,
}

impl Judge {
    /// Why the project stands still, if it does.
    fn still(&self) -> Option<Hold> {
        match &self.project.status {
            ProjectStatus::Active => None,
            ProjectStatus::Paused => Some(Hold::Paused),
            ProjectStatus::Finished { by } => Some(Hold::ProjectFinished { by: *by }),
            ProjectStatus::Error { why } => Some(Hold::ProjectError { why: why.clone() }),
        }
    }

    fn lead(&mut self, tables: &Tables, lead: &Lead, facts: &Facts) -> Found {
        let never = |hold| Found { hold, at: None, turn: None };
        if let Some(attempt) = &lead.claim {
            return never(match self.attempts.get(attempt) {
                Some((false, _)) => Hold::Dialling { attempt: attempt.clone() },
                Some((true, until)) => Hold::DeadClaim { attempt: attempt.clone(), until: Some(*until) },
                None => Hold::DeadClaim { attempt: attempt.clone(), until: None },
            });
        }
        match lead.progress.state {
            LeadState::Reached => return never(Hold::Reached),
            LeadState::Unreached => return never(Hold::Spent),
            LeadState::New | LeadState::Again { .. } => {}
        }
        let mut rotation = rotation(&lead.progress.tries, &self.project.rules.retry, &lead.numbers);
        let asked = lead.numbers.iter().filter_map(|number| facts.blocked.get(&digits(number)));
        let asked = asked.into_iter().find(|(_, in_a_call)| *in_a_call).map(|(why, _)| why.clone());
        // Numbers that must not be called are passed over without a call, each at its turn.
        let mut passed = None;
        let turn = loop {
            let Some(turn) = rotation.next() else {
                return never(passed.unwrap_or(Hold::Spent));
            };
            let number = &lead.numbers[turn];
            let refused = tables.policy.register.check(number).err();
            let blocked =
                facts.blocked.get(&digits(number)).map(|(why, _)| why.clone()).or_else(|| asked.clone());
            let hold = match (refused, blocked) {
                (Some(refused), _) => Hold::Refused { why: refused.title() },
                (None, Some(why)) => Hold::Blacklist { why },
                (None, None) => break turn,
            };
            passed.get_or_insert(hold);
            rotation.record(turn, Meaning::Never, self.now);
        };
        let digits = digits(&lead.numbers[turn]);
        if self.project.rules.consent == ConsentRule::Required && !facts.consented.contains(&digits) {
            return Found {
                turn: Some(turn),
                ..never(Hold::NoConsent { purpose: self.project.rules.purpose })
            };
        }
        let starts = facts.starts.get(&digits).map_or(&[][..], Vec::as_slice);
        let (hold, at) = self.time(lead, &rotation, turn, starts);
        let lines = self.project.lines.max(1);
        let hold = match hold {
            Hold::Turn if self.busy >= lines => Hold::Lines { busy: self.busy, lines },
            Hold::Turn => match self.pace {
                Some(Pace { lines: left, waiting }) if self.busy >= left => {
                    Hold::Queue { waiting, lines: left, of: lines }
                }
                _ => Hold::Turn,
            },
            hold => hold,
        };
        Found { hold, at, turn: Some(turn) }
    }

    /// The rule of time that lets go last, and when it does.
    fn time(
        &mut self,
        lead: &Lead,
        rotation: &Rotation,
        turn: usize,
        starts: &[UnixMillis],
    ) -> (Hold, Option<UnixMillis>) {
        let due = rotation.numbers()[turn].not_before;
        let mut at = due.max(self.now);
        let mut hold = if due > self.now { Hold::Interval { until: due } } else { Hold::Turn };
        let zones = self.hours.zones(lead);
        // A window may open on a day that is capped, and a capped day end at night; periods do not go on for ever.
        loop {
            match self.hours.calling(lead, at) {
                Calling::Open { .. } => {}
                Calling::Closed { opens } => {
                    hold = Hold::Hours { hours: self.project.rules.hours.clone() };
                    let Some(opens) = opens else { return (hold, None) };
                    at = opens;
                }
            }
            let Some(capped) = self.caps.hold(starts, &zones, at) else { return (hold, Some(at)) };
            hold = Hold::Cap { period: capped.period, limit: capped.limit, until: capped.until };
            at = capped.until;
        }
    }
}

impl NumberStory {
    /// What became of the number, in a sentence for whoever asks.
    pub fn sentence(&self, max_calls: u32) -> String {
        let calls = match self.state.calls {
            0 => "not dialled yet".to_owned(),
            1 => "1 call".to_owned(),
            many => format!("{many} calls"),
        };
        let last = match self.state.streak {
            Some((class, count)) => format!(", {count} × «{}» in a row", class.title()),
            None => String::new(),
        };
        let then = match (&self.blocked, self.refused, self.state.left) {
            (Some(why), _, _) => format!("; on the blacklist: {why}"),
            (None, Some(why), _) => format!("; not dialled: {why}"),
            (None, None, Some(Left::MaxCalls)) => {
                format!("; has left: {max_calls} calls are the most for one number")
            }
            (None, None, Some(Left::Limit(_))) => {
                "; has left: the limit of that result is reached".to_owned()
            }
            (None, None, Some(Left::Never)) => {
                "; has left: it does not exist, or must not be called".to_owned()
            }
            (None, None, None) => String::new(),
        };
        format!("{}: {calls}{last}{then}", self.number)
    }
}
