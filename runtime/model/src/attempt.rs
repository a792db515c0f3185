//! The one record that ends each attempt. It is written once and never edited: the lead's next state, the charge and
//! the report are all worked out from it, so any of them can be computed again and comes out the same.

use serde::{Deserialize, Serialize};

use crate::{
    AttemptId, Kopecks, LeadId, Millis, OperatorId, Outcome, PhoneNumber, ProjectId, TenantId, Trace,
    TrunkId, UnixMillis,
};

/// The shape of [`AttemptRecord`] that this code writes. Fields may be added with a default; a change of meaning is a
/// new version.
pub const RECORD_VERSION: u16 = 1;

/// Who called whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// We called.
    Outbound,
    /// We were called.
    Inbound,
}

/// Everything there is to know about a finished attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// [`RECORD_VERSION`] at the time of writing.
    pub version: u16,
    /// Which try this was.
    pub attempt: AttemptId,
    /// Whose it was.
    pub tenant: TenantId,
    /// The project that dialled; `None` for calls that came in or were placed by hand.
    pub project: Option<ProjectId>,
    /// Whom the project meant to reach.
    pub lead: Option<LeadId>,
    /// Who called whom.
    pub direction: Direction,
    /// The far end's number, if it has one: a SIP address that is no number stands in `peer` alone.
    pub number: Option<PhoneNumber>,
    /// The far end as the network named it.
    pub peer: String,
    /// By which trunk.
    pub trunk: Option<TrunkId>,
    /// When the intent was stored, just before the INVITE left (or when theirs came).
    pub started_at: UnixMillis,
    /// When it was answered, if it was.
    pub answered_at: Option<UnixMillis>,
    /// When it was over.
    pub ended_at: UnixMillis,
    /// From our INVITE to the first sign of ringing (180, 183), or to the answer if there was none.
    pub post_dial_delay: Option<Millis>,
    /// How long each part of the answered call took.
    pub phases: Phases,
    /// How it ended.
    pub outcome: Outcome,
    /// A machine was recognised at the far end, whatever the scenario made of the call: the outcome shows the scenario's
    /// words, but neither redialling nor the tariff takes a machine for a person.
    #[serde(default)]
    pub machine: bool,
    /// The last SIP status of the INVITE.
    pub sip_code: Option<u16>,
    /// All keys that were heard, in order.
    pub keys: String,
    /// Answers in words that were recognised; each is billed.
    pub answers: Vec<RecognisedAnswer>,
    /// The transfers that were tried, in order. The first records had one at most.
    #[serde(default, alias = "transfer", deserialize_with = "one_or_many")]
    pub transfers: Vec<Transfer>,
    /// Texts that were decided, in order. What became of each since is told by its own row.
    pub sms: Vec<SentSms>,
    /// Which scenario ran, exactly.
    pub scenario: Option<ScenarioRef>,
    /// What crossed the wire.
    pub media: MediaReport,
    /// The recording's file name, if one was made.
    pub recording: Option<String>,
    /// Every call of the scenario to its host.
    pub trace: Trace,
}

impl AttemptRecord {
    /// An attempt that began at this moment and of which nothing more is known: nobody picked up, nothing was sent.
    pub fn begun(attempt: AttemptId, tenant: TenantId, direction: Direction, started_at: UnixMillis) -> Self {
        Self {
            version: RECORD_VERSION,
            attempt,
            tenant,
            project: None,
            lead: None,
            direction,
            number: None,
            peer: String::new(),
            trunk: None,
            started_at,
            answered_at: None,
            ended_at: started_at,
            post_dial_delay: None,
            phases: Phases::default(),
            outcome: Outcome::NoAnswer,
            machine: false,
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
}

/// The parts of an answered call, measured on the monotonic clock. All zero when nobody picked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Phases {
    /// With the robot: from the answer to the end, without what follows.
    pub robot: Millis,
    /// Waiting for the far ends of transfers.
    pub wait: Millis,
    /// Talking to the far ends of transfers.
    pub talk: Millis,
}

/// One utterance that was recognised.
///
/// What was heard is kept with what was charged for it, so that a doubt can be settled by listening. All but the length
/// came later than the first records: of those nothing more is known.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RecognisedAnswer {
    /// From the first to the last voiced frame.
    pub speech: Millis,
    /// As it was understood, with its case and punctuation.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// The phrase of the question that was found in it, by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phrase: Option<String>,
    /// How well the phrase fits, 0 to 1; without a phrase: how well the best one would have.
    #[serde(default)]
    pub score: f32,
    /// How sure the recogniser was, 0 to 1.
    #[serde(default)]
    pub confidence: f32,
    /// Which model heard it: its name, `@` and its SHA-256.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// The file of its sound, within the host's folder of answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sound: Option<String>,
}

