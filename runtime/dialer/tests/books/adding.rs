//! Lists that come in: several batches at once, over a bad line, by two people at the same time, and again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use zvonar_campaign::{LeadStatus, NumberRefused};
use zvonar_dialer::{Added, Adding, IfKnown, NewLead, StatusCounts, Tables};
use zvonar_ledger::PriceList;
use zvonar_model::{LeadId, PhoneNumber, UnixMillis};
use zvonar_store::fault::{Fault, FaultStore};
use zvonar_store::{MemoryStore, SharedStore};

use crate::world::{Carrier, dialer, new_project, number, project, tenant};

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);
const MERGE: Adding = Adding { if_known: IfKnown::Merge, dry: false };

fn tables(store: SharedStore) -> Tables {
    Tables::new(store, Arc::new(PriceList::default()), tenant())
}

async fn empty_list() -> SharedStore {
    let store: SharedStore = Arc::new(MemoryStore::new());
    tables(store.clone()).create_project(new_project(project()), NOW).await.unwrap();
    store
}

fn lead(id: &str, numbers: &[u32]) -> NewLead {
    NewLead {
        lead: LeadId::new(id).unwrap(),
        numbers: numbers.iter().copied().map(number).collect(),
        fields: BTreeMap::new(),
        tags: BTreeSet::new(),
    }
}

fn list(leads: std::ops::Range<u32>) -> Vec<NewLead> {
    leads.map(|i| lead(&format!("lead-{i:05}"), &[i])).collect()
}

