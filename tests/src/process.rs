//! A child process that cannot outlive the one who started it, with its output at hand.
//!
//! # Invariants
//!
//! * Dropping a [`Process`] kills it and waits for it.
//! * When our own process dies without a chance to drop anything, the kernel kills the child (`PR_SET_PDEATHSIG`). It
//!   does so when the *thread* that started the child ends: start a process in the thread that uses it.
//! * Kept output is bounded: the first half of [`LINES_KEPT`] lines and the newest.

use std::{
    collections::VecDeque,
    io::{self, BufRead, BufReader, Read},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use crate::clock;

/// How many lines of each of stdout and stderr are kept.
pub const LINES_KEPT: usize = 20_000;

#[derive(Default)]
struct Kept {
    first: Vec<String>,
    last: VecDeque<String>,
    dropped: usize,
}

impl Kept {
    fn push(&mut self, line: String) {
        if self.first.len() < LINES_KEPT / 2 {
            self.first.push(line);
            return;
        }
        if self.last.len() == LINES_KEPT / 2 {
            self.last.pop_front();
            self.dropped += 1;
        }
        self.last.push_back(line);
    }

    fn lines(&self) -> Vec<String> {
        let gap = (self.dropped > 0).then(|| format!("[{} lines left out]", self.dropped));
        self.first.iter().cloned().chain(gap).chain(self.last.iter().cloned()).collect()
    }
}

type Shared = Arc<Mutex<Kept>>;

/// A running child. See the module's invariants.
pub struct Process {
    name: String,
    child: Child,
    ended: Option<ExitStatus>,
    stdout: Shared,
    stderr: Shared,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts `command`, keeping what it prints. `name` stands in errors.
    pub fn spawn(name: &str, command: &mut Command) -> Result<Self, String> {
        Self::start(name, command, false)
    }

    /// The same; its stderr is also shown on ours as it comes.
    pub fn spawn_shown(name: &str, command: &mut Command) -> Result<Self, String> {
        Self::start(name, command, true)
    }

    fn start(name: &str, command: &mut Command, show: bool) -> Result<Self, String> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // SAFETY: prctl is async-signal-safe and touches nothing of ours; it only marks the new process.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            });
        }
        let mut child = command
            .spawn()
            .map_err(|error| format!("cannot start {name} ({:?}): {error}", command.get_program()))?;
        let (stdout, stderr) = (Shared::default(), Shared::default());
        let readers = vec![
            read(child.stdout.take().expect("stdout was piped"), Arc::clone(&stdout), false),
            read(child.stderr.take().expect("stderr was piped"), Arc::clone(&stderr), show),
        ];
        Ok(Self { name: name.to_owned(), child, ended: None, stdout, stderr, readers })
    }

    /// The kernel's id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.poll().is_none()
    }

    fn poll(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Waits for the end. A process that is still there after `limit` is killed, and that is an error.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus, String> {
        if clock::within(limit, || self.poll().is_some()) {
            self.join_readers();
            return Ok(self.ended.expect("it was seen to end"));
        }
        self.kill();
        Err(format!("{} did not end in {limit:?}\n{}", self.name, self.output()))
    }

    /// Waits for the end and wants it to be a good one; gives what it wrote to stdout.
    pub fn succeed(&mut self, limit: Duration) -> Result<String, String> {
        let status = self.wait(limit)?;
        if status.success() {
            Ok(self.stdout())
        } else {
            Err(format!("{} ended with {status}\n{}", self.name, self.output()))
        }
    }

    /// Waits until a line of stdout or stderr holds `text`, and gives that line.
    pub fn wait_for_line(&mut self, text: &str, limit: Duration) -> Result<String, String> {
        let mut found = None;
        let mut gone = false;
        clock::within(limit, || {
            // The end is asked first: what was printed before it is then complete enough to be searched once more.
            gone = self.poll().is_some();
            if gone {
                self.join_readers();
            }
            found = self.find(text);
            found.is_some() || gone
        });
        found.ok_or_else(|| {
            let how = if gone { "ended without printing" } else { "did not print" };
            format!("{} {how} `{text}` within {limit:?}\n{}", self.name, self.output())
        })
    }

    fn find(&self, text: &str) -> Option<String> {
        [&self.stdout, &self.stderr].into_iter().find_map(|kept| {
            let kept = lock(kept);
            kept.first.iter().chain(&kept.last).find(|line| line.contains(text)).cloned()
        })
    }

    /// What it wrote to stdout so far.
    pub fn stdout(&self) -> String {
        lock(&self.stdout).lines().join("\n")
    }

    /// What it wrote to stderr so far.
    pub fn stderr(&self) -> String {
        lock(&self.stderr).lines().join("\n")
    }

    /// Both, for error messages.
    pub fn output(&self) -> String {
        format!(
            "--- {} stdout\n{}\n--- {} stderr\n{}\n---",
            self.name,
            self.stdout(),
            self.name,
            self.stderr()
        )
    }

    /// SIGKILL, as the kernel or a power cut would do it, and waits until it is gone.
    pub fn kill(&mut self) {
        if self.poll().is_none() {
            let _ = self.child.kill();
            self.ended = self.child.wait().ok();
        }
        self.join_readers();
    }

    /// SIGTERM, as a service manager would do it. Waits for a tidy end; after `limit` it is killed, and that is an error.
    pub fn terminate(&mut self, limit: Duration) -> Result<ExitStatus, String> {
        if self.poll().is_none() {
            // SAFETY: the process is ours and has not been waited for, so the id is still its own.
            unsafe { libc::kill(self.child.id() as libc::pid_t, libc::SIGTERM) };
        }
        self.wait(limit)
    }

    fn join_readers(&mut self) {
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.poll().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        // Readers are not joined: a grandchild may hold the pipe open, and nobody wants the text any more.
    }
}

