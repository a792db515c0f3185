//! `zvonar serve`: the host.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::Instrument;
use zvonar_api::{Server, TokenHash};
use zvonar_campaign::{ACTIVE_PROJECTS, ProjectStatus};
use zvonar_dialer::conversation::{Brief, Conversations, Listening, machine_settings};
use zvonar_dialer::deployments::RolloutEvent;
use zvonar_dialer::operators::operator_of_user;
use zvonar_dialer::{Caller, Dialer, Halted, Inbound, Keep, RunEvent, RunStep, Settled};
use zvonar_model::{PhoneNumber, TenantId};
use zvonar_scenario::{Limits, Registry};
use zvonar_store::SharedStore;
use zvonar_switch::{Doorway, IncomingCall, PhoneBook, Switch, clock};

use super::Failure;
use crate::callbacks::News;
use crate::config::Config;
use crate::operators::Operators;
use crate::texts::Offices;
use crate::{host, listening, retention, seats, webhooks};

/// What `zvonar serve` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "zvonar.toml")]
    config: PathBuf,
    /// End once no active project has anything left to do; fail if one could not be dialled.
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
    operators: Operators,
}

impl Host {
    /// How many projects of a tenant may be active at once.
    fn most_active(&self, tenant: &TenantId) -> u32 {
        let found = self.config.tenants.iter().find(|one| one.id == *tenant);
        found.map_or(ACTIVE_PROJECTS, |tenant| tenant.grant.active_projects)
    }

    fn tokens(&self) -> Vec<(TenantId, TokenHash)> {
        let tenants = self.config.tenants.iter();
        let tokens =
            tenants.flat_map(|tenant| tenant.tokens.iter().map(|token| (tenant.id.clone(), token.clone())));
        tokens.collect()
    }
}

