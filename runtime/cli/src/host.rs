//! What several commands need of a host: the sandbox, packages, their clips.

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;
use zvonar_campaign::Register;
use zvonar_campaign::{Ending, ProjectStatus};
use zvonar_dialer::conversation::{Clips, Scene};
use zvonar_dialer::deployments::{DeployError, Deployments, RolloutEvent, TenantSetup, Use};
use zvonar_dialer::desks::{DeskSettings, Desks, Exchange, Sounds, TransferRules};
use zvonar_dialer::{Dialer, DialerError, NewLead, NewProject, Policy, Tables};
use zvonar_ledger::PriceList;
use zvonar_model::{Millis, TenantId};
use zvonar_scenario::{Compiler, Engine, EngineConfig, Package, Registry};
use zvonar_store::{SharedStore, SledOptions, SledStore};
use zvonar_switch::{MediaConfig, Network, PhoneBook, Switch, SwitchConfig, TrunkConfig, clock};

use crate::commands::Failure;
use crate::config::{Config, Project, Tenant};
use crate::leads;

/// Where compiled scenarios are kept for commands that have no data folder: below the user's cache folder.
pub(crate) fn module_cache() -> Result<PathBuf, Failure> {
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let cache = cache.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    let cache =
        cache.ok_or("neither XDG_CACHE_HOME nor HOME is set, so there is no place for compiled scenarios")?;
    Ok(cache.join("zvonar").join("modules"))
}

/// A scenario that carries an interpreter takes several seats for one session; any engine has room for one of those.
const FEWEST_SEATS: u32 = 8;

/// A sandbox with room for so many sessions. It compiles in a child process, so that calls in progress and whoever else
/// uses the machine keep it.
pub(crate) fn engine(cache: &Path, sessions: u32) -> Result<Engine, Failure> {
    Ok(Engine::new(&EngineConfig {
        max_sessions: sessions.max(FEWEST_SEATS),
        compiler: Some(Compiler::this_program()),
        ..EngineConfig::new(cache)
    })?)
}

/// Opens a package; all its faults are told at once.
pub(crate) fn open_package(folder: &Path) -> Result<Package, Failure> {
    Ok(Package::open(folder)?)
}

/// Encodes the package's clips; all that keeps it from being heard is told at once.
pub(crate) fn load_clips(package: &Package) -> Result<Clips, Failure> {
    zvonar_dialer::conversation::load_clips(package).map_err(|faults| faults.join("\n").into())
}

/// Compiles a package, so that it is ready for calls.
pub(crate) fn scene(engine: &Engine, package: &Package) -> Result<Scene, Failure> {
    Scene::load(engine, package).map_err(|faults| faults.join("\n").into())
}

/// The price list of each tenant; every faulty file is told.
pub(crate) fn price_lists(config: &Config) -> Result<BTreeMap<TenantId, Arc<PriceList>>, Failure> {
    let (mut lists, mut faults) = (BTreeMap::new(), Vec::new());
    for tenant in &config.tenants {
        let list = match &tenant.tariff {
            None => Ok(PriceList::default()),
            Some(path) => match std::fs::read_to_string(path) {
                Ok(text) => PriceList::from_toml(&text).map_err(|why| format!("{}: {why}", path.display())),
                Err(why) => Err(format!("the tariff {} cannot be read: {why}", path.display())),
            },
        };
        match list {
            Ok(list) => drop(lists.insert(tenant.id.clone(), Arc::new(list))),
            Err(why) => faults.push(why),
        }
    }
    told(lists, faults)
}

/// All packages of the configuration.
pub(crate) fn open_packages(config: &Config) -> Result<Vec<(TenantId, Package)>, Failure> {
    let (mut packages, mut faults) = (Vec::new(), Vec::new());
    for scenario in &config.scenarios {
        let Some(folder) = &scenario.package else { continue };
        match Package::open(folder) {
            Ok(package) if package.manifest.name != scenario.name.as_str() => faults.push(format!(
                "the package {} calls itself `{}`, and the configuration calls it `{}`; one of them must give way",
                folder.display(),
                package.manifest.name,
                scenario.name
            )),
            Ok(package) => packages.push((scenario.tenant.clone(), package)),
            Err(why) => faults.push(why.to_string()),
        }
    }
    told(packages, faults)
}

