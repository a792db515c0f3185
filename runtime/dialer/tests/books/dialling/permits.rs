//! Caps, consents, the blacklist and the register, as runs follow them.

use zvonar_campaign::{Caps, ConsentEvent, ConsentRule, Purpose, Register};
use zvonar_dialer::{DialRules, Epoch, Hold, Policy};

use super::*;

/// Monday, 21 September 2026, 17:13:20 in Moscow.
const START: i64 = 1_790_000_000_000;
const HOUR: i64 = 3_600_000;

/// When phones rang, in hours since the start, and at which number.
type Rings = Arc<Mutex<Vec<(i64, String)>>>;

/// A world whose telephones all do the same, on a clock that jumps.
struct World {
    dialer: Dialer,
    rings: Rings,
}

impl World {
    fn new(policy: Policy, outcome: Outcome) -> Self {
        let rings: Rings = Arc::default();
        let clock = wall_clock();
        let phone = {
            let (rings, clock) = (Arc::clone(&rings), clock.clone());
            Phone(move |order: Order| {
                let now = clock();
                let hour = (now.0 - START) / HOUR;
                rings.lock().unwrap().push((hour, order.number.digits()[9..].to_owned()));
                let report = match &outcome {
                    Outcome::Answered { .. } => answered(1_000),
                    other => CallReport::unanswered(now, other.clone()),
                };
                async move { report }
            })
        };
        let dialer = Dialer::new(memory(), Arc::new(PriceList::default()), Arc::new(phone), clock, 1);
        Self { dialer: dialer.with_policy(policy), rings }
    }

    fn tables(&self) -> zvonar_dialer::Tables {
        self.dialer.tables(&tenant())
    }

    async fn list(&self, name: &str, rules: DialRules, leads: &[(&str, &[u32])]) -> ProjectId {
        let id = ProjectId::new(name).unwrap();
        let (scenario, trunk) = (ScenarioName::new("hello").unwrap(), TrunkId::new("main").unwrap());
        let new = NewProject { rules, lines: 3, ..NewProject::new(id.clone(), scenario, trunk) };
        self.tables().create_project(new, self.dialer.now()).await.unwrap();
        let leads = leads.iter().map(|(lead, numbers)| NewLead {
            lead: LeadId::new(lead).unwrap(),
            numbers: numbers.iter().map(|i| number(*i)).collect(),
            fields: BTreeMap::new(),
            tags: BTreeSet::new(),
        });
        let added = self.tables().add_leads(&id, leads.collect()).await.unwrap();
        assert!(added.refused.is_empty(), "{:?}", added.refused);
        id
    }

    async fn run(&self, project: &ProjectId) {
        self.dialer.run(&tenant(), project, None, never()).await.unwrap();
    }

    async fn results(&self, project: &ProjectId) -> Vec<String> {
        let rows = self.tables().report(project).await.unwrap().rows;
        rows.into_iter().map(|row| row.result).collect()
    }

    fn rang(&self) -> Vec<(i64, String)> {
        std::mem::take(&mut *self.rings.lock().unwrap())
    }
}

fn hours(rings: &[i64]) -> Vec<(i64, String)> {
    rings.iter().map(|hour| (*hour, "01".to_owned())).collect()
}

fn often(max_calls: u32) -> DialRules {
    let mut rules = DialRules { hours: "any".into(), ..DialRules::default() };
    rules.retry.max_calls = max_calls;
    rules.retry.no_answer.limit = max_calls;
    rules
}

fn capped(caps: Caps) -> Policy {
    Policy { caps, ..Policy::default() }
}

#[tokio::test(start_paused = true)]
async fn a_number_is_called_so_often_a_day_by_all_projects_together() {
    let world = World::new(capped(Caps { day: Some(3), ..Caps::default() }), Outcome::NoAnswer);
    let first = world.list("first", often(2), &[("a", &[1])]).await;
    let second = world.list("second", often(4), &[("b", &[1])]).await;
    world.run(&first).await;
    assert_eq!(world.rang(), hours(&[0, 1]));
    world.run(&second).await;
    // The third call of Monday, then three of Tuesday from midnight on: 6 h 46 min 40 s after the start.
    assert_eq!(world.rang(), hours(&[1, 6, 7, 8]));
    assert!(world.tables().verify().await.unwrap().is_sound());
}

