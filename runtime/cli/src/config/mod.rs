//! The host's configuration: one TOML file, checked whole before anything starts.

mod desk;
mod reader;
mod rules;
#[cfg(test)]
mod tests;
mod texts;
mod trunk;
mod webhooks;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use toml::de::DeTable;
use zvonar_api::TokenHash;
use zvonar_campaign::Caps;
use zvonar_campaign::USUAL_PRIORITY;
use zvonar_dialer::operators::MOST_OPERATORS;
use zvonar_dialer::{DialRules, Grant, Prepaid};
use zvonar_model::{Kopecks, ProjectId, ScenarioName, TenantId, TrunkId};
use zvonar_scenario::Limits;

pub(crate) use desk::{Phones, TenantDesk};
use reader::{Faults, Section};
pub(crate) use texts::Sms;
pub(crate) use trunk::Trunk;
pub(crate) use webhooks::Webhook;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration {} cannot be read: {source}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Everything that is wrong with it, a sentence each.
    #[error("{}\n{} in the configuration; nothing was started", .0.join("\n"), faults(.0.len()))]
    Faults(Vec<String>),
}

fn faults(n: usize) -> String {
    if n == 1 { "1 fault".into() } else { format!("{n} faults") }
}

/// The whole configuration; every name in it that refers to another is known to exist.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) node: Node,
    pub(crate) sip: Sip,
    pub(crate) media: Media,
    /// Recognition of speech; `None`: there is none.
    pub(crate) speech: Option<Speech>,
    /// The HTTP interface; `None`: there is none.
    pub(crate) http: Option<SocketAddr>,
    /// Operators' telephones; `None`: none may register.
    pub(crate) phones: Option<Phones>,
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) trunks: Vec<Trunk>,
    pub(crate) scenarios: Vec<Scenario>,
    pub(crate) routes: Vec<Route>,
    pub(crate) projects: Vec<Project>,
}

/// This machine.
#[derive(Debug)]
pub(crate) struct Node {
    /// The store, recordings and compiled modules live here.
    pub(crate) data: PathBuf,
    /// Compiled scenarios live here.
    pub(crate) modules: PathBuf,
    /// Threads for scenarios, signalling and storage.
    pub(crate) workers: usize,
    /// Calls with a scenario at once; 0: as many as the kernel's memory maps allow.
    pub(crate) calls: usize,
}

/// Signalling.
#[derive(Debug)]
pub(crate) struct Sip {
    pub(crate) listen: SocketAddr,
    /// The address that far ends should see, when it is not the one we listen on.
    pub(crate) advertise: Option<IpAddr>,
    /// Who may send to us, besides the trunks.
    pub(crate) allow: Vec<IpNet>,
    /// Datagrams a second that one address may send.
    pub(crate) per_source: u32,
}

/// Sound.
#[derive(Debug)]
pub(crate) struct Media {
    pub(crate) address: IpAddr,
    pub(crate) ports: RangeInclusive<u16>,
    pub(crate) threads: usize,
    /// Record every call of a scenario into the data folder.
    pub(crate) record: bool,
    /// Hang up at once when an answering machine picks up.
    pub(crate) drop_machines: bool,
}

/// Recognition of speech.
#[derive(Debug, Clone)]
#[cfg_attr(
    not(feature = "whisper"),
    expect(dead_code, reason = "the language alone matters without a recogniser")
)]
pub(crate) struct Speech {
    /// The model, by its name in `zvonar model list`.
    pub(crate) model: String,
    /// The language of the callers, as `ru`.
    pub(crate) language: String,
    /// Threads that recognise, each as quick as one core.
    pub(crate) workers: usize,
    /// Answers that may wait for one of them; whoever comes then is told that the recogniser is busy.
    pub(crate) queue: usize,
}

/// One customer of the host.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) id: TenantId,
    /// The tariff's file; `None`: the tariff that ships.
    pub(crate) tariff: Option<PathBuf>,
    /// How it pays beforehand; `None`: it is asked afterwards.
    pub(crate) prepaid: Option<Prepaid>,
    /// What it may use.
    pub(crate) grant: Grant,
    /// How often one number may be called by all its projects together.
    pub(crate) caps: Caps,
    /// For how many days the sounds of answers are kept.
    pub(crate) answers_days: u32,
    /// How it sends text messages; `None`: it sends none.
    pub(crate) sms: Option<Sms>,
    /// Who may act for it over HTTP.
    pub(crate) tokens: Vec<TokenHash>,
    /// Its queue of callers who wait for operators.
    pub(crate) desk: TenantDesk,
    /// Which of its own programs are told what happens.
    pub(crate) webhooks: Vec<Webhook>,
}

