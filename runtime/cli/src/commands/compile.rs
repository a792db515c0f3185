//! `zvonar compile-component`: the child process in which a host compiles scenarios. Not for people.

use std::path::PathBuf;
use std::time::Duration;

use zvonar_scenario::compiler;

use super::Failure;

/// What the host tells its child.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How much address space it may take, in MiB.
    #[arg(long, value_name = "N")]
    memory_mib: u64,
    /// How much CPU it may take, in seconds.
    #[arg(long, value_name = "N")]
    cpu_seconds: u64,
    /// The component.
    component: PathBuf,
    /// Where its code goes.
    code: PathBuf,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { memory_mib, cpu_seconds, component, code } = arguments;
    let memory_bytes = memory_mib.saturating_mul(1 << 20);
    Ok(compiler::compile_here(&component, &code, memory_bytes, Duration::from_secs(cpu_seconds))?)
}
