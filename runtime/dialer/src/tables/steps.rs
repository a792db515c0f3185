//! The journal of what happened to leads, and of what else a tenant's own programs are told of. Counts and reports are
//! folded from it, so they need not look through all leads and never read the traces of calls; what webhooks tell is
//! folded from it too.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use zvonar_campaign::{LeadStatus, ProjectStatus};
use zvonar_ledger::Charge;
use zvonar_model::{
    AttemptId, AttemptRecord, Direction, Kopecks, LeadId, OperatorId, PhoneNumber, ProjectId, ScenarioRef,
    Transfer, UnixMillis,
};

use super::{Lead, Row};
use crate::operators::Verdict;
use crate::texts::TextStep;

/// Something that happened, mostly to leads: written in the commit that made it so, never edited.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Step {
    /// Leads were added to a project, «ещё не звонили».
    Added {
        /// To which.
        project: ProjectId,
        /// Who, in the order of the list.
        leads: Vec<LeadId>,
    },
    /// An attempt is over.
    Attempt(Box<AttemptStep>),
    /// Leads went out of a project: deleted, or moved to another one, which has an [`Step::Added`] of its own.
    Removed {
        /// Out of which.
        project: ProjectId,
        /// Who, and where each stood.
        leads: Vec<Standing>,
    },
    /// Somebody changed a lead's numbers or fields, or the rules so that its numbers have had their calls.
    Edited {
        /// In which project.
        project: ProjectId,
        /// Whose.
        lead: LeadId,
        /// Its status before and after: new numbers may make a finished lead one to be called.
        moved: (LeadStatus, LeadStatus),
    },
    /// Leads got tags or lost them. Nothing is counted by it, and nobody is called sooner or later for it.
    Tagged {
        /// In which project.
        project: ProjectId,
        /// Whose.
        leads: Vec<LeadId>,
    },
    /// A text message has come further, or was charged.
    Text(Box<TextStep>),
    /// Leads that were in a project before this journal was kept: written once, by the first program that keeps it.
    Found {
        /// In which.
        project: ProjectId,
        /// Who, and where each stood.
        leads: Vec<Standing>,
    },
    /// A project went over to another status.
    State(Box<StateStep>),
    /// An operator gave a call a result of his own; the scenario's stays as it is.
    Judged(Box<Verdict>),
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        /// The only key that says what the others are.
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Tag {
            Is,
        }

        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Kind {
            Added,
            Attempt,
            Removed,
            Edited,
            Tagged,
            Text,
            Found,
            State,
            Judged,
        }

        #[derive(Deserialize)]
        struct Many<L> {
            project: ProjectId,
            leads: Vec<L>,
        }

        #[derive(Deserialize)]
        struct One {
            project: ProjectId,
            lead: LeadId,
            moved: (LeadStatus, LeadStatus),
        }

        /// By hand: a tagged enum keeps a copy of all its fields until it has seen the tag. Here it is written first, and
        /// the journal has a step for each call.
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Step;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a step, which begins with `is`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Step, A::Error> {
                let Some((Tag::Is, kind)) = map.next_entry()? else {
                    return Err(de::Error::missing_field("is"));
                };
                let rest = MapAccessDeserializer::new(map);
                Ok(match kind {
                    Kind::Added => {
                        let Many { project, leads } = Many::deserialize(rest)?;
                        Step::Added { project, leads }
                    }
                    Kind::Attempt => Step::Attempt(Box::new(AttemptStep::deserialize(rest)?)),
                    Kind::Removed => {
                        let Many { project, leads } = Many::deserialize(rest)?;
                        Step::Removed { project, leads }
                    }
                    Kind::Edited => {
                        let One { project, lead, moved } = One::deserialize(rest)?;
                        Step::Edited { project, lead, moved }
                    }
                    Kind::Tagged => {
                        let Many { project, leads } = Many::deserialize(rest)?;
                        Step::Tagged { project, leads }
                    }
                    Kind::Text => Step::Text(Box::new(TextStep::deserialize(rest)?)),
                    Kind::Found => {
                        let Many { project, leads } = Many::deserialize(rest)?;
                        Step::Found { project, leads }
                    }
                    Kind::State => Step::State(Box::new(StateStep::deserialize(rest)?)),
                    Kind::Judged => Step::Judged(Box::new(Verdict::deserialize(rest)?)),
                })
            }
        }

        from.deserialize_map(Fields)
    }
}