/// The versions of all tenants' scenarios: those of the store, and those of the configuration that are new.
pub(crate) async fn deployments(
    config: &Config,
    packages: Vec<(TenantId, Package)>,
    parts: (Engine, Arc<Registry<Scene>>, &SharedStore, &BTreeMap<TenantId, Arc<PriceList>>),
    policies: &BTreeMap<TenantId, Policy>,
    events: mpsc::Sender<RolloutEvent>,
) -> Result<Deployments, Failure> {
    let (engine, scenes, store, prices) = parts;
    let tenants = config.tenants.iter().map(|tenant| TenantSetup {
        tables: Tables::new(SharedStore::clone(store), prices[&tenant.id].clone(), tenant.id.clone())
            .with_policy(policies[&tenant.id].clone()),
        grant: tenant.grant,
        uses: uses(config, &tenant.id),
    });
    let (clock, scratch) = (Arc::new(clock::wall), config.node.data.join("unpacked"));
    let hears = config.speech.as_ref().map(|speech| speech.language.clone());
    let tenants = tenants.collect();
    let deployments = Deployments::new(engine, scenes, tenants, clock, scratch, hears, Some(events))?;
    deployments.restore().await?;
    let mut faults = Vec::new();
    for (tenant, package) in packages {
        let (name, folder) = (package.manifest.name.clone(), package.folder.clone());
        match deployments.configure(&tenant, package).await {
            Ok(_) => {}
            Err(DeployError::Refused(why)) => faults.extend(why),
            Err(why) => {
                faults.push(format!("{name} of {tenant} ({}): {why}", folder.display()));
            }
        }
    }
    if faults.is_empty() {
        faults = deployments.check_uses();
    }
    told(deployments, faults)
}

/// Who runs this tenant's scenarios with which settings.
fn uses(config: &Config, tenant: &TenantId) -> Vec<Use> {
    let routes = config.routes.iter().filter(|route| route.tenant == *tenant).map(|route| Use {
        whose: format!("route {}", route.user),
        scenario: route.scenario.clone(),
        settings: route.settings.clone(),
    });
    let projects = config.projects.iter().filter(|project| project.tenant == *tenant).map(|project| Use {
        whose: format!("project {}", project.id),
        scenario: project.scenario.clone(),
        settings: project.settings.clone(),
    });
    routes.chain(projects).collect()
}

/// The contact lists of all projects, in their order.
pub(crate) fn read_lists(config: &Config) -> Result<Vec<Vec<leads::Row>>, Failure> {
    let (mut lists, mut faults) = (Vec::new(), Vec::new());
    for project in &config.projects {
        match leads::read(&project.leads) {
            Ok(rows) => lists.push(rows),
            Err(why) => faults.push(why.to_string()),
        }
    }
    told(lists, faults)
}

fn told<T>(value: T, faults: Vec<String>) -> Result<T, Failure> {
    if faults.is_empty() { Ok(value) } else { Err(faults.join("\n").into()) }
}

/// Sessions at once that the configuration asks for; the kernel's memory maps may allow fewer.
pub(crate) fn seats(config: &Config) -> u32 {
    if config.node.calls == 0 { u32::MAX } else { u32::try_from(config.node.calls).unwrap_or(u32::MAX) }
}

/// The switch that the configuration describes. `phones`: whose telephones may register, if any.
pub(crate) fn switch_config(config: &Config, phones: Option<Arc<PhoneBook>>) -> SwitchConfig {
    let trunk = |trunk: &crate::config::Trunk| TrunkConfig {
        id: trunk.id.clone(),
        address: trunk.address,
        lines: trunk.lines,
        calls_per_second: trunk.calls_per_second,
        caller: trunk.caller.clone(),
        login: trunk.login.clone(),
        tenants: trunk.tenants.clone(),
    };
    let network = |net: &ipnet::IpNet| Network { address: net.addr(), prefix: net.prefix_len() };
    SwitchConfig {
        listen: config.sip.listen,
        advertise: config.sip.advertise,
        allow: config.sip.allow.iter().map(network).collect(),
        per_source: config.sip.per_source,
        trunks: config.trunks.iter().map(trunk).collect(),
        media: MediaConfig {
            ports: config.media.ports.clone(),
            threads: config.media.threads,
            ..MediaConfig::new(config.media.address)
        },
        calls: if config.node.calls == 0 { 10_000 } else { config.node.calls },
        phones,
        seed: rand::random(),
    }
}

