//! The money: the world is stopped after each durable write in turn, and at each moment of each call, started again,
//! and two facts are looked at. No phone rang twice; every call has exactly one charge, the one that a naive model
//! gives from what the pretend carrier saw.

mod adding;
mod call_back;
mod codes;
mod consultations;
mod desks;
mod dialling;
mod fees;
mod foreman;
mod goes_on;
mod handing;
#[path = "../../../switch/tests/phones/handset.rs"]
mod handset;
mod hooks;
mod killed;
mod leads;
mod life;
mod month;
mod operators;
mod places;
mod purse;
mod rehearsal;
mod reports;
mod short;
mod sick;
mod stats;
mod texts;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use world::{Carrier, Moment, Seen, dialer, make_list, naive_price, project, tenant};
use zvonar_dialer::{CUT_OFF, Tables};
use zvonar_model::Outcome;
use zvonar_store::fault::{Fault, FaultStore};
use zvonar_store::{MemoryStore, SharedStore};

const LEADS: u32 = 30;
const LINES: u32 = 3;

/// A store that outlives processes, and the log of the carrier.
struct World {
    seed: u64,
    store: SharedStore,
    log: Arc<Mutex<Vec<Seen>>>,
    processes: u64,
    crashes: u64,
}

/// How one process dies, if it does.
#[derive(Clone)]
struct Death {
    faults: Vec<(u64, Fault)>,
    /// At the n-th moment of this kind.
    moment: Option<(Moment, u64)>,
}

impl Death {
    fn none() -> Self {
        Self { faults: Vec::new(), moment: None }
    }

    fn by(fault: Fault, commit: u64) -> Self {
        Self { faults: vec![(commit, fault)], moment: None }
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let world =
            Self { seed, store: Arc::new(MemoryStore::new()), log: Arc::default(), processes: 0, crashes: 0 };
        runtime().block_on(async {
            let nobody = Carrier::new(seed, world.log.clone(), Arc::new(|_| {}));
            make_list(&dialer(world.store.clone(), nobody, seed), LEADS, LINES).await;
        });
        world
    }

    /// Runs one process until its list is done or it dies. Gives the number of commits it sent if it lived.
    fn process(&mut self, death: Death) -> Option<u64> {
        self.processes += 1;
        let seed = self.seed.wrapping_mul(1_000).wrapping_add(self.processes);
        let runtime = runtime();
        let lived = runtime.block_on(async {
            let store = FaultStore::new(self.store.clone(), death.faults);
            let killer = {
                let (store, seen) = (store.clone(), AtomicU64::new(0));
                move |moment| {
                    if let Some((which, number)) = death.moment
                        && which == moment
                        && seen.fetch_add(1, Ordering::Relaxed) + 1 == number
                    {
                        store.crash();
                    }
                }
            };
            let carrier = Carrier::new(self.seed, self.log.clone(), Arc::new(killer));
            let dialer = dialer(store.clone(), carrier, seed);
            let life = async {
                dialer.recover(&tenant()).await.unwrap();
                let (_tell, stop) = tokio::sync::watch::channel(false);
                dialer.run(&tenant(), &project(), None, stop).await.unwrap()
            };
            tokio::select! {
                biased;
                () = store.crashed() => None,
                finished = life => {
                    assert_eq!(finished.counts.finished, u64::from(LEADS));
                    assert!(!finished.stopped && finished.elsewhere == 0 && finished.counts.lines == 0);
                    Some(store.commits())
                }
            }
        });
        // Whatever tasks the process had die here.
        drop(runtime);
        self.crashes += u64::from(lived.is_none());
        lived
    }

