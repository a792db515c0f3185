//! Redialling and calling hours, as a run follows them.

use zvonar_dialer::{DialRules, Hold};

use super::*;

/// What a telephone saw: when it rang, and at which number.
type Rings = Arc<Mutex<Vec<(i64, String)>>>;

/// A list of one person with these numbers and fields, dialled by these rules until it is done.
async fn dial(
    rules: DialRules,
    numbers: &[u32],
    fields: &[(&str, &str)],
    outcomes: &'static [Outcome],
) -> (Vec<(i64, String)>, LeadState) {
    let rings: Rings = Arc::default();
    let clock = wall_clock();
    let phone = {
        let (rings, clock) = (Arc::clone(&rings), clock.clone());
        Phone(move |order: Order| {
            let mut seen = rings.lock().unwrap();
            let minute = (clock().0 - 1_790_000_000_000) / 60_000;
            let outcome = outcomes[seen.len().min(outcomes.len() - 1)].clone();
            seen.push((minute, order.number.digits()[9..].to_owned()));
            let ended = clock();
            async move {
                match outcome {
                    Outcome::Answered { .. } => CallReport { outcome, ..answered(1_000) },
                    other => CallReport::unanswered(ended, other),
                }
            }
        })
    };
    let dialer = Dialer::new(memory(), Arc::new(PriceList::default()), Arc::new(phone), clock, 1);
    make_list(&dialer, 0, 1).await;
    let tables = dialer.tables(&tenant());
    let stored = tables.project(&project()).await.unwrap().unwrap();
    tables.put_project(NewProject { rules, ..NewProject::like(stored) }, dialer.now()).await.unwrap();
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let numbers = numbers.iter().map(|i| number(*i)).collect();
    tables
        .add_leads(&project(), vec![NewLead { lead: lead(0), numbers, fields, tags: BTreeSet::new() }])
        .await
        .unwrap();
    dialer.run(&tenant(), &project(), None, never()).await.unwrap();
    assert!(tables.verify().await.unwrap().is_sound());
    let state = tables.lead(&project(), &lead(0)).await.unwrap().unwrap().progress.state;
    let rings = rings.lock().unwrap().clone();
    (rings, state)
}

fn at_any_hour() -> DialRules {
    DialRules { hours: "any".into(), ..DialRules::default() }
}

