//! Counts and tallies: folded once whatever happens, rebuilt the same, and every damage told.

use std::sync::Arc;

use zvonar_dialer::{Dialer, Inbound, StatusCounts, Tables, TenantKeys};
use zvonar_ledger::PriceList;
use zvonar_model::{AttemptId, UnixMillis};
use zvonar_store::fault::{Fault, FaultStore};
use zvonar_store::{Cursor, Expect, Item, Key, MemoryStore, SharedStore, Write};

use crate::world::{Carrier, dialer, make_list, project, tenant};

fn at(tokens: &[&str]) -> Key {
    tokens.iter().fold(Key::root("acme"), |key, token| key.then(token))
}

async fn below(store: &SharedStore, key: &Key) -> Vec<Item> {
    store.scan(TenantKeys::new(&tenant()).shard(), key, Cursor::start(), 10_000).await.unwrap().items
}

async fn write(store: &SharedStore, key: Key, value: Option<String>) {
    let write = Write { key, expect: Expect::Any, value: value.map(Into::into) };
    let _ = store.commit(TenantKeys::new(&tenant()).shard(), vec![write]).await.unwrap();
}

fn tables(store: &SharedStore) -> Tables {
    Tables::new(store.clone(), Arc::new(PriceList::default()), tenant())
}

/// A store with a list of forty that is half called, two incoming calls, and the dialler that did it.
async fn half_called() -> (SharedStore, Dialer) {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let carrier = Carrier::new(5, Arc::default(), Arc::new(|_| {}));
    let dialer = dialer(store.clone(), carrier, 5);
    make_list(&dialer, 40, 1).await;
    let (tell, stop) = tokio::sync::watch::channel(false);
    let (tenant, project) = (tenant(), project());
    let (finished, ()) = tokio::join!(dialer.run(&tenant, &project, None, stop), async {
        tokio::time::sleep(std::time::Duration::from_secs(150)).await;
        tell.send_replace(true);
    });
    let counts = finished.unwrap().counts;
    assert!(counts.finished > 5 && counts.finished < 35, "{counts:?}");
    for i in 0..2_u64 {
        let inbound = Inbound {
            attempt: AttemptId::fresh(UnixMillis(1_790_000_500_000), i),
            number: None,
            peer: "sip:unknown@192.0.2.7".into(),
            trunk: None,
            // The second came on another day.
            started_at: UnixMillis(1_790_000_500_000 + 86_400_000 * i64::try_from(i).unwrap()),
        };
        let mut report =
            zvonar_dialer::CallReport::unanswered(inbound.started_at, zvonar_model::Outcome::Busy);
        report.ended_at = inbound.started_at;
        dialer.settle_inbound(&tenant, inbound, report).await.unwrap();
    }
    (store, dialer)
}

/// Counted from the leads.
async fn naive(tables: &Tables) -> StatusCounts {
    use zvonar_campaign::LeadStatus::{Again, New, Reached, Unreached};
    let mut counts = StatusCounts::default();
    for lead in tables.leads(&project()).await.unwrap() {
        *match lead.progress.state.status() {
            New => &mut counts.new,
            Again => &mut counts.again,
            Reached => &mut counts.reached,
            Unreached => &mut counts.unreached,
        } += 1;
    }
    counts
}

/// All that is folded, byte by byte.
async fn folded(store: &SharedStore) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    for item in below(store, &at(&["stat"])).await {
        rows.push((item.key.to_string(), String::from_utf8(item.value.to_vec()).unwrap()));
    }
    rows
}

#[tokio::test(start_paused = true)]
async fn counts_are_those_of_the_leads_and_folding_again_changes_nothing() {
    let (store, dialer) = half_called().await;
    let tables = dialer.tables(&tenant());
    let counts = tables.status_counts(&project()).await.unwrap();
    assert_eq!((counts, counts.total()), (naive(&tables).await, 40));
    let once = folded(&store).await;
    // Total and day of all, of the project; total and two days of the calls of no project, and the second day of all.
    assert_eq!(once.len(), 8, "{once:?}");
    let many = (0..8).map(|_| tables.fold_stats());
    futures::future::try_join_all(many).await.unwrap();
    assert_eq!(folded(&store).await, once);
    assert!(tables.verify().await.unwrap().is_sound());
    // Anew from the journal: the same, but for the number of the folding.
    tables.rebuild_stats().await.unwrap();
    let anew = folded(&store).await;
    let unnumbered = |rows: Vec<(String, String)>| -> Vec<_> {
        rows.into_iter()
            .map(|(key, row)| (key, row.replace("\"generation\":1", "\"generation\":0")))
            .collect()
    };
    assert_ne!(anew, once);
    assert_eq!(unnumbered(anew), once);
}

