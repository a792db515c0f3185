//! What the interface sends. Not what is stored: either may change without the other.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zvonar_dialer::deployments::{Changed, ScenarioView, State, VersionView};
use zvonar_model::UnixMillis;

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deployed {
    /// The scenario's name, from the manifest.
    #[schema(example = "menu")]
    pub scenario: String,
    /// The version that it was about: 7 for v7.
    pub number: u32,
    /// The manifest's version.
    #[schema(example = "0.2.0")]
    pub version: String,
    /// What is in use now.
    #[schema(example = "v7 live, 3 calls still on v6")]
    pub lineup: String,
    /// The upload was what is live already; nothing was changed.
    pub unchanged: bool,
}

/// The scenarios of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScenarioList {
    /// By name.
    pub scenarios: Vec<ScenarioInfo>,
}

/// A scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScenarioInfo {
    /// Its name.
    pub name: String,
    /// The live version: 7 for v7.
    pub live: u32,
    /// Its manifest's version.
    pub version: String,
    /// Since when it is live.
    #[schema(format = "date-time")]
    pub since: String,
    /// The canary's number.
    pub canary: Option<u32>,
    /// The canary's percent of the calls.
    pub percent: Option<u8>,
    /// Calls at this moment, on all versions.
    pub calls_now: u32,
    /// What is in use, with the calls on older versions.
    pub lineup: String,
}

/// The versions of a scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionList {
    /// The scenario.
    pub scenario: String,
    /// Newest first.
    pub versions: Vec<VersionInfo>,
}

/// A version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionInfo {
    /// 7 for v7.
    pub number: u32,
    /// `live`, `canary`, `previous` (a rollback goes to it), `withdrawn` or `kept`.
    pub state: String,
    /// The canary's percent of the calls.
    pub percent: Option<u8>,
    /// The manifest's version.
    pub version: String,
    /// When it was deployed.
    #[schema(format = "date-time")]
    pub since: String,
    /// By which token, or `configuration`.
    pub by: String,
    /// What was said with it.
    pub note: String,
    /// Calls that have it at this moment.
    pub calls_now: u32,
    /// Calls that have ended on it.
    pub calls: u32,
    /// Of those, the failed.
    pub faults: u32,
    /// Of those, the ones that ended without a result.
    pub without_result: u32,
    /// Why it was taken out of use.
    pub withdrawn: Option<String>,
    /// The package's digest: the same for the same content.
    pub digest: String,
    /// SHA-256 of the component: what the records of its calls name.
    pub component: String,
    /// The archive's length.
    pub bytes: u64,
}

impl From<Changed> for Deployed {
    fn from(changed: Changed) -> Self {
        Self {
            scenario: changed.scenario.to_string(),
            number: changed.number,
            version: changed.version,
            lineup: changed.lineup,
            unchanged: changed.unchanged,
        }
    }
}

impl From<ScenarioView> for ScenarioInfo {
    fn from(view: ScenarioView) -> Self {
        let canary = view.deployment.canary;
        Self {
            name: view.deployment.scenario.to_string(),
            live: view.deployment.live,
            version: view.live.version,
            since: moment(view.deployment.since),
            canary: canary.map(|(number, _)| number),
            percent: canary.map(|(_, percent)| percent),
            calls_now: view.calls,
            lineup: view.lineup,
        }
    }
}

impl From<VersionView> for VersionInfo {
    fn from(view: VersionView) -> Self {
        let (state, percent) = match view.state {
            State::Live => ("live", None),
            State::Canary(percent) => ("canary", Some(percent)),
            State::Previous => ("previous", None),
            State::Withdrawn => ("withdrawn", None),
            State::Kept => ("kept", None),
        };
        let release = view.release;
        Self {
            number: release.number,
            state: state.into(),
            percent,
            version: release.version,
            since: moment(release.at),
            by: release.by,
            note: release.note,
            calls_now: view.calls,
            calls: release.calls,
            faults: release.faults,
            without_result: release.without_result,
            withdrawn: release.withdrawn.map(|withdrawn| withdrawn.why),
            digest: release.digest,
            component: release.component,
            bytes: release.bytes,
        }
    }
}

/// RFC 3339, in UTC.
pub(crate) fn moment(at: UnixMillis) -> String {
    Timestamp::from_millisecond(at.0).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}
