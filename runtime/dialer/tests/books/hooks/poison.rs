//! Letters that a receiver cannot bear, and a store that fails at the beginning.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::sick::Sick;

/// Takes all letters but those of these events, and counts how often each of those came.
struct Picky {
    poison: BTreeMap<String, AtomicU32>,
    status: u16,
    taken: Mutex<Vec<String>>,
}

#[async_trait]
impl Courier for Picky {
    async fn bring(&self, letter: &Letter<'_>, _: UnixMillis) -> Result<u16, NotTaken> {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if let Some(came) = self.poison.get(letter.event) {
            came.fetch_add(1, Ordering::Relaxed);
            return Err(NotTaken::Refused { status: self.status, said: "не понимаю".into() });
        }
        self.taken.lock().unwrap().push(letter.event.to_owned());
        Ok(200)
    }
}

fn event_of(n: u64) -> String {
    format!("call_finished-{}", inbound(n, 1_790_000_000_000).attempt)
}

/// A few refused letters shut the door for a day and more, and two hundred of them filled the line: what came after was not
/// told, or given up without having gone once.
#[tokio::test(start_paused = true)]
async fn letters_that_a_receiver_cannot_bear_keep_no_other_from_being_told() {
    for (status, poison) in [(422, 5), (422, 300), (500, 5)] {
        let store: SharedStore = Arc::new(MemoryStore::new());
        let tables = tables(&store);
        let poison: BTreeMap<_, _> = (0..poison).map(|n| (event_of(n), AtomicU32::new(0))).collect();
        let many = poison.len() as u64;
        let picky = Arc::new(Picky { poison, status, taken: Mutex::default() });
        // One clock for all runs of the program.
        let clock = wall_clock();
        let runs = async |seconds| {
            let (stop, stopped) = watch::channel(false);
            let hooks = vec![setup("crm", picky.clone())];
            let (kept, ()) = tokio::join!(tables.keep_hooks(hooks, clock.clone(), stopped), async {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                stop.send_replace(true);
            });
            kept.unwrap();
        };
        runs(1).await;
        for n in 0..many + 60 {
            call_comes_in(&tables, n, Outcome::Busy).await;
        }
        runs(120).await;
        let good: Vec<_> = (many..many + 60).map(event_of).collect();
        assert_eq!(*picky.taken.lock().unwrap(), good, "{status} {many}: all the others, in order");
        // Another run of the program takes all of them up again.
        runs(10 * 3600).await;
        call_comes_in(&tables, many + 60, Outcome::Busy).await;
        runs(16 * 3600).await;
        assert_eq!(picky.taken.lock().unwrap().len(), 61, "{status} {many}");
        let view = tables.hooks().await.unwrap().remove(0);
        assert_eq!((view.waiting, view.failing, view.lost as u64), (0, 0, many), "{status} {many}");
        for (event, came) in &picky.poison {
            let came = came.load(Ordering::Relaxed);
            let lost = tables.delivery(&name("crm"), event).await.unwrap();
            assert_eq!((lost.state, lost.tries, lost.status), (DeliveryState::Lost, came, Some(status)));
            assert!((20..=28).contains(&came), "{status} {many}: {event} came {came} times");
        }
    }
}

/// One failed read, and a tenant's webhooks were off until the next start of the host.
#[tokio::test(start_paused = true)]
async fn hooks_begin_when_a_store_that_failed_at_the_start_is_well_again() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let sick = Sick::new(store.clone());
    let unwell = tables(&(sick.clone() as SharedStore));
    let door = Door::new(true);
    let (stop, stopped) = watch::channel(false);
    sick.set(true);
    let hooks = vec![setup("crm", door.clone())];
    let kept = tokio::spawn({
        let (unwell, stopped) = (unwell.clone(), stopped.clone());
        async move { unwell.keep_hooks(hooks, wall_clock(), stopped).await }
    });
    tokio::time::sleep(Duration::from_secs(600)).await;
    sick.set(false);
    tokio::time::sleep(Duration::from_secs(10)).await;
    call_comes_in(&tables(&store), 1, Outcome::Busy).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(door.came(), [event_of(1)]);
    stop.send_replace(true);
    kept.await.unwrap().unwrap();
    // One that never was well says so in the end.
    sick.set(true);
    let hooks = vec![setup("crm", door.clone())];
    assert!(unwell.keep_hooks(hooks, wall_clock(), stopped).await.is_err());
}
