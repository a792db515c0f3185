//! The real binary as a child: `serve`, `farm`, `call`, `report`, `ledger verify`.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use serde::Deserialize;

use crate::{
    machine, ports,
    process::Process,
    project::{Config, Lead},
};

/// How long a host may take to say that it listens: it reads its packages and compiles their scenarios first.
pub const START_LIMIT: Duration = Duration::from_secs(60);

/// The line by which `serve` and `farm` say that they are ready.
pub const READY: &str = "listening on";

/// The binary to test: `ZVONAR_BIN`, or the one built beside the running program, after bringing it up to date.
/// Cargo's progress goes to stderr. Built once; an error is that it does not compile.
pub fn build() -> Result<&'static Path, String> {
    let built = BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("ZVONAR_BIN") {
            return Ok(path.into());
        }
        let path = built();
        let profile = path.parent().expect("a program lies in the folder of its profile");
        let mut build = machine::cargo();
        build.args(BUILD);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        // Our own target folder, wherever the caller's environment would put it.
        build
            .arg("--target-dir")
            .arg(profile.parent().expect("a profile's folder lies in the target folder"));
        match build.status() {
            Ok(status) if status.success() => Ok(path),
            Ok(status) => Err(format!("zvonar does not compile: {build:?} ended with {status}")),
            Err(error) => Err(format!("cannot start {build:?}: {error}")),
        }
    });
    built.as_deref().map_err(Clone::clone)
}

/// The binary, once it is known.
static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();

/// Uses this binary, which the caller has just compiled with features of his own, instead of building one; too late once one
/// was built.
pub fn adopt(binary: PathBuf) {
    let _ = BINARY.set(Ok(binary));
}

/// What cargo is asked for to get the binary. All packages are selected, so that the features of shared dependencies
/// are those of `cargo test --workspace`, and nothing heavy is compiled a second time.
const BUILD: [&str; 4] = ["build", "--workspace", "--bin", "zvonar"];

/// Where cargo puts the binary: beside the program that is running.
pub fn built() -> PathBuf {
    let exe = std::env::current_exe().expect("the path of the running program");
    let folder = exe.parent().expect("a program lies in a folder");
    let profile = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    profile.join("zvonar")
}

/// `zvonar` with these arguments, not started yet.
///
/// # Panics
///
/// If it does not compile.
pub fn zvonar<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(arguments: I) -> Command {
    let mut command = Command::new(build().unwrap_or_else(|why| panic!("{why}")));
    command.args(arguments);
    command
}

/// `zvonar serve`.
pub struct Host {
    /// The running process.
    pub process: Process,
    /// Where it takes SIP.
    pub address: SocketAddr,
    /// Its configuration.
    pub config: PathBuf,
}

impl Host {
    /// Starts it without waiting for anything: it may be killed at any moment from here on.
    pub fn start(config: &Config, folder: &Path, arguments: &[&str], show: bool) -> Result<Self, String> {
        let file = config.write(folder)?;
        let mut command = zvonar(["serve", "--config"]);
        command.arg(&file).args(arguments);
        let start = if show { Process::spawn_shown } else { Process::spawn };
        Ok(Self { process: start("zvonar serve", &mut command)?, address: config.listen, config: file })
    }

    /// Starts it and waits until it listens.
    pub fn serve(config: &Config, folder: &Path) -> Result<Self, String> {
        let mut host = Self::start(config, folder, &[], false)?;
        host.process.wait_for_line(READY, START_LIMIT)?;
        Ok(host)
    }
}

/// `zvonar farm`: callees whose behaviour follows from the last two digits of the number.
pub struct Farm {
    /// The running process.
    pub process: Process,
    /// Where it takes SIP.
    pub address: SocketAddr,
    /// Its log, one JSON object a line.
    pub log: PathBuf,
}

impl Farm {
    /// Starts it on free ports and waits until it listens.
    pub fn start(folder: &Path) -> Result<Self, String> {
        Self::start_with(folder, &[])
    }

    /// The same with more arguments.
    pub fn start_with(folder: &Path, arguments: &[&str]) -> Result<Self, String> {
        Self::start_on(IpAddr::from([127, 0, 0, 1]), folder, arguments)
    }

    /// The same on another address of this machine.
    pub fn start_on(ip: IpAddr, folder: &Path, arguments: &[&str]) -> Result<Self, String> {
        let address = SocketAddr::from((ip, ports::free_port()));
        let (first, last) = ports::media_range(400);
        let log = folder.join("farm.jsonl");
        let mut command = zvonar(["farm", "--listen", &address.to_string()]);
        command.arg("--log").arg(&log).args(["--media-ports", &format!("{first}-{last}")]).args(arguments);
        let mut process = Process::spawn("zvonar farm", &mut command)?;
        process.wait_for_line(READY, START_LIMIT)?;
        Ok(Self { process, address, log })
    }

