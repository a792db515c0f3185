//! An hour of each trouble on a virtual clock, as a table: what happened to each message, and what the tenant hears.
//! `./zv sms-table` prints it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use zvonar_dialer::TextStatus;
use zvonar_gateways::stand::Manner;

use super::{Process, World, facts};
use crate::world::number;

/// The table as it is in `README.md`.
const TABLE: &str = include_str!("table.txt");

/// What SMSC does for an hour.
#[derive(Clone, Copy)]
enum Trouble {
    Manner(Manner),
    /// To the messages of the first person alone.
    One(Manner),
    Down,
}

const TROUBLES: [(&str, Trouble); 17] = [
    ("answers", Trouble::Manner(Manner::Answers)),
    ("error 1, parameters", Trouble::Manner(Manner::Refuses(1))),
    ("error 2, login", Trouble::Manner(Manner::Refuses(2))),
    ("error 3, no money", Trouble::Manner(Manner::Refuses(3))),
    ("error 4, locked out", Trouble::Manner(Manner::Refuses(4))),
    ("error 5, date", Trouble::Manner(Manner::Refuses(5))),
    ("error 6, forbidden", Trouble::Manner(Manner::Refuses(6))),
    ("error 7, number", Trouble::Manner(Manner::Refuses(7))),
    ("error 8, undeliverable", Trouble::Manner(Manner::Refuses(8))),
    ("error 9, repeated", Trouble::Manner(Manner::Refuses(9))),
    ("error 10, unknown", Trouble::Manner(Manner::Refuses(10))),
    ("error 10 for one of them", Trouble::One(Manner::Refuses(10))),
    ("takes, does not answer", Trouble::Manner(Manner::LosesTheAnswer)),
    ("takes, answers half", Trouble::Manner(Manner::AnswersHalf)),
    ("answers garbage", Trouble::Manner(Manner::Babbles)),
    ("never answers", Trouble::Manner(Manner::IsSilent)),
    ("is not reached", Trouble::Down),
];

/// `2 queued, 1 delivered`.
async fn told(process: &Process) -> String {
    let all = process.all().await;
    let count = |status| all.iter().filter(|info| info.status() == status).count();
    let parts =
        TextStatus::ALL.into_iter().map(|status| (status, count(status))).filter(|(_, count)| *count > 0);
    parts.map(|(status, count)| format!("{count} {}", status.word())).collect::<Vec<_>>().join(", ")
}

/// Six messages are decided within the first minutes; after an hour all is well again.
fn row(name: &str, trouble: Trouble) -> String {
    let mut world = World::new(7);
    world.script = Arc::new(|order| vec![(500, None, format!("Ждём вас, {}", order.attempt))]);
    // One call after the other, half a minute each. The fourth number ends in 03, so its message expires.
    world.talk = Duration::from_secs(30);
    world.list(6, 1);
    let stand = Arc::clone(&world.stand);
    let shown = Arc::clone(&stand);
    let columns = {
        let treat = |manner| stand.lock().unwrap().treat(manner, None);
        let treat_one = |manner| stand.lock().unwrap().treat_phone(number(0).digits(), manner);
        world.process(Vec::new(), async |process| {
            match trouble {
                Trouble::Manner(manner) => treat(manner),
                Trouble::One(manner) => treat_one(manner),
                Trouble::Down => process.gateway.set_down(true),
            }
            process.dial().await;
            let early = told(process).await;
            let now = process.dialer.now();
            let heard = process.tables.outbox_state(now).await.unwrap().trouble;
            tokio::time::sleep(Duration::from_secs(3_600 - 180)).await;
            let hour = told(process).await;
            let questions = shown.lock().unwrap().questions();
            treat(Manner::Answers);
            treat_one(Manner::Answers);
            process.gateway.set_down(false);
            process.settled().await;
            let end = told(process).await;
            let heard = heard.map_or("", |trouble| trouble.sentence().split(':').next().unwrap_or_default());
            (early, hour, end, questions, heard.to_owned())
        })
    };
    let (early, hour, end, questions, heard) = columns.unwrap();
    let texts = facts(&world, name);
    assert_eq!(texts, 6);
    let taken = world.taken();
    let kopecks: i64 = taken.values().map(|taken| taken.cost.0).sum();
    format!("| {name} | {early} | {hour} | {end} | {} | {kopecks} | {questions} | {heard} |", taken.len())
}

#[test]
fn what_happens_to_messages_in_an_hour_of_each_trouble_is_as_the_table_says() {
    let mut table = String::from(
        "| SMSC for an hour | after 3 minutes | after the hour | in the end | taken | kopecks | questions | the tenant hears |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for (name, trouble) in TROUBLES {
        let _ = writeln!(table, "{}", row(name, trouble));
    }
    println!("{table}");
    assert_eq!(
        table, TABLE,
        "the table has changed: look at each line, then put it into table.txt and README.md"
    );
}

/// A thousand messages while nobody answers, and a process that dies in the middle of it.
#[test]
fn an_hour_without_smsc_loses_none_of_many_messages_and_asks_little() {
    let mut world = World::new(8);
    world.rules.per_minute = 10_000;
    world.list(300, 50);
    let stand = Arc::clone(&world.stand);
    world.process(Vec::new(), async |process| {
        process.gateway.set_down(true);
        process.dial().await;
        tokio::time::sleep(Duration::from_secs(1_800)).await;
        assert_eq!(stand.lock().unwrap().questions(), 0);
        assert_eq!(told(process).await, "300 queued");
    });
    world.process(Vec::new(), async |process| {
        process.gateway.set_down(true);
        tokio::time::sleep(Duration::from_secs(1_800)).await;
        process.gateway.set_down(false);
        let began = process.dialer.now();
        // A quarter of an hour at most until it is tried again; then all of them within minutes.
        tokio::time::sleep(Duration::from_secs(15 * 60 + 120)).await;
        assert!(!told(process).await.contains("queued"), "{}", told(process).await);
        assert!(process.dialer.now().0 - began.0 < 20 * 60_000);
        process.settled().await;
    });
    assert_eq!(facts(&world, "an hour"), 300);
}
