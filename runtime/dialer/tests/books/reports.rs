//! Reports: pages cover everything that is meant exactly once, and sums are those of the records and the charges.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use zvonar_dialer::operators::{OperatorRow, Verdict};
use zvonar_dialer::report::sheet::{self, Cell, Numbers};
use zvonar_dialer::{
    AttemptStep, CallFilter, CallOrder, CallPlace, CallReport, Day, Dialer, DialerError, Inbound, LeadFilter,
    NewLead, NewProject, Scope, Selection, Tables, Tally,
};
use zvonar_model::{
    AttemptId, AttemptRecord, LeadId, Millis, OperatorId, Outcome, PhoneNumber, ProjectId, Transfer,
    UnixMillis,
};
use zvonar_store::{MemoryStore, SharedStore};

use crate::dialling::{Phone, answered, by_hand, never};
use crate::world::{dialer, new_project, number, project, tenant};

fn id(name: &str) -> ProjectId {
    ProjectId::new(name).unwrap()
}

/// Two projects that dial on several days, calls placed by hand, calls that came in, leads that were deleted since.
async fn some_days() -> Dialer {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let phone = Phone(|order: zvonar_dialer::Order| async move {
        let digits: u64 = order.number.digits().parse().unwrap();
        let now = made_at(&order.attempt);
        let mut report = match digits % 5 {
            0 => CallReport::unanswered(now, Outcome::Busy),
            1 | 2 => CallReport::unanswered(now, Outcome::NoAnswer),
            other => {
                let mut report = answered(other * 7_000);
                report.answered_at = Some(now);
                report.phases.talk = Millis(1_500);
                let operator = |id: &str| OperatorId::new(id).ok();
                let handed = |connected, operator, missed: Option<&str>| Transfer {
                    to_operator: true,
                    connected,
                    wait: Millis(2_500),
                    talk: Millis(if connected { 1_500 } else { 0 }),
                    operator,
                    missed: missed.map(str::to_owned),
                    ..Transfer::default()
                };
                let missed = Some("Оператор не принял вызов");
                report.transfers = match digits % 8 {
                    0 => vec![handed(true, operator("ivanov"), None)],
                    1 => {
                        vec![handed(false, operator("ivanov"), missed), handed(true, operator("gone"), None)]
                    }
                    2 => vec![handed(false, operator("gone"), missed)],
                    3 => vec![handed(false, None, None)],
                    4 => vec![Transfer {
                        connected: true,
                        talk: Millis(1_500),
                        number: PhoneNumber::parse("+74951234567").ok(),
                        ..Transfer::default()
                    }],
                    _ => Vec::new(),
                };
                report
            }
        };
        report.ended_at = now.plus(Duration::from_secs(20));
        report
    });
    let dialer = dialer(store, Arc::new(phone), 1);
    let tables = dialer.tables(&tenant());
    let ivanov = OperatorRow::new(OperatorId::new("ivanov").unwrap(), "Иванов", dialer.now());
    tables.add_operator(&ivanov, 1).await.unwrap();
    for (name, leads) in [("spring", 0..60_u32), ("autumn", 60..90)] {
        let mut rules = zvonar_dialer::DialRules::default();
        rules.retry.no_answer.interval = Duration::from_secs(20 * 3_600);
        rules.hours = "any".into();
        let new =
            NewProject { lines: 3, rules, title: format!("Проект {name}"), ..new_project(id(name)) };
        tables.create_project(new, dialer.now()).await.unwrap();
        let leads = leads.map(|i| NewLead {
            lead: LeadId::new(&format!("lead-{i}")).unwrap(),
            numbers: vec![number(i)],
            fields: [("город".to_owned(), "Омск".to_owned())].into(),
            tags: if i % 4 == 0 { ["четвёртый".to_owned()].into() } else { BTreeSet::new() },
        });
        tables.add_leads(&id(name), leads.collect()).await.unwrap();
    }
    let (tenant, spring, autumn) = (tenant(), project(), id("autumn"));
    let (one, other) = tokio::join!(dialer.run(&tenant, &spring, None, never()), async {
        // In the middle of the second day.
        tokio::time::sleep(Duration::from_secs(30 * 3_600)).await;
        dialer.run(&tenant, &autumn, None, never()).await
    });
    one.unwrap();
    other.unwrap();
    for i in 0..7_u64 {
        tokio::time::sleep(Duration::from_secs(9 * 3_600)).await;
        let inbound = Inbound {
            attempt: dialer.attempt_id(),
            number: None,
            peer: "sip:unknown@192.0.2.7".into(),
            trunk: None,
            started_at: dialer.now(),
        };
        let outcome = if i % 2 == 0 { Outcome::Busy } else { Outcome::NoAnswer };
        let report = CallReport::unanswered(dialer.now(), outcome);
        dialer.settle_inbound(&tenant, inbound, report).await.unwrap();
    }
    let mut order = by_hand(&dialer);
    order.attempt = dialer.attempt_id();
    dialer.call_by_hand(order).await.unwrap().unwrap();
    let gone = Selection::These((0..5).map(|i| LeadId::new(&format!("lead-{i}")).unwrap()).collect());
    tables.delete_leads(&spring, &gone).await.unwrap();
    dialer
}

