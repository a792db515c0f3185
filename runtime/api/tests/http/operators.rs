//! Operators over HTTP: made, edited, shown, removed; what they do now; the card, and what they say of a call.

use serde_json::{Value, json};
use zvonar_dialer::operators::{CallerView, Waiting, WhatHeDoes};
use zvonar_dialer::{CallReport, Inbound};
use zvonar_model::{
    AttemptId, LeadId, Millis, OperatorId, Outcome, PhoneNumber, ProjectId, TalkEnd, Transfer, UnixMillis,
};

use crate::host::{Host, NOW, component, manifest, tables, write_package};

#[tokio::test]
async fn an_operator_is_made_shown_edited_given_a_password_and_removed() {
    let host = Host::fresh().await;
    let a = host.of("a");
    let new = json!({"id": "anna", "name": " Анна Петрова ", "groups": ["Продажи"], "extension": "101"});
    let made = a.json("/v1/operators", &new.to_string()).await;
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.json();
    assert_eq!((&made["phone"]["user"], &made["phone"]["realm"]), (&json!("a.anna"), &json!("zvonar")));
    let password = made["phone"]["password"].as_str().unwrap();
    assert!(password.len() >= 16, "a password is made when none is given: {password}");
    assert_eq!(made["operator"]["status_title"], "Не в сети");

    let shown = a.get("/v1/operators/anna").await;
    assert!(!shown.text.contains(password) && !shown.text.contains("md5"), "{shown:?}");
    let shown = shown.good();
    assert_eq!((&shown["name"], &shown["may_register"]), (&json!("Анна Петрова"), &json!(true)));
    assert_eq!((&shown["groups"], &shown["extension"]), (&json!(["Продажи"]), &json!("101")));

    let change =
        r#"{"wrap_up_s":30,"extension":null,"card":{"script":"Здравствуйте!","results":["Продано"]}}"#;
    let edited = a.patch("/v1/operators/anna", change).await.good();
    assert_eq!((&edited["wrap_up_s"], &edited["extension"]), (&json!(30), &Value::Null));
    assert_eq!((&edited["name"], &edited["groups"]), (&json!("Анна Петрова"), &json!(["Продажи"])));
    let edited = a.patch("/v1/operators/anna", r#"{"wrap_up_s":null}"#).await.good();
    assert_eq!((&edited["wrap_up_s"], &edited["card"]["results"]), (&Value::Null, &json!(["Продано"])));

    let own = a.json("/v1/operators/anna/password", r#"{"password":"её собственный"}"#).await.good();
    assert_eq!((&own["user"], &own["password"]), (&json!("a.anna"), &Value::Null));
    let chosen = a.other("PUT", "/v1/operators/anna/status", r#"{"status":"Перерыв"}"#).await.good();
    assert_eq!((&chosen["status"], &chosen["until"]), (&json!("break"), &Value::Null));
    assert_eq!(a.get("/v1/operators/anna/status").await.good()["status_title"], "Перерыв");

    let gone = a.other("DELETE", "/v1/operators/anna", "").await.good();
    assert_eq!(gone["id"], "anna");
    assert_eq!(a.get("/v1/operators").await.good(), json!({"operators": []}));
    assert_eq!(a.other("DELETE", "/v1/operators/anna", "").await.status, 404);
    host.end().await;
}

/// Each refusal says what is wrong, and nothing is changed by it.
#[tokio::test]
async fn what_no_operator_may_be_is_refused_in_words() {
    let host = Host::fresh().await;
    let a = host.of("a");
    for id in ["anna", "boris"] {
        let new = json!({"id": id, "name": id, "extension": if id == "anna" { "101" } else { "102" }});
        a.json("/v1/operators", &new.to_string()).await.good();
    }
    for (body, status, word) in [
        (json!({"id": "anna", "name": "Анна"}), 409, "already"),
        (json!({"id": "a.b", "name": "Анна"}), 400, "letters a-z"),
        (json!({"id": "vera", "name": " "}), 422, "what people call him"),
        (json!({"id": "vera", "name": "Вера", "password": "1234567"}), 422, "at least 8 characters"),
        (json!({"id": "vera", "name": "Вера", "extension": "1"}), 422, "2 to 6 digits"),
        (json!({"id": "vera", "name": "Вера", "extension": "101"}), 422, "101 is anna's"),
        (json!({"id": "vera", "name": "Вера", "wrap_up_s": 1801}), 422, "0 to 30 minutes"),
        (json!({"id": "vera", "name": "Вера", "groups": ["\n"]}), 400, "group"),
        (json!({"id": "vera", "name": "Вера", "card": {"scenario": "a b"}}), 400, "card.scenario"),
        (json!({"id": "vera", "name": "Вера", "role": "boss"}), 400, "role"),
        (json!({"id": "vera"}), 400, "name"),
    ] {
        let answer = a.json("/v1/operators", &body.to_string()).await;
        let message = answer.json()["message"].as_str().unwrap_or_default().to_owned();
        assert!(answer.status == status && message.contains(word), "{body}: {answer:?}");
    }
    a.json("/v1/operators", r#"{"id":"vera","name":"Вера"}"#).await.good();
    let full = a.json("/v1/operators", r#"{"id":"gleb","name":"Глеб"}"#).await;
    assert!(full.status == 409 && full.text.contains("too-many-operators"), "{full:?}");
    let status = a.other("PUT", "/v1/operators/anna/status", r#"{"status":"away"}"#).await;
    assert!(status.status == 400 && status.text.contains("available, break"), "{status:?}");
    for path in [
        "/v1/operators/nobody",
        "/v1/operators/nobody/status",
        "/v1/operators/nobody/card",
        "/v1/operators/a%20b",
    ] {
        let answer = a.get(path).await;
        assert!(answer.status == 404 && answer.text.contains("no-such-operator"), "{path}: {answer:?}");
    }
    let answer = a.json("/v1/operators/nobody/password", "{}").await;
    assert!(answer.status == 404, "{answer:?}");
    let listed = a.get("/v1/operators").await.good();
    assert_eq!(listed["operators"].as_array().unwrap().len(), 3);
    host.end().await;
}

fn attempt(id: &str) -> AttemptId {
    AttemptId::new(id).unwrap()
}

fn caller(id: &str, number: &str) -> CallerView {
    CallerView {
        number: PhoneNumber::parse(number).ok(),
        name: Some("Анна".into()),
        ..CallerView::of(attempt(id))
    }
}

#[tokio::test]
async fn the_desk_tells_who_does_what_and_who_waits_and_only_to_its_own_tenant() {
    let host = Host::fresh().await;
    let a = host.of("a");
    a.json("/v1/operators", r#"{"id":"anna","name":"Анна"}"#).await.good();
    a.json("/v1/operators", r#"{"id":"boris","name":"Борис"}"#).await.good();
    a.other("PUT", "/v1/operators/anna/status", r#"{"status":"available"}"#).await.good();
    host.going_on.does(
        "anna",
        WhatHeDoes::Talks { caller: caller("c1", "+79161234567"), since: UnixMillis(NOW.0 - 5_000) },
    );
    host.going_on.waits(Waiting {
        caller: CallerView { project: ProjectId::new("spring").ok(), ..caller("c2", "+79161234568") },
        group: None,
        since: UnixMillis(NOW.0 - 61_500),
        position: 1,
        wait: Some(Millis(30_001)),
        ringing: OperatorId::new("boris").ok(),
    });
    let desk = a.get("/v1/desk").await.good();
    let [anna, boris] = &desk["operators"].as_array().unwrap()[..] else { panic!("{desk}") };
    assert_eq!((&anna["status"], &anna["doing"]), (&json!("available"), &json!("talking")));
    assert_eq!(
        anna["call"],
        json!({
            "id": "c1", "colleague": false, "phone": "+79161234567", "name": "Анна", "lead_id": null,
            "call_project_id": null
        })
    );
    assert_eq!(anna["connected_at"], "2026-03-02T09:59:55Z");
    assert_eq!(
        (&boris["name"], &boris["doing"], &boris["call"]),
        (&json!("Борис"), &json!("idle"), &Value::Null)
    );
    let waiting = &desk["queue"][0];
    assert_eq!(
        (&waiting["waited_s"], &waiting["wait_s"], &waiting["position"]),
        (&json!(61), &json!(31), &json!(1))
    );
    assert_eq!(
        (&waiting["ringing"], &waiting["call"]["call_project_id"]),
        (&json!("boris"), &json!("spring"))
    );

    let b = host.of("b");
    assert_eq!(b.get("/v1/desk").await.good(), json!({"operators": [], "queue": []}));
    assert_eq!(b.get("/v1/operators").await.good(), json!({"operators": []}));
    for (method, path, body) in [
        ("GET", "/v1/operators/anna", ""),
        ("PATCH", "/v1/operators/anna", r#"{"name":"Чужая"}"#),
        ("DELETE", "/v1/operators/anna", ""),
        ("GET", "/v1/operators/anna/status", ""),
        ("PUT", "/v1/operators/anna/status", r#"{"status":"offline"}"#),
        ("POST", "/v1/operators/anna/password", "{}"),
        ("GET", "/v1/operators/anna/card", ""),
        ("POST", "/v1/operators/anna/card/result", r#"{"result_name":"Продано"}"#),
    ] {
        let answer = b.other(method, path, body).await;
        assert!(
            answer.status == 404 && answer.text.contains("no-such-operator"),
            "{method} {path}: {answer:?}"
        );
        assert_eq!(host.anonymous().other(method, path, body).await.status, 401, "{method} {path}");
    }
    let anna = a.get("/v1/operators/anna").await.good();
    assert_eq!((&anna["name"], &anna["status"]), (&json!("Анна"), &json!("available")));
    host.end().await;
}

/// A package whose manifest has what operators read and pick.
fn with_script() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "{}operator-script = \"Клиент просил перезвонить\"\n\n[[results]]\nname = \"Записаться\"\ngroup = \"success\"\n\n\
         [[results]]\nname = \"Отказ\"\ngroup = \"refusal\"\n",
        manifest("menu", 1)
    );
    zvonar_scenario::archive::pack(&write_package(folder.path(), &text, &component(1))).unwrap()
}

/// A call of Anna's that is over: it came in, and the operator took it.
async fn call_of(host: &Host, tenant: &str, id: &str, operator: &str) {
    settled(host, tenant, id, operator, true).await;
}

/// One that the operator let ring.
async fn missed_by(host: &Host, tenant: &str, id: &str, operator: &str) {
    settled(host, tenant, id, operator, false).await;
}

async fn settled(host: &Host, tenant: &str, id: &str, operator: &str, connected: bool) {
    let inbound = Inbound {
        attempt: attempt(id),
        number: PhoneNumber::parse("+79161234567").ok(),
        peer: "sip:79161234567@192.0.2.7".into(),
        trunk: None,
        started_at: NOW,
    };
    let talked = Outcome::Answered { result: TalkEnd::Scenario("Записаться".into()) };
    let mut report = CallReport::unanswered(NOW, talked);
    report.answered_at = Some(NOW);
    let talk = if connected { Millis(7_000) } else { Millis(0) };
    report.phases.talk = talk;
    report.transfers = vec![Transfer {
        to_operator: true,
        connected,
        wait: Millis(1_001),
        talk,
        operator: OperatorId::new(operator).ok(),
        ..Transfer::default()
    }];
    tables(&host.store, tenant).settle_inbound(inbound, report).await.unwrap();
}

#[tokio::test]
async fn the_card_has_the_script_the_person_and_the_results_and_takes_one_of_them() {
    let host = Host::fresh().await;
    let a = host.of("a");
    a.post("/v1/scenarios", with_script()).await.good();
    a.json("/v1/projects", r#"{"id":"spring","title":"Весна","scenario":"menu","trunk":"main"}"#)
        .await
        .good();
    let lead = json!({"leads": [{"id": "anna-p", "numbers": ["+79161234567"], "tags": ["vip"],
        "fields": {"имя": "Анна Петрова", "город": "Омск"}}]});
    a.json("/v1/projects/spring/leads", &lead.to_string()).await.good();
    a.json("/v1/operators", r#"{"id":"olga","name":"Ольга"}"#).await.good();
    a.json("/v1/operators", r#"{"id":"petr","name":"Пётр","card":{"scenario":"menu"}}"#).await.good();

    // Without a call there is what he chose to read, and nobody to say anything of.
    let none = a.get("/v1/operators/petr/card").await.good();
    assert_eq!(
        (&none["state"], &none["call"], &none["contact"]),
        (&json!("none"), &Value::Null, &Value::Null)
    );
    assert_eq!(
        (&none["script"], &none["results"]),
        (&json!("Клиент просил перезвонить"), &json!(["Записаться", "Отказ"]))
    );
    let early = a.json("/v1/operators/petr/card/result", r#"{"result_name":"Отказ"}"#).await;
    assert!(early.status == 422 && early.text.contains("talks with nobody"), "{early:?}");

    // Nor of a talk with a colleague.
    let colleague = CallerView { colleague: true, ..caller("asks", "+79161234567") };
    host.going_on.does("petr", WhatHeDoes::Talks { caller: colleague, since: NOW });
    let card = a.get("/v1/operators/petr/card").await.good();
    assert_eq!((&card["state"], &card["call"]), (&json!("none"), &Value::Null));
    let early = a.json("/v1/operators/petr/card/result", r#"{"result_name":"Отказ"}"#).await;
    assert!(early.status == 422 && early.text.contains("talks with nobody"), "{early:?}");
    host.going_on.does("petr", WhatHeDoes::Idle);

    // She chose nothing, so it is the scenario's that the caller has talked with.
    let at_desk = CallerView {
        project: ProjectId::new("spring").ok(),
        lead: LeadId::new("anna-p").ok(),
        ..caller("now", "+79161234567")
    };
    host.going_on.does("olga", WhatHeDoes::Rings { caller: at_desk.clone() });
    assert_eq!(a.get("/v1/operators/olga/card").await.good()["state"], "ringing");
    for body in [r#"{"result_name":"Отказ"}"#, r#"{"call_id":"now","result_name":"Отказ"}"#] {
        let early = a.json("/v1/operators/olga/card/result", body).await;
        assert!(early.status == 422 && early.text.contains("has not talked"), "{early:?}");
    }
    host.going_on.does("olga", WhatHeDoes::Talks { caller: at_desk, since: NOW });
    let card = a.get("/v1/operators/olga/card").await.good();
    assert_eq!((&card["state"], &card["script"]), (&json!("talking"), &json!("Клиент просил перезвонить")));
    let call = &card["call"];
    assert_eq!(
        (&call["id"], &call["phone"], &call["lead_id"]),
        (&json!("now"), &json!("+79161234567"), &json!("anna-p"))
    );
    assert_eq!((&call["call_project_title"], &call["scenario_id"]), (&json!("Весна"), &json!("menu")));
    assert_eq!((&call["organization_id"], &call["user_id"]), (&json!("a"), &json!("olga")));
    let contact = &card["contact"];
    assert_eq!((&contact["name"], &contact["tags"]), (&json!("Анна Петрова"), &json!(["vip"])));
    assert_eq!(contact["fields"]["город"], "Омск");
    let other = a.json("/v1/operators/olga/card/result", r#"{"result_name":"Ничего"}"#).await;
    assert!(other.status == 422 && other.text.contains("Записаться, Отказ"), "{other:?}");
    let said = r#"{"result_name":"Отказ","comment":"дорого"}"#;
    let said = a.json("/v1/operators/olga/card/result", said).await.good();
    assert_eq!(
        (&said["call_id"], &said["user_id"], &said["comment"]),
        (&json!("now"), &json!("olga"), &json!("дорого"))
    );
    assert_eq!(a.get("/v1/operators/olga/card").await.good()["call_result"], said);
    // The robot has the caller again: she may still say what came of it, and nobody else.
    host.going_on.does("olga", WhatHeDoes::Idle);
    let again = r#"{"call_id":"now","result_name":"Записаться"}"#;
    assert_eq!(a.json("/v1/operators/olga/card/result", again).await.good()["user_id"], "olga");
    assert_eq!(a.json("/v1/operators/petr/card/result", again).await.status, 404);
    // Who only let it ring has nothing to say of it.
    missed_by(&host, "a", "missed", "olga").await;
    assert_eq!(a.get("/v1/operators/olga/card?call=missed").await.good()["state"], "over");
    let of_missed = r#"{"call_id":"missed","result_name":"Отказ"}"#;
    assert_eq!(a.json("/v1/operators/olga/card/result", of_missed).await.status, 422);

    // What he says after the talk is in the reports, beside the scenario's own result.
    call_of(&host, "a", "over", "petr").await;
    let card = a.get("/v1/operators/petr/card?call=over").await.good();
    assert_eq!((&card["state"], &card["call"]["direction"]), (&json!("over"), &json!("inbound")));
    let late = r#"{"call_id":"over","result_name":"Отказ","comment":"передумал"}"#;
    a.json("/v1/operators/petr/card/result", late).await.good();
    let rows = a.get("/v1/reports/calls?responsible=%D0%9F%D1%91%D1%82%D1%80").await.good();
    let [row] = &rows["calls"].as_array().unwrap()[..] else { panic!("{rows}") };
    assert_eq!((&row["responsible"], &row["result"]), (&json!("Пётр"), &json!("Записаться")));
    assert_eq!(
        (&row["call_result"]["result_name"], &row["call_result"]["comment"]),
        (&json!("Отказ"), &json!("передумал"))
    );
    assert_eq!(
        row["transfers"],
        json!([{"kind": "сотрудник", "user_id": "petr", "number": null, "connected": true, "wait_seconds": 2,
                "talk_seconds": 7, "missed": null}])
    );
    let nobodys = a.get("/v1/reports/calls?responsible=anna").await.good();
    assert_eq!(nobodys["calls"], json!([]));
    // «Пёт»
    let unknown = a.get("/v1/reports/calls?responsible=%D0%9F%D1%91%D1%82").await;
    assert!(unknown.text.contains("no operator is called «Пёт»"), "{unknown:?}");

    // Somebody else's call is not his, and another tenant's is nobody's.
    for (operator, call) in [("olga", "over"), ("petr", "theirs"), ("petr", "never"), ("petr", "a.b")] {
        call_of(&host, "b", "theirs", "petr").await;
        let shown = a.get(&format!("/v1/operators/{operator}/card?call={call}")).await;
        assert!(
            shown.status == 404 && shown.text.contains("no-such-attempt"),
            "{operator} {call}: {shown:?}"
        );
        let body = json!({"call_id": call, "result_name": "Отказ"}).to_string();
        let said = a.json(&format!("/v1/operators/{operator}/card/result"), &body).await;
        assert!(said.status == 404, "{operator} {call}: {said:?}");
    }
    let long = json!({"call_id": "over", "result_name": "Отказ", "comment": "я".repeat(9_000)}).to_string();
    assert_eq!(a.json("/v1/operators/petr/card/result", &long).await.status, 422);
    host.end().await;
}
