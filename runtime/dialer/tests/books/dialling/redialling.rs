//! Redialling and calling hours, as a run follows them.

use zvonar_dialer::DialRules;

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
    tables
        .put_project(NewProject {
            project: stored.project.clone(),
            title: stored.title.clone(),
            scenario: stored.scenario.clone(),
            settings: BTreeMap::new(),
            trunk: stored.trunk.clone(),
            lines: 1,
            calls_per_second: 50,
            ring: stored.ring(),
            rules,
        })
        .await
        .unwrap();
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let numbers = numbers.iter().map(|i| number(*i)).collect();
    tables.add_leads(&project(), vec![NewLead { lead: lead(0), numbers, fields }]).await.unwrap();
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
        let new = NewProject {
            project: stored.project.clone(),
            title: stored.title.clone(),
            scenario: stored.scenario.clone(),
            settings: BTreeMap::new(),
            trunk: stored.trunk.clone(),
            lines: 1,
            calls_per_second: 50,
            ring: stored.ring(),
            rules,
        };
        tables.put_project(new).await.unwrap();
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
