//! One file a command.

pub(crate) mod answers;
pub(crate) mod blacklist;
pub(crate) mod build;
pub(crate) mod call;
mod cases;
pub(crate) mod chat;
pub(crate) mod check;
pub(crate) mod compile;
pub(crate) mod consent;
pub(crate) mod deploy;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod farm;
pub(crate) mod import;
pub(crate) mod lead;
pub(crate) mod ledger;
pub(crate) mod model;
pub(crate) mod new;
pub(crate) mod numbers;
pub(crate) mod operator;
pub(crate) mod pack;
pub(crate) mod phrases;
pub(crate) mod project;
pub(crate) mod rate;
pub(crate) mod rehearse;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod rollback;
pub(crate) mod serve;
pub(crate) mod sms;
pub(crate) mod smsc_stand;
pub(crate) mod test;
pub(crate) mod token;
pub(crate) mod versions;
pub(crate) mod watch;
pub(crate) mod webhook;

/// What stops a command: a sentence for the person who called it.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Reads `NAME=VALUE`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The runtime of the commands that talk to a network: `workers` threads for signalling, scenarios and storage.
pub(crate) fn runtime(workers: usize) -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()
}

/// Comes back when somebody asks the process to stop (Ctrl-C, or SIGTERM).
pub(crate) async fn stop_signal() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed,
        _ = terminate.recv() => Ok(()),
    }
}

/// Prints a line on stdout. A reader that has gone (`| head`) has seen enough: the process ends without a word.
pub(crate) fn say(line: impl std::fmt::Display) -> Result<(), Failure> {
    use std::io::Write;
    match writeln!(std::io::stdout(), "{line}") {
        Err(why) if why.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        done => Ok(done?),
    }
}
