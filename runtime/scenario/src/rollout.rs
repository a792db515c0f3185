//! The rules of a rollout: who gets the canary, and when a new version is worse than the one before it.
//!
//! Pure functions over numbers. [`crate::Registry`] counts, and whoever keeps the versions acts on what [`judge`] says.
//!
//! # The numbers of the automatic rollback
//!
//! | what | number |
//! |---|---|
//! | all of the first calls fail | [`FIRST_CALLS`]: 5 of 5, with nobody else burned |
//! | fewest calls before shares are compared | [`FEWEST_CALLS`]: 20 |
//! | fewest failures for a verdict | [`FEWEST_FAULTS`]: 3 |
//! | failures rise by more than | [`FAULTS_RISE`]: 5 percentage points |
//! | «Без результата» rises by more than | [`WITHOUT_RESULT_RISE`]: 15 percentage points |
//! | and by more standard errors than | [`STANDARD_ERRORS`]: 4, as a verdict is sought after every call |
//! | calls after which a version is trusted | [`TRUSTED_AFTER`]: 500 |
//!
//! A version before of which fewer than 20 calls are known counts as one with 100 calls and no failure; «Без результата»
//! is not compared with it, since there are scenarios that name no results.

use std::fmt;

use zvonar_model::AttemptId;

/// When all of so many first calls fail, nothing more is waited for.
pub const FIRST_CALLS: u32 = 5;
/// Shares of fewer calls are not compared.
pub const FEWEST_CALLS: u32 = 20;
/// Fewer failures than this are an accident.
pub const FEWEST_FAULTS: u32 = 3;
/// How far the share of failures may rise.
pub const FAULTS_RISE: f64 = 0.05;
/// How far the share of calls without a result may rise.
pub const WITHOUT_RESULT_RISE: f64 = 0.15;
/// How many standard errors of the difference a rise must have.
pub const STANDARD_ERRORS: f64 = 4.0;
/// After so many calls a version is no longer judged.
pub const TRUSTED_AFTER: u32 = 500;

/// What a version before counts as when too little is known of it.
const UNMEASURED: Health = Health { calls: 100, faults: 0, without_result: 0 };

/// What became of the answered calls of one version. Counted when a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    /// Sessions that ended.
    pub calls: u32,
    /// Those that failed: a trap, a spent limit, an error returned.
    pub faults: u32,
    /// Those that ended by themselves, with somebody there, and named no result.
    pub without_result: u32,
}

/// What one session adds to the [`Health`] of its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sample {
    /// It failed.
    pub fault: bool,
    /// It named no result, though somebody was there.
    pub without_result: bool,
}

/// What is to be done with a new version.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// Too few calls to say anything.
    TooEarly,
    /// No worse than the one before, as far as can be seen.
    Sound,
    /// It has served so many calls that it is judged no more.
    Trusted,
    /// Worse: go back.
    Worse(Worse),
}

/// Why a version is worse. `Display` is the sentence that stands in the history of the versions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Worse {
    /// All of its first calls failed.
    AllFail {
        /// How many.
        calls: u32,
    },
    /// More of its calls fail.
    Faults {
        /// Of the version before.
        before: Share,
        /// Of this one.
        now: Share,
    },
    /// More of its calls end without a result.
    WithoutResult {
        /// Of the version before.
        before: Share,
        /// Of this one.
        now: Share,
    },
}

/// So many of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// How many.
    pub some: u32,
    /// Of how many.
    pub of: u32,
}

impl Share {
    fn value(self) -> f64 {
        if self.of == 0 { 0.0 } else { f64::from(self.some) / f64::from(self.of) }
    }

    /// Whether the other share is larger by more than `least`, and by more than chance would have it.
    fn rises_to(self, now: Self, least: f64) -> bool {
        let rise = now.value() - self.value();
        let pooled = Share { some: self.some + now.some, of: self.of + now.of }.value();
        let spread = 1.0 / f64::from(self.of.max(1)) + 1.0 / f64::from(now.of.max(1));
        let standard_error = (pooled * (1.0 - pooled) * spread).sqrt();
        rise > least && rise > STANDARD_ERRORS * standard_error
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} ({:.0} %)", self.some, self.of, 100.0 * self.value())
    }
}

impl fmt::Display for Worse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllFail { calls } => write!(f, "all of its first {calls} calls failed"),
            Self::Faults { before, now } => {
                write!(f, "{now} of its calls failed; of the version before {before}")
            }
            Self::WithoutResult { before, now } => {
                write!(f, "{now} of its calls ended without a result; of the version before {before}")
            }
        }
    }
}

impl Health {
    /// The same with one more call.
    pub fn with(self, sample: Sample) -> Self {
        Self {
            calls: self.calls.saturating_add(1),
            faults: self.faults.saturating_add(u32::from(sample.fault)),
            without_result: self.without_result.saturating_add(u32::from(sample.without_result)),
        }
    }

    fn failed(self) -> Share {
        Share { some: self.faults, of: self.calls }
    }

    fn no_result(self) -> Share {
        Share { some: self.without_result, of: self.calls }
    }
}

