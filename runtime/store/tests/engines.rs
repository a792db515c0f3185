//! The contract on each engine, and what only the embedded one has to show: it comes back after a crash.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use zvonar_store::fault::{Fault, FaultStore};
use zvonar_store::{
    Commit, Cursor, Key, MemoryStore, Sha256, Shard, SharedStore, SledOptions, SledStore, Store, StoreError,
    Write, collect, commit_surely, conformance, source_of,
};

fn open(folder: &Path) -> SledStore {
    SledStore::open(folder, SledOptions { cache_bytes: 8 << 20 }).unwrap()
}

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

fn shard() -> Shard {
    Shard::of("acme")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_contract_holds_in_memory() {
    conformance::check(|| Arc::new(MemoryStore::new()) as SharedStore).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_contract_holds_in_sled() {
    let folder = tempfile::tempdir().unwrap();
    let number = std::sync::atomic::AtomicU32::new(0);
    conformance::check(|| {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Arc::new(open(&folder.path().join(number.to_string()))) as SharedStore
    })
    .await;
}

/// The wrapper must not change what a store does when it has no faults planned.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_contract_holds_behind_a_fault_store_without_faults() {
    conformance::check(|| FaultStore::new(Arc::new(MemoryStore::new()), []) as SharedStore).await;
}

#[tokio::test]
async fn a_store_that_was_closed_opens_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let sha = Sha256::of(b"module");
    let last = {
        let store = open(folder.path());
        store.put_blob(sha, source_of(&b"module"[..])).await.unwrap();
        let mut last = 0;
        for i in 0..50 {
            let write = Write::create(key(&format!("a.{i}")), "x".repeat(i * 500));
            let Commit::Done(revisions) = store.commit(shard(), vec![write]).await.unwrap() else { panic!() };
            last = revisions[0];
        }
        last
    };
    let store = open(folder.path());
    let page = store.scan(shard(), &key("a"), Cursor::start(), 100).await.unwrap();
    assert_eq!(page.items.len(), 50);
    assert_eq!(store.read(shard(), &key("a"), 0, 100).await.unwrap().len(), 50);
    let Commit::Done(revisions) = store.commit(shard(), vec![Write::set(key("b"), "x")]).await.unwrap()
    else {
        panic!()
    };
    assert!(revisions[0] > last, "revisions go on where they were");
    let source = store.get_blob(sha).await.unwrap().unwrap();
    assert_eq!(collect(source, 100).await.unwrap(), &b"module"[..]);
}

#[tokio::test]
async fn a_damaged_blob_is_not_taken_for_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let sha = Sha256::of(b"module");
    store.put_blob(sha, source_of(&b"module"[..])).await.unwrap();
    let name = sha.to_string();
    fs::write(folder.path().join("blobs").join(&name[..2]).join(&name), b"nodule").unwrap();
    let source = store.get_blob(sha).await.unwrap().unwrap();
    assert!(matches!(collect(source, 100).await, Err(StoreError::WrongHash { .. })));
}

fn refusal(folder: &Path) -> String {
    match SledStore::open(folder, SledOptions::default()) {
        Ok(_) => panic!("opened"),
        Err(error) => error.to_string(),
    }
}

/// The database itself. A child that another test starts may have its lock for a moment.
fn bare(folder: &Path) -> sled::Db {
    (0..)
        .find_map(|tries| match sled::open(folder.join("db")) {
            Err(error) if tries < 800 && error.to_string().contains("could not acquire lock") => {
                std::thread::sleep(Duration::from_millis(25));
                None
            }
            opened => Some(opened.unwrap()),
        })
        .unwrap()
}

/// Between its start and its becoming another program a child holds what its parent had open: a store that was closed
/// in that moment could not be opened again.
#[test]
fn a_database_whose_lock_is_let_go_late_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let held = bare(folder.path());
    let holder = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        drop(held);
    });
    drop(open(folder.path()));
    holder.join().unwrap();
}

#[test]
fn a_store_that_cannot_be_opened_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();

    let used = folder.path().join("used");
    let store = open(&used);
    assert!(refusal(&used).contains("is in use by another process: stop it first"), "{}", refusal(&used));
    drop(store);
    drop(open(&used));

    let foreign = folder.path().join("foreign");
    let db = bare(&foreign);
    db.insert("k", "v").unwrap();
    drop(db);
    assert!(refusal(&foreign).contains("is no store (it names no format)"), "{}", refusal(&foreign));

    let newer = folder.path().join("newer");
    drop(open(&newer));
    let db = bare(&newer);
    db.insert("mformat", &7_u32.to_be_bytes()).unwrap();
    drop(db);
    assert!(
        refusal(&newer).contains("was written in format 7, this program knows up to 1"),
        "{}",
        refusal(&newer)
    );

    let garbled = folder.path().join("garbled");
    drop(open(&garbled));
    fs::write(garbled.join("db").join("conf"), b"\xff\xfenonsense").unwrap();
    assert!(refusal(&garbled).contains("put a backup in its place"), "{}", refusal(&garbled));

    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    assert!(refusal(&file).contains("could not read or write"), "{}", refusal(&file));
}