async fn serve(config: Arc<Config>, once: bool) -> Result<(), Failure> {
    // Everything that can be wrong is found before the first packet leaves.
    let prices = host::price_lists(&config)?;
    let packages = host::open_packages(&config)?;
    let lists = host::read_lists(&config)?;
    let policies = host::policies(&config)?;
    let mut webhooks = webhooks::setups(&config)?;
    let offices = Offices::open(&config, &policies)?;
    let news = Arc::new(News(offices.texts()));
    let store = host::open_store(&config.node.data)?;
    let listening = match &config.speech {
        None => None,
        Some(speech) => {
            let recogniser = listening::recogniser(speech)?;
            eprintln!("speech is recognised by {} ({})", recogniser.model(), recogniser.language());
            Some(Listening { recogniser, answers: config.node.data.join("answers") })
        }
    };
    let engine = host::engine(&config.node.modules, host::seats(&config))?;
    let (rollouts, rollouts_told) = mpsc::channel(256);
    let scenes = Arc::new(Registry::default());
    let parts = (engine, Arc::clone(&scenes), &store, &prices);
    let deployments = host::deployments(&config, packages, parts, &policies, rollouts).await?;
    let http = match config.http {
        Some(listen) => Some(Server::listen(listen).await?),
        None => None,
    };
    let phones = config.phones.as_ref().map(|phones| Arc::new(PhoneBook::new(&phones.realm)));
    let (switch, doorway) = Switch::start(host::switch_config(&config, phones.clone())).await?;
    let recordings = config.media.record.then(|| config.node.data.join("recordings"));
    let machines = config.media.drop_machines.then(machine_settings);
    let grants = config.tenants.iter().map(|tenant| (tenant.id.clone(), tenant.grant));
    let conversations = Conversations::new(switch.clone(), Limits::default(), recordings, machines);
    let desks = host::desks(&config, &switch, &store, &prices, &policies).await?;
    let conversations = conversations.over(scenes).with_grants(grants).listening(listening);
    let conversations = conversations.with_desks(desks.clone()).with_texts(offices.posts());
    let conversations = Arc::new(conversations);
    let caller: Arc<dyn Caller> = conversations.clone();
    let mut dialers = BTreeMap::new();
    for (tenant, prices) in prices {
        let dialer = Dialer::new(
            SharedStore::clone(&store),
            prices,
            Arc::clone(&caller),
            Arc::new(clock::wall),
            rand::random(),
        )
        .with_policy(policies[&tenant].clone());
        let named = config.tenants.iter().find(|named| named.id == tenant);
        let dialer = match named {
            Some(named) if !named.desk.follow_queue => dialer,
            _ => dialer.with_pressure(Arc::new(desks.clone())),
        };
        let dialer = match named.and_then(|named| named.prepaid) {
            Some(prepaid) => dialer.with_prepaid(tenant.clone(), prepaid),
            None => dialer,
        };
        desks.pay_by(&tenant, &dialer);
        let recovered = dialer.recover(&tenant).await?;
        if recovered.failed + recovered.freed > 0 {
            eprintln!(
                "{tenant}: the last run was cut off; {} attempts count as «Системная ошибка», {} never began",
                recovered.failed, recovered.freed
            );
        }
        if recovered.called_back > 0 {
            eprintln!("{tenant}: {} who waited for a person then will be called back", recovered.called_back);
        }
        dialers.insert(tenant, dialer);
    }
    for (project, list) in config.projects.iter().zip(lists) {
        let tenant = config.tenants.iter().find(|tenant| tenant.id == project.tenant);
        let most = tenant.map_or(ACTIVE_PROJECTS, |tenant| tenant.grant.active_projects);
        host::load_project(&dialers[&project.tenant], project, list, most).await?;
    }
    let operators = Operators::open(&config, &dialers, phones, &desks).await?;
    let host = Arc::new(Host { config, conversations, dialers, operators });
    let (progress, progress_told) = mpsc::channel(256);
    let teller = tokio::spawn(tell(progress_told, rollouts_told));
    let (stop, stopped) = watch::channel(false);
    let (over, all_over) = watch::channel(false);
    let keeper = {
        let deployments = deployments.clone();
        tokio::spawn(async move { deployments.keep(all_over).await })
    };
    let retention = {
        let (config, all_over) = (Arc::clone(&host.config), over.subscribe());
        tokio::spawn(async move { retention::keep(&config, all_over).await })
    };
    let told = host
        .dialers
        .iter()
        .map(|(tenant, dialer)| (dialer.tables(tenant), webhooks.remove(tenant).unwrap_or_default()));
    let told = tokio::spawn(webhooks::keep(told.collect(), over.subscribe()));
    let seats = {
        let (host, all_over) = (Arc::clone(&host), over.subscribe());
        tokio::spawn(async move { seats::keep(&host.dialers, all_over).await })
    };
    let mut texts = offices.keep(&host.dialers, &over.subscribe());
    let served = http.map(|server| {
        eprintln!("deploy at http://{}", server.address());
        let router = zvonar_api::router(
            deployments.clone(),
            &host.operators.staff,
            host.tokens(),
            Arc::new(clock::wall),
        );
        let router = router.merge(zvonar_api::callbacks(news, Arc::new(clock::wall)));
        tokio::spawn(server.serve(router, stopped.clone()))
    });
    eprintln!("listening on {}", switch.local_addr());
    let mut done = work(&host, doorway, once, &stop, progress).await;
    if once && !texts.is_empty() {
        let tables: Vec<_> = host.dialers.iter().map(|(tenant, dialer)| dialer.tables(tenant)).collect();
        crate::texts::settled(&tables).await;
    }
    tell_sums(&switch, &host);
    // Calls are over. What was asked over HTTP is finished, and the calls of the versions are written down.
    stop.send_replace(true);
    if let Some(served) = served {
        joined(served.await, "the HTTP interface");
    }
    deployments.close().await;
    desks.close().await;
    over.send_replace(true);
    while let Some(ended) = texts.join_next().await {
        done = done.and(ended.unwrap_or_else(|bug| Err(bug.into())));
    }
    joined(keeper.await, "the keeper of the versions");
    joined(retention.await, "the removal of old answers");
    joined(told.await, "the webhooks");
    joined(seats.await, "the subscription fee");
    drop((deployments, host, caller));
    joined(teller.await, "the progress");
    host::close_store(store).await?;
    done
}

/// How the sound went, and what was recognised: the first thing to look at where callers complain.
fn tell_sums(switch: &Switch, host: &Host) {
    let sound = switch.media_stats();
    eprintln!(
        "sound: {} packets left, {} later than 20 ms, {} never",
        sound.packets_sent, sound.late_20ms, sound.skipped
    );
    if host.config.speech.is_some() {
        let counts = host.conversations.speech_counts();
        let [answers, busy, without_words] =
            [&counts.answers, &counts.busy, &counts.without_words].map(|count| count.load(Ordering::Relaxed));
        eprintln!("speech: {answers} answers, {without_words} voices without words, {busy} times busy");
    }
}

