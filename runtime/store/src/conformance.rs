//! The contract as cases: every engine passes the same ones.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use zvonar_store::{conformance, MemoryStore, SharedStore};
//! # async fn test() {
//! conformance::check(|| Arc::new(MemoryStore::new()) as SharedStore).await;
//! # }
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::{
    Commit, Cursor, Event, Expect, Item, Key, MAX_KEY_BYTES, MAX_VALUE_BYTES, MAX_WRITES, NEWS, Result,
    Sha256, Shard, SharedStore, StoreError, Write, collect, source_of,
};

/// How long a watcher may take to hear of a change before the case fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs every case, each on a store of its own that must be empty. Panics at the first that fails, and names it.
pub async fn check(fresh: impl Fn() -> SharedStore) {
    what_is_written_is_read_with_its_revision(fresh()).await;
    a_failed_expectation_writes_nothing(fresh()).await;
    what_is_deleted_is_gone_and_can_be_made_again(fresh()).await;
    impossible_commits_are_refused_and_the_largest_possible_is_done(fresh()).await;
    shards_do_not_meet(fresh()).await;
    a_scan_sees_every_key_below_its_prefix_once(fresh()).await;
    a_journal_is_read_in_the_order_of_its_revisions(fresh()).await;
    whoever_follows_a_journal_passes_nothing_over(fresh()).await;
    a_watcher_hears_what_was_and_what_comes(fresh()).await;
    a_watcher_that_sleeps_is_told_that_it_missed_something(fresh()).await;
    counting_at_once_loses_nothing(fresh()).await;
    only_one_of_many_creates_a_key(fresh()).await;
    a_long_random_life_goes_as_in_a_map(fresh()).await;
    a_blob_comes_back_whole_or_not_at_all(fresh()).await;
}

fn key(text: &str) -> Key {
    Key::parse(text).expect("the cases name good keys")
}

fn shard(number: u8) -> Shard {
    Shard::numbered(number).expect("the cases name good shards")
}

async fn done(store: &SharedStore, shard: Shard, writes: Vec<Write>) -> Vec<u64> {
    match store.commit(shard, writes).await {
        Ok(Commit::Done(revisions)) => revisions,
        other => panic!("expected a commit to be done, got {other:?}"),
    }
}

async fn conflict(store: &SharedStore, shard: Shard, writes: Vec<Write>) {
    let got = store.commit(shard, writes).await;
    assert!(matches!(got, Ok(Commit::Conflict)), "expected a conflict, got {got:?}");
}

async fn get(store: &SharedStore, shard: Shard, text: &str) -> Option<(u64, String)> {
    let item = store.get(shard, &key(text)).await.expect("a get that works")?;
    assert_eq!(item.key, key(text), "an item carries its key");
    Some((item.revision, String::from_utf8(item.value.to_vec()).expect("the cases write texts")))
}

async fn what_is_written_is_read_with_its_revision(store: SharedStore) {
    let s = shard(3);
    assert_eq!(get(&store, s, "a.b").await, None);
    let first = done(&store, s, vec![Write::create(key("a.b"), "1")]).await;
    let next = done(
        &store,
        s,
        vec![
            Write::create(key("a.c"), "2"),
            Write::replace(key("a.b"), first[0], "3"),
            Write::set(key("z"), ""),
        ],
    )
    .await;
    assert!(next[0] > first[0], "revisions grow");
    assert_eq!(next, [next[0], next[0] + 1, next[0] + 2], "revisions of one commit are consecutive");
    assert_eq!(get(&store, s, "a.c").await, Some((next[0], "2".into())));
    assert_eq!(get(&store, s, "a.b").await, Some((next[1], "3".into())));
    assert_eq!(get(&store, s, "z").await, Some((next[2], String::new())), "an empty value is a value");
    assert_eq!(get(&store, s, "a").await, None, "a prefix is no key");
}