fn rang(rings: &[(i64, &str)]) -> Vec<(i64, String)> {
    rings.iter().map(|(minute, number)| (*minute, (*number).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn numbers_are_dialled_in_turn_after_their_intervals_until_each_has_had_its_calls() {
    let (rings, state) = dial(at_any_hour(), &[1, 2], &[], &[Outcome::Busy]).await;
    assert_eq!(rings, rang(&[(0, "01"), (0, "02"), (10, "01"), (10, "02")]));
    assert_eq!(state, LeadState::Unreached);
}

#[tokio::test(start_paused = true)]
async fn an_answer_at_the_second_number_ends_the_dialling() {
    const OUTCOMES: &[Outcome] =
        &[Outcome::NoAnswer, Outcome::Answered { result: TalkEnd::System(SystemResult::Connected) }];
    let (rings, state) = dial(at_any_hour(), &[1, 2], &[], OUTCOMES).await;
    assert_eq!(rings, rang(&[(0, "01"), (0, "02")]));
    assert_eq!(state, LeadState::Reached);
}

#[tokio::test(start_paused = true)]
async fn whoever_declined_is_not_called_again_at_that_number() {
    let (rings, state) = dial(at_any_hour(), &[1], &[], &[Outcome::Rejected]).await;
    assert_eq!(rings, rang(&[(0, "01")]));
    assert_eq!(state, LeadState::Unreached);
}

/// It is 17:13 of a Monday in Moscow, and 2:13 of Tuesday in Kamchatka.
#[tokio::test(start_paused = true)]
async fn a_lead_is_called_in_the_hours_of_the_place_where_he_lives() {
    let (rings, _) = dial(DialRules::default(), &[1], &[], &[Outcome::Rejected]).await;
    assert_eq!(rings, rang(&[(0, "01")]));
    let (rings, _) =
        dial(DialRules::default(), &[1], &[("tz", "Asia/Kamchatka")], &[Outcome::Rejected]).await;
    assert_eq!(rings, rang(&[(406, "01")]), "at 9:00 there: 6 h 46 min 40 s from now");
    let kamchatka = DialRules { zone: "Asia/Kamchatka".into(), ..DialRules::default() };
    let (rings, _) = dial(kamchatka, &[1], &[], &[Outcome::Rejected]).await;
    assert_eq!(rings, rang(&[(406, "01")]));
}

/// An interval that ends at night.
#[tokio::test(start_paused = true)]
async fn a_second_call_that_would_come_at_night_comes_in_the_morning() {
    let mut rules = DialRules::default();
    rules.retry.no_answer.interval = Duration::from_secs(5 * 3600);
    let (rings, state) = dial(rules, &[1], &[], &[Outcome::NoAnswer]).await;
    assert_eq!(rings, rang(&[(0, "01"), (946, "01")]), "at 9:00 of Tuesday");
    assert_eq!(state, LeadState::Unreached);
}

#[tokio::test(start_paused = true)]
async fn hours_and_zones_that_cannot_be_read_stop_the_run_with_a_sentence() {
    for (rules, sentence) in [
        (DialRules { hours: "moon".into(), ..DialRules::default() }, "`moon` is no window"),
        (DialRules { zone: "Mars/Base".into(), ..DialRules::default() }, "no zone `Mars/Base`"),
    ] {
        let dialer = dialer(memory(), Arc::new(Phone(|_| async { answered(1) })), 1);
        make_list(&dialer, 1, 1).await;
        let tables = dialer.tables(&tenant());
        let stored = tables.project(&project()).await.unwrap().unwrap();
        tables.put_project(NewProject { rules, ..NewProject::like(stored) }, dialer.now()).await.unwrap();
        let refused = dialer.run(&tenant(), &project(), None, never()).await.unwrap_err();
        assert!(refused.to_string().contains(sentence), "{refused}");
    }
}

/// A lead of an older program, with its one number.
#[tokio::test(start_paused = true)]
async fn a_lead_that_was_stored_with_one_number_is_read() {
    let store = memory();
    let dialer = dialer(store.clone(), Arc::new(Phone(|_| async { answered(1_000) })), 1);
    make_list(&dialer, 1, 1).await;
    let keys = TenantKeys::new(&tenant());
    let key = Key::parse("acme.lead.spring.lead-0").unwrap();
    let item = store.get(keys.shard(), &key).await.unwrap().unwrap();
    let text = String::from_utf8(item.value.to_vec()).unwrap();
    let old = text.replace("\"numbers\":[\"+79000000000\"]", "\"number\":\"+79000000000\"");
    assert_ne!(old, text);
    let _ = store.commit(keys.shard(), vec![Write::set(key, old.into_bytes())]).await.unwrap();
    let finished = dialer.run(&tenant(), &project(), None, never()).await.unwrap();
    assert_eq!(finished.counts.reached, 1);
}

/// The question that every peer leaves open: why was this person not called yet, and when will he be?
#[tokio::test(start_paused = true)]
async fn every_state_of_a_lead_names_the_rule_that_holds_it_and_the_next_time() {
    let outcome = Arc::new(Mutex::new(Outcome::NoAnswer));
    let clock = wall_clock();
    let phone = {
        let (outcome, clock) = (Arc::clone(&outcome), clock.clone());
        Phone(move |_| {
            let report = CallReport::unanswered(clock(), outcome.lock().unwrap().clone());
            async move {
                tokio::time::sleep(Duration::from_secs(20)).await;
                match report.outcome {
                    Outcome::Answered { .. } => CallReport { outcome: report.outcome, ..answered(1_000) },
                    _ => report,
                }
            }
        })
    };
    let dialer = Dialer::new(memory(), Arc::new(PriceList::default()), Arc::new(phone), clock.clone(), 1);
    make_list(&dialer, 0, 1).await;
    let tables = dialer.tables(&tenant());
    let put = async |rules: DialRules| {
        let stored = tables.project(&project()).await.unwrap().unwrap();
        tables.put_project(NewProject { rules, ..NewProject::like(stored) }, dialer.now()).await.unwrap();
    };
    put(at_any_hour()).await;
    let added = vec![NewLead {
        lead: lead(0),
        numbers: vec![number(1)],
        fields: BTreeMap::new(),
        tags: BTreeSet::new(),
    }];
    tables.add_leads(&project(), added).await.unwrap();
    let paused = tables.why(&project(), &lead(0), clock()).await.unwrap();
    assert_eq!((paused.hold, paused.behind, paused.next), (Hold::Paused, Some(Hold::Turn), None));
    tables.start_project(&project(), 5, clock()).await.unwrap();
    let why = async || tables.why(&project(), &lead(0), clock()).await.unwrap();

    let new = why().await;
    assert_eq!((new.status, &new.hold, new.turn), ("ещё не звонили", &Hold::Turn, Some(0)));
    put(DialRules { zone: "Asia/Kamchatka".into(), ..DialRules::default() }).await;
    let night = why().await;
    assert_eq!(night.hold, Hold::Hours { hours: "ru-default".into() });
    assert_eq!(night.next.unwrap().0 - clock().0, 24_400_000, "6 h 46 min 40 s");

    put(at_any_hour()).await;
    let (stop, stopped) = watch::channel(false);
    let running = {
        let dialer = dialer.clone();
        tokio::spawn(async move { dialer.run(&tenant(), &project(), None, stopped).await })
    };
    tokio::time::sleep(Duration::from_secs(5)).await;
    let ringing = why().await;
    assert!(matches!(ringing.hold, Hold::Dialling { .. }) && ringing.next.is_none(), "{ringing:?}");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let waiting = why().await;
    assert_eq!(waiting.status, "позвоним ещё раз");
    let Hold::Interval { until } = waiting.hold else { panic!("{waiting:?}") };
    assert_eq!(waiting.next, Some(until));
    assert!(waiting.numbers[0].sentence(2).contains("1 call, 1 × «Нет ответа» in a row"), "{waiting:?}");

    *outcome.lock().unwrap() = Outcome::Busy;
    tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
    let spent = why().await;
    assert_eq!((spent.status, &spent.hold, spent.next), ("не дозвонились", &Hold::Spent, None));
    assert!(spent.numbers[0].sentence(2).contains("has left: 2 calls are the most"), "{spent:?}");
    stop.send_replace(true);
    running.await.unwrap().unwrap();

    *outcome.lock().unwrap() = Outcome::answered(SystemResult::Connected);
    let added = vec![NewLead {
        lead: lead(5),
        numbers: vec![number(5)],
        fields: BTreeMap::new(),
        tags: BTreeSet::new(),
    }];
    tables.add_leads(&project(), added).await.unwrap();
    dialer.run(&tenant(), &project(), None, never()).await.unwrap();
    let reached = tables.why(&project(), &lead(5), clock()).await.unwrap();
    assert_eq!((reached.status, reached.hold), ("дозвонились", Hold::Reached));
    tables.block(&number(5), "просил не звонить", clock()).await.unwrap();
    let blocked = tables.why(&project(), &lead(5), clock()).await.unwrap();
    assert!(blocked.numbers[0].sentence(2).contains("on the blacklist: просил не звонить"), "{blocked:?}");
    assert!(matches!(tables.why(&project(), &lead(9), clock()).await, Err(DialerError::NoLead(_))));
}
