//! What people do with leads: done once whatever crashes, counted right, and never in a call's way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use zvonar_campaign::LeadStatus;
use zvonar_dialer::{
    CallReport, Caller, DialRules, DialerError, Keep, LeadEdit, LeadFilter, MAX_TAGS, NewLead, NewProject,
    NotPlaced, Order, Reserved, Selection, StatusCounts, Tables,
};
use zvonar_ledger::PriceList;
use zvonar_model::{LeadId, Outcome, PhoneNumber, ProjectId, UnixMillis};
use zvonar_store::fault::{Fault, FaultStore};
use zvonar_store::{MemoryStore, SharedStore};

use crate::dialling::{Phone, answered, never};
use crate::foreman::{leads, make};
use crate::world::{Carrier, dialer, make_list, new_project, number, project, tenant};

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

fn tables(store: &SharedStore) -> Tables {
    Tables::new(store.clone(), Arc::new(PriceList::default()), tenant())
}

fn id(name: &str) -> ProjectId {
    ProjectId::new(name).unwrap()
}

fn lead(i: u32) -> LeadId {
    LeadId::new(&format!("lead-{i}")).unwrap()
}

fn tag(name: &str) -> BTreeSet<String> {
    [name.to_owned()].into()
}

fn all() -> Selection {
    Selection::All(LeadFilter::default())
}

/// A list of which some leads are reached, some not, some not called yet, and a second project without leads.
async fn half_called(leads: u32) -> SharedStore {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let dialer = dialer(store.clone(), Carrier::new(7, Arc::default(), Arc::new(|_| {})), 7);
    make_list(&dialer, leads, 4).await;
    let (tell, stop) = tokio::sync::watch::channel(false);
    let (tenant, project) = (tenant(), project());
    let (finished, ()) = tokio::join!(dialer.run(&tenant, &project, None, stop), async {
        tokio::time::sleep(std::time::Duration::from_secs(u64::from(leads))).await;
        tell.send_replace(true);
    });
    let counts = finished.unwrap().counts;
    assert!(counts.reached > 2 && counts.finished > counts.reached && counts.finished < counts.leads);
    dialer.tables(&tenant).create_project(new_project(id("autumn")), NOW).await.unwrap();
    store
}

/// Counted from the leads.
async fn naive(tables: &Tables, project: &ProjectId) -> StatusCounts {
    let mut counts = StatusCounts::default();
    for lead in tables.leads(project).await.unwrap() {
        *match lead.progress.state.status() {
            LeadStatus::New => &mut counts.new,
            LeadStatus::Again => &mut counts.again,
            LeadStatus::Reached => &mut counts.reached,
            LeadStatus::Unreached => &mut counts.unreached,
        } += 1;
    }
    counts
}

async fn sound(store: &SharedStore, case: &str) {
    let tables = tables(store);
    let verified = tables.verify().await.unwrap();
    assert!(verified.is_sound(), "{case}: {:?}", verified.faults);
    for row in tables.projects().await.unwrap() {
        let counts = tables.status_counts(&row.project).await.unwrap();
        assert_eq!(counts, naive(&tables, &row.project).await, "{case}: {}", row.project);
    }
}

/// What a store holds of leads: by project, then by lead, where they stand and their tags.
async fn lists(store: &SharedStore) -> BTreeMap<(String, String), (LeadStatus, BTreeSet<String>)> {
    let tables = tables(store);
    let mut found = BTreeMap::new();
    for row in tables.projects().await.unwrap() {
        for lead in tables.leads(&row.project).await.unwrap() {
            let key = (row.project.to_string(), lead.lead.to_string());
            found.insert(key, (lead.progress.state.status(), lead.tags));
        }
    }
    found
}