/// How often callers are told their place when there are sounds for it and nobody says.
const TOLD_EVERY: Millis = Millis(30_000);

/// The desks of all tenants, with the telephones that are registered at the switch.
pub(crate) async fn desks(
    config: &Config,
    switch: &Switch,
    store: &SharedStore,
    prices: &BTreeMap<TenantId, Arc<PriceList>>,
    policies: &BTreeMap<TenantId, Policy>,
) -> Result<Desks, Failure> {
    let mut tenants = Vec::new();
    for tenant in &config.tenants {
        let tables = Tables::new(store.clone(), Arc::clone(&prices[&tenant.id]), tenant.id.clone());
        let desk = &tenant.desk;
        let transfers = TransferRules {
            trunk: desk
                .transfer_trunk
                .clone()
                .or_else(|| config.trunks_of(&tenant.id).next().map(|trunk| trunk.id.clone())),
            operators_may_call: desk.operators_may_call.clone(),
            at_once: desk.transfers_at_once,
            per_hour: desk.transfers_per_hour,
            ..TransferRules::default()
        };
        let mut settings =
            DeskSettings { queue: desk.settings.clone(), transfers, ..DeskSettings::default() };
        if desk.sounds.is_some() {
            settings.queue.tell_every.get_or_insert(TOLD_EVERY);
        }
        if let Some(folder) = &tenant.desk.sounds {
            settings.sounds = Sounds::load(folder)
                .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
            if settings.sounds.is_empty() {
                return Err(format!(
                    "the folder {} of tenant {} holds none of the sounds that callers hear in the queue: put \
                     queue-position-1.wav to queue-position-9.wav and queue-wait.wav there, or leave out `sounds`",
                    folder.display(),
                    tenant.id
                )
                .into());
            }
        }
        tenants.push((tables.with_policy(policies[&tenant.id].clone()), settings));
    }
    // The wall's time may be set back in mid-run; whoever waits in a queue does not wait longer for it.
    let (wall, began) = (clock::wall(), clock::now());
    let now = move || wall.plus(clock::now().saturating_duration_since(began));
    Ok(Desks::open(tenants, Arc::new(Exchange(switch.clone())), Arc::new(now)).await?)
}

/// Where the register of number ranges is kept: a file of its own, since it belongs to no tenant.
pub(crate) fn register_path(config: &Config) -> PathBuf {
    config.node.data.join("numbering.txt")
}

/// The register of number ranges that was loaded, or the sample that ships.
pub(crate) fn register(config: &Config) -> Result<Arc<Register>, Failure> {
    let path = register_path(config);
    match std::fs::read_to_string(&path) {
        Ok(text) => Register::from_text(&text)
            .map(Arc::new)
            .map_err(|why| format!("{}: {why}", path.display()).into()),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(Register::sample()),
        Err(why) => Err(format!("the register {} cannot be read: {why}", path.display()).into()),
    }
}

/// What holds for all projects of each tenant.
pub(crate) fn policies(config: &Config) -> Result<BTreeMap<TenantId, Policy>, Failure> {
    let register = register(config)?;
    let paces = Arc::default();
    let policy = |tenant: &Tenant| Policy {
        register: Arc::clone(&register),
        caps: tenant.caps,
        paces: Arc::clone(&paces),
    };
    Ok(config.tenants.iter().map(|tenant| (tenant.id.clone(), policy(tenant))).collect())
}

/// Whose tables a command works on.
#[derive(Debug, clap::Args)]
pub(crate) struct Office {
    /// The configuration of the host.
    #[arg(long, value_name = "FILE", default_value = "zvonar.toml")]
    pub(crate) config: PathBuf,
    /// The tenant; absent: the only one of the configuration.
    #[arg(long, value_name = "ID")]
    pub(crate) tenant: Option<TenantId>,
}