impl Config {
    /// The trunks by which a tenant may call.
    pub(crate) fn trunks_of<'a>(&'a self, tenant: &'a TenantId) -> impl Iterator<Item = &'a Trunk> {
        self.trunks.iter().filter(|trunk| trunk.serves(tenant))
    }
}

/// A scenario of a tenant.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) tenant: TenantId,
    pub(crate) name: ScenarioName,
    /// `None`: it is deployed over HTTP alone.
    pub(crate) package: Option<PathBuf>,
}

/// Which scenario answers a called user.
#[derive(Debug)]
pub(crate) struct Route {
    /// `*`: whoever has no route of his own.
    pub(crate) user: String,
    pub(crate) tenant: TenantId,
    pub(crate) scenario: ScenarioName,
    pub(crate) settings: BTreeMap<String, String>,
}

/// A contact list to dial.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) id: ProjectId,
    pub(crate) tenant: TenantId,
    pub(crate) trunk: TrunkId,
    pub(crate) scenario: ScenarioName,
    pub(crate) lines: u32,
    pub(crate) calls_per_second: u32,
    pub(crate) ring: Duration,
    /// 1 to 9: where lines are short, the higher goes first.
    pub(crate) priority: u8,
    pub(crate) rules: DialRules,
    pub(crate) leads: PathBuf,
    pub(crate) settings: BTreeMap<String, String>,
}

/// `20000-29999`.
struct Ports(RangeInclusive<u16>);

impl std::str::FromStr for Ports {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, last) = text.split_once('-').ok_or("there is no dash")?;
        let port = |text: &str| text.trim().parse::<u16>().map_err(|_| "a port is a number from 1 to 65535");
        let (first, last) = (port(first)?, port(last)?);
        match last.checked_sub(first) {
            Some(1..) if first >= 1024 => Ok(Self(first..=last)),
            Some(1..) => Err("ports below 1024 belong to other services"),
            _ => Err("the range holds no pair of ports"),
        }
    }
}

/// Reads a range of ports as the configuration writes it, for command lines.
pub(crate) fn parse_ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    text.parse::<Ports>().map(|ports| ports.0).map_err(String::from)
}

const ADDRESS: &str = "an address with a port, as 192.0.2.10:5060";
const NAME: &str = "1 to 64 of a-z A-Z 0-9 - _";

impl Config {
    /// The realm that passwords of operators' telephones are made for.
    pub(crate) fn realm(&self) -> String {
        self.phones.clone().unwrap_or_default().realm
    }

    /// Reads and checks a file. Paths in it are relative to its folder.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { path: path.into(), source };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(path, &text).map_err(ConfigError::Faults)
    }

    /// Checks a text that came from `path`; the faults come back as sentences with their lines.
    fn parse(path: &Path, text: &str) -> Result<Self, Vec<String>> {
        let faults = Faults::new(path, text);
        let (document, syntax) = DeTable::parse_recoverable(text);
        for fault in &syntax {
            faults.add(&fault.span().unwrap_or(0..0), format!("not TOML: {}", fault.message()));
        }
        let config = if syntax.is_empty() {
            let place = document.span();
            let folder = path.parent().unwrap_or(Path::new("."));
            Some(read(Section::new(&faults, "", document.into_inner(), place), &faults, folder))
        } else {
            None // half a document would only bring faults that are none
        };
        match (faults.into_sentences(), config.flatten()) {
            (Some(sentences), _) => Err(sentences),
            (None, Some(config)) => Ok(config),
            (None, None) => unreachable!("a part that is missing has written down why"),
        }
    }
}