    /// Lives on until the list is done, and looks at the facts.
    fn finish(mut self, case: &str) -> Outcomes {
        assert!(self.process(Death::none()).is_some(), "{case}: nothing kills the last process");
        let store = self.store.clone();
        let log = self.log.lock().unwrap().clone();
        let crashes = self.crashes;
        runtime().block_on(async move {
            let nobody = Carrier::new(0, Arc::default(), Arc::new(|_| {}));
            let tables = dialer(store, nobody, 0).tables(&tenant());
            facts(&tables, &log, crashes, case).await
        })
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

#[derive(Debug, Default)]
struct Outcomes {
    cut_off: u64,
    freed_or_whole: bool,
}

/// What must hold of a finished list, whatever happened on the way.
async fn facts(tables: &Tables, log: &[Seen], crashes: u64, case: &str) -> Outcomes {
    // No phone rang twice.
    let mut rang = BTreeSet::new();
    for seen in log {
        assert!(rang.insert(seen.number.clone()), "{case}: {} rang twice", seen.number.reveal());
    }
    let by_attempt: BTreeMap<_, _> = log.iter().map(|seen| (seen.attempt.clone(), seen)).collect();
    assert_eq!(by_attempt.len(), log.len(), "{case}: an attempt was placed twice");

    // Every lead is finished with exactly one try, its record and its charge; the charge is the carrier's.
    let mut spent = 0;
    let mut cut_off = 0;
    let mut recorded = BTreeSet::new();
    for lead in tables.leads(&project()).await.unwrap() {
        assert!(lead.progress.state.is_finished(), "{case}: {lead:?}");
        assert_eq!(lead.claim, None, "{case}: {lead:?}");
        let [one] = &lead.progress.tries[..] else { panic!("{case}: {lead:?}") };
        let record = tables.record(&one.attempt).await.unwrap().expect("a try has a record");
        let charge = tables.charge(&one.attempt).await.unwrap().expect("a record has a charge");
        assert_eq!(
            (record.lead.as_ref(), record.number.as_ref()),
            (Some(&lead.lead), lead.numbers.first()),
            "{case}"
        );
        recorded.insert(one.attempt.clone());
        let seen = by_attempt.get(&one.attempt);
        if record.outcome == (Outcome::SystemError { why: CUT_OFF.into() }) {
            // The process died between the intent and the settling. Nobody knows what was said, so nothing is charged.
            cut_off += 1;
            assert_eq!(charge.total.0, 0, "{case}");
            assert!(lead.notes.is_empty(), "{case}");
            continue;
        }
        let seen = seen.unwrap_or_else(|| panic!("{case}: a record of a call that never was: {record:?}"));
        let report =
            seen.report.as_ref().unwrap_or_else(|| panic!("{case}: a record of a call that never ended"));
        assert_eq!(record.outcome, report.outcome, "{case}");
        assert_eq!(record.phases, report.phases, "{case}");
        assert_eq!(charge.total.0, naive_price(report), "{case}: {charge:?}");
        spent += naive_price(report);
        // What the scenario wanted remembered happened once.
        assert_eq!(lead.notes, report.effects.notes, "{case}");
        assert_eq!(lead.fields.get("heard"), report.effects.set_fields.get("heard"), "{case}");
        let blocked = tables.blocked(&lead.numbers[0]).await.unwrap();
        assert_eq!(blocked.map(|blocked| blocked.why), report.effects.block, "{case}");
    }
    for seen in log {
        assert!(recorded.contains(&seen.attempt), "{case}: {} rang and is in no book", seen.number.reveal());
    }
    assert!(cut_off <= crashes * u64::from(LINES), "{case}: {cut_off} cut off by {crashes} crashes");

    // The books: one charge for each attempt and none besides, and three ways to the same sum.
    let verified = tables.verify().await.unwrap();
    assert!(verified.is_sound(), "{case}: {:?}", verified.faults);
    assert_eq!((verified.charges, verified.records), (u64::from(LEADS), u64::from(LEADS)), "{case}");
    let balance = tables.balance().await.unwrap();
    assert_eq!((balance.spent.0, balance.charges), (spent, u64::from(LEADS)), "{case}");
    assert_eq!(verified.sum.0, spent, "{case}");
    let report = tables.report(&project()).await.unwrap();
    assert_eq!((report.totals.kopecks.0, report.totals.lines_sum.0), (spent, spent), "{case}");
    assert_eq!(report.rows.len() as u32, LEADS, "{case}");
    // The counts that are folded from the journal are those of the leads.
    let counts = tables.status_counts(&project()).await.unwrap();
    let counted = [counts.new, counts.again, counts.reached, counts.unreached].map(i64::unsigned_abs);
    let totals = report.totals;
    assert_eq!(counted, [totals.new, totals.again, totals.reached, totals.unreached], "{case}");
    // Nothing is under way.
    let again =
        tables.recover(zvonar_dialer::Abandoned::Expired, zvonar_model::UnixMillis(i64::MAX)).await.unwrap();
    assert_eq!((again.freed, again.failed), (0, 0), "{case}: an intent was left behind");
    Outcomes { cut_off, freed_or_whole: cut_off == 0 }
}

/// How many durable writes an undisturbed run of this seed makes.
fn writes_of(seed: u64) -> u64 {
    let mut world = World::new(seed);
    let writes = world.process(Death::none()).unwrap();
    let outcomes = world.finish("undisturbed");
    assert_eq!(outcomes.cut_off, 0);
    writes
}

#[test]
fn a_crash_before_or_after_any_durable_write_rings_no_phone_twice_and_charges_each_call_once() {
    for seed in [1, 2] {
        let writes = writes_of(seed);
        assert!(writes >= u64::from(LEADS) * 3, "{writes}");
        let (mut cut, mut whole) = (0, 0);
        for fault in [Fault::CrashBefore, Fault::CrashAfter] {
            for commit in 1..=writes {
                let mut world = World::new(seed);
                assert_eq!(world.process(Death::by(fault, commit)), None, "it dies at commit {commit}");
                let outcomes = world.finish(&format!("seed {seed}, {fault:?} {commit} of {writes}"));
                cut += u64::from(outcomes.cut_off > 0);
                whole += u64::from(outcomes.freed_or_whole);
            }
        }
        // The test is worth nothing if no crash ever cuts a call, or if all do.
        assert!(cut > 50 && whole > 3, "{cut} {whole}");
    }
}

#[test]
fn a_crash_at_any_moment_of_any_call_rings_no_phone_twice_and_charges_each_call_once() {
    let seed = 3;
    let mut died = 0;
    for moment in [Moment::Ringing, Moment::Talking, Moment::Over] {
        for number in 1..=u64::from(LEADS) {
            let mut world = World::new(seed);
            let death = Death { faults: Vec::new(), moment: Some((moment, number)) };
            if world.process(death).is_none() {
                died += 1;
                let outcomes = world.finish(&format!("{moment:?} {number}"));
                assert!(outcomes.cut_off >= 1, "{moment:?} {number}: the call was up or just over");
            }
        }
    }
    assert!(died > 2 * u64::from(LEADS), "{died}");
}

#[test]
fn a_process_that_dies_again_and_again_even_while_recovering_loses_nothing() {
    for seed in 10..40 {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut world = World::new(seed);
        for _ in 0..dice.random_range(2..12) {
            // Early commits are those of the recovery.
            let commit = dice.random_range(1..25);
            let fault = if dice.random_bool(0.5) { Fault::CrashBefore } else { Fault::CrashAfter };
            world.process(Death::by(fault, commit));
        }
        world.finish(&format!("seed {seed}"));
    }
}

#[test]
fn a_commit_of_unknown_outcome_is_neither_lost_nor_done_twice() {
    let seed = 4;
    let writes = writes_of(seed);
    for fault in [Fault::LostBefore, Fault::LostAfter] {
        for commit in 1..=writes {
            let mut world = World::new(seed);
            assert!(world.process(Death::by(fault, commit)).is_some(), "{fault:?} {commit}: it lives");
            let outcomes = world.finish(&format!("{fault:?} {commit}"));
            assert_eq!(outcomes.cut_off, 0, "{fault:?} {commit}: nothing crashed");
        }
    }
}

#[test]
fn storms_of_lost_answers_and_crashes_charge_each_call_once() {
    for seed in 100..130 {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut world = World::new(seed);
        for _ in 0..4 {
            let mut faults = Vec::new();
            for commit in 1..150 {
                match dice.random_range(0..10) {
                    0 | 1 => faults.push((commit, Fault::LostAfter)),
                    2 | 3 => faults.push((commit, Fault::LostBefore)),
                    _ => {}
                }
            }
            let end = dice.random_range(1..150);
            faults.push((end, if dice.random_bool(0.5) { Fault::CrashBefore } else { Fault::CrashAfter }));
            world.process(Death { faults, moment: None });
        }
        world.finish(&format!("seed {seed}"));
    }
}