/// The ids in the order in which they are dialled, and that the books are in order.
async fn sound(store: &SharedStore) -> Vec<String> {
    let tables = tables(store.clone());
    let leads = tables.leads(&project()).await.unwrap();
    let counts = tables.status_counts(&project()).await.unwrap();
    assert_eq!(counts, StatusCounts { new: leads.len() as i64, ..StatusCounts::default() });
    let positions: BTreeSet<u64> = leads.iter().map(|lead| lead.position).collect();
    assert_eq!(positions.len(), leads.len(), "a place is one lead's");
    let verified = tables.verify().await.unwrap();
    assert!(verified.is_sound(), "{verified:?}");
    leads.into_iter().map(|lead| lead.lead.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_list_of_many_batches_keeps_its_order_and_is_counted_once() {
    let store = empty_list().await;
    let tables = tables(store.clone());
    let added = tables.add_leads(&project(), list(0..3_000)).await.unwrap();
    assert_eq!(added, Added { added: 3_000, ..Added::default() });
    let again = tables.add_leads(&project(), list(2_950..3_050)).await.unwrap();
    assert_eq!((again.added, again.known.len()), (50, 50));
    let order = sound(&store).await;
    assert_eq!(order, list(0..3_050).into_iter().map(|lead| lead.lead.to_string()).collect::<Vec<_>>());
}

/// The answer to any commit may be lost, or the commit be; and two people add lists that overlap.
#[tokio::test(start_paused = true)]
async fn two_lists_at_once_over_a_bad_line_are_in_the_project_once() {
    for fault in [Fault::LostBefore, Fault::LostAfter] {
        for commit in 1..=14 {
            for how in [Adding::default(), MERGE] {
                let store = empty_list().await;
                let one = tables(FaultStore::new(store.clone(), [(commit, fault)]));
                let other = tables(FaultStore::new(store.clone(), [(commit + 1, fault)]));
                let project = project();
                let (one, other) = tokio::join!(
                    one.add_leads_as(&project, list(0..300), how),
                    other.add_leads_as(&project, list(200..500), how)
                );
                let (one, other) = (one.unwrap(), other.unwrap());
                let case = format!("{fault:?} at commit {commit}, {how:?}");
                assert_eq!(sound(&store).await.len(), 500, "{case}");
                assert_eq!(one.added + other.added, 500, "{case}");
                assert_eq!(one.known.len() + other.known.len(), 100, "{case}");
            }
        }
    }
}

/// An import that dies is done again.
#[tokio::test(start_paused = true)]
async fn a_list_that_was_cut_off_is_whole_after_the_second_time() {
    for fault in [Fault::CrashBefore, Fault::CrashAfter] {
        for commit in 1..=8 {
            let store = empty_list().await;
            let dying = FaultStore::new(store.clone(), [(commit, fault)]);
            let (tables_of_dying, project) = (tables(dying.clone()), project());
            tokio::select! {
                biased;
                () = dying.crashed() => {}
                added = tables_of_dying.add_leads(&project, list(0..500)) => {
                    assert_eq!(added.unwrap().added, 500, "it lived: there are fewer commits than {commit}");
                }
            }
            let added = tables(store.clone()).add_leads(&project, list(0..500)).await.unwrap();
            assert_eq!(added.added + added.known.len() as u64, 500, "{fault:?} at commit {commit}");
            assert_eq!(sound(&store).await.len(), 500, "{fault:?} at commit {commit}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn merging_adds_what_is_new_and_leaves_what_was_reached() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let carrier = Carrier::new(5, Arc::default(), Arc::new(|_| {}));
    let dialer = dialer(store.clone(), carrier, 5);
    crate::world::make_list(&dialer, 30, 3).await;
    let (_tell, stop) = tokio::sync::watch::channel(false);
    dialer.run(&tenant(), &project(), None, stop).await.unwrap();
    let tables = dialer.tables(&tenant());
    let before = tables.leads(&project()).await.unwrap();
    let named = |id: usize| format!("lead-{id}");
    let mut news: Vec<NewLead> = Vec::new();
    for id in 0..40_u32 {
        let mut lead = lead(&named(id as usize), &[id, id + 1_000]);
        lead.fields = BTreeMap::from([("city".into(), "Омск".into()), ("name".into(), "Новое".into())]);
        lead.tags = BTreeSet::from(["vip".into()]);
        news.push(lead);
    }
    let dry = Adding { dry: true, ..MERGE };
    let told = tables.add_leads_as(&project(), news.clone(), dry).await.unwrap();
    assert_eq!(tables.leads(&project()).await.unwrap(), before, "a dry run writes nothing");
    let done = tables.add_leads_as(&project(), news.clone(), MERGE).await.unwrap();
    assert_eq!(told, done, "and tells what would be");
    assert_eq!((done.added, done.merged), (10, 30));
    for lead in before {
        let after = tables.lead(&project(), &lead.lead).await.unwrap().unwrap();
        assert_eq!(after.numbers.len(), 2);
        assert_eq!(after.numbers[0], lead.numbers[0]);
        assert_eq!((&*after.fields["city"], &*after.fields["name"]), ("Омск", "Новое"));
        assert_eq!(after.fields.get("heard"), lead.fields.get("heard"), "what a scenario wrote stays");
        assert_eq!((after.position, &after.notes), (lead.position, &lead.notes));
        assert_eq!(after.progress.tries, lead.progress.tries);
        let status = match lead.progress.state.status() {
            LeadStatus::Unreached => LeadStatus::Again,
            status => status,
        };
        assert_eq!(after.progress.state.status(), status, "a new number is a new chance");
    }
    assert!(tables.verify().await.unwrap().is_sound());
    let again = tables.add_leads_as(&project(), news, MERGE).await.unwrap();
    assert_eq!((again.added, again.merged, again.known.len()), (0, 0, 40), "the same again is nothing new");
}

#[tokio::test(start_paused = true)]
async fn numbers_that_are_not_dialled_are_told_and_leads_that_are_full_stay() {
    let store = empty_list().await;
    let tables = tables(store.clone());
    let kazakh = PhoneNumber::parse("+77012345678").unwrap();
    let mut both = lead("both", &[1]);
    both.numbers.push(kazakh.clone());
    let mut none = lead("none", &[]);
    none.numbers.push(kazakh.clone());
    let mut twice = lead("both", &[2]);
    twice.tags.insert("vip".into());
    let done = tables.add_leads_as(&project(), vec![both, none, twice], MERGE).await.unwrap();
    let id = |id: &str| LeadId::new(id).unwrap();
    assert_eq!(done.left_out, [(id("both"), kazakh, NumberRefused::Kazakhstan)]);
    assert_eq!(done.refused, [(id("none"), NumberRefused::Kazakhstan)]);
    assert_eq!((done.added, done.merged), (1, 1));
    let stored = tables.lead(&project(), &id("both")).await.unwrap().unwrap();
    assert_eq!((stored.numbers, stored.tags.len()), (vec![number(1), number(2)], 1));
    let many: Vec<u32> = (100..150).collect();
    let done = tables.add_leads_as(&project(), vec![lead("both", &many)], MERGE).await.unwrap();
    assert_eq!(done.full, [(id("both"), "lead both: 52 numbers; a lead has 1 to 50".to_owned())]);
    assert_eq!(tables.lead(&project(), &id("both")).await.unwrap().unwrap().numbers.len(), 2);
}
