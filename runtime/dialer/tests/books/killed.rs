//! The real store and a real `kill -9`: a process dials a list over a pretend carrier that notes each ringing phone in a
//! file, and is killed again and again in the middle of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use zvonar_dialer::{
    CUT_OFF, CallReport, Caller, DialRules, Dialer, NewLead, NewProject, NotPlaced, Order, Reserved,
};
use zvonar_ledger::PriceList;
use zvonar_model::{
    LeadId, Millis, Outcome, Phases, PhoneNumber, ProjectId, ScenarioName, SystemResult, TenantId, TrunkId,
    UnixMillis,
};
use zvonar_store::{SledOptions, SledStore};

const CHILD: &str = "ZVONAR_DIALER_TEST_CHILD";
const LEADS: u32 = 400;
const LINES: u32 = 4;

fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn project() -> ProjectId {
    ProjectId::new("spring").unwrap()
}

/// Rings phones on paper: a line before the ringing, a line after the talk. The paper outlives the process.
struct Paper(Mutex<File>);

impl Paper {
    fn write(&self, line: &str) {
        // One write each, so that a kill cuts between lines.
        self.0.lock().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

#[async_trait]
impl Caller for Paper {
    async fn reserve(&self, _: &Order) -> Result<Box<dyn Reserved + '_>, NotPlaced> {
        Ok(Box::new(self))
    }
}

#[async_trait]
impl Reserved for &Paper {
    async fn call(self: Box<Self>, order: Order) -> CallReport {
        self.write(&format!("rings {} {}", order.number.reveal(), order.attempt));
        let fate: u64 = order.number.digits().parse().unwrap();
        tokio::time::sleep(Duration::from_millis(fate % 5)).await;
        let mut report = CallReport::unanswered(UnixMillis(9_000), Outcome::Busy);
        if !fate.is_multiple_of(3) {
            report.outcome = Outcome::answered(SystemResult::Connected);
            report.answered_at = Some(UnixMillis(1_000));
            report.phases = Phases { robot: Millis(fate % 7_919), ..Phases::default() };
        }
        self.write(&format!("over {} {}", order.attempt, report.phases.robot.0));
        report
    }
}

fn dialer(folder: &Path, seed: u64) -> Dialer {
    let store = SledStore::open(&folder.join("data"), SledOptions { cache_bytes: 8 << 20 }).unwrap();
    let paper = OpenOptions::new().create(true).append(true).open(folder.join("paper")).unwrap();
    let caller = Arc::new(Paper(Mutex::new(paper)));
    let clock = Arc::new(|| UnixMillis(1_790_000_000_000));
    Dialer::new(Arc::new(store), Arc::new(PriceList::default()), caller, clock, seed)
}

/// The process that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the test that kills it"]
async fn child_that_dials_until_it_is_killed() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let (seed, folder) = told.split_once(' ').unwrap();
    let dialer = dialer(Path::new(folder), seed.parse().unwrap());
    dialer.recover(&tenant()).await.unwrap();
    let (_tell, stop) = tokio::sync::watch::channel(false);
    dialer.run(&tenant(), &project(), None, stop).await.unwrap();
}

fn child(folder: &Path, seed: u64) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--ignored", "--exact", "killed::child_that_dials_until_it_is_killed"])
        .env(CHILD, format!("{seed} {}", folder.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn lines_of(paper: &PathBuf) -> usize {
    std::fs::read(paper).map(|bytes| bytes.iter().filter(|byte| **byte == b'\n').count()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_is_killed_many_times_rings_no_phone_twice_and_keeps_its_books() {
    let folder = tempfile::tempdir().unwrap();
    let paper = folder.path().join("paper");
    {
        let tables = dialer(folder.path(), 0).tables(&tenant());
        tables
            .create_project(
                NewProject {
                    lines: LINES,
                    calls_per_second: 5_000,
                    rules: DialRules::once(),
                    ..NewProject::new(
                        project(),
                        ScenarioName::new("hello").unwrap(),
                        TrunkId::new("main").unwrap(),
                    )
                },
                UnixMillis(0),
            )
            .await
            .unwrap();
        let leads = (0..LEADS).map(|i| NewLead {
            lead: LeadId::new(&format!("lead-{i}")).unwrap(),
            numbers: vec![PhoneNumber::parse(&format!("+7900{:07}", i * 7_907)).unwrap()],
            fields: BTreeMap::new(),
            tags: BTreeSet::new(),
        });
        tables.add_leads(&project(), leads.collect()).await.unwrap();
    }
    let mut kills = 0;
    for seed in 1..=8 {
        let mut child = child(folder.path(), seed).spawn().unwrap();
        let enough = lines_of(&paper) + 37 + 11 * seed as usize;
        let ended = loop {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success());
                break true;
            }
            if lines_of(&paper) >= enough {
                break false;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        if !ended {
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
        }
    }
    // On a busy machine a process may have finished before it is looked at again.
    assert!(kills >= 3, "{kills}");
    assert!(child(folder.path(), 99).status().unwrap().success(), "the last process finishes the list");

    let text = std::fs::read_to_string(&paper).unwrap();
    let mut rang = BTreeSet::new();
    let mut over = BTreeMap::new();
    for line in text.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["rings", number, _] => assert!(rang.insert(number), "{number} rang twice"),
            ["over", attempt, robot] => {
                over.insert(attempt, robot.parse::<u64>().unwrap());
            }
            _ => panic!("{line}"),
        }
    }
    let tables = dialer(folder.path(), 0).tables(&tenant());
    let (mut due, mut cut_off) = (0, 0);
    for lead in tables.leads(&project()).await.unwrap() {
        let [one] = &lead.progress.tries[..] else { panic!("{lead:?}") };
        let record = tables.record(&one.attempt).await.unwrap().unwrap();
        if record.outcome == (Outcome::SystemError { why: CUT_OFF.into() }) {
            cut_off += 1;
        } else {
            due += 4 * over[one.attempt.as_str()].div_ceil(1000) as i64;
        }
    }
    assert!(cut_off > 0 && cut_off <= kills * LINES, "{cut_off} calls were cut off by {kills} kills");
    let verified = tables.verify().await.unwrap();
    assert!(verified.is_sound(), "{:?}", verified.faults);
    assert_eq!((verified.charges, verified.sum.0), (u64::from(LEADS), due));
    assert_eq!(tables.balance().await.unwrap().spent.0, due);
}
