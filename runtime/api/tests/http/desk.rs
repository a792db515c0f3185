//! Projects and leads, as somebody works with them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use zvonar_dialer::NewLead;
use zvonar_model::{LeadId, PhoneNumber, ProjectId};

use crate::host::{Host, tables};

async fn made(host: &Host, tenant: &str, id: &str) -> Value {
    let body = json!({ "project": id, "scenario": "menu", "trunk": "carrier" });
    host.of(tenant).json("/v1/projects", &body.to_string()).await.good()
}

/// So many leads, `p0`, `p1`, …, every second with the tag `vip`.
async fn with_leads(host: &Host, tenant: &str, id: &str, count: u32) {
    made(host, tenant, id).await;
    let leads = (0..count).map(|i| NewLead {
        lead: LeadId::new(&format!("p{i}")).unwrap(),
        numbers: vec![PhoneNumber::parse(&format!("+7900000{i:04}")).unwrap()],
        fields: BTreeMap::from([("name".into(), format!("Анна {i}"))]),
        tags: if i % 2 == 0 { BTreeSet::from(["vip".into()]) } else { BTreeSet::new() },
    });
    tables(&host.store, tenant).add_leads(&ProjectId::new(id).unwrap(), leads.collect()).await.unwrap();
}

#[tokio::test]
async fn a_project_is_made_edited_started_paused_copied_and_finished() {
    let host = Host::fresh().await;
    let a = host.of("a");
    let body = json!({
        "project": "autumn", "scenario": "menu", "trunk": "carrier", "title": "Осень", "lines": 7, "ring_s": 25,
        "priority": 9, "settings": { "repeats": "1" },
        "rules": { "max_calls": 3, "hours": "fz230", "retry": { "busy": { "limit": 4, "interval_min": 5 } } },
    });
    let made = a.json("/v1/projects", &body.to_string()).await;
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.json();
    assert_eq!((&made["status"], &made["status_title"]), (&json!("paused"), &json!("Приостановлен")));
    assert_eq!(made["rules"]["retry"]["busy"], json!({ "limit": 4, "interval_min": 5 }));
    assert_eq!(made["rules"]["retry"]["no_answer"]["limit"], 2, "what is not said is as usual");
    assert_eq!(made["leads"], json!({ "new": 0, "again": 0, "reached": 0, "unreached": 0 }));

    let edited = a.patch("/v1/projects/autumn", r#"{ "version": 1, "lines": 9 }"#).await.good();
    assert_eq!((&edited["lines"], &edited["version"], &edited["ring_s"]), (&json!(9), &json!(2), &json!(25)));
    let second = a.patch("/v1/projects/autumn", r#"{ "version": 1, "title": "Зима" }"#).await;
    assert_eq!((second.status, second.json()["code"].as_str()), (409, Some("edit-conflict")));
    let told = second.json()["message"].as_str().unwrap().to_owned();
    assert!(told.contains("has version 2") && told.contains("«ci» changed lines"), "{told}");

    assert_eq!(a.json("/v1/projects/autumn/start", "").await.good()["status"], "active");
    assert_eq!(a.json("/v1/projects/autumn/pause", "").await.good()["status_title"], "Приостановлен");
    let copied = a.json("/v1/projects/autumn/copy", r#"{ "to": "winter" }"#).await;
    assert_eq!(
        (copied.status, &copied.json()["lines"], &copied.json()["title"]),
        (201, &json!(9), &json!("winter"))
    );
    assert_eq!(a.json("/v1/projects/autumn/finish", "").await.good()["status"], "finished");
    let listed = a.get("/v1/projects").await.good();
    let ids: Vec<&str> =
        listed["projects"].as_array().unwrap().iter().map(|one| one["project"].as_str().unwrap()).collect();
    assert_eq!(ids, ["autumn", "winter"]);
}

#[tokio::test]
async fn the_sixth_project_is_refused_with_the_names_of_the_five() {
    let host = Host::fresh().await;
    for n in 1..=6 {
        made(&host, "a", &format!("p{n}")).await;
    }
    for n in 1..=5 {
        host.of("a").json(&format!("/v1/projects/p{n}/start"), "").await.good();
    }
    let sixth = host.of("a").json("/v1/projects/p6/start", "").await;
    assert_eq!((sixth.status, sixth.json()["code"].as_str()), (409, Some("too-many-active")));
    let told = sixth.json()["message"].as_str().unwrap().to_owned();
    assert!(told.contains("p1, p2, p3, p4, p5"), "{told}");
    host.of("a").json("/v1/projects/p2/pause", "").await.good();
    host.of("a").json("/v1/projects/p6/start", "").await.good();
}

#[tokio::test]
async fn leads_are_looked_for_tagged_moved_edited_and_deleted() {
    let host = Host::fresh().await;
    with_leads(&host, "a", "spring", 25).await;
    made(&host, "a", "other").await;
    let a = host.of("a");
    let mut seen = BTreeSet::new();
    let mut path = "/v1/projects/spring/leads?limit=10&status=new".to_owned();
    loop {
        let page = a.get(&path).await.good();
        for lead in page["leads"].as_array().unwrap() {
            assert_eq!(lead["status_title"], "ещё не звонили");
            assert!(seen.insert(lead["lead"].as_str().unwrap().to_owned()), "{lead} came twice");
        }
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/projects/spring/leads?limit=10&status=new&after={next}");
    }
    assert_eq!(seen.len(), 25);
    let found = a.get("/v1/projects/spring/leads?text=0000007").await.good();
    assert_eq!(found["leads"].as_array().unwrap().len(), 1);
    assert_eq!(found["leads"][0]["numbers"], json!(["+79000000007"]));

    let body = json!({ "which": { "all": { "tag": "vip" } }, "add": ["call-first"], "remove": ["vip"] });
    let done = a.json("/v1/projects/spring/leads/tag", &body.to_string()).await.good();
    assert_eq!(done["changed"], 13);
    let one = a.get("/v1/projects/spring/leads/p0").await.good();
    assert_eq!(one["tags"], json!(["call-first"]));

    let body = r#"{ "numbers": ["8 900 000-99-99"], "fields": { "name": null, "city": "Омск" } }"#;
    let edited = a.patch("/v1/projects/spring/leads/p1", body).await.good();
    assert_eq!(
        (&edited["numbers"], &edited["fields"]),
        (&json!(["+79000009999"]), &json!({ "city": "Омск" }))
    );

    let body = json!({ "which": { "leads": ["p2", "p3"] }, "to": "other" });
    assert_eq!(a.json("/v1/projects/spring/leads/move", &body.to_string()).await.good()["changed"], 2);
    let done =
        a.json("/v1/projects/spring/leads/delete", r#"{ "all": { "tag": "call-first" } }"#).await.good();
    assert_eq!(done["changed"], 12, "p2 has moved");
    assert_eq!(a.get("/v1/projects/spring").await.good()["leads"]["new"], 11);
    assert_eq!(a.get("/v1/projects/other").await.good()["leads"]["new"], 2);
}

#[tokio::test]
async fn what_makes_no_sense_and_what_is_anothers_is_refused_in_a_sentence() {
    let host = Host::fresh().await;
    with_leads(&host, "a", "spring", 3).await;
    let a = host.of("a");
    for (body, told) in [
        (json!({ "project": "x y", "scenario": "menu", "trunk": "carrier" }), "project: an id is made of"),
        (json!({ "scenario": "menu", "trunk": "carrier" }), "`project` is missing"),
        (json!({ "project": "x", "scenario": "menu", "trunk": "nowhere" }), "this host has carrier"),
        (
            json!({ "project": "x", "scenario": "menu", "trunk": "carrier", "line": 3 }),
            "unknown field `line`",
        ),
        (
            json!({ "project": "x", "scenario": "menu", "trunk": "carrier", "ring_s": 0 }),
            "`ring_s` is a whole number from 1",
        ),
        (
            json!({ "project": "x", "scenario": "menu", "trunk": "carrier", "rules": { "retry": { "engaged": { "limit": 1, "interval_min": 1 } } } }),
            "`retry` has no `engaged`",
        ),
        (
            json!({ "project": "x", "scenario": "menu", "trunk": "carrier", "rules": { "hours": "never" } }),
            "never",
        ),
    ] {
        let refused = a.json("/v1/projects", &body.to_string()).await;
        assert!(matches!(refused.status, 400 | 422), "{refused:?}");
        let message = refused.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(told), "{body}: {message}");
    }
    let body = r#"{ "which": {}, "add": ["x"] }"#;
    assert_eq!(a.json("/v1/projects/spring/leads/tag", body).await.status, 400, "nobody is meant by nothing");
    assert_eq!(a.get("/v1/projects/spring/leads?status=lost").await.status, 400);
    assert_eq!(a.get("/v1/projects/spring/leads/p9").await.status, 404);
    assert_eq!(
        a.json("/v1/projects", r#"{ "project": "spring", "scenario": "menu", "trunk": "carrier" }"#)
            .await
            .status,
        409
    );
    // Another tenant sees none of it, and without a token nobody sees anything.
    for path in ["/v1/projects/spring", "/v1/projects/spring/leads"] {
        assert_eq!(host.of("b").get(path).await.status, 404, "{path}");
        assert_eq!(host.anonymous().get(path).await.status, 401, "{path}");
    }
    assert_eq!(host.of("b").get("/v1/projects").await.good()["projects"], json!([]));
    assert_eq!(host.of("b").json("/v1/projects/spring/start", "").await.status, 404);
}
