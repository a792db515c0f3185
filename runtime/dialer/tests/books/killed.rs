//! The real store and a real `kill -9`: a process dials a list over a pretend carrier that notes each ringing phone in a
//! file, and is killed again and again in the middle of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::process::Command;
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
const KILLS: u32 = 8;
/// How long a process may take for what is asked of it.
const LIMIT: Duration = Duration::from_secs(120);
/// How many lines of paper the others may write once the first call holds still: a process is killed while some go on, but
/// however late that is, the list is not at its end.
const MORE: usize = 20;

fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn project() -> ProjectId {
    ProjectId::new("spring").unwrap()
}

/// Rings phones on paper: a line before the ringing, a line after the talk. The paper outlives the process.
struct Paper {
    sheet: Mutex<Sheet>,
    /// A call that rings when so many lines are written rings on until the process is killed.
    enough: usize,
}

struct Sheet {
    file: File,
    /// By this process.
    lines: usize,
    /// Whether a call rings on.
    holds: bool,
}

impl Paper {
    /// Whether whoever wrote it is to go on.
    fn write(&self, line: &str) -> bool {
        let mut sheet = self.sheet.lock().unwrap();
        sheet.lines += 1;
        let holds = line.starts_with("rings")
            && sheet.lines >= self.enough
            && (!sheet.holds || sheet.lines >= self.enough.saturating_add(MORE));
        let told = if holds && !std::mem::replace(&mut sheet.holds, true) { "\nholds" } else { "" };
        // One write each, so that a kill cuts between lines.
        sheet.file.write_all(format!("{line}{told}\n").as_bytes()).unwrap();
        !holds
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
        if !self.write(&format!("rings {} {}", order.number.reveal(), order.attempt)) {
            std::future::pending::<()>().await;
        }
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

fn dialer(folder: &Path, seed: u64, enough: usize) -> Dialer {
    let store = SledStore::open(&folder.join("data"), SledOptions { cache_bytes: 8 << 20 }).unwrap();
    let file = OpenOptions::new().create(true).append(true).open(folder.join("paper")).unwrap();
    let caller = Arc::new(Paper { sheet: Mutex::new(Sheet { file, lines: 0, holds: false }), enough });
    let clock = Arc::new(|| UnixMillis(1_790_000_000_000));
    Dialer::new(Arc::new(store), Arc::new(PriceList::default()), caller, clock, seed)
}

/// The process that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the test that kills it"]
async fn child_that_dials_until_it_is_killed() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let [seed, enough, folder] = told.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{told}") };
    let dialer = dialer(Path::new(folder), seed.parse().unwrap(), enough.parse().unwrap());
    dialer.recover(&tenant()).await.unwrap();
    let (_tell, stop) = tokio::sync::watch::channel(false);
    dialer.run(&tenant(), &project(), None, stop).await.unwrap();
}

/// It goes with its handle.
fn child(folder: &Path, seed: u64, enough: usize) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--ignored", "--exact", "killed::child_that_dials_until_it_is_killed"])
        .env(CHILD, format!("{seed} {enough} {}", folder.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

/// How many processes have come so far that a call rings on.
fn holding(paper: &Path) -> u32 {
    let text = std::fs::read_to_string(paper).unwrap_or_default();
    text.lines().map(|line| u32::from(line == "holds")).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_is_killed_many_times_rings_no_phone_twice_and_keeps_its_books() {
    let folder = tempfile::tempdir().unwrap();
    let paper = folder.path().join("paper");
    {
        let tables = dialer(folder.path(), 0, usize::MAX).tables(&tenant());
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
    for kill in 1..=KILLS {
        let mut child = child(folder.path(), kill.into(), 20 + 7 * kill as usize).spawn().unwrap();
        let holds = async {
            while holding(&paper) < kill {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        // It does not end by itself, since one call rings on. The others are in the middle of whatever they do.
        tokio::select! {
            () = holds => child.kill().await.unwrap(),
            ended = child.wait() => panic!("process {kill} ended by itself: {ended:?}"),
            () = tokio::time::sleep(LIMIT) => panic!("process {kill} dials too little in {LIMIT:?}"),
        }
    }
    let last = tokio::time::timeout(LIMIT, child(folder.path(), 99, usize::MAX).status()).await;
    assert!(last.expect("it comes to an end").unwrap().success(), "the last process finishes the list");

    let text = std::fs::read_to_string(&paper).unwrap();
    let mut rang = BTreeSet::new();
    let mut over = BTreeMap::new();
    for line in text.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["holds"] => {}
            ["rings", number, _] => assert!(rang.insert(number), "{number} rang twice"),
            ["over", attempt, robot] => {
                over.insert(attempt, robot.parse::<u64>().unwrap());
            }
            _ => panic!("{line}"),
        }
    }
    let tables = dialer(folder.path(), 0, usize::MAX).tables(&tenant());
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
    // At each kill one call rang for certain, and no more than there are lines.
    assert!((KILLS..=KILLS * LINES).contains(&cut_off), "{cut_off} calls were cut off by {KILLS} kills");
    let verified = tables.verify().await.unwrap();
    assert!(verified.is_sound(), "{:?}", verified.faults);
    assert_eq!((verified.charges, verified.sum.0), (u64::from(LEADS), due));
    assert_eq!(tables.balance().await.unwrap().spent.0, due);
}
