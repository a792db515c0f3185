//! `zvonar chat`: a talk with a scenario in the terminal.

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use zvonar_ledger::PriceList;
use zvonar_model::{Direction, TalkEnd};
use zvonar_rehearsal::line::{Abilities, Hearing};
use zvonar_rehearsal::script::{During, Script};
use zvonar_rehearsal::{GatewayManner, HELP, Rehearsed, Setup, Stage, Typed, read_now};
use zvonar_scenario::{Limits, Package, TICK};

use super::{Failure, pair};
use crate::host;

/// What `zvonar chat` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The package: the folder with `scenario.toml`.
    package: PathBuf,
    /// One JSON object a line instead of lines for people.
    #[arg(long)]
    json: bool,
    /// Read what the caller does from a file instead of the terminal; where it ends, the caller hangs up.
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// A field of the person's card.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    field: Vec<(String, String)>,
    /// A setting of the scenario.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// The robot is called; usually it calls.
    #[arg(long)]
    inbound: bool,
    /// When the call is, as 2026-03-02T10:00:00+03:00[Europe/Moscow], which is the usual time.
    #[arg(long, value_name = "TIME")]
    now: Option<String>,
    /// What the host lacks.
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    without: Vec<Lacking>,
}

/// What a host may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Lacking {
    Speech,
    Transfers,
    Recordings,
    Sms,
}

pub(crate) fn table() -> String {
    format!("What to type when the robot asks (?):\n\n{HELP}")
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let package = host::open_package(&arguments.package)?;
    let stage = stage(&package, host::module_cache()?.as_path())?;
    let setup = setup(&arguments, &package)?;
    let script = arguments.script.as_ref().map(|file| {
        std::fs::read_to_string(file)
            .map_err(|why| format!("the script {} cannot be read: {why}", file.display()))
    });
    let lines = script.transpose()?.map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    let json = arguments.json;
    if !json {
        super::say(format!(
            "{} {}: {}; /help tells what can be typed",
            package.manifest.name,
            package.manifest.version,
            if arguments.inbound { "the robot is called" } else { "the robot calls, and somebody picks up" }
        ))?;
    }
    let typed = match lines {
        Some(lines) => {
            let mut lines = lines.into_iter();
            Typed::new(move |_| lines.next(), remark(json))
        }
        None => {
            let prompts = !json && std::io::stdin().is_terminal();
            Typed::new(move |during| read_line(during, prompts), remark(json))
        }
    };
    let sounds = Arc::clone(stage.sounds());
    let caller = Script::new(typed, move |prompt: &[_]| sounds.text(prompt));
    // What cannot be printed is the end of the talk: whoever read it has gone.
    let broken = Arc::new(Mutex::new(None));
    let fate = Arc::clone(&broken);
    let rehearsed = stage.play(&setup, caller, move |entry| {
        let printed = if json {
            serde_json::to_string(entry).map_err(Failure::from).and_then(super::say)
        } else {
            super::say(entry)
        };
        if let Err(why) = printed {
            fate.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why.to_string());
        }
    })?;
    if let Some(why) = broken.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(why.into());
    }
    if json { super::say(end(&rehearsed)) } else { sum_up(&rehearsed) }
}

/// Room for a session of anything, and one more: a component with several memories takes as many seats.
pub(super) const SEATS: u32 = 32;

/// Compiles the package, or takes it from the cache.
pub(super) fn stage(package: &Package, cache: &Path) -> Result<Stage, Failure> {
    let module = host::engine(cache, SEATS)?.load(package)?;
    Stage::new(module, PriceList::default(), Limits::default())
        .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n").into())
}

fn setup(arguments: &Arguments, package: &Package) -> Result<Setup, Failure> {
    let filled: BTreeMap<String, String> = arguments.set.iter().cloned().collect();
    let settings = package.manifest.fill_settings(&filled).map_err(|faults| faults.join("\n"))?;
    let lacks = |what| arguments.without.contains(&what);
    let usual = Setup::default();
    let (caller, callee) = match arguments.inbound {
        true => (usual.callee, usual.caller),
        false => (usual.caller, usual.callee),
    };
    Ok(Setup {
        direction: if arguments.inbound { Direction::Inbound } else { Direction::Outbound },
        caller,
        callee,
        now: arguments.now.as_deref().map(read_now).transpose().map_err(|why| format!("--now: {why}"))?,
        fields: arguments.field.iter().cloned().collect(),
        settings,
        abilities: Abilities {
            speech: if lacks(Lacking::Speech) { Hearing::Deaf } else { Hearing::Good },
            transfers: !lacks(Lacking::Transfers),
            recordings: !lacks(Lacking::Recordings),
        },
        gateway: if lacks(Lacking::Sms) { GatewayManner::Absent } else { GatewayManner::Takes },
        ..Setup::default()
    })
}

