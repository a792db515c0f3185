//! Where a project stands, and when it is over by itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use zvonar_model::UnixMillis;

/// How many projects of a tenant may be active at once, unless the host grants it another number.
pub const ACTIVE_PROJECTS: u32 = 5;

/// A project without a call and without a new contact for so long is finished.
pub const IDLE: Duration = Duration::from_secs(14 * 24 * 3600);

/// The priority of a project whose owner has said nothing about it.
pub const USUAL_PRIORITY: u8 = 5;

/// The priorities that there are; where lines are short, the higher number goes first.
pub const PRIORITIES: std::ops::RangeInclusive<u8> = 1..=9;

/// Where a project stands. `Display` and [`ProjectStatus::title`] give the Russian of the console.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum ProjectStatus {
    /// It dials, in its hours.
    Active,
    /// It was not started yet, or somebody has stopped it for a while.
    #[default]
    Paused,
    /// It is over. Starting it again goes on with the leads that are left, those that were added meanwhile included.
    Finished {
        /// What finished it.
        by: Ending,
    },
    /// Nobody can be called before something is mended; then it is started again.
    Error {
        /// What, as a sentence.
        why: String,
    },
}

/// What finished a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// All its leads are finished.
    Done,
    /// [`IDLE`] has passed without a call and without a new contact.
    Idle,
    /// A person.
    Person,
}

impl ProjectStatus {
    /// The name in reports and the console.
    pub fn title(&self) -> &'static str {
        match self {
            Self::Active => "Активен",
            Self::Paused => "Приостановлен",
            Self::Finished { .. } => "Завершён",
            Self::Error { .. } => "Ошибка",
        }
    }

    /// Whether it dials.
    pub fn is_active(&self) -> bool {
        matches!(self, Self::Active)
    }
}

impl std::fmt::Display for ProjectStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.title())
    }
}

/// What an active project comes to whose last sign of life (a start, a call, a new contact) was then. `open`: leads that
/// are not finished. A project that has no leads at all yet waits for them.
pub fn ending(leads: u64, open: u64, last_sign: UnixMillis, now: UnixMillis) -> Option<Ending> {
    if leads > 0 && open == 0 {
        return Some(Ending::Done);
    }
    (last_sign.plus(IDLE) <= now).then_some(Ending::Idle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_ends_with_its_last_lead_or_after_fourteen_days_of_nothing() {
        let day = |days: i64| UnixMillis(days * 24 * 3_600_000);
        let table = [
            (0, 0, day(0), day(13), None),
            (0, 0, day(0), day(14), Some(Ending::Idle)),
            (3, 0, day(0), day(0), Some(Ending::Done)),
            (3, 1, day(0), day(13), None),
            (3, 1, day(0), day(14), Some(Ending::Idle)),
            // A clock that was set back ends nothing.
            (3, 1, day(20), day(1), None),
        ];
        for (leads, open, last, now, expected) in table {
            assert_eq!(ending(leads, open, last, now), expected, "{leads} {open} {last:?} {now:?}");
        }
    }

    #[test]
    fn a_status_is_shown_in_russian() {
        for (status, title) in [
            (ProjectStatus::Active, "Активен"),
            (ProjectStatus::Paused, "Приостановлен"),
            (ProjectStatus::Finished { by: Ending::Done }, "Завершён"),
            (ProjectStatus::Error { why: "the trunk is gone".into() }, "Ошибка"),
        ] {
            assert_eq!(status.to_string(), title);
        }
    }
}
