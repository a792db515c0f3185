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
        ("2026-12-31 off", "the schedule has no window at all"),
        ("holidays 9-10", "the schedule has no window at all"),
        ("mon 9-10; 2026-13-31 off", "`2026-13-31 off` is no exception"),
        ("mon 9-10; 2026-02-29 off", "`2026-02-29 off` is no exception"),
        ("mon 9-10; 2026-12-31 perhaps", "`2026-12-31 perhaps` is no exception"),
        ("mon 9-10; holidays 10", "`holidays 10` is no exception"),
        ("mon 9-10; 2026-12-31 22-2", "`2026-12-31 22-2` goes over midnight"),
        ("mon 9-10; fz230", "`fz230` must stand first"),
    ] {
        let fault = Schedule::parse(text).unwrap_err().to_string();
        assert!(fault.starts_with(sentence), "{text}: {fault}");
    }
    assert_eq!(
        Schedule::parse("пн-пт 9:00-21:00; сб+вс 10–18"),
        Schedule::parse("mon-fri 9-21, sat-sun 10-18")
    );
}

#[test]
fn exceptions_are_written_beside_the_windows_of_the_week() {
    let schedule = Schedule::parse(
        "mon-fri 9-18; 2026-12-31 off; 2027-01-09 10-12; 2027-01-09 14:00-16:00; holidays off",
    )
    .unwrap();
    let moscow = &["Europe/Moscow"][..];
    for (now, expected) in [
        // A Thursday; the holidays after it are off, and Saturday the 9th has hours of its own, twice.
        ("2026-12-31T10:00:00Z", "opens 2027-01-09T07:00:00Z"),
        ("2027-01-09T08:59:59Z", "open until 2027-01-09T09:00:00Z"),
        ("2027-01-09T09:00:00Z", "opens 2027-01-09T11:00:00Z"),
        ("2027-01-09T13:00:00Z", "opens 2027-01-11T06:00:00Z"),
        // A holiday on a Thursday.
        ("2026-11-04T08:00:00Z", "opens 2026-11-05T06:00:00Z"),
    ] {
        assert_eq!(told(&schedule, now, moscow), expected, "{now}");
    }
    let table = [
        ("fz230; 2026-11-14 workday", "2026-11-14T17:30:00Z", "open until 2026-11-14T19:00:00Z"),
        ("fz230", "2026-11-14T17:30:00Z", "opens 2026-11-15T06:00:00Z"),
        ("fz230; 2026-05-11 holiday", "2026-05-11T05:30:00Z", "opens 2026-05-11T06:00:00Z"),
        ("ru-default, 2026-05-11 holiday", "2026-05-11T05:30:00Z", "opens 2026-05-11T06:00:00Z"),
        ("ru-default; holidays 10-16", "2026-05-09T06:30:00Z", "opens 2026-05-09T07:00:00Z"),
        ("fz230; holidays off", "2026-05-09T06:30:00Z", "opens 2026-05-10T06:00:00Z"),
        ("ru-default", "2026-05-09T06:30:00Z", "open until 2026-05-09T18:00:00Z"),
        ("any; 2026-03-03 выходной", "2026-03-03T08:00:00Z", "opens 2026-03-03T21:00:00Z"),
        // A schedule of dates alone.
        ("2026-03-05 10-12", "2026-03-02T08:00:00Z", "opens 2026-03-05T07:00:00Z"),
        // What goes over midnight into an exception ends at midnight.
        ("fri 22-2; 2026-03-07 off", "2026-03-06T20:00:00Z", "open until 2026-03-06T21:00:00Z"),
    ];
    for (text, now, expected) in table {
        assert_eq!(told(&Schedule::parse(text).unwrap(), now, moscow), expected, "{text} at {now}");
    }
}

/// Every fixed holiday of the Labour Code is a day of rest for debts.
#[test]
fn debts_are_not_called_for_early_on_any_public_holiday() {
    let debts = Schedule::fz230();
    let mut holidays = 0;
    let mut day = date(2026, 1, 1);
    while day.year() == 2026 {
        // 8:30 in Moscow: calling time of workdays alone.
        let now = format!("{day}T05:30:00Z");
        let weekend = matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
        let closed = told(&debts, &now, &["Europe/Moscow"]).starts_with("opens");
        holidays += usize::from(closed && !weekend);
        assert!(closed || !weekend, "{day}");
        day = day.tomorrow().unwrap();
    }
    // In 2026 the 3rd and 4th of January, 8 March, 9 May and so on fall on weekends.
    let fixed = HOLIDAYS.iter().filter(|(month, day)| {
        !matches!(date(2026, *month, *day).weekday(), Weekday::Saturday | Weekday::Sunday)
    });
    assert_eq!((holidays, HOLIDAYS.len()), (fixed.count(), 14));
}

#[test]
fn hours_are_right_when_the_clock_is_changed_in_the_middle_of_them() {
    // Berlin's clock goes from 2:00 to 3:00 on 29 March 2026, and from 3:00 back to 2:00 on 25 October.
    let berlin = &["Europe/Berlin"][..];
    let night = Schedule::parse("daily 1:30-3:30").unwrap();
    assert_eq!(told(&night, "2026-03-29T00:00:00Z", berlin), "opens 2026-03-29T00:30:00Z");
    assert_eq!(told(&night, "2026-03-29T01:00:00Z", berlin), "open until 2026-03-29T01:30:00Z");
    assert_eq!(told(&night, "2026-10-25T01:30:00Z", berlin), "open until 2026-10-25T02:30:00Z");
    // A window that the change swallows does not open that day.
    let swallowed = Schedule::parse("daily 2:10-2:50").unwrap();
    assert_eq!(told(&swallowed, "2026-03-29T00:30:00Z", berlin), "opens 2026-03-30T00:10:00Z");
    // Zones of Russia have no such days: the same hour all year.
    let day = Schedule::parse("daily 9-10").unwrap();
    for (now, opens) in [("2026-03-29T00:00:00Z", "2026-03-29"), ("2026-10-25T00:00:00Z", "2026-10-25")] {
        assert_eq!(told(&day, now, &["Asia/Omsk"]), format!("opens {opens}T03:00:00Z"));
    }
}

#[test]
fn two_schedules_call_only_when_both_do() {
    let (day, debts) = (Schedule::ru_default(), Schedule::fz230());
    let zone = zone("Europe/Moscow");
    let both = |now| Schedule::all_calling(&[&day, &debts], at(now), std::slice::from_ref(&zone));
    let until = |text| Calling::Open { until: at(text) };
    let opens = |text| Calling::Closed { opens: Some(at(text)) };
    assert_eq!(both("2026-03-02T05:30:00Z"), opens("2026-03-02T06:00:00Z"));
    assert_eq!(both("2026-03-02T06:00:00Z"), until("2026-03-02T18:00:00Z"));
    assert_eq!(both("2026-03-07T06:00:00Z"), until("2026-03-07T17:00:00Z"));
    assert_eq!(
        Schedule::all_calling(&[], at("2026-03-07T06:00:00Z"), &[zone]),
        Calling::Closed { opens: None }
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
