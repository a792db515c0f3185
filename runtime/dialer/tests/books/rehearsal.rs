//! A project that is rehearsed before anybody is called.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use zvonar_dialer::{Callees, DialRules, Forecast, NewLead, NewProject, Policy, forecast};
use zvonar_ledger::PriceList;
use zvonar_model::{Kopecks, LeadId, UnixMillis};

use crate::world::{new_project, number, project};

/// Monday, 2 March 2026, 8:00 in Moscow.
const EIGHT: UnixMillis = UnixMillis(1_772_427_600_000);
const DAY: Duration = Duration::from_secs(24 * 3600);

async fn rehearse(leads: u32, lines: u32, rules: DialRules, callees: Callees, longest: Duration) -> Forecast {
    let new = NewProject { lines, rules, ..new_project(project()) };
    let lead = |i| {
        let (lead, fields) = (LeadId::new(&format!("lead-{i}")).unwrap(), Default::default());
        NewLead { lead, numbers: vec![number(i)], fields, tags: BTreeSet::new() }
    };
    let leads = (0..leads).map(lead).collect();
    forecast(new, leads, Arc::new(PriceList::default()), Policy::default(), callees, EIGHT, longest)
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_forecast_adds_up_repeats_itself_and_keeps_to_the_hours() {
    let told = rehearse(300, 5, DialRules::default(), Callees::default(), 14 * DAY).await;
    assert_eq!((told.counts.leads, told.open), (300, 0));
    assert_eq!(told.results.values().sum::<u64>(), told.counts.attempts);
    assert_eq!(told.hours.values().map(|hour| hour.calls).sum::<u64>(), told.counts.attempts);
    assert_eq!(told.counts.reached, told.results["Соединён"]);
    assert_eq!(told.counts.spent.0, 4 * i64::try_from(told.robot_seconds).unwrap());
    let first = told.hours.keys().next().unwrap() * 3_600_000;
    assert_eq!(first, u64::try_from(EIGHT.0).unwrap() + 3_600_000, "nobody is called before 9");
    assert!(told.hours.values().all(|hour| hour.most_lines <= 5));
    let again = rehearse(300, 5, DialRules::default(), Callees::default(), 14 * DAY).await;
    assert_eq!(again.results, told.results);
    let other = Callees { seed: 2, ..Callees::default() };
    assert_ne!(rehearse(300, 5, DialRules::default(), other, 14 * DAY).await.results, told.results);
}

#[tokio::test(start_paused = true)]
async fn more_lines_are_done_sooner_and_cost_the_same() {
    let rules = || DialRules { hours: "any".into(), ..DialRules::default() };
    let few = rehearse(200, 2, rules(), Callees::default(), 14 * DAY).await;
    let many = rehearse(200, 20, rules(), Callees::default(), 14 * DAY).await;
    assert!(many.length() < few.length(), "{:?} {:?}", many.length(), few.length());
    assert_eq!(many.counts.spent, few.counts.spent);
}

#[tokio::test(start_paused = true)]
async fn nobody_who_is_always_engaged_is_reached_or_charged() {
    let busy = Callees { busy: 100, unknown: 0, ..Callees::default() };
    let told = rehearse(10, 3, DialRules::default(), busy, 14 * DAY).await;
    assert_eq!((told.counts.reached, told.counts.attempts, told.counts.spent), (0, 20, Kopecks(0)));
    assert_eq!((told.results["Занято"], told.per_reached()), (20, None));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_into_the_time_is_told_as_open() {
    let told = rehearse(2_000, 1, DialRules::default(), Callees::default(), DAY / 2).await;
    assert!(told.open > 0 && told.open < 2_000, "{}", told.open);
    assert_eq!(told.counts.finished + told.open, 2_000);
}