/// Reads every section before it gives up on any, so that all faults are told.
fn read(mut root: Section<'_>, faults: &Faults, folder: &Path) -> Option<Config> {
    let node = node(root.section("node"), folder);
    let sip = sip(root.section("sip"));
    let media = media(root.section("media"), sip.as_ref());
    let speech = root.has("speech").then(|| speech(root.section("speech")));
    let http = root.has("http").then(|| http(root.section("http")));
    let phones = root.has("phones").then(|| desk::phones(root.section("phones")));
    let tenants = tenants(root.sections("tenant"), faults, folder);
    // Whoever sets up a desk wants the telephones of those who sit at it.
    let phones = phones.or_else(|| tenants.iter().any(|tenant| tenant.desk.given).then(Phones::default));
    let trunks = named(root.sections("trunk"), faults, |section| trunk::read(section, &tenants));
    let scenarios = named(root.sections("scenario"), faults, |section| {
        let tenant = known(section, "tenant", &tenants, |tenant| &tenant.id);
        let name: Option<ScenarioName> = section.needed_text("name", NAME);
        let package = section.text::<PathBuf>("package", "the folder of a scenario package");
        let (tenant, name) = (tenant?, name?);
        let package = package.map(|package| folder.join(package));
        Some((format!("{tenant}/{name}"), Scenario { tenant, name, package }))
    });
    let routes = named(root.sections("route"), faults, |section| {
        let user: Option<String> =
            section.needed_text("user", "the called user or number, or * for all others");
        let tenant = known(section, "tenant", &tenants, |tenant| &tenant.id);
        let scenario = known_scenario(section, tenant.as_ref(), &scenarios);
        let settings = section.settings("settings").into_iter().collect();
        let (user, tenant, scenario) = (user?, tenant?, scenario?);
        Some((user.clone(), Route { user, tenant, scenario, settings }))
    });
    let projects = named(root.sections("project"), faults, |section| {
        let id: Option<ProjectId> = section.needed_text("id", NAME);
        let tenant = known(section, "tenant", &tenants, |tenant| &tenant.id);
        let trunk = known(section, "trunk", &trunks, |trunk| &trunk.id);
        if let (Some(tenant), Some(id)) = (&tenant, &trunk)
            && trunks.iter().any(|trunk| trunk.id == *id && !trunk.serves(tenant))
        {
            section
                .fault("trunk", format_args!("`{id}` is not for tenant {tenant}: its `tenants` name others"));
        }
        let scenario = known_scenario(section, tenant.as_ref(), &scenarios);
        let lines = section.number("lines", 1..=1000, 1) as u32;
        let calls_per_second = section.number("calls_per_second", 1..=1000, 10) as u32;
        let ring = Duration::from_secs(section.number("ring_s", 5..=120, 30) as u64);
        let priority = section.number("priority", 1..=9, USUAL_PRIORITY.into()) as u8;
        let rules = rules::rules(section);
        let leads =
            section.needed_text::<PathBuf>("leads", "the path of a CSV file with the columns lead,phone");
        let settings = section.settings("settings").into_iter().collect();
        let (id, tenant, leads) = (id?, tenant?, folder.join(leads?));
        let key = format!("{tenant}/{id}");
        Some((
            key,
            Project {
                id,
                tenant,
                trunk: trunk?,
                scenario: scenario?,
                lines,
                calls_per_second,
                ring,
                priority,
                rules,
                leads,
                settings,
            },
        ))
    });
    for tenant in &tenants {
        let theirs = || trunks.iter().filter(|trunk| trunk.serves(&tenant.id));
        if let Some(trunk) = tenant.desk.transfer_trunk.as_ref().filter(|id| theirs().all(|t| t.id != **id)) {
            let declared: Vec<_> = theirs().map(|trunk| trunk.id.to_string()).collect();
            faults.add(
                &root.place(),
                format!(
                    "tenant {}: desk.transfer_trunk: there is no trunk `{trunk}` for this tenant; there are: {}",
                    tenant.id,
                    declared.join(", ")
                ),
            );
        }
    }
    root.finish();
    let (node, sip, media) = (node?, sip?, media?);
    let speech = match speech {
        Some(speech) => Some(speech?),
        None => None,
    };
    let http = match http {
        Some(listen) => Some(listen?),
        None => None,
    };
    Some(Config { node, sip, media, speech, http, phones, tenants, trunks, scenarios, routes, projects })
}

fn node(section: Section<'_>, folder: &Path) -> Option<Node> {
    let data =
        section.needed_text::<PathBuf>("data", "the folder for the store, recordings and compiled modules");
    let modules = section.text::<PathBuf>("modules", "the folder for compiled scenarios");
    let workers = section.number("workers", 1..=256, 2) as usize;
    let calls = section.number("calls", 0..=100_000, 0) as usize;
    section.finish();
    let data = folder.join(data?);
    let modules = modules.map_or_else(|| data.join("modules"), |modules| folder.join(modules));
    Some(Node { data, modules, workers, calls })
}