/// Two projects call one number at the same moment; a second list of the same people doubled the calls.
#[tokio::test(start_paused = true)]
async fn projects_that_call_a_number_at_the_same_moment_count_each_other() {
    let world = World::new(capped(Caps { day: Some(1), ..Caps::default() }), Outcome::NoAnswer);
    let names = ["p0", "p1", "p2", "p3", "p4"];
    for name in names {
        world.list(name, often(1), &[("a", &[1])]).await;
    }
    let runs = names.map(|name| {
        let (dialer, id) = (world.dialer.clone(), ProjectId::new(name).unwrap());
        tokio::spawn(async move { dialer.run(&tenant(), &id, None, never()).await.unwrap() })
    });
    for run in runs {
        run.await.unwrap();
    }
    // One a day, from midnight to midnight.
    assert_eq!(world.rang(), hours(&[0, 6, 30, 54, 78]));
}

#[tokio::test(start_paused = true)]
async fn debts_are_called_for_as_the_law_has_it_whatever_the_project_says() {
    let world = World::new(Policy::default(), Outcome::NoAnswer);
    let rules = DialRules { purpose: Purpose::Collection, ..often(4) };
    let debts = world.list("debts", rules, &[("a", &[1])]).await;
    world.run(&debts).await;
    // Once on Monday, on Tuesday at 8:00; twice a week, so then next Monday and Tuesday.
    assert_eq!(world.rang(), hours(&[0, 14, 158, 182]));
}

#[tokio::test(start_paused = true)]
async fn a_capped_number_does_not_keep_the_others_from_being_called() {
    let world = World::new(capped(Caps { day: Some(1), ..Caps::default() }), Outcome::Rejected);
    let first = world.list("first", often(1), &[("a", &[1])]).await;
    world.run(&first).await;
    let second = world.list("second", often(1), &[("a", &[1]), ("b", &[2]), ("c", &[3])]).await;
    world.rang();
    world.run(&second).await;
    let expected = [(0, "02"), (0, "03"), (6, "01")].map(|(hour, number)| (hour, number.to_owned()));
    assert_eq!(world.rang(), expected);
}

