//! `[tenant.desk]`: the queue for operators, what callers hear there, and where they may be handed over to.

use std::ops::Range;
use std::path::{Path, PathBuf};

use zvonar_desk::{AfterMisses, Group, Status};
use zvonar_dialer::desks::{DeskSettings, TransferRules};
use zvonar_model::{Millis, TrunkId};

use super::NAME;
use super::reader::Section;

/// How often callers are told their place when there are sounds for it and nobody says.
const TOLD_EVERY_S: i64 = 30;

/// What a tenant's desk is like.
#[derive(Debug, Clone, Default)]
pub(crate) struct Desk {
    /// All but the sounds, which are in files.
    pub(crate) settings: DeskSettings,
    /// The folder of what callers hear in the queue.
    pub(crate) sounds: Option<PathBuf>,
    /// Where the trunk for external numbers stands in the file.
    pub(super) trunk_at: Range<usize>,
}

/// What is absent stays at its default.
pub(super) fn desk(section: Section<'_>, folder: &Path) -> Desk {
    let mut desk = Desk::default();
    let queue = &mut desk.settings.queue;
    let seconds = |key, range, default: Millis| {
        let read = section.number(key, range, i64::try_from(default.0 / 1_000).unwrap_or(0));
        Millis(read.unsigned_abs() * 1_000)
    };
    desk.sounds =
        section.text::<PathBuf>("sounds", "a folder of WAV files").map(|path| folder.join(path));
    queue.ring = seconds("ring_s", 5..=120, queue.ring);
    queue.wrap_up = seconds("wrap_up_s", 0..=1_800, queue.wrap_up);
    queue.rest = seconds("rest_s", 0..=600, queue.rest);
    for (group, wrap_up) in section.settings("wrap_up_of") {
        match (Group::new(&group), wrap_up.parse::<u64>()) {
            (Ok(group), Ok(wrap_up @ 0..=1_800)) => {
                queue.wrap_up_of.insert(group, Millis(wrap_up * 1_000));
            }
            (Err(why), _) => section.fault("wrap_up_of", why),
            (Ok(group), _) => {
                section.fault("wrap_up_of", format!("`{group}` is {wrap_up}; allowed: 0 to 1800 seconds"));
            }
        }
    }
    let usual = queue.after_misses.map_or(0, |after| after.in_a_row);
    let in_a_row = section.number("misses", 0..=100, usual.into()) as u32;
    queue.after_misses = (in_a_row > 0).then_some(AfterMisses { in_a_row, status: Status::Break });
    queue.most_callers = section.number("most_callers", 1..=10_000, queue.most_callers.into()) as u32;
    let told = if desk.sounds.is_some() { TOLD_EVERY_S } else { 0 };
    let told = section.number("tell_every_s", 0..=600, told).unsigned_abs();
    queue.tell_every = (told > 0).then_some(Millis(told * 1_000));
    let usual = TransferRules::default();
    desk.trunk_at = section.place_of("transfer_trunk");
    desk.settings.transfers = TransferRules {
        trunk: section.text::<TrunkId>("transfer_trunk", NAME),
        operators_may_call: numbers(&section),
        at_once: section.number("external_calls", 0..=10_000, usual.at_once.into()) as u32,
        per_hour: section.number("external_per_hour", 0..=1_000_000, usual.per_hour.into()) as u32,
        silent_start: seconds("silent_start_s", 0..=600, usual.silent_start.into()).into(),
    };
    section.finish();
    desk
}

/// The beginnings of numbers to which operators may hand callers on.
fn numbers(section: &Section<'_>) -> Vec<String> {
    let beginnings: Vec<String> =
        section.texts("operators_may_call", "the beginning of numbers, as \"+7495\"");
    for beginning in &beginnings {
        let digits = beginning.strip_prefix("+7");
        if !digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit())) {
            section.fault("operators_may_call", format!("`{beginning}` should begin with +7 and be digits"));
        }
    }
    beginnings
}