/// A task that stopped at a broken invariant is told; whatever it did is over.
fn joined(ended: Result<(), tokio::task::JoinError>, what: &str) {
    if let Err(bug) = ended {
        tracing::error!(%bug, "a bug stopped {what}");
    }
}

/// Shows what happens until nobody is left who could tell.
async fn tell(mut progress: mpsc::Receiver<RunEvent>, mut rollouts: mpsc::Receiver<RolloutEvent>) {
    let mut screen = Screen::new();
    loop {
        tokio::select! {
            Some(event) = progress.recv() => screen.show(event.project.as_str(), &event),
            Some(RolloutEvent { tenant, scenario, text }) = rollouts.recv() => {
                screen.line(format!("{tenant}: {scenario}: {text}"));
            }
            else => break,
        }
    }
    screen.finish();
}

/// Takes calls and dials until told to stop, or until all lists are done.
async fn work(
    host: &Arc<Host>,
    mut doorway: Doorway,
    once: bool,
    stop: &watch::Sender<bool>,
    progress: mpsc::Sender<RunEvent>,
) -> Result<(), Failure> {
    let mut runs: JoinSet<Result<(), Failure>> = JoinSet::new();
    for tenant in host.dialers.keys() {
        runs.spawn(dial(Arc::clone(host), tenant.clone(), once, progress.clone(), stop.subscribe()));
    }
    drop(progress);
    let mut talks: JoinSet<Result<(), Failure>> = JoinSet::new();
    let mut failure = None;
    let mut asked = 0;
    let stop_signal = super::stop_signal();
    tokio::pin!(stop_signal);
    // A host whose store has failed takes no calls that it cannot charge: whoever runs it starts it again.
    let mut is_broken = false;
    while !(once && runs.is_empty()) && (once || !is_broken) {
        tokio::select! {
            signal = &mut stop_signal => {
                signal?;
                asked = 1;
                break;
            }
            Some(ended) = runs.join_next(), if !runs.is_empty() => is_broken |= note(ended, &mut failure),
            call = doorway.next() => match call {
                Some(call) => drop(talks.spawn(take(Arc::clone(host), call))),
                None => {
                    failure = Some("the SIP task is gone; the log says why".into());
                    break;
                }
            },
            Some(ended) = talks.join_next(), if !talks.is_empty() => is_broken |= note(ended, &mut failure),
        }
    }
    // No new attempt begins; those in progress may end by themselves, and are then hung up and settled.
    stop.send_replace(true);
    let deadline = tokio::time::sleep(if failure.is_some() { Duration::ZERO } else { LAST_WORDS });
    tokio::pin!(deadline);
    while !(talks.is_empty() && runs.is_empty()) {
        tokio::select! {
            () = &mut deadline => break,
            // Whoever asks a second time does not want to wait.
            signal = super::stop_signal(), if asked > 0 => {
                signal?;
                break;
            }
            Some(call) = doorway.next() => call.reject(503, "Shutting Down").await,
            Some(ended) = runs.join_next(), if !runs.is_empty() => drop(note(ended, &mut failure)),
            Some(ended) = talks.join_next(), if !talks.is_empty() => drop(note(ended, &mut failure)),
        }
    }
    if let Err(why) = doorway.shutdown().await {
        failure.get_or_insert_with(|| format!("the SIP task failed: {why}").into());
    }
    // The switch has hung up, so every conversation has ended or ends now, and is settled.
    while let Some(ended) = runs.join_next().await {
        note(ended, &mut failure);
    }
    while let Some(ended) = talks.join_next().await {
        note(ended, &mut failure);
    }
    failure.map_or(Ok(()), Err)
}

/// Tells a failure of a task at once; the first one is what the process ends with. `true`: the task says that it cannot go
/// on.
fn note(ended: Result<Result<(), Failure>, tokio::task::JoinError>, failure: &mut Option<Failure>) -> bool {
    // A bug of ours in one call says nothing of the others.
    let (why, is_told) = match ended {
        Ok(Ok(())) => return false,
        Ok(Err(why)) => (why, true),
        Err(bug) => (bug.into(), false),
    };
    tracing::error!(%why, "a task of the host failed");
    failure.get_or_insert(why);
    is_told
}

