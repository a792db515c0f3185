//! The generator of `tests/bench`: many callers in one process, which measures the lateness of every packet it hears.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;

use crate::{bystander::Bystander, machine, ports, process::Process};

/// How many times lateness is measured anew, where the machine may have been busy with something else.
const TIMES: u32 = 3;
/// In how many whole ticks of 20 ms all packets may be late: a machine that does other things stalls now and then. A host that
/// is in its own way is late for most of the time.
const LATE_TICKS: u64 = 5;

/// The generator, compiled for one test.
pub struct Callgen {
    program: PathBuf,
    folder: PathBuf,
}

/// Callers of one user of a host.
pub struct Callers {
    process: Process,
    out: PathBuf,
}

impl Callgen {
    /// Compiles it into `folder`.
    ///
    /// # Panics
    ///
    /// If there is no C compiler.
    pub fn compile(folder: &Path) -> Self {
        let program = folder.join("callgen");
        let source = machine::root().join("tests/bench/callgen.c");
        let done = Command::new("cc").arg("-O2").arg("-o").arg(&program).arg(source).arg("-lm").output();
        let done = done.expect("a C compiler");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Self { program, folder: folder.to_owned() }
    }

    /// `calls` calls to `user`, `rate` a second, each hung up after `hold`.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn call(&self, host: SocketAddr, user: &str, (calls, rate): (u32, u32), hold: Duration) -> Callers {
        let at_once = u16::try_from(calls.min(1_000)).expect("at most a thousand");
        let (first, _) = ports::media_range(2 * at_once);
        let out = self.folder.join(format!("callgen-{user}-{first}.json"));
        let mut command = Command::new(&self.program);
        command
            .args(["uac", "--user", user, "--server", &host.to_string()])
            .args(["--listen", &format!("127.0.0.1:{}", ports::free_port())])
            .args(["--rate", &rate.to_string(), "--total", &calls.to_string()])
            .args(["--secs", &(calls / rate).to_string(), "--hold", &hold.as_secs_f64().to_string()])
            .args(["--dtmf-at", "0", "--base-port", &first.to_string(), "--ports", &at_once.to_string()])
            .arg("--out")
            .arg(&out);
        Callers { process: Process::spawn("callgen", &mut command).expect("callgen starts"), out }
    }
}

/// Packets of sound, as [`Callers::figures`] has them: how many came more than 20 ms late, and of how many.
///
/// # Panics
///
/// If the figures are not the generator's.
pub fn late(figures: &Value) -> (u64, u64) {
    let number =
        |name: &str| figures["rtp"][name].as_f64().unwrap_or_else(|| panic!("no {name}: {figures:#}"));
    let all = number("rx");
    ((number("late_20ms_pct") / 100.0 * all).round() as u64, all as u64)
}

/// Has the figures of so many calls measured until their sound was in time, three times at most. While a bystander was kept
/// from its own ticks, the machine did something else, and nothing is said of the host.
///
/// # Panics
///
/// If it was late each time: then it is the host.
pub fn in_time(calls: u32, mut measure: impl FnMut() -> Value) {
    in_time_beside(calls, || {
        let bystander = Bystander::start();
        (measure(), bystander.missed())
    });
}

/// The same, with the ticks that a bystander missed meanwhile.
fn in_time_beside(calls: u32, mut measure: impl FnMut() -> (Value, u64)) {
    let mut seen = Vec::new();
    while seen.len() < TIMES as usize {
        let (figures, missed) = measure();
        let (late, all) = late(&figures);
        // What is late by one stall is caught up with in as much time again.
        let most = (LATE_TICKS + 2 * missed) * u64::from(calls);
        if late <= most {
            return;
        }
        seen.push(format!("{late} of {all}, where {most} may"));
        eprintln!("{late} of {all} packets came more than 20 ms late, and {most} may: once more");
    }
    panic!("each time too many packets were late: {}", seen.join("; "));
}

impl Callers {
    /// Waits until all have hung up, and gives the figures: `ok`, `failed`, `fail`, `rtp`.
    ///
    /// # Panics
    ///
    /// If they talk longer than `limit`.
    pub fn figures(mut self, limit: Duration) -> Value {
        // It ends with 1 if a call failed; the figures say which, so the status itself is not asked for.
        self.process.wait(limit).expect("the callers hang up");
        let text = fs::read_to_string(&self.out).expect("callgen writes its figures");
        serde_json::from_str(&text).expect("its figures are JSON")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stall_of_the_machine_is_measured_again_and_a_host_that_is_always_late_is_told() {
        // 20 calls of 850 packets; the generator writes percents with four digits.
        let figures = |late: u32| json!({ "rtp": { "rx": 17_000, "late_20ms_pct": (1e6 * f64::from(late) / 17_000.0).round() / 1e4 } });
        for count in [0, 1, 99, 100, 101, 17_000] {
            assert_eq!(late(&figures(count)), (count.into(), 17_000));
        }
        let mut stalls = [101, 4_000, 100].into_iter();
        in_time_beside(20, || (figures(stalls.next().expect("three times")), 0));
        assert_eq!(stalls.next(), None);
        // The machine stood still for a second: fifty ticks, and as many to make up for them.
        in_time_beside(20, || (figures(2_100), 50));
        let told = std::panic::catch_unwind(|| in_time_beside(20, || (figures(101), 0))).unwrap_err();
        let told = told.downcast_ref::<String>().expect("a sentence");
        assert!(told.matches("101 of 17000, where 100 may").count() == 3, "{told}");
    }
}
