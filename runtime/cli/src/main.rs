//! The `zvonar` binary: commands, configuration, wiring. The only place that names concrete engines.

mod callbacks;
mod client;
mod commands;
mod config;
mod desk;
mod host;
mod leads;
mod listening;
mod operators;
mod retention;
mod rows;
mod seats;
mod texts;
mod webhooks;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Zvonar: a host for telephone robots whose call logic is WebAssembly.
#[derive(Debug, Parser)]
#[command(name = "zvonar", version, about, propagate_version = true)]
struct Arguments {
    /// What to log to stderr: `info`, `debug`, or a filter as `zvonar_switch=debug,info`.
    #[arg(long, global = true, env = "ZVONAR_LOG", default_value = "warn", value_name = "FILTER")]
    log_filter: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Begin a scenario: a folder that builds and passes its tests at once.
    New(commands::new::Arguments),
    /// Build a scenario: its component, and the prompts that a machine is to speak.
    Build(commands::build::Arguments),
    /// Check a scenario package: every fault at once.
    Check(commands::check::Arguments),
    /// Run the conversations of a package: its tests, on a virtual clock.
    #[command(after_long_help = commands::test::format())]
    Test(commands::test::Arguments),
    /// Talk with a scenario in the terminal: no telephone, no waiting.
    #[command(after_help = commands::chat::table())]
    Chat(commands::chat::Arguments),
    /// Make one file of a package.
    Pack(commands::pack::Arguments),
    /// Put a package into use on a running host.
    Deploy(commands::deploy::Arguments),
    /// Build, test and deploy a package whenever it is saved.
    Watch(commands::watch::Arguments),
    /// Tell which versions a running host has in use, and which it had.
    Versions(commands::versions::Arguments),
    /// Go back to the version before on a running host, or to another one.
    Rollback(commands::rollback::Arguments),
    /// Make a canary the live version on a running host, or give it more of the calls.
    Promote(commands::rollback::Promote),
    /// Show what another version of a scenario would have done on recorded calls.
    Replay(commands::replay::Arguments),
    /// Run the host: take calls, dial the projects of the configuration.
    Serve(commands::serve::Arguments),
    /// Place one call and run a scenario on it.
    Call(commands::call::Arguments),
    /// Answer calls as a farm of pretend callees, for demonstrations and tests.
    #[command(after_help = commands::farm::table())]
    Farm(commands::farm::Arguments),
    /// Take text messages as a pretend SMSC, for demonstrations and tests.
    #[command(after_help = commands::smsc_stand::table())]
    SmscStand(commands::smsc_stand::Arguments),
    /// Look after text messages.
    #[command(subcommand)]
    Sms(commands::sms::Command),
    /// Make projects, edit, start, pause and finish them.
    #[command(subcommand)]
    Project(commands::project::Command),
    /// Look after the leads of a project.
    #[command(subcommand)]
    Lead(commands::lead::Command),
    /// Look after operators: who takes calls, by which telephone, and whether he is there.
    #[command(subcommand)]
    Operator(commands::operator::Command),
    /// Bring a contact list into a project: CSV or XLSX, of any length.
    Import(commands::import::Arguments),
    /// Write the leads of a project into a table: CSV or XLSX.
    Export(commands::export::Arguments),
    /// Tell what became of the calls: a row per attempt, and the sum.
    Report(commands::report::Arguments),
    /// Rehearse a project with pretend callees: how long it takes, how many lines, how many kopecks.
    Rehearse(commands::rehearse::Arguments),
    /// Look after the ledger.
    #[command(subcommand)]
    Ledger(commands::ledger::Command),
    /// Tell what a call costs, line by line, and why.
    Rate(commands::rate::Arguments),
    /// Look after the blacklist: numbers that nobody calls.
    #[command(subcommand)]
    Blacklist(commands::blacklist::Command),
    /// Look after consents: who agreed to be called, and what for.
    #[command(subcommand)]
    Consent(commands::consent::Command),
    /// Look after webhooks: what the tenant's own programs were told.
    #[command(subcommand)]
    Webhook(commands::webhook::Command),
    /// Look after the register of number ranges.
    #[command(subcommand)]
    Numbers(commands::numbers::Command),
    /// Have the dialler's rules explain themselves.
    #[command(subcommand)]
    Explain(commands::explain::Command),
    /// Look after the models that speech is recognised with.
    #[command(subcommand)]
    Model(commands::model::Command),
    /// Hear recorded answers as a call would.
    #[command(subcommand)]
    Answers(commands::answers::Command),
    /// Measure phrases against what callers said.
    #[command(subcommand)]
    Phrases(commands::phrases::Command),
    /// Make a token, with which a tenant deploys.
    Token(commands::token::Arguments),
    /// Compile a component: what a host has its child do.
    #[command(name = zvonar_scenario::compiler::COMMAND, hide = true)]
    CompileComponent(commands::compile::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = match EnvFilter::try_new(&arguments.log_filter) {
        Ok(filter) => filter,
        Err(why) => {
            eprintln!("--log-filter: `{}` is no filter: {why}", arguments.log_filter);
            return ExitCode::from(2);
        }
    };
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
    let done = match arguments.command {
        Command::New(arguments) => commands::new::run(arguments),
        Command::Build(arguments) => commands::build::run(arguments),
        Command::Check(arguments) => commands::check::run(arguments),
        Command::Test(arguments) => commands::test::run(arguments),
        Command::Chat(arguments) => commands::chat::run(arguments),
        Command::Pack(arguments) => commands::pack::run(arguments),
        Command::Deploy(arguments) => commands::deploy::run(arguments),
        Command::Watch(arguments) => commands::watch::run(arguments),
        Command::Versions(arguments) => commands::versions::run(arguments),
        Command::Rollback(arguments) => commands::rollback::run(arguments),
        Command::Promote(arguments) => commands::rollback::promote(arguments),
        Command::Replay(arguments) => commands::replay::run(arguments),
        Command::Serve(arguments) => commands::serve::run(arguments),
        Command::Call(arguments) => commands::call::run(arguments),
        Command::Farm(arguments) => commands::farm::run(arguments),
        Command::SmscStand(arguments) => commands::smsc_stand::run(arguments),
        Command::Sms(command) => commands::sms::run(command),
        Command::Project(command) => commands::project::run(command),
        Command::Lead(command) => commands::lead::run(command),
        Command::Operator(command) => commands::operator::run(command),
        Command::Import(arguments) => commands::import::run(&arguments),
        Command::Export(arguments) => commands::export::run(&arguments),
        Command::Report(arguments) => commands::report::run(arguments),
        Command::Rehearse(arguments) => commands::rehearse::run(arguments),
        Command::Ledger(command) => commands::ledger::run(command),
        Command::Rate(arguments) => commands::rate::run(arguments),
        Command::Blacklist(command) => commands::blacklist::run(command),
        Command::Consent(command) => commands::consent::run(command),
        Command::Webhook(command) => commands::webhook::run(command),
        Command::Numbers(command) => commands::numbers::run(command),
        Command::Explain(command) => commands::explain::run(command),
        Command::Model(command) => commands::model::run(command),
        Command::Answers(command) => commands::answers::run(command),
        Command::Phrases(command) => commands::phrases::run(command),
        Command::Token(arguments) => commands::token::run(arguments),
        Command::CompileComponent(arguments) => commands::compile::run(arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
