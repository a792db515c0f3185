//! What a project calls for, and what the law makes of it.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Caps, Schedule};

/// What a project calls for. `Display` and [`Purpose::title`] give the Russian of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To tell or remind.
    #[default]
    Inform,
    /// To ask.
    Survey,
    /// About a debt: 230-ФЗ holds.
    Collection,
    /// To sell: 38-ФЗ holds.
    Advertising,
}

/// A robot alone must not call for this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a project with the purpose «реклама» is not dialled by a robot: 38-ФЗ art. 18 (2) forbids advertising by automatic \
     dialling without a person; have a person make the call, or give the project another purpose"
)]
pub struct RobotRefused;

/// A word that is no purpose.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no purpose; there are inform, survey, collection, advertising")]
pub struct NoPurpose(String);

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Inform, Self::Survey, Self::Collection, Self::Advertising];

    /// The name in the console.
    pub fn title(self) -> &'static str {
        match self {
            Self::Inform => "информационный",
            Self::Survey => "опрос",
            Self::Collection => "взыскание",
            Self::Advertising => "реклама",
        }
    }

    /// The name in configurations and files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Inform => "inform",
            Self::Survey => "survey",
            Self::Collection => "collection",
            Self::Advertising => "advertising",
        }
    }

    /// Whether a robot may make such calls without a person.
    ///
    /// # Errors
    /// [`RobotRefused`], with the law in its sentence.
    pub fn allow_robot(self) -> Result<(), RobotRefused> {
        if self == Self::Advertising { Err(RobotRefused) } else { Ok(()) }
    }

    /// The caps that the law sets, whatever the tenant's own are.
    pub fn caps(self) -> Caps {
        if self == Self::Collection { Caps::FZ230 } else { Caps::default() }
    }

    /// The caps that the law sets for text messages.
    pub fn text_caps(self) -> Caps {
        if self == Self::Collection { Caps::FZ230_TEXTS } else { Caps::default() }
    }

    /// The hours that the law sets, whatever the project's own are: both must allow a call.
    pub fn hours(self) -> Option<Schedule> {
        (self == Self::Collection).then(Schedule::fz230)
    }
}

impl std::fmt::Display for Purpose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.title())
    }
}

impl FromStr for Purpose {
    type Err = NoPurpose;

    /// Takes the word of configurations or the console's.
    fn from_str(text: &str) -> Result<Self, NoPurpose> {
        let wanted = text.trim().to_lowercase();
        let found = Self::ALL
            .into_iter()
            .find(|purpose| [purpose.word(), purpose.title()].contains(&wanted.as_str()));
        found.ok_or_else(|| NoPurpose(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purpose_is_known_by_both_its_names_and_brings_its_law() {
        for purpose in Purpose::ALL {
            assert_eq!(purpose.word().parse(), Ok(purpose));
            assert_eq!(purpose.title().to_uppercase().parse(), Ok(purpose));
            assert_eq!(serde_json::to_value(purpose).unwrap(), purpose.word());
            assert_eq!(purpose.allow_robot().is_err(), purpose == Purpose::Advertising);
            assert_eq!(purpose.caps().is_none(), purpose != Purpose::Collection);
        }
        assert!(RobotRefused.to_string().contains("38-ФЗ art. 18 (2)"));
        assert_eq!(Purpose::Collection.hours(), Some(Schedule::fz230()));
        assert!("sale".parse::<Purpose>().unwrap_err().to_string().contains("there are inform"));
    }
}
