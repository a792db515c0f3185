//! `zvonar serve`: the host.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::Instrument;
use zvonar_dialer::conversation::{Brief, Conversations, machine_settings};
use zvonar_dialer::{Caller, Dialer, Inbound, RunEvent, RunStep, Settled};
use zvonar_model::{PhoneNumber, TenantId};
use zvonar_scenario::Limits;
use zvonar_store::SharedStore;
use zvonar_switch::{Doorway, IncomingCall, Switch, clock};

use super::Failure;
use crate::config::{Config, Project};
use crate::host;

/// What `zvonar serve` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "zvonar.toml")]
    config: PathBuf,
    /// End once the lists of all projects are done.
    #[arg(long)]
    once: bool,
}

/// How long calls in progress may take to end when the host is told to stop; then they are hung up.
const LAST_WORDS: Duration = Duration::from_secs(20);

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let config = Config::load(&arguments.config)?;
    super::runtime(config.node.workers)?.block_on(serve(Arc::new(config), arguments.once))
}

/// What the parts of a running host share.
struct Host {
    config: Arc<Config>,
    conversations: Arc<Conversations>,
    dialers: BTreeMap<TenantId, Dialer>,
}

async fn serve(config: Arc<Config>, once: bool) -> Result<(), Failure> {
    // Everything that can be wrong is found before the first packet leaves.
    let prices = host::price_lists(&config)?;
    let packages = host::open_packages(&config)?;
    let lists = host::read_lists(&config)?;
    let store = host::open_store(&config.node.data)?;
    let engine = host::engine(&config.node.data.join("modules"), host::seats(&config))?;
    let (switch, doorway) = Switch::start(host::switch_config(&config)).await?;
    let recordings = config.media.record.then(|| config.node.data.join("recordings"));
    let machines = config.media.drop_machines.then(machine_settings);
    let conversations = Arc::new(Conversations::new(switch.clone(), Limits::default(), recordings, machines));
    for (tenant, package) in &packages {
        host::publish(&conversations, &engine, tenant, package)?;
    }
    let caller: Arc<dyn Caller> = conversations.clone();
    let mut dialers = BTreeMap::new();
    for (tenant, prices) in prices {
        let dialer = Dialer::new(
            SharedStore::clone(&store),
            prices,
            Arc::clone(&caller),
            Arc::new(clock::wall),
            rand::random(),
        );
        let recovered = dialer.recover(&tenant).await?;
        if recovered.failed + recovered.freed > 0 {
            eprintln!(
                "{tenant}: the last run was cut off; {} attempts count as «Системная ошибка», {} never began",
                recovered.failed, recovered.freed
            );
        }
        dialers.insert(tenant, dialer);
    }
    for (project, list) in config.projects.iter().zip(lists) {
        host::load_project(&dialers[&project.tenant], project, list).await?;
    }
    let host = Arc::new(Host { config, conversations, dialers });
    eprintln!("listening on {}", switch.local_addr());
    let done = work(&host, doorway, once).await;
    drop(host);
    host::close_store(store).await?;
    done
}

/// Takes calls and dials until told to stop, or until all lists are done.
async fn work(host: &Arc<Host>, mut doorway: Doorway, once: bool) -> Result<(), Failure> {
    let (stop, stopped) = watch::channel(false);
    let (progress, mut told) = mpsc::channel(256);
    let mut runs: JoinSet<Result<(), Failure>> = JoinSet::new();
    for at in 0..host.config.projects.len() {
        runs.spawn(dial(Arc::clone(host), at, progress.clone(), stopped.clone()));
    }
    drop(progress);
    let teller = tokio::spawn(async move {
        let mut screen = Screen::new();
        while let Some((project, event)) = told.recv().await {
            screen.show(&project, &event);
        }
        screen.finish();
    });
    let mut talks: JoinSet<()> = JoinSet::new();
    let mut failure = None;
    let mut dialling = !runs.is_empty();
    let stop_signal = super::stop_signal();
    tokio::pin!(stop_signal);
    loop {
        tokio::select! {
            signal = &mut stop_signal => {
                signal?;
                break;
            }
            Some(ended) = runs.join_next(), if !runs.is_empty() => {
                if let Err(why) = ended.unwrap_or_else(|bug| Err(bug.into())) {
                    eprintln!("{why}");
                    failure.get_or_insert(why);
                }
                dialling = !runs.is_empty();
            }
            Some(call) = doorway.next() => {
                talks.spawn(take(Arc::clone(host), call));
            }
            Some(_) = talks.join_next(), if !talks.is_empty() => {}
        }
        if once && !dialling {
            break;
        }
    }
    // No new attempt begins; those in progress may end by themselves, and are then hung up and settled.
    stop.send_replace(true);
    let quiet = async {
        while talks.join_next().await.is_some() {}
        while runs.join_next().await.is_some() {}
    };
    let in_time = tokio::time::timeout(LAST_WORDS, quiet).await.is_ok();
    doorway.shutdown().await?;
    if !in_time {
        // The switch has hung up, so every conversation ends by itself now, and is settled.
        while talks.join_next().await.is_some() {}
        while runs.join_next().await.is_some() {}
    }
    teller.await?;
    failure.map_or(Ok(()), Err)
}

