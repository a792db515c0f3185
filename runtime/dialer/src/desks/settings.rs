//! What a tenant sets for its desk and for handing callers over.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use zvonar_media::{Clip, ClipError, Part, Prompt};
use zvonar_model::{PhoneNumber, TrunkId};

/// The places in the queue that have a clip of their own.
const POSITIONS: std::ops::RangeInclusive<u32> = 1..=9;

/// What a tenant sets for its desk and for handing callers over.
#[derive(Debug, Clone, Default)]
pub struct DeskSettings {
    /// The queue.
    pub queue: zvonar_desk::Settings,
    /// What callers who wait are told.
    pub sounds: Sounds,
    /// Handing over.
    pub transfers: TransferRules,
}

/// How callers may be handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferRules {
    /// By which trunk callers who came in are handed to external numbers; calls that were placed use their own.
    pub trunk: Option<TrunkId>,
    /// External numbers to which an operator may hand a caller on from his telephone, by their beginnings, as `+7495`.
    /// None: to colleagues alone.
    pub operators_may_call: Vec<String>,
    /// Calls to external numbers at a time.
    pub at_once: u32,
    /// Calls to external numbers begun in any hour.
    pub per_hour: u32,
    /// How long the telephone of the other side may say nothing.
    pub silence: SilenceRules,
}

/// How long the telephone of the other side of a talk may say nothing before it is hung up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SilenceRules {
    /// A talk with an operator that falls silent within this time of the pick-up was none: the caller goes back to the
    /// front of the queue. Later, the talk is over.
    pub start: Duration,
    /// For a telephone that has said no packet since it was picked up, and for an operator's that falls silent within
    /// [`Self::start`]; but not for one that leaves silence out, as it has shown. Silence is told after
    /// [`zvonar_media::StreamSettings::silent_wire`], so less than that makes no difference.
    pub short: Duration,
    /// For all others: whoever listens may send nothing for a good while.
    pub long: Duration,
    /// How long it may hold the caller, whatever it says meanwhile. A telephone that died on hold looks like one that is
    /// silent by right, and whoever hears music for so long has been forgotten.
    pub longest_hold: Duration,
}

impl Default for SilenceRules {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(30),
            short: Duration::from_secs(10),
            long: Duration::from_secs(60),
            longest_hold: Duration::from_secs(600),
        }
    }
}

impl Default for TransferRules {
    fn default() -> Self {
        Self {
            trunk: None,
            operators_may_call: Vec::new(),
            at_once: 10,
            per_hour: 100,
            silence: SilenceRules::default(),
        }
    }
}

impl TransferRules {
    /// Whether an operator may hand a caller on to this number from his telephone.
    pub fn operators_may(&self, number: &PhoneNumber) -> bool {
        self.operators_may_call.iter().any(|beginning| number.reveal().starts_with(beginning.as_str()))
    }
}

/// The clips that callers hear who wait: `queue-position-1` to `-9`, and `queue-wait` after each of them. Any may be
/// absent.
#[derive(Debug, Clone, Default)]
pub struct Sounds {
    positions: Arc<BTreeMap<u32, Arc<Clip>>>,
    wait: Option<Arc<Clip>>,
}

impl Sounds {
    /// Reads those of a folder that are there.
    ///
    /// # Errors
    /// All that are there and cannot be heard.
    pub fn load(folder: &Path) -> Result<Self, Vec<ClipError>> {
        let mut faults = Vec::new();
        let mut clip = |name: String| {
            let path = folder.join(name).with_extension("wav");
            if !path.exists() {
                return None;
            }
            match Clip::load(&path) {
                Ok(clip) => Some(Arc::new(clip)),
                Err(fault) => {
                    faults.push(fault);
                    None
                }
            }
        };
        let mut positions = BTreeMap::new();
        for position in POSITIONS {
            if let Some(sound) = clip(format!("queue-position-{position}")) {
                positions.insert(position, sound);
            }
        }
        let wait = clip("queue-wait".into());
        if faults.is_empty() { Ok(Self { positions: Arc::new(positions), wait }) } else { Err(faults) }
    }

    /// Whether there is anything to hear.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty() && self.wait.is_none()
    }

    /// What is said to somebody at this place.
    pub(crate) fn announcement(&self, position: u32) -> Option<Prompt> {
        let clips = self.positions.get(&position).into_iter().chain(&self.wait);
        let parts: Vec<Part> = clips.map(|clip| Part::Clip(Arc::clone(clip))).collect();
        (!parts.is_empty()).then(|| Prompt::new(parts))
    }
}