async fn a_failed_expectation_writes_nothing(store: SharedStore) {
    let s = shard(0);
    let first = done(&store, s, vec![Write::create(key("a"), "1")]).await[0];
    conflict(&store, s, vec![Write::create(key("b"), "x"), Write::create(key("a"), "x")]).await;
    conflict(&store, s, vec![Write::set(key("b"), "x"), Write::replace(key("a"), first + 1, "x")]).await;
    conflict(&store, s, vec![Write::replace(key("a"), first, "x"), Write::replace(key("c"), first, "x")])
        .await;
    conflict(&store, s, vec![Write::delete(key("a"), first + 7), Write::set(key("b"), "x")]).await;
    assert_eq!(get(&store, s, "a").await, Some((first, "1".into())));
    assert_eq!(get(&store, s, "b").await, None);
    let second = done(&store, s, vec![Write::replace(key("a"), first, "2")]).await[0];
    conflict(&store, s, vec![Write::replace(key("a"), first, "3")]).await;
    assert_eq!(get(&store, s, "a").await, Some((second, "2".into())));
}

async fn what_is_deleted_is_gone_and_can_be_made_again(store: SharedStore) {
    let s = shard(1);
    let first = done(&store, s, vec![Write::create(key("j.a"), "1"), Write::create(key("j.b"), "1")]).await;
    let gone = done(&store, s, vec![Write::delete(key("j.a"), first[0])]).await;
    assert!(gone[0] > first[1], "a deletion has a revision too");
    assert_eq!(get(&store, s, "j.a").await, None);
    conflict(&store, s, vec![Write::replace(key("j.a"), first[0], "2")]).await;
    let nothing = Write { key: key("j.never"), expect: Expect::Any, value: None };
    done(&store, s, vec![nothing]).await;
    let again = done(&store, s, vec![Write::create(key("j.a"), "2")]).await[0];
    assert!(again > gone[0]);
    assert_eq!(get(&store, s, "j.a").await, Some((again, "2".into())));
    let journal = store.read(s, &key("j"), 0, 10).await.expect("a read that works");
    assert_eq!(revisions(&journal), [first[1], again], "a journal holds what is, where it is now");
}

async fn impossible_commits_are_refused_and_the_largest_possible_is_done(store: SharedStore) {
    let s = shard(2);
    let refused = |writes: Vec<Write>| {
        let store = store.clone();
        async move {
            let got = store.commit(s, writes).await;
            assert!(matches!(got, Err(StoreError::Refused(_) | StoreError::Key(_))), "{got:?}");
        }
    };
    let many = |n: usize| (0..n).map(|i| Write::create(key(&format!("many.{i}")), "x")).collect::<Vec<_>>();
    refused(Vec::new()).await;
    refused(many(MAX_WRITES + 1)).await;
    refused(vec![Write::set(key("a"), "1"), Write::set(key("a"), "2")]).await;
    refused(vec![Write::set(key("a"), vec![0; MAX_VALUE_BYTES + 1])]).await;
    refused(vec![Write::set(Key::root(&"k".repeat(MAX_KEY_BYTES + 1)), "1")]).await;
    assert_eq!(get(&store, s, "a").await, None);
    done(&store, s, many(MAX_WRITES)).await;
    let large: Bytes = (0..MAX_VALUE_BYTES).map(|i| (i * 31 % 251) as u8).collect();
    let long = Key::root(&"k".repeat(MAX_KEY_BYTES));
    done(&store, s, vec![Write::set(long.clone(), large.clone())]).await;
    let item = store.get(s, &long).await.expect("a get that works").expect("it was written");
    assert_eq!(item.value, large);
}

async fn shards_do_not_meet(store: SharedStore) {
    for number in [0, 1, 15] {
        done(&store, shard(number), vec![Write::create(key("a.b"), number.to_string())]).await;
    }
    for number in [0, 1, 15] {
        let (_, value) = get(&store, shard(number), "a.b").await.expect("it was written");
        assert_eq!(value, number.to_string());
        assert_eq!(everything(&store, shard(number), "a", 10).await.len(), 1);
        let journal = store.read(shard(number), &key("a"), 0, 10).await.expect("a read that works");
        assert_eq!(journal.len(), 1);
    }
    assert_eq!(get(&store, shard(2), "a.b").await, None);
}

/// A whole scan, by pages of this size.
async fn everything(store: &SharedStore, shard: Shard, prefix: &str, size: usize) -> Vec<Item> {
    let mut items = Vec::new();
    let mut after = Some(Cursor::start());
    while let Some(cursor) = after {
        let page = store.scan(shard, &key(prefix), cursor, size).await.expect("a scan that works");
        assert!(page.items.len() <= size, "a page is no larger than asked");
        items.extend(page.items);
        after = page.next;
    }
    items
}

