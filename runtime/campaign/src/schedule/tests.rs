use jiff::civil::date;
use proptest::prelude::*;

use super::*;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).expect("the tz database has it")
}

fn at(text: &str) -> UnixMillis {
    UnixMillis(text.parse::<Timestamp>().expect("a moment").as_millisecond())
}

/// `open until …` or `opens …`, in UTC.
fn told(schedule: &Schedule, now: &str, zones: &[&str]) -> String {
    let zones: Vec<TimeZone> = zones.iter().map(|name| zone(name)).collect();
    let show = |moment: UnixMillis| Timestamp::from_millisecond(moment.0).expect("a moment").to_string();
    match schedule.calling(at(now), &zones) {
        Calling::Open { until } => format!("open until {}", show(until)),
        Calling::Closed { opens: Some(opens) } => format!("opens {}", show(opens)),
        Calling::Closed { opens: None } => "never".into(),
    }
}

#[test]
fn hours_are_those_of_the_person_who_is_called() {
    let day = Schedule::ru_default();
    let debts = Schedule::fz230();
    let table = [
        // Monday, 2 March 2026.
        (&day, "2026-03-02T06:00:00Z", &["Europe/Moscow"][..], "open until 2026-03-02T18:00:00Z"),
        (&day, "2026-03-02T05:59:59Z", &["Europe/Moscow"], "opens 2026-03-02T06:00:00Z"),
        (&day, "2026-03-02T18:00:00Z", &["Europe/Moscow"], "opens 2026-03-03T06:00:00Z"),
        (&day, "2026-03-02T06:00:00Z", &["Asia/Kamchatka"], "open until 2026-03-02T09:00:00Z"),
        // All zones of the region must agree: 9 in Irkutsk is 10 in Yakutsk.
        (&day, "2026-03-02T00:30:00Z", &["Asia/Irkutsk", "Asia/Yakutsk"], "opens 2026-03-02T01:00:00Z"),
        (&day, "2026-03-02T01:00:00Z", &["Asia/Irkutsk", "Asia/Yakutsk"], "open until 2026-03-02T12:00:00Z"),
        (&day, "2026-03-02T12:00:00Z", &["Asia/Irkutsk", "Asia/Yakutsk"], "opens 2026-03-03T01:00:00Z"),
        (&day, "2026-03-02T12:00:00Z", &[], "never"),
        // Debts: a workday until 22, a Saturday until 20, a holiday on a Wednesday until 20.
        (&debts, "2026-03-02T05:00:00Z", &["Europe/Moscow"], "open until 2026-03-02T19:00:00Z"),
        (&debts, "2026-03-07T05:30:00Z", &["Europe/Moscow"], "opens 2026-03-07T06:00:00Z"),
        (&debts, "2026-11-04T05:30:00Z", &["Europe/Moscow"], "opens 2026-11-04T06:00:00Z"),
        (&debts, "2026-11-04T18:00:00Z", &["Europe/Moscow"], "opens 2026-11-05T05:00:00Z"),
    ];
    for (schedule, now, zones, expected) in table {
        assert_eq!(told(schedule, now, zones), expected, "{now} {zones:?}");
    }
}

#[test]
fn windows_may_go_over_midnight_and_end_at_exceptions() {
    let night = Schedule::parse("fri 22:00-2:00").unwrap();
    let moscow = &["Europe/Moscow"][..];
    assert_eq!(told(&night, "2026-03-06T18:00:00Z", moscow), "opens 2026-03-06T19:00:00Z");
    assert_eq!(told(&night, "2026-03-06T21:30:00Z", moscow), "open until 2026-03-06T23:00:00Z");
    assert_eq!(told(&night, "2026-03-06T23:00:00Z", moscow), "opens 2026-03-13T19:00:00Z");
    let closed = Schedule::ru_default().except(date(2026, 3, 3), vec![]);
    assert_eq!(told(&closed, "2026-03-03T08:00:00Z", moscow), "opens 2026-03-04T06:00:00Z");
    let once = Schedule::parse("mon 9-10").unwrap().except(date(2026, 3, 3), vec![Window::hours(12, 13)]);
    assert_eq!(told(&once, "2026-03-02T08:00:00Z", moscow), "opens 2026-03-03T09:00:00Z");
}

#[test]
fn zones_that_never_agree_are_never_called() {
    let early = Schedule::parse("daily 9-10").unwrap();
    assert_eq!(told(&early, "2026-03-02T08:00:00Z", &["Europe/Kaliningrad", "Asia/Kamchatka"]), "never");
}

#[test]
fn what_is_no_schedule_is_refused_with_the_part_at_fault() {
    for (text, sentence) in [
        ("", "the schedule has no window at all: nobody could ever be called"),
        ("mon", "`mon` is no window"),
        ("moon 9-10", "`moon 9-10` is no window"),
        ("mon 9-9", "`mon 9-9` is no window"),
        ("mon 9-25", "`mon 9-25` is no window"),
        ("mon 9:70-10", "`mon 9:70-10` is no window"),
        ("mon-fri 9-21, sat", "`sat` is no window"),
    ] {
        let fault = Schedule::parse(text).unwrap_err().to_string();
        assert!(fault.starts_with(sentence), "{text}: {fault}");
    }
    assert_eq!(
        Schedule::parse("пн-пт 9:00-21:00; сб+вс 10–18"),
        Schedule::parse("mon-fri 9-21, sat-sun 10-18")
    );
}

proptest! {
    #[test]
    fn what_opens_is_open_then_and_not_a_second_sooner(
        start in 1_700_000_000i64..1_900_000_000,
        days in prop::sample::subsequence(vec!["mon", "tue", "wed", "thu", "fri", "sat", "sun"], 1..=7),
        from in 0u16..23,
        length in 1u16..23,
        names in prop::sample::subsequence(
            vec!["Europe/Kaliningrad", "Europe/Moscow", "Asia/Yekaterinburg", "Asia/Omsk", "Asia/Yakutsk", "Europe/Berlin"], 1..=2),
    ) {
        let text = format!("{} {from}:00-{}:00", days.join("+"), (from + length) % 24);
        let schedule = Schedule::parse(&text).unwrap();
        let zones: Vec<TimeZone> = names.iter().map(|name| zone(name)).collect();
        let now = UnixMillis(start * 1000);
        match schedule.calling(now, &zones) {
            Calling::Open { until } => {
                prop_assert!(until > now);
                let last = UnixMillis(until.0 - 1000);
                let still_open = matches!(schedule.calling(last, &zones), Calling::Open { .. });
                prop_assert!(still_open);
            }
            Calling::Closed { opens: Some(opens) } => {
                prop_assert!(opens > now);
                let open_then = matches!(schedule.calling(opens, &zones), Calling::Open { .. });
                prop_assert!(open_then);
                let before = schedule.calling(UnixMillis(opens.0 - 1000), &zones);
                let opens_then = before == Calling::Closed { opens: Some(opens) };
                prop_assert!(opens_then || opens.0 - 1000 < now.0);
            }
            Calling::Closed { opens: None } => prop_assert!(zones.len() > 1),
        }
    }
}
