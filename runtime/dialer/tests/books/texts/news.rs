//! News that comes by itself, signed: of messages that are on their way, and of those that were given up.

use std::sync::Mutex;
use std::time::Duration;

use zvonar_dialer::{TextInfo, TextStatus};
use zvonar_gateways::smsc::Callback;
use zvonar_gateways::stand::{Manner, Reply, Stand, StandSettings};
use zvonar_model::UnixMillis;

use super::manners::world_count;
use super::{Process, World, facts, secret};
use crate::world::{number, tenant};

#[test]
fn news_that_comes_by_itself_is_stored_once_and_only_for_messages_of_the_tenant() {
    let mut world = World::new(5);
    world.list(1, 1);
    let stand = world.stand.clone();
    world.process(Vec::new(), async |process| {
        stand.lock().unwrap().treat(Manner::LosesTheAnswer, Some(1));
        process.dial().await;
        tokio::time::sleep(Duration::from_secs(70)).await;
        let news = stand.lock().unwrap().advance(UnixMillis(i64::MAX));
        let [news] = &news[..] else { panic!("{news:?}") };
        let told = Callback::read(news.0.as_bytes(), &secret()).unwrap();
        assert!(process.texts.news(&tenant(), &told).await.unwrap());
        assert_eq!(world_count(process, TextStatus::Delivered).await, 1);
        // Twice, and for somebody else's number.
        assert!(process.texts.news(&tenant(), &told).await.unwrap());
        let mut other = told.clone();
        other.phone = "79990000000".into();
        assert!(!process.texts.news(&tenant(), &other).await.unwrap());
        let mut unknown = told;
        unknown.id = zvonar_gateways::SmsId::new(77);
        assert!(!process.texts.news(&tenant(), &unknown).await.unwrap());
        process.settled().await;
    });
    facts(&world, "news");
}

/// A question that was on its way for longer than anybody waited arrives now.
fn arrives(world_stand: &Mutex<Stand>, now: UnixMillis, info: &TextInfo) -> Callback {
    let mut stand = world_stand.lock().unwrap();
    let number = info.fate.number.unwrap();
    let form = [
        ("id", number.to_string()),
        ("phones", info.text.to.digits().into()),
        ("mes", info.text.text.clone()),
    ];
    let form = form.map(|(name, value)| format!("&{name}={}", value.replace(' ', "+"))).concat();
    let form = format!("login=zvonar&psw={}&fmt=3&charset=utf-8{form}", "слово");
    let reply = stand.answer(now, "/sys/send.php", form.as_bytes());
    assert!(
        matches!(&reply, Reply::Whole(body) if !String::from_utf8_lossy(body).contains("error")),
        "{reply:?}"
    );
    let news = stand.advance(UnixMillis(i64::MAX));
    Callback::read(news.last().unwrap().0.as_bytes(), &secret()).unwrap()
}

async fn only(process: &Process) -> TextInfo {
    let mut all = process.all().await;
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// SMSC had said that it has none of this number; what it told afterwards was answered with thanks and thrown away, so that
/// the message went again, or cost nothing.
#[test]
fn news_of_a_message_that_waits_to_be_given_again_shows_that_it_was_taken() {
    let mut world = World::new(18);
    world.list(1, 1);
    let stand = world.stand.clone();
    world.process(Vec::new(), async |process| {
        let treat = |manner| stand.lock().unwrap().treat_phone(number(0).digits(), manner);
        treat(Manner::IsSilent);
        process.dial().await;
        tokio::time::sleep(Duration::from_secs(70)).await;
        assert_eq!(only(process).await.status(), TextStatus::InDoubt);
        // It is asked for, is not there, and cannot be given at once.
        treat(Manner::Refuses(3));
        tokio::time::sleep(Duration::from_secs(120)).await;
        let waits = only(process).await;
        assert_eq!(waits.status(), TextStatus::Queued);
        treat(Manner::Answers);
        let told = arrives(&stand, process.dialer.now(), &waits);
        assert!(process.texts.news(&tenant(), &told).await.unwrap());
        assert_eq!(only(process).await.status(), TextStatus::Delivered);
        process.settled().await;
    });
    assert_eq!(facts(&world, "late arrival"), 1);
}

#[test]
fn news_of_a_message_that_came_too_late_shows_that_it_was_taken_and_has_its_price_asked_for() {
    let mut world = World::new(19);
    world.rules.useful = Duration::from_secs(90);
    world.list(1, 1);
    let stand = world.stand.clone();
    world.process(Vec::new(), async |process| {
        stand.lock().unwrap().treat(Manner::IsSilent, Some(1));
        process.dial().await;
        tokio::time::sleep(Duration::from_secs(600)).await;
        let late = only(process).await;
        assert_eq!(late.status(), TextStatus::Failed);
        let told = arrives(&stand, process.dialer.now(), &late);
        assert!(process.texts.news(&tenant(), &told).await.unwrap());
        let taken = only(process).await;
        assert_eq!((taken.status(), taken.fate.charged), (TextStatus::Delivered, None));
        process.settled().await;
    });
    assert_eq!(facts(&world, "too late"), 1);
    // It is found there after a restart as well: all is told of it.
    world.process(Vec::new(), async |process| process.settled().await);
    assert_eq!(facts(&world, "too late, later"), 1);
}

#[test]
fn news_of_a_message_in_doubt_that_nobody_asks_for_any_more_has_its_price_asked_for() {
    let mut world = World::new(20);
    world.list(1, 1);
    let stand = world.stand.clone();
    world.process(Vec::new(), async |process| {
        stand.lock().unwrap().treat(Manner::LosesTheAnswer, Some(1));
        process.dial().await;
        stand.lock().unwrap().treat(Manner::Fails, None);
        tokio::time::sleep(Duration::from_secs(4 * 24 * 3_600)).await;
        let before = stand.lock().unwrap().questions();
        let verified = process.tables.verify().await.unwrap();
        assert_eq!((only(process).await.status(), verified.texts_in_doubt), (TextStatus::InDoubt, 1));
        stand.lock().unwrap().treat(Manner::Answers, None);
        tokio::time::sleep(Duration::from_secs(24 * 3_600)).await;
        assert_eq!(stand.lock().unwrap().questions(), before, "nobody asks any more");
        let told = signed(&only(process).await);
        assert!(process.texts.news(&tenant(), &told).await.unwrap());
        process.settled().await;
    });
    assert_eq!(facts(&world, "long in doubt"), 1);
}

/// What SMSC tells of a message that was delivered, made by another stand: what the first one told is past.
fn signed(info: &TextInfo) -> Callback {
    let mut stand = Stand::new(StandSettings { secret: Some(secret()), ..StandSettings::default() });
    let (id, phone) = (info.fate.number.unwrap(), info.text.to.digits());
    let form = format!("apikey=k&fmt=3&id={id}&phones={phone}&mes=x");
    let _ = stand.answer(UnixMillis(0), "/sys/send.php", form.as_bytes());
    let news = stand.advance(UnixMillis(i64::MAX));
    Callback::read(news[0].0.as_bytes(), &secret()).unwrap()
}
