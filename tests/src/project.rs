//! Configuration files for hosts that live as long as one test: written as an operator would write them.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::{http::Token, machine, ports};

/// One contact of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lead {
    /// The list's own name for the person.
    pub id: String,
    /// The number to call; its last two digits choose the behaviour of a farm's callee.
    pub phone: String,
}

/// A list to dial.
#[derive(Debug, Clone)]
pub struct Project {
    /// Its name.
    pub id: String,
    /// Name of the scenario, one of [`Config::scenarios`].
    pub scenario: String,
    /// Simultaneous attempts.
    pub lines: u32,
    /// How long a phone may ring, in seconds.
    pub ring_s: u32,
    /// The most calls to one number.
    pub max_calls: u32,
    /// Whom to call.
    pub leads: Vec<Lead>,
    /// What the scenario finds in its settings.
    pub settings: Vec<(String, String)>,
}

/// Who answers calls to a user of ours, and with what.
#[derive(Debug, Clone)]
pub struct Route {
    /// The called user.
    pub user: String,
    /// Name of the scenario, one of [`Config::scenarios`].
    pub scenario: String,
    /// What the scenario finds in its settings.
    pub settings: Vec<(String, String)>,
}

/// A host's configuration with one tenant (`demo`) and one trunk (`farm`), on the loopback.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where SIP is listened to.
    pub listen: SocketAddr,
    /// Networks that may send SIP, besides the trunk.
    pub allow: Vec<String>,
    /// Datagrams a second that one address may send: all of a test's peers share one.
    pub per_source: u32,
    /// Where compiled scenarios are kept; `None`: where nobody else keeps them.
    pub modules: Option<PathBuf>,
    /// First and last port for media.
    pub media_ports: (u16, u16),
    /// Threads that carry media.
    pub media_threads: u32,
    /// The far end of the trunk.
    pub trunk: SocketAddr,
    /// Simultaneous calls on the trunk.
    pub trunk_lines: u32,
    /// New calls a second on the trunk.
    pub calls_per_second: u32,
    /// Scenarios: name, folder of the package.
    pub scenarios: Vec<(String, PathBuf)>,
    /// Calls that come in.
    pub routes: Vec<Route>,
    /// Calls that go out.
    pub projects: Vec<Project>,
    /// More keys of every project, a line each: `retry = …`.
    pub dialling: String,
    /// Where HTTP is listened to; `None`: nowhere.
    pub http: Option<SocketAddr>,
    /// More lines of the tenant `demo`: tokens, limits.
    pub tenant: String,
    /// More sections: other tenants with what is theirs.
    pub more: String,
}

