//! What is stored, by table. These types are not what an interface sends.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::de::{self, DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use zvonar_campaign::{
    ConsentEvent, ConsentRule, Consents, LeadState, Progress, ProjectStatus, Purpose, RetryRules,
    USUAL_PRIORITY,
};
use zvonar_ledger::{Balance, CHARGE_VERSION, Charge};
use zvonar_model::{
    AttemptId, AttemptRecord, Kopecks, LeadId, Millis, PhoneNumber, ProjectId, RECORD_VERSION, ScenarioName,
    TrunkId, UnixMillis,
};

/// Something that is stored under a key of its own.
pub(crate) trait Row: Serialize + DeserializeOwned {
    /// The shape that this code writes and the newest that it reads. Fields may be added with a default; a change of
    /// meaning is a new version.
    const VERSION: u16;
}

/// A project: a list, a scenario, and how to dial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Its id.
    pub project: ProjectId,
    /// What people call it.
    pub title: String,
    /// What runs when somebody picks up.
    pub scenario: ScenarioName,
    /// The scenario's settings.
    pub settings: BTreeMap<String, String>,
    /// By which trunk.
    pub trunk: TrunkId,
    /// How many attempts at once.
    pub lines: u32,
    /// How many attempts may start in a second.
    pub calls_per_second: u32,
    /// How long to let it ring.
    pub ring: Millis,
    /// When and how often to dial.
    #[serde(default)]
    pub rules: DialRules,
    /// How many places of its list were given out so far: the positions of all leads are below it.
    #[serde(default)]
    pub leads: u64,
    /// Whether it dials, and if not, why.
    #[serde(default)]
    pub status: ProjectStatus,
    /// Since when it is so.
    #[serde(default = "long_ago")]
    pub since: UnixMillis,
    /// Counts what people have changed of it, from 1: an edit names the version that its author saw.
    #[serde(default = "first")]
    pub version: u64,
    /// 1 to 9: where lines are short, the higher goes first.
    #[serde(default = "usual_priority")]
    pub priority: u8,
    /// When it was made.
    #[serde(default = "long_ago")]
    pub created_at: UnixMillis,
    /// The last call or new contact that was noted, to the day; see [`zvonar_campaign::IDLE`].
    #[serde(default = "long_ago")]
    pub active_at: UnixMillis,
    /// The last edits, oldest first.
    #[serde(default)]
    pub edits: Vec<Edit>,
    /// As the configuration's file had it the last time, if it comes from there: what has changed in the file since then
    /// goes before what was edited here, all else stays.
    #[serde(default)]
    pub file: Option<Box<Project>>,
}

/// An edit of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The project's version after it.
    pub version: u64,
    /// Who made it.
    pub by: String,
    /// When.
    pub at: UnixMillis,
    /// The names of what was changed.
    pub changed: Vec<String>,
}

fn long_ago() -> UnixMillis {
    UnixMillis(0)
}

fn first() -> u64 {
    1
}

fn usual_priority() -> u8 {
    USUAL_PRIORITY
}

impl Project {
    /// How long to let it ring.
    pub fn ring(&self) -> Duration {
        self.ring.into()
    }
}

impl Row for Project {
    const VERSION: u16 = 1;
}

/// Which projects of a tenant are active: written with the project's own row whenever that begins or ceases to be so.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Quota {
    pub(crate) active: BTreeSet<ProjectId>,
}

impl Row for Quota {
    const VERSION: u16 = 1;
}

/// Which run of the program dials a project, and until when unless it says so again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeaseRow {
    pub(crate) epoch: Epoch,
    pub(crate) until: UnixMillis,
}

impl Row for LeaseRow {
    const VERSION: u16 = 1;
}

/// When a project dials, and how often one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DialRules {
    /// Limits and intervals of redialling.
    pub retry: RetryRules,
    /// Calling hours in the lead's own time: `any`, `ru-default`, `fz230`, or windows as
    /// [`Schedule::parse`](zvonar_campaign::Schedule::parse) reads them.
    pub hours: String,
    /// Where a lead lives of whom neither its card nor the register says so: a zone of the tz database.
    pub zone: String,
    /// «Только мобильные»: numbers of cities are left out when leads are added, since a robot talks in vain to a menu.
    #[serde(default)]
    pub only_mobile: bool,
    /// What it calls for; the law sets hours and caps of its own for debts, and forbids a robot that sells.
    #[serde(default)]
    pub purpose: Purpose,
    /// Whether it calls only those who consented to calls of its purpose.
    #[serde(default)]
    pub consent: ConsentRule,
}

impl Default for DialRules {
    /// The limits of the FAQ, 9 to 21, Moscow.
    fn default() -> Self {
        Self {
            retry: RetryRules::default(),
            hours: "ru-default".into(),
            zone: "Europe/Moscow".into(),
            only_mobile: false,
            purpose: Purpose::default(),
            consent: ConsentRule::default(),
        }
    }
}

impl DialRules {
    /// Each number once, at any hour.
    pub fn once() -> Self {
        let retry = RetryRules { max_calls: 1, ..RetryRules::default() };
        Self { retry, hours: "any".into(), ..Self::default() }
    }
}

