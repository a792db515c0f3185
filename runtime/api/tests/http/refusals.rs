//! Every refusal has its status, its word and a sentence that says what to do; and what was live stays live.

use std::sync::Arc;

use zvonar_dialer::Grant;
use zvonar_store::MemoryStore;

use crate::host::{Host, archive_of, component, manifest, soon, tenant, token, write_package};

/// What is asked, by whom, and what must come back.
struct Case {
    what: &'static str,
    method: &'static str,
    path: &'static str,
    json: Option<&'static str>,
    status: u16,
    code: &'static str,
    /// A part of the sentence.
    says: &'static str,
}

const CASES: &[Case] = &[
    Case {
        what: "nothing there",
        method: "GET",
        path: "/v2/scenarios",
        json: None,
        status: 404,
        code: "no-such-place",
        says: "/openapi.json",
    },
    Case {
        what: "the wrong method",
        method: "DELETE",
        path: "/v1/scenarios",
        json: None,
        status: 405,
        code: "no-such-method",
        says: "DELETE",
    },
    Case {
        what: "an unknown scenario",
        method: "GET",
        path: "/v1/scenarios/menuu/versions",
        json: None,
        status: 404,
        code: "no-such-scenario",
        says: "there are: menu",
    },
    Case {
        what: "a name that is none",
        method: "GET",
        path: "/v1/scenarios/..%2F/versions",
        json: None,
        status: 404,
        code: "no-such-scenario",
        says: "there are: menu",
    },
    Case {
        what: "an unknown version",
        method: "POST",
        path: "/v1/scenarios/menu/rollback",
        json: Some(r#"{"to":9}"#),
        status: 404,
        code: "no-such-version",
        says: "kept are v1",
    },
    Case {
        what: "no version before",
        method: "POST",
        path: "/v1/scenarios/menu/rollback",
        json: Some("{}"),
        status: 409,
        code: "conflict",
        says: "first version",
    },
    Case {
        what: "the live version again",
        method: "POST",
        path: "/v1/scenarios/menu/rollback",
        json: Some(r#"{"to":1}"#),
        status: 409,
        code: "conflict",
        says: "live already",
    },
    Case {
        what: "a misspelt key",
        method: "POST",
        path: "/v1/scenarios/menu/rollback",
        json: Some(r#"{"too":1}"#),
        status: 400,
        code: "malformed",
        says: "unknown field `too`",
    },
    Case {
        what: "no canary to promote",
        method: "POST",
        path: "/v1/scenarios/menu/promote",
        json: Some("{}"),
        status: 409,
        code: "conflict",
        says: "no canary",
    },
    Case {
        what: "no canary to enlarge",
        method: "POST",
        path: "/v1/scenarios/menu/canary",
        json: Some(r#"{"percent":10}"#),
        status: 409,
        code: "conflict",
        says: "no canary",
    },
    Case {
        what: "more than all calls",
        method: "POST",
        path: "/v1/scenarios/menu/canary",
        json: Some(r#"{"percent":101}"#),
        status: 400,
        code: "malformed",
        says: "0 to 100",
    },
    Case {
        what: "a percent that is none",
        method: "POST",
        path: "/v1/scenarios?canary=all",
        json: Some("x"),
        status: 400,
        code: "malformed",
        says: "canary",
    },
    Case {
        what: "no percent at all",
        method: "POST",
        path: "/v1/scenarios?canary=0",
        json: Some("x"),
        status: 400,
        code: "malformed",
        says: "1 to 99",
    },
    Case {
        what: "a misspelt parameter",
        method: "POST",
        path: "/v1/scenarios?cannary=10",
        json: Some("x"),
        status: 400,
        code: "malformed",
        says: "cannary",
    },
    Case {
        what: "an empty upload",
        method: "POST",
        path: "/v1/scenarios",
        json: Some(""),
        status: 400,
        code: "malformed",
        says: "--data-binary",
    },
    Case {
        what: "garbage",
        method: "POST",
        path: "/v1/scenarios",
        json: Some("no archive"),
        status: 422,
        code: "package-refused",
        says: "mend",
    },
    Case {
        what: "a day that is none",
        method: "GET",
        path: "/v1/attempts?day=yesterday",
        json: None,
        status: 400,
        code: "malformed",
        says: "2026-03-02",
    },
    Case {
        what: "a zone that is none",
        method: "GET",
        path: "/v1/attempts?zone=Here",
        json: None,
        status: 400,
        code: "malformed",
        says: "Europe/Moscow",
    },
    Case {
        what: "an unknown attempt",
        method: "GET",
        path: "/v1/attempts/0123",
        json: None,
        status: 404,
        code: "no-such-attempt",
        says: "0123",
    },
    Case {
        what: "after an unknown attempt",
        method: "GET",
        path: "/v1/attempts?after=..",
        json: None,
        status: 404,
        code: "no-such-attempt",
        says: "..",
    },
];

#[tokio::test]
async fn every_refusal_has_its_status_its_word_and_a_sentence() {
    let host = Host::fresh().await;
    host.of("a").post("/v1/scenarios", archive_of("menu", 1)).await.good();
    for case in CASES {
        let asker = host.of("a");
        let body = case.json.unwrap_or_default();
        let head = format!(
            "{} {} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            case.method,
            case.path,
            asker.head,
            body.len()
        );
        let answer = asker.raw(head.as_bytes()).await;
        assert_eq!(answer.status, case.status, "{}: {answer:?}", case.what);
        let problem = answer.json();
        assert_eq!(problem["code"], case.code, "{}: {answer:?}", case.what);
        let says = problem["message"].as_str().unwrap();
        assert!(says.contains(case.says), "{}: {says}", case.what);
        assert!(problem["faults"].is_array());
    }
    assert_eq!(host.scenes.slot(&tenant("a"), "menu").unwrap().lineup().to_string(), "v1 live");
    host.end().await;
}

#[tokio::test]
async fn without_a_known_token_nothing_is_told() {
    let host = Host::fresh().await;
    host.of("a").post("/v1/scenarios", archive_of("menu", 1)).await.good();
    let good = token("a").reveal().to_owned();
    let heads = [
        String::new(),
        "Authorization: Bearer\r\n".into(),
        "Authorization: Bearer zvt_0000\r\n".into(),
        format!("Authorization: Basic {good}\r\n"),
        format!("Authorization: Bearer {good}0\r\n"),
        format!("Authorization: {good}\r\n"),
        format!("Authorization: Bearer {}\r\n", token("a").hash("ci").unwrap()),
    ];
    for head in heads {
        for path in ["/v1/scenarios", "/v1/scenarios/menu/versions", "/v1/attempts", "/v1/attempts/1"] {
            let mut asker = host.anonymous();
            asker.head.clone_from(&head);
            let answer = asker.get(path).await;
            assert_eq!((answer.status, &answer.json()["code"]), (401, &"no-token".into()), "{head}{path}");
            assert!(
                answer.header("www-authenticate").is_some_and(|how| how.starts_with("Bearer")),
                "{answer:?}"
            );
            assert!(!answer.text.contains("menu"), "{answer:?}");
        }
    }
    assert_eq!(host.anonymous().get("/healthz").await.text, "ok\n");
    host.end().await;
}

#[tokio::test]
async fn every_fault_of_a_package_is_told_and_the_version_in_use_stays() {
    let host = Host::fresh().await;
    let a = host.of("a");
    a.post("/v1/scenarios", archive_of("menu", 1)).await.good();
    let folder = tempfile::tempdir().unwrap();
    let good = write_package(folder.path(), &manifest("menu", 2), &component(2));
    let archive = zvonar_scenario::archive::pack(&good).unwrap();
    // A bit is flipped in the middle; the end is cut off.
    let mut bent = archive.clone();
    let middle = bent.len() / 2;
    bent[middle] ^= 0x55;
    for (what, body) in [("bent", bent), ("cut", archive[..archive.len() - 30].to_vec())] {
        let answer = a.post("/v1/scenarios", body).await;
        assert_eq!(answer.status, 422, "{what}: {answer:?}");
        let faults = answer.json()["faults"].as_array().unwrap().clone();
        assert!(!faults.is_empty() && !answer.text.contains("unpacked/"), "{what}: {answer:?}");
    }
    assert_eq!(host.scenes.slot(&tenant("a"), "menu").unwrap().lineup().to_string(), "v1 live");
    host.end().await;
}

#[tokio::test]
async fn an_upload_that_is_too_large_is_refused_before_it_is_read() {
    let host = Host::fresh().await;
    let asker = host.of("a");
    let head = format!(
        "POST /v1/scenarios HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{}Content-Length: 524288000\r\nExpect: 100-continue\r\n\r\n",
        asker.head
    );
    // Not a byte of the body is sent.
    let answer = asker.raw(head.as_bytes()).await;
    assert_eq!((answer.status, &answer.json()["code"]), (413, &"too-large".into()), "{answer:?}");
    assert!(answer.text.contains("128 MiB"), "{answer:?}");
    host.end().await;
}

#[tokio::test]
async fn a_version_that_does_not_take_a_projects_settings_is_refused() {
    let host = Host::fresh().await;
    let folder = tempfile::tempdir().unwrap();
    let setting = "[[settings]]\nname = \"repeats\"\ntype = \"number\"\n";
    let with = format!("{}{setting}", manifest("used", 1));
    let upload = |manifest: &str| {
        zvonar_scenario::archive::pack(&write_package(folder.path(), manifest, &component(1))).unwrap()
    };
    let a = host.of("a");
    let refused = a.post("/v1/scenarios", upload(&manifest("used", 1))).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert_eq!(refused.json()["faults"][0], "project spring: scenario used has no setting `repeats`");
    a.post("/v1/scenarios", upload(&with)).await.good();
    // The other tenant has no such project.
    host.of("b").post("/v1/scenarios", upload(&manifest("used", 1))).await.good();
    host.end().await;
}

#[tokio::test]
async fn a_scenario_that_listens_for_words_is_refused_by_a_host_that_hears_none() {
    let host = Host::fresh().await;
    let folder = tempfile::tempdir().unwrap();
    let upload = |more: &str| {
        let (head, tail) =
            manifest("listens", 1).split_once('\n').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let manifest = format!("{head}\n{more}\n{tail}");
        zvonar_scenario::archive::pack(&write_package(folder.path(), &manifest, &component(1))).unwrap()
    };
    let refused = host.of("a").post("/v1/scenarios", upload("speech = \"ru\"")).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    let fault = refused.json()["faults"][0].to_string();
    assert!(fault.contains("listens for words") && fault.contains("zvonar model fetch base"), "{fault}");
    // One that can do with keys alone is taken.
    host.of("a").post("/v1/scenarios", upload("speech = \"ru\"\nspeech-needed = false")).await.good();
    host.end().await;
}

#[tokio::test]
async fn uploads_above_the_grant_are_told_when_to_come_again_and_a_neighbour_is_not() {
    let grant = Grant { uploads_per_minute: 2, ..Grant::default() };
    let host = Host::start(Arc::new(MemoryStore::new()), grant).await;
    for version in 1..=2 {
        host.of("a").post("/v1/scenarios", archive_of("menu", version)).await.good();
    }
    let refused = host.of("a").post("/v1/scenarios", archive_of("menu", 3)).await;
    assert_eq!((refused.status, &refused.json()["code"]), (429, &"too-many-uploads".into()), "{refused:?}");
    assert_eq!(refused.header("retry-after"), Some("30"), "{refused:?}");
    host.of("b").post("/v1/scenarios", archive_of("menu", 1)).await.good();
    host.end().await;
}

/// One upload stands in the middle of its body; the others of this tenant wait, and above the grant are refused.
#[tokio::test]
async fn an_upload_that_hangs_holds_up_its_own_tenant_alone() {
    use tokio::io::AsyncWriteExt;
    let grant = Grant { waiting_uploads: 0, ..Grant::default() };
    let host = Host::start(Arc::new(MemoryStore::new()), grant).await;
    let mut hanging = tokio::net::TcpStream::connect(host.address).await.unwrap();
    let head = format!(
        "POST /v1/scenarios HTTP/1.1\r\nHost: h\r\n{}Content-Length: 100\r\n\r\nPK",
        host.of("a").head
    );
    hanging.write_all(head.as_bytes()).await.unwrap();
    let mut refused = None;
    soon("the upload that hangs is noticed", async || {
        let answer = host.of("a").post("/v1/scenarios", archive_of("menu", 1)).await;
        refused = (![200, 201].contains(&answer.status)).then_some(answer);
        refused.is_some()
    })
    .await;
    let refused = refused.unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("5")), "{refused:?}");
    host.of("b").post("/v1/scenarios", archive_of("menu", 1)).await.good();
    drop(hanging);
    host.end().await;
}
