//! What `./zv` runs: set-up of the machine, guests, demo, tests, measurements.
//!
//! Each command installs what it needs and says so; what is already there is left alone. Everything that is not a
//! result goes to stderr, so that `./zv demo --json` can be read by a program.

mod apt;
mod bench;
mod costs;
mod crowd;
mod demo;
mod guest;
mod leads;
mod music;
mod prompts;
mod shell;
mod speech;
mod suite;
mod table;
mod toolchain;
mod verdict;

use std::process::ExitCode;

const HELP: &str = "\
./zv COMMAND

  demo [--json] [--keep] [--no-speech] [--no-operators]
                              a host calls a farm of 27 pretend callees, two operators take calls; ends within 90 s
                              --json: one JSON object per attempt, then the totals
                              --keep: leave the configuration, the store and the farm's log in place
                              --no-speech: nobody speaks, and no recogniser is compiled
                              --no-operators: nobody is handed on, and no telephones are installed
  test [FILTER]               everything that must be true: peers, guests, unit and end-to-end tests
  setup                       install what the tests need (SIPp, baresip and tshark from Debian)
  guests                      build the example scenarios, in every language whose tools can be had
  bench [ivr|hold|idle|ramp|all] [--quick]
                              calls per second, calls at once, memory of a call, beside the floor program
  bench guests [--quick]      what each example scenario costs, beside an embedded QuickJS
  bench bridges [CALLS]       what two joined calls cost, and how late their packets are, beside a plain UDP relay: 200
  bench leads [--quick]       a million contacts: import, start, claims at 100 calls/s, reports, beside SQLite
  speech                      get what speech recognition needs, and hear thirty sentences and noises with it
  speech crowd                twenty callers talk at once: is the sound late, is each answer understood or told as busy
  abuse [SECONDS]             what stops each misdeed of a scenario, and what fifty neighbours lose by it
  kill-soak [KILLS [LEADS]]   kill -9 of a dialling host at random moments of its list: 50 2000
  sms-soak [KILLS]            kill -9 of a host at random moments while it sends text messages to a stand: 100
  sms-table                   what happens to text messages in an hour of each trouble of SMSC
  month [SEED]                a month of 50 projects and 200,000 leads on a pretend clock, against an oracle
  reload-soak [CALLS DEPLOYS SECONDS]
                              deploys under live calls, at full size: 500 10 60
  check                       cargo fmt --check, clippy, and cargo deny where it is installed
  fmt                         cargo fmt
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.split_first() {
        Some((&"demo", rest)) => demo::run(rest),
        Some((&"test", rest)) => suite::test(rest),
        Some((&"setup", [])) => apt::ensure(suite::PEERS),
        Some((&"guests", [])) => build_guests(),
        Some((&"bench", ["guests"])) => costs::guests(false),
        Some((&"bench", ["guests", "--quick"])) => costs::guests(true),
        Some((&"bench", ["bridges", calls @ ..])) => bench::bridges(calls),
        Some((&"bench", ["leads"])) => leads::bench(false),
        Some((&"bench", ["leads", "--quick"])) => leads::bench(true),
        Some((&"speech", [])) => speech::run(),
        Some((&"speech", ["crowd"])) => crowd::run(20),
        Some((&"abuse", rest)) => costs::abuse(rest),
        Some((&"bench", rest)) => bench::run(rest),
        Some((&"kill-soak", rest)) => suite::kill_soak(rest),
        Some((&"sms-soak", rest)) => suite::sms_soak(rest),
        Some((&"sms-table", [])) => suite::sms_table(),
        Some((&"month", rest)) => suite::month(rest),
        Some((&"reload-soak", rest)) => suite::reload_soak(rest),
        Some((&"check", [])) => suite::check(),
        Some((&"fmt", [])) => shell::cargo(&["fmt", "--all"]),
        None | Some((&("help" | "--help" | "-h"), _)) => {
            print!("{HELP}");
            Ok(())
        }
        Some(_) => Err(format!("there is no `{}`\n\n{HELP}", arguments.join(" "))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("zv: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Builds every example scenario, saying what is missing if it cannot.
fn build_guests() -> Result<(), String> {
    shell::step("building the example scenarios");
    guest::build_all()
}

/// Builds those that the demonstration and the measurements need.
fn build_basic_guests() -> Result<(), String> {
    shell::step("building the example scenarios");
    guest::build_basic()
}