fn said(given: bool, i: u32, purposes: &[Purpose], at: UnixMillis) -> ConsentEvent {
    ConsentEvent {
        given,
        numbers: vec![number(i)],
        purposes: purposes.to_vec(),
        at,
        text: None,
        channel: "test".into(),
        ip: None,
        proof: None,
        attempt: None,
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_called_without_a_consent_where_one_is_required() {
    let world = World::new(Policy::default(), Outcome::Rejected);
    let rules = DialRules { consent: ConsentRule::Required, ..often(1) };
    let list = world.list("list", rules, &[("a", &[1]), ("b", &[2]), ("c", &[3])]).await;
    let (tables, now) = (world.tables(), world.dialer.now());
    assert!(tables.add_consent(&said(true, 1, &[Purpose::Inform], now)).await.unwrap());
    assert!(!tables.add_consent(&said(true, 1, &[Purpose::Inform], now)).await.unwrap(), "the same again");
    tables.add_consent(&said(true, 2, &[Purpose::Survey], now)).await.unwrap();
    let (stop, stopped) = watch::channel(false);
    let whose = tenant();
    let (finished, ()) = tokio::join!(world.dialer.run(&whose, &list, None, stopped), async {
        tokio::time::sleep(Duration::from_secs(2 * 3600 + 60)).await;
        assert_eq!(world.rang(), hours(&[0]), "those without one are waited for");
        // Given, and taken back before anybody looked.
        let (now, later) = (world.dialer.now(), world.dialer.now().plus(Duration::from_secs(1)));
        tables
            .add_consents(&[said(true, 2, &[Purpose::Inform], now), said(true, 3, &[Purpose::Inform], now)])
            .await
            .unwrap();
        tables.add_consent(&said(false, 3, &[], later)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5 * 3600)).await;
        stop.send_replace(true);
    });
    assert_eq!(finished.unwrap().counts.finished, 2);
    assert_eq!(world.rang(), [(3, "02".to_owned())]);
    let told: Vec<bool> =
        tables.consent_events(Some(&number(3))).await.unwrap().iter().map(|said| said.given).collect();
    assert_eq!(told, [true, false], "nothing of before is lost");
}

#[tokio::test(start_paused = true)]
async fn a_project_that_sells_is_not_made() {
    let world = World::new(Policy::default(), Outcome::Rejected);
    let (scenario, trunk) = (ScenarioName::new("hello").unwrap(), TrunkId::new("main").unwrap());
    let rules = DialRules { purpose: Purpose::Advertising, ..DialRules::default() };
    let new = NewProject { rules, ..NewProject::new(project(), scenario, trunk) };
    let refused = world.tables().create_project(new, UnixMillis(0)).await.unwrap_err().to_string();
    assert!(refused.contains("38-ФЗ art. 18 (2)"), "{refused}");
}

/// A person asked in a call not to be called, and was called at her other number an hour later.
#[tokio::test(start_paused = true)]
async fn whoever_asks_not_to_be_called_is_called_at_none_of_her_numbers() {
    let rings: Rings = Arc::default();
    let phone = {
        let (rings, clock) = (Arc::clone(&rings), wall_clock());
        Phone(move |order: Order| {
            rings.lock().unwrap().push((0, order.number.digits()[9..].to_owned()));
            let ended_at = clock();
            async move {
                let mut report = CallReport { ended_at, ..answered(1_000) };
                report.effects.block = Some("попросила не звонить".into());
                report
            }
        })
    };
    let dialer = dialer(memory(), Arc::new(phone), 1);
    let world = World { dialer, rings };
    let (tables, now) = (world.tables(), world.dialer.now());
    let many: Vec<u32> = (1..=50).collect();
    for i in &many {
        tables.add_consent(&said(true, *i, &[Purpose::Inform], now)).await.unwrap();
    }
    let first = world.list("first", often(2), &[("a", &many)]).await;
    world.run(&first).await;
    assert_eq!(world.rang().len(), 1);
    let blacklist = tables.blacklist().await.unwrap();
    assert_eq!(blacklist.len(), 50, "all numbers of the card");
    assert!(
        blacklist
            .iter()
            .all(|(_, blocked)| blocked.why == "попросила не звонить" && blocked.attempt.is_some())
    );
    assert!(!tables.consents(&number(1)).await.unwrap().allow(Purpose::Inform));
    // Neither in another list, nor at a number that this list alone has.
    let second = world.list("second", often(2), &[("b", &[7]), ("c", &[60, 7]), ("d", &[61])]).await;
    world.run(&second).await;
    assert_eq!(world.rang(), [(0, "61".to_owned())]);
    let mut results = world.results(&second).await;
    results.sort();
    let black = "Номер из черного списка";
    assert_eq!(results, [black, black, black, "Соединён"], "b, and c at both numbers");
    // Off the list again: the consent does not come back, not even where it was too many to be taken back at once.
    for i in many {
        assert!(tables.unblock(&number(i)).await.unwrap());
        assert!(!tables.consents(&number(i)).await.unwrap().allow(Purpose::Inform), "{i}");
    }
    assert!(!tables.unblock(&number(1)).await.unwrap());
    assert!(tables.verify().await.unwrap().is_sound());
}

/// What a person put on the list is that number alone: an office's, perhaps.
#[tokio::test(start_paused = true)]
async fn a_number_that_was_blocked_by_hand_leaves_the_others_of_a_card() {
    let world = World::new(Policy::default(), Outcome::Rejected);
    let tables = world.tables();
    let numbers = [(number(1), "офис".to_owned()), (number(1), "дважды".to_owned())];
    assert_eq!(tables.block_all(&numbers, world.dialer.now()).await.unwrap(), 1);
    assert_eq!(tables.block_all(&numbers, world.dialer.now()).await.unwrap(), 0);
    let list = world.list("list", often(1), &[("a", &[1, 2])]).await;
    world.run(&list).await;
    assert_eq!(world.rang(), [(0, "02".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_number_outside_the_loaded_register_is_finished_without_a_call() {
    let mut register = Register::clone(&Register::sample());
    register.load("DEF-9xx.csv", "900;0000000;0000001;2;А;Омская область;1\n", UnixMillis(0)).unwrap();
    let before = World::new(Policy::default(), Outcome::Rejected);
    let list = before.list("list", often(1), &[("a", &[1]), ("b", &[2])]).await;
    // The register is loaded after the list.
    let policy = Policy { register: Arc::new(register), ..Policy::default() };
    let after = World { dialer: before.dialer.clone().with_policy(policy), rings: before.rings.clone() };
    after.run(&list).await;
    assert_eq!(after.rang(), hours(&[0]));
    let mut results = after.results(&list).await;
    results.sort();
    assert_eq!(results, ["Несуществующий номер", "Отклонён"]);
    // And before: such a number is no lead.
    let lead =
        NewLead { lead: lead(9), numbers: vec![number(3)], fields: BTreeMap::new(), tags: BTreeSet::new() };
    let added = after.tables().add_leads(&list, vec![lead]).await.unwrap();
    assert_eq!(added.refused[0].1, NumberRefused::NoRange);
}

#[tokio::test(start_paused = true)]
async fn a_project_of_mobile_numbers_alone_leaves_the_others_out() {
    let world = World::new(Policy::default(), Outcome::Rejected);
    let list = world.list("list", DialRules { only_mobile: true, ..often(1) }, &[]).await;
    let new = |lead: u32, numbers: &[&str]| NewLead {
        lead: self::lead(lead),
        numbers: numbers.iter().map(|number| PhoneNumber::parse(number).unwrap()).collect(),
        fields: BTreeMap::new(),
        tags: BTreeSet::new(),
    };
    let leads = vec![new(1, &["+74951234567"]), new(2, &["+74951234567", "+79001234567"])];
    let added = world.tables().add_leads(&list, leads).await.unwrap();
    assert_eq!(added.refused, [(lead(1), NumberRefused::NotMobile)]);
    assert_eq!(world.tables().lead(&list, &lead(2)).await.unwrap().unwrap().numbers.len(), 1);
}

/// A table of leads, one for each rule that can hold one.
#[tokio::test(start_paused = true)]
async fn every_rule_that_can_hold_a_lead_is_named_with_the_next_time() {
    let mut register = Register::clone(&Register::sample());
    register.load("DEF-9xx.csv", "900;0000000;0000099;100;А;Омская область;1\n", UnixMillis(0)).unwrap();
    let caps = Caps { week: Some(1), ..Caps::default() };
    let before = World::new(capped(caps), Outcome::NoAnswer);
    let policy = Policy { register: Arc::new(register), caps, ..Policy::default() };
    let world = World { dialer: before.dialer.clone().with_policy(policy), rings: before.rings.clone() };
    let (tables, now) = (world.tables(), world.dialer.now());
    let rules = DialRules { consent: ConsentRule::Required, zone: "Asia/Omsk".into(), ..often(3) };
    // On a list that was made before the register was loaded.
    let list = before
        .list(
            "list",
            rules.clone(),
            &[
                ("turn", &[1]),
                ("capped", &[2]),
                ("blocked", &[3, 103]),
                ("refused", &[101]),
                ("passed", &[102, 4]),
                ("unasked", &[5]),
            ],
        )
        .await;
    for i in [1, 2, 3, 4] {
        tables.add_consent(&said(true, i, &[Purpose::Inform], now)).await.unwrap();
    }
    tables.block(&number(3), "просил", now).await.unwrap();
    // Another project has called this number today.
    let other = before.list("other", often(1), &[("a", &[2])]).await;
    world.run(&other).await;
    tables.start_project(&list, 5, now).await.unwrap();
    let told = async |lead: &str| {
        let why = tables.why(&list, &LeadId::new(lead).unwrap(), world.dialer.now()).await.unwrap();
        (why.hold.rule(), why.next.map(|next| (next.0 - START) / HOUR), why.turn)
    };
    // Midnight from Sunday to Monday in Omsk: 147 hours from Monday, 20:13.
    let table = [
        ("turn", ("turn", Some(0), Some(0))),
        ("capped", ("cap", Some(147), Some(0))),
        ("blocked", ("blacklist", None, None)),
        ("refused", ("refused", None, None)),
        ("passed", ("turn", Some(0), Some(1))),
        ("unasked", ("no_consent", None, None)),
    ];
    for (lead, expected) in table {
        assert_eq!(told(lead).await, expected, "{lead}");
    }
    let plan = tables.plan(&list, Abandoned::Expired, world.dialer.now()).await.unwrap();
    let next: Vec<_> = plan.next.iter().map(|planned| (planned.lead.as_str(), planned.hold.rule())).collect();
    assert_eq!(next, [("turn", "turn"), ("passed", "turn"), ("capped", "cap")]);
    assert_eq!(plan.others, [("blacklist", 1), ("no_consent", 1), ("refused", 1)].into());
    assert_eq!((plan.leads, &plan.still), (6, &None));

    // What was told is what happens.
    let (stop, stopped) = watch::channel(false);
    let whose = tenant();
    let (_, ()) = tokio::join!(world.dialer.run(&whose, &list, None, stopped), async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        stop.send_replace(true);
    });
    for (lead, rule) in
        [("turn", "interval"), ("blocked", "spent"), ("refused", "spent"), ("unasked", "no_consent")]
    {
        let (told, ..) = told(lead).await;
        // The week's one call is made: the cap lets go after the interval.
        let rule = if rule == "interval" { "cap" } else { rule };
        assert_eq!(told, rule, "{lead}");
    }

    // Whatever its leads say, a project that stands still calls nobody.
    tables.pause_project(&list, world.dialer.now()).await.unwrap();
    let why = tables.why(&list, &LeadId::new("unasked").unwrap(), world.dialer.now()).await.unwrap();
    assert_eq!(
        (why.hold.rule(), why.behind.as_ref().map(Hold::rule), why.next),
        ("paused", Some("no_consent"), None)
    );
    let plan = tables.plan(&list, Abandoned::Expired, world.dialer.now()).await.unwrap();
    assert_eq!(plan.still.map(|hold| hold.rule()), Some("paused"));
    tables.finish_project(&list, world.dialer.now()).await.unwrap();
    let why = tables.why(&list, &LeadId::new("capped").unwrap(), world.dialer.now()).await.unwrap();
    assert_eq!((why.hold.rule(), why.behind.as_ref().map(Hold::rule)), ("project_finished", Some("cap")));
    assert!(why.earliest.is_some() && why.hold.sentence().contains("«Завершён»"), "{why:?}");
}

/// A project whose rules were made stricter asked for a lead again and again that had had its calls, and was never done.
#[tokio::test(start_paused = true)]
async fn a_lead_that_has_had_its_calls_by_stricter_rules_is_finished() {
    let world = World::new(Policy::default(), Outcome::NoAnswer);
    let list = world.list("list", often(3), &[("a", &[1])]).await;
    let (stop, stopped) = watch::channel(false);
    let whose = tenant();
    let (_, ()) = tokio::join!(world.dialer.run(&whose, &list, None, stopped), async {
        tokio::time::sleep(Duration::from_secs(600)).await;
        stop.send_replace(true);
    });
    let tables = world.tables();
    let stored = tables.project(&list).await.unwrap().unwrap();
    tables
        .put_project(NewProject { rules: often(1), ..NewProject::like(stored) }, world.dialer.now())
        .await
        .unwrap();
    let finished =
        tokio::time::timeout(Duration::from_secs(24 * 3600), world.dialer.run(&whose, &list, None, never()));
    let counts = finished.await.expect("the run ends").unwrap().counts;
    assert_eq!((counts.leads, counts.finished, counts.attempts), (1, 1, 0));
    assert_eq!(world.rang(), hours(&[0]));
    assert!(tables.verify().await.unwrap().is_sound());
}

/// Lines that are taken, and a claim of a run that died.
#[tokio::test(start_paused = true)]
async fn lines_and_dead_runs_are_named_too() {
    let store = memory();
    let phone = Phone(|_| async {
        tokio::time::sleep(Duration::from_secs(600)).await;
        answered(1_000)
    });
    let dialer = dialer(store, Arc::new(phone), 1);
    make_list(&dialer, 15, 1).await;
    let (tables, clock) = (dialer.tables(&tenant()), wall_clock());
    tables.start_project(&project(), 5, clock()).await.unwrap();
    let running = {
        let dialer = dialer.clone();
        tokio::spawn(async move { dialer.run(&tenant(), &project(), None, never()).await })
    };
    tokio::time::sleep(Duration::from_secs(60)).await;
    let why = async |i| tables.why(&project(), &lead(i), clock()).await.unwrap().hold;
    assert_eq!(why(0).await.rule(), "dialling");
    assert_eq!(why(1).await, Hold::Lines { busy: 1, lines: 1 });
    let plan = tables.plan(&project(), Abandoned::Expired, clock()).await.unwrap();
    assert_eq!((plan.next.len(), plan.next[0].lead.as_str()), (10, "lead-1"), "in the order of the list");
    assert_eq!(plan.others, [("dialling", 1), ("lines", 4)].into());
    // The program dies in mid-call. Whoever opens the store alone knows at once, all others when the lease is over.
    running.abort();
    let alone = Abandoned::OfOtherRuns(Epoch(0));
    let dead = tables.why_if(&project(), &lead(0), alone, clock()).await.unwrap();
    assert_eq!((dead.hold.rule(), dead.behind, dead.next), ("dead_claim", None, None));
    tokio::time::sleep(Duration::from_secs(5 * 3600)).await;
    assert_eq!(why(0).await.rule(), "dead_claim");
    assert_eq!(why(1).await.rule(), "turn");
}