/// Several that fold at once, each commit of which may be lost on its way or its answer be.
#[tokio::test(start_paused = true)]
async fn folding_at_once_over_a_bad_line_counts_each_step_once() {
    for fault in [Fault::LostBefore, Fault::LostAfter] {
        for commit in 1..=12 {
            let (store, _) = half_called().await;
            for item in below(&store, &at(&["stat"])).await {
                write(&store, item.key, None).await;
            }
            write(&store, at(&["fold", "steps"]), Some(FOLDED_NOTHING.into())).await;
            let bad = FaultStore::new(store.clone(), [(commit, fault)]);
            let many = (0..3).map(|_| {
                let tables = tables(&(bad.clone() as SharedStore));
                async move { tables.fold_stats().await }
            });
            futures::future::try_join_all(many).await.unwrap();
            let verified = tables(&store).verify().await.unwrap();
            assert!(verified.is_sound(), "{fault:?} {commit}: {:?}", verified.faults);
        }
    }
}

/// A cursor at the beginning of a journal that has all steps.
const FOLDED_NOTHING: &str = r#"{"v":1,"row":{"generation":0,"cursor":0,"fill":{"is":"done"}}}"#;

/// Whoever upgraded a host saw empty reports of the calls before.
#[tokio::test(start_paused = true)]
async fn what_an_earlier_program_stored_is_counted_whatever_crashes_on_the_way() {
    let old = |store: SharedStore| async move {
        for key in [at(&["step"]), at(&["stat"]), at(&["fold"])] {
            for item in below(&store, &key).await {
                write(&store, item.key, None).await;
            }
        }
    };
    let (store, dialer) = half_called().await;
    let expected = naive(&tables(&store)).await;
    old(store.clone()).await;
    let counting = FaultStore::new(store.clone(), []);
    assert_eq!(tables(&(counting.clone() as SharedStore)).status_counts(&project()).await.unwrap(), expected);
    let verified = dialer.tables(&tenant()).verify().await.unwrap();
    assert!(verified.is_sound() && verified.records > 7, "{:?}", verified.faults);
    let commits = counting.commits();
    assert!(commits >= 4, "{commits}");
    for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::LostBefore, Fault::LostAfter] {
        for commit in 1..=commits {
            old(store.clone()).await;
            let process = FaultStore::new(store.clone(), [(commit, fault)]);
            let shaky = tables(&(process.clone() as SharedStore));
            let project = project();
            tokio::select! {
                biased;
                () = process.crashed() => {}
                counts = shaky.status_counts(&project) => assert_eq!(counts.unwrap(), expected),
            }
            let tables = tables(&store);
            assert_eq!(tables.status_counts(&project).await.unwrap(), expected, "{fault:?} {commit}");
            let verified = tables.verify().await.unwrap();
            assert!(verified.is_sound(), "{fault:?} {commit}: {:?}", verified.faults);
        }
    }
    // And dialling goes on from there.
    old(store.clone()).await;
    let (_tell, stop) = tokio::sync::watch::channel(false);
    dialer.run(&tenant(), &project(), None, stop).await.unwrap();
    let counts = dialer.tables(&tenant()).status_counts(&project()).await.unwrap();
    assert_eq!((counts.finished(), counts), (40, naive(&dialer.tables(&tenant())).await));
    assert!(dialer.tables(&tenant()).verify().await.unwrap().is_sound());
}

/// Changes the first row below a key that has `from` in it.
async fn forge(store: &SharedStore, key: &Key, from: &str, to: &str) {
    for item in below(store, key).await {
        let text = String::from_utf8(item.value.to_vec()).unwrap();
        if text.contains(from) {
            return write(store, item.key, Some(text.replacen(from, to, 1))).await;
        }
    }
    panic!("nothing below {key} has {from}");
}