/// Compares a new version with the one before it. See the module for the numbers.
pub fn judge(before: Health, now: Health) -> Verdict {
    if now.calls >= FIRST_CALLS && now.faults == now.calls {
        return Verdict::Worse(Worse::AllFail { calls: now.calls });
    }
    if now.calls < FEWEST_CALLS {
        return Verdict::TooEarly;
    }
    let measured = before.calls >= FEWEST_CALLS;
    let before = if measured { before } else { UNMEASURED };
    if now.faults >= FEWEST_FAULTS && before.failed().rises_to(now.failed(), FAULTS_RISE) {
        return Verdict::Worse(Worse::Faults { before: before.failed(), now: now.failed() });
    }
    if measured && before.no_result().rises_to(now.no_result(), WITHOUT_RESULT_RISE) {
        return Verdict::Worse(Worse::WithoutResult { before: before.no_result(), now: now.no_result() });
    }
    if now.calls >= TRUSTED_AFTER { Verdict::Trusted } else { Verdict::Sound }
}

/// The lot of an attempt, 0 to 99: it gets the canary when that has more percent than this. The same attempt draws the
/// same for ever, so a call can be explained afterwards.
pub fn draw(attempt: &AttemptId) -> u8 {
    // FNV-1a: any hash whose low bits depend on all of the id will do, and it must never change.
    let hash = attempt.as_str().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    ((hash >> 32) % 100) as u8
}

#[cfg(test)]
mod tests {
    use zvonar_model::UnixMillis;

    use super::*;

    fn health(calls: u32, faults: u32, without_result: u32) -> Health {
        Health { calls, faults, without_result }
    }

    #[test]
    fn a_version_is_judged_by_the_table() {
        let good = health(200, 1, 20);
        let table = [
            // Nothing is said of four calls, whatever they were; five that all fail are enough.
            (good, health(4, 4, 0), "too early"),
            (good, health(5, 5, 0), "all of its first 5 calls failed"),
            (good, health(6, 5, 0), "too early"),
            (good, health(19, 10, 10), "too early"),
            // Two failures are an accident; three of twenty are not, where one of two hundred was usual.
            (good, health(20, 2, 2), "sound"),
            (
                good,
                health(20, 3, 2),
                "3 of 20 (15 %) of its calls failed; of the version before 1 of 200 (0 %)",
            ),
            // A scenario that always failed a little is not worse for failing a little.
            (health(200, 20, 0), health(20, 4, 0), "sound"),
            (health(200, 20, 0), health(100, 12, 0), "sound"),
            (
                health(200, 20, 0),
                health(100, 30, 0),
                "30 of 100 (30 %) of its calls failed; of the version before 20 of 200 (10 %)",
            ),
            // Calls without a result: a rise that chance explains, one that it does not.
            (health(200, 0, 40), health(20, 0, 8), "sound"),
            (
                health(200, 0, 40),
                health(20, 0, 12),
                "12 of 20 (60 %) of its calls ended without a result; of the version before 40 of 200 (20 %)",
            ),
            // Nothing is known of the version before: failures count, missing results do not.
            (Health::default(), health(40, 0, 40), "sound"),
            (
                health(19, 19, 0),
                health(20, 4, 20),
                "4 of 20 (20 %) of its calls failed; of the version before 0 of 100 (0 %)",
            ),
            // Five hundred good calls, and it is judged no more.
            (good, health(499, 2, 50), "sound"),
            (good, health(500, 2, 50), "trusted"),
        ];
        for (before, now, expected) in table {
            let told = match judge(before, now) {
                Verdict::TooEarly => "too early".to_owned(),
                Verdict::Sound => "sound".to_owned(),
                Verdict::Trusted => "trusted".to_owned(),
                Verdict::Worse(why) => why.to_string(),
            };
            assert_eq!(told, expected, "{before:?} then {now:?}");
        }
    }

    /// A verdict is sought after every call: a version that is as good as the one before must survive all of them.
    #[test]
    fn a_version_that_is_as_good_is_hardly_ever_rolled_back() {
        let mut state = 1_u64;
        let mut chance = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / f64::from(1_u32 << 31)
        };
        let mut rolled_back = 0;
        for _ in 0..1_000 {
            let mut sample = || Sample { fault: chance() < 0.02, without_result: chance() < 0.3 };
            let before = (0..300).fold(Health::default(), |health, _| health.with(sample()));
            let mut now = Health::default();
            while now.calls < TRUSTED_AFTER {
                now = now.with(sample());
                if let Verdict::Worse(_) = judge(before, now) {
                    rolled_back += 1;
                    break;
                }
            }
        }
        assert!(rolled_back <= 20, "{rolled_back} of 1000 good versions were rolled back");
    }

    #[test]
    fn a_draw_is_the_same_for_ever_and_falls_evenly() {
        let attempt = |n: u64| {
            AttemptId::fresh(UnixMillis(1_772_000_000_000 + n as i64), n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        };
        assert_eq!(draw(&AttemptId::new("a").unwrap()), draw(&AttemptId::new("a").unwrap()));
        let below = |percent: u8| (0..10_000).filter(|n| draw(&attempt(*n)) < percent).count();
        assert_eq!((below(0), below(100)), (0, 10_000));
        assert!((900..=1_100).contains(&below(10)), "{}", below(10));
        assert!((4_800..=5_200).contains(&below(50)), "{}", below(50));
    }
}
