//! What goes on by itself: a finished project with new contacts, and a call whose lease a jump of the clock has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use zvonar_campaign::{Ending, ProjectStatus};
use zvonar_dialer::{Dialer, Keep};
use zvonar_ledger::PriceList;
use zvonar_model::UnixMillis;

use crate::dialling::{Phone, answered, memory};
use crate::foreman::{Rings, called, id, keep, leads, make, noting, seconds, start, status};
use crate::world::{dialer, new_project, project, tenant, wall_clock};

#[tokio::test(start_paused = true)]
async fn a_finished_project_goes_on_once_there_is_room_for_it() {
    let rings: Rings = Arc::default();
    let dialer = dialer(memory(), noting(&rings, wall_clock()), 1);
    make(&dialer, new_project(id("done")), leads(0, 1)).await;
    make(&dialer, new_project(id("busy")), vec![]).await;
    let (stop, stopped) = watch::channel(false);
    let work = {
        let (dialer, keep) = (dialer.clone(), Keep { most_active: 1, ..Keep::default() });
        tokio::spawn(async move { dialer.keep(&tenant(), keep, stopped).await.unwrap() })
    };
    start(&dialer, &id("done")).await;
    seconds(60).await;
    start(&dialer, &id("busy")).await;
    let tables = dialer.tables(&tenant());
    tables.add_leads(&id("done"), leads(1, 3)).await.unwrap();
    seconds(600).await;
    assert_eq!((called(&rings).len(), status(&dialer, &id("done")).await.title()), (1, "Завершён"));
    tables.pause_project(&id("busy"), dialer.now()).await.unwrap();
    seconds(60).await;
    assert_eq!((called(&rings).len(), status(&dialer, &id("done")).await.title()), (3, "Завершён"));
    // It is over, and stays so by itself.
    let since = tables.project(&id("done")).await.unwrap().unwrap().since;
    seconds(3_600).await;
    assert_eq!(tables.project(&id("done")).await.unwrap().unwrap().since, since);
    stop.send_replace(true);
    assert_eq!(work.await.unwrap(), []);
}

/// Nobody had come for two weeks.
#[tokio::test(start_paused = true)]
async fn a_project_that_was_idle_goes_on_with_what_is_new_alone() {
    let rings: Rings = Arc::default();
    let dialer = dialer(memory(), noting(&rings, wall_clock()), 1);
    make(&dialer, new_project(id("idle")), vec![]).await;
    start(&dialer, &id("idle")).await;
    let kept = keep(&dialer, false);
    seconds(15 * 86_400).await;
    assert_eq!(status(&dialer, &id("idle")).await, ProjectStatus::Finished { by: Ending::Idle });
    dialer.tables(&tenant()).add_leads(&id("idle"), leads(0, 2)).await.unwrap();
    seconds(60).await;
    assert_eq!(called(&rings).len(), 2);
    assert_eq!(status(&dialer, &id("idle")).await, ProjectStatus::Finished { by: Ending::Done });
    kept.end().await;
}

/// A machine whose clock was wrong by a day: its calls were taken for abandoned while they went on, and cost nothing.
#[tokio::test(start_paused = true)]
async fn a_call_that_goes_on_is_nobodys_to_settle_however_the_clock_jumps() {
    let (offset, steady) = (Arc::new(AtomicI64::new(0)), wall_clock());
    let clock = {
        let offset = Arc::clone(&offset);
        Arc::new(move || UnixMillis(steady().0 + offset.load(Ordering::Relaxed)))
    };
    let long = Phone(|_| async {
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        answered(30_000)
    });
    let dialer = Dialer::new(memory(), Arc::new(PriceList::default()), Arc::new(long), clock, 1);
    make(&dialer, new_project(project()), leads(0, 1)).await;
    start(&dialer, &project()).await;
    let kept = keep(&dialer, false);
    seconds(60).await;
    offset.fetch_add(86_400_000, Ordering::Relaxed);
    // Long enough for whoever looks for abandoned calls to have looked.
    seconds(3_000).await;
    let tables = dialer.tables(&tenant());
    assert_eq!(tables.balance().await.unwrap().charges, 0, "nothing is settled yet");
    seconds(3_600).await;
    let totals = tables.report(&project()).await.unwrap().totals;
    assert_eq!((totals.attempts, totals.reached), (1, 1));
    assert_eq!(tables.balance().await.unwrap().charges, 1);
    kept.end().await;
    assert!(tables.verify().await.unwrap().is_sound());
}