async fn a_scan_sees_every_key_below_its_prefix_once(store: SharedStore) {
    let s = shard(4);
    let mut expected = BTreeSet::new();
    for batch in 0..5 {
        let mut writes = Vec::new();
        for i in 0..50 {
            let below = key(&format!("p.lead.{}", batch * 50 + i));
            expected.insert(below.clone());
            writes.push(Write::create(below, "x"));
        }
        done(&store, s, writes).await;
    }
    let neighbours = ["p", "p.lead", "p.lead-1.a", "p.leader.a", "p.lea.d", "p.zead.a", "q.lead.a"];
    done(&store, s, neighbours.iter().map(|text| Write::create(key(text), "n")).collect()).await;
    done(&store, s, vec![Write::create(key("p.lead.7.deep.er"), "x")]).await;
    expected.insert(key("p.lead.7.deep.er"));
    for size in [1, 17, 250, 251, 252, 10_000] {
        let found = everything(&store, s, "p.lead", size).await;
        let seen: BTreeSet<Key> = found.iter().map(|item| item.key.clone()).collect();
        assert_eq!(found.len(), seen.len(), "no key is seen twice, pages of {size}");
        assert_eq!(seen, expected, "pages of {size}");
    }
    assert!(everything(&store, s, "nothing", 10).await.is_empty());
}

fn revisions(items: &[Item]) -> Vec<u64> {
    items.iter().map(|item| item.revision).collect()
}

async fn a_journal_is_read_in_the_order_of_its_revisions(store: SharedStore) {
    let s = shard(5);
    let mut order = Vec::new();
    for i in 0..60_u32 {
        // Names that sort otherwise than they were written, and noise beside and below the journal.
        let name = format!("t.charge.{:08x}", i.wrapping_mul(2_654_435_761));
        let writes = vec![
            Write::set(key("t.lead.x"), i.to_string()),
            Write::create(key(&name), i.to_string()),
            Write::create(key(&format!("{name}.below")), "x"),
            Write::create(key(&format!("t.charge-.{i}")), "x"),
        ];
        order.push(done(&store, s, writes).await[1]);
    }
    let journal = key("t.charge");
    let all = store.read(s, &journal, 0, 1000).await.expect("a read that works");
    assert_eq!(revisions(&all), order);
    assert!(all.iter().enumerate().all(|(i, item)| item.value == i.to_string()));
    let mut after = 0;
    let mut pieces = Vec::new();
    loop {
        let piece = store.read(s, &journal, after, 7).await.expect("a read that works");
        let Some(last) = piece.last() else { break };
        assert!(piece.len() <= 7);
        after = last.revision;
        pieces.extend(revisions(&piece));
    }
    assert_eq!(pieces, order, "read on from the last revision, it is the same journal");
    assert!(store.read(s, &journal, u64::MAX, 7).await.expect("a read that works").is_empty());
}

async fn next(stream: &mut BoxStream<'static, Result<Event>>) -> Result<Event> {
    tokio::time::timeout(PATIENCE, stream.next())
        .await
        .expect("a watcher hears of a change in time")
        .expect("the stream goes on")
}

