//! Webhooks: where they stand and what became of what they were told; and what SMSC tells us.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::watch;
use zvonar_dialer::hooks::{EventKind, Hook, HookSetup, KEPT};
use zvonar_gateways::webhook::{Courier, Letter, NotTaken};
use zvonar_model::UnixMillis;

use crate::host::{Asker, Host, NOW, tables};

/// Refuses everything.
struct Closed;

#[async_trait]
impl Courier for Closed {
    async fn bring(&self, _: &Letter<'_>, _: UnixMillis) -> Result<u16, NotTaken> {
        Err(NotTaken::Refused { status: 503, said: "закрыто".into() })
    }
}

/// Has a tenant's hook `crm` tell for a moment what happened.
async fn tell(host: &Host, of: &str) {
    let hook = Hook {
        name: "crm".parse().unwrap(),
        shown_url: "https://example.org/hook".into(),
        events: EventKind::ALL.into(),
        at_once: 4,
        kept: KEPT,
        recordings: None,
    };
    let setup = HookSetup { hook, courier: Arc::new(Closed) };
    let (stop, stopped) = watch::channel(false);
    let tables = tables(&host.store, of);
    let (kept, ()) = tokio::join!(tables.keep_hooks(vec![setup], Arc::new(|| NOW), stopped), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        stop.send_replace(true);
    });
    kept.unwrap();
}