/// Dials the projects of a tenant, those of the configuration and others. `once`: until none has anything left to do; a
/// project that could not be dialled is a failure then.
async fn dial(
    host: Arc<Host>,
    tenant: TenantId,
    once: bool,
    events: mpsc::Sender<RunEvent>,
    stop: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let most_active = host.most_active(&tenant);
    let keep = Keep { events: Some(events), once, most_active };
    let halted = host.dialers[&tenant].keep(&tenant, keep, stop).await;
    let halted = halted.map_err(|why| format!("the projects of tenant {tenant}: {why}"))?;
    match halted.first().filter(|_| once) {
        None => Ok(()),
        Some(Halted { project, why }) => Err(format!("project {project} of tenant {tenant}: {why}").into()),
    }
}

/// One call that came in: its route, its conversation, its settling.
async fn take(host: Arc<Host>, call: IncomingCall) -> Result<(), Failure> {
    if let Some(account) = call.about.account.clone() {
        // An operator who asks a colleague before he hands a caller on; all else that his telephone may dial is a code.
        let whose = operator_of_user(&account).map(|(tenant, _)| tenant);
        if let (Some(tenant), Some(board)) = (whose, host.conversations.switchboard())
            && board.desks.find(&tenant, &call.about.to_user).is_some()
        {
            let colleague = call.about.to_user.clone();
            board.consult(call, &tenant, &colleague).await;
            return Ok(());
        }
        host.operators.take(call, &account).await;
        return Ok(());
    }
    let user = &call.about.to_user;
    let routes = &host.config.routes;
    let route = routes.iter().find(|route| route.user == *user);
    let Some(route) = route.or_else(|| routes.iter().find(|route| route.user == "*")) else {
        tracing::info!("a call to a user without a route was refused");
        call.reject(404, "Not Found").await;
        return Ok(());
    };
    let dialer = &host.dialers[&route.tenant];
    let source = call.about.flow.remote.ip();
    // Callers are handed on by the trunk that they came by, where the tenant may.
    let trunk = host.config.trunks_of(&route.tenant).find(|trunk| trunk.address.ip() == source);
    let inbound = Inbound {
        attempt: dialer.attempt_id(),
        number: PhoneNumber::parse(&call.about.from_user).ok(),
        peer: call.about.from_uri.clone(),
        trunk: trunk.map(|trunk| trunk.id.clone()),
        started_at: clock::wall(),
    };
    let brief = Brief {
        attempt: inbound.attempt.clone(),
        tenant: route.tenant.clone(),
        project: None,
        lead: None,
        scenario: route.scenario.clone(),
        settings: route.settings.clone(),
        fields: BTreeMap::new(),
        attempt_number: 1,
        number: inbound.number.clone(),
    };
    let span = tracing::info_span!("attempt", attempt = %brief.attempt, tenant = %route.tenant);
    let talk = async {
        let _alive = dialer.alive_attempt(&inbound.attempt);
        let report = match AssertUnwindSafe(host.conversations.inbound(call, brief)).catch_unwind().await {
            Ok(report) => report,
            Err(_) => {
                tracing::error!("a bug stopped a call that came in");
                dialer.broken_off(&route.tenant, &inbound.attempt).await
            }
        };
        match dialer.settle_inbound(&route.tenant, inbound, report).await {
            Ok(Settled::Done { .. }) => Ok(()),
            Ok(Settled::Orphan { .. }) => {
                tracing::warn!("a call that came in was settled before");
                Ok(())
            }
            Err(why) if why.is_broken_store() => {
                Err(format!("a call that came in could not be settled: {why}").into())
            }
            Err(why) => {
                tracing::error!(%why, "a call that came in could not be settled");
                Ok(())
            }
        }
    };
    talk.instrument(span).await
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
        match &event.what {
            RunStep::Over { status: ProjectStatus::Error { why } } => {
                self.line(format!("{project}: «Ошибка»: {why}"));
            }
            RunStep::Over { status } => self.line(format!("{project}: «{status}»")),
            _ => {}
        }
        if let RunStep::Settled { lead, number, outcome, robot_seconds, total, .. } = &event.what {
            let line = format!(
                "{project}: {}/{} {lead} {number}: {}, {robot_seconds} с, {} коп.",
                counts.finished,
                counts.leads,
                outcome.title(),
                total.0
            );
            self.line(line);
        }
    }

    /// Nobody looking on any more is no reason to stop dialling.
    fn line(&self, line: String) {
        if self.terminal {
            let _ = self.bars.println(line);
        } else {
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }

    fn finish(&self) {
        for bar in self.by_project.values() {
            bar.finish();
        }
    }
}
