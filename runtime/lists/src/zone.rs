//! Time zones as lists name them.

use jiff::tz::TimeZone;

/// The tz database's name for what a list says: its own names, and offsets as `+5`, `UTC+05:00`, `МСК+2`.
/// `None`: nobody knows such a zone, or it is no whole number of hours.
pub fn zone(text: &str) -> Option<String> {
    let text = text.trim();
    let upper: String = text.to_uppercase().chars().filter(|c| !c.is_whitespace()).collect();
    let (base, offset) = match ["UTC", "GMT", "МСК", "MSK"].iter().find(|base| upper.starts_with(**base)) {
        Some(base) => (if base.ends_with(['К', 'K']) { 3 } else { 0 }, &upper[base.len()..]),
        None => (0, &*upper),
    };
    if offset.is_empty() && base != 0 {
        return Some("Europe/Moscow".into());
    }
    if offset.starts_with(['+', '-', '−']) {
        let hours = base + hours(&offset.replace('−', "-"))?;
        // The database counts these the other way round: west of Greenwich is positive.
        return (-12..=14).contains(&hours).then(|| format!("Etc/GMT{:+}", -hours));
    }
    let zone = TimeZone::get(text).ok()?;
    zone.iana_name().map(str::to_owned)
}

/// `+5`, `+05`, `+05:00`, `+0500`.
fn hours(offset: &str) -> Option<i8> {
    let digits = offset.get(1..)?;
    let whole =
        digits.strip_suffix(":00").or_else(|| digits.strip_suffix("00").filter(|_| digits.len() == 4));
    let hours: i8 = whole.unwrap_or(digits).parse().ok()?;
    let unsigned = whole.unwrap_or(digits).bytes().all(|byte| byte.is_ascii_digit());
    (unsigned && hours <= 14).then_some(if offset.starts_with('-') { -hours } else { hours })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn zones_are_understood_as_people_write_them() {
        for (text, name) in [
            ("Asia/Omsk", "Asia/Omsk"),
            (" asia/omsk ", "Asia/Omsk"),
            ("МСК", "Europe/Moscow"),
            ("мск+2", "Etc/GMT-5"),
            ("MSK -1", "Etc/GMT-2"),
            ("UTC+5", "Etc/GMT-5"),
            ("+05:00", "Etc/GMT-5"),
            ("+0500", "Etc/GMT-5"),
            ("gmt-3", "Etc/GMT+3"),
            ("+0", "Etc/GMT+0"),
        ] {
            assert_eq!(zone(text).as_deref(), Some(name), "{text}");
        }
        for text in ["", "Омск", "5", "МСК+", "+5:30", "UTC+15", "+-5", "МСК+12", "Here/There"] {
            assert_eq!(zone(text), None, "{text}");
        }
    }

    #[test]
    fn an_offset_east_of_greenwich_is_later_there() {
        let noon: Timestamp = "2026-03-02T12:00:00Z".parse().unwrap();
        for (text, hour) in [("МСК+2", 17), ("UTC-3", 9), ("+11", 23)] {
            let zone = TimeZone::get(&zone(text).unwrap()).unwrap();
            assert_eq!(noon.to_zoned(zone).hour(), hour, "{text}");
        }
    }
}