/// An operation of the tests below.
#[derive(Debug, Clone)]
enum Operation {
    Add(Vec<u32>),
    Tag(Selection, &'static str),
    Untag(Selection, &'static str),
    Delete(Selection),
    Move(Selection, ProjectId),
    Copy(Selection, ProjectId),
    Redial(ProjectId),
    Edit(u32, u32),
    Dial,
    Fold,
}

impl Operation {
    async fn perform(&self, store: &SharedStore, on: &ProjectId, seed: u64) {
        let dialer = dialer(store.clone(), Carrier::new(7, Arc::default(), Arc::new(|_| {})), seed);
        dialer.recover(&tenant()).await.unwrap();
        let tables = dialer.tables(&tenant());
        match self {
            Self::Add(leads) => {
                let leads = leads.iter().map(|i| NewLead {
                    lead: lead(*i),
                    numbers: vec![number(*i)],
                    fields: BTreeMap::new(),
                    tags: BTreeSet::new(),
                });
                tables.add_leads(on, leads.collect()).await.unwrap();
            }
            Self::Tag(who, name) => {
                tables.tag_leads(on, who, &tag(name), &BTreeSet::new()).await.map(ignored).unwrap();
            }
            Self::Untag(who, name) => {
                tables.tag_leads(on, who, &BTreeSet::new(), &tag(name)).await.map(ignored).unwrap();
            }
            Self::Delete(who) => tables.delete_leads(on, who).await.map(ignored).unwrap(),
            Self::Move(who, to) => tables.move_leads(on, to, who).await.map(ignored).unwrap(),
            Self::Copy(who, to) => tables.copy_leads(on, to, who).await.map(ignored).unwrap(),
            Self::Redial(to) => tables.redial(on, to, "Ещё раз", NOW).await.map(|_| ()).unwrap(),
            Self::Edit(who, to) => {
                let edit = LeadEdit { numbers: Some(vec![number(*to)]), ..LeadEdit::default() };
                match tables.edit_lead(on, &lead(*who), &edit).await {
                    Ok(_) | Err(DialerError::NoLead(_)) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            Self::Dial => {
                let (tell, stop) = tokio::sync::watch::channel(false);
                let tenant = tenant();
                let (finished, ()) = tokio::join!(dialer.run(&tenant, on, None, stop), async {
                    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
                    tell.send_replace(true);
                });
                finished.unwrap();
            }
            Self::Fold => tables.fold_stats().await.unwrap(),
        }
    }
}

fn ignored(_: zvonar_dialer::Changed) {}

fn by_status(status: LeadStatus) -> Selection {
    Selection::All(LeadFilter::status(status))
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_crashes_at_any_write_is_finished_by_doing_it_again_and_nothing_is_done_twice() {
    let autumn = id("autumn");
    let operations = [
        Operation::Tag(all(), "а"),
        Operation::Delete(by_status(LeadStatus::Unreached)),
        Operation::Move(by_status(LeadStatus::New), autumn.clone()),
        Operation::Move(all(), autumn.clone()),
        Operation::Copy(all(), autumn.clone()),
        Operation::Redial(id("again")),
        Operation::Edit(3, 900),
    ];
    for operation in operations {
        let whole = half_called(230).await;
        let counting = FaultStore::new(whole.clone(), []);
        operation.perform(&(counting.clone() as SharedStore), &project(), 1).await;
        sound(&whole, &format!("{operation:?}")).await;
        let expected = lists(&whole).await;
        let commits = counting.commits();
        for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::LostBefore, Fault::LostAfter] {
            for commit in 1..=commits {
                let case = format!("{operation:?}, {fault:?} {commit} of {commits}");
                let store = half_called(230).await;
                let process = FaultStore::new(store.clone(), [(commit, fault)]);
                let (on, connection) = (project(), process.clone() as SharedStore);
                tokio::select! {
                    biased;
                    () = process.crashed() => operation.perform(&store, &on, 3).await,
                    () = operation.perform(&connection, &on, 2) => {}
                }
                assert_eq!(lists(&store).await, expected, "{case}");
                sound(&store, &case).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_thousand_random_operations_and_crashes_the_counts_are_those_of_the_leads() {
    let mut crashes = 0;
    for seed in 0..4 {
        let mut dice = StdRng::seed_from_u64(seed);
        let store: SharedStore = Arc::new(MemoryStore::new());
        let projects = ["one", "two", "three"].map(id);
        for project in &projects {
            let new = NewProject { lines: 3, ..new_project(project.clone()) };
            tables(&store).create_project(new, NOW).await.unwrap();
        }
        for step in 0..250_u64 {
            let on = &projects[dice.random_range(0..3)];
            let to = projects[dice.random_range(0..3)].clone();
            let some = |dice: &mut StdRng| -> Vec<u32> {
                (0..dice.random_range(1..12)).map(|_| dice.random_range(0..120)).collect()
            };
            let selection = |dice: &mut StdRng| match dice.random_range(0..4) {
                0 => by_status(LeadStatus::ALL[dice.random_range(0..4)]),
                1 => Selection::All(LeadFilter::tag("б")),
                _ => Selection::These(some(dice).into_iter().map(lead).collect()),
            };
            let operation = match dice.random_range(0..12) {
                0..3 => Operation::Add(some(&mut dice)),
                3 => Operation::Tag(selection(&mut dice), "б"),
                4 => Operation::Untag(selection(&mut dice), "б"),
                5 => Operation::Delete(selection(&mut dice)),
                6 => Operation::Move(selection(&mut dice), to),
                7 => Operation::Copy(selection(&mut dice), to),
                8 => Operation::Edit(dice.random_range(0..120), dice.random_range(0..500)),
                9 => Operation::Fold,
                _ => Operation::Dial,
            };
            let fault = match dice.random_range(0..8) {
                0 => Some(Fault::CrashBefore),
                1 => Some(Fault::CrashAfter),
                2 => Some(Fault::LostBefore),
                3 => Some(Fault::LostAfter),
                _ => None,
            };
            let faults: Vec<_> = fault.map(|fault| (dice.random_range(1..4), fault)).into_iter().collect();
            let process = FaultStore::new(store.clone(), faults);
            let connection = process.clone() as SharedStore;
            tokio::select! {
                biased;
                () = process.crashed() => crashes += 1,
                () = operation.perform(&connection, on, seed * 10_000 + step) => {}
            }
            if step % 25 == 0 {
                sound(&store, &format!("seed {seed}, step {step}, {operation:?}")).await;
            }
        }
        sound(&store, &format!("seed {seed}")).await;
        tables(&store).rebuild_stats().await.unwrap();
        sound(&store, &format!("seed {seed}, rebuilt")).await;
    }
    assert!(crashes > 60, "{crashes}");
}

/// Whoever was moved during his call would be called a second time by the new project while he still talks.
#[tokio::test(start_paused = true)]
async fn a_lead_is_not_moved_or_copied_out_of_its_call_but_may_be_tagged_and_edited_in_it() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    tables(&store).create_project(new_project(id("autumn")), NOW).await.unwrap();
    let (tell, stop) = tokio::sync::watch::channel(false);
    let phone = {
        let store = store.clone();
        Phone(move |_| {
            // One call is enough.
            tell.send_replace(true);
            let store = store.clone();
            async move {
                let tables = tables(&store);
                let autumn = id("autumn");
                let moved = tables.move_leads(&project(), &autumn, &all()).await.unwrap();
                assert_eq!((moved.changed, moved.busy), (0, 1));
                let copied = tables.copy_leads(&project(), &autumn, &all()).await.unwrap();
                assert_eq!((copied.changed, copied.busy), (0, 1));
                tables.tag_leads(&project(), &all(), &tag("в разговоре"), &BTreeSet::new()).await.unwrap();
                let edit = LeadEdit {
                    numbers: Some(vec![number(0), number(77)]),
                    fields: [("city".to_owned(), Some("Омск".to_owned())), ("name".to_owned(), None)].into(),
                };
                tables.edit_lead(&project(), &lead(0), &edit).await.unwrap();
                CallReport::unanswered(UnixMillis(2_000), Outcome::Busy)
            }
        })
    };
    let dialer = dialer(store.clone(), Arc::new(phone), 1);
    make_list(&dialer, 1, 1).await;
    let finished = dialer.run(&tenant(), &project(), None, stop).await.unwrap();
    assert_eq!(finished.counts.attempts, 1);
    let row = tables(&store).lead(&project(), &lead(0)).await.unwrap().unwrap();
    assert_eq!(row.progress.tries.len(), 1);
    assert_eq!(row.progress.state.status(), LeadStatus::Again, "the second number was not called yet");
    assert_eq!((row.tags, row.fields), (tag("в разговоре"), [("city".into(), "Омск".into())].into()));
    sound(&store, "edited in mid-call").await;
}

/// Lines that take their time to come free.
struct SlowLines<C>(C);

#[async_trait]
impl<C: Caller> Caller for SlowLines<C> {
    async fn reserve(&self, order: &Order) -> Result<Box<dyn Reserved + '_>, NotPlaced> {
        tokio::time::sleep(Duration::from_secs(42)).await;
        self.0.reserve(order).await
    }
}

/// Somebody was said to live further west while an attempt waited for a line, and was called the next day all the same:
/// the run had heard of the edit when the attempt still had the lead, and went by what the attempt knew.
#[tokio::test(start_paused = true)]
async fn what_is_edited_while_an_attempt_waits_for_a_line_holds_as_soon_as_it_is_over() {
    let phone = SlowLines(Phone(|_| async { answered(1_000) }));
    let dialer = dialer(Arc::new(MemoryStore::new()), Arc::new(phone), 1);
    // It is 17:13:20 in Moscow.
    let rules = DialRules { hours: "mon-fri 10:00-17:14".into(), ..DialRules::once() };
    make(&dialer, NewProject { rules, ..new_project(project()) }, leads(0, 1)).await;
    let tables = dialer.tables(&tenant());
    tables.start_project(&project(), 5, dialer.now()).await.unwrap();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let whose = tenant();
    let (kept, ()) = tokio::join!(dialer.keep(&whose, Keep::default(), stopped), async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let fields = [("tz".to_owned(), Some("Europe/Kaliningrad".to_owned()))].into();
        let edit = LeadEdit { fields, ..LeadEdit::default() };
        let edited = tables.edit_lead(&project(), &lead(0), &edit).await.unwrap();
        assert!(edited.claim.is_some(), "an attempt has it");
        // The window of Moscow has closed over the first line; the second is used.
        tokio::time::sleep(Duration::from_secs(80)).await;
        assert_eq!(tables.status_counts(&project()).await.unwrap().reached, 1);
        stop.send_replace(true);
    });
    assert!(kept.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lead_that_moves_begins_anew_and_its_history_stays() {
    let store = half_called(40).await;
    let tables = tables(&store);
    let before = tables.status_counts(&project()).await.unwrap();
    let unreached = by_status(LeadStatus::Unreached);
    let autumn = id("autumn");
    let page =
        tables.lead_page(&project(), &LeadFilter::status(LeadStatus::Unreached), None, 1).await.unwrap();
    let moved = page.leads[0].clone();
    let attempt = moved.progress.tries[0].attempt.clone();
    let changed = tables.move_leads(&project(), &autumn, &unreached).await.unwrap().changed;
    assert_eq!(changed, before.unreached.unsigned_abs());
    let counts = tables.status_counts(&autumn).await.unwrap();
    assert_eq!((counts.new, counts.total()), (before.unreached, before.unreached));
    let there = tables.lead(&autumn, &moved.lead).await.unwrap().unwrap();
    assert_eq!((there.numbers, there.fields), (moved.numbers, moved.fields));
    assert!(there.progress.tries.is_empty());
    assert_eq!(tables.record(&attempt).await.unwrap().unwrap().project, Some(project()));
    // A second time there is nobody left to move.
    assert_eq!(tables.move_leads(&project(), &autumn, &unreached).await.unwrap().changed, 0);
}

#[tokio::test(start_paused = true)]
async fn calling_the_unreached_again_makes_one_project_with_the_settings_of_the_old() {
    let store = half_called(40).await;
    let tables = tables(&store);
    let unreached = tables.status_counts(&project()).await.unwrap().unreached;
    let (made, copied) = tables.redial(&project(), &id("again"), "Недозвоны", NOW).await.unwrap();
    assert_eq!((made.title.as_str(), made.lines), ("Недозвоны", 4));
    assert_eq!(copied.changed, unreached.unsigned_abs());
    assert!(!made.status.is_active());
    // Pressed twice: the same project, nobody in it twice.
    let (_, copied) = tables.redial(&project(), &id("again"), "Недозвоны", NOW).await.unwrap();
    assert_eq!((copied.changed, copied.same), (0, unreached.unsigned_abs()));
    let refused = tables.redial(&project(), &id("autumn"), "Недозвоны", NOW).await.unwrap_err();
    assert!(matches!(refused, DialerError::ProjectExists(_)), "another project is not filled by mistake");
    assert_eq!(tables.status_counts(&id("autumn")).await.unwrap().total(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_new_number_makes_an_unreached_lead_one_to_be_called() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let busy = Phone(|order: zvonar_dialer::Order| async move {
        match order.number == number(5) {
            true => answered(1_000),
            false => CallReport::unanswered(UnixMillis(2_000), Outcome::Busy),
        }
    });
    let dialer = dialer(store.clone(), Arc::new(busy), 1);
    make_list(&dialer, 1, 1).await;
    dialer.run(&tenant(), &project(), None, never()).await.unwrap();
    let tables = dialer.tables(&tenant());
    assert_eq!(tables.status_counts(&project()).await.unwrap().unreached, 1);
    let edit = |numbers: Vec<PhoneNumber>| LeadEdit { numbers: Some(numbers), ..LeadEdit::default() };
    let edited = tables.edit_lead(&project(), &lead(0), &edit(vec![number(0), number(5)])).await.unwrap();
    assert_eq!(edited.progress.state.status(), LeadStatus::Again);
    assert_eq!(tables.status_counts(&project()).await.unwrap().again, 1);
    dialer.run(&tenant(), &project(), None, never()).await.unwrap();
    assert_eq!(tables.status_counts(&project()).await.unwrap().reached, 1);
    // Somebody who was reached stays reached, whatever becomes of his numbers.
    let edited = tables.edit_lead(&project(), &lead(0), &edit(vec![number(9)])).await.unwrap();
    assert_eq!(edited.progress.state.status(), LeadStatus::Reached);
    sound(&store, "edited").await;
    // What no lead may have changes nothing.
    let kazakh = PhoneNumber::parse("+77012345678").unwrap();
    let refused = tables.edit_lead(&project(), &lead(0), &edit(vec![kazakh])).await.unwrap_err().to_string();
    assert!(refused.starts_with("lead lead-0: +7 701 ***-**-78 is not dialled"), "{refused}");
    let refused = tables.edit_lead(&project(), &lead(0), &edit(Vec::new())).await.unwrap_err().to_string();
    assert_eq!(refused, "lead lead-0: 0 numbers; a lead has 1 to 50");
}

#[tokio::test(start_paused = true)]
async fn pages_show_every_lead_that_matches_exactly_once() {
    let store = half_called(230).await;
    let tables = tables(&store);
    let third: Vec<LeadId> = (0..230).filter(|i| i % 3 == 0).map(lead).collect();
    let third = Selection::These(third);
    assert_eq!(
        tables.tag_leads(&project(), &third, &tag("третий"), &BTreeSet::new()).await.unwrap().changed,
        77
    );
    let everybody = tables.leads(&project()).await.unwrap();
    let busy = LeadFilter { result: Some("Занято".into()), ..LeadFilter::default() };
    let mut engaged = BTreeSet::new();
    for lead in &everybody {
        if let Some(last) = lead.progress.tries.last() {
            let record = tables.record(&last.attempt).await.unwrap().unwrap();
            if record.outcome == Outcome::Busy {
                engaged.insert(lead.lead.clone());
            }
        }
    }
    let filters = [
        LeadFilter::default(),
        LeadFilter::status(LeadStatus::New),
        LeadFilter {
            statuses: vec![LeadStatus::Reached, LeadStatus::Unreached],
            ..LeadFilter::tag("третий")
        },
        LeadFilter { text: Some("8 (900) 000-01".into()), ..LeadFilter::default() },
        LeadFilter { text: Some("LEAD-22".into()), ..LeadFilter::default() },
        LeadFilter::tag("nobody has it"),
        busy,
    ];
    let mut sets = Vec::new();
    for filter in &filters {
        let mut found = BTreeSet::new();
        for limit in [1, 7, 100, 1_000] {
            let (mut seen, mut after) = (BTreeSet::new(), None);
            loop {
                let page = tables.lead_page(&project(), filter, after.as_ref(), limit).await.unwrap();
                assert!(page.leads.len() <= limit);
                for lead in page.leads {
                    assert!(seen.insert(lead.lead.clone()), "{} twice", lead.lead);
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert!(found.is_empty() || found == seen, "{limit}: {filter:?}");
            found = seen;
        }
        sets.push(found);
    }
    let found = sets;
    assert_eq!(found[0].len(), 230);
    let new = everybody.iter().filter(|lead| lead.progress.state.status() == LeadStatus::New).count();
    assert_eq!(found[1].len(), new);
    let finished =
        |lead: &&zvonar_dialer::Lead| lead.progress.state.is_finished() && lead.tags.contains("третий");
    assert_eq!(found[2].len(), everybody.iter().filter(finished).count());
    // 100 to 199.
    assert_eq!(found[3].len(), 100);
    // 22 and 220 to 229.
    assert_eq!(found[4].len(), 11);
    assert!(found[5].is_empty());
    assert!(!engaged.is_empty() && found[6] == engaged, "{engaged:?}");
}

#[tokio::test(start_paused = true)]
async fn tags_that_are_too_many_or_too_long_are_refused() {
    let store = half_called(20).await;
    let tables = tables(&store);
    let (none, long) = (BTreeSet::new(), tag(&"ж".repeat(51)));
    let refused = tables.tag_leads(&project(), &all(), &long, &none).await.unwrap_err().to_string();
    assert_eq!(refused, "the tag `жжжжжжжжжж…` is longer than 100 bytes");
    assert!(tables.tag_leads(&project(), &all(), &tag(" "), &none).await.is_err());
    let many: BTreeSet<String> = (0..MAX_TAGS).map(|i| format!("тег {i}")).collect();
    assert_eq!(tables.tag_leads(&project(), &all(), &many, &none).await.unwrap().changed, 20);
    let one_more = tables.tag_leads(&project(), &all(), &tag("ещё"), &none).await.unwrap();
    assert_eq!((one_more.changed, one_more.full), (0, 20));
    let swapped = tables.tag_leads(&project(), &all(), &tag("ещё"), &tag("тег 0")).await.unwrap();
    assert_eq!(swapped.changed, 20, "one comes, one goes");
}