fn sip(section: Section<'_>) -> Option<Sip> {
    let listen = section.needed_text("listen", ADDRESS);
    let advertise: Option<IpAddr> = section.text("advertise", "an IP address");
    if listen.is_some_and(|listen: SocketAddr| listen.ip().is_unspecified()) && advertise.is_none() {
        section.fault(
            "listen",
            "every address of this machine, so far ends must be told which: set sip.advertise",
        );
    }
    let allow = section.texts("allow", "a network as 192.0.2.0/24");
    let per_source = section.number("per_source", 1..=1_000_000, 2000) as u32;
    section.finish();
    Some(Sip { listen: listen?, advertise, allow, per_source })
}

/// Sound goes by the address of SIP, unless another is given.
fn media(section: Section<'_>, sip: Option<&Sip>) -> Option<Media> {
    let beside_sip = sip.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |sip| sip.listen.ip());
    let address: IpAddr = section.text("address", "an IP address of this machine").unwrap_or(beside_sip);
    if sip.is_some_and(|sip| sip.advertise.is_none()) && address.is_unspecified() {
        section.fault(
            "address",
            "every address of this machine, so far ends must be told which: set sip.advertise",
        );
    }
    if sip.is_some_and(|sip| sip.listen.is_ipv4() != address.is_ipv4()) {
        section.fault("address", "sound and SIP must both be IPv4 or both IPv6");
    }
    let ports = section.text::<Ports>("ports", "a range from 1024 to 65535, as 20000-29999");
    let threads = section.number("threads", 1..=64, 1) as usize;
    let record = section.switch("record", false);
    let drop_machines = section.switch("drop_machines", true);
    section.finish();
    Some(Media {
        address,
        ports: ports.map_or(20_000..=29_999, |ports| ports.0),
        threads,
        record,
        drop_machines,
    })
}

fn speech(section: Section<'_>) -> Option<Speech> {
    let model = section.needed_text("model", "the name of a model, as `zvonar model list` tells it");
    let language: Option<String> = section.text("language", "a language of two letters, as ru");
    let language = language.unwrap_or_else(|| "ru".into());
    if language.len() != 2 || !language.chars().all(|c| c.is_ascii_lowercase()) {
        section.fault("language", "this should be a language of two letters, as ru");
    }
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let workers = section.number("workers", 1..=256, cores as i64) as usize;
    let queue = section.number("queue", 1..=10_000, 64) as usize;
    section.finish();
    Some(Speech { model: model?, language, workers, queue })
}

fn http(section: Section<'_>) -> Option<SocketAddr> {
    let listen = section.needed_text("listen", "an address with a port, as 127.0.0.1:8080");
    section.finish();
    listen
}

/// A token that stands twice would belong to two tenants.
fn tenants(sections: Vec<Section<'_>>, faults: &Faults, folder: &Path) -> Vec<Tenant> {
    let (mut ids, mut hashes) = (BTreeSet::new(), BTreeSet::new());
    let mut tenants = Vec::new();
    for mut section in sections {
        let id: Option<TenantId> = section.needed_text("id", NAME);
        let tariff =
            section.text::<PathBuf>("tariff", "the path of a tariff file").map(|path| folder.join(path));
        let grant = grant(section.section("limits"));
        let given = section.has("desk");
        let desk = TenantDesk { given, ..desk::desk(section.section("desk"), folder) };
        let webhooks = webhooks::webhooks(&mut section, folder);
        // Faults are written down, so what is missing by them starts nothing.
        let sms = section.has("sms").then(|| texts::sms(section.section("sms"), folder)).flatten();
        let prepaid = prepaid(&section);
        let caps = rules::caps(&section);
        let answers_days = section.number("answers_days", 1..=36_500, 365) as u32;
        let tokens: Vec<TokenHash> = section.texts("tokens", "what `zvonar token` prints, as \"ci:9f86d0…\"");
        for token in &tokens {
            let text = token.to_string();
            let hash = text.split_once(':').map(|(_, hash)| hash.to_owned()).unwrap_or_default();
            if !hashes.insert(hash) {
                section.fault(
                    "tokens",
                    format!("the token `{}` stands in the configuration twice", token.name()),
                );
            }
        }
        if let Some(id) = id {
            if !ids.insert(id.clone()) {
                let place = section.place();
                faults.add(&place, format!("`{id}` stands here a second time; names must differ"));
            }
            tenants.push(Tenant {
                id,
                tariff,
                prepaid,
                grant,
                caps,
                answers_days,
                sms,
                tokens,
                desk,
                webhooks,
            });
        }
        section.finish();
    }
    tenants
}