/// The time of an attempt's making, which is in its id.
fn made_at(attempt: &AttemptId) -> UnixMillis {
    UnixMillis(i64::from_str_radix(&attempt.as_str()[..12], 16).unwrap())
}

async fn records(tables: &Tables) -> Vec<AttemptRecord> {
    let mut records = Vec::new();
    tables.each_record(|record| records.push(record)).await.unwrap();
    records
}

/// Whether a call is meant, worked out without any index.
async fn is_meant(tables: &Tables, record: &AttemptRecord, filter: &CallFilter, last_only: bool) -> bool {
    let day = Day::of(record.started_at);
    let lead = match (&record.project, &record.lead) {
        (Some(project), Some(lead)) => tables.lead(project, lead).await.unwrap(),
        _ => None,
    };
    let last = lead.as_ref().and_then(|lead| lead.progress.tries.last()).map(|last| &last.attempt);
    let gone_with_tag = record.number.as_ref().is_some_and(|number| {
        lead.is_none() && record.lead.is_some() && number.digits().parse::<u64>().unwrap() % 4 == 0
    });
    filter.from.is_none_or(|from| from <= day)
        && filter.to.is_none_or(|to| day <= to)
        && match &filter.scope {
            Scope::All => true,
            scope => *scope == Scope::of(record.project.as_ref()),
        }
        && filter.result.as_ref().is_none_or(|result| result == record.outcome.title())
        && filter
            .scenario
            .as_ref()
            .is_none_or(|scenario| record.scenario.as_ref().is_some_and(|ran| ran.name.as_str() == scenario))
        && filter.tag.as_ref().is_none_or(|tag| match &lead {
            Some(lead) => lead.tags.contains(tag),
            None => gone_with_tag && tag == "четвёртый",
        })
        && filter.responsible.as_deref().is_none_or(|who| {
            let responsible = record.transfers.last().and_then(|last| last.operator.as_ref());
            match (responsible.map(OperatorId::as_str), who) {
                (None, who) => who == "без ответственного",
                (Some("ivanov"), who) => ["ivanov", "Иванов"].contains(&who),
                // One who was removed.
                (Some(id), who) => id == who,
            }
        })
        && (!last_only || last == Some(&record.attempt))
}

