//! What the desk wants done.

use zvonar_model::{AttemptId, Millis, OperatorId};

use crate::Presence;

/// What the driver shall do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Ring the operator's telephone; the caller goes on waiting.
    Ring {
        /// For whom.
        call: AttemptId,
        /// Whose.
        operator: OperatorId,
    },
    /// His telephone shall be silent. If it was picked up by now, hang up.
    StopRinging {
        /// For whom it rang.
        call: AttemptId,
        /// Whose.
        operator: OperatorId,
    },
    /// They talk.
    Connect {
        /// The caller.
        call: AttemptId,
        /// The operator, who picked up.
        operator: OperatorId,
    },
    /// The caller's place in the queue, to be said to him.
    TellPosition {
        /// To whom.
        call: AttemptId,
        /// 1: he is the next.
        position: u32,
        /// About how long it will take; unknown before the first talk is over, and while nobody works.
        wait: Option<Millis>,
    },
    /// An operator has a missed call. He rings no more.
    Missed {
        /// Whose call; he still waits.
        call: AttemptId,
        /// Who is responsible.
        operator: OperatorId,
        /// How it was missed.
        how: Miss,
    },
    /// The caller gets no operator: tell the scenario.
    GiveUp {
        /// Whom.
        call: AttemptId,
        /// Why.
        why: GivenUp,
        /// Whose telephone rang at that moment; it stops.
        responsible: Option<OperatorId>,
        /// How the last one who was asked did not take it.
        last: Option<Miss>,
        /// How long he has waited.
        waited: Millis,
    },
    /// The caller has left before anybody picked up («Потерян»).
    Lost {
        /// Who.
        call: AttemptId,
        /// Whose telephone rang at that moment: he is responsible for the missed call. `None`: «без ответственного».
        responsible: Option<OperatorId>,
        /// How long he has waited.
        waited: Millis,
    },
    /// Store this of an operator, in place of what was stored.
    Save {
        /// Of whom.
        operator: OperatorId,
        /// What.
        presence: Presence,
    },
}

/// How an operator did not take a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Miss {
    /// His telephone rang out.
    NoAnswer,
    /// He was engaged.
    Busy,
    /// He declined it.
    Declined,
    /// His telephone is not connected, or failed: no fault of his.
    Unreachable,
    /// He went on a break, or off, while it rang.
    WentAway,
}

impl Miss {
    /// The result in the reports.
    pub fn title(self) -> &'static str {
        match self {
            Self::NoAnswer | Self::Unreachable => "Оператор не принял вызов",
            Self::Busy => "Оператор занят",
            Self::Declined | Self::WentAway => "Отклонён оператором",
        }
    }
}

/// Why a caller gets no operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GivenUp {
    /// He has waited as long as he may.
    WaitedLongEnough,
    /// As many wait as may.
    QueueFull,
    /// The tenant has no operator at all who could take him, at work or not.
    NoSuchOperator,
}
