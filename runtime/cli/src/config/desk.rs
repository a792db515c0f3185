//! Operators' telephones, and what a tenant sets for those who wait for an operator. Operators themselves are no part of
//! the configuration: they are data, made while the host runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use zvonar_desk::{AfterMisses, Group, Settings, Status};
use zvonar_model::{Millis, TrunkId};

use super::reader::Section;

/// The realm that telephones are asked by when nobody says.
const USUAL_REALM: &str = "zvonar";

/// The longest time for writing down after a talk, in seconds.
const LONGEST_WRAP_UP_S: u64 = 1_800;

/// Operators' telephones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Phones {
    /// What they are asked by. Passwords are stored as digests made for it, so with another one all are set anew.
    pub(crate) realm: String,
}

impl Default for Phones {
    fn default() -> Self {
        Self { realm: USUAL_REALM.into() }
    }
}

/// What a tenant sets for his desk, and for handing callers over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TenantDesk {
    /// Whether the configuration has a section for it.
    pub(crate) given: bool,
    /// The rules of who gets the call.
    pub(crate) settings: Settings,
    /// What those who wait are told, as WAV files; `None`: they hear music alone.
    pub(crate) sounds: Option<PathBuf>,
    /// By which trunk callers who came in are handed to external numbers; `None`: the first.
    pub(crate) transfer_trunk: Option<TrunkId>,
    /// External numbers to which an operator may hand a caller on from his telephone, by their beginnings.
    pub(crate) operators_may_call: Vec<String>,
    /// Calls to external numbers at a time.
    pub(crate) transfers_at_once: u32,
    /// Calls to external numbers begun in any hour.
    pub(crate) transfers_per_hour: u32,
    /// Whether projects dial fewer lines while their callers wait.
    pub(crate) follow_queue: bool,
}

impl Default for TenantDesk {
    fn default() -> Self {
        Self {
            given: false,
            settings: Settings::default(),
            sounds: None,
            transfer_trunk: None,
            operators_may_call: Vec::new(),
            transfers_at_once: 10,
            transfers_per_hour: 100,
            follow_queue: true,
        }
    }
}

/// `[phones]`.
pub(super) fn phones(section: Section<'_>) -> Phones {
    let realm = section.text::<String>("realm", "1 to 64 letters, digits, dots and dashes");
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@');
    if let Some(realm) = &realm
        && (realm.is_empty() || realm.len() > 64 || !realm.chars().all(plain))
    {
        section.fault("realm", "telephones compare it letter by letter: 1 to 64 of a-z A-Z 0-9 . - _ @");
    }
    section.finish();
    realm.map_or_else(Phones::default, |realm| Phones { realm })
}

/// `[tenant.desk]`; what is absent stays at its default.
pub(super) fn desk(section: Section<'_>, folder: &Path) -> TenantDesk {
    let usual = Settings::default();
    let seconds = |key, range: std::ops::RangeInclusive<i64>, usual: Millis| {
        let default = i64::try_from(usual.0 / 1000).unwrap_or(i64::MAX);
        Millis(section.number(key, range, default).unsigned_abs() * 1000)
    };
    let ring = seconds("ring_s", 5..=120, usual.ring);
    let wrap_up = seconds("wrap_up_s", 0..=LONGEST_WRAP_UP_S as i64, usual.wrap_up);
    let rest = seconds("rest_s", 0..=3_600, usual.rest);
    // A registration lasts five minutes at most: with less than that, a restart of the host sends everybody home.
    let lost_phone = seconds("lost_phone_s", 300..=86_400, usual.lost_phone);
    let tell_every = seconds("tell_every_s", 0..=3_600, Millis(0));
    let most_callers = section.number("most_callers", 1..=10_000, usual.most_callers.into());
    let misses = section.number("misses", 0..=100, 3);
    let after = section.text("after_misses", "break or offline").unwrap_or(Status::Break);
    if !matches!(after, Status::Break | Status::Offline) {
        section.fault("after_misses", "who does not take his calls goes on a `break`, or `offline`");
    }
    let mut wrap_up_of = BTreeMap::new();
    for (name, value) in section.settings("wrap_up_of") {
        match (Group::new(&name), value.parse::<u64>()) {
            (Ok(group), Ok(seconds @ ..=LONGEST_WRAP_UP_S)) => {
                wrap_up_of.insert(group, Millis(seconds * 1000));
            }
            (Ok(_), _) => section.fault(
                "wrap_up_of",
                format!(
                    "{name} is `{value}`; allowed: a whole number of seconds from 0 to {LONGEST_WRAP_UP_S}"
                ),
            ),
            (Err(why), _) => section.fault("wrap_up_of", why),
        }
    }
    let sounds = section.text::<PathBuf>("sounds", "a folder of WAV files").map(|path| folder.join(path));
    let transfer_trunk = section.text("transfer_trunk", "the id of a [[trunk]]");
    let operators_may_call: Vec<String> = section.texts("operators_may_call", "how numbers begin, as +7495");
    let plain = |text: &String| {
        text.strip_prefix('+')
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    };
    if let Some(wrong) = operators_may_call.iter().find(|text| !plain(text)) {
        section.fault("operators_may_call", format!("`{wrong}` begins no number; write it as +7495"));
    }
    let transfers_at_once = section.number("transfers_at_once", 0..=10_000, 10) as u32;
    let transfers_per_hour = section.number("transfers_per_hour", 0..=100_000, 100) as u32;
    let follow_queue = section.switch("follow_queue", true);
    section.finish();
    let settings = Settings {
        ring,
        wrap_up,
        wrap_up_of,
        rest,
        after_misses: u32::try_from(misses)
            .ok()
            .filter(|misses| *misses > 0)
            .map(|in_a_row| AfterMisses { in_a_row, status: after }),
        lost_phone,
        most_callers: u32::try_from(most_callers).unwrap_or(u32::MAX),
        tell_every: Some(tell_every).filter(|every| every.0 > 0),
    };
    TenantDesk {
        given: false,
        settings,
        sounds,
        transfer_trunk,
        operators_may_call,
        transfers_at_once,
        transfers_per_hour,
        follow_queue,
    }
}