impl Config {
    /// A host on free ports, whose trunk leads to `trunk`; knows no scenario, route or project yet.
    pub fn new(trunk: SocketAddr) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], ports::free_port())),
            allow: vec!["127.0.0.1/32".into()],
            per_source: 100_000,
            modules: None,
            media_ports: ports::media_range(400),
            media_threads: 1,
            trunk,
            trunk_lines: 50,
            calls_per_second: 50,
            scenarios: Vec::new(),
            routes: Vec::new(),
            projects: Vec::new(),
            dialling: String::new(),
            http: None,
            tenant: String::new(),
            more: String::new(),
        }
    }

    /// Lets the tenant `demo` be reached over HTTP, with this token.
    #[must_use]
    pub fn with_http(mut self, token: &Token) -> Self {
        self.http = Some(SocketAddr::from(([127, 0, 0, 1], ports::free_port())));
        self.tenant = format!("tokens = [\"{}\"]\n{}", token.hash, self.tenant);
        self
    }

    /// `http://…` of its interface.
    ///
    /// # Panics
    ///
    /// If it has none.
    pub fn url(&self) -> String {
        format!("http://{}", self.http.expect("this host is reached over HTTP"))
    }

    /// Adds a scenario of the repository's `scenarios/`.
    #[must_use]
    pub fn scenario(mut self, name: &str) -> Self {
        self.scenarios.push((name.to_owned(), machine::root().join("scenarios").join(name)));
        self
    }

    /// The TOML, with every path absolute.
    pub fn toml(&self) -> String {
        let mut text = String::new();
        let (listen, ip) = (self.listen, self.listen.ip());
        let (first, last) = self.media_ports;
        let _ = write!(
            text,
            "[node]\ndata = \"data\"\n{}\n[sip]\nlisten = \"{listen}\"\nallow = {:?}\n\
             per_source = {}\n\n\
             [media]\naddress = \"{ip}\"\nports = \"{first}-{last}\"\nthreads = {}\n\n\
             [[tenant]]\nid = \"demo\"\n{}\n\
             [[trunk]]\nid = \"farm\"\naddress = \"{}\"\nlines = {}\ncalls_per_second = {}\n\
             caller = \"+74950000000\"\n",
            self.modules
                .iter()
                .map(|folder| format!("modules = \"{}\"\n", folder.display()))
                .collect::<String>(),
            self.allow,
            self.per_source,
            self.media_threads,
            self.tenant,
            self.trunk,
            self.trunk_lines,
            self.calls_per_second
        );
        for (name, package) in &self.scenarios {
            let _ = write!(
                text,
                "\n[[scenario]]\ntenant = \"demo\"\nname = \"{name}\"\npackage = \"{}\"\n",
                package.display()
            );
        }
        for route in &self.routes {
            let _ = write!(
                text,
                "\n[[route]]\nuser = \"{}\"\ntenant = \"demo\"\nscenario = \"{}\"\nsettings = {}\n",
                route.user,
                route.scenario,
                inline(&route.settings)
            );
        }
        for project in &self.projects {
            let _ = write!(
                text,
                "\n[[project]]\nid = \"{id}\"\ntenant = \"demo\"\ntrunk = \"farm\"\nscenario = \"{}\"\n\
                 lines = {}\nring_s = {}\nmax_calls = {}\nhours = \"any\"\nleads = \"leads-{id}.csv\"\nsettings = {}\n{}\n",
                project.scenario,
                project.lines,
                project.ring_s,
                project.max_calls,
                inline(&project.settings),
                self.dialling,
                id = project.id
            );
        }
        if let Some(http) = self.http {
            let _ = write!(text, "\n[http]\nlisten = \"{http}\"\n");
        }
        text + "\n" + &self.more
    }

    /// Writes `zvonar.toml`, and the lists of contacts beside it; gives the path of the former.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, String> {
        let file = folder.join("zvonar.toml");
        let say = |error| format!("cannot write {}: {error}", folder.display());
        fs::create_dir_all(folder).map_err(say)?;
        fs::write(&file, self.toml()).map_err(say)?;
        for project in &self.projects {
            let mut csv = "lead,phone\n".to_owned();
            for lead in &project.leads {
                let _ = writeln!(csv, "{},{}", lead.id, lead.phone);
            }
            fs::write(folder.join(format!("leads-{}.csv", project.id)), csv).map_err(say)?;
        }
        Ok(file)
    }
}

fn inline(settings: &[(String, String)]) -> String {
    let settings: Vec<String> = settings.iter().map(|(key, value)| format!("{key} = {value:?}")).collect();
    format!("{{ {} }}", settings.join(", "))
}

/// `count` contacts whose numbers end in the behaviours of `endings`, over and over. All are mobile numbers of Russia,
/// 900 to 939: the host dials no others, and 940 is not one of them.
pub fn leads(count: usize, endings: &[u8]) -> Vec<Lead> {
    (0..count)
        .map(|index| {
            let ending = endings[index % endings.len()];
            Lead {
                id: format!("lead-{index:03}"),
                phone: format!("+79{:02}{index:05}{ending:02}", index % 40),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_list_differ_and_end_in_the_behaviour() {
        let list = leads(5, &[1, 5]);
        assert_eq!(list[3].phone, "+79030000305");
        assert!(list.iter().all(|lead| lead.phone.len() == 12), "{list:?}");
        let mut phones: Vec<_> = list.iter().map(|lead| &lead.phone).collect();
        phones.dedup();
        assert_eq!(phones.len(), 5);
    }
}