#[tokio::test(start_paused = true)]
async fn each_planted_damage_is_told_in_a_sentence_and_rebuilding_mends_what_the_journal_knows() {
    // What is damaged, a part of the sentence, whether rebuilding mends it.
    type Damage = (&'static [&'static str], &'static str, &'static str, &'static str, bool);
    let table: &[Damage] = &[
        (
            &["stat", "spring"],
            "\"new\":",
            "\"new\":1",
            "leads of project spring are counted as «ещё не звонили»",
            true,
        ),
        (&["stat", "spring"], "\"attempts\":", "\"attempts\":7", "the counts of project spring", true),
        (&["stat", "*"], "\"kopecks\":", "\"kopecks\":9", "the counts of all calls", true),
        (&["stat", ""], "\"answered\":0", "\"answered\":4", "the counts of the calls of no project", true),
        (&["stat", "spring"], "\"steps\":[", "\"steps\":[1", "point to the wrong place in the journal", true),
        (&["step"], "\"result\":\"", "\"result\":\"Не ", "is not what its record and its charge give", false),
        (
            &["lead", "spring"],
            "{\"is\":\"new\"}",
            "{\"is\":\"reached\"}",
            "are counted as «дозвонились»",
            false,
        ),
    ];
    for (key, from, to, sentence, mends) in table {
        let (store, dialer) = half_called().await;
        let tables = dialer.tables(&tenant());
        assert!(tables.verify().await.unwrap().is_sound());
        forge(&store, &at(key), from, to).await;
        let told: Vec<String> =
            tables.verify().await.unwrap().faults.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|told| told.contains(sentence)), "{key:?}: {told:?}");
        tables.rebuild_stats().await.unwrap();
        assert_eq!(tables.verify().await.unwrap().is_sound(), *mends, "{key:?}");
    }

    // Rows that are gone.
    for (key, sentence, mends) in [
        (&["stat", "spring"][..], "the counts of project spring", true),
        (&["step"], "but no step tells the reports of it", true),
        (&["call"], "but no call is recorded", false),
        (&["lead", "spring"], "leads of project spring are counted as", false),
    ] {
        let (store, dialer) = half_called().await;
        let tables = dialer.tables(&tenant());
        tables.fold_stats().await.unwrap();
        let attempts = |item: &Item| !item.key.last().starts_with("added");
        let gone = below(&store, &at(key)).await.into_iter().find(attempts).unwrap();
        write(&store, gone.key, None).await;
        let told: Vec<String> =
            tables.verify().await.unwrap().faults.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|told| told.contains(sentence)), "{key:?}: {told:?}");
        if mends && key[0] == "stat" {
            tables.rebuild_stats().await.unwrap();
            assert!(tables.verify().await.unwrap().is_sound(), "{key:?}");
        }
    }
}

/// A scenario that makes up a result for each call filled the row of its project, and its tenant's reports stopped.
#[tokio::test(start_paused = true)]
async fn results_that_are_too_many_to_be_told_apart_are_counted_together() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let carrier = Carrier::new(5, Arc::default(), Arc::new(|_| {}));
    let dialer = dialer(store.clone(), carrier, 5);
    for i in 0..700_u64 {
        let attempt = AttemptId::fresh(UnixMillis(1_790_000_500_000), i);
        let inbound = Inbound {
            attempt,
            number: None,
            peer: String::new(),
            trunk: None,
            started_at: UnixMillis(1_790_000_500_000),
        };
        let result = zvonar_model::TalkEnd::Scenario(format!("{i} {}", "\u{1}".repeat(3_000)));
        let outcome = zvonar_model::Outcome::Answered { result };
        let report = zvonar_dialer::CallReport::unanswered(UnixMillis(1_790_000_500_000), outcome);
        dialer.settle_inbound(&tenant(), inbound, report).await.unwrap();
    }
    let verified = dialer.tables(&tenant()).verify().await.unwrap();
    assert!(verified.is_sound() && verified.records == 700, "{:?}", verified.faults);
    let rows = folded(&store).await;
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|(_, row)| row.contains("прочие")));
}