/// Runs one project of the configuration.
async fn dial(
    host: Arc<Host>,
    at: usize,
    progress: mpsc::Sender<(String, RunEvent)>,
    stop: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let Project { tenant, id, .. } = &host.config.projects[at];
    let (events, mut told) = mpsc::channel(64);
    let name = id.to_string();
    let pass_on = async move {
        while let Some(event) = told.recv().await {
            if progress.send((name.clone(), event)).await.is_err() {
                break;
            }
        }
    };
    let run = host.dialers[tenant].run(tenant, id, Some(events), stop);
    let (finished, ()) = tokio::join!(run, pass_on);
    finished.map(|_| ()).map_err(|why| format!("project {id} of tenant {tenant}: {why}").into())
}

/// One call that came in: its route, its conversation, its settling.
async fn take(host: Arc<Host>, call: IncomingCall) {
    let user = &call.about.to_user;
    let routes = &host.config.routes;
    let route = routes.iter().find(|route| route.user == *user);
    let Some(route) = route.or_else(|| routes.iter().find(|route| route.user == "*")) else {
        tracing::info!("a call to a user without a route was refused");
        return call.reject(404, "Not Found").await;
    };
    let dialer = &host.dialers[&route.tenant];
    let inbound = Inbound {
        attempt: dialer.attempt_id(),
        number: PhoneNumber::parse(&call.about.from_user).ok(),
        peer: call.about.from_uri.clone(),
        trunk: None,
        started_at: clock::wall(),
    };
    let brief = Brief {
        attempt: inbound.attempt.clone(),
        tenant: route.tenant.clone(),
        scenario: route.scenario.clone(),
        settings: route.settings.clone(),
        fields: BTreeMap::new(),
        attempt_number: 1,
    };
    let span = tracing::info_span!("attempt", attempt = %brief.attempt, tenant = %route.tenant);
    let talk = async {
        let report = host.conversations.inbound(call, brief).await;
        match dialer.settle_inbound(&route.tenant, inbound, report).await {
            Ok(Settled::Done { .. }) => {}
            Ok(Settled::Orphan { .. }) => tracing::warn!("a call that came in was settled before"),
            Err(why) => tracing::error!(%why, "a call that came in could not be settled"),
        }
    };
    talk.instrument(span).await;
}

/// The progress of the lists: bars on a terminal, lines elsewhere.
struct Screen {
    bars: indicatif::MultiProgress,
    by_project: BTreeMap<String, ProgressBar>,
    terminal: bool,
}

impl Screen {
    fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bars = indicatif::MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        Self { bars, by_project: BTreeMap::new(), terminal }
    }

    fn show(&mut self, project: &str, event: &RunEvent) {
        let counts = event.counts;
        if self.terminal {
            let bar = self.by_project.entry(project.to_owned()).or_insert_with(|| {
                let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg}");
                let bar = ProgressBar::new(counts.leads).with_prefix(project.to_owned());
                self.bars.add(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
            });
            bar.set_length(counts.leads);
            bar.set_position(counts.finished);
            bar.set_message(format!("линий занято: {}, потрачено: {}", counts.lines, counts.spent));
        }
        if let RunStep::Settled { lead, number, outcome, robot_seconds, total, .. } = &event.what {
            let line = format!(
                "{project}: {}/{} {lead} {number}: {}, {robot_seconds} с, {} коп.",
                counts.finished,
                counts.leads,
                outcome.title(),
                total.0
            );
            if self.terminal {
                // A terminal that is gone is no reason to stop dialling.
                let _ = self.bars.println(line);
            } else {
                eprintln!("{line}");
            }
        }
    }

    fn finish(&self) {
        for bar in self.by_project.values() {
            bar.finish();
        }
    }
}
