//! What the world did with an attempt, and the words the reports use for it.

use serde::{Deserialize, Serialize};

/// How an attempt ended, seen from the network: a value, not an error. `campaign` decides what it means for the lead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Outcome {
    /// Somebody, or something, picked up.
    Answered {
        /// What the talk came to.
        result: TalkEnd,
    },
    /// Rang out (we cancelled), or 408, 480.
    NoAnswer,
    /// 486, 600.
    Busy,
    /// 603, 403, 607, 608.
    Rejected,
    /// 404, 410, 484, 604, or a number outside every range: never dialled again.
    NoSuchNumber,
    /// Our side or the carrier's failed: 5xx, trunk gone, no common codec, a crash in mid-attempt.
    SystemError {
        /// A sentence for the report.
        why: String,
    },
    /// Any other final code.
    Unknown {
        /// The SIP status code.
        code: u16,
    },
    /// The number is on the tenant's blacklist: no INVITE left.
    Blacklisted,
}

pub use talk::TalkEnd;

mod talk {
    use serde::{Deserialize, Serialize};

    use super::SystemResult;

    /// What an answered call came to.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum TalkEnd {
        /// The scenario said so, by a name that its manifest declares.
        Scenario(String),
        /// The scenario set nothing; the host named it.
        System(SystemResult),
    }
}

/// The results that the system sets by itself (`Display` and [`SystemResult::title`] give the Russian of the reports).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemResult {
    /// Rang out.
    NoAnswer,
    /// Engaged.
    Busy,
    /// Declined.
    Rejected,
    /// No such number.
    NoSuchNumber,
    /// Our side, the carrier's, or the scenario's failure.
    SystemError,
    /// A final code without a meaning of its own.
    UnknownError,
    /// On the blacklist; not dialled.
    Blacklisted,
    /// An answering machine was recognised.
    Machine,
    /// Answered and gone before the first packet of sound was sent.
    NothingPlayed,
    /// Hung up before the end of the prompt, or pressed no key in time.
    NotHeardOut,
    /// Wanted an operator and left before one was given.
    Lost,
    /// Was to be handed to an operator whose telephone rang out.
    OperatorNoAnswer,
    /// Was to be handed to an operator who was engaged.
    OperatorBusy,
    /// Was to be handed to an operator who declined.
    OperatorDeclined,
    /// Talked, and the scenario set no result.
    Connected,
    /// Nothing else applies.
    NoResult,
}

impl SystemResult {
    /// The name in reports and exports.
    pub fn title(self) -> &'static str {
        match self {
            Self::NoAnswer => "Нет ответа",
            Self::Busy => "Занято",
            Self::Rejected => "Отклонён",
            Self::NoSuchNumber => "Несуществующий номер",
            Self::SystemError => "Системная ошибка",
            Self::UnknownError => "Неопознанная ошибка",
            Self::Blacklisted => "Номер из черного списка",
            Self::Machine => "Обнаружен автоответчик (системный)",
            Self::NothingPlayed => "Сообщение не проиграно",
            Self::NotHeardOut => "Не дослушал до конца",
            Self::Lost => "Потерян",
            Self::OperatorNoAnswer => "Оператор не принял вызов",
            Self::OperatorBusy => "Оператор занят",
            Self::OperatorDeclined => "Отклонён оператором",
            Self::Connected => "Соединён",
            Self::NoResult => "Без результата",
        }
    }
}

impl std::fmt::Display for SystemResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.title())
    }
}

impl Outcome {
    /// What a final SIP code of 300 or more to our INVITE means (`408` also stands for no answer at all to the INVITE
    /// after a provisional one).
    pub fn of_sip_code(code: u16) -> Self {
        match code {
            408 | 480 => Self::NoAnswer,
            486 | 600 => Self::Busy,
            403 | 603 | 607 | 608 => Self::Rejected,
            404 | 410 | 484 | 604 => Self::NoSuchNumber,
            488 | 606 => Self::SystemError { why: "the far end speaks none of our codecs".into() },
            500..=599 => Self::SystemError { why: format!("the carrier answered {code}") },
            code => Self::Unknown { code },
        }
    }

    /// An answered call whose result the scenario did not set.
    pub fn answered(result: SystemResult) -> Self {
        Self::Answered { result: TalkEnd::System(result) }
    }

    /// The name of the result in reports: the scenario's own if it set one.
    pub fn title(&self) -> &str {
        match self {
            Self::Answered { result: TalkEnd::Scenario(name) } => name,
            other => other.system().map_or("", SystemResult::title),
        }
    }

    /// The system's result, unless the scenario named its own.
    pub fn system(&self) -> Option<SystemResult> {
        Some(match self {
            Self::Answered { result: TalkEnd::Scenario(_) } => return None,
            Self::Answered { result: TalkEnd::System(result) } => *result,
            Self::NoAnswer => SystemResult::NoAnswer,
            Self::Busy => SystemResult::Busy,
            Self::Rejected => SystemResult::Rejected,
            Self::NoSuchNumber => SystemResult::NoSuchNumber,
            Self::SystemError { .. } => SystemResult::SystemError,
            Self::Unknown { .. } => SystemResult::UnknownError,
            Self::Blacklisted => SystemResult::Blacklisted,
        })
    }

    /// Whether anybody picked up: only then is there anything to charge.
    pub fn is_answered(&self) -> bool {
        matches!(self, Self::Answered { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the results that the system sets, code by code.
    #[test]
    fn final_codes_become_the_results_of_the_reports() {
        let table: &[(&[u16], &str)] = &[
            (&[408, 480], "Нет ответа"),
            (&[486, 600], "Занято"),
            (&[403, 603, 607, 608], "Отклонён"),
            (&[404, 410, 484, 604], "Несуществующий номер"),
            (&[500, 502, 503, 504, 580, 488, 606], "Системная ошибка"),
            (&[301, 302, 400, 401, 407, 420, 481, 487, 491, 699], "Неопознанная ошибка"),
        ];
        for (codes, title) in table {
            for code in *codes {
                assert_eq!(Outcome::of_sip_code(*code).title(), *title, "{code}");
            }
        }
    }
}