fn filters(days: &[Day]) -> Vec<CallFilter> {
    let all = CallFilter::default();
    let result = |result: &str| Some(result.to_owned());
    vec![
        all.clone(),
        CallFilter { scope: Scope::Outside, ..all.clone() },
        CallFilter { scope: Scope::Project(project()), ..all.clone() },
        CallFilter { scope: Scope::Project(id("autumn")), result: result("Занято"), ..all.clone() },
        CallFilter { result: result("Нет ответа"), ..all.clone() },
        CallFilter { result: result("Такого не было"), ..all.clone() },
        CallFilter { scenario: Some("hello".into()), ..all.clone() },
        CallFilter { from: Some(days[1]), ..all.clone() },
        CallFilter { to: Some(days[0]), ..all.clone() },
        CallFilter { from: Some(days[1]), to: Some(days[1]), ..all.clone() },
        CallFilter { from: Some(days[1]), to: Some(days[0]), ..all.clone() },
        CallFilter { from: Some(days[days.len() - 1].next()), ..all.clone() },
        CallFilter { tag: Some("четвёртый".into()), ..all.clone() },
        CallFilter { tag: Some("нет такого".into()), ..all.clone() },
        CallFilter { responsible: Some("без ответственного".into()), ..all.clone() },
        CallFilter { responsible: Some("Иванов".into()), ..all.clone() },
        CallFilter { responsible: Some("ivanov".into()), from: Some(days[1]), ..all.clone() },
        CallFilter { responsible: Some("gone".into()), scope: Scope::Project(project()), ..all.clone() },
        CallFilter { responsible: Some("gone-long-ago".into()), ..all },
    ]
}

#[tokio::test(start_paused = true)]
async fn pages_of_calls_show_each_call_that_is_meant_exactly_once_in_either_order() {
    let dialer = some_days().await;
    let tables = dialer.tables(&tenant());
    let records = records(&tables).await;
    let days: Vec<Day> = records
        .iter()
        .map(|record| Day::of(record.started_at))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    assert!(days.len() >= 4 && records.len() > 120, "{days:?} {}", records.len());
    let mut meant_something = 0;
    for filter in filters(&days) {
        for last_only in [false, true] {
            let mut expected = BTreeSet::new();
            for record in &records {
                if is_meant(&tables, record, &filter, last_only).await {
                    expected.insert(record.attempt.clone());
                }
            }
            meant_something += u64::from(!expected.is_empty());
            for order in [CallOrder::NewestFirst, CallOrder::OldestFirst] {
                for limit in [1, 9, 100, 1_000] {
                    let case = format!("{filter:?} {last_only} {order:?} {limit}");
                    let seen = all_calls(&tables, &filter, last_only, order, limit).await;
                    let ids: Vec<_> = seen.iter().map(|call| call.attempt.clone()).collect();
                    let set: BTreeSet<_> = ids.iter().cloned().collect();
                    assert_eq!(ids.len(), set.len(), "{case}: a call twice");
                    assert_eq!(set, expected, "{case}");
                    let ordered = seen.windows(2).all(|pair| {
                        let key = |call: &AttemptStep| (Day::of(call.started_at), call.ended_at);
                        let (one, other) = (key(&pair[0]), key(&pair[1]));
                        if order == CallOrder::NewestFirst { one >= other } else { one <= other }
                    });
                    assert!(ordered, "{case}");
                }
            }
        }
    }
    assert!(meant_something > 16, "{meant_something}");
}