/// Whether it was killed or crashed rather than having ended by itself.
pub fn died_of_signal(status: ExitStatus) -> bool {
    status.signal().is_some()
}

fn lock(kept: &Shared) -> std::sync::MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(from: impl Read + Send + 'static, into: Shared, show: bool) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        loop {
            line.clear();
            match from.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {
                    let text = String::from_utf8_lossy(&line);
                    let text = text.trim_end_matches(['\n', '\r']);
                    if show {
                        eprintln!("{text}");
                    }
                    lock(&into).push(text.to_owned());
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        Process::spawn("shell", Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn output_of_both_kinds_is_kept_and_waited_for() {
        let mut process = shell("echo one; echo two >&2; sleep 0.1; echo three; exit 3");
        assert_eq!(process.wait_for_line("thr", Duration::from_secs(5)), Ok("three".into()));
        assert_eq!(process.wait(Duration::from_secs(5)).unwrap().code(), Some(3));
        assert_eq!((process.stdout().as_str(), process.stderr().as_str()), ("one\nthree", "two"));
        assert!(process.wait_for_line("four", Duration::from_secs(5)).unwrap_err().contains("ended without"));
    }

    #[test]
    fn a_process_that_hangs_is_killed_at_its_limit() {
        let mut process = shell("exec sleep 60");
        assert!(process.wait(Duration::from_millis(100)).unwrap_err().contains("did not end"));
        assert!(!process.is_running());
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let process = shell("exec sleep 60");
        let folder = format!("/proc/{}", process.id());
        assert!(std::path::Path::new(&folder).exists());
        drop(process);
        assert!(!std::path::Path::new(&folder).exists());
    }

    #[test]
    fn of_a_flood_the_first_and_the_last_lines_are_kept() {
        let mut kept = Kept::default();
        (0..LINES_KEPT + 7).for_each(|line| kept.push(line.to_string()));
        let lines = kept.lines();
        assert_eq!((lines.len(), lines[0].as_str()), (LINES_KEPT + 1, "0"));
        assert_eq!(lines[LINES_KEPT / 2], "[7 lines left out]");
        assert_eq!(lines.last().unwrap(), &(LINES_KEPT + 6).to_string());
    }
}