#[tokio::test(start_paused = true)]
async fn a_commit_of_unknown_outcome_is_found_out() {
    for fault in [Fault::LostBefore, Fault::LostAfter] {
        for times in 1..4 {
            let inner: SharedStore = Arc::new(MemoryStore::new());
            let store = FaultStore::new(inner.clone(), (1..=times).map(|number| (number, fault)));
            let writes = vec![Write::create(key("lead"), "by attempt 1"), Write::create(key("call.1"), "1")];
            let Ok(Commit::Done(revisions)) = commit_surely(&*store, shard(), writes, 0).await else {
                panic!("{fault:?} {times} times")
            };
            for (text, revision) in [("lead", revisions[0]), ("call.1", revisions[1])] {
                let item = inner.get(shard(), &key(text)).await.unwrap().unwrap();
                assert_eq!(item.revision, revision, "{fault:?} {times} times");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_race_is_not_taken_for_an_unknown_success() {
    let inner: SharedStore = Arc::new(MemoryStore::new());
    let store = FaultStore::new(inner.clone(), [(1, Fault::LostBefore)]);
    let _ = inner.commit(shard(), vec![Write::create(key("lead"), "by attempt 2")]).await.unwrap();
    let writes = vec![Write::create(key("lead"), "by attempt 1")];
    assert_eq!(commit_surely(&*store, shard(), writes, 0).await.unwrap(), Commit::Conflict);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_come_back_is_given_up() {
    let store = FaultStore::new(Arc::new(MemoryStore::new()), (1..100).map(|n| (n, Fault::LostBefore)));
    let got = commit_surely(&*store, shard(), vec![Write::create(key("a"), "1")], 0).await;
    assert!(matches!(got, Err(StoreError::Unknown(_))), "{got:?}");
    assert_eq!(store.commits(), 10);
}

#[tokio::test]
async fn a_dead_process_hears_nothing_and_what_it_had_written_stays() {
    for (fault, written) in [(Fault::CrashBefore, false), (Fault::CrashAfter, true)] {
        let inner: SharedStore = Arc::new(MemoryStore::new());
        let store = FaultStore::new(inner.clone(), [(2, fault)]);
        let _ = store.commit(shard(), vec![Write::create(key("a"), "1")]).await.unwrap();
        tokio::select! {
            _ = store.commit(shard(), vec![Write::create(key("b"), "1")]) => panic!("it heard an answer"),
            () = store.crashed() => {}
        }
        assert_eq!(inner.get(shard(), &key("b")).await.unwrap().is_some(), written, "{fault:?}");
        let late = tokio::time::timeout(Duration::from_millis(20), store.get(shard(), &key("a"))).await;
        assert!(late.is_err(), "a dead process reads nothing");
    }
}

const CHILD: &str = "ZVONAR_STORE_TEST_CHILD";

/// A process that does not outlive the test that started it, whatever comes of that.
struct Doomed(Child);

impl Doomed {
    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The process that is killed: it writes as fast as it can from several tasks, and prints each commit once it is
/// acknowledged.
#[test]
#[ignore = "run by the test that kills it"]
fn child_that_writes_until_it_is_killed() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Arc::new(open(Path::new(&folder)));
        let round = std::process::id();
        let mut tasks = tokio::task::JoinSet::new();
        for writer in 0..8 {
            let store = store.clone();
            tasks.spawn(async move {
                for i in 0.. {
                    let name = format!("{round}-{writer}-{i}");
                    // Every fifth is large enough for a page of its own.
                    let size = if i % 5 == 4 { 150_000 } else { 40 };
                    let mut writes = vec![
                        Write::create(
                            key(&format!("one.{name}")),
                            format!("{name} ").repeat(size / name.len()),
                        ),
                        Write::create(key(&format!("two.{name}")), name.clone()),
                    ];
                    if i > 0 {
                        let gone = key(&format!("two.{round}-{writer}-{}", i - 1));
                        writes.push(Write { key: gone, expect: zvonar_store::Expect::Any, value: None });
                    }
                    assert!(matches!(store.commit(shard(), writes).await, Ok(Commit::Done(_))));
                    // One write each, so that a kill cuts between lines.
                    use std::io::Write as _;
                    std::io::stdout()
                        .lock()
                        .write_all(format!("acknowledged {name} {size}\n").as_bytes())
                        .unwrap();
                }
            });
        }
        tasks.join_all().await;
    });
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<(String, usize)> = Vec::new();
    for round in 0..6 {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "child_that_writes_until_it_is_killed"])
            .env(CHILD, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = Doomed(child.unwrap());
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        let mut heard = 0;
        // Killed (SIGKILL) at another place each time, in the middle of whatever it does.
        while heard < 40 + round * 23 {
            let line = lines.next().expect("the child writes until it is killed").unwrap();
            heard += usize::from(note(&line, &mut acknowledged));
        }
        child.kill();
        // What it had printed before it died counts as well; the last line may be cut.
        let mut rest = String::new();
        for line in lines.map_while(Result::ok) {
            rest.push_str(&line);
            rest.push('\n');
        }
        for line in rest.lines() {
            note(line, &mut acknowledged);
        }

        let store = open(folder.path());
        for (name, size) in &acknowledged {
            let one = store.get(shard(), &key(&format!("one.{name}"))).await.unwrap();
            let one = one.unwrap_or_else(|| panic!("round {round}: {name} is lost"));
            assert_eq!(one.value, format!("{name} ").repeat(size / name.len()), "round {round}");
        }
        // A commit is all or nothing: each `two` that is there has its `one`, and the one before it is gone.
        let page = store.scan(shard(), &key("two"), Cursor::start(), 100_000).await.unwrap();
        assert!(page.items.len() <= 8 * (round + 1), "round {round}: {} are left", page.items.len());
        for item in &page.items {
            let one = key(&format!("one.{}", item.key.last()));
            assert!(store.get(shard(), &one).await.unwrap().is_some(), "round {round}: {one}");
        }
        let ones = store.scan(shard(), &key("one"), Cursor::start(), 100_000).await.unwrap().items.len();
        assert_eq!(store.read(shard(), &key("one"), 0, 100_000).await.unwrap().len(), ones, "round {round}");
    }
    assert!(acknowledged.len() > 500, "{}", acknowledged.len());
}

fn note(line: &str, acknowledged: &mut Vec<(String, usize)>) -> bool {
    // The harness of the tests prints the name of the test before the first line.
    let Some(at) = line.find("acknowledged ") else { return false };
    let mut words = line[at..].split(' ').skip(1);
    match (words.next(), words.next().and_then(|size| size.parse().ok())) {
        (Some(name), Some(size @ (40 | 150_000))) => {
            acknowledged.push((name.to_owned(), size));
            true
        }
        _ => false,
    }
}

const FULL: &str = "ZVONAR_STORE_TEST_FULL";

/// The process that fills the disk: only a new one can open the store after that.
#[tokio::test]
#[ignore = "run by the test that gives it a small disk"]
async fn child_that_writes_until_the_disk_is_full() {
    let Ok(folder) = std::env::var(FULL) else { return };
    let store = open(Path::new(&folder));
    let mut watcher = store.watch(shard(), &key("a"), 0).await.unwrap();
    let mut acknowledged = 0;
    let error = loop {
        let write = Write::create(key(&format!("a.{acknowledged}")), vec![acknowledged as u8; 50_000]);
        match store.commit(shard(), vec![write]).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 1000, "6 MB never fill");
    };
    assert!(error.to_string().contains("is full: free some space, then start again"), "{error}");
    let next = store.commit(shard(), vec![Write::set(key("b"), "x")]).await.unwrap_err();
    assert!(matches!(next, StoreError::Stopped(_)), "{next}");
    assert!(!next.is_worth_retrying());
    for _ in 0..acknowledged {
        watcher.next().await.unwrap().unwrap();
    }
    println!("\nacknowledged {acknowledged}");
}

/// Needs the right to mount a small file system; without it the test says so and passes.
#[tokio::test]
async fn a_full_disk_is_told_and_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"])
        .arg(folder.path())
        .stderr(Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: a small file system cannot be mounted here");
        return;
    }
    struct Unmount<'a>(&'a Path);
    impl Drop for Unmount<'_> {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(self.0).status();
        }
    }
    let _unmount = Unmount(folder.path());
    let data = folder.path().join("data");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "child_that_writes_until_the_disk_is_full"])
        .env(FULL, &data)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{told}{}", String::from_utf8_lossy(&child.stderr));
    let acknowledged =
        told.lines().find_map(|line| line.strip_prefix("acknowledged ")?.parse::<usize>().ok());
    let acknowledged = acknowledged.unwrap();
    assert!(acknowledged > 10, "{acknowledged}");
    let remounted = Command::new("mount").args(["-o", "remount,size=64m"]).arg(folder.path()).status();
    assert!(remounted.unwrap().success());
    let store = open(&data);
    for i in 0..acknowledged {
        let item = store.get(shard(), &key(&format!("a.{i}"))).await.unwrap();
        assert_eq!(item.unwrap_or_else(|| panic!("{i} is lost")).value, vec![i as u8; 50_000]);
    }
    let _ = store.commit(shard(), vec![Write::set(key("b"), "x")]).await.unwrap();
}
