//! The life of projects: no more of them active than may be, however many are started at once; two who edit one project;
//! the configuration's file beside the edits of people.

use std::collections::BTreeSet;
use std::sync::Arc;

use zvonar_campaign::{Ending, ProjectStatus};
use zvonar_dialer::{DialRules, DialerError, NewLead, NewProject, ProjectChange, Tables};
use zvonar_ledger::PriceList;
use zvonar_model::{LeadId, ProjectId, UnixMillis};
use zvonar_store::fault::{Fault, FaultStore};
use zvonar_store::{Key, MemoryStore, SharedStore, SledOptions, SledStore, Write};

use crate::world::{new_project, number, project, tenant};

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);
const MOST: u32 = 5;

fn tables(store: &SharedStore) -> Tables {
    Tables::new(store.clone(), Arc::new(PriceList::default()), tenant())
}

fn id(i: usize) -> ProjectId {
    ProjectId::new(&format!("p{i:02}")).unwrap()
}

async fn make(tables: &Tables, projects: usize) {
    for i in 0..projects {
        let new = NewProject { title: format!("Проект {i}"), ..new_project(id(i)) };
        tables.create_project(new, NOW).await.unwrap();
    }
}

/// The ids of the active ones by their own rows; the quota must say the same.
async fn active(tables: &Tables, case: &str) -> BTreeSet<ProjectId> {
    let by_rows: BTreeSet<_> = tables
        .projects()
        .await
        .unwrap()
        .into_iter()
        .filter(|row| row.status.is_active())
        .map(|row| row.project)
        .collect();
    let by_quota: BTreeSet<_> = tables.active_projects().await.unwrap().into_iter().collect();
    assert_eq!(by_rows, by_quota, "{case}: rows and quota");
    by_rows
}

/// Fifty people start twenty projects at once, each over a connection of its own.
async fn fifty_starts(connections: Vec<SharedStore>, store: SharedStore, case: &str) {
    make(&tables(&store), 20).await;
    let starts = connections.into_iter().enumerate().map(|(i, connection)| {
        tokio::spawn(async move { tables(&connection).start_project(&id(i % 20), MOST, NOW).await })
    });
    let starts: Vec<_> = starts.collect();
    let mut refused = 0;
    for start in starts {
        match start.await.unwrap() {
            Ok(row) => assert!(row.status.is_active(), "{case}"),
            Err(DialerError::TooManyActive { most, active }) => {
                assert_eq!((most, active.len()), (MOST, 5), "{case}");
                refused += 1;
            }
            Err(other) => panic!("{case}: {other}"),
        }
    }
    assert_eq!(active(&tables(&store), case).await.len(), 5, "{case}");
    assert!(refused >= 35, "{case}: five are active, the starts of fifteen were refused; {refused}");
}

