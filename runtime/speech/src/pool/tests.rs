use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::*;
use crate::invented::Invented;

/// An engine whose work is done when the test says so: each piece is told by its first sample, and waits for a word.
struct Held {
    begun: SyncSender<i16>,
    go: Arc<Mutex<Receiver<&'static str>>>,
}

impl Engine for Held {
    fn recognise(
        &mut self,
        sound: &[i16],
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<(String, f32), String> {
        let _ = self.begun.send(sound[0]);
        let go = self.go.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match go.recv_timeout(Duration::from_millis(1)) {
                Ok("panic") => panic!("as told"),
                Ok("fail") => return Err("as told".into()),
                Ok(text) => return Ok((text.to_owned(), 0.9)),
                Err(_) if stop() => return Err("stopped".into()),
                Err(_) => {}
            }
        }
    }
}

/// A pool of one worker, held by hand, on a clock that is moved by hand.
struct World {
    pool: Arc<Pool>,
    begun: Receiver<i16>,
    go: SyncSender<&'static str>,
    now: Arc<Mutex<Instant>>,
    start: Instant,
    runtime: tokio::runtime::Runtime,
}

#[expect(
    clippy::disallowed_methods,
    reason = "an Instant can be had no other way; no test depends on which it is"
)]
fn some_moment() -> Instant {
    Instant::now()
}

impl World {
    fn new(queue: usize) -> Self {
        let (begun_at, begun) = sync_channel(100);
        let (go, gone) = sync_channel(100);
        let gone = Arc::new(Mutex::new(gone));
        let start = some_moment();
        let now = Arc::new(Mutex::new(start));
        let clock = Arc::clone(&now);
        let clock: Clock = Arc::new(move || *clock.lock().unwrap_or_else(PoisonError::into_inner));
        let model = ModelId { name: "held".into(), sha256: "00".into() };
        let pool = Pool::start(model, "ru", PoolSettings { workers: 1, queue }, clock, move || {
            Ok(Held { begun: begun_at.clone(), go: Arc::clone(&gone) })
        });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
        Self { pool: Arc::new(pool.expect("a pool")), begun, go, now, start, runtime }
    }

    /// Asks for a piece that is called `name` and lasts a second; comes back once it is in the queue or at work.
    fn ask(&self, tenant: &str, name: i16, deadline_s: u64) -> tokio::task::JoinHandle<Recognised> {
        let request = Request {
            tenant: TenantId::new(tenant).expect("a good id"),
            sound: vec![name; 8000].into(),
            deadline: self.start + Duration::from_secs(deadline_s),
        };
        let known = self.known();
        let pool = Arc::clone(&self.pool);
        let task = self.runtime.spawn(async move { pool.recognise(request).await });
        let until = some_moment() + Duration::from_secs(60);
        while self.known() == known {
            assert!(some_moment() < until, "after a minute the pool knows nothing of the piece {name}");
            std::thread::yield_now();
        }
        task
    }

    /// How many requests there ever were.
    fn known(&self) -> u64 {
        self.pool.shared.queue().next
    }

    fn pass(&self, seconds: u64) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) += Duration::from_secs(seconds);
    }

    fn answer(&self, task: tokio::task::JoinHandle<Recognised>) -> String {
        match self.runtime.block_on(task).expect("no panic") {
            Recognised::Text(text) => format!("{} after {} s", text.text, text.waited.as_secs()),
            other => format!("{other:?}"),
        }
    }

    fn next(&self) -> i16 {
        self.begun.recv_timeout(Duration::from_secs(20)).expect("a piece is begun")
    }
}

#[test]
fn the_most_urgent_piece_of_a_tenant_is_first() {
    let world = World::new(10);
    let first = world.ask("a", 1, 100);
    assert_eq!(world.next(), 1);
    let tasks: Vec<_> =
        [(2, 50), (3, 20), (4, 30)].map(|(name, deadline)| world.ask("a", name, deadline)).into();
    world.pass(2);
    world.go.send("да").expect("the engine waits");
    assert_eq!(world.answer(first), "да after 0 s");
    for name in [3, 4, 2] {
        assert_eq!(world.next(), name);
        world.go.send("нет").expect("the engine waits");
    }
    for task in tasks {
        assert_eq!(world.answer(task), "нет after 2 s");
    }
}

