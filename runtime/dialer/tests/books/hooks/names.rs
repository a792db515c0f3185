//! What events are called and hold: the names that integrators of the model service know.

use super::*;

#[tokio::test(start_paused = true)]
async fn events_have_the_names_that_integrators_know() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let carrier = Carrier::new(5, Arc::default(), Arc::new(|_| {}));
    let dialer = dialer(store.clone(), carrier, 5);
    make_list(&dialer, 1, 1).await;
    let tables = dialer.tables(&tenant());
    let got = Got::default();
    let silent = Paper::new(&got, 0, 0);
    keep(&tables, vec![setup("crm", silent.clone())], Duration::from_secs(1)).await;
    tables.start_project(&project(), 5, dialer.now()).await.unwrap();
    dial(&dialer).await;
    let talked = call_comes_in(&tables, 7, Outcome::answered(SystemResult::Connected)).await;
    let lost = {
        let inbound = inbound(8, 1_790_000_000_000);
        let attempt = inbound.attempt.clone();
        let mut report =
            CallReport::unanswered(UnixMillis(1_790_000_060_000), Outcome::answered(SystemResult::Lost));
        report.answered_at = Some(UnixMillis(1_790_000_001_000));
        report.phases.wait = Millis(40_000);
        report.transfers.push(Transfer {
            to_operator: true,
            wait: Millis(40_000),
            operator: OperatorId::new("petrova").ok(),
            missed: Some("Оператор занят".into()),
            ..Transfer::default()
        });
        tables.settle_inbound(inbound, report).await.unwrap();
        attempt
    };
    let number = PhoneNumber::parse("+79161234567").unwrap();
    let sms = TextStep {
        text: TextId { attempt: talked.clone(), ordinal: 1 },
        project: None,
        lead: None,
        to: number,
        segments: 2,
        decided_at: UnixMillis(1_790_000_090_000),
        at: UnixMillis(1_790_000_100_000),
        status: TextStatus::Delivered,
        why: None,
        charged: Some(Kopecks(360)),
    };
    write_step(&store, at(&["step", &format!("text={talked}=1=1")]), &Step::Text(Box::new(sms))).await;
    keep(&tables, vec![setup("crm", silent.clone())], Duration::from_secs(60)).await;
    let under_way = AttemptId::new("under-way").unwrap();
    for attempt in [&talked, &under_way] {
        let verdict = Verdict {
            attempt: attempt.clone(),
            operator: OperatorId::new("petrova").unwrap(),
            result: "Продано".into(),
            comment: "перезвонить в мае".into(),
            at: UnixMillis(1_790_000_200_000),
        };
        // Saying the same again is nothing new.
        tables.put_verdict(&verdict).await.unwrap();
        tables.put_verdict(&verdict).await.unwrap();
    }
    keep(&tables, vec![setup("crm", silent)], Duration::from_secs(60)).await;

    let events: BTreeMap<String, Value> = got
        .lock()
        .unwrap()
        .iter()
        .map(|(id, body)| (id.clone(), serde_json::from_slice(body).unwrap()))
        .collect();
    assert_eq!(events.keys().cloned().collect::<BTreeSet<_>>(), due(&store).await.into_keys().collect());
    let with = |start: &str| {
        events
            .iter()
            .filter(|(id, _)| id.starts_with(start))
            .map(|(_, event)| event.clone())
            .collect::<Vec<_>>()
    };

    let states = with("project_state-spring-");
    assert_eq!(states.len(), 2);
    for (state, before) in [("active", "paused"), ("finished", "active")] {
        let is = |event: &&Value| event["call_project"]["state"] == state;
        let event = states.iter().find(is).unwrap();
        assert_eq!(
            (&event["call_project"]["state_before"], &event["call_project"]["title"]),
            (&before.into(), &"Весна".into())
        );
    }
    let dialled =
        with("call_finished-").into_iter().find(|event| event["call"]["source"] == "project").unwrap();
    assert_eq!(dialled["organization_id"], "acme");
    let call = &dialled["call"];
    assert_eq!((&call["phone"], &call["lead_id"]), (&"+79000000000".into(), &"lead-0".into()));
    assert_eq!((&call["call_project_id"], &call["call_project_title"]), (&"spring".into(), &"Весна".into()));
    assert_eq!((&call["direction"], &call["params"]["name"]), (&"outbound".into(), &"Анна 0".into()));
    assert_eq!(
        (&dialled["lead"]["id"], &dialled["lead"]["phones"][0]),
        (&"lead-0".into(), &"+79000000000".into())
    );
    assert_eq!((&dialled["contact"]["name"], &dialled["lead"]["calls"]), (&"Анна 0".into(), &1.into()));

    let call = &events[&format!("call_finished-{talked}")]["call"];
    for (key, value) in [
        ("id", Value::from(talked.as_str())),
        ("phone", "+79161234567".into()),
        ("source", "incoming".into()),
        ("direction", "inbound".into()),
        ("started_at", "2026-09-21T14:13:20Z".into()),
        ("connected_at", "2026-09-21T14:13:21Z".into()),
        ("ended_at", "2026-09-21T14:13:29.5Z".into()),
        ("reason", "answered".into()),
        ("duration", 9.into()),
        ("robot_seconds", 9.into()),
        ("result_id", "connected".into()),
        ("recording_url", "https://example.org/recordings/a.wav".into()),
        ("cost_kopecks", 36.into()),
        ("lead_id", Value::Null),
    ] {
        assert_eq!(call[key], value, "{key}: {call}");
    }
    let results = with(&format!("call_result-{talked}"));
    assert_eq!(results.len(), 2);
    assert_eq!(results[0]["call_result"]["result_name"], "Соединён");
    let judged = serde_json::json!({"call_id": talked, "result_id": "Продано", "result_name": "Продано", "comment": "перезвонить в мае", "user_id": "petrova"});
    assert_eq!(results[1]["call_result"], judged);
    assert_eq!(
        (&results[1]["call"]["result_id"], &results[1]["type"]),
        (&"connected".into(), &"call_result".into())
    );

    assert!(with("call_result-under-way").is_empty(), "it is told when the call is over");

    let missed = &events[&format!("transfer_lost-{lost}")]["call"];
    assert_eq!(
        (&missed["transfers"][0]["user_id"], &missed["transfers"][0]["missed"]),
        (&"petrova".into(), &"Оператор занят".into())
    );
    assert_eq!((&missed["user_id"], &missed["wait_seconds"]), (&Value::Null, &40.into()));
    let sms = &with(&format!("sms_status-{talked}-1-"))[0]["sms"];
    assert_eq!(
        (&sms["status"], &sms["phone"], &sms["cost_kopecks"]),
        (&"delivered".into(), &"+79161234567".into(), &360.into())
    );
    assert_eq!(sms["call_id"], talked.as_str());
}

