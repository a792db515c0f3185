//! Compiling in a child process, so that somebody's upload does not take the machine from everybody's calls.
//!
//! A component is compiled in tenths of a second or in tens of seconds, and a hostile one for as long as it likes. The
//! child is this very program under another command. It is the last in the queue for the CPU (nice 19, one thread), has
//! a bound on its memory and on its time, and is killed when either is spent or when its parent dies.
//!
//! ```text
//! Engine::load ── cache miss ──▶ Compiler ── zvonar compile-component IN OUT ──▶ compile_here
//!                                  kills it after `time`                  limits itself, compiles, writes OUT
//! ```

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::engine;

/// The command that a binary must understand to be its own compiler; it then calls [`compile_here`].
pub const COMMAND: &str = "compile-component";
/// The last in the queue for the CPU.
const NICE: libc::c_int = 19;
/// How often the child is looked after, at first and at most.
const SHORT_NAP: Duration = Duration::from_millis(1);
const LONG_NAP: Duration = Duration::from_millis(20);
/// How much of a child's last words is kept, in bytes.
const WORDS: u64 = 4096;

/// How components are compiled in a child process.
#[derive(Debug, Clone)]
pub struct Compiler {
    /// What is run.
    pub program: PathBuf,
    /// What it is told before the limits and the files.
    pub arguments: Vec<OsString>,
    /// How long one component may take. Default: 120 s.
    pub time: Duration,
    /// How much address space the child may have, in bytes. Default: 2 GiB; a Python component takes 0.4.
    pub memory_bytes: u64,
}

/// Why the child gave no code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompilerError {
    /// It said why: the component is at fault.
    #[error("{0}")]
    Refused(String),
    /// [`Compiler::time`] was spent.
    #[error("compiling it took more than {} s, and was stopped", .0.as_secs_f32())]
    TooSlow(Duration),
    /// [`Compiler::memory_bytes`] was spent.
    #[error("compiling it took more than {} MiB of memory, and was stopped", .0 >> 20)]
    TooMuchMemory(u64),
    /// Something on our side.
    #[error("the compiler failed: {0}")]
    Failed(String),
}

impl Compiler {
    /// This very program: it must understand [`COMMAND`].
    pub fn this_program() -> Self {
        // The link means the running program even after an update has replaced its file.
        Self::new("/proc/self/exe", [COMMAND])
    }

    /// A program that understands `[arguments] --memory-mib N --cpu-seconds N IN OUT`.
    pub fn new<A: Into<OsString>>(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        Self {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            time: Duration::from_secs(120),
            memory_bytes: 2 << 30,
        }
    }

    /// Has the child compile the component in one file into another. Blocks.
    pub(crate) fn compile(&self, component: &Path, code: &Path) -> Result<(), CompilerError> {
        let failed = |doing: &str, error: io::Error| CompilerError::Failed(format!("{doing}: {error}"));
        let mut command = Command::new(&self.program);
        command
            .arg0("zvonar")
            .args(&self.arguments)
            .args(["--memory-mib", &(self.memory_bytes >> 20).to_string()])
            .args(["--cpu-seconds", &self.time.as_secs().max(1).to_string()])
            .args([component, code])
            // Tokens of the environment are none of a compiler's business.
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| failed("it cannot be started", error))?;
        let stderr = child.stderr.take();
        // Read beside the waiting: a child that fills the pipe would stand still.
        let words = std::thread::Builder::new().name("compiler-words".into()).spawn(move || {
            let mut words = Vec::new();
            if let Some(mut stderr) = stderr {
                let _ = stderr.by_ref().take(WORDS).read_to_end(&mut words);
                let _ = io::copy(&mut stderr, &mut io::sink());
            }
            String::from_utf8_lossy(&words).trim().to_owned()
        });
        let ended = match &words {
            Ok(_) => wait(&mut child, self.time),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        let status = match ended {
            Ok(Some(status)) => status,
            stopped => {
                // It may have ended by itself this very moment; either way it is reaped.
                let _ = child.kill();
                let _ = child.wait();
                return Err(match stopped {
                    Err(error) => failed("it cannot be waited for", error),
                    Ok(_) => CompilerError::TooSlow(self.time),
                });
            }
        };
        let words = words.ok().and_then(|reader| reader.join().ok()).unwrap_or_default();
        self.judge(status, words)
    }