fn remark(json: bool) -> impl FnMut(&str) + Send + 'static {
    move |text| {
        // A reader that has gone is noticed by what is printed next.
        let _ = match json {
            true => super::say(json!({ "event": "remark", "text": text })),
            false => super::say(text),
        };
    }
}

/// A line from stdin; `None` when it is closed or unreadable.
fn read_line(during: During, prompts: bool) -> Option<String> {
    if prompts {
        let what = match during {
            During::Question | During::Prompt => "> ",
            During::Recording => "recording> ",
            During::Transfer => "transfer> ",
        };
        print!("{what}");
        std::io::stdout().flush().ok()?;
    }
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(line),
    }
}

/// The last object of `--json`.
fn end(rehearsed: &Rehearsed) -> Value {
    let (used, limits) = (&rehearsed.usage, &rehearsed.limits);
    let lines: Vec<Value> = rehearsed
        .charge
        .lines
        .iter()
        .map(|line| json!({ "kind": line.kind, "quantity": line.quantity, "kopecks": line.sum.0, "why": line.why }))
        .collect();
    json!({
        "event": "end",
        "result": rehearsed.result(),
        "set_by": if by_scenario(rehearsed) { "scenario" } else { "system" },
        "hung_up": rehearsed.hung_up,
        "seconds": rehearsed.seconds(),
        "robot_s": rehearsed.charge.robot_seconds,
        "keys": rehearsed.record.keys,
        "kopecks": rehearsed.charge.total.0,
        "lines": lines,
        "fault": rehearsed.fault(),
        "fields": rehearsed.card.written,
        "notes": rehearsed.card.notes,
        "blocked": rehearsed.card.blocked,
        "sms": rehearsed.sms,
        "spent": {
            "host_calls": { "used": used.host_calls, "allowed": limits.host_calls },
            "cpu_ms": { "used": cpu_ms(rehearsed), "allowed_between_words": millis(limits.cpu) },
            "memory_bytes": { "used": used.memory_bytes, "allowed": limits.memory_bytes },
            "log_lines": { "used": used.log_lines, "allowed": limits.log_lines },
            "sms": { "used": used.sms, "allowed": limits.sms },
        },
    })
}

fn sum_up(rehearsed: &Rehearsed) -> Result<(), Failure> {
    let (used, limits) = (&rehearsed.usage, &rehearsed.limits);
    let whose = if by_scenario(rehearsed) { "set by the scenario" } else { "set by the system" };
    super::say("")?;
    super::say(format!("result   {} ({whose})", rehearsed.result()))?;
    if let Some(fault) = rehearsed.fault() {
        super::say(format!("fault    {fault}"))?;
    }
    super::say(format!("call     {} s, the {} hung up", rehearsed.seconds(), rehearsed.hung_up))?;
    super::say(format!("cost     {} kopecks", rehearsed.charge.total.0))?;
    for line in &rehearsed.charge.lines {
        super::say(format!("         {} = {}", line.why, line.sum))?;
    }
    super::say(format!(
        "limits   {} of {} calls to the host; {} ms of CPU, {} ms allowed between two words; {} of {} KiB of memory; \
         {} of {} log lines; {} of {} texts",
        used.host_calls,
        limits.host_calls,
        cpu_ms(rehearsed),
        millis(limits.cpu),
        used.memory_bytes >> 10,
        limits.memory_bytes >> 10,
        used.log_lines,
        limits.log_lines,
        used.sms,
        limits.sms,
    ))
}

fn by_scenario(rehearsed: &Rehearsed) -> bool {
    use zvonar_model::Outcome;
    matches!(rehearsed.record.outcome, Outcome::Answered { result: TalkEnd::Scenario(_) })
}

/// Counted in ticks, so what is far below one shows as nothing.
fn cpu_ms(rehearsed: &Rehearsed) -> u64 {
    u64::from(rehearsed.usage.cpu_ticks) * millis(TICK)
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
