//! A host whose callers are handed to operators: a farm for those who are called, telephones for those who take the calls,
//! and a scenario all of whose sounds are tones, so that a recording tells who was heard when.
//!
//! All of it works on the machine's own address, since baresip does not on the loopback.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    audio,
    baresip::{self, Account, Baresip},
    clock,
    host::{self, Farm, Host, Report, Row},
    http::{self, Token},
    machine, package, ports,
    process::Process,
    project::{Config, Lead, Project, Route},
    records::Days,
};

/// The pitch of the music.
pub const MUSIC_HZ: f64 = 1_300.0;
/// The tone of the scenario's question.
pub const MENU_HZ: f64 = 1_700.0;
/// The pitch of the last words.
pub const GOODBYE_HZ: f64 = 500.0;
/// Whom one calls to get to a route of [`Office::route`].
pub const DESK: &str = "desk";
/// Where missed callers go, and are called again.
pub const CALL_BACK: &str = "callback";

const LIMIT: Duration = Duration::from_secs(60);
/// What a second with the robot costs, waiting included, in kopecks.
const ROBOT_S: i64 = 4;
/// What a second of talk with an external number costs, in kopecks; with an operator it costs nothing.
const EXTERNAL_S: i64 = 3;

/// The host and those around it. Operators, projects and routes are added, then it is opened, and closed in the end.
pub struct Office {
    folder: TempDir,
    /// Whom the host calls, people as well as external numbers.
    pub farm: Farm,
    /// What the host is started with.
    pub config: Config,
    passwords: BTreeMap<String, String>,
    token: Token,
    days: Days,
    host: Option<Host>,
}

impl Office {
    /// A new one. `Ok(None)`: the scenario is not built, or baresip does not work here; that has been said aloud.
    pub fn new() -> Result<Option<Self>, String> {
        if !machine::built(&["table", "menu"]) {
            return Ok(None);
        }
        let Some(ip) = baresip::address() else { return Ok(None) };
        let folder = tempfile::tempdir().map_err(|why| format!("no temporary folder: {why}"))?;
        let farm = Farm::start_on(ip, folder.path(), &[])?;
        let (token, days) = (Token::new("demo"), Days::from_now());
        let mut config = Config::new(farm.address).scenario("menu").with_http(&token);
        config.listen.set_ip(ip);
        config.allow.push(format!("{ip}/32"));
        config.modules = Some(machine::modules());
        config.scenarios.push(("table".into(), tones(&folder.path().join("table"))?));
        config.tenant += "\n[tenant.limits]\nactive_projects = 50\noperators = 50\n\
                          \n[tenant.desk]\nring_s = 5\nwrap_up_s = 0\nrest_s = 60\ntransfer_trunk = \"farm\"\n";
        let mut office = Self { folder, farm, config, passwords: BTreeMap::new(), token, days, host: None };
        office.add_project(CALL_BACK, "menu", &[]);
        Ok(Some(office))
    }

    /// Where all of it happens.
    pub fn ip(&self) -> IpAddr {
        self.config.listen.ip()
    }

    /// A place for a peer's files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// An address for a peer.
    pub fn free_address(&self) -> SocketAddr {
        SocketAddr::new(self.ip(), ports::free_port())
    }

    /// What a caller dials, as baresip wants it.
    pub fn uri(&self, user: &str) -> String {
        format!("sip:{user}@{}", self.config.listen)
    }

    /// A project for one person, who is called once, when that is [told](Self::dial): by then everybody whom the call meets is
    /// there. `ending`: what he does ([`Farm`]); `table`: what the scenario does then.
    pub fn project(&mut self, id: &str, ending: u8, table: &str, settings: &[(&str, &str)]) -> Lead {
        let number = self.config.projects.len();
        self.add_project(id, "table", &[&[("table", table)], settings].concat());
        Lead { id: format!("lead-{id}"), phone: format!("+79161{number:04}{ending:02}") }
    }

    fn add_project(&mut self, id: &str, scenario: &str, settings: &[(&str, &str)]) {
        let settings = if scenario == "table" { given(settings) } else { Vec::new() };
        self.config.projects.push(Project {
            id: id.into(),
            scenario: scenario.into(),
            lines: 10,
            ring_s: 8,
            max_calls: 1,
            leads: Vec::new(),
            settings,
        });
    }

