//! The desk: projects and their leads. Every refusal has its word and a sentence, and nobody reaches another's.

use serde_json::{Value, json};

use crate::host::Host;

const SPRING: &str = r#"{"id":"spring","title":"Весна","scenario":"menu","trunk":"main","lines":4,
    "hours":"any","retry":{"busy":{"limit":3,"interval_min":5}}}"#;

async fn with_project() -> Host {
    let host = Host::fresh().await;
    let made = host.of("a").json("/v1/projects", SPRING).await;
    assert_eq!(made.status, 201, "{made:?}");
    host
}

fn ids(list: &Value) -> Vec<&str> {
    list["leads"].as_array().unwrap().iter().map(|lead| lead["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_project_lives_over_http() {
    let host = with_project().await;
    let a = host.of("a");
    let one = a.get("/v1/projects/spring").await.good();
    assert_eq!(
        (&one["state"], &one["status"], &one["version"]),
        (&json!("paused"), &json!("Приостановлен"), &json!(1))
    );
    assert_eq!(one["rules"]["retry"]["busy"], json!({"limit": 3, "interval_min": 5}));
    assert_eq!(
        (&one["lines"], &one["ring_s"], &one["rules"]["max_calls"]),
        (&json!(4), &json!(30), &json!(2))
    );
    assert_eq!(a.json("/v1/projects/spring/start", "{}").await.good()["state"], "active");
    let edited = a.patch("/v1/projects/spring", r#"{"version":1,"lines":7,"zone":"Asia/Omsk"}"#).await.good();
    assert_eq!((&edited["version"], &edited["lines"]), (&json!(2), &json!(7)));
    assert_eq!((&edited["rules"]["zone"], &edited["rules"]["hours"]), (&json!("Asia/Omsk"), &json!("any")));
    assert_eq!(a.json("/v1/projects/spring/pause", "{}").await.good()["state"], "paused");
    let copy = a.json("/v1/projects/spring/copy", r#"{"id":"summer","title":"Лето"}"#).await.good();
    assert_eq!(
        (&copy["lines"], &copy["title"], &copy["state"]),
        (&json!(7), &json!("Лето"), &json!("paused"))
    );
    assert_eq!(a.json("/v1/projects/summer/finish", "{}").await.good()["status"], "Завершён");
    let list = a.get("/v1/projects").await.good();
    assert_eq!(list["projects"].as_array().unwrap().len(), 2);
    assert_eq!(host.of("b").get("/v1/projects").await.good(), json!({"projects": []}));
    host.end().await;
}

/// Two operators have the same project open. The second is told what the first did, and nothing of it is lost.
#[tokio::test]
async fn the_second_of_two_edits_is_told_the_version_now() {
    let host = with_project().await;
    let a = host.of("a");
    a.patch("/v1/projects/spring", r#"{"version":1,"lines":9}"#).await.good();
    let second = a.patch("/v1/projects/spring", r#"{"version":1,"title":"Осень"}"#).await;
    assert_eq!(second.status, 409, "{second:?}");
    let problem = second.json();
    assert_eq!((&problem["code"], &problem["version"]), (&json!("edit-conflict"), &json!(2)));
    assert_eq!(problem["faults"], json!(["ci: lines"]));
    let now = a.get("/v1/projects/spring").await.good();
    assert_eq!((&now["lines"], &now["title"]), (&json!(9), &json!("Весна")));
    host.end().await;
}

#[tokio::test]
async fn a_sixth_project_is_not_started_and_the_five_are_named() {
    let host = Host::fresh().await;
    let a = host.of("a");
    for n in 1..=6 {
        let body = format!(r#"{{"id":"p{n}","title":"Проект {n}","scenario":"menu","trunk":"main"}}"#);
        assert_eq!(a.json("/v1/projects", &body).await.status, 201);
    }
    for n in 1..=5 {
        a.json(&format!("/v1/projects/p{n}/start"), "{}").await.good();
    }
    let sixth = a.json("/v1/projects/p6/start", "{}").await;
    assert_eq!((sixth.status, &sixth.json()["code"]), (409, &json!("too-many-active")), "{sixth:?}");
    let names: Vec<String> = (1..=5).map(|n| format!("p{n}: Проект {n}")).collect();
    assert_eq!(sixth.json()["faults"], json!(names));
    a.json("/v1/projects/p2/pause", "{}").await.good();
    a.json("/v1/projects/p6/start", "{}").await.good();
    host.end().await;
}

#[tokio::test]
async fn leads_are_added_looked_for_tagged_moved_and_deleted() {
    let host = with_project().await;
    let a = host.of("a");
    let leads = json!({"leads": [
        {"id": "anna", "numbers": ["8 916 123-45-67"], "fields": {"name": "Анна"}, "tags": ["vip"]},
        {"id": "boris", "numbers": ["+79161234568", "+77012345678"]},
        {"id": "kz", "numbers": ["+77012345678"]},
        {"id": "b.c", "numbers": ["+79161234569"]},
        {"numbers": ["+79161234570"]},
        {"id": "none", "numbers": ["12"]},
    ]});
    let path = "/v1/projects/spring/leads";
    let dry = json!({"dry_run": true, "leads": leads["leads"]});
    let told = a.json(path, &dry.to_string()).await.good();
    assert_eq!(a.get(path).await.good()["leads"], json!([]), "a dry run adds nobody");
    let done = a.json(path, &leads.to_string()).await.good();
    assert_eq!(told, done, "and tells what would become of them");
    assert_eq!((&done["added"], &done["known"]), (&json!(3), &json!(0)));
    let places: Vec<u64> =
        done["refused"].as_array().unwrap().iter().map(|one| one["place"].as_u64().unwrap()).collect();
    assert_eq!(places, [2, 3, 5]);
    assert_eq!(done["refused"][0]["reason"], "Номер Казахстана");
    assert_eq!(done["left_out"], json!([{"place": 1, "reason": "Номер Казахстана"}]));
    let merge = json!({"if_known": "merge", "leads": [{"id": "anna", "numbers": ["+79161234567"], "fields": {"city": "Омск"}}]});
    assert_eq!(a.json(path, &merge.to_string()).await.good()["merged"], 1);
    assert_eq!(a.json(path, &merge.to_string()).await.good()["known"], 1);

    let page = a.get("/v1/projects/spring/leads?limit=2").await.good();
    assert_eq!(ids(&page), ["anna", "boris"]);
    let rest = a.get("/v1/projects/spring/leads?limit=2&after=boris").await.good();
    assert_eq!((ids(&rest).len(), &rest["next"]), (1, &Value::Null));
    assert_eq!(ids(&a.get("/v1/projects/spring/leads?tag=vip").await.good()), ["anna"]);
    assert_eq!(ids(&a.get("/v1/projects/spring/leads?text=4568").await.good()), ["boris"]);
    let by_title = "/v1/projects/spring/leads?status=%D0%BD%D0%B5%20%D0%B4%D0%BE%D0%B7%D0%B2%D0%BE%D0%BD%D0%B8%D0%BB%D0%B8%D1%81%D1%8C";
    assert_eq!(a.get(by_title).await.good()["leads"], json!([]));

    let anna = a.get("/v1/projects/spring/leads/anna").await.good();
    assert_eq!((&anna["fields"]["city"], &anna["status"]), (&json!("Омск"), &json!("ещё не звонили")));
    assert_eq!(anna["why"]["numbers"][0]["number"], "+7 916 ***-**-67");
    assert!(anna["why"]["hold"]["rule"].is_string(), "{anna}");
    let edited =
        a.patch("/v1/projects/spring/leads/anna", r#"{"fields":{"city":null,"name":"Анна А"}}"#).await.good();
    assert_eq!(edited["fields"], json!({"name": "Анна А"}));
    let tag = r#"{"which":{"status":"new"},"add":["март"],"remove":["vip"]}"#;
    assert_eq!(a.json("/v1/projects/spring/leads/tag", tag).await.good()["changed"], 3);
    assert_eq!(a.get("/v1/projects/spring/leads/anna").await.good()["tags"], json!(["март"]));

    a.json("/v1/projects/spring/copy", r#"{"id":"summer"}"#).await.good();
    let moved = a
        .json("/v1/projects/spring/leads/move", r#"{"which":{"leads":["anna"]},"to":"summer"}"#)
        .await
        .good();
    assert_eq!(moved["changed"], 1);
    assert_eq!(ids(&a.get("/v1/projects/summer/leads").await.good()), ["anna"]);
    assert_eq!(a.json("/v1/projects/spring/leads/delete", r#"{"all":true}"#).await.good()["changed"], 2);
    assert_eq!(a.get("/v1/projects/spring").await.good()["leads"]["total"], 0);

    let report = a.get("/v1/reports/projects").await.good();
    assert_eq!(report["projects"][1]["leads"]["total"], 1, "{report}");
    assert_eq!(a.get("/v1/reports/calls?last=true").await.good(), json!({"calls": [], "next": null}));
    assert_eq!(
        a.get("/v1/balance").await.good(),
        json!({"spent_kopecks": 0, "charges": 0, "fees_kopecks": 0, "paid_kopecks": 0, "left_kopecks": 0})
    );
    host.end().await;
}

#[tokio::test]
async fn the_blacklist_and_consents_are_each_tenants_own() {
    let host = Host::fresh().await;
    let a = host.of("a");
    let block = r#"{"numbers":["8 916 123-45-67","+79161234567"],"why":"просил не звонить"}"#;
    assert_eq!(a.json("/v1/blacklist", block).await.good(), json!({"changed": 1, "same": 1}));
    let list = a.get("/v1/blacklist").await.good();
    assert_eq!(
        (&list["numbers"][0]["number"], &list["numbers"][0]["why"]),
        (&json!("+79161234567"), &json!("просил не звонить"))
    );
    assert_eq!(host.of("b").get("/v1/blacklist").await.good(), json!({"numbers": []}));
    let off = r#"{"numbers":["+79161234567"],"remove":true}"#;
    assert_eq!(a.json("/v1/blacklist", off).await.good()["changed"], 1);
    let consent = r#"{"consents":[{"given":true,"numbers":["+79161234567"],"purposes":["survey"],"at":"2026-03-01T10:00:00Z","channel":"form"}]}"#;
    assert_eq!(a.json("/v1/consents", consent).await.good()["changed"], 1);
    assert_eq!(
        a.json("/v1/consents", consent).await.good()["same"],
        1,
        "one that is written down is not written twice"
    );
    let said = a.get("/v1/consents?number=89161234567").await.good();
    assert_eq!(said["consents"][0]["purposes"], json!(["survey"]));
    assert_eq!(host.of("b").get("/v1/consents").await.good(), json!({"consents": []}));
    host.end().await;
}

#[tokio::test]
async fn what_the_desk_refuses_has_a_word_and_a_sentence() {
    let host = with_project().await;
    let a = host.of("a");
    a.json("/v1/projects/spring/leads", r#"{"leads":[{"id":"anna","numbers":["+79161234567"]}]}"#)
        .await
        .good();
    let many: Vec<Value> = (0..5_001).map(|n| json!({"numbers": [format!("+7916{n:07}")]})).collect();
    let many = json!({"leads": many}).to_string();
    let huge = format!(r#"{{"leads":[{{"numbers":["{}"]}}]}}"#, "1".repeat(9 << 20));
    for (method, path, body, status, code, says) in [
        ("GET", "/v1/projects/autumn", "", 404, "no-such-project", "autumn"),
        ("GET", "/v1/projects/..%2Fx", "", 404, "no-such-project", "../x"),
        ("GET", "/v1/projects/spring/leads/zoe", "", 404, "no-such-lead", "zoe"),
        ("GET", "/v1/projects/autumn/leads", "", 404, "no-such-project", "autumn"),
        (
            "GET",
            "/v1/projects/spring/leads?status=soon",
            "",
            400,
            "malformed",
            "unreached («не дозвонились»)",
        ),
        ("GET", "/v1/projects/spring/leads?colour=red", "", 400, "malformed", "colour"),
        ("POST", "/v1/projects", SPRING, 409, "project-exists", "spring"),
        ("POST", "/v1/projects", r#"{"id":"x","trunk":"main"}"#, 400, "malformed", "`scenario`"),
        (
            "POST",
            "/v1/projects",
            r#"{"id":"x","scenario":"menu","trunk":"main","line":1}"#,
            400,
            "malformed",
            "unknown field `line`",
        ),
        (
            "POST",
            "/v1/projects",
            r#"{"id":"x","scenario":"menu","trunk":"main","lines":0}"#,
            400,
            "malformed",
            "from 1",
        ),
        (
            "POST",
            "/v1/projects",
            r#"{"id":"a b","scenario":"menu","trunk":"main"}"#,
            400,
            "malformed",
            "`id`",
        ),
        (
            "POST",
            "/v1/projects",
            r#"{"id":"x","scenario":"menu","trunk":"main","purpose":"advertising"}"#,
            422,
            "bad-project",
            "38-ФЗ",
        ),
        (
            "POST",
            "/v1/projects",
            r#"{"id":"x","scenario":"menu","trunk":"main","retry":{"bsy":{"limit":1,"interval_min":1}}}"#,
            400,
            "malformed",
            "there are no_answer, busy",
        ),
        ("PATCH", "/v1/projects/spring", r#"{"lines":2}"#, 400, "malformed", "`version`"),
        ("PATCH", "/v1/projects/spring", r#"{"version":1,"hours":"never"}"#, 422, "bad-project", "never"),
        ("PATCH", "/v1/projects/spring", r#"{"version":1,"priority":11}"#, 422, "bad-project", "priority"),
        ("POST", "/v1/projects/spring/leads", &many, 413, "too-large", "5000 leads at most"),
        ("POST", "/v1/projects/spring/leads", &huge, 413, "too-large", "8 MiB"),
        (
            "POST",
            "/v1/projects/spring/leads",
            r#"{"if_known":"join","leads":[]}"#,
            400,
            "malformed",
            "skip or merge",
        ),
        ("POST", "/v1/projects/spring/leads/delete", "{}", 400, "malformed", "say which leads"),
        (
            "POST",
            "/v1/projects/spring/leads/delete",
            r#"{"leads":["anna"],"all":true}"#,
            400,
            "malformed",
            "say which leads",
        ),
        (
            "POST",
            "/v1/projects/spring/leads/tag",
            r#"{"which":{"all":true},"add":[" "]}"#,
            422,
            "refused",
            "tag",
        ),
        (
            "POST",
            "/v1/projects/spring/leads/move",
            r#"{"which":{"all":true},"to":"autumn"}"#,
            404,
            "no-such-project",
            "autumn",
        ),
        (
            "PATCH",
            "/v1/projects/spring/leads/anna",
            r#"{"numbers":["+77012345678"]}"#,
            422,
            "refused",
            "Kazakhstan",
        ),
        ("PATCH", "/v1/projects/spring/leads/anna", r#"{"numbers":[]}"#, 422, "refused", "1 to 50"),
        ("GET", "/v1/reports/projects?from=yesterday", "", 400, "malformed", "2026-03-02"),
        ("GET", "/v1/reports/calls?after=x", "", 400, "malformed", "place in a report"),
        ("POST", "/v1/blacklist", r#"{"numbers":["x"]}"#, 400, "malformed", "phone number"),
        (
            "POST",
            "/v1/consents",
            r#"{"consents":[{"given":true,"numbers":["+79161234567"]}]}"#,
            400,
            "malformed",
            "purposes",
        ),
    ] {
        let answer = match method {
            "GET" => a.get(path).await,
            "PATCH" => a.patch(path, body).await,
            _ => a.json(path, body).await,
        };
        let case = format!("{method} {path} {}", &body[..body.len().min(100)]);
        assert_eq!(answer.status, status, "{case}: {answer:?}");
        let problem = answer.json();
        assert_eq!(problem["code"], code, "{case}: {answer:?}");
        assert!(problem["message"].as_str().unwrap().contains(says), "{case}: {answer:?}");
    }
    // Another tenant's project is no project at all, and nobody gets in without a token.
    for path in ["/v1/projects/spring", "/v1/projects/spring/leads", "/v1/projects/spring/leads/anna"] {
        assert_eq!(host.of("b").get(path).await.status, 404, "{path}");
        assert_eq!(host.anonymous().get(path).await.status, 401, "{path}");
    }
    assert_eq!(host.of("b").json("/v1/projects/spring/start", "{}").await.status, 404);
    assert_eq!(host.of("b").json("/v1/projects/spring/leads/delete", r#"{"all":true}"#).await.status, 404);
    assert_eq!(a.get("/v1/projects/spring").await.good()["leads"]["total"], 1);
    host.end().await;
}
