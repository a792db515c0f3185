//! Operators as they are stored: how many there may be, whose extension is whose, and presence that outlives crashes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use zvonar_desk::{Group, Presence, Status};
use zvonar_dialer::operators::{
    Accounts, Card, DeskControl, Handed, OperatorEdit, OperatorRow, Secret, Staff, StoredDesk,
    USUAL_OPERATORS, Verdict,
};
use zvonar_dialer::{DialerError, Tables};
use zvonar_ledger::PriceList;
use zvonar_model::{AttemptId, Millis, OperatorId, TenantId, UnixMillis};
use zvonar_store::fault::{Fault, FaultStore};
use zvonar_store::{MemoryStore, SharedStore};

use crate::world::{dialer, tenant};

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

fn tables(store: SharedStore) -> Tables {
    Tables::new(store, Arc::new(PriceList::default()), tenant())
}

fn id(name: &str) -> OperatorId {
    OperatorId::new(name).unwrap()
}

fn operator(name: &str, extension: Option<&str>) -> OperatorRow {
    let mut row = OperatorRow::new(id(name), &format!("Оператор {name}"), NOW);
    row.operator.groups = [Group::new("Продажи").unwrap()].into();
    row.extension = extension.map(str::to_owned);
    row
}

async fn ids(tables: &Tables) -> Vec<String> {
    tables.operators().await.unwrap().into_iter().map(|(row, _)| row.operator.id.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn an_operator_is_made_edited_and_removed_with_all_that_is_his() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let tables = tables(store);
    let anna = operator("anna", Some("101"));
    tables.add_operator(&anna, USUAL_OPERATORS).await.unwrap();
    assert!(
        matches!(tables.add_operator(&anna, 9).await, Err(DialerError::OperatorExists(who)) if who == id("anna"))
    );
    let edit = OperatorEdit {
        name: Some(" Анна Петрова ".into()),
        wrap_up: Some(Some(Millis(60_000))),
        extension: Some(None),
        ..OperatorEdit::default()
    };
    let edited = tables.edit_operator(&id("anna"), &edit).await.unwrap();
    assert_eq!((edited.name.as_str(), edited.extension.as_deref()), ("Анна Петрова", None));
    assert_eq!(edited.operator.groups, anna.operator.groups, "what is not named stays");
    // Her extension is free for another one.
    tables.add_operator(&operator("boris", Some("101")), USUAL_OPERATORS).await.unwrap();
    let back = OperatorEdit { extension: Some(Some("101".into())), ..OperatorEdit::default() };
    let taken = tables.edit_operator(&id("anna"), &back).await.unwrap_err().to_string();
    assert!(taken.contains("101 is boris's"), "{taken}");
    tables.save_presence(&id("anna"), &Presence { since: NOW, ..Presence::default() }).await.unwrap();
    assert!(tables.remove_operator(&id("anna")).await.unwrap());
    assert!(!tables.remove_operator(&id("anna")).await.unwrap());
    assert_eq!(ids(&tables).await, ["boris"]);
    assert_eq!(tables.presence(&id("anna")).await.unwrap(), None);
    // What comes late of one who is gone is not kept.
    tables.save_presence(&id("anna"), &Presence::default()).await.unwrap();
    assert_eq!(tables.presence(&id("anna")).await.unwrap(), None);
    let gone = tables.edit_operator(&id("anna"), &edit).await;
    assert!(matches!(gone, Err(DialerError::NoOperator(who)) if who == id("anna")));
}

#[tokio::test(start_paused = true)]
async fn what_no_operator_may_be_is_refused_with_what_is_allowed() {
    let tables = tables(Arc::new(MemoryStore::new()));
    let wrong = |change: fn(&mut OperatorRow)| {
        let mut row = operator("anna", None);
        change(&mut row);
        row
    };
    for (row, sentence) in [
        (wrong(|row| row.name = "  ".into()), "give what people call him"),
        (wrong(|row| row.name = "я".repeat(101)), "at most 100 characters, this one has 101"),
        (wrong(|row| row.name = "Анна\r\nVia: x".into()), "one line of text"),
        (wrong(|row| row.extension = Some("1".into())), "2 to 6 digits"),
        (wrong(|row| row.extension = Some("1o1".into())), "2 to 6 digits"),
        (wrong(|row| row.operator.wrap_up = Some(Millis(30 * 60_000 + 1))), "0 to 30 minutes"),
        (
            wrong(|row| {
                row.operator.groups = (0..51).map(|i| Group::new(&format!("г{i}")).unwrap()).collect()
            }),
            "in 50 at most",
        ),
        (
            wrong(|row| {
                row.card =
                    Some(Card { results: vec!["Продано".into(), "\n".into()], ..Card::default() })
            }),
            "a result is one line",
        ),
        (
            wrong(|row| row.card = Some(Card { script: Some("x".repeat(20_000)), ..Card::default() })),
            "at most 16 KiB",
        ),
    ] {
        let why = tables.add_operator(&row, 5).await.unwrap_err().to_string();
        assert!(why.starts_with("operator anna: ") && why.contains(sentence), "{why}");
    }
    assert_eq!(ids(&tables).await, [""; 0]);
}

/// The answer to any commit may be lost, or the commit be; and five people make operators at the same time.
#[tokio::test(start_paused = true)]
async fn no_more_operators_than_may_be_and_no_extension_twice_however_many_are_made_at_once() {
    for fault in [Fault::LostBefore, Fault::LostAfter] {
        for commit in 1..=8 {
            let store: SharedStore = Arc::new(MemoryStore::new());
            let made = (0..5_u32).map(|i| {
                let tables = tables(FaultStore::new(store.clone(), [(commit, fault), (commit + 2, fault)]));
                // Three of them want the same extension.
                let row = operator(
                    &format!("o{i}"),
                    Some(if i < 3 { "100" } else { ["201", "202"][i as usize - 3] }),
                );
                async move { tables.add_operator(&row, 2).await.is_ok() }
            });
            let made = futures::future::join_all(made).await;
            let rows = tables(store).operators().await.unwrap();
            assert_eq!(made.iter().filter(|done| **done).count(), 2, "{fault:?} {commit}: {made:?}");
            assert_eq!(rows.len(), 2, "{fault:?} {commit}: {rows:?}");
            let extensions: std::collections::BTreeSet<_> =
                rows.iter().map(|(row, _)| row.extension.clone()).collect();
            assert_eq!(extensions.len(), 2, "{fault:?} {commit}: {rows:?}");
        }
    }
}

/// A removal whose answer is lost is done once; a crash before or after any durable write leaves all of an operator or
/// nothing, and the next start can go on.
#[tokio::test(start_paused = true)]
async fn a_crash_at_any_write_leaves_an_operator_whole_or_gone() {
    for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::LostBefore, Fault::LostAfter] {
        for commit in 1..=5 {
            let store: SharedStore = Arc::new(MemoryStore::new());
            let process = FaultStore::new(store.clone(), [(commit, fault)]);
            let one = tables(process.clone());
            let presence = Presence { status: Status::Break, since: NOW, misses: 2, ..Presence::default() };
            let life = async {
                one.add_operator(&operator("anna", Some("101")), 3).await.unwrap();
                one.add_operator(&operator("boris", Some("102")), 3).await.unwrap();
                one.save_presence(&id("anna"), &presence).await.unwrap();
                let moved = OperatorEdit { extension: Some(Some("103".into())), ..OperatorEdit::default() };
                one.edit_operator(&id("boris"), &moved).await.unwrap();
                assert!(one.remove_operator(&id("anna")).await.unwrap());
            };
            let lived = tokio::select! {
                biased;
                () = process.crashed() => false,
                () = life => true,
            };
            assert_eq!(lived, matches!(fault, Fault::LostBefore | Fault::LostAfter));
            let tables = tables(store);
            for (row, stored) in tables.operators().await.unwrap() {
                if let Some(stored) = stored {
                    assert_eq!(
                        (row.operator.id.as_str(), &stored),
                        ("anna", &presence),
                        "{fault:?} {commit}"
                    );
                }
            }
            // Whoever is gone has left nothing: his extension and his place are free.
            for name in ["anna", "boris"] {
                tables.put_operator(&operator(name, None), 2).await.unwrap();
            }
            for extension in ["101", "102", "103"] {
                let take =
                    OperatorEdit { extension: Some(Some(extension.into())), ..OperatorEdit::default() };
                tables.edit_operator(&id("boris"), &take).await.unwrap();
            }
            assert_eq!(ids(&tables).await, ["anna", "boris"], "{fault:?} {commit}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn operators_of_one_tenant_are_nobody_elses() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let mine = tables(store.clone());
    let theirs = Tables::new(store, Arc::new(PriceList::default()), TenantId::new("acme-2").unwrap());
    mine.add_operator(&operator("anna", Some("101")), 1).await.unwrap();
    theirs.add_operator(&operator("boris", Some("101")), 1).await.unwrap();
    assert_eq!((ids(&mine).await, ids(&theirs).await), (vec!["anna".to_owned()], vec!["boris".to_owned()]));
    assert_eq!(theirs.operator(&id("anna")).await.unwrap(), None);
    assert!(!theirs.remove_operator(&id("anna")).await.unwrap());
    let desk = StoredDesk::new(theirs, Arc::new(|| NOW));
    assert!(desk.status(&tenant(), &id("anna"), Status::Available).await.is_err());
    assert!(desk.view(&tenant()).await.unwrap().operators.is_empty());
}

#[tokio::test(start_paused = true)]
async fn on_a_host_that_stands_still_a_status_is_stored_for_the_next_start() {
    let tables = tables(Arc::new(MemoryStore::new()));
    tables.add_operator(&operator("anna", None), 1).await.unwrap();
    let before = Presence {
        status: Status::WrapUp,
        since: UnixMillis(5),
        until: Some(UnixMillis(9)),
        last_talk: Some(UnixMillis(4)),
        misses: 2,
    };
    tables.save_presence(&id("anna"), &before).await.unwrap();
    let desk = StoredDesk::new(tables.clone(), Arc::new(|| NOW));
    let chosen = desk.status(&tenant(), &id("anna"), Status::Break).await.unwrap();
    assert_eq!(
        chosen,
        Presence {
            status: Status::Break,
            since: NOW,
            until: None,
            last_talk: Some(UnixMillis(4)),
            misses: 0
        }
    );
    assert_eq!(tables.presence(&id("anna")).await.unwrap(), Some(chosen.clone()));
    let later = StoredDesk::new(tables.clone(), Arc::new(|| UnixMillis(NOW.0 + 1)));
    assert_eq!(
        later.status(&tenant(), &id("anna"), Status::Break).await.unwrap(),
        chosen,
        "the same again is no change"
    );
    let view = desk.view(&tenant()).await.unwrap();
    assert_eq!((view.operators[0].presence.status, view.queue.len()), (Status::Break, 0));
}

/// A row of a program that knew less of operators is read; the digests never show.
#[tokio::test(start_paused = true)]
async fn old_rows_are_read_and_secrets_are_not_shown() {
    let row: OperatorRow =
        serde_json::from_str(r#"{"operator":{"id":"anna"},"name":"Анна","created":5}"#).unwrap();
    assert_eq!(
        row,
        OperatorRow {
            operator: row.operator.clone(), ..OperatorRow::new(id("anna"), "Анна", UnixMillis(5))
        }
    );
    let secret = Secret::of("acme.anna", "zvonar", "long enough").unwrap();
    let shown = format!("{:?}", OperatorRow { secret: Some(secret.clone()), ..row });
    assert!(!shown.contains(&secret.md5) && !shown.contains(&secret.sha256), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_says_of_a_talk_is_kept_beside_the_record_and_may_be_said_anew() {
    let tables = tables(Arc::new(MemoryStore::new()));
    let attempt = AttemptId::new("a1").unwrap();
    let said = |result: &str, comment: &str| Verdict {
        attempt: attempt.clone(),
        operator: id("anna"),
        result: result.into(),
        comment: comment.into(),
        at: NOW,
    };
    assert_eq!(tables.verdict(&attempt).await.unwrap(), None);
    tables.put_verdict(&said("Продано", "")).await.unwrap();
    tables.put_verdict(&said("Отказ", "передумал")).await.unwrap();
    assert_eq!(tables.verdict(&attempt).await.unwrap(), Some(said("Отказ", "передумал")));
    for (bad, word) in
        [(said(" ", ""), "choose"), (said("я\n", ""), "one line"), (said("х", &"я".repeat(9_000)), "bytes")]
    {
        let why = tables.put_verdict(&bad).await.unwrap_err().to_string();
        assert!(why.contains(word), "{why}");
    }
    assert_eq!(tables.handed(&attempt).await.unwrap(), None);
    // An attempt that is over is found by its record.
    let phone = crate::dialling::Phone(|_| async {
        zvonar_dialer::CallReport::unanswered(NOW, zvonar_model::Outcome::NoAnswer)
    });
    let dialer = dialer(Arc::new(MemoryStore::new()), Arc::new(phone), 1);
    let order = crate::dialling::by_hand(&dialer);
    let attempt = order.attempt.clone();
    dialer.call_by_hand(order).await.unwrap();
    let handed = dialer.tables(&tenant()).handed(&attempt).await.unwrap();
    assert!(matches!(handed, Some(Handed::Over(record)) if record.attempt == attempt));
}

/// Who may register, written down.
#[derive(Default)]
struct Registrar(Mutex<BTreeMap<String, Secret>>);

impl Accounts for Registrar {
    fn set(&self, user: &str, secret: &Secret) {
        self.0.lock().unwrap().insert(user.to_owned(), secret.clone());
    }

    fn remove(&self, user: &str) {
        self.0.lock().unwrap().remove(user);
    }
}

impl Registrar {
    fn users(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }
}

/// The telephones of a removed operator are not let in any more, nor those with a password for another realm.
#[tokio::test(start_paused = true)]
async fn who_may_register_is_who_is_stored_from_the_start_on_and_after_every_change() {
    let tables = tables(Arc::new(MemoryStore::new()));
    let desk: Arc<dyn DeskControl> = Arc::new(StoredDesk::new(tables.clone(), Arc::new(|| NOW)));
    let staff = |realm: &str, registrar: &Arc<Registrar>| {
        let staff = Staff::new(tables.clone(), 3, realm, desk.clone(), [7; 32]);
        staff.with_accounts(registrar.clone())
    };
    let registrar = Arc::new(Registrar::default());
    let first = staff("zvonar", &registrar);
    let (anna, told) = first.add(operator("anna", None), None).await.unwrap();
    let made = told.made.expect("a password is made when none is given");
    assert_eq!((told.user.as_str(), told.realm.as_str()), ("acme.anna", "zvonar"));
    assert_eq!(anna.secret, Some(Secret::of("acme.anna", "zvonar", &made).unwrap()));
    let (_, told) = first.add(operator("boris", None), Some("его пароль")).await.unwrap();
    assert_eq!(told.made, None, "a password that somebody chose is not told back");
    let short = first.add(operator("vera", None), Some("коротко")).await.unwrap_err().to_string();
    assert!(short.contains("at least 8 characters"), "{short}");
    assert_eq!(ids(&tables).await, ["anna", "boris"], "with a bad password nobody is made");
    assert_eq!(registrar.users(), ["acme.anna", "acme.boris"]);

    let again = Arc::new(Registrar::default());
    assert_eq!(staff("zvonar", &again).open().await.unwrap(), []);
    assert_eq!(*again.0.lock().unwrap(), *registrar.0.lock().unwrap(), "a restart lets the same in");

    let elsewhere = Arc::new(Registrar::default());
    let moved = staff("example.org", &elsewhere);
    assert_eq!(moved.open().await.unwrap(), [id("anna"), id("boris")]);
    assert_eq!(elsewhere.users(), [""; 0]);
    moved.set_password(&id("boris"), None).await.unwrap();
    assert_eq!(elsewhere.users(), ["acme.boris"]);
    moved.remove(&id("boris")).await.unwrap();
    assert_eq!(elsewhere.users(), [""; 0]);
    assert!(matches!(moved.remove(&id("boris")).await, Err(DialerError::NoOperator(_))));
    assert!(matches!(moved.set_password(&id("boris"), None).await, Err(DialerError::NoOperator(_))));
    assert!(matches!(moved.status(&id("boris"), Status::Break).await, Err(DialerError::NoOperator(_))));
}