    /// Callers of [`DESK`] get to this table.
    pub fn route(&mut self, table: &str, settings: &[(&str, &str)]) {
        let settings = given(&[&[("table", table)], settings].concat());
        self.config.routes.push(Route { user: DESK.into(), scenario: "table".into(), settings });
    }

    /// Makes an operator of a group, who is not at work yet. His extension is his group's name if that is a number.
    pub fn operator(&mut self, id: &str, group: &str) -> Result<(), String> {
        let file = self.config.write(self.folder.path())?;
        let mut add = host::zvonar(["operator", "add", id, "--group", group, "--json"]);
        if group.bytes().all(|byte| byte.is_ascii_digit()) {
            add.args(["--extension", group]);
        }
        let made = Process::spawn("zvonar operator add", add.arg("--config").arg(&file))?.succeed(LIMIT)?;
        let made: Value = serde_json::from_str(made.trim()).map_err(|why| format!("{why} in {made}"))?;
        let password = made["phone"]["password"].as_str().ok_or_else(|| format!("no password in {made}"))?;
        self.passwords.insert(id.to_owned(), password.to_owned());
        Ok(())
    }

    /// Has a project call somebody, from now on.
    pub fn dial(&self, project: &str, lead: &Lead) -> Result<(), String> {
        let body = json!({ "leads": [{ "id": lead.id, "numbers": [lead.phone] }] });
        self.tell(&format!("/v1/projects/{project}/leads"), &body)
    }

    /// Has a project wait, or go on: `pause`, `start`.
    pub fn turn(&self, project: &str, to: &str) -> Result<(), String> {
        self.tell(&format!("/v1/projects/{project}/{to}"), &json!({}))
    }

    fn tell(&self, path: &str, body: &Value) -> Result<(), String> {
        let address = self.config.http.ok_or("the host has no HTTP")?;
        match http::ask(address, &self.token, "POST", path, body.to_string().as_bytes()) {
            Ok(answer) if [200, 201].contains(&answer.status) => Ok(()),
            other => Err(format!("{path} with {body}: {other:?}")),
        }
    }

    /// The records of the calls that are over.
    pub fn attempts(&self) -> Vec<Value> {
        self.config.http.map(|address| self.days.attempts(address, &self.token)).unwrap_or_default()
    }

    /// Waits until so many calls are over.
    pub fn wait_for_attempts(&self, count: usize, limit: Duration) -> Result<(), String> {
        let mut over = 0;
        clock::within(limit, || {
            over = self.attempts().len();
            over >= count
        });
        if over >= count {
            Ok(())
        } else {
            Err(format!("{over} of {count} calls are over after {limit:?}\n{}", self.output()))
        }
    }