#[tokio::test(start_paused = true)]
async fn of_fifty_simultaneous_starts_of_twenty_projects_exactly_five_succeed() {
    for seed in 0..20_u64 {
        let store: SharedStore = Arc::new(MemoryStore::new());
        let connection = |i: u64| -> SharedStore {
            // Lost on the way there, lost on the way back, or neither, at the first and at the second sending.
            let fault = |n: u64| match (seed * 7 + i * 3 + n) % 5 {
                0 => Some((n, Fault::LostBefore)),
                1 => Some((n, Fault::LostAfter)),
                _ => None,
            };
            FaultStore::new(
                store.clone(),
                if seed == 0 { vec![] } else { [1, 2].into_iter().filter_map(fault).collect() },
            )
        };
        let connections = (0..50).map(connection).collect();
        fifty_starts(connections, store, &format!("memory, seed {seed}")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_too_lets_exactly_five_of_fifty_starts_succeed() {
    let folder = tempfile::tempdir().unwrap();
    let options = SledOptions { cache_bytes: 8 << 20 };
    let store: SharedStore = Arc::new(SledStore::open(folder.path(), options).unwrap());
    fifty_starts(vec![store.clone(); 50], store, "sled").await;
}

/// What an operator and the host do to a project in its life, one after the other.
async fn a_life(tables: &Tables) {
    make(tables, 3).await;
    for i in 0..3 {
        tables.start_project(&id(i), 2, NOW).await.ok();
    }
    tables.pause_project(&id(0), NOW).await.unwrap();
    tables.start_project(&id(2), 2, NOW).await.unwrap();
    tables.finish_project(&id(1), NOW).await.unwrap();
    tables.start_project(&id(0), 2, NOW).await.unwrap();
    tables.copy_project(&id(0), id(7), "Ещё раз".into(), NOW).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn rows_and_quota_agree_whichever_write_of_a_projects_life_is_the_last() {
    let whole = FaultStore::new(Arc::new(MemoryStore::new()), []);
    a_life(&tables(&(whole.clone() as SharedStore))).await;
    let commits = whole.commits();
    assert!(commits > 8, "{commits}");
    for commit in 1..=commits {
        for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::LostBefore, Fault::LostAfter] {
            let case = format!("{fault:?} at {commit}");
            let store: SharedStore = Arc::new(MemoryStore::new());
            let connection = FaultStore::new(store.clone(), [(commit, fault)]);
            let first = tables(&(connection.clone() as SharedStore));
            let lived = tokio::select! {
                biased;
                () = connection.crashed() => false,
                () = a_life(&first) => true,
            };
            assert_eq!(lived, matches!(fault, Fault::LostBefore | Fault::LostAfter), "{case}");
            let after = tables(&store);
            assert!(active(&after, &case).await.len() <= 2, "{case}");
            if lived {
                assert_eq!(active(&after, &case).await, [id(0), id(2)].into(), "{case}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sixth_project_is_refused_with_the_names_of_the_five_until_one_gives_its_place() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let tables = tables(&store);
    make(&tables, 8).await;
    for i in 0..5 {
        tables.start_project(&id(i), MOST, NOW).await.unwrap();
    }
    let told = tables.start_project(&id(5), MOST, NOW).await.unwrap_err().to_string();
    assert_eq!(
        told,
        "5 projects are active, and no more than 5 may be («Проект 0» (p00), «Проект 1» (p01), «Проект 2» (p02), \
         «Проект 3» (p03), «Проект 4» (p04)): pause or finish one of them, then start this one"
    );
    assert_eq!(tables.project(&id(5)).await.unwrap().unwrap().status, ProjectStatus::Paused);
    // One that is active may be started again, whatever the quota says.
    assert!(tables.start_project(&id(4), MOST, NOW).await.unwrap().status.is_active());

    let later = UnixMillis(NOW.0 + 1);
    let paused = tables.pause_project(&id(0), later).await.unwrap();
    assert_eq!((paused.status.title(), paused.since), ("Приостановлен", later));
    assert!(tables.start_project(&id(5), MOST, later).await.unwrap().status.is_active());
    let finished = tables.finish_project(&id(1), later).await.unwrap();
    assert_eq!(finished.status, ProjectStatus::Finished { by: Ending::Person });
    assert_eq!(tables.pause_project(&id(1), later).await.unwrap(), finished, "what is over is not paused");
    // A finished one goes on when it is started.
    assert!(tables.start_project(&id(1), MOST, later).await.unwrap().status.is_active());
    assert_eq!(active(&tables, "at the end").await.len(), 5);
    let nowhere = ProjectId::new("nowhere").unwrap();
    assert!(matches!(tables.start_project(&nowhere, MOST, NOW).await, Err(DialerError::NoProject(_))));
    // Another tenant has a quota of its own.
    let other =
        Tables::new(store, Arc::new(PriceList::default()), zvonar_model::TenantId::new("other").unwrap());
    make(&other, 1).await;
    assert!(other.start_project(&id(0), MOST, NOW).await.unwrap().status.is_active());
}

fn lines(lines: u32) -> ProjectChange {
    ProjectChange { lines: Some(lines), ..ProjectChange::default() }
}

fn one_lead(i: u32) -> NewLead {
    NewLead {
        lead: LeadId::new(&format!("lead-{i}")).unwrap(),
        numbers: vec![number(i)],
        fields: Default::default(),
        tags: BTreeSet::new(),
    }
}

/// Two operators had one project on their screens, and the second saved over the first.
#[tokio::test(start_paused = true)]
async fn the_second_of_two_editors_is_told_and_nothing_of_the_first_is_lost() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let tables = tables(&store);
    tables.create_project(new_project(project()), NOW).await.unwrap();
    let first = tables.edit_project(&project(), 1, &lines(7), "anna", NOW).await.unwrap();
    assert_eq!((first.version, first.lines), (2, 7));
    let told = tables.edit_project(&project(), 1, &lines(3), "boris", NOW).await.unwrap_err();
    assert_eq!(
        told.to_string(),
        "project spring has version 2, and the edit was made of version 1: «anna» changed lines at \
         2026-09-21T14:13:20Z. Read the project again and repeat the edit"
    );
    assert_eq!(tables.project(&project()).await.unwrap().unwrap().lines, 7);
    // What is no edit is in nobody's way: starts, pauses, new contacts.
    tables.start_project(&project(), MOST, NOW).await.unwrap();
    tables.add_leads(&project(), vec![one_lead(1)]).await.unwrap();
    let second = tables.edit_project(&project(), 2, &lines(3), "boris", NOW).await.unwrap();
    assert_eq!((second.version, second.lines, second.leads), (3, 3, 1));
    assert!(second.status.is_active());
    // An edit that changes nothing is none.
    assert_eq!(tables.edit_project(&project(), 3, &lines(3), "anna", NOW).await.unwrap().version, 3);

    for (change, sentence) in [
        (lines(0), "lines and calls per second are at least 1"),
        (ProjectChange { priority: Some(10), ..ProjectChange::default() }, "it goes from 1 to 9"),
        (
            ProjectChange {
                rules: Some(DialRules { hours: "moon".into(), ..DialRules::default() }),
                ..ProjectChange::default()
            },
            "`moon` is no window",
        ),
    ] {
        let refused = tables.edit_project(&project(), 3, &change, "anna", NOW).await.unwrap_err().to_string();
        assert!(refused.contains(sentence), "{refused}");
    }
    assert_eq!(tables.project(&project()).await.unwrap().unwrap(), second);
}

#[tokio::test(start_paused = true)]
async fn of_many_simultaneous_edits_of_one_version_one_succeeds_and_knows_it() {
    for seed in 0..20_u64 {
        let store: SharedStore = Arc::new(MemoryStore::new());
        let all = tables(&store);
        all.create_project(new_project(project()), NOW).await.unwrap();
        let edits = (0..8_u64).map(|i| {
            let fault = match (seed + i) % 3 {
                0 => vec![(1, Fault::LostAfter)],
                1 => vec![(1, Fault::LostBefore), (2, Fault::LostAfter)],
                _ => vec![],
            };
            let connection: SharedStore = FaultStore::new(store.clone(), fault);
            tokio::spawn(async move {
                let tables = tables(&connection);
                tables.edit_project(&project(), 1, &lines(10 + i as u32), &format!("editor {i}"), NOW).await
            })
        });
        // Contacts come in meanwhile: the row changes, its version does not.
        let added = {
            let tables = all.clone();
            tokio::spawn(async move {
                for i in 0..10 {
                    tables.add_leads(&project(), vec![one_lead(i)]).await.unwrap();
                    tokio::time::sleep(std::time::Duration::from_millis(7)).await;
                }
            })
        };
        let mut succeeded = Vec::new();
        for edit in futures::future::join_all(edits).await {
            match edit.unwrap() {
                Ok(row) => succeeded.push(row.lines),
                Err(DialerError::EditConflict(conflict)) => assert_eq!(conflict.version, 2, "seed {seed}"),
                Err(other) => panic!("seed {seed}: {other}"),
            }
        }
        added.await.unwrap();
        let row = all.project(&project()).await.unwrap().unwrap();
        assert_eq!((succeeded, row.version, row.leads), (vec![row.lines], 2, 10), "seed {seed}");
    }
}

/// The file wins where it has changed, and nowhere else: somebody raised the lines in the console, and a restart took
/// them back.
#[tokio::test(start_paused = true)]
async fn the_configurations_file_goes_before_edits_only_in_what_it_has_changed() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let tables = tables(&store);
    let file = NewProject { lines: 2, ..new_project(project()) };
    let (_, first) = tables.put_project(file.clone(), NOW).await.unwrap();
    assert!(first);
    // The program dies before the list is there: the file still counts as new.
    assert!(tables.put_project(file.clone(), NOW).await.unwrap().1);
    assert!(tables.start_configured(file.clone(), MOST, NOW).await.unwrap().status.is_active());
    assert!(!tables.put_project(file.clone(), NOW).await.unwrap().1);

    tables.edit_project(&project(), 1, &lines(7), "anna", NOW).await.unwrap();
    tables.pause_project(&project(), NOW).await.unwrap();
    let (row, first) = tables.put_project(file.clone(), NOW).await.unwrap();
    assert_eq!((row.lines, row.version, first), (7, 2, false), "the file has not changed");
    assert_eq!(row.status, ProjectStatus::Paused, "who was paused stays so");
    let changed = NewProject { calls_per_second: 9, ..file.clone() };
    let (row, _) = tables.put_project(changed.clone(), NOW).await.unwrap();
    assert_eq!((row.lines, row.calls_per_second, row.version), (7, 9, 3));
    assert_eq!(row.edits[1].by, "the configuration");
    let (row, _) = tables.put_project(NewProject { lines: 4, ..changed }, NOW).await.unwrap();
    assert_eq!((row.lines, row.calls_per_second), (4, 9));
}

#[tokio::test(start_paused = true)]
async fn a_configured_project_beyond_the_quota_stays_paused_also_at_the_next_start_of_the_program() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let tables = tables(&store);
    for i in 0..3 {
        let file = new_project(id(i));
        tables.put_project(file.clone(), NOW).await.unwrap();
        let started = tables.start_configured(file.clone(), 2, NOW).await;
        assert_eq!(started.is_ok(), i < 2);
        assert!(!tables.put_project(file, NOW).await.unwrap().1, "it is not new any more");
    }
    assert_eq!(active(&tables, "").await, [id(0), id(1)].into());
}

#[tokio::test(start_paused = true)]
async fn a_copy_has_the_settings_and_neither_the_leads_nor_the_history() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let tables = tables(&store);
    tables.create_project(NewProject { priority: 8, ..new_project(project()) }, NOW).await.unwrap();
    tables.add_leads(&project(), vec![one_lead(1)]).await.unwrap();
    tables.edit_project(&project(), 1, &lines(7), "anna", NOW).await.unwrap();
    tables.start_project(&project(), MOST, NOW).await.unwrap();
    let copy = tables.copy_project(&project(), id(1), "Ещё раз".into(), NOW).await.unwrap();
    assert_eq!((copy.lines, copy.priority, copy.leads, copy.version), (7, 8, 0, 1));
    assert_eq!((copy.title.as_str(), &copy.status, copy.edits.len()), ("Ещё раз", &ProjectStatus::Paused, 0));
    assert_eq!(copy.rules, DialRules::once());
    let again = tables.copy_project(&project(), id(1), "И ещё".into(), NOW).await;
    assert!(matches!(again, Err(DialerError::ProjectExists(_))));
}

/// A project of an older program: nobody had started it, since there was nothing to start.
#[tokio::test(start_paused = true)]
async fn a_project_that_was_stored_without_a_status_is_read_as_paused() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let row = r#"{"v":1,"row":{"project":"spring","title":"Весна","scenario":"hello","settings":{},"trunk":"main",
        "lines":3,"calls_per_second":10,"ring":30000,"leads":17}}"#;
    let key = Key::root("acme").then("project").then("spring");
    let shard = zvonar_dialer::TenantKeys::new(&tenant()).shard();
    let _ = store.commit(shard, vec![Write::create(key, row)]).await.unwrap();
    let tables = tables(&store);
    let read = tables.project(&project()).await.unwrap().unwrap();
    assert_eq!((read.status, read.version, read.priority, read.leads), (ProjectStatus::Paused, 1, 5, 17));
    assert!(tables.start_project(&project(), MOST, NOW).await.unwrap().status.is_active());
}