/// A lead and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Which.
    pub lead: LeadId,
    /// Where.
    pub status: LeadStatus,
}

impl Standing {
    pub(crate) fn of(lead: &Lead) -> Self {
        Self { lead: lead.lead.clone(), status: lead.progress.state.status() }
    }
}

/// A project went over to another status: written in the commit that made it so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateStep {
    /// Which project.
    pub project: ProjectId,
    /// What people call it.
    pub title: String,
    /// Where it stood.
    pub before: ProjectStatus,
    /// Where it stands since then.
    pub after: ProjectStatus,
    /// When.
    pub at: UnixMillis,
}

impl Row for Step {
    /// 2: steps that are not of leads. A program that does not know them says so.
    const VERSION: u16 = 2;
}

/// A finished attempt as reports show it: the record without what only an inquiry into one call needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptStep {
    /// Which.
    pub attempt: AttemptId,
    /// For which project; `None`: the call came in, or was placed by hand.
    pub project: Option<ProjectId>,
    /// To reach whom.
    pub lead: Option<LeadId>,
    /// Who called whom.
    pub direction: Direction,
    /// The far end's number, if it has one.
    pub number: Option<PhoneNumber>,
    /// The far end as the network named it.
    pub peer: String,
    /// When it began.
    pub started_at: UnixMillis,
    /// When it was answered, if it was.
    pub answered_at: Option<UnixMillis>,
    /// When it was over.
    pub ended_at: UnixMillis,
    /// «Результат»: the scenario's own, or the system's.
    pub result: String,
    /// Which scenario ran, if one did.
    pub scenario: Option<ScenarioRef>,
    /// All keys that were pressed.
    pub keys: String,
    /// A machine was recognised at the far end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub machine: bool,
    /// Started seconds with the robot.
    pub robot_seconds: u64,
    /// Seconds of talk with whomever the caller was handed to, started ones counted.
    pub talk_seconds: u64,
    /// What it costs; on a page of calls with its text messages, as far as they are charged.
    pub kopecks: Kopecks,
    /// To whom the caller was handed, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transfers: Vec<Transfer>,
    /// How many text messages were decided that are charged by themselves.
    #[serde(default, skip_serializing_if = "is_none")]
    pub texts: u32,
    /// The lead's tags at that time.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The lead's status before and after; `None`: there was no lead, or it was deleted meanwhile.
    pub moved: Option<(LeadStatus, LeadStatus)>,
}

impl AttemptStep {
    /// Of a record and its charge. `lead`: before and after, if the attempt was one of its own.
    pub(crate) fn of(record: &AttemptRecord, charge: &Charge, lead: Option<(&Lead, &Lead)>) -> Self {
        Self {
            attempt: record.attempt.clone(),
            project: record.project.clone(),
            lead: record.lead.clone(),
            direction: record.direction,
            number: record.number.clone(),
            peer: record.peer.clone(),
            started_at: record.started_at,
            answered_at: record.answered_at,
            ended_at: record.ended_at,
            result: record.outcome.title().to_owned(),
            scenario: record.scenario.clone(),
            keys: record.keys.clone(),
            machine: record.machine,
            robot_seconds: charge.robot_seconds,
            talk_seconds: record.phases.talk.seconds_up(),
            kopecks: charge.total,
            transfers: record.transfers.clone(),
            texts: record.sms.iter().filter(|sms| sms.price.is_none()).count() as u32,
            tags: lead.map_or_else(Vec::new, |(before, _)| before.tags.iter().cloned().collect()),
            moved: lead
                .map(|(before, after)| (before.progress.state.status(), after.progress.state.status())),
        }
    }

