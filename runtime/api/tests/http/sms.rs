//! Text messages over HTTP: what calls decided, and nobody else's.

use serde_json::{Value, json};
use zvonar_dialer::{CallReport, Effects, Inbound, TextDecision};
use zvonar_model::{AttemptId, PhoneNumber, UnixMillis};

use crate::host::{Host, NOW, tables};

/// A call of a tenant that decided so many messages, so many hours after [`NOW`].
async fn call(host: &Host, tenant: &str, hours: i64, texts: u32) -> AttemptId {
    let started_at = UnixMillis(NOW.0 + hours * 3_600_000);
    let attempt = AttemptId::fresh(started_at, hours.unsigned_abs());
    let inbound =
        Inbound { attempt: attempt.clone(), number: None, peer: "sip:a@b".into(), trunk: None, started_at };
    let decision = |ordinal| TextDecision {
        ordinal,
        to: PhoneNumber::parse("+79161234567").unwrap(),
        text: format!("Ждём вас ({ordinal})"),
        segments: 1,
        at: started_at,
        until: UnixMillis(started_at.0 + 86_400_000),
    };
    let mut report = CallReport::failed(UnixMillis(started_at.0 + 60_000), "a test");
    report.effects = Effects { texts: (1..=texts).map(decision).collect(), ..Effects::default() };
    tables(&host.store, tenant).settle_inbound(inbound, report).await.unwrap();
    attempt
}

fn ids(list: &Value) -> Vec<String> {
    let messages = list["messages"].as_array().expect("a list").iter();
    messages.map(|text| text["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn messages_are_read_in_pages_by_attempt_day_and_status_and_by_their_tenant_alone() {
    let host = Host::fresh().await;
    let (early, many) = (call(&host, "a", -48, 1).await, call(&host, "a", 0, 9).await);
    call(&host, "b", 1, 2).await;
    let a = host.of("a");
    let all: Vec<String> = std::iter::once(format!("{early}-1"))
        .chain((1..=9).map(|ordinal| format!("{many}-{ordinal}")))
        .collect();
    assert_eq!(ids(&a.get("/v1/sms").await.good()), all, "more than the settling commit takes itself");
    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let page = a.get(&format!("/v1/sms?limit=4{after}")).await.good();
        paged.extend(ids(&page));
        match page["next"].as_u64() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(paged, all);
    assert_eq!(ids(&a.get(&format!("/v1/sms?attempt={early}")).await.good()), all[..1]);
    assert_eq!(ids(&a.get("/v1/sms?from=2026-03-02").await.good()), all[1..]);
    assert_eq!(ids(&a.get("/v1/sms?to=2026-03-01").await.good()), all[..1]);
    assert_eq!(ids(&a.get("/v1/sms?status=delivered").await.good()), [] as [&str; 0]);
    assert_eq!(ids(&host.of("b").get("/v1/sms").await.good()).len(), 2);

    let one = a.get(&format!("/v1/sms/{many}-2")).await.good();
    assert_eq!(one["status"], "queued");
    assert_eq!(
        (&one["to"], &one["text"], &one["kopecks"]),
        (&json!("+79161234567"), &json!("Ждём вас (2)"), &Value::Null)
    );
    let record = a.get(&format!("/v1/attempts/{many}")).await.good();
    assert_eq!(record["texts"].as_array().map(Vec::len), Some(9));
    assert_eq!((&record["sms"][1]["id"], &record["sms"][1]["segments"]), (&one["id"], &json!(1)));
    assert_eq!(a.json("/v1/sms/try", "{}").await.good(), json!({ "trying": false }));

    for (path, status, word) in [
        ("/v1/sms?status=lost", 400, "`status` is one of queued"),
        ("/v1/sms?from=yesterday", 400, "`from` is a day"),
        ("/v1/sms?attempt=a.b", 400, "the id of an attempt"),
        ("/v1/sms/nothing-1", 404, "no text message `nothing-1`"),
        ("/v1/sms/nothing", 404, "no text message"),
    ] {
        let answer = a.get(path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        assert!(answer.text.contains(word), "{path}: {}", answer.text);
    }
    assert_eq!(host.of("b").get(&format!("/v1/sms/{many}-2")).await.status, 404);
    host.end().await;
}
