//! Versions come, are compared, go live, go back, and are there again after a restart.

use std::time::Duration;

use serde_json::Value;
use zvonar_dialer::Grant;
use zvonar_scenario::rollout::Sample;

use crate::host::{Host, archive_of, component, manifest, soon, tenant, write_package};

/// `v2 live · v1 previous`.
fn states(versions: &Value) -> String {
    let told = versions["versions"].as_array().unwrap().iter().map(|version| {
        let percent = version["percent"].as_u64().map(|percent| format!(" {percent} %")).unwrap_or_default();
        format!("v{} {}{percent}", version["number"], version["state"].as_str().unwrap())
    });
    told.collect::<Vec<_>>().join(" · ")
}

async fn versions(host: &Host) -> String {
    states(&host.of("a").get("/v1/scenarios/menu/versions").await.good())
}

#[tokio::test]
async fn a_version_goes_live_as_a_canary_and_back() {
    let host = Host::fresh().await;
    let a = host.of("a");
    let first = a.post("/v1/scenarios?note=first", archive_of("menu", 1)).await;
    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!(
        first.text,
        r#"{"scenario":"menu","number":1,"version":"1","lineup":"v1 live","unchanged":false}"#
    );
    let again = a.post("/v1/scenarios", archive_of("menu", 1)).await;
    assert_eq!((again.status, again.json()["unchanged"].as_bool()), (200, Some(true)), "{again:?}");

    let call = host.scenes.slot(&tenant("a"), "menu").unwrap().assign(0);
    let second = a.post("/v1/scenarios", archive_of("menu", 2)).await.good();
    assert_eq!(second["lineup"], "v2 live, 1 call still on v1");
    assert_eq!(call.module.manifest().version, "1", "the call in progress keeps its version");
    drop(call);
    assert_eq!(versions(&host).await, "v2 live · v1 previous");

    let canary = a.post("/v1/scenarios?canary=10", archive_of("menu", 3)).await.good();
    assert_eq!(canary["lineup"], "v2 live, v3 canary 10 %");
    let more = a.json("/v1/scenarios/menu/canary", r#"{"percent":50}"#).await.good();
    assert_eq!(more["lineup"], "v2 live, v3 canary 50 %");
    assert_eq!(versions(&host).await, "v3 canary 50 % · v2 live · v1 previous");
    let got = |lot| host.scenes.slot(&tenant("a"), "menu").unwrap().assign(lot).release().number();
    assert_eq!((got(49), got(50)), (3, 2));

    assert_eq!(a.post("/v1/scenarios/menu/promote", "").await.good()["lineup"], "v3 live");
    assert_eq!(versions(&host).await, "v3 live · v2 previous · v1 kept");
    assert_eq!(a.post("/v1/scenarios/menu/rollback", "").await.good()["lineup"], "v2 live");
    assert_eq!(versions(&host).await, "v3 withdrawn · v2 live · v1 previous");
    assert_eq!(a.json("/v1/scenarios/menu/rollback", r#"{"to":3}"#).await.good()["lineup"], "v3 live");
    assert_eq!(versions(&host).await, "v3 live · v2 withdrawn · v1 kept");
    let list = a.get("/v1/scenarios").await.good();
    assert_eq!((&list["scenarios"][0]["live"], &list["scenarios"][0]["version"]), (&3.into(), &"3".into()));
    host.end().await;
}

#[tokio::test]
async fn a_restart_brings_back_what_was_in_use() {
    let host = Host::fresh().await;
    for version in 1..=3 {
        host.of("a").post("/v1/scenarios", archive_of("menu", version)).await.good();
    }
    host.of("a").post("/v1/scenarios?canary=5", archive_of("menu", 4)).await.good();
    let call = host.scenes.slot(&tenant("a"), "menu").unwrap().assign(99);
    call.ended(Sample { fault: true, without_result: false });
    let before = versions(&host).await;

    let host = Host::start(host.end().await, Grant::default()).await;
    assert_eq!(versions(&host).await, before);
    let lineup = host.scenes.slot(&tenant("a"), "menu").unwrap().lineup();
    assert_eq!(lineup.to_string(), "v3 live, v4 canary 5 %");
    assert_eq!((lineup.live().health().calls, lineup.live().health().faults), (1, 1), "counts are kept");
    assert!(lineup.baseline().is_some(), "it is still on probation");
    host.of("a").post("/v1/scenarios/menu/rollback", "").await.good();
    host.of("a").post("/v1/scenarios/menu/rollback", "").await.good();
    assert_eq!(versions(&host).await, "v4 withdrawn · v3 withdrawn · v2 live · v1 previous");
    host.end().await;
}

#[tokio::test]
async fn a_version_whose_calls_fail_is_rolled_back_by_itself_and_says_why() {
    let host = Host::fresh().await;
    host.of("a").post("/v1/scenarios", archive_of("menu", 1)).await.good();
    host.of("a").post("/v1/scenarios", archive_of("menu", 2)).await.good();
    let slot = host.scenes.slot(&tenant("a"), "menu").unwrap();
    for _ in 0..5 {
        slot.assign(0).ended(Sample { fault: true, without_result: false });
    }
    soon("it is rolled back", async || slot.lineup().live().number() == 1).await;
    // The reason is written just after the swap.
    let mut newest = Value::Null;
    soon("the reason is written", async || {
        newest = host.of("a").get("/v1/scenarios/menu/versions").await.good()["versions"][0].take();
        newest["withdrawn"].is_string()
    })
    .await;
    let withdrawn = (newest["withdrawn"].as_str().unwrap().to_owned(), newest["faults"].clone());
    assert_eq!(withdrawn, ("rolled back automatically: all of its first 5 calls failed".into(), 5.into()));
    // Back on a version that people trusted: nothing rolls that back.
    for _ in 0..30 {
        slot.assign(0).ended(Sample { fault: true, without_result: false });
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(slot.lineup().to_string(), "v1 live");
    host.end().await;
}

#[tokio::test]
async fn a_canary_whose_calls_fail_goes_and_leaves_the_live_version_alone() {
    let host = Host::fresh().await;
    host.of("a").post("/v1/scenarios", archive_of("menu", 1)).await.good();
    host.of("a").post("/v1/scenarios?canary=50", archive_of("menu", 2)).await.good();
    let slot = host.scenes.slot(&tenant("a"), "menu").unwrap();
    for _ in 0..5 {
        slot.assign(99).ended(Sample::default());
        slot.assign(0).ended(Sample { fault: true, without_result: false });
    }
    soon("the canary goes", async || slot.lineup().canary().is_none()).await;
    assert_eq!(slot.lineup().to_string(), "v1 live");
    host.end().await;
}

#[tokio::test]
async fn the_configuration_deploys_when_it_changed_and_otherwise_leaves_what_is_live() {
    let host = Host::fresh().await;
    let folder = tempfile::tempdir().unwrap();
    let write = |version| write_package(folder.path(), &manifest("menu", version), &component(version));
    let (a, first) = (tenant("a"), write(1));
    assert!(host.deployments.configure(&a, first.clone()).await.unwrap().is_some());
    host.of("a").post("/v1/scenarios", archive_of("menu", 2)).await.good();

    let host = Host::start(host.end().await, Grant::default()).await;
    assert!(host.deployments.configure(&a, first).await.unwrap().is_none(), "it did not change");
    assert_eq!(versions(&host).await, "v2 live · v1 previous");
    let third = host.deployments.configure(&a, write(3)).await.unwrap().expect("it changed");
    assert_eq!((third.number, third.lineup.as_str()), (3, "v3 live"));
    // What it says now may be live already by another way.
    host.of("a").post("/v1/scenarios", archive_of("menu", 4)).await.good();
    assert!(host.deployments.configure(&a, write(4)).await.unwrap().expect("it changed").unchanged);
    assert!(host.deployments.configure(&a, write(4)).await.unwrap().is_none());
    host.end().await;
}

#[tokio::test]
async fn only_so_many_versions_are_kept_and_those_in_use_always() {
    let grant = Grant { versions: 3, ..Grant::default() };
    let host = Host::start(std::sync::Arc::new(zvonar_store::MemoryStore::new()), grant).await;
    for version in 1..=5 {
        host.of("a").post("/v1/scenarios", archive_of("menu", version)).await.good();
    }
    assert_eq!(versions(&host).await, "v5 live · v4 previous · v3 kept");
    host.of("a").json("/v1/scenarios/menu/rollback", r#"{"to":3}"#).await.good();
    for version in 6..=9 {
        host.of("a").post("/v1/scenarios?canary=1", archive_of("menu", version)).await.good();
    }
    let told = versions(&host).await;
    assert!(told.contains("v3 live") && told.contains("v9 canary 1 %"), "{told}");
    let gone = host.of("a").json("/v1/scenarios/menu/rollback", r#"{"to":1}"#).await;
    assert_eq!(gone.status, 404);
    host.end().await;
}

/// Two tenants call their scenarios by the same name.
#[tokio::test]
async fn a_tenant_sees_and_changes_nothing_of_anothers() {
    let host = Host::fresh().await;
    for version in 1..=2 {
        host.of("a").post("/v1/scenarios", archive_of("menu", version)).await.good();
    }
    assert_eq!(host.of("b").get("/v1/scenarios").await.good()["scenarios"], Value::Array(vec![]));
    for path in ["/v1/scenarios/menu/rollback", "/v1/scenarios/menu/promote"] {
        assert_eq!(host.of("b").post(path, "").await.status, 404, "{path}");
    }
    assert_eq!(host.of("b").get("/v1/scenarios/menu/versions").await.status, 404);
    let of_b = host.of("b").post("/v1/scenarios", archive_of("menu", 7)).await.good();
    assert_eq!(of_b["lineup"], "v1 live", "b counts for itself");
    host.of("a").post("/v1/scenarios/menu/rollback", "").await.good();
    let version = |id: &str| {
        let slot = host.scenes.slot(&tenant(id), "menu").unwrap();
        slot.assign(0).module.manifest().version.clone()
    };
    assert_eq!((version("a").as_str(), version("b").as_str()), ("1", "7"));
    host.end().await;
}
