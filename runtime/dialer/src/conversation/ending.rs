//! What the end of a call means.

use std::time::Instant;

use zvonar_call::{Ended, Side};
use zvonar_model::{MediaReport, Millis, Outcome, SystemResult, TalkEnd};
use zvonar_switch::clock;

use super::line::Finished;
use super::observed::Observed;

/// How long it has been.
pub(super) fn since(then: Instant) -> Millis {
    clock::now().saturating_duration_since(then).into()
}

/// What crossed the wire.
pub(super) fn media_report(report: &zvonar_media::Report) -> MediaReport {
    MediaReport {
        packets_sent: report.packets_sent,
        packets_heard: report.packets_heard,
        packets_lost: report.packets_lost,
        packets_late: report.packets_late,
        packets_refused: report.packets_refused,
        jitter_us: report.jitter_us,
    }
}

/// How long the whole call took: the leg's own measure from answer to BYE. Its parts are charged.
pub(super) fn whole_time(finished: &Finished, answered: Instant) -> Millis {
    match finished.heard.over.as_ref() {
        // Whole milliseconds, as its parts are told: a call of seven seconds and a few packets' delay is no eight seconds.
        Some(Ended::HungUp { talk, .. } | Ended::Lost { talk }) => {
            Millis(u64::try_from(talk.as_millis()).unwrap_or(u64::MAX))
        }
        _ => since(answered),
    }
}

/// What the line knows better than the session: a machine answered, he was handed over or wanted to be, or nothing was ever
/// heard.
pub(super) fn verdict(result: TalkEnd, heard: &Observed, handed: Option<SystemResult>) -> TalkEnd {
    let far_left = !matches!(&heard.over, Some(Ended::HungUp { by: Side::Near, .. }) | None);
    let unnamed = matches!(
        &result,
        TalkEnd::System(SystemResult::NoResult | SystemResult::Connected | SystemResult::NotHeardOut)
    );
    match (result, handed) {
        (TalkEnd::Scenario(name), _) => TalkEnd::Scenario(name),
        (TalkEnd::System(_), _) if heard.machine.is_some() => TalkEnd::System(SystemResult::Machine),
        (TalkEnd::System(_), Some(handed)) if unnamed => TalkEnd::System(handed),
        (TalkEnd::System(_), _) if !heard.played && far_left => TalkEnd::System(SystemResult::NothingPlayed),
        (other, _) => other,
    }
}

/// What a leg that ended before the answer means, and its SIP code. `far`: where the INVITE went.
pub(super) fn unanswered(how: &Ended, far: &str) -> (Outcome, Option<u16>) {
    let failed = |why: &str| Outcome::SystemError { why: why.into() };
    match how {
        Ended::Refused { code, by: Side::Far, .. } => (Outcome::of_sip_code(*code), Some(*code)),
        Ended::Refused { reason, by: Side::Near, .. } => {
            (failed(&format!("no INVITE could be made: {reason}")), None)
        }
        // Picked up in the moment in which we gave up: he heard nothing, and pays nothing.
        Ended::RangOut | Ended::AnsweredLate => (Outcome::NoAnswer, None),
        Ended::CanceledByFarEnd => (Outcome::NoAnswer, Some(487)),
        Ended::CanceledByUs => (failed("the host was stopped while the telephone rang"), None),
        Ended::Unreachable => {
            (failed(&format!("{far} answers nothing: check the address, and that we may send to it")), None)
        }
        Ended::NoCommonCodec => (Outcome::of_sip_code(488), Some(200)),
        Ended::TooManyCalls => (failed("this host has as many calls as it may"), None),
        Ended::HungUp { .. } | Ended::Lost { .. } => {
            (failed("the call was gone in the moment of its answer"), None)
        }
    }
}