    /// What the child's end means.
    fn judge(&self, status: ExitStatus, words: String) -> Result<(), CompilerError> {
        // In the words of Rust's allocator before it aborts, of its errors, and of the kernel's.
        let no_memory = ["memory allocation of", "out of memory", "Cannot allocate memory"];
        if status.success() {
            Ok(())
        } else if no_memory.iter().any(|mark| words.contains(mark)) || out_of_stack(status) {
            Err(CompilerError::TooMuchMemory(self.memory_bytes))
        } else if status.signal() == Some(libc::SIGXCPU) {
            Err(CompilerError::TooSlow(self.time))
        } else if status.code() == Some(1) && !words.is_empty() {
            Err(CompilerError::Refused(words))
        } else {
            Err(CompilerError::Failed(format!("{status}; {words}")))
        }
    }
}

/// Waits for the end of a child; `None` when it takes too long. What is counted is the time slept: nothing here needs
/// to know it better.
fn wait(child: &mut Child, time: Duration) -> io::Result<Option<ExitStatus>> {
    let (mut slept, mut nap) = (Duration::ZERO, SHORT_NAP);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if slept >= time {
            return Ok(None);
        }
        std::thread::sleep(nap);
        slept += nap;
        nap = (nap * 2).min(LONG_NAP);
    }
}

/// The child's side: takes the limits upon itself, then compiles the component in `component` and writes its code to
/// `code`. The error is a sentence for stderr; the process should end with 1 then.
pub fn compile_here(component: &Path, code: &Path, memory_bytes: u64, cpu: Duration) -> Result<(), String> {
    limit_this_process(memory_bytes, cpu).map_err(|error| format!("the limits cannot be set: {error}"))?;
    let read = |error| format!("{} cannot be read: {error}", component.display());
    let bytes = fs::read(component).map_err(read)?;
    let mut settings = engine::compile_settings();
    settings.parallel_compilation(false);
    let sandbox = wasmtime::Engine::new(&settings).map_err(|error| format!("{error:#}"))?;
    let compiled = sandbox.precompile_component(&bytes).map_err(|error| format!("{error:#}"))?;
    fs::write(code, compiled).map_err(|error| format!("{} cannot be written: {error}", code.display()))
}

/// Last in the queue, little memory, little time, no core dump, and gone with its parent.
fn limit_this_process(memory_bytes: u64, cpu: Duration) -> io::Result<()> {
    let limit = |which, most: u64| {
        let most = libc::rlimit { rlim_cur: most, rlim_max: most };
        // SAFETY: the structure is whole, and lives as long as the call.
        done(unsafe { libc::setrlimit(which, &most) })
    };
    limit(libc::RLIMIT_AS, memory_bytes)?;
    // The hard limit is what the kernel kills by; a second later, so that the soft one tells which limit it was.
    let seconds = cpu.as_secs().max(1);
    let most = libc::rlimit { rlim_cur: seconds, rlim_max: seconds + 1 };
    // SAFETY: as above.
    done(unsafe { libc::setrlimit(libc::RLIMIT_CPU, &most) })?;
    limit(libc::RLIMIT_CORE, 0)?;
    // SAFETY: plain numbers; no memory is involved.
    done(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) })?;
    // SAFETY: plain numbers; no memory is involved.
    done(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong) })
}

/// A stack that cannot grow under the limit ends a program without a word; a compiler in safe Rust has no other way to
/// this signal that we know of.
fn out_of_stack(status: std::process::ExitStatus) -> bool {
    status.signal() == Some(libc::SIGSEGV)
}

fn done(answer: libc::c_int) -> io::Result<()> {
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