/// A person to call within a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lead {
    /// Its id.
    pub lead: LeadId,
    /// Where they are called, in order; at least one.
    #[serde(alias = "number", deserialize_with = "one_or_many")]
    pub numbers: Vec<PhoneNumber>,
    /// What is known of them; scenarios read and write it.
    pub fields: BTreeMap<String, String>,
    /// What scenarios noted, oldest first.
    pub notes: Vec<String>,
    /// What people sort leads by.
    #[serde(default)]
    pub tags: BTreeSet<String>,
    /// The place in the list: leads that are due at the same time are dialled by it.
    pub position: u64,
    /// Where it stands.
    pub progress: Progress,
    /// The attempt that is under way; its intent is stored as well.
    pub claim: Option<AttemptId>,
}

/// As much of a [`Lead`] as tells whether it is worth reading whole: most of a long list is finished.
#[derive(Debug, Deserialize)]
pub(crate) struct Glance {
    progress: Progressed,
}

/// A [`Progress`] without its tries.
#[derive(Debug, Deserialize)]
struct Progressed {
    state: LeadState,
}

impl Glance {
    pub(crate) fn state(&self) -> &LeadState {
        &self.progress.state
    }
}

/// Leads had one number once.
fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<PhoneNumber>, D::Error> {
    /// By hand: an untagged enum would keep a copy of everything first, and a list has a million leads.
    struct Numbers;

    impl<'de> Visitor<'de> for Numbers {
        type Value = Vec<PhoneNumber>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number or a list of numbers")
        }

        fn visit_str<E: de::Error>(self, one: &str) -> Result<Self::Value, E> {
            PhoneNumber::deserialize(de::value::StrDeserializer::new(one)).map(|number| vec![number])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut many: A) -> Result<Self::Value, A::Error> {
            let mut numbers = Vec::with_capacity(many.size_hint().unwrap_or(1).min(50));
            while let Some(number) = many.next_element()? {
                numbers.push(number);
            }
            Ok(numbers)
        }
    }

    from.deserialize_any(Numbers)
}

impl Row for Lead {
    const VERSION: u16 = 1;
}

/// One run of the program: tells the claims of a dead one from those of the living.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// An attempt that is under way, stored before the INVITE leaves and gone with the commit that settles it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Which attempt.
    pub attempt: AttemptId,
    /// For which project; `None`: placed by hand.
    pub project: Option<ProjectId>,
    /// To reach whom.
    pub lead: Option<LeadId>,
    /// At which number.
    pub number: PhoneNumber,
    /// By which trunk.
    pub trunk: TrunkId,
    /// Who began it.
    pub epoch: Epoch,
    /// How far it is.
    pub stage: Stage,
    /// The rules of redialling at the time of the claim: by them the lead's next state is worked out, whoever settles.
    #[serde(default)]
    pub rules: RetryRules,
    /// When it is given up if nobody has settled it: its owner is dead then.
    pub lease_until: UnixMillis,
}

/// How far an attempt that is under way has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Stage {
    /// The lead is taken; no INVITE has left.
    Claimed,
    /// An INVITE may have left: the phone may have rung.
    Started {
        /// When.
        at: UnixMillis,
    },
}

impl Row for Intent {
    const VERSION: u16 = 1;
}

impl Row for AttemptRecord {
    const VERSION: u16 = RECORD_VERSION;
}

impl Row for Charge {
    const VERSION: u16 = CHARGE_VERSION;
}

/// When a number was called by the tenant's projects.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct PersonRow {
    /// The starts of the last month, oldest first, as [`zvonar_campaign::with_start`] keeps them.
    pub(crate) starts: Vec<UnixMillis>,
}

impl Row for PersonRow {
    const VERSION: u16 = 1;
}

impl Row for ConsentEvent {
    const VERSION: u16 = 1;
}

/// To what the owner of a number has consented.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ConsentRow {
    pub(crate) number: PhoneNumber,
    pub(crate) consents: Consents,
}

impl Row for ConsentRow {
    const VERSION: u16 = 1;
}

/// A number never to call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// The number; absent in what earlier programs wrote.
    #[serde(default)]
    pub number: Option<PhoneNumber>,
    /// Why.
    pub why: String,
    /// Since when.
    pub since: UnixMillis,
    /// The call in which it was asked for.
    pub attempt: Option<AttemptId>,
}

impl Row for Blocked {
    const VERSION: u16 = 1;
}

/// The balance as far as the journal of charges was folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceRow {
    /// The last charge that is in it, by revision.
    pub cursor: u64,
    /// The fold.
    pub balance: Balance,
    /// By which rule it was folded: what is not by [`BalanceRow::RULE`] is folded anew.
    #[serde(default)]
    pub rule: u16,
}

impl BalanceRow {
    /// The rule by which charges are folded. By rule 0 a call that two external numbers took counted twice.
    pub const RULE: u16 = 1;
}

impl Default for BalanceRow {
    fn default() -> Self {
        Self { cursor: 0, balance: Balance::default(), rule: Self::RULE }
    }
}

/// A payment of a prepaid tenant. Written once and never edited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Payment {
    /// Names it, so that it is noted once.
    pub(crate) id: String,
    /// How much.
    pub(crate) kopecks: Kopecks,
    /// When it was noted.
    pub(crate) at: UnixMillis,
}

impl Row for Payment {
    const VERSION: u16 = 1;
}

/// The payments as far as their journal was folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct PaidRow {
    /// The last payment that is in it, by revision.
    pub(crate) cursor: u64,
    pub(crate) paid: Kopecks,
    pub(crate) payments: u64,
}

impl Row for PaidRow {
    const VERSION: u16 = 1;
}

impl Row for BalanceRow {
    const VERSION: u16 = 1;
}
