//! The generator of `tests/bench`: many callers in one process, which measures the lateness of every packet it hears.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;

use crate::{machine, ports, process::Process};

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
