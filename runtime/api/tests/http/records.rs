//! The records of calls, by id and by the day.

use serde_json::Value;
use zvonar_dialer::{CallReport, Inbound};
use zvonar_model::{AttemptId, ScenarioRef, UnixMillis};

use crate::host::{Host, NOW, tables};

const HOUR: i64 = 3_600_000;

/// A call that came in so long after [`NOW`] and took a minute.
async fn call(host: &Host, tenant: &str, after: i64, scenario: &str) -> AttemptId {
    let started_at = UnixMillis(NOW.0 + after);
    let attempt = AttemptId::fresh(started_at, after.unsigned_abs());
    let inbound =
        Inbound { attempt: attempt.clone(), number: None, peer: "sip:a@b".into(), trunk: None, started_at };
    let mut report = CallReport::failed(UnixMillis(started_at.0 + 60_000), "a test");
    report.scenario =
        Some(ScenarioRef { name: scenario.into(), version: "1".into(), sha256: "0".repeat(64) });
    tables(&host.store, tenant).settle_inbound(inbound, report).await.unwrap();
    attempt
}

fn ids(text: &str) -> Vec<String> {
    let id =
        |line: &str| serde_json::from_str::<Value>(line).unwrap()["attempt"].as_str().unwrap().to_owned();
    text.lines().map(id).collect()
}

#[tokio::test]
async fn a_day_is_read_whole_in_pages_or_by_scenario() {
    let host = Host::fresh().await;
    let mut all = Vec::new();
    // A call every five minutes over three days; the middle one is asked for. NOW is 13:00 in Moscow.
    for n in -432..432_i64 {
        let scenario = if n % 4 == 0 { "survey" } else { "menu" };
        all.push((n, call(&host, "a", n * HOUR / 12, scenario).await.to_string(), scenario));
    }
    call(&host, "b", 0, "menu").await;
    let of_day: Vec<_> = all.iter().filter(|(n, ..)| (-13 * 12..11 * 12).contains(n)).collect();
    let wanted: Vec<String> = of_day.iter().map(|(_, id, _)| id.clone()).collect();
    let a = host.of("a");
    let day = a.get("/v1/attempts?day=2026-03-02").await;
    assert_eq!(day.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(ids(&day.text), wanted, "288 calls, and neither the day before nor the next");
    assert_eq!(ids(&a.get("/v1/attempts").await.text), wanted, "today");
    let surveys = of_day.iter().filter(|(.., scenario)| *scenario == "survey").map(|(_, id, _)| id.clone());
    assert_eq!(ids(&a.get("/v1/attempts?scenario=survey").await.text), surveys.collect::<Vec<_>>());

    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let page = ids(&a.get(&format!("/v1/attempts?limit=100{after}")).await.text);
        let Some(last) = page.last() else { break };
        after = format!("&after={last}");
        paged.extend(page);
    }
    assert_eq!(paged, wanted);
    assert_eq!(ids(&a.get("/v1/attempts?day=2026-03-09").await.text), [] as [&str; 0]);
    assert_eq!(ids(&a.get("/v1/attempts?day=2026-02-01").await.text), [] as [&str; 0]);
    host.end().await;
}

#[tokio::test]
async fn a_record_is_its_tenants_alone() {
    let host = Host::fresh().await;
    let attempt = call(&host, "a", 0, "menu").await;
    let path = format!("/v1/attempts/{attempt}");
    let record = host.of("a").get(&path).await.good();
    assert_eq!((&record["attempt"], &record["version"]), (&attempt.as_str().into(), &1.into()));
    assert_eq!(record["scenario"]["name"], "menu");
    assert_eq!(host.of("b").get(&path).await.status, 404);
    assert_eq!(host.of("b").get("/v1/attempts").await.text, "");
    assert_eq!(host.of("b").get(&format!("/v1/attempts?after={attempt}")).await.status, 404);
    host.end().await;
}

#[tokio::test]
async fn a_place_among_the_readers_comes_free_when_its_answer_is_read() {
    let host = Host::fresh().await;
    call(&host, "a", 0, "menu").await;
    for _ in 0..20 {
        assert_eq!(host.of("a").get("/v1/attempts").await.status, 200);
    }
    host.end().await;
}