#[tokio::test]
async fn a_webhook_is_looked_after_over_http() {
    let host = Host::fresh().await;
    let a = host.of("a");
    assert_eq!(a.get("/v1/webhooks").await.good(), json!({"webhooks": []}));
    for path in ["/v1/webhooks/crm/deliveries", "/v1/webhooks/crm%2F../deliveries/x"] {
        let missing = a.get(path).await;
        assert_eq!((missing.status, &missing.json()["code"]), (404, &json!("no-such-webhook")), "{path}");
    }
    tell(&host, "a").await;
    a.json("/v1/projects", r#"{"id":"spring","title":"Весна","scenario":"menu","trunk":"main"}"#).await;
    a.json("/v1/projects/spring/start", "{}").await.good();
    tell(&host, "a").await;

    let one = &a.get("/v1/webhooks").await.good()["webhooks"][0];
    for (key, value) in [
        ("name", json!("crm")),
        ("url", json!("https://example.org/hook")),
        ("state", json!("failing")),
        ("waiting", json!(1)),
        ("failing", json!(1)),
        ("why", json!("it answers HTTP 503: «закрыто»")),
        ("since", json!("2026-03-02T10:00:00Z")),
        ("delivered_at", Value::Null),
        ("lost", json!(0)),
    ] {
        assert_eq!(one[key], value, "{key}: {one}");
    }
    let list = a.get("/v1/webhooks/crm/deliveries?state=waiting&limit=5").await.good();
    let [letter] = &list["deliveries"].as_array().unwrap()[..] else { panic!("{list}") };
    assert_eq!((&letter["type"], &letter["tries"]), (&json!("project_state"), &json!(1)));
    assert_eq!((&letter["http_status"], &letter["next_at"]), (&json!(503), &json!("2026-03-02T10:01:00Z")));
    assert_eq!(letter.get("body"), None);
    let path = format!("/v1/webhooks/crm/deliveries/{}", letter["id"].as_str().unwrap());
    let whole = a.get(&path).await.good();
    assert_eq!(
        (&whole["body"]["id"], &whole["body"]["call_project"]["state"]),
        (&letter["id"], &json!("active"))
    );
    let sent = a.json(&format!("{path}/resend"), "{}").await.good();
    assert_eq!((&sent["state"], &sent["tries"]), (&json!("waiting"), &json!(0)));
    let test = a.json("/v1/webhooks/crm/test", "{}").await.good();
    let list = a.get("/v1/webhooks/crm/deliveries").await.good();
    let ids: Vec<&Value> = list["deliveries"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, [&letter["id"], &test["id"]]);

    // Nobody else sees anything of it.
    let b = host.of("b");
    assert_eq!(b.get("/v1/webhooks").await.good(), json!({"webhooks": []}));
    for path in [path.clone(), "/v1/webhooks/crm/deliveries".into()] {
        assert_eq!(b.get(&path).await.status, 404);
    }
    assert_eq!(b.json(&format!("{path}/resend"), "{}").await.status, 404);
    assert_eq!(b.json("/v1/webhooks/crm/test", "{}").await.status, 404);
    assert_eq!(host.anonymous().get("/v1/webhooks").await.status, 401);
    for (path, status, code) in [
        ("/v1/webhooks/crm/deliveries?state=over", 400, "malformed"),
        ("/v1/webhooks/crm/deliveries?limit=0", 400, "malformed"),
        ("/v1/webhooks/crm/deliveries?limit=501", 400, "malformed"),
        ("/v1/webhooks/crm/deliveries?sate=lost", 400, "malformed"),
        ("/v1/webhooks/crm/deliveries/nothing", 404, "no-such-delivery"),
    ] {
        let refused = a.get(path).await;
        assert_eq!((refused.status, &refused.json()["code"]), (status, &json!(code)), "{path}");
    }
    host.end().await;
}

// md5 of `7:79001234567:1:слово` and of the same for number 8, by other programs.
const SEVEN: &str = "id=7&phone=79001234567&status=1&ts=1772355600&md5=39ac0862d30b05d9494e2a7594b5dd17";
const EIGHT: &str = "id=8&phone=79001234567&status=1&ts=1772355600&md5=e102c8907739f8448416e1710928a067";

async fn form(asker: &Asker<'_>, path: &str, form: &str) -> u16 {
    asker.post(path, form).await.status
}

#[tokio::test]
async fn what_smsc_tells_is_believed_by_its_signature_alone() {
    let host = Host::fresh().await;
    let smsc = host.anonymous();
    let path = "/v1/callbacks/smsc/a";
    assert_eq!(form(&smsc, path, SEVEN).await, 200);
    assert_eq!(smsc.get(&format!("{path}?{SEVEN}")).await.status, 200);
    // It would be told again and again otherwise.
    assert_eq!(form(&smsc, path, EIGHT).await, 200);
    let told = ["7:79001234567:1", "7:79001234567:1", "8:79001234567:1"];
    assert_eq!(*host.texts.told.lock().unwrap(), told);
    let long = format!("{SEVEN}&x={}", "x".repeat(20_000));
    for (path, sent, status, code) in [
        (path, &SEVEN.replace("status=1", "status=20")[..], 403, "forbidden"),
        (path, &SEVEN.replace("md5=39", "md5=38"), 403, "forbidden"),
        (path, &SEVEN.replace("&md5", "&md6"), 403, "forbidden"),
        (path, "id=7", 400, "malformed"),
        (path, "\0\u{fffd}", 400, "malformed"),
        (path, "", 400, "malformed"),
        (path, &long, 413, "too-large"),
        ("/v1/callbacks/smsc/b", SEVEN, 404, "no-such-place"),
        ("/v1/callbacks/smsc/no.body", SEVEN, 404, "no-such-place"),
        ("/v1/callbacks/other/a", SEVEN, 404, "no-such-place"),
    ] {
        let refused = smsc.post(path, sent).await;
        assert_eq!((refused.status, &refused.json()["code"]), (status, &json!(code)), "{path} {sent:.80}");
    }
    assert_eq!(host.texts.told.lock().unwrap().len(), 3, "nothing of that was believed");
    // What cannot be stored is told again.
    host.texts.broken.store(true, Ordering::Relaxed);
    assert_eq!(form(&smsc, path, SEVEN).await, 500);
    let deleted =
        smsc.raw(b"DELETE /v1/callbacks/smsc/a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
    assert_eq!((deleted.status, &deleted.json()["code"]), (405, &json!("no-such-method")));
    host.end().await;
}