async fn all_calls(
    tables: &Tables,
    filter: &CallFilter,
    last_only: bool,
    order: CallOrder,
    limit: usize,
) -> Vec<AttemptStep> {
    let (mut calls, mut after) = (Vec::new(), None::<CallPlace>);
    loop {
        let page = tables.call_page(filter, last_only, order, after, limit).await.unwrap();
        assert!(page.calls.len() <= limit);
        calls.extend(page.calls);
        // As an interface hands it on.
        after = page.next.map(|next| next.to_string().parse().unwrap());
        if after.is_none() {
            return calls;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_report_of_projects_is_the_sum_of_records_and_charges() {
    let dialer = some_days().await;
    let tables = dialer.tables(&tenant());
    let records = records(&tables).await;
    let days: Vec<Day> = records
        .iter()
        .map(|record| Day::of(record.started_at))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    for filter in filters(&days) {
        if filter.tag.is_some() {
            let refused = tables.project_report(&filter).await.unwrap_err();
            assert!(matches!(refused, DialerError::BadFilter(_)));
            continue;
        }
        let mut expected: BTreeMap<(Option<ProjectId>, String), Tally> = BTreeMap::new();
        for record in &records {
            if is_meant(&tables, record, &filter, false).await {
                let charge = tables.charge(&record.attempt).await.unwrap().unwrap();
                let key = (record.project.clone(), record.outcome.title().to_owned());
                let tally = expected.entry(key).or_default();
                tally.attempts += 1;
                tally.answered += u64::from(record.answered_at.is_some());
                tally.robot_seconds += charge.robot_seconds;
                tally.talk_seconds += record.phases.talk.seconds_up();
                let wanted = record.transfers.iter().any(|one| one.to_operator);
                tally.lost += u64::from(wanted && record.transfers.iter().all(|one| !one.connected));
                tally.kopecks += charge.total;
            }
        }
        let report = tables.project_report(&filter).await.unwrap();
        let mut found = BTreeMap::new();
        for line in &report.lines {
            for result in &line.results {
                found.insert((line.project.clone(), result.result.clone()), result.calls);
            }
            let sum: u64 = line.results.iter().map(|result| result.calls.attempts).sum();
            assert_eq!(sum, line.calls.attempts);
        }
        assert_eq!(found, expected, "{filter:?}");
        let attempts: u64 = expected.values().map(|tally| tally.attempts).sum();
        assert_eq!(report.calls.attempts, attempts, "{filter:?}");
        if filter.scope == Scope::All {
            assert_eq!(report.leads.total(), 85, "ninety were added, five are deleted");
        }
    }
    let nowhere = CallFilter { scope: Scope::Project(id("nowhere")), ..CallFilter::default() };
    assert!(matches!(tables.project_report(&nowhere).await.unwrap_err(), DialerError::NoProject(_)));
}

/// Whoever asked for a tag that nobody has waited until a year of calls was read.
#[tokio::test(start_paused = true)]
async fn a_rare_filter_gives_a_page_after_a_bounded_look_and_a_place_to_go_on() {
    let dialer = dialer(Arc::new(MemoryStore::new()), Arc::new(Phone(|_| async { answered(1) })), 1);
    for _ in 0..7_000 {
        let inbound = Inbound {
            attempt: dialer.attempt_id(),
            number: None,
            peer: "sip:unknown@192.0.2.7".into(),
            trunk: None,
            started_at: dialer.now(),
        };
        let report = CallReport::unanswered(dialer.now(), Outcome::Busy);
        dialer.settle_inbound(&tenant(), inbound, report).await.unwrap();
    }
    let tables = dialer.tables(&tenant());
    let rare = CallFilter { tag: Some("редкий".into()), ..CallFilter::default() };
    for order in [CallOrder::NewestFirst, CallOrder::OldestFirst] {
        let (mut pages, mut after) = (0, None);
        loop {
            let page = tables.call_page(&rare, false, order, after, 100).await.unwrap();
            assert!(page.calls.is_empty());
            pages += 1;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(pages, 3, "3,000 are looked at for a page");
        assert_eq!(all_calls(&tables, &CallFilter::default(), false, order, 900).await.len(), 7_000);
    }
    // A result that no call of a day had is not looked for there.
    let other = CallFilter { result: Some("Нет ответа".into()), ..CallFilter::default() };
    let page = tables.call_page(&other, false, CallOrder::NewestFirst, None, 100).await.unwrap();
    assert!(page.calls.is_empty() && page.next.is_none());
}

#[tokio::test(start_paused = true)]
async fn contacts_go_out_with_their_fields_and_last_calls() {
    let dialer = some_days().await;
    let tables = dialer.tables(&tenant());
    let tagged = LeadFilter::tag("четвёртый");
    let page = tables.contact_page(&project(), &tagged, None, 1_000).await.unwrap();
    // 0 and 4 are deleted.
    assert_eq!((page.contacts.len(), page.next), (13, None));
    let fields: BTreeSet<String> = ["город".to_owned(), "имя".to_owned()].into();
    let header = sheet::contacts_header(&fields);
    for contact in &page.contacts {
        let last = contact.last.as_ref().expect("all were called");
        assert_eq!(Some(&last.attempt), contact.lead.progress.tries.last().map(|last| &last.attempt));
        let row = sheet::contact(contact, &fields, Numbers::Whole);
        assert_eq!(row.len(), header.len());
        assert_eq!(row[1], Cell::Text(contact.lead.numbers[0].reveal().to_owned()));
        assert_eq!(row[7..], [Cell::Text("Омск".into()), Cell::Empty]);
        let row = sheet::call(last, &tables.employees().await.unwrap(), None, Numbers::Masked);
        assert_eq!(row.len(), sheet::CALLS.len());
        assert_eq!(row[3], Cell::Text(contact.lead.numbers[0].masked()));
    }
    let report = tables.project_report(&CallFilter::default()).await.unwrap();
    for line in &report.lines {
        assert_eq!(sheet::project(line).len(), sheet::PROJECTS.len());
        assert!(sheet::results(line).iter().all(|row| row.len() == sheet::RESULTS.len()));
    }
    assert_eq!(report.lines.last().unwrap().title, "Без проекта");
}

/// A call is its last employee's, by the name that he has now; who was removed is known by his id.
#[tokio::test(start_paused = true)]
async fn the_columns_of_transfers_say_who_how_long_and_what_he_made_of_it() {
    let dialer = some_days().await;
    let tables = dialer.tables(&tenant());
    let employees = tables.employees().await.unwrap();
    let place = |name: &str| sheet::CALLS.iter().position(|column| *column == name).unwrap();
    let text = |text: &str| Cell::from(text);
    let mut seen = BTreeSet::new();
    for call in all_calls(&tables, &CallFilter::default(), false, CallOrder::OldestFirst, 500).await {
        let verdict = Verdict {
            attempt: call.attempt.clone(),
            operator: OperatorId::new("ivanov").unwrap(),
            result: "Продано".into(),
            comment: "две штуки".into(),
            at: dialer.now(),
        };
        tables.put_verdict(&verdict).await.unwrap();
        let said = tables.verdict_of(&call).await.unwrap();
        let row = sheet::call(&call, &employees, said.as_ref(), Numbers::Masked);
        let cells =
            ["Ответственный", "Перевод", "Номер перевода", "Ожидание, с", "Пропущен", "Итог сотрудника"]
                .map(|name| row[place(name)].clone());
        let nobody = || text("без ответственного");
        let missed = || text("Оператор не принял вызов");
        let kind = call.number.as_ref().map_or(7, |number| number.digits().parse::<u64>().unwrap() % 8);
        let expected = match kind {
            _ if call.transfers.is_empty() => {
                [nobody(), Cell::Empty, Cell::Empty, Cell::Empty, Cell::Empty, Cell::Empty]
            }
            0 => {
                [text("Иванов"), text("сотрудник"), Cell::Empty, Cell::Whole(3), Cell::Empty, text("Продано")]
            }
            1 => [
                text("gone"),
                text("сотрудник; сотрудник"),
                Cell::Empty,
                Cell::Whole(6),
                missed(),
                text("Продано"),
            ],
            2 => [text("gone"), text("сотрудник"), Cell::Empty, Cell::Whole(3), missed(), text("Продано")],
            3 => [nobody(), text("сотрудник"), Cell::Empty, Cell::Whole(3), Cell::Empty, Cell::Empty],
            _ => [
                nobody(),
                text("внешний номер"),
                text("+7 495 ***-**-67"),
                Cell::Whole(0),
                Cell::Empty,
                Cell::Empty,
            ],
        };
        assert_eq!(cells, expected, "{call:?}");
        seen.insert(if call.transfers.is_empty() { 9 } else { kind });
    }
    assert_eq!(seen, [0, 1, 2, 3, 4, 9].into(), "every kind of call was there");
}
