//! The calling hours of a project's leads: its schedule in each lead's own time.

use std::collections::HashMap;

use jiff::tz::TimeZone;
use zvonar_campaign::{Calling, Schedule};
use zvonar_model::UnixMillis;

use crate::tables::{DialRules, Lead};
use crate::{DialerError, Result};

/// The lead's field that names his zone, as `Asia/Omsk`.
pub(crate) const ZONE_FIELD: &str = "tz";

/// When a lead is looked at again whom the schedule never lets be called: it may be edited.
const NEVER_AGAIN_BEFORE: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// A project's schedule, ready to be asked.
#[derive(Debug)]
pub(crate) struct Hours {
    schedule: Schedule,
    default: TimeZone,
    /// Zones by name: a list has a dozen, and a million leads.
    zones: HashMap<String, TimeZone>,
}

impl Hours {
    /// # Errors
    /// [`DialerError::CannotCall`] for hours or a zone that cannot be read.
    pub(crate) fn new(rules: &DialRules) -> Result<Self> {
        let schedule =
            Schedule::named(&rules.hours).map_err(|why| DialerError::CannotCall(why.to_string()))?;
        let default = TimeZone::get(&rules.zone)
            .map_err(|_| DialerError::CannotCall(format!("the tz database has no zone `{}`", rules.zone)))?;
        Ok(Self { schedule, default, zones: HashMap::new() })
    }

    /// From when on a lead that is due then may be called; never before `now`'s window opens. Due leads whose window
    /// is open stay as they are, so that the list keeps its order.
    pub(crate) fn due(&mut self, lead: &Lead, due: UnixMillis, now: UnixMillis) -> UnixMillis {
        let at = due.max(now);
        match self.calling(lead, at) {
            Calling::Open { .. } => due,
            Calling::Closed { opens: Some(opens) } => opens,
            Calling::Closed { opens: None } => at.plus(NEVER_AGAIN_BEFORE),
        }
    }

    /// Whether the lead may be called at this moment. A zone that nobody knows counts as none.
    pub(crate) fn calling(&mut self, lead: &Lead, at: UnixMillis) -> Calling {
        let zone = match lead.fields.get(ZONE_FIELD) {
            None => self.default.clone(),
            Some(name) => match self.zones.get(name) {
                Some(zone) => zone.clone(),
                None => {
                    let zone = TimeZone::get(name).unwrap_or_else(|_| self.default.clone());
                    // A column of nonsense must not fill the memory.
                    if self.zones.len() < 1_000 {
                        self.zones.insert(name.clone(), zone.clone());
                    }
                    zone
                }
            },
        };
        self.schedule.calling(at, &[zone])
    }
}