/// A projection reads a journal from the last entry that it has seen. An entry that appears behind that place later is
/// never counted.
async fn whoever_follows_a_journal_passes_nothing_over(store: SharedStore) {
    let shard = shard(0);
    const WRITERS: u64 = 4;
    const COMMITS: u64 = 60;
    let writers = (0..WRITERS).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for commit in 0..COMMITS {
                let entries =
                    (0..20).map(|i| Write::create(key(&format!("a.log.{writer}-{commit}-{i}")), "x"));
                done(&store, shard, entries.collect()).await;
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let wanted = usize::try_from(WRITERS * COMMITS * 20).expect("a small number");
    let (mut seen, mut after) = (BTreeSet::new(), 0);
    let mut written = false;
    while seen.len() < wanted {
        let over = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let entries = store.read(shard, &key("a.log"), after, 50).await.expect("a journal is read");
        assert!(!(entries.is_empty() && written), "{} of {wanted} entries were seen", seen.len());
        written = over;
        for entry in entries {
            assert!(entry.revision > after, "entries come in the order of their revisions");
            after = entry.revision;
            assert!(seen.insert(entry.key.as_str().to_owned()), "{} came twice", entry.key);
        }
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.expect("a writer ends well");
    }
}

async fn a_watcher_hears_what_was_and_what_comes(store: SharedStore) {
    let s = shard(6);
    let a = done(&store, s, vec![Write::create(key("w.a"), "1")]).await[0];
    let b = done(&store, s, vec![Write::create(key("w.b"), "1"), Write::create(key("v.b"), "x")]).await[0];
    let a2 = done(&store, s, vec![Write::replace(key("w.a"), a, "2")]).await[0];
    let mut all = store.watch(s, &key("w"), 0).await.expect("a watch that works");
    let mut late = store.watch(s, &key("w"), b).await.expect("a watch that works");
    let mut news = store.watch(s, &key("w"), NEWS).await.expect("a watch that works");
    done(&store, shard(7), vec![Write::set(key("w.other"), "x")]).await;
    let c = done(&store, s, vec![Write::create(key("w.c"), "1"), Write::set(key("v.b"), "y")]).await[0];
    let gone = done(&store, s, vec![Write::delete(key("w.b"), b)]).await[0];
    let event = |text: &str, revision, value: Option<&str>| Event {
        key: key(text),
        revision,
        value: value.map(|value| Bytes::copy_from_slice(value.as_bytes())),
    };
    let told = [event("w.a", a2, Some("2")), event("w.c", c, Some("1")), event("w.b", gone, None)];
    // Where it was when the watching began, then every change; the first value of `w.a` is no more.
    let heard = next(&mut all).await.expect("an event");
    assert_eq!(heard, event("w.b", b, Some("1")));
    for expected in &told {
        assert_eq!(&next(&mut all).await.expect("an event"), expected);
        assert_eq!(&next(&mut late).await.expect("an event"), expected);
    }
    for expected in &told[1..] {
        assert_eq!(&next(&mut news).await.expect("an event"), expected);
    }
}

async fn a_watcher_that_sleeps_is_told_that_it_missed_something(store: SharedStore) {
    let s = shard(8);
    let mut sleeper = store.watch(s, &key("w"), 0).await.expect("a watch that works");
    for i in 0..60 {
        let writes = (0..MAX_WRITES).map(|j| Write::create(key(&format!("w.{i}.{j}")), "x")).collect();
        done(&store, s, writes).await;
    }
    let mut last = 0;
    loop {
        match next(&mut sleeper).await {
            // An engine may keep more than it must; then nothing was missed.
            Ok(event) => {
                assert!(event.revision > last, "events come in order");
                last = event.revision;
                if event.key == key("w.59.99") {
                    return;
                }
            }
            Err(StoreError::Lagged) => break,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(sleeper.next().await.is_none(), "a stream that lost something ends");
    let mut again = store.watch(s, &key("w"), last).await.expect("a watch that works");
    for _ in 0..6000 {
        next(&mut again).await.expect("an event");
    }
}

async fn counting_at_once_loses_nothing(store: SharedStore) {
    let s = shard(9);
    done(&store, s, vec![Write::create(key("n"), "0")]).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        tasks.spawn(async move {
            let mut counted = 0;
            while counted < 25 {
                let (revision, value) = get(&store, s, "n").await.expect("it exists");
                let more = value.parse::<u32>().expect("a number") + 1;
                let write = Write::replace(key("n"), revision, more.to_string());
                match store.commit(s, vec![write]).await.expect("a commit that works") {
                    Commit::Done(_) => counted += 1,
                    Commit::Conflict => {}
                }
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.expect("no counter panics");
    }
    assert_eq!(get(&store, s, "n").await.map(|(_, value)| value), Some("200".into()));
}

async fn only_one_of_many_creates_a_key(store: SharedStore) {
    let s = shard(10);
    for round in 0..20 {
        let mut tasks = tokio::task::JoinSet::new();
        for who in 0..8 {
            let store = store.clone();
            tasks.spawn(async move {
                let write = Write::create(key(&format!("claim.{round}")), who.to_string());
                matches!(store.commit(s, vec![write]).await, Ok(Commit::Done(_)))
            });
        }
        let winners = tasks.join_all().await.into_iter().filter(|won| *won).count();
        assert_eq!(winners, 1, "round {round}");
    }
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

async fn a_long_random_life_goes_as_in_a_map(store: SharedStore) {
    let s = shard(11);
    let mut dice = Dice(42);
    let mut model: BTreeMap<Key, (u64, Bytes)> = BTreeMap::new();
    let mut last = 0;
    for step in 0..400 {
        let mut writes: Vec<Write> = Vec::new();
        for _ in 0..=dice.below(4) {
            let key = key(&format!("r.{}.{}", dice.below(3), dice.below(6)));
            if writes.iter().any(|write| write.key == key) {
                continue;
            }
            let known = model.get(&key).map(|(revision, _)| *revision);
            let expect = match dice.below(10) {
                0 => Expect::Rev(dice.below(last + 2)),
                1 => Expect::Absent,
                2 | 3 => Expect::Any,
                _ => known.map_or(Expect::Absent, Expect::Rev),
            };
            let value =
                (dice.below(5) > 0).then(|| Bytes::from(format!("{step}").repeat(dice.below(200) as usize)));
            writes.push(Write { key, expect, value });
        }
        let holds = writes.iter().all(|write| {
            let known = model.get(&write.key).map(|(revision, _)| *revision);
            match write.expect {
                Expect::Any => true,
                Expect::Absent => known.is_none(),
                Expect::Rev(revision) => known == Some(revision),
            }
        });
        match store.commit(s, writes.clone()).await.expect("a commit that works") {
            Commit::Conflict => assert!(!holds, "step {step}: a conflict without a cause"),
            Commit::Done(revisions) => {
                assert!(holds, "step {step}: done against an expectation");
                assert_eq!(revisions.len(), writes.len());
                for (write, revision) in writes.into_iter().zip(revisions) {
                    assert!(revision > last, "step {step}: revisions grow");
                    last = revision;
                    match write.value {
                        Some(value) => model.insert(write.key, (revision, value)),
                        None => model.remove(&write.key),
                    };
                }
            }
        }
    }
    let found: BTreeMap<Key, (u64, Bytes)> = everything(&store, s, "r", 5)
        .await
        .into_iter()
        .map(|item| (item.key, (item.revision, item.value)))
        .collect();
    assert_eq!(found, model);
    for parent in 0..3 {
        let parent = key(&format!("r.{parent}"));
        let mut expected: Vec<u64> = model
            .iter()
            .filter(|(key, _)| key.is_below(&parent))
            .map(|(_, (revision, _))| *revision)
            .collect();
        expected.sort_unstable();
        let journal = store.read(s, &parent, 0, 1000).await.expect("a read that works");
        assert_eq!(revisions(&journal), expected);
    }
}

async fn a_blob_comes_back_whole_or_not_at_all(store: SharedStore) {
    let large: Bytes = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
    for blob in [Bytes::new(), Bytes::from_static(b"module"), large.clone()] {
        let sha = Sha256::of(&blob);
        assert!(store.get_blob(sha).await.expect("a get that works").is_none());
        for _ in 0..2 {
            store.put_blob(sha, source_of(blob.clone())).await.expect("a put that works");
        }
        let source = store.get_blob(sha).await.expect("a get that works").expect("it was put");
        assert_eq!(collect(source, 1 << 20).await.expect("a whole blob"), blob);
    }
    let source = store.get_blob(Sha256::of(&large)).await.expect("a get that works").expect("it was put");
    assert!(matches!(collect(source, 1000).await, Err(StoreError::Refused(_))));

    let wanted = Sha256::of(b"what was meant");
    let pieces = futures::stream::iter([Ok(Bytes::from_static(b"what ")), Ok(Bytes::from_static(b"came"))]);
    let got = store.put_blob(wanted, pieces.boxed()).await;
    assert!(matches!(got, Err(StoreError::WrongHash { found, .. }) if found == Sha256::of(b"what came")));
    assert!(store.get_blob(wanted).await.expect("a get that works").is_none(), "nothing wrong is kept");
    let broken = futures::stream::iter([Ok(Bytes::from_static(b"what ")), Err(StoreError::Lagged)]);
    assert!(store.put_blob(wanted, broken.boxed()).await.is_err());
    assert!(store.get_blob(wanted).await.expect("a get that works").is_none(), "nothing half is kept");
}
