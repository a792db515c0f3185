//! What the interface says about itself.

use serde_json::Value;

use crate::host::{Host, archive_of};

#[test]
fn the_openapi_document_is_as_it_was_agreed() {
    insta::assert_json_snapshot!(zvonar_api::document());
}

/// A route that the document lacks is one that nobody finds.
#[tokio::test]
async fn every_path_of_the_document_is_served() {
    let host = Host::fresh().await;
    host.of("a").post("/v1/scenarios", archive_of("menu", 1)).await.good();
    let document = host.anonymous().get("/openapi.json").await.good();
    let Value::Object(paths) = &document["paths"] else { panic!("no paths: {document}") };
    assert_eq!(paths.len(), 42);
    for (path, methods) in paths {
        for method in methods.as_object().unwrap().keys().filter(|method| *method != "parameters") {
            let concrete = path.replace("{name}", "menu").replace("{id}", "0");
            let concrete = concrete.replace("{project}", "spring").replace("{lead}", "anna");
            let concrete = concrete.replace("{webhook}", "crm").replace("{tenant}", "a");
            let asker = host.of("a");
            let request = format!(
                "{} {concrete} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{}Content-Length: 0\r\n\r\n",
                method.to_uppercase(),
                asker.head
            );
            let answer = asker.raw(request.as_bytes()).await;
            assert!(![0, 405].contains(&answer.status), "{method} {path}: {answer:?}");
            assert!(!answer.text.contains("no-such-place"), "{method} {path}: {answer:?}");
        }
    }
    host.end().await;
}