    /// The employee who talked with the caller last, or who is responsible for the missed call; `None`: nobody.
    pub fn responsible(&self) -> Option<&OperatorId> {
        let talked = self.transfers.iter().rev().find(|one| one.connected && one.operator.is_some());
        talked.or(self.transfers.last())?.operator.as_ref()
    }

    /// Whether the caller was to be handed to an employee, and talked with nobody but the robot.
    pub fn is_lost(&self) -> bool {
        let wanted = self.transfers.iter().any(|one| one.to_operator);
        wanted && !self.machine && !self.transfers.iter().any(|one| one.connected)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes what it asks about by reference")]
fn is_none(count: &u32) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_read_as_it_is_written() {
        let (project, lead) = (ProjectId::new("spring").unwrap(), LeadId::new("anna").unwrap());
        let standing = Standing { lead: lead.clone(), status: LeadStatus::Again };
        let attempt = AttemptStep {
            attempt: AttemptId::new("a1").unwrap(),
            project: Some(project.clone()),
            lead: Some(lead.clone()),
            direction: Direction::Outbound,
            number: PhoneNumber::parse("+79000000001").ok(),
            peer: "+79000000001".into(),
            started_at: UnixMillis(1),
            answered_at: None,
            ended_at: UnixMillis(2),
            result: "Нет ответа".into(),
            scenario: None,
            keys: String::new(),
            machine: false,
            robot_seconds: 0,
            talk_seconds: 0,
            kopecks: Kopecks(0),
            transfers: vec![Transfer { to_operator: true, ..Transfer::default() }],
            texts: 0,
            tags: Vec::new(),
            moved: Some((LeadStatus::New, LeadStatus::Again)),
        };
        let moved = (LeadStatus::Unreached, LeadStatus::New);
        let state = StateStep {
            project: project.clone(),
            title: "Весна".into(),
            before: ProjectStatus::Active,
            after: ProjectStatus::Error { why: "no trunk".into() },
            at: UnixMillis(3),
        };
        let judged = Verdict {
            attempt: AttemptId::new("a1").unwrap(),
            operator: zvonar_model::OperatorId::new("petrova").unwrap(),
            result: "Продано".into(),
            comment: String::new(),
            at: UnixMillis(5),
        };
        for (step, begins) in [
            (
                Step::Added { project: project.clone(), leads: vec![lead.clone()] },
                r#"{"is":"added","project":"spring""#,
            ),
            (Step::Attempt(Box::new(attempt)), r#"{"is":"attempt","attempt":"a1""#),
            (
                Step::Removed { project: project.clone(), leads: vec![standing.clone()] },
                r#"{"is":"removed","project":"spring","leads":[{"lead":"anna","status":"again"}]}"#,
            ),
            (Step::Edited { project: project.clone(), lead: lead.clone(), moved }, r#"{"is":"edited","#),
            (Step::Tagged { project: project.clone(), leads: vec![lead.clone()] }, r#"{"is":"tagged","#),
            (Step::Found { project: project.clone(), leads: vec![standing] }, r#"{"is":"found","#),
            (Step::State(Box::new(state)), r#"{"is":"state","project":"spring""#),
            (Step::Judged(Box::new(judged)), r#"{"is":"judged","attempt":"a1""#),
        ] {
            let text = serde_json::to_string(&step).unwrap();
            assert!(text.starts_with(begins), "{text}");
            assert_eq!(serde_json::from_str::<Step>(&text).unwrap(), step, "{text}");
        }
        for text in [r#"{"project":"spring","is":"added","leads":[]}"#, r#"{"is":"eaten"}"#, "{}"] {
            assert!(serde_json::from_str::<Step>(text).is_err(), "{text}");
        }
    }
}