    /// What it has written so far.
    pub fn events(&self) -> Result<Vec<serde_json::Value>, String> {
        let text = std::fs::read_to_string(&self.log).map_err(|e| format!("{}: {e}", self.log.display()))?;
        // Its last line may still be on its way.
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }
}

/// One row of `zvonar report --json`.
#[derive(Debug, Clone, Deserialize)]
pub struct Row {
    /// The list's own name for the person.
    pub lead: Option<String>,
    /// Masked.
    pub number: String,
    /// In the words of the reports.
    pub result: String,
    /// Seconds that are charged for the robot.
    pub robot_s: u64,
    /// What the attempt costs.
    pub kopecks: i64,
    /// What the ledger's lines for it add up to.
    pub sum_of_ledger_lines: i64,
    /// What was said and is charged for, in order.
    pub answers: Vec<Answer>,
    /// What of the kopecks is for the answers.
    pub recognition_kopecks: i64,
    /// What of the kopecks is for text messages.
    #[serde(default)]
    pub sms_kopecks: i64,
    /// Started seconds of waiting for whomever the caller was handed to; they are the robot's as well.
    #[serde(default)]
    pub wait_s: u64,
    /// Started seconds of talk with them.
    #[serde(default)]
    pub talk_s: u64,
    /// To whom the caller was handed, in order.
    #[serde(default)]
    pub transfers: Vec<TransferRow>,
}

/// One transfer of a [`Row`].
#[derive(Debug, Clone, Deserialize)]
pub struct TransferRow {
    /// The operator who talked, or who missed the call.
    pub operator: Option<String>,
    /// Whether they talked.
    pub connected: bool,
    /// How it was missed.
    pub missed: Option<String>,
    /// The external number, masked.
    #[serde(default)]
    pub number: Option<String>,
    /// Started seconds of waiting.
    #[serde(default)]
    pub wait_s: u64,
    /// Started seconds of talk.
    #[serde(default)]
    pub talk_s: u64,
}

/// One spoken answer of a [`Row`].
#[derive(Debug, Clone, Deserialize)]
pub struct Answer {
    /// As it was understood.
    pub text: String,
    /// Which of the question's phrases it was.
    pub phrase: Option<String>,
}

/// `zvonar report --json`, taken apart.
#[derive(Debug, Clone)]
pub struct Report {
    /// One per attempt.
    pub rows: Vec<Row>,
    /// The lines as they came, totals included.
    pub lines: Vec<String>,
    /// The last line.
    pub totals: serde_json::Value,
}

impl Report {
    /// Reads what the command printed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines: Vec<String> = text.lines().filter(|l| !l.trim().is_empty()).map(str::to_owned).collect();
        let (totals, rows) = lines.split_last().ok_or("the report is empty")?;
        let rows = rows
            .iter()
            .map(|line| serde_json::from_str(line).map_err(|error| format!("{error} in row {line}")))
            .collect::<Result<_, _>>()?;
        let totals =
            serde_json::from_str(totals).map_err(|error| format!("{error} in the totals {totals}"))?;
        Ok(Self { rows, lines: lines.clone(), totals })
    }

    /// Asks for the report of a host that has ended.
    pub fn of(config: &Path) -> Result<Self, String> {
        let mut command = zvonar(["report", "--json", "--config"]);
        command.arg(config);
        Self::parse(&Process::spawn("zvonar report", &mut command)?.succeed(Duration::from_secs(60))?)
    }

    /// Whether the money adds up: each row to its ledger lines, all rows to the totals. Gives the sum in kopecks.
    pub fn check_sums(&self) -> Result<i64, String> {
        for row in &self.rows {
            if row.kopecks != row.sum_of_ledger_lines {
                return Err(format!("the ledger's lines do not add up to the charge: {row:?}"));
            }
        }
        let sum: i64 = self.rows.iter().map(|row| row.kopecks).sum();
        for name in ["kopecks", "sum_of_ledger_lines"] {
            if self.totals[name].as_i64() != Some(sum) {
                return Err(format!("the rows come to {sum} kopecks, the totals say {}", self.totals));
            }
        }
        Ok(sum)
    }

    /// The rows of one person.
    pub fn of_lead(&self, lead: &Lead) -> Vec<&Row> {
        self.rows.iter().filter(|row| row.lead.as_ref() == Some(&lead.id)).collect()
    }
}

/// `zvonar ledger verify`: recomputes every charge; an error says what does not match.
pub fn verify_ledger(config: &Path) -> Result<String, String> {
    let mut command = zvonar(["ledger", "verify", "--config"]);
    command.arg(config);
    Process::spawn("zvonar ledger verify", &mut command)?.succeed(Duration::from_secs(60))
}