    /// Lets an operator take calls from now on.
    pub fn available(&self, operator: &str) -> Result<(), String> {
        let address = self.config.http.ok_or("the host has no HTTP")?;
        let path = format!("/v1/operators/{operator}/status");
        let answer = http::ask(address, &self.token, "PUT", &path, br#"{"status":"available"}"#);
        match answer {
            Ok(answer) if answer.status == 200 => Ok(()),
            other => Err(format!("{operator} is not available: {other:?}")),
        }
    }

    /// Starts the host and waits until it listens.
    pub fn open(&mut self) -> Result<(), String> {
        self.host = Some(Host::serve(&self.config, self.folder.path())?);
        Ok(())
    }

    /// What the host has printed.
    pub fn output(&self) -> String {
        self.host.as_ref().map(|host| host.process.output()).unwrap_or_default()
    }

    /// Waits until the host has printed this.
    pub fn wait_for_line(&mut self, text: &str) -> Result<String, String> {
        let host = self.host.as_mut().ok_or("the host is not open")?;
        host.process.wait_for_line(text, LIMIT)
    }

    /// The name and the password of an operator's telephones.
    pub fn account(&self, operator: &str) -> (String, String) {
        (format!("demo.{operator}"), self.passwords[operator].clone())
    }

    /// A telephone of an operator, registered; it picks up by itself, says a tone of so many hertz and seconds, and hangs up.
    /// `place`: which of his telephones it is.
    pub fn telephone(
        &self,
        operator: &str,
        place: &str,
        (voice_hz, voice_s): (f64, f64),
    ) -> Result<Baresip, String> {
        let (user, password) = self.account(operator);
        let account =
            Account { user, password, registrar: self.config.listen, answers: true, voice_hz, voice_s };
        Baresip::register(&self.folder.path().join(place), &account)?.ok_or_else(|| "baresip has gone".into())
    }

    /// Somebody who can call us, with his voice.
    pub fn caller(&self, name: &str, voice: (f64, f64)) -> Result<Baresip, String> {
        Baresip::start_as(&self.folder.path().join(name), name, voice)?
            .ok_or_else(|| "baresip has gone".into())
    }

    /// Stops the host; gives the report, in which all sums are right.
    pub fn close(&mut self) -> Result<Report, String> {
        self.host.as_mut().ok_or("the host is not open")?.process.terminate(LIMIT)?;
        self.report()
    }

    fn report(&self) -> Result<Report, String> {
        let file = &self.host.as_ref().ok_or("the host is not open")?.config;
        let report = Report::of(file)?;
        report.check_sums().map_err(|why| format!("{why}\n{}", self.output()))?;
        host::verify_ledger(file)?;
        report.rows.iter().try_for_each(check_price)?;
        Ok(report)
    }

    /// What is known of a lead after the calls.
    pub fn lead(&self, project: &str, lead: &str) -> Result<Value, String> {
        let mut show = host::zvonar(["lead", "show", lead, "--project", project, "--json", "--config"]);
        show.arg(self.folder.path().join("zvonar.toml"));
        let shown = Process::spawn("zvonar lead show", &mut show)?.succeed(LIMIT)?;
        serde_json::from_str(shown.trim()).map_err(|why| format!("{why} in {shown}"))
    }

    /// The numbers of those who are in the call-back project.
    pub fn called_back(&self) -> Result<Vec<Value>, String> {
        let mut list = host::zvonar(["lead", "list", "--project", CALL_BACK, "--json", "--config"]);
        list.arg(self.folder.path().join("zvonar.toml"));
        let listed = Process::spawn("zvonar lead list", &mut list)?.succeed(LIMIT)?;
        Ok(listed.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }
}

/// Whether a row costs what the tariff says: the robot by started seconds, waiting included; external talks by theirs; an
/// operator nothing.
pub fn check_price(row: &Row) -> Result<(), String> {
    let external = row.transfers.iter().filter(|one| one.connected && one.operator.is_none());
    let external: i64 = external.map(|one| EXTERNAL_S * one.talk_s as i64).sum();
    let due = ROBOT_S * row.robot_s as i64 + external + row.recognition_kopecks + row.sms_kopecks;
    if row.kopecks == due { Ok(()) } else { Err(format!("the tariff gives {due} kopecks for {row:?}")) }
}

/// Settings under which the scenario asks with a tone, and says its last words.
fn given(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    let usual = [("prompt", "menu"), ("goodbye", "goodbye"), ("music", "music"), ("transfer-seconds", "30")];
    let mut all: BTreeMap<&str, &str> = usual.into_iter().collect();
    all.extend(settings.iter().copied());
    all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The scenario `table` whose sounds are tones.
fn tones(folder: &Path) -> Result<std::path::PathBuf, String> {
    let package = package::copy("table", "9.9.9", folder);
    for (name, hz, seconds) in
        [("music", MUSIC_HZ, 1.0), ("goodbye", GOODBYE_HZ, 0.8), ("menu", MENU_HZ, 5.0)]
            .into_iter()
            .chain(["again", "thanks", "sorry", "connecting", "fallback"].map(|name| (name, MENU_HZ, 0.3)))
    {
        let file = package.join("prompts").join(format!("{name}.wav"));
        audio::write_wav(&file, &audio::tone(hz, seconds, 0.25, 8000), 8000)?;
    }
    Ok(package)
}