/// Does something with the tables of a tenant, on a store that no host has open.
pub(crate) fn with_tables<T>(
    office: &Office,
    work: impl AsyncFnOnce(&Tables) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let config = Config::load(&office.config)?;
    let prices = price_lists(&config)?;
    let policies = policies(&config)?;
    let known: Vec<&TenantId> = config.tenants.iter().map(|tenant| &tenant.id).collect();
    let listed = || known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let tenant = match (&office.tenant, &*known) {
        (Some(wanted), known) if known.contains(&wanted) => wanted,
        (Some(_), _) => {
            return Err(format!("the configuration has no such tenant; it has: {}", listed()).into());
        }
        (None, [only]) => *only,
        (None, _) => return Err(format!("say whose with --tenant; there are: {}", listed()).into()),
    };
    crate::commands::runtime(1)?.block_on(async {
        let store = open_store(&config.node.data)?;
        let tables = Tables::new(store.clone(), prices[tenant].clone(), tenant.clone());
        let done = work(&tables.with_policy(policies[tenant].clone())).await;
        close_store(store).await?;
        done
    })
}

/// Makes the data folder: for whoever runs the host and his group, since numbers, voices and proofs of passwords are in it.
/// One that is there stays as its owner has it.
fn own_folder(data: &Path) -> Result<(), Failure> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o750).create(data);
    made.map_err(|why| format!("the data folder {} cannot be made: {why}", data.display()).into())
}

/// Opens the store below the data folder.
pub(crate) fn open_store(data: &Path) -> Result<SharedStore, Failure> {
    own_folder(data)?;
    Ok(Arc::new(SledStore::open(&data.join("store"), SledOptions::default())?))
}

/// Waits until the last write of a store is on the disk, and closes it.
pub(crate) async fn close_store(store: SharedStore) -> Result<(), Failure> {
    // Closing joins the flusher's thread, which may wait for the disk.
    tokio::task::spawn_blocking(move || drop(store)).await.map_err(Into::into)
}

/// A project of the configuration, as the dialler takes it.
pub(crate) fn new_project(project: &Project) -> NewProject {
    NewProject {
        project: project.id.clone(),
        title: project.id.to_string(),
        scenario: project.scenario.clone(),
        settings: project.settings.clone(),
        trunk: project.trunk.clone(),
        lines: project.lines,
        calls_per_second: project.calls_per_second,
        ring: project.ring,
        rules: project.rules.clone(),
        priority: project.priority,
    }
}

/// The rows of a list, as the dialler takes them.
pub(crate) fn new_leads(list: Vec<leads::Row>) -> Vec<NewLead> {
    list.into_iter()
        .map(|row| NewLead { lead: row.lead, numbers: row.phones, fields: row.fields, tags: row.tags })
        .collect()
}

/// Stores a project of the configuration as it is written now, and the leads of its list that are not there yet: a
/// restart continues where the last run stopped. The first time, it is started; a project that a person paused or
/// finished stays so; one that was over by itself is started again when its list has brought new contacts. `most`: how
/// many of the tenant's projects may be active.
pub(crate) async fn load_project(
    dialer: &Dialer,
    project: &Project,
    list: Vec<leads::Row>,
    most: u32,
) -> Result<(), Failure> {
    let tables = dialer.tables(&project.tenant);
    let (row, first) = tables.put_project(new_project(project), dialer.now()).await?;
    let leads = new_leads(list);
    let added = tables.add_leads(&project.id, leads).await?;
    for (lead, why) in &added.refused {
        eprintln!("{}: {lead} is not dialled: {why}", project.id);
    }
    let over = matches!(row.status, ProjectStatus::Finished { by: Ending::Done | Ending::Idle });
    let started = if first {
        tables.start_configured(new_project(project), most, dialer.now()).await
    } else if over && added.added > 0 {
        tables.start_project(&project.id, most, dialer.now()).await
    } else {
        return Ok(());
    };
    match started {
        Ok(_) => Ok(()),
        Err(why @ (DialerError::TooManyActive { .. } | DialerError::BadProject { .. })) => {
            eprintln!("{}: «{}»: {why}", project.id, ProjectStatus::Paused);
            Ok(())
        }
        Err(why) => Err(why.into()),
    }
}