#[test]
fn a_tenants_flood_does_not_keep_another_waiting() {
    let world = World::new(100);
    let mut tasks = vec![world.ask("flood", 1, 90)];
    assert_eq!(world.next(), 1);
    tasks.extend((2..20).map(|name| world.ask("flood", name, 90)));
    tasks.push(world.ask("other", 100, 99));
    tasks.push(world.ask("other", 101, 99));
    let mut order = Vec::new();
    for _ in 0..20 {
        world.go.send("да").expect("the engine waits");
        order.push(world.next());
    }
    world.go.send("да").expect("the engine waits");
    let place = |name| order.iter().position(|begun| *begun == name).expect("it was begun");
    assert!(place(100) <= 1 && place(101) <= 4, "{order:?}");
    for task in tasks {
        assert_eq!(world.answer(task), "да after 0 s");
    }
}

#[test]
fn a_full_queue_says_busy_to_whoever_has_most_in_it() {
    let world = World::new(3);
    let working = world.ask("a", 1, 100);
    assert_eq!(world.next(), 1);
    let (second, third, last) = (world.ask("a", 2, 50), world.ask("a", 3, 60), world.ask("a", 4, 70));
    let mine = world.ask("a", 5, 40);
    assert_eq!(world.answer(mine), "Busy", "his own queue is full, however urgent");
    let other = world.ask("b", 6, 100);
    assert_eq!(world.answer(last), "Busy", "the other one has nothing, and gets the place of the latest");
    assert_eq!(world.pool.waiting(), 3);
    for _ in 0..4 {
        world.go.send("да").expect("the engine waits");
    }
    for task in [working, other, second, third] {
        assert_eq!(world.answer(task), "да after 0 s");
    }
}

#[test]
fn a_piece_whose_deadline_passes_is_busy_or_late_and_never_a_text() {
    let world = World::new(10);
    let working = world.ask("a", 1, 5);
    assert_eq!(world.next(), 1);
    let waiting = world.ask("a", 2, 5);
    world.pass(6);
    assert_eq!(world.answer(working), "Late", "its engine was stopped");
    assert_eq!(world.answer(waiting), "Busy", "it was not begun");
    let next = world.ask("a", 3, 10);
    assert_eq!(world.next(), 3);
    world.go.send("да").expect("the engine waits");
    assert_eq!(world.answer(next), "да after 0 s");
}

#[test]
fn whoever_goes_away_frees_his_place_and_the_engine() {
    let world = World::new(1);
    let working = world.ask("a", 1, 100);
    assert_eq!(world.next(), 1);
    let waiting = world.ask("a", 2, 100);
    waiting.abort();
    assert!(world.runtime.block_on(waiting).is_err());
    assert_eq!(world.pool.waiting(), 0);
    let next = world.ask("a", 3, 100);
    working.abort();
    assert!(world.runtime.block_on(working).is_err());
    assert_eq!(world.next(), 3, "the engine left off");
    world.go.send("да").expect("the engine waits");
    assert_eq!(world.answer(next), "да after 0 s");
}

#[test]
fn an_engine_that_fails_or_panics_is_answered_and_goes_on() {
    let world = World::new(10);
    for (word, answer) in [
        ("fail", "Failed(\"as told\")"),
        ("panic", "Failed(\"the recogniser stopped at a bug\")"),
        ("(музыка)", "Nothing"),
        ("ну ну ну ну ну ну ну ну", "MadeUp(Loop)"),
        ("да", "да after 0 s"),
    ] {
        let task = world.ask("a", 1, 100);
        assert_eq!(world.next(), 1);
        world.go.send(word).expect("the engine waits");
        assert_eq!(world.answer(task), answer);
    }
    assert_eq!(
        judged(Text {
            text: "да да да да да да да".into(),
            confidence: 1.0,
            waited: Duration::ZERO,
            worked: Duration::ZERO
        }),
        Recognised::MadeUp(Invented::Loop)
    );
}

#[test]
fn a_pool_that_goes_away_leaves_nobody_waiting_and_one_that_cannot_start_says_why() {
    let world = World::new(10);
    let (first, second) = (world.ask("a", 1, 100), world.ask("a", 2, 100));
    assert_eq!(world.next(), 1);
    let World { pool, runtime, .. } = world;
    // The tasks hold the pool too; the last to let go of it is the runtime.
    first.abort();
    second.abort();
    drop(runtime);
    drop(Arc::into_inner(pool).expect("nobody else has it"));

    let model = ModelId { name: "none".into(), sha256: "00".into() };
    let start = some_moment();
    let why = Pool::start(model, "ru", PoolSettings::default(), Arc::new(move || start), || {
        Err::<Held, _>("no memory".to_owned())
    });
    assert_eq!(why.expect_err("it cannot start"), "no memory");
}