/// `prepaid`, `credit`, `hold_s`.
fn prepaid(section: &Section<'_>) -> Option<Prepaid> {
    let usual = Prepaid::default();
    let credit = section.number("credit", 0..=1_000_000_000_000, usual.credit.0);
    let hold = section.number("hold_s", 1..=3_600, usual.hold.as_secs() as i64);
    let prepaid = Prepaid { credit: Kopecks(credit), hold: Duration::from_secs(hold.unsigned_abs()) };
    section.switch("prepaid", false).then_some(prepaid)
}

/// `[tenant.limits]`; what is absent stays at its default.
fn grant(section: Section<'_>) -> Grant {
    let (grant, limits) = (Grant::default(), Limits::default());
    let number = |key, range, default: u64| {
        u64::try_from(section.number(key, range, i64::try_from(default).unwrap_or(i64::MAX))).unwrap_or(0)
    };
    let count =
        |key, range, default: u32| u32::try_from(number(key, range, u64::from(default))).unwrap_or(u32::MAX);
    let read = Grant {
        limits: Limits {
            memory_bytes: number("memory_mib", 1..=4_096, limits.memory_bytes >> 20) << 20,
            cpu: Duration::from_millis(number("cpu_ms", 5..=10_000, limits.cpu.as_millis() as u64)),
            call: Duration::from_secs(number("call_seconds", 1..=14_400, limits.call.as_secs())),
            host_calls: count("host_calls", 1..=1_000_000, limits.host_calls),
            log_lines: count("log_lines", 0..=10_000, limits.log_lines),
            sms: count("sms", 0..=100, limits.sms),
            ..limits
        },
        calls: count("calls", 1..=100_000, grant.calls),
        waiting_uploads: count("waiting_uploads", 0..=100, grant.waiting_uploads),
        uploads_per_minute: count("uploads_per_minute", 1..=1_000, grant.uploads_per_minute),
        versions: count("versions", 2..=1_000, grant.versions),
        active_projects: count("active_projects", 1..=1_000, grant.active_projects),
        operators: count("operators", 0..=MOST_OPERATORS.into(), grant.operators),
    };
    section.finish();
    read
}

/// Reads a list of tables and refuses the same name twice.
fn named<'f, T>(
    sections: Vec<Section<'f>>,
    faults: &Faults,
    mut read: impl FnMut(&Section<'f>) -> Option<(String, T)>,
) -> Vec<T> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for section in sections {
        if let Some((name, thing)) = read(&section) {
            if !seen.insert(name.clone()) {
                faults
                    .add(&section.place(), format!("`{name}` stands here a second time; names must differ"));
            }
            all.push(thing);
        }
        section.finish();
    }
    all
}

/// An id that must be one of those above it in the file.
fn known<T, I>(section: &Section<'_>, key: &'static str, all: &[T], id: impl Fn(&T) -> &I) -> Option<I>
where
    I: std::str::FromStr + PartialEq + ToString + Clone,
    I::Err: std::fmt::Display,
{
    let wanted: I = section.needed_text(key, NAME)?;
    if all.iter().any(|thing| *id(thing) == wanted) {
        return Some(wanted);
    }
    let names: Vec<_> = all.iter().map(|thing| id(thing).to_string()).collect();
    let names = if names.is_empty() { format!("no [[{key}]] is declared") } else { names.join(", ") };
    section.fault(key, format!("there is no {key} `{}`; declared: {names}", wanted.to_string()));
    None
}

fn known_scenario(
    section: &Section<'_>,
    tenant: Option<&TenantId>,
    all: &[Scenario],
) -> Option<ScenarioName> {
    let wanted: ScenarioName = section.needed_text("scenario", NAME)?;
    let tenant = tenant?;
    if all.iter().any(|scenario| scenario.name == wanted && scenario.tenant == *tenant) {
        return Some(wanted);
    }
    let names: Vec<_> = all.iter().filter(|s| s.tenant == *tenant).map(|s| s.name.to_string()).collect();
    let names = if names.is_empty() { "none".into() } else { names.join(", ") };
    section.fault("scenario", format!("tenant {tenant} has no scenario `{wanted}`; declared: {names}"));
    None
}