/// The operator's result was told first and the robot's at the end of the call: receivers that keep the last one had the
/// robot's.
#[tokio::test(start_paused = true)]
async fn a_result_that_an_operator_gives_during_the_call_is_the_one_that_its_end_tells() {
    for running in [true, false] {
        let store: SharedStore = Arc::new(MemoryStore::new());
        let (tables, got) = (tables(&store), Got::default());
        let setups = || vec![setup("crm", Paper::new(&got, 0, 0))];
        let hour = Duration::from_secs(3600);
        // Either the hook hears of each step as it comes, or of all of them later.
        keep(&tables, setups(), Duration::from_secs(1)).await;
        let attempt = inbound(1, 1_790_000_000_000).attempt;
        let verdict = |result: &str| Verdict {
            attempt: attempt.clone(),
            operator: OperatorId::new("petrova").unwrap(),
            result: result.into(),
            comment: "перезвонить в мае".into(),
            at: UnixMillis(1_790_000_005_000),
        };
        let listens = async || {
            if running {
                keep(&tables, setups(), hour).await
            }
        };
        for result in ["Думает", "Продано"] {
            tables.put_verdict(&verdict(result)).await.unwrap();
            listens().await;
        }
        assert_eq!(got.lock().unwrap().len(), 0, "the call goes on");
        call_comes_in(&tables, 1, Outcome::answered(SystemResult::Connected)).await;
        listens().await;
        tables.put_verdict(&verdict("Отказ")).await.unwrap();
        keep(&tables, setups(), hour).await;
        told(&got, &due(&store).await, "during the call");
        let events: Vec<Value> =
            got.lock().unwrap().iter().map(|(_, body)| serde_json::from_slice(body).unwrap()).collect();
        assert_eq!(events.len(), 3);
        for event in &events {
            let id = event["id"].as_str().unwrap();
            let later = id.starts_with(&format!("call_result-{attempt}-"));
            // A hook that hears of all of it later knows the last word from the beginning.
            let name = if later || !running { "Отказ" } else { "Продано" };
            let judged = serde_json::json!({"call_id": attempt, "result_id": name, "result_name": name, "comment": "перезвонить в мае", "user_id": "petrova"});
            assert_eq!(event["call_result"], judged, "{running} {id}");
            assert_eq!(event["call"]["result_id"], "connected", "the robot's own stays as it is");
        }
        assert_eq!(events.iter().filter(|event| event["type"] == "call_result").count(), 2);
    }
}