impl RecognisedAnswer {
    /// An answer of which only the length is known.
    pub fn lasting(speech: impl Into<Millis>) -> Self {
        Self { speech: speech.into(), ..Self::default() }
    }
}

/// To whom the caller was handed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Transfer {
    /// An operator of the tenant (`false`: an external number, which costs).
    pub to_operator: bool,
    /// Whether the far end picked up.
    pub connected: bool,
    /// From the scenario's wish to the pick-up, or to the end of the waiting. Zero in the first records.
    #[serde(default)]
    pub wait: Millis,
    /// From the pick-up to the end of the talk; zero in the first records, which have it in [`Phases`] alone.
    #[serde(default)]
    pub talk: Millis,
    /// The operator who talked, or who is responsible for the missed call; `None`: «без ответственного».
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<OperatorId>,
    /// The external number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<PhoneNumber>,
    /// How it ended when nobody talked, as the reports have it: «Оператор занят».
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<String>,
}

/// A text message that was decided in a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredSms")]
pub struct SentSms {
    /// Its id, by which it is asked for; empty where none was ever given away: in rehearsals and in the first records.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// In how many parts it goes out.
    pub segments: u32,
    /// The price of a part, if it was known at the end of the call: then the text is charged with the call. `None`: it is
    /// charged by itself, once whoever sends it has told what it costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Kopecks>,
}

impl SentSms {
    /// A text whose price is known beforehand.
    pub fn priced(segments: u32, price: Kopecks) -> Self {
        Self { id: String::new(), segments, price: Some(price) }
    }
}

/// The first records had the parts and the price of one, and nothing else.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredSms {
    Pair(u32, Kopecks),
    Whole {
        #[serde(default)]
        id: String,
        segments: u32,
        #[serde(default)]
        price: Option<Kopecks>,
    },
}

impl From<StoredSms> for SentSms {
    fn from(stored: StoredSms) -> Self {
        match stored {
            StoredSms::Pair(segments, price) => Self::priced(segments, price),
            StoredSms::Whole { id, segments, price } => Self { id, segments, price },
        }
    }
}

/// What a field of one value that has become a field of many may hold.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    Many(Vec<T>),
    One(Option<T>),
}

fn one_or_many<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(match OneOrMany::deserialize(from)? {
        OneOrMany::Many(many) => many,
        OneOrMany::One(one) => one.into_iter().collect(),
    })
}

/// A scenario, pinned to its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioRef {
    /// The manifest's name.
    pub name: String,
    /// The manifest's version.
    pub version: String,
    /// SHA-256 of the component, in hex.
    pub sha256: String,
}

/// What crossed the wire during a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MediaReport {
    /// RTP packets that left.
    pub packets_sent: u64,
    /// RTP packets of the far end that were taken.
    pub packets_heard: u64,
    /// Holes in the far end's sequence numbers that were never filled.
    pub packets_lost: u64,
    /// Packets that came after their turn or twice.
    pub packets_late: u64,
    /// Packets refused: wrong source, wrong payload type, not RTP.
    pub packets_refused: u64,
    /// Interarrival jitter (RFC 3550 §6.4.1) at the end, in microseconds.
    pub jitter_us: u64,
}
